import StrataJobs

/// One history recorded by many threads: each client calls around its requests, and the recorder gives every event its index and its time.
///
/// An event's index is taken inside the call, so an operation's interval covers the whole request if `invoke` is called before it is sent and
/// the end after the answer has come. Safe from any thread; a call takes one lock for some hundred nanoseconds.
public final class HistoryRecorder<Op: Sendable, Result: Sendable>: Sendable {
  private let history = Monitor(History<Op, Result>())
  private let clock: @Sendable () -> UInt64

  /// An empty history; `clock` gives the time of each event in nanoseconds.
  public init(clock: @escaping @Sendable () -> UInt64 = { MonotonicClock.now() }) { self.clock = clock }

  /// As ``History/invoke(_:by:at:)``, now.
  public func invoke(_ op: Op, by process: Int) throws(HistoryError) {
    let now = clock
    try history.withLock { (history) throws(HistoryError) in try history.invoke(op, by: process, at: now()) }
  }

  /// As ``History/ok(_:by:at:)``, now.
  public func ok(_ result: Result, by process: Int) throws(HistoryError) {
    let now = clock
    try history.withLock { (history) throws(HistoryError) in try history.ok(result, by: process, at: now()) }
  }

  /// As ``History/fail(by:at:)``, now.
  public func fail(by process: Int) throws(HistoryError) {
    let now = clock
    try history.withLock { (history) throws(HistoryError) in try history.fail(by: process, at: now()) }
  }

  /// As ``History/lose(by:at:)``, now.
  public func lose(by process: Int) throws(HistoryError) {
    let now = clock
    try history.withLock { (history) throws(HistoryError) in try history.lose(by: process, at: now()) }
  }

  /// What has been recorded so far.
  public var recorded: History<Op, Result> { history.withLock { $0 } }
}
