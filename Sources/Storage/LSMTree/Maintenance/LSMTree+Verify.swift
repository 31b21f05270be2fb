public import StrataDisk
import StrataJobs
import StrataSSTable
import StrataWriteAheadLog
public import SystemPackage

/// What ``LSMTree/verify()`` found.
public struct LSMVerifyReport: Sendable {
  /// Tables read from end to end.
  public var tables = 0
  /// Entries seen in them.
  public var entries: UInt64 = 0
  /// Records of the log read.
  public var records: UInt64 = 0
  /// What is not as it was written, by file or place.
  public var damage: [String] = []
  /// Tables marked as damaged when it ended, by number; see ``LSMStatistics/quarantinedTables``.
  public var quarantined: [UInt64] = []

  /// Nothing looked at yet.
  public init() {}
}

extension LSMTree {
  /// Reads every table and the log from end to end, past the cache, every checksum, the order of all entries and their counts checked; damage is
  /// reported, not thrown. A damaged table is marked as such; a marked one that is sound, as its file was restored and the store opened again, no
  /// longer is.
  /// - Parameter bytesPerSecond: how fast tables are read, to leave the device to others; as fast as it goes where `nil`.
  /// - Throws: `.closed`.
  public func verify(bytesPerSecond: Int? = nil) throws(LSMError) -> LSMVerifyReport {
    var report = LSMVerifyReport()
    if core.isClosed.load(ordering: .acquiring) { throw .closed }
    for keyspace in core.allKeyspaces {
      // Held, so that no table goes while it is read.
      let version = keyspace.version
      for table in version.levels.tables { core.verify(table, keyspace, bytesPerSecond, &report) }
      report.quarantined += core.quarantined(in: version.levels)
    }
    do {
      let reader = try core.log.replay(after: 0)
      try reader.forEach { (_, _, _, _) throws(LSMError) in report.records += 1 }
    } catch { report.damage.append("log: \(error)") }
    return report
  }

  /// Makes a new manifest for a store whose manifest is damaged or names tables that are gone: all readable tables go into level 0 of the default
  /// keyspace, in the order of their sequences; tables that cannot be opened are left out and named. The log is replayed by the next opening.
  ///
  /// The default keyspace is as `options` say; with `takesStoredKeyspaceOptions` it is as it was created, where a manifest still tells
  /// (``storedStyle(_:on:)``). For a store that nobody has open. Changes of other keyspaces cannot be told apart and are refused.
  /// - Throws: `.locked`, `.log`, `.disk`.
  public static func repair(
    _ directory: FilePath, options: LSMOptions = LSMOptions(), on fileSystem: any FileSystem = POSIXFileSystem()
  ) throws(LSMError) -> [String] {
    try Repair(directory: directory, options: options, fileSystem: fileSystem).run()
  }

  /// How the tables of the default keyspace are merged, by what can still be read of the store's manifests; `nil` where they do not tell. For a store
  /// that need not be one that can be opened.
  package static func storedStyle(_ directory: FilePath, on fileSystem: any FileSystem = POSIXFileSystem()) -> CompactionStyle? {
    guard let names = try? fileSystem.list(directory) else { return nil }
    return Repair.storedRecord(names, directory, fileSystem)?.strategy
  }
}

extension LSMCore {
  fileprivate func verify(_ table: TableHandle, _ keyspace: Keyspace, _ bytesPerSecond: Int?, _ report: inout LSMVerifyReport) {
    report.tables += 1
    let pause = Monitor(())
    do throws(TableError) {
      let found = try table.reader.verify { bytes in
        guard let bytesPerSecond, bytesPerSecond > 0 else { return }
        _ = pause.wait(timeout: .nanoseconds(Int64(Double(bytes) / Double(bytesPerSecond) * 1e9))) { _ -> Void? in nil }
      }
      report.entries += found.entries
      report.damage += found.damage.map(\.description)
      judge(table, keyspace, found)
    } catch { report.damage.append("\(error)") }
  }
}
