import Logging
import StrataBitcask
import StrataDisk
import StrataRESP
import StrataWriteAheadLog
import SystemPackage

/// Opens the store `strata serve` was asked for and says what recovery found.
final class OpenedStore {
  /// One line for the banner.
  private(set) var summary = ""

  /// - Throws: `.damaged` where files are not as they were written, another kind where the store is refused.
  func open(_ plan: ServePlan, _ logger: Logger) throws(EngineError) -> any KeyValueEngine {
    var options = BitcaskOptions()
    options.segmentBytes = plan.segmentBytes
    options.durability =
      switch plan.durability {
      case .everyWrite: .everyWrite
      case .batched: .batched(count: plan.batchCount, interval: .milliseconds(plan.batchMilliseconds))
      case .none: .none
      }
    let store: Bitcask
    do { store = try Bitcask.open(FilePath(plan.directory), options: BitcaskEngine.options(options)) } catch { throw EngineError(error) }
    let report = store.recovery
    summary =
      "recovered \(store.count) keys up to sequence \(report.lastSequence): \(report.hintsLoaded) hints, \(report.segmentsScanned) segments "
      + "scanned (\(report.bytesScanned) bytes), \(report.tornBytes) torn bytes dropped, \(report.damage.count) damaged places"
    for damage in report.damage { logger.warning("damage found", metadata: ["place": "\(damage)"]) }
    for file in report.strayFiles { logger.warning("a file that is not the store's was left alone", metadata: ["file": "\(file)"]) }
    return BitcaskEngine(store)
  }
}
