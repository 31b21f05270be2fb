import ArgumentParser
import StrataDisk
import StrataJobs
import StrataSSTable
import SystemPackage

extension TableCommands {
  /// `strata table compact`
  struct Compact: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Add tables to a directory of tables and merge what its strategy finds due; print the tables there are.",
      discussion: """
        The directory is made where it is missing, and is the command's own: it lists its tables in a file TABLES and removes others. Tables are \
        copied, the oldest named first. Each step is durable before the next; a process that is killed leaves the one or the other state.
        """)
    @Argument(help: "The directory.") var directory: String
    @Option(name: .customLong("add"), help: "A table to add; may be given several times, oldest first.") var added: [String] = []
    @Option(help: "leveled, sizeTiered, fifo or timeWindow.") var strategy = "sizeTiered"
    @Option(help: "Bytes that the strategy fifo keeps.") var fifoBytes: UInt64 = 1 << 30
    @Option(help: "Seconds of a window of the strategy timeWindow.") var windowSeconds: UInt64 = 86_400
    @Option(help: "With fifo and timeWindow: tables of which everything is older than so many seconds go.") var timeToLive: UInt64?
    @OptionGroup var layout: Layout
    @Flag(help: "Print one JSON object.") var json = false

    private var chosen: (any CompactionStrategy)? {
      let now = WallClock.unixMilliseconds() / 1000
      let expiry = timeToLive.map { now - min($0, now) }
      switch strategy {
      case "leveled": return LeveledStrategy()
      case "sizeTiered": return SizeTieredStrategy()
      case "fifo": return FirstInFirstOutStrategy(maxBytes: fifoBytes, expiresBefore: expiry)
      case "timeWindow": return TimeWindowStrategy(windowSeconds: windowSeconds, now: now, expiresBefore: expiry)
      default: return nil
      }
    }

    func validate() throws {
      if chosen == nil { throw ValidationError("there is no strategy '\(strategy)'") }
      if fifoBytes == 0 || windowSeconds == 0 { throw ValidationError("a strategy's bound is at least 1") }
    }

    func run() {
      var options = CompactedTables.Options()
      options.strategy = chosen ?? options.strategy
      options.table = layout.options
      options.table.createdAt = WallClock.unixMilliseconds() / 1000
      var plans = 0
      let tables = TableCommands.attempt { () throws(TableError) in
        let set = try CompactedTables.open(FilePath(directory), options: options, on: POSIXFileSystem())
        for file in added { try set.add(TableReader.open(FilePath(file), on: POSIXFileSystem())) }
        while set.needsCompaction {
          try set.run()
          plans += 1
        }
        return set.tables
      }
      var object = JSONText()
      object.add("plans", plans)
      object.add("tables", tables.map { TableCommands.json($0) })
      if json { return print(object.line) }
      print("\(plans) plans carried out, \(tables.count) tables")
      for table in tables { print("level \(table.level): table \(table.fileID), \(table.entryCount) entries, \(table.fileSize) bytes") }
    }
  }
}
