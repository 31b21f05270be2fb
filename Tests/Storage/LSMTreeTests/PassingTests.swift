import StrataNodes
import StrataRequirements
import StrataSSTable
import StrataSimulation
import Testing

@testable import StrataLSMTree

/// Iterators that pass over blocks by what collectors made of them show all that is wanted, and nothing that is hidden.
@Suite struct PassingTests {
  /// The number before the first dot of a value.
  static let number = IntervalCollector("number") { _, kind, value in
    if kind == .deletion { return nil }
    return value.withUnsafeBytes { value in
      value.prefix { $0 != 0x2E }.reduce(0) { $0 &* 10 &+ UInt64($1 &- 0x30) }
    }
  }

  static func options(_ change: (inout LSMOptions) -> Void = { _ in }) -> LSMOptions {
    tinyOptions { options in
      options.defaultKeyspace.mergeOperator = nil
      options.defaultKeyspace.table.propertyCollectors = [number]
      options.defaultKeyspace.table.blockSize = 64
      change(&options)
    }
  }

  static func isWanted(_ row: [String], _ wanted: ClosedRange<UInt64>) -> Bool {
    row[1].prefix { $0 != "." }.utf8.reduce(0) { $0 &* 10 &+ UInt64($1 &- 0x30) }.isIn(wanted)
  }

  @Test(.requirement("LSMTree.beyond.7", "LSMTree.never.7")) func nothingHiddenComesUp() throws {
    var (passed, total) = (0, 0)
    for seed in 0..<UInt64(4 * testDepth) {
      var random = Random(seed: seed)
      let disk = SimulatedFileSystem()
      let (memtable, style) = ([1024, 4096][random.below(2)], CompactionStyle.allCases[[0, 0, 1, 3][random.below(4)]])
      let options = Self.options { options in
        options.memtableBytes = memtable
        options.defaultKeyspace.style = style
      }
      var store = try LSMTree.open(home, options: options, on: disk)
      var snapshots: [Snapshot] = []
      for step in 0..<400 {
        switch random.below(20) {
        case 0..<12:
          let key = 100 + random.below(200)
          // Neighbours are mostly alike, and change over time.
          try store.put("\(key)", "\((key / 20 + (random.chance(1, in: 5) ? step / 50 : 0)) % 12).\(step)")
        case 12, 13: try store.delete("\(100 + random.below(200))")
        case 14:
          let key = 100 + random.below(200)
          try store.deleteRange("\(key)", "\(key + random.within(1...20))")
        case 15: if random.chance(1, in: 4) { try store.flush() }
        case 16: if random.chance(1, in: 8) { try store.compact() }
        case 17: if random.chance(1, in: 3) { snapshots.append(store.snapshot()) } else if !snapshots.isEmpty { snapshots.removeFirst() }
        case 18: for _ in 0..<random.below(10) { store.stepBackground(budget: 300) }
        default:
          guard random.chance(1, in: 5) else { continue }
          snapshots = []
          store.core.abandon()
          store = try LSMTree.open(home, options: options, on: disk)
        }
        guard step % 8 == 0 else { continue }
        let low = UInt64(random.below(12))
        let wanted = low...low + UInt64(random.below(3))
        var reading = ReadOptions()
        reading.passing = BlockFilter("number", within: wanted)
        for snapshot in [nil] + snapshots.prefix(2).map({ $0 as Snapshot? }) {
          let all = try store.rows(at: snapshot)
          var iterator = try store.iterator(at: snapshot, options: reading)
          let shown = try both(&iterator)
          guard Set(shown).isSubset(of: all) else { throw Unexpected("seed \(seed) step \(step): \(Set(shown).subtracting(all)) came up") }
          let lost = Set(all).subtracting(shown).filter { Self.isWanted($0, wanted) }
          guard lost.isEmpty else { throw Unexpected("seed \(seed) step \(step): \(lost) is passed over") }
          passed += all.count - shown.count
          total += all.count
        }
      }
      try store.close()
    }
    #expect(passed * 4 > total, "\(passed) of \(total) rows were passed over")
  }

  /// A value in the last level under a newer one, a deletion or a range deletion above does not come up, though what is above holds nothing wanted.
  @Test(.requirement("LSMTree.beyond.7")) func tablesAboveAreRead() throws {
    let store = try LSMTree.open(home, options: Self.options { $0.compactsAutomatically = false }, on: SimulatedFileSystem())
    for key in 100..<140 { try store.put("\(key)", "5.old") }
    try store.compact()
    try store.put("110", "9.new")
    try store.delete("111")
    try store.deleteRange("112", "114")
    try store.flush()
    var reading = ReadOptions()
    reading.passing = BlockFilter("number", within: 5...5)
    var iterator = try store.iterator(options: reading)
    let rows = try both(&iterator)
    let old = Set((100..<140).map { "\($0)" }).subtracting(["110", "111", "112", "113"])
    #expect(Set(rows.filter { $0[1] == "5.old" }.map { $0[0] }) == old)
    #expect(rows.allSatisfy { $0[0] != "110" || $0[1] == "9.new" })
    reading.passing = BlockFilter("number", within: 7...7)
    iterator = try store.iterator(options: reading)
    // The last level is passed over as a whole; what lies above it is read.
    #expect(try both(&iterator) == [["110", "9.new"]])
  }

  /// Where values are put together from several tables nothing is passed over.
  @Test(.requirement("LSMTree.beyond.7")) func operandsKeepTheirBase() throws {
    let store = try LSMTree.open(home, options: Self.options { $0.defaultKeyspace.mergeOperator = Appending() }, on: SimulatedFileSystem())
    for key in 100..<140 { try store.put("\(key)", "5.base") }
    try store.compact()
    try store.merge("120", "7.more")
    try store.flush()
    var reading = ReadOptions()
    reading.passing = BlockFilter("number", within: 7...7)
    var iterator = try store.iterator(options: reading)
    #expect(try both(&iterator).contains(["120", "5.base,7.more"]))
  }
}

extension UInt64 {
  fileprivate func isIn(_ range: ClosedRange<UInt64>) -> Bool { range.contains(self) }
}
