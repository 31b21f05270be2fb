#if canImport(Glibc)
  import Glibc
#else
  import Musl
#endif

/// The machine's clocks, without Foundation.
enum Clocks {
  /// Unix milliseconds.
  static func unixMilliseconds() -> UInt64 {
    let time = read(CLOCK_REALTIME)
    return UInt64(max(0, time.tv_sec)) &* 1000 &+ UInt64(time.tv_nsec / 1_000_000)
  }

  /// Unix microseconds.
  static func unixMicroseconds() -> UInt64 {
    let time = read(CLOCK_REALTIME)
    return UInt64(max(0, time.tv_sec)) &* 1_000_000 &+ UInt64(time.tv_nsec / 1000)
  }

  /// Nanoseconds of a clock that never steps back; differences only.
  @inline(__always)
  static func nanoseconds() -> UInt64 {
    let time = read(CLOCK_MONOTONIC)
    return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
  }

  @inline(__always)
  private static func read(_ clock: clockid_t) -> timespec {
    var time = timespec()
    clock_gettime(clock, &time)
    return time
  }
}
