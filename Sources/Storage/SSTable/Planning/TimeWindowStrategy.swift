/// Tables are merged with those written in the same stretch of time and with no others: for series whose old part is read by time and goes by age.
/// What is over is one table a window, rewritten no more; deletions and overwritten versions go where both are of one window (Cassandra's
/// TimeWindowCompactionStrategy).
///
/// All tables stay in level 0, each one run. A table belongs to the window in which the last of it was written. Only neighbours in age are merged, so
/// a clock that is set back costs merges and never the order of versions.
public struct TimeWindowStrategy: CompactionStrategy {
  public var name: String { "timeWindow" }
  /// How long a window is.
  public var windowSeconds: UInt64
  /// The present, in seconds since 1970: the window it lies in is still being written.
  public var now: UInt64
  /// Tables go of which everything was written before this moment, oldest first; `nil` for none.
  public var expiresBefore: UInt64?
  /// The fewest runs that are merged in the present window.
  public var minRuns = 4
  /// The most runs of a merge.
  public var maxRuns = 32

  public init(windowSeconds: UInt64, now: UInt64, expiresBefore: UInt64? = nil) {
    self.windowSeconds = max(1, windowSeconds)
    self.now = now
    self.expiresBefore = expiresBefore
  }

  /// The number of the window a table belongs to.
  public func window(_ table: TableMetadata) -> UInt64 { table.newestTime / windowSeconds }

  public func plan(_ shape: LSMShape, busy: Set<UInt64>) -> CompactionPlan? {
    let expired = FirstInFirstOutStrategy(maxBytes: .max, expiresBefore: expiresBefore)
    if let plan = expired.plan(shape, busy: busy) { return plan }
    let runs = shape.levels.first ?? []
    var tiered = SizeTieredStrategy()
    (tiered.minRuns, tiered.maxRuns) = (max(2, minRuns), max(2, maxRuns))
    // Newest first: the present window's merges keep reads cheap where most of them go.
    for group in windows(runs) {
      if window(runs[group.lowerBound]) >= now / windowSeconds {
        if let plan = tiered.similarRuns(Array(runs[group]), busy) { return plan }
      } else if let plan = closedPlan(runs[group], busy) {
        return plan
      }
    }
    return nil
  }

  /// Neighbours in age of one window each.
  private func windows(_ runs: [TableMetadata]) -> [Range<Int>] {
    var groups: [Range<Int>] = []
    for index in runs.indices {
      if let last = groups.last, window(runs[last.lowerBound]) == window(runs[index]) {
        groups[groups.count - 1] = last.lowerBound..<index + 1
      } else {
        groups.append(index..<index + 1)
      }
    }
    return groups
  }

  /// The oldest neighbours of a window that is over, as many as one merge takes.
  private func closedPlan(_ runs: ArraySlice<TableMetadata>, _ busy: Set<UInt64>) -> CompactionPlan? {
    let free = runs.split { busy.contains($0.fileID) }
    guard let chosen = free.last(where: { $0.count > 1 })?.suffix(max(2, maxRuns)) else { return nil }
    return CompactionPlan(inputs: [Array(chosen)], outputLevel: 0, kind: .merge, reason: .window, score: 1)
  }
}
