import StrataBytes
public import StrataDisk
import StrataFilters
public import SystemPackage

/// An open table: immutable, safe to read from any number of threads.
///
/// In memory stay the footer, the top of the index, the filter and the range deletions (``residentBytes``); data blocks, the lower index and the
/// filter of a table so large that it is in parts come through the cache. A damaged block makes the reads that need it throw `.corruptBlock`; all
/// others go on.
public final class TableReader: Sendable {
  /// What is known of the table.
  public let metadata: TableMetadata
  /// The table's range deletions, within its bounds.
  public let rangeTombstones: RangeTombstones
  /// Bytes this object keeps outside the cache.
  public let residentBytes: Int
  /// The table's file.
  public var path: FilePath { source.path }

  let source: BlockSource
  let cache: BlockCache?
  /// The same, for lookups that do not count a reference.
  private let unownedCache: Unmanaged<BlockCache>?
  /// The block with the index, or with the index of its parts.
  let topIndex: BlockPin
  let hasTwoLevels: Bool
  private let filterBlock: BlockPin?
  private let filter: FilterProbe?
  /// Bits per key of the filters of the index's parts; 0 where there are none, or no cache to have them in.
  private let partHashes: Int
  /// Whether the filter is in parts that come through the cache, one for each part of the index.
  public var hasFilterInParts: Bool { partHashes > 0 }
  /// Whether the index is in parts that come through the cache.
  public var hasIndexInParts: Bool { hasTwoLevels }
  /// Which prefixes of keys the filter knows besides the keys; `nil` for none.
  public let prefixExtractor: PrefixExtractor?
  /// Whether data blocks may have hash indexes.
  public let hasHashIndexes: Bool
  /// What collectors have made of the table's entries, in the order in which its index has it.
  public let properties: [TableProperty]
  /// Why the table's filter cannot be used, where it has one that is damaged: every key is then perhaps in the table, which costs reads and
  /// no answers.
  public let filterDamage: TableError?

  private init(
    _ source: BlockSource, _ cache: BlockCache?, _ metadata: TableMetadata, _ ranges: RangeTombstones, topIndex: BlockPin, levels: UInt8,
    filter: BlockPin?, hashes: UInt8, filterDamage: TableError?, prefixes: PrefixExtractor?, properties: [TableProperty], features: UInt16
  ) {
    self.properties = properties
    hasHashIndexes = features & TableFormat.hashedBlocks != 0
    self.filterDamage = filterDamage
    self.source = source
    self.cache = cache
    unownedCache = cache.map { .passUnretained($0) }
    self.metadata = metadata
    self.topIndex = topIndex
    rangeTombstones = ranges
    hasTwoLevels = levels == 2
    filterBlock = filter
    self.filter = filter.map { FilterProbe(bits: $0.payload, hashCount: Int(hashes)) }
    partHashes = levels == 2 && filter == nil && filterDamage == nil && cache != nil ? Int(hashes) : 0
    prefixExtractor = prefixes
    residentBytes = topIndex.payload.count + (filter?.payload.count ?? 0) + ranges.fragments.reduce(256) { $0 + $1.start.count + $1.end.count + 64 }
  }

  deinit {
    topIndex.release()
    filterBlock?.release()
    try? source.file.close()
  }

  /// Opens the table at `path`.
  ///
  /// Reads head, footer, properties, top index, filter and range deletions, and no data.
  /// - Parameters:
  ///   - expected: what a manifest says of the table; compared with what the table says of itself.
  ///   - databaseID: whose table it must be; `nil` accepts any.
  ///   - cache: where blocks are kept; `nil` reads each block anew.
  /// - Throws: `.notATable`, `.unsupportedFormat`, `.truncated`, `.foreignTable`, `.corruptBlock`, `.disk`.
  public static func open(
    _ path: FilePath, expected: TableMetadata? = nil, databaseID: (UInt64, UInt64)? = nil, cache: BlockCache? = nil, on fileSystem: any FileSystem
  ) throws(TableError) -> TableReader {
    let (file, size) = try openFile(path, fileSystem)
    do throws(TableError) {
      if let expected, size != expected.fileSize { throw .truncated(path, expected: expected.fileSize, actual: size) }
      guard size >= UInt64(TableFormat.headBytes + TableFormat.footerBytes) else {
        throw .notATable(path, reason: "\(size) bytes are less than head and footer of a table")
      }
      let headBytes = try bytes(file, path, at: 0, count: TableFormat.headBytes)
      let head = try TableFormat.decodeHead(headBytes, path)
      let end = size - UInt64(TableFormat.footerBytes)
      let footer = try TableFormat.decodeFooter(bytes(file, path, at: end, count: TableFormat.footerBytes), head: headBytes, path)
      guard footer.fileBytes == size else { throw .truncated(path, expected: footer.fileBytes, actual: size) }
      if let databaseID, databaseID != head.databaseID { throw .foreignTable(path, reason: "it was written by another database") }
      if let expected, expected.fileID != head.fileID { throw .foreignTable(path, reason: "it is table \(head.fileID), not \(expected.fileID)") }
      return try load(BlockSource(file: file, path: path, fileID: head.fileID, end: end), footer, head.features, expected, cache)
    } catch {
      try? file.close()
      throw error
    }
  }

