/// A datum of any schema, as the generic decoder gives it and the generic encoder takes it.
///
/// Records hold their fields in the order of the schema that was read with, without names. Values are values: nothing that one decoded
/// datum holds is shared with another or with a default in such a way that a change could show.
public enum AvroValue: Sendable {
  /// The only value of `null`.
  case null
  /// A `boolean`.
  case boolean(Bool)
  /// An `int`; also `date` and `time-millis`.
  case int(Int32)
  /// A `long`; also the times and timestamps.
  case long(Int64)
  /// A `float`.
  case float(Float)
  /// A `double`.
  case double(Double)
  /// A `bytes`.
  case bytes([UInt8])
  /// A `string`.
  case string(String)
  /// A record's fields in the order of its schema.
  case record([AvroValue])
  /// An array's items.
  case array([AvroValue])
  /// A map's entries in the order they were written; a key that occurs twice is kept twice.
  case map([(String, AvroValue)])
  /// One branch of a union, by its place in the schema.
  indirect case union(branch: Int, AvroValue)
  /// A symbol of an enum, by its place in the schema.
  case enumeration(Int)
  /// The bytes of a `fixed`.
  case fixed([UInt8])
}

extension AvroValue: Equatable {
  /// Equal in kind and content. Numbers compare by their bits, so that what was decoded from the same bytes is equal, NaN included; a
  /// map's entries compare without regard to order.
  public static func == (a: AvroValue, b: AvroValue) -> Bool {
    switch (a, b) {
    case (.null, .null): true
    case (.boolean(let a), .boolean(let b)): a == b
    case (.int(let a), .int(let b)): a == b
    case (.long(let a), .long(let b)): a == b
    case (.float(let a), .float(let b)): a.bitPattern == b.bitPattern
    case (.double(let a), .double(let b)): a.bitPattern == b.bitPattern
    case (.bytes(let a), .bytes(let b)), (.fixed(let a), .fixed(let b)): a == b
    case (.string(let a), .string(let b)): a.utf8.elementsEqual(b.utf8)
    case (.record(let a), .record(let b)), (.array(let a), .array(let b)): a == b
    case (.map(let a), .map(let b)): equal(a, b)
    case (.union(let i, let a), .union(let j, let b)): i == j && a == b
    case (.enumeration(let a), .enumeration(let b)): a == b
    default: false
    }
  }

  private static func equal(_ a: [(String, AvroValue)], _ b: [(String, AvroValue)]) -> Bool {
    guard a.count == b.count else { return false }
    if a.elementsEqual(b, by: { $0.0 == $1.0 && $0.1 == $1.1 }) { return true }
    // Sorted by key; entries of one key stay in their order, since the sort is stable.
    let sorted = { (entries: [(String, AvroValue)]) in entries.sorted { $0.0 < $1.0 } }
    return sorted(a).elementsEqual(sorted(b), by: { $0.0 == $1.0 && $0.1 == $1.1 })
  }
}

extension AvroValue {
  /// What an error calls a value of this kind.
  var kindName: String {
    switch self {
    case .null: "null"
    case .boolean: "boolean"
    case .int: "int"
    case .long: "long"
    case .float: "float"
    case .double: "double"
    case .bytes: "bytes"
    case .string: "string"
    case .record: "record"
    case .array: "array"
    case .map: "map"
    case .union: "union"
    case .enumeration: "enum"
    case .fixed: "fixed"
    }
  }
}
