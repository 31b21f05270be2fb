import Logging
import StrataDisk
import StrataHost
import StrataJobs
import StrataLSMTree
import StrataNodes
import StrataRaft
import StrataWriteAheadLog
import SystemPackage

/// A server's part in a group: its copy of the key space, the Raft member that keeps it, and the connections to the other members.
///
/// Clients' writes become commands of the group's log and are answered when a majority holds them durably and this member has applied them; reads
/// run on this member's store once it is known to be recent enough. Any member takes any command.
final class Replication: Sendable {
  typealias Member = RaftNode<StoreMachine>

  let options: ReplicationOptions
  let store: ReplicatedStore
  let node: HostedNode<Member>
  /// Until when reads need no word of the group, on the monotonic clock in nanoseconds.
  private let window: ReadWindow
  private let pilot: Monitor<Autopilot>?
  private let connections: MemberConnections
  private let host: Host
  private let disk: RaftDisk
  private let logger: Logger

  private init(_ parts: Parts, _ node: HostedNode<Member>, _ window: ReadWindow, _ options: ReplicationOptions, _ logger: Logger) {
    self.options = options
    self.logger = logger
    self.node = node
    self.window = window
    pilot = options.autopilot.map { Monitor(Autopilot($0)) }
    store = parts.store
    connections = parts.connections
    host = parts.host
    disk = parts.disk
  }

  /// What has to be closed again where a member cannot come up.
  private struct Parts {
    var store: ReplicatedStore
    var disk: RaftDisk
    var connections: MemberConnections
    var host: Host
  }

  /// Comes up with what the directory holds and joins the group. Waits for the disk, not for the others.
  /// - Throws: `.damaged` where the directory contradicts itself, `.refused` where it or an address is taken; nothing is left open then.
  static func open(
    _ options: ReplicationOptions, _ server: ServerOptions, logger: Logger,
    connect: (ReplicationOptions, StoreFiles) throws(EngineError) -> MemberConnections
  ) throws(EngineError) -> Replication {
    let directory = FilePath(options.directory)
    // The log first: it refuses a directory that another process has, before anything there is touched.
    let disk: RaftDisk
    do throws(RaftStorageError) {
      disk = try RaftDisk(directory.appending("raft"), cluster: options.cluster, toleratesDamage: true)
    } catch {
      if case .log(.alreadyOpen) = error { throw EngineError(.refused, error.description) }
      throw EngineError(.damaged, error.description)
    }
    if options.isBootstrapped, !options.lostItsDisk, disk.groups.isEmpty, !disk.isDamaged {
      try? disk.close()
      throw EngineError(
        .refused, "\(options.directory) holds nothing of a member, although it was bootstrapped: if its disk is lost, start it with --lost-disk")
    }
    if disk.isDamaged { logger.error("the group's log is damaged; this member gets back what it lost from the others") }
    do throws(EngineError) {
      let store = try ReplicatedStore(
        directory, options: Self.storeOptions, maxReplyBytes: server.outputLimit, cacheBytes: server.cacheBytes, clock: server.clock, logger: logger,
        on: options.fileSystem)
      do throws(EngineError) {
        let files = StoreFiles(store.directory)
        let connections = try connect(options, files)
        let host = connections.executor.map { Host(on: $0) } ?? Host(name: "raft")
        let parts = Parts(store: store, disk: disk, connections: connections, host: host)
        return try run(parts, files, options, logger)
      } catch {
        try? store.close()
        throw error
      }
    } catch {
      try? disk.close()
      throw error
    }
  }