  private static func openFile(_ path: FilePath, _ fileSystem: any FileSystem) throws(TableError) -> (any File, UInt64) {
    do throws(DiskError) {
      let file = try fileSystem.open(path, .read)
      return (file, try file.size())
    } catch { throw .disk(error) }
  }

  private static func bytes(_ file: any File, _ path: FilePath, at offset: UInt64, count: Int) throws(TableError) -> [UInt8] {
    do throws(DiskError) { return try file.readExactly(at: offset, count: count) } catch { throw .disk(error) }
  }

  private static func load(
    _ source: BlockSource, _ footer: TableFormat.Footer, _ features: UInt16, _ expected: TableMetadata?, _ cache: BlockCache?
  ) throws(TableError) -> TableReader {
    let properties = try source.read(footer.properties, .properties)
    defer { properties.release() }
    var metadata: TableMetadata
    var prefixes: PrefixExtractor?
    var collected: [TableProperty] = []
    do throws(DecodeError) {
      var reader = ByteReader(properties.payload.bytes)
      metadata = try TableMetadata(from: &reader)
      prefixes = try TableMetadata.extractor(in: properties.payload.bytes)
      collected = try TableMetadata.properties(in: properties.payload.bytes)
    } catch {
      throw .corruptBlock(source.path, offset: footer.properties.offset, kind: BlockKind.properties.name, reason: "\(error)")
    }
    metadata.fileSize = footer.fileBytes
    metadata.fileChecksum = expected?.fileChecksum ?? 0
    if let expected, expected.level != metadata.level { metadata.level = expected.level }
    guard metadata.entryCount == footer.entryCount, expected.map({ $0.entryCount == metadata.entryCount }) ?? true else {
      throw .foreignTable(source.path, reason: "it holds \(metadata.entryCount) entries and is known with another number")
    }
    let ranges = try rangeTombstones(source, footer)
    let top = try source.read(footer.index, .topIndex)
    var filter: BlockPin?
    var filterDamage: TableError?
    do throws(TableError) { filter = try readFilter(source, footer) } catch {
      guard case .corruptBlock = error else {
        top.release()
        throw error
      }
      filterDamage = error
    }
    return TableReader(
      source, cache, metadata, ranges, topIndex: top, levels: footer.indexLevels, filter: filter, hashes: footer.filterHashes,
      filterDamage: filterDamage, prefixes: prefixes, properties: collected, features: features)
  }

  private static func readFilter(_ source: BlockSource, _ footer: TableFormat.Footer) throws(TableError) -> BlockPin? {
    guard footer.filterHashes <= 30 else {
      throw .corruptBlock(source.path, offset: source.end, kind: BlockKind.filter.name, reason: "no filter has \(footer.filterHashes) bits a key")
    }
    guard footer.filter.offset != 0 else { return nil }
    let pin = try source.read(footer.filter, .filter)
    guard pin.payload.count >= 64, pin.payload.count % 64 == 0, footer.filterHashes > 0 else {
      pin.release()
      throw .corruptBlock(source.path, offset: footer.filter.offset, kind: BlockKind.filter.name, reason: "it is no filter")
    }
    return pin
  }

  private static func rangeTombstones(_ source: BlockSource, _ footer: TableFormat.Footer) throws(TableError) -> RangeTombstones {
    guard footer.rangeDeletions.offset != 0 else { return .none }
    let pin = try source.read(footer.rangeDeletions, .rangeDeletions)
    defer { pin.release() }
    do throws(DecodeError) { return try RangeTombstones(decoding: pin.payload.bytes) } catch {
      throw .corruptBlock(source.path, offset: footer.rangeDeletions.offset, kind: BlockKind.rangeDeletions.name, reason: "\(error)")
    }
  }

  // MARK: Blocks

