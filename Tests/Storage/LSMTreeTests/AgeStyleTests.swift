import StrataDisk
import StrataNodes
import StrataRequirements
import StrataSSTable
import StrataSimulation
import Testing

@testable import StrataLSMTree

/// Keyspaces whose tables go, or are merged, by age.
@Suite struct AgeStyleTests {
  static func settle(_ store: LSMTree) { while store.stepBackground(budget: 1 << 16) {} }

  static func fifo(_ bytes: UInt64, _ change: (inout LSMOptions) -> Void = { _ in }) -> LSMOptions {
    tinyOptions { options in
      options.memtableBytes = 2048
      options.defaultKeyspace.mergeOperator = nil
      options.defaultKeyspace.style = .fifo
      options.defaultKeyspace.fifoBytes = bytes
      change(&options)
    }
  }

  static func tables(_ store: LSMTree) -> [UInt64: TableMetadata] {
    Dictionary(uniqueKeysWithValues: store.defaultKeyspace.version.levels.tables.map { ($0.metadata.fileID, $0.metadata) })
  }

  /// A store beside the list of its changes: it holds what those behind the newest dropped sequence make.
  struct Fifo {
    var random: Random
    let seed: UInt64
    let disk = SimulatedFileSystem()
    let options: LSMOptions
    var store: LSMTree
    var changes: [(version: UInt64, change: Change)] = []
    var dropped: UInt64 = 0
    var snapshots: [(snapshot: Snapshot, rows: [[String]])] = []
    var hasFloor = false

    init(seed: UInt64) throws {
      (random, self.seed) = (Random(seed: seed), seed)
      let limit = UInt64(random.within(2500...9000))
      let (memtable, cache) = ([512, 2048][random.below(2)], [0, 1 << 20][random.below(2)])
      options = AgeStyleTests.fifo(limit) { options in
        options.memtableBytes = memtable
        options.blockCacheBytes = cache
        options.readTriggeredEntries = 64
      }
      store = try LSMTree.open(home, options: options, on: disk)
    }

    func state() -> [String: String] {
      var state: [String: String] = [:]
      for (version, change) in changes where version > dropped { change.apply(to: &state) }
      return state
    }

    mutating func step() throws {
      switch random.below(20) {
      case 0..<13:
        var change = Change.random(&random, keys: 40)
        if case .merge(let key, let operand) = change { change = .put(key, operand) }
        var batch = WriteBatch()
        try change.add(to: &batch, store.defaultKeyspace)
        changes.append((try store.write(batch), change))
      case 13: snapshots.append((store.snapshot(), try store.rows()))
      case 14: if !snapshots.isEmpty { snapshots.remove(at: random.below(snapshots.count)) }
      case 15: try store.flush()
      case 16: if random.chance(1, in: 4) { try compact() }
      case 17:
        guard random.chance(1, in: 3) else { return }
        let isPast = random.chance(1, in: 2)
        try store.setHistoryFloor(isPast ? store.lastVersion / 2 : store.lastVersion)
        hasFloor = true
      default:
        guard random.chance(1, in: 3) else { return }
        snapshots = []
        if random.chance(1, in: 2) { try store.close() } else { store.core.abandon() }
        store = try LSMTree.open(home, options: options, on: disk)
      }
      try settle()
    }

    /// One merge of everything, which changes nothing but the number of tables.
    private mutating func compact() throws {
      try store.flush()
      try settle()
      let rows = try store.rows()
      try store.compact()
      guard try store.rows() == rows else { throw Unexpected("seed \(seed): a merge has changed what is there") }
    }

    private mutating func settle() throws {
      let before = AgeStyleTests.tables(store)
      // Flushes first, so that tables are seen before they may go.
      var seen = before
      while store.stepBackground(budget: 200) { seen.merge(AgeStyleTests.tables(store)) { $1 } }
      try noteDropped(from: seen)
    }

    private mutating func noteDropped(from seen: [UInt64: TableMetadata]) throws {
      let now = AgeStyleTests.tables(store)
      let gone = seen.values.filter { now[$0.fileID] == nil }
      for table in gone {
        for (snapshot, _) in snapshots where snapshot.version >= table.minSequence {
          throw Unexpected("seed \(seed): table \(table.fileID) went though a snapshot at \(snapshot.version) sees it")
        }
        if let floor = store.core.historyFloor, floor < table.maxSequence {
          throw Unexpected("seed \(seed): table \(table.fileID) went though history begins at \(floor)")
        }
        dropped = max(dropped, table.maxSequence)
      }
    }

