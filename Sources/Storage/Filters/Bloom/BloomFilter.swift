import CStrataFilters

/// The classic Bloom filter: every key has k bits anywhere among m (B. H. Bloom, CACM 13, 1970).
///
/// The fewest false positives per bit of all filters that take keys one by one; each probe of a large filter costs up to k cache lines, so tables
/// rather use ``BlockedBloomFilter``. Never answers absent for a key that was added; bits only go from 0 to 1. The same parameters and keys give the
/// same bytes on every machine, in any order. A value: share copies between threads freely, change one from one place at a time. All operations O(k).
public struct BloomFilter: MembershipFilter, Hashable {
  /// Number of bits and of positions per key.
  public let geometry: BloomGeometry
  public let seed: UInt64
  /// How often ``add(hash:)`` was called, duplicates included. See ``estimatedCount`` for the distinct keys.
  public internal(set) var insertions: UInt64 = 0
  /// How many bits are set.
  public private(set) var setBits: UInt64 = 0
  @usableFromInline var memory: FilterMemory

  /// An empty filter that keeps `falsePositiveRate` up to `expectedItems` distinct keys; see ``BloomGeometry``.
  /// - Parameters:
  ///   - seed: what keys are hashed with.
  ///   - maxBytes: the most memory it may take.
  /// - Throws: `.invalidParameters`; `.tooLarge`, before memory is taken.
  public init(
    expectedItems: Int = 1000, falsePositiveRate: Double = 0.01, seed: UInt64 = 0, maxBytes: UInt64 = 4 << 30
  ) throws(FilterError) {
    let geometry = try BloomGeometry(expectedItems: expectedItems, falsePositiveRate: falsePositiveRate)
    try self.init(geometry, seed: seed, maxBytes: maxBytes)
  }

  /// An empty filter of exactly `bits` bits and `hashes` positions per key.
  /// - Throws: as the other initialiser.
  public init(bits: UInt64, hashes: Int, seed: UInt64 = 0, maxBytes: UInt64 = 4 << 30) throws(FilterError) {
    try self.init(try BloomGeometry(bits: bits, hashes: hashes), seed: seed, maxBytes: maxBytes)
  }

  init(_ geometry: BloomGeometry, seed: UInt64, maxBytes: UInt64) throws(FilterError) {
    self.geometry = geometry
    self.seed = seed
    memory = try FilterMemory(zeroed: geometry.byteCount, limit: maxBytes)
  }

  /// A filter whose bits are there already.
  init(_ geometry: BloomGeometry, seed: UInt64, insertions: UInt64, memory: FilterMemory) {
    self.geometry = geometry
    self.seed = seed
    self.insertions = insertions
    self.memory = memory
    setBits = memory.setBits
  }

  /// Adds the key of this hash. Gives whether any bit was new: `false` says that the key was perhaps there before.
  @discardableResult
  public mutating func add(hash: UInt64) -> Bool {
    FilterMemory.makeUnique(&memory)
    insertions &+= 1  // 2^64 calls take centuries
    let fresh = Self.set(hash, geometry, memory.base.assumingMemoryBound(to: UInt64.self))
    setBits &+= fresh  // never above bitCount
    return fresh > 0
  }

  /// Adds the key of these bytes; as ``add(hash:)``.
  @discardableResult
  public mutating func add(_ key: RawSpan) -> Bool { add(hash: FilterHash.hash64(key, seed: seed)) }

  /// Adds the key that is this text in UTF-8; as ``add(hash:)``.
  @discardableResult
  public mutating func add(_ key: String) -> Bool { add(hash: FilterHash.hash64(key, seed: seed)) }

  /// Adds many keys, faster than one by one.
  public mutating func add(hashes: Span<UInt64>) {
    FilterMemory.makeUnique(&memory)
    let count = Int32(hashCount)
    // Where the keys have more bits than the filter has words, all bits are sooner counted afterwards than one by one.
    let isMany = hashes.count.multipliedReportingOverflow(by: hashCount).partialValue >= memory.byteCount / 8
    hashes.withUnsafeBufferPointer { hashes in
      if isMany {
        strata_bits_set_uncounted(memory.base, bitCount, count, hashes.baseAddress, hashes.count)
      } else {
        setBits &+= strata_bits_set(memory.base, bitCount, count, hashes.baseAddress, hashes.count)  // never above bitCount
      }
    }
    if isMany { setBits = memory.setBits }
    insertions &+= UInt64(hashes.count)
  }

  /// Sets the bits of a hash; gives how many were not set before. Positions are below `bitCount`, for which `words` has room.
  @inline(__always)
  private static func set(_ hash: UInt64, _ geometry: BloomGeometry, _ words: UnsafeMutablePointer<UInt64>) -> UInt64 {
    var walk = hash
    var fresh: UInt64 = 0
    var left = geometry.hashCount
    while left > 0 {
      let position = geometry.position(walk)
      let place = Int(truncatingIfNeeded: position >> 6)
      let word = UInt64(littleEndian: words[place])
      let bit = (1 as UInt64) &<< position
      // Without a branch, which a half-full filter would make a guess.
      fresh &+= word & bit == 0 ? 1 : 0
      words[place] = (word | bit).littleEndian
      walk = walk &* BloomGeometry.step
      left &-= 1
    }
    return fresh
  }

