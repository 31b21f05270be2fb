import StrataBytes
import StrataDisk
import StrataNodes
import SystemPackage

/// A snapshot on disk: a header that says of what, the content in chunks that are checked one by one, and a trailer over all of it. See
/// Docs/Formats/Raft.md. A file is made under another name, synced, given its own name and that made durable: what has the name is whole.
public struct SnapshotFile: Sendable {
  /// What the header says.
  public struct Header: Hashable, Sendable {
    /// The group.
    public var group: UInt64
    /// The cluster it belongs to.
    public var cluster: UInt64
    /// The last entry the content stands for.
    public var place: LogPlace
    /// The members as of that entry.
    public var confState: ConfState

    /// A header.
    public init(group: UInt64, cluster: UInt64, place: LogPlace, confState: ConfState) {
      self.group = group
      self.cluster = cluster
      self.place = place
      self.confState = confState
    }
  }

  /// Bytes of content in a full chunk.
  public static let chunkBytes = 1 << 20
  static let magic: StaticString = "SRSN"
  static let version: UInt16 = 1
  private static let maxHeaderBytes = 1 << 22
  private static let trailerBytes = 16

  /// What the header says.
  public let header: Header
  /// How many chunks there are.
  public let chunks: Int
  /// Bytes of content.
  public let contentBytes: UInt64
  private let path: FilePath
  private let file: any File
  private let start: UInt64

  /// Writes `content`, called until it gives nothing, as the snapshot file at `path`. On return the file is durable under its name.
  ///
  /// - Throws: ``RaftStorageError/disk(_:)``; nothing has the name then, or what had it before.
  public static func write(
    _ header: Header, to path: FilePath, on fileSystem: any FileSystem, content: () -> [UInt8]?
  ) throws(RaftStorageError) {
    do throws(DiskError) {
      let temporary = FilePath(path.string + ".tmp")
      if try fileSystem.exists(temporary) { try fileSystem.remove(temporary) }
      let file = try fileSystem.open(temporary, .createNew)
      try file.write(encode(header), at: 0)
      var end = UInt64(encode(header).count)
      var total: UInt32 = 0
      var size: UInt64 = 0
      var buffer: [UInt8] = []
      while let piece = content() {
        buffer += piece
        while buffer.count >= chunkBytes {
          end += try writeChunk(Array(buffer[..<chunkBytes]), to: file, at: end, &total, &size)
          buffer.removeFirst(chunkBytes)
        }
      }
      if !buffer.isEmpty { end += try writeChunk(buffer, to: file, at: end, &total, &size) }
      var trailer = ByteWriter()
      trailer.writeUInt32(total)
      trailer.writeUInt64(size)
      trailer.writeChecksum(since: 0)
      try file.write(trailer.finish(), at: end)
      try file.sync(.full)
      try file.close()
      try fileSystem.rename(temporary, to: path, replacing: true)
      try fileSystem.syncDirectory(path.removingLastComponent())
    } catch { throw .disk(error) }
  }

  private static func encode(_ header: Header) -> [UInt8] {
    var body = ByteWriter()
    body.writeUInt64(header.group)
    body.writeUInt64(header.cluster)
    body.writeUInt64(header.place.term)
    body.writeUInt64(header.place.index)
    header.confState.encode(into: &body)
    let bytes = body.finish()
    var writer = ByteWriter()
    writer.writeMagic(magic)
    writer.writeUInt16(version)
    writer.writeUInt32(UInt32(truncatingIfNeeded: bytes.count))
    writer.writeBytes(bytes)
    writer.writeChecksum(since: 0)
    return writer.finish()
  }

  private static func writeChunk(
    _ bytes: [UInt8], to file: any File, at offset: UInt64, _ total: inout UInt32, _ size: inout UInt64
  ) throws(DiskError) -> UInt64 {
    var writer = ByteWriter(capacity: bytes.count + 8)
    writer.writeUInt32(UInt32(truncatingIfNeeded: bytes.count))
    writer.writeBytes(bytes)
    writer.writeChecksum(since: 0)
    total = crc32c(bytes.span.bytes, continuing: total)
    size += UInt64(bytes.count)
    let chunk = writer.finish()
    try file.write(chunk, at: offset)
    return UInt64(chunk.count)
  }

