import StrataBytes
import StrataSSTable

/// 128 random bits that name a store, in every file of it.
struct StoreID: Sendable, Hashable {
  var high: UInt64
  var low: UInt64
}

/// A manifest file: a header, then edits. Little-endian; Docs/Formats/LSMTree.md.
///
///     0  magic "STRAMANI"   8  version u16   10  zeros   16  store id, 16 bytes   32  number of the file u64   40  zeros   44  CRC-32C u32
///    48  edits: payload length u32 | CRC-32C u32 of length, file number, edit number and payload | edit number u64 | payload
///
/// A payload is a row of fields: tag u16, length u32, bytes. A reader that does not know a tag passes it over, unless its bit 15 says
/// that what follows cannot be understood without it.
enum ManifestFormat {
  static let headerBytes = 48
  static let frameBytes = 16
  static let version: UInt16 = 1
  static let mustUnderstand: UInt16 = 0x8000
  /// No edit is longer: more than 300 000 tables. Checked before memory is taken.
  static let maxEditBytes = 256 << 20
  /// No manifest is longer.
  static let maxBytes = 1 << 30

  enum Tag {
    static let addTable: UInt16 = 0x8001
    static let removeTable: UInt16 = 0x8002
    static let createKeyspace: UInt16 = 0x8003
    static let dropKeyspace: UInt16 = 0x8004
    static let flushedLog: UInt16 = 0x8005
    static let nextFile: UInt16 = 0x8006
    static let lastSequence: UInt16 = 0x8007
    static let historyFloor: UInt16 = 0x8008
    static let nextKeyspace: UInt16 = 0x8009
    static let quarantine: UInt16 = 0x000A
    static let timeMark: UInt16 = 0x800B
    static let absolve: UInt16 = 0x000C
  }

  static func header(_ number: UInt64, _ store: StoreID) -> [UInt8] {
    var writer = ByteWriter(capacity: headerBytes)
    writer.writeMagic("STRAMANI")
    writer.writeUInt16(version)
    writer.writeZeros(6)
    writer.writeUInt64(store.high)
    writer.writeUInt64(store.low)
    writer.writeUInt64(number)
    writer.writeZeros(4)
    writer.writeChecksum(since: 0)
    return writer.finish()
  }

  static func readHeader(_ bytes: RawSpan) throws(DecodeError) -> (number: UInt64, store: StoreID) {
    var reader = ByteReader(bytes)
    try reader.readMagic("STRAMANI")
    let version = try reader.readUInt16()
    try reader.skip(6)
    let store = StoreID(high: try reader.readUInt64(), low: try reader.readUInt64())
    let number = try reader.readUInt64()
    try reader.skip(4)
    try reader.readChecksum(since: 0)
    // After the checksum: a damaged version is damage, not a newer one.
    guard version == Self.version else { throw .unsupportedVersion(at: 8, version: UInt32(version), newest: UInt32(Self.version)) }
    return (number, store)
  }

  // MARK: Edits

  static func encode(_ edit: ManifestEdit, editNumber: UInt64, file: UInt64) -> [UInt8] {
    var payload = ByteWriter(capacity: 256)
    func field(_ tag: UInt16, _ payload: inout ByteWriter, _ body: (inout ByteWriter) -> Void) {
      payload.writeUInt16(tag)
      let place = payload.count
      payload.writeUInt32(0)
      body(&payload)
      payload.overwriteUInt32(UInt32(payload.count - place - 4), at: place)
    }
    func number(_ tag: UInt16, _ value: UInt64?, _ payload: inout ByteWriter) {
      if let value { field(tag, &payload) { $0.writeUInt64(value) } }
    }
    for created in edit.created { field(Tag.createKeyspace, &payload) { created.encode(to: &$0) } }
    for id in edit.dropped { field(Tag.dropKeyspace, &payload) { $0.writeUInt32(id) } }
    for (keyspace, table) in edit.added {
      field(Tag.addTable, &payload) {
        $0.writeUInt32(keyspace)
        TableFacts.encode(table, to: &$0)
      }
    }
    for removed in edit.removed {
      field(Tag.removeTable, &payload) {
        $0.writeUInt32(removed.keyspace)
        $0.writeUInt64(removed.fileID)
      }
    }
    for (keyspace, log) in edit.flushedLogs {
      field(Tag.flushedLog, &payload) {
        $0.writeUInt32(keyspace)
        $0.writeUInt64(log)
      }
    }
    for mark in edit.timeMarks {
      field(Tag.timeMark, &payload) {
        $0.writeUInt64(mark.sequence)
        $0.writeUInt64(mark.time)
      }
    }
    for id in edit.quarantined { number(Tag.quarantine, id, &payload) }
    for id in edit.absolved { number(Tag.absolve, id, &payload) }
    number(Tag.nextFile, edit.nextFile, &payload)
    number(Tag.lastSequence, edit.lastSequence, &payload)
    number(Tag.historyFloor, edit.historyFloor, &payload)
    number(Tag.nextKeyspace, edit.nextKeyspace.map(UInt64.init), &payload)
    var frame = ByteWriter(capacity: payload.count + frameBytes)
    frame.writeUInt32(UInt32(payload.count))
    frame.writeUInt32(checksum(payload.bytes, editNumber: editNumber, file: file))
    frame.writeUInt64(editNumber)
    frame.writeBytes(payload.bytes)
    return frame.finish()
  }

