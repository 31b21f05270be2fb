import StrataDisk
import StrataRequirements
import StrataSSTable
import StrataSimulation
import SystemPackage
import Testing

@testable import StrataLSMTree

/// A table in which damage was found stays marked, by the manifest, until it is gone or sound again.
@Suite struct QuarantineTests {
  static let options = tinyOptions { $0.blockCacheBytes = 0 }

  /// A store of several tables, and the file of the first.
  static func filled(
    _ disk: SimulatedFileSystem, _ options: LSMOptions = options
  ) throws -> (store: LSMTree, table: UInt64, path: FilePath) {
    let store = try LSMTree.open(home, options: options, on: disk)
    for number in 100..<300 { try store.put("\(number)", "value \(number)") }
    try store.compact()
    let tables = store.defaultKeyspace.version.levels.tables.map(\.metadata.fileID)
    try #require(tables.count > 1)
    return (store, tables[0], FileName.table(tables[0]).path(in: home))
  }

  /// Changes a bit of a data block.
  static func flip(_ path: FilePath, on disk: any FileSystem) throws {
    let file = try disk.open(path, .readWrite)
    let byte = try file.read(at: 200, count: 1)
    try file.write([byte[0] ^ 1], at: 200)
    try file.sync(.full)
  }

  static func reopened(_ store: LSMTree, _ disk: any FileSystem) throws -> LSMTree {
    // As a process that dies.
    store.core.abandon()
    return try LSMTree.open(home, options: options, on: disk)
  }

  /// Reads every key; how many failed over the damage.
  static func readAll(_ store: LSMTree) throws -> Int {
    var failures = 0
    for number in 100..<300 {
      do throws(LSMError) {
        let value = try store.get(bytes("\(number)").span.bytes)
        #expect(text(value) == "value \(number)")
      } catch {
        guard case .corruption = error else { throw error }
        failures += 1
      }
    }
    return failures
  }

  @Test(.requirement("LSMTree.beyond.2")) func aReadMarksATableForGood() throws {
    let disk = SimulatedFileSystem()
    let (first, table, path) = try Self.filled(disk)
    var store = first
    #expect(store.statistics.quarantinedTables == [])
    let sound = try disk.readAll(path, limit: 1 << 20)
    try Self.flip(path, on: disk)
    #expect(try Self.readAll(store) > 0)
    #expect(store.statistics.quarantinedTables == [table])
    #expect(store.core.manifest.state.quarantined == [])
    while store.stepBackground() {}
    #expect(store.core.manifest.state.quarantined == [table])
    store = try Self.reopened(store, disk)
    // Known without that anybody has read it, and spared.
    #expect(store.statistics.quarantinedTables == [table])
    #expect(throws: LSMError.self) { try store.compact() }
    #expect(store.defaultKeyspace.version.levels.tables.contains { $0.metadata.fileID == table })
    let report = try store.verify()
    #expect(report.damage.count == 1 && report.quarantined == [table])
    // Restored: marked until all of it has been read.
    try disk.open(path, .readWrite).write(sound, at: 0)
    store = try Self.reopened(store, disk)
    #expect(try Self.readAll(store) == 0)
    #expect(store.statistics.quarantinedTables == [table])
    #expect(try store.verify().quarantined == [])
    #expect(store.statistics.quarantinedTables == [])
    while store.stepBackground() {}
    store = try Self.reopened(store, disk)
    #expect(store.statistics.quarantinedTables == [])
    try store.compact()
    #expect(!store.defaultKeyspace.version.levels.tables.contains { $0.metadata.fileID == table })
    try store.close()
  }

