import StrataNodes

/// How linearizable reads are made sure of.
public enum ReadMode: Hashable, Sendable {
  /// A round of heartbeats per batch of reads (Raft dissertation §6.4).
  case readIndex
  /// Without a message while a measured lease holds, otherwise as `readIndex`. Every clock of the group must run within so many millionths of
  /// true time.
  case lease(maxClockDriftPPM: Int)
}

/// The settings of one member of a group.
public struct RaftConfig: Hashable, Sendable {
  /// The member's name.
  public var id: NodeID
  /// Ticks between two rounds of heartbeats.
  public var heartbeatTicks = 1
  /// The least number of ticks without a leader before an election; each time a random number below its double is drawn.
  public var electionTicks = 10
  /// Ticks without anything to do after which a leader lets its group rest; 0 for never. See `RaftCore+Resting.swift` for what that gives up.
  public var restTicks = 0
  /// How long a tick takes. Only leases look at it.
  public var tick: Duration = .milliseconds(15)
  /// Whether an election is preceded by the question whether it would be won, so that a node that was cut off does not disturb the others.
  public var preVote = true
  /// Whether a leader that does not hear a majority steps down, and followers that hear a leader refuse to vote.
  public var checkQuorum = true
  /// How reads are made sure of.
  public var readMode = ReadMode.readIndex
  /// Bytes of entries in one message; at least one entry goes into each.
  public var maxBytesPerMessage = 1 << 20
  /// Appends one follower may leave unanswered.
  public var maxInflightMessages = 256
  /// Bytes of entries one follower may leave unanswered.
  public var maxInflightBytes = 8 << 20
  /// Ticks after which a snapshot is sent again that the member has not answered and nobody has reported on: it may have been lost, and a member
  /// that waits for one is sent nothing else.
  public var snapshotTicks = 400
  /// Bytes of proposals a leader holds uncommitted; beyond it proposals are dropped.
  public var maxUncommittedBytes = 64 << 20
  /// Bytes of entries handed out to be applied at once; at least one entry is.
  public var maxApplyBytesPerReady = 1 << 20
  /// Bytes of one proposal.
  public var maxEntryBytes = 8 << 20
  /// Reads that wait for a confirmation; beyond it reads are dropped.
  public var maxPendingReads = 1 << 16
  /// Whether a follower passes proposals on to the leader.
  public var proposalForwarding = true
  /// Whether a leader that is no voter any more steps down once that is committed.
  public var stepDownOnRemoval = true
  /// Whether a commit is told once per ``RaftCore/ready()``, with the entries that follow it where there are some, and not answered where there are
  /// none: what it tells a follower promises nothing. Otherwise each commit is told at once and answered, as etcd does it.
  public var combinesCommits = false
  /// Whether the driver reports durability and application itself, in its own time, instead of by `advance`.
  public var asyncStorage = false
  /// Where all random numbers come from. It must differ from one incarnation of the node to the next.
  public var seed: UInt64
  /// What is wrong on purpose, if anything: see ``RaftFlaw``.
  package var flaw: RaftFlaw?

  /// The settings a product would choose, for one member.
  public init(id: NodeID, seed: UInt64) {
    self.id = id
    self.seed = seed
  }

