/// A JSON text (RFC 8259) as a value: for histories, plans and reports, where a line is short and order and integers must survive.
///
/// Members keep their order. Integers are exact; a number with a fraction or exponent, or beyond 64 bits, keeps its text.
public enum JSON: Hashable, Sendable {
  /// `null`.
  case null
  /// `true` or `false`.
  case bool(Bool)
  /// A number without fraction or exponent that fits 64 bits.
  case integer(Int64)
  /// A number that is no 64-bit integer, as it was written.
  case number(String)
  /// A text.
  case string(String)
  /// Values in order.
  case array([JSON])
  /// Named values in the order they were written; a name may stand there twice.
  case object([Member])

  /// A name and its value.
  public struct Member: Hashable, Sendable {
    /// The name.
    public let name: String
    /// The value.
    public let value: JSON

    /// A member.
    public init(_ name: String, _ value: JSON) {
      self.name = name
      self.value = value
    }
  }

  /// The first member of this name, if the value is an object that has it.
  public subscript(name: String) -> JSON? {
    guard case .object(let members) = self else { return nil }
    return members.first { $0.name == name }?.value
  }

  /// The integer, also where it was written as a decimal string, as numbers above 2^53 are for the sake of other readers.
  public var integer: Int64? {
    switch self {
    case .integer(let value): value
    case .string(let text): Int64(text)
    default: nil
    }
  }

  /// The text of a string.
  public var string: String? {
    if case .string(let text) = self { return text }
    return nil
  }

  /// The truth value.
  public var bool: Bool? {
    if case .bool(let value) = self { return value }
    return nil
  }

  /// The elements of an array.
  public var array: [JSON]? {
    if case .array(let elements) = self { return elements }
    return nil
  }

  /// An integer that every reader keeps: as a number up to 2^53, as a decimal string beyond.
  public static func exact(_ value: UInt64) -> JSON { value <= 1 << 53 ? .integer(Int64(value)) : .string(String(value)) }
}

/// Why a text is not JSON.
public struct JSONError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The byte where reading stopped, from 0.
  public let offset: Int
  /// What was wrong there.
  public let reason: String

  /// The offset and the reason.
  public var description: String { "byte \(offset): \(reason)" }
}

extension JSON {
  /// Reads one value and nothing behind it but white space. Takes time and memory linear in the text.
  ///
  /// - Parameter depth: how deep arrays and objects may be nested.
  /// - Throws: ``JSONError`` with the byte where the text stops being JSON.
  public init(parsing text: some Sequence<UInt8>, depth: Int = 64) throws(JSONError) {
    var parser = JSONParser(bytes: Array(text))
    self = try parser.value(depth: depth)
    parser.skipSpace()
    if parser.position < parser.bytes.count { throw JSONError(offset: parser.position, reason: "text behind the value") }
  }
}

private struct JSONParser {
  let bytes: [UInt8]
  var position = 0

  init(bytes: [UInt8]) { self.bytes = bytes }

  var current: UInt8? { position < bytes.count ? bytes[position] : nil }

  func failure(_ reason: String) -> JSONError { JSONError(offset: position, reason: reason) }

  mutating func skipSpace() {
    while let byte = current, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
  }

