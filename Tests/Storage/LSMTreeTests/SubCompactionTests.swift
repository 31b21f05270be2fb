import StrataDisk
import StrataNodes
import StrataRequirements
import StrataSSTable
import StrataSimulation
import SystemPackage
import Testing

@testable import StrataLSMTree

/// A compaction cut into parts gives what it would give whole, and leaves either its inputs or its outputs.
@Suite struct SubCompactionTests {
  static func options(parts: Int) -> LSMOptions {
    tinyOptions { options in
      options.maxSubCompactions = parts
      options.compactsAutomatically = false
      options.defaultKeyspace.targetTableBytes = 1024
    }
  }

  /// What the tables of a store hold, added up.
  static func counts(_ store: LSMTree) -> [UInt64] {
    let tables = store.defaultKeyspace.version.levels.tables.map(\.metadata)
    return [
      tables.reduce(0) { $0 + $1.entryCount }, tables.reduce(0) { $0 + $1.valueCount }, tables.reduce(0) { $0 + $1.deletionCount },
      tables.reduce(0) { $0 + $1.mergeCount },
    ]
  }

  static func checkFiles(_ store: LSMTree, _ disk: any FileSystem) throws {
    if store.core.scheduler.isManual { while store.stepBackground() {} }
    let live = Set(store.core.manifest.state.keyspaces.values.flatMap(\.tables.keys))
    let found = Set(try disk.list(home).compactMap { FileName($0)?.tableNumber })
    #expect(found == live)
  }

  @Test(.requirement("LSMTree.beyond.4", "LSMTree.never.3")) func partsGiveWhatTheWholeWould() throws {
    var cut: UInt64 = 0
    for seed in 0..<UInt64(5 * testDepth) {
      var random = Random(seed: seed)
      let disks = [SimulatedFileSystem(), SimulatedFileSystem()]
      let stores = try [1, 4].enumerated().map { try LSMTree.open(home, options: Self.options(parts: $1), on: disks[$0]) }
      var snapshots: [[Snapshot]] = []
      for _ in 0..<3 {
        for _ in 0..<250 {
          let change = Change.random(&random, keys: 150)
          for store in stores {
            var batch = WriteBatch()
            try change.add(to: &batch, store.defaultKeyspace)
            try store.write(batch)
          }
          if random.chance(1, in: 100) { snapshots.append(stores.map { $0.snapshot() }) }
        }
        for store in stores { try store.compact() }
        #expect(Self.counts(stores[0]) == Self.counts(stores[1]), "seed \(seed)")
        #expect(try stores[0].rows() == stores[1].rows(), "seed \(seed)")
        for pair in snapshots { #expect(try stores[0].rows(at: pair[0]) == stores[1].rows(at: pair[1]), "seed \(seed)") }
        if random.chance(1, in: 2) { snapshots = [] }
        try stores[1].checkShape()
        #expect(try stores[1].verify().damage == [])
      }
      #expect(stores[0].statistics.subCompactions == 0)
      cut += stores[1].statistics.subCompactions
      for (store, disk) in zip(stores, disks) {
        try Self.checkFiles(store, disk)
        try store.close()
      }
    }
    #expect(cut >= 10)
  }

  /// Each part by a thread.
  @Test func threadsMergeParts() throws {
    let disk = SimulatedFileSystem()
    var options = Self.options(parts: 4)
    options.background = .threads(compactions: 1)
    options.memtableBytes = 64 << 10
    options.levelZeroStop = 1000
    options.levelZeroSlowdown = 1000
    let store = try LSMTree.open(home, options: options, on: disk)
    for round in 0..<4 {
      for number in 0..<1500 { try store.put("\(number * 7 % 1500)", "\(round) \(number)", durability: .some(.none)) }
      try store.deleteRange("\(round)", "\(round)5")
      try store.compact()
    }
    #expect(store.statistics.subCompactions >= 8)
    try store.checkShape()
    #expect(try store.verify().damage == [])
    let rows = try store.rows()
    #expect(rows.allSatisfy { $0[1].hasPrefix("3 ") } && rows.count > 1000)
    try store.close()
  }

  /// A part that meets damage ends them all: no table is left that nothing names, and the store goes on.
  @Test func damageInAPart() throws {
    for threads in [false, true] {
      let disk = SimulatedFileSystem()
      var options = Self.options(parts: 4)
      options.blockCacheBytes = 0
      if threads { options.background = .threads(compactions: 1) }
      let store = try LSMTree.open(home, options: options, on: disk)
      for number in 1000..<1400 { try store.put("\(number)", "value \(number)", durability: .some(.none)) }
      try store.compact()
      for number in 1000..<1400 { try store.put("\(number)", "again \(number)", durability: .some(.none)) }
      try store.flush()
      let tables = store.defaultKeyspace.version.levels.deeper.flatMap(\.tables).map(\.metadata.fileID)
      try #require(tables.count > 4)
      try QuarantineTests.flip(FileName.table(tables[tables.count - 2]).path(in: home), on: disk)
      let before = store.defaultKeyspace.version.levels.tables.map(\.metadata.fileID).sorted()
      #expect(throws: LSMError.self) { try store.compact() }
      #expect(store.defaultKeyspace.version.levels.tables.map(\.metadata.fileID).sorted() == before)
      #expect(store.statistics.quarantinedTables == [tables[tables.count - 2]])
      try store.waitForBackgroundWork()
      try Self.checkFiles(store, disk)
      #expect(try store.get("1000") == "again 1000")
      try store.put("x", "y")
      try store.close()
    }
  }

  /// A store that ends in the midst of its parts leaves its inputs and nothing else.
  @Test func endingInTheMidst() throws {
    for steps in [1, 4, 9, 16] {
      let disk = SimulatedFileSystem()
      let store = try LSMTree.open(home, options: Self.options(parts: 4), on: disk)
      for number in 1000..<1400 { try store.put("\(number)", "value \(number)", durability: .some(.none)) }
      try store.flush()
      let rows = try store.rows()
      try store.compact(wait: false)
      for _ in 0..<steps { store.stepBackground(budget: 100) }
      store.core.abandon()
      let found = Set(try disk.list(home).compactMap { FileName($0)?.tableNumber })
      #expect(found == Set(store.core.manifest.state.keyspaces.values.flatMap(\.tables.keys)))
      let reopened = try LSMTree.open(home, options: Self.options(parts: 1), on: disk)
      #expect(try reopened.rows() == rows)
      try reopened.close()
    }
  }

  @Test(.requirement("LSMTree.never.3", "LSMTree.never.19")) func crashesBetweenParts() throws {
    var cut: UInt64 = 0
    let report = try CrashTests.enumeration(images: 100).run { disk, ledger in
      var options = Self.options(parts: 3)
      options.defaultKeyspace.targetTableBytes = 300
      let store = try LSMTree.open(home, options: options, on: disk)
      for number in 0..<8 {
        let filler = String(repeating: "x", count: 200)
        try CrashTests.write(
          store, ledger, [.put("\(number)", "value \(number)\(filler)"), .merge("m", "\(number)"), .delete("\((number + 2) % 4 + 4)")])
      }
      try CrashTests.write(store, ledger, [.deleteRange("1", "3")])
      try store.flush()
      try store.compact(wait: false)
      while store.stepBackground(budget: 200) {}
      try CrashTests.write(store, ledger, [.put("last", "one")])
      cut = store.statistics.subCompactions
      try store.close()
    } recover: {
      try CrashTests.recover($0, $1)
    }
    CrashTests.expectClean(report)
    #expect(cut >= 2)
  }
}
