import StrataRaft
import StrataSimulation

/// A way to run the group: sound, or broken on purpose.
protocol RaftVariant: SendableMetatype {
  /// What keeps the registers.
  associatedtype Machine: RaftStateMachine = KeyValueMachine
  static var name: String { get }
  static var summary: String { get }
  static var changesMembers: Bool { get }
  /// The faults of its runs, where not all of them: those that show a defect, without the others that would only be in their way.
  static var faults: Set<FaultKind>? { get }
  /// Whether every node has to get well before the clients are promised anything.
  static var needsAll: Bool { get }
  static func adjust(_ knobs: inout RaftKnobs)
}

extension RaftVariant {
  static var changesMembers: Bool { false }
  static var faults: Set<FaultKind>? { nil }
  static var needsAll: Bool { changesMembers }
  static func adjust(_ knobs: inout RaftKnobs) {}
}

enum SoundRaft: RaftVariant {
  static var name: String { "kv" }
  static var summary: String { "registers kept by a Raft group are linearizable, and the group's invariants hold" }
}

enum LeasedRaft: RaftVariant {
  static var name: String { "lease" }
  static var summary: String { "the same with reads under leases, on clocks that drift" }
  static func adjust(_ knobs: inout RaftKnobs) { knobs.readMode = .lease(maxClockDriftPPM: 1000) }
}

enum ChangingRaft: RaftVariant {
  static var name: String { "members" }
  static var summary: String { "the same while members stop voting and vote again" }
  static var changesMembers: Bool { true }
}

enum PlainRaft: RaftVariant {
  static var name: String { "plain" }
  static var summary: String { "the same without pre-vote and check-quorum: as the paper has it" }
  // Whoever is cut off half campaigns for ever and deposes leader after leader: that is what the two are for.
  static var needsAll: Bool { true }
  static func adjust(_ knobs: inout RaftKnobs) {
    knobs.preVote = false
    knobs.checkQuorum = false
  }
}

enum UnaskedRaft: RaftVariant {
  static var name: String { "no-prevote" }
  static var summary: String { "the same without pre-vote" }
  static var needsAll: Bool { true }
  static func adjust(_ knobs: inout RaftKnobs) { knobs.preVote = false }
}

enum WorkingRaft: RaftVariant {
  typealias Machine = WorkingMachine<Faithful>
  static var name: String { "working" }
  static var summary: String { "the same with machines that work beside their members and are done later" }
}

/// What the variants broken on purpose have in common.
protocol FlawedRaft: RaftVariant {
  static var flaw: RaftFlaw { get }
  static var defect: String { get }
  static var leases: Bool { get }
}

extension FlawedRaft {
  static var name: String { flaw.rawValue }
  static var summary: String { "broken: \(defect)" }
  static var leases: Bool { false }
  static var faults: Set<FaultKind>? { .plain }
  static func adjust(_ knobs: inout RaftKnobs) {
    knobs.flaw = flaw
    if leases { knobs.readMode = .lease(maxClockDriftPPM: 1000) }
  }
}

