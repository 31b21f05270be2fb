/// Nothing is merged; the oldest tables go when there are too many bytes, or when they are too old: for data that is worth its age, as a cache's or a
/// series of measurements'.
///
/// A table goes only with everything older that overlaps it, so that no deletion goes before what it deletes and no version comes back that a newer
/// one hid. Of a key that was overwritten the old version goes first, unseen; the newest one goes with its own table, as if it had been deleted.
public struct FirstInFirstOutStrategy: CompactionStrategy {
  public var name: String { "fifo" }
  /// The most bytes kept.
  public var maxBytes: UInt64
  /// Tables go of which everything was written before this moment, in seconds since 1970; the caller moves it. `nil` for none.
  public var expiresBefore: UInt64?

  public init(maxBytes: UInt64, expiresBefore: UInt64? = nil) {
    self.maxBytes = maxBytes
    self.expiresBefore = expiresBefore
  }

  public func plan(_ shape: LSMShape, busy: Set<UInt64>) -> CompactionPlan? {
    let oldestFirst = shape.levels.dropFirst().reversed().joined() + (shape.levels.first ?? []).reversed()
    var left = oldestFirst.reduce(0) { $0 + $1.fileSize }
    var kept: [TableMetadata] = []
    var doomed: [TableMetadata] = []
    var reason = CompactionPlan.Reason.age
    for table in oldestFirst {
      let isOld = expiresBefore.map { table.newestTime < $0 } ?? false
      // For want of room the oldest goes or none, so that what goes is older than what stays.
      let isTooMuch = left > maxBytes && kept.isEmpty
      guard isOld || isTooMuch, !busy.contains(table.fileID), !kept.contains(where: { $0.overlaps(table) }) else {
        kept.append(table)
        continue
      }
      if !isOld { reason = .space }
      doomed.append(table)
      left -= table.fileSize
    }
    guard !doomed.isEmpty else { return nil }
    return CompactionPlan(inputs: [doomed.reversed()], outputLevel: 0, kind: .deleteOnly, reason: reason, score: 1)
  }
}
