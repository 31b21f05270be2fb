import StrataBytes

/// What the manifest knows of a segment.
struct SegmentFacts: Sendable, Hashable {
  enum State: UInt8, Sendable, Hashable {
    /// Takes appends; its end is found by scanning.
    case active = 0
    /// Ends at `length`.
    case sealed = 1
  }

  var id: UInt32
  var kind: SegmentHeader.Kind
  var state: State
  /// Holds damage that was found once: merges copy what is sound and keep the file.
  var isDamaged = false
  var salt: UInt64
  var created: UInt64
  /// No record has a lower sequence.
  var firstSequence: UInt64
  /// No record has a higher one; meaningful once sealed.
  var lastSequence: UInt64 = 0
  var length: UInt64 = 0
  var records: UInt64 = 0
}

/// A change of the segment set, applied as a whole or not at all.
struct ManifestEdit: Sendable, Hashable {
  /// Present in the first edit of a file only.
  var store: StoreID?
  /// How keys are kept and how large segments may grow, as last opened: information for tools.
  var options: ManifestOptions?
  var added: [SegmentFacts] = []
  var removed: [UInt32] = []
  /// The lowest segment number never used.
  var nextSegment: UInt32?
  /// No sequence below this is ever given out again.
  var nextSequence: UInt64?
}

struct ManifestOptions: Sendable, Hashable {
  var keepsKeys: Bool
  var segmentBytes: UInt64
}

/// A manifest file: a header, then edits. Little-endian.
///
///     0  magic "STRMAN01"   8  version u16   10  zeros   16  number u64   24  zeros   28  CRC-32C u32 of all before
///    32  edits: payload length u32, CRC-32C u32 (of number, offset, length and payload), payload, zeros up to a multiple of 8
///
/// A payload is a row of items, each a tag u8 and its fields:
///
///    1 store:    store id, 16 bytes
///    2 segment:  id u32, kind u8, state u8, damaged u8, salt u64, created u64, first sequence u64, last sequence u64, length u64, records u64
///    3 removed:  id u32
///    4 segment counter u32
///    5 sequence counter u64
///    6 options:  keeps keys u8, segment bytes u64
enum ManifestFormat {
  static let headerBytes = 32
  static let version: UInt16 = 1
  static let frameBytes = 8
  /// No manifest is longer: about 300 000 segments. Checked before it is read into memory.
  static let maxBytes = 64 << 20

  static func header(_ number: UInt32) -> [UInt8] {
    var writer = ByteWriter(capacity: headerBytes)
    writer.writeMagic("STRMAN01")
    writer.writeUInt16(version)
    writer.writeZeros(6)
    writer.writeUInt64(UInt64(number))
    writer.writeZeros(4)
    writer.writeChecksum(since: 0)
    return writer.finish()
  }

  static func encode(_ edit: ManifestEdit, number: UInt32, at offset: UInt64) -> [UInt8] {
    var payload = ByteWriter()
    if let store = edit.store {
      payload.writeUInt8(1)
      payload.writeUInt64(store.low)
      payload.writeUInt64(store.high)
    }
    if let options = edit.options {
      payload.writeUInt8(6)
      payload.writeUInt8(options.keepsKeys ? 1 : 0)
      payload.writeUInt64(options.segmentBytes)
    }
    for facts in edit.added { encode(facts, into: &payload) }
    for id in edit.removed {
      payload.writeUInt8(3)
      payload.writeUInt32(id)
    }
    if let next = edit.nextSegment {
      payload.writeUInt8(4)
      payload.writeUInt32(next)
    }
    if let next = edit.nextSequence {
      payload.writeUInt8(5)
      payload.writeUInt64(next)
    }
    var frame = ByteWriter(capacity: payload.count + 16)
    frame.writeUInt32(UInt32(payload.count))
    frame.writeUInt32(checksum(payload.bytes, number: number, at: offset))
    frame.writeBytes(payload.bytes)
    frame.writeZeros((8 - frame.count & 7) & 7)
    return frame.finish()
  }

  private static func encode(_ facts: SegmentFacts, into payload: inout ByteWriter) {
    payload.writeUInt8(2)
    payload.writeUInt32(facts.id)
    payload.writeUInt8(facts.kind.rawValue)
    payload.writeUInt8(facts.state.rawValue)
    payload.writeUInt8(facts.isDamaged ? 1 : 0)
    payload.writeUInt64(facts.salt)
    payload.writeUInt64(facts.created)
    payload.writeUInt64(facts.firstSequence)
    payload.writeUInt64(facts.lastSequence)
    payload.writeUInt64(facts.length)
    payload.writeUInt64(facts.records)
  }

  private static func checksum(_ payload: RawSpan, number: UInt32, at offset: UInt64) -> UInt32 {
    let place = withUnsafeBytes(of: (UInt64(number).littleEndian, offset.littleEndian, UInt64(payload.byteCount).littleEndian)) {
      crc32c($0, continuing: 0)
    }
    return crc32c(payload, continuing: place)
  }

  /// The edit at `offset` of a manifest file's bytes and the offset behind it; `nil` where there is no whole, sound one.
  static func decode(_ bytes: [UInt8], number: UInt32, at offset: Int) -> (edit: ManifestEdit, next: Int)? {
    guard offset <= bytes.count - frameBytes else { return nil }
    do {
      var reader = ByteReader(bytes.span.bytes.extracting(offset..<bytes.count))
      let length = Int(try reader.readUInt32())
      let crc = try reader.readUInt32()
      let payload = try reader.readBytes(length)
      guard checksum(payload, number: number, at: UInt64(offset)) == crc else { return nil }
      let padding = (8 - (frameBytes + length) & 7) & 7
      let zeros = try reader.readBytes(padding)
      guard (0..<padding).allSatisfy({ zeros.unsafeLoad(fromByteOffset: $0, as: UInt8.self) == 0 }) else { return nil }
      return (try items(payload), offset + frameBytes + length + padding)
    } catch {
      return nil
    }
  }

  private static func items(_ payload: RawSpan) throws(DecodeError) -> ManifestEdit {
    var reader = ByteReader(payload)
    var edit = ManifestEdit()
    while !reader.isAtEnd {
      let start = reader.offset
      switch try reader.readUInt8() {
      case 1: edit.store = StoreID(low: try reader.readUInt64(), high: try reader.readUInt64())
      case 2: edit.added.append(try facts(&reader))
      case 3: edit.removed.append(try reader.readUInt32())
      case 4: edit.nextSegment = try reader.readUInt32()
      case 5: edit.nextSequence = try reader.readUInt64()
      case 6: edit.options = ManifestOptions(keepsKeys: try reader.readUInt8() != 0, segmentBytes: try reader.readUInt64())
      default: throw .malformed(at: start, field: "manifest item")
      }
    }
    return edit
  }

  private static func facts(_ reader: inout ByteReader) throws(DecodeError) -> SegmentFacts {
    let start = reader.offset
    let id = try reader.readUInt32()
    let kind = SegmentHeader.Kind(rawValue: try reader.readUInt8())
    let state = SegmentFacts.State(rawValue: try reader.readUInt8())
    let damaged = try reader.readUInt8()
    guard let kind, let state, damaged < 2, id <= Location.maxSegment else { throw .malformed(at: start, field: "segment") }
    return SegmentFacts(
      id: id, kind: kind, state: state, isDamaged: damaged == 1, salt: try reader.readUInt64(), created: try reader.readUInt64(),
      firstSequence: try reader.readUInt64(), lastSequence: try reader.readUInt64(), length: try reader.readUInt64(),
      records: try reader.readUInt64())
  }
}
