import StrataBytes

/// The encoding of ``TableMetadata``: the properties block of a table, and what a manifest says of it.
///
/// A sequence of fields, each u8 tag, varint length, bytes; numbers as varints. Tags a reader does not know are passed over, which lets later
/// versions add facts; the file's own length and checksum are in a manifest's copy only.
extension TableMetadata {
  private enum Tag: UInt8, CaseIterable {
    case fileID = 1, fileSize, entryCount, valueCount, deletionCount, rangeDeletionCount, mergeCount, smallestKey, smallestTrailer, largestKey,
      largestTrailer, minSequence, maxSequence, rawKeyBytes, rawValueBytes, dataBlockCount, tombstoneDenseBlocks, fileChecksum, createdAt, level
    case newestTime = 22
  }

  /// Appends the encoding.
  package func encode(to writer: inout ByteWriter) {
    for (tag, path) in Self.numbers { Self.write(tag, self[keyPath: path], &writer) }
    for (tag, key) in [(Tag.smallestKey, smallest.userKey), (.largestKey, largest.userKey)] {
      writer.writeUInt8(tag.rawValue)
      writer.writeLengthPrefixed(key)
    }
    Self.write(.smallestTrailer, smallest.trailer.word, &writer)
    Self.write(.largestTrailer, largest.trailer.word, &writer)
    Self.write(.fileChecksum, UInt64(fileChecksum), &writer)
    Self.write(.level, UInt64(level), &writer)
    if newestTime != createdAt { Self.write(.newestTime, newestTime, &writer) }
  }

  private static func write(_ tag: Tag, _ value: UInt64, _ writer: inout ByteWriter) {
    var number = ByteWriter()
    number.writeVarint64(value)
    writer.writeUInt8(tag.rawValue)
    writer.writeLengthPrefixed(number.bytes)
  }

  /// The tag of the extractor whose prefixes the table's filter knows: a fact of the table's own, of which a manifest has no copy.
  private static let extractorTag: UInt8 = 21

  static func encode(_ extractor: PrefixExtractor?, to writer: inout ByteWriter) {
    guard let extractor else { return }
    var field = ByteWriter()
    extractor.encode(to: &field)
    writer.writeUInt8(extractorTag)
    writer.writeLengthPrefixed(field.bytes)
  }

  /// The extractor in the properties of a table, if they name one.
  static func extractor(in bytes: RawSpan) throws(DecodeError) -> PrefixExtractor? {
    var reader = ByteReader(bytes)
    while !reader.isAtEnd {
      let tag = try reader.readUInt8()
      let length = Int(try reader.readVarint32())
      let at = reader.offset
      var field = ByteReader(try reader.readBytes(length), base: at)
      if tag == extractorTag { return try PrefixExtractor(decoding: &field) }
    }
    return nil
  }

  /// The tag of a property that collectors made: again a fact of the table's own.
  private static let propertyTag: UInt8 = 23

  static func encode(_ properties: [TableProperty], to writer: inout ByteWriter) {
    for property in properties {
      var field = ByteWriter()
      field.writeLengthPrefixed(Array(property.name.utf8.prefix(255)))
      field.writeUInt8(property.value == nil ? 0 : 1)
      field.writeBytes(property.value ?? [])
      writer.writeUInt8(propertyTag)
      writer.writeLengthPrefixed(field.bytes)
    }
  }

  /// What collectors have made of the table, in the order in which index entries have it.
  static func properties(in bytes: RawSpan) throws(DecodeError) -> [TableProperty] {
    var reader = ByteReader(bytes)
    var found: [TableProperty] = []
    while !reader.isAtEnd {
      let tag = try reader.readUInt8()
      let length = Int(try reader.readVarint32())
      let at = reader.offset
      var field = ByteReader(try reader.readBytes(length), base: at)
      guard tag == propertyTag else { continue }
      let name = try field.readLengthPrefixed(limit: 255, field: "name of a property").withUnsafeBytes { [UInt8]($0) }
      let isThere = try field.readUInt8() != 0
      let value = field.readRest().withUnsafeBytes { [UInt8]($0) }
      guard found.count < TableLimits.properties, value.count <= TableLimits.propertyBytes else { throw .malformed(at: at, field: "property") }
      found.append(TableProperty(name: String(decoding: name, as: UTF8.self), value: isThere ? value : nil))
    }
    return found
  }

  // Key paths are immutable and hold nothing.
  private nonisolated(unsafe) static let numbers: [(Tag, WritableKeyPath<TableMetadata, UInt64>)] = [
    (.fileID, \.fileID), (.fileSize, \.fileSize), (.entryCount, \.entryCount), (.valueCount, \.valueCount), (.deletionCount, \.deletionCount),
    (.rangeDeletionCount, \.rangeDeletionCount), (.mergeCount, \.mergeCount), (.minSequence, \.minSequence), (.maxSequence, \.maxSequence),
    (.rawKeyBytes, \.rawKeyBytes), (.rawValueBytes, \.rawValueBytes), (.dataBlockCount, \.dataBlockCount),
    (.tombstoneDenseBlocks, \.tombstoneDenseBlocks), (.createdAt, \.createdAt),
  ]

  /// Reads what ``encode(to:)`` wrote, all that `reader` has left.
  package init(from reader: inout ByteReader) throws(DecodeError) {
    self.init(fileID: 0)
    var newest: UInt64?
    while !reader.isAtEnd {
      let tag = Tag(rawValue: try reader.readUInt8())
      let length = Int(try reader.readVarint32())
      let at = reader.offset
      var field = ByteReader(try reader.readBytes(length), base: at)
      guard let tag else { continue }
      if tag == .smallestKey || tag == .largestKey {
        guard length <= TableLimits.keyBytes else { throw .limitExceeded(at: at, field: "key length", limit: TableLimits.keyBytes) }
        let key = field.readRest().withUnsafeBytes { [UInt8]($0) }
        if tag == .smallestKey { smallest.userKey = key } else { largest.userKey = key }
        continue
      }
      let number = try field.readVarint64()
      if let path = Self.numbers.first(where: { $0.0 == tag })?.1 {
        self[keyPath: path] = number
      } else if tag == .smallestTrailer {
        smallest.trailer = Trailer(word: number)
      } else if tag == .largestTrailer {
        largest.trailer = Trailer(word: number)
      } else if tag == .fileChecksum {
        fileChecksum = UInt32(truncatingIfNeeded: number)
      } else if tag == .level {
        level = UInt8(truncatingIfNeeded: number)
      } else if tag == .newestTime {
        newest = number
      }
    }
    newestTime = newest ?? createdAt
  }
}
