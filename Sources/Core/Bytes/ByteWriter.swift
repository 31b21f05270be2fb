/// Builds bytes field by field: the counterpart of ``ByteReader``. Integers are little-endian unless the name says otherwise.
///
/// Owned by one place at a time and not shared. Writing is amortised O(bytes written); a writer that is emptied and filled again
/// allocates nothing once it has grown.
public struct ByteWriter: ~Copyable {
  @usableFromInline var storage: [UInt8]

  /// An empty writer with room for `capacity` bytes.
  @inlinable
  public init(capacity: Int = 0) {
    storage = []
    storage.reserveCapacity(capacity)
  }

  /// An empty writer in the memory of `bytes`, whose contents are dropped.
  @inlinable
  public init(reusing bytes: consuming [UInt8]) {
    storage = bytes
    storage.removeAll(keepingCapacity: true)
  }

  /// How many bytes have been written.
  @inlinable public var count: Int { storage.count }

  /// What has been written, borrowed until the next write.
  @inlinable public var bytes: RawSpan {
    @_lifetime(borrow self) get { storage.span.bytes }
  }

  /// What has been written; ends the writer, copies nothing.
  @inlinable public consuming func finish() -> [UInt8] { storage }

  /// Makes room for `count` bytes more.
  @inlinable public mutating func reserve(_ count: Int) { storage.reserveCapacity(storage.count + count) }

  /// Drops everything written and keeps the memory.
  @inlinable public mutating func removeAll() { storage.removeAll(keepingCapacity: true) }

  /// Drops what was written after the first `count` bytes, which must have been written.
  @inlinable public mutating func truncate(to count: Int) { storage.removeLast(storage.count - count) }

  @inlinable
  @inline(__always)
  mutating func writeRaw<T: FixedWidthInteger & BitwiseCopyable>(_ value: T) {
    withUnsafeBytes(of: value) { storage.append(contentsOf: $0) }
  }

  // MARK: Fixed width

  /// One byte.
  @inlinable public mutating func writeUInt8(_ value: UInt8) { storage.append(value) }

  /// Two bytes, the least significant first.
  @inlinable public mutating func writeUInt16(_ value: UInt16) { writeRaw(value.littleEndian) }

  /// Four bytes, the least significant first.
  @inlinable public mutating func writeUInt32(_ value: UInt32) { writeRaw(value.littleEndian) }

  /// Eight bytes, the least significant first.
  @inlinable public mutating func writeUInt64(_ value: UInt64) { writeRaw(value.littleEndian) }

  /// Four bytes in two's complement, the least significant first.
  @inlinable public mutating func writeInt32(_ value: Int32) { writeRaw(value.littleEndian) }

  /// Eight bytes in two's complement, the least significant first.
  @inlinable public mutating func writeInt64(_ value: Int64) { writeRaw(value.littleEndian) }

  /// An IEEE 754 double, the least significant byte first.
  @inlinable public mutating func writeDouble(_ value: Double) { writeRaw(value.bitPattern.littleEndian) }

  /// Two bytes, the most significant first.
  @inlinable public mutating func writeUInt16BigEndian(_ value: UInt16) { writeRaw(value.bigEndian) }

  /// Four bytes, the most significant first.
  @inlinable public mutating func writeUInt32BigEndian(_ value: UInt32) { writeRaw(value.bigEndian) }

  /// Eight bytes, the most significant first.
  @inlinable public mutating func writeUInt64BigEndian(_ value: UInt64) { writeRaw(value.bigEndian) }

  // MARK: Varints

  /// An unsigned number in 1 to 10 bytes of seven bits each (LEB128).
  @inlinable
  public mutating func writeVarint64(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      storage.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    storage.append(UInt8(truncatingIfNeeded: rest))
  }

  /// An unsigned number in 1 to 5 bytes of seven bits each (LEB128).
  @inlinable public mutating func writeVarint32(_ value: UInt32) { writeVarint64(UInt64(value)) }

  /// A signed number in zigzag form, which keeps small negative numbers short.
  @inlinable public mutating func writeZigzag64(_ value: Int64) { writeVarint64(UInt64(bitPattern: (value << 1) ^ (value >> 63))) }

  /// A signed number in zigzag form, which keeps small negative numbers short.
  @inlinable public mutating func writeZigzag32(_ value: Int32) { writeVarint32(UInt32(bitPattern: (value << 1) ^ (value >> 31))) }

  /// How many bytes ``writeVarint64(_:)`` takes for `value`.
  @inlinable
  public static func varintLength(_ value: UInt64) -> Int { (70 - (value | 1).leadingZeroBitCount) / 7 }

  // MARK: Bytes

  /// `bytes` as they are.
  @inlinable
  public mutating func writeBytes(_ bytes: RawSpan) { bytes.withUnsafeBytes { storage.append(contentsOf: $0) } }

  /// `bytes` as they are.
  @inlinable
  public mutating func writeBytes(_ bytes: [UInt8]) { storage.append(contentsOf: bytes) }

  /// The ASCII that a format begins with.
  public mutating func writeMagic(_ magic: StaticString) { magic.withUTF8Buffer { storage.append(contentsOf: $0) } }

  /// The length of `bytes` as a varint, then `bytes`.
  @inlinable
  public mutating func writeLengthPrefixed(_ bytes: RawSpan) {
    writeVarint64(UInt64(bytes.byteCount))
    writeBytes(bytes)
  }

  /// The length of `bytes` as a varint, then `bytes`.
  @inlinable
  public mutating func writeLengthPrefixed(_ bytes: [UInt8]) {
    writeVarint64(UInt64(bytes.count))
    writeBytes(bytes)
  }

  /// `count` zero bytes.
  @inlinable
  public mutating func writeZeros(_ count: Int) { storage.append(contentsOf: repeatElement(0, count: count)) }

  /// The CRC-32C of everything written from offset `start` on.
  public mutating func writeChecksum(since start: Int) {
    writeUInt32(crc32c(storage.span.bytes.extracting(start..<storage.count)))
  }

  // MARK: Later corrections

  /// Replaces the four bytes at `offset`, which must have been written: for a length or checksum known only afterwards.
  @inlinable
  public mutating func overwriteUInt32(_ value: UInt32, at offset: Int) { overwrite(value.littleEndian, at: offset) }

  /// Replaces the eight bytes at `offset`, which must have been written.
  @inlinable
  public mutating func overwriteUInt64(_ value: UInt64, at offset: Int) { overwrite(value.littleEndian, at: offset) }

  @inlinable
  mutating func overwrite<T: FixedWidthInteger & BitwiseCopyable>(_ value: T, at offset: Int) {
    precondition(offset >= 0 && offset <= count - MemoryLayout<T>.size, "only written bytes can be replaced")
    storage.withUnsafeMutableBytes { $0.storeBytes(of: value, toByteOffset: offset, as: T.self) }
  }
}
