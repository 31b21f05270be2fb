/// Reads EDN, the notation Jepsen writes its histories in: as much of it as histories use. Tags are dropped and their values kept, so that
/// `#jepsen.history.Op{...}` is a map. Nothing in the bytes can make it trap, recurse deeply or take unbounded memory.
struct EDNReader {
  private let bytes: [UInt8]
  private var position = 0
  /// The line of what is being read, from 1.
  private(set) var line = 1

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  private func malformed(_ reason: String) -> HistoryError { .malformed("not EDN: \(reason)", at: .line(line)) }

  private var current: UInt8? { position < bytes.count ? bytes[position] : nil }

  private mutating func advance() {
    if bytes[position] == 0x0A { line += 1 }
    position += 1
  }

  private mutating func skipSpace() {
    while let byte = current {
      if byte <= 0x20 || byte == UInt8(ascii: ",") {
        advance()
      } else if byte == UInt8(ascii: ";") {
        while let byte = current, byte != 0x0A { position += 1 }
      } else {
        return
      }
    }
  }

  /// The next value at the top level; nothing at the end.
  mutating func next() throws(HistoryError) -> HistoryValue? {
    while true {
      skipSpace()
      if current == nil { return nil }
      if let value = try value(0) { return value }
    }
  }

  /// Whether a vector begins here, and steps into it.
  mutating func entersVector() -> Bool {
    skipSpace()
    guard current == UInt8(ascii: "[") else { return false }
    position += 1
    return true
  }

  /// Whether the vector stepped into ends here, and steps out of it.
  mutating func leavesVector() -> Bool {
    skipSpace()
    guard current == UInt8(ascii: "]") else { return false }
    position += 1
    return true
  }

  /// A value; nothing for a discarded one.
  private mutating func value(_ depth: Int) throws(HistoryError) -> HistoryValue? {
    guard depth < HistoryValue.depth else { throw malformed("nested more than \(HistoryValue.depth) deep") }
    skipSpace()
    guard let byte = current else { throw malformed("it ends too early") }
    switch byte {
    case UInt8(ascii: "{"): return try map(depth)
    case UInt8(ascii: "["): return .list(try sequence(UInt8(ascii: "]"), depth))
    case UInt8(ascii: "("): return .list(try sequence(UInt8(ascii: ")"), depth))
    case UInt8(ascii: "\""): return .text(try text())
    case UInt8(ascii: "\\"): return .text(try character())
    case UInt8(ascii: "#"): return try dispatch(depth)
    case UInt8(ascii: "]"), UInt8(ascii: ")"), UInt8(ascii: "}"): throw malformed("a closing bracket without an opening one")
    default: return try atom()
    }
  }

  private mutating func dispatch(_ depth: Int) throws(HistoryError) -> HistoryValue? {
    position += 1
    switch current {
    case UInt8(ascii: "{"): return .list(try sequence(UInt8(ascii: "}"), depth))
    case UInt8(ascii: "_"):
      position += 1
      while try value(depth + 1) == nil {}
      return nil
    case UInt8(ascii: "#"):
      // ##Inf, ##-Inf, ##NaN
      position += 1
      _ = token()
      return .null
    default:
      guard !token().isEmpty else { throw malformed("a tag without a name") }
      while true { if let value = try value(depth + 1) { return value } }
    }
  }

  private mutating func sequence(_ close: UInt8, _ depth: Int) throws(HistoryError) -> [HistoryValue] {
    position += 1
    var items: [HistoryValue] = []
    while true {
      skipSpace()
      guard let byte = current else { throw malformed("a collection without an end") }
      if byte == close {
        position += 1
        return items
      }
      if let value = try value(depth + 1) { items.append(value) }
    }
  }

  private mutating func map(_ depth: Int) throws(HistoryError) -> HistoryValue {
    let items = try sequence(UInt8(ascii: "}"), depth)
    guard items.count.isMultiple(of: 2) else { throw malformed("a map with a key that has no value") }
    return .map(stride(from: 0, to: items.count, by: 2).map { .init(key: items[$0], value: items[$0 + 1]) })
  }

  private static func endsToken(_ byte: UInt8) -> Bool {
    byte <= 0x20 || [0x2C, 0x22, 0x3B, 0x5B, 0x5D, 0x28, 0x29, 0x7B, 0x7D].contains(byte)
  }