  /// Closing settles what no job has, and a new manifest file takes marks over.
  @Test func verifyMarksAndCloseKeeps() throws {
    let disk = SimulatedFileSystem()
    let (first, table, path) = try Self.filled(disk)
    var store = first
    try Self.flip(path, on: disk)
    let report = try store.verify()
    #expect(report.damage.count == 1 && report.quarantined == [table])
    try store.close()
    for _ in 0..<3 {
      store = try LSMTree.open(home, options: Self.options, on: disk)
      #expect(store.statistics.quarantinedTables == [table])
      for round in 0..<5 {
        try store.put("x\(round)", "y")
        try store.flush()
      }
      try store.close()
    }
    #expect(try LSMTree.repair(home, options: Self.options, on: disk) == [])
    store = try LSMTree.open(home, options: Self.options, on: disk)
    #expect(store.statistics.quarantinedTables == [])
    try store.close()
  }

  @Test func aCheckpointHasTheMarks() throws {
    let disk = SimulatedFileSystem()
    let (store, table, path) = try Self.filled(disk)
    try Self.flip(path, on: disk)
    #expect(try store.verify().quarantined == [table])
    try store.checkpoint(to: "/copy")
    let copy = try LSMTree.open("/copy", options: Self.options, on: disk)
    #expect(copy.statistics.quarantinedTables == [table])
    try copy.close()
    try store.close()
  }

  /// An edit that finds no room leaves the mark to be tried again.
  @Test func aFullDiskDelaysAMark() throws {
    let disk = SimulatedFileSystem()
    var options = Self.options
    // An edit, not a new file: of that a full disk is final.
    options.manifestRewriteBytes = 1 << 20
    let (store, table, path) = try Self.filled(disk, options)
    try Self.flip(path, on: disk)
    #expect(try store.verify().quarantined == [table])
    disk.capacity = 1
    #expect(throws: LSMError.self) { try store.core.settleMarks() }
    #expect(store.core.manifest.state.quarantined == [])
    disk.capacity = nil
    try store.core.settleMarks()
    #expect(store.core.manifest.state.quarantined == [table])
    try store.close()
  }

  @Test func editsOfMarks() throws {
    var state = ManifestState(store: StoreID(high: 1, low: 2))
    func table(_ id: UInt64, level: UInt8 = 0) -> TableMetadata {
      var table = TableMetadata(fileID: id)
      table.level = level
      return table
    }
    func apply(_ change: (inout ManifestEdit) -> Void) throws {
      var edit = ManifestEdit()
      change(&edit)
      let encoded = ManifestFormat.encode(edit, editNumber: 1, file: 1)
      let frame = ManifestFormat.frame(encoded.span.bytes, at: 0, file: 1)
      let payload = try #require(frame?.payload)
      let decoded = try ManifestFormat.decode(encoded.span.bytes.extracting(payload), base: 0)
      #expect(state.apply(decoded) == nil)
    }
    try apply { edit in
      edit.created = [
        KeyspaceRecord(id: 0, name: "", strategy: .leveled, mergeOperator: "", prefixExtractor: ""),
        KeyspaceRecord(id: 1, name: "other", strategy: .leveled, mergeOperator: "", prefixExtractor: ""),
      ]
      edit.added = [(0, table(5)), (0, table(6)), (1, table(7))]
    }
    try apply { $0.quarantined = [5, 6, 7, 99] }
    #expect(state.quarantined == [5, 6, 7])
    // Down a level and still damaged; merged away; its keyspace dropped.
    try apply { edit in
      edit.removed = [ManifestEdit.Removal(keyspace: 0, fileID: 5)]
      edit.added = [(0, table(5, level: 1))]
    }
    #expect(state.quarantined == [5, 6, 7])
    try apply { edit in
      edit.removed = [ManifestEdit.Removal(keyspace: 0, fileID: 6)]
      edit.added = [(0, table(8))]
    }
    #expect(state.quarantined == [5, 7])
    try apply { $0.dropped = [1] }
    #expect(state.quarantined == [5])
    #expect(state.snapshot.quarantined == [5])
    try apply { $0.absolved = [5] }
    #expect(state.quarantined == [])
  }
}
