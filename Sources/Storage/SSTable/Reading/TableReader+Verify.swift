import StrataBytes
import StrataDisk
import SystemPackage

/// What ``TableReader/verify(limiter:)`` looked at and found.
public struct TableVerification: Sendable, Hashable {
  /// Data blocks read.
  public var blocks: UInt64 = 0
  /// Entries in them.
  public var entries: UInt64 = 0
  /// Bytes of the file read.
  public var bytes: UInt64 = 0
  /// What is not as it was written, in the order of the file; empty for a sound table.
  public var damage: [TableError] = []

  /// Whether nothing was found.
  public var isClean: Bool { damage.isEmpty }
}

extension TableReader {
  /// Reads every data block, past the cache, and checks checksums, the order of all entries and the counts of the footer.
  ///
  /// Damage is collected, not thrown: the pass goes on behind it. O(file).
  /// - Parameter limiter: called with the bytes about to be read; may wait, to leave the device to others.
  /// - Throws: `.disk` where the file cannot be read at all.
  public func verify(limiter: (Int) -> Void = { _ in }) throws(TableError) -> TableVerification {
    var result = TableVerification()
    if let filterDamage { result.damage.append(filterDamage) }
    try verifyFilterParts(&result, limiter)
    let filterDamage = result.damage
    var last: InternalKey?
    let index = try blockHandles(&result)
    for handle in index {
      limiter(handle.fileBytes)
      result.bytes += UInt64(handle.fileBytes)
      do throws(TableError) {
        let pin = try source.read(handle, .data)
        defer { pin.release() }
        let view = try view(pin)
        result.blocks += 1
        result.entries += UInt64(view.entryCount)
        last = try checkOrder(view, handle, after: last)
      } catch {
        guard case .corruptBlock = error else { throw error }
        result.damage.append(error)
      }
    }
    if result.damage == filterDamage, result.entries != metadata.entryCount {
      result.damage.append(.notATable(path, reason: "it holds \(result.entries) entries and says \(metadata.entryCount)"))
    }
    return result
  }

  /// Reads the filters of the index's parts, where there are such.
  private func verifyFilterParts(_ result: inout TableVerification, _ limiter: (Int) -> Void) throws(TableError) {
    guard hasTwoLevels else { return }
    let top = try view(topIndex, isIndex: true)
    for index in 0..<top.restarts {
      let entry = top.decode(at: top.restartOffset(index))
      guard let handle = BlockSummary.filterHandle(UnsafeRawBufferPointer(start: top.base + entry.value, count: entry.valueBytes)) else { continue }
      limiter(handle.fileBytes)
      result.bytes += UInt64(handle.fileBytes)
      do throws(TableError) {
        let pin = try source.read(handle, .filter)
        defer { pin.release() }
        guard pin.payload.count >= 64, pin.payload.count % 64 == 0 else {
          throw .corruptBlock(path, offset: handle.offset, kind: BlockKind.filter.name, reason: "it is no filter")
        }
      } catch {
        guard case .corruptBlock = error else { throw error }
        result.damage.append(error)
      }
    }
  }

  /// The data blocks in order; parts of the index that cannot be read are noted and left out.
  private func blockHandles(_ result: inout TableVerification) throws(TableError) -> [BlockHandle] {
    func handles(_ pin: BlockPin) throws(TableError) -> [BlockHandle] {
      let view = try view(pin, isIndex: true)
      var found: [BlockHandle] = []
      for index in 0..<view.restarts { found.append(try handle(view, view.decode(at: view.restartOffset(index)))) }
      return found
    }
    let top = try handles(topIndex)
    guard hasTwoLevels else { return top }
    var all: [BlockHandle] = []
    for part in top {
      do throws(TableError) {
        let pin = try source.read(part, .index)
        defer { pin.release() }
        all += try handles(pin)
      } catch {
        guard case .corruptBlock = error else { throw error }
        result.damage.append(error)
      }
    }
    return all
  }

  private func checkOrder(_ view: BlockView, _ handle: BlockHandle, after last: InternalKey?) throws(TableError) -> InternalKey? {
    var last = last
    var run = BackwardRun()
    for entry in run.all(of: view) {
      let here = InternalKey(userKey: [UInt8](run.key(of: entry)), trailer: entry.trailer)
      if let last, !(last < here) {
        throw .corruptBlock(path, offset: handle.offset, kind: BlockKind.data.name, reason: "an entry is out of order")
      }
      last = here
    }
    return last
  }
}

