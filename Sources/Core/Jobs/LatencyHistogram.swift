import Synchronization

/// How long something took, counted: buckets that grow with the value, eight for each doubling, so that a quantile is at most an eighth too high.
///
/// One thread at a time records; any thread may read meanwhile. 4 KiB, and one store to record.
public final class LatencyHistogram: Sendable {
  private static let buckets = 62 * 8
  // Never reassigned, and its elements are atomics.
  private nonisolated(unsafe) let counts: UnsafeMutablePointer<Atomic<UInt64>>

  /// Nothing recorded.
  public init() {
    counts = .allocate(capacity: Self.buckets)
    for index in 0..<Self.buckets { (counts + index).initialize(to: Atomic(0)) }
  }

  deinit {
    counts.deinitialize(count: Self.buckets)
    counts.deallocate()
  }

  /// Counts a duration. O(1).
  public func record(nanoseconds: UInt64) {
    let index = Self.bucket(nanoseconds)
    counts[index].store(counts[index].load(ordering: .relaxed) &+ 1, ordering: .relaxed)
  }

  /// How many were recorded.
  public var count: UInt64 { (0..<Self.buckets).reduce(0) { $0 &+ counts[$1].load(ordering: .relaxed) } }

  /// A duration, in nanoseconds, that this share (0 to 1) of what was recorded did not exceed; 0 where nothing was.
  public func quantile(_ share: Double) -> UInt64 {
    let total = count
    guard total > 0 else { return 0 }
    let rank = UInt64(max(1, (Double(total) * min(max(share, 0), 1)).rounded(.up)))
    var seen: UInt64 = 0
    for index in 0..<Self.buckets {
      seen &+= counts[index].load(ordering: .relaxed)
      if seen >= rank { return Self.greatest(index) }
    }
    return Self.greatest(Self.buckets - 1)
  }

  /// Values below 16 have a bucket each; above, the position of the highest bit and the three bits below it choose.
  private static func bucket(_ value: UInt64) -> Int {
    guard value >= 16 else { return Int(value) }
    let exponent = 63 - value.leadingZeroBitCount
    return (exponent - 2) * 8 + Int(value >> UInt64(exponent - 3) & 7)
  }

  /// The greatest value of a bucket.
  private static func greatest(_ index: Int) -> UInt64 {
    guard index >= 16 else { return UInt64(index) }
    let exponent = UInt64(index / 8 + 2)
    let least = (8 + UInt64(index % 8)) << (exponent - 3)
    return least + ((1 << (exponent - 3)) - 1)
  }
}
