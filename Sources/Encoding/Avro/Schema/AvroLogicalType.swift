import StrataBytes

/// What a type stands for beyond its bytes. A reader that does not know one reads the bytes' own type.
public enum AvroLogicalType: Sendable, Hashable {
  /// A decimal number on `bytes` or `fixed`: an unscaled big-endian two's complement, times 10^-scale.
  case decimal(precision: Int, scale: Int)
  /// A decimal number on `bytes` that carries its own scale.
  case bigDecimal
  /// An RFC 9562 UUID: its text on `string`, its 16 bytes on `fixed`.
  case uuid
  /// Days since 1970-01-01, on `int`.
  case date
  /// Milliseconds after midnight, on `int`.
  case timeMillis
  /// Microseconds after midnight, on `long`.
  case timeMicros
  /// Milliseconds since 1970-01-01 00:00 UTC, on `long`.
  case timestampMillis
  /// Microseconds since then.
  case timestampMicros
  /// Nanoseconds since then.
  case timestampNanos
  /// Milliseconds since 1970-01-01 00:00 in whatever zone the reader is.
  case localTimestampMillis
  /// Microseconds since then.
  case localTimestampMicros
  /// Nanoseconds since then.
  case localTimestampNanos
  /// Months, days and milliseconds as three little-endian numbers, on `fixed` of 12.
  case duration
}

extension AvroLogicalType {
  /// The logical type these attributes give a type, or `nil` where they give none, an unknown one or one that does not fit.
  static func of(_ node: SchemaNode) -> AvroLogicalType? {
    guard case .string(let name)? = node.properties.first(where: { $0.name == "logicalType" })?.value else { return nil }
    switch (name, node.kind) {
    case ("decimal", .bytes), ("decimal", .fixed): return decimal(node)
    case ("big-decimal", .bytes): return .bigDecimal
    case ("uuid", .string): return .uuid
    case ("uuid", .fixed) where node.size == 16: return .uuid
    case ("date", .int): return .date
    case ("time-millis", .int): return .timeMillis
    case ("time-micros", .long): return .timeMicros
    case ("timestamp-millis", .long): return .timestampMillis
    case ("timestamp-micros", .long): return .timestampMicros
    case ("timestamp-nanos", .long): return .timestampNanos
    case ("local-timestamp-millis", .long): return .localTimestampMillis
    case ("local-timestamp-micros", .long): return .localTimestampMicros
    case ("local-timestamp-nanos", .long): return .localTimestampNanos
    case ("duration", .fixed) where node.size == 12: return .duration
    default: return nil
    }
  }

  private static func decimal(_ node: SchemaNode) -> AvroLogicalType? {
    let number = { (name: String) in node.properties.first { $0.name == name }?.value }
    guard let precision = number("precision")?.wholeNumber, precision > 0, let precision = Int(exactly: precision) else { return nil }
    var scale: Int64 = 0
    if let given = number("scale") {
      guard let value = given.wholeNumber else { return nil }
      scale = value
    }
    guard scale >= 0, scale <= precision else { return nil }
    if node.kind == .fixed, precision > maximumPrecision(bytes: node.size) { return nil }
    return .decimal(precision: precision, scale: Int(scale))
  }

  /// How many decimal digits always fit into a two's complement of so many bytes.
  static func maximumPrecision(bytes: Int) -> Int {
    // floor((8n - 1) * log10(2)); the constant is rounded down, and no product up to 2^40 bits comes close enough to an integer to differ.
    guard bytes > 0 else { return 0 }
    let bits = Double(min(bytes, 1 << 32)) * 8 - 1
    return Int(bits * 0.301029995663981195)
  }
}
