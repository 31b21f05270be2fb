import ArgumentParser
import StrataDisk
import StrataWriteAheadLog
import SystemPackage

/// `strata wal`
struct WALCommands: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "wal", abstract: "Look into write-ahead logs, check them, append to them, save what is left of them.",
    subcommands: [Dump.self, Verify.self, Append.self, Salvage.self])

  /// Ends the process as a log's error asks for.
  static func fail(_ error: WALError) -> Never {
    switch error {
    case .damaged, .missingSegment, .duplicateSegment, .wrongLog, .unrecognizedFile, .damagedHeader: Outcome.exit(Outcome.damage, "\(error)")
    default: Outcome.exit(Outcome.refused, "\(error)")
    }
  }

  /// A log's directory that must exist, so that looking at nothing does not create a log.
  static func existing(_ directory: String) -> FilePath {
    let path = FilePath(directory)
    do {
      guard let status = try POSIXFileSystem().status(path), status.isDirectory else {
        Outcome.exit(Outcome.refused, "\(directory): no such directory")
      }
    } catch { Outcome.exit(Outcome.refused, "\(error)") }
    return path
  }

  /// Opens a log for reading, damaged or not; changes nothing.
  static func openForReading(_ directory: String) -> (WriteAheadLog, RecoveryReport) {
    var options = WALOptions()
    options.recovery = .salvage
    do { return try WriteAheadLog.open(existing(directory), options: options, on: POSIXFileSystem()) } catch { fail(error) }
  }

  /// 0, 1 for a torn tail, 2 for damage.
  static func finish(_ report: RecoveryReport) throws {
    if !report.damage.isEmpty { throw ExitCode(Outcome.damage) }
    if report.tornBytes > 0 { throw ExitCode(Outcome.refused) }
  }

  static func describe(_ report: RecoveryReport) -> JSONText {
    var json = JSONText()
    json.add("first_sequence", report.sequences?.lowerBound ?? 0)
    json.add("last_sequence", report.sequences?.upperBound ?? 0)
    json.add("segments", report.segments)
    json.add("bytes_scanned", report.bytesScanned)
    json.add("torn_bytes", report.tornBytes)
    json.add("foreign_files", report.foreignFiles)
    json.add(
      "damage",
      report.damage.map { region in
        var json = JSONText()
        json.add("segment", region.segment)
        json.add("offset", region.offset)
        json.add("length", region.length)
        json.add("first_lost_sequence", region.firstLostSequence)
        json.add("reason", region.reason)
        return json
      })
    return json
  }

  static func print(_ report: RecoveryReport) {
    let range = report.sequences.map { "\($0.lowerBound)...\($0.upperBound)" } ?? "none"
    Swift.print("sequences \(range), \(report.segments) segments, \(report.bytesScanned) bytes scanned, \(report.tornBytes) torn bytes")
    for region in report.damage {
      Swift.print(
        "damage: segment \(region.segment), offset \(region.offset), \(region.length) bytes, sequence \(region.firstLostSequence) lost: "
          + region.reason)
    }
    for file in report.foreignFiles { Swift.print("foreign file: \(file)") }
  }

  /// `strata wal dump`
  struct Dump: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Print every record, control records included, with its place.")
    @Argument(help: "The log's directory.") var directory: String
    @Flag(help: "One JSON object per record.") var json = false

    func run() throws {
      var (log, report) = WALCommands.openForReading(directory)
      let reader = log.iterate()
      do throws(WALError) {
        while let entry = try reader.next() { Swift.print(json ? Self.json(entry).line : Self.text(entry)) }
      } catch { WALCommands.fail(error) }
      report.damage += reader.damage
      for region in report.damage {
        StandardError.write("strata: segment \(region.segment) is damaged at offset \(region.offset): \(region.reason)\n")
      }
      try WALCommands.finish(report)
    }

    private static func text(_ entry: WALEntry) -> String {
      let place = "\(entry.sequence)\t\(entry.segment):\(entry.offset)\t"
      switch entry.content {
      case .operation(.put(let key, let value)): return place + "put\t\(printable(key))\t\(printable(value))"
      case .operation(.delete(let key)): return place + "delete\t\(printable(key))"
      case .operation(.application(let kind, let payload)): return place + "application \(kind)\t\(printable(payload))"
      case .checkpoint(let payload): return place + "checkpoint\t\(printable(payload))"
      case .truncate(let upTo): return place + "truncate\t\(upTo)"
      }
    }

    private static func json(_ entry: WALEntry) -> JSONText {
      var json = JSONText()
      json.add("sequence", entry.sequence)
      json.add("segment", entry.segment)
      json.add("offset", entry.offset)
      switch entry.content {
      case .operation(.put(let key, let value)):
        json.add("op", "put")
        json.add("key", bytes: key)
        json.add("value", bytes: value)
      case .operation(.delete(let key)):
        json.add("op", "delete")
        json.add("key", bytes: key)
      case .operation(.application(let kind, let payload)):
        json.add("op", "application")
        json.add("kind", kind)
        json.add("payload", bytes: payload)
      case .checkpoint(let payload):
        json.add("op", "checkpoint")
        json.add("payload", bytes: payload)
      case .truncate(let upTo):
        json.add("op", "truncate")
        json.add("up_to", upTo)
      }
      return json
    }
  }

  /// `strata wal verify`
  struct Verify: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Read everything and report: 0 clean, 1 torn tail, 2 damage. Changes nothing.")
    @Argument(help: "The log's directory.") var directory: String
    @Flag(help: "Print one JSON object.") var json = false

    func run() throws {
      let report: RecoveryReport
      do { report = try WriteAheadLog.verify(WALCommands.existing(directory)) } catch { WALCommands.fail(error) }
      if json { Swift.print(WALCommands.describe(report).line) } else { WALCommands.print(report) }
      try WALCommands.finish(report)
    }
  }

  /// `strata wal append`
  struct Append: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Append the changes on standard input; print each sequence once it is durable.",
      discussion: "One JSON object per line: {\"op\": \"put\", \"key\": \"a\", \"value\": \"1\"} or {\"op\": \"delete\", \"key_base64\": \"AAE=\"}.")
    @Argument(help: "The log's directory; created when missing.") var directory: String
    @Flag(help: "Print {\"sequence\": n} per line.") var json = false

    func run() {
      do throws(WALError) {
        let (log, _) = try WriteAheadLog.open(FilePath(directory), options: WALOptions(), on: POSIXFileSystem())
        var number = 0
        while let line = readLine() {
          number += 1
          if line.isEmpty { continue }
          let record: WALRecord
          do throws(InputChange.Malformed) {
            let change = try InputChange(line: line, number: number)
            let key = try change.keyBytes(number) ?? []
            record = change.op == "put" ? .put(key: key, value: try change.valueBytes(number) ?? []) : .delete(key: key)
          } catch {
            try log.close()
            Outcome.exit(Outcome.usage, error.description)
          }
          let sequence = try log.append(record, durability: .everyWrite)
          Swift.print(json ? "{\"sequence\": \(sequence)}" : "\(sequence)")
          StandardOutput.flush()
        }
        try log.close()
      } catch { WALCommands.fail(error) }
    }
  }

  /// `strata wal salvage`
  struct Salvage: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Copy every readable record into a new log, in order. Sequences are given anew where records were lost.")
    @Argument(help: "The damaged log's directory; it is not changed.") var directory: String
    @Argument(help: "Directory of the new log; must not exist or be empty.") var output: String
    @Flag(help: "Print one JSON object.") var json = false

    func run() throws {
      var (source, report) = WALCommands.openForReading(directory)
      let target = FilePath(output)
      do {
        if try POSIXFileSystem().exists(target), try !POSIXFileSystem().list(target).isEmpty {
          Outcome.exit(Outcome.refused, "\(output): not empty; salvage writes into a new directory")
        }
      } catch { Outcome.exit(Outcome.refused, "\(error)") }
      var copied = 0
      do throws(WALError) {
        var options = WALOptions()
        options.durability = .batched(count: 10_000, interval: .milliseconds(100))
        let (log, _) = try WriteAheadLog.open(target, options: options, on: POSIXFileSystem())
        let reader = source.iterate()
        while let entry = try reader.next() {
          switch entry.content {
          case .operation(let record): try log.append(record)
          case .checkpoint(let payload): try log.checkpoint(payload)
          case .truncate: continue
          }
          copied += 1
        }
        report.damage += reader.damage
        try log.close()
      } catch { WALCommands.fail(error) }
      if json {
        var object = WALCommands.describe(report)
        object.add("copied", copied)
        Swift.print(object.line)
      } else {
        Swift.print("\(copied) records copied to \(output)")
        WALCommands.print(report)
      }
    }
  }
}
