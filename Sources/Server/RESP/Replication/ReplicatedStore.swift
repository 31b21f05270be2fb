import Logging
import NIOCore
import StrataDisk
import StrataHost
import StrataJobs
import StrataLSMTree
import StrataNodes
import Synchronization
import SystemPackage

/// One member's copy of a replicated key space: an LSM-tree to which the group's log is applied.
///
/// The log is the truth and the store a view of it: at each start the store is built anew from the newest snapshot, which is a checkpoint of the
/// store at some place of the log, and what the log holds behind it. So the store itself need not be durable, and what it shows is always the
/// result of whole entries.
///
/// ``apply(_:)``, ``snapshot()`` and ``restore(_:)`` are called by the group's host, one at a time. Everything may be read by any thread meanwhile.
final class ReplicatedStore: Sendable {
  let keyspace: Keyspace
  let directory: StoreDirectory
  private let engine: ReplaceableEngine
  private let options: LSMOptions
  private let logger: Logger
  private let limit: Int
  private let state: Mutex<State>
  private let time: LogTime

  private struct State {
    var tree: LSMTree
    var members: [NodeID: MemberAddress] = [:]
    /// The checkpoints of the newest snapshots, newest last.
    var checkpoints: [String] = []
    var checksums: [String: AttachmentSet.File] = [:]
    var lastName: UInt64 = 0
    /// The store has failed; the text says why. What it holds is not what the log says.
    var failure: String?
    var listener: (@Sendable ([NodeID: MemberAddress]) -> Void)?
  }

  /// A store to which nothing has happened, in `path`. What is left there of an earlier life is used only when a snapshot names it.
  init(_ path: FilePath, options: LSMOptions, maxReplyBytes: Int, cacheBytes: Int, clock: @escaping @Sendable () -> UInt64, logger: Logger)
    throws(EngineError)
  {
    var options = options
    options.durability = .none
    options.logSegmentBytes = min(options.logSegmentBytes, 32 << 20)
    self.options = options
    self.logger = logger
    limit = maxReplyBytes
    do {
      directory = try StoreDirectory(path, on: POSIXFileSystem())
      try directory.makeLive(from: nil)
    } catch { throw EngineError(.failed, "\(error)") }
    let tree = try Self.open(directory.live, options)
    engine = ReplaceableEngine(LSMEngine(tree))
    state = Mutex(State(tree: tree))
    let time = LogTime()
    self.time = time
    keyspace = try Keyspace(
      engine: engine, cacheBytes: cacheBytes, clock: { max(clock(), time.latest) }, expiryClock: { time.latest })
  }

  private static func open(_ path: FilePath, _ options: LSMOptions) throws(EngineError) -> LSMTree {
    do { return try LSMTree.open(path, options: options) } catch { throw EngineError(error) }
  }

  /// The latest time a command of the log has named.
  var logTime: UInt64 { time.latest }

  /// Where the members can be reached, as far as they have said.
  var members: [NodeID: MemberAddress] { state.withLock { $0.members } }

  /// Calls `body` now and whenever the members' addresses change, on the host's thread then.
  func onMembers(_ body: @escaping @Sendable ([NodeID: MemberAddress]) -> Void) {
    let members = state.withLock { state in
      state.listener = body
      return state.members
    }
    body(members)
  }

  /// Why the store is not what the log says, if so.
  var failure: String? { state.withLock { $0.failure } }

  private func fail(_ what: String) {
    logger.critical("the replicated store has failed; restart this member", metadata: ["reason": "\(what)"])
    state.withLock { $0.failure = $0.failure ?? what }
  }

  // MARK: Commands

  /// A command of the log: the first byte says what it is.
  enum Command {
    /// A ``CommandBatch``.
    static let batch: UInt8 = 1
    /// A member's addresses: `id u64 | peer | client`, texts with a length of one byte.
    static let address: UInt8 = 2
  }

  /// Carries out a command and answers it; what it does depends on the command and the store only.
  func apply(_ command: [UInt8]) -> [UInt8] {
    switch command.first {
    case Command.batch: command.withUnsafeBytes { run(UnsafeRawBufferPointer(rebasing: $0.dropFirst())) }
    case Command.address:
      noteAddress(command)
    default: []
    }
  }

  private func run(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
    guard var batch = CommandBatchReader(bytes) else { return [] }
    let now = max(logTime, batch.now)
    time.advance(to: now)
    var context = CommandContext(
      keyspace: keyspace, reply: ReplyWriter(buffer: ByteBufferAllocator().buffer(capacity: 64), limit: limit))
    context.database = batch.database
    context.reply.resp3 = batch.resp3
    context.now = now
    context.mayWait = true
    // The same at every member: what a command builds has to fit where a client's own value would.
    context.maxValueBytes = Replication.maxBulkBytes
    while let call = batch.next() { run(call, &context) }
    guard !context.reply.overflowed else { return Array("-ERR the replies are longer than \(limit) bytes; the commands were carried out\r\n".utf8) }
    return Array(context.reply.buffer.readableBytesView)
  }

