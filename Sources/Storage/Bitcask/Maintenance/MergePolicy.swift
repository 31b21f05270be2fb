/// Which segments to merge.
public enum MergeScope: Sendable, Hashable {
  /// Those the thresholds of ``MergeOptions`` choose; none where nothing triggers.
  case automatic
  /// Every sealed segment.
  case all
  /// These, where they are sealed.
  case segments([UInt32])
}

/// What a merge did.
public struct MergeReport: Sendable, Hashable {
  /// Segments read and segments written.
  public var inputs: [UInt32] = []
  /// Segments written.
  public var outputs: [UInt32] = []
  /// Records carried over, and records that went.
  public var recordsMoved = 0
  /// Records that went.
  public var recordsDropped = 0
  /// Bytes of data files before and after; the difference is freed once the last reader of the old files is gone.
  public var bytesBefore = 0
  /// Bytes of data files afterwards.
  public var bytesAfter = 0
  /// Damage met: these segments stay.
  public var damage: [Damage] = []

  /// What the merge gave back.
  public var bytesFreed: Int { bytesBefore - bytesAfter }
}

/// Chooses the inputs of a merge from the segments' statistics: pure, so that tests see every decision.
struct MergePolicy {
  var options: MergeOptions
  var segmentBytes: Int

  struct Candidate: Hashable {
    var id: UInt32
    var bytes: Int
    var deadBytes: Int
    var isDamaged: Bool

    var deadPercent: Int { bytes == 0 ? 100 : deadBytes * 100 / bytes }
  }

  /// Inputs of a merge that starts by itself; empty where nothing calls for one. One merge copies at most four segments' worth, so that its
  /// memory stays bounded; the next follows.
  func choose(_ sealed: [Candidate], now: UInt64) -> [UInt32] {
    guard isOpen(now) else { return [] }
    let sound = sealed.filter { !$0.isDamaged }
    let byCount = options.maxFrozenSegments.map { sound.count > $0 } ?? false
    let isTriggered = sound.contains { candidate in
      candidate.deadBytes > 0 && (candidate.deadPercent >= options.triggerDeadPercent || candidate.deadBytes >= options.triggerDeadBytes)
    }
    guard isTriggered || byCount else { return [] }
    var chosen: [UInt32] = []
    var copied = 0
    for candidate in sound.sorted(by: { ($0.deadPercent, $1.id) > ($1.deadPercent, $0.id) }) {
      let isWorthIt =
        candidate.deadPercent >= options.includeDeadPercent || candidate.deadBytes >= options.includeDeadBytes
        || candidate.bytes < options.includeSmallBytes || byCount
      guard isWorthIt else { continue }
      let live = candidate.bytes - candidate.deadBytes
      if !chosen.isEmpty, copied + live > 4 * segmentBytes { continue }
      chosen.append(candidate.id)
      copied += live
    }
    // Rewriting a single segment without garbage would change nothing.
    if chosen.count == 1, !isTriggered { return [] }
    return chosen.sorted()
  }

  /// Whether merges may start at this time.
  func isOpen(_ now: UInt64) -> Bool {
    guard let window = options.window else { return true }
    let hour = Int(now / 3_600_000 % 24)
    return window.contains(hour) || window.contains(hour + 24)
  }
}
