import CStrataFilters
import Synchronization

/// A blocked Bloom filter that any number of threads add to and ask at once, without a lock: the filter of a memtable.
///
/// As RocksDB's DynamicBloom: every bit is set by a relaxed atomic OR. A thread that learns of a key by any means that orders memory (a lock, an
/// atomic it reads with acquiring order) finds it here if it was added before. Nothing is counted, for a shared counter is what adding threads
/// would queue at; ``estimatedCount`` tells the distinct keys from the bits. The bits are those of a ``BlockedBloomFilter`` of the same size.
public final class ConcurrentBloomFilter: MembershipFilter {
  public let seed: UInt64
  /// Bits set for each key.
  public let hashCount: Int
  private let memory: FilterMemory
  private let blocks: UInt64

  /// An empty filter for about `expectedItems` distinct keys, hashed with `seed`.
  /// - Throws: `.invalidParameters` for no items or `bitsPerKey` outside 1...100; `.tooLarge`, before memory is taken.
  public init(expectedItems: Int, bitsPerKey: Double, seed: UInt64 = 0, maxBytes: UInt64 = 4 << 30) throws(FilterError) {
    blocks = try BlockGeometry.blocks(items: expectedItems, bitsPerKey: bitsPerKey, maxBytes: maxBytes)
    memory = try FilterMemory(zeroed: blocks * 64, limit: maxBytes)
    hashCount = BlockGeometry.hashCount(bitsPerKey: bitsPerKey)
    self.seed = seed
  }

  /// The eight words of the block of a hash. Zero bytes are what an atomic zero is stored as.
  @inline(__always)
  private func block(_ hash: UInt64) -> UnsafeMutablePointer<Atomic<UInt64>> {
    (memory.base + strata_block_offset(hash, blocks)).assumingMemoryBound(to: Atomic<UInt64>.self)
  }

  /// Adds the key of this hash. Gives whether any bit was new: `false` says that the key was perhaps there before. Safe from any thread.
  @discardableResult
  public func add(hash: UInt64) -> Bool {
    let words = block(hash)
    var half = UInt32(truncatingIfNeeded: hash)
    var isNew = false
    for _ in 0..<hashCount {
      let bit = ((1 as UInt64) &<< UInt64(half >> 23 & 63)).littleEndian
      let word = words + Int(half >> 29)
      // Read first: a line that already has the bit stays shared among the processors.
      if word.pointee.load(ordering: .relaxed) & bit == 0 {
        isNew = word.pointee.bitwiseOr(bit, ordering: .relaxed).oldValue & bit == 0 || isNew
      }
      half = half &* STRATA_BLOCK_STEP
    }
    return isNew
  }

  public func mayContain(hash: UInt64) -> Bool {
    let words = block(hash)
    var half = UInt32(truncatingIfNeeded: hash)
    for _ in 0..<hashCount {
      let bit = ((1 as UInt64) &<< UInt64(half >> 23 & 63)).littleEndian
      if words[Int(half >> 29)].load(ordering: .relaxed) & bit == 0 { return false }
      half = half &* STRATA_BLOCK_STEP
    }
    return true
  }

  /// A copy as it is at some moment of the call: every key added before the call is in. `insertions` is what the caller counted. O(bits).
  public func snapshot(insertions: UInt64 = 0) throws(FilterError) -> BlockedBloomFilter {
    let copy = try FilterMemory(zeroed: blocks * 64, limit: .max)
    for place in 0..<Int(blocks) * 8 {
      let word = memory.base.assumingMemoryBound(to: Atomic<UInt64>.self)[place].load(ordering: .relaxed)
      copy.base.storeBytes(of: word, toByteOffset: place * 8, as: UInt64.self)
    }
    var filter = BlockedBloomFilter(copy, hashCount: hashCount, seed: seed)
    filter.inserted = insertions
    return filter
  }

  /// The number of bits.
  public var bitCount: UInt64 { blocks * 512 }
  /// How many distinct keys are in, by the bits they set. O(bits).
  public var estimatedCount: Double {
    var set: UInt64 = 0
    for place in 0..<Int(blocks) * 8 {
      set += UInt64(memory.base.assumingMemoryBound(to: Atomic<UInt64>.self)[place].load(ordering: .relaxed).nonzeroBitCount)
    }
    guard set < bitCount else { return .infinity }
    return set == 0 ? 0 : -Double(bitCount) / Double(hashCount) * Elementary.ln(1 - Double(set) / Double(bitCount))
  }
  /// How often an absent key is answered with "perhaps" once `items` distinct keys are in.
  public func expectedFalsePositiveRate(at items: Int) -> Double {
    BlockGeometry.expectedRate(items: Double(items), blocks: Double(blocks), hashes: hashCount)
  }
  /// Bytes of memory the bits take.
  public var memoryBytes: Int { memory.byteCount }
}