  /// A block through the cache, pinned for the caller.
  @inline(__always)
  func block(_ handle: BlockHandle, _ kind: BlockKind) throws(TableError) -> BlockPin {
    if let pin = cached(handle) { return pin }
    guard let cache else { return try source.read(handle, kind) }
    return cache.keep(try source.read(handle, kind, isKept: true))
  }

  /// A block that is in the cache, pinned for the caller.
  @inline(__always)
  private func cached(_ handle: BlockHandle) -> BlockPin? {
    guard let unownedCache else { return nil }
    return unownedCache._withUnsafeGuaranteedRef { $0.block(source.fileID, handle.offset) }
  }

  @inline(__always)
  func view(_ pin: BlockPin, isIndex: Bool = false) throws(TableError) -> BlockView {
    // Cannot fail for a payload that was checked when it was brought in.
    guard let view = BlockView(unchecked: pin.payload, isIndex: isIndex, guide: pin.guide) else {
      throw .corruptBlock(source.path, offset: pin.slab.pointee.offset, kind: "block", reason: "its counts do not fit its length")
    }
    return view
  }

  // MARK: Point reads

  /// `false`: surely no entry has a key of this ``FilterHash``. `true`: perhaps, and always for a table whose filter is in parts. One cache line.
  public func mayContain(hash: UInt64) -> Bool { filter?.mayContain(hash: hash) ?? true }

  /// Adds to `lookup` what the table holds of `key` at or below `sequence`: nothing, a value, a deletion, operands, a covering range deletion.
  ///
  /// One filter probe, one search of the index, one of a block; neither allocates nor counts references once the blocks are cached.
  /// - Parameter hash: the key's ``FilterHash``.
  /// - Throws: `.corruptBlock`, `.disk`; the lookup is then as it was, but for a covering range deletion.
  public func lookup(_ key: UnsafeRawBufferPointer, hash: UInt64, atOrBelow sequence: UInt64, into lookup: inout PointLookup) throws(TableError) {
    if !rangeTombstones.isEmpty { lookup.cover(rangeTombstones.coveringSequence(key, atOrBelow: sequence)) }
    if let filter, !filter.mayContain(hash: hash) { return }
    let trailer = Trailer.newest(atOrBelow: sequence)
    guard let handle = try dataBlock(key, trailer, hash: hash, &lookup) else { return }
    guard let pin = try block(handle, .data, &lookup) else { return }
    defer { pin.release() }
    let view = try view(pin)
    guard let found = view.firstEntry(of: key, trailer, hash: hash) else { return }
    guard found.isKey else { return }
    let entry = found.entry
    if lookup.take(entry.trailer, UnsafeRawBufferPointer(start: view.base + entry.value, count: entry.valueBytes), pinning: pin) { return }
    // Older operands may lie in further blocks.
    if lookup.onlyIfCached { return lookup.stopAtDisk() }
    try collect(key, after: entry.trailer, into: &lookup)
  }

  /// A block through the cache, pinned for the caller; `nil` where the lookup may not wait for it, which is then noted.
  @inline(__always)
  private func block(_ handle: BlockHandle, _ kind: BlockKind, _ lookup: inout PointLookup) throws(TableError) -> BlockPin? {
    if let pin = cached(handle) { return pin }
    if lookup.onlyIfCached {
      lookup.stopAtDisk()
      return nil
    }
    guard let cache else { return try source.read(handle, kind) }
    return cache.keep(try source.read(handle, kind, isKept: true))
  }

  /// The handle of the data block where the first entry at or after (`key`, `trailer`) is, if any is and, for a `hash`, its part's filter knows it.
  @inline(__always)
  func dataBlock(
    _ key: UnsafeRawBufferPointer, _ trailer: Trailer, hash: UInt64?, _ lookup: inout PointLookup
  ) throws(TableError) -> BlockHandle? {
    let top = try view(topIndex, isIndex: true)
    guard let found = top.firstEntry(notBefore: key, trailer) else { return nil }
    let handle = try handle(top, found.entry)
    guard hasTwoLevels else { return handle }
    if let hash, partHashes > 0, try !partMayContain(hash, top, found.entry, &lookup) { return nil }
    guard let pin = try block(handle, .index, &lookup) else { return nil }
    defer { pin.release() }
    let part = try view(pin, isIndex: true)
    guard let inner = part.firstEntry(notBefore: key, trailer) else { return nil }
    return try self.handle(part, inner.entry)
  }

