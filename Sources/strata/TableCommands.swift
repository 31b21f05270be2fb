import ArgumentParser
import StrataCompression
import StrataDisk
import StrataSSTable
import SystemPackage

/// `strata table`
struct TableCommands: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "table", abstract: "Build, read, check, save, merge sorted tables; exchange them with LevelDB.",
    discussion: "Keys are the arguments' bytes. A table is written aside and appears under its name when it is durable.",
    subcommands: [Build.self, Dump.self, Get.self, Scan.self, Verify.self, Salvage.self, Export.self, Import.self, Merge.self, Compact.self])

  /// Ends the process as a table's error asks for.
  static func fail(_ error: TableError) -> Never {
    switch error {
    case .notATable, .corruptBlock, .truncated, .foreignTable, .corruptList, .miscounted: Outcome.exit(Outcome.damage, "\(error)")
    case .outOfOrder, .keyTooLarge, .valueTooLarge, .emptyRange, .missingMergeOperator, .inexpressible, .unsupportedFormat, .disk:
      Outcome.exit(Outcome.refused, "\(error)")
    }
  }

  static func attempt<Result>(_ body: () throws(TableError) -> Result) -> Result {
    do throws(TableError) { return try body() } catch { fail(error) }
  }

  static func open(_ file: String) -> TableReader {
    attempt { () throws(TableError) in try TableReader.open(FilePath(file), on: POSIXFileSystem()) }
  }

  /// Calls `body` with every entry of `bounds` in order.
  static func forEach(_ table: TableReader, _ bounds: KeyBounds = .all, _ body: (CursorEntry) -> Void) throws(TableError) {
    guard !bounds.isEmpty else { return }
    let cursor = table.cursor(fillCache: false)
    if let from = bounds.from {
      try from.span.bytes.withUnsafeBytes { (key) throws(TableError) in try cursor.seek(key, .newest(atOrBelow: Trailer.maxSequence)) }
    } else {
      try cursor.first()
    }
    while cursor.isValid {
      if let to = bounds.to, !cursor.entry.key.lexicographicallyPrecedes(to) { return }
      body(cursor.entry)
      try cursor.next()
    }
  }

  static func json(_ entry: CursorEntry) -> JSONText {
    var object = JSONText()
    let kind = entry.trailer.kind.map { "\($0)" } ?? "unknown"
    object.add("key", bytes: [UInt8](entry.key))
    object.add("sequence", entry.trailer.sequence)
    object.add("kind", kind)
    if entry.trailer.kind != .deletion { object.add("value", bytes: [UInt8](entry.value)) }
    return object
  }

  static func json(_ metadata: TableMetadata) -> JSONText {
    var object = JSONText()
    object.add("file", metadata.fileID)
    object.add("bytes", metadata.fileSize)
    object.add("entries", metadata.entryCount)
    object.add("values", metadata.valueCount)
    object.add("deletions", metadata.deletionCount)
    object.add("merges", metadata.mergeCount)
    object.add("range_deletions", metadata.rangeDeletionCount)
    object.add("smallest", bytes: metadata.smallest.userKey)
    object.add("largest", bytes: metadata.largest.userKey)
    object.add("min_sequence", metadata.minSequence)
    object.add("max_sequence", metadata.maxSequence)
    object.add("data_blocks", metadata.dataBlockCount)
    object.add("tombstone_dense_blocks", metadata.tombstoneDenseBlocks)
    object.add("created_at", metadata.createdAt)
    object.add("newest_time", metadata.newestTime)
    object.add("level", metadata.level)
    return object
  }

  /// How new tables are laid out.
  struct Layout: ParsableArguments {
    @Option(help: "Bytes after which a data block ends.") var blockSize = 4096
    @Option(help: "none, lz4, zstd, deflate or snappy.") var compression = "lz4"
    @Option(help: "Bits of filter per key, 0 for no filter.") var bitsPerKey = 10.0
    @Option(help: "The new table's number.") var fileID: UInt64 = 1
    @Option(help: "Prefixes that the filter is to know besides keys: fixed:BYTES or delimiter:CODE, CODE a byte as a number.") var prefix: String?

    @Option(help: "Keys for each bucket of hash indexes in data blocks, such as 0.75; none where it is not given.") var hashIndex: Double?

    private var extractor: PrefixExtractor? {
      let parts = prefix?.split(separator: ":", omittingEmptySubsequences: false) ?? []
      guard parts.count == 2 else { return nil }
      switch parts[0] {
      case "fixed": return UInt16(parts[1]).map { .fixed(Int($0)) }
      case "delimiter": return UInt8(parts[1]).map { .delimiter($0) }
      default: return nil
      }
    }

    func validate() throws {
      guard hashIndex.map({ (0.1...100).contains($0) }) ?? true else { throw ValidationError("--hash-index is 0.1 to 100") }
      guard prefix == nil || extractor != nil else { throw ValidationError("--prefix is fixed:BYTES or delimiter:CODE") }
      guard Codec(name: compression) != nil else { throw ValidationError("unknown compression '\(compression)'") }
      guard (1...1 << 24).contains(blockSize) else { throw ValidationError("--block-size is 1 to 16777216") }
      guard bitsPerKey == 0 || (1...100).contains(bitsPerKey) else { throw ValidationError("--bits-per-key is 0, or 1 to 100") }
    }

    var options: TableOptions {
      var options = TableOptions()
      options.blockSize = blockSize
      options.compression = Codec(name: compression) ?? .lz4
      options.filterBitsPerKey = bitsPerKey == 0 ? nil : bitsPerKey
      options.prefixExtractor = extractor
      options.hashIndexRatio = hashIndex
      return options
    }
  }

  /// `strata table build`
  struct Build: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Build a table of changes from standard input, one JSON object per line, in key order.",
      discussion: """
        {"op": "put", "key": "a", "value": "1"} or {"op": "delete", "key_base64": "AAE="}; "sequence": n where it is not 0. Of one key the newest \
        comes first. A line out of order is refused, and no table is left.
        """)
    @Argument(help: "The table's file.") var file: String
    @OptionGroup var layout: Layout

    func run() {
      let metadata = TableCommands.attempt { () throws(TableError) -> TableMetadata in
        var writer = try TableWriter(FilePath(file), fileID: layout.fileID, options: layout.options, on: POSIXFileSystem())
        var number = 0
        while let line = readLine() {
          number += 1
          if line.isEmpty { continue }
          let entry: (key: [UInt8], value: [UInt8], kind: EntryKind, sequence: UInt64)
          do throws(InputChange.Malformed) {
            let change = try InputChange(line: line, number: number)
            let isPut = change.op == "put"
            let key = try change.keyBytes(number) ?? []
            let value = try change.valueBytes(number) ?? []
            entry = (key, isPut ? value : [], isPut ? .value : .deletion, change.sequence ?? 0)
          } catch {
            // Dropped first, so that no file is left: the process ends without unwinding.
            writer.abandon()
            Outcome.exit(Outcome.usage, error.description)
          }
          let (key, value) = (entry.key, entry.value)
          do throws(TableError) {
            try writer.add(key: key.span.bytes, sequence: entry.sequence, kind: entry.kind, value: value.span.bytes)
          } catch {
            writer.abandon()
            throw error
          }
        }
        return try writer.finish()
      }
      print(TableCommands.json(metadata).line)
    }
  }

  /// `strata table dump`
  struct Dump: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Print what a table says of itself, its range deletions and every entry.")
    @Argument(help: "The table's file.") var file: String
    @Flag(help: "One JSON object per line.") var json = false
    @Flag(help: "Only what the table says of itself.") var summary = false

    /// A property in hexadecimal; one that was not stored is none.
    private static func shown(_ property: TableProperty) -> String {
      property.value.map { value in value.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined() } ?? "none"
    }

    private static func json(_ table: TableReader) -> JSONText {
      var object = TableCommands.json(table.metadata)
      if let prefixes = table.prefixExtractor { object.add("prefix_extractor", prefixes.name) }
      if table.hasHashIndexes { object.add("hash_indexes", true) }
      guard !table.properties.isEmpty else { return object }
      object.add(
        "properties",
        table.properties.map { property in
          var object = JSONText()
          object.add("name", property.name)
          object.add("value", shown(property))
          return object
        })
      return object
    }

    func run() {
      let table = TableCommands.open(file)
      if json {
        print(Self.json(table).line)
      } else {
        let facts = table.metadata
        print("table \(facts.fileID), \(facts.fileSize) bytes, \(facts.entryCount) entries in \(facts.dataBlockCount) blocks, level \(facts.level)")
        print(
          "\(facts.valueCount) values, \(facts.deletionCount) deletions, \(facts.mergeCount) merges, \(facts.rangeDeletionCount) range deletions, "
            + "sequences \(facts.minSequence) to \(facts.maxSequence)")
        if table.hasHashIndexes { print("data blocks have hash indexes") }
        if let prefixes = table.prefixExtractor { print("the filter knows prefixes \(prefixes.name)") }
        for property in table.properties { print("property \(printable(Array(property.name.utf8))): \(Self.shown(property))") }
        print("from \(printable(facts.smallest.userKey)) to \(printable(facts.largest.userKey))\(facts.largestIsExclusive ? ", exclusive" : "")")
      }
      if summary { return }
      for range in table.rangeTombstones.deletions {
        var object = JSONText()
        object.add("from", bytes: range.start)
        object.add("to", bytes: range.end)
        object.add("sequence", range.sequence)
        object.add("kind", "rangeDeletion")
        print(json ? object.line : "\(printable(range.start))..\(printable(range.end))\t\(range.sequence)\trangeDeletion")
      }
      TableCommands.attempt { () throws(TableError) in
        try TableCommands.forEach(table) { entry in
          if json { return print(TableCommands.json(entry).line) }
          let kind = entry.trailer.kind.map { "\($0)" } ?? "unknown"
          print("\(printable([UInt8](entry.key)))\t\(entry.trailer.sequence)\t\(kind)\t\(printable([UInt8](entry.value)))")
        }
      }
    }
  }
}
