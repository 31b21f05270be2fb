/// Reads one JSON value from bytes. Nothing in them can make it trap, recurse deeply or take more memory than a small multiple of their number.
struct JSONReader {
  /// How deep values may be nested.
  static let depth = 64

  private let bytes: [UInt8]
  private var position: Int
  private let end: Int
  private let line: Int

  init(_ bytes: [UInt8], _ range: Range<Int>, line: Int) {
    self.bytes = bytes
    position = range.lowerBound
    end = range.upperBound
    self.line = line
  }

  /// The only value in the range.
  static func value(_ bytes: [UInt8], _ range: Range<Int>, line: Int) throws(HistoryError) -> HistoryValue {
    var reader = JSONReader(bytes, range, line: line)
    let value = try reader.value(0)
    reader.skipSpace()
    guard reader.position == reader.end else { throw reader.malformed("something follows the value") }
    return value
  }

  private func malformed(_ reason: String) -> HistoryError { .malformed("not JSON: \(reason)", at: .line(line)) }

  private var current: UInt8? { position < end ? bytes[position] : nil }

  private mutating func skipSpace() {
    while let byte = current, byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D { position += 1 }
  }

  private mutating func value(_ depth: Int) throws(HistoryError) -> HistoryValue {
    guard depth < Self.depth else { throw malformed("nested more than \(Self.depth) deep") }
    skipSpace()
    switch current {
    case UInt8(ascii: "{"): return try map(depth)
    case UInt8(ascii: "["): return try list(depth)
    case UInt8(ascii: "\""): return .text(try text())
    case UInt8(ascii: "t"): return try word("true", .bool(true))
    case UInt8(ascii: "f"): return try word("false", .bool(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    case nil: throw malformed("it ends too early")
    default: return try number()
    }
  }

  private mutating func word(_ word: String, _ value: HistoryValue) throws(HistoryError) -> HistoryValue {
    guard end - position >= word.utf8.count, bytes[position..<position + word.utf8.count].elementsEqual(word.utf8) else {
      throw malformed("an unknown word")
    }
    position += word.utf8.count
    return value
  }

  private mutating func list(_ depth: Int) throws(HistoryError) -> HistoryValue {
    position += 1
    var items: [HistoryValue] = []
    skipSpace()
    if current == UInt8(ascii: "]") {
      position += 1
      return .list([])
    }
    while true {
      items.append(try value(depth + 1))
      skipSpace()
      guard let byte = current, byte == UInt8(ascii: ",") || byte == UInt8(ascii: "]") else { throw malformed("a list without an end") }
      position += 1
      if byte == UInt8(ascii: "]") { return .list(items) }
    }
  }

  private mutating func map(_ depth: Int) throws(HistoryError) -> HistoryValue {
    position += 1
    var entries: [HistoryValue.Entry] = []
    skipSpace()
    if current == UInt8(ascii: "}") {
      position += 1
      return .map([])
    }
    while true {
      skipSpace()
      guard current == UInt8(ascii: "\"") else { throw malformed("a key that is no text") }
      let key = try text()
      skipSpace()
      guard current == UInt8(ascii: ":") else { throw malformed("a key without a value") }
      position += 1
      entries.append(.init(key: .text(key), value: try value(depth + 1)))
      skipSpace()
      guard let byte = current, byte == UInt8(ascii: ",") || byte == UInt8(ascii: "}") else { throw malformed("an object without an end") }
      position += 1
      if byte == UInt8(ascii: "}") { return .map(entries) }
    }
  }

  private mutating func number() throws(HistoryError) -> HistoryValue {
    let start = position
    while let byte = current, (byte >= 0x30 && byte <= 0x39) || [0x2B, 0x2D, 0x2E, 0x45, 0x65].contains(byte) { position += 1 }
    let digits = String(decoding: bytes[start..<position], as: UTF8.self)
    if let int = Int(digits), !digits.hasPrefix("+") { return .int(int) }
    guard position > start, position - start < 400, let double = Double(digits), double.isFinite, bytes[start] != 0x2B, bytes[start] != 0x2E else {
      throw malformed("'\(digits.prefix(40))' is no number")
    }
    return .double(double)
  }

  private mutating func text() throws(HistoryError) -> String {
    position += 1
    var scratch: [UInt8] = []
    var start = position
    while let byte = current {
      switch byte {
      case UInt8(ascii: "\""):
        scratch += bytes[start..<position]
        position += 1
        guard let text = String(validating: scratch, as: UTF8.self) else { throw malformed("a text that is not UTF-8") }
        return text
      case UInt8(ascii: "\\"):
        scratch += bytes[start..<position]
        position += 1
        scratch += String(try escape()).utf8
        start = position
      case 0..<0x20: throw malformed("a control character in a text")
      default: position += 1
      }
    }
    throw malformed("a text without an end")
  }

  private mutating func escape() throws(HistoryError) -> Unicode.Scalar {
    guard let byte = current else { throw malformed("a text without an end") }
    position += 1
    switch byte {
    case UInt8(ascii: "n"): return "\n"
    case UInt8(ascii: "t"): return "\t"
    case UInt8(ascii: "r"): return "\r"
    case UInt8(ascii: "b"): return "\u{8}"
    case UInt8(ascii: "f"): return "\u{C}"
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(byte)
    case UInt8(ascii: "u"):
      let first = try hexadecimal()
      guard first & 0xFC00 == 0xD800 else {
        guard let scalar = Unicode.Scalar(first) else { throw malformed("half a surrogate pair") }
        return scalar
      }
      guard end - position >= 6, bytes[position] == UInt8(ascii: "\\"), bytes[position + 1] == UInt8(ascii: "u") else {
        throw malformed("half a surrogate pair")
      }
      position += 2
      let second = try hexadecimal()
      guard second & 0xFC00 == 0xDC00, let scalar = Unicode.Scalar(0x10000 + ((first & 0x3FF) << 10 | (second & 0x3FF))) else {
        throw malformed("half a surrogate pair")
      }
      return scalar
    default: throw malformed("an unknown escape in a text")
    }
  }

  private mutating func hexadecimal() throws(HistoryError) -> UInt32 {
    guard end - position >= 4 else { throw malformed("an escape without four digits") }
    let digits = String(decoding: bytes[position..<position + 4], as: UTF8.self)
    guard let value = UInt32(digits, radix: 16), digits.utf8.first != 0x2B else { throw malformed("an escape without four digits") }
    position += 4
    return value
  }
}

/// Writes JSON.
enum JSONWriter {
  static func append(_ value: HistoryValue, to bytes: inout [UInt8]) {
    switch value {
    case .null: bytes += "null".utf8
    case .bool(let value): bytes += (value ? "true" : "false").utf8
    case .int(let value): bytes += String(value).utf8
    case .double(let value): bytes += (value.isFinite ? String(value) : "null").utf8
    case .text(let text): append(text: text, to: &bytes)
    case .list(let items):
      bytes.append(UInt8(ascii: "["))
      for (index, item) in items.enumerated() {
        if index > 0 { bytes.append(UInt8(ascii: ",")) }
        append(item, to: &bytes)
      }
      bytes.append(UInt8(ascii: "]"))
    case .map(let entries):
      bytes.append(UInt8(ascii: "{"))
      for (index, entry) in entries.enumerated() {
        if index > 0 { bytes.append(UInt8(ascii: ",")) }
        if case .text(let key) = entry.key { append(text: key, to: &bytes) } else { append(text: entry.key.description, to: &bytes) }
        bytes.append(UInt8(ascii: ":"))
        append(entry.value, to: &bytes)
      }
      bytes.append(UInt8(ascii: "}"))
    }
  }

  static func append(text: String, to bytes: inout [UInt8]) {
    bytes.append(UInt8(ascii: "\""))
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "\""): bytes += "\\\"".utf8
      case UInt8(ascii: "\\"): bytes += "\\\\".utf8
      case UInt8(ascii: "\n"): bytes += "\\n".utf8
      case UInt8(ascii: "\r"): bytes += "\\r".utf8
      case UInt8(ascii: "\t"): bytes += "\\t".utf8
      case 0..<0x20: bytes += ((byte < 16 ? "\\u000" : "\\u00") + String(byte, radix: 16)).utf8
      default: bytes.append(byte)
      }
    }
    bytes.append(UInt8(ascii: "\""))
  }
}
