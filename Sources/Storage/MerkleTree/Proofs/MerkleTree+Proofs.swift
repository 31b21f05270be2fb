import StrataBytes

extension MerkleTree {
  /// The proof that leaf `index` is in the tree of the first `size` leaves (all, where none is given). O(log n).
  ///
  /// A snapshot: it says which size it is for, and proves nothing against the root of another.
  /// - Throws: `.invalidSize` unless 1 ≤ `size` ≤ ``leafCount``, `.indexOutOfRange` unless the leaf is among them.
  public func inclusionProof(_ index: Int, size: Int? = nil) throws(MerkleError) -> InclusionProof {
    let size = size ?? leafCount
    guard size > 0, size <= leafCount else { throw .invalidSize(size: size, limit: leafCount) }
    guard index >= 0, index < size else { throw .indexOutOfRange(index: index, size: size) }
    return InclusionProof(hasher: H.identifier, index: index, size: size, path: path(index, size: size, fromLevel: 0))
  }

  /// The proof that the tree of the first `to` leaves begins with the tree of the first `from`. O(log n). Empty where they are the same.
  /// - Throws: `.invalidSize` unless 1 ≤ `from` ≤ `to` ≤ ``leafCount``.
  public func consistencyProof(from: Int, to: Int) throws(MerkleError) -> ConsistencyProof {
    guard to > 0, to <= leafCount else { throw .invalidSize(size: to, limit: leafCount) }
    guard from > 0, from <= to else { throw .invalidSize(size: from, limit: to) }
    guard from < to else { return ConsistencyProof(hasher: H.identifier, from: from, to: to, path: []) }
    // The older tree's last complete subtree, and the way from there to the newer root. A tree that is one complete subtree needs no
    // digest of it: its root is known to the verifier.
    let level = from.trailingZeroBitCount
    let node = (from >> level) - 1
    let start = from == 1 << level ? [] : [levels[level][node]]
    return ConsistencyProof(hasher: H.identifier, from: from, to: to, path: start + path(from - 1, size: to, fromLevel: level))
  }

  /// The siblings from the subtree at `level` that holds leaf `index` up to the root of the first `size` leaves.
  private func path(_ index: Int, size: Int, fromLevel level: Int) -> [Digest] {
    var path: [Digest] = []
    path.reserveCapacity(merkleHeight(size))
    let (inner, _) = proofShape(index, size: size)
    for level in level..<max(level, inner) {
      let sibling = index >> level ^ 1
      // Only the topmost of these can be incomplete: below it the leaf's own side is a complete subtree.
      if sibling < levels[level].count, (sibling + 1) << level <= size {
        path.append(levels[level][sibling])
      } else if let partial = peakRoot(of: size, from: sibling << level) {
        path.append(partial)
      }
    }
    var rest = index >> inner
    var above = inner
    while rest != 0 {
      if rest & 1 == 1, above >= level { path.append(levels[above][rest - 1]) }
      rest >>= 1
      above += 1
    }
    return path
  }
}

/// The way from leaf `index` of a tree of `size` leaves to the root: first `inner` steps with a sibling on either side, up to where the ways
/// of this leaf and of the last leaf meet; then one step for each of the `border` siblings, all on the left.
func proofShape(_ index: Int, size: Int) -> (inner: Int, border: Int) {
  let inner = Int.bitWidth - (index ^ (size - 1)).leadingZeroBitCount
  return (inner, (index >> inner).nonzeroBitCount)
}
