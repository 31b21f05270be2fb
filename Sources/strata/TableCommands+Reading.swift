import ArgumentParser
import StrataDisk
import StrataSSTable
import SystemPackage

extension TableCommands {
  /// `strata table get`
  struct Get: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Print the newest value of a key; 1 when it is absent or deleted.")
    @Argument(help: "The table's file.") var file: String
    @Argument(help: "The key.") var key: String
    @Option(help: "Read at this sequence.") var at = Trailer.maxSequence
    @Flag(help: "Print one JSON object, of a deletion too.") var json = false

    func validate() throws {
      if at > Trailer.maxSequence { throw ValidationError("--at is at most \(Trailer.maxSequence)") }
    }

    func run() {
      let table = TableCommands.open(file)
      let wanted = Array(key.utf8)
      let covering = wanted.withUnsafeBytes { table.rangeTombstones.coveringSequence($0, atOrBelow: at) }
      let found = TableCommands.attempt { () throws(TableError) in
        try wanted.span.bytes.withUnsafeBytes { (key) throws(TableError) in
          try table.get(key, atOrBelow: at) { trailer, value in (trailer: trailer, value: [UInt8](value)) }
        }
      }
      guard let found, found.trailer.sequence >= covering else {
        Outcome.exit(Outcome.refused, covering > 0 ? "deleted at sequence \(covering)" : "absent")
      }
      if json {
        var object = JSONText()
        object.add("key", key)
        object.add("sequence", found.trailer.sequence)
        object.add("kind", found.trailer.kind.map { "\($0)" } ?? "unknown")
        object.add("value", bytes: found.value)
        return print(object.line)
      }
      guard found.trailer.kind != .deletion else { Outcome.exit(Outcome.refused, "deleted at sequence \(found.trailer.sequence)") }
      print(String(decoding: found.value, as: UTF8.self))
    }
  }

  /// `strata table scan`
  struct Scan: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Print entries in order: every version of a key, deletions too.")
    @Argument(help: "The table's file.") var file: String
    @Option(help: "First key.") var from: String?
    @Option(help: "First key no longer wanted.") var to: String?
    @Flag(help: "One JSON object per entry.") var json = false

    func run() {
      let table = TableCommands.open(file)
      let bounds = KeyBounds(from: from.map { Array($0.utf8) }, to: to.map { Array($0.utf8) })
      TableCommands.attempt { () throws(TableError) in
        try TableCommands.forEach(table, bounds) { entry in
          let isDeletion = entry.trailer.kind == .deletion
          let text = isDeletion ? "(deleted)" : printable([UInt8](entry.value))
          print(json ? TableCommands.json(entry).line : "\(printable([UInt8](entry.key)))\t\(text)")
        }
      }
    }
  }

  /// `strata table verify`
  struct Verify: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Read every block and check checksums, order and counts: 0 sound, 2 damaged.")
    @Argument(help: "The table's file.") var file: String
    @Flag(help: "Print one JSON object.") var json = false

    func run() {
      let table = TableCommands.open(file)
      let report = TableCommands.attempt { () throws(TableError) in try table.verify() }
      var object = JSONText()
      object.add("blocks", report.blocks)
      object.add("entries", report.entries)
      object.add("bytes", report.bytes)
      object.add("damage", report.damage.map { "\($0)" })
      print(json ? object.line : "\(report.blocks) blocks, \(report.entries) entries, \(report.bytes) bytes")
      if !json { for damage in report.damage { print(damage) } }
      if !report.isClean { Outcome.exit(Outcome.damage, "damaged") }
    }
  }

  /// `strata table salvage`
  struct Salvage: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Write what can be read of a damaged table to a new one.")
    @Argument(help: "The damaged table's file; it stays as it is.") var input: String
    @Argument(help: "The new table's file.") var output: String
    @OptionGroup var layout: Layout
    @Flag(help: "Print one JSON object.") var json = false

    func run() {
      let (_, report) = TableCommands.attempt { () throws(TableError) in
        try salvageTable(FilePath(input), to: FilePath(output), fileID: layout.fileID, options: layout.options, on: POSIXFileSystem())
      }
      var object = JSONText()
      object.add("blocks", report.blocks)
      object.add("entries", report.entries)
      object.add("range_deletions", report.rangeDeletions)
      object.add("skipped_bytes", report.skippedBytes)
      print(
        json
          ? object.line
          : "saved \(report.entries) entries of \(report.blocks) blocks and \(report.rangeDeletions) range deletions, "
            + "passed over \(report.skippedBytes) bytes")
    }
  }
}
