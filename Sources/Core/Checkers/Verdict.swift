import StrataJobs
import Synchronization

/// What a checker found.
public enum Verdict: Sendable {
  /// The history satisfies the property.
  case valid(CheckStatistics)
  /// It does not, and this shows it.
  case invalid(Violation)
  /// The checker cannot tell: there was nothing to judge, or it ran out of time or memory.
  case unknown(reason: String)

  /// Whether the history satisfies the property for certain.
  public var isValid: Bool {
    if case .valid = self { return true }
    return false
  }

  /// Whether nothing can be said.
  public var isUnknown: Bool {
    if case .unknown = self { return true }
    return false
  }

  /// What shows that it does not.
  public var violation: Violation? {
    if case .invalid(let violation) = self { return violation }
    return nil
  }
}

/// What a verdict rests on.
public struct CheckStatistics: Hashable, Sendable {
  /// Operations judged.
  public var operations: Int
  /// Parts that were judged on their own.
  public var parts: Int
  /// Steps of the search.
  public var steps: Int
  /// What is odd and does not violate the property asked for, in a few words each.
  public var remarks: [String]

  /// Figures of one check.
  public init(operations: Int, parts: Int = 1, steps: Int = 0, remarks: [String] = []) {
    self.operations = operations
    self.parts = parts
    self.steps = steps
    self.remarks = remarks
  }
}

/// Why a history does not satisfy a property, as small as the checker could make it.
public struct Violation: Hashable, Sendable, CustomStringConvertible {
  /// The name of what is violated, the same for the same kind of defect: `linearizability`, `G1c`, `lost-update`.
  public let kind: String
  /// A paragraph for a reader who has not seen the history.
  public let explanation: String
  /// The events that contradict each other, one to a line, in order; leave one out and the rest may be right.
  public let witness: [String]
  /// A picture of the witness that stands alone as a page.
  public let html: String
  /// The other kinds of defects the checker met in the history.
  public let alsoFound: [String]
  /// Isolation levels the history cannot have been produced under, weakest first; empty outside isolation.
  public let ruledOut: [String]

  /// A violation.
  public init(
    kind: String, explanation: String, witness: [String], html: String = "", alsoFound: [String] = [], ruledOut: [String] = []
  ) {
    self.kind = kind
    self.explanation = explanation
    self.witness = witness
    self.html = html
    self.alsoFound = alsoFound
    self.ruledOut = ruledOut
  }

  /// The kind, the explanation and the witness.
  public var description: String {
    var lines = ["\(kind): \(explanation)"] + witness.map { "  " + $0 }
    if !alsoFound.isEmpty { lines.append("also found: " + alsoFound.joined(separator: ", ")) }
    if !ruledOut.isEmpty { lines.append("ruled out: " + ruledOut.joined(separator: ", ")) }
    return lines.joined(separator: "\n")
  }
}

/// How much a checker may spend before it says that it does not know.
public struct CheckBudget: Sendable {
  /// Wall-clock time.
  public var time: Duration
  /// Bytes the search may remember, as estimated.
  public var memory: Int
  /// Steps of the search in each part; the only limit whose effect is the same in every run.
  public var steps: Int
  /// Threads that may search at once; nothing for one per processor.
  public var threads: Int?
  /// Whoever holds it can end the check.
  public var cancellation: Cancellation?

  /// At most this time and memory.
  public init(
    time: Duration = .seconds(60), memory: Int = 1 << 30, steps: Int = .max, threads: Int? = nil, cancellation: Cancellation? = nil
  ) {
    self.time = time
    self.memory = memory
    self.steps = steps
    self.threads = threads
    self.cancellation = cancellation
  }

  /// The moment of the monotonic clock when the time is over, counted from now.
  var deadline: UInt64 {
    let (sum, overflow) = MonotonicClock.now().addingReportingOverflow(UInt64(clamping: max(0, time.nanoseconds)))
    return overflow ? .max : sum
  }
}

/// Ends a check from another thread; the verdict is then `unknown` unless it was reached before.
public final class Cancellation: Sendable {
  private let flag = Atomic(false)

  /// Not cancelled.
  public init() {}

  /// Ends the check that was given this, soon.
  public func cancel() { flag.store(true, ordering: .relaxed) }

  /// Whether ``cancel()`` was called.
  public var isCancelled: Bool { flag.load(ordering: .relaxed) }
}
