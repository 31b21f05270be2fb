import StrataBytes
import StrataHost
import StrataNodes

/// Where a member can be reached.
struct MemberAddress: Hashable, Sendable {
  /// For other members: `host:port`.
  var peer: String
  /// For clients: `host:port`; empty where it is not known.
  var client: String
}

/// What a snapshot of a replicated store says of itself; the keys lie in a checkpoint, a directory of files that is named here.
///
/// `version u8 = 1 | time u64 | members varint, each (id u64 | peer | client)| id | files varint, each (name | bytes u64 | crc u32)`; texts carry
/// their length as a varint. An empty id stands for an empty store. See Docs/Formats/Replication.md.
struct StoreSnapshot: Hashable, Sendable {
  static let version: UInt8 = 1

  /// The latest time a command of the log has named, Unix milliseconds.
  var time: UInt64 = 0
  var members: [NodeID: MemberAddress] = [:]
  /// The checkpoint's files.
  var checkpoint = AttachmentSet(id: "", files: [])

  func encoded() -> [UInt8] {
    var writer = ByteWriter()
    writer.writeUInt8(Self.version)
    writer.writeUInt64(time)
    writer.writeVarint64(UInt64(members.count))
    for (id, address) in members.sorted(by: { $0.key < $1.key }) {
      writer.writeUInt64(id.rawValue)
      writer.writeLengthPrefixed(Array(address.peer.utf8))
      writer.writeLengthPrefixed(Array(address.client.utf8))
    }
    writer.writeLengthPrefixed(Array(checkpoint.id.utf8))
    writer.writeVarint64(UInt64(checkpoint.files.count))
    for file in checkpoint.files {
      writer.writeLengthPrefixed(Array(file.name.utf8))
      writer.writeUInt64(file.bytes)
      writer.writeUInt32(file.crc32c)
    }
    return writer.finish()
  }

  init() {}

  init(decoding bytes: [UInt8]) throws(DecodeError) {
    var reader = ByteReader(bytes.span.bytes)
    let version = try reader.readUInt8()
    guard version == Self.version else { throw .unsupportedVersion(at: 0, version: UInt32(version), newest: UInt32(Self.version)) }
    time = try reader.readUInt64()
    for _ in 0..<(try reader.readCount(limit: 1 << 16, field: "members")) {
      let id = NodeID(try reader.readUInt64())
      members[id] = MemberAddress(peer: try Self.text(&reader), client: try Self.text(&reader))
    }
    let id = try Self.text(&reader)
    var files: [AttachmentSet.File] = []
    for _ in 0..<(try reader.readCount(limit: AttachmentSet.maxFiles, field: "files")) {
      files.append(AttachmentSet.File(name: try Self.text(&reader), bytes: try reader.readUInt64(), crc32c: try reader.readUInt32()))
    }
    checkpoint = AttachmentSet(id: id, files: files)
    if !id.isEmpty, checkpoint.defect != nil { throw .malformed(at: reader.offset, field: "checkpoint") }
    try reader.expectEnd(of: "store snapshot")
  }

  static func text(_ reader: inout ByteReader) throws(DecodeError) -> String {
    let bytes = try reader.readLengthPrefixed(limit: 1024, field: "text")
    return bytes.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
  }
}
