import StrataBytes

/// Memory that grows and is given back with its owner.
struct RawBuffer: ~Copyable {
  private(set) var base: UnsafeMutableRawPointer
  private(set) var capacity: Int
  var count = 0

  init(capacity: Int) {
    self.capacity = max(capacity, 64)
    base = .allocate(byteCount: self.capacity, alignment: 16)
  }

  deinit { base.deallocate() }

  var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

  /// Room for `bytes` behind what is there.
  @inline(__always)
  mutating func reserve(_ bytes: Int) -> UnsafeMutableRawPointer {
    if count + bytes > capacity { grow(count + bytes) }
    return base + count
  }

  @inline(__always)
  mutating func append(_ source: UnsafeRawBufferPointer) {
    guard let start = source.baseAddress else { return }
    copyShort(start, to: reserve(source.count), source.count)
    count += source.count
  }

  private mutating func grow(_ wanted: Int) {
    capacity = max(capacity * 2, wanted)
    let grown = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 16)
    grown.copyMemory(from: base, byteCount: count)
    base.deallocate()
    base = grown
  }
}

/// Builds the payload of a data or index block: entries with shared prefixes, then where a search may begin, then the counts.
///
/// Sequences are stored as distances from the block's smallest, which is known only at its end, so entries wait in memory as they come and are
/// encoded when the block is finished.
struct BlockBuilder: ~Copyable {
  /// An entry that waits: its fields, followed by the part of the key it does not share and by the value.
  private struct Waiting {
    var trailer: UInt64
    var shared: UInt32
    var unshared: UInt32
    var valueBytes: UInt32
    var sameKey: UInt32
  }

  private var waiting: RawBuffer
  private var lastKey: RawBuffer
  private var firstKey: RawBuffer
  private let restartInterval: Int
  /// Entries until the next restart.
  private var untilRestart = 0
  private var restarts = 0
  /// Index entries have a value whatever their kind, which is that of the entry they stand for.
  private let isIndex: Bool
  private var hashIndex: BlockHashBuilder?
  private(set) var entryCount = 0
  private(set) var tombstones = 0
  private(set) var lastTrailer = Trailer(word: 0)
  private(set) var minSequence = UInt64.max
  private(set) var maxSequence: UInt64 = 0
  /// About how long the payload will be.
  private(set) var estimatedBytes = BlockView.tailBytes

  init(restartInterval: Int, capacity: Int, isIndex: Bool = false, keysPerBucket: Double? = nil) {
    self.isIndex = isIndex
    if let keysPerBucket { hashIndex = BlockHashBuilder(keysPerBucket: keysPerBucket) }
    self.restartInterval = max(1, restartInterval)
    waiting = RawBuffer(capacity: capacity * 2)
    lastKey = RawBuffer(capacity: 256)
    firstKey = RawBuffer(capacity: 256)
  }

  var isEmpty: Bool { entryCount == 0 }

  /// The key added last.
  var last: UnsafeRawBufferPointer { lastKey.bytes }

  /// Adds an entry that comes after all before; the caller has checked that.
  /// - Parameters:
  ///   - common: how many bytes the key and the one added last begin with in common; of no matter for the first.
  ///   - hash: the key's, where there is a hash index and the entry is the block's first of the key.
  mutating func add(
    _ key: UnsafeRawBufferPointer, _ trailer: Trailer, _ value: UnsafeRawBufferPointer, common: Int? = nil, hash: UInt64 = 0
  ) {
    var shared = 0
    var isSame = false
    if entryCount == 0 {
      firstKey.count = 0
      firstKey.append(key)
    } else {
      let common = common ?? commonPrefix(lastKey.bytes, key)
      isSame = common == key.count && common == lastKey.count
      if untilRestart > 0 { shared = common }
    }
    let isRestart = untilRestart == 0
    if isRestart {
      untilRestart = restartInterval
      restarts += 1
    }
    untilRestart -= 1
    if hashIndex != nil {
      let restart = restarts - 1
      if isSame { hashIndex?.addVersion(restart: restart) } else { hashIndex?.add(hash, restart: restart) }
    }
    // Keys and values are as long as TableLimits allows at most: their sums are far from overflowing.
    let unshared = key.count &- shared
    let header = MemoryLayout<Waiting>.size
    let room = waiting.reserve(header &+ unshared &+ value.count)
    room.storeBytes(
      of: Waiting(
        trailer: trailer.word, shared: UInt32(truncatingIfNeeded: shared), unshared: UInt32(truncatingIfNeeded: unshared),
        valueBytes: UInt32(truncatingIfNeeded: value.count), sameKey: isSame ? 1 : 0),
      as: Waiting.self)
    lastKey.count = shared
    let ending = lastKey.reserve(unshared)
    if let start = key.baseAddress {
      copyShort(start + shared, to: room + header, unshared)
      copyShort(start + shared, to: ending, unshared)
    }
    if let start = value.baseAddress { copyShort(start, to: room + (header &+ unshared), value.count) }
    waiting.count &+= header &+ unshared &+ value.count
    lastKey.count &+= unshared
    entryCount &+= 1
    lastTrailer = trailer
    if UInt8(truncatingIfNeeded: trailer.word) == EntryKind.deletion.rawValue { tombstones &+= 1 }
    minSequence = min(minSequence, trailer.sequence)
    maxSequence = max(maxSequence, trailer.sequence)
    estimatedBytes &+= 5 &+ unshared &+ value.count &+ (isRestart ? 10 : 0)
  }