  /// Finds what makes the settings impossible.
  ///
  /// - Throws: ``RaftConfigError`` naming the field.
  public func validate() throws(RaftConfigError) {
    func demand(_ condition: Bool, _ text: @autoclosure () -> String) throws(RaftConfigError) {
      if !condition { throw RaftConfigError(text()) }
    }
    try demand(id != 0, "id is 0, which names nobody")
    try demand(heartbeatTicks > 0, "heartbeatTicks is \(heartbeatTicks); it must be positive")
    try demand(electionTicks > heartbeatTicks, "electionTicks is \(electionTicks); it must exceed heartbeatTicks (\(heartbeatTicks))")
    try demand(electionTicks < 1 << 20, "electionTicks is \(electionTicks); it must stay below \(1 << 20)")
    try demand(restTicks >= 0, "restTicks is \(restTicks); it cannot be negative")
    try demand(tick > .zero, "tick is \(tick); it must be positive")
    try demand(maxBytesPerMessage >= 0, "maxBytesPerMessage is \(maxBytesPerMessage); it cannot be negative")
    try demand(maxInflightMessages > 0, "maxInflightMessages is \(maxInflightMessages); it must be positive")
    try demand(snapshotTicks > 0, "snapshotTicks is \(snapshotTicks); it must be positive")
    try demand(maxInflightBytes >= 0, "maxInflightBytes is \(maxInflightBytes); it cannot be negative")
    try demand(maxUncommittedBytes > 0, "maxUncommittedBytes is \(maxUncommittedBytes); it must be positive")
    try demand(maxApplyBytesPerReady > 0, "maxApplyBytesPerReady is \(maxApplyBytesPerReady); it must be positive")
    try demand(maxEntryBytes > 0 && maxEntryBytes < 1 << 31, "maxEntryBytes is \(maxEntryBytes); it lies between 1 and 2^31")
    try demand(maxPendingReads > 0, "maxPendingReads is \(maxPendingReads); it must be positive")
    if case .lease(let drift) = readMode {
      try demand(checkQuorum, "leases need checkQuorum: without it followers vote while a lease holds")
      try demand((0..<500_000).contains(drift), "maxClockDriftPPM is \(drift); it lies between 0 and 500000")
    }
  }
}

/// Settings that make no sense.
public struct RaftConfigError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Which field is wrong and what it may be.
  public let description: String

  init(_ description: String) { self.description = description }
}

/// Ways to break the protocol, each in one place, so that the checks can be seen to find it.
package enum RaftFlaw: String, Hashable, Sendable, CaseIterable {
  /// A leader counts entries of earlier terms towards a commit (Raft §5.4.2, figure 8).
  case countsPriorTerms = "prior-term-commit"
  /// A vote is given without looking at the candidate's log.
  case votesForStaleLogs = "stale-log-vote"
  /// A vote is counted and sent before it is durable.
  case votesEarly = "early-vote"
  /// A vote is not written at all.
  case forgetsVotes = "vote-not-persisted"
  /// Entries are acknowledged before they are durable.
  case acknowledgesEarly = "early-acknowledgement"
  /// A leader counts its own entries before they are durable. What etcd did up to version 3.5.
  case countsOwnUndurable = "own-entry-undurable"
  /// Half of the voters pass for a majority in a commit.
  case minorityCommits = "minority-commit"
  /// A heartbeat tells the leader's whole commit mark, whatever the follower is known to hold.
  case tellsWholeCommit = "unmatched-commit"
  /// An append is taken without looking at the entry before it.
  case skipsConsistencyCheck = "no-consistency-check"
  /// An append cuts off whatever lies behind it, even if nothing in it conflicts.
  case truncatesAlways = "truncates-always"
  /// A leader answers reads without asking a majority.
  case readsWithoutQuorum = "read-without-quorum"
  /// A leader answers reads before it has committed in its term.
  case readsBeforeCommit = "read-before-commit"
  /// A lease is counted from the answer instead of from the question.
  case leaseFromAnswer = "lease-from-answer"
  /// A lease is kept while leadership is transferred.
  case leaseOutlivesTransfer = "lease-outlives-transfer"
  /// A node that lost durable records votes and acknowledges as if nothing had been there.
  case forgetsThatItForgot = "amnesia"
  /// A follower asks the leader about reads under names it has used before.
  case reusesReadNames = "read-name-reused"
  /// A candidate steps down in its term and forgets whom it voted for.
  case clearsVoteOnStepDown = "vote-cleared"
  /// The joint configuration counts only the new voters.
  case ignoresOldVoters = "joint-half"
}