  private static func checksum(_ payload: RawSpan, editNumber: UInt64, file: UInt64) -> UInt32 {
    let place = withUnsafeBytes(of: (UInt64(payload.byteCount).littleEndian, file.littleEndian, editNumber.littleEndian)) { crc32c($0) }
    return crc32c(payload, continuing: place)
  }

  /// The extent of the edit at `offset` and its number; `nil` where there is no whole one with a right checksum.
  static func frame(_ bytes: RawSpan, at offset: Int, file: UInt64) -> (payload: Range<Int>, number: UInt64)? {
    guard offset >= 0, offset <= bytes.byteCount - frameBytes else { return nil }
    do {
      var reader = ByteReader(bytes.extracting(offset..<bytes.byteCount))
      let length = Int(try reader.readUInt32())
      let crc = try reader.readUInt32()
      let number = try reader.readUInt64()
      guard length <= maxEditBytes else { return nil }
      let payload = try reader.readBytes(length)
      guard checksum(payload, editNumber: number, file: file) == crc else { return nil }
      return (offset + frameBytes..<offset + frameBytes + length, number)
    } catch {
      return nil
    }
  }

  /// The fields of an edit.
  static func decode(_ payload: RawSpan, base: Int) throws(DecodeError) -> ManifestEdit {
    var reader = ByteReader(payload, base: base)
    var edit = ManifestEdit()
    while !reader.isAtEnd {
      let start = reader.offset
      let tag = try reader.readUInt16()
      let length = Int(try reader.readUInt32())
      var field = try reader.subreader(length)
      switch tag {
      case Tag.createKeyspace: edit.created.append(try KeyspaceRecord(decoding: &field))
      case Tag.dropKeyspace: edit.dropped.append(try field.readUInt32())
      case Tag.addTable: edit.added.append((try field.readUInt32(), try TableFacts.decode(&field)))
      case Tag.removeTable: edit.removed.append(ManifestEdit.Removal(keyspace: try field.readUInt32(), fileID: try field.readUInt64()))
      case Tag.flushedLog: edit.flushedLogs.append((try field.readUInt32(), try field.readUInt64()))
      case Tag.timeMark: edit.timeMarks.append(TimeMark(sequence: try field.readUInt64(), time: try field.readUInt64()))
      case Tag.quarantine: edit.quarantined.append(try field.readUInt64())
      case Tag.absolve: edit.absolved.append(try field.readUInt64())
      case Tag.nextFile: edit.nextFile = try field.readUInt64()
      case Tag.lastSequence: edit.lastSequence = try field.readUInt64()
      case Tag.historyFloor: edit.historyFloor = try field.readUInt64()
      case Tag.nextKeyspace: edit.nextKeyspace = UInt32(truncatingIfNeeded: try field.readUInt64())
      default:
        guard tag & mustUnderstand == 0 else { throw .malformed(at: start, field: "manifest field \(tag) of a newer version") }
      }
    }
    return edit
  }
}

/// How a table's metadata lies in the manifest.
enum TableFacts {
  static func encode(_ table: TableMetadata, to writer: inout ByteWriter) {
    for value in [
      table.fileID, table.fileSize, table.entryCount, table.valueCount, table.deletionCount, table.rangeDeletionCount, table.mergeCount,
      table.minSequence, table.maxSequence, table.rawKeyBytes, table.rawValueBytes, table.dataBlockCount, table.tombstoneDenseBlocks,
      table.createdAt,
    ] { writer.writeVarint64(value) }
    writer.writeUInt32(table.fileChecksum)
    writer.writeUInt8(table.level)
    for key in [table.smallest, table.largest] {
      writer.writeLengthPrefixed(key.userKey)
      writer.writeUInt64(key.trailer.word)
    }
    if table.newestTime != table.createdAt { writer.writeVarint64(table.newestTime) }
  }

  static func decode(_ reader: inout ByteReader) throws(DecodeError) -> TableMetadata {
    var table = TableMetadata(fileID: try reader.readVarint64())
    table.fileSize = try reader.readVarint64()
    table.entryCount = try reader.readVarint64()
    table.valueCount = try reader.readVarint64()
    table.deletionCount = try reader.readVarint64()
    table.rangeDeletionCount = try reader.readVarint64()
    table.mergeCount = try reader.readVarint64()
    table.minSequence = try reader.readVarint64()
    table.maxSequence = try reader.readVarint64()
    table.rawKeyBytes = try reader.readVarint64()
    table.rawValueBytes = try reader.readVarint64()
    table.dataBlockCount = try reader.readVarint64()
    table.tombstoneDenseBlocks = try reader.readVarint64()
    table.createdAt = try reader.readVarint64()
    table.fileChecksum = try reader.readUInt32()
    table.level = try reader.readUInt8()
    table.smallest = try key(&reader)
    table.largest = try key(&reader)
    table.newestTime = reader.isAtEnd ? table.createdAt : try reader.readVarint64()
    guard table.smallest.userKey.count <= TableLimits.keyBytes, table.level < LSMOptions.maxLevels else {
      throw .malformed(at: reader.offset, field: "table level")
    }
    return table
  }

  private static func key(_ reader: inout ByteReader) throws(DecodeError) -> InternalKey {
    let bytes = try reader.readLengthPrefixed(limit: TableLimits.keyBytes, field: "key length")
    let copy = bytes.withUnsafeBytes { [UInt8]($0) }
    return InternalKey(userKey: copy, trailer: Trailer(word: try reader.readUInt64()))
  }
}
