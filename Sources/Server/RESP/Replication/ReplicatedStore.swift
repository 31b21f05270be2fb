import Logging
import NIOCore
import StrataDisk
import StrataHost
import StrataJobs
import StrataLSMTree
import StrataNodes
import StrataRaft
import Synchronization
import SystemPackage

/// One member's copy of a replicated key space: an LSM-tree to which the group's log is applied.
///
/// The log is the truth and the store a view of it: at each start the store is built anew from the newest snapshot, which is a checkpoint of the
/// store at some place of the log, and what the log holds behind it. So the store itself need not be durable, and what it shows is always the
/// result of whole entries.
///
/// ``begin(_:)`` and ``finished()`` are called by the group's host, which never waits: what needs the disk is done by jobs on threads of the
/// store's, and nothing but reading is asked meanwhile. ``restore(_:)`` waits, and is for coming up. Everything may be read by any thread meanwhile.
final class ReplicatedStore: Sendable {
  let keyspace: Keyspace
  let directory: StoreDirectory
  let engine: ReplaceableEngine
  let options: LSMOptions
  let logger: Logger
  let fileSystem: any FileSystem
  /// Bytes of replies to one batch.
  let limit: Int
  let state: Monitor<State>
  let time: LogTime
  /// Commands are held until the checkpoint is made that is to hold those before them.
  let isFrozen = Atomic<Bool>(false)
  private let failed = Atomic<Bool>(false)
  private let jobs: JobExecutor

  struct State {
    var tree: LSMTree
    var members: [NodeID: MemberAddress] = [:]
    /// The checkpoints of the newest snapshots, newest last.
    var checkpoints: [String] = []
    /// The checkpoint that is being made.
    var making: String?
    var checksums: [String: AttachmentSet.File] = [:]
    var lastName: UInt64 = 0
    /// The store has failed; the text says why. What it holds is not what the log says.
    var failure: String?
    var finished: [MachineOutcome] = []
    var whenFinished: (@Sendable () -> Void)?
    var listener: (@Sendable ([NodeID: MemberAddress]) -> Void)?
  }

  /// A store to which nothing has happened, in `path`. What is left there of an earlier life is used only when a snapshot names it.
  init(_ path: FilePath, options: LSMOptions, maxReplyBytes: Int, cacheBytes: Int, clock: @escaping @Sendable () -> UInt64, logger: Logger,
    on fileSystem: any FileSystem = POSIXFileSystem()
  ) throws(EngineError) {
    var options = options
    options.durability = .none
    options.logSegmentBytes = min(options.logSegmentBytes, 32 << 20)
    self.options = options
    self.logger = logger
    self.fileSystem = fileSystem
    // A snapshot and, once its checkpoint is made, a command that has to wait.
    var jobs = JobExecutor.Options()
    jobs.threads = 2
    jobs.name = "store"
    self.jobs = JobExecutor(options: jobs)
    limit = maxReplyBytes
    do {
      directory = try StoreDirectory(path, on: fileSystem)
      try directory.makeLive(from: nil)
    } catch { throw EngineError(.failed, "\(error)") }
    let tree = try Self.open(directory.live, options, fileSystem)
    engine = ReplaceableEngine(LSMEngine(tree))
    state = Monitor(State(tree: tree))
    let time = LogTime()
    self.time = time
    keyspace = try Keyspace(
      engine: engine, cacheBytes: cacheBytes, clock: { max(clock(), time.latest) }, expiryClock: { time.latest })
  }

  static func open(_ path: FilePath, _ options: LSMOptions, _ fileSystem: any FileSystem) throws(EngineError) -> LSMTree {
    do { return try LSMTree.open(path, options: options, on: fileSystem) } catch { throw EngineError(error) }
  }

  /// The latest time a command of the log has named.
  var logTime: UInt64 { time.latest }

  /// Where the members can be reached, as far as they have said.
  var members: [NodeID: MemberAddress] { state.withLock { $0.members } }

