import StrataBytes
import StrataHost

// How sets of files and their chunks look in payloads; see Docs/Formats/Transport.md.

extension AttachmentSet {
  var encoded: [UInt8] {
    var writer = ByteWriter(capacity: 32 + files.count * 32)
    writer.writeLengthPrefixed(Array(id.utf8))
    writer.writeVarint64(UInt64(files.count))
    for file in files {
      writer.writeLengthPrefixed(Array(file.name.utf8))
      writer.writeUInt64(file.bytes)
      writer.writeUInt32(file.crc32c)
    }
    return writer.finish()
  }

  init(decoding reader: inout ByteReader) throws(DecodeError) {
    let start = reader.offset
    let id = try reader.readName("id of files")
    let count = try reader.readCount(limit: Self.maxFiles, field: "files")
    guard count <= reader.remaining / 14 else { throw .limitExceeded(at: reader.offset, field: "files", limit: reader.remaining / 14) }
    var files: [File] = []
    files.reserveCapacity(count)
    for _ in 0..<count {
      files.append(File(name: try reader.readName("name of a file"), bytes: try reader.readUInt64(), crc32c: try reader.readUInt32()))
    }
    self.init(id: id, files: files)
    if defect != nil { throw .malformed(at: start, field: "set of files") }
  }
}

/// Asks for a chunk of a file.
struct Fetch: Hashable {
  /// A name the asker gives it, under which the answer comes.
  var number: UInt64
  var id: String
  var file: String
  var offset: UInt64
  var bytes: UInt32

  var encoded: [UInt8] {
    var writer = ByteWriter(capacity: 64)
    writer.writeUInt64(number)
    writer.writeUInt64(offset)
    writer.writeUInt32(bytes)
    writer.writeLengthPrefixed(Array(id.utf8))
    writer.writeLengthPrefixed(Array(file.utf8))
    return writer.finish()
  }

  /// The longest chunk that may be asked for.
  static let maxBytes: UInt32 = 1 << 20

  init(decoding reader: inout ByteReader) throws(DecodeError) {
    number = try reader.readUInt64()
    offset = try reader.readUInt64()
    bytes = try reader.readUInt32()
    guard bytes > 0, bytes <= Self.maxBytes else { throw .limitExceeded(at: 16, field: "chunk", limit: Int(Self.maxBytes)) }
    id = try reader.readName("id of files")
    file = try reader.readName("name of a file")
    if AttachmentSet(id: id, files: [.init(name: file, bytes: 0, crc32c: 0)]).defect != nil { throw .malformed(at: 20, field: "name of a file") }
  }

  init(number: UInt64, id: String, file: String, offset: UInt64, bytes: UInt32) {
    self.number = number
    self.id = id
    self.file = file
    self.offset = offset
    self.bytes = bytes
  }
}

/// A chunk of a file: the payload is this head followed by the bytes.
struct ChunkHead: Hashable {
  var number: UInt64
  var offset: UInt64

  var encoded: [UInt8] {
    var writer = ByteWriter(capacity: 16)
    writer.writeUInt64(number)
    writer.writeUInt64(offset)
    return writer.finish()
  }
}

extension ByteReader {
  fileprivate mutating func readName(_ field: String) throws(DecodeError) -> String {
    let at = offset
    let bytes = try readLengthPrefixed(limit: AttachmentSet.maxNameBytes, field: field).withUnsafeBytes { Array($0) }
    guard let name = String(validating: bytes, as: UTF8.self) else { throw .malformed(at: at, field: field) }
    return name
  }
}
