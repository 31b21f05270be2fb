import StrataBytes
import StrataNodes
import StrataRequirements
import Testing

@testable import StrataMerkleTree

/// What a key holds in the models of these tests.
struct Content: Hashable {
  var version: [UInt8]
  var value: Digest
  var tombstone: Bool

  init(_ random: inout Random) {
    version = random.bytes(random.below(4))
    value = Digest(random.bytes(32)) ?? .zero
    tombstone = random.chance(1, in: 5)
  }
}

extension KeyRangeMerkleTree {
  mutating func set(_ key: [UInt8], _ content: Content) throws {
    try set(key, version: content.version, valueDigest: content.value, tombstone: content.tombstone)
  }

  init(_ model: [[UInt8]: Content]) throws {
    self.init()
    for (key, content) in model { try set(key, content) }
  }
}

private func less(_ a: [UInt8], _ b: [UInt8]) -> Bool { a.lexicographicallyPrecedes(b) }

private func expectedDiff(_ a: [[UInt8]: Content], _ b: [[UInt8]: Content]) -> KeyDiff {
  var diff = KeyDiff()
  diff.onlyHere = a.keys.filter { b[$0] == nil }.sorted(by: less)
  diff.onlyThere = b.keys.filter { a[$0] == nil }.sorted(by: less)
  diff.differing = a.keys.filter { key in b[key].map { $0 != a[key] } ?? false }.sorted(by: less)
  return diff
}

