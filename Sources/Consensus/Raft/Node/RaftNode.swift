import StrataNodes

/// A member of a Raft group that runs a state machine, as a ``Node``: a thin coat around ``RaftCore`` that keeps its storage in the node's
/// log, applies what is committed, and answers clients.
///
/// Any member takes any request. A command is passed to whoever leads and repeated until it is applied, once, by the session it belongs to; a
/// question is answered when this member has applied as much as the leader had committed when it was asked. A request that gets no answer may
/// have taken effect if it was a command.
public struct RaftNode<Machine: RaftStateMachine>: Node {
  /// What members send each other.
  public typealias Message = StrataRaft.Message
  /// The settings.
  public typealias Knobs = RaftKnobs

  /// What clients ask.
  public enum Request: Hashable, Sendable {
    /// A command for the machine.
    case command([UInt8])
    /// A question to it, whose answer sees every command that was answered before it was asked.
    case query([UInt8])
    /// A question whose answer may miss what was answered within so long a time before it; where this member has kept up with the leader it
    /// needs no message.
    case staleQuery([UInt8], within: Duration)
    /// A change of the members.
    case change(ConfChange)
    /// Another leader.
    case transfer(NodeID)
    /// A snapshot of what this member has applied, in whose favour its log is shortened now.
    case snapshot
  }

  /// What clients hear.
  public enum Response: Hashable, Sendable {
    /// The machine's answer.
    case answer([UInt8])
    /// A change of members or leader was proposed, or a snapshot begun; what comes of it shows later.
    case proposed
    /// The request had no effect, and why.
    case refused(String)
  }

  /// The one timer.
  public enum Timer: Hashable, Sendable {
    /// The next tick.
    case tick
  }

  /// What is kept.
  public enum Record: Hashable, Sendable {
    /// The whole log before it is replaced: the place before the first entry to follow, and the state as of some place at or behind it.
    case snapshot(base: LogPlace, Snapshot)
    /// Entries that replace everything from the first one's index on.
    case entries([Entry])
    /// The hard state.
    case hardState(HardState)
  }

  struct SavePoint: Sendable {
    var place: LogPlace
    var confState: ConfState
    /// How many entries before it stay in the log.
    var kept: UInt64
  }

  struct Write: Sendable {
    var ticket: UInt64
    var responses: [StrataRaft.Message]
  }

  /// The protocol.
  public internal(set) var core: RaftCore
  let knobs: RaftKnobs
  /// Names this life of the member as the client of its own group.
  let opener: UInt64
  var machine: ReplicatedMachine<Machine>
  /// The session commands go under; nothing before it is opened.
  var session: LogIndex?
  /// The tick in which a session was last asked for, while there is none.
  var openingAsked: UInt64?
  /// Commands that have no number yet.
  var waiting: [OpenCommands.Command] = []
  var open = OpenCommands()
  /// Bytes of the commands that wait or are open.
  var openBytes = 0
  var questions = OpenQuestions()
  /// The machine's state is at least as new as what was committed at this moment.
  var freshAsOf: Instant?
  /// Ticks in this life.
  var ticks: UInt64 = 0
  /// Bytes of a state that was too large for a snapshot, and how far the machine was then; nothing once one has fitted.
  var oversized: (bytes: Int, at: LogIndex)?
  /// Whether the next tick is on its way.
  var isTicking = true
  var writes: [Write] = []
  var lastTicket: UInt64 = 0
  var needsCheckpoint: Bool
  /// What is committed and not applied, as the machine is at work; of the first, so many entries are.
  var backlog: [StorageApply] = []
  var backlogDone = 0
  /// What may not be stored before the machine has taken over the snapshot that the first one brings.
  var held: [StorageAppend] = []
  /// Where the snapshot was begun that the machine is making.
  var saving: SavePoint?
  /// The write that makes the newest snapshot durable; until then no other replaces it.
  var checkpointTicket: UInt64?
  var hasFailed = false

  /// Differs from one life of the member to the next.
  public var incarnationName: UInt64 { opener }

  /// What the machine gave for a snapshot of this group, which holds the clients' sessions beside it; nothing where it is no such snapshot.
  public static func machineState(in snapshot: Snapshot) -> [UInt8]? { ReplicatedMachine<Machine>.state(in: snapshot.data) }

  /// The newest state of the machine, as far as this member has applied.
  public var state: Machine { machine.machine }

