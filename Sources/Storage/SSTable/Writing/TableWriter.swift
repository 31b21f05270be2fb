import StrataBytes
import StrataCompression
public import StrataDisk
import StrataFilters
public import SystemPackage

/// Writes one sorted table, entry by entry in internal order, and makes it durable under its final name in one step.
///
/// The file is written under `path` + `.tmp`; ``finish()`` syncs it, renames it and syncs the directory, and only then is there a table. A
/// writer that is dropped, abandoned or has thrown leaves no file behind. One owner at a time. Memory: two blocks, the index, eight bytes per key
/// for the filter, and a write buffer of 1 MiB.
public struct TableWriter: ~Copyable {
  private let path: FilePath
  private let temporary: FilePath
  private let fileSystem: any FileSystem
  private let options: TableOptions
  private let head: [UInt8]
  private var file: (any File)?
  private var output: RawBuffer
  /// Offset in the file of the first byte of `output`.
  private var flushedBytes: UInt64 = 0
  private var fileChecksum: UInt32 = 0
  private var block: BlockBuilder
  private var index: IndexBuilder
  private var payload = RawBuffer(capacity: 8 << 10)
  private var compressed = RawBuffer(capacity: 8 << 10)
  private var hashes: FilterHashes
  private var properties: PropertyCollection
  private var ranges: [RangeDeletion] = []
  private var metadata: TableMetadata
  private var lastTrailer = Trailer(word: 0)
  private var hasEntries = false
  private var isDone = false

  static let writeBytes = 1 << 20

  /// Begins the table `fileID` at `path`, whose directory exists.
  public init(_ path: FilePath, fileID: UInt64, options: TableOptions = TableOptions(), on fileSystem: any FileSystem) throws(TableError) {
    self.path = path
    self.fileSystem = fileSystem
    self.options = options
    temporary = FilePath(path.string + ".tmp")
    head = TableFormat.encode(
      .init(
        fileID: fileID, databaseID: options.databaseID, createdAt: options.createdAt,
        features: options.hashIndexRatio == nil ? 0 : TableFormat.hashedBlocks))
    metadata = TableMetadata(fileID: fileID, level: options.level, createdAt: options.createdAt)
    if let newestTime = options.newestTime { metadata.newestTime = newestTime }
    output = RawBuffer(capacity: Self.writeBytes + options.blockSize * 2)
    block = BlockBuilder(restartInterval: options.restartInterval, capacity: options.blockSize, keysPerBucket: options.hashIndexRatio)
    index = IndexBuilder(partitionBytes: options.indexPartitionSize)
    hashes = FilterHashes(options.prefixExtractor)
    properties = PropertyCollection(options.propertyCollectors)
    metadata.minSequence = .max
    do throws(DiskError) {
      let file = try fileSystem.open(temporary, .create)
      try file.truncate(to: 0)
      self.file = file
    } catch { throw .disk(error) }
    head.withUnsafeBytes { output.append($0) }
  }

  deinit {
    guard !isDone else { return }
    try? file?.close()
    try? fileSystem.remove(temporary)
  }

  /// About how long the file would be if it were finished now.
  public var estimatedFileSize: UInt64 { flushedBytes + UInt64(output.count + block.estimatedBytes + index.estimatedBytes) + UInt64(filterBytes) }

  private var filterBytes: Int { Int(Double(hashes.all.count) * (options.filterBitsPerKey ?? 0) / 8) }

  /// Point entries so far.
  public var entryCount: UInt64 { metadata.entryCount }

  /// Adds an entry. O(length); a full block is compressed and written meanwhile.
  /// - Throws: `.outOfOrder`, `.keyTooLarge`, `.valueTooLarge`: the entry is not added and the table may go on. `.disk`: nothing more can be added.
  public mutating func add(key: RawSpan, sequence: UInt64, kind: EntryKind, value: RawSpan) throws(TableError) {
    guard sequence <= Trailer.maxSequence, kind != .rangeDeletion else {
      throw .outOfOrder(previous: lastKey, next: InternalKey(userKey: [], trailer: Trailer(Trailer.maxSequence, kind)))
    }
    var failure: TableError?
    key.withUnsafeBytes { key in
      value.withUnsafeBytes { value in
        do throws(TableError) { try add(key, Trailer(sequence, kind), value, hash: nil) } catch { failure = error }
      }
    }
    if let failure { throw failure }
  }

