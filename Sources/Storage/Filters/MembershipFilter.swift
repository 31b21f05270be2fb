import StrataBytes

/// Answers "surely absent" or "perhaps present" for a key, from its hash.
///
/// A key is hashed once, with ``FilterHash`` and the ``seed`` of the filter, and the 64 bits serve every filter of that seed: ask many filters with
/// ``mayContain(hash:)``. Asking is O(1), takes no memory and is safe from any number of threads. No answer but `false` is certain.
public protocol MembershipFilter: Sendable, ~Copyable, ~Escapable {
  /// The seed that keys are hashed with.
  var seed: UInt64 { get }

  /// `false`: surely absent. `true`: perhaps present.
  func mayContain(hash: UInt64) -> Bool

  /// Asks for many keys at once: sets bit *i* of `answers` where the key of `hashes[i]` is perhaps present and clears it where it is surely absent.
  /// `answers` must have room for all of them. Filters larger than the caches fetch what several keys need at the same time.
  func mayContain(hashes: Span<UInt64>, into answers: inout BitMask)
}

extension MembershipFilter where Self: ~Copyable & ~Escapable {
  /// `false`: the key of these bytes is surely absent. O(length), for the hash.
  @inlinable
  public func mayContain(_ key: RawSpan) -> Bool { mayContain(hash: FilterHash.hash64(key, seed: seed)) }

  /// `false`: the key of these bytes is surely absent. O(length), for the hash.
  @inlinable
  public func mayContain(_ key: [UInt8]) -> Bool { mayContain(key.span.bytes) }

  /// `false`: the key that is this text in UTF-8 is surely absent. O(length), for the hash.
  @inlinable
  public func mayContain(_ key: String) -> Bool { mayContain(hash: FilterHash.hash64(key, seed: seed)) }

  /// One key after the other, for filters without a faster way.
  public func mayContain(hashes: Span<UInt64>, into answers: inout BitMask) {
    answers.fill(hashes.count) { mayContain(hash: hashes[$0]) }
  }
}
