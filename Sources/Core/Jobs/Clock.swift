#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Time that only moves forward: for intervals and time-outs of code that runs threads. Protocols never read it; time reaches them as an
/// argument.
public enum MonotonicClock {
  /// Nanoseconds since an arbitrary moment.
  public static func now() -> UInt64 { read(CLOCK_MONOTONIC) }
}

/// The time of day, for expiry and for information. It may jump; nothing is ever ordered by it.
public enum WallClock {
  /// Milliseconds since 1970-01-01 00:00 UTC.
  public static func unixMilliseconds() -> UInt64 { read(CLOCK_REALTIME) / 1_000_000 }
}

private func read(_ clock: clockid_t) -> UInt64 {
  var time = timespec()
  clock_gettime(clock, &time)
  return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
}

extension Duration {
  /// The duration in whole nanoseconds, saturating at ±292 years.
  public var nanoseconds: Int64 {
    let (seconds, attoseconds) = components
    let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    let (sum, carried) = product.addingReportingOverflow(attoseconds / 1_000_000_000)
    return overflow || carried ? (seconds < 0 ? .min : .max) : sum
  }
}
