import ArgumentParser
import StrataBitcask
import StrataDisk
import StrataWriteAheadLog
import SystemPackage

/// `strata bitcask`
struct BitcaskCommands: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bitcask", abstract: "Read, write, check and merge Bitcask stores.",
    discussion: """
      Keys and values are the arguments' bytes. A server's keys start with one byte that is their database. A store that a server or another \
      command has open is refused.
      """,
    subcommands: [Get.self, Put.self, Del.self, Keys.self, Dump.self, Merge.self, Verify.self, Stats.self, Hints.self])

  /// Ends the process as a store's error asks for.
  static func fail(_ error: BitcaskError) -> Never {
    switch error {
    case .corrupt, .damaged, .missingSegment: Outcome.exit(Outcome.damage, "\(error)")
    default: Outcome.exit(Outcome.refused, "\(error)")
    }
  }

  /// Opens a store. One that is only looked at must exist already.
  static func open(_ directory: String, mustExist: Bool, _ change: (inout BitcaskOptions) -> Void = { _ in }) -> Bitcask {
    if mustExist { _ = WALCommands.existing(directory) }
    var options = BitcaskOptions()
    options.background = .manual
    change(&options)
    do { return try Bitcask.open(FilePath(directory), options: options) } catch { fail(error) }
  }

  /// Runs `body` on a store and closes it.
  static func with(_ directory: String, mustExist: Bool = true, _ body: (Bitcask) throws(BitcaskError) -> Void) {
    let store = open(directory, mustExist: mustExist)
    do throws(BitcaskError) {
      try body(store)
      try store.close()
    } catch { fail(error) }
  }

  static func report(_ sequence: SequenceNumber?, json: Bool) {
    let text = sequence.map { "\($0)" }
    print(json ? "{\"sequence\": \(text ?? "null")}" : text ?? "absent")
    StandardOutput.flush()
  }

  /// Applies the changes on standard input, each durable before its sequence is printed.
  static func applyInput(_ store: Bitcask, json: Bool) throws(BitcaskError) {
    var number = 0
    while let line = readLine() {
      number += 1
      if line.isEmpty { continue }
      let mutation: Mutation
      do throws(InputChange.Malformed) {
        let change = try InputChange(line: line, number: number)
        let key = try change.keyBytes(number) ?? []
        if change.op == "delete" {
          mutation = .delete(key)
        } else {
          let life = change.ttlMilliseconds.map { Mutation.Expiry.after(.milliseconds($0)) }
          mutation = .put(key, try change.valueBytes(number) ?? [], expiry: life ?? .standard)
        }
      } catch {
        try store.close()
        Outcome.exit(Outcome.usage, error.description)
      }
      report(try store.write([mutation]).last, json: json)
    }
  }

  /// `strata bitcask get`
  struct Get: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Print the value of a key; 1 when it is absent.")
    @Argument(help: "The store's directory.") var directory: String
    @Argument(help: "The key.") var key: String
    @Flag(help: "Print one JSON object.") var json = false

    func run() throws {
      var value: [UInt8]?
      BitcaskCommands.with(directory) { (store) throws(BitcaskError) in value = try store.get(Array(key.utf8)) }
      guard let value else { Outcome.exit(Outcome.refused, "absent") }
      var object = JSONText()
      object.add("key", key)
      object.add("value", bytes: value)
      print(json ? object.line : String(decoding: value, as: UTF8.self))
    }
  }

  /// `strata bitcask put`
  struct Put: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Store values; print each sequence once it is durable.")
    @Argument(help: "The store's directory; created when missing.") var directory: String
    @Argument(help: "Key and value, unless --stdin is given.") var pair: [String] = []
    @Flag(
      help: "Read changes from standard input: one {\"op\": \"put\", \"key\": \"a\", \"value\": \"1\", \"ttl_ms\": 1000} per line.")
    var stdin = false
    @Option(help: "Milliseconds to live.") var ttl: Int?
    @Flag(help: "Print {\"sequence\": n}.") var json = false

    func validate() throws {
      if stdin != pair.isEmpty || !(pair.isEmpty || pair.count == 2) { throw ValidationError("give KEY VALUE, or --stdin") }
      if let ttl, ttl < 0 { throw ValidationError("--ttl must not be negative") }
    }

    func run() {
      BitcaskCommands.with(directory, mustExist: false) { (store) throws(BitcaskError) in
        if stdin { return try BitcaskCommands.applyInput(store, json: json) }
        let sequence = try store.put(Array(pair[0].utf8), Array(pair[1].utf8), ttl: ttl.map { .milliseconds($0) })
        BitcaskCommands.report(sequence, json: json)
      }
    }
  }

  /// `strata bitcask del`
  struct Del: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Remove keys; print each sequence once it is durable, or 'absent'.")
    @Argument(help: "The store's directory.") var directory: String
    @Argument(help: "The keys, unless --stdin is given.") var keys: [String] = []
    @Flag(help: "Read changes from standard input, one JSON object per line.") var stdin = false
    @Flag(help: "Print {\"sequence\": n}.") var json = false

    func validate() throws {
      if stdin != keys.isEmpty { throw ValidationError("give keys, or --stdin") }
    }

    func run() {
      BitcaskCommands.with(directory) { (store) throws(BitcaskError) in
        if stdin { return try BitcaskCommands.applyInput(store, json: json) }
        for key in keys { BitcaskCommands.report(try store.write([.delete(Array(key.utf8))]).last, json: json) }
      }
    }
  }

  /// `strata bitcask keys`
  struct Keys: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Print every key.")
    @Argument(help: "The store's directory.") var directory: String
    @Flag(help: "One JSON object per key.") var json = false

    func run() {
      BitcaskCommands.with(directory) { (store) throws(BitcaskError) in
        var items = store.items()
        while let key = try items.nextKey() {
          var object = JSONText()
          object.add("key", bytes: key)
          print(json ? object.line : printable(key, limit: .max))
        }
      }
    }
  }

  /// `strata bitcask dump`
  struct Dump: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Print every key with its value; damaged records are named and passed over.")
    @Argument(help: "The store's directory.") var directory: String
    @Flag(help: "One JSON object per item.") var json = false

    func run() throws {
      let store = BitcaskCommands.open(directory, mustExist: true)
      var items = store.items()
      var isDamaged = false
      while true {
        do throws(BitcaskError) {
          guard let item = try items.next() else { break }
          var object = JSONText()
          object.add("key", bytes: item.key)
          object.add("value", bytes: item.value)
          print(json ? object.line : "\(printable(item.key))\t\(printable(item.value))")
        } catch {
          guard case .corrupt = error else { BitcaskCommands.fail(error) }
          isDamaged = true
          StandardError.write("strata: \(error)\n")
        }
      }
      do { try store.close() } catch { BitcaskCommands.fail(error) }
      if isDamaged { throw ExitCode(Outcome.damage) }
    }
  }

  /// `strata bitcask merge`
  struct Merge: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Merge every sealed segment: dead records go, their space is freed.")
    @Argument(help: "The store's directory.") var directory: String
    @Flag(help: "Merge only what the thresholds choose.") var automatic = false
    @Flag(help: "Print one JSON object.") var json = false

    func run() throws {
      var merged: MergeReport?
      BitcaskCommands.with(directory) { (store) throws(BitcaskError) in merged = try store.merge(automatic ? .automatic : .all) }
      guard let report = merged else { return }
      if json {
        var object = JSONText()
        object.add("segments_in", report.inputs.count)
        object.add("segments_out", report.outputs.count)
        object.add("records_moved", report.recordsMoved)
        object.add("records_dropped", report.recordsDropped)
        object.add("bytes_freed", report.bytesFreed)
        object.add("damage", report.damage.map { $0.description })
        print(object.line)
      } else {
        print(
          "\(report.inputs.count) segments merged into \(report.outputs.count): \(report.recordsMoved) records moved, "
            + "\(report.recordsDropped) dropped, \(report.bytesFreed) bytes freed")
        for damage in report.damage { print("damage: \(damage)") }
      }
      if !report.damage.isEmpty { throw ExitCode(Outcome.damage) }
    }
  }

  /// `strata bitcask verify`
  struct Verify: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Read and check every record: 0 clean, 1 torn tail, 2 damage.")
    @Argument(help: "The store's directory.") var directory: String
    @Option(help: "Bytes per second to read at most.") var rate: Int?
    @Flag(help: "Print one JSON object.") var json = false

    func validate() throws {
      if let rate, rate < 1 { throw ValidationError("--rate must be positive") }
    }

    func run() throws {
      let store = BitcaskCommands.open(directory, mustExist: true) { $0.recovery = .salvage }
      let torn = store.recovery.tornBytes
      var damage = store.recovery.damage
      do {
        let found = try store.verify(bytesPerSecond: rate)
        damage += found.filter { !damage.contains($0) }
        try store.close()
      } catch { BitcaskCommands.fail(error) }
      if json {
        var object = JSONText()
        object.add("torn_bytes", torn)
        object.add("damage", damage.map { $0.description })
        print(object.line)
      } else {
        print("\(damage.count) damaged places, \(torn) torn bytes")
        for place in damage { print("damage: \(place)") }
      }
      if !damage.isEmpty { throw ExitCode(Outcome.damage) }
      if torn > 0 { throw ExitCode(Outcome.refused) }
    }
  }

  /// `strata bitcask stats`
  struct Stats: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Print the store in numbers, segment by segment.")
    @Argument(help: "The store's directory.") var directory: String
    @Flag(help: "Print one JSON object.") var json = false

    func run() {
      BitcaskCommands.with(directory) { (store) throws(BitcaskError) in
        let figures = store.statistics
        let segments = store.segments()
        if json {
          var object = JSONText()
          object.add("keys", figures.keys)
          object.add("disk_bytes", figures.diskBytes)
          object.add("dead_bytes", figures.deadBytes)
          object.add("index_bytes", figures.indexBytes)
          object.add("last_sequence", store.lastSequence)
          object.add("segments", segments.map(Self.describe))
          return print(object.line)
        }
        print(
          "\(figures.keys) keys, \(figures.diskBytes) bytes on disk (\(figures.deadBytes) dead), index \(figures.indexBytes) bytes, "
            + "last sequence \(store.lastSequence)")
        for segment in segments {
          print(
            "segment \(segment.id): \(segment.bytes) bytes, \(segment.liveRecords) of \(segment.records) records live, "
              + "\(segment.deadBytes) bytes dead"
              + (segment.isActive ? ", active" : "") + (segment.hasHint ? ", hint" : "") + (segment.isDamaged ? ", damaged" : ""))
        }
      }
    }

    private static func describe(_ segment: SegmentInfo) -> JSONText {
      var object = JSONText()
      object.add("id", segment.id)
      object.add("bytes", segment.bytes)
      object.add("records", segment.records)
      object.add("live_records", segment.liveRecords)
      object.add("dead_bytes", segment.deadBytes)
      object.add("active", segment.isActive)
      object.add("hint", segment.hasHint)
      object.add("damaged", segment.isDamaged)
      return object
    }
  }

  /// `strata bitcask hints`
  struct Hints: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Write the hints that sealed segments lack, so that the next start reads no data.")
    @Argument(help: "The store's directory.") var directory: String

    func run() {
      BitcaskCommands.with(directory) { (store) throws(BitcaskError) in try store.createHintFiles() }
    }
  }
}