  mutating func value(depth: Int) throws(JSONError) -> JSON {
    skipSpace()
    guard let byte = current else { throw failure("the text ends where a value should be") }
    switch byte {
    case UInt8(ascii: "{"): return try object(depth: depth)
    case UInt8(ascii: "["): return try array(depth: depth)
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try word("true", .bool(true))
    case UInt8(ascii: "f"): return try word("false", .bool(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
    default: throw failure("no value begins like this")
    }
  }

  mutating func word(_ word: String, _ value: JSON) throws(JSONError) -> JSON {
    guard bytes[position...].starts(with: word.utf8) else { throw failure("no value begins like this") }
    position += word.utf8.count
    return value
  }

  mutating func object(depth: Int) throws(JSONError) -> JSON {
    guard depth > 0 else { throw failure("nested too deep") }
    position += 1
    var members: [JSON.Member] = []
    skipSpace()
    if current == UInt8(ascii: "}") {
      position += 1
      return .object(members)
    }
    while true {
      skipSpace()
      guard current == UInt8(ascii: "\"") else { throw failure("a name should be here") }
      let name = try string()
      skipSpace()
      guard current == UInt8(ascii: ":") else { throw failure("a colon should be here") }
      position += 1
      members.append(.init(name, try value(depth: depth - 1)))
      if try isLast(UInt8(ascii: "}")) { return .object(members) }
    }
  }

  mutating func array(depth: Int) throws(JSONError) -> JSON {
    guard depth > 0 else { throw failure("nested too deep") }
    position += 1
    var elements: [JSON] = []
    skipSpace()
    if current == UInt8(ascii: "]") {
      position += 1
      return .array(elements)
    }
    while true {
      elements.append(try value(depth: depth - 1))
      if try isLast(UInt8(ascii: "]")) { return .array(elements) }
    }
  }

  /// Takes a comma, or the closing byte.
  mutating func isLast(_ closing: UInt8) throws(JSONError) -> Bool {
    skipSpace()
    defer { position += 1 }
    if current == closing { return true }
    guard current == UInt8(ascii: ",") else { throw failure("a comma or the end should be here") }
    return false
  }

  mutating func number() throws(JSONError) -> JSON {
    let start = position
    if current == UInt8(ascii: "-") { position += 1 }
    try digits(leadingZero: false)
    var isInteger = true
    if current == UInt8(ascii: ".") {
      isInteger = false
      position += 1
      try digits(leadingZero: true)
    }
    if current == UInt8(ascii: "e") || current == UInt8(ascii: "E") {
      isInteger = false
      position += 1
      if current == UInt8(ascii: "+") || current == UInt8(ascii: "-") { position += 1 }
      try digits(leadingZero: true)
    }
    let text = String(decoding: bytes[start..<position], as: UTF8.self)
    if isInteger, let value = Int64(text) { return .integer(value) }
    return .number(text)
  }

  mutating func digits(leadingZero: Bool) throws(JSONError) {
    let start = position
    while let byte = current, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { position += 1 }
    guard position > start else { throw failure("a digit should be here") }
    if !leadingZero, position - start > 1, bytes[start] == UInt8(ascii: "0") {
      throw JSONError(offset: start, reason: "a number does not begin with a zero")
    }
  }

  mutating func string() throws(JSONError) -> String {
    position += 1
    var result: [UInt8] = []
    while true {
      guard let byte = current else { throw failure("the text ends inside a string") }
      position += 1
      switch byte {
      case UInt8(ascii: "\""):
        guard let text = String(validating: result, as: UTF8.self) else { throw failure("a string that is not UTF-8") }
        return text
      case UInt8(ascii: "\\"): try escape(&result)
      case 0..<0x20: throw JSONError(offset: position - 1, reason: "a control character in a string")
      default: result.append(byte)
      }
    }
  }

  mutating func escape(_ result: inout [UInt8]) throws(JSONError) {
    guard let byte = current else { throw failure("the text ends inside a string") }
    position += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): result.append(byte)
    case UInt8(ascii: "b"): result.append(8)
    case UInt8(ascii: "f"): result.append(12)
    case UInt8(ascii: "n"): result.append(10)
    case UInt8(ascii: "r"): result.append(13)
    case UInt8(ascii: "t"): result.append(9)
    case UInt8(ascii: "u"):
      var unit = UInt32(try unit())
      if (0xD800..<0xDC00).contains(unit) {
        guard bytes[position...].starts(with: [UInt8(ascii: "\\"), UInt8(ascii: "u")]) else { throw failure("half of a surrogate pair") }
        position += 2
        let low = UInt32(try self.unit())
        guard (0xDC00..<0xE000).contains(low) else { throw failure("half of a surrogate pair") }
        unit = 0x10000 + (unit - 0xD800) << 10 + (low - 0xDC00)
      }
      guard let scalar = Unicode.Scalar(unit) else { throw failure("half of a surrogate pair") }
      result.append(contentsOf: Array(String(Character(scalar)).utf8))
    default: throw JSONError(offset: position - 1, reason: "an unknown escape")
    }
  }

  mutating func unit() throws(JSONError) -> UInt16 {
    guard bytes.count - position >= 4, let value = UInt16(String(decoding: bytes[position..<position + 4], as: UTF8.self), radix: 16),
      bytes[position] != UInt8(ascii: "+")
    else { throw failure("four hexadecimal digits should be here") }
    position += 4
    return value
  }
}

extension JSON: CustomStringConvertible {
  /// The value on one line, without white space but what strings hold.
  public var description: String {
    var text = ""
    write(to: &text)
    return text
  }

  private func write(to text: inout String) {
    switch self {
    case .null: text += "null"
    case .bool(let value): text += value ? "true" : "false"
    case .integer(let value): text += String(value)
    case .number(let value): text += value
    case .string(let value): Self.write(value, to: &text)
    case .array(let elements):
      text += "["
      for (index, element) in elements.enumerated() {
        if index > 0 { text += "," }
        element.write(to: &text)
      }
      text += "]"
    case .object(let members):
      text += "{"
      for (index, member) in members.enumerated() {
        if index > 0 { text += "," }
        Self.write(member.name, to: &text)
        text += ":"
        member.value.write(to: &text)
      }
      text += "}"
    }
  }

  private static func write(_ string: String, to text: inout String) {
    text += "\""
    for scalar in string.unicodeScalars {
      switch scalar {
      case "\"": text += "\\\""
      case "\\": text += "\\\\"
      case "\n": text += "\\n"
      case "\r": text += "\\r"
      case "\t": text += "\\t"
      case "\u{0}"..<"\u{20}", "\u{2028}", "\u{2029}":
        let digits = String(scalar.value, radix: 16)
        text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: text.unicodeScalars.append(scalar)
      }
    }
    text += "\""
  }
}
