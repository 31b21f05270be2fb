public import StrataBytes

/// Computes the root of a growing sequence in O(log n) memory: a compact range.
///
/// It holds one digest for each complete subtree of what came so far, at most 63. Gives exactly the roots ``MerkleTree`` gives, but no
/// proofs. A value; a copy goes on from the same leaves.
public struct MerkleTreeBuilder<H: MerkleHasher>: Sendable {
  /// How many leaves came.
  public private(set) var leafCount = 0
  /// The digests of the complete subtrees, the largest first: one for each bit of the leaf count.
  private var peaks: [Digest] = []

  /// Without leaves, under a hasher of the caller's choice.
  public init(hasher: H.Type) {}

  /// How many bytes of memory the builder takes.
  public var memoryBytes: Int { MemoryLayout<Self>.size + peaks.capacity * Digest.byteCount }

  /// The digests of the complete subtrees from the left, the largest first: what another builder needs to go on from here.
  public var compactRange: [Digest] { peaks }

  /// Goes on from a ``compactRange`` of `leafCount` leaves.
  /// - Throws: `.invalidSize` for a negative count, `.malformedProof` unless there is one digest for each bit of the count.
  public init(leafCount: Int, compactRange: [Digest], hasher: H.Type) throws(MerkleError) {
    guard leafCount >= 0 else { throw .invalidSize(size: leafCount, limit: .max) }
    guard compactRange.count == leafCount.nonzeroBitCount else {
      throw .malformedProof(expected: leafCount.nonzeroBitCount, got: compactRange.count)
    }
    self.leafCount = leafCount
    peaks = compactRange
  }

  /// Takes a block as the next leaf. O(1) amortised: two hashes.
  public mutating func addLeaf(_ block: RawSpan) { addLeaf(hash: H.leaf(block)) }

  /// Takes a block as the next leaf. O(1) amortised: two hashes.
  public mutating func addLeaf(_ block: [UInt8]) { addLeaf(hash: H.leaf(block.span.bytes)) }

  /// Takes the next leaf by its digest. O(1) amortised.
  public mutating func addLeaf(hash: Digest) { addSubtree(hash, level: 0) }

  /// Takes adjoining blocks of one length as the next leaves, the fastest way.
  /// - Throws: `.invalidSize` where the bytes are no whole number of blocks; nothing was taken.
  public mutating func addLeaves(_ blocks: RawSpan, blockBytes: Int) throws(MerkleError) {
    guard blockBytes > 0, blocks.byteCount % blockBytes == 0 else { throw .invalidSize(size: blocks.byteCount, limit: blockBytes) }
    var done = 0
    let count = blocks.byteCount / blockBytes
    while done < count {
      // The largest complete subtree that may begin here, of at most 256 leaves.
      let alignment = leafCount == 0 ? 8 : min(8, leafCount.trailingZeroBitCount)
      let level = min(alignment, Int.bitWidth - 1 - (count - done).leadingZeroBitCount)
      addSubtree(Self.subtree(blocks.extracting(done * blockBytes..<(done + 1 << level) * blockBytes), blockBytes, level), level: level)
      done += 1 << level
    }
  }

  /// The root of 2^`level` blocks, computed in scratch memory.
  private static func subtree(_ blocks: RawSpan, _ blockBytes: Int, _ level: Int) -> Digest {
    withUnsafeTemporaryAllocation(of: Digest.self, capacity: 2 << level) { scratch in
      guard var digests = scratch.baseAddress else { return H.empty }
      var count = 1 << level
      H.leaves(blocks, blockBytes: blockBytes, count: count, into: digests)
      while count > 1 {
        H.nodes(digests, count: count / 2, into: digests + count)
        digests += count
        count /= 2
      }
      return digests.pointee
    }
  }

  /// Takes the next 2^`level` leaves as the digest of their subtree; the leaf count is a multiple of their number.
  private mutating func addSubtree(_ digest: Digest, level: Int) {
    var digest = digest
    // Each one bit from here up is a subtree on the left that this one completes.
    for _ in 0..<(~(leafCount >> level)).trailingZeroBitCount { digest = H.node(peaks.removeLast(), digest) }
    peaks.append(digest)
    leafCount += 1 << level
  }

  /// The root of all leaves so far. O(log n) hashes; the builder can go on.
  public func root() -> Digest {
    guard var root = peaks.last else { return H.empty }
    for peak in peaks.dropLast().reversed() { root = H.node(peak, root) }
    return root
  }
}

extension MerkleTreeBuilder where H == SHA256MerkleHasher {
  /// Without leaves, under SHA-256.
  public init() { self.init(hasher: H.self) }
}
