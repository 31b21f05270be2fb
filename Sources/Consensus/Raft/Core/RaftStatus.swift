import StrataNodes

/// How a member stands, for people and metrics.
public struct RaftStatus: Hashable, Sendable {
  /// The member.
  public var id: NodeID
  /// Its term.
  public var term: Term
  /// Whom it voted for in that term; nobody where zero.
  public var vote: NodeID
  /// What it is.
  public var role: Role
  /// Who leads as far as it knows; nobody where zero.
  public var leader: NodeID
  /// The place before its first entry in memory.
  public var compacted: LogPlace
  /// Its last entry.
  public var last: LogPlace
  /// How far its log is durable.
  public var stable: LogIndex
  /// How far its log is committed.
  public var commit: LogIndex
  /// How far its state machine is.
  public var applied: LogIndex
  /// Bytes of payload in memory.
  public var logBytes: Int
  /// The members.
  public var confState: ConfState
  /// What a leader knows about each, in ascending order; nothing elsewhere.
  public var progress: [MemberProgress]
  /// Whether a change of leadership is on its way, and to whom; nobody where zero.
  public var transferee: NodeID
  /// Whether it lost records and is getting them back.
  public var isRepairing: Bool
}

/// A member and what its leader knows about it.
public struct MemberProgress: Hashable, Sendable {
  /// The member.
  public var id: NodeID
  /// What is known.
  public var progress: Progress
}

/// What happened at one member since it came up.
public struct RaftStatistics: Hashable, Sendable {
  /// Messages given to ``RaftCore/step(_:)``.
  public internal(set) var messagesReceived: UInt64 = 0
  /// Messages that made no sense, by reason.
  public internal(set) var messagesRejected: [MessageRejection: UInt64] = [:]
  /// Elections this node started, pre-votes not counted.
  public internal(set) var electionsStarted: UInt64 = 0
  /// Elections it won.
  public internal(set) var electionsWon: UInt64 = 0
  /// Pre-votes it refused.
  public internal(set) var preVotesRejected: UInt64 = 0
  /// Questions for votes it ignored because it had just heard a leader.
  public internal(set) var votesIgnoredInLease: UInt64 = 0
  /// How often it met another leader.
  public internal(set) var leaderChanges: UInt64 = 0
  /// How often it stepped down because it did not hear a majority.
  public internal(set) var quorumLosses: UInt64 = 0
  /// Transfers of leadership it began.
  public internal(set) var transfersStarted: UInt64 = 0
  /// Entries it proposed as leader.
  public internal(set) var proposals: UInt64 = 0
  /// Proposals it dropped, by reason.
  public internal(set) var proposalsDropped: [DropReason: UInt64] = [:]
  /// Proposals it could pass on to nobody.
  public internal(set) var proposalsWithoutLeader: UInt64 = 0
  /// Entries it committed as leader.
  public internal(set) var entriesCommitted: UInt64 = 0
  /// Entries it sent, repetitions counted.
  public internal(set) var entriesSent: UInt64 = 0
  /// Entries it cut off because a leader had others.
  public internal(set) var entriesTruncated: UInt64 = 0
  /// Appends followers refused.
  public internal(set) var appendsRejected: UInt64 = 0
  /// Appends it refused.
  public internal(set) var appendsRefused: UInt64 = 0
  /// Snapshots it sent.
  public internal(set) var snapshotsSent: UInt64 = 0
  /// Snapshots it adopted.
  public internal(set) var snapshotsReceived: UInt64 = 0
  /// Reads it was asked for as leader.
  public internal(set) var reads: UInt64 = 0
  /// Of these, reads answered under a lease.
  public internal(set) var leaseReads: UInt64 = 0
  /// Changes of members that were impossible when they were applied.
  public internal(set) var confChangesIgnored: UInt64 = 0
  /// How often it let its group rest as leader.
  public internal(set) var rests: UInt64 = 0
  /// How often it became whole again after a loss of records.
  public internal(set) var repairs: UInt64 = 0

  init() {}
}

extension RaftCore {
  /// How this member stands. O(members).
  public var status: RaftStatus {
    RaftStatus(
      id: id, term: term, vote: vote, role: role, leader: leader, compacted: log.base, last: log.lastPlace, stable: log.stable, commit: log.committed,
      applied: log.applied, logBytes: log.bytes, confState: members.conf,
      progress: role == .leader ? members.ids.indices.map { MemberProgress(id: members.ids[$0], progress: members.progress[$0]) } : [],
      transferee: transferee, isRepairing: isRepairing)
  }

  /// Its term, and who leads in it as far as this member knows; nobody where zero. O(1).
  var termAndLeader: (Term, NodeID) { (term, leader) }

  /// The last entry the state machine has applied; its term is 0 where that is no longer in memory. O(1).
  public var appliedPlace: LogPlace { LogPlace(term: log.term(at: log.applied) ?? 0, index: log.applied) }

  /// The entry at an index, if it is in memory.
  public func entry(at index: LogIndex) -> Entry? { index > log.base.index && index <= log.last ? log[index] : nil }
}
