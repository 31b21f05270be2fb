import StrataNodes
import StrataRequirements
import StrataSimulation
import Testing

@testable import StrataLSMTree

/// Deletions that readers pass over again and again go though nobody writes.
@Suite struct ReadTriggeredTests {
  static func options(entries: Int?, _ change: (inout LSMOptions) -> Void = { _ in }) -> LSMOptions {
    tinyOptions { options in
      options.memtableBytes = 256 << 10
      options.levelZeroTrigger = 4
      options.readTriggeredEntries = entries
      options.defaultKeyspace.targetTableBytes = 1 << 20
      options.defaultKeyspace.baseLevelBytes = 1 << 20
      change(&options)
    }
  }

  static func key(_ number: Int) -> String { String(10_000 + number) }

  static func fill(_ store: LSMTree, _ count: Int) throws {
    for number in 0..<count { try store.put(key(number), "value \(number)", durability: .some(.none)) }
  }

  /// Begins at a key and moves once over what is deleted behind it; the key it comes to.
  static func step(_ store: LSMTree, from number: Int) throws -> String {
    var iterator = try store.iterator()
    try iterator.seek(bytes(key(number)).span.bytes)
    guard iterator.isValid else { return "" }
    try iterator.next()
    return iterator.isValid ? iterator.row[0] : ""
  }

  static func rest(_ store: LSMTree) { while store.stepBackground() {} }

  static func tables(_ store: LSMTree) -> [UInt64] { store.defaultKeyspace.version.levels.tables.map(\.metadata.fileID).sorted() }

