import StrataBytes
import StrataNodes
import StrataRequirements
import Testing

@testable import StrataMerkleTree

private func passes(_ body: () throws(MerkleError) -> Void) -> Bool {
  do {
    try body()
    return true
  } catch { return false }
}

@Suite struct InclusionProofTests {
  private let leaves = someBlocks(64).map(NaiveTree.leaf)
  private let tree = MerkleTree(blocks: someBlocks(64))

  @Test(.requirement("MerkleTree.keep.4")) func everyProofIsTheDefinitionAndVerifies() throws {
    for size in 1...64 {
      let root = try tree.root(at: size)
      let snapshot = MerkleTree(blocks: someBlocks(size))
      for index in 0..<size {
        let proof = try tree.inclusionProof(index, size: size)
        #expect(proof.path == NaiveTree.path(index, leaves[..<size]), "\(index) of \(size)")
        #expect(proof.path.count <= merkleHeight(size) && proof.size == size && proof.index == index)
        #expect(try snapshot.inclusionProof(index) == proof)
        try MerkleVerifier.inclusion(leafHash: leaves[index], proof: proof, root: root)
      }
    }
  }

  /// Every step away from a proof, its index, its leaf and its root.
  @Test(.requirement("MerkleTree.never.4", "MerkleTree.never.5")) func everyMutationIsRejected() throws {
    var random = Random(seed: 1)
    for size in 1...64 {
      let root = try tree.root(at: size)
      for index in 0..<size {
        let proof = try tree.inclusionProof(index, size: size)
        func verifies(_ path: [Digest], index: Int = index, leaf: Digest? = nil, root: Digest = root) -> Bool {
          passes { () throws(MerkleError) in
            try MerkleVerifier.inclusion(leafHash: leaf ?? leaves[index], index: index, size: size, path: path, root: root)
          }
        }
        #expect(verifies(proof.path))
        for path in mutations(of: proof.path, &random) { #expect(!verifies(path), "\(index) of \(size)") }
        #expect(!verifies(proof.path, leaf: flipped(leaves[index], random.below(256))))
        #expect(!verifies(proof.path, leaf: root) || size == 1)
        #expect(!verifies(proof.path, root: flipped(root, random.below(256))))
        #expect(!verifies(proof.path, root: .zero))
      }
    }
  }

  /// A proof for another index or size verifies only where the definition says that it is the same climb.
  @Test(.requirement("MerkleTree.never.5")) func anotherIndexOrSizeIsRejected() throws {
    for size in 1...64 {
      let root = try tree.root(at: size)
      for index in 0..<size {
        let path = try tree.inclusionProof(index, size: size).path
        for other in -1...size + 1 where other != index {
          #expect(
            !passes { () throws(MerkleError) in
              try MerkleVerifier.inclusion(leafHash: leaves[index], index: other, size: size, path: path, root: root)
            }, "\(index) of \(size) as \(other)")
        }
        for other in [-1, 0, 1, size - 1, size + 1, size / 2, 2 * size, 2 * size + 1, Int.max] where other != size {
          let verifies = passes { () throws(MerkleError) in
            try MerkleVerifier.inclusion(leafHash: leaves[index], index: index, size: other, path: path, root: root)
          }
          #expect(verifies == NaiveTree.includes(leaves[index], index, other, path, root), "\(index) of \(size) as of \(other)")
          if other == size / 2 || other == 2 * size { #expect(!verifies, "\(index) of \(size) as of \(other)") }
        }
      }
    }
  }

  /// A proof is for the size it names: a root of another size, later or earlier, refuses it.
  @Test(.requirement("MerkleTree.keep.4", "MerkleTree.never.4")) func aProofIsASnapshot() throws {
    for size in 1...64 {
      let proof = try tree.inclusionProof(size / 2, size: size)
      for other in 1...64 where other != size {
        #expect(throws: MerkleError.self) {
          try MerkleVerifier.inclusion(leafHash: leaves[size / 2], proof: proof, root: try tree.root(at: other))
        }
      }
    }
  }

