import ArgumentParser
import StrataCompression
import StrataDisk
import StrataSSTable
import SystemPackage

extension TableCommands {
  /// `strata table export`
  struct Export: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Write a table in LevelDB's format; 1 where it holds what LevelDB has no form for.")
    @Flag(help: "LevelDB's table format, the one there is so far.") var leveldb = false
    @Argument(help: "The table's file; it stays as it is.") var input: String
    @Argument(help: "The new file, such as 000005.ldb.") var output: String
    @Option(help: "none or snappy.") var compression = "snappy"

    func validate() throws {
      guard leveldb else { throw ValidationError("say --leveldb") }
      guard compression == "none" || compression == "snappy" else { throw ValidationError("LevelDB knows no compression '\(compression)'") }
    }

    func run() {
      let table = TableCommands.open(input)
      var options = LevelDBTableOptions()
      options.compression = Codec(name: compression) ?? .none
      let count = TableCommands.attempt { () throws(TableError) in
        try exportLevelDBTable(table, to: FilePath(output), options: options, on: POSIXFileSystem())
      }
      print("\(count) entries")
    }
  }

  /// `strata table import`
  struct Import: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Make a table of a file that LevelDB wrote, or RocksDB with format_version=0.")
    @Flag(help: "LevelDB's table format, the one there is so far.") var leveldb = false
    @Argument(help: "LevelDB's file; it stays as it is.") var input: String
    @Argument(help: "The new table's file.") var output: String
    @OptionGroup var layout: Layout

    func validate() throws {
      guard leveldb else { throw ValidationError("say --leveldb") }
    }

    func run() {
      let metadata = TableCommands.attempt { () throws(TableError) in
        try importLevelDBTable(FilePath(input), to: FilePath(output), fileID: layout.fileID, options: layout.options, on: POSIXFileSystem())
      }
      print(TableCommands.json(metadata).line)
    }
  }

  /// `strata table merge`
  struct Merge: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Merge tables into one, newest named first: what nobody can see any more goes, deletions stay unless told otherwise.",
      discussion: "OUT appears when it is durable; where nothing stays there is none.")
    @Argument(help: "The new table's file.") var output: String
    @Argument(help: "The tables, newest first; they stay as they are.") var inputs: [String]
    @Flag(help: "The tables are all there is: let deletions go.") var all = false
    @OptionGroup var layout: Layout
    @Flag(help: "Print one JSON object.") var json = false

    func validate() throws {
      if inputs.isEmpty { throw ValidationError("name at least one table to merge") }
      if inputs.contains(output) { throw ValidationError("\(output) is to be read and written") }
    }

    func run() {
      let tables = inputs.map { TableCommands.open($0) }
      let target = FilePath(output)
      guard let name = target.lastComponent?.string else { Outcome.exit(Outcome.usage, "\(output) names no file") }
      let number = layout.fileID
      var merged = TableOutput(directory: target.removingLastComponent(), options: layout.options) { number }
      if merged.directory.isEmpty { merged.directory = "." }
      merged.fileName = { _ in name }
      // One table, however large.
      merged.targetFileSize = 1 << 59
      var policy = GarbagePolicy()
      if !all { policy.others = [TableCommands.everywhere] }
      let (made, report) = TableCommands.attempt { () throws(TableError) in try mergeTables(tables, to: merged, policy, on: POSIXFileSystem()) }
      var object = JSONText()
      object.add("entries_in", report.entriesIn)
      object.add("entries_out", report.entriesOut)
      object.add("dropped_hidden", report.droppedHidden)
      object.add("dropped_covered", report.droppedCovered)
      object.add("dropped_tombstones", report.droppedTombstones)
      object.add("version_ties", report.versionTies)
      object.add("tables", made.map { TableCommands.json($0) })
      print(json ? object.line : "\(report.entriesIn) entries in, \(report.entriesOut) out, \(report.dropped) let go, \(made.count) tables")
    }
  }

  /// Stands for tables elsewhere that may hold anything older: no deletion can go while they exist.
  static var everywhere: TableMetadata {
    var metadata = TableMetadata(fileID: .max)
    metadata.entryCount = 1
    metadata.minSequence = 0
    metadata.largest = InternalKey(userKey: [UInt8](repeating: 0xFF, count: TableLimits.keyBytes), trailer: Trailer(0, .value))
    return metadata
  }
}
