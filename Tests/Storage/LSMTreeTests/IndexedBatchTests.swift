import StrataBytes
import StrataNodes
import StrataRequirements
import StrataSSTable
import StrataSimulation
import Testing

@testable import StrataLSMTree

extension IndexedBatch {
  func add(_ change: Change, in keyspace: Keyspace) throws {
    switch change {
    case .put(let key, let value): try put(bytes(key).span.bytes, bytes(value).span.bytes, in: keyspace)
    case .delete(let key): try delete(bytes(key).span.bytes, in: keyspace)
    case .deleteRange(let from, let to): try deleteRange(from: bytes(from).span.bytes, to: bytes(to).span.bytes, in: keyspace)
    case .merge(let key, let operand): try merge(bytes(key).span.bytes, operand: bytes(operand).span.bytes, in: keyspace)
    }
  }

  func get(_ key: String, in keyspace: Keyspace? = nil) throws -> String? { text(try get(bytes(key).span.bytes, in: keyspace)) }

  /// Everything, read forward and backward, which must agree.
  func rows(_ bounds: KeyBounds = .all, in keyspace: Keyspace? = nil) throws -> [[String]] {
    var iterator = try iterator(bounds, in: keyspace)
    return try both(&iterator)
  }
}

/// A batch that is read before it is written shows what the store shows after.
@Suite struct IndexedBatchTests {
  @Test func ownChangesLieAboveTheStore() throws {
    let store = try LSMTree.open(home, options: tinyOptions(), on: SimulatedFileSystem())
    for key in ["a", "b", "c", "d", "e"] { try store.put(key, "old") }
    try store.flush()
    try store.merge("m", "1")
    let batch = try store.indexedBatch()
    try batch.put(bytes("b").span.bytes, bytes("new").span.bytes)
    try batch.delete(bytes("c").span.bytes)
    try batch.merge(bytes("m").span.bytes, operand: bytes("2").span.bytes)
    try batch.merge(bytes("d").span.bytes, operand: bytes("x").span.bytes)
    #expect(try batch.rows() == [["a", "old"], ["b", "new"], ["d", "old,x"], ["e", "old"], ["m", "1,2"]])
    #expect(try batch.get("m") == "1,2" && batch.get("c") == nil && batch.get("a") == "old" && batch.get("d") == "old,x")
    // A later change wins, in the batch as in the store; what comes into the store meanwhile is not seen.
    try batch.deleteRange(from: bytes("a").span.bytes, to: bytes("c").span.bytes)
    try batch.put(bytes("a").span.bytes, bytes("again").span.bytes)
    try store.put("e", "newer")
    try store.put("f", "newer")
    try store.merge("m", "from elsewhere")
    #expect(try batch.rows() == [["a", "again"], ["d", "old,x"], ["e", "old"], ["m", "1,2"]])
    #expect(try batch.get("b") == nil && batch.get("e") == "old" && batch.get("m") == "1,2")
    #expect(try store.get("b") == "old")
    #expect(batch.sequenceCount == 6)
    let version = store.lastVersion
    #expect(try store.write(batch.finish()) == version + 6)
    #expect(batch.isEmpty)
    #expect(
      try store.rows() == [["a", "again"], ["d", "old,x"], ["e", "newer"], ["f", "newer"], ["m", "1,from elsewhere,2"]])
    // Empty again, over the moment of before.
    #expect(try batch.get("b") == "old" && batch.get("f") == nil)
    try store.close()
  }

  /// Many versions of a key, of the batch and of the store, of which an iterator made in between sees the ones of then.
  @Test func hiddenVersionsAreSoughtPast() throws {
    let store = try LSMTree.open(home, options: tinyOptions(), on: SimulatedFileSystem())
    try store.put("k", "seen")
    try store.put("z", "last")
    let batch = try store.indexedBatch()
    for round in 0..<40 { try store.put("k", "later \(round)") }
    #expect(try batch.rows() == [["k", "seen"], ["z", "last"]])
    try batch.put(bytes("k").span.bytes, bytes("own").span.bytes)
    var iterator = try batch.iterator()
    for round in 0..<40 { try batch.put(bytes("k").span.bytes, bytes("own \(round)").span.bytes) }
    #expect(try both(&iterator) == [["k", "own"], ["z", "last"]])
    try iterator.refresh()
    #expect(try both(&iterator) == [["k", "own 39"], ["z", "last"]])
    // An operand over what hidden versions of the store lie above.
    batch.removeAll()
    try batch.merge(bytes("k").span.bytes, operand: bytes("x").span.bytes)
    #expect(try batch.rows() == [["k", "seen,x"], ["z", "last"]])
    #expect(try batch.get("k") == "seen,x")
    try store.close()
  }

  @Test func refusals() throws {
    let disk = SimulatedFileSystem()
    let store = try LSMTree.open(home, options: tinyOptions { $0.maxBatchBytes = 1000 }, on: disk)
    let other = try LSMTree.open("/other", options: tinyOptions(), on: disk)
    let batch = try store.indexedBatch()
    #expect(throws: LSMError.self) { try batch.put(bytes("k").span.bytes, [UInt8](repeating: 1, count: 2000).span.bytes) }
    #expect(throws: LSMError.self) { try batch.deleteRange(from: bytes("k").span.bytes, to: bytes("a").span.bytes) }
    #expect(throws: LSMError.self) { try batch.put(bytes("k").span.bytes, RawSpan(), in: other.defaultKeyspace) }
    #expect(throws: LSMError.self) { _ = try store.indexedBatch(at: other.snapshot()) }
    let plain = try store.keyspace("plain", create: KeyspaceOptions())
    #expect(throws: LSMError.self) { try batch.merge(bytes("k").span.bytes, operand: RawSpan(), in: plain) }
    #expect(batch.isEmpty)
    #expect(try batch.rows() == [] && batch.rows(in: plain) == [])
    try store.close()
    #expect(throws: LSMError.self) { try batch.get("k") }
    try other.close()
  }

  /// Random changes to batch and store beside flushes and compactions, against sorted maps: a batch shows its moment with its changes, an iterator
  /// what the batch held when it was made, and writing it gives what it showed where nobody else wrote.
  @Test(.requirement("LSMTree.beyond.1", "LSMTree.keep.4")) func model() throws {
    for seed in 0..<UInt64(10 * testDepth) {
      do { try Self.run(seed) } catch {
        Issue.record("seed \(seed): \(error)")
        return
      }
    }
  }

  private static func run(_ seed: UInt64) throws {
    var random = Random(seed: seed)
    let keys = [4, 20, 100][random.below(3)]
    let store = try LSMTree.open(
      home, options: tinyOptions { $0.memtableBytes = [1024, 4096][random.below(2)] }, on: SimulatedFileSystem())
    var options = KeyspaceOptions()
    options.mergeOperator = Appending()
    let keyspaces = [store.defaultKeyspace, try store.keyspace("other", create: options)]
    var states: [[String: String]] = [[:], [:]]
    func write(_ place: Int) throws {
      let change = Change.random(&random, keys: keys)
      var batch = WriteBatch()
      try change.add(to: &batch, keyspaces[place])
      try store.write(batch)
      change.apply(to: &states[place])
    }
    for _ in 0..<60 { try write(random.below(2)) }
    for _ in 0..<4 {
      let batch = try store.indexedBatch()
      var seen = states
      var isAlone = true
      for _ in 0..<(random.chance(1, in: 4) ? 300 : 40) {
        let place = random.below(2)
        switch random.below(20) {
        case 0..<12:
          let change = Change.random(&random, keys: keys)
          try batch.add(change, in: keyspaces[place])
          change.apply(to: &seen[place])
        case 12:
          try write(place)
          isAlone = false
        case 13: store.stepBackground(budget: random.below(2000))
        case 14: try random.chance(1, in: 3) ? store.compact() : store.flush()
        case 15..<17:
          let key = String(repeating: "k", count: random.below(3)) + String(random.below(keys))
          let found = try batch.get(key, in: keyspaces[place])
          guard found == seen[place][key] else { throw Unexpected("\(key) is \(found ?? "absent"), not \(seen[place][key] ?? "absent")") }
        case 17: try walk(batch, keyspaces[place], sorted(seen[place]), keys, &random)
        default: try staleIterator(batch, keyspaces[place], &seen[place], keys, &random)
        }
      }
      for place in 0..<2 {
        let found = try batch.rows(in: keyspaces[place])
        guard found == sorted(seen[place]) else { throw Unexpected("\(found), not \(sorted(seen[place]))") }
      }
      if random.chance(1, in: 4) {
        batch.removeAll()
      } else if isAlone {
        try store.write(batch.finish())
        states = seen
      }
      for place in 0..<2 {
        let found = try store.rows(in: keyspaces[place])
        guard found == sorted(states[place]) else { throw Unexpected("stored: \(found), not \(sorted(states[place]))") }
      }
    }
    try store.close()
  }

  /// An iterator shows what there was when it was made, and after a refresh what there is.
  private static func staleIterator(
    _ batch: IndexedBatch, _ keyspace: Keyspace, _ state: inout [String: String], _ keys: Int, _ random: inout Random
  ) throws {
    var iterator = try batch.iterator(in: keyspace)
    let before = sorted(state)
    for _ in 0..<random.within(1...12) {
      let change = Change.random(&random, keys: keys)
      try batch.add(change, in: keyspace)
      change.apply(to: &state)
    }
    let stale = try both(&iterator)
    guard stale == before else { throw Unexpected("an iterator of before: \(stale), not \(before)") }
    try iterator.refresh()
    let fresh = try both(&iterator)
    guard fresh == sorted(state) else { throw Unexpected("a refreshed iterator: \(fresh), not \(sorted(state))") }
  }

  private static func walk(_ batch: IndexedBatch, _ keyspace: Keyspace, _ rows: [[String]], _ keys: Int, _ random: inout Random) throws {
    var iterator = try batch.iterator(in: keyspace)
    var place: Int?
    for _ in 0..<20 {
      let key = "k\(random.below(keys))"
      switch random.below(4) {
      case 0:
        try iterator.seek(bytes(key).span.bytes)
        place = rows.firstIndex { $0[0] >= key }
      case 1:
        try iterator.seekBefore(bytes(key).span.bytes)
        place = rows.lastIndex { $0[0] < key }
      case 2:
        try iterator.next()
        if let now = place { place = now + 1 < rows.count ? now + 1 : nil }
      default:
        try iterator.previous()
        if let now = place { place = now > 0 ? now - 1 : nil }
      }
      guard iterator.isValid == (place != nil), place.map({ iterator.row == rows[$0] }) ?? true else {
        throw Unexpected("walk: \(iterator.isValid ? "\(iterator.row)" : "nothing"), not \(place.map { "\(rows[$0])" } ?? "nothing")")
      }
    }
  }
}
