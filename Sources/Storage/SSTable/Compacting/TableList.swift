import StrataBytes
import StrataDisk
import SystemPackage

/// Which tables make up a ``CompactedTables``: the file `TABLES` of its directory, replaced as a whole by each change. Docs/Formats/TableList.md.
///
///     0  magic "STRATLST"   8  version u16   10  zeros   12  tables u32   16  next file number u64
///    24  each table: varint length, its facts   end - 4  CRC-32C u32 of all before
struct TableList: Sendable, Hashable {
  /// Level 0 newest first, deeper levels by key.
  var levels = [[TableMetadata]](repeating: [], count: CompactedTables.levels)
  /// No table has had this number or a higher one.
  var nextFile: UInt64 = 1

  private static let version: UInt16 = 1
  /// No list is longer: more than 300 000 tables. Checked before memory is taken.
  private static let maxBytes = 256 << 20

  var tables: [TableMetadata] { levels.flatMap { $0 } }
  var shape: LSMShape { LSMShape(levels: levels) }

  // MARK: Names

  static func path(_ directory: FilePath) -> FilePath { directory.appending("TABLES") }
  static func path(_ id: UInt64, _ directory: FilePath) -> FilePath { directory.appending(name(id)) }

  static func name(_ id: UInt64) -> String {
    let digits = String(id)
    return String(repeating: "0", count: max(0, 10 - digits.utf8.count)) + digits + ".sst"
  }

  /// Whether a name is one of a table, finished or not, or of a list that was not.
  static func isOurs(_ text: String) -> Bool {
    if text == "TABLES.tmp" { return true }
    let stem = text.hasSuffix(".tmp") ? text.dropLast(4) : text[...]
    guard stem.hasSuffix(".sst"), let id = UInt64(stem.dropLast(4)) else { return false }
    return name(id) == stem
  }

  // MARK: Encoding

  var encoded: [UInt8] {
    var writer = ByteWriter(capacity: 256)
    writer.writeMagic("STRATLST")
    writer.writeUInt16(Self.version)
    writer.writeZeros(2)
    writer.writeUInt32(UInt32(tables.count))
    writer.writeUInt64(nextFile)
    for table in tables {
      var facts = ByteWriter(capacity: 256)
      table.encode(to: &facts)
      writer.writeLengthPrefixed(facts.bytes)
    }
    writer.writeChecksum(since: 0)
    return writer.finish()
  }

  init() {}

  init(decoding bytes: [UInt8]) throws(DecodeError) {
    // The checksum first: a damaged version is damage, not a newer one.
    guard bytes.count >= 28 else { throw .truncated(at: 0, need: 28, have: bytes.count) }
    var tail = ByteReader(bytes.span.bytes)
    try tail.skip(bytes.count - 4)
    try tail.readChecksum(since: 0)
    var reader = ByteReader(bytes.span.bytes.extracting(0..<bytes.count - 4))
    try reader.readMagic("STRATLST")
    let version = try reader.readUInt16()
    guard version == Self.version else { throw .unsupportedVersion(at: 8, version: UInt32(version), newest: UInt32(Self.version)) }
    try reader.skip(2)
    let count = try reader.readUInt32()
    nextFile = try reader.readUInt64()
    var ids: Set<UInt64> = []
    for _ in 0..<count {
      let start = reader.offset
      let facts = try reader.readLengthPrefixed(limit: Self.maxBytes, field: "facts of a table")
      var field = ByteReader(facts, base: start)
      let table = try TableMetadata(from: &field)
      guard Int(table.level) < levels.count, table.fileID < nextFile, ids.insert(table.fileID).inserted else {
        throw .malformed(at: start, field: "level or number of table \(table.fileID)")
      }
      levels[Int(table.level)].append(table)
    }
    try reader.expectEnd(of: "list of tables")
  }

  /// The list of a directory; one that is new gets an empty list, durably, before any table can be there.
  static func load(_ directory: FilePath, on fileSystem: any FileSystem) throws(TableError) -> TableList {
    let path = path(directory)
    var bytes: [UInt8]?
    var stray: String?
    do throws(DiskError) {
      if try fileSystem.exists(path) {
        bytes = try fileSystem.readAll(path, limit: maxBytes)
      } else {
        stray = try fileSystem.list(directory).first { isOurs($0) && !$0.hasSuffix(".tmp") }
        if stray == nil { try fileSystem.atomicReplace(path, with: TableList().encoded) }
      }
    } catch { throw .disk(error) }
    if let stray { throw .corruptList(path, reason: "missing, though there is \(stray)") }
    guard let bytes else { return TableList() }
    do throws(DecodeError) { return try TableList(decoding: bytes) } catch {
      if case .unsupportedVersion(_, let version, let newest) = error {
        throw .unsupportedFormat(path, found: "version \(version)", supported: "version \(newest)")
      }
      throw .corruptList(path, reason: "\(error)")
    }
  }
}