  /// Encodes the block behind `output` and begins the next one.
  mutating func finish(into output: inout RawBuffer) {
    let start = output.count
    let restarts = restarts
    let buckets = hashIndex?.finish(restarts: restarts) ?? []
    let room = waiting.count + entryCount * 32 + BlockView.tailBytes + buckets.count
    let base = output.reserve(room)
    let prefix = entryCount == 0 ? 0 : min(commonPrefix(firstKey.bytes, lastKey.bytes), Int(UInt16.max))
    let isWide = waiting.count + entryCount * 8 > Int(UInt16.max)
    let width = isWide ? 4 : 2
    withUnsafeTemporaryAllocation(of: UInt64.self, capacity: max(1, restarts * 2)) { places in
      var position = base
      encodeEntries(at: &position, from: base, prefix: prefix, places)
      for index in 0..<restarts {
        if isWide {
          position.storeBytes(of: UInt32(places[index * 2]).littleEndian, as: UInt32.self)
        } else {
          position.storeBytes(of: UInt16(places[index * 2]).littleEndian, as: UInt16.self)
        }
        position += width
      }
      for index in 0..<restarts {
        position.storeBytes(of: places[index * 2 + 1].bigEndian, as: UInt64.self)
        position += 8
      }
      buckets.withUnsafeBytes { UnsafeMutableRawBufferPointer(start: position, count: $0.count).copyMemory(from: $0) }
      position += buckets.count
      position.storeBytes(of: (entryCount == 0 ? 0 : minSequence).littleEndian, toByteOffset: 0, as: UInt64.self)
      position.storeBytes(of: UInt32(entryCount).littleEndian, toByteOffset: 8, as: UInt32.self)
      position.storeBytes(of: UInt32(tombstones).littleEndian, toByteOffset: 12, as: UInt32.self)
      position.storeBytes(of: UInt32(restarts).littleEndian, toByteOffset: 16, as: UInt32.self)
      position.storeBytes(of: UInt16(prefix).littleEndian, toByteOffset: 20, as: UInt16.self)
      position.storeBytes(of: UInt8(width), toByteOffset: 22, as: UInt8.self)
      position.storeBytes(of: buckets.isEmpty ? 0 : BlockView.hashFlag, toByteOffset: 23, as: UInt8.self)
      output.count = start + (position - base) + BlockView.tailBytes
    }
    reset()
  }

  private func encodeEntries(
    at position: inout UnsafeMutableRawPointer, from base: UnsafeMutableRawPointer, prefix: Int, _ places: UnsafeMutableBufferPointer<UInt64>
  ) {
    var source = UnsafeRawPointer(waiting.base)
    var restart = 0
    var untilRestart = 0
    for _ in 0..<entryCount {
      let entry = source.loadUnaligned(as: Waiting.self)
      source += MemoryLayout<Waiting>.size
      if untilRestart == 0 {
        untilRestart = restartInterval
        let key = UnsafeRawBufferPointer(start: source, count: Int(entry.unshared))
        places[restart * 2] = UInt64(position - base)
        places[restart * 2 + 1] = keyHead(UnsafeRawBufferPointer(rebasing: key[min(prefix, key.count)...]))
        restart += 1
      }
      untilRestart -= 1
      let trailer = Trailer(word: entry.trailer)
      let kind = UInt8(truncatingIfNeeded: entry.trailer) & EntryTag.kindMask
      writeVarint(UInt64(entry.shared), &position)
      writeVarint(UInt64(entry.unshared), &position)
      let isZero = trailer.sequence == 0
      position.storeBytes(of: kind | (isZero ? EntryTag.zeroSequence : 0) | (entry.sameKey != 0 ? EntryTag.sameKey : 0), as: UInt8.self)
      position += 1
      if !isZero { writeVarint(trailer.sequence - minSequence, &position) }
      if isIndex || kind != EntryKind.deletion.rawValue { writeVarint(UInt64(entry.valueBytes), &position) }
      let bytes = Int(entry.unshared) + Int(entry.valueBytes)
      position.copyMemory(from: source, byteCount: bytes)
      position += bytes
      source += bytes
    }
  }