  private func run(_ call: Invocation, _ context: inout CommandContext) {
    guard let index = CommandTable.shared.find(call[0]) else { return context.reply.error("ERR unknown command '\(call.text(0))'") }
    let rule = CommandTable.shared.rules[index]
    guard rule.accepts(call.count), rule.id.rawValue <= CommandID.flushall.rawValue else {
      return context.reply.error("ERR '\(call.text(0))' is not a command for the log")
    }
    if let failure = context.carryOut(rule, call) { fail(failure) }
  }

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

  private func noteAddress(_ command: [UInt8]) -> [UInt8] {
    guard command.count >= 11 else { return [] }
    let id = NodeID(command[1..<9].reversed().reduce(0) { $0 << 8 | UInt64($1) })
    let peerEnd = 10 + Int(command[9])
    guard peerEnd < command.count, peerEnd + 1 + Int(command[peerEnd]) == command.count else { return [] }
    let address = MemberAddress(
      peer: String(decoding: command[10..<peerEnd], as: UTF8.self), client: String(decoding: command[(peerEnd + 1)...], as: UTF8.self))
    change { $0[id] = address }
    return []
  }

  private func change(_ body: (inout [NodeID: MemberAddress]) -> Void) {
    let (members, listener) = state.withLock { state in
      body(&state.members)
      return (state.members, state.listener)
    }
    listener?(members)
  }

  // MARK: Snapshots

  /// Makes a checkpoint of the store as it is and describes it. It stays until a later one is durable in the group's log.
  func snapshot() -> [UInt8]? {
    var snapshot = StoreSnapshot()
    snapshot.time = logTime
    let (tree, name, fresh) = state.withLock { state in
      state.lastName += 1
      snapshot.members = state.members
      return (state.tree, "\(Clocks.unixMilliseconds())-\(state.lastName)", state.checkpoints.isEmpty && snapshot.time == 0 && state.members.isEmpty)
    }
    if fresh { return snapshot.encoded() }
    do {
      try tree.flush()
      try tree.checkpoint(to: directory.checkpoint(name))
      var known = state.withLock { $0.checksums }
      let files = try directory.files(ofCheckpoint: name, known: &known)
      snapshot.checkpoint = AttachmentSet(id: name, files: files)
      state.withLock { state in
        state.checksums = known
        state.checkpoints.append(name)
      }
      return snapshot.encoded()
    } catch {
      // The log goes on growing; a disk that is full may have room again later.
      logger.error("no checkpoint can be made; the group's log is kept instead", metadata: ["reason": "\(error)"])
      return nil
    }
  }

  /// Puts what a snapshot stands for in the place of the store. Says whether it could be done; the store is as before where not.
  func restore(_ bytes: [UInt8]) -> Bool {
    do {
      let snapshot = try StoreSnapshot(decoding: bytes)
      let id = snapshot.checkpoint.id.isEmpty ? nil : snapshot.checkpoint.id
      if let id { guard try directory.fileSystem.status(directory.checkpoint(id)) != nil else { return missing(id) } }
      let old = state.withLock { $0.tree }
      // The live directory is one: the old tree has to leave it first.
      try old.close()
      try directory.makeLive(from: id)
      let tree = try Self.open(directory.live, options)
      // With the lock held, so that what is found under it is true of the store that is then written to.
      _ = keyspace.lock.withLock { engine.replace(by: LSMEngine(tree)) }
      keyspace.reload()
      time.advance(to: snapshot.time)
      state.withLock { state in
        state.tree = tree
        if let id, !state.checkpoints.contains(id) { state.checkpoints.append(id) }
      }
      change { $0 = snapshot.members }
      return true
    } catch {
      fail("the snapshot cannot be taken over: \(error)")
      return false
    }
  }

  private func missing(_ id: String) -> Bool {
    logger.error("a snapshot's checkpoint is not there", metadata: ["checkpoint": "\(id)"])
    return false
  }

  /// A snapshot of the group is durable: earlier checkpoints are of no use any more, except the last one, which may be on its way to a member.
  func isDurable(_ snapshot: StoreSnapshot) {
    let kept = state.withLock { state in
      if let place = state.checkpoints.firstIndex(of: snapshot.checkpoint.id) { state.checkpoints.removeFirst(max(0, place - 1)) }
      return Set(state.checkpoints)
    }
    do { try directory.retain(kept) } catch {
      logger.warning("old checkpoints could not be removed", metadata: ["reason": "\(error)"])
    }
  }

  /// The member has come up: checkpoints that no snapshot of its log names are of no use any more.
  func removeOldCheckpoints() {
    let kept = Set(state.withLock { $0.checkpoints })
    do { try directory.retain(kept) } catch {
      logger.warning("old checkpoints could not be removed", metadata: ["reason": "\(error)"])
    }
  }

  /// Closes the store. What the log holds is not lost.
  func close() throws(EngineError) { try engine.close() }
}

/// The latest time a command of the log has named, Unix milliseconds: by it, not by any clock, the group decides what has expired.
final class LogTime: Sendable {
  private let value = Atomic<UInt64>(0)

  var latest: UInt64 { value.load(ordering: .relaxed) }

  func advance(to time: UInt64) { if time > latest { value.store(time, ordering: .relaxed) } }
}
