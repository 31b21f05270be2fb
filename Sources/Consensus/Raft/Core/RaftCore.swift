import StrataNodes

/// One member of a Raft group, as a value: no I/O, no clock, no threads, no randomness but its seed's.
///
/// The algorithm is Ongaro and Ousterhout's (In Search of an Understandable Consensus Algorithm, USENIX ATC 2014) with the extensions of Ongaro's
/// dissertation (2014) that practice has kept: pre-vote, check-quorum, reads by index and by lease, leadership transfer, learners and joint
/// consensus. Its shape is etcd-io/raft's: inputs by ``tick()``, ``step(_:)`` and the proposing calls; outputs by ``ready()``.
///
/// **What the driver owes it.** To carry out every ``Ready``: make ``Ready/append`` durable in order and only then deliver its responses; apply
/// ``Ready/apply`` in order, once, and then deliver its response; send ``Ready/messages`` at any time. To set ``now`` before each input where
/// leases are used. To give each incarnation of the node a seed of its own.
///
/// **What it may be given.** Any message in any order, any number of times: what makes no sense is counted, refused with a typed error and
/// changes nothing.
public struct RaftCore: Sendable {
  /// The settings.
  public let config: RaftConfig
  /// The moment of the present input on the node's monotonic clock. The driver sets it; only leases read it.
  public var now = Instant.zero
  /// What happened so far, counted.
  public internal(set) var statistics = RaftStatistics()

  // Persistent.
  var term: Term
  var vote: NodeID
  var repairFloor: Term
  var log: RaftLog

  // Volatile.
  /// What the node is.
  public internal(set) var role = Role.follower
  var leader: NodeID = 0
  var members = Members()
  var votes: [NodeID: Bool] = [:]
  var random: Random
  var electionElapsed = 0
  var heartbeatElapsed = 0
  var electionTimeout = 0
  /// Whether the group rests: time means nothing to this node until something comes.
  public internal(set) var isResting = false
  /// A leader's ticks since there was something to do.
  var idleTicks = 0
  /// The round of heartbeats that first offered the members to rest; nothing where zero.
  var offeredRound: UInt64 = 0
  /// Ticks since the node came up, up to the first election timeout.
  var ticksAlive = 0
  /// Names this life of the node in what it asks others, so that no answer to an earlier life counts.
  let incarnation: UInt64
  /// An invariant that was found broken; the node does nothing any more.
  var fault: String?
  /// Who answered a node that lost records, and the greatest term among them; nothing once that is settled.
  var survey: RepairSurvey?

  // A leader's.
  var transferee: NodeID = 0
  /// The last place a change of members may hold; the next may be proposed when it is applied.
  var pendingConfIndex: LogIndex = 0
  var uncommittedBytes = 0
  var reads = ReadQueue()

  // What goes into the next ready.
  var messages: [Message] = []
  var messagesAfterPersist: [Message] = []
  var readStates: [ReadState] = []
  var announcedSoftState = SoftState(leader: 0, role: .follower)
  var announcedHardState: HardState
  /// The newest snapshot the driver can send.
  var snapshot: Snapshot?

  /// A member as it comes up with what its storage held.
  ///
  /// - Throws: ``RaftError/badInitialState(_:)`` if that contradicts itself; the text says how and what to do.
  public init(config: RaftConfig, initial: InitialState) throws(RaftError) {
    do {
      try config.validate()
    } catch {
      throw .badInitialState(error.description)
    }
    try initial.validate()
    self.config = config
    term = initial.hardState.term
    vote = initial.hardState.vote
    repairFloor = initial.hardState.repairFloor
    // A commit mark may be ahead of the entries only if records are missing, and those are fetched again.
    let last = initial.snapshotPlace.index + UInt64(initial.entries.count)
    let committed = max(min(initial.hardState.commit, last), initial.snapshotPlace.index, initial.applied)
    log = RaftLog(
      base: initial.snapshotPlace, entries: initial.entries, committed: committed, applied: max(initial.applied, initial.snapshotPlace.index))
    random = Random(seed: config.seed)
    incarnation = random.next()
    announcedHardState = initial.hardState
    snapshot = initial.snapshot
    members.adopt(initial.confState, next: max(log.last, 1), inflights: Self.inflights(config))
    announcedHardState.commit = committed
    reads.lastName = random.next()
    reset(to: term)
    if initial.isDamaged, config.flaw != .forgetsThatItForgot { survey = RepairSurvey() }
    askForTerms()
  }