  /// As ``add(key:sequence:kind:value:)`` for callers that hold pointers and, where they have it, the key's ``FilterHash``.
  package mutating func add(
    _ key: UnsafeRawBufferPointer, _ trailer: Trailer, _ value: UnsafeRawBufferPointer, hash: UInt64?
  ) throws(TableError) {
    var isNewKey = true
    var common = 0
    if hasEntries {
      let last = block.isEmpty ? index.lastKey : block.last
      common = commonPrefix(last, key)
      let order = common < key.count && common < last.count ? Int(last[common]) - Int(key[common]) : last.count - key.count
      guard order < 0 || (order == 0 && trailer < lastTrailer) else {
        throw .outOfOrder(previous: lastKey, next: InternalKey(userKey: [UInt8](key), trailer: trailer))
      }
      isNewKey = order != 0
    }
    guard key.count <= TableLimits.keyBytes else { throw .keyTooLarge(key.count) }
    guard value.count <= TableLimits.valueBytes else { throw .valueTooLarge(value.count) }
    if !block.isEmpty, block.estimatedBytes + key.count + value.count > options.blockSize,
      block.estimatedBytes >= options.blockSize / 2 || value.count > options.blockSize
    {
      try endBlock()
    }
    if index.isPending { index.resolve(before: key) } else if !properties.isEmpty, block.isEmpty, hasEntries { index.noteSpan(into: key) }
    if !hasEntries {
      metadata.smallest = InternalKey(userKey: [UInt8](key), trailer: trailer)
      hasEntries = true
    }
    let isFiltered = options.filterBitsPerKey != nil && (isNewKey || hashes.beginsPart)
    let hash = isFiltered || (options.hashIndexRatio != nil && (isNewKey || block.isEmpty)) ? hash ?? FilterHash.hash64(key) : 0
    block.add(key, trailer, value, common: common, hash: hash)
    lastTrailer = trailer
    if isFiltered { hashes.add(key, hash) }
    count(trailer, key.count, value.count)
    if !properties.isEmpty { properties.add(key, trailer, value) }
    if block.estimatedBytes >= options.blockSize { try endBlock() }
  }

  private mutating func count(_ trailer: Trailer, _ keyBytes: Int, _ valueBytes: Int) {
    metadata.entryCount += 1
    switch trailer.kind {
    case .value: metadata.valueCount += 1
    case .deletion: metadata.deletionCount += 1
    case .merge: metadata.mergeCount += 1
    case .rangeDeletion, nil: break
    }
    metadata.rawKeyBytes += UInt64(keyBytes)
    metadata.rawValueBytes += UInt64(valueBytes)
    metadata.minSequence = min(metadata.minSequence, trailer.sequence)
    metadata.maxSequence = max(metadata.maxSequence, trailer.sequence)
  }

  private var lastKey: InternalKey {
    guard hasEntries else { return InternalKey(userKey: [], trailer: lastTrailer) }
    return InternalKey(userKey: [UInt8](block.isEmpty ? index.lastKey : block.last), trailer: lastTrailer)
  }

  /// Deletes the keys of `from..<to` as of `sequence`. In any order, beside entries.
  /// - Throws: `.emptyRange`, `.keyTooLarge`; nothing is added.
  public mutating func addRangeDeletion(from: [UInt8], to: [UInt8], sequence: UInt64) throws(TableError) {
    guard from.lexicographicallyPrecedes(to) else { throw .emptyRange(from: from, to: to) }
    guard max(from.count, to.count) <= TableLimits.keyBytes else { throw .keyTooLarge(max(from.count, to.count)) }
    ranges.append(RangeDeletion(start: from, end: to, sequence: min(sequence, Trailer.maxSequence)))
    metadata.minSequence = min(metadata.minSequence, sequence)
    metadata.maxSequence = max(metadata.maxSequence, sequence)
  }

  // MARK: Blocks

  private mutating func endBlock() throws(TableError) {
    let entries = block.entryCount
    let tombstones = block.tombstones
    let sequences = (block.minSequence, block.maxSequence)
    index.keepLast(block.last)
    let handle = try writeData()
    if tombstones >= 100 || tombstones * 2 >= entries { metadata.tombstoneDenseBlocks += 1 }
    metadata.dataBlockCount += 1
    index.add(
      BlockSummary(handle: handle, entries: entries, tombstones: tombstones, minSequence: sequences.0, maxSequence: sequences.1),
      properties.endBlock(), lastTrailer)
    if index.isFull { try endIndexPartition() }
  }

