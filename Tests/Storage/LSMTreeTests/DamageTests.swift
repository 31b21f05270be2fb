import StrataBytes
import StrataDisk
import StrataRequirements
import StrataSSTable
import StrataSimulation
import SystemPackage
import Testing

@testable import StrataLSMTree

/// Every bit of manifest, log and tables flipped in turn: the right answer or a typed error, never another answer.
@Suite struct DamageTests {
  /// A store with tables on two levels and a log that is not in tables.
  static func filled() throws -> (disk: SimulatedFileSystem, rows: [[String]]) {
    let disk = SimulatedFileSystem()
    let options = tinyOptions { options in
      options.flushesOnClose = false
      options.compactsAutomatically = false
    }
    let store = try LSMTree.open(home, options: options, on: disk)
    for number in 0..<30 { try store.put("\(number)", "value \(number)") }
    try store.compact()
    for number in 20..<40 { try store.put("\(number)", "second \(number)") }
    try store.deleteRange("3", "32")
    try store.flush()
    for number in 35..<50 { try store.put("\(number)", "third \(number)") }
    let rows = try store.rows()
    try store.close()
    return (disk, rows)
  }

  static func read(_ disk: SimulatedFileSystem) throws -> [[String]] {
    let store = try LSMTree.open(home, options: tinyOptions { $0.compactsAutomatically = false }, on: disk)
    defer { store.core.abandon() }
    return try store.rows()
  }

  private func sweep(_ directory: FilePath, _ wanted: (String) -> Bool) throws {
    let (disk, rows) = try Self.filled()
    #expect(try Self.read(disk.fork()) == rows)
    var flips = 0
    for name in try disk.list(directory) where wanted(name) {
      let path = directory.appending(name)
      let content = try disk.readAll(path, limit: 1 << 20)
      let stride = max(1, content.count / (120 * testDepth))
      for offset in Swift.stride(from: 0, to: content.count, by: stride) {
        let copy = disk.fork()
        try copy.open(path, .readWrite).write([content[offset] ^ (1 << UInt8(offset % 8))], at: UInt64(offset))
        flips += 1
        do throws(any Error) {
          let found = try Self.read(copy)
          #expect(found == rows, "\(name) byte \(offset)")
        } catch is LSMError {}
      }
    }
    #expect(flips > 50)
  }

  @Test(.requirement("LSMTree.never.2")) func manifest() throws {
    try sweep(home) { $0.hasPrefix("MANIFEST") || $0 == "CURRENT" }
  }

  @Test func tables() throws { try sweep(home) { $0.hasSuffix(".sst") } }

  /// The last record may be taken for one that a crash cut short: what is there is then what was there before it.
  @Test(.requirement("LSMTree.never.11", "LSMTree.never.9")) func log() throws {
    let (disk, rows) = try Self.filled()
    let directory = home.appending("log")
    for name in try disk.list(directory) where name.hasSuffix(".wal") || name.hasSuffix(".log") {
      let path = directory.appending(name)
      let content = try disk.readAll(path, limit: 1 << 20)
      for offset in Swift.stride(from: 0, to: content.count, by: max(1, content.count / (100 * testDepth))) {
        let copy = disk.fork()
        try copy.open(path, .readWrite).write([content[offset] ^ 0x10], at: UInt64(offset))
        do throws(any Error) {
          let found = try Self.read(copy)
          #expect(found == rows, "\(name) byte \(offset)")
        } catch is LSMError {}
      }
    }
  }

  /// Every length of the manifest: the whole one gives the store, a shorter one an error or, without its last edits, a state whose log disagrees.
  @Test func cutManifest() throws {
    let (disk, rows) = try Self.filled()
    let name = try #require(try disk.list(home).first { $0.hasPrefix("MANIFEST") })
    let path = home.appending(name)
    let content = try disk.readAll(path, limit: 1 << 20)
    for length in stride(from: 0, to: content.count, by: max(1, content.count / 200)) {
      let copy = disk.fork()
      try copy.open(path, .readWrite).truncate(to: UInt64(length))
      do throws(any Error) {
        let found = try Self.read(copy)
        #expect(found == rows, "\(length) bytes")
      } catch is LSMError {}
    }
  }

  @Test func aDamagedBlockFailsItsReadsOnly() throws {
    let disk = SimulatedFileSystem()
    let options = tinyOptions { $0.blockCacheBytes = 0 }
    let store = try LSMTree.open(home, options: options, on: disk)
    for number in 100..<300 { try store.put("\(number)", "value \(number)") }
    try store.compact()
    let table = try #require(store.defaultKeyspace.version.levels.tables.first).metadata
    let path = FileName.table(table.fileID).path(in: home)
    let file = try disk.open(path, .readWrite)
    let byte = try file.read(at: 200, count: 1)
    try file.write([byte[0] ^ 1], at: 200)
    var failures = 0
    for number in 100..<300 {
      do throws(LSMError) {
        let value = try store.get(bytes("\(number)").span.bytes)
        #expect(text(value) == "value \(number)")
      } catch {
        guard case .corruption = error else {
          Issue.record("\(error)")
          return
        }
        failures += 1
      }
    }
    #expect(failures > 0 && failures < 30)
    // A compaction over it is refused and the store goes on.
    #expect(throws: LSMError.self) { try store.compact() }
    try store.put("x", "y")
    #expect(try store.get("x") == "y")
  }

  /// The scrubber finds damage that nobody has read, says so, and leaves sound tables alone.
  @Test(.timeLimit(.minutes(2))) func theScrubberFindsDamage() async throws {
    let disk = SimulatedFileSystem()
    var store = try LSMTree.open(home, options: tinyOptions(), on: disk)
    for number in 100..<300 { try store.put("\(number)", "value \(number)") }
    try store.compact()
    let tables = store.defaultKeyspace.version.levels.tables.map(\.metadata.fileID)
    try #require(tables.count > 1)
    try store.close()
    let file = try disk.open(FileName.table(tables[0]).path(in: home), .readWrite)
    let byte = try file.read(at: 200, count: 1)
    try file.write([byte[0] ^ 1], at: 200)
    store = try LSMTree.open(home, options: tinyOptions {
      $0.background = .threads(compactions: 1)
      $0.scrubBytesPerSecond = 1 << 30
    }, on: disk)
    while store.statistics.scrubbedTables < tables.count { await Task.yield() }
    #expect(store.statistics.scrubbedDamaged >= 1)
    #expect(store.core.work.withLock { $0.quarantined } == [tables[0]])
    #expect(try store.verify(bytesPerSecond: 1 << 30).damage.count == 1)
    try store.close()
  }
}
