import StrataDisk
import StrataRequirements
import StrataSSTable
import StrataSimulation
import Synchronization
import SystemPackage
import Testing

@testable import StrataLSMTree

/// Keyspaces, history, checkpoints, repair, and what compactions may not do.
@Suite struct FeatureTests {
  let disk = SimulatedFileSystem()

  func open(_ change: (inout LSMOptions) -> Void = { _ in }) throws -> LSMTree {
    try LSMTree.open(home, options: tinyOptions(change), on: disk)
  }

  @Test(.requirement("LSMTree.keep.8")) func keyspacesShareLogAndOrder() throws {
    var store = try open { $0.flushesOnClose = false }
    for number in 0..<30 { try store.put("\(number)", "value") }
    try store.flush()
    var options = tinyOptions().defaultKeyspace
    options.style = .sizeTiered
    var other = try store.keyspace("other", create: options)
    #expect(throws: LSMError.self) { try store.keyspace("missing") }
    for number in 0..<40 {
      var batch = WriteBatch()
      try batch.put(bytes("n").span.bytes, bytes("\(number)").span.bytes)
      try batch.put(bytes("n").span.bytes, bytes("\(number)").span.bytes, in: other)
      try batch.put(bytes("k\(number)").span.bytes, bytes("only here").span.bytes, in: other)
      try store.write(batch)
      if number % 15 == 0 { try store.flush() }
      store.stepBackground()
    }
    let rows = try store.rows(in: other)
    #expect(rows.count == 41)
    try store.close()
    store = try open { $0.mergeOperators = [Appending()] }
    other = try store.keyspace("other")
    #expect(other.options.style == .sizeTiered)
    #expect(try store.rows(in: other) == rows)
    #expect(try store.get("n") == "39")
    try store.compact(in: other)
    #expect(try store.rows(in: other) == rows)
    try store.dropKeyspace(other)
    #expect(throws: LSMError.self) { try store.rows(in: other) }
    #expect(store.keyspaceNames == [])
    try store.close()
    store = try open()
    #expect(throws: LSMError.self) { try store.keyspace("other") }
    #expect(try store.get("n") == "39")
    let live = Set(store.core.manifest.state.keyspaces.values.flatMap(\.tables.keys))
    #expect(Set(try disk.list(home).compactMap { FileName($0)?.tableNumber }) == live)
  }

  /// The log goes back to what one keyspace still needs; what another has in tables already is not applied again.
  @Test(.requirement("LSMTree.keep.6")) func replayPassesOverWhatTablesHold() throws {
    var store = try open { options in
      options.memtableBytes = 2048
      options.maxLogBytes = 1 << 20
      options.flushesOnClose = false
    }
    let other = try store.keyspace("other", create: tinyOptions().defaultKeyspace)
    try store.merge(bytes("a").span.bytes, operand: bytes("1").span.bytes, in: other)
    for number in 0..<200 {
      try store.merge("m", "\(number) \(String(repeating: "x", count: 40))")
      while store.stepBackground(budget: 1 << 16) {}
    }
    #expect(store.statistics.flushes > 1)
    let marks = store.core.manifest.state.keyspaces.mapValues(\.flushedLog)
    #expect(marks[other.id] == 0 && marks[0] ?? 0 > 1)
    let wanted = try store.get("m")
    store.core.abandon()
    store = try open { $0.mergeOperators = [Appending()] }
    #expect(try store.get("m") == wanted)
    #expect(text(try store.get(bytes("a").span.bytes, in: try store.keyspace("other"))) == "1")
  }

