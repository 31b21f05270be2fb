/// A Bloom filter that grows: a list of classic ones, each larger and stricter than the one before, that together keep a promised rate.
///
/// Slice i has room for capacity · growthⁱ keys and the rate p · (1 − r) · rⁱ, whose sum over all slices is p (P. S. Almeida and others, IPL 101,
/// 2007, gave the first slice all of p and so promised 2p). A slice is left for the next when half of its bits are set, where its rate is 2^−k,
/// rather than by a count of calls, so that duplicates never make it grow. Never answers absent for a key that was added.
///
/// A value: share copies between threads freely, change one from one place at a time. Adding and asking O(k · slices), newest first.
public struct ScalableBloomFilter: MembershipFilter, Hashable {
  /// What is promised of all slices together, and how they grow.
  public struct Parameters: Sendable, Hashable {
    /// Distinct keys the first slice has room for, at least 1.
    public var initialCapacity: Int
    /// How often an absent key may be answered with "perhaps", above 0 and below 1, whatever the number of keys.
    public var falsePositiveRate: Double
    /// How much larger each slice is than the one before, at least 1.
    public var growth: Double
    /// How much stricter, above 0 and below 1.
    public var tightening: Double
    /// The most slices, 1...64; 1 makes a filter that refuses keys when it is full.
    public var maxSlices: Int

    public init(initialCapacity: Int = 1000, falsePositiveRate: Double = 0.01, growth: Double = 2, tightening: Double = 0.5, maxSlices: Int = 64) {
      self.initialCapacity = initialCapacity
      self.falsePositiveRate = falsePositiveRate
      self.growth = growth
      self.tightening = tightening
      self.maxSlices = maxSlices
    }

    func validate() throws(FilterError) {
      guard initialCapacity > 0 else { throw .invalidParameters(name: "initialCapacity", value: "\(initialCapacity)") }
      guard falsePositiveRate > 0, falsePositiveRate < 1 else { throw .invalidParameters(name: "falsePositiveRate", value: "\(falsePositiveRate)") }
      guard growth >= 1, growth <= 1024 else { throw .invalidParameters(name: "growth", value: "\(growth)") }
      guard tightening > 0, tightening < 1 else { throw .invalidParameters(name: "tightening", value: "\(tightening)") }
      guard (1...64).contains(maxSlices) else { throw .invalidParameters(name: "maxSlices", value: "\(maxSlices)") }
    }

    /// Slice `index`: k that makes its rate at half fill at most its share, and the bits that half fill after its capacity.
    func geometry(slice index: Int) -> BloomGeometry? {
      // A rate below this is beyond what a 64-bit hash can tell apart; such a slice is at its share already.
      let rate = max(falsePositiveRate * (1 - tightening) * Elementary.power(tightening, index), 1e-18)
      let hashes = max(1, (-Elementary.ln(rate) / Elementary.ln2 - 1e-9).rounded(.up))
      let bits = (Double(initialCapacity) * Elementary.power(growth, index) * hashes / Elementary.ln2).rounded(.up)
      guard bits < 0x1p60 else { return nil }
      return try? BloomGeometry(bits: UInt64(bits), hashes: Int(hashes))
    }
  }

  /// What is promised.
  public let parameters: Parameters
  public let seed: UInt64
  /// The most memory all slices together may take.
  public let maxBytes: UInt64
  /// How often ``add(hash:)`` succeeded, duplicates included.
  public internal(set) var insertions: UInt64 = 0
  /// The slices, oldest first; at least one.
  public internal(set) var slices: [BloomFilter]

  /// An empty filter of one slice.
  /// - Throws: `.invalidParameters`; `.tooLarge`, before memory is taken.
  public init(
    initialCapacity: Int = 1000, falsePositiveRate: Double = 0.01, growth: Double = 2, tightening: Double = 0.5, maxSlices: Int = 64,
    seed: UInt64 = 0, maxBytes: UInt64 = 4 << 30
  ) throws(FilterError) {
    let parameters = Parameters(
      initialCapacity: initialCapacity, falsePositiveRate: falsePositiveRate, growth: growth, tightening: tightening, maxSlices: maxSlices)
    try parameters.validate()
    guard let geometry = parameters.geometry(slice: 0) else { throw .tooLarge(bytes: .max, limit: maxBytes) }
    self.init(parameters, seed: seed, maxBytes: maxBytes, slices: [try BloomFilter(geometry, seed: seed, maxBytes: maxBytes)])
  }