  private static func run(
    _ parts: Parts, _ files: StoreFiles, _ options: ReplicationOptions, _ logger: Logger
  ) throws(EngineError) -> Replication {
    let store = parts.store
    let log = parts.disk.log(of: 0, running: StoreMachine.self) { snapshot in
      if let state = Member.machineState(in: snapshot), let durable = try? StoreSnapshot(decoding: state) { store.isDurable(durable) }
    }
    let knobs = Self.knobs(options)
    let founders = options.founders.keys.sorted()
    let window = ReadWindow(options.reads)
    let node: HostedNode<Member>
    do throws(HostError) {
      node = try parts.host.run(
        Member.self, as: options.node, log: log, codec: RaftMessageCodec(files: files), over: parts.connections.transport,
        options: Self.nodeOptions(options), observer: { window.look(at: $0) }
      ) { durable, now, random, out throws(RecoveryError) in
        try Member.recover(
          id: options.node, peers: founders, durable: Self.adjust(durable, options), machine: StoreMachine(store), knobs: knobs, at: now,
          random: &random, &out)
      }
    } catch {
      parts.host.stop()
      parts.connections.close()
      throw EngineError(.damaged, error.description)
    }
    store.onFinished { node.wake() }
    store.removeOldCheckpoints()
    let connections = parts.connections
    store.onMembers { members in
      for (id, address) in members where id != options.node { connections.setPeer(id, address.peer) }
    }
    return Replication(parts, node, window, options, logger)
  }

  /// The memtables are small, since each checkpoint flushes them while commands wait.
  private static var storeOptions: LSMOptions {
    var options = LSMOptions()
    options.memtableBytes = 16 << 20
    return options
  }

  private static func knobs(_ options: ReplicationOptions) -> RaftKnobs {
    var knobs = RaftKnobs()
    knobs.tick = options.tick
    if case .lease(let drift) = options.reads { knobs.readMode = .lease(maxClockDriftPPM: drift) }
    knobs.sessionWindow = 8192
    knobs.maxOpenRequests = 100_000
    knobs.compactBytes = options.snapshotBytes
    knobs.compactEntries = 1_000_000
    return knobs
  }

  private static func nodeOptions(_ options: ReplicationOptions) -> NodeOptions {
    var result = NodeOptions()
    result.deadline = options.timeout
    return result
  }

  /// A member that lost its disk has an empty log, and so has a founder at its first start. Only the former may have promised something.
  private static func adjust(_ durable: DurableState<Member.Record>, _ options: ReplicationOptions) -> DurableState<Member.Record> {
    DurableState(records: durable.records, isDamaged: durable.isDamaged || (options.lostItsDisk && durable.records.isEmpty))
  }

  // MARK: Commands

  /// What fits an entry of the group's log, with its head.
  static let maxCommandBytes = (8 << 20) - 64
  /// The longest value or argument: with a full batch before it, it still fits an entry.
  static let maxBulkBytes = 7 << 20

  /// Puts a command into the group's log. The answer comes when it is applied here; or, after the timeout, that its outcome is not known.
  func write(_ command: [UInt8], _ completion: @escaping @Sendable (Result<[UInt8], ReplicationFailure>) -> Void) {
    guard command.count <= Self.maxCommandBytes else {
      return completion(.failure(.impossible("commands that go through the log together may have \(Self.maxCommandBytes) bytes")))
    }
    node.request(.command(command), deadline: options.timeout) { completion(Self.outcome($0)) }
  }

  /// Calls back when the store is recent enough for a read that came before this call.
  func confirm(_ completion: @escaping @Sendable (ReplicationFailure?) -> Void) {
    let question: Member.Request =
      if case .stale(let limit) = options.reads { .staleQuery([], within: limit) } else { .query([]) }
    node.request(question, deadline: options.timeout) { result in
      switch Self.outcome(result) {
      case .success: completion(nil)
      case .failure(let failure): completion(failure)
      }
    }
  }

  /// Whether a read that came before this call may run on the store at once: as sure as ``confirm(_:)``, but without asking anybody. Two atomic loads
  /// and a look at the clock.
  var isReadable: Bool { window.isOpen && !store.hasFailed }

