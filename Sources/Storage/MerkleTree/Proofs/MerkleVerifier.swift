public import StrataBytes

/// Checks proofs without a tree: pure functions of a proof and of a root the caller trusts.
///
/// Nothing here says where a root came from; a root out of the same hands as the proof proves nothing. On which side each digest of a path
/// stands follows from index and size alone. At most one hash per digest for inclusion and two for consistency. Whatever the arguments,
/// nothing traps.
public enum MerkleVerifier {
  /// Checks that the leaf with the digest `leafHash` is leaf `index` of the tree of `size` leaves with the root `root`.
  /// - Throws: `.invalidSize` unless `size` is positive, `.indexOutOfRange`, `.malformedProof` for a path of another length than index and
  ///   size ask for, `.rootMismatch`.
  public static func inclusion<H: MerkleHasher>(
    leafHash: Digest, index: Int, size: Int, path: [Digest], root: Digest, hasher: H.Type = SHA256MerkleHasher.self
  ) throws(MerkleError) {
    guard size > 0 else { throw .invalidSize(size: size, limit: .max) }
    guard index >= 0, index < size else { throw .indexOutOfRange(index: index, size: size) }
    let (inner, border) = proofShape(index, size: size)
    guard path.count == inner + border else { throw .malformedProof(expected: inner + border, got: path.count) }
    let middle = chain(leafHash, path[..<inner], along: index, onlyLeft: false, hasher)
    let computed = chainLeft(middle, path[inner...], hasher)
    guard computed == root else { throw .rootMismatch(computed: computed) }
  }

  /// Checks a proof against the root of a tree of the proof's own size.
  /// - Throws: `.incompatible` for a proof of another hasher; as ``inclusion(leafHash:index:size:path:root:hasher:)``.
  public static func inclusion<H: MerkleHasher>(
    leafHash: Digest, proof: InclusionProof, root: Digest, hasher: H.Type = SHA256MerkleHasher.self
  ) throws(MerkleError) {
    try demand(proof.hasher, hasher)
    try inclusion(leafHash: leafHash, index: proof.index, size: proof.size, path: proof.path, root: root, hasher: hasher)
  }

  /// Checks that the tree of `size2` leaves with `root2` begins with the tree of `size1` leaves with `root1`.
  /// - Throws: `.invalidSize` unless 1 ≤ `size1` ≤ `size2`, `.malformedProof`, `.rootMismatch` with the root that came out in place of
  ///   the one that did not match, the older first.
  public static func consistency<H: MerkleHasher>(
    size1: Int, root1: Digest, size2: Int, root2: Digest, path: [Digest], hasher: H.Type = SHA256MerkleHasher.self
  ) throws(MerkleError) {
    guard size1 > 0, size1 <= size2 else { throw .invalidSize(size: size1, limit: size2) }
    if size1 == size2 {
      guard path.isEmpty else { throw .malformedProof(expected: 0, got: path.count) }
      guard root1 == root2 else { throw .rootMismatch(computed: root1) }
      return
    }
    // The way from the older tree's last complete subtree to the newer root. Where the older tree is that subtree, its root begins it.
    let level = size1.trailingZeroBitCount
    let (innerFromLeaf, border) = proofShape(size1 - 1, size: size2)
    let inner = innerFromLeaf - level
    let isComplete = size1 == 1 << level
    let expected = (isComplete ? 0 : 1) + inner + border
    guard path.count == expected else { throw .malformedProof(expected: expected, got: path.count) }
    let seed = isComplete ? root1 : path[0]
    let siblings = isComplete ? path[...] : path[1...]
    let node = (size1 - 1) >> level
    let (lower, upper) = (siblings.prefix(inner), siblings.dropFirst(inner))
    // The older tree lacks what is on the right of the way.
    let older = chainLeft(chain(seed, lower, along: node, onlyLeft: true, hasher), upper, hasher)
    guard older == root1 else { throw .rootMismatch(computed: older) }
    let newer = chainLeft(chain(seed, lower, along: node, onlyLeft: false, hasher), upper, hasher)
    guard newer == root2 else { throw .rootMismatch(computed: newer) }
  }

  /// Checks a proof against the roots of trees of the proof's own sizes.
  /// - Throws: `.incompatible` for a proof of another hasher; as ``consistency(size1:root1:size2:root2:path:hasher:)``.
  public static func consistency<H: MerkleHasher>(
    root1: Digest, root2: Digest, proof: ConsistencyProof, hasher: H.Type = SHA256MerkleHasher.self
  ) throws(MerkleError) {
    try demand(proof.hasher, hasher)
    try consistency(size1: proof.from, root1: root1, size2: proof.to, root2: root2, path: proof.path, hasher: hasher)
  }

  private static func demand<H: MerkleHasher>(_ identifier: UInt8, _ hasher: H.Type) throws(MerkleError) {
    guard identifier == H.identifier else { throw .incompatible(field: "hasher", mine: "\(H.identifier)", theirs: "\(identifier)") }
  }

  /// Climbs with siblings on the sides that the bits of `index` say, or only with those on the left.
  private static func chain<H: MerkleHasher>(
    _ seed: Digest, _ siblings: ArraySlice<Digest>, along index: Int, onlyLeft: Bool, _: H.Type
  ) -> Digest {
    var digest = seed
    var index = index
    for sibling in siblings {
      if index & 1 == 1 {
        digest = H.node(sibling, digest)
      } else if !onlyLeft {
        digest = H.node(digest, sibling)
      }
      index >>= 1
    }
    return digest
  }

  /// Climbs with siblings on the left.
  private static func chainLeft<H: MerkleHasher>(_ seed: Digest, _ siblings: ArraySlice<Digest>, _: H.Type) -> Digest {
    siblings.reduce(seed) { H.node($1, $0) }
  }
}
