import Logging
import NIOCore
import NIOPosix
import NIOSSL
import StrataJobs

#if canImport(Glibc)
  import Glibc
#else
  import Musl
#endif

/// A server that speaks the Redis protocol (RESP2 and RESP3) over one storage engine.
///
/// A write is answered only when it is acknowledged under the engine's durability, and so is a read of what was written: nothing a client
/// has seen is lost in a crash the durability mode covers. Commands of one connection run and are answered in order; commands of different
/// connections are atomic towards each other. Event loops never wait for the disk.
///
/// Thread-safe. ``start(options:logger:engine:)`` and ``stop()`` wait and must not be called on an event loop or in an asynchronous context.
public final class RESPServer: Sendable {
  /// The version of this server.
  public static let version = "0.1.0"
  /// The Redis version whose replies the commands give; what HELLO and INFO tell clients that look at it.
  public static let compatibleVersion = "7.0.15"

  private let state: ServerState
  private let group: MultiThreadedEventLoopGroup
  private let listener: any Channel
  private let cron: RepeatedTask
  /// Completes when a client has asked for SHUTDOWN, or at ``stop()``.
  public let shutdownRequested: EventLoopFuture<Void>

  private init(
    state: ServerState, group: MultiThreadedEventLoopGroup, listener: any Channel, cron: RepeatedTask, shutdownRequested: EventLoopFuture<Void>
  ) {
    self.state = state
    self.group = group
    self.listener = listener
    self.cron = cron
    self.shutdownRequested = shutdownRequested
  }

  /// What a server serves.
  private enum Backend {
    case engine(any KeyValueEngine)
    case replication(Replication)
  }

  /// Binds, then comes up as a member of a group, then serves: any command at any member. ``stop()`` leaves the group running without this member.
  /// - Throws: a ``ServerError``; nothing is left running or open.
  public static func start(options: ServerOptions, logger: Logger, replication: ReplicationOptions) throws(ServerError) -> RESPServer {
    try start(options: options, logger: logger, replication: replication) { member, files, group throws(EngineError) in
      // One thread for clients and member needs no waking of the other at each command; more threads leave the member one of its own.
      let loops = options.threads > 1 ? nil : group
      return try MemberConnections.overTCP(member, files, on: loops, allowsInsecure: options.allowsInsecure, logger: logger)
    }
  }

  static func start(
    options: ServerOptions, logger: Logger, replication: ReplicationOptions,
    connect: (ReplicationOptions, StoreFiles, MultiThreadedEventLoopGroup) throws(EngineError) -> MemberConnections
  ) throws(ServerError) -> RESPServer {
    var options = options
    options.maxBulkBytes = min(options.maxBulkBytes, Replication.maxBulkBytes)
    let settings = options
    return try start(options: options, logger: logger) { group throws(EngineError) in
      .replication(
        try Replication.open(replication, settings, logger: logger) { member, files throws(EngineError) in try connect(member, files, group) })
    }
  }

  /// Binds, then opens the engine, then serves. Connections made meanwhile wait, and an address that cannot be bound leaves the store
  /// untouched. The engine is the server's: ``stop()`` closes it.
  /// - Throws: a ``ServerError``; nothing is left running or open.
  public static func start(
    options: ServerOptions, logger: Logger, engine open: () throws(EngineError) -> any KeyValueEngine
  ) throws(ServerError) -> RESPServer {
    try start(options: options, logger: logger) { _ throws(EngineError) in .engine(try open()) }
  }

  private static func start(
    options: ServerOptions, logger: Logger, backend open: (MultiThreadedEventLoopGroup) throws(EngineError) -> Backend
  ) throws(ServerError) -> RESPServer {
    guard options.allowsInsecure || options.password != nil || isLoopback(options.host) else { throw .insecure(options.host) }
    let tls: NIOSSLContext?
    do { tls = try options.tls?.makeContext() } catch { throw .tls("\(error)") }
    let group = MultiThreadedEventLoopGroup(numberOfThreads: max(1, options.threads))
    let pool = NIOThreadPool(numberOfThreads: max(1, options.diskThreads))
    pool.start()
    do throws(ServerError) {
      return try start(options, logger, group, pool, tls, open)
    } catch {
      try? pool.syncShutdownGracefully()
      try? group.syncShutdownGracefully()
      throw error
    }
  }

