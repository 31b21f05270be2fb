/// How a ring's members get their tokens.
public struct Allocation: Sendable, Hashable {
  enum Rule: Sendable, Hashable {
    case hashed(seed: UInt64)
    case envoy
    case ketama(KetamaDialect)
    case balanced(tokensPerNode: Int)
  }

  let rule: Rule

  /// Token i of a node is the hash of `<id>:<i>`. The ring is a function of its members alone.
  public static let hashed = Allocation(rule: .hashed(seed: 0))

  /// As ``hashed``, by the hash with this seed where it takes one (XXH64): rings of the same members that place keys differently.
  public static func hashed(seed: UInt64) -> Allocation { Allocation(rule: .hashed(seed: seed)) }

  /// Envoy's ring hash: token i of a node is the hash of `<id>_<i>`.
  public static let envoy = Allocation(rule: .envoy)

  /// Few tokens, placed where they even out the shares of all copies (the aim of Cassandra's allocator, CASSANDRA-7032): a new member's
  /// tokens split the ranges of those who hold too much, counted over the ring's replication factor.
  ///
  /// The tokens are a result of the ring's history and cannot be found from names: keep the ring's ``RingState``.
  public static func balanced(tokensPerNode: Int = 16) -> Allocation { Allocation(rule: .balanced(tokensPerNode: tokensPerNode)) }
}

/// Which of ketama's two forms: they differ in how a server is named and how its points are counted.
public enum KetamaDialect: UInt8, Sendable, Hashable, Codable {
  /// As libketama: ⌊share · 40 · n⌋ digests of `<addr>-<k>`.
  case libketama = 1
  /// As libmemcached with weights (`MEMCACHED_BEHAVIOR_KETAMA_WEIGHTED`): the name of a server on port 11211 is its host alone, and 1e-10 is
  /// added before rounding down.
  case libmemcached = 2
}
