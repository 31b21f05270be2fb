public import StrataBytes

/// Sums of item hashes in 2^depth buckets by token: finds the parts of the key space in which replicas differ, in memory that does not
/// depend on the number of keys.
///
/// For stores whose keys do not fit into memory beside them. An item is added or taken out in O(1). Where a bucket differs, its keys are read
/// from both stores into a ``KeyRangeMerkleTree`` each and reconciled, so that no more is sent than what differs.
///
/// 41 bytes per bucket. Sums over the inner levels are computed when they are asked for, from blocks of 64 buckets. A value with one owner. As
/// ``RangeSum`` says, not made for adversaries.
public struct BucketMerkleTree: Sendable {
  /// The depths there are.
  public static let depths = 10...20
  /// Buckets whose sum is kept together: a block.
  private static let blockBits = 6
  private static let headerBytes = 16
  /// More items than this no tree was made of.
  private static let itemsLimit: UInt64 = 1 << 48

  /// The number of levels above the buckets.
  public let depth: Int
  private var buckets: ContiguousArray<RangeSum>
  /// The sum of each block, right where the block is not stale.
  private var blocks: ContiguousArray<RangeSum>
  private var isStale: ContiguousArray<Bool>

  /// Empty buckets, 2^`depth` of them.
  ///
  /// - Parameters:
  ///   - depth: one of ``depths``; see ``depth(forKeys:)``.
  ///   - memoryCap: the most bytes the tree may take. A node that keeps many trees divides what it has among them beforehand.
  /// - Throws: `.invalidSize` for another depth, `.tooLarge` where it would not fit, before memory is taken.
  public init(depth: Int, memoryCap: Int = 1 << 26) throws(MerkleError) {
    guard Self.depths.contains(depth) else { throw .invalidSize(size: depth, limit: Self.depths.upperBound) }
    let required = Self.memoryBytes(depth: depth)
    guard required <= memoryCap else { throw .tooLarge(required: required, cap: memoryCap) }
    self.depth = depth
    buckets = ContiguousArray(repeating: RangeSum(), count: 1 << depth)
    blocks = ContiguousArray(repeating: RangeSum(), count: 1 << (depth - Self.blockBits))
    isStale = ContiguousArray(repeating: false, count: blocks.count)
  }

  /// The depth that leaves about 32 keys to a bucket, within ``depths``.
  public static func depth(forKeys keys: Int) -> Int {
    let buckets = max(1, keys / 32)
    return min(max(depths.lowerBound, Int.bitWidth - 1 - buckets.leadingZeroBitCount), depths.upperBound)
  }

  /// How many bytes a tree of this depth takes.
  public static func memoryBytes(depth: Int) -> Int {
    let stride = MemoryLayout<RangeSum>.stride
    return (1 << depth) * stride + (1 << (depth - blockBits)) * (stride + 1)
  }

  /// How many bytes of memory the tree takes.
  public var memoryBytes: Int { Self.memoryBytes(depth: depth) }

  /// How many items are in it.
  public var count: Int { buckets.reduce(0) { $0 + $1.count } }

  /// Where a key goes: the hash that spreads keys over buckets. The same for every replica and for ever.
  public static func token(_ key: [UInt8]) -> UInt64 { xxh64(key.span.bytes) }

  /// The bucket of a key.
  public func bucket(of key: [UInt8]) -> Int { bucket(token: Self.token(key)) }

  /// The bucket of a token: buckets are ranges of tokens, in their order.
  public func bucket(token: UInt64) -> Int { Int(truncatingIfNeeded: token >> UInt64(64 - depth)) }

  // MARK: Changing

  /// Adds the item under `key`, given by its hash (``KeyRangeMerkleTree/itemHash(_:version:valueDigest:tombstone:)``). O(1).
  public mutating func add(key: [UInt8], item: Digest) { change(bucket(of: key)) { $0.add(item) } }

  /// Takes out an item that was added. O(1). One that was not leaves the bucket with a sum that no set of keys has.
  public mutating func remove(key: [UInt8], item: Digest) { change(bucket(of: key)) { $0.remove(item) } }

  /// Puts an item in the place of one that was added. O(1).
  public mutating func replace(key: [UInt8], item: Digest, with new: Digest) {
    change(bucket(of: key)) { sum in
      sum.remove(item)
      sum.add(new)
    }
  }

  private mutating func change(_ bucket: Int, _ body: (inout RangeSum) -> Void) {
    body(&buckets[bucket])
    isStale[bucket >> Self.blockBits] = true
  }

  // MARK: Comparing

  /// The fingerprint of the whole tree.
  public mutating func rootFingerprint() -> Fingerprint { sum(of: 0..<buckets.count).fingerprint }