@Suite struct KeyRangeMerkleTreeTests {
  /// Random sets, replacements and removals beside a dictionary; then every kind of question.
  @Test(.requirement("MerkleTree.keep.6", "MerkleTree.never.8", "MerkleTree.never.9"), arguments: 0..<UInt64(30 * testDepth))
  func theTreeIsTheDictionary(seed: UInt64) throws {
    var random = Random(seed: seed)
    var tree = KeyRangeMerkleTree()
    var model: [[UInt8]: Content] = [:]
    var known: [[UInt8]] = []
    let width = random.within(1...3)
    for step in 0..<random.within(1...3000) {
      // Phases that grow and phases that take out keys that are there, so that nodes split and join.
      let isShrinking = random.chance(step / 700 % 2 == 0 ? 1 : 4, in: 5)
      var key = random.bytes(random.below(width + 1)).map { $0 & 0x3F }
      if isShrinking, !known.isEmpty {
        known.swapAt(random.below(known.count), known.count - 1)
        key = known.removeLast()
      } else if !isShrinking {
        known.append(key)
      }
      if isShrinking {
        #expect(tree.remove(key) == (model.removeValue(forKey: key) != nil), "seed \(seed)")
      } else {
        let content = Content(&random)
        try tree.set(key, content)
        model[key] = content
      }
      #expect(tree.count == model.count, "seed \(seed), step \(step)")
    }
    // In another order, the same fingerprint.
    #expect(tree.rootFingerprint == (try KeyRangeMerkleTree(model)).rootFingerprint, "seed \(seed)")
    let keys = model.keys.sorted(by: less)
    var cursor = tree.items(in: .all)
    for key in keys { #expect(cursor.next()?.key == key, "seed \(seed)") }
    #expect(cursor.next() == nil, "seed \(seed)")
    for _ in 0..<20 {
      let range = KeyRange(lower: random.bytes(2).map { $0 & 0x3F }, upper: random.chance(1, in: 4) ? nil : random.bytes(2).map { $0 & 0x3F })
      let inside = model.filter { !less($0.key, range.lower) && (range.upper.map { [key = $0.key] in less(key, $0) } ?? true) }
      #expect(tree.fingerprint(range) == (try KeyRangeMerkleTree(inside)).rootFingerprint, "seed \(seed), \(range)")
      #expect(tree.sum(range).count == inside.count, "seed \(seed), \(range)")
      for parts in [1, 2, 7, 16] where !range.isEmpty {
        let pieces = tree.split(range, into: parts)
        #expect(pieces.first?.range.lower == range.lower && pieces.last?.range.upper == range.upper, "seed \(seed)")
        #expect(zip(pieces, pieces.dropFirst()).allSatisfy { $0.range.upper == $1.range.lower && !$0.range.isEmpty }, "seed \(seed)")
        #expect(pieces.allSatisfy { tree.sum($0.range) == $0.sum }, "seed \(seed)")
        let counts = pieces.map(\.sum.count)
        #expect(pieces.count == max(1, min(parts, inside.count)) && (counts.max() ?? 0) - (counts.min() ?? 0) <= 1, "seed \(seed)")
      }
    }
  }

  @Test(.requirement("MerkleTree.keep.6", "MerkleTree.never.7", "MerkleTree.never.8"), arguments: 0..<UInt64(60 * testDepth))
  func differencesAreThoseOfTheModels(seed: UInt64) throws {
    var random = Random(seed: seed)
    var a: [[UInt8]: Content] = [:]
    for _ in 0..<random.below(800) { a[random.bytes(2)] = Content(&random) }
    var b = random.chance(1, in: 5) ? [:] : a
    for _ in 0..<random.below(40) {
      let key = a.keys.sorted(by: less).randomPick(&random) ?? [1]
      switch random.below(4) {
      case 0: a[key] = nil
      case 1: b[key] = nil
      case 2: a[random.bytes(3)] = Content(&random)
      default: b[key] = Content(&random)
      }
    }
    let (treeA, treeB) = (try KeyRangeMerkleTree(a), try KeyRangeMerkleTree(b))
    #expect(treeA.diffKeys(treeB) == expectedDiff(a, b), "seed \(seed)")
    #expect(treeB.diffKeys(treeA) == expectedDiff(b, a), "seed \(seed)")
    #expect((treeA.rootFingerprint == treeB.rootFingerprint) == (a == b), "seed \(seed)")
    let middle: [UInt8] = [0x80]
    let lower = treeA.diffKeys(treeB, in: KeyRange(lower: [], upper: middle))
    let upper = treeA.diffKeys(treeB, in: KeyRange(lower: middle, upper: nil))
    #expect(lower.onlyHere + upper.onlyHere == expectedDiff(a, b).onlyHere, "seed \(seed)")
  }

  /// One key more, less or changed among many is reported as that key and no other.
  @Test(.requirement("MerkleTree.never.7")) func oneKeyAmongManyIsOneDifference() throws {
    let count = 50_000 * testDepth
    var tree = KeyRangeMerkleTree()
    func key(_ number: Int) -> [UInt8] {
      (0..<8).map { UInt8(truncatingIfNeeded: (UInt64(number) &* 0x9E37_79B9_7F4A_7C15) >> UInt64(56 - 8 * $0)) } + [7]
    }
    for number in 0..<count { try tree.set(key(number), version: [1], valueDigest: .zero, tombstone: false) }
    for number in [0, 1, count / 2, count - 1] {
      var other = tree
      other.remove(key(number))
      var expected = KeyDiff()
      expected.onlyHere = [key(number)]
      #expect(tree.diffKeys(other) == expected)
      other = tree
      try other.set(key(number) + [0], version: [1], valueDigest: .zero, tombstone: false)
      expected = KeyDiff()
      expected.onlyThere = [key(number) + [0]]
      #expect(tree.diffKeys(other) == expected)
      other = tree
      try other.set(key(number), version: [2], valueDigest: .zero, tombstone: false)
      expected = KeyDiff()
      expected.differing = [key(number)]
      #expect(tree.diffKeys(other) == expected)
    }
    #expect(tree.diffKeys(KeyRangeMerkleTree()).onlyHere.count == count && KeyRangeMerkleTree().diffKeys(tree).onlyThere.count == count)
  }

  @Test(.requirement("MerkleTree.never.9")) func settingAgainReplaces() throws {
    var tree = KeyRangeMerkleTree()
    try tree.set([1], version: [1], valueDigest: .zero, tombstone: false)
    let first = tree.rootFingerprint
    try tree.set([1], version: [2], valueDigest: .zero, tombstone: true)
    #expect(tree.count == 1 && tree.rootFingerprint != first)
    try tree.set([1], version: [1], valueDigest: .zero, tombstone: false)
    #expect(tree.count == 1 && tree.rootFingerprint == first)
    let wanted = KeyRangeMerkleTree.keyBytesMax + 1
    #expect(throws: MerkleError.tooLarge(required: wanted, cap: wanted - 1)) {
      try tree.set([UInt8](repeating: 0, count: wanted), version: [], valueDigest: .zero, tombstone: false)
    }
    #expect(tree.count == 1)
  }

