import StrataRequirements
import Testing

@testable import StrataAvro

struct ResolutionTests {
  private func record(_ fields: String, name: String = "R") -> String { #"{"type":"record","name":"\#(name)","fields":[\#(fields)]}"# }

  @Test(.requirement("Avro.keep.5"))
  func fieldsAreSkippedFilledAndReordered() throws {
    let writer = record(#"{"name":"gone","type":{"type":"map","values":"string"}},{"name":"b","type":"string"},{"name":"a","type":"int"}"#)
    let reader = record(#"{"name":"a","type":"int"},{"name":"new","type":"string","default":"d"},{"name":"b","type":"string"}"#)
    let value = AvroValue.record([.map([("k", .string("v"))]), .string("x"), .int(4)])
    #expect(try resolved(writer, reader, value) == .record([.int(4), .string("d"), .string("x")]))
    let demanding = record(#"{"name":"a","type":"int"},{"name":"new","type":"string"}"#)
    do {
      _ = try AvroPlan(writer: schema(writer), reader: schema(demanding))
      Issue.record("resolved without a default")
    } catch let error as AvroResolutionError { #expect(error.path == "/new") }
  }

  /// What a projection leaves out is held to its type as if it were read.
  @Test func fieldsLeftOutAreJudged() throws {
    let rest: [UInt8] = [16] + [UInt8]("12345678".utf8)
    let reader = record(#"{"name":"a","type":"string"}"#)
    let cases: [(type: String, bytes: [UInt8], kind: AvroDecodeError.Kind)] = [
      ("int", [0xFF, 0xFF, 0xFF, 0xFF, 0x1F], .numberOutOfRange), ("int", [0x80, 0x80, 0x80, 0x80, 0x80, 0x00], .varintTooLong),
      ("long", [UInt8](repeating: 0xFF, count: 9) + [0x02], .numberOutOfRange), ("string", [0x01], .negativeLength(-1)),
    ]
    for (type, bytes, kind) in cases {
      let plan = try AvroPlan(
        writer: schema(record(#"{"name":"gone","type":"\#(type)"},{"name":"a","type":"string"}"#)), reader: schema(reader))
      #expect(decodeFailure(plan, bytes + rest)?.kind == kind, "\(type) \(bytes)")
    }
    // A text that ends one byte behind the data.
    let last = try AvroPlan(writer: schema(record(#"{"name":"a","type":"string"},{"name":"gone","type":"string"}"#)), reader: schema(reader))
    #expect(decodeFailure(last, [2, 0x78, 20] + [UInt8](repeating: 0x79, count: 9))?.kind == .endOfData)
  }

  @Test(.requirement("Avro.keep.6"))
  func numbersWidenAndNeverNarrow() throws {
    let types = ["int", "long", "float", "double"]
    let values: [AvroValue] = [.int(7), .long(7), .float(7), .double(7)]
    for (from, writer) in types.enumerated() {
      for (to, reader) in types.enumerated() {
        if from <= to {
          #expect(try resolved("\"\(writer)\"", "\"\(reader)\"", values[from]) == values[to])
        } else {
          #expect(throws: AvroResolutionError.self) { try resolved("\"\(writer)\"", "\"\(reader)\"", values[from]) }
        }
      }
    }
    #expect(try resolved(#""string""#, #""bytes""#, .string("é")) == .bytes([0xC3, 0xA9]))
    #expect(try resolved(#""bytes""#, #""string""#, .bytes([0xC3, 0xA9])) == .string("é"))
    #expect(throws: AvroResolutionError.self) { try resolved(#""int""#, #""string""#, .int(1)) }
  }

  @Test(.requirement("Avro.never.2"))
  func anExactBranchComesBeforeAPromotion() throws {
    #expect(try resolved(#""int""#, #"["long","int"]"#, .int(3)) == .union(branch: 1, .int(3)))
    #expect(try resolved(#""int""#, #"["string","double","long"]"#, .int(3)) == .union(branch: 1, .double(3)))
    #expect(try resolved(#"["int","string"]"#, #"["string","long"]"#, .union(branch: 0, .int(3))) == .union(branch: 1, .long(3)))
    #expect(try resolved(#"["int","string"]"#, #""long""#, .union(branch: 0, .int(3))) == .long(3))
    let far = #"[{"type":"fixed","name":"m.F","size":1},{"type":"fixed","name":"n.F","size":1}]"#
    #expect(try resolved(#"{"type":"fixed","name":"n.F","size":1}"#, far, .fixed([1])) == .union(branch: 1, .fixed([1])))
  }

  @Test(.requirement("Avro.keep.7", "Avro.never.4"))
  func enumsFallBackToTheReadersDefaultOrSaySo() throws {
    let enumeration = { (symbols: String, more: String) in #"{"type":"enum","name":"E","symbols":[\#(symbols)]\#(more)}"# }
    let writer = enumeration(#""A","B","C""#, #","default":"A""#)
    #expect(try resolved(writer, enumeration(#""C","A""#, #","default":"A""#), .enumeration(1)) == .enumeration(1))
    #expect(try resolved(writer, enumeration(#""C","A""#, ""), .enumeration(2)) == .enumeration(0))
    // The writer's default is no help.
    let outer = { (e: String) in #"{"type":"record","name":"R","fields":[{"name":"e","type":\#(e)}]}"# }
    let plan = try AvroPlan(writer: schema(outer(writer)), reader: schema(outer(enumeration(#""C","A""#, ""))))
    let error = decodeFailure(plan, [0x02])
    #expect(error?.kind == .unknownSymbol("B"))
    #expect(error?.path == "/e")
    #expect(throws: AvroResolutionError.self) { try AvroPlan(writer: schema(writer), reader: schema(enumeration(#""X""#, ""))) }
    let fixed = { (name: String, size: Int) in try schema(#"{"type":"fixed","name":"\#(name)","size":\#(size)}"#) }
    #expect(throws: AvroResolutionError.self) { try AvroPlan(writer: fixed("F", 2), reader: fixed("F", 3)) }
    #expect(throws: AvroResolutionError.self) { try AvroPlan(writer: fixed("F", 2), reader: fixed("G", 2)) }
    #expect(throws: Never.self) { try AvroPlan(writer: fixed("a.F", 2), reader: fixed("b.F", 2)) }
  }

  @Test(.requirement("Avro.keep.9"))
  func onlyABranchThatFailsIsLeftToDecoding() throws {
    let plan = try AvroPlan(writer: schema(#"["null","string"]"#), reader: schema(#"["null","int"]"#))
    #expect(try plan.decode([0]) == .union(branch: 0, .null))
    guard case .unreadableBranch? = decodeFailure(plan, [2, 2, 0x61])?.kind else { return #expect(Bool(false)) }
    #expect(throws: AvroResolutionError.self) { try AvroPlan(writer: schema(#"["boolean","string"]"#), reader: .int) }
    #expect(throws: AvroResolutionError.self) {
      try AvroPlan(writer: schema(#"{"type":"array","items":"string"}"#), reader: schema(#"{"type":"array","items":"int"}"#))
    }
  }

  @Test func recursivePairsResolveOnceAndFailOnce() throws {
    let list = { (type: String) in
      #"{"type":"record","name":"L","fields":[{"name":"v","type":"\#(type)"},{"name":"next","type":["null","L"]}]}"#
    }
    let value = AvroValue.record([.int(1), .union(branch: 1, .record([.int(2), .union(branch: 0, .null)]))])
    let wide = AvroValue.record([.double(1), .union(branch: 1, .record([.double(2), .union(branch: 0, .null)]))])
    #expect(try resolved(list("int"), list("double"), value) == wide)
    // The branch that refers back is part of what fails, so the whole does.
    let late = #"{"type":"record","name":"L","fields":[{"name":"next","type":["null","L"]},{"name":"v","type":"int"}]}"#
    #expect(throws: AvroResolutionError.self) { try AvroPlan(writer: schema(late), reader: schema(late.replacing("int", with: "string"))) }
  }
}