  /// Asks the filter of a part of the index, of which `entry` of the top tells. One that is damaged, or none, says "perhaps".
  private func partMayContain(
    _ hash: UInt64, _ top: BlockView, _ entry: BlockView.Entry, _ lookup: inout PointLookup
  ) throws(TableError) -> Bool {
    guard let handle = BlockSummary.filterHandle(UnsafeRawBufferPointer(start: top.base + entry.value, count: entry.valueBytes)) else { return true }
    do throws(TableError) {
      guard let pin = try block(handle, .filter, &lookup) else { return false }
      defer { pin.release() }
      guard pin.payload.count >= 64, pin.payload.count % 64 == 0 else { return true }
      return FilterProbe(bits: pin.payload, hashCount: partHashes).mayContain(hash: hash)
    } catch {
      guard case .corruptBlock = error else { throw error }
      return true
    }
  }

  /// `false`: surely no entry's key begins with `prefix`. `true`: perhaps, and always where the table's filter knows no prefixes or `prefix` is
  /// shorter than those it knows. Range deletions are not looked at. May read a part of the filter.
  /// - Throws: `.disk`, and `.corruptBlock` for an index that cannot be followed.
  public func mayContain(prefix: RawSpan) throws(TableError) -> Bool {
    try prefix.withUnsafeBytes { (prefix) throws(TableError) in
      guard let length = prefixExtractor?.length(in: prefix) else { return true }
      let hash = FilterHash.hash64(UnsafeRawBufferPointer(rebasing: prefix[..<length]))
      if let filter { return filter.mayContain(hash: hash) }
      guard partHashes > 0 else { return true }
      // The first entry not before the prefix is one of its own, if there is any: the part that would hold it answers for all.
      let top = try view(topIndex, isIndex: true)
      guard let found = top.firstEntry(notBefore: prefix, Trailer(word: .max)) else { return false }
      var lookup = PointLookup()
      return try partMayContain(hash, top, found.entry, &lookup)
    }
  }

  @inline(__always)
  func handle(_ view: BlockView, _ entry: BlockView.Entry) throws(TableError) -> BlockHandle {
    guard let handle = BlockSummary.handle(UnsafeRawBufferPointer(start: view.base + entry.value, count: entry.valueBytes)) else {
      throw .corruptBlock(source.path, offset: 0, kind: "index", reason: "an entry names no block")
    }
    return handle
  }

  /// The older versions of a key whose newest is an operand.
  private func collect(_ key: UnsafeRawBufferPointer, after trailer: Trailer, into lookup: inout PointLookup) throws(TableError) {
    guard trailer.word > 0 else { return }
    let cursor = cursor()
    try cursor.seek(key, Trailer(word: trailer.word - 1))
    while cursor.isValid, cursor.entry.key.count == key.count, compare(cursor.entry.key, key) == 0 {
      if lookup.take(cursor.entry.trailer, cursor.entry.value, pinning: cursor.blockPin) { return }
      try cursor.next()
    }
  }

  /// The newest entry of `key` at or below `sequence`, which may be a deletion or an operand; `nil` where the table has none. The entry's bytes are
  /// valid during the call. Range deletions are not looked at.
  public func get<Result>(
    _ key: UnsafeRawBufferPointer, atOrBelow sequence: UInt64 = Trailer.maxSequence, _ body: (Trailer, UnsafeRawBufferPointer) -> Result
  ) throws(TableError) -> Result? {
    let hash = filter != nil || partHashes > 0 || hasHashIndexes ? FilterHash.hash64(key) : 0
    if let filter, !filter.mayContain(hash: hash) { return nil }
    let trailer = Trailer.newest(atOrBelow: sequence)
    var lookup = PointLookup()
    guard let handle = try dataBlock(key, trailer, hash: hash, &lookup) else { return nil }
    let pin = try block(handle, .data)
    defer { pin.release() }
    let view = try view(pin)
    guard let found = view.firstEntry(of: key, trailer, hash: hash), found.isKey else { return nil }
    return body(found.entry.trailer, UnsafeRawBufferPointer(start: view.base + found.entry.value, count: found.entry.valueBytes))
  }

  // MARK: Cursors

  /// A cursor over all entries.
  /// - Parameters:
  ///   - fillCache: `false` reads past the cache and in long pieces, for compactions and other passes over everything.
  ///   - passing: which blocks are passed over; see ``BlockFilter`` for when that may be asked for.
  public func cursor(fillCache: Bool = true, passing filter: BlockFilter? = nil) -> TableCursor {
    TableCursor(self, fillCache: fillCache, filter)
  }
}