  /// Calls `body` now and whenever the members' addresses change, on the host's thread or one of the store's then.
  func onMembers(_ body: @escaping @Sendable ([NodeID: MemberAddress]) -> Void) {
    let members = state.withLock { state in
      state.listener = body
      return state.members
    }
    body(members)
  }

  /// Whether the store is not what the log says.
  var hasFailed: Bool { failed.load(ordering: .relaxed) }

  /// Why the store is not what the log says, if so.
  var failure: String? { state.withLock { $0.failure } }

  func fail(_ what: String) {
    logger.critical("the replicated store has failed; restart this member", metadata: ["reason": "\(what)"])
    state.withLock { $0.failure = $0.failure ?? what }
    failed.store(true, ordering: .releasing)
  }

  // MARK: Members' addresses

  /// The command by which a member says where it can be reached.
  static func addressCommand(_ id: NodeID, _ address: MemberAddress) -> [UInt8] {
    var command = [Command.address]
    withUnsafeBytes(of: id.rawValue.littleEndian) { command.append(contentsOf: $0) }
    for text in [address.peer, address.client] {
      let utf8 = Array(text.utf8.prefix(255))
      command.append(UInt8(utf8.count))
      command += utf8
    }
    return command
  }

  func noteAddress(_ command: [UInt8]) -> [UInt8] {
    guard command.count >= 11 else { return [] }
    let id = NodeID(command[1..<9].reversed().reduce(0) { $0 << 8 | UInt64($1) })
    let peerEnd = 10 + Int(command[9])
    guard peerEnd < command.count, peerEnd + 1 + Int(command[peerEnd]) == command.count else { return [] }
    let address = MemberAddress(
      peer: String(decoding: command[10..<peerEnd], as: UTF8.self), client: String(decoding: command[(peerEnd + 1)...], as: UTF8.self))
    change { $0[id] = address }
    return []
  }

  func change(_ body: (inout [NodeID: MemberAddress]) -> Void) {
    let (members, listener) = state.withLock { state in
      body(&state.members)
      return (state.members, state.listener)
    }
    listener?(members)
  }

  // MARK: Work beside

  /// Does what the group's machine is asked, at once where that needs no disk; otherwise ``finished()`` tells of it, and ``onFinished(_:)`` is heard.
  func begin(_ task: MachineTask) -> MachineOutcome? {
    switch task {
    case .apply(let command): apply(command)
    case .save: beginSnapshot()
    case .restore(let bytes): beside("store.restore", unless: .restored(false)) { self.finish(.restored(self.restore(bytes))) }
    }
  }

  /// What has come of something that was begun, each once.
  func finished() -> MachineOutcome? {
    state.withLock { $0.finished.isEmpty ? nil : $0.finished.removeFirst() }
  }

  /// Whether commands may be applied: not while the state is being made that is to hold those before, and no other.
  var takesCommands: Bool { !isFrozen.load(ordering: .acquiring) }

  /// Calls `body`, on any thread, when ``finished()`` or ``takesCommands`` has news.
  func onFinished(_ body: @escaping @Sendable () -> Void) { state.withLock { $0.whenFinished = body } }

  /// Does `body` on a thread that may wait for the disk; where there is none any more, it came to `otherwise`.
  func beside(_ name: String, unless otherwise: MachineOutcome, _ body: @escaping @Sendable () -> Void) -> MachineOutcome? {
    do throws(JobExecutor.Failure) { try jobs.submit(name: name, body) } catch { return otherwise }
    return nil
  }

  func finish(_ outcome: MachineOutcome) {
    state.withLock { $0.finished.append(outcome) }
    tellNews()
  }

  func tellNews() { state.withLock { $0.whenFinished }?() }

  /// Closes the store. What the log holds is not lost.
  func close() throws(EngineError) {
    jobs.shutDown()
    try engine.close()
  }
}

/// The latest time a command of the log has named, Unix milliseconds: by it, not by any clock, the group decides what has expired.
final class LogTime: Sendable {
  private let value = Atomic<UInt64>(0)

  var latest: UInt64 { value.load(ordering: .relaxed) }

  func advance(to time: UInt64) { if time > latest { value.store(time, ordering: .relaxed) } }
}