  /// Opens the file at `path` and checks its header and trailer; the chunks are checked as they are read.
  ///
  /// - Throws: ``RaftStorageError/damagedSnapshot(_:_:)`` naming what is wrong, ``RaftStorageError/disk(_:)``.
  public init(_ path: FilePath, on fileSystem: any FileSystem) throws(RaftStorageError) {
    let file: any File
    let size: UInt64
    let prefix: [UInt8]
    let tail: [UInt8]
    do throws(DiskError) {
      file = try fileSystem.open(path, .read)
      size = try file.size()
      prefix = try file.read(at: 0, count: Int(min(size, UInt64(Self.maxHeaderBytes) + 14)))
      tail = size >= UInt64(Self.trailerBytes) ? try file.readExactly(at: size - UInt64(Self.trailerBytes), count: Self.trailerBytes) : []
    } catch { throw .disk(error) }
    do throws(DecodeError) {
      var reader = ByteReader(prefix.span.bytes)
      try reader.readMagic(Self.magic)
      let version = try reader.readUInt16()
      guard version == Self.version else { throw .unsupportedVersion(at: 4, version: UInt32(version), newest: UInt32(Self.version)) }
      let length = Int(try reader.readUInt32())
      guard length <= Self.maxHeaderBytes else { throw .limitExceeded(at: 6, field: "header", limit: Self.maxHeaderBytes) }
      var body = try reader.subreader(length)
      try reader.readChecksum(since: 0)
      header = Header(
        group: try body.readUInt64(), cluster: try body.readUInt64(),
        place: LogPlace(term: try body.readUInt64(), index: try body.readUInt64()), confState: try ConfState(decoding: &body))
      start = UInt64(14 + length)
      var trailer = ByteReader(tail.span.bytes)
      _ = try trailer.readUInt32()
      contentBytes = try trailer.readUInt64()
      try trailer.readChecksum(since: 0)
    } catch { throw .damagedSnapshot(path, error.description) }
    let full = contentBytes / UInt64(Self.chunkBytes)
    let rest = contentBytes % UInt64(Self.chunkBytes)
    let expected = contentBytes.addingReportingOverflow((full + (rest > 0 ? 1 : 0)) * 8 + start + UInt64(Self.trailerBytes))
    guard !expected.overflow, expected.partialValue == size else {
      throw .damagedSnapshot(path, "\(contentBytes) bytes of content do not make a file of \(size)")
    }
    chunks = Int(full) + (rest > 0 ? 1 : 0)
    self.path = path
    self.file = file
  }

  /// One chunk of the content, checked: what a transfer resumes with.
  ///
  /// - Throws: ``RaftStorageError/damagedSnapshot(_:_:)`` if it is not what was written: this chunk has to be fetched again.
  public func chunk(_ number: Int) throws(RaftStorageError) -> [UInt8] {
    precondition(number >= 0 && number < chunks, "there is no chunk \(number)")
    let isLast = number == chunks - 1
    let size = isLast ? Int(contentBytes - UInt64(number) * UInt64(Self.chunkBytes)) : Self.chunkBytes
    let bytes: [UInt8]
    do throws(DiskError) {
      bytes = try file.readExactly(at: start + UInt64(number) * UInt64(Self.chunkBytes + 8), count: size + 8)
    } catch { throw .disk(error) }
    do throws(DecodeError) {
      return try Self.checked(bytes, size: size)
    } catch { throw .damagedSnapshot(path, "chunk \(number): \(error)") }
  }

  private static func checked(_ bytes: [UInt8], size: Int) throws(DecodeError) -> [UInt8] {
    var reader = ByteReader(bytes.span.bytes)
    guard Int(try reader.readUInt32()) == size else { throw .malformed(at: 0, field: "length") }
    let content = try reader.readBytes(size).withUnsafeBytes { Array($0) }
    try reader.readChecksum(since: 0)
    return content
  }

  /// The whole content, which must fit in memory.
  ///
  /// - Throws: as ``chunk(_:)``.
  public func content() throws(RaftStorageError) -> [UInt8] {
    var bytes: [UInt8] = []
    for number in 0..<chunks { bytes += try chunk(number) }
    return bytes
  }
}
