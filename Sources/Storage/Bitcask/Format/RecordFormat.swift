import StrataBytes

/// A record in a data file: 40-byte header, key, value, zeros up to a multiple of 8. Little-endian.
///
///     0  header CRC u32      of bytes 4..<40 and the key
///     4  payload CRC u32     of the value and the padding
///     8  marker u16          0xB17C
///    10  flags u8
///    11  reserved u8         0
///    12  key length u16
///    14  durable lag u16     sequence - highest sequence known durable when the record was formed; 65535: not stated
///    16  value length u32
///    20  written at u32      Unix seconds; information only
///    24  sequence u64
///    32  expiry u64          Unix milliseconds when the flag is set, else 0
///    40  key, value, padding
///
/// Both checksums continue from one over salt, segment id and offset, so stale, moved or copied bytes fail. A damaged value leaves the
/// header and the key trustworthy: the loss can be named and reading goes on behind it.
struct RecordHeader: Sendable, Hashable {
  static let bytes = 40
  static let marker: UInt16 = 0xB17C
  static let unstatedLag: UInt16 = .max
  /// Records start at multiples of this.
  static let alignment = 8

  struct Flags: OptionSet, Sendable, Hashable {
    let rawValue: UInt8
    static let tombstone = Flags(rawValue: 1)
    static let expiry = Flags(rawValue: 2)
    static let batchMiddle = Flags(rawValue: 4)
    static let batchEnd = Flags(rawValue: 8)
    static let compressed = Flags(rawValue: 16)
    static let understood: Flags = [.tombstone, .expiry, .batchMiddle, .batchEnd]
    static let batch: Flags = [.batchMiddle, .batchEnd]
  }

  var flags: Flags
  var keyLength: Int
  var valueLength: Int
  var sequence: UInt64
  /// Unix milliseconds, 0 for none.
  var expiry: UInt64 = 0
  var durableLag: UInt16 = unstatedLag
  var writtenAt: UInt32 = 0
  var payloadCRC: UInt32 = 0

  /// Length of the record a header describes.
  var recordBytes: Int { Self.recordBytes(key: keyLength, value: valueLength) }
  var isTombstone: Bool { flags.contains(.tombstone) }

  /// The highest sequence this record proves to have been durable, if it says so.
  var watermark: UInt64? { durableLag == Self.unstatedLag || UInt64(durableLag) > sequence ? nil : sequence - UInt64(durableLag) }

  static func recordBytes(key: Int, value: Int) -> Int { (bytes + key + value + 7) & ~7 }
}

/// What the checksums of one segment's records start from.
struct RecordSeal: Sendable, Hashable {
  private let base: UInt32

  init(salt: UInt64, segment: UInt32) {
    base = withUnsafeBytes(of: (salt.littleEndian, UInt64(segment).littleEndian)) { crc32c($0, continuing: 0) }
  }

  @inline(__always)
  private func seed(_ offset: UInt64) -> UInt32 { withUnsafeBytes(of: offset.littleEndian) { crc32c($0, continuing: base) } }

