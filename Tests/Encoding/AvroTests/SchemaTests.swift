import StrataRequirements
import Testing

@testable import StrataAvro

struct SchemaTests {
  @Test(.requirement("Avro.keep.10"))
  func spellingDoesNotMatterAndDefaultsDo() throws {
    let short = try schema(#""int""#)
    let long = try schema(#"{"type": "int"}"#)
    #expect(short == long)
    #expect(Set([short, long]).count == 1)
    let record = { (field: String) in try schema(#"{"type":"record","name":"R","fields":[{"name":"a","type":["null","int"]\#(field)}]}"#) }
    let none = try record("")
    let null = try record(#","default":null"#)
    #expect(none != null)
    #expect(none.fields[0].defaultValue == nil)
    #expect(null.fields[0].defaultValue == .union(branch: 0, .null))
  }

  @Test(
    .requirement("Avro.keep.9"),
    arguments: [
      ("", ""), ("{", ""), (#""unknown""#, ""), ("12", ""), (#"{"type":"record","name":"R"}"#, ""), (#"{"type":"enum","name":"E"}"#, ""),
      (#"{"type":"fixed","name":"F"}"#, ""), (#"{"type":"array"}"#, ""), (#"{"type":"map"}"#, ""), (#"{"name":"R"}"#, ""),
      (#"{"type":"fixed","name":"F","size":-1}"#, "/size"), (#"{"type":"fixed","name":"F","size":1.5}"#, "/size"),
      (#"{"type":"record","name":"1R","fields":[]}"#, "/name"), (#"{"type":"record","name":"a..R","fields":[]}"#, "/name"),
      (#"{"type":"record","name":"int","fields":[]}"#, "/name"),
      (#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"a","type":"int"}]}"#, "/fields/1"),
      (#"{"type":"record","name":"R","fields":[{"name":"a","type":"nope"}]}"#, "/fields/0/type"),
      (#"{"type":"record","name":"R","fields":[{"name":"a","type":"int","default":"x"}]}"#, "/fields/0/default"),
      (#"{"type":"record","name":"R","fields":[{"name":"a","type":"int","default":2147483648}]}"#, "/fields/0/default"),
      (#"{"type":"record","name":"R","fields":[{"name":"a","type":"int","order":"up"}]}"#, "/fields/0/order"),
      (#"{"type":"enum","name":"E","symbols":["A","A"]}"#, "/symbols/1"), (#"{"type":"enum","name":"E","symbols":["A-B"]}"#, "/symbols/0"),
      (#"{"type":"enum","name":"E","symbols":["A"],"default":"B"}"#, "/default"),
      (#"["int",{"type":"fixed","name":"F","size":1},{"type":"fixed","name":"F","size":1}]"#, "/2/name"),
    ])
  func malformedSchemasSayWhere(_ text: String, _ place: String) throws {
    #expect(refusal(text)?.pointer == place)
  }

  @Test(.requirement("Avro.keep.3"))
  func unionsThatCannotBeToldApartAreRefused() throws {
    #expect(refusal(#"["int","int"]"#)?.kind == .duplicateBranch("int"))
    #expect(refusal(#"["int",{"type":"int","logicalType":"date"}]"#)?.kind == .duplicateBranch("int"))
    #expect(refusal(#"[{"type":"array","items":"int"},{"type":"array","items":"long"}]"#)?.kind == .duplicateBranch("array"))
    #expect(refusal(#"["int",["string"]]"#)?.kind == .nestedUnion)
    let twice = #"[{"type":"record","name":"n.R","fields":[]},{"type":"record","name":"R","namespace":"n","fields":[]}]"#
    #expect(refusal(twice)?.kind == .duplicate("n.R"))
    #expect(refusal(#"["null","boolean","int","long","float","double","bytes","string"]"#) == nil)
    let apart = #"[{"type":"record","name":"n.R","fields":[]},{"type":"record","name":"m.R","fields":[]}]"#
    #expect(refusal(apart) == nil)
    let bytes = try AvroEncoder(schema(#"["null","string"]"#)).encode(.union(branch: 1, .string("a")))
    #expect(hex(bytes) == "02 02 61")
  }

  @Test(.requirement("Avro.never.1"))
  func namesNamespacesRecursionAndAliases() throws {
    let list = try schema(linkedList)
    #expect(list.fields[1].schema.branches[1] == list)
    #expect(try schema(list.fullJSON) == list)
    let value = AvroValue.record([.long(1), .union(branch: 1, .record([.long(2), .union(branch: 0, .null)]))])
    #expect(try AvroPlan(writer: list).decode(AvroEncoder(list).encode(value)) == value)

    let spaces = try schema(
      #"""
      {"type":"record","name":"Outer","namespace":"a.b","fields":[
        {"name":"x","type":{"type":"fixed","name":"Here","size":2}},
        {"name":"y","type":{"type":"enum","name":"c.There","symbols":["S"]}},
        {"name":"z","type":{"type":"record","name":"Bare","namespace":"","fields":[{"name":"self","type":["null","Bare"]}]}},
        {"name":"again","type":["a.b.Here","c.There","Outer"]}]}
      """#)
    #expect(spaces.fields.map(\.schema.name) == ["a.b.Here", "c.There", "Bare", nil])
    #expect(spaces.fields[3].schema.branches.map(\.name) == ["a.b.Here", "c.There", "a.b.Outer"])
    #expect(try schema(spaces.fullJSON) == spaces)
    #expect(try schema(spaces.fullJSON).fullJSON == spaces.fullJSON)

    let renamed = #"""
      {"type":"record","name":"n.New","aliases":["Old"],"fields":[{"name":"fresh","aliases":["stale"],"type":"int"}]}
      """#
    let old = #"{"type":"record","name":"n.Old","fields":[{"name":"stale","type":"int"}]}"#
    #expect(try resolved(old, renamed, .record([.int(7)])) == .record([.int(7)]))
    #expect(throws: AvroResolutionError.self) { try resolved(old, renamed.replacing("Old", with: "Older"), .record([.int(7)])) }
  }

  @Test func typesOfKnownSchemasCanBeUsed() throws {
    let list = try schema(linkedList)
    let holder = try schema(#"{"type":"record","name":"H","fields":[{"name":"l","type":"LongList"},{"name":"m","type":"LongList"}]}"#, known: [list])
    #expect(holder.fields[0].schema == list)
    #expect(try schema(holder.fullJSON) == holder)
    #expect(refusal(#"{"type":"array","items":"LongList"}"#)?.kind == .unknownType("LongList"))
  }

  @Test(.requirement("Avro.never.3"))
  func defaultsAreReadThroughTheirTypes() throws {
    let rows: [(type: String, json: String, value: AvroValue)] = [
      (#""null""#, "null", .null), (#""boolean""#, "true", .boolean(true)), (#""int""#, "-1", .int(-1)), (#""long""#, "4e3", .long(4000)),
      (#""float""#, "1.5", .float(1.5)), (#""double""#, "1", .double(1)), (#""bytes""#, #""\u00ffA""#, .bytes([0xFF, 0x41])),
      (#""string""#, #""ÿ""#, .string("ÿ")), (#"{"type":"fixed","name":"F","size":2}"#, #""\u0000\u0080""#, .fixed([0, 0x80])),
      (#"{"type":"enum","name":"E","symbols":["A","B"]}"#, #""B""#, .enumeration(1)),
      (#"{"type":"array","items":"int"}"#, "[1,2]", .array([.int(1), .int(2)])),
      (#"{"type":"map","values":"bytes"}"#, #"{"k":"\u0001"}"#, .map([("k", .bytes([1]))])),
      (
        #"{"type":"record","name":"I","fields":[{"name":"a","type":"int"},{"name":"b","type":"string","default":"d"}]}"#, #"{"a":3}"#,
        .record([.int(3), .string("d")])
      ),
      (#"["null","int"]"#, "null", .union(branch: 0, .null)), (#"["null","int"]"#, "5", .union(branch: 1, .int(5))),
    ]
    let empty = try schema(#"{"type":"record","name":"R","fields":[]}"#)
    for row in rows {
      let reader = try schema(#"{"type":"record","name":"R","fields":[{"name":"f","type":\#(row.type),"default":\#(row.json)}]}"#)
      #expect(reader.fields[0].defaultValue == row.value, "\(row.type)")
      let plan = try AvroPlan(writer: empty, reader: reader)
      guard case .record(var first) = try plan.decode([]) else { Issue.record("no record"); continue }
      #expect(first == [row.value], "\(row.type)")
      // What is done to one result shows in no other.
      if case .array(var items) = first[0] {
        items.append(.int(9))
        first[0] = .array(items)
      } else {
        first[0] = .null
      }
      #expect(try plan.decode([]) == .record([row.value]), "\(row.type)")
    }
    for (type, json) in [
      (#""bytes""#, #""Ā""#), (#""int""#, "1.5"), (#""string""#, "null"), (#"{"type":"array","items":"int"}"#, "{}"),
      (#"{"type":"fixed","name":"F","size":2}"#, #""a""#), (#"{"type":"enum","name":"E","symbols":["A"]}"#, #""C""#),
      (#"["null","int"]"#, #""x""#),
    ] {
      #expect(refusal(#"{"type":"record","name":"R","fields":[{"name":"f","type":\#(type),"default":\#(json)}]}"#) != nil, "\(type)")
    }
  }

  @Test func unionDefaultsFollowTheVersionAskedFor() throws {
    let text = #"{"type":"record","name":"R","fields":[{"name":"f","type":["null","int"],"default":5}]}"#
    #expect(throws: AvroSchemaError.self) { try AvroSchema(json: text.utf8, unionDefaults: .firstBranch) }
    #expect(try AvroSchema(json: text.utf8).fields[0].defaultValue == .union(branch: 1, .int(5)))
  }

  @Test func defaultsThatContainThemselvesOrDoubleAreRefused() throws {
    #expect(refusal(#"{"type":"record","name":"R","fields":[{"name":"f","type":"R","default":{}}]}"#)?.pointer == "/fields/0/default")
    var text = #"{"type":"record","name":"R0","fields":[]}"#
    for level in 1...40 {
      text = #"""
        {"type":"record","name":"R\#(level)","fields":[{"name":"a","type":\#(text),"default":{}},
         {"name":"b","type":"R\#(level - 1)","default":{}}]}
        """#
    }
    guard case .invalidDefault? = refusal(text)?.kind else { return #expect(Bool(false), "2^40 values were accepted") }
  }

  @Test func deepTextIsRefused() {
    let text = String(repeating: #"{"type":"array","items":"#, count: 100_000) + "\"int\"" + String(repeating: "}", count: 100_000)
    guard case .notJSON? = refusal(text)?.kind else { return #expect(Bool(false)) }
  }
}
