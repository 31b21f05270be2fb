/// Reads fields from borrowed bytes, front to back, checking every one.
///
/// Bytes from a disk, a network or a user pass through here: whatever they are, a read gives a value or throws ``DecodeError``; it never
/// traps and never takes memory. A read that throws leaves the reader where it was. Integers are little-endian unless the name says
/// otherwise. The reader is a value tied to the bytes' lifetime; copies read on their own.
public struct ByteReader: ~Escapable {
  @usableFromInline let bytes: RawSpan
  @usableFromInline let base: Int
  @usableFromInline var position = 0

  /// A reader of `bytes`. `base` is what errors and ``offset`` call the first byte: the offset in the file these bytes came from.
  @inlinable
  @_lifetime(copy bytes)
  public init(_ bytes: RawSpan, base: Int = 0) {
    self.bytes = bytes
    self.base = base
  }

  /// Where the next read begins, counted from `base`.
  @inlinable public var offset: Int { base &+ position }  // cannot trap whatever base a caller made of a damaged header

  /// How many bytes are left.
  @inlinable public var remaining: Int { bytes.byteCount &- position }  // position never passes the end

  /// Whether all bytes have been read.
  @inlinable public var isAtEnd: Bool { position == bytes.byteCount }

  /// Checks that `count` bytes are left and steps over them; gives the position of the first. A negative count is refused as one
  /// beyond any length.
  @inlinable
  @inline(__always)
  mutating func take(_ count: Int) throws(DecodeError) -> Int {
    let first = position
    guard UInt(bitPattern: count) <= UInt(bitPattern: remaining) else {
      throw .truncated(at: offset, need: count, have: remaining)
    }
    position = first &+ count
    return first
  }

