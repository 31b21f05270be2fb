import StrataAvro
import StrataBytes
import StrataNodes
import StrataSimulation
import SystemPackage

/// Everything of Avro that reads bytes.
enum AvroTargets {
  static var all: [FuzzTarget] { [binary, resolved, typed, order, file, json, singleObject, schema] }

  /// Bounds small enough that a breach of them shows in the process's memory.
  static var limits: AvroLimits {
    var limits = AvroLimits()
    limits.maxAllocation = 1 << 20
    limits.maxCollectionItems = 1 << 14
    limits.maxBlockSize = 1 << 20
    return limits
  }

  /// Schemas with every type, some of them nested and recursive.
  static let schemas: [String] = [
    #"["null","boolean","int","long","float","double","bytes","string"]"#,
    #"{"type":"array","items":{"type":"array","items":"null"}}"#,
    #"{"type":"map","values":["null","long",{"type":"array","items":"string"}]}"#,
    #"{"type":"record","name":"List","fields":[{"name":"v","type":"long"},{"name":"next","type":["null","List"]}]}"#,
    #"""
    {"type":"record","name":"Tree","fields":[{"name":"left","type":{"type":"array","items":"Tree"}},
    {"name":"empty","type":{"type":"record","name":"E","fields":[]}}]}
    """#,
    everyType("f", order: "descending"),
  ]

  /// A record of all types; fields end in `suffix` so that readers differ from writers.
  static func everyType(_ suffix: String, order: String) -> String {
    #"""
    {"type":"record","name":"n.All","fields":[
    {"name":"b","type":"boolean","default":true},{"name":"i","type":"int","order":"\#(order)"},{"name":"l","type":"long"},
    {"name":"x\#(suffix)","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2},"default":"\u0001"},
    {"name":"d","type":"double"},{"name":"s","type":"string"},{"name":"fl","type":"float","order":"ignore"},
    {"name":"e","type":{"type":"enum","name":"n.S","symbols":["A","B","C"],"default":"A"}},
    {"name":"fx","type":{"type":"fixed","name":"n.F","size":12,"logicalType":"duration"}},
    {"name":"u\#(suffix)","type":{"type":"string","logicalType":"uuid"},"default":""},
    {"name":"a","type":{"type":"array","items":["null","int",{"type":"map","values":"n.S"}]}},
    {"name":"t","type":{"type":"long","logicalType":"timestamp-micros"}},
    {"name":"m","type":{"type":"map","values":{"type":"array","items":"n.F"}}}]}
    """#
  }

  static let parsed: [AvroSchema] = made { try schemas.map { try AvroSchema($0) } }

  static let readers: [AvroSchema] = made {
    try [
      AvroSchema(#"["null","boolean","long","double","string"]"#), AvroSchema(#"{"type":"array","items":{"type":"array","items":["null","int"]}}"#),
      AvroSchema(#"{"type":"map","values":["null","double",{"type":"array","items":"bytes"}]}"#),
      AvroSchema(
        #"""
        {"type":"record","name":"List","fields":[{"name":"next","type":["null","List"]},{"name":"v","type":"float"},
        {"name":"w","type":"int","default":7}]}
        """#),
      parsed[4], AvroSchema(everyType("g", order: "ignore")),
    ]
  }

  // MARK: Values

  static func value(_ schema: AvroSchema, _ random: inout Random, depth: Int = 0) -> AvroValue {
    switch schema.kind {
    case .null: return .null
    case .boolean: return .boolean(random.chance(1, in: 2))
    case .int: return .int(Int32(truncatingIfNeeded: random.next() >> UInt64(random.below(64))))
    case .long: return .long(Int64(bitPattern: random.next() >> UInt64(random.below(64))))
    case .float: return .float(Float(random.below(1000)) / 8)
    case .double: return .double(Double(random.below(1000)) / 8)
    case .bytes: return .bytes(random.bytes(random.below(12)))
    case .string: return .string(["", "a", "\u{e9}\u{1F600}", "a longer text of no meaning"][random.below(4)])
    case .fixed: return .fixed(random.bytes(schema.size ?? 0))
    case .enumeration: return .enumeration(random.below(schema.symbols.count))
    case .array:
      guard let element = schema.element else { return .array([]) }
      return .array((0..<(depth > 4 ? 0 : random.below(4))).map { _ in value(element, &random, depth: depth + 1) })
    case .map:
      guard let element = schema.element else { return .map([]) }
      return .map((0..<(depth > 4 ? 0 : random.below(4))).map { ("k\($0)", value(element, &random, depth: depth + 1)) })
    case .record: return .record(schema.fields.map { value($0.schema, &random, depth: depth + 1) })
    case .union:
      let branch = depth > 4 ? 0 : random.below(schema.branches.count)
      return .union(branch: branch, value(schema.branches[branch], &random, depth: depth + 1))
    }
  }

  /// The number of a schema in the first byte, then `count` data of each in every layout of blocks.
  private static func data(_ count: Int, _ encode: (AvroValue, AvroSchema, Int) throws -> [UInt8]) -> [[UInt8]] {
    var random = Random(seed: 11)
    return parsed.indices.flatMap { number in
      (0..<count).map { round in made { [UInt8(number)] + (try encode(value(parsed[number], &random), parsed[number], round)) } }
    }
  }

  private static let encoded = data(16) { value, schema, round in
    try AvroEncoder(schema, blocks: round % 2 == 0 ? .counted : .sized(items: 2)).encode(value)
  }

  private static func number(_ bytes: [UInt8]) -> Int { Int(bytes.first ?? 0) % parsed.count }

  // MARK: Binary

  private static let plans: [AvroPlan] = made { try parsed.map { try AvroPlan(writer: $0, limits: limits) } }

  /// A plan of one schema: what is accepted means the same when it is written and read again, and skipping it ends at the same place.
  static let binary = FuzzTarget("avro.binary", weight: 30, corpus: encoded) { bytes in
    let plan = plans[number(bytes)]
    var reader = ByteReader(bytes.span.bytes)
    var ahead = reader
    guard (try? reader.skip(1)) != nil, (try? ahead.skip(1)) != nil else { return false }
    guard let value = try? plan.decode(&reader) else {
      demand(reader.offset == 1, "a reader that failed moved")
      _ = try? plan.skip(&ahead)
      return false
    }
    demand((try? plan.skip(&ahead)) != nil && ahead.offset == reader.offset, "skipping ends elsewhere than decoding")
    guard let again = try? AvroEncoder(plan.writer).encode(value) else { broken("a decoded value cannot be encoded") }
    demand((try? plan.decode(again)) == value, "a value is another one after it was written and read")
    return true
  }

  private static let resolving: [AvroPlan] = made {
    try parsed.indices.map { try AvroPlan(writer: parsed[$0], reader: readers[$0], limits: limits, text: $0 % 2 == 0 ? .strict : .lossy) }
  }

  /// A plan of two schemas: the value is one of the reader's.
  static let resolved = FuzzTarget("avro.resolved", weight: 15, corpus: encoded) { bytes in
    let plan = resolving[number(bytes)]
    guard let value = try? plan.decode(Array(bytes.dropFirst())) else { return false }
    demand((try? AvroEncoder(plan.reader).encode(value)) != nil, "a resolved value is none of the reader's schema")
    return true
  }

  /// A type that reads itself takes whatever the generic way takes, to the same end.
  static let typed = FuzzTarget(
    "avro.typed", weight: 15,
    corpus: made {
      var random = Random(seed: 13)
      return try (0..<16).map { round in
        try AvroEncoder(Reading.schema, blocks: round % 2 == 0 ? .counted : .sized(items: 2)).encode(value(Reading.schema, &random))
      }
    }
  ) { bytes in
    var (reader, ahead) = (ByteReader(bytes.span.bytes), ByteReader(bytes.span.bytes))
    let isRead = (try? Reading.plan.decode(Reading.self, &reader)) != nil
    if (try? Reading.plan.decode(&ahead)) != nil {
      demand(isRead && reader.offset == ahead.offset, "the generic way reads what a type does not, or to another end")
    }
    return isRead
  }

  private static let orders: [AvroOrder] = made { try parsed.map { try AvroOrder($0, limits: limits) } }

  /// The order of encoded data is one: equal to itself, and turned around the other way.
  static let order = FuzzTarget("avro.order", weight: 10, corpus: encoded) { bytes in
    let order = orders[number(bytes)]
    let other = encoded[(bytes.count + Int(bytes.last ?? 0)) % 16 + number(bytes) * 16]
    var (a, b) = (ByteReader(bytes.span.bytes), ByteReader(other.span.bytes))
    guard (try? a.skip(1)) != nil, (try? b.skip(1)) != nil else { return false }
    if let same = try? order.compare(a, a) { demand(same == 0, "a datum is not equal to itself") }
    guard let forward = try? order.compare(a, b) else { return false }
    if let backward = try? order.compare(b, a) { demand(forward.signum() == -backward.signum(), "the order is not the same both ways") }
    return true
  }

  // MARK: Files

  private static let path: FilePath = "/data.avro"

  private static let files: [[UInt8]] = {
    var random = Random(seed: 12)
    let codecs: [AvroCodec] = [.null, .deflate(), .snappy, .zstandard()]
    // Values without bytes among them.
    let schemas = parsed + [.null]
    return schemas.flatMap { schema in
      codecs.map { codec in
        made {
          let disk = SimulatedFileSystem()
          var options = AvroFileOptions()
          options.codec = codec
          options.blockBytes = 64
          options.syncMarker = (0..<16).map { UInt8(200 + $0) }
          var writer = try AvroFileWriter.create(path, schema: schema, options: options, on: disk)
          for _ in 0..<8 { try writer.append(value(schema, &random)) }
          try writer.close()
          return disk.bytes(of: path) ?? []
        }
      }
    }
  }()

  /// A container file read whole, and again over what is damaged: what is read then are no fewer values.
  static let file = FuzzTarget(
    "avro.file", weight: 10, corpus: files, tokens: ["avro.codec", "avro.schema", "deflate", "snappy", "bzip2", "xz", "zstandard", "null"]
  ) { bytes in
    let disk = FrozenFiles([path: bytes])
    let (strict, isWhole) = values(in: disk, .throw)
    let (lenient, _) = values(in: disk, .skipToNextSync)
    demand(lenient >= strict, "reading over damage gives fewer values than reading up to it")
    if bytes.count > 64 { _ = values(in: disk, .skipToNextSync, UInt64(bytes.count / 2)..<UInt64(bytes.count)) }
    return isWhole
  }

  private static func values(in disk: FrozenFiles, _ corruption: AvroCorruption, _ split: Range<UInt64>? = nil) -> (count: Int, isWhole: Bool) {
    guard var reader = try? AvroFileReader(path, split: split, onCorruption: corruption, limits: limits, on: disk) else { return (0, false) }
    var count = 0
    do {
      while try reader.next() != nil {
        count += 1
        demand(count <= 1 << 20, "a small file has a million values")
      }
    } catch { return (count, false) }
    return (count, true)
  }

  // MARK: Text

  /// JSON that is accepted says the same when it is written and read again.
  static let json = FuzzTarget(
    "avro.json", weight: 10, corpus: data(8) { value, schema, _ in try AvroJSON.encode(value, schema) },
    tokens: ["{", "}", "[", "]", "\"", ":", ",", "null", "1e999", "-0", "\\u0000", "\\ud800", "\"long\"", "NaN", "[[[[[[[["]
  ) { bytes in
    let schema = parsed[number(bytes)]
    guard let value = try? AvroJSON.decode(Array(bytes.dropFirst()), schema) else { return false }
    guard let again = try? AvroJSON.encode(value, schema) else { broken("a value read from JSON cannot be written as JSON") }
    demand((try? AvroJSON.decode(again, schema)) == value, "JSON says another thing after it was read and written")
    return true
  }

  private static let known = Dictionary(parsed.map { ($0.rabinFingerprint, $0) }, uniquingKeysWith: { first, _ in first })

  static let singleObject = FuzzTarget(
    "avro.single-object", weight: 10,
    corpus: data(8) { value, schema, _ in
      var writer = ByteWriter()
      try AvroSingleObject.encode(value, AvroEncoder(schema), into: &writer)
      return writer.finish()
    }.map { Array($0.dropFirst()) }
  ) { bytes in
    var reader = ByteReader(bytes.span.bytes)
    guard (try? AvroSingleObject.decode(&reader, known, limits: limits)) != nil else {
      demand(reader.offset == 0, "a reader that failed moved")
      return false
    }
    return true
  }

  /// A schema that is accepted is the same when it is written and read again, and fits itself.
  static let schema = FuzzTarget(
    "avro.schema", weight: 10,
    corpus: (schemas + readers.map(\.fullJSON) + [#""int""#, #"{"type":{"type":"array","items":"long"}}"#]).map { Array($0.utf8) },
    tokens: [
      "{", "}", "[", "]", "\"", ":", ",", "null", "\"type\":", "\"record\"", "\"name\":", "\"fields\":", "\"default\":", "\"aliases\":", "-1", "1e9",
      "\"n.All\"", "\"namespace\":", "\"logicalType\":", "\"size\":", "9223372036854775807", "\"symbols\":",
    ]
  ) { bytes in
    guard let schema = try? AvroSchema(json: bytes, rules: bytes.count % 2 == 0 ? .strict : .lenient) else { return false }
    guard let again = try? AvroSchema(schema.fullJSON, rules: .lenient) else { broken("a schema's text is no schema") }
    demand(again == schema, "a schema is another one after it was written and read")
    demand(again.parsingCanonicalForm == schema.parsingCanonicalForm, "two canonical forms of one schema")
    demand(checkCompatibility(writer: schema, reader: schema).isFull, "a schema does not fit itself")
    _ = try? AvroPlan(writer: schema, limits: limits)
    return true
  }
}

/// A record with each way of reading: by fields, by items, by branches, and one field left to be skipped.
private struct Reading: AvroDecodable {
  var station = ""
  var time: Int64 = 0
  var tags: [String] = []
  var counts: [String: [Int64]] = [:]
  var note: String?
  var last: Double = 0

  static let schema = made {
    try AvroSchema(
      #"""
      {"type":"record","name":"Reading","fields":[{"name":"station","type":"string"},{"name":"time","type":"long"},
      {"name":"skipped","type":{"type":"array","items":{"type":"map","values":["int","string"]}}},
      {"name":"tags","type":{"type":"array","items":"string"}},
      {"name":"counts","type":{"type":"map","values":{"type":"array","items":"long"}}},{"name":"note","type":["null","string"]},
      {"name":"last","type":"double"}]}
      """#)
  }
  static let plan = made { try AvroPlan(writer: schema, limits: AvroTargets.limits) }

  mutating func decode(from decoder: inout AvroDecoder) throws(AvroDecodeError) {
    var fields = try decoder.beginRecord()
    while let field = try decoder.nextField(&fields) {
      switch field {
      case 0: station = try decoder.readString()
      case 1: time = try decoder.readLong()
      case 3: try tags.decode(from: &decoder)
      case 4: try counts.decode(from: &decoder)
      case 5: try note.decode(from: &decoder)
      case 6: try last.decode(from: &decoder)
      default: break
      }
    }
  }
}
