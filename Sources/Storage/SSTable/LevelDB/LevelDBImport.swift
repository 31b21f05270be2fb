import StrataBytes
import StrataCompression
public import StrataDisk
public import SystemPackage

/// Makes a table of one in LevelDB's format: what LevelDB wrote, or RocksDB with `format_version=0`. On return it is durable under `target`.
///
/// Keys, sequences, values and deletions are kept; every block's checksum, length and order is checked. O(table); memory: a block of each and the
/// index. Safe from any thread.
/// - Parameters:
///   - path: a `.ldb` or `.sst` file of LevelDB, which stays as it is.
///   - fileID: the number of the new table.
/// - Throws: `.notATable` without LevelDB's footer; `.corruptBlock` for a damaged block; `.unsupportedFormat` for a codec or a kind of entry LevelDB
///   does not have; `.outOfOrder`, `.disk`. Then there is no new table.
public func importLevelDBTable(
  _ path: FilePath, to target: FilePath, fileID: UInt64, options: TableOptions = TableOptions(), on fileSystem: any FileSystem
) throws(TableError) -> TableMetadata {
  let input = try LevelDBInput(path, on: fileSystem)
  defer { input.close() }
  var writer = try TableWriter(target, fileID: fileID, options: options, on: fileSystem)
  let indexHandle = try input.index()
  var index = try input.block(indexHandle, "index")
  var next: UInt64 = 0
  while try input.step(&index, indexHandle, "index") {
    let handle = try input.handle(index, indexHandle)
    // Blocks follow one another in a table that was written once, so that no index makes a reader go over the same bytes for ever.
    guard handle.offset >= next else { throw input.corrupt(indexHandle, "index", "a block lies before the one it follows") }
    next = handle.offset &+ 1
    var block = try input.block(handle, "data")
    while try input.step(&block, handle, "data") {
      let count = block.key.count - LevelDBFormat.keyTailBytes
      guard count >= 0 else { throw input.corrupt(handle, "data", "a key is too short") }
      let trailer = Trailer(word: block.key.load(UInt64.self, at: count))
      guard let kind = trailer.kind, kind == .value || kind == .deletion else {
        throw .unsupportedFormat(path, found: "an entry of kind \(trailer.word & 0xFF)", supported: "LevelDB's values and deletions")
      }
      // LevelDB keeps what a deletion was written with, which is nothing.
      if kind == .deletion { block.dropValue() }
      try writer.add(key: block.key.span.bytes.extracting(0..<count), sequence: trailer.sequence, kind: kind, value: block.valueBytes)
    }
  }
  return try writer.finish()
}

/// A file in LevelDB's format.
private struct LevelDBInput {
  private let file: any File
  private let path: FilePath
  private let size: UInt64

  init(_ path: FilePath, on fileSystem: any FileSystem) throws(TableError) {
    self.path = path
    do throws(DiskError) {
      file = try fileSystem.open(path, .read)
      size = try file.size()
    } catch { throw .disk(error) }
  }

  func close() { try? file.close() }

  func corrupt(_ handle: LevelDBFormat.Handle, _ kind: String, _ reason: String) -> TableError {
    .corruptBlock(path, offset: handle.offset, kind: "LevelDB \(kind)", reason: reason)
  }

  private func bytes(at offset: UInt64, _ count: Int) throws(TableError) -> [UInt8] {
    do throws(DiskError) { return try file.readExactly(at: offset, count: count) } catch { throw .disk(error) }
  }

  func index() throws(TableError) -> LevelDBFormat.Handle {
    guard size >= UInt64(LevelDBFormat.footerBytes) else { throw .notATable(path, reason: "\(size) bytes are less than a footer") }
    let footer = try bytes(at: size - UInt64(LevelDBFormat.footerBytes), LevelDBFormat.footerBytes)
    return try LevelDBFormat.decodeIndex(footer: footer, path)
  }

  /// The entries of the block at `handle`, its checksum checked and decompressed.
  func block(_ handle: LevelDBFormat.Handle, _ kind: String) throws(TableError) -> LevelDBBlockReader {
    let room = size - UInt64(LevelDBFormat.trailerBytes)
    guard handle.offset <= room, handle.bytes <= room - handle.offset, handle.bytes <= UInt64(BlockHeader.rawLimit) else {
      throw corrupt(handle, kind, "it would end beyond the file")
    }
    let count = Int(handle.bytes)
    let stored = try bytes(at: handle.offset, count + LevelDBFormat.trailerBytes)
    let code = stored[count]
    let content = stored.span.bytes.extracting(0..<count)
    guard stored.load(UInt32.self, at: count + 1) == LevelDBFormat.checksum(content, code: code) else {
      throw corrupt(handle, kind, "its checksum is wrong")
    }
    let raw: [UInt8]
    switch code {
    case 0: raw = [UInt8](stored[..<count])
    case 1:
      let limit = min(count * LevelDBFormat.growthLimit + 1024, BlockHeader.rawLimit)
      do throws(CompressionError) { raw = try Codec.snappy.decompress(content, atMost: limit) } catch { throw corrupt(handle, kind, "\(error)") }
    default: throw .unsupportedFormat(path, found: "a block of codec \(code)", supported: "blocks as they are and Snappy")
    }
    guard let reader = LevelDBBlockReader(raw) else { throw corrupt(handle, kind, "its restarts do not fit its length") }
    return reader
  }

  func step(_ block: inout LevelDBBlockReader, _ handle: LevelDBFormat.Handle, _ kind: String) throws(TableError) -> Bool {
    do throws(DecodeError) { return try block.next() } catch { throw corrupt(handle, kind, "\(error)") }
  }

  /// The handle in the value of an entry of the index.
  func handle(_ entry: LevelDBBlockReader, _ index: LevelDBFormat.Handle) throws(TableError) -> LevelDBFormat.Handle {
    do throws(DecodeError) {
      var reader = ByteReader(entry.valueBytes)
      return try LevelDBFormat.Handle(from: &reader)
    } catch { throw corrupt(index, "index", "\(error)") }
  }
}
