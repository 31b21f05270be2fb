import StrataJobs

/// A moment on one node's monotonic clock, in nanoseconds since some start that only this incarnation of the node knows.
///
/// It never goes back while a node runs, may start anywhere after a restart, and means nothing on another node: two instants may be
/// compared only if the same incarnation was given both. Every sum and difference saturates; none traps.
public struct Instant: Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
  /// Nanoseconds since the clock's start.
  public let nanoseconds: UInt64

  /// The moment this many nanoseconds after the clock's start.
  @inlinable
  public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

  /// The clock's start.
  public static let zero = Instant(nanoseconds: 0)

  /// The earlier moment comes first.
  @inlinable
  public static func < (a: Instant, b: Instant) -> Bool { a.nanoseconds < b.nanoseconds }

  /// The moment `duration` later (earlier where it is negative), at most the last and at least the first one there is.
  public static func + (instant: Instant, duration: Duration) -> Instant {
    let step = duration.nanoseconds
    if step < 0 {
      let (earlier, below) = instant.nanoseconds.subtractingReportingOverflow(step.magnitude)
      return Instant(nanoseconds: below ? 0 : earlier)
    }
    let (later, above) = instant.nanoseconds.addingReportingOverflow(step.magnitude)
    return Instant(nanoseconds: above ? .max : later)
  }

  /// The moment `duration` earlier.
  public static func - (instant: Instant, duration: Duration) -> Instant { instant + (.zero - duration) }

  /// How much later `a` is than `b`, at most ±292 years.
  public static func - (a: Instant, b: Instant) -> Duration {
    if a.nanoseconds >= b.nanoseconds { return .nanoseconds(Int64(clamping: a.nanoseconds - b.nanoseconds)) }
    return .nanoseconds(-Int64(clamping: b.nanoseconds - a.nanoseconds))
  }

  /// Seconds with six decimals: `1.250000 s`.
  public var description: String {
    let micro = nanoseconds / 1000
    let fraction = String(micro % 1_000_000)
    return "\(micro / 1_000_000)." + String(repeating: "0", count: 6 - fraction.count) + fraction + " s"
  }
}