  private static func start(
    _ options: ServerOptions, _ logger: Logger, _ group: MultiThreadedEventLoopGroup, _ pool: NIOThreadPool, _ tls: NIOSSLContext?,
    _ open: (MultiThreadedEventLoopGroup) throws(EngineError) -> Backend
  ) throws(ServerError) -> RESPServer {
    let box = StateBox()
    let listener = try bind(options, group, box, tls)
    let state: ServerState
    do throws(EngineError) {
      switch try open(group) {
      case .engine(let engine):
        do throws(EngineError) {
          let keyspace = try Keyspace(engine: engine, cacheBytes: options.cacheBytes, clock: options.clock)
          state = ServerState(options: options, keyspace: keyspace, pool: pool, group: group, logger: logger)
        } catch {
          try? engine.close()
          throw error
        }
      case .replication(let replication):
        state = ServerState(
          options: options, keyspace: replication.store.keyspace, replication: replication, pool: pool, group: group, logger: logger)
      }
    } catch {
      try? listener.close().wait()
      throw .engine(error)
    }
    state.boundPort.store(listener.localAddress?.port ?? 0, ordering: .relaxed)
    let loop = group.next()
    let requested = loop.makePromise(of: Void.self)
    state.onShutdown { requested.succeed() }
    let expiry = ExpiryCycle(state: state)
    let cron = loop.scheduleRepeatedTask(initialDelay: .milliseconds(100), delay: .milliseconds(100)) { _ in
      closeIdle(state)
      if options.activeExpiry { expiry.turn() }
      state.replication?.lookAfterMembers()
    }
    state.replication?.announce(client: "\(options.host):\(listener.localAddress?.port ?? 0)") { again in
      loop.scheduleTask(in: .seconds(1), again)
    }
    box.state.withLock { $0 = state }
    _ = listener.setOption(.autoRead, value: true)
    listener.read()
    return RESPServer(state: state, group: group, listener: listener, cron: cron, shutdownRequested: requested.futureResult)
  }

  private static func bind(
    _ options: ServerOptions, _ group: MultiThreadedEventLoopGroup, _ box: StateBox, _ tls: NIOSSLContext?
  ) throws(ServerError) -> any Channel {
    do {
      return try bootstrap(box, group, tls).bind(host: options.host, port: options.port).wait()
    } catch {
      let address = "\(options.host):\(options.port)"
      if let error = error as? IOError, error.errnoCode == EADDRINUSE { throw .addressInUse(address) }
      throw .cannotBind(address, reason: "\(error)")
    }
  }

  /// What connections are given once the engine is open.
  private final class StateBox: Sendable {
    let state = Monitor<ServerState?>(nil)
  }

  private static func bootstrap(_ box: StateBox, _ group: MultiThreadedEventLoopGroup, _ tls: NIOSSLContext?) -> ServerBootstrap {
    ServerBootstrap(group: group)
      .serverChannelOption(.backlog, value: 1024)
      .serverChannelOption(.autoRead, value: false)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
      .childChannelOption(.socketOption(.so_keepalive), value: 1)
      .childChannelOption(.allowRemoteHalfClosure, value: true)
      .childChannelOption(.writeBufferWaterMark, value: ChannelOptions.Types.WriteBufferWaterMark(low: 256 << 10, high: 1 << 20))
      .childChannelOption(.recvAllocator, value: AdaptiveRecvByteBufferAllocator(minimum: 4096, initial: 16 << 10, maximum: 1 << 20))
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          if let tls { try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls)) }
          guard let state = box.state.withLock({ $0 }), let loop = state.loops[ObjectIdentifier(channel.eventLoop)] else {
            throw ChannelError.operationUnsupported
          }
          try channel.pipeline.syncOperations.addHandler(ClientHandler(server: state, loop: loop))
        }
      }
  }

  /// The port that is listened on.
  public var port: Int { state.boundPort.load(ordering: .relaxed) }

  /// How many clients are connected.
  public var connectedClients: Int { state.clients.count }

  /// Bytes of replies that clients have not taken yet, as of their last read cycle.
  public var heldBytes: Int { state.clients.all.reduce(0) { $0 + $1.outputBytes.load(ordering: .relaxed) } }

  /// Stops accepting, answers what was received, closes the connections, then syncs and closes the engine.
  /// - Throws: the engine's error if what was written could not be made durable. The server is stopped all the same.
  public func stop() throws(EngineError) {
    state.requestShutdown()
    state.isDraining.store(true, ordering: .sequentiallyConsistent)
    cron.cancel()
    try? listener.close().wait()
    for client in state.clients.all {
      let handler = client.handler
      client.channel.eventLoop.execute { handler.value.drain() }
    }
    let deadline = NIODeadline.now() + .seconds(Int64(max(0, state.options.drainSeconds)))
    for client in state.clients.all {
      let channel = client.channel
      let timer = channel.eventLoop.scheduleTask(deadline: deadline) { channel.close(promise: nil) }
      try? channel.closeFuture.wait()
      timer.cancel()
    }
    try? state.pool.syncShutdownGracefully()
    if let replication = state.replication {
      replication.stop()
      try? group.syncShutdownGracefully()
      return
    }
    try? group.syncShutdownGracefully()
    try state.keyspace.engine.close()
  }

  private static func closeIdle(_ state: ServerState) {
    let timeout = state.current.idleTimeoutSeconds
    guard timeout > 0 else { return }
    let now = state.keyspace.clock()
    for client in state.clients.all where !client.isMonitor.load(ordering: .relaxed) {
      let active = client.lastActive.load(ordering: .relaxed)
      guard now > active, (now - active) / 1000 >= UInt64(timeout) else { continue }
      state.logger.debug("client closed, it was idle", metadata: ["id": "\(client.id)"])
      client.channel.close(promise: nil)
    }
  }

  private static func isLoopback(_ host: String) -> Bool {
    guard host != "localhost" else { return true }
    guard let address = try? SocketAddress(ipAddress: host, port: 0) else { return false }
    switch address {
    case .v4: return host.hasPrefix("127.")
    case .v6: return host == "::1"
    case .unixDomainSocket: return true
    }
  }
}
