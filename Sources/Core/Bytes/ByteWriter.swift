/// Builds bytes field by field: the counterpart of ``ByteReader``. Integers are little-endian unless the name says otherwise.
///
/// Owned by one place at a time and not shared. Writing is amortised O(bytes written); a writer that is emptied and filled again
/// allocates nothing once it has grown.
///
/// The memory is the writer's own rather than an array's, which would be asked at every field whether it is shared.
public struct ByteWriter: ~Copyable {
  @usableFromInline var storage: UnsafeMutableRawPointer
  @usableFromInline var capacity: Int
  @usableFromInline var written = 0

  /// An empty writer with room for `capacity` bytes.
  @inlinable
  public init(capacity: Int = 0) {
    self.capacity = max(capacity, 32)
    storage = .allocate(byteCount: self.capacity, alignment: 16)
  }

  /// A writer that has already written `bytes`.
  @inlinable
  public init(beginningWith bytes: [UInt8]) {
    self.init(capacity: bytes.count)
    writeBytes(bytes)
  }

  @inlinable deinit { storage.deallocate() }

  /// How many bytes have been written.
  @inlinable public var count: Int { written }

  /// What has been written, borrowed until the next write. Handing this on and then ``removeAll()`` is the way without any copy.
  @inlinable public var bytes: RawSpan {
    @_lifetime(borrow self) get {
      // The first `written` bytes are initialised and live until the next mutation, which the borrow keeps out.
      _overrideLifetime(RawSpan(_unsafeStart: storage, byteCount: written), borrowing: self)
    }
  }

  /// A copy of what has been written; ends the writer.
  @inlinable
  public consuming func finish() -> [UInt8] {
    let source = UnsafeRawBufferPointer(start: storage, count: written)
    return [UInt8](unsafeUninitializedCapacity: source.count) { target, initialized in
      UnsafeMutableRawBufferPointer(target).copyMemory(from: source)
      initialized = source.count
    }
  }

  /// Makes room for `count` bytes more.
  @inlinable
  @inline(__always)
  public mutating func reserve(_ count: Int) {
    if capacity &- written < count { grow(by: count) }  // no overflow: 0 <= written <= capacity
  }

  /// Drops everything written and keeps the memory.
  @inlinable public mutating func removeAll() { written = 0 }

  /// Drops what was written after the first `count` bytes, which must have been written.
  @inlinable
  public mutating func truncate(to count: Int) {
    precondition(count >= 0 && count <= written, "only written bytes can be dropped")
    written = count
  }

  @usableFromInline
  @inline(never)
  mutating func grow(by count: Int) {
    let size = max(written + count, capacity * 2)
    let larger = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16)
    larger.copyMemory(from: storage, byteCount: written)
    storage.deallocate()
    storage = larger
    capacity = size
  }

  @inlinable
  @inline(__always)
  mutating func writeRaw<T: FixedWidthInteger & BitwiseCopyable>(_ value: T) {
    reserve(MemoryLayout<T>.size)
    storage.storeBytes(of: value, toByteOffset: written, as: T.self)
    written &+= MemoryLayout<T>.size  // within the capacity just reserved
  }

  @inlinable
  mutating func copy(_ bytes: UnsafeRawBufferPointer) {
    guard let source = bytes.baseAddress else { return }
    reserve(bytes.count)
    (storage + written).copyMemory(from: source, byteCount: bytes.count)
    written &+= bytes.count  // within the capacity just reserved
  }

  // MARK: Fixed width

  /// One byte.
  @inlinable public mutating func writeUInt8(_ value: UInt8) { writeRaw(value) }

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
    if value < 0x80 { return writeRaw(UInt8(truncatingIfNeeded: value)) }
    reserve(10)
    var rest = value
    while rest >= 0x80 {
      storage.storeBytes(of: UInt8(truncatingIfNeeded: rest) | 0x80, toByteOffset: written, as: UInt8.self)
      written &+= 1
      rest >>= 7
    }
    storage.storeBytes(of: UInt8(truncatingIfNeeded: rest), toByteOffset: written, as: UInt8.self)
    written &+= 1
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
  public mutating func writeBytes(_ bytes: RawSpan) { bytes.withUnsafeBytes { copy($0) } }

  /// `bytes` as they are.
  @inlinable
  public mutating func writeBytes(_ bytes: [UInt8]) { bytes.withUnsafeBytes { copy($0) } }

  /// The ASCII that a format begins with.
  public mutating func writeMagic(_ magic: StaticString) { magic.withUTF8Buffer { copy(UnsafeRawBufferPointer($0)) } }

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
  public mutating func writeZeros(_ count: Int) {
    reserve(count)
    (storage + written).initializeMemory(as: UInt8.self, repeating: 0, count: count)
    written += count
  }

  /// The CRC-32C of everything written from offset `start` on.
  public mutating func writeChecksum(since start: Int) {
    writeUInt32(crc32c(bytes.extracting(start..<written)))
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
    storage.storeBytes(of: value, toByteOffset: offset, as: T.self)
  }
}

// The memory has this one owner, and a value that cannot be copied is in one place at a time.
extension ByteWriter: @unchecked Sendable {}
