/// A Bloom filter with a small counter in the place of each bit, so that keys can be removed again.
///
/// The positions of a key are those of a ``BloomFilter`` of equal parameters. A key added r times needs r removals. A counter that reaches its
/// maximum is frozen there: never counted down, so that no key still present is missed; ``saturatedCounters`` shows how many are. With 4-bit
/// counters and no more keys than planned one saturates with a probability of about 1e-15.
///
/// **Remove only what was added.** The structure cannot tell a key that was never added from one it looks like, and removing the look-alike takes
/// counts away from others, which may then be missed. Where that cannot be ruled out, use ``CuckooFilter`` for keys known to be in, or build anew.
///
/// A value: share copies between threads freely, change one from one place at a time. All operations O(k).
public struct CountingBloomFilter: MembershipFilter, Hashable {
  /// Number of counters and of positions per key.
  public let geometry: BloomGeometry
  public let seed: UInt64
  /// Bits per counter, 2...8.
  public let counterBits: Int
  /// Additions less removals.
  public internal(set) var count: UInt64 = 0
  /// How many counters have reached their maximum and are frozen. More than a few mean many more keys than planned: build a larger filter.
  public private(set) var saturatedCounters: UInt64 = 0
  /// How many counters are not zero.
  public private(set) var usedCounters: UInt64 = 0
  @usableFromInline var memory: FilterMemory

  /// An empty filter that keeps `falsePositiveRate` up to `expectedItems` distinct keys at a time; see ``BloomGeometry``.
  /// - Throws: `.invalidParameters`, also for `counterBits` outside 2...8; `.tooLarge`, before memory is taken.
  public init(
    expectedItems: Int = 1000, falsePositiveRate: Double = 0.01, counterBits: Int = 4, seed: UInt64 = 0, maxBytes: UInt64 = 4 << 30
  ) throws(FilterError) {
    let geometry = try BloomGeometry(expectedItems: expectedItems, falsePositiveRate: falsePositiveRate)
    try self.init(geometry, counterBits: counterBits, seed: seed, maxBytes: maxBytes)
  }

  /// An empty filter of exactly `counters` counters and `hashes` positions per key.
  /// - Throws: as the other initialiser.
  public init(counters: UInt64, hashes: Int, counterBits: Int = 4, seed: UInt64 = 0, maxBytes: UInt64 = 4 << 30) throws(FilterError) {
    try self.init(try BloomGeometry(bits: counters, hashes: hashes), counterBits: counterBits, seed: seed, maxBytes: maxBytes)
  }

  init(_ geometry: BloomGeometry, counterBits: Int, seed: UInt64, maxBytes: UInt64) throws(FilterError) {
    guard (2...8).contains(counterBits) else { throw .invalidParameters(name: "counterBits", value: "\(counterBits)") }
    self.geometry = geometry
    self.seed = seed
    self.counterBits = counterBits
    memory = try FilterMemory(zeroed: Self.byteCount(geometry, counterBits), limit: maxBytes)
  }

  /// A filter whose counters are there already.
  init(_ geometry: BloomGeometry, counterBits: Int, seed: UInt64, count: UInt64, memory: FilterMemory) {
    self.geometry = geometry
    self.counterBits = counterBits
    self.seed = seed
    self.count = count
    self.memory = memory
    recount()
  }

  /// Counters lie in 64-bit words, none across two of them.
  static func byteCount(_ geometry: BloomGeometry, _ counterBits: Int) -> UInt64 {
    let (bytes, overflow) = ((geometry.bitCount - 1) / UInt64(64 / counterBits) + 1).multipliedReportingOverflow(by: 8)
    return overflow ? .max : bytes
  }

  /// The largest value of a counter, at which it is frozen.
  public var counterMaximum: Int { 1 << counterBits - 1 }

  /// Adds the key of this hash once.
  public mutating func add(hash: UInt64) {
    FilterMemory.makeUnique(&memory)
    let maximum = UInt64(counterMaximum)
    count &+= 1  // 2^64 calls take centuries
    withDistinctPositions(hash) { filter, positions in
      for position in positions {
        let value = filter.counter(position)
        guard value < maximum else { continue }
        filter.setCounter(position, value + 1)
        if value == 0 { filter.usedCounters &+= 1 }
        if value + 1 == maximum { filter.saturatedCounters &+= 1 }
      }
    }
  }

  /// Removes the key of this hash once. Only for keys that were added: see the type.
  /// - Throws: `.notPresent` where the key is surely absent; nothing is changed.
  public mutating func remove(hash: UInt64) throws(FilterError) {
    guard count > 0, mayContain(hash: hash) else { throw .notPresent }
    FilterMemory.makeUnique(&memory)
    let maximum = UInt64(counterMaximum)
    count -= 1
    withDistinctPositions(hash) { filter, positions in
      for position in positions {
        let value = filter.counter(position)
        // A frozen counter has forgotten how many keys it counts.
        guard value < maximum else { continue }
        filter.setCounter(position, value - 1)
        if value == 1 { filter.usedCounters -= 1 }
      }
    }
  }

