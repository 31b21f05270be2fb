public import StrataBytes

/// A tree of digests over a sequence of blocks: evidence that a block is at its place, and that a sequence only grew.
///
/// The tree of RFC 9162 section 2.1: a sequence splits at the largest power of two below its length, without padding, so that every
/// change of any block, of their order or of their number changes the root. Blocks are taken as they come and not kept; the digests take
/// 64 bytes per leaf, plus an eighth where leaves came one by one.
///
/// A value: a copy is a snapshot, safe to read on another thread. Memory is shared until one of both is changed.
///
/// The memory holds, per level, the digests of the complete subtrees: level k has one for each 2^k leaves. What else a root or a proof
/// needs is at most one incomplete subtree, computed from O(log n) of these.
public struct MerkleTree<H: MerkleHasher>: Sendable {
  /// `levels[k][i]` is the digest of the leaves from `i << k`, 2^k of them. There are as many levels as the leaf count has bits.
  var levels: [ContiguousArray<Digest>] = []

  /// Without leaves, under a hasher of the caller's choice.
  public init(hasher: H.Type) {}

  /// How many leaves there are.
  public var leafCount: Int { levels.first?.count ?? 0 }

  /// The number of steps from the root to its farthest leaf: ⌈log₂ n⌉, 0 for no leaf and for one.
  public var height: Int { merkleHeight(leafCount) }

  /// The root of all leaves; that of no leaf is the hash of nothing. O(log n) hashes.
  public var root: Digest { peakRoot(of: leafCount, from: 0) ?? H.empty }

  /// How many bytes of memory the digests take.
  public var memoryBytes: Int { levels.reduce(0) { $0 + $1.capacity * Digest.byteCount } }

  /// The root the tree had when it had `size` leaves. O(log n) hashes.
  /// - Throws: `.invalidSize` unless 0 ≤ `size` ≤ ``leafCount``.
  public func root(at size: Int) throws(MerkleError) -> Digest {
    guard size >= 0, size <= leafCount else { throw .invalidSize(size: size, limit: leafCount) }
    return peakRoot(of: size, from: 0) ?? H.empty
  }

  /// The digest of a leaf. O(1).
  /// - Throws: `.indexOutOfRange`.
  public func leafHash(_ index: Int) throws(MerkleError) -> Digest {
    guard index >= 0, index < leafCount else { throw .indexOutOfRange(index: index, size: leafCount) }
    return levels[0][index]
  }

  /// The root of the leaves from `start` to `size`, or nil where there are none. `start` is a multiple of a power of two that is at least
  /// their number, or 0.
  func peakRoot(of size: Int, from start: Int) -> Digest? {
    // The complete subtrees from the right: one for each bit of the number of leaves.
    var rest = size - start
    var root: Digest?
    while rest != 0 {
      let level = rest.trailingZeroBitCount
      let peak = levels[level][(size >> level) - 1]
      root = root.map { H.node(peak, $0) } ?? peak
      rest &= rest - 1
    }
    return root
  }
}

/// The height of a tree of `leafCount` leaves.
func merkleHeight(_ leafCount: Int) -> Int { leafCount <= 1 ? 0 : Int.bitWidth - (leafCount - 1).leadingZeroBitCount }

extension MerkleTree where H == SHA256MerkleHasher {
  /// Without leaves, under SHA-256.
  public init() { self.init(hasher: H.self) }

  /// Over these blocks, under SHA-256.
  public init(blocks: some Sequence<[UInt8]>) { self.init(blocks: blocks, hasher: H.self) }

  /// Over adjoining blocks of one length, under SHA-256; see ``append(blocks:blockBytes:)``.
  /// - Throws: `.invalidSize` where the bytes are no whole number of blocks.
  public init(blocks: RawSpan, blockBytes: Int) throws(MerkleError) {
    self.init()
    try append(blocks: blocks, blockBytes: blockBytes)
  }
}

// MARK: Growing and changing

extension MerkleTree {
  /// Over these blocks. O(n).
  public init(blocks: some Sequence<[UInt8]>, hasher: H.Type) {
    reserve(blocks.underestimatedCount)
    for block in blocks { append(block) }
  }

  /// Over leaves whose digests are known. O(n). They are taken as leaf digests of this tree's hasher.
  public init(leafHashes: ContiguousArray<Digest>, hasher: H.Type) {
    guard !leafHashes.isEmpty else { return }
    levels = [leafHashes]
    completeLevels()
  }