  init(_ parameters: Parameters, seed: UInt64, maxBytes: UInt64, slices: [BloomFilter]) {
    self.parameters = parameters
    self.seed = seed
    self.maxBytes = maxBytes
    self.slices = slices
  }

  /// Adds the key of this hash. Gives whether it was new: `false` says that it was perhaps there before.
  /// - Throws: `.full` where another slice is needed and there may be none; the key is then not added.
  @discardableResult
  public mutating func add(hash: UInt64) throws(FilterError) -> Bool {
    var newest = slices.count - 1
    if slices[newest].setBits >= slices[newest].bitCount / 2 {
      // All of its bits set: adding it would change nothing, and growing for it would waste a slice on a duplicate.
      if slices[newest].mayContain(hash: hash) {
        insertions &+= 1
        return false
      }
      try grow()
      newest += 1
    }
    // Added to the newest even where an older one says "perhaps": a guess is no reason to leave a key out.
    let isNew = slices[newest].add(hash: hash)
    insertions &+= 1
    return isNew && !slices[..<newest].contains { $0.mayContain(hash: hash) }
  }

  /// Adds the key of these bytes; as ``add(hash:)``.
  @discardableResult
  public mutating func add(_ key: RawSpan) throws(FilterError) -> Bool { try add(hash: FilterHash.hash64(key, seed: seed)) }

  /// Adds the key that is this text in UTF-8; as ``add(hash:)``.
  @discardableResult
  public mutating func add(_ key: String) throws(FilterError) -> Bool { try add(hash: FilterHash.hash64(key, seed: seed)) }

  private mutating func grow() throws(FilterError) {
    guard slices.count < parameters.maxSlices, let geometry = parameters.geometry(slice: slices.count) else { throw .full(items: insertions) }
    let used = UInt64(memoryBytes)
    guard used <= maxBytes, geometry.byteCount <= maxBytes - used else { throw .full(items: insertions) }
    let slice: BloomFilter
    do { slice = try BloomFilter(geometry, seed: seed, maxBytes: maxBytes) } catch { throw .full(items: insertions) }
    slices.append(slice)
  }

  public func mayContain(hash: UInt64) -> Bool {
    var index = slices.count
    while index > 0 {
      index -= 1
      if slices[index].mayContain(hash: hash) { return true }
    }
    return false
  }
}

extension ScalableBloomFilter {
  /// The number of bits of all slices.
  public var bitCount: UInt64 { slices.reduce(0) { $0 + $1.bitCount } }
  /// The number of positions of one key in the newest slice.
  public var hashCount: Int { slices[slices.count - 1].hashCount }
  /// The share of the bits of all slices that are set.
  public var density: Double { Double(slices.reduce(0) { $0 + $1.setBits }) / Double(bitCount) }
  /// How many distinct keys are in, by the bits they set; a key in two slices counts twice.
  public var estimatedCount: Double { slices.reduce(0) { $0 + $1.estimatedCount } }
  /// How often an absent key is answered with "perhaps" as the filter is.
  public var estimatedFalsePositiveRate: Double { 1 - slices.reduce(1) { $0 * (1 - $1.estimatedFalsePositiveRate) } }
  /// How often an absent key is answered with "perhaps" once `items` distinct keys are in an empty filter of these parameters; not a number
  /// where they do not fit.
  public func expectedFalsePositiveRate(at items: Int) -> Double {
    var rest = Double(items)
    var miss = 1.0
    for index in 0..<parameters.maxSlices where rest > 0 {
      guard let geometry = parameters.geometry(slice: index) else { return .nan }
      let room = Double(geometry.bitCount) / Double(geometry.hashCount) * Elementary.ln2
      miss *= 1 - geometry.expectedRate(items: min(rest, room))
      rest -= room
    }
    return rest > 0 ? .nan : 1 - miss
  }
  /// Bytes of memory the bits of all slices take.
  public var memoryBytes: Int { slices.reduce(0) { $0 + $1.memoryBytes } }
}