  /// A member with what its log held, and a machine that was made by ``RaftStateMachine/init()``.
  public static func recover(
    id: NodeID, peers: [NodeID], durable: DurableState<Record>, knobs: RaftKnobs, at now: Instant, random: inout Random,
    _ out: inout Effects<RaftNode>
  ) throws(RecoveryError) -> RaftNode {
    try recover(id: id, peers: peers, durable: durable, machine: Machine(), knobs: knobs, at: now, random: &random, &out)
  }

  /// A member with what its log held, and a machine to which nothing has happened: it is brought to where the newest snapshot was taken, and then
  /// applies what is known to be committed.
  ///
  /// - Throws: ``RecoveryError`` if the log contradicts itself or the machine cannot read the snapshot.
  public static func recover(
    id: NodeID, peers: [NodeID], durable: DurableState<Record>, machine: Machine, knobs: RaftKnobs, at now: Instant, random: inout Random,
    _ out: inout Effects<RaftNode>
  ) throws(RecoveryError) -> RaftNode {
    var initial = InitialState.founding(peers, isDamaged: durable.isDamaged)
    var machine = ReplicatedMachine<Machine>(
      machine: machine, sessions: SessionTable(lifetime: knobs.sessionLifetime, capacity: knobs.maxSessions), forgetsSessions: knobs.appliesTwice,
      asksAtWork: knobs.asksAtWork)
    machine.found(at: initial.applied)
    initial.snapshot?.data = machine.snapshot() ?? []
    for record in durable.records {
      switch record {
      case .hardState(let state): initial.hardState = state
      case .entries(let entries):
        guard let first = entries.first?.index else { continue }
        initial.entries.removeAll { $0.index >= first }
        initial.entries += entries
      case .snapshot(let base, let snapshot):
        initial.snapshotPlace = base
        initial.entries = []
        initial.applied = snapshot.index
        initial.confState = snapshot.confState
        initial.snapshot = snapshot
        guard machine.restore(snapshot.data) else { throw RecoveryError("the snapshot at \(snapshot.place) cannot be read; replace this member") }
      }
    }
    if durable.isDamaged, initial.snapshotPlace.index + UInt64(initial.entries.count) < initial.applied, let snapshot = initial.snapshot {
      // The tail that was kept behind the snapshot is lost; the snapshot says as much.
      initial.snapshotPlace = snapshot.place
      initial.entries = []
    }
    do {
      let core = try RaftCore(config: knobs.config(id: id, seed: random.next()), initial: initial)
      var node = RaftNode(core: core, knobs: knobs, opener: random.next(), machine: machine, needsCheckpoint: durable.isDamaged)
      node.core.now = now
      out.setTimer(.tick, after: knobs.tick)
      node.drain(&out)
      return node
    } catch {
      throw RecoveryError(error.description)
    }
  }

  init(core: RaftCore, knobs: RaftKnobs, opener: UInt64, machine: ReplicatedMachine<Machine>, needsCheckpoint: Bool) {
    self.core = core
    self.knobs = knobs
    self.opener = opener
    self.machine = machine
    self.needsCheckpoint = needsCheckpoint
  }

  /// Takes one input.
  public mutating func receive(_ input: Input<RaftNode>, at now: Instant, random: inout Random, _ out: inout Effects<RaftNode>) {
    if hasFailed {
      if case .request(let client, _) = input { out.reply(client, .refused("this member's log has failed; restart it")) }
      return
    }
    core.now = now
    switch input {
    case .message(let from, let message): if message.from == from { try? core.step(message) }
    case .timer(.tick):
      isTicking = false
      core.tick()
      repeatWhatIsOld()
    case .persisted(let ticket):
      finishWrites(upTo: ticket.rawValue, &out)
      if let checkpoint = checkpointTicket, checkpoint <= ticket.rawValue { checkpointTicket = nil }
    case .persistFailed:
      // What the disk holds now is not known: nothing this member says could be relied on.
      hasFailed = true
      return
    case .request(let client, let request): begin(request, client, &out)
    case .cancelled(let client): forget(client)
    }
  }

  /// Proposes and asks, together, what the inputs brought, and carries out what the core wants.
  public mutating func settle(at now: Instant, random: inout Random, _ out: inout Effects<RaftNode>) {
    guard !hasFailed else { return }
    _ = proposeWaiting()
    askQuestions()
    drain(&out)
    // A session may have been opened, or numbers used up; and one message takes only so much.
    while proposeWaiting() { drain(&out) }
    guard !isTicking, needsTicks else { return }
    isTicking = true
    out.setTimer(.tick, after: knobs.tick)
  }

  /// Whether time matters: the group does not rest, or something has to be asked for again if no answer comes.
  private var needsTicks: Bool { !core.isResting || !waiting.isEmpty || open.count > 0 || questions.count > 0 || machine.isAtWork }
}
