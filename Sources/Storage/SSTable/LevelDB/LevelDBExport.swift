import StrataBytes
public import StrataCompression
public import StrataDisk
public import SystemPackage

/// How ``exportLevelDBTable(_:to:options:on:)`` lays a table out.
public struct LevelDBTableOptions: Sendable {
  /// Bytes of entries after which a block ends.
  public var blockSize = 4096
  /// Every so many entries one key is stored whole.
  public var restartInterval = 16
  /// `.none` or `.snappy`: LevelDB knows no others.
  public var compression: Codec = .snappy

  public init() {}
}

/// Writes a table's entries as a table of LevelDB's format, which LevelDB, RocksDB and their tools read. On return the file is durable under `path`.
///
/// Values and deletions keep their keys, sequences and bytes. O(table); memory: a block and the index. Safe from any thread.
/// - Returns: the entries written.
/// - Throws: `.inexpressible` for merge operands, range deletions, or a codec LevelDB does not know: then there is no file. `.corruptBlock`, `.disk`.
@discardableResult
public func exportLevelDBTable(
  _ table: TableReader, to path: FilePath, options: LevelDBTableOptions = LevelDBTableOptions(), on fileSystem: any FileSystem
) throws(TableError) -> UInt64 {
  guard table.rangeTombstones.isEmpty else { throw .inexpressible(format: "LevelDB's table", what: "a range deletion") }
  guard let code = LevelDBFormat.code(options.compression) else {
    throw .inexpressible(format: "LevelDB's table", what: "compression by \(options.compression.name)")
  }
  let temporary = FilePath(path.string + ".tmp")
  var isDone = false
  defer { if !isDone { try? fileSystem.remove(temporary) } }
  var output = LevelDBOutput(try LevelDBOutput.create(temporary, on: fileSystem), code: code, codec: options.compression)
  do throws(TableError) {
    try output.write(table, options)
  } catch {
    output.close()
    throw error
  }
  do throws(DiskError) {
    try output.finish()
    try fileSystem.rename(temporary, to: path, replacing: true)
    isDone = true
    try fileSystem.syncDirectory(path.parentDirectory)
  } catch { throw .disk(error) }
  return output.entries
}

/// The file of an export under way.
private struct LevelDBOutput: ~Copyable {
  private let file: any File
  private let code: UInt8
  private let codec: Codec
  private var pending = ByteWriter()
  private var flushed: UInt64 = 0
  private(set) var entries: UInt64 = 0

  private static let writeBytes = 1 << 20

  init(_ file: any File, code: UInt8, codec: Codec) {
    self.file = file
    self.code = code
    self.codec = codec
  }

  static func create(_ path: FilePath, on fileSystem: any FileSystem) throws(TableError) -> any File {
    do throws(DiskError) {
      let file = try fileSystem.open(path, .create)
      try file.truncate(to: 0)
      return file
    } catch { throw .disk(error) }
  }

  func close() { try? file.close() }

  mutating func write(_ table: TableReader, _ options: LevelDBTableOptions) throws(TableError) {
    var block = LevelDBBlockBuilder(restartInterval: max(1, options.restartInterval))
    var index = LevelDBBlockBuilder(restartInterval: 1)
    let cursor = table.cursor(fillCache: false)
    try cursor.first()
    while cursor.isValid {
      let kind = cursor.entry.trailer.kind
      guard kind == .value || kind == .deletion else { throw .inexpressible(format: "LevelDB's table", what: "a merge operand") }
      var key = [UInt8](cursor.entry.key)
      withUnsafeBytes(of: cursor.entry.trailer.word.littleEndian) { key.append(contentsOf: $0) }
      block.add(key, cursor.entry.value.bytes)
      entries += 1
      if block.estimatedBytes >= options.blockSize { try end(&block, &index) }
      try cursor.next()
    }
    if !block.isEmpty { try end(&block, &index) }
    var metaindex = LevelDBBlockBuilder(restartInterval: 1)
    let meta = try write(metaindex.finish())
    pending.writeBytes(LevelDBFormat.footer(metaindex: meta, index: try write(index.finish())))
    try flush()
  }

  /// Ends a block; its last key stands for it in the index.
  private mutating func end(_ block: inout LevelDBBlockBuilder, _ index: inout LevelDBBlockBuilder) throws(TableError) {
    let key = block.lastKey
    let handle = try write(block.finish())
    var value = ByteWriter()
    handle.encode(to: &value)
    index.add(key, value.bytes)
  }

  private mutating func write(_ block: [UInt8]) throws(TableError) -> LevelDBFormat.Handle {
    var stored = block
    var storedCode = LevelDBFormat.code(.none) ?? 0
    // As LevelDB does: what does not become smaller by an eighth stays as it is.
    if codec != .none, let compressed = try? codec.compress(block.span.bytes), compressed.count < block.count - block.count / 8 {
      stored = compressed
      storedCode = code
    }
    let handle = LevelDBFormat.Handle(offset: flushed + UInt64(pending.count), bytes: UInt64(stored.count))
    pending.writeBytes(stored)
    pending.writeUInt8(storedCode)
    pending.writeUInt32(LevelDBFormat.checksum(stored.span.bytes, code: storedCode))
    if pending.count >= Self.writeBytes { try flush() }
    return handle
  }

  private mutating func flush() throws(TableError) {
    do throws(DiskError) { try file.write(pending.bytes, at: flushed) } catch { throw .disk(error) }
    flushed += UInt64(pending.count)
    pending.removeAll()
  }

  func finish() throws(DiskError) {
    do throws(DiskError) { try file.sync(.full) } catch {
      try? file.close()
      throw error
    }
    try file.close()
  }
}
