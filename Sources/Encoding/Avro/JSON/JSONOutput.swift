import StrataBytes

extension JSON {
  /// What an error calls it.
  var kindName: String {
    switch self {
    case .null: "null"
    case .bool: "boolean"
    case .integer, .number: "number"
    case .string: "string"
    case .array: "array"
    case .object: "object"
    }
  }

  /// A number's digits.
  var digits: String? {
    switch self {
    case .integer(let value): String(value)
    case .number(let text): text
    default: nil
    }
  }

  /// The whole number these digits say, where they say one: `1`, `1.0` and `1e0` do.
  var wholeNumber: Int64? {
    switch self {
    case .integer(let value): return value
    case .number(let text):
      // Beyond 2^53 a double no longer tells neighbours apart.
      guard let value = Double(text), value.magnitude <= 9_007_199_254_740_992, value.rounded() == value else { return nil }
      return Int64(value)
    default: return nil
    }
  }
}

/// Writes JSON text without white space, piece by piece.
struct JSONOutput {
  private(set) var text: [UInt8] = []

  var string: String { String(decoding: text, as: UTF8.self) }

  mutating func raw(_ piece: StaticString) { piece.withUTF8Buffer { text.append(contentsOf: $0) } }

  mutating func raw(_ piece: String) { text.append(contentsOf: piece.utf8) }

  /// A string with what JSON asks for escaped; all else as UTF-8.
  mutating func quoted(_ value: String) {
    text.append(UInt8(ascii: "\""))
    for byte in value.utf8 {
      switch byte {
      case UInt8(ascii: "\""): raw("\\\"")
      case UInt8(ascii: "\\"): raw("\\\\")
      case 0x0A: raw("\\n")
      case 0x0D: raw("\\r")
      case 0x09: raw("\\t")
      case 0..<0x20: escaped(UInt16(byte))
      default: text.append(byte)
      }
    }
    text.append(UInt8(ascii: "\""))
  }

  /// Bytes as the characters U+0000 to U+00FF, as Avro writes them; all but printable ASCII escaped.
  mutating func quoted(latin1 bytes: [UInt8]) {
    text.append(UInt8(ascii: "\""))
    for byte in bytes {
      switch byte {
      case UInt8(ascii: "\""): raw("\\\"")
      case UInt8(ascii: "\\"): raw("\\\\")
      case 0x20..<0x7F: text.append(byte)
      default: escaped(UInt16(byte))
      }
    }
    text.append(UInt8(ascii: "\""))
  }

  private mutating func escaped(_ unit: UInt16) {
    let digits = Array("0123456789abcdef".utf8)
    raw("\\u")
    for shift in stride(from: 12, through: 0, by: -4) { text.append(digits[Int(unit >> UInt16(shift)) & 15]) }
  }

  mutating func value(_ value: JSON) { raw(value.description) }

  /// Drops what was written after the first `count` bytes.
  mutating func truncate(to count: Int) { text.removeLast(text.count - count) }
}
