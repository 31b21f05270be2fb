public import StrataBytes

/// Computes the root of a growing sequence in O(log n) memory: a compact range.
///
/// It holds one digest for each complete subtree of what came so far, at most 63, and those of the last few leaves, which it joins
/// several at a time. Gives exactly the roots ``MerkleTree`` gives, but no proofs. A value; a copy goes on from the same leaves.
public struct MerkleTreeBuilder<H: MerkleHasher>: Sendable {
  /// How many leaves came.
  public var leafCount: Int { settled + waiting.count }

  /// How many leaves are below `peaks`.
  private var settled = 0
  /// The digests of their complete subtrees, the largest first: one for each bit of `settled`.
  private var peaks: [Digest] = []
  /// The leaves after those.
  private var waiting: [Digest] = []

  /// Leaves wait until this level's subtree is complete: enough for a hasher that takes two nodes at a time, few enough for the cache.
  private static var waitingLevel: Int { 4 }

  /// Without leaves, under a hasher of the caller's choice.
  public init(hasher: H.Type) {}

  /// How many bytes of memory the builder takes.
  public var memoryBytes: Int { MemoryLayout<Self>.size + (peaks.capacity + waiting.capacity) * Digest.byteCount }

  /// The digests of the complete subtrees from the left, the largest first: what another builder needs to go on from here.
  public var compactRange: [Digest] {
    var settled = self
    settled.settle()
    return settled.peaks
  }

  /// Goes on from a ``compactRange`` of `leafCount` leaves.
  /// - Throws: `.invalidSize` for a negative count, `.malformedProof` unless there is one digest for each bit of the count.
  public init(leafCount: Int, compactRange: [Digest], hasher: H.Type) throws(MerkleError) {
    guard leafCount >= 0 else { throw .invalidSize(size: leafCount, limit: .max) }
    guard compactRange.count == leafCount.nonzeroBitCount else {
      throw .malformedProof(expected: leafCount.nonzeroBitCount, got: compactRange.count)
    }
    settled = leafCount
    peaks = compactRange
  }

  /// Takes a block as the next leaf. O(1) amortised: two hashes.
  public mutating func addLeaf(_ block: RawSpan) { addLeaf(hash: H.leaf(block)) }

  /// Takes a block as the next leaf. O(1) amortised: two hashes.
  public mutating func addLeaf(_ block: [UInt8]) { addLeaf(hash: H.leaf(block.span.bytes)) }

  /// Takes the next leaf by its digest. O(1) amortised.
  public mutating func addLeaf(hash: Digest) {
    waiting.append(hash)
    if leafCount & (1 << Self.waitingLevel - 1) == 0 { settle() }
  }

  /// Moves the leaves that wait below `peaks`.
  private mutating func settle() {
    if waiting.count == 1 << Self.waitingLevel {
      addSubtree(Self.subtree(waiting), level: Self.waitingLevel)
    } else {
      for index in waiting.indices { addSubtree(waiting[index], level: 0) }
    }
    waiting.removeAll(keepingCapacity: true)
  }

  /// The root of 2^``waitingLevel`` leaves.
  private static func subtree(_ leaves: [Digest]) -> Digest {
    withUnsafeTemporaryAllocation(of: Digest.self, capacity: leaves.count) { scratch in
      guard let target = scratch.baseAddress else { return H.empty }
      return leaves.withUnsafeBufferPointer { leaves in
        guard let leaves = leaves.baseAddress else { return H.empty }
        H.nodes(leaves, count: 1 << (waitingLevel - 1), into: target)
        return joined(target, 1 << (waitingLevel - 1))
      }
    }
  }

  /// The root of `count` digests, a power of two, behind which there is room for as many.
  private static func joined(_ digests: UnsafeMutablePointer<Digest>, _ count: Int) -> Digest {
    var (digests, count) = (digests, count)
    while count > 1 {
      H.nodes(digests, count: count / 2, into: digests + count)
      digests += count
      count /= 2
    }
    return digests.pointee
  }

  /// Takes adjoining blocks of one length as the next leaves, the fastest way.
  /// - Throws: `.invalidSize` where the bytes are no whole number of blocks; nothing was taken.
  public mutating func addLeaves(_ blocks: RawSpan, blockBytes: Int) throws(MerkleError) {
    guard blockBytes > 0, blocks.byteCount % blockBytes == 0 else { throw .invalidSize(size: blocks.byteCount, limit: blockBytes) }
    settle()
    var done = 0
    let count = blocks.byteCount / blockBytes
    while done < count {
      // The largest complete subtree that may begin here, of at most 256 leaves.
      let alignment = settled == 0 ? 8 : min(8, settled.trailingZeroBitCount)
      let level = min(alignment, Int.bitWidth - 1 - (count - done).leadingZeroBitCount)
      addSubtree(Self.subtree(blocks.extracting(done * blockBytes..<(done + 1 << level) * blockBytes), blockBytes, level), level: level)
      done += 1 << level
    }
  }

  /// The root of 2^`level` blocks, computed in scratch memory.
  private static func subtree(_ blocks: RawSpan, _ blockBytes: Int, _ level: Int) -> Digest {
    withUnsafeTemporaryAllocation(of: Digest.self, capacity: 2 << level) { scratch in
      guard let digests = scratch.baseAddress else { return H.empty }
      H.leaves(blocks, blockBytes: blockBytes, count: 1 << level, into: digests)
      return joined(digests, 1 << level)
    }
  }

  /// Takes the next 2^`level` leaves as the digest of their subtree; the number of settled ones is a multiple of theirs.
  private mutating func addSubtree(_ digest: Digest, level: Int) {
    var digest = digest
    // Each one bit from here up is a subtree on the left that this one completes.
    for _ in 0..<(~(settled >> level)).trailingZeroBitCount { digest = H.node(peaks.removeLast(), digest) }
    peaks.append(digest)
    settled += 1 << level
  }

  /// The root of all leaves so far. O(log n) hashes; the builder can go on.
  public func root() -> Digest {
    let peaks = compactRange
    guard var root = peaks.last else { return H.empty }
    for peak in peaks.dropLast().reversed() { root = H.node(peak, root) }
    return root
  }
}

extension MerkleTreeBuilder where H == SHA256MerkleHasher {
  /// Without leaves, under SHA-256.
  public init() { self.init(hasher: H.self) }
}
