import StrataNodes
import Testing

@testable import StrataRaft

/// A few cores and the messages between them, moved by hand: a network that keeps order and loses what it is told to lose. The storage of
/// each core is kept beside it, so that a core can be lost and come up again.
struct RaftGroup {
  struct Disk {
    var hardState = HardState()
    var base = LogPlace(term: 0, index: 0)
    var entries: [Entry] = []
    var conf: ConfState
    var snapshot: Snapshot?

    mutating func write(_ append: StorageAppend) {
      if let snapshot = append.snapshot {
        self.snapshot = snapshot
        base = snapshot.place
        conf = snapshot.confState
        entries = []
      }
      if let first = append.entries.first?.index {
        entries.removeAll { $0.index >= first }
        entries += append.entries
      }
      if let state = append.hardState { hardState = state }
    }
  }

  var cores: [NodeID: RaftCore] = [:]
  var disks: [NodeID: Disk] = [:]
  var applied: [NodeID: [Entry]] = [:]
  var readStates: [NodeID: [ReadState]] = [:]
  var inFlight: [Message] = []
  var delivered: [Message] = []
  /// Messages for which this holds get lost.
  var loses: (Message) -> Bool = { _ in false }
  let configure: (inout RaftConfig) -> Void
  private var seed: UInt64

  init(_ voters: [NodeID], learners: [NodeID] = [], seed: UInt64 = 1, configure: @escaping (inout RaftConfig) -> Void = { _ in }) throws {
    self.configure = configure
    self.seed = seed
    let conf = ConfState(voters: voters, learners: learners)
    for id in conf.members {
      disks[id] = Disk(conf: conf)
      try restart(id)
    }
  }

  /// A node without members, which the group may add. It can only begin with a snapshot: the founders are in no entry.
  mutating func addStranger(_ id: NodeID) throws {
    for id in ids {
      let applied = cores[id]!.log.applied
      guard applied > 0, let term = cores[id]!.log.term(at: applied) else { continue }
      cores[id]!.offerSnapshot(Snapshot(place: LogPlace(term: term, index: applied), confState: cores[id]!.confState))
      try cores[id]!.compact(to: applied)
    }
    disks[id] = Disk(conf: ConfState())
    try restart(id)
  }

  var ids: [NodeID] { cores.keys.sorted() }
  var leader: NodeID? { ids.filter { cores[$0]?.role == .leader }.max { cores[$0]!.term < cores[$1]!.term } }

  subscript(id: NodeID) -> RaftCore {
    get { cores[id]! }
    set { cores[id] = newValue }
  }

  /// The node comes up with what its disk holds; its state machine starts anew.
  mutating func restart(_ id: NodeID, isDamaged: Bool = false) throws {
    seed += 1
    var config = RaftConfig(id: id, seed: seed)
    configure(&config)
    let disk = disks[id]!
    applied[id] = []
    cores[id] = try RaftCore(
      config: config,
      initial: InitialState(
        hardState: disk.hardState, confState: disk.conf, snapshotPlace: disk.base, entries: disk.entries, applied: disk.base.index,
        snapshot: disk.snapshot, isDamaged: isDamaged))
  }

  /// Carries out everything node `id` wants done.
  mutating func process(_ id: NodeID) {
    while cores[id]?.hasReady == true {
      let ready = cores[id]!.ready()
      if let append = ready.append { disks[id]!.write(append) }
      applied[id, default: []] += ready.apply?.entries ?? []
      readStates[id, default: []] += ready.readStates
      inFlight += ready.messages + (ready.append?.responses.filter { $0.to != id } ?? [])
      cores[id]!.advance(ready)
    }
  }

  /// Carries out everything and delivers everything until nothing moves.
  mutating func settle() {
    for _ in 0..<10_000 {
      for id in ids { process(id) }
      guard !inFlight.isEmpty else { return }
      let message = inFlight.removeFirst()
      guard !loses(message), cores[message.to] != nil else { continue }
      delivered.append(message)
      try? cores[message.to]!.step(message)
    }
    Issue.record("the group does not settle")
  }

  mutating func tick(_ id: NodeID, times: Int = 1) {
    for _ in 0..<times { cores[id]!.tick() }
  }

  mutating func tickAll(_ times: Int = 1) {
    for _ in 0..<times {
      for id in ids { tick(id) }
      settle()
    }
  }

  mutating func elect(_ id: NodeID) {
    cores[id]!.campaign()
    settle()
    #expect(cores[id]!.role == .leader)
  }

  mutating func propose(_ text: String, at id: NodeID) throws { try cores[id]!.propose([Array(text.utf8)]) }

  mutating func isolate(_ id: NodeID) { loses = { $0.from == id || $0.to == id } }
  mutating func heal() { loses = { _ in false } }

  func texts(_ id: NodeID) -> [String] {
    applied[id]!.filter { $0.kind == .normal && !$0.payload.isEmpty }.map { String(decoding: $0.payload, as: UTF8.self) }
  }
}

/// A core with a log, as if it had been stored.
func core(
  _ id: NodeID = 1, voters: [NodeID] = [1, 2, 3], terms: [Term] = [], term: Term? = nil, commit: LogIndex = 0, vote: NodeID = 0,
  configure: (inout RaftConfig) -> Void = { _ in }
) throws -> RaftCore {
  var config = RaftConfig(id: id, seed: 7)
  config.preVote = false
  config.checkQuorum = false
  configure(&config)
  return try RaftCore(
    config: config,
    initial: InitialState(
      hardState: HardState(term: term ?? terms.last ?? 0, vote: vote, commit: commit), confState: ConfState(voters: voters), entries: log(terms)))
}

/// Entries of these terms, from index 1.
func log(_ terms: [Term], after index: LogIndex = 0) -> [Entry] {
  terms.enumerated().map { Entry(term: $1, index: index + UInt64($0) + 1, payload: [UInt8(truncatingIfNeeded: $1)]) }
}

extension RaftCore {
  /// Carries out everything at once, as if the disk took no time, and returns what is sent to others.
  mutating func drain() -> [Message] {
    var sent: [Message] = []
    while hasReady {
      let ready = ready()
      sent += ready.messages + (ready.append?.responses.filter { $0.to != id } ?? [])
      advance(ready)
    }
    return sent
  }

  /// A leader by the votes of everybody, with its log settled.
  mutating func lead() throws {
    campaign()
    _ = drain()
    for member in confState.voters where member != id { try step(Message(.voteResponse, to: id, from: member, term: term, context: incarnation)) }
    _ = drain()
    #expect(role == .leader)
  }

  var terms: [Term] { status.last.index == 0 ? [] : (log.first...log.last).compactMap { log.term(at: $0) } }
}
