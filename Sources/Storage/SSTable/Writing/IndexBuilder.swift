import StrataBytes

/// What an index says of a data block.
struct BlockSummary {
  var handle: BlockHandle
  var entries: Int
  var tombstones: Int
  var minSequence: UInt64
  var maxSequence: UInt64
  /// The filter of the keys in a part of the index, where each part has one.
  var filter: BlockHandle?
  /// Whether the last key has, or may have, further versions in the next block.
  var goesOn = false

  /// The value of an index entry: offset, stored length, entries, tombstones, smallest and largest sequence, as varints, and offset and stored length
  /// of the part's filter where it has one; then what collectors made of the entries, where there are any, behind a length that no filter has where
  /// there is none.
  func encode(into bytes: UnsafeMutableRawPointer, properties: [UInt8] = []) -> Int {
    var position = bytes
    writeVarint(handle.offset, &position)
    writeVarint(UInt64(handle.storedBytes), &position)
    writeVarint(UInt64(entries), &position)
    writeVarint(UInt64(tombstones), &position)
    writeVarint(minSequence, &position)
    writeVarint(maxSequence, &position)
    if let filter {
      writeVarint(filter.offset, &position)
      writeVarint(UInt64(filter.storedBytes), &position)
    } else if !properties.isEmpty {
      writeVarint(0, &position)
      writeVarint(Self.noFilter, &position)
    }
    if !properties.isEmpty {
      position.storeBytes(of: goesOn ? 1 : 0, as: UInt8.self)
      position += 1
      properties.withUnsafeBytes { UnsafeMutableRawBufferPointer(start: position, count: $0.count).copyMemory(from: $0) }
      position += properties.count
    }
    return position - bytes
  }

  static let encodedBytes = 80
  /// The stored length that stands where there is no filter and something follows: too large for any.
  private static let noFilter: UInt64 = 1 << 32

  /// Whether a cursor may pass over what an index entry's value stands for, by its property of the given number.
  static func isPassed(_ value: UnsafeRawBufferPointer, property number: Int, _ filter: BlockFilter) -> Bool {
    var reader = VarintReader(value)
    for _ in 0..<8 { guard reader.next() != nil else { return false } }
    // What goes on in the next block hides what is there.
    guard let flags = reader.byte(), flags == 0 else { return false }
    for index in 0...number {
      guard let length = reader.next(), length <= UInt64(TableLimits.propertyBytes) + 1 else { return false }
      guard let bytes = reader.bytes(Int(length) - 1) else { return false }
      if index == number { return length > 0 && !filter.mayHold(bytes) }
    }
    return false
  }

  /// The handle at the beginning of an index entry's value; the rest is for those who pass blocks over.
  @inline(__always)
  static func handle(_ value: UnsafeRawBufferPointer) -> BlockHandle? {
    var reader = VarintReader(value)
    guard let offset = reader.next(), let stored = reader.next(), let bytes = UInt32(exactly: stored) else { return nil }
    return BlockHandle(offset: offset, storedBytes: bytes)
  }

  /// The handle of the filter of a part of the index, behind the six numbers that every entry has; `nil` where there is none.
  @inline(__always)
  static func filterHandle(_ value: UnsafeRawBufferPointer) -> BlockHandle? {
    var reader = VarintReader(value)
    for _ in 0..<6 { guard reader.next() != nil else { return nil } }
    guard let offset = reader.next(), let stored = reader.next(), let bytes = UInt32(exactly: stored) else { return nil }
    return BlockHandle(offset: offset, storedBytes: bytes)
  }

  static func decode(_ value: UnsafeRawBufferPointer) -> BlockSummary? {
    var reader = VarintReader(value)
    guard let offset = reader.next(), let stored = reader.next(), let bytes = UInt32(exactly: stored), let entries = reader.next(),
      let tombstones = reader.next(), let least = reader.next(), let most = reader.next()
    else { return nil }
    return BlockSummary(
      handle: BlockHandle(offset: offset, storedBytes: bytes), entries: Int(clamping: entries), tombstones: Int(clamping: tombstones),
      minSequence: least, maxSequence: most, filter: filterHandle(value))
  }
}

/// Reads varints from bytes that may be anything.
struct VarintReader {
  private let bytes: UnsafeRawBufferPointer
  private var position = 0

  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  mutating func byte() -> UInt8? {
    guard position < bytes.count else { return nil }
    position += 1
    return bytes[position - 1]
  }

  /// So many bytes; none for a negative count.
  mutating func bytes(_ count: Int) -> UnsafeRawBufferPointer? {
    guard count <= bytes.count - position else { return nil }
    defer { position += max(0, count) }
    return UnsafeRawBufferPointer(rebasing: bytes[position..<position + max(0, count)])
  }

  @inline(__always)
  mutating func next() -> UInt64? {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while position < bytes.count, shift < 64 {
      let byte = bytes[position]
      position += 1
      value |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return value }
      shift += 7
    }
    return nil
  }
}

