import Logging
import NIOCore
import NIOPosix
import StrataJobs
import Synchronization

/// What all connections of one server share. Everything in it may be used from any thread.
final class ServerState: Sendable {
  /// Settings that CONFIG SET changes while the server runs.
  struct Settings: Sendable {
    var password: String?
    var maxClients: Int
    var idleTimeoutSeconds: Int
  }

  let options: ServerOptions
  let keyspace: Keyspace
  /// The group the key space is replicated in, if it is.
  let replication: Replication?
  let pool: NIOThreadPool
  let logger: Logger
  let clients = ClientRegistry()
  let slowLog: SlowLog
  let latency: LatencyLog
  let loops: [ObjectIdentifier: LoopState]
  let startedAt: UInt64
  let runID: String
  let monitors = Atomic<Int>(0)
  let isDraining = Atomic<Bool>(false)
  let boundPort = Atomic<Int>(0)
  let merging = Atomic<Bool>(false)
  let saving = Atomic<Bool>(false)
  private let settings: Monitor<Settings>
  private let shutdownRequest = Monitor<(@Sendable () -> Void)?>(nil)

  init(options: ServerOptions, keyspace: Keyspace, replication: Replication? = nil, pool: NIOThreadPool, group: any EventLoopGroup, logger: Logger) {
    self.options = options
    self.keyspace = keyspace
    self.replication = replication
    self.pool = pool
    self.logger = logger
    slowLog = SlowLog(threshold: options.slowLogMicroseconds, capacity: options.slowLogEntries)
    latency = LatencyLog(threshold: options.latencyThresholdMilliseconds)
    var loops: [ObjectIdentifier: LoopState] = [:]
    for loop in group.makeIterator() { loops[ObjectIdentifier(loop)] = LoopState(loop: loop, engine: keyspace.engine, replication: replication) }
    self.loops = loops
    startedAt = Clocks.unixMilliseconds()
    runID = (0..<5).map { _ in Self.hex(UInt32.random(in: .min ... .max)) }.joined()
    settings = Monitor(
      Settings(password: options.password, maxClients: options.maxClients, idleTimeoutSeconds: options.idleTimeoutSeconds))
  }

  private static func hex(_ value: UInt32) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 8 - digits.count) + digits
  }

  var current: Settings { settings.withLock { $0 } }
  func change(_ body: @Sendable (inout Settings) -> Void) { settings.withLock { body(&$0) } }

  /// The sum of one counter over all loops.
  func total(_ cell: LoopState.Counters.Cell) -> UInt64 { loops.values.reduce(0) { $0 &+ $1.counters[cell] } }
  func total(_ id: CommandID, _ field: Int) -> UInt64 { loops.values.reduce(0) { $0 &+ $1.counters[id, field] } }

  /// What SHUTDOWN calls.
  func onShutdown(_ body: @escaping @Sendable () -> Void) { shutdownRequest.withLock { $0 = body } }
  func requestShutdown() { shutdownRequest.withLock { $0 }?() }

  /// Compares in time that depends on the lengths only, so that replies do not tell how much of a guess is right.
  func isPassword(_ guess: UnsafeRawBufferPointer) -> Bool {
    guard let password = current.password else { return true }
    let secret = Array(password.utf8)
    var difference = secret.count ^ guess.count
    for index in 0..<guess.count { difference |= Int(guess[index] ^ (secret.isEmpty ? 0 : secret[index % secret.count])) }
    return difference == 0
  }
}

/// What other connections and the server may know about one client.
final class ClientRecord: Sendable {
  struct Names: Sendable {
    var name = ""
    var library = ""
    var libraryVersion = ""
  }

  let id: UInt64
  let address: String
  let localAddress: String
  let createdAt: UInt64
  let channel: any Channel
  /// Unix milliseconds of the last command.
  let lastActive: Atomic<UInt64>
  let lastCommand = Atomic<Int>(-1)
  let database = Atomic<Int>(0)
  let protocolVersion = Atomic<Int>(2)
  let queryBytes = Atomic<Int>(0)
  let outputBytes = Atomic<Int>(0)
  let isMonitor = Atomic<Bool>(false)
  let noEvict = Atomic<Bool>(false)
  let names = Monitor(Names())
  /// Set once by the handler; gives the handler's loop something to close gracefully.
  let handler: NIOLoopBound<ClientHandler>

  init(id: UInt64, address: String, localAddress: String, now: UInt64, channel: any Channel, handler: ClientHandler) {
    self.id = id
    self.address = address
    self.localAddress = localAddress
    self.channel = channel
    createdAt = now
    lastActive = Atomic(now)
    self.handler = NIOLoopBound(handler, eventLoop: channel.eventLoop)
  }

  /// One line of CLIENT LIST. Fields of things that do not exist here have Redis' neutral value.
  func line(now: UInt64) -> String {
    let names = names.withLock { $0 }
    let command = lastCommand.load(ordering: .relaxed)
    let commandName = command >= 0 ? CommandTable.shared.specs[command].name : "NULL"
    let active = lastActive.load(ordering: .relaxed)
    var flags = isMonitor.load(ordering: .relaxed) ? "O" : ""
    if noEvict.load(ordering: .relaxed) { flags += "e" }
    return "id=\(id) addr=\(address) laddr=\(localAddress) name=\(names.name) age=\((now - min(now, createdAt)) / 1000) "
      + "idle=\((now - min(now, active)) / 1000) flags=\(flags.isEmpty ? "N" : flags) db=\(database.load(ordering: .relaxed)) "
      + "sub=0 psub=0 ssub=0 multi=-1 qbuf=\(queryBytes.load(ordering: .relaxed)) obl=\(outputBytes.load(ordering: .relaxed)) "
      + "cmd=\(commandName) user=default redir=-1 resp=\(protocolVersion.load(ordering: .relaxed)) "
      + "lib-name=\(names.library) lib-ver=\(names.libraryVersion)"
  }
}

/// The connected clients, by id.
final class ClientRegistry: Sendable {
  private struct State {
    var clients: [UInt64: ClientRecord] = [:]
    var nextID: UInt64 = 1
  }

  private let state = Monitor(State())

  var count: Int { state.withLock { $0.clients.count } }
  var all: [ClientRecord] { state.withLock { Array($0.clients.values) }.sorted { $0.id < $1.id } }

  /// Adds a client unless `limit` are there already.
  func add(limit: Int, _ make: (UInt64) -> ClientRecord) -> ClientRecord? {
    let id: UInt64? = state.withLock { state in
      guard state.clients.count < limit else { return nil }
      defer { state.nextID += 1 }
      return state.nextID
    }
    guard let id else { return nil }
    let client = make(id)
    state.withLock { $0.clients[id] = client }
    return client
  }

  func remove(_ id: UInt64) { state.withLock { _ = $0.clients.removeValue(forKey: id) } }
  func find(_ id: UInt64) -> ClientRecord? { state.withLock { $0.clients[id] } }
}
