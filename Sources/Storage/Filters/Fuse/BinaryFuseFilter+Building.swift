extension BinaryFuseFilter {
  /// The most hashes a filter is built of.
  static var maxHashes: Int { 1 << 30 }

  /// The filter of the hashes in these pieces, or `nil` where none of the seeds gave an arrangement.
  static func build(_ pieces: [UnsafeBufferPointer<UInt64>], seed: UInt64, attempts: Int) -> Self? {
    let count = pieces.reduce(0) { $0 + $1.count }
    guard count > 0 else { return Self(kind: .nothing, seed: seed) }
    guard count <= maxHashes, attempts > 0 else { return nil }
    guard var arrangement = FuseArrangement(pieces, mixing: FuseMix.firstMixing(seed)) else { return nil }
    return build(of: &arrangement, seed: seed, attempts: attempts)
  }

  /// The filter under the first of the mixings that gives an arrangement, or `nil` where none of them does.
  ///
  /// A peeling that fails for repeated keys is not counted: the same mixing is tried again without them, so that they do not change the bytes.
  static func build(of arrangement: inout FuseArrangement, seed: UInt64, attempts: Int) -> Self? {
    for _ in 0..<attempts {
      if let filter = filter(of: arrangement, seed: seed) { return filter }
      if arrangement.makeDistinct(), let filter = filter(of: arrangement, seed: seed) { return filter }
      guard arrangement.remix(FuseMix.nextMixing(arrangement.mixing)) else { return nil }
    }
    return nil
  }

  /// The filter under the arrangement's present mixing, or `nil` where the keys cannot be peeled under it.
  static func filter(of arrangement: borrowing FuseArrangement, seed: UInt64) -> Self? {
    let shape = FuseShape(keyCount: arrangement.count)
    guard let order = FuseOrder(peeling: arrangement, shape) else { return nil }
    let bytes = UInt64(shape.slotCount * MemoryLayout<Fingerprint>.size)
    guard let memory = try? FilterMemory(zeroed: bytes, limit: .max) else { return nil }
    if Fingerprint.self == UInt8.self {
      order.assign(UInt8.self, shape, memory.base)
    } else if Fingerprint.self == UInt16.self {
      order.assign(UInt16.self, shape, memory.base)
    } else {
      order.assign(Fingerprint.self, shape, memory.base)
    }
    return Self(kind: .fuse, keyCount: arrangement.count, seed: seed, shape: shape, mixing: arrangement.mixing, memory: memory)
  }

  /// Lets a test damage the fingerprints before anybody else has the filter.
  func damage(_ damage: ((UnsafeMutableRawBufferPointer) -> Void)?) {
    damage?(UnsafeMutableRawBufferPointer(start: memory.base, count: memory.byteCount))
  }

  /// Whether the filter answers for every key of the arrangement it was built of.
  func holds(_ arrangement: borrowing FuseArrangement) -> Bool {
    arrangement.keys.allSatisfy { Self.test($0, shape, UnsafeRawPointer(memory.base)) }
  }
}

/// The keys of a filter to be, mixed, in the order of their upper bits: their slots come one segment after another, which keeps the tables in the
/// cache.
struct FuseArrangement: ~Copyable {
  private(set) var mixing: UInt64
  private(set) var count: Int
  /// Whether each key is surely there once. Repeated keys share all of their slots and cannot be peeled; they are looked for only then.
  private(set) var isDistinct = false
  private var memory: FilterMemory

  var keys: UnsafeBufferPointer<UInt64> { UnsafeBufferPointer(start: memory.base.assumingMemoryBound(to: UInt64.self), count: count) }

  /// Takes the hashes over; `nil` where there is no memory for them. There must be one at least.
  init?(_ pieces: [UnsafeBufferPointer<UInt64>], mixing: UInt64) {
    self.mixing = mixing
    count = pieces.reduce(0) { $0 + $1.count }
    guard let memory = try? FilterMemory(zeroed: UInt64(count) * 8, limit: .max) else { return nil }
    self.memory = memory
    Self.arrange(pieces, mixing, into: memory, count: count)
  }

  /// Mixes the same keys anew. `false` where there is no memory for that.
  mutating func remix(_ next: UInt64) -> Bool {
    guard let target = try? FilterMemory(zeroed: UInt64(count) * 8, limit: .max) else { return false }
    let hashes = UnsafeMutableBufferPointer(mutating: keys)
    for index in hashes.indices { hashes[index] = FuseMix.unmix(hashes[index]) &- mixing }  // undoes the sum, which wraps
    Self.arrange([UnsafeBufferPointer(hashes)], next, into: target, count: count)
    memory = target
    mixing = next
    return true
  }

  /// Leaves each key once. Gives whether any was there more often.
  mutating func makeDistinct() -> Bool {
    guard !isDistinct else { return false }
    isDistinct = true
    let keys = UnsafeMutableBufferPointer(mutating: keys)
    let bits = Self.bucketBits(count)
    var start = 0
    while start < keys.count {
      // Buckets follow one another; each is sorted by itself.
      let bucket = keys[start] >> UInt64(64 - bits)
      var end = start + 1
      while end < keys.count, keys[end] >> UInt64(64 - bits) == bucket { end += 1 }
      var part = UnsafeMutableBufferPointer(rebasing: keys[start..<end])
      part.sort()
      start = end
    }
    var kept = 1
    for index in 1..<max(keys.count, 1) where keys[index] != keys[kept - 1] {
      keys[kept] = keys[index]
      kept += 1
    }
    defer { count = kept }
    return kept < count
  }

  /// Few enough for the caches to hold the end of every bucket.
  private static func bucketBits(_ count: Int) -> Int { min(max(0, Int.bitWidth - count.leadingZeroBitCount - 12), 10) }

  /// Mixes hashes and writes them into buckets by their upper bits.
  private static func arrange(_ pieces: [UnsafeBufferPointer<UInt64>], _ mixing: UInt64, into memory: FilterMemory, count: Int) {
    let keys = memory.base.assumingMemoryBound(to: UInt64.self)
    let bits = bucketBits(count)
    let shift = UInt64(64 - bits)
    withUnsafeTemporaryAllocation(of: Int.self, capacity: (1 << bits) + 1) { ends in
      ends.initialize(repeating: 0)
      for piece in pieces { for hash in piece { ends[Int(truncatingIfNeeded: FuseMix.mix(hash &+ mixing) >> shift) &+ 1] &+= 1 } }
      for bucket in 1..<ends.count { ends[bucket] &+= ends[bucket - 1] }
      for piece in pieces {
        for hash in piece {
          let key = FuseMix.mix(hash &+ mixing)  // wraps: a bijection
          let bucket = Int(truncatingIfNeeded: key >> shift)
          keys[ends[bucket]] = key
          ends[bucket] &+= 1
        }
      }
    }
  }
}