  private mutating func reset() {
    waiting.count = 0
    lastKey.count = 0
    firstKey.count = 0
    entryCount = 0
    untilRestart = 0
    restarts = 0
    tombstones = 0
    minSequence = .max
    maxSequence = 0
    estimatedBytes = BlockView.tailBytes
  }
}

/// The byte after an entry's key lengths.
enum EntryTag {
  static let kindMask: UInt8 = 0x0F
  /// The sequence is 0 and not stored.
  static let zeroSequence: UInt8 = 0x10
  /// The user key is that of the entry before.
  static let sameKey: UInt8 = 0x20
}

/// Copies `count` bytes, most often few, between places that do not overlap; for up to 32 without a call, and never a byte beside them.
@inline(__always)
func copyShort(_ source: UnsafeRawPointer, to target: UnsafeMutableRawPointer, _ count: Int) {
  typealias Sixteen = SIMD2<UInt64>
  switch count {
  case 17...32:
    let end = count &- 16
    let (first, last) = (source.loadUnaligned(as: Sixteen.self), source.loadUnaligned(fromByteOffset: end, as: Sixteen.self))
    target.storeBytes(of: first, as: Sixteen.self)
    target.storeBytes(of: last, toByteOffset: end, as: Sixteen.self)
  case 8...16:
    let end = count &- 8
    let (first, last) = (source.loadUnaligned(as: UInt64.self), source.loadUnaligned(fromByteOffset: end, as: UInt64.self))
    target.storeBytes(of: first, as: UInt64.self)
    target.storeBytes(of: last, toByteOffset: end, as: UInt64.self)
  case 1..<8:
    var place = 0
    repeat {
      target.storeBytes(of: source.load(fromByteOffset: place, as: UInt8.self), toByteOffset: place, as: UInt8.self)
      place &+= 1
    } while place < count
  default: target.copyMemory(from: source, byteCount: count)
  }
}

/// How many bytes `a` and `b` begin with in common.
func commonPrefix(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Int {
  let limit = min(a.count, b.count)
  guard limit > 0, let a = a.baseAddress, let b = b.baseAddress else { return 0 }
  var index = 0
  while index &+ 8 <= limit {
    let difference = a.loadUnaligned(fromByteOffset: index, as: UInt64.self) ^ b.loadUnaligned(fromByteOffset: index, as: UInt64.self)
    if difference != 0 { return index &+ UInt64(littleEndian: difference).trailingZeroBitCount / 8 }
    index &+= 8
  }
  if limit >= 8, index < limit {
    // The last eight bytes, of which the first are known to be equal.
    index = limit &- 8
    let difference = a.loadUnaligned(fromByteOffset: index, as: UInt64.self) ^ b.loadUnaligned(fromByteOffset: index, as: UInt64.self)
    return difference != 0 ? index &+ UInt64(littleEndian: difference).trailingZeroBitCount / 8 : limit
  }
  while index < limit, a.load(fromByteOffset: index, as: UInt8.self) == b.load(fromByteOffset: index, as: UInt8.self) { index &+= 1 }
  return index
}

@inline(__always)
func writeVarint(_ value: UInt64, _ position: inout UnsafeMutableRawPointer) {
  var value = value
  while value >= 0x80 {
    position.storeBytes(of: UInt8(truncatingIfNeeded: value) | 0x80, as: UInt8.self)
    position += 1
    value >>= 7
  }
  position.storeBytes(of: UInt8(truncatingIfNeeded: value), as: UInt8.self)
  position += 1
}
