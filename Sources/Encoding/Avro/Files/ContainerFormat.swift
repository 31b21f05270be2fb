import StrataBytes
import SystemPackage

/// The parts of a container file besides its data. See Docs/Formats/Avro.md.
struct ContainerHeader {
  static let magic: [UInt8] = [0x4F, 0x62, 0x6A, 0x01]
  static let syncBytes = 16
  /// How long a header may be.
  static let maximumBytes = 16 << 20

  var metadata: [(String, [UInt8])]
  var sync: [UInt8]
  /// How many bytes the header has.
  var length = 0

  func encoded() -> [UInt8] {
    var writer = ByteWriter()
    writer.writeBytes(Self.magic)
    writer.writeZigzag64(Int64(metadata.count))
    for (key, value) in metadata {
      writer.writeAvroString(key)
      writer.writeZigzag64(Int64(value.count))
      writer.writeBytes(value)
    }
    writer.writeUInt8(0)
    writer.writeBytes(sync)
    return writer.finish()
  }

  /// Why bytes are no header.
  enum Fault: Error {
    case notAContainer
    /// More bytes may make one.
    case truncated
    case damaged(String)
  }

  init(metadata: [(String, [UInt8])], sync: [UInt8]) {
    self.metadata = metadata
    self.sync = sync
  }

  init(_ bytes: [UInt8]) throws(Fault) {
    guard bytes.count >= 4 else { throw .truncated }
    guard Array(bytes[..<4]) == Self.magic else { throw .notAContainer }
    var metadata: [(String, [UInt8])] = []
    var consumed = 0
    var failure: AvroDecodeError.Kind?
    bytes.withUnsafeBytes { buffer in
      var limits = AvroLimits()
      limits.maxAllocation = Self.maximumBytes
      var cursor = Cursor(UnsafeRawBufferPointer(rebasing: buffer[4...]), limits: limits)
      do throws(StrataAvro.Fault) {
        while true {
          let block = try cursor.items(after: metadata.count, minimumSize: 2)
          if block.count == 0 { break }
          for _ in 0..<block.count { metadata.append((try cursor.string(), try cursor.bytes())) }
          try cursor.end(block)
        }
        consumed = 4 + cursor.consumed
      } catch { failure = error.kind }
    }
    if let failure { throw failure == .endOfData ? .truncated : .damaged("\(failure)") }
    guard bytes.count - consumed >= Self.syncBytes else { throw .truncated }
    self.metadata = metadata
    sync = Array(bytes[consumed..<consumed + Self.syncBytes])
    length = consumed + Self.syncBytes
  }

  func value(_ key: String) -> [UInt8]? { metadata.first { $0.0 == key }?.1 }
}

/// Checksums of blocks that have none of their own, in a file beside: `NAME.crc`.
///
/// It names the container by its marker, so that one left behind by another file of the same name says nothing about this one.
struct Sidecar {
  struct Entry: Hashable {
    var offset: UInt64
    var length: UInt64
    var checksum: UInt32
  }

  static let version: UInt32 = 1
  static let maximumBytes = 256 << 20
  private static let magic: StaticString = "STRAVCRC"

  var sync: [UInt8]
  var entries: [Entry]

  static func path(of file: FilePath) -> FilePath { FilePath(file.string + ".crc") }

  func encoded() -> [UInt8] {
    var writer = ByteWriter(capacity: 40 + entries.count * 20)
    writer.writeMagic(Self.magic)
    writer.writeUInt32(Self.version)
    writer.writeBytes(sync)
    writer.writeUInt64(UInt64(entries.count))
    for entry in entries {
      writer.writeUInt64(entry.offset)
      writer.writeUInt64(entry.length)
      writer.writeUInt32(entry.checksum)
    }
    writer.writeChecksum(since: 0)
    return writer.finish()
  }

  init(sync: [UInt8], entries: [Entry]) {
    self.sync = sync
    self.entries = entries
  }

  /// The sidecar in these bytes; `nil` where they are damaged, of another version or of another container.
  init?(_ bytes: [UInt8], sync: [UInt8]) {
    var reader = ByteReader(bytes.span.bytes)
    do throws(DecodeError) {
      try reader.readMagic(Self.magic)
      guard try reader.readUInt32() == Self.version else { return nil }
      let owner = try reader.readBytes(ContainerHeader.syncBytes)
      guard owner.withUnsafeBytes({ $0.elementsEqual(sync) }) else { return nil }
      let count = try reader.readUInt64()
      guard count == UInt64(max(0, reader.remaining - 4)) / 20 else { return nil }
      var entries: [Entry] = []
      for _ in 0..<count {
        entries.append(Entry(offset: try reader.readUInt64(), length: try reader.readUInt64(), checksum: try reader.readUInt32()))
      }
      try reader.readChecksum(since: 0)
      guard reader.isAtEnd else { return nil }
      self.sync = sync
      self.entries = entries
    } catch { return nil }
  }
}
