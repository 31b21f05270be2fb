import StrataBytes

/// The kinds of Avro types.
public enum AvroKind: String, Sendable, Hashable, CaseIterable {
  /// Nothing; no bytes.
  case null
  /// One byte, 0 or 1.
  case boolean
  /// 32 bits, zigzag.
  case int
  /// 64 bits, zigzag.
  case long
  /// IEEE 754, four bytes.
  case float
  /// IEEE 754, eight bytes.
  case double
  /// Bytes behind their length.
  case bytes
  /// UTF-8 behind its length.
  case string
  /// Named fields in order.
  case record
  /// One of named symbols.
  case enumeration = "enum"
  /// Items of one type.
  case array
  /// Values of one type by text keys.
  case map
  /// One of several types.
  case union
  /// A given number of bytes.
  case fixed

  /// Whether types of this kind have a name.
  public var isNamed: Bool { self == .record || self == .enumeration || self == .fixed }

  /// Whether the kind is one of the eight without attributes.
  var isPrimitive: Bool {
    switch self {
    case .null, .boolean, .int, .long, .float, .double, .bytes, .string: true
    default: false
    }
  }
}

/// How a record's field takes part in the order of records.
public enum AvroFieldOrder: String, Sendable, Hashable {
  /// Smaller values first.
  case ascending
  /// Larger values first.
  case descending
  /// Not at all.
  case ignore
}

/// A type's name with its namespace in front: `org.example.Weather`, `Weather`.
struct AvroName: Sendable, Hashable {
  let full: String

  init(_ full: String) { self.full = full }

  /// A name as the specification reads it: one with dots stands as it is, another gets the namespace.
  init(_ name: String, in namespace: String) {
    full = name.utf8.contains(UInt8(ascii: ".")) || namespace.isEmpty ? name : namespace + "." + name
  }

  var namespace: String {
    guard let dot = full.lastIndex(of: ".") else { return "" }
    return String(full[..<dot])
  }

  var unqualified: Substring {
    guard let dot = full.lastIndex(of: ".") else { return full[...] }
    return full[full.index(after: dot)...]
  }
}

struct SchemaField: Sendable {
  var name: String
  var aliases: [String] = []
  var doc: String?
  var type: Int
  /// The default as the schema's text has it; absent is not the same as `null`.
  var defaultJSON: JSON?
  /// The same as a value of the field's type.
  var defaultValue: AvroValue?
  var order = AvroFieldOrder.ascending
  var properties: [JSON.Member] = []
}

/// One type. Types refer to each other by index into the storage, so that recursion needs no references.
struct SchemaNode: Sendable {
  var kind: AvroKind
  var name: AvroName?
  var aliases: [AvroName] = []
  var doc: String?
  var fields: [SchemaField] = []
  var symbols: [String] = []
  /// The symbol that stands for unknown ones.
  var defaultSymbol: Int?
  /// Items of an array, values of a map.
  var element = 0
  var branches: [Int] = []
  var size = 0
  var logical: AvroLogicalType?
  /// Attributes the specification gives no other place, sorted by name; a logical type and its parameters are among them.
  var properties: [JSON.Member] = []

  init(_ kind: AvroKind) { self.kind = kind }

  /// What a union's branch is called in JSON, and errors call the type.
  var branchName: String { name?.full ?? kind.rawValue }
}

/// All types of one schema. Immutable once parsed, so schemas share it.
final class SchemaStorage: Sendable {
  let nodes: [SchemaNode]
  let names: [AvroName: Int]
  let root: Int

  init(nodes: [SchemaNode], names: [AvroName: Int], root: Int) {
    self.nodes = nodes
    self.names = names
    self.root = root
  }
}