  /// Ends the data block and writes it.
  private mutating func writeData() throws(TableError) -> BlockHandle {
    guard options.compression == .none else {
      payload.count = 0
      block.finish(into: &payload)
      return try write(.data, compressing: true)
    }
    // Encoded where it is to lie; its length, which may move it to the next page, is known afterwards.
    let begin = output.count
    let aligned = begin + gap(for: 0)
    _ = output.reserve(aligned - begin + BlockHeader.bytes)
    output.count = aligned + BlockHeader.bytes
    block.finish(into: &output)
    let bytes = output.count - aligned
    output.count = begin
    let start = begin + gap(for: bytes)
    if start != aligned {
      output.count = aligned + bytes
      _ = output.reserve(start - aligned)
      (output.base + start + BlockHeader.bytes).copyMemory(from: output.base + aligned + BlockHeader.bytes, byteCount: bytes - BlockHeader.bytes)
    }
    (output.base + begin).initializeMemory(as: UInt8.self, repeating: 0, count: start - begin)
    output.count = start + bytes
    return try seal(start, rawBytes: bytes - BlockHeader.bytes, .data, .none)
  }

  /// Completes the block that ends the output, from its header on.
  private mutating func seal(_ start: Int, rawBytes: Int, _ kind: BlockKind, _ codec: Codec) throws(TableError) -> BlockHandle {
    let offset = flushedBytes + UInt64(start)
    let block = UnsafeMutableRawBufferPointer(start: output.base + start, count: output.count - start)
    BlockHeader.seal(block, rawBytes: rawBytes, kind, codec, file: metadata.fileID, offset: offset)
    if output.count >= Self.writeBytes { try flush() }
    return BlockHandle(offset: offset, storedBytes: UInt32(block.count - BlockHeader.bytes))
  }

  private mutating func endIndexPartition() throws(TableError) {
    payload.count = 0
    let (key, trailer) = index.finishPartition(into: &payload)
    index.addPartition(try write(.index, compressing: false), key, trailer, properties.endPart())
    hashes.endPart()
  }

  /// Writes `payload` as a block.
  private mutating func write(_ kind: BlockKind, compressing: Bool) throws(TableError) -> BlockHandle {
    var codec = Codec.none
    var stored = payload.count
    if compressing, options.compression != .none, payload.count > 64 {
      let most = payload.count - Int(Double(payload.count) * options.minCompressionSaving)
      compressed.count = 0
      let room = UnsafeMutableRawBufferPointer(start: compressed.reserve(max(most, options.compression.maximumCompressedCount(0))), count: most)
      if let count = compress(room), payload.count / max(count, 1) < BlockHeader.growthLimit / 2 {
        codec = options.compression
        stored = count
      }
    }
    pad(for: stored + BlockHeader.bytes)
    let begin = output.count
    let start = output.reserve(BlockHeader.bytes + stored)
    (start + BlockHeader.bytes).copyMemory(from: codec == .none ? payload.base : compressed.base, byteCount: stored)
    output.count += BlockHeader.bytes + stored
    return try seal(begin, rawBytes: payload.count, kind, codec)
  }

  private func compress(_ room: UnsafeMutableRawBufferPointer) -> Int? {
    if options.compression == .snappy {
      let bytes = try? options.compression.compress(payload.bytes.bytes)
      guard let bytes, bytes.count <= room.count else { return nil }
      bytes.withUnsafeBytes { room.copyMemory(from: $0) }
      return bytes.count
    }
    return options.compression.compress(payload.bytes, into: room)
  }

  /// What comes before a block of `bytes`: blocks begin at multiples of eight, and at a page's beginning where that keeps one from lying on two pages
  /// at little cost.
  private func gap(for bytes: Int) -> Int {
    let offset = Int(truncatingIfNeeded: flushedBytes) + output.count
    let gap = -offset & 7
    let room = 4096 - (offset + gap) % 4096
    return bytes > room && room <= bytes / 16 ? gap + room : gap
  }

  private mutating func pad(for bytes: Int) {
    let gap = gap(for: bytes)
    output.reserve(gap).initializeMemory(as: UInt8.self, repeating: 0, count: gap)
    output.count += gap
  }

  private mutating func flush() throws(TableError) {
    guard output.count > 0, let file else { return }
    do throws(DiskError) {
      try file.write(output.bytes.bytes, at: flushedBytes)
      file.startWriteback(flushedBytes..<flushedBytes + UInt64(output.count))
    } catch { throw .disk(error) }
    fileChecksum = crc32c(output.bytes, continuing: fileChecksum)
    flushedBytes += UInt64(output.count)
    output.count = 0
  }

  // MARK: Ending

