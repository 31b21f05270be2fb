import StrataBytes
import StrataRequirements
import Testing

@testable import StrataAvro

struct BinaryTests {
  /// The specification's own examples and one datum of every kind.
  static let golden: [(schema: String, value: AvroValue, bytes: String)] = [
    (#""null""#, .null, ""), (#""boolean""#, .boolean(false), "00"), (#""boolean""#, .boolean(true), "01"),
    (#""int""#, .int(0), "00"), (#""int""#, .int(-1), "01"), (#""int""#, .int(1), "02"), (#""int""#, .int(-2), "03"), (#""int""#, .int(2), "04"),
    (#""int""#, .int(-64), "7f"), (#""int""#, .int(64), "80 01"), (#""int""#, .int(.max), "fe ff ff ff 0f"),
    (#""int""#, .int(.min), "ff ff ff ff 0f"), (#""long""#, .long(.max), "fe ff ff ff ff ff ff ff ff 01"),
    (#""long""#, .long(.min), "ff ff ff ff ff ff ff ff ff 01"), (#""long""#, .long(8_589_934_592), "80 80 80 80 40"),
    (#""float""#, .float(1.5), "00 00 c0 3f"), (#""double""#, .double(-2), "00 00 00 00 00 00 00 c0"),
    (#""bytes""#, .bytes([1, 2, 3]), "06 01 02 03"), (#""string""#, .string("foo"), "06 66 6f 6f"),
    (
      #"{"type":"record","name":"test","fields":[{"name":"a","type":"long"},{"name":"b","type":"string"}]}"#,
      .record([.long(27), .string("foo")]), "36 06 66 6f 6f"
    ),
    (#"{"type":"enum","name":"Foo","symbols":["A","B","C","D"]}"#, .enumeration(3), "06"),
    (#"{"type":"array","items":"long"}"#, .array([.long(3), .long(27)]), "04 06 36 00"), (#"{"type":"array","items":"long"}"#, .array([]), "00"),
    (#"{"type":"map","values":"int"}"#, .map([("k", .int(1))]), "02 02 6b 02 00"),
    (#"["null","string"]"#, .union(branch: 0, .null), "00"), (#"["null","string"]"#, .union(branch: 1, .string("a")), "02 02 61"),
    (#"{"type":"fixed","name":"F","size":3}"#, .fixed([7, 8, 9]), "07 08 09"),
    (
      linkedList, .record([.long(1), .union(branch: 1, .record([.long(-300), .union(branch: 0, .null)]))]), "02 02 d7 04 00"
    ),
  ]

  @Test(.requirement("Avro.keep.1", "Avro.keep.2"))
  func goldenBytes() throws {
    for row in Self.golden {
      let schema = try schema(row.schema)
      let bytes = try AvroEncoder(schema).encode(row.value)
      #expect(hex(bytes) == row.bytes, "\(row.schema)")
      #expect(try AvroPlan(writer: schema).decode(bytes) == row.value, "\(row.schema)")
    }
  }

  @Test(.requirement("Avro.never.5"))
  func everyProperPrefixIsTheEndOfData() throws {
    for row in Self.golden {
      let schema = try schema(row.schema)
      let plan = try AvroPlan(writer: schema)
      let bytes = try AvroEncoder(schema).encode(row.value)
      for count in 0..<bytes.count {
        #expect(decodeFailure(plan, Array(bytes[..<count]))?.kind == .endOfData, "\(row.schema) cut to \(count)")
        let cut = Array(bytes[..<count])
        var reader = ByteReader(cut.span.bytes)
        #expect(throws: AvroDecodeError.self) { try plan.skip(&reader) }
        let offset = reader.offset
        #expect(offset == 0)
      }
    }
  }

  @Test(.requirement("Avro.keep.1"))
  func numbersKeepToTheirTypes() throws {
    #expect(encodeFailure(.int, .long(1 << 31))?.kind == .outOfRange)
    #expect(try AvroEncoder(.int).encode(.long(-5)) == [9])
    #expect(encodeFailure(.boolean, .int(1))?.kind == .typeMismatch)
    #expect(decodeFailure(try AvroPlan(writer: .boolean), [2])?.kind == .invalidBoolean(2))
    // A number may be written longer than it must be, up to what its type can need.
    #expect(try AvroPlan(writer: .int).decode([0x82, 0x80, 0x00]) == .int(1))
  }

  @Test(.requirement("Avro.never.6"))
  func bombsAreRefusedAtOnce() throws {
    let int = try AvroPlan(writer: .int)
    let long = try AvroPlan(writer: .long)
    #expect(decodeFailure(int, [0x80, 0x80, 0x80, 0x80, 0x80, 0x00])?.kind == .varintTooLong)
    #expect(decodeFailure(int, [0xFF, 0xFF, 0xFF, 0xFF, 0x1F])?.kind == .numberOutOfRange)
    #expect(decodeFailure(long, [UInt8](repeating: 0x80, count: 10) + [0])?.kind == .varintTooLong)
    #expect(decodeFailure(long, [UInt8](repeating: 0xFF, count: 9) + [0x02])?.kind == .numberOutOfRange)
    #expect(decodeFailure(try AvroPlan(writer: .bytes), [0x01])?.kind == .negativeLength(-1))
    #expect(decodeFailure(try AvroPlan(writer: .string), [0xFE, 0xFF, 0xFF, 0xFF, 0x0F])?.kind == .endOfData)

    var writer = ByteWriter()
    writer.writeZigzag64(1 << 62)
    let bomb = writer.finish()
    let nulls = try AvroPlan(writer: schema(#"{"type":"array","items":"null"}"#))
    guard case .limitExceeded? = decodeFailure(nulls, bomb)?.kind else { return #expect(Bool(false), "2^62 nulls") }
    let empty = try AvroPlan(writer: schema(#"{"type":"array","items":{"type":"record","name":"R","fields":[]}}"#))
    guard case .limitExceeded? = decodeFailure(empty, bomb)?.kind else { return #expect(Bool(false), "2^62 records") }
    #expect(throws: AvroDecodeError.self) {
      var reader = ByteReader(bomb.span.bytes)
      try nulls.skip(&reader)
    }
    // Below the number of items, above the memory.
    writer = ByteWriter()
    writer.writeZigzag64(16 << 20)
    guard case .limitExceeded("memory for one datum", _)? = decodeFailure(nulls, writer.finish() + [0])?.kind else {
      return #expect(Bool(false), "memory")
    }
    let itself = try AvroPlan(writer: schema(#"{"type":"record","name":"R","fields":[{"name":"r","type":"R"}]}"#))
    guard case .limitExceeded("nesting", 256)? = decodeFailure(itself, [])?.kind else { return #expect(Bool(false), "depth") }
    let list = try AvroPlan(writer: schema(linkedList))
    let deep = [UInt8](repeating: 2, count: 100_000)
    guard case .limitExceeded("nesting", 256)? = decodeFailure(list, deep)?.kind else { return #expect(Bool(false), "long list") }
  }

  @Test(.requirement("Avro.never.7"))
  func placesOutsideEnumsAndUnionsSayWhere() throws {
    let record = try schema(
      #"""
      {"type":"record","name":"R","fields":[{"name":"e","type":{"type":"enum","name":"E","symbols":["A","B"]}},
       {"name":"list","type":{"type":"array","items":["null","int"]}},{"name":"m","type":{"type":"map","values":"E"}}]}
      """#)
    let plan = try AvroPlan(writer: record)
    for (bytes, offset, path, kind) in [
      ([0x04], 0, "/e", AvroDecodeError.Kind.enumOutOfRange(2, symbols: 2)), ([0x01], 0, "/e", .enumOutOfRange(-1, symbols: 2)),
      ([0x00, 0x04, 0x00, 0x06], 3, "/list/1", .branchOutOfRange(3, branches: 2)),
      ([0x00, 0x02, 0x01], 2, "/list/0", .branchOutOfRange(-1, branches: 2)),
      ([0x00, 0x00, 0x02, 0x02, 0x6B, 0x0A], 5, "/m/k", .enumOutOfRange(5, symbols: 2)),
    ] as [([UInt8], Int, String, AvroDecodeError.Kind)] {
      let error = decodeFailure(plan, bytes)
      #expect(error?.offset == offset)
      #expect(error?.path == path)
      #expect(error?.kind == kind)
    }
  }

  @Test(.requirement("Avro.never.11"))
  func textThatIsNotUTF8() throws {
    #expect(decodeFailure(try AvroPlan(writer: .string), [0x04, 0xC3, 0x28])?.kind == .invalidUTF8)
    #expect(try AvroPlan(writer: .string, text: .lossy).decode([0x04, 0xC3, 0x28]) == .string("\u{FFFD}("))
    #expect(decodeFailure(try AvroPlan(writer: .bytes, reader: .string), [0x02, 0xFF])?.kind == .invalidUTF8)
  }

  @Test(.requirement("Avro.keep.11"))
  func aStreamOfDataStopsAtEachEnd() throws {
    let schema = try schema(linkedList)
    let plan = try AvroPlan(writer: schema)
    var writer = ByteWriter()
    for number in 0..<50 {
      try AvroEncoder(schema).encode(.record([.long(Int64(number) << 20), .union(branch: 0, .null)]), into: &writer)
    }
    let bytes = writer.finish()
    var reader = ByteReader(bytes.span.bytes, base: 1000)
    for number in 0..<50 {
      if number % 3 == 0 {
        try plan.skip(&reader)
      } else {
        #expect(try plan.decode(&reader) == .record([.long(Int64(number) << 20), .union(branch: 0, .null)]))
      }
    }
    let remaining = reader.remaining
    #expect(remaining == 0)
  }

  @Test(.requirement("Avro.keep.2", "Avro.never.9"))
  func sizedBlocksAreReadAndJumped() throws {
    let schema = try schema(#"{"type":"array","items":"string"}"#)
    let plan = try AvroPlan(writer: schema)
    let items = AvroValue.array((0..<10_000).map { .string("item number \($0), which has some length so that all make a megabyte \($0)") })
    let sized = try AvroEncoder(schema, blocks: .sized(items: 1000)).encode(items)
    #expect(try plan.decode(sized) == items)
    var reader = ByteReader(sized.span.bytes)
    try plan.skip(&reader)
    let remaining = reader.remaining
    #expect(remaining == 0)
    // Jumping never looks inside: with every item's content overwritten by what no decoder accepts, skipping still arrives.
    let fresh = [0x05] + ByteWriterBytes.zigzag(40) + [UInt8](repeating: 0xFF, count: 40) + [0x00]
    var spoiled = ByteReader(fresh.span.bytes)
    try plan.skip(&spoiled)
    let left = spoiled.remaining
    #expect(left == 0)
    #expect(decodeFailure(plan, fresh) != nil)
    // A size that is not that of the items would let a skipper and a reader go on at different places.
    for size: UInt8 in [2, 6, 8] {
      let lying: [UInt8] = [0x01, size, 0x02, 0x61, 0x00, 0x00, 0x00]
      #expect(decodeFailure(plan, lying)?.kind == .wrongBlockSize(stated: Int(size) / 2, actual: 2), "\(size)")
      var typed = ByteReader(lying.span.bytes)
      #expect(throws: AvroDecodeError.self) { _ = try plan.decode([String].self, &typed) }
      let order = try AvroOrder(schema)
      #expect(throws: AvroDecodeError.self) {
        _ = try order.compare(ByteReader(lying.span.bytes), ByteReader(([0x02, 0x02, 0x61, 0x02, 0x00, 0x00] as [UInt8]).span.bytes))
      }
    }
    // A size that reaches beyond the data.
    let beyond: [UInt8] = [0x05, 0x50, 0x00]
    #expect(decodeFailure(plan, beyond)?.kind == .endOfData)
  }

  @Test(.requirement("Avro.never.4"))
  func misfitsAtEncodingSayWhereAndLeaveTheWriterAlone() throws {
    let record = try schema(
      #"""
      {"type":"record","name":"R","fields":[{"name":"a","type":"int","default":1},{"name":"b","type":{"type":"array","items":
       {"type":"enum","name":"E","symbols":["A"]}}},{"name":"c","type":{"type":"map","values":{"type":"fixed","name":"F","size":2}}}]}
      """#)
    for (value, path, kind) in [
      (AvroValue.record([.int(1)]), "", AvroEncodeError.Kind.missingField),
      (.record([.string("x"), .array([]), .map([])]), "/a", .typeMismatch),
      (.record([.int(1), .array([.enumeration(0), .enumeration(1)]), .map([])]), "/b/1", .unknownSymbol),
      (.record([.int(1), .array([]), .map([("k", .fixed([1]))])]), "/c/k", .wrongSize), (.int(1), "", .typeMismatch),
    ] {
      var writer = ByteWriter(beginningWith: [1, 2, 3])
      do {
        try AvroEncoder(record).encode(value, into: &writer)
        Issue.record("accepted \(value)")
      } catch {
        #expect(error.path == path)
        #expect(error.kind == kind)
      }
      #expect(writer.finish() == [1, 2, 3])
    }
    #expect(encodeFailure(try schema(#"["null","int"]"#), .union(branch: 2, .null))?.kind == .noBranch)
  }
}

enum ByteWriterBytes {
  static func zigzag(_ value: Int64) -> [UInt8] {
    var writer = ByteWriter()
    writer.writeZigzag64(value)
    return writer.finish()
  }
}
