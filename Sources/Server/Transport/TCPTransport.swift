import Logging
import NIOCore
import NIOPosix
import NIOSSL
import StrataHost
import StrataJobs
import StrataNodes

#if canImport(Glibc)
  import Glibc
#else
  import Musl
#endif

/// Carries frames between the members of a cluster over TCP, one connection per pair and direction. See Docs/Formats/Transport.md.
///
/// Both ends of a connection agree on the cluster and on who they are before anything else passes; with certificates they know each other. What is
/// damaged, or has no place where it comes, ends its connection. A connection that ends is made again, with growing pauses. Queues are bounded: the
/// oldest frames make room, since protocols repeat what matters. Files that messages name are fetched beside, resumed where they were when a
/// connection was lost, and the message is delivered when all are there.
///
/// Thread-safe. ``start(_:on:logger:)`` and ``close()`` wait and must not be called on an event loop or in an asynchronous context.
public final class TCPTransport: Transport {
  /// The member that sends and receives here.
  public let node: NodeID
  /// The port that is listened on.
  public let port: Int

  private let shared: TransportShared
  private let group: MultiThreadedEventLoopGroup
  private let ownsGroup: Bool
  private let listener: any Channel
  private let worker: SerialWorker
  private let turns: RepeatedTask?
  /// Where a host whose nodes talk over this transport best has its turns: on the thread of the connections, until ``close()``. Stop the host before.
  public let executor: any HostExecutor

  /// Listens, and begins to dial the peers.
  ///
  /// - Parameter loops: whose threads serve the connections, in the place of threads of the transport's own; they are the caller's to end, after
  ///   ``close()``.
  /// - Throws: ``TCPTransportError``; nothing is left running then.
  public static func start(
    _ options: TransportOptions, on loops: MultiThreadedEventLoopGroup? = nil, logger: Logger
  ) throws(TCPTransportError) -> TCPTransport {
    guard options.node != 0 else { throw .badOptions("node 0 names nobody") }
    guard options.peers[options.node] == nil else { throw .badOptions("\(options.node) is listed among its own peers") }
    guard options.chunkBytes > 0, options.chunkBytes <= Int(Fetch.maxBytes) else { throw .badOptions("chunks have 1 to \(Fetch.maxBytes) bytes") }
    guard options.maxFrameBytes >= options.chunkBytes + 64, options.maxFrameBytes <= Int(UInt32.max) else {
      throw .badOptions("frames of \(options.maxFrameBytes) bytes cannot hold chunks of \(options.chunkBytes)")
    }
    guard options.tls != nil || options.allowsInsecure || isLoopback(options.host) else { throw .insecure(options.host) }
    let shared = try TransportShared(options, logger)
    let worker = SerialWorker(name: "transport-disk")
    if let store = options.attachments { try shared.begin(worker, store) }
    let group = loops ?? MultiThreadedEventLoopGroup(numberOfThreads: max(1, options.threads))
    let listener: any Channel
    do {
      listener = try bootstrap(shared, group).bind(host: options.host, port: options.port).wait()
    } catch {
      worker.finish()
      if loops == nil { try? group.syncShutdownGracefully() }
      throw .cannotListen(PeerAddress(host: options.host, port: options.port), reason: "\(error)")
    }
    let transport = TCPTransport(shared, group, ownsGroup: loops == nil, listener, worker)
    for (peer, address) in options.peers { transport.setPeer(peer, address) }
    return transport
  }

  private init(
    _ shared: TransportShared, _ group: MultiThreadedEventLoopGroup, ownsGroup: Bool, _ listener: any Channel, _ worker: SerialWorker
  ) {
    node = shared.options.node
    port = listener.localAddress?.port ?? 0
    self.shared = shared
    self.group = group
    self.ownsGroup = ownsGroup
    self.listener = listener
    self.worker = worker
    executor = LoopExecutor(group.next())
    let pause = TimeAmount(min(shared.options.chunkTimeout / 4, .milliseconds(50)))
    turns = shared.transfers.map { transfers in
      group.next().scheduleRepeatedTask(initialDelay: pause, delay: pause) { _ in transfers.turn() }
    }
  }

  private static func bootstrap(_ shared: TransportShared, _ group: any EventLoopGroup) -> ServerBootstrap {
    ServerBootstrap(group: group)
      .serverChannelOption(.backlog, value: 256)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
      .childChannelOption(.socketOption(.so_keepalive), value: 1)
      .childChannelOption(.recvAllocator, value: AdaptiveRecvByteBufferAllocator(minimum: 4096, initial: 64 << 10, maximum: 1 << 20))
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          if let context = shared.serverTLS { try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: context)) }
          try channel.pipeline.syncOperations.addHandler(InboundHandler(shared: shared))
        }
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

  // MARK: Peers

  /// Says where a peer listens: adds it, or moves it.
  public func setPeer(_ peer: NodeID, _ address: PeerAddress) {
    guard peer != node, peer != 0 else { return }
    guard let (link, isNew) = shared.link(to: peer, make: { PeerLink(peer, at: address, shared, on: group.next()) }) else { return }
    if isNew { link.start() } else { link.move(to: address) }
  }

  /// Forgets a peer: nothing is sent to it any more.
  public func removePeer(_ peer: NodeID) { _ = shared.removeLink(to: peer)?.close() }

  // MARK: Transport

  /// Queues frames for a peer. The oldest make room where too much waits; frames that are too long, or for nobody known, are dropped. All are
  /// counted.
  public func send(_ frames: [Frame], to peer: NodeID) {
    guard let link = shared.link(to: peer) else { return shared.counters.add(\.framesWithoutPeer, frames.count) }
    var queued: [PeerLink.Queued] = []
    queued.reserveCapacity(frames.count)
    for frame in frames {
      let head = frame.attachments?.encoded ?? []
      guard head.count + frame.payload.count <= shared.options.maxFrameBytes else {
        shared.counters.add(\.framesTooLong)
        continue
      }
      queued.append(
        PeerLink.Queued(
          kind: frame.attachments == nil ? .message : .messageWithFiles, group: frame.group.rawValue, head: head, payload: frame.payload))
    }
    if !queued.isEmpty { link.send(queued) }
  }

  /// Delivers what arrives for a group to `receiver`, on an event loop, or on the disk's thread where files come with it.
  ///
  /// - Throws: `TransportError`.
  public func register(_ receiver: any FrameReceiver, for group: GroupID) throws(TransportError) { try shared.register(receiver, for: group) }

  /// Delivers nothing more for a group.
  public func unregister(_ group: GroupID) { shared.unregister(group) }

  /// What happened since the transport started.
  public var statistics: TransportStatistics { shared.counters.statistics }

  /// Closes every connection and stops. Waits until it has; a second call returns at once.
  public func close() {
    guard let (links, inbound) = shared.close() else { return }
    turns?.cancel()
    try? listener.close().wait()
    for channel in inbound { try? channel.close().wait() }
    for link in links { try? link.close().wait() }
    worker.finish()
    if ownsGroup { try? group.syncShutdownGracefully() }
  }
}

extension TCPTransport {
  /// Closes every connection there is, as a network that fails does; they are made again.
  func cutConnections() {
    let (links, inbound) = shared.connections()
    for channel in inbound { channel.close(promise: nil) }
    for link in links { link.cut() }
  }
}
