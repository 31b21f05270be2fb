import StrataNodes

/// What a node is in its group.
public enum Role: UInt8, Hashable, Sendable {
  /// Follows a leader, or waits for one.
  case follower = 0
  /// Asks for votes.
  case candidate = 1
  /// Leads.
  case leader = 2
  /// Asks whether it would get votes.
  case preCandidate = 3
}

/// What may be lost in a crash: who leads, and what this node is.
public struct SoftState: Hashable, Sendable {
  /// Who leads, as far as is known; nobody where zero.
  public var leader: NodeID
  /// What this node is.
  public var role: Role
}

/// An answer to ``RaftCore/readIndex(_:)``.
public struct ReadState: Hashable, Sendable {
  /// The name the read was asked under.
  public var context: UInt64
  /// A state machine that has applied this much answers the read linearizably.
  public var index: LogIndex
}

/// What has to become durable, in the order in which it was given out.
public struct StorageAppend: Hashable, Sendable {
  /// The new hard state, if it changed.
  public var hardState: HardState?
  /// Entries that replace everything from the first one's index on.
  public var entries: [Entry]
  /// A snapshot that replaces the whole log, before `entries`.
  public var snapshot: Snapshot?
  /// Whether something here must be durable before `responses` may leave.
  public var mustSync: Bool
  /// What to send once this, and all before it, is durable: to others, and (addressed to the node itself) back into `step`.
  public var responses: [Message]
}

/// What is committed and has to be applied, in order and once.
public struct StorageApply: Hashable, Sendable {
  /// The entries.
  public var entries: [Entry]
  /// What goes back into `step` when they are applied. Changes of members become active then.
  public var response: Message
}

/// What has to be done next. It must be carried out in full.
public struct Ready: Hashable, Sendable {
  /// Who leads and what this node is, if that changed.
  public var softState: SoftState?
  /// What has to become durable, if anything has.
  public var append: StorageAppend?
  /// What has to be applied, if anything has.
  public var apply: StorageApply?
  /// What may be sent at once.
  public var messages: [Message]
  /// Reads that may be answered once the state machine is that far.
  public var readStates: [ReadState]
}
