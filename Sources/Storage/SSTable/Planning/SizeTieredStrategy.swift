/// Runs of like size are merged into one several times as large: little writing, paid for with more runs to look into and more dead weight.
///
/// All tables stay in level 0, each one run. Only runs that are neighbours in age are merged: a reader takes the newest run that knows the key, so
/// a merge that jumped over a run would put stale versions before fresh ones.
public struct SizeTieredStrategy: CompactionStrategy {
  public var name: String { "sizeTiered" }
  /// The fewest runs of a merge.
  public var minRuns = 4
  /// The most.
  public var maxRuns = 32
  /// Runs smaller than this count as equal.
  public var tinyBytes: UInt64 = 1 << 20
  /// When the newer runs together exceed the oldest by this factor, everything is merged, which bounds dead weight.
  public var spaceFactor = 2.0

  public init() {}

  public func plan(_ shape: LSMShape, busy: Set<UInt64>) -> CompactionPlan? {
    let runs = shape.levels[0]
    if let plan = similarRuns(runs, busy) { return plan }
    guard runs.count >= 2, let oldest = runs.last, !runs.contains(where: { busy.contains($0.fileID) }) else { return nil }
    let newer = runs.dropLast().reduce(0) { $0 + $1.fileSize }
    guard runs.count >= minRuns, Double(newer) > spaceFactor * Double(max(oldest.fileSize, tinyBytes)) else { return nil }
    return CompactionPlan(inputs: [runs], outputLevel: 0, kind: .merge, reason: .space, score: Double(newer) / Double(max(oldest.fileSize, 1)))
  }

  /// The longest stretch of neighbours whose sizes lie within half and one and a half of their mean.
  func similarRuns(_ runs: [TableMetadata], _ busy: Set<UInt64>) -> CompactionPlan? {
    var best: Range<Int>?
    for start in runs.indices {
      var end = start
      var total: UInt64 = 0
      while end < runs.count, end - start < maxRuns, !busy.contains(runs[end].fileID) {
        total += runs[end].fileSize
        let mean = Double(total) / Double(end - start + 1)
        let areAlike = runs[start...end].allSatisfy {
          $0.fileSize < tinyBytes && mean < Double(tinyBytes) || (Double($0.fileSize) >= mean * 0.5 && Double($0.fileSize) <= mean * 1.5)
        }
        guard areAlike else { break }
        end += 1
      }
      if end - start >= minRuns, end - start > best?.count ?? 0 { best = start..<end }
    }
    guard let best else { return nil }
    return CompactionPlan(
      inputs: [Array(runs[best])], outputLevel: 0, kind: .merge, reason: .size, score: Double(best.count) / Double(minRuns))
  }
}