  /// A proof made up from nothing leads to a root of its own, which is not the caller's.
  @Test(.requirement("MerkleTree.never.4")) func aForgedProofFails() throws {
    let forged = MerkleTree(blocks: (0..<8).map { [UInt8($0), 99] })
    let proof = try forged.inclusionProof(3)
    try MerkleVerifier.inclusion(leafHash: try forged.leafHash(3), proof: proof, root: forged.root)
    #expect(throws: MerkleError.rootMismatch(computed: forged.root)) {
      try MerkleVerifier.inclusion(leafHash: try forged.leafHash(3), proof: proof, root: try tree.root(at: 8))
    }
    var foreign = proof
    foreign.hasher = 2
    #expect(throws: MerkleError.incompatible(field: "hasher", mine: "1", theirs: "2")) {
      try MerkleVerifier.inclusion(leafHash: try forged.leafHash(3), proof: foreign, root: forged.root)
    }
  }

  @Test(.requirement("MerkleTree.keep.4")) func whatCannotBeProvenIsRefused() {
    #expect(throws: MerkleError.invalidSize(size: 0, limit: 0)) { try MerkleTree().inclusionProof(0) }
    #expect(throws: MerkleError.invalidSize(size: 0, limit: 64)) { try tree.inclusionProof(0, size: 0) }
    #expect(throws: MerkleError.invalidSize(size: 65, limit: 64)) { try tree.inclusionProof(0, size: 65) }
    #expect(throws: MerkleError.indexOutOfRange(index: 5, size: 5)) { try tree.inclusionProof(5, size: 5) }
    #expect(throws: MerkleError.indexOutOfRange(index: -1, size: 64)) { try tree.inclusionProof(-1) }
    #expect(throws: MerkleError.invalidSize(size: 0, limit: .max)) {
      try MerkleVerifier.inclusion(leafHash: .zero, index: 0, size: 0, path: [], root: .zero)
    }
    for count in [0, 1, 3, 64, 1000] {
      #expect(throws: MerkleError.malformedProof(expected: 2, got: count)) {
        try MerkleVerifier.inclusion(leafHash: .zero, index: 0, size: 3, path: [Digest](repeating: .zero, count: count), root: .zero)
      }
      #expect(throws: MerkleError.malformedProof(expected: 2, got: count)) {
        try MerkleVerifier.consistency(size1: 2, root1: .zero, size2: 7, root2: .zero, path: [Digest](repeating: .zero, count: count))
      }
    }
  }
}

@Suite struct ConsistencyProofTests {
  private let leaves = someBlocks(64).map(NaiveTree.leaf)
  private let tree = MerkleTree(blocks: someBlocks(64))

  @Test(.requirement("MerkleTree.keep.4")) func everyProofIsTheDefinitionAndVerifies() throws {
    for newer in 1...64 {
      for older in 1...newer {
        let proof = try tree.consistencyProof(from: older, to: newer)
        #expect(proof.path == NaiveTree.proof(older, leaves[..<newer]), "\(older) to \(newer)")
        try MerkleVerifier.consistency(root1: try tree.root(at: older), root2: try tree.root(at: newer), proof: proof)
      }
    }
  }

