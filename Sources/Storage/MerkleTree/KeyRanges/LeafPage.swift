import CStrataMemory
import StrataBytes

/// A leaf of the tree in one piece of memory: of each of its ascending keys the first eight bytes as a number, the item hash and where its bytes
/// end, then the bytes of all keys.
///
///     prefixes  8 x rows | hashes  32 x rows | ends  4 x rows | key bytes
///
/// A search reads prefixes, and whole keys only where a prefix is equal. What is in use adjoins, so that a set at random touches few cache lines.
/// A value: memory that two pages share is copied by the one that changes.
struct LeafPage {
  private struct Header {
    /// For how many keys there is room, and for how many of their bytes.
    var rows: Int32
    var room: Int32
    /// How many keys there are.
    var count: Int32 = 0
  }

  private final class Memory: ManagedBuffer<Header, UInt64> {}

  private var memory: Memory

  /// Without keys, and without room for any.
  init() { memory = Self.allocate(rows: 0, room: 0) }

  private static func allocate(rows: Int, room: Int) -> Memory {
    let words = (rows * Rows.bytesEach + room + 7) / 8
    let memory = Memory.create(minimumCapacity: words) { _ in Header(rows: Int32(clamping: rows), room: Int32(clamping: room)) }
    return unsafeDowncast(memory, to: Memory.self)
  }

  var count: Int { Int(memory.header.count) }

  var memoryBytes: Int { 32 + Int(memory.header.rows) * Rows.bytesEach + Int(memory.header.room) }

  func hash(_ index: Int) -> Digest { withRows { $0.hashes[checked(index)] } }

  func key(_ index: Int) -> [UInt8] { withRows { Array($0.key(checked(index))) } }

  private func checked(_ index: Int) -> Int {
    precondition(index >= 0 && index < count, "a page has the keys it counts")
    return index
  }

  /// How many keys are below `key`, and whether the next one is `key`. O(log n) comparisons.
  @inline(__always)
  func lowerBound(_ key: UnsafeRawBufferPointer) -> (index: Int, isFound: Bool) { withRows { $0.lowerBound(key) } }

  /// Begins to fetch what a search reads, so that the caller can do something else until it is there.
  func prefetch() { strata_prefetch_range(Unmanaged.passUnretained(memory).toOpaque(), 32 + 8 * KeyTreeNodes.capacity) }

  // MARK: Changing

  /// Puts another hash under a key; returns the one that was there.
  mutating func replaceHash(_ index: Int, _ hash: Digest) -> Digest {
    own()
    let index = checked(index)
    return withRows { rows in
      let old = rows.hashes[index]
      rows.hashes[index] = hash
      return old
    }
  }

  /// Puts a key and its hash in, before the key of this index.
  mutating func insert(_ key: UnsafeRawBufferPointer, _ hash: Digest, at index: Int) {
    precondition(index >= 0 && index <= count, "a key goes before one of the page or behind the last")
    let count = count
    let used = withRows { $0.start(count) }
    if count == Int(memory.header.rows) || used + key.count > Int(memory.header.room) {
      let rows = count + 8
      // What these keys and their like will need.
      let room = used + max(key.count, (used + key.count) / (count + 1) * (rows - count))
      memory = copied(rows: rows, room: room)
    } else {
      own()
    }
    withRows { $0.insert(key, hash, at: index) }
    memory.header.count += 1
  }

  /// Takes a key out; returns its hash.
  mutating func remove(at index: Int) -> Digest {
    own()
    let index = checked(index)
    let hash = withRows { $0.remove(at: index) }
    memory.header.count -= 1
    return hash
  }

  /// Takes the keys from `index` on out and returns them.
  mutating func split(at index: Int) -> LeafPage {
    var (lower, upper) = (LeafPage(), LeafPage())
    lower.append(checked(0)..<checked(index), of: self)
    upper.append(index..<count, of: self)
    self = lower
    return upper
  }

  /// Appends keys that are above all there are.
  mutating func append(contentsOf other: LeafPage) { append(0..<other.count, of: other) }

  private mutating func append(_ range: Range<Int>, of other: LeafPage) {
    precondition(range.lowerBound >= 0 && range.upperBound <= other.count, "keys of the other page")
    let bytes = other.withRows { $0.start(range.upperBound) - $0.start(range.lowerBound) }
    let used = withRows { $0.start(count) }
    let rows = count + range.count
    // With room for a few more, as these leaves are what grows.
    memory = copied(rows: rows + 4, room: used + bytes + bytes / max(1, range.count) * 4)
    withRows { rows in other.withRows { rows.append(range, of: $0) } }
    memory.header.count += Int32(clamping: range.count)
  }

  /// Sees to it that no other page changes with this one.
  private mutating func own() {
    if !isKnownUniquelyReferenced(&memory) { memory = copied(rows: Int(memory.header.rows), room: Int(memory.header.room)) }
  }

  private func copied(rows: Int, room: Int) -> Memory {
    var copy = LeafPage()
    copy.memory = Self.allocate(rows: rows, room: room)
    let count = count
    copy.withRows { copy in withRows { copy.append(0..<count, of: $0) } }
    copy.memory.header.count = memory.header.count
    return copy.memory
  }

  @inline(__always)
  private func withRows<Result>(_ body: (Rows) -> Result) -> Result {
    memory.withUnsafeMutablePointers { header, words in
      body(Rows(count: Int(header.pointee.count), rows: Int(header.pointee.rows), base: UnsafeMutableRawPointer(words)))
    }
  }
}