  /// Each field alone changes the fingerprint.
  @Test(.requirement("MerkleTree.never.11")) func everyFieldCounts() throws {
    func fingerprint(_ key: [UInt8] = [1], _ version: [UInt8] = [2], _ value: Digest = .zero, _ tombstone: Bool = false) throws -> Fingerprint {
      var tree = KeyRangeMerkleTree()
      try tree.set(key, version: version, valueDigest: value, tombstone: tombstone)
      return tree.rootFingerprint
    }
    let base = try fingerprint()
    #expect(try fingerprint() == base)
    #expect(try fingerprint([3]) != base)
    #expect(try fingerprint([1], [3]) != base)
    #expect(try fingerprint([1], [2], sha256([1])) != base)
    #expect(try fingerprint([1], [2], .zero, true) != base)
    #expect(KeyRangeMerkleTree().rootFingerprint != base)
  }

  /// Bytes that move from one field to the next give another item.
  @Test(.requirement("MerkleTree.never.6")) func noTwoItemsShareTheirBytes() {
    var random = Random(seed: 9)
    for _ in 0..<200 {
      let bytes = random.bytes(random.below(300))
      var hashes: Set<Digest> = []
      for cut in 0...bytes.count {
        hashes.insert(
          KeyRangeMerkleTree.itemHash(Array(bytes[..<cut]), version: Array(bytes[cut...]), valueDigest: .zero, tombstone: false))
      }
      #expect(hashes.count == bytes.count + 1)
    }
    // The definition, letter by letter.
    let expected = sha256([2, 1, 65, 2, 66, 67, 1] + [UInt8](repeating: 0, count: 32))
    #expect(KeyRangeMerkleTree.itemHash([65], version: [66, 67], valueDigest: .zero, tombstone: true) == expected)
    let long = [UInt8](repeating: 9, count: 300)
    let longExpected = sha256([2, 0xAC, 0x02] + long + [0, 0] + [UInt8](repeating: 0, count: 32))
    #expect(KeyRangeMerkleTree.itemHash(long, version: [], valueDigest: .zero, tombstone: false) == longExpected)
    var sum = RangeSum()
    sum.add(expected)
    #expect("\(sum.fingerprint)" == "\(sha256([3] + expected.bytes + [1, 0, 0, 0, 0, 0, 0, 0]))".prefix(32))
  }

