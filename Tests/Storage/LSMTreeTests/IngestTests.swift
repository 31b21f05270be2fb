import StrataDisk
import StrataJobs
import StrataNodes
import StrataRequirements
import StrataSSTable
import StrataSimulation
import Synchronization
import SystemPackage
import Testing

@testable import StrataLSMTree

/// Tables made elsewhere become part of a store.
@Suite struct IngestTests {
  /// They win over everything before, lose to everything after, lie as deep as they can, and no snapshot of before sees them.
  @Test func tablesAreNewerThanWhatIsThere() throws {
    let disk = SimulatedFileSystem()
    let store = try LSMTree.open(home, options: tinyOptions { $0.compactsAutomatically = false }, on: disk)
    for number in 0..<20 { try store.put("\(100 + number)", "old") }
    let snapshot = store.snapshot()
    let rows = try store.rows()
    let first = try writeTable(["105": "new", "106": nil, "105x": "new"], "a", on: disk)
    let second = try writeTable(["900": "far"], "b", on: disk)
    let version = try store.ingest([second, first])
    #expect(store.lastVersion == version)
    #expect(try store.get("105") == "new" && store.get("106") == nil && store.get("107") == "old" && store.get("900") == "far")
    #expect(try store.rows(at: snapshot) == rows)
    // What overlaps nothing lies at the bottom, what overlaps level 0 on top of it.
    let tables = store.defaultKeyspace.version.levels.tables
    #expect(Set(tables.filter { $0.metadata.maxSequence == version }.map(\.metadata.level)) == [0, 6])
    try store.checkShape()
    try store.put("105", "newest")
    #expect(try store.get("105") == "newest")
    try store.compact()
    #expect(try store.rows().count == 21)
    #expect(try store.rows(at: snapshot) == rows)
    try store.close()
    let again = try LSMTree.open(home, options: tinyOptions(), on: disk)
    #expect(try again.get("105") == "newest" && again.get("900") == "far")
    #expect(again.lastVersion > version)
    // The tables given stay as they are.
    #expect(try disk.list("/elsewhere").sorted() == ["a", "b"])
  }

  @Test func whatIsNoSuchTableIsRefusedAndLeavesNothing() throws {
    let disk = SimulatedFileSystem()
    let store = try LSMTree.open(home, options: tinyOptions(), on: disk)
    try store.put("a", "1")
    let good = try writeTable(["b": "2", "d": "4"], "good", on: disk)
    let overlapping = try writeTable(["c": "3"], "overlapping", on: disk)
    var several = try TableWriter("/elsewhere/several", fileID: 2, on: disk)
    try several.add(key: bytes("k").span.bytes, sequence: 2, kind: .value, value: bytes("2").span.bytes)
    try several.add(key: bytes("k").span.bytes, sequence: 1, kind: .value, value: bytes("1").span.bytes)
    _ = try several.finish()
    var ranges = try TableWriter("/elsewhere/ranges", fileID: 3, on: disk)
    try ranges.addRangeDeletion(from: bytes("a"), to: bytes("z"), sequence: 1)
    _ = try ranges.finish()
    let damaged = try writeTable(["x": String(repeating: "y", count: 500)], "damaged", on: disk)
    try disk.open(damaged, .readWrite).write([0xFF], at: 60)
    let names = try disk.list(home).sorted()
    for paths in [[good, overlapping], ["/elsewhere/several"], ["/elsewhere/ranges"], [damaged], ["/elsewhere/none"]] as [[FilePath]] {
      let refused = #expect(throws: LSMError.self) { try store.ingest(paths) }
      guard case .cannotIngest? = refused else { throw Unexpected("\(paths): \(String(describing: refused))") }
      #expect(try disk.list(home).sorted() == names)
    }
    #expect(try store.rows() == [["a", "1"]])
    #expect(try store.ingest([]) == store.lastVersion)
  }

  /// After a crash at any moment all of it is there or nothing.
  @Test(.requirement("LSMTree.never.3", "LSMTree.never.19")) func crashesLeaveAllOrNothing() throws {
    let report = try CrashTests.enumeration(images: 200).run { disk, ledger in
      let store = try LSMTree.open(home, options: CrashTests.options, on: disk)
      for number in 0..<4 {
        try CrashTests.write(store, ledger, [.put("\(number)", "value \(number)"), .put("k\(number)", "x")])
        let path = try writeTable(["\(number)": "ingested", "k\(number)": nil, "z\(number)": "more"], "\(number)", on: disk)
        ledger.note(.began([.put("\(number)", "ingested"), .delete("k\(number)"), .put("z\(number)", "more")]))
        try store.ingest([path])
        ledger.note(.durable)
        store.stepBackground(budget: 1 << 16)
      }
      try CrashTests.write(store, ledger, [.put("last", "one")])
    } recover: {
      try CrashTests.recover($0, $1)
    }
    CrashTests.expectClean(report)
  }

