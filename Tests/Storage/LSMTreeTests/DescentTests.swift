import StrataDisk
import StrataNodes
import StrataRequirements
import StrataSSTable
import StrataSimulation
import Testing

@testable import StrataLSMTree

/// Compactions of level 0 that write to the base and, where that has no room, to the level below in the same pass.
@Suite struct DescentTests {
  static func options(parts: Int = 1) -> LSMOptions {
    tinyOptions { options in
      options.memtableBytes = 1024
      options.maxSubCompactions = parts
      options.defaultKeyspace.targetTableBytes = 512
      options.defaultKeyspace.baseLevelBytes = 1024
    }
  }

  /// What the store shows, now and through snapshots, is what was written; deletions that go down do not bring back what lay under them.
  @Test(.requirement("LSMTree.beyond.8"), arguments: 1...3) func twoLevelsShowWhatOneWould(parts: Int) throws {
    var descents: UInt64 = 0
    for seed in 0..<UInt64(3 * testDepth) {
      var random = Random(seed: seed)
      let store = try LSMTree.open(home, options: Self.options(parts: parts), on: SimulatedFileSystem())
      var state: [String: String] = [:]
      var snapshots: [(snapshot: Snapshot, state: [String: String])] = []
      for round in 0..<800 {
        let change = Change.random(&random, keys: 300)
        var batch = WriteBatch()
        try change.add(to: &batch, store.defaultKeyspace)
        try store.write(batch)
        change.apply(to: &state)
        if random.chance(1, in: 150) { snapshots.append((store.snapshot(), state)) }
        if snapshots.count > 2 { snapshots.removeFirst() }
        if random.chance(1, in: 3) { store.stepBackground(budget: random.below(600), pick: { random.below($0) }) }
        guard round % 100 == 99 else { continue }
        try store.checkShape()
        #expect(try store.rows() == sorted(state), "seed \(seed), round \(round)")
        for (snapshot, state) in snapshots { #expect(try store.rows(at: snapshot) == sorted(state), "seed \(seed), round \(round)") }
      }
      snapshots = []
      while store.stepBackground() {}
      #expect(try store.rows() == sorted(state), "seed \(seed)")
      #expect(try store.verify().damage == [])
      descents += store.statistics.descents
      try store.close()
    }
    #expect(descents >= 3)
  }

  /// What goes down is written once: as good as no compaction is there that takes from the base what the one before has just written to it, and the
  /// base keeps to its target.
  @Test func whatGoesDownIsWrittenOnce() throws {
    let store = try LSMTree.open(
      home,
      options: tinyOptions { options in
        options.memtableBytes = 16 << 10
        options.levelZeroTrigger = 4
        options.defaultKeyspace.targetTableBytes = 16 << 10
        options.defaultKeyspace.baseLevelBytes = 64 << 10
        options.defaultKeyspace.fanOut = 10
      }, on: SimulatedFileSystem())
    var random = Random(seed: 1)
    for number in 0..<16000 {
      try store.put("k\(10_000 + random.below(9000))", String(repeating: "v", count: 20), durability: .some(.none))
      guard number % 50 == 0 else { continue }
      while store.stepBackground() {}
    }
    let found = store.statistics
    #expect(found.descents >= 5)
    // One compaction for every four flushes and few besides, where it would be two; 3.3 bytes for a byte flushed, where it would be 4.1.
    #expect(found.compactions <= found.flushes / 4 + 12, "\(found.compactions) compactions after \(found.flushes) flushes")
    let written = found.writtenBytesByLevel
    #expect(Double(written[5] + written[6]) < 3.6 * Double(written[0]), "\(written)")
    #expect(found.bytesByLevel[5] <= 70 << 10 && found.bytesByLevel[6] > 50 << 10, "\(found.bytesByLevel)")
    try store.close()
  }

  @Test(.requirement("LSMTree.never.3", "LSMTree.never.19")) func crashesBetweenLevels() throws {
    var descents: UInt64 = 0
    let report = try CrashTests.enumeration(images: 100).run { disk, ledger in
      var options = Self.options()
      options.defaultKeyspace.baseLevelBytes = 600
      options.defaultKeyspace.targetTableBytes = 300
      let store = try LSMTree.open(home, options: options, on: disk)
      for number in 0..<24 {
        let filler = String(repeating: "x", count: 150)
        try CrashTests.write(
          store, ledger,
          [.put("\(number * 7 % 24 + 10)", "value \(number)\(filler)"), .merge("m", "\(number)"), .delete("\((number + 2) % 12 + 10)")])
        if number % 3 == 2 { try store.flush() }
        while store.stepBackground(budget: 300) {}
      }
      descents = store.statistics.descents
      try store.close()
    } recover: {
      try CrashTests.recover($0, $1)
    }
    CrashTests.expectClean(report)
    #expect(descents >= 1)
  }

  /// Threads beside writers and readers.
  @Test func threadsDescend() throws {
    var options = Self.options(parts: 2)
    options.background = .threads(compactions: 2)
    options.levelZeroStop = 1000
    options.levelZeroSlowdown = 1000
    let store = try LSMTree.open(home, options: options, on: SimulatedFileSystem())
    for round in 0..<6 {
      for number in 0..<600 { try store.put("\(number * 7 % 600 + 1000)", "\(round) \(number)", durability: .some(.none)) }
      try store.waitForBackgroundWork()
      try store.checkShape()
    }
    let rows = try store.rows()
    #expect(rows.count == 600 && rows.allSatisfy { $0[1].hasPrefix("5 ") })
    #expect(store.statistics.descents >= 1)
    #expect(try store.verify().damage == [])
    try store.close()
  }
}
