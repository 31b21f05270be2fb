import StrataBytes
import StrataNodes
import StrataRequirements
import Testing

@testable import StrataMerkleTree

@Suite struct MerkleFormatTests {
  @Test(.requirement("MerkleTree.keep.7")) func treesRoundTrip() throws {
    for count in [0, 1, 2, 3, 5, 8, 100, 1025] {
      let tree = MerkleTree(blocks: someBlocks(count))
      let bytes = tree.encoded()
      #expect(bytes.count == tree.encodedBytes)
      var read = try MerkleTree(decoding: bytes)
      #expect(read.root == tree.root && read.leafCount == count && read.encoded() == bytes)
      // What does not need the blocks goes on as before.
      #expect(read.diff(tree) == [])
      for index in 0..<min(count, 20) { #expect(try read.inclusionProof(index) == tree.inclusionProof(index)) }
      var grown = tree
      #expect(read.append([1]) == grown.append([1]))
      #expect(read.root == grown.root)
    }
  }

  @Test(.requirement("MerkleTree.keep.7")) func proofsRoundTrip() throws {
    let tree = MerkleTree(blocks: someBlocks(70))
    for size in [1, 2, 7, 64, 70] {
      let inclusion = try tree.inclusionProof(size / 2, size: size)
      #expect(try InclusionProof(decoding: inclusion.encoded()) == inclusion)
      let consistency = try tree.consistencyProof(from: (size + 1) / 2, to: size)
      #expect(try ConsistencyProof(decoding: consistency.encoded()) == consistency)
      #expect(throws: MerkleError.damaged(.badMagic(at: 0))) { try ConsistencyProof(decoding: inclusion.encoded()) }
    }
  }

  /// The bytes of version 1 as they will be read for ever.
  @Test(.requirement("MerkleTree.keep.7")) func goldenBytes() throws {
    let golden =
      "534d524b010001000200000000000000" + "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
      + "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7" + "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"
    let tree = MerkleTree(blocks: [[], [0]])
    #expect(hexText(Array(tree.encoded().dropLast(4)), limit: .max) == golden)
    #expect(try tree.inclusionProof(1).encoded().dropLast(36) == Array("SMRI".utf8) + [1, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0])
  }

  /// A tree whose parts do not fit each other is refused even where the checksum says that the bytes are as written.
  @Test(.requirement("MerkleTree.never.12")) func inconsistentTreesAreRefused() {
    let tree = MerkleTree(blocks: someBlocks(5))
    func resealed(_ change: (inout [UInt8]) -> Void) -> [UInt8] {
      var bytes = Array(tree.encoded().dropLast(4))
      change(&bytes)
      var writer = ByteWriter(beginningWith: bytes)
      writer.writeChecksum(since: 0)
      return writer.finish()
    }
    #expect(throws: MerkleError.self) { try MerkleTree(decoding: resealed { $0[16] ^= 1 }) }  // a leaf
    #expect(throws: MerkleError.rootMismatch(computed: tree.root)) { try MerkleTree(decoding: resealed { $0[16 + 5 * 32] ^= 1 }) }
    for count in [0, 4, 6, 255] {
      #expect(throws: MerkleError.self, "\(count) leaves") { try MerkleTree(decoding: resealed { $0[8] = UInt8(count) }) }
    }
    #expect(throws: MerkleError.self) { try MerkleTree(decoding: resealed { for index in 8..<16 { $0[index] = 0xFF } }) }
    #expect(throws: MerkleError.self) { try MerkleTree(decoding: resealed { $0[15] = 0x08 }) }
    #expect(throws: MerkleError.incompatible(field: "hasher", mine: "1", theirs: "2")) { try MerkleTree(decoding: resealed { $0[6] = 2 }) }
    #expect(throws: MerkleError.damaged(.unsupportedVersion(at: 4, version: 2, newest: 1))) { try MerkleTree(decoding: resealed { $0[4] = 2 }) }
  }

  @Test(.requirement("MerkleTree.never.12")) func everyCutAndEveryFlipIsRefused() throws {
    let tree = MerkleTree(blocks: someBlocks(3))
    for bytes in [tree.encoded(), try tree.inclusionProof(2).encoded(), try tree.consistencyProof(from: 2, to: 3).encoded()] {
      func isRefused(_ bytes: [UInt8]) -> Bool {
        (try? MerkleTree(decoding: bytes)) == nil && (try? InclusionProof(decoding: bytes)) == nil && (try? ConsistencyProof(decoding: bytes)) == nil
      }
      #expect(!isRefused(bytes))
      for length in 0..<bytes.count { #expect(isRefused(Array(bytes[..<length])), "\(length) of \(bytes.count)") }
      #expect(isRefused(bytes + [0]))
      for bit in 0..<bytes.count * 8 {
        var damaged = bytes
        damaged[bit / 8] ^= 1 << UInt8(bit % 8)
        #expect(isRefused(damaged), "bit \(bit)")
      }
    }
  }

  /// Whatever is behind a valid checksum gives a value or a typed error.
  @Test(.requirement("MerkleTree.never.12"), arguments: 0..<UInt64(4 * testDepth)) func randomBytesNeverTrap(seed: UInt64) {
    var random = Random(seed: seed)
    let tree = MerkleTree(blocks: someBlocks(9))
    let seeds = [Array(tree.encoded().dropLast(4))] + ["SMRK", "SMRI", "SMRC"].map { Array($0.utf8) + [1, 0, 1, 0] }
    for _ in 0..<2000 {
      var bytes = seeds[random.below(seeds.count)]
      if random.chance(1, in: 2) { bytes += random.bytes(random.below(200)) }
      for _ in 0..<random.below(4) where !bytes.isEmpty { bytes[random.below(bytes.count)] = UInt8(truncatingIfNeeded: random.next()) }
      if random.chance(1, in: 3) { bytes.removeLast(random.below(bytes.count)) }
      var writer = ByteWriter(beginningWith: bytes)
      writer.writeChecksum(since: 0)
      let sealed = writer.finish()
      if let read = try? MerkleTree(decoding: sealed) { #expect(read.encoded() == sealed, "seed \(seed)") }
      if let proof = try? InclusionProof(decoding: sealed) {
        #expect(proof.encoded() == sealed, "seed \(seed)")
        #expect(throws: MerkleError.self) { try MerkleVerifier.inclusion(leafHash: .zero, proof: proof, root: .zero) }
      }
      if let proof = try? ConsistencyProof(decoding: sealed) {
        #expect(proof.encoded() == sealed, "seed \(seed)")
        #expect(throws: MerkleError.self) {
          try MerkleVerifier.consistency(root1: .zero, root2: SHA256MerkleHasher.empty, proof: proof)
        }
      }
    }
  }
}

@Suite struct MerkleDiffTests {
  @Test(.requirement("MerkleTree.keep.5"), arguments: 0..<UInt64(100 * testDepth)) func differencesAreThoseOfTheLeaves(seed: UInt64) throws {
    var random = Random(seed: seed)
    let blocks = someBlocks(random.below(140))
    var a = MerkleTree(blocks: blocks)
    var b = MerkleTree(blocks: blocks[..<random.within(0...blocks.count)])
    for _ in 0..<random.below(6) where b.leafCount > 0 {
      let index = random.below(b.leafCount)
      try random.chance(1, in: 2) ? a.update(index, [255]) : b.update(index, [254])
    }
    var expected: [Int] = []
    for index in 0..<max(a.leafCount, b.leafCount) {
      if index >= min(a.leafCount, b.leafCount) || a.levels[0][index] != b.levels[0][index] { expected.append(index) }
    }
    let found = a.diff(b)
    #expect(found.flatMap(Array.init) == expected, "seed \(seed)")
    #expect(zip(found, found.dropFirst()).allSatisfy { $0.upperBound < $1.lowerBound }, "seed \(seed)")
    #expect(b.diff(a) == found, "seed \(seed)")
  }

  @Test(.requirement("MerkleTree.keep.5")) func edges() throws {
    let tree = MerkleTree(blocks: someBlocks(1000))
    #expect(tree.diff(tree) == [] && tree.diff(MerkleTree()) == [0..<1000] && MerkleTree().diff(MerkleTree()) == [])
    #expect(tree.diff(MerkleTree(blocks: (0..<1000).map { [UInt8($0 & 0xFF), 77] })) == [0..<1000])
    var changed = tree
    try changed.update(512, [1])
    #expect(tree.diff(changed) == [512..<513])
  }
}
