/// What clients did to a system and heard of it: the evidence every checker judges.
///
/// A process (one client, one connection, one thread) has at most one operation open. Every event has an index, and indexes grow in the order in
/// which things happened: of two operations the one that returned at a lower index than the other was invoked came first. An interval includes
/// both its ends. Times are for the reader; order decides.
///
/// A value: not shared between threads. Threads that record one history together use ``HistoryRecorder``. Every call is O(1).
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
    /// When it was asked: the index of that event.
    public let invoked: Int
    /// When it was asked, in nanoseconds.
    public let invokedAt: UInt64
    /// When it was answered: the index of that event; nothing if no answer came.
    public internal(set) var returned: Int?
    /// When it ended, in nanoseconds, be it with an answer or with the client giving up.
    public internal(set) var endedAt: UInt64?
    /// The index of the event with which its client gave it up; nothing if it was answered or is open.
    public internal(set) var abandoned: Int?
    /// How it ended.
    public internal(set) var outcome: Outcome

    /// What the client heard, if the operation succeeded.
    @inlinable public var result: Result? {
      if case .ok(let result) = outcome { return result }
      return nil
    }

    /// Whether the client knows that it had no effect.
    @inlinable public var hasFailed: Bool {
      if case .failed = outcome { return true }
      return false
    }

    @usableFromInline
    init(process: Int, op: Op, invoked: Int, invokedAt: UInt64) {
      self.process = process
      self.op = op
      self.invoked = invoked
      self.invokedAt = invokedAt
      outcome = .unknown
    }
  }

  /// One end of an operation.
  public struct Event: Sendable {
    /// What it is.
    public enum Kind: String, Hashable, Sendable {
      /// Something is asked.
      case invoke
      /// It took effect.
      case ok
      /// It had none.
      case fail
      /// Nobody knows.
      case info
    }

    /// Its index in the history.
    public let index: Int
    /// Whose it is.
    public let process: Int
    /// When it happened, in nanoseconds.
    public let time: UInt64
    /// What it is.
    public let kind: Kind
    /// The index, in ``History/operations``, of the operation it begins or ends.
    public let operation: Int
  }

  /// All operations, in the order in which they were invoked.
  public internal(set) var operations: [Operation] = []
  var open: [Int: Int] = [:]
  /// How many events there are.
  public internal(set) var eventCount = 0

  /// An empty history.
  public init() {}

  /// A process asks for something.
  ///
  /// - Throws: ``HistoryError/invokedTwice(process:at:)`` if its last operation is open; the history stays as it was.
  public mutating func invoke(_ op: Op, by process: Int, at time: UInt64 = 0) throws(HistoryError) {
    guard open[process] == nil else { throw .invokedTwice(process: process, at: .event(eventCount)) }
    open[process] = operations.count
    operations.append(Operation(process: process, op: op, invoked: eventCount, invokedAt: time))
    eventCount += 1
  }

  /// The open operation of a process took effect.
  ///
  /// - Throws: ``HistoryError/endedWithoutInvocation(process:at:)`` if it has none.
  public mutating func ok(_ result: Result, by process: Int, at time: UInt64 = 0) throws(HistoryError) {
    let index = try close(process, time)
    operations[index].returned = eventCount
    operations[index].outcome = .ok(result)
    eventCount += 1
  }

  /// The open operation of a process had no effect, for certain.
  ///
  /// - Throws: ``HistoryError/endedWithoutInvocation(process:at:)`` if it has none.
  public mutating func fail(by process: Int, at time: UInt64 = 0) throws(HistoryError) {
    let index = try close(process, time)
    operations[index].returned = eventCount
    operations[index].outcome = .failed
    eventCount += 1
  }

  /// Nobody will ever know what became of the open operation of a process: it may take effect at any later moment. The client may go on under
  /// its number; no checker takes what it does next as coming after the operation's effect. (``HistoryFile`` writes it under a new number, as
  /// Jepsen does.)
  ///
  /// - Throws: ``HistoryError/endedWithoutInvocation(process:at:)`` if it has none.
  public mutating func lose(by process: Int, at time: UInt64 = 0) throws(HistoryError) {
    let index = try close(process, time)
    operations[index].abandoned = eventCount
    eventCount += 1
  }

  private mutating func close(_ process: Int, _ time: UInt64) throws(HistoryError) -> Int {
    guard let index = open.removeValue(forKey: process) else { throw .endedWithoutInvocation(process: process, at: .event(eventCount)) }
    operations[index].endedAt = time
    return index
  }

  /// All events by their indexes. O(n).
  public var events: [Event] {
    var result: [Event?] = Array(repeating: nil, count: eventCount)
    for (index, operation) in operations.enumerated() {
      func event(_ kind: Event.Kind, _ at: Int, _ time: UInt64) -> Event {
        Event(index: at, process: operation.process, time: time, kind: kind, operation: index)
      }
      result[operation.invoked] = event(.invoke, operation.invoked, operation.invokedAt)
      if let returned = operation.returned {
        result[returned] = event(operation.hasFailed ? .fail : .ok, returned, operation.endedAt ?? 0)
      } else if let abandoned = operation.abandoned {
        result[abandoned] = event(.info, abandoned, operation.endedAt ?? 0)
      }
    }
    return result.compactMap { $0 }
  }

  /// The same history in other terms. An operation for which `op` gives nothing is left out.
  public func map<NewOp, NewResult>(
    _ op: (Operation) throws(HistoryError) -> NewOp?, result: (Operation, Result) throws(HistoryError) -> NewResult
  ) throws(HistoryError) -> History<NewOp, NewResult> {
    var other = History<NewOp, NewResult>()
    other.eventCount = eventCount
    for operation in operations {
      guard let asked = try op(operation) else { continue }
      var copy = History<NewOp, NewResult>.Operation(
        process: operation.process, op: asked, invoked: operation.invoked, invokedAt: operation.invokedAt)
      copy.returned = operation.returned
      copy.abandoned = operation.abandoned
      copy.endedAt = operation.endedAt
      switch operation.outcome {
      case .ok(let heard): copy.outcome = .ok(try result(operation, heard))
      case .failed: copy.outcome = .failed
      case .unknown: copy.outcome = .unknown
      }
      if copy.returned == nil, copy.abandoned == nil { other.open[copy.process] = other.operations.count }
      other.operations.append(copy)
    }
    return other
  }
}