  @inlinable
  public func mayContain(hash: UInt64) -> Bool {
    Self.test(hash, geometry, counterBits, UnsafeRawPointer(memory.base))
  }

  /// Whether every counter of a hash is above zero. Positions are below the number of counters, for which `base` has room.
  @inlinable
  static func test(_ hash: UInt64, _ geometry: BloomGeometry, _ counterBits: Int, _ base: UnsafeRawPointer) -> Bool {
    let perWord = UInt64(64 / counterBits)
    let mask = (1 as UInt64) &<< UInt64(counterBits) &- 1
    var walk = hash
    for _ in 0..<geometry.hashCount {
      let (word, slot) = geometry.position(walk).quotientAndRemainder(dividingBy: perWord)
      let bits = base.load(fromByteOffset: Int(truncatingIfNeeded: word) &* 8, as: UInt64.self)
      if UInt64(littleEndian: bits) &>> (slot &* UInt64(counterBits)) & mask == 0 { return false }
      walk = walk &* BloomGeometry.step
    }
    return true
  }

  /// The positions of a hash, each once: a key that meets one counter twice must not count it twice, or its removal could take what is another's.
  private mutating func withDistinctPositions(_ hash: UInt64, _ body: (inout Self, UnsafeMutableBufferPointer<UInt64>) -> Void) {
    withUnsafeTemporaryAllocation(of: UInt64.self, capacity: geometry.hashCount) { positions in
      var kept = 0
      var walk = hash
      for _ in 0..<geometry.hashCount {
        let position = geometry.position(walk)
        if !positions[..<kept].contains(position) {
          positions.initializeElement(at: kept, to: position)
          kept += 1
        }
        walk = walk &* BloomGeometry.step
      }
      body(&self, UnsafeMutableBufferPointer(rebasing: positions[..<kept]))
    }
  }

  private func place(_ position: UInt64) -> (word: Int, shift: UInt64) {
    let (word, slot) = position.quotientAndRemainder(dividingBy: UInt64(64 / counterBits))
    return (Int(word), slot * UInt64(counterBits))
  }

  func counter(_ position: UInt64) -> UInt64 {
    let (word, shift) = place(position)
    return UInt64(littleEndian: memory.base.load(fromByteOffset: word * 8, as: UInt64.self)) >> shift & UInt64(counterMaximum)
  }

  private func setCounter(_ position: UInt64, _ value: UInt64) {
    let (word, shift) = place(position)
    let old = UInt64(littleEndian: memory.base.load(fromByteOffset: word * 8, as: UInt64.self))
    memory.base.storeBytes(of: (old & ~(UInt64(counterMaximum) << shift) | value << shift).littleEndian, toByteOffset: word * 8, as: UInt64.self)
  }

  /// Counts used and saturated counters anew, for a filter whose memory was filled from outside. O(m).
  mutating func recount() {
    usedCounters = 0
    saturatedCounters = 0
    for position in 0..<geometry.bitCount {
      let value = counter(position)
      usedCounters += value > 0 ? 1 : 0
      saturatedCounters += value == UInt64(counterMaximum) ? 1 : 0
    }
  }

  public static func == (a: Self, b: Self) -> Bool {
    a.geometry == b.geometry && a.seed == b.seed && a.counterBits == b.counterBits && a.count == b.count && a.memory.equals(b.memory)
  }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(geometry)
    hasher.combine(count)
    hasher.combine(usedCounters)
  }
}

extension CountingBloomFilter {
  /// The number of counters, m.
  public var bitCount: UInt64 { geometry.bitCount }
  /// The number of positions of one key, k.
  public var hashCount: Int { geometry.hashCount }
  /// Additions less removals: what is in, duplicates included.
  public var insertions: UInt64 { count }
  /// The share of counters above zero.
  public var density: Double { Double(usedCounters) / Double(bitCount) }
  /// How many distinct keys are in, by the counters they use; see ``BloomFilter/estimatedCount``.
  public var estimatedCount: Double { geometry.estimatedItems(setBits: usedCounters) }
  /// How often an absent key is answered with "perhaps" as the filter is.
  public var estimatedFalsePositiveRate: Double { Elementary.power(density, hashCount) }
  /// How often an absent key is answered with "perhaps" once `items` distinct keys are in.
  public func expectedFalsePositiveRate(at items: Int) -> Double { geometry.expectedRate(items: Double(items)) }
  /// Bytes of memory the counters take.
  public var memoryBytes: Int { memory.byteCount }
}
