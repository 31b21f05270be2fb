import StrataRequirements
import StrataSSTable
import StrataSimulation
import SystemPackage
import Testing

@testable import StrataLSMTree

@Suite struct FilterTests {
  /// Gets of keys that are in no table: at 10 bits per key a table is asked for a block once in a hundred times.
  @Test(.requirement("Filters.never.12")) func missingKeysReadHardlyABlock() throws {
    let disk = SimulatedFileSystem()
    let store = try LSMTree.open(home, options: tinyOptions { $0.compactsAutomatically = false }, on: disk)
    defer { store.core.abandon() }
    let tables = 8
    for table in 0..<tables {
      for number in 0..<200 { try store.put("key \(number * tables + table)", "value") }
      try store.flush()
    }
    // Key bounds overlap, so no table is left out by them.
    #expect(store.statistics.tablesByLevel.reduce(0, +) >= tables)
    func accesses() -> UInt64 { store.statistics.cache.hits + store.statistics.cache.misses }
    let before = accesses()
    let gets = 2000
    for number in 0..<gets {
      let value = try store.get("key \(number)x")
      #expect(value == nil)
    }
    // Data blocks and, for them alone, parts of the index go through the cache: two accesses for each table that is read.
    let read = Double(accesses() - before) / Double(gets)
    #expect(read <= Double(tables) * 0.01 * 2 * 2, "\(read) blocks for each missing key")
    let after = accesses()
    for number in 0..<100 { #expect(try store.get("key \(number)") != nil) }
    #expect(accesses() - after >= 100, "keys that are there do read blocks")
  }
}
