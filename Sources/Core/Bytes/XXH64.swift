// XXH64 (Collet, "xxHash fast digest algorithm", format specification 0.1.1). Additions and multiplications are modulo 2^64 by definition.
//
// Keys are short: what fewer than 32 bytes need is inlined into the caller, who often knows the length; the lanes for longer ones are a call.

/// XXH64 of `bytes`: a fast, well-mixed 64-bit hash for filters, hash tables and partitioning.
///
/// The same on every machine and in every process, so it may be stored. Never use it for integrity: it is not a checksum of record
/// and not secret. Pure; safe from any thread; O(n).
@inlinable
@inline(__always)
public func xxh64(_ bytes: RawSpan, seed: UInt64 = 0) -> UInt64 {
  bytes.withUnsafeBytes { xxh64($0, seed: seed) }
}

/// As ``xxh64(_:seed:)-(RawSpan,_)`` for callers that already hold a pointer.
@inlinable
@inline(__always)
package func xxh64(_ bytes: UnsafeRawBufferPointer, seed: UInt64) -> UInt64 {
  if bytes.count >= 32 { return XXH64.long(bytes, seed: seed) }
  return XXH64.finish(seed &+ XXH64.prime5 &+ UInt64(truncatingIfNeeded: bytes.count), bytes, from: 0)
}

@usableFromInline
enum XXH64 {
  @inlinable static var prime1: UInt64 { 0x9E37_79B1_85EB_CA87 }
  @inlinable static var prime2: UInt64 { 0xC2B2_AE3D_27D4_EB4F }
  @inlinable static var prime3: UInt64 { 0x1656_67B1_9E37_79F9 }
  @inlinable static var prime4: UInt64 { 0x85EB_CA77_C2B2_AE63 }
  @inlinable static var prime5: UInt64 { 0x27D4_EB2F_1656_67C5 }

  /// Of 32 bytes or more: four lanes, then the rest.
  @usableFromInline
  @inline(never)
  static func long(_ bytes: UnsafeRawBufferPointer, seed: UInt64) -> UInt64 {
    var position = 0
    var a = seed &+ prime1 &+ prime2
    var b = seed &+ prime2
    var c = seed
    var d = seed &- prime1
    while position &+ 32 <= bytes.count {
      a = round(a, word(bytes, position))
      b = round(b, word(bytes, position &+ 8))
      c = round(c, word(bytes, position &+ 16))
      d = round(d, word(bytes, position &+ 24))
      position &+= 32
    }
    var hash = rotate(a, 1) &+ rotate(b, 7) &+ rotate(c, 12) &+ rotate(d, 18)
    hash = merge(merge(merge(merge(hash, a), b), c), d)
    return finish(hash &+ UInt64(truncatingIfNeeded: bytes.count), bytes, from: position)
  }

  /// Mixes in the last bytes (fewer than 32) and spreads every bit over the result.
  @inlinable
  @inline(__always)
  static func finish(_ seedAndLanes: UInt64, _ bytes: UnsafeRawBufferPointer, from first: Int) -> UInt64 {
    var hash = seedAndLanes
    var position = first
    let count = bytes.count
    while position &+ 8 <= count {
      hash = rotate(hash ^ round(0, word(bytes, position)), 27) &* prime1 &+ prime4
      position &+= 8
    }
    if position &+ 4 <= count {
      let half = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt32.self))
      hash = rotate(hash ^ (UInt64(half) &* prime1), 23) &* prime2 &+ prime3
      position &+= 4
    }
    while position < count {
      hash = rotate(hash ^ (UInt64(bytes[position]) &* prime5), 11) &* prime1
      position &+= 1
    }
    hash = (hash ^ (hash >> 33)) &* prime2
    hash = (hash ^ (hash >> 29)) &* prime3
    return hash ^ (hash >> 32)
  }

  @inlinable
  @inline(__always)
  static func word(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> UInt64 {
    UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
  }

  @inlinable
  @inline(__always)
  static func rotate(_ x: UInt64, _ k: UInt64) -> UInt64 { (x &<< k) | (x &>> (64 &- k)) }

  @inlinable
  @inline(__always)
  static func round(_ lane: UInt64, _ input: UInt64) -> UInt64 { rotate(lane &+ input &* prime2, 31) &* prime1 }

  @inline(__always)
  private static func merge(_ hash: UInt64, _ lane: UInt64) -> UInt64 { (hash ^ round(0, lane)) &* prime1 &+ prime4 }
}