  /// Writes a record to the start of `buffer`, which has at least `header.recordBytes` bytes, for `offset` of the segment.
  func encode(
    _ header: RecordHeader, key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer, at offset: UInt64,
    into buffer: UnsafeMutableRawBufferPointer
  ) {
    let total = header.recordBytes
    precondition(buffer.count >= total && key.count == header.keyLength && value.count == header.valueLength, "no room for the record")
    precondition(key.count <= 0xFFFF, "the key is longer than a record can say")
    guard let target = buffer.baseAddress else { return }
    let valueStart = RecordHeader.bytes + key.count
    if let source = key.baseAddress { (target + RecordHeader.bytes).copyMemory(from: source, byteCount: key.count) }
    if let source = value.baseAddress { (target + valueStart).copyMemory(from: source, byteCount: value.count) }
    for index in (valueStart + value.count)..<total { target.storeBytes(of: 0, toByteOffset: index, as: UInt8.self) }
    let seed = seed(offset)
    let payload = crc32c(UnsafeRawBufferPointer(start: target + valueStart, count: total - valueStart), continuing: seed)
    target.storeBytes(of: payload.littleEndian, toByteOffset: 4, as: UInt32.self)
    target.storeBytes(of: RecordHeader.marker.littleEndian, toByteOffset: 8, as: UInt16.self)
    target.storeBytes(of: header.flags.rawValue, toByteOffset: 10, as: UInt8.self)
    target.storeBytes(of: 0, toByteOffset: 11, as: UInt8.self)
    target.storeBytes(of: UInt16(header.keyLength).littleEndian, toByteOffset: 12, as: UInt16.self)
    target.storeBytes(of: header.durableLag.littleEndian, toByteOffset: 14, as: UInt16.self)
    target.storeBytes(of: UInt32(header.valueLength).littleEndian, toByteOffset: 16, as: UInt32.self)
    target.storeBytes(of: header.writtenAt.littleEndian, toByteOffset: 20, as: UInt32.self)
    target.storeBytes(of: header.sequence.littleEndian, toByteOffset: 24, as: UInt64.self)
    target.storeBytes(of: header.expiry.littleEndian, toByteOffset: 32, as: UInt64.self)
    let check = crc32c(UnsafeRawBufferPointer(start: target + 4, count: valueStart - 4), continuing: seed)
    target.storeBytes(of: check.littleEndian, as: UInt32.self)
  }

  /// The header at the start of `bytes`, if its checksum, which covers the key behind it, holds. `limit` is how many bytes of the segment
  /// there are from the record's start; a longer record is refused. `bytes` may end before the value does, not before the key does.
  func header(in bytes: UnsafeRawBufferPointer, at offset: UInt64, limit: UInt64) -> HeaderCheck {
    guard let header = Self.fields(in: bytes) else { return .invalid }
    guard UInt64(header.recordBytes) <= limit else { return .invalid }
    let end = RecordHeader.bytes + header.keyLength
    guard bytes.count >= end else { return .needs(end) }
    let check = crc32c(UnsafeRawBufferPointer(rebasing: bytes[4..<end]), continuing: seed(offset))
    guard check == UInt32(littleEndian: bytes.loadUnaligned(as: UInt32.self)) else { return .invalid }
    return .valid(header)
  }

  /// Whether the value of a record whose header is valid is as written. `record` holds the whole record.
  func payloadIsValid(_ header: RecordHeader, _ record: UnsafeRawBufferPointer, at offset: UInt64) -> Bool {
    let start = RecordHeader.bytes + header.keyLength
    guard record.count == header.recordBytes else { return false }
    return crc32c(UnsafeRawBufferPointer(rebasing: record[start...]), continuing: seed(offset)) == header.payloadCRC
  }

  /// The checksum state a value's checksum continues from: for values verified piece by piece.
  func payloadSeed(at offset: UInt64) -> UInt32 { seed(offset) }

  enum HeaderCheck {
    case valid(RecordHeader)
    /// The key is not wholly in view: this many bytes are needed to tell.
    case needs(Int)
    case invalid
  }

  /// The fields, unverified but for the marker.
  private static func fields(in bytes: UnsafeRawBufferPointer) -> RecordHeader? {
    guard bytes.count >= RecordHeader.bytes,
      UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt16.self)) == RecordHeader.marker
    else { return nil }
    return RecordHeader(
      flags: .init(rawValue: bytes[10]),
      keyLength: Int(UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: 12, as: UInt16.self))),
      valueLength: Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 16, as: UInt32.self))),
      sequence: UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 24, as: UInt64.self)),
      expiry: UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 32, as: UInt64.self)),
      durableLag: UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: 14, as: UInt16.self)),
      writtenAt: UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 20, as: UInt32.self)),
      payloadCRC: UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 4, as: UInt32.self)))
  }
}
