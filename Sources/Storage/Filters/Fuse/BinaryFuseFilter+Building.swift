extension BinaryFuseFilter {
  /// The most hashes a filter is built of.
  static var maxHashes: Int { 1 << 30 }

  /// The filter of the hashes in these pieces, or `nil` where none of the seeds gave an arrangement.
  static func build(_ pieces: [UnsafeBufferPointer<UInt64>], seed: UInt64, attempts: Int) -> Self? {
    let count = pieces.reduce(0) { $0 + $1.count }
    guard count > 0 else { return Self(kind: .nothing, seed: seed) }
    guard count <= maxHashes, attempts > 0 else { return nil }
    guard var arrangement = FuseArrangement(pieces, mixing: FuseMix.firstMixing(seed)) else { return nil }
    for _ in 0..<attempts {
      if let filter = filter(of: arrangement, seed: seed) { return filter }
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

/// The distinct keys of a filter to be, mixed and ascending.
///
/// Repeated keys would make peeling impossible. Ascending order makes the slots come one segment after another, which keeps the tables in the cache.
struct FuseArrangement: ~Copyable {
  private(set) var mixing: UInt64
  private(set) var count: Int
  private var memory: FilterMemory

  var keys: UnsafeBufferPointer<UInt64> { UnsafeBufferPointer(start: memory.base.assumingMemoryBound(to: UInt64.self), count: count) }

  /// Takes the hashes over; `nil` where there is no memory for them. There must be one at least.
  init?(_ pieces: [UnsafeBufferPointer<UInt64>], mixing: UInt64) {
    self.mixing = mixing
    let total = pieces.reduce(0) { $0 + $1.count }
    guard let memory = try? FilterMemory(zeroed: UInt64(total) * 8, limit: .max) else { return nil }
    self.memory = memory
    Self.sort(pieces, into: memory, count: total) { FuseMix.mix($0 &+ mixing) }  // wraps: a bijection
    count = Self.dropRepetitions(memory.base.assumingMemoryBound(to: UInt64.self), total)
  }

  /// Mixes the same keys anew. `false` where there is no memory for that.
  mutating func remix(_ next: UInt64) -> Bool {
    guard let target = try? FilterMemory(zeroed: UInt64(count) * 8, limit: .max) else { return false }
    let last = mixing
    Self.sort([keys], into: target, count: count) { FuseMix.mix(FuseMix.unmix($0) &- last &+ next) }  // wraps: bijections
    memory = target
    mixing = next
    return true
  }

  /// Mixed values are uniform: one pass into buckets by the top bits leaves about eight in each to sort.
  private static func sort(
    _ pieces: [UnsafeBufferPointer<UInt64>], into memory: FilterMemory, count: Int, _ mix: (UInt64) -> UInt64
  ) {
    let keys = memory.base.assumingMemoryBound(to: UInt64.self)
    let bits = max(0, Int.bitWidth - count.leadingZeroBitCount - 4)
    let shift = UInt64(64 - bits)
    // At most 2^30 hashes: 32 bits hold every end.
    var ends = [UInt32](repeating: 0, count: (1 << bits) + 1)
    ends.withUnsafeMutableBufferPointer { ends in
      for piece in pieces { for hash in piece { ends[Int(truncatingIfNeeded: mix(hash) >> shift) &+ 1] &+= 1 } }
      for bucket in 1..<ends.count { ends[bucket] &+= ends[bucket - 1] }
      for piece in pieces {
        for hash in piece {
          let key = mix(hash)
          let bucket = Int(truncatingIfNeeded: key >> shift)
          keys[Int(ends[bucket])] = key
          ends[bucket] &+= 1
        }
      }
      var start = 0
      for bucket in 0..<ends.count - 1 {
        let end = Int(ends[bucket])
        sort(UnsafeMutableBufferPointer(start: keys + start, count: end - start))
        start = end
      }
    }
  }

  /// Insertion for the few keys a bucket has; the library's sort where many hashes repeat.
  private static func sort(_ keys: UnsafeMutableBufferPointer<UInt64>) {
    guard keys.count <= 32 else {
      var keys = keys
      keys.sort()
      return
    }
    for index in keys.indices.dropFirst() {
      let key = keys[index]
      var place = index
      while place > 0, keys[place &- 1] > key {
        keys[place] = keys[place &- 1]
        place &-= 1
      }
      keys[place] = key
    }
  }

  private static func dropRepetitions(_ keys: UnsafeMutablePointer<UInt64>, _ count: Int) -> Int {
    var kept = 1
    for index in 1..<max(count, 1) where keys[index] != keys[kept - 1] {
      keys[kept] = keys[index]
      kept += 1
    }
    return kept
  }
}