  private mutating func token() -> Substring {
    let start = position
    while let byte = current, !Self.endsToken(byte) { position += 1 }
    return Substring(decoding: bytes[start..<position], as: UTF8.self)
  }

  private mutating func atom() throws(HistoryError) -> HistoryValue {
    let word = token()
    switch word {
    case "nil": return .null
    case "true": return .bool(true)
    case "false": return .bool(false)
    default: break
    }
    guard let first = word.utf8.first else { throw malformed("a character that begins nothing") }
    if first == UInt8(ascii: ":") {
      guard word.utf8.count > 1 else { throw malformed("a keyword without a name") }
      return .text(String(word.dropFirst()))
    }
    let second = word.utf8.dropFirst().first ?? 0
    let isNumber = (0x30...0x39).contains(first) || ((first == 0x2B || first == 0x2D) && (0x30...0x39).contains(second))
    guard isNumber else { return .text(String(word)) }
    let digits = word.hasSuffix("N") || word.hasSuffix("M") ? word.dropLast() : word
    if let int = Int(digits) { return .int(int) }
    guard digits.utf8.count < 400, let double = Double(digits), double.isFinite else { throw malformed("'\(word.prefix(40))' is no number") }
    return .double(double)
  }

  private mutating func character() throws(HistoryError) -> String {
    position += 1
    let start = position
    if current != nil { advance() }
    while let byte = current, !Self.endsToken(byte) { position += 1 }
    let name = String(decoding: bytes[start..<position], as: UTF8.self)
    switch name {
    case "newline": return "\n"
    case "space": return " "
    case "tab": return "\t"
    case "return": return "\r"
    case "": throw malformed("a character without a name")
    default: return name
    }
  }

  private mutating func text() throws(HistoryError) -> String {
    position += 1
    var scratch: [UInt8] = []
    while let byte = current {
      advance()
      if byte == UInt8(ascii: "\"") {
        guard let text = String(validating: scratch, as: UTF8.self) else { throw malformed("a text that is not UTF-8") }
        return text
      }
      guard byte == UInt8(ascii: "\\") else {
        scratch.append(byte)
        continue
      }
      guard let escaped = current else { break }
      advance()
      switch escaped {
      case UInt8(ascii: "n"): scratch.append(0x0A)
      case UInt8(ascii: "t"): scratch.append(0x09)
      case UInt8(ascii: "r"): scratch.append(0x0D)
      case UInt8(ascii: "u"):
        let digits = String(decoding: bytes[position..<min(position + 4, bytes.count)], as: UTF8.self)
        guard digits.utf8.count == 4, let code = UInt32(digits, radix: 16), let scalar = Unicode.Scalar(code) else {
          throw malformed("an escape that is no character")
        }
        scratch += String(scalar).utf8
        position += 4
      default: scratch.append(escaped)
      }
    }
    throw malformed("a text without an end")
  }
}

/// Writes EDN: texts that can be keywords are written as such where a keyword is expected.
enum EDNWriter {
  static func append(_ value: HistoryValue, to bytes: inout [UInt8]) {
    switch value {
    case .null: bytes += "nil".utf8
    case .list(let items):
      bytes.append(UInt8(ascii: "["))
      for (index, item) in items.enumerated() {
        if index > 0 { bytes.append(0x20) }
        append(item, to: &bytes)
      }
      bytes.append(UInt8(ascii: "]"))
    case .map(let entries):
      bytes.append(UInt8(ascii: "{"))
      for (index, entry) in entries.enumerated() {
        if index > 0 { bytes += ", ".utf8 }
        append(entry.key, to: &bytes)
        bytes.append(0x20)
        append(entry.value, to: &bytes)
      }
      bytes.append(UInt8(ascii: "}"))
    case .text(let text) where isKeyword(text): bytes += ":\(text)".utf8
    case .bool, .int, .double, .text: bytes += value.json.description.utf8
    }
  }

  private static func isKeyword(_ text: String) -> Bool {
    guard let first = text.utf8.first, text.utf8.count < 64, (0x61...0x7A).contains(first) else { return false }
    return text.utf8.allSatisfy { (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2D || $0 == 0x5F }
  }
}
