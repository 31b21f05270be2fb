import ArgumentParser
import StrataAvro
import StrataDisk
import SystemPackage

/// `strata avro`
struct AvroCommands: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "avro", abstract: "Look into Avro container files, write them, compare schemas.",
    subcommands: [Cat.self, Schema.self, ToJSON.self, FromJSON.self, Verify.self, Compatible.self, PrintFingerprint.self, Recodec.self])

  /// Ends the process as a file's error asks for.
  static func fail(_ error: AvroFileError) -> Never {
    switch error {
    case .damagedHeader, .schema, .syncMismatch, .checksumMismatch, .damagedBlock, .blockTooLarge, .datum: Outcome.exit(Outcome.damage, "\(error)")
    default: Outcome.exit(Outcome.refused, "\(error)")
    }
  }

  static func contents(_ path: String) -> [UInt8] {
    do { return try POSIXFileSystem().readAll(FilePath(path), limit: 64 << 20) } catch { Outcome.exit(Outcome.refused, "\(error)") }
  }

  /// The schema in a file of JSON, or in a container's header.
  static func schema(_ path: String, lenient: Bool = false) -> AvroSchema {
    let isContainer = contents(path).starts(with: [0x4F, 0x62, 0x6A, 0x01])
    if isContainer { return open(path).schema }
    do { return try AvroSchema(json: contents(path), rules: lenient ? .lenient : .strict) } catch {
      Outcome.exit(Outcome.usage, "\(path): \(error)")
    }
  }

  static func open(_ path: String, reader: AvroSchema? = nil, salvage: Bool = false) -> AvroFileReader {
    do {
      return try AvroFileReader(
        FilePath(path), reader: reader, onCorruption: salvage ? .skipToNextSync : .throw, on: POSIXFileSystem())
    } catch { fail(error) }
  }

  static func codec(_ name: String) -> AvroCodec {
    guard let codec = AvroCodec(name: name), codec != .bzip2, codec != .xz else {
      Outcome.exit(Outcome.usage, "codec \(name) is not written; use null, deflate, snappy or zstandard")
    }
    return codec
  }

  /// Prints what was passed over; 2 where there was something.
  static func finish(_ damage: [AvroDamage]) throws {
    for item in damage { StandardError.write("strata: bytes \(item.range) passed over: \(item.reason)\n") }
    if !damage.isEmpty { throw ExitCode(Outcome.damage) }
  }

  /// `strata avro cat`
  struct Cat: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Print every value of container files, one line of JSON each.")
    @Argument(help: "The files.") var files: [String]
    @Option(help: "Read as values of the schema in this file.") var reader: String?
    @Option(help: "Print at most so many values.") var limit = Int.max
    @Flag(help: "Go on behind damage and report it.") var salvage = false

    func run() throws {
      let schema = reader.map { AvroCommands.schema($0) }
      var printed = 0
      var damage: [AvroDamage] = []
      for path in files {
        var file = AvroCommands.open(path, reader: schema, salvage: salvage)
        let target = schema ?? file.schema
        do throws(AvroFileError) {
          while printed < limit, let value = try file.next() {
            do throws(AvroEncodeError) {
              Swift.print(String(decoding: try AvroJSON.encode(value, target, numbers: .extended), as: UTF8.self))
            } catch { throw .value(error) }
            printed += 1
          }
        } catch {
          StandardOutput.flush()
          AvroCommands.fail(error)
        }
        damage += file.damage
      }
      try AvroCommands.finish(damage)
    }
  }

  /// `strata avro schema`
  struct Schema: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Print the schema of a container file, or a schema file in one spelling.")
    @Argument(help: "A container file or a schema's JSON.") var file: String
    @Flag(help: "Print the parsing canonical form.") var canonical = false

    func run() {
      let schema = AvroCommands.schema(file, lenient: true)
      print(canonical ? schema.parsingCanonicalForm : schema.fullJSON)
    }
  }

  /// `strata avro to-json`
  struct ToJSON: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "to-json", abstract: "Print bare binary data, one after another, as JSON.")
    @Argument(help: "The schema of the data.") var schema: String
    @Argument(help: "The file of data.") var data: String

    func run() {
      let schema = AvroCommands.schema(schema)
      let bytes = AvroCommands.contents(data)
      do {
        let plan = try AvroPlan(writer: schema)
        for value in try plan.decodeAll(bytes) {
          print(String(decoding: try AvroJSON.encode(value, schema, numbers: .extended), as: UTF8.self))
        }
      } catch { Outcome.exit(Outcome.damage, "\(error)") }
    }
  }

  /// `strata avro from-json`
  struct FromJSON: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "from-json", abstract: "Write a container file from lines of JSON on standard input; print how many values are durable.")
    @Argument(help: "The schema of the values.") var schema: String
    @Argument(help: "The file to write; replaced when it is there.") var output: String
    @Option(help: "null, deflate, snappy or zstandard.") var codec = "zstandard"
    @Flag(help: "Append to the file that is there.") var append = false

    func run() {
      let schema = AvroCommands.schema(schema)
      var options = AvroFileOptions()
      options.codec = AvroCommands.codec(codec)
      let path = FilePath(output)
      do throws(AvroFileError) {
        let disk = POSIXFileSystem()
        var writer =
          append
          ? try AvroFileWriter.append(path, schema: schema, options: options, on: disk)
          : try AvroFileWriter.create(path, schema: schema, options: options, on: disk)
        var count = 0
        var number = 0
        while let line = readLine() {
          number += 1
          if line.isEmpty { continue }
          do throws(AvroJSONError) { try write(AvroJSON.decode(Array(line.utf8), schema, numbers: .extended), to: &writer) } catch {
            try writer.discard()
            Outcome.exit(Outcome.usage, "line \(number): \(error)")
          }
          count += 1
        }
        try writer.close()
        print(count)
      } catch { AvroCommands.fail(error) }
    }

    private func write(_ value: AvroValue, to writer: inout AvroFileWriter) {
      do throws(AvroFileError) { try writer.append(value) } catch { AvroCommands.fail(error) }
    }
  }

  /// `strata avro verify`
  struct Verify: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Read every value of a container file and report: 0 clean, 1 torn tail, 2 damage. Changes nothing.")
    @Argument(help: "The file.") var file: String
    @Flag(help: "Print one JSON object.") var json = false

    func run() throws {
      var reader = AvroCommands.open(file)
      var (values, blocks) = (0, 0)
      var failure: AvroFileError?
      do throws(AvroFileError) {
        while let block = try reader.nextBlock() {
          blocks += 1
          values += block.count
        }
        var again = AvroCommands.open(file)
        while try again.next() != nil {}
      } catch { failure = error }
      if json {
        var object = JSONText()
        object.add("schema", reader.schema.parsingCanonicalForm)
        object.add("codec", reader.codec.name)
        object.add("blocks", blocks)
        object.add("values", values)
        object.add("damage", failure.map { ["\($0)"] } ?? [])
        print(object.line)
      } else {
        print("\(values) values in \(blocks) blocks, codec \(reader.codec.name)")
      }
      if let failure {
        StandardOutput.flush()
        AvroCommands.fail(failure)
      }
    }
  }

  /// `strata avro compatible`
  struct Compatible: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Say whether a new schema reads what an old one wrote, and the other way round, with every reason: 0 where it does, else 1.")
    @Argument(help: "The old schema: JSON or a container file.") var old: String
    @Argument(help: "The new schema.") var new: String
    @Option(help: "What must hold: backward, forward or full.") var mode = "backward"
    @Flag(help: "Print one JSON object.") var json = false

    func run() throws {
      guard ["backward", "forward", "full"].contains(mode) else { Outcome.exit(Outcome.usage, "mode \(mode): expected backward, forward or full") }
      let result = checkCompatibility(writer: AvroCommands.schema(old), reader: AvroCommands.schema(new))
      if json {
        var object = JSONText()
        object.add("backward", result.isBackward)
        object.add("forward", result.isForward)
        object.add("full", result.isFull)
        object.add("backward_reasons", result.backward.map(\.description))
        object.add("forward_reasons", result.forward.map(\.description))
        print(object.line)
      } else {
        print("backward: \(result.isBackward ? "yes" : "no"), forward: \(result.isForward ? "yes" : "no")")
        for reason in result.backward { print("backward: \(reason)") }
        for reason in result.forward { print("forward: \(reason)") }
      }
      let holds = mode == "backward" ? result.isBackward : mode == "forward" ? result.isForward : result.isFull
      if !holds { throw ExitCode(Outcome.refused) }
    }
  }

  /// `strata avro fingerprint`
  struct PrintFingerprint: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "fingerprint", abstract: "Print a schema's fingerprint in hexadecimal.")
    @Argument(help: "A schema's JSON or a container file.") var file: String
    @Option(help: "rabin, md5 or sha256. rabin prints the bytes in the order messages carry them.") var kind = "rabin"

    func run() {
      let kinds: [String: Fingerprint] = ["rabin": .rabin64, "md5": .md5, "sha256": .sha256]
      guard let kind = kinds[kind] else { Outcome.exit(Outcome.usage, "kind \(kind): expected rabin, md5 or sha256") }
      let bytes = AvroCommands.schema(file, lenient: true).fingerprint(kind)
      print(bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined())
    }
  }

  /// `strata avro recodec`
  struct Recodec: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Copy a container file with another codec, or as values of another schema.")
    @Argument(help: "The file; it is not changed.") var file: String
    @Argument(help: "The new file; replaced when it is there.") var output: String
    @Option(help: "null, deflate, snappy or zstandard.") var codec = "zstandard"
    @Option(help: "Write as values of the schema in this file.") var reader: String?
    @Flag(help: "Go on behind damage and report it.") var salvage = false

    func run() throws {
      let schema = reader.map { AvroCommands.schema($0) }
      var source = AvroCommands.open(file, reader: schema, salvage: salvage)
      var options = AvroFileOptions()
      options.codec = AvroCommands.codec(codec)
      var count = 0
      do throws(AvroFileError) {
        var writer = try AvroFileWriter.create(FilePath(output), schema: schema ?? source.schema, options: options, on: POSIXFileSystem())
        do throws(AvroFileError) {
          while let value = try source.next() {
            try writer.append(value)
            count += 1
          }
        } catch {
          try writer.discard()
          throw error
        }
        try writer.close()
      } catch { AvroCommands.fail(error) }
      print("\(count) values")
      try AvroCommands.finish(source.damage)
    }
  }
}