  @inlinable
  @inline(__always)
  public func mayContain(hash: UInt64) -> Bool { Self.test(hash, geometry, UnsafeRawPointer(memory.base)) }

  /// Positions are below `bitCount`, for which `base` has room in whole words.
  ///
  /// Bits are read eight at a time without a branch between them: where half of the keys are there, each branch would be a guess, and the reads do
  /// not wait for one another.
  @inlinable
  @inline(__always)
  static func test(_ hash: UInt64, _ geometry: BloomGeometry, _ base: UnsafeRawPointer) -> Bool {
    var walk = hash
    var left = geometry.hashCount
    var all: UInt64 = 1
    while left > 8 {
      for _ in 0..<8 { all &= word(&walk, geometry, base) }
      if all & 1 == 0 { return false }
      left &-= 8
    }
    while left > 0 {
      all &= word(&walk, geometry, base)
      left &-= 1
    }
    return all & 1 != 0
  }

  /// The bit of the present value of a walk in the lowest place, others above it; the walk goes on.
  @inlinable
  @inline(__always)
  static func word(_ walk: inout UInt64, _ geometry: BloomGeometry, _ base: UnsafeRawPointer) -> UInt64 {
    let position = geometry.position(walk)
    walk = walk &* BloomGeometry.step
    return UInt64(littleEndian: base.loadUnaligned(fromByteOffset: Int(truncatingIfNeeded: position >> 6 &* 8), as: UInt64.self)) &>> position
  }

  public func mayContain(hashes: Span<UInt64>, into answers: inout BitMask) {
    Self.test(hashes, geometry, UnsafeRawPointer(memory.base), &answers)
  }

  /// All keys in one call: without branches between the reads of a key, those of several keys are under way together.
  static func test(_ hashes: Span<UInt64>, _ geometry: BloomGeometry, _ base: UnsafeRawPointer, _ answers: inout BitMask) {
    hashes.withUnsafeBufferPointer { hashes in
      answers.fillWords(hashes.count) {
        strata_bits_test(base, geometry.bitCount, Int32(geometry.hashCount), hashes.baseAddress, hashes.count, $0)
      }
    }
  }

  public static func == (a: Self, b: Self) -> Bool {
    a.geometry == b.geometry && a.seed == b.seed && a.insertions == b.insertions && a.setBits == b.setBits && a.memory.equals(b.memory)
  }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(geometry)
    hasher.combine(insertions)
    hasher.combine(setBits)
  }
}

extension BloomFilter {
  /// The number of bits, m.
  public var bitCount: UInt64 { geometry.bitCount }
  /// The number of positions of one key, k.
  public var hashCount: Int { geometry.hashCount }
  /// The share of bits that are set: 0 for an empty filter.
  public var density: Double { Double(setBits) / Double(bitCount) }
  /// How many distinct keys are in, by the bits they set: −(m/k) ln(1 − density). 0 when empty, infinite when every bit is set.
  public var estimatedCount: Double { geometry.estimatedItems(setBits: setBits) }
  /// How often an absent key is answered with "perhaps" as the filter is: density to the power of k.
  public var estimatedFalsePositiveRate: Double { Elementary.power(density, hashCount) }
  /// How often an absent key is answered with "perhaps" once `items` distinct keys are in.
  public func expectedFalsePositiveRate(at items: Int) -> Double { geometry.expectedRate(items: Double(items)) }
  /// Bytes of memory the bits take.
  public var memoryBytes: Int { memory.byteCount }

  /// Adds every key of another filter: a bitwise OR. ``insertions`` becomes the sum, an upper bound; ``estimatedCount`` stays an estimate of
  /// the distinct keys. O(m).
  /// - Throws: `.incompatible` naming the parameter or the seed that differs; nothing is changed.
  public mutating func formUnion(_ other: BloomFilter) throws(FilterError) {
    try checkCompatible(other)
    FilterMemory.makeUnique(&memory)
    let words = memory.base.assumingMemoryBound(to: UInt64.self)
    let others = other.memory.base.assumingMemoryBound(to: UInt64.self)
    for place in 0..<memory.byteCount / 8 { words[place] |= others[place] }
    setBits = memory.setBits
    insertions &+= other.insertions
  }

  /// How many distinct keys are about in both: the estimates of each less that of the union. Never below 0; not a number where the union is full.
  /// - Throws: `.incompatible`.
  public func estimatedIntersection(_ other: BloomFilter) throws(FilterError) -> Double {
    var union = self
    try union.formUnion(other)
    return max(0, estimatedCount + other.estimatedCount - union.estimatedCount)
  }

  private func checkCompatible(_ other: BloomFilter) throws(FilterError) {
    if bitCount != other.bitCount { throw .incompatible(field: "bits", left: "\(bitCount)", right: "\(other.bitCount)") }
    if hashCount != other.hashCount { throw .incompatible(field: "hashes", left: "\(hashCount)", right: "\(other.hashCount)") }
    if seed != other.seed { throw .incompatible(field: "seed", left: "\(seed)", right: "\(other.seed)") }
  }
}
