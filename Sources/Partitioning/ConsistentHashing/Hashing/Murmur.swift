/// The two MurmurHashes other systems place keys with. All arithmetic is modulo 2^32 or 2^64 by definition.
enum Murmur {
  /// MurmurHash2, 32 bits, with Kafka's seed (`org.apache.kafka.common.utils.Utils.murmur2`).
  static func hash2(_ bytes: RawSpan) -> UInt32 {
    let m: UInt32 = 0x5BD1_E995
    let count = bytes.byteCount
    var h: UInt32 = 0x9747_B28C ^ UInt32(truncatingIfNeeded: count)
    var offset = 0
    while offset &+ 4 <= count {
      var k = UInt32(littleEndian: bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self)) &* m
      k = (k ^ (k >> 24)) &* m
      h = (h &* m) ^ k
      offset &+= 4
    }
    if offset < count {
      for index in (offset..<count).reversed() { h ^= UInt32(byte(bytes, index)) << UInt32(8 &* (index &- offset)) }
      h = h &* m
    }
    h = (h ^ (h >> 13)) &* m
    return h ^ (h >> 15)
  }

  /// The token of Cassandra's Murmur3Partitioner: the first half of MurmurHash3_x64_128 with seed 0, in which Cassandra takes the bytes of
  /// the last incomplete block as signed; the smallest number becomes the largest.
  static func token(_ bytes: RawSpan) -> Int64 {
    let c1: UInt64 = 0x87C3_7B91_1142_53D5
    let c2: UInt64 = 0x4CF5_AD43_2745_937F
    func scramble(_ k: UInt64, _ first: UInt64, _ rotation: UInt64, _ second: UInt64) -> UInt64 { rotate(k &* first, rotation) &* second }
    let count = bytes.byteCount
    var h1: UInt64 = 0
    var h2: UInt64 = 0
    var offset = 0
    while offset &+ 16 <= count {
      h1 ^= scramble(word(bytes, offset), c1, 31, c2)
      h1 = (rotate(h1, 27) &+ h2) &* 5 &+ 0x52DC_E729
      h2 ^= scramble(word(bytes, offset &+ 8), c2, 33, c1)
      h2 = (rotate(h2, 31) &+ h1) &* 5 &+ 0x3849_5AB5
      offset &+= 16
    }
    func tail(_ range: Range<Int>) -> UInt64 {
      var k: UInt64 = 0
      for index in range {
        k ^= UInt64(bitPattern: Int64(Int8(bitPattern: byte(bytes, index)))) << UInt64(8 &* (index &- range.lowerBound))
      }
      return k
    }
    if count > offset &+ 8 { h2 ^= scramble(tail(offset &+ 8..<count), c2, 33, c1) }
    if count > offset { h1 ^= scramble(tail(offset..<min(count, offset &+ 8)), c1, 31, c2) }
    h1 ^= UInt64(count)
    h2 ^= UInt64(count)
    h1 = h1 &+ h2
    h2 = h2 &+ h1
    let result = Int64(bitPattern: finish(h1) &+ finish(h2))
    return result == .min ? .max : result
  }

  /// The finaliser of MurmurHash3: a bijection that spreads every bit.
  static func finish(_ value: UInt64) -> UInt64 {
    var h = value
    h = (h ^ (h >> 33)) &* 0xFF51_AFD7_ED55_8CCD
    h = (h ^ (h >> 33)) &* 0xC4CE_B9FE_1A85_EC53
    return h ^ (h >> 33)
  }

  private static func rotate(_ x: UInt64, _ k: UInt64) -> UInt64 { (x << k) | (x >> (64 &- k)) }

  private static func byte(_ bytes: RawSpan, _ offset: Int) -> UInt8 { bytes.unsafeLoad(fromByteOffset: offset, as: UInt8.self) }

  private static func word(_ bytes: RawSpan, _ offset: Int) -> UInt64 {
    UInt64(littleEndian: bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
  }
}
