import StrataDisk
import StrataRequirements
import StrataSSTable
import StrataSimulation
import SystemPackage
import Testing

@testable import StrataLSMTree

/// What the surface promises, one thing at a time.
@Suite struct BasicTests {
  let disk = SimulatedFileSystem()

  func open(_ change: (inout LSMOptions) -> Void = { _ in }) throws -> LSMTree {
    try LSMTree.open(home, options: tinyOptions(change), on: disk)
  }

  @Test(.requirement("LSMTree.keep.1")) func puttingAndDeleting() throws {
    let store = try open()
    #expect(try store.rows() == [])
    #expect(try store.get("a") == nil)
    try store.delete("a")
    try store.put("a", "1")
    try store.put("b", "2")
    try store.put("a", "3")
    #expect(try store.get("a") == "3")
    #expect(try store.rangeScan(from: bytes("a"), to: bytes("b")).map { text($0.value) } == ["3"])
    try store.delete("a")
    #expect(try store.rows() == [["b", "2"]])
    try store.close()
    #expect(throws: LSMError.self) { try store.get("b") }
    #expect(throws: LSMError.self) { try store.put("b", "4") }
  }

  @Test(.requirement("LSMTree.never.7")) func emptyValuesAreNoDeletions() throws {
    var store = try open()
    try store.put("k", "")
    try store.put("", "empty key")
    #expect(try store.get("k") == "")
    try store.flush()
    #expect(try store.get("k") == "")
    try store.compact()
    #expect(try store.get("k") == "")
    try store.close()
    store = try open()
    #expect(try store.rows() == [["", "empty key"], ["k", ""]])
  }

  @Test(.requirement("LSMTree.keep.3")) func fullMemtablesBecomeTablesOfLevelZero() throws {
    let store = try open { options in
      options.memtableEntryLimit = 10
      options.compactsAutomatically = false
    }
    for number in 0..<35 { try store.put("\(number)", "value") }
    while store.stepBackground() {}
    let tables = store.defaultKeyspace.version.levels.levelZero.map(\.metadata)
    #expect(!tables.isEmpty)
    #expect(tables.map(\.fileID) == tables.map(\.fileID).sorted())
    #expect(store.statistics.tablesByLevel[0] == tables.count)
    #expect(try disk.list(home).contains(FileName.table(tables[0].fileID).text))
    #expect(try store.rows().count == 35)
  }

  @Test(.requirement("LSMTree.keep.5")) func fullCompactionLeavesOneRunWithoutTombstones() throws {
    let store = try open()
    for number in 0..<60 { try store.put("\(number)", "value") }
    for number in 0..<60 where number % 2 == 0 { try store.delete("\(number)") }
    try store.deleteRange("5", "6")
    try store.compact()
    let levels = store.defaultKeyspace.version.levels
    #expect(levels.runs.count == 1)
    #expect(store.statistics.tombstones == 0)
    #expect(levels.tables.reduce(0) { $0 + $1.metadata.entryCount } == UInt64(try store.rows().count))
  }

  @Test(.requirement("LSMTree.keep.7", "LSMTree.never.10")) func boundsAreExported() throws {
    let store = try open()
    for number in 0..<100 { try store.put("\(number)", "value") }
    let statistics = store.statistics
    #expect(statistics.recoveryBytesBound >= 4096)
    #expect(statistics.readAmplification >= 1)
    #expect(statistics.log.operations == 100)
  }

