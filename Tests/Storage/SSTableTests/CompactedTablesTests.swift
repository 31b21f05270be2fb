import StrataDisk
import StrataNodes
import StrataRequirements
import StrataSimulation
import SystemPackage
import Testing

@testable import StrataSSTable

/// A directory of tables that keeps itself in shape: what readers see stays, whatever is merged, moved, reopened and crashed.
@Suite struct CompactedTablesTests {
  static let place: FilePath = "/compacted"

  static func options(_ change: (inout CompactedTables.Options) -> Void = { _ in }) -> CompactedTables.Options {
    var options = CompactedTables.Options()
    options.table = tinyOptions()
    options.targetFileSize = 600
    var strategy = LeveledStrategy()
    (strategy.level0Trigger, strategy.baseLevelBytes, strategy.fanOut, strategy.targetFileSize) = (2, 1500, 3, 600)
    options.strategy = strategy
    change(&options)
    return options
  }

  static func strategy(_ random: inout Random) -> any CompactionStrategy {
    switch random.below(3) {
    case 0:
      var strategy = LeveledStrategy()
      (strategy.level0Trigger, strategy.baseLevelBytes, strategy.fanOut) = (random.within(1...3), UInt64(random.within(400...3000)), 3)
      strategy.targetFileSize = 600
      return strategy
    case 1:
      var strategy = SizeTieredStrategy()
      strategy.minRuns = random.within(2...4)
      return strategy
    default: return TimeWindowStrategy(windowSeconds: UInt64(random.within(1...40)), now: UInt64(random.below(200)))
    }
  }

  static func contents(_ set: CompactedTables) throws -> History {
    var all = History()
    for table in set.readers {
      all.entries += try forward(table.cursor())
      all.ranges += table.rangeTombstones.deletions
    }
    return all
  }

  static func expectShape(_ set: CompactedTables, _ seed: UInt64) {
    for level in 1..<CompactedTables.levels {
      let tables = set.tables.filter { Int($0.level) == level }
      #expect(PlannerTests.isSorted(tables), "seed \(seed): level \(level) overlaps")
    }
    #expect(set.readers.map(\.metadata.fileID) == set.tables.map(\.fileID), "seed \(seed)")
  }

  /// Random histories in layers, strategies that change, restarts: no reader sees a difference.
  @Test(.requirement("SSTable.keep.5", "SSTable.keep.6", "SSTable.keep.7", "SSTable.never.8"), arguments: 0..<UInt64(60 * testDepth))
  func nobodySeesADifference(seed: UInt64) throws {
    var random = Random(seed: seed)
    let test = try MergeTests.Case(&random)
    let disk = test.disk
    var options = Self.options()
    options.policy.snapshots = test.snapshots
    options.policy.historyFloor = test.floor
    options.policy.mergeOperator = Append(folds: random.chance(1, in: 2))
    options.targetFileSize = random.chance(1, in: 2) ? 1 : 600
    options.strategy = Self.strategy(&random)
    var set: CompactedTables? = try CompactedTables.open(Self.place, options: options, on: disk)
    var added = History()
    let readers = Set(test.snapshots + [Trailer.maxSequence] + (test.floor.map { floor in (floor...200).map { $0 } } ?? []))
    for table in test.tables {
      try set?.add(table)
      added.entries += try forward(table.cursor())
      added.ranges += table.rangeTombstones.deletions
      var rounds = 0
      while let current = set, current.needsCompaction, rounds < 100 {
        rounds += 1
        let before = (current.tables, try disk.list(Self.place), current.plan)
        #expect(before == (current.tables, try disk.list(Self.place), current.plan), "seed \(seed): looking has changed something")
        let made = try current.run()
        #expect(current.tables != before.0, "seed \(seed): a plan without effect")
        #expect(made.allSatisfy { reader in current.tables.contains { $0.fileID == reader.metadata.fileID } })
        Self.expectShape(current, seed)
        let now = try Self.contents(current)
        for sequence in readers.sorted() {
          for key in test.history.keys where now.visible(key, at: sequence) != added.visible(key, at: sequence) {
            Issue.record("seed \(seed): \(String(decoding: key, as: UTF8.self)) at \(sequence) has changed after \(String(describing: before.2))")
            return
          }
        }
        if random.chance(1, in: 4) {
          let tables = current.tables
          current.close()
          #expect(!current.needsCompaction)
          #expect(throws: TableError.self) { try current.run() }
          options.strategy = Self.strategy(&random)
          set = try CompactedTables.open(Self.place, options: options, on: disk)
          #expect(set?.tables == tables, "seed \(seed): another shape after opening")
        }
      }
      #expect(rounds < 100, "seed \(seed): it never ends")
    }
    // Nothing is left that the list does not name.
    let names = Set(try disk.list(Self.place)).subtracting(["TABLES", "LOCK"])
    #expect(names == Set(set?.tables.map { TableList.name($0.fileID) } ?? []), "seed \(seed)")
  }