  /// Sums of random sets, added and taken out in any order, come out as numbers do.
  @Test(.requirement("MerkleTree.keep.6")) func sumsAreNumbers() throws {
    var random = Random(seed: 10)
    let items = (0..<50).map { _ in Digest(random.bytes(32)) ?? .zero } + [try #require(Digest([UInt8](repeating: 0xFF, count: 32)))]
    var sum = RangeSum()
    for item in items { sum.add(item) }
    var bytes = [Int](repeating: 0, count: 32)
    for item in items {
      var carry = 0
      for (index, byte) in item.bytes.enumerated() {
        let total = bytes[index] + Int(byte) + carry
        (bytes[index], carry) = (total & 0xFF, total >> 8)
      }
    }
    #expect(sum.bytes.bytes.map(Int.init) == bytes && sum.count == 51)
    for item in items.reversed() { sum.remove(item) }
    #expect(sum == RangeSum())
    // A carry that runs through words of ones, and the borrow that runs back.
    let ones = try #require(Digest([UInt8](repeating: 0xFF, count: 24) + [0, 0, 0, 0, 0, 0, 0, 0]))
    let one = try #require(Digest([1] + [UInt8](repeating: 0, count: 31)))
    sum.add(ones)
    sum.add(one)
    #expect(sum.bytes.bytes == [UInt8](repeating: 0, count: 24) + [1, 0, 0, 0, 0, 0, 0, 0])
    sum.remove(one)
    #expect(sum.bytes == ones)
  }

  @Test(.requirement("MerkleTree.keep.6")) func keysHaveProofs() throws {
    var random = Random(seed: 11)
    var tree = KeyRangeMerkleTree()
    var keys: [[UInt8]] = []
    for _ in 0..<300 {
      let key = random.bytes(3)
      keys.append(key)
      try tree.set(key, Content(&random))
    }
    let frozen = tree.frozen()
    #expect(frozen.count == tree.count)
    for key in keys {
      let proof = try frozen.proof(forKey: key)
      let leaf = FrozenKeyTree.leafHash(itemHash: try #require(tree.itemHash(key)))
      try MerkleVerifier.inclusion(leafHash: leaf, proof: proof, root: frozen.root)
    }
    #expect(try tree.proof(forKey: keys[0]) == frozen.proof(forKey: keys[0]))
    #expect(throws: MerkleError.keyNotFound([1, 2, 3, 4])) { try tree.proof(forKey: [1, 2, 3, 4]) }
    #expect(throws: MerkleError.keyNotFound([1, 2, 3, 4])) { try frozen.proof(forKey: [1, 2, 3, 4]) }
    // The frozen tree stays as it was.
    let root = frozen.root
    tree.remove(keys[0])
    #expect(frozen.root == root && tree.frozen().root != root)
  }

  @Test(.requirement("MerkleTree.keep.6")) func purgedTombstonesAreNoItems() throws {
    var tree = KeyRangeMerkleTree()
    for number in 0..<100 { try tree.set([UInt8(number)], version: [UInt8(number)], valueDigest: .zero, tombstone: number % 2 == 0) }
    tree.hold(KeyRange(lower: [10], upper: [20]), for: 7)
    #expect(throws: MerkleError.rangeInSession(session: 7)) { try tree.purge(before: [50]) }
    #expect(tree.count == 100 && tree.holder(of: KeyRange(lower: [19], upper: nil)) == 7 && tree.holder(of: KeyRange(lower: [20], upper: nil)) == nil)
    tree.release(7)
    #expect(try tree.purge(before: [50]) == 25)
    #expect(try tree.purge(before: [50]) == 0 && tree.purge(before: [40]) == 0)
    #expect(tree.count == 75 && tree.itemHash([48]) == nil && tree.itemHash([49]) != nil && tree.itemHash([50]) != nil)
    // Such tombstones stay out, and take a value with them.
    try tree.set([200], version: [49], valueDigest: .zero, tombstone: true)
    try tree.set([49], version: [49, 9], valueDigest: .zero, tombstone: true)
    #expect(tree.itemHash([200]) == nil && tree.itemHash([49]) == nil && tree.count == 74)
    // One that became a value again is not purged.
    try tree.set([60], version: [51], valueDigest: .zero, tombstone: false)
    #expect(try tree.purge(before: [70]) == 9)
    #expect(tree.itemHash([60]) != nil)
  }

  @Test(.requirement("MerkleTree.keep.6")) func memoryStaysByTheKey() throws {
    var random = Random(seed: 12)
    var tree = KeyRangeMerkleTree()
    for _ in 0..<20_000 { try tree.set(random.bytes(16), version: [1], valueDigest: .zero, tombstone: false) }
    #expect(tree.memoryBytes <= tree.count * (64 + 16))
    let empty = KeyRangeMerkleTree().memoryBytes
    var cursor = tree.items(in: .all)
    while let item = cursor.next() { tree.remove(item.key) }
    #expect(tree.count == 0 && tree.rootFingerprint == KeyRangeMerkleTree().rootFingerprint && tree.memoryBytes < empty + 100_000)
  }

  @Test func rangesOfKeys() {
    let range = KeyRange(lower: [1], upper: [3])
    #expect(range.contains([1]) && range.contains([2, 255]) && !range.contains([3]) && !range.contains([0, 9]))
    #expect(KeyRange.all.contains(range) && range.contains(range) && !range.contains(KeyRange(lower: [1], upper: nil)))
    #expect(!range.contains(KeyRange(lower: [0], upper: [2])) && range.contains(KeyRange(lower: [9], upper: [9])))
    #expect(range.overlaps(KeyRange(lower: [2], upper: nil)) && !range.overlaps(KeyRange(lower: [3], upper: nil)))
    #expect(!range.overlaps(KeyRange(lower: [2], upper: [2])) && KeyRange(lower: [2], upper: [1]).isEmpty && !KeyRange.all.isEmpty)
    #expect(shortestBound(after: [1, 2, 3], upTo: [1, 4, 5]) == [1, 4] && shortestBound(after: [1], upTo: [1, 0, 9]) == [1, 0])
  }
}

extension Array {
  /// One of the elements, or nil where there is none.
  fileprivate func randomPick(_ random: inout Random) -> Element? { isEmpty ? nil : self[random.below(count)] }
}
