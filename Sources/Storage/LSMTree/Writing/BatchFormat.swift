import StrataBytes
import StrataSSTable

/// A batch as the log's record holds it, and as it is applied. Little-endian; Docs/Formats/LSMTree.md.
///
///     0 format u8 = 1 | 1 previous u64 | 9 first sequence u64 | 17 count u32 | 21 entries
///     entry: kind u8 (bit 7: a keyspace follows) | [keyspace varint] | key length varint | key | [value length varint | value]
///
/// `previous` is the last sequence of the record before, so that a missing record shows even where sequences were left out on purpose.
/// A deletion has no value; a range deletion's value is its end.
enum BatchFormat {
  static let headerBytes = 21
  static let version: UInt8 = 1
  /// The kind of the log's application records.
  static let logKind: UInt8 = 76
  private static let keyspaceBit: UInt8 = 0x80

  /// What the header says.
  struct Header: Hashable {
    var previous: UInt64
    var first: UInt64
    var count: UInt32

    var last: UInt64 { first &+ UInt64(count) &- 1 }
  }

  static func write(_ header: Header, to bytes: UnsafeMutableRawBufferPointer) {
    precondition(bytes.count >= headerBytes, "a batch begins with its header")
    bytes.storeBytes(of: version, as: UInt8.self)
    bytes.storeBytes(of: header.previous.littleEndian, toByteOffset: 1, as: UInt64.self)
    bytes.storeBytes(of: header.first.littleEndian, toByteOffset: 9, as: UInt64.self)
    bytes.storeBytes(of: header.count.littleEndian, toByteOffset: 17, as: UInt32.self)
  }

  static func readHeader(_ reader: inout ByteReader) throws(DecodeError) -> Header {
    let format = try reader.readUInt8()
    guard format == version else { throw .unsupportedVersion(at: 0, version: UInt32(format), newest: UInt32(version)) }
    let header = Header(previous: try reader.readUInt64(), first: try reader.readUInt64(), count: try reader.readUInt32())
    guard header.count > 0, header.first > header.previous, header.first <= Trailer.maxSequence,
      Trailer.maxSequence - header.first >= UInt64(header.count) - 1
    else { throw .malformed(at: 1, field: "batch header") }
    return header
  }

  static func append(_ kind: EntryKind, _ key: RawSpan, _ value: RawSpan, keyspace: UInt32, to writer: inout ByteWriter) {
    if keyspace == 0 {
      writer.writeUInt8(kind.rawValue)
    } else {
      writer.writeUInt8(kind.rawValue | keyspaceBit)
      writer.writeVarint32(keyspace)
    }
    writer.writeLengthPrefixed(key)
    if kind != .deletion { writer.writeLengthPrefixed(value) }
  }

  /// The most bytes an entry takes.
  static func entryBound(key: Int, value: Int) -> Int { 1 + 5 + 10 + key + 10 + value }

  /// Writes one entry at `bytes`, which has ``entryBound(key:value:)`` bytes, and returns its length.
  @inline(__always)
  static func put(
    _ kind: EntryKind, _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, keyspace: UInt32, at bytes: UnsafeMutableRawPointer
  ) -> Int {
    var end = bytes
    func byte(_ value: UInt8) {
      end.storeBytes(of: value, as: UInt8.self)
      end += 1
    }
    func varint(_ value: UInt64) {
      var rest = value
      while rest >= 0x80 {
        byte(UInt8(truncatingIfNeeded: rest) | 0x80)
        rest >>= 7
      }
      byte(UInt8(truncatingIfNeeded: rest))
    }
    func copy(_ source: UnsafeRawBufferPointer) {
      varint(UInt64(source.count))
      guard let first = source.baseAddress else { return }
      end.copyMemory(from: first, byteCount: source.count)
      end += source.count
    }
    byte(keyspace == 0 ? kind.rawValue : kind.rawValue | keyspaceBit)
    if keyspace != 0 { varint(UInt64(keyspace)) }
    copy(key)
    if kind != .deletion { copy(value) }
    return end - bytes
  }

  /// One change of a batch.
  struct Entry: ~Escapable {
    var kind: EntryKind
    var keyspace: UInt32
    var key: RawSpan
    var value: RawSpan

    @_lifetime(copy key, copy value)
    init(kind: EntryKind, keyspace: UInt32, key: RawSpan, value: RawSpan) {
      self.kind = kind
      self.keyspace = keyspace
      self.key = key
      self.value = value
    }
  }

  /// The next entry, every field checked.
  @_lifetime(copy reader)
  static func readEntry(_ reader: inout ByteReader) throws(DecodeError) -> Entry {
    let start = reader.offset
    let tag = try reader.readUInt8()
    guard let kind = EntryKind(rawValue: tag & 0x7F) else { throw .malformed(at: start, field: "kind \(tag & 0x7F)") }
    let keyspace = tag & keyspaceBit != 0 ? try reader.readVarint32() : 0
    let key = try reader.readLengthPrefixed(limit: TableLimits.keyBytes, field: "key length")
    let value = kind == .deletion ? RawSpan() : try reader.readLengthPrefixed(limit: TableLimits.valueBytes, field: "value length")
    if kind == .rangeDeletion {
      guard value.byteCount <= TableLimits.keyBytes, compare(key, value) < 0 else { throw .malformed(at: start, field: "range") }
    }
    return Entry(kind: kind, keyspace: keyspace, key: key, value: value)
  }
}