  static func inflights(_ config: RaftConfig) -> Inflights {
    Inflights(maxCount: config.maxInflightMessages, maxBytes: config.maxInflightBytes)
  }

  var id: NodeID { config.id }
  var hardState: HardState { HardState(term: term, vote: vote, commit: log.committed, repairFloor: repairFloor) }
  var softState: SoftState { SoftState(leader: leader, role: role) }

  /// Whether the node once lost durable records and has not got back everything it may have promised: it gives no votes and does not campaign.
  public var isRepairing: Bool { survey != nil || (repairFloor > 0 && log.stableTerm <= repairFloor) }

  /// The broken invariant because of which the node does nothing any more, if one was found: stop it and look.
  public var brokenInvariant: String? { fault }

  /// The members as of the last applied entry.
  public var confState: ConfState { members.conf }

  /// Whether an entry of the present term is committed: before that a leader does not know what is.
  var hasCommittedInTerm: Bool { log.term(at: log.committed) == term }

  /// Whether this node may become leader: a voter with its log in place.
  var isPromotable: Bool { members.conf.isVoter(id) && log.snapshot == nil && !isRepairing && fault == nil }

  // MARK: Time

  /// Time has passed: one tick.
  public mutating func tick() {
    guard fault == nil, !isResting else { return }
    if ticksAlive < config.electionTicks { ticksAlive += 1 }
    electionElapsed += 1
    if survey != nil {
      if electionElapsed >= config.electionTicks {
        electionElapsed = 0
        askForTerms()
      }
      return
    }
    guard role == .leader else {
      if isPromotable, electionElapsed >= electionTimeout {
        electionElapsed = 0
        campaign(config.preVote ? .preElection : .election)
      }
      return
    }
    heartbeatElapsed += 1
    idleTicks += 1
    members.ageSnapshots(limit: config.snapshotTicks)
    if electionElapsed >= config.electionTicks {
      electionElapsed = 0
      if config.checkQuorum { checkQuorum() }
      if role == .leader { abortTransfer() }
    }
    if role == .leader, heartbeatElapsed >= config.heartbeatTicks {
      heartbeatElapsed = 0
      broadcastHeartbeat()
    }
  }

  private mutating func checkQuorum() {
    if members.isQuorumActive(seenBy: id) {
      members.forgetActivity()
    } else {
      statistics.quorumLosses += 1
      becomeFollower(term, leader: 0)
    }
  }

  // MARK: Roles

  /// What every change of role or term begins with.
  mutating func reset(to newTerm: Term) {
    if newTerm != term {
      precondition(newTerm > term, "a term went backwards")
      term = newTerm
      vote = 0
    }
    leader = 0
    wake()
    electionElapsed = 0
    heartbeatElapsed = 0
    drawElectionTimeout()
    transferee = 0
    votes.removeAll()
    pendingConfIndex = 0
    uncommittedBytes = 0
    reads.reset()
    for place in members.ids.indices {
      var progress = Progress(
        next: log.last + 1, isLearner: members.progress[place].isLearner, isActive: false, inflights: Self.inflights(config))
      if members.ids[place] == id { progress.match = log.last }
      members.progress[place] = progress
    }
  }

  mutating func drawElectionTimeout() { electionTimeout = config.electionTicks + random.below(config.electionTicks) }

  mutating func becomeFollower(_ newTerm: Term, leader: NodeID) {
    let sameTerm = newTerm == term
    reset(to: newTerm)
    if sameTerm, config.flaw == .clearsVoteOnStepDown { vote = 0 }
    role = .follower
    self.leader = leader
  }

  mutating func becomeCandidate() {
    reset(to: term + 1)
    role = .candidate
    vote = id
  }

  mutating func becomePreCandidate() {
    votes.removeAll()
    leader = 0
    role = .preCandidate
  }

