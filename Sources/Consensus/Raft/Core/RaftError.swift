import StrataNodes

/// Why the core does not do what was asked. Nothing changed where one is thrown.
public enum RaftError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Only a leader can do this; the hint says who was heard of last, if anybody was.
  case notLeader(hint: NodeID?)
  /// Nobody leads that this node knows of. Try again later.
  case noLeader
  /// A proposal exceeds what one entry may hold.
  case entryTooLarge(bytes: Int, limit: Int)
  /// The proposal was not taken and will have no effect.
  case proposalDropped(DropReason)
  /// The change of members is not possible now, or never.
  case confChangeRefused(String)
  /// A message makes no sense here; it was counted and ignored.
  case messageRejected(MessageRejection)
  /// Nothing can be compacted to there.
  case cannotCompact(to: LogIndex, applied: LogIndex, snapshot: LogIndex)
  /// The stored state contradicts itself.
  case badInitialState(String)

  /// What happened and what can be done about it.
  public var description: String {
    switch self {
    case .notLeader(let hint): "this node does not lead the group" + (hint.map { "; ask \($0)" } ?? "")
    case .noLeader: "the group has no leader this node knows of; try again later"
    case .entryTooLarge(let bytes, let limit): "a proposal of \(bytes) bytes exceeds the limit of \(limit)"
    case .proposalDropped(let reason): "the proposal was dropped and has no effect: \(reason.rawValue)"
    case .confChangeRefused(let why): "the change of members is refused: \(why)"
    case .messageRejected(let why): "a message was ignored: \(why.rawValue)"
    case .cannotCompact(let index, let applied, let snapshot):
      "the log cannot be compacted to \(index): \(applied) is applied and the newest snapshot ends at \(snapshot)"
    case .badInitialState(let why): "the stored state of the group contradicts itself: \(why)"
    }
  }
}

/// Why a proposal was dropped.
public enum DropReason: String, Hashable, Sendable, CaseIterable {
  /// Too much is uncommitted already; try again when something was committed.
  case backpressure = "too many uncommitted bytes"
  /// Leadership is being transferred; ask the new leader.
  case transferring = "leadership is being transferred"
  /// This node is no member any more.
  case removed = "this node is not a member"
  /// The follower may not pass proposals on.
  case forwardingDisabled = "forwarding is disabled"
}

/// Why a message was ignored.
public enum MessageRejection: String, Hashable, Sendable, CaseIterable {
  /// It is for another node.
  case wrongAddressee = "it is addressed to another node"
  /// It names nobody as its sender.
  case noSender = "it has no sender"
  /// An answer from a node that is no member.
  case unknownMember = "its sender is no member"
  /// Its entries do not follow each other.
  case notContiguous = "its entries are not contiguous or have wrong terms"
  /// A number in it is too great to count on from.
  case outOfRange = "a term or index is out of range"
  /// The kind needs a part that is missing.
  case incomplete = "a part is missing"
}
