import StrataBytes

/// The keys in which two replicas differ, each list in ascending order.
public struct KeyDiff: Sendable, Hashable {
  /// Keys the other side does not have.
  public var onlyHere: [[UInt8]] = []
  /// Keys only the other side has.
  public var onlyThere: [[UInt8]] = []
  /// Keys both have with different contents.
  public var differing: [[UInt8]] = []

  /// None.
  public init() {}

  /// Whether there is no difference.
  public var isEmpty: Bool { onlyHere.isEmpty && onlyThere.isEmpty && differing.isEmpty }

  /// How many keys differ.
  public var count: Int { onlyHere.count + onlyThere.count + differing.count }
}

extension KeyRangeMerkleTree {
  /// The keys of `range` in which two trees differ. Pure; O(d log n) for d differences, whatever the sizes.
  public func diffKeys(_ other: KeyRangeMerkleTree, in range: KeyRange = .all) -> KeyDiff {
    var found = KeyDiff()
    guard !range.isEmpty else { return found }
    // The ranges still to look at, the first on top.
    var pending = [range]
    while let range = pending.popLast() {
      let (mine, theirs) = (sum(range), other.sum(range))
      if mine == theirs { continue }
      if min(mine.count, theirs.count) <= 16 {
        merge(items(in: range), other.items(in: range), into: &found)
      } else {
        // The side with more keys knows better where to cut.
        let parts = mine.count >= theirs.count ? split(range, into: 16) : other.split(range, into: 16)
        for part in parts.reversed() { pending.append(part.range) }
      }
    }
    return found
  }

  private func merge(_ mine: KeyTreeCursor, _ theirs: KeyTreeCursor, into found: inout KeyDiff) {
    var (mine, theirs) = (mine, theirs)
    var (a, b) = (mine.next(), theirs.next())
    while a != nil || b != nil {
      if let here = a, b.map({ isLess(here.key, $0.key) }) ?? true {
        found.onlyHere.append(here.key)
        a = mine.next()
      } else if let there = b, a.map({ isLess(there.key, $0.key) }) ?? true {
        found.onlyThere.append(there.key)
        b = theirs.next()
      } else if let here = a, let there = b {
        if here.hash != there.hash { found.differing.append(here.key) }
        a = mine.next()
        b = theirs.next()
      }
    }
  }
}

// MARK: Proofs

/// The keys of a tree as they were at one moment, as the leaves of a proof tree.
///
/// Leaf i is the item hash of the key of rank i. Whoever has the root can check that a key had certain contents, or that two keys were
/// neighbours and nothing was between them.
public struct FrozenKeyTree: Sendable {
  private let keys: KeyRangeMerkleTree
  private let proofs: MerkleTree<SHA256MerkleHasher>

  init(_ keys: KeyRangeMerkleTree) {
    self.keys = keys
    var hashes = ContiguousArray<Digest>()
    hashes.reserveCapacity(keys.count)
    var cursor = keys.items(in: .all)
    while let item = cursor.next() { hashes.append(Self.leafHash(itemHash: item.hash)) }
    proofs = MerkleTree(leafHashes: hashes, hasher: SHA256MerkleHasher.self)
  }

  /// The root of all keys in order.
  public var root: Digest { proofs.root }

  /// How many keys there are.
  public var count: Int { proofs.leafCount }

  /// The digest of a key's leaf, which ``MerkleVerifier`` wants, from the item's hash
  /// (``KeyRangeMerkleTree/itemHash(_:version:valueDigest:tombstone:)``).
  public static func leafHash(itemHash: Digest) -> Digest { SHA256MerkleHasher.leaf(itemHash.bytes.span.bytes) }

  /// The proof that `key` is in the tree, at its rank. O(log n).
  /// - Throws: `.keyNotFound`.
  public func proof(forKey key: [UInt8]) throws(MerkleError) -> InclusionProof {
    guard keys.itemHash(key) != nil else { throw .keyNotFound(key) }
    return try proofs.inclusionProof(keys.sum(below: key).count)
  }
}

extension KeyRangeMerkleTree {
  /// The keys as they are, with proofs for each. O(n) time, 64 bytes for each key; keep it for as many proofs as are wanted of this moment.
  public func frozen() -> FrozenKeyTree { FrozenKeyTree(self) }

  /// The proof that `key` is in the tree as it is, against the root of ``frozen()``. O(n); for more than one, freeze once.
  /// - Throws: `.keyNotFound`.
  public func proof(forKey key: [UInt8]) throws(MerkleError) -> InclusionProof {
    guard itemHash(key) != nil else { throw .keyNotFound(key) }
    return try frozen().proof(forKey: key)
  }
}
