import StrataBytes

/// The keys from `lower` on and below `upper`, or all from `lower` on where there is no `upper`. Keys are ordered by their bytes.
public struct KeyRange: Sendable, Hashable {
  /// The first key that may be in the range.
  public var lower: [UInt8]
  /// The first key beyond it; nil for none.
  public var upper: [UInt8]?

  public init(lower: [UInt8], upper: [UInt8]?) {
    self.lower = lower
    self.upper = upper
  }

  /// Every key.
  public static let all = KeyRange(lower: [], upper: nil)

  /// Whether no key can be in it.
  public var isEmpty: Bool {
    guard let upper else { return false }
    return !isLess(lower, upper)
  }

  /// Whether `key` is in it.
  public func contains(_ key: [UInt8]) -> Bool {
    if isLess(key, lower) { return false }
    guard let upper else { return true }
    return isLess(key, upper)
  }

  /// Whether every key of `other` is in it.
  public func contains(_ other: KeyRange) -> Bool {
    if other.isEmpty { return true }
    return !isLess(other.lower, lower) && !endsBefore(other.upper)
  }

  /// Whether some key may be in both.
  public func overlaps(_ other: KeyRange) -> Bool {
    func begins(_ a: KeyRange, beforeEndOf b: KeyRange) -> Bool { b.upper.map { isLess(a.lower, $0) } ?? true }
    return !isEmpty && !other.isEmpty && begins(self, beforeEndOf: other) && begins(other, beforeEndOf: self)
  }

  /// Whether the range ends before one that ends at `bound` does.
  func endsBefore(_ bound: [UInt8]?) -> Bool {
    guard let upper else { return false }
    guard let bound else { return true }
    return isLess(upper, bound)
  }
}

extension KeyRange: CustomStringConvertible {
  public var description: String { "\(hexText(lower))..<\(upper.map { hexText($0) } ?? "")" }
}

/// The order of keys.
@inline(__always)
func isLess(_ a: [UInt8], _ b: [UInt8]) -> Bool { compare(a.span.bytes, b.span.bytes) < 0 }

/// The shortest bytes above `before` and not above `after`, which follows it: a bound between two neighbouring keys.
func shortestBound(after before: some Collection<UInt8>, upTo after: [UInt8]) -> [UInt8] {
  let shared = zip(before, after).prefix { $0 == $1 }.count
  return Array(after.prefix(shared + 1))
}
