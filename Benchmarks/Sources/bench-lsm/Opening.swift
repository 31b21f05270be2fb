import BenchmarkKit
import Foundation
import StrataJobs
import StrataLSMTree
import SystemPackage

/// How long stores take to open: one of many tables, and one whose changes are all in the log.
struct OpeningLoad: Sendable {
  /// Tables of a store of 100 GB whose tables are of 64 MiB.
  var tables = 1600
  var seed: UInt64 = 1

  /// Opens a store whose manifest has so many tables, in its last levels, all with a name, a file, a footer, properties, an index and a filter.
  ///
  /// What is shaped is the number of tables and of files. Their size is not: each holds 64 KiB instead of 64 MiB. Opening reads of either the head,
  /// the footer, the properties and one block of the index; the filter of these too, which one of 64 MiB has in parts that are read when they are
  /// needed, and the larger one's index block is longer by about two pages.
  func manyTables(in directory: URL) throws -> Figures {
    let path = FilePath(directory.path).appending("strata")
    var driver = Driver(workload: "fillseq", num: tables * 650, reads: 0, seed: seed)
    driver.tableBytes = 64 << 10
    if !FileManager.default.fileExists(atPath: path.string) {
      let store = try LSMTree.open(path, options: driver.options())
      _ = try driver.work(store, thread: 0)
      try store.flush()
      try store.waitForBackgroundWork()
      try store.close()
    }
    let began = MonotonicClock.now()
    let store = try LSMTree.open(path, options: driver.options())
    let seconds = Double(MonotonicClock.now() &- began) / 1e9
    let count = store.statistics.tablesByLevel.reduce(0, +)
    try store.close()
    guard count >= tables else { throw BenchFailure(what: "the store has \(count) tables instead of \(tables)") }
    return Figures(operations: Double(count), seconds: seconds, extras: ["tables": Double(count), "open ms": seconds * 1000])
  }

  /// Fills a store and drops it without closing it, which flushes nothing; the last version.
  private func fillAndDrop(_ path: FilePath, _ driver: Driver) throws -> UInt64 {
    let store = try LSMTree.open(path, options: driver.options())
    _ = try driver.work(store, thread: 0)
    guard store.statistics.flushes == 0 else { throw BenchFailure(what: "a memtable was flushed") }
    return store.lastVersion
  }

  /// Opens a store whose log holds 64 MiB of entries that are in no table, as kill -9 leaves it, and reads the last key that was written.
  func log(of bytes: Int, in directory: URL) throws -> Figures {
    let path = FilePath(directory.path).appending("strata")
    var driver = Driver(workload: "fillrandom", num: bytes / 116, reads: 0, seed: seed)
    // One memtable takes it all: nothing is flushed on the way in.
    driver.memtableBytes = 4 * bytes
    let last = try fillAndDrop(path, driver)
    driver.memtableBytes = 64 << 20
    let began = MonotonicClock.now()
    let opened = try LSMTree.open(path, options: driver.options())
    let key = UnsafeMutableRawBufferPointer.allocate(byteCount: 16, alignment: 8)
    defer { key.deallocate() }
    driver.writeKey(0, key)
    _ = try opened.get(UnsafeRawBufferPointer(key).bytes)
    let seconds = Double(MonotonicClock.now() &- began) / 1e9
    guard opened.lastVersion == last else { throw BenchFailure(what: "version \(opened.lastVersion) instead of \(last) was recovered") }
    try opened.close()
    return Figures(operations: Double(driver.num), seconds: seconds, extras: ["open ms": seconds * 1000, "MiB": Double(bytes) / 1_048_576])
  }
}

/// The rows of opening: goals with a bound.
func openings(_ options: BenchmarkOptions) -> [Comparison] {
  let load = OpeningLoad(seed: options.seed)
  return [
    Comparison(
      "open of 1,600 tables", unit: "tables", parameters: [("tables", "\(load.tables)"), ("bytes of a table", "\(64 << 10)")],
      subject: Contender("strata", keepsData: true) { try load.manyTables(in: $0.directory) },
      peers: [Contender("rocksdb", keepsData: true) { try DBBench.open(tables: load.tables, in: $0.directory) }],
      goals: [.seconds(atMost: 1)]),
    Comparison(
      "recovery of a log of 64 MiB", unit: "entries", parameters: [("value bytes", "100")],
      subject: Contender("strata") { try load.log(of: 64 << 20, in: $0.directory) }, peers: [], goals: [.seconds(atMost: 1)]),
  ]
}