  @Test(.requirement("MerkleTree.never.4", "MerkleTree.never.5")) func everyMutationIsRejected() throws {
    var random = Random(seed: 2)
    for newer in 1...64 {
      for older in 1...newer {
        let path = try tree.consistencyProof(from: older, to: newer).path
        let (root1, root2) = (try tree.root(at: older), try tree.root(at: newer))
        func verifies(_ size1: Int, _ root1: Digest, _ size2: Int, _ root2: Digest, _ path: [Digest]) -> Bool {
          passes { () throws(MerkleError) in
            try MerkleVerifier.consistency(size1: size1, root1: root1, size2: size2, root2: root2, path: path)
          }
        }
        #expect(verifies(older, root1, newer, root2, path))
        for path in mutations(of: path, &random) { #expect(!verifies(older, root1, newer, root2, path), "\(older) to \(newer)") }
        #expect(!verifies(older, flipped(root1, random.below(256)), newer, root2, path))
        #expect(!verifies(older, root1, newer, flipped(root2, random.below(256)), path))
        #expect(!verifies(older, root2, newer, root1, path) || older == newer)
        for (size1, size2) in [(older - 1, newer), (older + 1, newer), (older, newer - 1), (older, newer + 1), (newer, older), (older, Int.max)]
        where (size1, size2) != (older, newer) {
          let expected = NaiveTree.isConsistent(size1, root1, size2, root2, path)
          #expect(verifies(size1, root1, size2, root2, path) == expected, "\(older) to \(newer) as \(size1) to \(size2)")
        }
      }
    }
  }

  @Test(.requirement("MerkleTree.keep.4")) func edgesOfSizes() throws {
    let root = tree.root
    try MerkleVerifier.consistency(size1: 9, root1: root, size2: 9, root2: root, path: [])
    #expect(throws: MerkleError.rootMismatch(computed: root)) {
      try MerkleVerifier.consistency(size1: 9, root1: root, size2: 9, root2: .zero, path: [])
    }
    #expect(throws: MerkleError.malformedProof(expected: 0, got: 1)) {
      try MerkleVerifier.consistency(size1: 9, root1: root, size2: 9, root2: root, path: [root])
    }
    #expect(throws: MerkleError.invalidSize(size: 0, limit: 9)) {
      try MerkleVerifier.consistency(size1: 0, root1: root, size2: 9, root2: root, path: [])
    }
    #expect(throws: MerkleError.invalidSize(size: 10, limit: 9)) {
      try MerkleVerifier.consistency(size1: 10, root1: root, size2: 9, root2: root, path: [])
    }
    #expect(throws: MerkleError.invalidSize(size: 0, limit: 9)) { try tree.consistencyProof(from: 0, to: 9) }
    #expect(throws: MerkleError.invalidSize(size: 10, limit: 9)) { try tree.consistencyProof(from: 10, to: 9) }
    #expect(throws: MerkleError.invalidSize(size: 65, limit: 64)) { try tree.consistencyProof(from: 1, to: 65) }
    #expect(try tree.consistencyProof(from: 9, to: 9).path.isEmpty)
  }

  /// A log that rewrote its past has no proof: none of another history's proofs leads from the old root to the new one.
  @Test(.requirement("MerkleTree.never.4")) func aRewrittenLogHasNoProof() throws {
    var rewritten = MerkleTree(blocks: someBlocks(64))
    try rewritten.update(3, [1, 2, 3])
    for older in 4...63 {
      let proof = try rewritten.consistencyProof(from: older, to: 64)
      #expect(throws: MerkleError.self) {
        try MerkleVerifier.consistency(root1: try tree.root(at: older), root2: rewritten.root, proof: proof)
      }
    }
  }
}

/// Every path one step away: bits flipped, digests dropped, doubled, swapped, replaced, garbage before and after.
private func mutations(of path: [Digest], _ random: inout Random) -> [[Digest]] {
  let garbage = Digest(random.bytes(32)) ?? .zero
  var found = [path + [garbage], [garbage] + path, path + path + [garbage], [Digest](repeating: garbage, count: 64)]
  for index in path.indices {
    var changed = path
    changed[index] = flipped(path[index], random.below(256))
    found.append(changed)
    changed = path
    changed.remove(at: index)
    found.append(changed)
    changed = path
    changed.insert(path[index], at: index)
    found.append(changed)
    found.append(Array(path[..<index]))
    if index > 0 {
      changed = path
      changed.swapAt(index, index - 1)
      found.append(changed)
    }
  }
  return found
}