  /// Completes the table: on return it is durable under its name. O(keys) for the filter.
  /// - Throws: `.disk`; then there is no file.
  public consuming func finish() throws(TableError) -> TableMetadata {
    if !block.isEmpty { try endBlock() }
    var footer = TableFormat.Footer()
    try finishFilter(&footer)
    footer.rangeDeletions = try finishRanges()
    if metadata.isEmpty { metadata.minSequence = 0 }
    payload.count = 0
    var properties = ByteWriter()
    metadata.encode(to: &properties)
    if footer.filterHashes > 0 { TableMetadata.encode(options.prefixExtractor, to: &properties) }
    TableMetadata.encode(self.properties.whole, to: &properties)
    properties.bytes.withUnsafeBytes { payload.append($0) }
    footer.properties = try write(.properties, compressing: false)
    pad(for: 0)
    footer.entryCount = metadata.entryCount
    footer.rangeDeletionCount = metadata.rangeDeletionCount
    footer.fileBytes = flushedBytes + UInt64(output.count + TableFormat.footerBytes)
    TableFormat.encode(footer, head: head).withUnsafeBytes { output.append($0) }
    try flush()
    metadata.fileSize = footer.fileBytes
    metadata.fileChecksum = fileChecksum
    do throws(DiskError) {
      try file?.sync(.full)
      try file?.close()
      try fileSystem.rename(temporary, to: path, replacing: true)
      isDone = true
      try fileSystem.syncDirectory(path.parentDirectory)
    } catch { throw .disk(error) }
    return metadata
  }

  /// Drops the table; no file is left.
  public consuming func abandon() {}

  /// Writes what is left of the index and the filter: of a small table the index and one filter, of a large one a filter for each part of the index,
  /// and then the top that names them.
  private mutating func finishFilter(_ footer: inout TableFormat.Footer) throws(TableError) {
    if hasEntries { metadata.largest = InternalKey(userKey: [UInt8](index.lastKey), trailer: lastTrailer) }
    index.resolve(before: nil)
    let bits = hashes.all.isEmpty ? nil : options.filterBitsPerKey
    footer.indexLevels = index.partitions.isEmpty ? 1 : 2
    if !index.partitions.isEmpty, index.hasEntries { try endIndexPartition() }
    let isParted = !index.partitions.isEmpty && flushedBytes + UInt64(output.count) > options.wholeFilterBytes
    if let bits, isParted {
      for part in index.partitions.indices {
        index.setFilter(try writeFilter(hashes.part(part), bits, &footer), of: part)
      }
    }
    payload.count = 0
    if index.partitions.isEmpty { _ = index.finishPartition(into: &payload) } else { index.finishTop(into: &payload) }
    footer.index = try write(.topIndex, compressing: false)
    if let bits, !isParted { footer.filter = try writeFilter(hashes.all.indices, bits, &footer) }
  }

  /// Writes the filter of some of the keys.
  private mutating func writeFilter(_ keys: Range<Int>, _ bits: Double, _ footer: inout TableFormat.Footer) throws(TableError) -> BlockHandle {
    var filter = BlockedBloomFilter(expectedKeys: keys.count, bitsPerKey: bits)
    filter.insert(hashes: hashes.all.span.extracting(keys))
    footer.filterHashes = UInt8(filter.hashCount)
    payload.count = 0
    filter.withUnsafeBytes { payload.append($0) }
    return try write(.filter, compressing: false)
  }

  private mutating func finishRanges() throws(TableError) -> BlockHandle {
    guard !ranges.isEmpty else { return BlockHandle(offset: 0, storedBytes: 0) }
    let cut = RangeTombstones(ranges)
    metadata.rangeDeletionCount = UInt64(cut.fragments.reduce(0) { $0 + $1.sequences.count })
    if let first = cut.fragments.first, let last = cut.fragments.last {
      let start = InternalKey(userKey: first.start, trailer: Trailer(first.sequences[0], .rangeDeletion))
      let end = InternalKey(userKey: last.end, trailer: Trailer(Trailer.maxSequence, .rangeDeletion))
      if !hasEntries || start < metadata.smallest { metadata.smallest = start }
      // The end is not covered: an entry at that very key lies within the table and the bound is its own.
      if !hasEntries || metadata.largest.userKey.lexicographicallyPrecedes(end.userKey) { metadata.largest = end }
    }
    payload.count = 0
    cut.encode().withUnsafeBytes { payload.append($0) }
    return try write(.rangeDeletions, compressing: false)
  }
}