  /// Appends a block; returns its index. O(1) amortised: two hashes.
  @discardableResult
  public mutating func append(_ block: RawSpan) -> Int { append(leafHash: H.leaf(block)) }

  /// Appends a block; returns its index. O(1) amortised: two hashes.
  @discardableResult
  public mutating func append(_ block: [UInt8]) -> Int { append(leafHash: H.leaf(block.span.bytes)) }

  /// Appends a leaf whose digest is known; returns its index. O(1) amortised.
  @discardableResult
  public mutating func append(leafHash: Digest) -> Int {
    let leaf = leafCount
    var index = leaf
    var level = 0
    var digest = leafHash
    while true {
      if level == levels.count { levels.append([]) }
      Self.append(digest, to: &levels[level])
      guard index & 1 == 1 else { return leaf }
      digest = H.node(levels[level][index - 1], digest)
      index >>= 1
      level += 1
    }
  }

  /// Grows by an eighth rather than by doubling: digests are most of what a log keeps in memory.
  private static func append(_ digest: Digest, to level: inout ContiguousArray<Digest>) {
    if level.count == level.capacity { level.reserveCapacity(level.count + max(8, level.count / 8)) }
    level.append(digest)
  }

  /// Appends adjoining blocks of one length, the fastest way: the hasher takes several at a time.
  /// - Throws: `.invalidSize` where the bytes are no whole number of blocks; nothing was appended.
  public mutating func append(blocks: RawSpan, blockBytes: Int) throws(MerkleError) {
    guard blockBytes > 0, blocks.byteCount % blockBytes == 0 else { throw .invalidSize(size: blocks.byteCount, limit: blockBytes) }
    let count = blocks.byteCount / blockBytes
    guard count > 0 else { return }
    reserve(leafCount + count)
    if levels.isEmpty { levels.append([]) }
    // A piece at a time, so that the digests of one level are still in the cache when the next is made of them.
    var done = 0
    while done < count {
      let piece = min(1024, count - done)
      let bytes = blocks.extracting(done * blockBytes..<(done + piece) * blockBytes)
      let old = levels[0].count
      levels[0].append(contentsOf: repeatElement(.zero, count: piece))
      levels[0].withUnsafeMutableBufferPointer { level in
        if let start = level.baseAddress { H.leaves(bytes, blockBytes: blockBytes, count: piece, into: start + old) }
      }
      completeLevels()
      done += piece
    }
  }

  /// Makes room for `leafCount` leaves in all.
  public mutating func reserve(_ leafCount: Int) {
    guard leafCount > self.leafCount else { return }
    for level in 0..<Int.bitWidth - leafCount.leadingZeroBitCount {
      if level == levels.count { levels.append([]) }
      levels[level].reserveCapacity(leafCount >> level)
    }
  }

  /// Adds to each level the digests of the pairs that the level below has become complete in.
  mutating func completeLevels() {
    var level = 0
    while levels[level].count > 1 {
      if level + 1 == levels.count { levels.append([]) }
      var parents: ContiguousArray<Digest> = []
      swap(&parents, &levels[level + 1])
      let old = parents.count
      let new = levels[level].count / 2 - old
      if new > 0 {
        parents.append(contentsOf: repeatElement(.zero, count: new))
        levels[level].withUnsafeBufferPointer { children in
          parents.withUnsafeMutableBufferPointer { parents in
            if let children = children.baseAddress, let parents = parents.baseAddress {
              H.nodes(children + 2 * old, count: new, into: parents + old)
            }
          }
        }
      }
      swap(&parents, &levels[level + 1])
      level += 1
    }
  }

  /// Puts another block in the place of leaf `index`. O(log n) hashes; the tree is then the one built of the changed blocks.
  /// - Throws: `.indexOutOfRange`.
  public mutating func update(_ index: Int, _ block: [UInt8]) throws(MerkleError) { try update(index, block.span.bytes) }

  /// Puts another block in the place of leaf `index`. O(log n) hashes; the tree is then the one built of the changed blocks.
  /// - Throws: `.indexOutOfRange`.
  public mutating func update(_ index: Int, _ block: RawSpan) throws(MerkleError) {
    guard index >= 0, index < leafCount else { throw .indexOutOfRange(index: index, size: leafCount) }
    levels[0][index] = H.leaf(block)
    var index = index >> 1
    var level = 1
    while level < levels.count, index < levels[level].count {
      levels[level][index] = H.node(levels[level - 1][2 * index], levels[level - 1][2 * index + 1])
      index >>= 1
      level += 1
    }
  }
}
