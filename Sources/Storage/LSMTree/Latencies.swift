import StrataJobs
import Synchronization

/// How long operations of a kind took: quantiles over those that were timed, at most an eighth too high.
public struct LSMLatency: Sendable, Hashable {
  /// How many were timed.
  public var timed: UInt64
  /// Nanoseconds that half of them did not exceed.
  public var median: UInt64
  /// Nanoseconds that 99 of 100 did not exceed.
  public var p99: UInt64
  /// Nanoseconds that 999 of 1000 did not exceed.
  public var p999: UInt64
}

/// Times operations that several threads do, of cheap ones every 32nd: a look at the clock costs a good part of a cached read.
final class Stopwatch: Sendable {
  private static let stride: UInt64 = 32
  private let histogram = LatencyHistogram()
  /// The histogram takes one recorder at a time.
  private let recording = Monitor(())
  private let begun = Atomic<UInt64>(0)

  /// When an operation began that is to be timed, 0 for one that is not.
  @inline(__always)
  func begin() -> UInt64 {
    // Two threads that count the same one make a sample more or less; an addition by compare and swap would cost more than the sample.
    let count = begun.load(ordering: .relaxed)
    begun.store(count &+ 1, ordering: .relaxed)
    return count % Self.stride == 0 ? MonotonicClock.now() : 0
  }

  /// When an operation began that the caller has chosen to time.
  static func begin(if isChosen: Bool) -> UInt64 { isChosen ? MonotonicClock.now() : 0 }

  @inline(__always)
  func end(_ began: UInt64) { if began != 0 { record(MonotonicClock.now() &- began) } }

  @inline(never)
  func record(_ nanoseconds: UInt64) { recording.withLock { _ in histogram.record(nanoseconds: nanoseconds) } }

  var latency: LSMLatency {
    LSMLatency(timed: histogram.count, median: histogram.quantile(0.5), p99: histogram.quantile(0.99), p999: histogram.quantile(0.999))
  }
}

extension LSMStatistics {
  /// Every latency with the name that servers and tools show it by.
  public var latencies: [(name: String, latency: LSMLatency)] {
    [
      ("get", getLatency), ("write", writeLatency), ("sync", syncLatency), ("flush", flushLatency), ("compaction", compactionLatency),
    ]
  }
}

/// The stopwatches of a store.
struct Latencies: Sendable {
  let get = Stopwatch()
  let write = Stopwatch()
  let sync = Stopwatch()
  let flush = Stopwatch()
  let compaction = Stopwatch()
}
