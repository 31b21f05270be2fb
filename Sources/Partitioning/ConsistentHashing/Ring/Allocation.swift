/// How a ring's members get their tokens.
public struct Allocation: Sendable, Hashable {
  enum Rule: Sendable, Hashable {
    case hashed(seed: UInt64)
  }

  let rule: Rule

  /// Token i of a node is the hash of `<id>:<i>`. The ring is a function of its members alone.
  public static let hashed = Allocation(rule: .hashed(seed: 0))

  /// As ``hashed``, by the hash with this seed where it takes one (XXH64): rings of the same members that place keys differently.
  public static func hashed(seed: UInt64) -> Allocation { Allocation(rule: .hashed(seed: seed)) }
}