  @Test(.requirement("LSMTree.beyond.3")) func aRowOfDeletionsInLevelZero() throws {
    for entries in [200, nil] as [Int?] {
      let store = try LSMTree.open(home, options: Self.options(entries: entries), on: SimulatedFileSystem())
      try Self.fill(store, 400)
      try store.compact()
      for number in 100..<300 { try store.delete(Self.key(number)) }
      try store.flush()
      Self.rest(store)
      let before = Self.tables(store)
      #expect(store.statistics.tablesByLevel[0] == 1 && store.statistics.tombstones == 200)
      // One pass is not enough: the row is shorter than what the pass may cost.
      #expect(try Self.step(store, from: 50) == Self.key(51))
      Self.rest(store)
      #expect(Self.tables(store) == before)
      for _ in 0..<3 { #expect(try Self.step(store, from: 99) == Self.key(300)) }
      Self.rest(store)
      if entries == nil {
        #expect(Self.tables(store) == before)
      } else {
        #expect(store.statistics.tablesByLevel[0] == 0 && store.statistics.tombstones == 0)
        #expect(store.core.work.withLock { $0.stumbledOver } == [])
      }
      #expect(try Self.step(store, from: 99) == Self.key(300))
      #expect(try store.rows().count == 200)
      try store.close()
    }
  }

  /// Deletions that nobody has flushed are flushed for their readers, and then go as others do; what a snapshot does not see yet is no reason.
  @Test(.requirement("LSMTree.beyond.3")) func aRowOfDeletionsInMemory() throws {
    for entries in [200, nil] as [Int?] {
      let options = Self.options(entries: entries) { $0.maxLogBytes = 1 << 30 }
      let store = try LSMTree.open(home, options: options, on: SimulatedFileSystem())
      try Self.fill(store, 400)
      try store.compact()
      var snapshot: Snapshot? = store.snapshot()
      for number in 400..<600 { try store.put(Self.key(number), "too new") }
      for _ in 0..<9 { #expect(try store.rows(at: snapshot).count == 400) }
      Self.rest(store)
      #expect(store.statistics.flushes == 1)
      snapshot = nil
      for number in 100..<300 { try store.delete(Self.key(number)) }
      for _ in 0..<6 { #expect(try Self.step(store, from: 99) == Self.key(300)) }
      Self.rest(store)
      #expect(store.statistics.flushes == (entries == nil ? 1 : 2))
      for _ in 0..<9 { #expect(try Self.step(store, from: 99) == Self.key(300)) }
      Self.rest(store)
      if entries != nil { #expect(store.statistics.tombstones == 0 && store.statistics.tablesByLevel[0] == 0) }
      #expect(try store.rows().count == 400)
      try store.close()
    }
  }

  /// Deletions that a snapshot has kept at the bottom go when readers meet them after its end, and not before.
  @Test(.requirement("LSMTree.beyond.3")) func deletionsLeftAtTheBottom() throws {
    let store = try LSMTree.open(home, options: Self.options(entries: 200), on: SimulatedFileSystem())
    try Self.fill(store, 1000)
    var snapshot: Snapshot? = store.snapshot()
    for number in 100..<200 { try store.delete(Self.key(number)) }
    try store.compact()
    let before = Self.tables(store)
    #expect(store.statistics.tombstones == 100)
    for _ in 0..<30 { #expect(try Self.step(store, from: 99) == Self.key(200)) }
    Self.rest(store)
    #expect(Self.tables(store) == before)
    #expect(try store.rows(at: snapshot).count == 1000)
    snapshot = nil
    Self.rest(store)
    #expect(store.statistics.tombstones == 0)
    #expect(Self.tables(store) != before)
    #expect(try store.rows().count == 900)
    try store.close()
  }

  /// Backward as forward; and a run of the size-tiered style, which is merged with all that is older.
  @Test func backwardOverRuns() throws {
    let options = Self.options(entries: 200) { $0.defaultKeyspace.style = .sizeTiered }
    let store = try LSMTree.open(home, options: options, on: SimulatedFileSystem())
    try Self.fill(store, 400)
    try store.flush()
    for number in 100..<300 { try store.delete(Self.key(number)) }
    try store.flush()
    Self.rest(store)
    #expect(store.statistics.tablesByLevel[0] == 2)
    for _ in 0..<3 {
      var iterator = try store.iterator()
      try iterator.seekBefore(bytes(Self.key(300)).span.bytes)
      #expect(iterator.row[0] == Self.key(99))
    }
    Self.rest(store)
    #expect(store.statistics.tablesByLevel[0] == 1 && store.statistics.tombstones == 0)
    #expect(try store.rows().count == 200)
    try store.close()
  }

  /// A range deletion is charged with the keys it hides.
  @Test func aRangeDeletion() throws {
    let store = try LSMTree.open(home, options: Self.options(entries: 200), on: SimulatedFileSystem())
    try Self.fill(store, 400)
    try store.compact()
    try store.deleteRange(Self.key(100), Self.key(300))
    try store.flush()
    Self.rest(store)
    #expect(store.statistics.tablesByLevel[0] == 1)
    for _ in 0..<3 { #expect(try Self.step(store, from: 99) == Self.key(300)) }
    Self.rest(store)
    #expect(store.statistics.tablesByLevel[0] == 0 && store.statistics.tombstones == 0)
    #expect(try store.rows().count == 200)
    try store.close()
  }

  /// A table between level 0 and the last one goes down with everything it overlaps there, and not because it is dense with deletions.
  @Test(.requirement("LSMTree.beyond.3", "SSTable.never.8")) func aTableInTheMiddle() throws {
    let options = Self.options(entries: 64) { options in
      options.levelZeroTrigger = 1
      options.defaultKeyspace.targetTableBytes = 100 << 10
      options.defaultKeyspace.baseLevelBytes = 200 << 10
      options.defaultKeyspace.table.blockSize = 4096
      options.memtableBytes = 1 << 20
    }
    let store = try LSMTree.open(home, options: options, on: SimulatedFileSystem())
    var random = Random(seed: 1)
    var expected: [String: [UInt8]] = [:]
    func put(_ number: Int) throws {
      let value = random.bytes(1000)
      try store.put(bytes(Self.key(number)).span.bytes, value.span.bytes, durability: .some(.none))
      expected[Self.key(number)] = value
    }
    for number in 0..<400 { try put(number) }
    try store.compact()
    for number in 100..<300 {
      try store.delete(Self.key(number))
      expected[Self.key(number)] = nil
    }
    for number in 300..<390 { try put(number) }
    try store.flush()
    Self.rest(store)
    let levels = store.defaultKeyspace.version.levels
    let upper = try #require(levels.deeper[4].tables.first)
    #expect(store.statistics.tablesByLevel == [0, 0, 0, 0, 0, 1, levels.deeper[5].count] && levels.deeper[5].count > 2)
    #expect(!upper.metadata.isTombstoneDense && upper.metadata.deletionCount == 200)
    let overlapped = levels.deeper[5].tables.filter { Levels.overlap($0.metadata, upper.metadata) }.map(\.metadata.fileID)
    #expect(overlapped.count > 1)
    for _ in 0..<3 { #expect(try Self.step(store, from: 99) == Self.key(300)) }
    Self.rest(store)
    try store.checkShape()
    #expect(store.statistics.tablesByLevel.dropLast().allSatisfy { $0 == 0 } && store.statistics.tombstones == 0)
    #expect(Set(Self.tables(store)).isDisjoint(with: overlapped + [upper.metadata.fileID]))
    for number in 0..<400 { #expect(try store.get(bytes(Self.key(number)).span.bytes) == expected[Self.key(number)]) }
    try store.close()
  }
}