  /// A version of the caller's own is taken where it is still to come, and refused, with nothing changed, where it is past.
  @Test func aGivenVersionIsTakenOrRefused() throws {
    let disk = SimulatedFileSystem()
    let store = try LSMTree.open(home, options: tinyOptions(), on: disk)
    try store.put("k", "1")
    let path = try writeTable(["k": "2"], "a", on: disk)
    #expect(try store.ingest([path], version: 50) == 50)
    #expect(store.lastVersion == 50)
    try store.put("k", "3")
    let names = try disk.list(home).filter { $0.hasSuffix(".sst") }
    for past in [UInt64(7), 51, Trailer.maxSequence + 1] {
      #expect(throws: LSMError.self) { try store.ingest([path], version: past) }
    }
    #expect(try disk.list(home).filter { $0.hasSuffix(".sst") } == names)
    #expect(try store.get("k") == "3")
    try store.sync()
    #expect(store.acknowledgedVersion >= 51)
    #expect(store.statistics.ingestedTables == 1)
  }

  /// No level is chosen into which a compaction is about to write across the table's keys, and none is begun that would.
  @Test(.requirement("LSMTree.never.3")) func compactionsUnderWayAreKeptApart() throws {
    for steps in 0..<12 {
      let disk = SimulatedFileSystem()
      let store = try LSMTree.open(
        home, options: tinyOptions { $0.defaultKeyspace.targetTableBytes = 1 << 20 }, on: disk)
      for round in 0..<2 {
        for key in ["a", "b", "x", "z"] { try store.put(key, "\(round)") }
        try store.flush(wait: false)
        while store.statistics.flushes <= round { store.stepBackground(budget: 64) }
      }
      // The outputs of what is under way span the gap between b and x.
      for _ in 0..<steps { store.stepBackground(budget: 10) }
      try store.ingest([try writeTable(["m": "in the gap"], "m", on: disk)])
      while store.stepBackground(budget: 64) {}
      try store.checkShape()
      #expect(try store.rows() == [["a", "1"], ["b", "1"], ["m", "in the gap"], ["x", "1"], ["z", "1"]])
      try store.close()
    }
  }

  /// Beside writers of the very same keys, flushes and compactions an ingestion ends, is seen whole, and by nobody after something that followed it.
  @Test(.requirement("LSMTree.never.4", "LSMTree.never.6", "LSMTree.never.12"), .timeLimit(.minutes(5)))
  func itEndsBesideWriters() throws {
    let disk = SimulatedFileSystem()
    let options = ThreadTests.options { $0.memtableBytes = 8 << 10 }
    let store = try LSMTree.open(home, options: options, on: disk)
    let other = try store.keyspace("other", create: KeyspaceOptions())
    let rounds = 40 * testDepth
    let isDone = Atomic<Bool>(false)
    let first = Dictionary(uniqueKeysWithValues: (0..<10).map { ("in \($0)", "0") })
    try store.ingest([try writeTable(first, "first", on: disk)])
    var bodies: [@Sendable () throws -> Void] = (0..<4).map { writer in
      {
        var random = Random(seed: UInt64(writer))
        var number = 0
        while !isDone.load(ordering: .acquiring) {
          number += 1
          // Between the first and the last key of the tables, so that every memtable overlaps them.
          try store.put("in \(random.below(10)) of \(writer)", String(repeating: "x", count: random.below(200)))
          try store.put(bytes("\(number % 100)").span.bytes, bytes("other").span.bytes, in: other)
          if let seen = try store.get("in 0") { try store.put("seen \(writer)", seen) }
        }
      }
    }
    bodies.append {
      while !isDone.load(ordering: .acquiring) {
        let rows = Dictionary(uniqueKeysWithValues: try store.rows().map { ($0[0], $0[1]) })
        let found = Set((0..<10).map { rows["in \($0)"] })
        guard found.count == 1, let round = found.first, let round, let number = Int(round) else { throw Unexpected("in part: \(found)") }
        for writer in 0..<4 {
          guard let seen = rows["seen \(writer)"].flatMap({ Int($0) }) else { continue }
          if seen > number { throw Unexpected("round \(seen) was seen and is not there: \(number)") }
        }
      }
    }
    bodies.append {
      defer { isDone.store(true, ordering: .releasing) }
      for round in 1...rounds {
        let changes = Dictionary(uniqueKeysWithValues: (0..<10).map { ("in \($0)", "\(round)") })
        let path = try writeTable(changes, "\(round)", on: disk)
        // Every third is overtaken by the writers while it is copied, again and again, until enough versions are left out.
        let version = try store.core.ingest([path], store.defaultKeyspace, nil, leavingOut: round % 3 == 0 ? 1 : nil)
        guard store.lastVersion >= version, try store.get("in 7") == "\(round)" else { throw Unexpected("round \(round) is not there") }
        if round % 10 == 0 { try store.compact() }
      }
    }
    try ThreadTests.run(bodies)
    try store.checkShape()
    let rows = try store.rows()
    try store.close()
    let again = try LSMTree.open(home, options: options, on: disk)
    #expect(try again.rows() == rows)
    #expect(try again.get("in 3") == "\(rounds)")
    try again.close()
  }
}