enum PriorTermCommit: FlawedRaft {
  static var flaw: RaftFlaw { .countsPriorTerms }
  static var defect: String { "a leader commits entries of earlier terms by counting" }
  static var faults: Set<FaultKind>? { [.adversary, .duplication, .crash] }
  static func adjust(_ knobs: inout RaftKnobs) {
    knobs.flaw = flaw
    // Old entries and the first of a new term have to travel apart.
    knobs.maxBytesPerMessage = 0
  }
}
enum StaleLogVote: FlawedRaft {
  static var flaw: RaftFlaw { .votesForStaleLogs }
  static var defect: String { "votes are given without looking at the candidate's log" }
}
enum EarlyVote: FlawedRaft {
  static var flaw: RaftFlaw { .votesEarly }
  static var defect: String { "votes are sent before they are durable" }
}
enum ForgottenVote: FlawedRaft {
  static var flaw: RaftFlaw { .forgetsVotes }
  static var defect: String { "votes are not written" }
}
enum EarlyAcknowledgement: FlawedRaft {
  static var flaw: RaftFlaw { .acknowledgesEarly }
  static var defect: String { "entries are acknowledged before they are durable" }
}
enum OwnEntryUndurable: FlawedRaft {
  static var flaw: RaftFlaw { .countsOwnUndurable }
  static var defect: String { "a leader counts its own entries before they are durable" }
}
enum MinorityCommit: FlawedRaft {
  static var flaw: RaftFlaw { .minorityCommits }
  static var defect: String { "half of the voters pass for a majority" }
}
enum UnmatchedCommit: FlawedRaft {
  static var flaw: RaftFlaw { .tellsWholeCommit }
  static var defect: String { "a heartbeat tells all that is committed, whatever the follower is known to hold" }
}
enum NoConsistencyCheck: FlawedRaft {
  static var flaw: RaftFlaw { .skipsConsistencyCheck }
  static var defect: String { "appends are taken without looking at the entry before them" }
}
enum TruncatesAlways: FlawedRaft {
  static var flaw: RaftFlaw { .truncatesAlways }
  static var defect: String { "an append cuts off what lies behind it" }
}
enum ReadWithoutQuorum: FlawedRaft {
  static var flaw: RaftFlaw { .readsWithoutQuorum }
  static var defect: String { "a leader answers reads without asking a majority" }
}
enum ReadBeforeCommit: FlawedRaft {
  static var flaw: RaftFlaw { .readsBeforeCommit }
  static var defect: String { "a leader answers reads before it has committed in its term" }
  static var faults: Set<FaultKind>? { [.adversary, .duplication, .stalledDisk] }
}
enum LeaseFromAnswer: FlawedRaft {
  static var flaw: RaftFlaw { .leaseFromAnswer }
  static var defect: String { "a lease is counted from the answer" }
  static var faults: Set<FaultKind>? { [.adversary, .duplication, .drift] }
  static var leases: Bool { true }
}
enum LeaseOutlivesTransfer: FlawedRaft {
  static var flaw: RaftFlaw { .leaseOutlivesTransfer }
  static var defect: String { "a lease is kept while leadership moves" }
  static var leases: Bool { true }
}
enum RaftAmnesia: FlawedRaft {
  static var flaw: RaftFlaw { .forgetsThatItForgot }
  static var defect: String { "a node that lost records goes on as if nothing had been there" }
}
enum ReadNameReused: FlawedRaft {
  static var flaw: RaftFlaw { .reusesReadNames }
  static var defect: String { "reads are asked for under a name that was used before" }
}
enum VoteCleared: FlawedRaft {
  static var flaw: RaftFlaw { .clearsVoteOnStepDown }
  static var defect: String { "a candidate that yields in its term may vote again" }
}
enum JointHalf: FlawedRaft {
  static var flaw: RaftFlaw { .ignoresOldVoters }
  static var defect: String { "a joint configuration commits with the new voters alone" }
  static var changesMembers: Bool { true }
}
enum AppliesTwice: RaftVariant {
  static var faults: Set<FaultKind>? { .plain }
  static var name: String { "applied-twice" }
  static var summary: String { "broken: a command that arrives twice takes effect twice" }
  static func adjust(_ knobs: inout RaftKnobs) { knobs.appliesTwice = true }
}
enum AsksAtWork: RaftVariant {
  typealias Machine = WorkingMachine<Faithful>
  static var faults: Set<FaultKind>? { .plain }
  static var name: String { "asked-at-work" }
  static var summary: String { "broken: what a machine is still at work on counts as applied, and questions are answered" }
  static func adjust(_ knobs: inout RaftKnobs) { knobs.asksAtWork = true }
}
enum AnsweredEarly: RaftVariant {
  typealias Machine = WorkingMachine<AnswersEarly>
  static var faults: Set<FaultKind>? { .plain }
  static var name: String { "answered-early" }
  static var summary: String { "broken: a machine answers commands before they have their effect" }
}

/// Every way to run it.
enum RaftScenarios {
  static let sound: [AnyScenario] = [
    AnyScenario(RaftScenario<SoundRaft>.self), AnyScenario(RaftScenario<LeasedRaft>.self), AnyScenario(RaftScenario<ChangingRaft>.self),
    AnyScenario(RaftScenario<PlainRaft>.self), AnyScenario(RaftScenario<UnaskedRaft>.self),
    AnyScenario(RaftScenario<WorkingRaft>.self),
  ]

  static let broken: [AnyScenario] = [
    AnyScenario(RaftScenario<PriorTermCommit>.self), AnyScenario(RaftScenario<StaleLogVote>.self), AnyScenario(RaftScenario<EarlyVote>.self),
    AnyScenario(RaftScenario<ForgottenVote>.self), AnyScenario(RaftScenario<EarlyAcknowledgement>.self),
    AnyScenario(RaftScenario<OwnEntryUndurable>.self), AnyScenario(RaftScenario<MinorityCommit>.self),
    AnyScenario(RaftScenario<UnmatchedCommit>.self), AnyScenario(RaftScenario<NoConsistencyCheck>.self),
    AnyScenario(RaftScenario<TruncatesAlways>.self), AnyScenario(RaftScenario<ReadWithoutQuorum>.self),
    AnyScenario(RaftScenario<ReadBeforeCommit>.self), AnyScenario(RaftScenario<LeaseFromAnswer>.self),
    AnyScenario(RaftScenario<LeaseOutlivesTransfer>.self), AnyScenario(RaftScenario<RaftAmnesia>.self),
    AnyScenario(RaftScenario<ReadNameReused>.self), AnyScenario(RaftScenario<VoteCleared>.self), AnyScenario(RaftScenario<JointHalf>.self),
    AnyScenario(RaftScenario<AppliesTwice>.self), AnyScenario(RaftScenario<AsksAtWork>.self), AnyScenario(RaftScenario<AnsweredEarly>.self),
  ]
}
