// LEB128: seven bits per byte, the least significant first, the high bit on all bytes but the last. One value has one encoding:
// a last byte of zero (after others) is refused as overlong, bits beyond the width as overflow.

extension ByteReader {
  /// An unsigned number of up to 64 bits in 1 to 10 bytes.
  /// - Throws: `.truncated`, `.overlong`, `.overflow`.
  @inlinable
  @inline(__always)
  public mutating func readVarint64() throws(DecodeError) -> UInt64 {
    let first = position
    if first < bytes.byteCount {
      let byte = bytes.unsafeLoad(fromUncheckedByteOffset: first, as: UInt8.self)
      if byte < 0x80 {
        position = first &+ 1
        return UInt64(byte)
      }
    }
    return try readLongVarint(bits: 64)
  }

  /// An unsigned number of up to 32 bits in 1 to 5 bytes.
  /// - Throws: `.truncated`, `.overlong`, `.overflow`.
  @inlinable
  @inline(__always)
  public mutating func readVarint32() throws(DecodeError) -> UInt32 {
    let first = position
    if first < bytes.byteCount {
      let byte = bytes.unsafeLoad(fromUncheckedByteOffset: first, as: UInt8.self)
      if byte < 0x80 {
        position = first &+ 1
        return UInt32(byte)
      }
    }
    return UInt32(truncatingIfNeeded: try readLongVarint(bits: 32))
  }

  /// A signed number in zigzag form (0, -1, 1, -2, ...) of up to 64 bits.
  @inlinable
  public mutating func readZigzag64() throws(DecodeError) -> Int64 {
    let zigzag = try readVarint64()
    return Int64(bitPattern: zigzag >> 1) ^ -Int64(bitPattern: zigzag & 1)
  }

  /// A signed number in zigzag form (0, -1, 1, -2, ...) of up to 32 bits.
  @inlinable
  public mutating func readZigzag32() throws(DecodeError) -> Int32 {
    let zigzag = try readVarint32()
    return Int32(bitPattern: zigzag >> 1) ^ -Int32(bitPattern: zigzag & 1)
  }

  @usableFromInline
  mutating func readLongVarint(bits: Int) throws(DecodeError) -> UInt64 {
    var value: UInt64 = 0
    var shift = 0
    var next = position
    while next < bytes.byteCount {
      let byte = bytes.unsafeLoad(fromUncheckedByteOffset: next, as: UInt8.self)
      next &+= 1
      let part = UInt64(byte & 0x7F)
      // The last byte a width allows holds only the bits left of it, and no other follows.
      if shift &+ 7 > bits, part >> UInt64(bits &- shift) != 0 || byte >= 0x80 { throw .overflow(at: offset) }
      value |= part &<< UInt64(shift)
      if byte < 0x80 {
        guard byte != 0 || shift == 0 else { throw .overlong(at: offset) }
        position = next
        return value
      }
      shift &+= 7
    }
    throw .truncated(at: offset, need: remaining &+ 1, have: remaining)
  }
}