  private static func outcome(_ result: Result<Member.Response, HostError>) -> Result<[UInt8], ReplicationFailure> {
    switch result {
    case .success(.answer(let bytes)): .success(bytes)
    case .success(.proposed): .success([])
    case .success(.refused(let why)): .failure(.refused(why))
    case .failure(.outcomeUnknown(.deadline)): .failure(.unknown("no majority of the members answered in time"))
    case .failure(.outcomeUnknown(let loss)): .failure(.unknown(loss.description))
    case .failure(let error): .failure(.refused(error.description))
    }
  }

  // MARK: Members

  /// Tells the group where this member can be reached, and tells it again until it knows. `later` calls back after a while.
  func announce(client: String, _ later: @escaping @Sendable (@escaping @Sendable () -> Void) -> Void) {
    let address = MemberAddress(peer: options.peerAddress ?? options.founders[options.node] ?? "", client: client)
    guard store.members[options.node] != address else { return }
    write(ReplicatedStore.addressCommand(options.node, address)) { result in
      if case .failure = result { later { self.announce(client: client, later) } }
    }
  }

  /// Changes the members, where this member leads.
  func change(_ change: ConfChange, _ completion: @escaping @Sendable (Result<[UInt8], ReplicationFailure>) -> Void) {
    node.request(.change(change), deadline: options.timeout) { completion(Self.outcome($0)) }
  }

  /// Hands leadership over, where this member leads.
  func transfer(to target: NodeID, _ completion: @escaping @Sendable (Result<[UInt8], ReplicationFailure>) -> Void) {
    node.request(.transfer(target), deadline: options.timeout) { completion(Self.outcome($0)) }
  }

  /// How the member stands. Waits for its host, a moment.
  func status() throws(ReplicationFailure) -> RaftStatus {
    do { return try node.inspect { $0.core.status } } catch { throw .refused(error.description) }
  }

  /// The same, on the host's thread.
  func status(_ completion: @escaping @Sendable (RaftStatus?) -> Void) {
    node.inspect({ $0.core.status }) { completion(try? $0.get()) }
  }

  /// Looks after the members, where this member leads; to be called every second or so. Nothing where nobody asked for it.
  func lookAfterMembers() {
    guard let pilot else { return }
    node.inspect({ $0.core.status }) { status in
      guard let status = try? status.get() else { return }
      let now = Instant(nanoseconds: MonotonicClock.now())
      guard let change = pilot.withLock({ $0.look(at: status, now: now) }) else { return }
      self.logger.warning("the autopilot changes the members", metadata: ["change": "\(change.steps)"])
      self.change(change) { result in
        if case .failure(let failure) = result { self.logger.warning("the autopilot's change was not made", metadata: ["reason": "\(failure)"]) }
      }
    }
  }

  // MARK: The end

  /// Hands leadership to the member that is furthest, so that nobody has to wait for an election; then leaves. Waits.
  func stop() {
    if let status = try? status(), status.role == .leader { handOver(status) }
    node.stop()
    host.stop()
    connections.close()
    do { try disk.close() } catch { logger.error("the group's log could not be closed", metadata: ["reason": "\(error)"]) }
    do { try store.close() } catch { logger.error("the store could not be closed", metadata: ["reason": "\(error)"]) }
  }

  private func handOver(_ status: RaftStatus) {
    let others = status.progress.filter { $0.id != status.id && status.confState.voters.contains($0.id) && $0.progress.isActive }
    guard let target = others.max(by: { $0.progress.match < $1.progress.match })?.id else { return }
    transfer(to: target) { _ in }
    // A transfer ends or is given up within one election timeout.
    let pause = Monitor(())
    let deadline = MonotonicClock.now() + 1_000_000_000
    while MonotonicClock.now() < deadline, let now = try? self.status(), now.role == .leader {
      _ = pause.wait(timeout: .milliseconds(5), until: { _ in nil as Bool? })
    }
  }
}
