import Foundation

/// What one contender did in one round.
public struct Figures: Sendable {
  /// Operations done, in the unit the comparison names: records, gets, bytes.
  public var operations: Double
  /// Wall time they took, preparation left out.
  public var seconds: Double
  /// How long single operations took, where that was looked at.
  public var latency: Latency?
  /// Other figures by name, such as `disk_bytes`.
  public var extras: [String: Double]

  /// Figures of one run; `latency` and `extras` where there are any.
  public init(operations: Double, seconds: Double, latency: Latency? = nil, extras: [String: Double] = [:]) {
    self.operations = operations
    self.seconds = seconds
    self.latency = latency
    self.extras = extras
  }

  /// Operations per second.
  public var throughput: Double { seconds > 0 ? operations / seconds : 0 }
}

/// Points of a distribution of times, in nanoseconds.
public struct Latency: Sendable {
  /// Half of the operations took no longer.
  public var p50: Double
  /// 99 of 100 took no longer.
  public var p99: Double
  /// 999 of 1000 took no longer.
  public var p999: Double
  /// The longest.
  public var max: Double

  /// The four points, in nanoseconds.
  public init(p50: Double, p99: Double, p999: Double, max: Double) {
    self.p50 = p50
    self.p99 = p99
    self.p999 = p999
    self.max = max
  }
}

/// Counts times in buckets of 1/32 of a power of two: percentiles are exact to about 3 %, recording is a few instructions without allocation.
///
/// One per thread; ``add(_:)`` joins them afterwards.
public struct LatencyRecord: Sendable {
  private var counts = [UInt64](repeating: 0, count: 64 * 32 + 64)
  /// Times recorded.
  public private(set) var total: UInt64 = 0
  /// The longest time recorded, in nanoseconds.
  public private(set) var longest: UInt64 = 0

  /// An empty histogram.
  public init() {}

  /// Counts one time.
  public mutating func record(_ nanoseconds: UInt64) {
    counts[Self.index(nanoseconds)] += 1
    total += 1
    longest = Swift.max(longest, nanoseconds)
  }

  /// Takes in what another histogram counted.
  public mutating func add(_ other: LatencyRecord) {
    for index in counts.indices { counts[index] += other.counts[index] }
    total += other.total
    longest = Swift.max(longest, other.longest)
  }

  /// The time, in nanoseconds, that `share` of the recorded ones did not exceed; 0 where none was recorded.
  public func percentile(_ share: Double) -> UInt64 {
    var rank = UInt64((share * Double(total)).rounded(.up))
    for index in counts.indices {
      if rank <= counts[index] { return Swift.min(Self.upperBound(index), longest) }
      rank -= counts[index]
    }
    return longest
  }

  /// The usual points, or `nil` where nothing was recorded.
  public var latency: Latency? {
    guard total > 0 else { return nil }
    return Latency(
      p50: Double(percentile(0.5)), p99: Double(percentile(0.99)), p999: Double(percentile(0.999)), max: Double(longest))
  }

  private static func index(_ value: UInt64) -> Int {
    if value < 64 { return Int(value) }
    let shift = 58 - value.leadingZeroBitCount
    return shift * 32 + Int(value >> UInt64(shift))
  }

  private static func upperBound(_ index: Int) -> UInt64 {
    if index < 64 { return UInt64(index) }
    let shift = index / 32 - 1
    let next = UInt64(index - shift * 32 + 1)
    // The last buckets' bounds lie beyond 64 bits; the longest time recorded is the tighter bound there.
    return next.leadingZeroBitCount < shift ? .max : (next << UInt64(shift)) - 1
  }
}

/// Nanoseconds of a clock that only runs forward.
@inline(__always)
public func nanoseconds() -> UInt64 {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

/// Nanoseconds of processor time that the calling thread has used, in the kernel too: what it waits for, a disk or other programs, is not in it.
public func processorNanoseconds() -> UInt64 {
  var time = timespec()
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
  return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}
