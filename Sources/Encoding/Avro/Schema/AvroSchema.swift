// Avro: schemas, data in binary and JSON, and files of them, as the specifications 1.11 and 1.12 say.
//
// `AvroSchema` is parsed from JSON. `AvroPlan` holds a writer's schema against a reader's once, and then decodes, skips and fills defaults
// without looking at either again. `AvroEncoder` writes. `AvroFileWriter` and `AvroFileReader` are object container files, `AvroSingleObject`
// is one message, `AvroJSON` the JSON encoding. `checkCompatibility` says what an evolution breaks.

/// A well-formed Avro schema: a value with immutable shared storage. Two schemas are equal when they say the same, whatever their spelling:
/// `"int"` is `{"type": "int"}`, and no default is not the default null. Copying is O(1), comparing and hashing O(size of the schema).
public struct AvroSchema: Sendable {
  let storage: SchemaStorage
  let index: Int

  init(storage: SchemaStorage, index: Int) {
    self.storage = storage
    self.index = index
  }

  var node: SchemaNode { storage.nodes[index] }

  /// Parses a schema's JSON text.
  /// - Parameters:
  ///   - json: the text in UTF-8.
  ///   - known: schemas whose named types the text may use without defining them.
  ///   - rules: which names are accepted.
  ///   - unionDefaults: which branches a default of a union may be of.
  /// - Throws: ``AvroSchemaError`` with the place of the first thing wrong.
  public init(
    json: some Collection<UInt8>, known: [AvroSchema] = [], rules: NameRules = .strict, unionDefaults: UnionDefaults = .anyBranch
  ) throws(AvroSchemaError) {
    var parser = SchemaParser(known: known, rules: rules, unionDefaults: unionDefaults)
    storage = try parser.parse(Array(json))
    index = storage.root
  }

  /// Parses a schema's JSON text; see ``init(json:known:rules:unionDefaults:)``.
  public init(_ text: String, known: [AvroSchema] = [], rules: NameRules = .strict) throws(AvroSchemaError) {
    try self.init(json: text.utf8, known: known, rules: rules)
  }

  /// The schema of a type without attributes.
  private init(primitive kind: AvroKind) {
    storage = SchemaStorage(nodes: [SchemaNode(kind)], names: [:], root: 0)
    index = 0
  }

  /// `"null"`
  public static let null = AvroSchema(primitive: .null)
  /// `"boolean"`
  public static let boolean = AvroSchema(primitive: .boolean)
  /// `"int"`
  public static let int = AvroSchema(primitive: .int)
  /// `"long"`
  public static let long = AvroSchema(primitive: .long)
  /// `"float"`
  public static let float = AvroSchema(primitive: .float)
  /// `"double"`
  public static let double = AvroSchema(primitive: .double)
  /// `"bytes"`
  public static let bytes = AvroSchema(primitive: .bytes)
  /// `"string"`
  public static let string = AvroSchema(primitive: .string)
}

/// Which names a schema may use.
public enum NameRules: Sendable, Hashable {
  /// What the specification allows.
  case strict
  /// Any text that is not empty, and defaults that are no value of their type are ignored: for reading what old writers left behind.
  case lenient
}

/// Which branches of a union its default may be of.
public enum UnionDefaults: Sendable, Hashable {
  /// Any, as 1.12 says; the first that fits.
  case anyBranch
  /// The first only, as 1.11 says.
  case firstBranch
}

extension AvroSchema: Hashable {
  public static func == (a: AvroSchema, b: AvroSchema) -> Bool {
    (a.storage === b.storage && a.index == b.index) || a.fullJSON == b.fullJSON
  }

  public func hash(into hasher: inout Hasher) { hasher.combine(fullJSON) }
}

// MARK: What a schema says

extension AvroSchema {
  /// The kind of the type.
  public var kind: AvroKind { node.kind }

  /// The full name of a record, enum or fixed.
  public var name: String? { node.name?.full }

  /// The full names that stand for this one when a reader's schema is held against a writer's.
  public var aliases: [String] { node.aliases.map(\.full) }

  /// What the schema says about the type in words.
  public var doc: String? { node.doc }

  /// What the type stands for, where it has a logical type that fits it; an unknown or misused one is none.
  public var logicalType: AvroLogicalType? { node.logical }

  /// A record's fields.
  public var fields: [AvroField] { node.fields.indices.map { AvroField(schema: self, index: $0) } }

  /// An enum's symbols.
  public var symbols: [String] { node.symbols }

  /// The place of the symbol an enum's reader takes for unknown ones.
  public var defaultSymbol: Int? { node.defaultSymbol }

  /// The items of an array, the values of a map.
  public var element: AvroSchema? {
    let node = node
    return node.kind == .array || node.kind == .map ? AvroSchema(storage: storage, index: node.element) : nil
  }

  /// A union's branches.
  public var branches: [AvroSchema] { node.branches.map { AvroSchema(storage: storage, index: $0) } }

  /// The length of a fixed in bytes.
  public var size: Int? { node.kind == .fixed ? node.size : nil }
}

/// One field of a record.
public struct AvroField: Sendable {
  private let field: SchemaField
  private let storage: SchemaStorage

  init(schema: AvroSchema, index: Int) {
    field = schema.node.fields[index]
    storage = schema.storage
  }

  /// The field's name.
  public var name: String { field.name }
  /// The names that stand for this one when a reader's schema is held against a writer's.
  public var aliases: [String] { field.aliases }
  /// What the schema says about the field in words.
  public var doc: String? { field.doc }
  /// The field's type.
  public var schema: AvroSchema { AvroSchema(storage: storage, index: field.type) }
  /// What a reader takes where the writer has no such field; `nil` where there is no default, which is not the default null.
  public var defaultValue: AvroValue? { field.defaultValue }
  /// How the field takes part in the order of records.
  public var order: AvroFieldOrder { field.order }
}