// Memory is changed only by the one page that refers to it, as `own` and `copied` see to.
extension LeafPage: @unchecked Sendable {}

/// The parts of a page's memory, valid while it is lent. Indices and lengths are the page's to check.
private struct Rows {
  static let bytesEach = 44

  let count: Int
  let prefixes: UnsafeMutablePointer<UInt64>
  let hashes: UnsafeMutablePointer<Digest>
  let ends: UnsafeMutablePointer<UInt32>
  let keys: UnsafeMutableRawPointer

  @inline(__always)
  init(count: Int, rows: Int, base: UnsafeMutableRawPointer) {
    self.count = count
    prefixes = base.assumingMemoryBound(to: UInt64.self)
    hashes = (base + rows * 8).assumingMemoryBound(to: Digest.self)
    ends = (base + rows * 40).assumingMemoryBound(to: UInt32.self)
    keys = base + rows * Self.bytesEach
  }

  @inline(__always)
  func start(_ index: Int) -> Int { index == 0 ? 0 : Int(ends[index - 1]) }

  @inline(__always)
  func key(_ index: Int) -> UnsafeRawBufferPointer {
    let start = start(index)
    return UnsafeRawBufferPointer(start: keys + start, count: Int(ends[index]) - start)
  }

  /// The first eight bytes as a number in the order of bytes, zeros where a key is shorter: a smaller number is a smaller key.
  @inline(__always)
  static func prefix(_ key: UnsafeRawBufferPointer) -> UInt64 {
    if key.count >= 8 { return UInt64(bigEndian: key.loadUnaligned(as: UInt64.self)) }
    var prefix: UInt64 = 0
    for byte in key { prefix = prefix << 8 | UInt64(byte) }
    return key.isEmpty ? 0 : prefix << UInt64(64 - 8 * key.count)
  }

  @inline(__always)
  func lowerBound(_ key: UnsafeRawBufferPointer) -> (index: Int, isFound: Bool) {
    let prefix = Self.prefix(key)
    // Halving by arithmetic: which way it goes is a branch nobody can predict.
    var first = 0
    var length = count
    while length > 1 {
      let half = length >> 1
      first &+= prefixes[first &+ half &- 1] < prefix ? half : 0
      length &-= half
    }
    if length == 1, prefixes[first] < prefix { first &+= 1 }
    return first < count && prefixes[first] == prefix ? exact(key, prefix, from: first) : (first, false)
  }

  /// Among the keys from `first` on, whose prefixes are not below `prefix`.
  private func exact(_ key: UnsafeRawBufferPointer, _ prefix: UInt64, from first: Int) -> (index: Int, isFound: Bool) {
    var (low, high) = (first, count)
    while low < high {
      let middle = (low + high) / 2
      let order = prefixes[middle] != prefix ? 1 : compare(self.key(middle), key)
      if order == 0 { return (middle, true) }
      if order < 0 { low = middle + 1 } else { high = middle }
    }
    return (low, false)
  }

  func insert(_ key: UnsafeRawBufferPointer, _ hash: Digest, at index: Int) {
    let start = start(index)
    let later = count - index
    // Each is a move of memory that may overlap.
    (keys + start + key.count).copyMemory(from: keys + start, byteCount: self.start(count) - start)
    if let bytes = key.baseAddress { (keys + start).copyMemory(from: bytes, byteCount: key.count) }
    UnsafeMutableRawPointer(prefixes + index + 1).copyMemory(from: prefixes + index, byteCount: later * 8)
    UnsafeMutableRawPointer(hashes + index + 1).copyMemory(from: hashes + index, byteCount: later * Digest.byteCount)
    prefixes[index] = Self.prefix(key)
    hashes[index] = hash
    // Keys have a limit far below what 32 bits count, and a page few of them.
    let length = UInt32(truncatingIfNeeded: key.count)
    for place in stride(from: count, to: index, by: -1) { ends[place] = ends[place - 1] &+ length }
    ends[index] = UInt32(truncatingIfNeeded: start) &+ length
  }

  func remove(at index: Int) -> Digest {
    let hash = hashes[index]
    let (start, end) = (start(index), Int(ends[index]))
    let later = count - index - 1
    (keys + start).copyMemory(from: keys + end, byteCount: self.start(count) - end)
    UnsafeMutableRawPointer(prefixes + index).copyMemory(from: prefixes + index + 1, byteCount: later * 8)
    UnsafeMutableRawPointer(hashes + index).copyMemory(from: hashes + index + 1, byteCount: later * Digest.byteCount)
    let length = UInt32(truncatingIfNeeded: end - start)
    for place in index..<count - 1 { ends[place] = ends[place + 1] &- length }
    return hash
  }

  /// Puts rows of another page behind those there are.
  func append(_ range: Range<Int>, of other: Rows) {
    let (first, last) = (other.start(range.lowerBound), other.start(range.upperBound))
    let before = start(count)
    (keys + before).copyMemory(from: other.keys + first, byteCount: last - first)
    UnsafeMutableRawPointer(prefixes + count).copyMemory(from: other.prefixes + range.lowerBound, byteCount: range.count * 8)
    UnsafeMutableRawPointer(hashes + count).copyMemory(from: other.hashes + range.lowerBound, byteCount: range.count * Digest.byteCount)
    let shift = UInt32(truncatingIfNeeded: before) &- UInt32(truncatingIfNeeded: first)  // modulo 2^32: the sum is a place in these bytes again
    for index in range { ends[count + index - range.lowerBound] = other.ends[index] &+ shift }
  }
}
