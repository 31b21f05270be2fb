import StrataBytes
import StrataNodes
import StrataRequirements
import Testing

@testable import StrataMerkleTree

@Suite struct MerkleTreeTests {
  /// The leaves every implementation of RFC 6962 is tested with.
  private static let known: [[UInt8]] = [
    [], [0x00], [0x10], [0x20, 0x21], [0x30, 0x31], [0x40, 0x41, 0x42, 0x43], Array(0x50...0x57), Array(0x60...0x6F),
  ]

  @Test(
    .requirement("MerkleTree.keep.1", "MerkleTree.never.1"),
    arguments: [
      (0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
      (1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
      (2, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
      (3, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
      (4, "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"),
      (5, "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"),
      (8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
    ])
  func knownRoots(size: Int, root: String) throws {
    let tree = MerkleTree(blocks: Self.known)
    #expect("\(try tree.root(at: size))" == root)
    #expect("\(MerkleTree(blocks: Self.known[..<size]).root)" == root)
  }

  @Test(.requirement("MerkleTree.never.1", "MerkleTree.never.3")) func knownHashes() {
    #expect(
      "\(SHA256MerkleHasher.leaf(Array("L123456".utf8).span.bytes))" == "395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56")
    // Of texts rather than digests, so one layer below the hasher.
    #expect("\(sha256([SHA256MerkleHasher.nodeTag] + Array("N123N456".utf8)))" == "aa217fe888e47007fa15edab33c2b492a722cb106c64667fc2b044444de66bbb")
  }

  @Test(.requirement("MerkleTree.keep.2")) func sizesAndHeights() {
    let heights = [0, 0, 1, 2, 2, 3, 3, 3, 3, 4]
    for (count, height) in heights.enumerated() {
      let tree = MerkleTree(blocks: someBlocks(count))
      #expect(tree.leafCount == count && tree.height == height, "\(count)")
      #expect("\(tree.root)".utf8.count == 64)
    }
    #expect(merkleHeight(1 << 20) == 20 && merkleHeight(1 << 20 + 1) == 21 && merkleHeight(.max) == 63)
  }

  @Test(.requirement("MerkleTree.keep.1", "MerkleTree.keep.2", "MerkleTree.keep.7")) func everySizeIsTheDefinition() throws {
    let blocks = someBlocks(130)
    let leaves = blocks.map(NaiveTree.leaf)
    let tree = MerkleTree(blocks: blocks)
    var grown = MerkleTree()
    var builder = MerkleTreeBuilder()
    for size in 0...blocks.count {
      let expected = NaiveTree.root(leaves[..<size])
      #expect(try tree.root(at: size) == expected, "\(size)")
      #expect(grown.root == expected && builder.root() == expected, "\(size)")
      #expect(MerkleTree(leafHashes: ContiguousArray(leaves[..<size]), hasher: SHA256MerkleHasher.self).root == expected, "\(size)")
      if size < blocks.count {
        #expect(grown.append(blocks[size]) == size)
        builder.addLeaf(blocks[size])
      }
    }
  }

  @Test(.requirement("MerkleTree.keep.1")) func anyChangeChangesTheRoot() throws {
    for count in 1...20 {
      let blocks = someBlocks(count)
      let root = MerkleTree(blocks: blocks).root
      for index in 0..<count {
        var changed = blocks
        changed[index].append(0)
        #expect(MerkleTree(blocks: changed).root != root)
        changed = blocks
        changed.remove(at: index)
        #expect(MerkleTree(blocks: changed).root != root)
        changed = blocks
        changed.insert([9], at: index)
        #expect(MerkleTree(blocks: changed).root != root)
        for other in 0..<index {
          changed = blocks
          changed.swapAt(index, other)
          #expect(MerkleTree(blocks: changed).root != root)
        }
      }
    }
  }

  /// All sequences over {"", a, b} of at most eight blocks have roots of their own.
  @Test(.requirement("MerkleTree.never.2")) func noTwoShortSequencesShareARoot() {
    let letters: [[UInt8]] = [[], [UInt8(ascii: "a")], [UInt8(ascii: "b")]]
    var roots: Set<Digest> = []
    var sequences = 0
    var row: [[[UInt8]]] = [[]]
    for _ in 0...8 {
      for sequence in row { roots.insert(MerkleTree(blocks: sequence).root) }
      sequences += row.count
      row = row.flatMap { sequence in letters.map { sequence + [$0] } }
    }
    #expect(sequences == 9841 && roots.count == sequences)
  }

  /// Two leaves made of inner nodes do not give the root of four; nor does one leaf of two digests give the root of two.
  @Test(.requirement("MerkleTree.never.1")) func innerNodesAreNoLeaves() throws {
    let tree = MerkleTree(blocks: someBlocks(4))
    let hashes = try (0..<4).map { try tree.leafHash($0) }
    let pairs = [hashes[0].bytes + hashes[1].bytes, hashes[2].bytes + hashes[3].bytes]
    #expect(MerkleTree(blocks: pairs).root != tree.root)
    #expect(MerkleTree(blocks: [pairs[0]]).root != MerkleTree(blocks: someBlocks(2)).root)
    let nodes = [NaiveTree.node(hashes[0], hashes[1]), NaiveTree.node(hashes[2], hashes[3])]
    #expect(MerkleTree(blocks: [nodes[0].bytes + nodes[1].bytes]).root != tree.root)
    #expect(MerkleTree(blocks: nodes.map(\.bytes)).root != tree.root)
  }

  /// The root is over the digests' 32 bytes, not over their text, and a block is taken as it is.
  @Test(.requirement("MerkleTree.never.3", "MerkleTree.keep.8")) func rawBytesAreHashed() throws {
    let tree = MerkleTree(blocks: [[1], [2]])
    #expect(tree.root == sha256([1] + sha256([0, 1]).bytes + sha256([0, 2]).bytes))
    #expect(MerkleTree(blocks: [Array("1".utf8)]).root != MerkleTree(blocks: [Array(" 1".utf8)]).root)
    #expect(MerkleTree(blocks: [Array("é".utf8)]).root != MerkleTree(blocks: [Array("e\u{301}".utf8)]).root)
  }

  /// Random appends, appends of many and updates, against a tree built anew.
  @Test(.requirement("MerkleTree.keep.3"), arguments: 0..<UInt64(20 * testDepth)) func changesEqualARebuild(seed: UInt64) throws {
    var random = Random(seed: seed)
    var blocks: [[UInt8]] = []
    var tree = MerkleTree()
    for _ in 0..<60 {
      switch random.below(4) {
      case 0:
        let rows = random.bytes(8 * random.within(0...70))
        try tree.append(blocks: rows.span.bytes, blockBytes: 8)
        for start in stride(from: 0, to: rows.count, by: 8) { blocks.append(Array(rows[start..<start + 8])) }
      case 1:
        blocks.append(random.bytes(random.below(100)))
        tree.append(blocks[blocks.count - 1])
      default:
        guard !blocks.isEmpty else { continue }
        let index = random.below(blocks.count)
        blocks[index] = random.bytes(random.below(100))
        try tree.update(index, blocks[index])
      }
      let rebuilt = MerkleTree(blocks: blocks)
      #expect(tree.root == rebuilt.root && tree.leafCount == blocks.count, "seed \(seed)")
      #expect(tree.levels.filter { !$0.isEmpty } == rebuilt.levels.filter { !$0.isEmpty }, "seed \(seed)")
    }
  }

  /// However many threads build it, it is the same tree and goes on as one.
  @Test(.requirement("MerkleTree.keep.7"), arguments: [0, 1, 63, 4096, 4097, 6000, 16383, 20_001]) func threadsBuildTheSameTree(count: Int) throws {
    let rows = Random(seed: 7).firstBytes(count * 5)
    let expected = try MerkleTree(blocks: rows.span.bytes, blockBytes: 5)
    for threads in [-1, 1, 2, 3, 8] {
      var tree = try MerkleTree(blocks: rows.span.bytes, blockBytes: 5, threads: threads)
      #expect(tree.levels.filter { !$0.isEmpty } == expected.levels.filter { !$0.isEmpty }, "\(threads) threads")
      var other = expected
      #expect(tree.append([1]) == other.append([1]) && tree.root == other.root, "\(threads) threads")
    }
    #expect(throws: MerkleError.self) { try MerkleTree(blocks: ([1, 2, 3] as [UInt8]).span.bytes, blockBytes: 2, threads: 2) }
  }

  @Test(.requirement("MerkleTree.keep.3")) func onlyRealLeavesCanBeReached() throws {
    var tree = MerkleTree(blocks: someBlocks(5))
    let root = tree.root
    for index in [-1, 5, 6, 7, 8, Int.min, Int.max] {
      #expect(throws: MerkleError.indexOutOfRange(index: index, size: 5)) { try tree.leafHash(index) }
      #expect(throws: MerkleError.indexOutOfRange(index: index, size: 5)) { try tree.update(index, [1]) }
    }
    #expect(throws: MerkleError.invalidSize(size: 6, limit: 5)) { try tree.root(at: 6) }
    #expect(throws: MerkleError.invalidSize(size: -1, limit: 5)) { try tree.root(at: -1) }
    #expect(throws: MerkleError.invalidSize(size: 7, limit: 4)) { try tree.append(blocks: [UInt8](repeating: 0, count: 7).span.bytes, blockBytes: 4) }
    #expect(throws: MerkleError.invalidSize(size: 0, limit: 0)) { try tree.append(blocks: [UInt8]().span.bytes, blockBytes: 0) }
    #expect(tree.root == root)
  }

  /// A copy stays what it was.
  @Test(.requirement("MerkleTree.keep.3")) func aCopyIsASnapshot() throws {
    var tree = MerkleTree(blocks: someBlocks(100))
    let copy = tree
    let root = tree.root
    try tree.update(50, [1])
    tree.append([2])
    #expect(copy.root == root && copy.leafCount == 100 && tree.root != root)
  }
}

@Suite struct MerkleTreeBuilderTests {
  @Test(.requirement("MerkleTree.keep.7"), arguments: 0..<UInt64(20 * testDepth)) func anyMixOfWaysGivesTheTree(seed: UInt64) throws {
    var random = Random(seed: seed)
    var tree = MerkleTree()
    var builder = MerkleTreeBuilder()
    for _ in 0..<20 {
      let rows = random.bytes(4 * random.within(0...900))
      try tree.append(blocks: rows.span.bytes, blockBytes: 4)
      if random.chance(1, in: 2) {
        try builder.addLeaves(rows.span.bytes, blockBytes: 4)
      } else {
        for start in stride(from: 0, to: rows.count, by: 4) { builder.addLeaf(Array(rows[start..<start + 4])) }
      }
      #expect(builder.root() == tree.root && builder.leafCount == tree.leafCount, "seed \(seed)")
      builder = try MerkleTreeBuilder(leafCount: builder.leafCount, compactRange: builder.compactRange, hasher: SHA256MerkleHasher.self)
    }
  }

  @Test(.requirement("MerkleTree.keep.7")) func otherCompactRangesAreRefused() {
    #expect(throws: MerkleError.malformedProof(expected: 2, got: 1)) {
      try MerkleTreeBuilder(leafCount: 5, compactRange: [.zero], hasher: SHA256MerkleHasher.self)
    }
    #expect(throws: MerkleError.invalidSize(size: -1, limit: .max)) {
      try MerkleTreeBuilder(leafCount: -1, compactRange: [], hasher: SHA256MerkleHasher.self)
    }
  }

  /// Ten million leaves leave the builder in less than a mebibyte, and nothing recurses.
  @Test(.requirement("MerkleTree.never.10", "MerkleTree.never.13")) func memoryStaysLogarithmic() throws {
    var builder = MerkleTreeBuilder()
    let rows = Random(seed: 5).fork("rows").firstBytes(8 * 10_000)
    for _ in 0..<1000 {
      try builder.addLeaves(rows.span.bytes, blockBytes: 8)
      #expect(builder.memoryBytes < 4096)
    }
    #expect(builder.leafCount == 10_000_000 && builder.compactRange.count == 10_000_000.nonzeroBitCount)
  }

  /// The tree keeps digests only: 64 bytes a leaf where their number was known, whatever the blocks' size.
  @Test(.requirement("MerkleTree.never.10")) func theTreeKeepsDigestsOnly() throws {
    let rows = [UInt8](repeating: 7, count: 200 * 20_000)
    let tree = try MerkleTree(blocks: rows.span.bytes, blockBytes: 200)
    #expect(tree.memoryBytes <= 64 * 20_000 + 4096)
    var grown = MerkleTree()
    for _ in 0..<20_000 { grown.append([7]) }
    #expect(grown.memoryBytes <= 72 * 20_000 + 8192)
  }
}

extension Random {
  /// Bytes of a copy, so that a constant can give them.
  func firstBytes(_ count: Int) -> [UInt8] {
    var copy = self
    return copy.bytes(count)
  }
}