    func check() throws {
      let expected = sorted(state())
      let found = try store.rows()
      guard found == expected else { throw Unexpected("seed \(seed): \(found) where \(expected), dropped through \(dropped)") }
      for (snapshot, rows) in snapshots where try store.rows(at: snapshot) != rows {
        throw Unexpected("seed \(seed): the snapshot at \(snapshot.version) has changed")
      }
      let bytes = store.statistics.bytesByLevel[0]
      if snapshots.isEmpty, !hasFloor, bytes > options.defaultKeyspace.fifoBytes {
        throw Unexpected("seed \(seed): \(bytes) bytes of \(options.defaultKeyspace.fifoBytes)")
      }
      guard store.statistics.bytesByLevel.dropFirst().allSatisfy({ $0 == 0 }) else { throw Unexpected("seed \(seed): a table has left level 0") }
    }
  }

  @Test(.requirement("LSMTree.beyond.5", "LSMTree.keep.8")) func onlyTheOldestGoes() throws {
    var drops = 0
    for seed in 0..<UInt64(6 * testDepth) {
      var fifo = try Fifo(seed: seed)
      for step in 0..<300 {
        try fifo.step()
        if step % 3 == 0 { try fifo.check() }
      }
      drops += fifo.dropped > 0 ? 1 : 0
      try fifo.store.close()
    }
    #expect(drops > 3 * testDepth)
  }

  static func fill(_ store: LSMTree, _ keys: Range<Int>) throws {
    for key in keys {
      try store.put("\(1000 + key)", String(repeating: "x", count: 300))
      try store.flush()
      settle(store)
    }
  }

  /// What a snapshot sees stays with all that is newer, and goes with the first flush after its end.
  @Test(.requirement("LSMTree.beyond.5")) func aSnapshotKeepsWhatItSees() throws {
    let store = try LSMTree.open(home, options: Self.fifo(4000), on: SimulatedFileSystem())
    try Self.fill(store, 0..<3)
    var snapshot: Snapshot? = store.snapshot()
    let rows = try store.rows()
    #expect(rows.count == 3)
    try Self.fill(store, 3..<20)
    #expect(try store.rows(at: snapshot) == rows && store.rows().count == 20)
    snapshot = nil
    try Self.fill(store, 20..<21)
    #expect(store.statistics.bytesByLevel[0] <= 4000)
    let left = try store.rows().map { $0[0] }
    #expect(left.count < 12 && left == (21 - left.count..<21).map { "\(1000 + $0)" })
    // One that came up after the plan was made keeps its tables too.
    try store.put("2000", String(repeating: "y", count: 2000))
    try store.core.flushOnly()
    let job = try #require(store.core.nextCompaction())
    let late = store.snapshot()
    let seen = try store.rows()
    #expect(job.advance(budget: 1) == .done)
    #expect(try store.rows(at: late) == seen && store.rows() == seen)
    #expect(store.core.work.withLock { $0.busy.isEmpty && $0.running.isEmpty })
  }

  /// Where history is kept a table goes only when the floor has passed all of it.
  @Test(.requirement("LSMTree.beyond.5")) func historyKeepsItsTables() throws {
    let store = try LSMTree.open(home, options: Self.fifo(4000), on: SimulatedFileSystem())
    try Self.fill(store, 0..<3)
    let floor = try store.setHistoryFloor(0)
    try Self.fill(store, 3..<20)
    let changes = try Self.versions(store, since: floor)
    #expect(changes == (floor + 1...floor + 17).map { $0 })
    // The three that lie before the floor have gone, and no other.
    #expect(try store.rows().count == 17)
    try store.setHistoryFloor(floor + 10)
    try Self.fill(store, 20..<21)
    #expect(try Self.versions(store, since: floor + 10) == (floor + 11...floor + 18).map { $0 })
    #expect(try store.rows().count < 17)
  }

  private static func versions(_ store: LSMTree, since version: UInt64) throws -> [UInt64] {
    var iterator = try store.changes(since: version)
    var versions: [UInt64] = []
    while let change = try iterator.next() { versions.append(change.version) }
    return versions.sorted()
  }