/// Builds the index while the data blocks are written. The separator of a block is decided when the key behind it is known: the shortest one that
/// is not below the block's last key and below the next block's first.
struct IndexBuilder: ~Copyable {
  private var block: BlockBuilder
  private var top: BlockBuilder
  private let partitionBytes: Int
  /// A part of the index that is written.
  struct Partition {
    var handle: BlockHandle
    var key: [UInt8]
    var trailer: Trailer
    var properties: [UInt8]
    var filter: BlockHandle?
    var goesOn = false
  }

  private(set) var partitions: [Partition] = []
  private var pending: BlockSummary?
  private var pendingProperties: [UInt8] = []
  private var pendingTrailer = Trailer(word: 0)
  private var last = RawBuffer(capacity: 256)

  init(partitionBytes: Int) {
    self.partitionBytes = max(256, partitionBytes)
    block = BlockBuilder(restartInterval: 1, capacity: 4096, isIndex: true)
    top = BlockBuilder(restartInterval: 1, capacity: 256, isIndex: true)
  }

  var isPending: Bool { pending != nil }
  var isFull: Bool { block.estimatedBytes >= partitionBytes }
  var hasEntries: Bool { !block.isEmpty }
  var estimatedBytes: Int { block.estimatedBytes + partitions.count * (partitionBytes + 48) }

  /// The last key of the last data block.
  var lastKey: UnsafeRawBufferPointer { last.bytes }

  mutating func keepLast(_ key: UnsafeRawBufferPointer) {
    last.count = 0
    last.append(key)
  }

  /// Notes a block whose last key is ``lastKey``.
  mutating func add(_ summary: BlockSummary, _ properties: [UInt8], _ trailer: Trailer) {
    pending = summary
    pendingProperties = properties
    pendingTrailer = trailer
  }

  /// Writes the entry of the block noted last, with a separator below `next`, the next block's first key.
  mutating func resolve(before next: UnsafeRawBufferPointer?) {
    guard var summary = pending else { return }
    pending = nil
    let key = last.bytes
    if let next { summary.goesOn = compare(key, next) == 0 }
    if let next, let length = Self.separatorLength(key, next) {
      // A prefix of the key with its last byte raised: above every version of the key.
      withUnsafeTemporaryAllocation(byteCount: length, alignment: 1) { room in
        room.copyMemory(from: UnsafeRawBufferPointer(rebasing: key[..<length]))
        room[length - 1] += 1
        add(UnsafeRawBufferPointer(room), Trailer(0, .value), summary)
      }
    } else {
      add(key, pendingTrailer, summary)
    }
  }

  private mutating func add(_ key: UnsafeRawBufferPointer, _ trailer: Trailer, _ summary: BlockSummary) {
    withUnsafeTemporaryAllocation(byteCount: BlockSummary.encodedBytes + pendingProperties.count, alignment: 1) { room in
      guard let base = room.baseAddress else { return }
      let count = summary.encode(into: base, properties: pendingProperties)
      block.add(key, trailer, UnsafeRawBufferPointer(start: base, count: count))
    }
  }

  /// How long a prefix of `key` with its last byte raised lies between `key` and `next`; `nil` where none does.
  static func separatorLength(_ key: UnsafeRawBufferPointer, _ next: UnsafeRawBufferPointer) -> Int? {
    let common = commonPrefix(key, next)
    guard common < key.count, common < next.count, key[common] < 0xFF else { return nil }
    let raised = key[common] + 1
    if raised < next[common] || (raised == next[common] && next.count > common + 1) { return common + 1 }
    return nil
  }

  /// Ends the present partition, and gives its last separator.
  mutating func finishPartition(into output: inout RawBuffer) -> ([UInt8], Trailer) {
    // Where the table goes on nobody knows yet whether the key does.
    pending?.goesOn = true
    resolve(before: nil)
    let key = [UInt8](block.last)
    let trailer = block.isEmpty ? Trailer(word: 0) : block.lastTrailer
    block.finish(into: &output)
    return (key, trailer)
  }

  mutating func addPartition(_ handle: BlockHandle, _ key: [UInt8], _ trailer: Trailer, _ properties: [UInt8]) {
    partitions.append(Partition(handle: handle, key: key, trailer: trailer, properties: properties))
  }

  /// Notes the first key behind the last partition.
  mutating func noteSpan(into next: UnsafeRawBufferPointer) {
    guard block.isEmpty, pending == nil, let last = partitions.indices.last else { return }
    partitions[last].goesOn = compare(lastKey, next) == 0
  }

  /// Notes the filter of the keys in partition `index`.
  mutating func setFilter(_ handle: BlockHandle, of index: Int) { partitions[index].filter = handle }

  mutating func finishTop(into output: inout RawBuffer) {
    for part in partitions {
      let summary = BlockSummary(
        handle: part.handle, entries: 0, tombstones: 0, minSequence: 0, maxSequence: Trailer.maxSequence, filter: part.filter, goesOn: part.goesOn)
      withUnsafeTemporaryAllocation(byteCount: BlockSummary.encodedBytes + part.properties.count, alignment: 1) { room in
        guard let base = room.baseAddress else { return }
        let count = summary.encode(into: base, properties: part.properties)
        part.key.withUnsafeBytes { top.add($0, part.trailer, UnsafeRawBufferPointer(start: base, count: count)) }
      }
    }
    top.finish(into: &output)
  }
}
