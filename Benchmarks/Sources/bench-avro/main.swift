import BenchmarkKit
import Foundation
import StrataAvro

// Avro beside libavro's generic values and fastavro: the table of Docs/Performance.md.

func record(_ name: String, _ fields: [String]) -> String {
  #"{"type":"record","name":"\#(name)","fields":[\#(fields.joined(separator: ","))]}"#
}

func field(_ name: String, _ type: String) -> String { #"{"name":"\#(name)","type":\#(type)}"# }

func nested(in directory: URL, records: Int) throws -> AvroWorkload {
  var fields = (0..<8).map { field("n\($0)", $0 % 2 == 0 ? #""long""# : #""string""#) }
  fields += (0..<4).map { field("o\($0)", #"["null","long","string"]"#) }
  fields += (0..<4).map { field("a\($0)", #"{"type":"array","items":"int"}"#) }
  fields += (0..<2).map { field("m\($0)", #"{"type":"map","values":"double"}"#) }
  fields += (0..<2).map { field("r\($0)", record("Inner\($0)", [field("x", #""double""#), field("y", #""int""#)])) }
  return try AvroWorkload("nested", record("Nested", fields), records: records, in: directory) { random, number in
    var values = (0..<8).map { $0 % 2 == 0 ? AvroValue.long(Int64(random.next() >> 30)) : .string("text of \(number % 1000)") }
    values += (0..<4).map { branch in
      [.union(branch: 0, .null), .union(branch: 1, .long(Int64(number))), .union(branch: 2, .string("x"))][(number + branch) % 3]
    }
    values += (0..<4).map { _ in .array((0..<5).map { .int(Int32($0 * 100)) }) }
    values += (0..<2).map { _ in .map([("one", .double(1)), ("two", .double(2))]) }
    values += (0..<2).map { _ in .record([.double(1.5), .int(Int32(number % 100_000))]) }
    return .record(values)
  }
}

/// Data decoded into types of the benchmark's own, and encoded from them.
func typed(weather: AvroWorkload, doubles: AvroWorkload) -> [Comparison] {
  var found: [Comparison] = []
  let decoding: [(AvroWorkload, Contender)] = [
    (weather, Contender("strata") { _ in try weather.decode(into: Weather()) }),
    (doubles, Contender("strata") { _ in try doubles.decode(into: Doubles()) }),
  ]
  for (load, subject) in decoding {
    found.append(
      Comparison(
        "decode \(load.name), typed", unit: "records", parameters: [("records", "\(load.records)")], subject: subject,
        peers: [load.libavro("decode")], goals: [.ratio(to: "libavro", atLeast: 2.5)]))
  }
  let stations = (0..<1000).map { Weather(station: "station-\(1000 + $0)", time: Int64($0) * 3_600_000, temperature: Int32($0 % 800) - 400) }
  let rows = (0..<1000).map { row in Doubles(values: (0..<100).map { Double($0 * row) }) }
  let encoding: [(AvroWorkload, Contender)] = [
    (weather, Contender("strata") { _ in try weather.encode(stations) }), (doubles, Contender("strata") { _ in try doubles.encode(rows) }),
  ]
  for (load, subject) in encoding {
    found.append(
      Comparison(
        "encode \(load.name), typed", unit: "records", parameters: [("records", "\(load.records)")], subject: subject,
        peers: [load.libavro("encode")], goals: [.ratio(to: "libavro", atLeast: 2.5)]))
  }
  return found
}

func comparisons(_ options: BenchmarkOptions) throws -> [Comparison] {
  let directory = options.directory
  let weather = try AvroWorkload(
    "weather", record("Weather", [field("station", #""string""#), field("time", #""long""#), field("temperature", #""int""#)]),
    records: options.scaled(1_000_000), in: directory
  ) { random, number in
    .record([.string("station-\(1000 + number % 9000)"), .long(Int64(number) * 3_600_000), .int(Int32(random.next() % 800) - 400)])
  }
  let mixed = try nested(in: directory, records: options.scaled(100_000))
  let doubles = try AvroWorkload(
    "doubles", record("Doubles", (0..<100).map { field("d\($0)", #""double""#) }), records: options.scaled(100_000), in: directory
  ) { _, number in .record((0..<100).map { .double(Double($0 * number)) }) }
  let wide = try AvroWorkload(
    "wide", record("Wide", (0..<50).map { field("f\($0)", $0 % 2 == 0 ? #""long""# : #""string""#) }), records: options.scaled(100_000),
    in: directory
  ) { _, number in .record((0..<50).map { $0 % 2 == 0 ? .long(Int64(number * $0)) : .string("value of \($0)") }) }
  let narrow = try AvroSchema(record("Wide", [field("f3", #""string""#), field("f20", #""long""#), field("f40", #""long""#)]))
  let renamed = try AvroSchema(mixed.schema.fullJSON.replacingOccurrences(of: #""name":"n0","type":"long""#, with: #""name":"n0","type":"double""#))

  var found: [Comparison] = []
  for load in [weather, mixed, doubles] {
    let parameters = [(name: "records", value: "\(load.records)")]
    found.append(
      Comparison(
        "decode \(load.name), generic", unit: "records", parameters: parameters, subject: Contender("strata") { _ in try load.decode() },
        peers: [load.libavro("decode"), load.fastavro("decode")],
        goals: [.ratio(to: "libavro", atLeast: 1.2), .ratio(to: "fastavro", atLeast: 4)]))
    found.append(
      Comparison(
        "encode \(load.name), generic", unit: "records", parameters: parameters, subject: Contender("strata") { _ in try load.encode() },
        peers: [load.libavro("encode"), load.fastavro("encode")],
        goals: [.ratio(to: "libavro", atLeast: 1.2), .ratio(to: "fastavro", atLeast: 4)]))
  }
  found += typed(weather: weather, doubles: doubles)
  let container = try weather.container()
  found.append(
    Comparison(
      "container of weather, zstandard", unit: "bytes", parameters: [("bytes", "\(container.bytes)"), ("passes", "\(AvroContainer.passes)")],
      subject: Contender("strata") { _ in try container.read() }, peers: [container.peer], goals: [.ratio(to: "libzstd", atLeast: 0.8)]))
  found.append(
    Comparison(
      "decode nested, resolved", unit: "records", parameters: [("records", "\(mixed.records)")],
      subject: Contender("strata") { _ in try mixed.decode(renamed) }, peers: [Contender("identical schemas") { _ in try mixed.decode() }],
      goals: [.ratio(to: "identical schemas", atLeast: 0.77)]))
  found.append(
    Comparison(
      "decode wide, 3 of 50 fields", unit: "records", parameters: [("records", "\(wide.records)")],
      subject: Contender("strata") { _ in try wide.decode(narrow) }, peers: [Contender("all fields") { _ in try wide.decode() }],
      goals: [.ratio(to: "all fields", atLeast: 3)]))
  return found
}

await runBenchmark("bench-avro") { options in try comparisons(options) }
