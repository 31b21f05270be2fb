/// What clients did to a system and heard of it: the evidence every checker judges.
///
/// A process (one client, one connection, one thread) has at most one operation open. Indexes grow in the order in which things happened, so
/// that of two operations the one that returned at a lower index than the other was invoked came first; an interval includes both its ends.
/// Times are for the reader: order decides.
public struct History<Op: Sendable, Result: Sendable>: Sendable {
  /// How an operation ended.
  public enum Outcome: Sendable {
    /// It took effect between its two ends, with this result.
    case ok(Result)
    /// It had no effect.
    case failed
    /// Nobody knows: it may take effect at any moment after its invocation, or never.
    case unknown
  }

  /// One operation.
  public struct Operation: Sendable {
    /// Who did it.
    public let process: Int
    /// What was asked.
    public let op: Op
    /// When it was asked, in the order of the history.
    public let invoked: Int
    /// When it was asked, in nanoseconds.
    public let invokedAt: UInt64
    /// When it ended, in the order of the history; nothing if it never did.
    public fileprivate(set) var returned: Int?
    /// When it ended, in nanoseconds.
    public fileprivate(set) var returnedAt: UInt64?
    /// How it ended.
    public fileprivate(set) var outcome: Outcome
  }

  /// All operations, in the order in which they were invoked.
  public private(set) var operations: [Operation] = []
  private var open: [Int: Int] = [:]
  private var next = 0

  /// An empty history.
  public init() {}

  /// A process asks for something.
  ///
  /// - Throws: ``HistoryError`` if its last operation has not ended.
  public mutating func invoke(_ op: Op, by process: Int, at time: UInt64 = 0) throws(HistoryError) {
    guard open[process] == nil else { throw HistoryError(place: next, "process \(process) invokes while its last operation is open") }
    open[process] = operations.count
    operations.append(Operation(process: process, op: op, invoked: next, invokedAt: time, outcome: .unknown))
    next += 1
  }

  /// The open operation of a process took effect.
  ///
  /// - Throws: ``HistoryError`` if it has none.
  public mutating func ok(_ result: Result, by process: Int, at time: UInt64 = 0) throws(HistoryError) {
    try end(process, .ok(result), time)
  }

  /// The open operation of a process had no effect.
  ///
  /// - Throws: ``HistoryError`` if it has none.
  public mutating func fail(by process: Int, at time: UInt64 = 0) throws(HistoryError) { try end(process, .failed, time) }

  /// Nobody will ever know what became of the open operation of a process. The process may go on: what it does later counts as done by somebody
  /// else as far as this operation's end is concerned.
  ///
  /// - Throws: ``HistoryError`` if it has none.
  public mutating func lose(by process: Int, at time: UInt64 = 0) throws(HistoryError) {
    guard open.removeValue(forKey: process) != nil else { throw HistoryError(place: next, "process \(process) ends an operation it has not begun") }
    next += 1
  }

  private mutating func end(_ process: Int, _ outcome: Outcome, _ time: UInt64) throws(HistoryError) {
    guard let index = open.removeValue(forKey: process) else {
      throw HistoryError(place: next, "process \(process) ends an operation it has not begun")
    }
    operations[index].returned = next
    operations[index].returnedAt = time
    operations[index].outcome = outcome
    next += 1
  }
}

/// A history that cannot have happened, whatever the system did: the recorder is wrong, not the system.
public struct HistoryError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Which event, from 0; in a file the line, from 1.
  public let place: Int
  /// What is wrong there.
  public let reason: String

  /// An error at a place.
  public init(place: Int, _ reason: String) {
    self.place = place
    self.reason = reason
  }

  /// The place and the reason.
  public var description: String { "event \(place): \(reason)" }
}
