/// What a transaction looks for among registers: those whose value makes it true. A register that was never written makes none true.
public enum RegisterCondition: Hashable, Sendable, CustomStringConvertible {
  /// Every register that has a value.
  case everything
  /// Those that hold this value.
  case equal(Int)
  /// Those whose value leaves this remainder when divided; a divisor of 0 divides nothing.
  case divided(by: Int, leaves: Int)
  /// Those whose value lies in this range.
  case within(ClosedRange<Int>)

  /// Whether a value makes it true.
  public func holds(for value: Int) -> Bool {
    switch self {
    case .everything: true
    case .equal(let wanted): value == wanted
    case .divided(let divisor, let remainder): divisor != 0 && divisor != -1 ? value % divisor == remainder : divisor == -1 && remainder == 0
    case .within(let range): range.contains(value)
    }
  }

  /// As `value % 3 = 0`.
  public var description: String {
    switch self {
    case .everything: "everything"
    case .equal(let value): "value = \(value)"
    case .divided(let divisor, let remainder): "value % \(divisor) = \(remainder)"
    case .within(let range): "value in \(range.lowerBound)...\(range.upperBound)"
    }
  }
}
