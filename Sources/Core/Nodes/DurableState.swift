/// What a node finds in its log when it comes up.
public struct DurableState<Record: Sendable>: Sendable {
  /// The records of the last checkpoint and all later ones that survived, oldest first. What was written and never reported durable may be
  /// here or not, but never with a gap: a record survives only if all before it did.
  public let records: [Record]

  /// True if records that had been durable can no longer be read: `records` ends before them. A protocol in which this node's memory
  /// counts (a vote, an acknowledgement) must not go on as if nothing had been there.
  public let isDamaged: Bool

  /// A log with these records.
  public init(records: [Record] = [], isDamaged: Bool = false) {
    self.records = records
    self.isDamaged = isDamaged
  }
}

/// Why a node cannot come up with the log it has.
public struct RecoveryError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What was found, where, and what to do about it.
  public let description: String

  /// An error with this text.
  public init(_ description: String) { self.description = description }
}
