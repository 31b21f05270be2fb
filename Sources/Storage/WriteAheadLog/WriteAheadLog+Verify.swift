import StrataDisk
import SystemPackage

extension WriteAheadLog {
  /// Reads every byte of the log in `directory` and reports what is not as it was written; changes nothing. The log must not be in use.
  /// - Throws: where the row of segments itself is broken (`.missingSegment`, `.duplicateSegment`, `.damagedHeader`, …), and `.storage`.
  public static func verify(
    _ directory: FilePath, options: WALOptions = WALOptions(), on fileSystem: any FileSystem = POSIXFileSystem()
  ) throws(WALError) -> RecoveryReport {
    var options = options
    options.recovery = .salvage
    var (log, report) = try open(directory, options: options, on: fileSystem)
    let reader = log.iterate()
    while try reader.next() != nil {}
    for region in reader.damage where !report.damage.contains(where: { $0.segment == region.segment && $0.offset == region.offset }) {
      report.damage.append(region)
    }
    report.damage.sort { ($0.segment, $0.offset) < ($1.segment, $1.offset) }
    return report
  }
}
