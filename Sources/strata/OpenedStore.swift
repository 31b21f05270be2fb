import Logging
import StrataBitcask
import StrataDisk
import StrataLSMTree
import StrataRESP
import StrataWriteAheadLog
import SystemPackage

/// Opens the store `strata serve` was asked for and says what recovery found.
final class OpenedStore {
  /// One line for the banner.
  private(set) var summary = ""

  /// - Throws: `.damaged` where files are not as they were written, another kind where the store is refused.
  func open(_ plan: ServePlan, _ logger: Logger) throws(EngineError) -> any KeyValueEngine {
    let directory = FilePath(plan.directory)
    try plan.engine.check(directory)
    let durability: Durability =
      switch plan.durability {
      case .everyWrite: .everyWrite
      case .batched: .batched(count: plan.batchCount, interval: .milliseconds(plan.batchMilliseconds))
      case .none: .none
      }
    switch plan.engine {
    case .lsm: return try openTree(directory, plan, durability, logger)
    case .bitcask: return try openBitcask(directory, plan, durability, logger)
    }
  }

  private func openTree(
    _ directory: FilePath, _ plan: ServePlan, _ durability: Durability, _ logger: Logger
  ) throws(EngineError) -> any KeyValueEngine {
    var options = LSMOptions()
    options.durability = durability
    options.logSegmentBytes = plan.segmentBytes ?? options.logSegmentBytes
    options.memoryLimit = plan.memoryLimit
    options.memtableBytes = plan.memtableBytes
    options.takesStoredKeyspaceOptions = plan.style == nil
    options.defaultKeyspace.style = plan.style ?? .leveled
    let store: LSMTree
    do { store = try LSMTree.open(directory, options: options) } catch { throw EngineError(error) }
    let figures = store.statistics
    summary =
      "recovered up to version \(store.lastVersion): \(figures.tablesByLevel.reduce(0, +)) tables (\(figures.bytesByLevel.reduce(0, +)) bytes), "
      + "\(figures.memtableBytes) bytes of the log replayed, \(figures.orphansRemoved) unfinished files removed"
    for table in figures.quarantinedTables { logger.warning("a table is known to be damaged and not compacted", metadata: ["table": "\(table)"]) }
    Self.follow(store.events, logger)
    return LSMEngine(store)
  }

  /// Logs what happens in a store until it is closed.
  private static func follow(_ events: AsyncStream<LSMEvent>, _ logger: Logger) {
    Task.detached {
      for await event in events { OpenedStore.log(event, logger) }
    }
  }

  private static func log(_ event: LSMEvent, _ logger: Logger) {
    switch event {
    case .flushed(_, let tables, let bytes): logger.debug("memtables flushed", metadata: ["tables": "\(tables)", "bytes": "\(bytes)"])
    case .compacted(_, let reason, let inputs, let outputs, let level):
      logger.debug(
        "tables compacted", metadata: ["reason": "\(reason)", "inputs": "\(inputs)", "outputs": "\(outputs)", "level": "\(level)"])
    case .ingested(_, let tables, let version): logger.info("tables ingested", metadata: ["tables": "\(tables)", "version": "\(version)"])
    case .jobFailed(let what, let error): logger.warning("a background job failed", metadata: ["job": "\(what)", "reason": "\(error)"])
    case .quarantined(_, let table, let error):
      logger.error("a damaged table is no longer compacted", metadata: ["table": "\(table)", "reason": "\(error)"])
    case .absolved(_, let table): logger.info("a table that was damaged is sound again", metadata: ["table": "\(table)"])
    case .stopped(let reason): logger.warning("writes wait", metadata: ["reason": "\(reason.rawValue)"])
    case .becameReadOnly(let cause): logger.error("writes are off until the store is opened again", metadata: ["reason": "\(cause)"])
    }
  }

  private func openBitcask(
    _ directory: FilePath, _ plan: ServePlan, _ durability: Durability, _ logger: Logger
  ) throws(EngineError) -> any KeyValueEngine {
    var options = BitcaskOptions()
    options.segmentBytes = plan.segmentBytes ?? 256 << 20
    options.durability = durability
    let store: Bitcask
    do { store = try Bitcask.open(directory, options: BitcaskEngine.options(options)) } catch { throw EngineError(error) }
    let report = store.recovery
    summary =
      "recovered \(store.count) keys up to sequence \(report.lastSequence): \(report.hintsLoaded) hints, \(report.segmentsScanned) segments "
      + "scanned (\(report.bytesScanned) bytes), \(report.tornBytes) torn bytes dropped, \(report.damage.count) damaged places"
    for damage in report.damage { logger.warning("damage found", metadata: ["place": "\(damage)"]) }
    for file in report.strayFiles { logger.warning("a file that is not the store's was left alone", metadata: ["file": "\(file)"]) }
    return BitcaskEngine(store)
  }
}