  /// The fingerprint of node `index` of `level`: level 0 is the root, level `depth` the buckets. Two replicas that walk down where these
  /// differ find the differing buckets with O(d · depth) fingerprints.
  /// - Throws: `.indexOutOfRange`, `.invalidSize` for a level that is not there.
  public mutating func fingerprint(level: Int, index: Int) throws(MerkleError) -> Fingerprint {
    guard level >= 0, level <= depth else { throw .invalidSize(size: level, limit: depth) }
    guard index >= 0, index < 1 << level else { throw .indexOutOfRange(index: index, size: 1 << level) }
    let width = depth - level
    return sum(of: index << width..<(index + 1) << width).fingerprint
  }

  /// The sum of an aligned range of buckets.
  private mutating func sum(of range: Range<Int>) -> RangeSum {
    var sum = RangeSum()
    guard range.count >= 1 << Self.blockBits else {
      for bucket in range { sum += buckets[bucket] }
      return sum
    }
    for block in range.lowerBound >> Self.blockBits..<range.upperBound >> Self.blockBits { sum += blockSum(block) }
    return sum
  }

  private mutating func blockSum(_ block: Int) -> RangeSum {
    if isStale[block] {
      var sum = RangeSum()
      for bucket in block << Self.blockBits..<(block + 1) << Self.blockBits { sum += buckets[bucket] }
      blocks[block] = sum
      isStale[block] = false
    }
    return blocks[block]
  }

  /// The buckets in which two trees differ, ascending. Blocks that are equal are passed over.
  /// - Throws: `.incompatible` for a tree of another depth.
  public mutating func differing(from other: inout BucketMerkleTree) throws(MerkleError) -> [Int] {
    guard depth == other.depth else { throw .incompatible(field: "depth", mine: "\(depth)", theirs: "\(other.depth)") }
    var found: [Int] = []
    for block in blocks.indices where blockSum(block) != other.blockSum(block) {
      for bucket in block << Self.blockBits..<(block + 1) << Self.blockBits where buckets[bucket] != other.buckets[bucket] {
        found.append(bucket)
      }
    }
    return found
  }

  /// The tokens of a bucket: what a store is asked for where the bucket differs.
  public func tokens(of bucket: Int) -> ClosedRange<UInt64> {
    let width = UInt64(64 - depth)
    let first = UInt64(truncatingIfNeeded: bucket) << width
    return first...(first | (1 << width - 1))
  }
}

// MARK: Format

extension BucketMerkleTree {
  /// The tree in bytes, under a checksum; 40 bytes per bucket.
  public func encoded() -> [UInt8] {
    var writer = ByteWriter(capacity: Self.headerBytes + buckets.count * 40 + 4)
    writer.writeMagic("SMBK")
    writer.writeUInt16(merkleFormatVersion)
    writer.writeUInt8(SHA256MerkleHasher.identifier)
    writer.writeUInt8(UInt8(truncatingIfNeeded: depth))
    writer.writeUInt64(0)
    for bucket in buckets {
      writer.writeDigest(bucket.bytes)
      writer.writeUInt64(UInt64(bitPattern: Int64(bucket.count)))
    }
    writer.writeChecksum(since: 0)
    return writer.finish()
  }

  /// Reads what ``encoded()`` gave.
  /// - Throws: `.damaged`, `.incompatible` for another hasher, `.tooLarge` for a tree beyond `memoryCap`, before memory is taken.
  public init(decoding bytes: [UInt8], memoryCap: Int = 1 << 26) throws(MerkleError) {
    var reader = ByteReader(bytes.span.bytes)
    let depth: Int
    let hasher: UInt8
    do throws(DecodeError) {
      try reader.readMagic("SMBK")
      try reader.readFormatVersion()
      hasher = try reader.readUInt8()
      depth = Int(try reader.readUInt8())
      guard Self.depths.contains(depth) else { throw .malformed(at: 7, field: "depth of a bucket tree") }
      guard try reader.readUInt64() == 0 else { throw .malformed(at: 8, field: "reserved bytes of a bucket tree") }
      let required = (1 << depth) * 40 + 4
      guard reader.remaining == required else { throw .truncated(at: reader.offset, need: required, have: reader.remaining) }
    } catch { throw .damaged(error) }
    guard hasher == SHA256MerkleHasher.identifier else {
      throw .incompatible(field: "hasher", mine: "\(SHA256MerkleHasher.identifier)", theirs: "\(hasher)")
    }
    try self.init(depth: depth, memoryCap: memoryCap)
    do throws(DecodeError) {
      var total: UInt64 = 0
      for bucket in buckets.indices {
        let sum = try reader.readDigest()
        let at = reader.offset
        let count = try reader.readUInt64()
        // All counts together are a number of items in memory, and stay one when more are added.
        guard count <= Self.itemsLimit - total else { throw .limitExceeded(at: at, field: "items of a bucket tree", limit: Int(Self.itemsLimit)) }
        total += count
        buckets[bucket] = RangeSum(bytes: sum, count: Int(count))
      }
      try reader.readChecksum(since: 0)
    } catch { throw .damaged(error) }
    for block in isStale.indices { isStale[block] = true }
  }
}