  @Test(.requirement("LSMTree.never.2")) func onlyTheManifestSaysWhatIsThere() throws {
    var store = try open { $0.compactsAutomatically = false }
    for number in 0..<50 { try store.put("\(number)", "value") }
    try store.close()
    let table = try #require(store.defaultKeyspace.version.levels.tables.first?.metadata.fileID)
    let path = FileName.table(table).path(in: home)
    let foreign = home.appending("0000009999.sst")
    try disk.open(foreign, .create).write(try disk.readAll(path, limit: 1 << 20), at: 0)
    try disk.open(home.appending("readme.txt"), .create).write([1], at: 0)
    store = try open()
    #expect(try store.rows().count == 50)
    let names = try disk.list(home)
    #expect(!names.contains("0000009999.sst"))
    #expect(names.contains("readme.txt"))
    try store.close()
    try disk.remove(path)
    #expect { try open() } throws: { error in
      if case LSMError.missingTables([table]) = error { true } else { false }
    }
  }

  @Test(.requirement("LSMTree.never.5")) func iteratorsSurviveCompactions() throws {
    let store = try open()
    for number in 0..<40 { try store.put("\(number)", "value") }
    try store.flush()
    var iterator = try store.iterator()
    let rows = try store.rows()
    try iterator.first()
    var seen: [[String]] = []
    for round in 0..<100 {
      try store.put("\(round % 40)", "round \(round)")
      try store.compact()
      if iterator.isValid {
        seen.append(iterator.row)
        try iterator.next()
      }
    }
    #expect(seen == rows)
    #expect(store.statistics.pinnedObsoleteBytes > 0)
    try iterator.refresh()
    while store.stepBackground() {}
    let live = Set(store.core.manifest.state.keyspaces.values.flatMap(\.tables.keys))
    let there = Set(try disk.list(home).compactMap { FileName($0)?.tableNumber })
    #expect(there == live)
  }

  /// The default keyspace may stand in a batch by its name and as none: it is one all the same, also where its part is larger than a memtable.
  @Test func aBatchNamesTheDefaultKeyspaceOrDoesNot() throws {
    let store = try LSMTree.open(home, options: tinyOptions { $0.memtableBytes = 16 << 10 }, on: SimulatedFileSystem())
    var expected: [String: String] = [:]
    for round in 0..<40 {
      var batch = WriteBatch()
      for number in 0..<6 {
        let (key, value) = ("\(round * number % 50)", String(repeating: "\(number)", count: 100 * round))
        try batch.put(bytes(key).span.bytes, bytes(value).span.bytes, in: (round + number) % 2 == 0 ? nil : store.defaultKeyspace)
        expected[key] = value
      }
      let before = store.lastVersion
      #expect(try store.write(batch) == before + 6)
    }
    #expect(try store.rows() == expected.sorted { $0.key < $1.key }.map { [$0.key, $0.value] })
    try store.flush()
    while store.stepBackground() {}
    #expect(try store.rows() == expected.sorted { $0.key < $1.key }.map { [$0.key, $0.value] })
    try store.close()
  }

  /// An entry as large as a memtable of a size about which memtables begin to have an index.
  @Test func entriesOfAMemtablesSizeAreTaken() throws {
    let store = try LSMTree.open(home, options: tinyOptions { $0.memtableBytes = 16 << 10 }, on: SimulatedFileSystem())
    for count in stride(from: 15_000, through: 16_600, by: 16) {
      try store.put("\(count)", String(repeating: "x", count: count))
      #expect(try store.get("\(count)")?.utf8.count == count)
    }
    try store.close()
  }

  @Test func batchesMayCarryVersions() throws {
    let store = try open()
    var batch = WriteBatch()
    try batch.put(bytes("a").span.bytes, bytes("1").span.bytes)
    try batch.put(bytes("b").span.bytes, bytes("2").span.bytes)
    #expect(batch.sequenceCount == 2)
    #expect(try store.write(batch, version: 100) == 100)
    #expect(store.lastVersion == 100)
    #expect(throws: LSMError.self) {
      var late = WriteBatch()
      try late.delete(bytes("a").span.bytes)
      try store.write(late, version: 100)
    }
    store.core.abandon()
    let again = try open()
    #expect(again.lastVersion == 100)
    #expect(try again.rows().count == 2)
  }

  @Test func badInput() throws {
    let store = try open { $0.defaultKeyspace.mergeOperator = nil }
    let long = [UInt8](repeating: 0, count: TableLimits.keyBytes + 1)
    #expect(throws: LSMError.self) { try store.put(long.span.bytes, long.span.bytes) }
    #expect(throws: LSMError.self) { try store.deleteRange("b", "a") }
    #expect(throws: LSMError.self) { try store.merge("a", "1") }
    let other = try LSMTree.open("/other", options: tinyOptions(), on: disk)
    #expect(throws: LSMError.self) { try store.get(bytes("a").span.bytes, at: other.snapshot()) }
    #expect(throws: LSMError.self) { try store.get(bytes("a").span.bytes, in: other.defaultKeyspace) }
    #expect(throws: LSMError.self) { try LSMTree.open(home, options: tinyOptions(), on: disk) }
    try store.close()
    // The keyspace was made without an operator.
    #expect(throws: LSMError.self) { try open() }
  }

  @Test func aRefusedMergeFailsItsKeyOnly() throws {
    let store = try open()
    try store.merge("a", "refuse")
    try store.put("b", "1")
    #expect(throws: LSMError.self) { try store.get("a") }
    #expect(try store.get("b") == "1")
    try store.compact()
    #expect(throws: LSMError.self) { try store.get("a") }
    #expect(try store.get("b") == "1")
    try store.put("a", "2")
    #expect(try store.get("a") == "2")
  }
}
