import StrataBytes
import StrataRequirements
import Testing

@testable import StrataAvro

struct UntypedTests {
  private func branch(_ schema: AvroSchema, _ value: AvroUntyped) -> AvroValue? { try? schema.value(of: value) }

  private func failure(_ schema: AvroSchema, _ value: AvroUntyped) -> AvroEncodeError? {
    do throws(AvroEncodeError) { _ = try schema.value(of: value) } catch { return error }
    return nil
  }

  @Test(.requirement("Avro.keep.4"))
  func branchesAreFoundByExactTypeFirst() throws {
    let numbers = try schema(#"["double","long","int","null"]"#)
    #expect(branch(numbers, .integer(5)) == .union(branch: 2, .int(5)))
    #expect(branch(numbers, .integer(1 << 40)) == .union(branch: 1, .long(1 << 40)))
    #expect(branch(numbers, .double(5)) == .union(branch: 0, .double(5)))
    #expect(branch(numbers, .null) == .union(branch: 3, .null))
    #expect(failure(numbers, .string("x"))?.kind == .noBranch)

    let words = try schema(#"["string",{"type":"enum","name":"E","symbols":["A"]}]"#)
    #expect(branch(words, .string("A")) == .union(branch: 1, .enumeration(0)))
    #expect(branch(words, .string("B")) == .union(branch: 0, .string("B")))

    let keyed = try schema(
      #"""
      [{"type":"map","values":"int"},{"type":"record","name":"P","fields":[{"name":"x","type":"int"},{"name":"y","type":"int"}]},
       {"type":"record","name":"Q","fields":[{"name":"x","type":"int"},{"name":"y","type":"int"},{"name":"z","type":"int"}]}]
      """#)
    #expect(branch(keyed, .keyed([("y", .integer(2)), ("x", .integer(1))])) == .union(branch: 1, .record([.int(1), .int(2)])))
    #expect(branch(keyed, .keyed([("other", .integer(1))])) == .union(branch: 0, .map([("other", .int(1))])))
    #expect(failure(keyed, .keyed([("x", .integer(1))]))?.kind == .ambiguousBranch)
    let missing = failure(keyed, .keyed([("z", .integer(1))]))
    #expect(missing?.kind == .missingField)
    #expect(missing?.path == "/x")
  }

  @Test(.requirement("Avro.never.4"))
  func aMissingFieldIsAnErrorWhateverItsDefault() throws {
    let record = try schema(
      #"""
      {"type":"record","name":"R","fields":[{"name":"l","type":{"type":"array","items":
       {"type":"record","name":"S","fields":[{"name":"a","type":"int","default":1}]}}}]}
      """#
    )
    let error = failure(record, .keyed([("l", .list([.keyed([])]))]))
    #expect(error?.kind == .missingField)
    #expect(error?.path == "/l/0/a")
    #expect(failure(record, .keyed([("l", .list([])), ("more", .null)]))?.kind == .unknownField)
  }
}

struct JSONEncodingTests {
  @Test func unionsBytesAndNumbers() throws {
    let schema = try schema(
      #"""
      {"type":"record","name":"n.R","fields":[{"name":"u","type":["null","string",{"type":"enum","name":"E","symbols":["A"]}]},
       {"name":"b","type":"bytes"},{"name":"d","type":"double"}]}
      """#)
    let value = AvroValue.record([.union(branch: 2, .enumeration(0)), .bytes([0xFF, 0x41, 0x00, 0x22]), .double(1.5)])
    let text = #"{"u":{"n.E":"A"},"b":"\u00ffA\u0000\"","d":1.5}"#
    #expect(String(decoding: try AvroJSON.encode(value, schema), as: UTF8.self) == text)
    #expect(try AvroJSON.decode(Array(text.utf8), schema) == value)
    let null = AvroValue.record([.union(branch: 0, .null), .bytes([]), .double(-0.0)])
    #expect(try AvroJSON.decode(AvroJSON.encode(null, schema), schema) == null)
  }

  @Test func numbersThatJSONDoesNotHave() throws {
    for value in [Double.nan, .infinity, -.infinity] {
      #expect(throws: AvroEncodeError.self) { try AvroJSON.encode(.double(value), .double) }
      let text = try AvroJSON.encode(.double(value), .double, numbers: .extended)
      #expect(throws: AvroJSONError.self) { try AvroJSON.decode(text, .double) }
      #expect(try AvroJSON.decode(text, .double, numbers: .extended) == .double(value))
    }
  }

  @Test func errorsSayWhere() throws {
    let schema = try schema(#"{"type":"map","values":{"type":"array","items":["null","int"]}}"#)
    for (text, path) in [
      (#"{"k":[null,{"int":1},{"long":2}]}"#, "/k/2"), (#"{"k":[{"int":"x"}]}"#, "/k/0/int"), (#"{"k":1}"#, "/k"), ("[", ""),
      (#"{"k":[{"int":2147483648}]}"#, "/k/0/int"),
    ] {
      do {
        _ = try AvroJSON.decode(Array(text.utf8), schema)
        Issue.record("accepted \(text)")
      } catch { #expect(error.path == path) }
    }
  }
}

struct SingleObjectTests {
  @Test func messagesFindTheirSchemas() throws {
    let old = try schema(#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}"#)
    let new = try schema(#"{"type":"record","name":"R","fields":[{"name":"a","type":"long"},{"name":"b","type":"int","default":2}]}"#)
    var writer = ByteWriter()
    for number in Int32(0)..<3 { try AvroSingleObject.encode(.record([.int(number)]), AvroEncoder(old), into: &writer) }
    let bytes = writer.finish()
    #expect(Array(bytes[..<10]) == [0xC3, 0x01] + old.fingerprint(.rabin64))
    var input = ByteReader(bytes.span.bytes)
    let known = [old.rabinFingerprint: old]
    #expect(try AvroSingleObject.decode(&input, known) == .record([.int(0)]))
    #expect(try AvroSingleObject.decode(&input, known, reader: new) == .record([.long(1), .int(2)]))
    let before = input.offset
    do {
      _ = try AvroSingleObject.decode(&input, [UInt64: AvroSchema]())
      Issue.record("read without a schema")
    } catch { #expect(error == .unknownSchema(fingerprint: old.rabinFingerprint)) }
    let after = input.offset
    #expect(before == after)
    #expect(try AvroSingleObject.decode(&input, AvroPlan(writer: old)) == .record([.int(2)]))
    for cut in 0..<10 {
      let short = Array(bytes[..<cut])
      var head = ByteReader(short.span.bytes)
      do {
        _ = try AvroSingleObject.decode(&head, known)
        Issue.record("read \(cut) bytes")
      } catch { #expect(error == .notAMessage(at: 0)) }
    }
  }
}

struct OrderTests {
  @Test func fieldsOrderAsTheirSchemaSays() throws {
    let schema = try schema(
      #"""
      {"type":"record","name":"R","fields":[{"name":"i","type":{"type":"map","values":"int"},"order":"ignore"},
       {"name":"d","type":"int","order":"descending"},{"name":"a","type":"string"}]}
      """#)
    let encoder = AvroEncoder(schema)
    let bytes = try [(Int32(5), "b"), (5, "a"), (7, "z")].map { try encoder.encode(.record([.map([("k", .int($0.0))]), .int($0.0), .string($0.1)])) }
    #expect(try compare(bytes[0], bytes[1], schema) == 1)
    #expect(try compare(bytes[2], bytes[0], schema) == -1)
    #expect(try compare(bytes[1], bytes[1], schema) == 0)
    let doubles = try [-Double.infinity, -1, -0.0, 0.0, 1, .infinity, .nan].map { try AvroEncoder(.double).encode(.double($0)) }
    for (i, a) in doubles.enumerated() {
      for (j, b) in doubles.enumerated() {
        #expect(try compare(a, b, .double) == (i - j).signum())
      }
    }
  }

  private func compare(_ a: [UInt8], _ b: [UInt8], _ schema: AvroSchema) throws -> Int {
    let (first, second) = (ByteReader(a.span.bytes), ByteReader(b.span.bytes))
    return try compareEncoded(first, second, schema: schema)
  }
}