/// What ``salvageTable(_:to:fileID:options:on:)`` saved.
public struct SalvageReport: Sendable, Hashable {
  /// Data blocks found sound.
  public var blocks: UInt64 = 0
  /// Entries saved.
  public var entries: UInt64 = 0
  /// Range deletions saved.
  public var rangeDeletions: UInt64 = 0
  /// Bytes that belong to no sound block.
  public var skippedBytes: UInt64 = 0
}

/// Saves what can be read of a table whose footer, index or blocks are damaged: looks for sound blocks from front to back and writes their entries
/// to a new table. Blocks are their own proof, checksum and place, so nothing that was not written there is saved.
///
/// - Parameter fileID: the number of the new table. The old one's is taken from its head, which must be readable.
/// - Throws: `.notATable` where the head is gone, `.disk`; then there is no new table.
public func salvageTable(
  _ path: FilePath, to target: FilePath, fileID: UInt64, options: TableOptions = TableOptions(), on fileSystem: any FileSystem
) throws(TableError) -> (metadata: TableMetadata, report: SalvageReport) {
  let file: any File
  let size: UInt64
  let headBytes: [UInt8]
  do throws(DiskError) {
    file = try fileSystem.open(path, .read)
    size = try file.size()
    headBytes = try file.read(at: 0, count: TableFormat.headBytes)
  } catch { throw .disk(error) }
  defer { try? file.close() }
  let head = try TableFormat.decodeHead(headBytes, path)
  var report = SalvageReport()
  var writer = try TableWriter(target, fileID: fileID, options: options, on: fileSystem)
  let source = BlockSource(file: file, path: path, fileID: head.fileID, end: size)
  var offset = UInt64(TableFormat.headBytes)
  var last: InternalKey?
  while offset + UInt64(BlockHeader.bytes) <= size {
    guard let (handle, kind) = try soundHeader(source, at: offset, size: size), let pin = try? source.read(handle, kind) else {
      offset += 8
      report.skippedBytes += 8
      continue
    }
    defer { pin.release() }
    if kind == .data, let view = BlockView(unchecked: pin.payload) {
      report.blocks += 1
      var run = BackwardRun()
      for entry in run.all(of: view) {
        let key = run.key(of: entry)
        let here = InternalKey(userKey: [UInt8](key), trailer: entry.trailer)
        if let last, !(last < here) { continue }
        last = here
        try writer.add(key, entry.trailer, UnsafeRawBufferPointer(start: view.base + entry.value, count: entry.valueBytes), hash: nil)
        report.entries += 1
      }
    } else if kind == .rangeDeletions, let ranges = try? RangeTombstones(decoding: pin.payload.bytes) {
      for range in ranges.deletions {
        try writer.addRangeDeletion(from: range.start, to: range.end, sequence: range.sequence)
        report.rangeDeletions += 1
      }
    }
    offset += UInt64((handle.fileBytes + 7) & ~7)
  }
  return (try writer.finish(), report)
}

/// The handle of the block that seems to begin at `offset`; whether it is one its checksum tells.
private func soundHeader(_ source: BlockSource, at offset: UInt64, size: UInt64) throws(TableError) -> (BlockHandle, BlockKind)? {
  do throws(DiskError) {
    let header = try source.file.read(at: offset, count: BlockHeader.bytes)
    guard header.count == BlockHeader.bytes else { return nil }
    let stored = header.load(UInt32.self, at: 4)
    // What cannot be a header costs no read, so that a damaged file takes no longer than its length asks for.
    let raw = header.load(UInt32.self, at: 8)
    guard header[13] <= 4, header[14] == 0, header[15] == 0, UInt64(raw) <= UInt64(stored) * UInt64(BlockHeader.growthLimit) else { return nil }
    guard let kind = BlockKind(rawValue: header[12]), offset + UInt64(BlockHeader.bytes) + UInt64(stored) <= size else { return nil }
    return (BlockHandle(offset: offset, storedBytes: stored), kind)
  } catch { throw .disk(error) }
}