  /// Style and bound are the keyspace's own, kept over restarts; others are refused, and tools take what there is.
  @Test(.requirement("LSMTree.keep.8", "LSMTree.never.17")) func stylesAreStored() throws {
    let disk = SimulatedFileSystem()
    var store = try LSMTree.open(home, options: Self.fifo(5000), on: disk)
    var hours = KeyspaceOptions()
    (hours.style, hours.windowLength) = (.timeWindow, .seconds(3600))
    _ = try store.keyspace("hours", create: hours)
    var small = hours
    (small.style, small.fifoBytes) = (.fifo, 77)
    _ = try store.keyspace("small", create: small)
    try Self.fill(store, 0..<4)
    try store.close()
    store = try LSMTree.open(home, options: Self.fifo(5000), on: disk)
    let held = store.statistics.keyspaces
    #expect(held.map(\.name) == ["", "hours", "small"] && held.map(\.style) == [.fifo, .timeWindow, .fifo])
    #expect(held.map(\.styleLimit) == [5000, 3600, 77] && held[0].tables == 4 && held[0].oldestTableTime == 1_700_000_000)
    #expect(try store.keyspace("hours").options.windowLength == .seconds(3600))
    #expect(throws: LSMError.self) { try store.keyspace("hours", create: small) }
    hours.windowLength = .seconds(60)
    #expect(throws: LSMError.self) { try store.keyspace("hours", create: hours) }
    hours.windowLength = .milliseconds(999)
    #expect(throws: LSMError.self) { try store.keyspace("none", create: hours) }
    small.mergeOperator = Appending()
    #expect(throws: LSMError.self) { try store.keyspace("none", create: small) }
    (small.mergeOperator, small.fifoBytes) = (nil, 0)
    #expect(throws: LSMError.self) { try store.keyspace("none", create: small) }
    try store.close()
    #expect(throws: LSMError.self) { try LSMTree.open(home, options: Self.fifo(5001), on: disk) }
    #expect(throws: LSMError.self) { try LSMTree.open(home, options: tinyOptions { $0.defaultKeyspace.mergeOperator = nil }, on: disk) }
    var tool = LSMOptions()
    (tool.background, tool.takesStoredKeyspaceOptions) = (.manual, true)
    store = try LSMTree.open(home, options: tool, on: disk)
    #expect(store.statistics.keyspaces.map(\.styleLimit) == [5000, 3600, 77])
    try store.close()
  }

  /// Crashes while tables are flushed and dropped: what is there is the newest, without holes, and a deleted key does not come back.
  @Test(.requirement("LSMTree.beyond.5", "LSMTree.never.3", "LSMTree.never.19")) func crashesLeaveBeforeOrAfter() throws {
    let options = Self.fifo(3000) { $0.memtableBytes = 1024 }
    let report = try CrashTests.enumeration(images: 120).run { (disk: any FileSystem, ledger: Ledger<Note>) in
      let store = try LSMTree.open(home, options: options, on: disk)
      for number in 0..<12 {
        let filler = String(repeating: "x", count: 300)
        try CrashTests.write(store, ledger, [.put("\(100 + number)", filler), number == 0 ? .put("old", filler) : .delete("old")])
        store.stepBackground(budget: 300)
      }
      while store.stepBackground(budget: 300) {}
      try store.close()
    } recover: { (disk: any FileSystem, ledger: Ledger<Note>) in
      let store = try LSMTree.open(home, options: options, on: disk)
      let begun = ledger.entries.count { if case .began = $0 { true } else { false } }
      let durable = ledger.entries.count { $0 == .durable }
      let rows = try store.rows().map { $0[0] }
      let numbers = rows.compactMap { Int($0) }.map { $0 - 100 }
      let last = numbers.last.map { $0 + 1 } ?? 0
      guard (durable...begun).contains(last), numbers == Array((last - numbers.count)..<last) else {
        throw Unexpected("\(rows) with \(durable) of \(begun) durable")
      }
      if durable > 1, rows.contains("old") { throw Unexpected("the deleted key is back") }
      Self.settle(store)
      guard store.statistics.bytesByLevel[0] <= 3000 else { throw Unexpected("too much is kept") }
      store.core.abandon()
    }
    CrashTests.expectClean(report)
  }

