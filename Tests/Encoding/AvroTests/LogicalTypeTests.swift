import Testing

@testable import StrataAvro

struct LogicalTypeTests {
  @Test(arguments: [
    ("bytes", #""decimal","precision":9,"scale":2"#, AvroLogicalType.decimal(precision: 9, scale: 2)), ("bytes", #""big-decimal""#, .bigDecimal),
    ("string", #""uuid""#, .uuid), ("int", #""date""#, .date), ("int", #""time-millis""#, .timeMillis), ("long", #""time-micros""#, .timeMicros),
    ("long", #""timestamp-millis""#, .timestampMillis), ("long", #""timestamp-micros""#, .timestampMicros),
    ("long", #""timestamp-nanos""#, .timestampNanos), ("long", #""local-timestamp-millis""#, .localTimestampMillis),
    ("long", #""local-timestamp-micros""#, .localTimestampMicros), ("long", #""local-timestamp-nanos""#, .localTimestampNanos),
  ])
  func known(_ type: String, _ attributes: String, _ expected: AvroLogicalType) throws {
    let parsed = try schema(#"{"type":"\#(type)","logicalType":\#(attributes)}"#)
    #expect(parsed.logicalType == expected)
    #expect(try schema(parsed.fullJSON) == parsed)
  }

  @Test(arguments: [
    #"{"type":"string","logicalType":"date"}"#, #"{"type":"int","logicalType":"mood"}"#, #"{"type":"bytes","logicalType":"decimal"}"#,
    #"{"type":"bytes","logicalType":"decimal","precision":2,"scale":3}"#, #"{"type":"bytes","logicalType":"decimal","precision":0}"#,
    #"{"type":"fixed","name":"F","size":2,"logicalType":"decimal","precision":5}"#, #"{"type":"int","logicalType":7}"#,
    #"{"type":"fixed","name":"F","size":11,"logicalType":"duration"}"#, #"{"type":"fixed","name":"F","size":15,"logicalType":"uuid"}"#,
  ])
  func unknownOrMisusedOnesAreTheirBaseType(_ text: String) throws {
    #expect(try schema(text).logicalType == nil)
  }

  @Test func precisionIsBoundBySize() throws {
    let fits = { (size: Int, precision: Int) in
      try schema(#"{"type":"fixed","name":"F","size":\#(size),"logicalType":"decimal","precision":\#(precision)}"#).logicalType != nil
    }
    for (size, digits) in [(1, 2), (2, 4), (4, 9), (8, 18), (16, 38)] {
      #expect(try fits(size, digits))
      #expect(try !fits(size, digits + 1))
    }
  }

  @Test func decimalsAndTheirText() throws {
    for text in ["0", "1", "-1", "127", "128", "-128", "-129", "12.50", "-0.05", "99999999999999999999999999.99", "-256.000"] {
      #expect(AvroDecimal(text)?.description == text)
    }
    for text in ["", "-", ".", "1.", "1e5", "+1", "1.2.3"] { #expect(AvroDecimal(text) == nil) }
    #expect(AvroDecimal("-129")?.unscaled == [0xFF, 0x7F])
    #expect(AvroDecimal(-129, scale: 0) == AvroDecimal("-129"))
    let money = try schema(#"{"type":"fixed","name":"F","size":4,"logicalType":"decimal","precision":6,"scale":2}"#)
    let value = try money.value(#require(AvroDecimal("-12.50")))
    #expect(value == .fixed([0xFF, 0xFF, 0xFB, 0x1E]))
    #expect(money.decimal(value) == AvroDecimal("-12.50"))
    #expect(throws: AvroEncodeError.self) { try money.value(#require(AvroDecimal("12345.67"))) }
    #expect(throws: AvroEncodeError.self) { try money.value(#require(AvroDecimal("1.5"))) }
    let big = try schema(#"{"type":"bytes","logicalType":"big-decimal"}"#)
    let large = try big.value(#require(AvroDecimal("1.25")))
    #expect(large == .bytes([0x02, 125, 0x04]))
    #expect(big.text(large) == "1.25")
    #expect(big.decimal(.bytes([0x50])) == nil)
  }

  @Test func daysTimesAndIdentifiers() throws {
    let typed = { (type: String, logical: String) in try schema(#"{"type":"\#(type)","logicalType":"\#(logical)"}"#) }
    let date = try typed("int", "date")
    for (days, text) in [(0, "1970-01-01"), (-1, "1969-12-31"), (19_782, "2024-02-29"), (11_016, "2000-02-29"), (-719_162, "0001-01-01")] {
      #expect(date.text(.int(Int32(days))) == text)
    }
    #expect(date.text(.int(.min)) != nil && date.text(.int(.max)) != nil)
    #expect(try typed("long", "timestamp-millis").text(.long(-1)) == "1969-12-31T23:59:59.999Z")
    #expect(try typed("long", "timestamp-nanos").text(.long(1)) == "1970-01-01T00:00:00.000000001Z")
    #expect(try typed("long", "timestamp-millis").text(.long(.min)) != nil)
    #expect(try typed("long", "local-timestamp-micros").text(.long(86_400_000_000)) == "1970-01-02T00:00:00.000000")
    #expect(try typed("int", "time-millis").text(.int(3_723_004)) == "01:02:03.004")
    let text = "01234567-89ab-cdef-0123-456789abcdef"
    #expect(AvroUUID(.string(text))?.description == text)
    #expect(AvroUUID(.string(text + "0")) == nil)
    #expect(AvroUUID(.string("g" + text.dropFirst())) == nil)
    let span = AvroDuration(months: 1, days: 2, milliseconds: 3_004)
    #expect(span.value == .fixed([1, 0, 0, 0, 2, 0, 0, 0, 0xBC, 0x0B, 0, 0]))
    #expect(AvroDuration(span.value) == span)
  }

  @Test func decimalsMatchOnlyTheirLike() throws {
    let decimal = { (p: Int, s: Int) in try schema(#"{"type":"bytes","logicalType":"decimal","precision":\#(p),"scale":\#(s)}"#) }
    #expect(throws: AvroResolutionError.self) { try AvroPlan(writer: decimal(9, 2), reader: decimal(9, 3)) }
    #expect(throws: Never.self) { try AvroPlan(writer: decimal(9, 2), reader: .bytes) }
    #expect(!checkCompatibility(writer: try decimal(9, 2), reader: try decimal(9, 3)).isBackward)
  }
}