  static func layer(_ number: UInt64, on disk: any FileSystem) throws -> TableReader {
    let entries = (0..<12).map { key in
      TestEntry(bytes("k\(100 + (key * 7 + Int(number)) % 20)"), number, key % 4 == 3 ? .deletion : .value, key % 4 == 3 ? [] : bytes("\(number)"))
    }
    try build(entries.sorted { $0.internalKey < $1.internalKey }, id: number, on: disk)
    return try open(number, on: disk)
  }

  static func rows(_ history: History) -> [[UInt8]: [UInt8]] {
    var rows: [[UInt8]: [UInt8]] = [:]
    for key in history.keys { rows[key] = history.visible(key, at: Trailer.maxSequence) }
    return rows
  }

  /// The power fails before every disk operation of adding, merging and opening, and again in the recovery.
  @Test(.requirement("SSTable.never.12")) func everyCrashLeavesBeforeOrAfter() throws {
    let source = newDisk()
    let layers = try (1...5).map { try Self.layer(UInt64($0), on: source) }
    var states: [[[UInt8]: [UInt8]]] = [[:]]
    var history = History()
    for layer in layers {
      history.entries += try forward(layer.cursor())
      states.append(Self.rows(history))
    }
    var settings = CrashEnumeration.Options()
    settings.crashesPerRecovery = 2
    settings.maximumFailures = 1
    settings.maximumImages = testDepth >= 10 ? .max : 250 * testDepth
    func recover(_ disk: any FileSystem, _ ledger: Ledger<Int>) throws {
      let set = try CompactedTables.open(Self.place, options: Self.options(), on: disk)
      let found = Self.rows(try Self.contents(set)).filter { !$0.value.isEmpty }
      let least = ledger.entries.last ?? 0
      guard states[least...min(least + 1, states.count - 1)].contains(found) else { throw DamageTests.Lost(id: UInt64(least)) }
      let names = Set(try disk.list(Self.place)).subtracting(["TABLES", "LOCK"])
      guard names == Set(set.tables.map { TableList.name($0.fileID) }) else { throw DamageTests.Lost(id: 1000) }
      while set.needsCompaction { try set.run() }
      guard Self.rows(try Self.contents(set)) == found else { throw DamageTests.Lost(id: 2000) }
    }
    func workload(_ disk: any FileSystem, _ ledger: Ledger<Int>, _ layers: ArraySlice<TableReader>) throws {
      let set = try CompactedTables.open(Self.place, options: Self.options(), on: disk)
      for (index, layer) in layers.enumerated() {
        try set.add(layer)
        ledger.note(index + 1)
        while set.needsCompaction { try set.run() }
      }
    }
    let report = try CrashEnumeration(settings).run { disk, ledger in
      try workload(disk, ledger, layers[...])
    } recover: {
      try recover($0, $1)
    }
    #expect(report.isClean, "\(report)")
    settings.crashesPerRecovery = 0
    let sites = try CrashEnumeration(settings).undetectedSyncs { disk, ledger in
      try workload(disk, ledger, layers[..<2])
    } recover: {
      try recover($0, $1)
    }
    // The directory's own name is made durable twice; the first list before anything is noted.
    let unexplained = sites.undetected.filter { site in !Self.redundant.contains { site.contains($0) } }
    #expect(!sites.detected.isEmpty && unexplained.isEmpty, "\(sites)")
  }

  static let redundant = ["syncDirectory / ", "syncDirectory /compacted after makeDirectory"]

  /// The oldest tables go, none that a snapshot sees; readers that are held go on.
  @Test(.requirement("SSTable.never.11")) func fifoDropsWhatNobodySees() throws {
    let disk = newDisk()
    let layers = try (1...6).map { try Self.layer(UInt64($0), on: disk) }
    let options = Self.options {
      $0.strategy = FirstInFirstOutStrategy(maxBytes: 1)
      $0.policy.snapshots = [3]
    }
    let set = try CompactedTables.open(Self.place, options: options, on: disk)
    for layer in layers { try set.add(layer) }
    #expect(!set.needsCompaction && set.tables.count == 6)
    set.options.policy.snapshots = []
    set.options.policy.historyFloor = 2
    let oldest = try #require(set.readers.last)
    #expect(set.plan?.inputs.joined().map(\.maxSequence) == [2, 1])
    #expect(try set.run().isEmpty && set.tables.map(\.maxSequence) == [6, 5, 4, 3])
    #expect(try forward(oldest.cursor()).count == 12)
    set.options.policy.historyFloor = nil
    #expect(try set.run().isEmpty && set.tables.isEmpty && !set.needsCompaction)
    #expect(Set(try disk.list(Self.place)) == ["LOCK", "TABLES"])
  }