  mutating func becomeLeader() {
    precondition(role == .candidate, "only a candidate becomes leader")
    reset(to: term)
    role = .leader
    leader = id
    statistics.electionsWon += 1
    if let place = members.place(of: id) { members.progress[place].becomeReplicate() }
    // Changes among earlier entries are unknown; none may be proposed before all of them are applied.
    pendingConfIndex = log.last
    appendOwn([Entry()])
    broadcastAppend()
  }

  // MARK: Sending

  mutating func send(_ message: consuming Message) { messages.append(stamped(message)) }

  /// Sends what promises something: it leaves when everything the node has decided so far is durable.
  mutating func sendAfterPersist(_ message: consuming Message) { messagesAfterPersist.append(stamped(message)) }

  private func stamped(_ message: consuming Message) -> Message {
    message.from = id
    switch message.kind {
    case .propose, .readIndex, .transfer, .repair: break
    default: if message.term == 0 { message.term = term }
    }
    return message
  }

  /// Stops the node for good: an invariant is broken.
  mutating func fence(_ reason: String) {
    guard fault == nil else { return }
    fault = reason
    role = .follower
    leader = 0
    messages.removeAll()
    messagesAfterPersist.removeAll()
  }
}

/// What a member's storage held when it came up.
public struct InitialState: Hashable, Sendable {
  /// The last hard state.
  public var hardState: HardState
  /// The members as of `applied`.
  public var confState: ConfState
  /// The place just before the first entry: that of the last compaction or snapshot, (0, 0) if there was none.
  public var snapshotPlace: LogPlace
  /// All entries behind it.
  public var entries: [Entry]
  /// How far the state machine has durably applied.
  public var applied: LogIndex
  /// A snapshot that can be sent to others, if one is stored.
  public var snapshot: Snapshot?
  /// Whether records that were durable are missing.
  public var isDamaged: Bool

  /// A member with this behind it; a new one where nothing is given but the group's founders.
  public init(
    hardState: HardState = HardState(), confState: ConfState, snapshotPlace: LogPlace = LogPlace(term: 0, index: 0), entries: [Entry] = [],
    applied: LogIndex = 0, snapshot: Snapshot? = nil, isDamaged: Bool = false
  ) {
    self.hardState = hardState
    self.confState = confState
    self.snapshotPlace = snapshotPlace
    self.entries = entries
    self.applied = applied
    self.snapshot = snapshot
    self.isDamaged = isDamaged
  }

  /// A founder of a new group. All founders begin with the same empty snapshot at place 1/1, so that whoever joins later, and knows no members,
  /// is sent a snapshot that names them: they are in no entry.
  public static func founding(_ voters: [NodeID], isDamaged: Bool = false) -> InitialState {
    let conf = ConfState(voters: voters)
    let place = LogPlace(term: 1, index: 1)
    return InitialState(
      hardState: HardState(term: 1, commit: 1), confState: conf, snapshotPlace: place, applied: 1,
      snapshot: Snapshot(place: place, confState: conf), isDamaged: isDamaged)
  }

  func validate() throws(RaftError) {
    if let defect = confState.defect { throw .badInitialState(defect) }
    if max(hardState.term, snapshotPlace.index, snapshotPlace.term, hardState.commit) >= Message.limit {
      throw .badInitialState("a term or index exceeds 2^62; restore this member from a backup or replace it")
    }
    var place = snapshotPlace
    for entry in entries {
      guard entry.index == place.index + 1, entry.term >= place.term else {
        throw .badInitialState("entry \(entry.term)/\(entry.index) follows \(place); replace this member")
      }
      place = LogPlace(term: entry.term, index: entry.index)
    }
    if applied > place.index {
      throw .badInitialState(
        "the state machine has applied \(applied), the log ends at \(place.index): give it the log it was built from, or remove this member and "
          + "add it as a new one")
    }
    if !entries.isEmpty, hardState.term < place.term, !isDamaged {
      throw .badInitialState("the log holds term \(place.term), the hard state says \(hardState.term); replace this member")
    }
    if hardState.commit > place.index, !isDamaged {
      throw .badInitialState("\(hardState.commit) is committed, the log ends at \(place.index); replace this member")
    }
  }
}
