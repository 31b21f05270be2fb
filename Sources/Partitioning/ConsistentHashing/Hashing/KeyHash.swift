public import StrataBytes

/// The function that gives a key its position. It is part of a placement, stored with it, and refused where it is unknown.
///
/// Every one gives the same position on every machine and in every process; none is Swift's `Hasher`.
public enum KeyHash: UInt8, Sendable, Hashable, Codable, CaseIterable {
  /// XXH64 with seed 0: all 64 bits. The default.
  case xxh64 = 1
  /// The first four bytes of the key's MD5, the least significant first: 32 bits, as libketama and libmemcached do.
  case md5Ketama = 2
  /// MurmurHash2 as Kafka's default partitioner takes it, the sign bit cleared: 31 bits.
  case murmur2Kafka = 3
  /// Cassandra's Murmur3Partitioner: 64 bits. A position is the signed token with its sign bit flipped, so that positions ascend as tokens do.
  case murmur3Token = 4
  /// Redis Cluster's slot: CRC-16/XMODEM of the key or of its `{hash tag}`, modulo 16384: 14 bits.
  case crc16Slot = 5

  /// How many bits a position has.
  @inlinable
  public var bits: Int {
    switch self {
    case .xxh64, .murmur3Token: 64
    case .md5Ketama: 32
    case .murmur2Kafka: 31
    case .crc16Slot: 14
    }
  }

  /// The largest position.
  @inlinable
  public var lastPosition: UInt64 { UInt64.max >> UInt64(64 &- bits) }

  /// The position of a key. O(length); takes no memory.
  @inlinable
  @inline(__always)
  public func position(of key: RawSpan) -> UInt64 {
    if self == .xxh64 { return StrataBytes.xxh64(key) }
    return rarePosition(of: key)
  }

  @usableFromInline
  func rarePosition(of key: RawSpan) -> UInt64 {
    switch self {
    case .xxh64: StrataBytes.xxh64(key)
    case .md5Ketama: UInt64(MD5.digest(key).words.0)
    case .murmur2Kafka: UInt64(Murmur.hash2(key) & 0x7FFF_FFFF)
    case .murmur3Token: UInt64(bitPattern: Murmur.token(key)) ^ (1 << 63)
    case .crc16Slot: UInt64(CRC16.slot(key))
    }
  }

  /// The position a ring gives a node's token of this name: as for a key, except that a slot has no hash tag and XXH64 has the ring's seed.
  func tokenPosition(of name: RawSpan, seed: UInt64) -> UInt64 {
    switch self {
    case .xxh64: StrataBytes.xxh64(name, seed: seed)
    case .crc16Slot: UInt64(CRC16.checksum(name) & 0x3FFF)
    default: rarePosition(of: name)
    }
  }
}