  /// Versions decide, not the order of adding: an old version added after a merge of the newer one stays hidden.
  @Test(.requirement("SSTable.never.13")) func anOlderTableAddedLater() throws {
    let disk = newDisk()
    var strategy = SizeTieredStrategy()
    strategy.minRuns = 2
    let set = try CompactedTables.open(Self.place, options: Self.options { $0.strategy = strategy }, on: disk)
    for (id, entry) in [TestEntry(bytes("k"), 9, .value, [9]), TestEntry(bytes("z"), 10, .value, [10])].enumerated() {
      try build([entry], id: UInt64(id + 1), on: disk)
      try set.add(open(UInt64(id + 1), on: disk))
    }
    #expect(try set.run().count == 1)
    try build([TestEntry(bytes("k"), 3, .value, [3])], id: 3, on: disk)
    try set.add(open(3, on: disk))
    #expect(try Self.contents(set).visible(bytes("k"), at: Trailer.maxSequence) == [9])
  }

  /// Damage, a missing list, a second opener and foreign names.
  @Test func badDirectories() throws {
    let disk = newDisk()
    let layers = try (1...3).map { try Self.layer(UInt64($0), on: disk) }
    do {
      let set = try CompactedTables.open(Self.place, options: Self.options { $0.strategy = SizeTieredStrategy() }, on: disk)
      for layer in layers { try set.add(layer) }
      #expect(throws: TableError.self) { try CompactedTables.open(Self.place, on: disk) }
    }
    let path = Self.place.appending("TABLES")
    let good = try disk.readAll(path, limit: 1 << 20)
    try disk.install(Self.place.appending("notes.txt"), [1])
    try disk.install(Self.place.appending("0000000099.sst"), [1])
    try disk.install(Self.place.appending("0000000098.sst.tmp"), [1])
    _ = try CompactedTables.open(Self.place, on: disk)
    let left = Set(try disk.list(Self.place))
    #expect(left == ["LOCK", "TABLES", "notes.txt", "0000000001.sst", "0000000002.sst", "0000000003.sst"])
    for offset in good.indices {
      for bit in [0, 5] {
        var bad = good
        bad[offset] ^= 1 << bit
        try disk.install(path, bad)
        do {
          _ = try CompactedTables.open(Self.place, on: disk)
          Issue.record("byte \(offset) of the list is damaged and nobody minds")
        } catch { if case .corruptList = error { continue } else { Issue.record("byte \(offset): \(error)") } }
      }
    }
    for count in 0..<good.count {
      try disk.install(path, Array(good[..<count]))
      #expect(throws: TableError.self) { try CompactedTables.open(Self.place, on: disk) }
    }
    try disk.remove(path)
    #expect(throws: TableError.corruptList(path, reason: "missing, though there is 0000000001.sst")) {
      try CompactedTables.open(Self.place, on: disk)
    }
    try disk.install(path, good)
    #expect(try CompactedTables.open(Self.place, on: disk).tables.count == 3)
    // A table that is not there fails the opening, and nothing is removed.
    try disk.remove(Self.place.appending("0000000002.sst"))
    #expect(throws: TableError.self) { try CompactedTables.open(Self.place, on: disk) }
    #expect(try disk.exists(Self.place.appending("0000000003.sst")))
  }

  /// A change whose list could not be written is not there, and nothing more is changed.
  @Test func aFailedListIsFinal() throws {
    let disk = newDisk()
    let layers = try (1...3).map { try Self.layer(UInt64($0), on: disk) }
    let set = try CompactedTables.open(Self.place, options: Self.options { $0.strategy = SizeTieredStrategy() }, on: disk)
    try set.add(layers[0])
    try disk.makeDirectory(Self.place.appending("TABLES.tmp"))
    #expect(throws: TableError.self) { try set.add(layers[1]) }
    try disk.removeDirectory(Self.place.appending("TABLES.tmp"))
    #expect(throws: TableError.self) { try set.add(layers[2]) }
    #expect(throws: TableError.self) { try set.run() }
    #expect(!set.needsCompaction && set.tables.count == 1)
  }
}
