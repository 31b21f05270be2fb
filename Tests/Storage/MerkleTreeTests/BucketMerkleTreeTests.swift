import StrataBytes
import StrataNodes
import StrataRequirements
import Testing

@testable import StrataMerkleTree

@Suite struct BucketMerkleTreeTests {
  private func item(_ number: UInt64) -> Digest { sha256(withUnsafeBytes(of: number.littleEndian) { Array($0) }) }

  /// Random changes on both sides, with comparisons between, beside plain dictionaries.
  @Test(.requirement("MerkleTree.keep.6", "MerkleTree.never.11"), arguments: 0..<UInt64(8 * testDepth)) func differingBucketsAreThoseOfTheModels(
    seed: UInt64
  ) throws {
    var random = Random(seed: seed)
    var trees = [try BucketMerkleTree(depth: 10), try BucketMerkleTree(depth: 10)]
    var models: [[[UInt8]: Digest]] = [[:], [:]]
    for _ in 0..<20 {
      for _ in 0..<random.below(60) {
        let key = random.bytes(1)
        // An item's hash covers its key.
        let new = sha256(key + [UInt8(random.below(4))])
        for side in random.chance(3, in: 4) ? [0, 1] : [random.below(2)] {
          switch (models[side][key], random.below(3)) {
          case (let old?, 0):
            trees[side].remove(key: key, item: old)
            models[side][key] = nil
          case (let old?, _):
            trees[side].replace(key: key, item: old, with: new)
            models[side][key] = new
          case (nil, _):
            trees[side].add(key: key, item: new)
            models[side][key] = new
          }
        }
      }
      var expected: Set<Int> = []
      for key in Set(models[0].keys).union(models[1].keys) where models[0][key] != models[1][key] { expected.insert(trees[0].bucket(of: key)) }
      var (a, b) = (trees[0], trees[1])
      #expect(try a.differing(from: &b) == expected.sorted(), "seed \(seed)")
      (trees[0], trees[1]) = (a, b)
      #expect((a.rootFingerprint() == b.rootFingerprint()) == expected.isEmpty, "seed \(seed)")
      #expect(a.count == models[0].count && b.count == models[1].count, "seed \(seed)")
    }
  }

  /// Walking down where fingerprints differ finds the buckets.
  @Test(.requirement("MerkleTree.keep.6")) func fingerprintsLeadToTheBucket() throws {
    var a = try BucketMerkleTree(depth: 12)
    for number in 0..<2000 as Range<UInt64> { a.add(key: Array("\(number)".utf8), item: item(number)) }
    var b = a
    b.replace(key: Array("77".utf8), item: item(77), with: item(78))
    var index = 0
    for level in 0...12 {
      if try a.fingerprint(level: level, index: index) == b.fingerprint(level: level, index: index) { index += 1 }
      #expect(try a.fingerprint(level: level, index: index) != b.fingerprint(level: level, index: index))
      if level < 12 { index *= 2 }
    }
    #expect(index == a.bucket(of: Array("77".utf8)))
    #expect(try a.differing(from: &b) == [index])
    #expect(a.tokens(of: index).contains(BucketMerkleTree.token(Array("77".utf8))))
    #expect(a.tokens(of: 0).lowerBound == 0 && a.tokens(of: 4095).upperBound == .max)
    #expect(throws: MerkleError.indexOutOfRange(index: 2, size: 2)) { try a.fingerprint(level: 1, index: 2) }
    #expect(throws: MerkleError.invalidSize(size: 13, limit: 12)) { try a.fingerprint(level: 13, index: 0) }
  }