  @Test func historyAboveTheFloorStaysReadable() throws {
    let store = try open()
    try store.put("a", "old")
    #expect(throws: LSMError.self) { try store.snapshot(at: 0) }
    #expect(throws: LSMError.self) { _ = try store.changes(since: 0) }
    let floor = try store.setHistoryFloor(0)
    #expect(floor == 1)
    var states: [UInt64: [[String]]] = [floor: try store.rows()]
    for number in 0..<40 {
      let version = number % 5 == 4 ? try store.delete("a") : try store.put("a", "\(number)")
      states[version] = try store.rows()
      if number % 10 == 0 { try store.compact() }
    }
    for (version, rows) in states { #expect(try store.rows(at: store.snapshot(at: version)) == rows) }
    var changes = try store.changes(since: floor)
    var versions: [UInt64] = []
    while let change = try changes.next() { versions.append(change.version) }
    #expect(versions.sorted() == Array(2...41))
    try store.setHistoryFloor(20)
    #expect(throws: LSMError.self) { try store.snapshot(at: 19) }
    #expect(throws: LSMError.self) { _ = try store.changes(since: 19) }
    #expect(try store.setHistoryFloor(5) == 20)
    try store.compact()
    for (version, rows) in states where version >= 20 { #expect(try store.rows(at: store.snapshot(at: version)) == rows) }
  }

  @Test func aCheckpointIsAStore() throws {
    let store = try open { $0.flushesOnClose = false }
    for number in 0..<60 { try store.put("\(number)", "value \(number)") }
    try store.deleteRange("2", "3")
    let rows = try store.rows()
    try store.checkpoint(to: "/copy")
    for number in 0..<60 { try store.delete("\(number)") }
    try store.compact()
    let copy = try LSMTree.open("/copy", options: tinyOptions(), on: disk)
    #expect(try copy.rows() == rows)
    #expect(throws: LSMError.self) { try store.checkpoint(to: "/copy") }
    #expect(try copy.verify().damage.isEmpty)
  }

  @Test func repairingALostManifest() throws {
    let store = try open { $0.flushesOnClose = false }
    for number in 0..<80 { try store.put("\(number)", "value \(number)") }
    try store.merge("m", "1")
    try store.compact()
    try store.merge("m", "2")
    try store.flush()
    try store.merge("m", "3")
    let rows = try store.rows()
    try store.close()
    let manifest = try #require(try disk.list(home).first { $0.hasPrefix("MANIFEST") })
    try disk.open(home.appending(manifest), .readWrite).truncate(to: 20)
    #expect(throws: LSMError.self) { try open() }
    #expect(try LSMTree.repair(home, options: tinyOptions(), on: disk) == [])
    #expect(try open().rows() == rows)
  }

  /// A repaired store merges as it did before, where its manifest still says how.
  @Test func repairingKeepsTheStyle() throws {
    var options = tinyOptions { options in
      options.defaultKeyspace.style = .timeWindow
      options.defaultKeyspace.mergeOperator = nil
      options.defaultKeyspace.windowLength = .seconds(60)
      options.defaultKeyspace.timeToLive = .seconds(600)
    }
    let store = try LSMTree.open(home, options: options, on: disk)
    for number in 0..<80 { try store.put("\(number)", "value \(number)") }
    try store.flush()
    let rows = try store.rows()
    try store.close()
    let number = try #require(try disk.list(home).compactMap { FileName($0)?.manifestNumber }.max())
    let manifest = FileName.manifest(number).path(in: home)
    // The first edit, which holds the state, stays; edits follow it, and the head before it is not needed.
    var bytes = try disk.readAll(manifest, limit: 1 << 20)
    let end = ManifestFormat.frame(bytes.span.bytes, at: ManifestFormat.headerBytes, file: number)?.payload.upperBound
    #expect(try #require(end) < bytes.count)
    bytes[3] ^= 1
    try disk.open(manifest, .readWrite).write(bytes, at: 0)
    #expect(LSMTree.storedStyle(home, on: disk) == .timeWindow)
    #expect(throws: LSMError.self) { try LSMTree.open(home, options: options, on: disk) }
    options.takesStoredKeyspaceOptions = true
    options.defaultKeyspace.style = .leveled
    #expect(try LSMTree.repair(home, options: options, on: disk) == [])
    let again = try LSMTree.open(home, options: options, on: disk)
    #expect(again.defaultKeyspace.options.style == .timeWindow && again.defaultKeyspace.options.timeToLive == .seconds(600))
    #expect(again.defaultKeyspace.options.windowLength == .seconds(60))
    #expect(try again.rows() == rows)
    try again.close()
    // Told otherwise it is otherwise; a manifest cut before its first edit tells nothing.
    options.takesStoredKeyspaceOptions = false
    options.defaultKeyspace.style = .sizeTiered
    options.defaultKeyspace.timeToLive = nil
    #expect(try LSMTree.repair(home, options: options, on: disk) == [])
    let told = try LSMTree.open(home, options: options, on: disk)
    #expect(told.defaultKeyspace.options.style == .sizeTiered)
    #expect(try told.rows() == rows)
    try told.close()
    for name in try disk.list(home) where FileName(name)?.manifestNumber != nil { try disk.open(home.appending(name), .readWrite).truncate(to: 60) }
    #expect(LSMTree.storedStyle(home, on: disk) == nil)
  }

  @Test func verifyFindsDamage() throws {
    let store = try open()
    for number in 0..<80 { try store.put("\(number)", "value \(number)") }
    try store.compact()
    #expect(try store.verify().damage.isEmpty)
    let table = try #require(store.defaultKeyspace.version.levels.tables.first).metadata.fileID
    let file = try disk.open(FileName.table(table).path(in: home), .readWrite)
    try file.write([try file.read(at: 150, count: 1)[0] ^ 4], at: 150)
    #expect(try store.verify().damage.count == 1)
  }

  /// A deletion its owner holds on to survives every compaction, and goes afterwards.
  @Test(.requirement("LSMTree.never.14")) func deletionsWaitForTheirOwner() throws {
    let mayGo = Atomic<Bool>(false)
    let asks: @Sendable ([UInt8], [UInt8], UInt64) -> Bool = { _, _, _ in mayGo.load(ordering: .acquiring) }
    try checkGrace(asks) { mayGo.store(true, ordering: .releasing) }
  }

  private func checkGrace(_ asks: @escaping @Sendable ([UInt8], [UInt8], UInt64) -> Bool, _ release: () -> Void) throws {
    let store = try open { $0.defaultKeyspace.isPurgeable = asks }
    try store.put("a", "1")
    try store.delete("a")
    try store.deleteRange("b", "c")
    try store.compact()
    #expect(store.statistics.tombstones == 2)
    release()
    try store.compact()
    #expect(store.statistics.tombstones == 0)
  }

  /// Absent keys are turned away by ranges and filters: almost no block is asked for.
  @Test(.requirement("LSMTree.never.15")) func absentKeysReadNoBlocks() throws {
    let store = try open { options in
      options.compactsAutomatically = false
      options.levelZeroStop = 100
      options.levelZeroSlowdown = 90
      options.memtableBytes = 64 << 10
      options.defaultKeyspace.targetTableBytes = 1 << 20
    }
    for table in 0..<20 {
      for number in 0..<100 { try store.put("\(number * 20 + table)", "value") }
      try store.flush()
    }
    #expect(store.statistics.tablesByLevel[0] == 20)
    let before = store.statistics.cache
    for number in 0..<2000 { #expect(try store.get("\(number)x") == nil) }
    let after = store.statistics.cache
    let blocks = (after.hits + after.misses) - (before.hits + before.misses)
    // Twenty tables at a false positive in a hundred, two blocks each at most.
    #expect(blocks < 2000 * 20 * 2 / 50, "\(blocks) blocks")
  }

  /// No plan takes in much, however large the store: compaction is incremental.
  @Test(.requirement("LSMTree.never.16", "LSMTree.never.18")) func plansStaySmall() throws {
    let store = try open { options in
      options.defaultKeyspace.targetTableBytes = 1024
      options.defaultKeyspace.baseLevelBytes = 4096
      options.bytesPerSecond = 1 << 30
    }
    var most = 0
    for number in 0..<3000 {
      try store.put("\(number * 7919 % 1000)", "value \(number)")
      store.stepBackground(budget: 512)
      most = max(most, store.core.work.withLock { $0.running.map(\.inputs.count).max() ?? 0 })
    }
    #expect(most > 1 && most <= 50, "\(most)")
    #expect(try store.rows().count == 1000)
  }

  /// A put leaves merging to the background: nothing is merged between a put's begin and end.
  @Test(.requirement("LSMTree.never.6")) func puttersDoNotMerge() throws {
    let store = try open { options in
      options.levelZeroStop = 1000
      options.levelZeroSlowdown = 900
      options.maxSealedMemtables = 1000
    }
    for number in 0..<400 { try store.put("\(number)", "value \(number)") }
    #expect(store.statistics.flushes == 0 && store.statistics.compactions == 0)
    while store.stepBackground() {}
    #expect(store.statistics.flushes > 0)
  }

  /// The clock jumps an hour back and forth; the order of writes decides.
  @Test(.requirement("LSMTree.never.13")) func clocksDecideNothing() throws {
    let ticks = Atomic<UInt64>(0)
    try checkClock { 1_700_000_000_000 + (ticks.add(1, ordering: .relaxed).newValue % 2) * 3_600_000 }
  }

  private func checkClock(_ clock: @escaping @Sendable () -> UInt64) throws {
    var store = try open { $0.clock = clock }
    for number in 0..<200 {
      try store.put("\(number % 3)", "\(number)")
      if number % 20 == 0 { try store.flush() }
    }
    try store.compact()
    try store.close()
    store = try open { $0.clock = clock }
    #expect(try store.rows() == [["0", "198"], ["1", "199"], ["2", "197"]])
  }

  /// A keyspace that hardly changes does not keep the log of one that does, and all memtables together stay within the memory limit.
  @Test func idleKeyspacesDoNotHoldTheLog() throws {
    let store = try open { $0.maxLogBytes = 24 << 10 }
    let idle = try store.keyspace("idle", create: tinyOptions().defaultKeyspace)
    var batch = WriteBatch()
    try batch.put(bytes("a").span.bytes, bytes("1").span.bytes, in: idle)
    try store.write(batch)
    var most: UInt64 = 0
    for number in 0..<1000 {
      try store.put("\(number % 50)", String(repeating: "x", count: 1000))
      store.stepBackground(budget: 1 << 16)
      most = max(most, store.statistics.log.diskBytes)
    }
    // A megabyte was written; a segment of the log is never shorter than 64 KiB.
    #expect(most < 300 << 10, "\(most) bytes of log")
    #expect(text(try store.get(bytes("a").span.bytes, in: idle)) == "1")
  }

  @Test func manyKeyspacesStayWithinTheMemoryLimit() throws {
    let store = try open { options in
      options.memtableBytes = 32 << 10
      options.memoryLimit = 64 << 10
    }
    let spaces = try (0..<8).map { try store.keyspace("space \($0)", create: tinyOptions().defaultKeyspace) }
    for number in 0..<800 {
      try store.put(bytes("\(number)").span.bytes, bytes(String(repeating: "x", count: 150)).span.bytes, in: spaces[number % 8])
      while store.stepBackground(budget: 1 << 16) {}
      #expect(store.statistics.memtableBytes < 64 << 10)
    }
  }

  /// A full disk passes: reads go on, and writes too once there is space.
  @Test func fullDisksPass() throws {
    let store = try open()
    try store.put("a", "1")
    store.core.jobFailed(.noSpace(home), "a test")
    #expect(store.pressure == .stopped(.noSpace))
    #expect(try store.get("a") == "1")
    try store.put("b", "2")
    #expect(store.pressure == .none)
  }
}
