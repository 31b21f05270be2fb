import FoundationEssentials

/// One JSON object on one line, its fields in the order they were added.
struct JSONText {
  private var fields: [String] = []

  var line: String { "{" + fields.joined(separator: ", ") + "}" }

  mutating func add(_ name: String, _ value: String) { fields.append("\(Self.quoted(name)): \(Self.quoted(value))") }
  mutating func add(_ name: String, _ value: some BinaryInteger) { fields.append("\(Self.quoted(name)): \(value)") }
  mutating func add(_ name: String, _ value: Double) { fields.append("\(Self.quoted(name)): \(value)") }
  mutating func add(_ name: String, _ value: Bool) { fields.append("\(Self.quoted(name)): \(value)") }
  mutating func add(_ name: String, _ items: [JSONText]) {
    fields.append("\(Self.quoted(name)): [\(items.map(\.line).joined(separator: ", "))]")
  }
  mutating func add(_ name: String, _ items: [some BinaryInteger]) {
    fields.append("\(Self.quoted(name)): [\(items.map { "\($0)" }.joined(separator: ", "))]")
  }
  mutating func add(_ name: String, _ items: [String]) {
    fields.append("\(Self.quoted(name)): [\(items.map(Self.quoted).joined(separator: ", "))]")
  }

  /// Bytes as text where they are UTF-8, else under `<name>_base64`.
  mutating func add(_ name: String, bytes: [UInt8]) {
    if let text = String(validating: bytes, as: UTF8.self) { add(name, text) } else { add(name + "_base64", Data(bytes).base64EncodedString()) }
  }

  static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\r": result += "\\r"
      case "\t": result += "\\t"
      case _ where scalar.value < 0x20:
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.utf8.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}

/// A change as one line of JSON on standard input gives it:
/// `{"op": "put", "key": "a", "value": "1"}`, `{"op": "delete", "key_base64": "AAE="}`.
struct InputChange: Decodable {
  var op: String
  var key: String?
  var keyBase64: String?
  var value: String?
  var valueBase64: String?
  /// Milliseconds to live, where the target knows of such.
  var ttlMilliseconds: Int?
  /// The place in the order of writes, where the target is told it.
  var sequence: UInt64?

  enum CodingKeys: String, CodingKey {
    case op, key, value, sequence
    case keyBase64 = "key_base64"
    case valueBase64 = "value_base64"
    case ttlMilliseconds = "ttl_ms"
  }

  /// A line that is no change, and why.
  struct Malformed: Error, CustomStringConvertible {
    var description: String
  }

  init(line: String, number: Int) throws(Malformed) {
    do { self = try JSONDecoder().decode(InputChange.self, from: Data(line.utf8)) } catch {
      throw Malformed(description: "line \(number) is not a change such as {\"op\": \"put\", \"key\": \"a\", \"value\": \"1\"}")
    }
    guard op == "put" || op == "delete" else { throw Malformed(description: "line \(number): unknown op '\(op)'; expected put or delete") }
    guard try keyBytes(number) != nil else { throw Malformed(description: "line \(number): no key") }
    let value = try valueBytes(number)
    guard op == "delete" || value != nil else { throw Malformed(description: "line \(number): no value") }
  }

  private static func bytes(_ text: String?, _ base64: String?, _ number: Int) throws(Malformed) -> [UInt8]? {
    guard let base64 else { return text.map { Array($0.utf8) } }
    guard let data = Data(base64Encoded: base64) else { throw Malformed(description: "line \(number): not base64") }
    return [UInt8](data)
  }

  func keyBytes(_ number: Int = 0) throws(Malformed) -> [UInt8]? { try Self.bytes(key, keyBase64, number) }
  func valueBytes(_ number: Int = 0) throws(Malformed) -> [UInt8]? { try Self.bytes(value, valueBase64, number) }
}

/// Bytes for people: printable ASCII as it is, the rest as `\xNN`.
func printable(_ bytes: [UInt8], limit: Int = 200) -> String {
  var text = ""
  for byte in bytes.prefix(limit) {
    if byte >= 0x20, byte < 0x7F, byte != UInt8(ascii: "\\") {
      text.unicodeScalars.append(UnicodeScalar(byte))
    } else {
      text += "\\x" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
    }
  }
  return bytes.count > limit ? text + "... (\(bytes.count) bytes)" : text
}
