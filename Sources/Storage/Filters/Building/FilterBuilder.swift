import CStrataFilters

/// Makes the stored static filter of a table: hashes in, bytes out, which ``FilterView`` answers from.
///
/// Hashes may repeat and come in any order; the same set gives the same bytes on every machine (but for ``FilterPolicy/blockedBloom(bitsPerKey:)``,
/// whose size follows the number of hashes given: leave repetitions out). Owned by one place at a time. Adding is O(1) and never copies what is
/// there. Memory while building: 8 bytes per hash and the filter for blocked Bloom filters, at most 24 bytes per hash for binary fuse filters.
public struct FilterBuilder: ~Copyable {
  /// What ``finish()`` makes.
  public let policy: FilterPolicy
  /// The seed the hashes were made with; stored, so that keys are asked for with the same.
  public let seed: UInt64
  /// Whether what was built is checked against what was collected: an exclusive or over all hashes, and a question for every key. Costs a fifth to a
  /// third of the time and finds memory that forgets between a key's arrival and its filter, before a table that would hide keys is written.
  public let detectsCorruption: Bool
  /// The most bytes of the result.
  public let maxBytes: UInt64
  private var hashes = HashCollection()
  /// Tests damage the hashes between their collection and the building, or the bits between the building and the check.
  var damage: ((inout HashCollection) -> Void)?
  var bitDamage: ((UnsafeMutableRawBufferPointer) -> Void)?
  /// How many arrangements of a binary fuse filter are tried.
  var attempts = 100

  /// A builder without keys.
  /// - Throws: `.invalidParameters` for bits per key outside 1...100.
  public init(policy: FilterPolicy, seed: UInt64, detectsCorruption: Bool = true, maxBytes: UInt64 = 4 << 30) throws(FilterError) {
    if case .blockedBloom(let bits) = policy {
      guard bits >= 1, bits <= 100 else { throw .invalidParameters(name: "bitsPerKey", value: "\(bits)") }
    }
    self.policy = policy
    self.seed = seed
    self.detectsCorruption = detectsCorruption
    self.maxBytes = maxBytes
  }

  /// How many hashes were added, repetitions included.
  public var count: Int { hashes.count }

  /// Adds the key of this hash.
  public mutating func add(hash: UInt64) { hashes.append(hash) }

  /// Adds the key of these bytes.
  public mutating func add(_ key: RawSpan) { add(hash: FilterHash.hash64(key, seed: seed)) }

  /// The stored filter over all hashes added. None added give ``FilterKind/always``, policy `none` gives ``FilterKind/never``. Where no arrangement
  /// of a binary fuse filter was found, which takes hashes an adversary chose, or more than 2^30 of them, it is a blocked Bloom filter of as many
  /// bits per key. O(n).
  /// - Throws: `.tooLarge`, before memory is taken; `.damagedWhileBuilding`.
  public consuming func finish() throws(FilterError) -> [UInt8] {
    damage?(&hashes)
    if hashes.count == 0, policy != .none { return FilterFormat.constant(.always, seed: seed, keys: 0) }
    switch policy {
    case .none: return FilterFormat.constant(.never, seed: seed, keys: UInt64(hashes.count))
    case .blockedBloom(let bits): return try blockedBloom(bitsPerKey: bits)
    case .binaryFuse8:
      if let bytes = try binaryFuse(UInt8.self) { return bytes }
      return try blockedBloom(bitsPerKey: 9)
    case .binaryFuse16:
      if let bytes = try binaryFuse(UInt16.self) { return bytes }
      return try blockedBloom(bitsPerKey: 18)
    }
  }

  private func checkHashes() throws(FilterError) {
    if detectsCorruption, !hashes.isIntact { throw .damagedWhileBuilding(reason: "the collected hashes changed") }
  }

  private func blockedBloom(bitsPerKey: Double) throws(FilterError) -> [UInt8] {
    let blocks = try BlockGeometry.blocks(items: hashes.count, bitsPerKey: bitsPerKey, maxBytes: maxBytes)
    let count = BlockGeometry.hashCount(bitsPerKey: bitsPerKey)
    try checkHashes()
    let buffers = hashes.buffers
    var isSound = true
    // Built where it is stored: a second copy would be a tenth of the memory.
    let bytes = FilterFormat.encode(
      .blockedBloom, seed: seed, keys: UInt64(hashes.count), parameters: (blocks, UInt64(count)), payloadBytes: Int(blocks) * 64
    ) { target in
      for buffer in buffers { strata_blocks_set(target.baseAddress, blocks, Int32(count), buffer.baseAddress, buffer.count) }
      bitDamage?(target)
      if detectsCorruption { isSound = Self.holds(UnsafeRawBufferPointer(target), blocks, count, buffers) }
    }
    guard isSound else { throw .damagedWhileBuilding(reason: "a key is not in the filter it was added to") }
    return bytes
  }

  private static func holds(_ bits: UnsafeRawBufferPointer, _ blocks: UInt64, _ count: Int, _ buffers: [UnsafeBufferPointer<UInt64>]) -> Bool {
    withUnsafeTemporaryAllocation(of: UInt64.self, capacity: 64) { answers in
      for buffer in buffers {
        guard let hashes = buffer.baseAddress else { continue }
        for first in stride(from: 0, to: buffer.count, by: 4096) {
          let keys = min(4096, buffer.count - first)
          strata_blocks_test(bits.baseAddress, blocks, Int32(count), hashes + first, keys, answers.baseAddress)
          for index in 0..<keys / 64 where answers[index] != .max { return false }
          if keys % 64 != 0, answers[keys / 64] != (1 << UInt64(keys % 64)) - 1 { return false }
        }
      }
      return true
    }
  }

  /// `nil` where no arrangement was found.
  private mutating func binaryFuse<Fingerprint: FixedWidthInteger & UnsignedInteger & BitwiseCopyable & Sendable>(
    _: Fingerprint.Type
  ) throws(FilterError) -> [UInt8]? {
    guard hashes.count <= BinaryFuseFilter<Fingerprint>.maxHashes else { return nil }
    let bytes = UInt64(FuseShape(keyCount: hashes.count).slotCount * MemoryLayout<Fingerprint>.size)
    guard bytes <= maxBytes else { throw .tooLarge(bytes: bytes, limit: maxBytes) }
    try checkHashes()
    guard var arrangement = FuseArrangement(hashes.buffers, mixing: FuseMix.firstMixing(seed)) else { return nil }
    // The arrangement holds the distinct keys from here on: with both there would be no room within 24 bytes per hash.
    hashes.removeAll()
    if let filter = BinaryFuseFilter<Fingerprint>.build(of: &arrangement, seed: seed, attempts: attempts) {
      filter.damage(bitDamage)
      if detectsCorruption, !filter.holds(arrangement) {
        throw .damagedWhileBuilding(reason: "a key is not in the filter it was built of")
      }
      return filter.encoded()
    }
    _ = arrangement.makeDistinct()
    for key in arrangement.keys { hashes.append(FuseMix.unmix(key) &- arrangement.mixing) }  // undoes the sum, which wraps
    return nil
  }
}
