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

  /// A varint of more than one byte, or a failure: all of it from one word where eight bytes are left and it ends among them.
  @inlinable
  mutating func readLongVarint(bits: Int) throws(DecodeError) -> UInt64 {
    if remaining >= 8 {
      let word = UInt64(littleEndian: bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: position, as: UInt64.self))
      let ends = ~word & 0x8080_8080_8080_8080
      if ends != 0 {
        let length = ends.trailingZeroBitCount / 8 + 1
        // Up to the first end, then the gaps of the high bits closed pairwise.
        var value = word & (ends ^ (ends &- 1)) & 0x7F7F_7F7F_7F7F_7F7F
        value = (value & 0x007F_007F_007F_007F) | ((value & 0x7F00_7F00_7F00_7F00) >> 1)
        value = (value & 0x0000_3FFF_0000_3FFF) | ((value & 0x3FFF_0000_3FFF_0000) >> 2)
        value = (value & 0x0000_0000_0FFF_FFFF) | ((value & 0x0FFF_FFFF_0000_0000) >> 4)
        guard bits == 64 || (length <= 5 && value >> 32 == 0) else { throw .overflow(at: offset) }
        guard length == 1 || value &>> UInt64(7 &* (length &- 1)) != 0 else { throw .overlong(at: offset) }
        position &+= length
        return value
      }
    }
    return try readVarintByBytes(bits: bits)
  }

  @usableFromInline
  mutating func readVarintByBytes(bits: Int) throws(DecodeError) -> UInt64 {
    var value: UInt64 = 0
    var shift = 0
    var next = position
    let end = bytes.byteCount
    while next < end {
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
