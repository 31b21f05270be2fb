import BenchmarkKit
import Foundation
import StrataAvro
import StrataBytes
import StrataDisk
import SystemPackage

func fatal(_ text: String) -> Never {
  FileHandle.standardError.write(Data((text + "\n").utf8))
  exit(1)
}

/// One schema, its data as bare bytes in a file, and how many there are.
struct AvroWorkload: Sendable {
  let name: String
  let schema: AvroSchema
  let records: Int
  let schemaPath: String
  let dataPath: String

  init(_ name: String, _ text: String, records: Int, in directory: URL, _ value: (inout WorkloadRandom, Int) -> AvroValue) throws {
    self.name = name
    self.records = records
    schema = try AvroSchema(text)
    let base = directory.appendingPathComponent("avro-\(name)")
    schemaPath = base.path + ".avsc"
    dataPath = base.path + ".bin"
    let encoder = AvroEncoder(schema)
    var random = WorkloadRandom(seed: 1)
    var writer = ByteWriter(capacity: 1 << 20)
    for number in 0..<records { try encoder.encode(value(&random, number), into: &writer) }
    try Data(text.utf8).write(to: URL(fileURLWithPath: schemaPath))
    try Data(writer.finish()).write(to: URL(fileURLWithPath: dataPath))
  }

  func bytes() throws -> [UInt8] { [UInt8](try Data(contentsOf: URL(fileURLWithPath: dataPath))) }

  /// Runs `body` over all data.
  func timed(_ body: ([UInt8]) throws -> Int) throws -> Figures {
    let bytes = try bytes()
    let began = nanoseconds()
    let count = try body(bytes)
    let seconds = Double(nanoseconds() - began) * 1e-9
    guard count == records else { fatal("\(count) of \(records) records") }
    return Figures(operations: Double(records), seconds: seconds, extras: ["MB_per_s": Double(bytes.count) / seconds * 1e-6])
  }

  func decode(_ reader: AvroSchema? = nil) throws -> Figures {
    let plan = try AvroPlan(writer: schema, reader: reader)
    return try timed { bytes in
      var input = ByteReader(bytes.span.bytes)
      var count = 0
      while !input.isAtEnd {
        _ = try plan.decode(&input)
        count += 1
      }
      return count
    }
  }

  func decode<T: AvroDecodable>(into value: T) throws -> Figures {
    let plan = try AvroPlan(writer: schema)
    return try timed { bytes in
      var value = value
      var input = ByteReader(bytes.span.bytes)
      var count = 0
      while !input.isAtEnd {
        try plan.decode(into: &value, &input)
        count += 1
      }
      return count
    }
  }

  func encode() throws -> Figures {
    let plan = try AvroPlan(writer: schema)
    let bytes = try bytes()
    var input = ByteReader(bytes.span.bytes)
    var values: [AvroValue] = []
    while values.count < min(records, 1000) { values.append(try plan.decode(&input)) }
    let encoder = AvroEncoder(schema)
    var writer = ByteWriter(capacity: 64 << 20)
    let began = nanoseconds()
    for number in 0..<records {
      if number % values.count == 0 { writer.removeAll() }
      try encoder.encode(values[number % values.count], into: &writer)
    }
    return Figures(operations: Double(records), seconds: Double(nanoseconds() - began) * 1e-9)
  }

  func encode<T: AvroEncodable>(_ values: [T]) throws -> Figures {
    let encoder = AvroEncoder(schema)
    var writer = ByteWriter(capacity: 64 << 20)
    let began = nanoseconds()
    for number in 0..<records {
      if number % values.count == 0 { writer.removeAll() }
      try encoder.encode(values[number % values.count], into: &writer)
    }
    return Figures(operations: Double(records), seconds: Double(nanoseconds() - began) * 1e-9)
  }

  /// All data as a container file of Zstandard blocks of the usual size.
  func container() throws -> AvroContainer {
    let path = FilePath(dataPath + ".avro")
    let plan = try AvroPlan(writer: schema)
    let bytes = try bytes()
    var input = ByteReader(bytes.span.bytes)
    if FileManager.default.fileExists(atPath: path.string) { try FileManager.default.removeItem(atPath: path.string) }
    var writer = try AvroFileWriter.create(path, schema: schema, on: POSIXFileSystem())
    while !input.isAtEnd { try writer.append(plan.decode(&input)) }
    try writer.close()
    return AvroContainer(path: path, headerLength: try AvroFileReader(path, on: POSIXFileSystem()).headerLength, bytes: bytes.count)
  }

  func libavro(_ workload: String) -> Contender {
    .peer(
      "avro_generic", ["--workload", workload, "--records", "\(records)", "--schema", schemaPath, "--data", dataPath], as: "libavro")
  }

  func fastavro(_ workload: String, reader: String? = nil) -> Contender {
    // Python is slow enough that a tenth of the records tells its rate.
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    let python = root.deletingLastPathComponent().appendingPathComponent(".build-python/bin/python3")
    let script = root.appendingPathComponent("Peers/fastavro_peer.py").path
    let arguments =
      [script, "--workload", workload, "--records", "\(max(1, records / 10))", "--schema", schemaPath, "--data", dataPath]
      + (reader.map { ["--reader", $0] } ?? [])
    return .program("fastavro", python, arguments)
  }
}

struct Weather: AvroDecodable {
  var station = ""
  var time: Int64 = 0
  var temperature: Int32 = 0

  mutating func decode(from decoder: inout AvroDecoder) throws(AvroDecodeError) {
    var fields = try decoder.beginRecord()
    while let field = try decoder.nextField(&fields) {
      switch field {
      case 0: station = try decoder.readString()
      case 1: time = try decoder.readLong()
      case 2: temperature = try decoder.readInt()
      default: break
      }
    }
  }
}

struct Doubles: AvroDecodable {
  var values = [Double](repeating: 0, count: 100)

  mutating func decode(from decoder: inout AvroDecoder) throws(AvroDecodeError) {
    var fields = try decoder.beginRecord()
    while let field = try decoder.nextField(&fields) { values[field] = try decoder.readDouble() }
  }
}

extension Weather: AvroEncodable {
  func encode(to output: inout AvroOutput) throws(AvroEncodeError) {
    let outer = try output.beginRecord()
    try output.write(station)
    try output.write(time)
    try output.write(temperature)
    try output.end(outer)
  }
}

extension Doubles: AvroEncodable {
  func encode(to output: inout AvroOutput) throws(AvroEncodeError) {
    let outer = try output.beginRecord()
    for value in values { try output.write(value) }
    try output.end(outer)
  }
}

/// A container file and how many bytes its blocks restore to.
struct AvroContainer: Sendable {
  static let passes = 10
  let path: FilePath
  let headerLength: UInt64
  let bytes: Int

  /// Reads, checks and restores every block, as often as the peer does; an operation is a restored byte.
  func read() throws -> Figures {
    let began = nanoseconds()
    var restored = 0
    for _ in 0..<Self.passes {
      var reader = try AvroFileReader(path, on: POSIXFileSystem())
      while let block = try reader.nextBlock() { restored += block.data.count }
    }
    let seconds = Double(nanoseconds() - began) * 1e-9
    guard restored == bytes * Self.passes else { fatal("\(restored) of \(bytes * Self.passes) bytes") }
    return Figures(operations: Double(restored), seconds: seconds)
  }

  var peer: Contender {
    .peer("avro_blocks", ["--header", "\(headerLength)", "--data", path.string, "--passes", "\(Self.passes)"], as: "libzstd")
  }
}
