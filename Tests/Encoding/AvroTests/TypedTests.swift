import StrataBytes
import StrataRequirements
import Testing

@testable import StrataAvro

private struct Reading: AvroDecodable, AvroEncodable, Equatable {
  var station = ""
  var time: Int64 = 0
  var temperature: Int32 = 0
  var tags: [String] = []
  var note: String?
  var unread = 0

  static let schemaText = #"""
    {"type":"record","name":"Reading","fields":[{"name":"station","type":"string"},{"name":"time","type":"long"},
     {"name":"temperature","type":"int"},{"name":"tags","type":{"type":"array","items":"string"}},
     {"name":"note","type":["null","string"],"default":null}]}
    """#

  mutating func decode(from decoder: inout AvroDecoder) throws(AvroDecodeError) {
    var fields = try decoder.beginRecord()
    while let field = try decoder.nextField(&fields) {
      switch field {
      case 0: station = try decoder.readString()
      case 1: time = try decoder.readLong()
      case 2: temperature = try decoder.readInt()
      case 3: try tags.decode(from: &decoder)
      case 4: try note.decode(from: &decoder)
      default: unread += 1
      }
    }
  }

  func encode(to output: inout AvroOutput) throws(AvroEncodeError) {
    let outer = try output.beginRecord()
    try output.write(station)
    try output.write(time)
    try output.write(temperature)
    try tags.encode(to: &output)
    try output.write(branch: note == nil ? 0 : 1)
    if let note { try output.write(note) } else { try output.writeNull() }
    try output.end(outer)
  }
}

/// Writes whatever it is told to, to see what is refused.
private struct Script: AvroEncodable {
  var body: (inout AvroOutput) throws(AvroEncodeError) -> Void
  func encode(to output: inout AvroOutput) throws(AvroEncodeError) { try body(&output) }
}

private struct Asking: AvroDecodable {
  var body: (inout AvroDecoder) throws(AvroDecodeError) -> Void = { (_) throws(AvroDecodeError) in }
  mutating func decode(from decoder: inout AvroDecoder) throws(AvroDecodeError) { try body(&decoder) }
}

struct TypedTests {
  private let value = Reading(station: "KSFO", time: 1 << 40, temperature: -7, tags: ["a", "b"], note: "fog")

  @Test func typesWriteWhatValuesWrite() throws {
    let schema = try schema(Reading.schemaText)
    var writer = ByteWriter()
    try AvroEncoder(schema).encode(value, into: &writer)
    let bytes = writer.finish()
    let generic = AvroValue.record([
      .string("KSFO"), .long(1 << 40), .int(-7), .array([.string("a"), .string("b")]), .union(branch: 1, .string("fog")),
    ])
    #expect(bytes == (try AvroEncoder(schema).encode(generic)))
    var reader = ByteReader(bytes.span.bytes)
    #expect(try AvroPlan(writer: schema).decode(Reading.self, &reader) == value)
    // What is read into is used again: a shorter list leaves nothing behind.
    var second = ByteReader(bytes.span.bytes)
    var reused = Reading(tags: ["x", "y", "z"])
    try AvroPlan(writer: schema).decode(into: &reused, &second)
    #expect(reused == value)
    let left = second.remaining
    #expect(left == 0)
  }

  @Test(.requirement("Avro.keep.5"))
  func fieldsComeInTheWritersOrderWithDefaultsLast() throws {
    let writer = try schema(
      #"""
      {"type":"record","name":"Reading","fields":[{"name":"tags","type":{"type":"array","items":"string"}},
       {"name":"gone","type":{"type":"map","values":"double"}},{"name":"time","type":"int"},{"name":"station","type":"string"}]}
      """#)
    let reader = try schema(
      Reading.schemaText.replacing(#""name":"temperature","type":"int""#, with: #""name":"temperature","type":"int","default":21"#))
    let bytes = try AvroEncoder(writer).encode(
      .record([.array([.string("t")]), .map([("k", .double(1))]), .int(5), .string("OAK")]))
    var input = ByteReader(bytes.span.bytes)
    let value = try AvroPlan(writer: writer, reader: reader).decode(Reading.self, &input)
    #expect(value == Reading(station: "OAK", time: 5, temperature: 21, tags: ["t"], note: nil))
    let left = input.remaining
    #expect(left == 0)
  }

  @Test func whatATypeDoesNotReadIsSkipped() throws {
    let writer = try schema(Reading.schemaText)
    let wider = try schema(Reading.schemaText.replacing(#""default":null}]}"#, with: #""default":null},{"name":"x","type":"long","default":3}]}"#))
    var bytes = ByteWriter()
    try AvroEncoder(writer).encode(value, into: &bytes)
    let data = bytes.finish()
    var input = ByteReader(data.span.bytes)
    var expected = value
    expected.unread = 1
    #expect(try AvroPlan(writer: writer, reader: wider).decode(Reading.self, &input) == expected)
  }

  @Test(.requirement("Avro.never.4"))
  func askingForWhatIsNotThereIsAnError() throws {
    let schema = try schema(Reading.schemaText)
    var writer = ByteWriter()
    try AvroEncoder(schema).encode(value, into: &writer)
    let bytes = writer.finish()
    let plan = try AvroPlan(writer: schema)
    func failure(_ body: @escaping (inout AvroDecoder) throws(AvroDecodeError) -> Void) -> AvroDecodeError.Kind? {
      var input = ByteReader(bytes.span.bytes)
      var asking = Asking(body: body)
      do throws(AvroDecodeError) { try plan.decode(into: &asking, &input) } catch {
        let offset = input.offset
        #expect(offset == 0)
        return error.kind
      }
      return nil
    }
    #expect(failure { (d) throws(AvroDecodeError) in _ = try d.readInt() } == .typeMismatch(expected: "int", found: "Reading"))
    #expect(
      failure { (d) throws(AvroDecodeError) in
        var fields = try d.beginRecord()
        _ = try d.nextField(&fields)
        _ = try d.readLong()
      } == .typeMismatch(expected: "long", found: "string"))
    #expect(
      failure { (d) throws(AvroDecodeError) in
        var fields = try d.beginRecord()
        _ = try d.nextField(&fields)
        _ = try d.readString()
        _ = try d.readString()
      } == .typeMismatch(expected: "a value", found: "no further value"))
    // Leaving a record before its end would misread what follows.
    guard case .typeMismatch? = failure({ (d) throws(AvroDecodeError) in _ = try d.beginRecord() }) else {
      return #expect(Bool(false), "left a record early")
    }
    #expect(failure { (d) throws(AvroDecodeError) in throw d.refusal("no") } == .refused("no"))
    #expect(failure { (_) throws(AvroDecodeError) in } == nil)
    // Damage says where, as it does generically.
    let cut = Array(bytes.dropLast(2))
    var input = ByteReader(cut.span.bytes)
    do {
      _ = try plan.decode(Reading.self, &input)
      Issue.record("read a cut record")
    } catch {
      #expect(error.path == "/note")
      #expect(error.kind == .endOfData)
    }
  }

  @Test(.requirement("Avro.never.4"))
  func writingWhatTheSchemaDoesNotHaveIsAnError() throws {
    let schema = try schema(Reading.schemaText)
    func failure(_ body: @escaping (inout AvroOutput) throws(AvroEncodeError) -> Void) -> AvroEncodeError? {
      var writer = ByteWriter(beginningWith: [9])
      do throws(AvroEncodeError) { try AvroEncoder(schema).encode(Script(body: body), into: &writer) } catch {
        let bytes = writer.finish()
        #expect(bytes == [9])
        return error
      }
      return nil
    }
    #expect(failure { (_) throws(AvroEncodeError) in }?.kind == .missingField)
    #expect(failure { (o) throws(AvroEncodeError) in try o.write("x") }?.kind == .typeMismatch)
    let wrong = failure { (o) throws(AvroEncodeError) in
      _ = try o.beginRecord()
      try o.write("KSFO")
      try o.write("not a long")
    }
    #expect(wrong?.path == "/time")
    #expect(wrong?.kind == .typeMismatch)
    let early = failure { (o) throws(AvroEncodeError) in
      let outer = try o.beginRecord()
      try o.write("KSFO")
      try o.end(outer)
    }
    #expect(early?.path == "/time")
    #expect(early?.kind == .missingField)
    let short = failure { (o) throws(AvroEncodeError) in
      _ = try o.beginRecord()
      try o.write("KSFO")
      try o.write(Int64(1))
      try o.write(Int32(1))
      let outer = try o.beginArray(count: 2)
      try o.write("one")
      try o.end(outer)
    }
    #expect(short?.kind == .missingField)
  }

  @Test func mapsAndValuesOfAnyKind() throws {
    let schema = try schema(#"{"type":"map","values":"double"}"#)
    var writer = ByteWriter()
    try AvroEncoder(schema).encode(
      Script { (o) throws(AvroEncodeError) in
        let outer = try o.beginMap(count: 2)
        try o.write(key: "a")
        try o.write(1.5)
        try o.write(key: "b")
        try o.write(.double(2.5))
        try o.end(outer)
      }, into: &writer)
    let bytes = writer.finish()
    var input = ByteReader(bytes.span.bytes)
    #expect(try AvroPlan(writer: schema).decode([String: Double].self, &input) == ["a": 1.5, "b": 2.5])
  }
}
