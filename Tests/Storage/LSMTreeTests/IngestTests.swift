import StrataDisk
import StrataRequirements
import StrataSSTable
import StrataSimulation
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
}
