import ArgumentParser
import StrataDisk
import StrataLSMTree
import StrataSSTable
import SystemPackage

/// `strata lsm`
struct LSMCommands: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "lsm", abstract: "Read, write, check and repair stores of the ordered engine.",
    discussion: "Keys and values are the arguments' bytes. A store that a server or another command has open is refused.",
    subcommands: [Apply.self, Get.self, Scan.self, Stats.self, Verify.self, Repair.self, CheckpointCommand.self, Ingest.self])

  /// Ends the process as a store's error asks for.
  static func fail(_ error: LSMError) -> Never {
    switch error {
    case .corruption, .corruptLog, .corruptManifest, .missingTables, .table, .log: Outcome.exit(Outcome.damage, "\(error)")
    default: Outcome.exit(Outcome.refused, "\(error)")
    }
  }

  /// Runs `body` on a store and closes it. One that is only looked at must exist already, and is left as it is.
  static func with(
    _ directory: String, mustExist: Bool = true, created keyspace: KeyspaceOptions = KeyspaceOptions(),
    _ body: (LSMTree) throws(LSMError) -> Void
  ) {
    if mustExist { _ = WALCommands.existing(directory) }
    var options = LSMOptions()
    options.background = .manual
    options.flushesOnClose = !mustExist
    options.takesStoredKeyspaceOptions = true
    options.defaultKeyspace = keyspace
    do throws(LSMError) {
      let store = try LSMTree.open(FilePath(directory), options: options)
      try body(store)
      try store.close()
    } catch { fail(error) }
  }

  /// What is to be known of a table in which damage was found.
  static func marked(_ table: UInt64) -> String {
    "table \(table) is marked as damaged and no longer compacted: restore its file and verify again"
  }

  /// What a store is created with; one that exists stays as it is.
  struct Creation: ParsableArguments {
    @Option(help: "How a new store's tables are merged: leveled (where not said), sizeTiered, fifo or timeWindow.") var style: String?
    @Option(help: "Bytes that the style fifo keeps; the oldest tables go beyond.") var fifoBytes: UInt64 = 1 << 30
    @Option(help: "Seconds of a window of the style timeWindow.") var windowSeconds: UInt32 = 86_400
    @Option(help: "Seconds that values of a new store live; 0 for ever.") var timeToLive: UInt32 = 0

    private var chosen: CompactionStyle? { CompactionStyle.allCases.first { "\($0)" == style } }

    func validate() throws {
      if let style, chosen == nil { throw ValidationError("there is no style '\(style)'") }
      if fifoBytes == 0 || windowSeconds == 0 { throw ValidationError("a style's bound is at least 1") }
    }

    var options: KeyspaceOptions {
      var options = KeyspaceOptions()
      options.style = chosen ?? .leveled
      options.fifoBytes = fifoBytes
      options.windowLength = .seconds(Int64(windowSeconds))
      options.timeToLive = timeToLive > 0 ? .seconds(Int64(timeToLive)) : nil
      return options
    }
  }

  /// `strata lsm apply`
  struct Apply: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Apply changes from standard input, one JSON object per line; print each version once it is durable.")
    @Argument(help: "The store's directory; created when missing.") var directory: String
    @OptionGroup var creation: Creation

    func run() {
      LSMCommands.with(directory, mustExist: false, created: creation.options) { (store) throws(LSMError) in
        var number = 0
        while let line = readLine() {
          number += 1
          if line.isEmpty { continue }
          let change: InputChange
          let key: [UInt8]
          let value: [UInt8]
          do throws(InputChange.Malformed) {
            change = try InputChange(line: line, number: number)
            key = try change.keyBytes(number) ?? []
            value = try change.valueBytes(number) ?? []
          } catch {
            try store.close()
            Outcome.exit(Outcome.usage, error.description)
          }
          let version = change.op == "delete" ? try store.delete(key.span.bytes) : try store.put(key.span.bytes, value.span.bytes)
          print(version)
          StandardOutput.flush()
        }
        // Nobody works in the background here: what the changes have made due is done before the end.
        try store.flush()
        while store.stepBackground() {}
      }
    }
  }

  /// `strata lsm get`
  struct Get: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Print the value of a key; 1 when it is absent.")
    @Argument(help: "The store's directory.") var directory: String
    @Argument(help: "The key.") var key: String
    @Flag(help: "Print one JSON object.") var json = false

    func run() {
      var value: [UInt8]?
      LSMCommands.with(directory) { (store) throws(LSMError) in value = try store.get(Array(key.utf8).span.bytes) }
      guard let value else { Outcome.exit(Outcome.refused, "absent") }
      var object = JSONText()
      object.add("key", key)
      object.add("value", bytes: value)
      print(json ? object.line : String(decoding: value, as: UTF8.self))
    }
  }

  /// `strata lsm scan`
  struct Scan: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Print keys and values in order.")
    @Argument(help: "The store's directory.") var directory: String
    @Option(help: "First key.") var from: String?
    @Option(help: "First key no longer wanted.") var to: String?
    @Option(help: "Read at this version.") var at: UInt64?
    @Flag(help: "From the last key to the first.") var reverse = false
    @Flag(help: "One JSON object per row.") var json = false

    func run() {
      LSMCommands.with(directory) { (store) throws(LSMError) in
        let snapshot: Snapshot? = if let at { try store.snapshot(at: at) } else { nil }
        let bounds = KeyBounds(from: from.map { Array($0.utf8) }, to: to.map { Array($0.utf8) })
        var iterator = try store.iterator(bounds, at: snapshot)
        if reverse { try iterator.last() } else { try iterator.first() }
        while iterator.isValid {
          let key = iterator.key.withUnsafeBytes { [UInt8]($0) }
          let value = iterator.value.withUnsafeBytes { [UInt8]($0) }
          var object = JSONText()
          object.add("key", bytes: key)
          object.add("value", bytes: value)
          print(json ? object.line : "\(printable(key))\t\(printable(value))")
          if reverse { try iterator.previous() } else { try iterator.next() }
        }
      }
    }
  }

  /// `strata lsm stats`
  struct Stats: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Print what the store holds, and how long what opening it did has taken.")
    @Argument(help: "The store's directory.") var directory: String
    @Flag(help: "Print one JSON object.") var json = false

    func run() {
      LSMCommands.with(directory) { (store) throws(LSMError) in
        let statistics = store.statistics
        var object = JSONText()
        object.add("last_version", store.lastVersion)
        object.add("tombstones", statistics.tombstones)
        object.add("memtable_bytes", statistics.memtableBytes)
        object.add("table_memory_bytes", statistics.tableMemoryBytes)
        object.add("tables_with_damaged_filter", statistics.tablesWithDamagedFilter)
        object.add("quarantined_tables", statistics.quarantinedTables)
        object.add("read_amplification", statistics.readAmplification)
        object.add(
          "levels",
          zip(statistics.tablesByLevel, statistics.bytesByLevel).enumerated().map { level, held in
            var object = JSONText()
            object.add("level", level)
            object.add("tables", held.0)
            object.add("bytes", held.1)
            return object
          })
        object.add("keyspaces", statistics.keyspaces.map(Self.json))
        object.add(
          "latencies",
          statistics.latencies.map { name, latency in
            var object = JSONText()
            object.add("name", name)
            object.add("timed", latency.timed)
            object.add("p50_ns", latency.median)
            object.add("p99_ns", latency.p99)
            object.add("p999_ns", latency.p999)
            return object
          })
        if json { return print(object.line) }
        print("last version \(store.lastVersion), \(statistics.tombstones) tombstones, \(statistics.readAmplification) runs per absent key at most")
        for (level, held) in zip(statistics.tablesByLevel, statistics.bytesByLevel).enumerated() where held.0 > 0 {
          print("level \(level): \(held.0) tables, \(held.1) bytes")
        }
        for keyspace in statistics.keyspaces { print(Self.line(keyspace)) }
        for table in statistics.quarantinedTables { print(LSMCommands.marked(table)) }
        for (name, latency) in statistics.latencies where latency.timed > 0 {
          print("\(name), \(latency.timed) timed: half within \(latency.median) ns, 99 % within \(latency.p99), 99.9 % within \(latency.p999)")
        }
      }
    }

    private static func json(_ keyspace: KeyspaceStatistics) -> JSONText {
      var object = JSONText()
      object.add("name", keyspace.name)
      object.add("style", "\(keyspace.style)")
      if keyspace.style == .fifo { object.add("fifo_bytes", keyspace.styleLimit) }
      if keyspace.style == .timeWindow { object.add("window_seconds", keyspace.styleLimit) }
      object.add("time_to_live_ms", keyspace.timeToLiveMilliseconds)
      object.add("tables", keyspace.tables)
      object.add("bytes", keyspace.bytes)
      object.add("oldest_table_time", keyspace.oldestTableTime)
      return object
    }

    private static func line(_ keyspace: KeyspaceStatistics) -> String {
      var text = keyspace.name.isEmpty ? "default keyspace" : "keyspace \(printable(Array(keyspace.name.utf8)))"
      text += ": \(keyspace.style)"
      if keyspace.style == .fifo { text += ", keeps \(keyspace.styleLimit) bytes" }
      if keyspace.style == .timeWindow { text += ", windows of \(keyspace.styleLimit) s" }
      if keyspace.timeToLiveMilliseconds > 0 { text += ", values live \(keyspace.timeToLiveMilliseconds) ms" }
      return text + "; \(keyspace.tables) tables, \(keyspace.bytes) bytes"
    }
  }

  /// `strata lsm verify`
  struct Verify: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Read every table and the log; 2 where something is damaged.")
    @Argument(help: "The store's directory.") var directory: String
    @Flag(help: "Print one JSON object.") var json = false

    func run() {
      var report = LSMVerifyReport()
      LSMCommands.with(directory) { (store) throws(LSMError) in report = try store.verify() }
      var object = JSONText()
      object.add("tables", report.tables)
      object.add("entries", report.entries)
      object.add("records", report.records)
      object.add("damage", report.damage)
      object.add("quarantined_tables", report.quarantined)
      print(json ? object.line : "\(report.tables) tables, \(report.entries) entries, \(report.records) records of the log")
      if !json { for line in report.damage + report.quarantined.map(LSMCommands.marked) { print(line) } }
      if !report.damage.isEmpty { Outcome.exit(Outcome.damage, "damaged") }
    }
  }

  /// `strata lsm repair`
  struct Repair: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Make a new manifest out of the tables there are, for a store that cannot be opened; 2 where a table was left out.",
      discussion: """
        The store keeps the style and the time to live it was created with, where its manifest can still be read so far; else, and where --style is \
        given, it has those of the options.
        """)
    @Argument(help: "The store's directory.") var directory: String
    @OptionGroup var creation: Creation

    func run() {
      let path = WALCommands.existing(directory)
      var options = LSMOptions()
      options.takesStoredKeyspaceOptions = creation.style == nil
      options.defaultKeyspace = creation.options
      if creation.style == nil, LSMTree.storedStyle(path) == nil {
        StandardError.write("strata: the manifest no longer tells how tables are merged; the store is leveled now, unless --style says otherwise\n")
      }
      do throws(LSMError) {
        let left = try LSMTree.repair(path, options: options)
        for reason in left { print("left out: \(reason)") }
        if !left.isEmpty { Outcome.exit(Outcome.damage, "\(left.count) tables were left out") }
        print("repaired")
      } catch { LSMCommands.fail(error) }
    }
  }

  /// `strata lsm checkpoint`
  struct CheckpointCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "checkpoint", abstract: "Copy a store into an empty directory of the same file system, tables by second names.")
    @Argument(help: "The store's directory.") var directory: String
    @Argument(help: "The copy's directory.") var target: String

    func run() {
      LSMCommands.with(directory) { (store) throws(LSMError) in try store.checkpoint(to: FilePath(target)) }
    }
  }

  /// `strata lsm ingest`
  struct Ingest: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Add the entries of sorted tables as one write; print its version once it is durable.",
      discussion: """
        The tables are those of a `TableWriter` of StrataSSTable: values and deletions, each key once, no two overlapping. They are copied and \
        stay as they are. 1 where one is not of that kind; then nothing has changed.
        """)
    @Argument(help: "The store's directory; created when missing.") var directory: String
    @Argument(help: "The tables' files.") var tables: [String]

    func run() {
      let paths = tables.map { FilePath($0) }
      LSMCommands.with(directory, mustExist: false) { (store) throws(LSMError) in print(try store.ingest(paths)) }
    }
  }
}
