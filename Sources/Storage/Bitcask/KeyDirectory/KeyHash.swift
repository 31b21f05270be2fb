import StrataBytes

/// The 64-bit hash of a key, cut into the directory's fields.
struct KeyHash: Sendable, Hashable {
  let value: UInt64

  init(_ value: UInt64) { self.value = value }

  @inline(__always)
  init(of key: UnsafeRawBufferPointer) { value = xxh64(key.bytes, seed: 0) }

  /// Which shard: the top 8 bits.
  @inline(__always) var shard: Int { Int(value >> 56) }
  /// What a slot keeps: the next 32.
  @inline(__always) var tag: UInt32 { UInt32(truncatingIfNeeded: value >> 24) }
  /// The rest, kept in fingerprint mode.
  @inline(__always) var rest: UInt32 { UInt32(truncatingIfNeeded: value & 0xFF_FFFF) }
}