  @Test(.requirement("MerkleTree.never.10")) func memoryIsCappedBeforeItIsTaken() throws {
    #expect(BucketMerkleTree.memoryBytes(depth: 20) <= 48 << 20)
    #expect(throws: MerkleError.tooLarge(required: BucketMerkleTree.memoryBytes(depth: 20), cap: 1 << 20)) {
      try BucketMerkleTree(depth: 20, memoryCap: 1 << 20)
    }
    for depth in [-1, 0, 9, 21, 63, Int.max, Int.min] {
      #expect(throws: MerkleError.invalidSize(size: depth, limit: 20)) { try BucketMerkleTree(depth: depth) }
    }
    let depths = [0, 32 << 10, 64 << 10, 1_000_000, 30_000_000, Int.max].map { BucketMerkleTree.depth(forKeys: $0) }
    #expect(depths == [10, 10, 11, 14, 19, 20])
    var other = try BucketMerkleTree(depth: 11)
    var tree = try BucketMerkleTree(depth: 10)
    #expect(throws: MerkleError.incompatible(field: "depth", mine: "10", theirs: "11")) { try tree.differing(from: &other) }
  }

  @Test(.requirement("MerkleTree.keep.7", "MerkleTree.never.12")) func encodingsRoundTripOrAreRefused() throws {
    var tree = try BucketMerkleTree(depth: 10)
    for number in 0..<500 as Range<UInt64> { tree.add(key: Array("\(number)".utf8), item: item(number)) }
    let bytes = tree.encoded()
    var read = try BucketMerkleTree(decoding: bytes)
    #expect(read.rootFingerprint() == tree.rootFingerprint() && read.encoded() == bytes && read.count == 500)
    #expect(try read.differing(from: &tree) == [])
    #expect(throws: MerkleError.tooLarge(required: tree.memoryBytes, cap: 1000)) { try BucketMerkleTree(decoding: bytes, memoryCap: 1000) }
    var random = Random(seed: 1)
    for length in [0, 3, 4, 7, 15, 16, 56, bytes.count - 1] {
      #expect(throws: MerkleError.self) { try BucketMerkleTree(decoding: Array(bytes[..<length])) }
    }
    #expect(throws: MerkleError.self) { try BucketMerkleTree(decoding: bytes + [0]) }
    for bit in Array(0..<128) + (0..<60).map({ _ in random.below(bytes.count * 8) }) {
      var damaged = bytes
      damaged[bit / 8] ^= 1 << UInt8(bit % 8)
      #expect(throws: MerkleError.self, "bit \(bit)") { try BucketMerkleTree(decoding: damaged) }
    }
  }

  /// The whole way: buckets that differ, their keys from both stores, the range protocol over them.
  @Test(.requirement("MerkleTree.keep.7")) func countsBeyondMemoryAreRefused() throws {
    // Counts whose sum is no number of items would stop whoever asks for a count or a fingerprint.
    let empty = try BucketMerkleTree(depth: 10).encoded()
    for counts: [UInt64] in [[1 << 63], [1 << 62, 1 << 62], [.max], [UInt64(Int64.max), 1], [1 << 48, 1]] {
      var bytes = empty
      for (bucket, count) in counts.enumerated() {
        for byte in 0..<8 { bytes[16 + bucket * 40 + 32 + byte] = UInt8(truncatingIfNeeded: count >> UInt64(8 * byte)) }
      }
      var writer = ByteWriter(beginningWith: Array(bytes.dropLast(4)))
      writer.writeChecksum(since: 0)
      let sealed = writer.finish()
      #expect(throws: MerkleError.self, "\(counts)") { try BucketMerkleTree(decoding: sealed) }
    }
  }

  @Test(.requirement("MerkleTree.keep.6", "MerkleTree.never.7")) func bucketsAndRangesTogether() throws {
    var random = Random(seed: 6)
    var stores: [[[UInt8]: Content]] = [[:], [:]]
    for _ in 0..<3000 {
      let key = random.bytes(4)
      let content = Content(&random)
      for side in [0, 1] where !random.chance(1, in: 500) { stores[side][key] = content }
    }
    var trees: [BucketMerkleTree] = []
    for store in stores {
      var tree = try BucketMerkleTree(depth: 10)
      for (key, content) in store { tree.add(key: key, item: hash(key, content)) }
      trees.append(tree)
    }
    var (here, there) = (trees[0], trees[1])
    var found: [[UInt8]] = []
    for bucket in try here.differing(from: &there) {
      let tokens = here.tokens(of: bucket)
      var sides = try stores.map { try KeyRangeMerkleTree($0.filter { tokens.contains(BucketMerkleTree.token($0.key)) }) }
      var peer = sides.removeLast()
      let diff = try reconcile(&sides[0], &peer).diff
      found += diff.onlyHere + diff.onlyThere + diff.differing
    }
    let expected = Set(stores[0].keys).symmetricDifference(stores[1].keys)
    #expect(Set(found) == expected && found.count == expected.count && !found.isEmpty)
  }

  private func hash(_ key: [UInt8], _ content: Content) -> Digest {
    KeyRangeMerkleTree.itemHash(key, version: content.version, valueDigest: content.value, tombstone: content.tombstone)
  }
}