  /// A store merged by windows holds what a sorted map holds; windows that are over are one table each, whatever is written, deleted and crashed.
  @Test(.requirement("LSMTree.beyond.6", "LSMTree.keep.8")) func windowsHoldEverything() throws {
    for seed in 0..<UInt64(5 * testDepth) {
      var random = Random(seed: seed)
      let (disk, clock) = (SimulatedFileSystem(), ExpiryTests.Clock())
      let options = tinyOptions { options in
        options.memtableBytes = 1024
        options.clock = { clock.now }
        options.defaultKeyspace.style = .timeWindow
        options.defaultKeyspace.windowLength = .seconds(100)
        options.levelZeroTrigger = random.within(2...4)
      }
      var store = try LSMTree.open(home, options: options, on: disk)
      var state: [String: String] = [:]
      var snapshots: [(snapshot: Snapshot, state: [String: String])] = []
      for step in 0..<300 {
        switch random.below(16) {
        case 0..<9:
          let change = Change.random(&random, keys: 30)
          var batch = WriteBatch()
          try change.add(to: &batch, store.defaultKeyspace)
          try store.write(batch)
          change.apply(to: &state)
        case 9, 10: clock.advance(seconds: UInt64(random.below(50)))
        case 11: try store.flush()
        case 12: snapshots.append((store.snapshot(), state))
        case 13: if !snapshots.isEmpty { snapshots.remove(at: random.below(snapshots.count)) }
        case 14: if random.chance(1, in: 6) { try store.compact() }
        default:
          guard random.chance(1, in: 3) else { continue }
          snapshots = []
          if random.chance(1, in: 2) { try store.close() } else { store.core.abandon() }
          store = try LSMTree.open(home, options: options, on: disk)
        }
        Self.settle(store)
        guard try store.rows() == sorted(state) else { throw Unexpected("seed \(seed) step \(step): not what was written") }
        for (snapshot, state) in snapshots where try store.rows(at: snapshot) != sorted(state) {
          throw Unexpected("seed \(seed) step \(step): a snapshot has changed")
        }
        let over = Self.tables(store).values.map { $0.newestTime / 100 }.filter { $0 < clock.now / 100_000 }
        guard Set(over).count == over.count else { throw Unexpected("seed \(seed) step \(step): a window that is over has several tables") }
        guard store.statistics.tablesByLevel.dropFirst().allSatisfy({ $0 == 0 }) else { throw Unexpected("seed \(seed): a table has left level 0") }
      }
      try store.close()
    }
  }

  /// A table merged long after its window is over belongs to that window still, after a restart too.
  @Test(.requirement("LSMTree.beyond.6", "LSMTree.never.17")) func aTableKeepsItsWindow() throws {
    let (disk, clock) = (SimulatedFileSystem(), ExpiryTests.Clock())
    let options = tinyOptions { options in
      options.clock = { clock.now }
      options.compactsAutomatically = false
      options.defaultKeyspace.style = .timeWindow
      options.defaultKeyspace.windowLength = .seconds(100)
    }
    var store = try LSMTree.open(home, options: options, on: disk)
    for key in 0..<3 {
      try store.put("\(key)", "1")
      try store.flush()
      clock.advance(seconds: 7)
    }
    let written = Self.tables(store).values.map(\.newestTime).max()
    clock.advance(seconds: 1000)
    try store.compact()
    #expect(Self.tables(store).values.map(\.newestTime) == [written])
    try store.close()
    store = try LSMTree.open(home, options: options, on: disk)
    #expect(Self.tables(store).values.map(\.newestTime) == [written])
    try store.close()
  }

  /// With a time to live old windows go as they are, table by table, and the young stay unmerged with them.
  @Test(.requirement("LSMTree.beyond.6")) func oldWindowsGoWhole() throws {
    let clock = ExpiryTests.Clock()
    let store = try LSMTree.open(
      home,
      options: ExpiryTests.options(clock) { options in
        options.defaultKeyspace.style = .timeWindow
        options.defaultKeyspace.windowLength = .seconds(40)
      }, on: SimulatedFileSystem())
    var most = 0
    for hour in 0..<40 {
      for part in 0..<4 {
        try store.put("\(1000 + hour * 4 + part)", String(repeating: "x", count: 100))
        try store.flush()
        clock.advance(seconds: 10)
        Self.settle(store)
      }
      most = max(most, store.statistics.tablesByLevel[0])
    }
    // Four windows of the time to live, the present one in up to four tables, and one that is about to go.
    #expect(most <= 10 && store.statistics.expiredValues == 0)
    #expect(try (16...20).contains(store.rows().count))
  }
}

extension LSMCore {
  /// Writes out what is in memory and leaves the rest of the background work alone.
  fileprivate func flushOnly() throws {
    try commit.withLock { (state) throws(LSMError) in
      try state.checkOpen()
      seal(defaultKeyspace, &state)
    }
    let job = nextJob(.flush)
    while case .progress? = job?.advance(budget: 1 << 20) {}
  }
}