  @inlinable
  @inline(__always)
  mutating func readRaw<T: FixedWidthInteger & BitwiseCopyable>(_: T.Type) throws(DecodeError) -> T {
    let first = try take(MemoryLayout<T>.size)
    // `take` has checked the bounds.
    return bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: first, as: T.self)
  }

  // MARK: Fixed width

  /// The next byte.
  @inlinable public mutating func readUInt8() throws(DecodeError) -> UInt8 { try readRaw(UInt8.self) }

  /// Two bytes, the least significant first.
  @inlinable public mutating func readUInt16() throws(DecodeError) -> UInt16 { UInt16(littleEndian: try readRaw(UInt16.self)) }

  /// Four bytes, the least significant first.
  @inlinable public mutating func readUInt32() throws(DecodeError) -> UInt32 { UInt32(littleEndian: try readRaw(UInt32.self)) }

  /// Eight bytes, the least significant first.
  @inlinable public mutating func readUInt64() throws(DecodeError) -> UInt64 { UInt64(littleEndian: try readRaw(UInt64.self)) }

  /// Four bytes in two's complement, the least significant first.
  @inlinable public mutating func readInt32() throws(DecodeError) -> Int32 { Int32(bitPattern: try readUInt32()) }

  /// Eight bytes in two's complement, the least significant first.
  @inlinable public mutating func readInt64() throws(DecodeError) -> Int64 { Int64(bitPattern: try readUInt64()) }

  /// An IEEE 754 double, the least significant byte first.
  @inlinable public mutating func readDouble() throws(DecodeError) -> Double { Double(bitPattern: try readUInt64()) }

  /// Two bytes, the most significant first.
  @inlinable public mutating func readUInt16BigEndian() throws(DecodeError) -> UInt16 { UInt16(bigEndian: try readRaw(UInt16.self)) }

  /// Four bytes, the most significant first.
  @inlinable public mutating func readUInt32BigEndian() throws(DecodeError) -> UInt32 { UInt32(bigEndian: try readRaw(UInt32.self)) }

  /// Eight bytes, the most significant first.
  @inlinable public mutating func readUInt64BigEndian() throws(DecodeError) -> UInt64 { UInt64(bigEndian: try readRaw(UInt64.self)) }

  // MARK: Bytes

  /// The next `count` bytes, borrowed from what the reader reads: no copy.
  @inlinable
  @_lifetime(copy self)
  public mutating func readBytes(_ count: Int) throws(DecodeError) -> RawSpan {
    let first = try take(count)
    return bytes.extracting(unchecked: Range(uncheckedBounds: (first, first &+ count)))
  }

  /// All bytes left, borrowed.
  @inlinable
  @_lifetime(copy self)
  public mutating func readRest() -> RawSpan {
    let first = position
    position = bytes.byteCount
    return bytes.extracting(unchecked: Range(uncheckedBounds: (first, position)))
  }

  /// A reader of the next `count` bytes alone, whose offsets go on counting from the same base; this one steps over them.
  @inlinable
  @_lifetime(copy self)
  public mutating func subreader(_ count: Int) throws(DecodeError) -> ByteReader {
    let base = offset
    return ByteReader(try readBytes(count), base: base)
  }

  /// Bytes behind their length as a varint, borrowed.
  /// - Parameter limit: the most bytes the field may have; checked before the bytes left are.
  /// - Throws: `.limitExceeded` naming `field`, `.truncated`, `.overlong`, `.overflow`.
  @inlinable
  @_lifetime(copy self)
  public mutating func readLengthPrefixed(limit: Int, field: String) throws(DecodeError) -> RawSpan {
    let start = position
    let count = try readCount(limit: limit, field: field)
    guard count <= remaining else {
      let have = remaining
      position = start
      throw .truncated(at: offset, need: count, have: have)
    }
    return try readBytes(count)
  }

  /// A count or length as a varint that must not be above `limit`; what it counts may then be allocated.
  /// - Throws: `.limitExceeded` naming `field`, `.truncated`, `.overlong`, `.overflow`.
  @inlinable
  public mutating func readCount(limit: Int, field: String) throws(DecodeError) -> Int {
    let start = position
    let count = try readVarint64()
    guard limit >= 0, count <= UInt64(limit) else {
      position = start
      throw .limitExceeded(at: offset, field: field, limit: limit)
    }
    return Int(count)
  }

  /// Steps over `count` bytes.
  @inlinable public mutating func skip(_ count: Int) throws(DecodeError) { _ = try take(count) }

  // MARK: What formats share

  /// Steps over `magic`, the ASCII that a format begins with.
  /// - Throws: `.badMagic` where other bytes are there, `.truncated` where too few are.
  public mutating func readMagic(_ magic: StaticString) throws(DecodeError) {
    let start = position
    let found = try readBytes(magic.utf8CodeUnitCount)
    let equal = magic.withUTF8Buffer { magic in found.withUnsafeBytes { compare($0, UnsafeRawBufferPointer(magic)) == 0 } }
    guard equal else {
      position = start
      throw .badMagic(at: offset)
    }
  }

  /// Reads a stored CRC-32C and holds it against the bytes from `start` (an ``offset`` of this reader) up to where it is stored.
  /// - Throws: `.checksumMismatch`, `.truncated`. A `start` that is not behind the reader is a programmer's error.
  public mutating func readChecksum(since start: Int) throws(DecodeError) {
    let first = start &- base
    precondition(first >= 0 && first <= position, "a checksum covers bytes already read")
    let end = position
    let expected = try readUInt32()
    let actual = crc32c(bytes.extracting(unchecked: first..<end))
    guard expected == actual else {
      position = end
      throw .checksumMismatch(at: offset, expected: expected, actual: actual, range: start..<max(start, offset))
    }
  }

  /// Demands that nothing is left.
  /// - Throws: `.malformed` naming `field`.
  @inlinable
  public func expectEnd(of field: String) throws(DecodeError) {
    guard isAtEnd else { throw .malformed(at: offset, field: "\(field), which ends before here,") }
  }
}
