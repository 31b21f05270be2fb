import StrataJobs

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

  /// Figures of one check.
  public init(operations: Int, parts: Int = 1, steps: Int = 0) {
    self.operations = operations
    self.parts = parts
    self.steps = steps
  }
}

/// Why a history does not satisfy a property, as small as the checker could make it.
public struct Violation: Hashable, Sendable, CustomStringConvertible {
  /// The name of what is violated, the same for the same kind of defect: `linearizability`, `G1c`, `lost update`.
  public let kind: String
  /// A paragraph for a reader who has not seen the history.
  public let explanation: String
  /// The events that contradict each other, one to a line, in order; leave one out and the rest may be right.
  public let witness: [String]
  /// A picture of the witness that stands alone as a page.
  public let html: String

  /// A violation.
  public init(kind: String, explanation: String, witness: [String], html: String = "") {
    self.kind = kind
    self.explanation = explanation
    self.witness = witness
    self.html = html
  }

  /// The kind, the explanation and the witness.
  public var description: String { (["\(kind): \(explanation)"] + witness.map { "  " + $0 }).joined(separator: "\n") }
}

/// How much a checker may spend before it says that it does not know.
public struct CheckBudget: Hashable, Sendable {
  /// Wall-clock time.
  public var time: Duration
  /// Bytes the search may remember, as estimated.
  public var memory: Int

  /// At most this time and memory.
  public init(time: Duration = .seconds(60), memory: Int = 1 << 30) {
    self.time = time
    self.memory = memory
  }
}
