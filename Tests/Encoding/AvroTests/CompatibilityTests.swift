import StrataRequirements
import Testing

@testable import StrataAvro

/// The tables of Apache Avro's SchemaCompatibility tests in this library's terms.
struct CompatibilityTests {
  private static func record(_ fields: String, _ name: String = "R") -> String { #"{"type":"record","name":"\#(name)","fields":[\#(fields)]}"# }
  private static func enumeration(_ symbols: String, _ name: String = "E", _ more: String = "") -> String {
    #"{"type":"enum","name":"\#(name)","symbols":[\#(symbols)]\#(more)}"#
  }
  private static func array(_ items: String) -> String { #"{"type":"array","items":\#(items)}"# }
  private static func map(_ values: String) -> String { #"{"type":"map","values":\#(values)}"# }
  private static func fixed(_ name: String, _ size: Int) -> String { #"{"type":"fixed","name":"\#(name)","size":\#(size)}"# }

  static let compatible: [(reader: String, writer: String)] = [
    (#""boolean""#, #""boolean""#), (#""int""#, #""int""#), (#""long""#, #""int""#), (#""long""#, #""long""#), (#""float""#, #""int""#),
    (#""float""#, #""long""#), (#""double""#, #""long""#), (#""double""#, #""int""#), (#""double""#, #""float""#), (#""string""#, #""string""#),
    (#""bytes""#, #""string""#), (#""string""#, #""bytes""#), (array(#""int""#), array(#""int""#)), (array(#""long""#), array(#""int""#)),
    (map(#""long""#), map(#""int""#)), (enumeration(#""A","B""#), enumeration(#""A","B""#)), (enumeration(#""A","B","C""#), enumeration(#""A","B""#)),
    (enumeration(#""A","B""#, "E", #","default":"A""#), enumeration(#""A","B","C""#)), ("[]", "[]"), (#"["int"]"#, #"["int"]"#),
    (#"["int","string"]"#, #"["string","int"]"#), (#"["int"]"#, "[]"), (#"["long"]"#, #"["int"]"#), (#"["float"]"#, #"["int"]"#),
    (#"["double","bytes"]"#, #"["float","string"]"#), (#"["int"]"#, #""int""#), (#""int""#, #"["int"]"#), (#""float""#, #"["int"]"#),
    (#""float""#, #"["long"]"#), (#""float""#, #"["int","long"]"#), (#""double""#, #"["int","float"]"#),
    (record(""), record("")), (record(""), record(#"{"name":"a","type":"int"}"#)),
    (record(#"{"name":"a","type":"int","default":0}"#), record("")), (record(#"{"name":"a","type":"int"}"#), record(#"{"name":"a","type":"int"}"#)),
    (record(#"{"name":"a","type":["null","int"],"default":null}"#), record(#"{"name":"a","type":"int"}"#)),
    (record(#"{"name":"n","aliases":["o"],"type":"int"}"#), record(#"{"name":"o","type":"int"}"#)), (linkedList, linkedList),
    (linkedList.replacing("long\"", with: "double\""), linkedList), (fixed("F", 4), fixed("F", 4)),
    (#"{"type":"record","name":"New","aliases":["Old"],"fields":[]}"#, record("", "Old")), (record("", "a.R"), record("", "b.R")),
  ]

  static let incompatible: [(reader: String, writer: String, kind: String, place: String)] = [
    (#""null""#, #""int""#, "TYPE_MISMATCH", ""), (#""boolean""#, #""int""#, "TYPE_MISMATCH", ""), (#""int""#, #""long""#, "TYPE_MISMATCH", ""),
    (#""int""#, #""float""#, "TYPE_MISMATCH", ""), (#""long""#, #""double""#, "TYPE_MISMATCH", ""),
    (#""float""#, #""double""#, "TYPE_MISMATCH", ""), (#""string""#, #""int""#, "TYPE_MISMATCH", ""),
    (#""bytes""#, #""int""#, "TYPE_MISMATCH", ""), (array(#""int""#), array(#""long""#), "TYPE_MISMATCH", "/items"),
    (map(#""int""#), map(#""long""#), "TYPE_MISMATCH", "/values"), (map(#""int""#), array(#""int""#), "TYPE_MISMATCH", ""),
    (array(#""int""#), map(#""int""#), "TYPE_MISMATCH", ""), (enumeration(#""A""#), #""int""#, "TYPE_MISMATCH", ""),
    (enumeration(#""A","B""#), enumeration(#""A","B","C""#), "MISSING_ENUM_SYMBOLS", "/symbols"),
    (enumeration(#""A""#, "E"), enumeration(#""A""#, "G"), "NAME_MISMATCH", "/name"),
    (fixed("F", 4), fixed("F", 8), "FIXED_SIZE_MISMATCH", "/size"), (fixed("F", 4), fixed("G", 4), "NAME_MISMATCH", "/name"),
    (#"["int"]"#, #"["int","string"]"#, "MISSING_UNION_BRANCH", "/1"), (#"["string"]"#, #"["boolean"]"#, "MISSING_UNION_BRANCH", "/0"),
    (#"["string","bytes"]"#, #""int""#, "MISSING_UNION_BRANCH", ""), (#""int""#, #"["int","long"]"#, "TYPE_MISMATCH", ""),
    (record(#"{"name":"a","type":"int"}"#), record(""), "READER_FIELD_MISSING_DEFAULT_VALUE", "/fields/0"),
    (record("", "A"), record("", "B"), "NAME_MISMATCH", "/name"),
    (linkedList.replacing("long\"", with: "int\""), linkedList, "TYPE_MISMATCH", "/fields/0/type"),
    (record(#"{"name":"a","type":"string"}"#), record(#"{"name":"a","type":"int"}"#), "TYPE_MISMATCH", "/fields/0/type"),
  ]

  @Test(.requirement("Avro.never.8"))
  func pairsThatReadEachOther() throws {
    for row in Self.compatible {
      let (reader, writer) = (try schema(row.reader), try schema(row.writer))
      let result = checkCompatibility(writer: writer, reader: reader)
      #expect(result.backward == [], "\(row)")
      #expect(throws: Never.self, "\(row)") { try AvroPlan(writer: writer, reader: reader) }
    }
  }

  @Test(.requirement("Avro.never.8"))
  func pairsThatDoNotSayWhatAndWhere() throws {
    for row in Self.incompatible {
      let result = checkCompatibility(writer: try schema(row.writer), reader: try schema(row.reader))
      #expect(result.backward.map(\.kind.rawValue) == [row.kind], "\(row)")
      #expect(result.backward.map(\.pointer) == [row.place], "\(row)")
    }
  }

  @Test(.requirement("Avro.keep.8", "Avro.never.8"))
  func everyReasonOfBothDirections() throws {
    let old = try schema(
      #"""
      {"type":"record","name":"R","fields":[{"name":"a","type":"string"},{"name":"b","type":"int"},{"name":"e","type":
       {"type":"enum","name":"E","symbols":["A","B"]}}]}
      """#)
    let new = try schema(
      #"""
      {"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"b","type":"long"},{"name":"c","type":"int"},
       {"name":"e","type":{"type":"enum","name":"E","symbols":["A","C"]}}]}
      """#)
    let result = checkCompatibility(writer: old, reader: new)
    #expect(result.backward.map(\.pointer) == ["/fields/0/type", "/fields/2", "/fields/3/type/symbols"])
    #expect(result.forward.map(\.pointer) == ["/fields/0/type", "/fields/1/type", "/fields/2/type/symbols"])
    #expect(!result.isBackward && !result.isForward && !result.isFull)
    let wider = checkCompatibility(writer: .int, reader: .long)
    #expect(wider.isBackward && !wider.isForward && !wider.isFull)
    #expect(checkCompatibility(writer: old, reader: old).isFull)
  }
}
