import StrataBytes

/// Turns a schema's JSON into nodes, in two passes: types and names first, then defaults, which may be of types defined later.
struct SchemaParser {
  private var nodes: [SchemaNode] = []
  private var names: [AvroName: Int] = [:]
  private var primitives: [AvroKind: Int] = [:]
  private let known: [AvroSchema]
  private let rules: NameRules
  private let unionDefaults: UnionDefaults
  /// Where each named type's fields stand in the text, for errors in defaults.
  private var recordPlaces: [(node: Int, pointer: String)] = []

  private static let maximumNodes = 1 << 20

  init(known: [AvroSchema], rules: NameRules, unionDefaults: UnionDefaults) {
    self.known = known
    self.rules = rules
    self.unionDefaults = unionDefaults
  }

  mutating func parse(_ text: [UInt8]) throws(AvroSchemaError) -> SchemaStorage {
    let json: JSON
    // A byte order mark is no JSON, but editors write one.
    let text = text.starts(with: [0xEF, 0xBB, 0xBF]) ? text.dropFirst(3) : text[...]
    do { json = try JSON(parsing: text, depth: 256) } catch {
      throw AvroSchemaError(.notJSON(offset: error.offset, reason: error.reason), at: "")
    }
    let root = try type(json, namespace: "", at: "")
    try resolveDefaults()
    return SchemaStorage(nodes: nodes, names: names, root: root)
  }

  // MARK: Types

  private mutating func type(_ json: JSON, namespace: String, at place: String) throws(AvroSchemaError) -> Int {
    guard nodes.count < Self.maximumNodes else { throw AvroSchemaError(.tooLarge("the number of types"), at: place) }
    switch json {
    case .string(let name): return try reference(name, namespace: namespace, at: place)
    case .array(let branches): return try union(branches, namespace: namespace, at: place)
    case .object: return try definition(json, namespace: namespace, at: place)
    default: throw AvroSchemaError(.wrongAttribute("a type", expected: "a name, an object or an array, not \(json.kindName)"), at: place)
    }
  }

  private mutating func add(_ node: SchemaNode) -> Int {
    nodes.append(node)
    return nodes.count - 1
  }

  private mutating func reference(_ text: String, namespace: String, at place: String) throws(AvroSchemaError) -> Int {
    if let kind = AvroKind(rawValue: text), kind.isPrimitive {
      if let index = primitives[kind] { return index }
      let index = add(SchemaNode(kind))
      primitives[kind] = index
      return index
    }
    let name = AvroName(text, in: namespace)
    if let index = names[name] { return index }
    for schema in known {
      if let index = schema.storage.names[name] { return try adopt(index, of: schema.storage, at: place) }
    }
    throw AvroSchemaError(.unknownType(name.full), at: place)
  }

  /// Copies a named type and all it uses from another schema.
  private mutating func adopt(_ index: Int, of storage: SchemaStorage, at place: String) throws(AvroSchemaError) -> Int {
    var moved: [Int: Int] = [:]
    var copied: [Int] = []
    var waiting = [index]
    // First a place for every type, so that cycles close; a type already known here by its name is used as it is.
    while let old = waiting.popLast() {
      guard moved[old] == nil else { continue }
      let node = storage.nodes[old]
      if let name = node.name, let here = names[name] {
        moved[old] = here
        continue
      }
      guard nodes.count < Self.maximumNodes else { throw AvroSchemaError(.tooLarge("the number of types"), at: place) }
      let new = add(node)
      moved[old] = new
      copied.append(new)
      if let name = node.name { names[name] = new }
      waiting += node.fields.map(\.type) + node.branches
      if node.kind == .array || node.kind == .map { waiting.append(node.element) }
    }
    for new in copied {
      for field in nodes[new].fields.indices { nodes[new].fields[field].type = moved[nodes[new].fields[field].type] ?? 0 }
      nodes[new].branches = nodes[new].branches.map { moved[$0] ?? 0 }
      nodes[new].element = moved[nodes[new].element] ?? 0
    }
    return moved[index] ?? index
  }

  private mutating func union(_ branches: [JSON], namespace: String, at place: String) throws(AvroSchemaError) -> Int {
    let index = add(SchemaNode(.union))
    var seen: Set<String> = []
    var indices: [Int] = []
    for (number, branch) in branches.enumerated() {
      let place = pointer(place, number)
      let child = try type(branch, namespace: namespace, at: place)
      guard nodes[child].kind != .union else { throw AvroSchemaError(.nestedUnion, at: place) }
      guard seen.insert(nodes[child].branchName).inserted else { throw AvroSchemaError(.duplicateBranch(nodes[child].branchName), at: place) }
      indices.append(child)
    }
    nodes[index].branches = indices
    return index
  }

  private mutating func definition(_ json: JSON, namespace: String, at place: String) throws(AvroSchemaError) -> Int {
    guard let type = json["type"] else { throw AvroSchemaError(.missing("type"), at: place) }
    // A type in place of a type's name is that type.
    guard case .string(let kindName) = type else { return try self.type(type, namespace: namespace, at: pointer(place, "type")) }
    guard let kind = kindName == "error" ? .record : AvroKind(rawValue: kindName), kind != .union else {
      return try reference(kindName, namespace: namespace, at: pointer(place, "type"))
    }
    switch kind {
    case .record, .enumeration, .fixed: return try named(kind, json, namespace: namespace, at: place)
    case .array, .map: return try collection(kind, json, namespace: namespace, at: place)
    default:
      var node = SchemaNode(kind)
      node.properties = properties(json, except: ["type"])
      if node.properties.isEmpty { return try reference(kindName, namespace: namespace, at: place) }
      node.logical = AvroLogicalType.of(node)
      return add(node)
    }
  }

  private mutating func collection(
    _ kind: AvroKind, _ json: JSON, namespace: String, at place: String
  ) throws(AvroSchemaError) -> Int {
    let attribute = kind == .array ? "items" : "values"
    guard let element = json[attribute] else { throw AvroSchemaError(.missing(attribute), at: place) }
    let index = add(SchemaNode(kind))
    nodes[index].properties = properties(json, except: ["type", attribute])
    let child = try type(element, namespace: namespace, at: pointer(place, attribute))
    nodes[index].element = child
    return index
  }

  private mutating func named(_ kind: AvroKind, _ json: JSON, namespace: String, at place: String) throws(AvroSchemaError) -> Int {
    let name = try self.name(json, namespace: namespace, at: place)
    guard names[name] == nil else { throw AvroSchemaError(.duplicate(name.full), at: pointer(place, "name")) }
    var node = SchemaNode(kind)
    node.name = name
    node.doc = try text(json, "doc", at: place)
    node.aliases = try strings(json["aliases"], "aliases", at: place).map { AvroName($0, in: name.namespace) }
    switch kind {
    case .enumeration: try symbols(json, into: &node, at: place)
    case .fixed:
      guard let size = json["size"] else { throw AvroSchemaError(.missing("size"), at: place) }
      guard let bytes = size.wholeNumber, bytes >= 0, bytes <= Int64(Int32.max) else {
        throw AvroSchemaError(.wrongAttribute("size", expected: "a number of bytes below 2^31"), at: pointer(place, "size"))
      }
      node.size = Int(bytes)
    default: break
    }
    let own: Set<String> =
      switch kind {
      case .enumeration: ["symbols", "default"]
      case .fixed: ["size"]
      default: ["fields"]
      }
    node.properties = properties(json, except: own.union(["type", "name", "namespace", "aliases", "doc"]))
    node.logical = AvroLogicalType.of(node)
    let index = add(node)
    names[name] = index
    if kind == .record { try fields(json, of: index, namespace: name.namespace, at: place) }
    return index
  }

  private mutating func fields(_ json: JSON, of record: Int, namespace: String, at place: String) throws(AvroSchemaError) {
    guard let list = json["fields"] else { throw AvroSchemaError(.missing("fields"), at: place) }
    let place = pointer(place, "fields")
    guard case .array(let items) = list else { throw AvroSchemaError(.wrongAttribute("fields", expected: "an array"), at: place) }
    recordPlaces.append((record, place))
    var fields: [SchemaField] = []
    var seen: Set<String> = []
    for (number, item) in items.enumerated() {
      let place = pointer(place, number)
      guard case .object = item else { throw AvroSchemaError(.wrongAttribute("a field", expected: "an object"), at: place) }
      guard let name = try text(item, "name", at: place) else { throw AvroSchemaError(.missing("name"), at: place) }
      try check(name, at: pointer(place, "name"))
      guard seen.insert(name).inserted else { throw AvroSchemaError(.duplicate(name), at: place) }
      guard let type = item["type"] else { throw AvroSchemaError(.missing("type"), at: place) }
      var field = SchemaField(name: name, type: try self.type(type, namespace: namespace, at: pointer(place, "type")))
      field.aliases = try strings(item["aliases"], "aliases", at: place)
      field.doc = try text(item, "doc", at: place)
      field.defaultJSON = item["default"]
      if let order = try text(item, "order", at: place) {
        guard let known = AvroFieldOrder(rawValue: order) else {
          throw AvroSchemaError(.wrongAttribute("order", expected: "ascending, descending or ignore"), at: pointer(place, "order"))
        }
        field.order = known
      }
      field.properties = properties(item, except: ["name", "type", "aliases", "doc", "default", "order"])
      fields.append(field)
    }
    nodes[record].fields = fields
  }

  private func symbols(_ json: JSON, into node: inout SchemaNode, at place: String) throws(AvroSchemaError) {
    guard let list = json["symbols"] else { throw AvroSchemaError(.missing("symbols"), at: place) }
    let symbols = try strings(list, "symbols", at: place)
    var seen: Set<String> = []
    for (number, symbol) in symbols.enumerated() {
      let place = pointer(pointer(place, "symbols"), number)
      try check(symbol, isSymbol: true, at: place)
      guard seen.insert(symbol).inserted else { throw AvroSchemaError(.duplicate(symbol), at: place) }
    }
    node.symbols = symbols
    if let symbol = try text(json, "default", at: place) {
      guard let index = symbols.firstIndex(of: symbol) else {
        guard rules == .lenient else { throw AvroSchemaError(.invalidDefault("\(symbol) is no symbol"), at: pointer(place, "default")) }
        return
      }
      node.defaultSymbol = index
    }
  }

  // MARK: Attributes

  private func properties(_ json: JSON, except own: Set<String>) -> [JSON.Member] {
    guard case .object(let members) = json else { return [] }
    return members.filter { !own.contains($0.name) }.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
  }

  private func text(_ json: JSON, _ attribute: String, at place: String) throws(AvroSchemaError) -> String? {
    guard let value = json[attribute] else { return nil }
    guard case .string(let text) = value else {
      // A documentation of null is what some writers give for none.
      if case .null = value, attribute == "doc" { return nil }
      throw AvroSchemaError(.wrongAttribute(attribute, expected: "a string"), at: pointer(place, attribute))
    }
    return text
  }

  private func strings(_ json: JSON?, _ attribute: String, at place: String) throws(AvroSchemaError) -> [String] {
    guard let json else { return [] }
    guard case .array(let items) = json else {
      throw AvroSchemaError(.wrongAttribute(attribute, expected: "an array of strings"), at: pointer(place, attribute))
    }
    var result: [String] = []
    for (number, item) in items.enumerated() {
      guard case .string(let text) = item else {
        throw AvroSchemaError(.wrongAttribute(attribute, expected: "an array of strings"), at: pointer(pointer(place, attribute), number))
      }
      result.append(text)
    }
    return result
  }

  private func name(_ json: JSON, namespace: String, at place: String) throws(AvroSchemaError) -> AvroName {
    guard let own = try text(json, "name", at: place) else { throw AvroSchemaError(.missing("name"), at: place) }
    let name = AvroName(own, in: try text(json, "namespace", at: place) ?? namespace)
    let parts = name.full.split(separator: ".", omittingEmptySubsequences: false)
    for part in parts { try check(String(part), at: pointer(place, "name")) }
    if rules == .strict, let last = parts.last, let kind = AvroKind(rawValue: String(last)), kind.isPrimitive {
      throw AvroSchemaError(.invalidName(name.full), at: pointer(place, "name"))
    }
    return name
  }

  private func check(_ name: String, isSymbol: Bool = false, at place: String) throws(AvroSchemaError) {
    if rules == .lenient, !name.isEmpty || isSymbol { return }
    let isName =
      !name.isEmpty
      && name.utf8.enumerated().allSatisfy { index, byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "_"): true
        case UInt8(ascii: "0")...UInt8(ascii: "9"): index > 0
        default: false
        }
      }
    guard isName else { throw AvroSchemaError(.invalidName(name), at: place) }
  }

  // MARK: Defaults

  private mutating func resolveDefaults() throws(AvroSchemaError) {
    var reader = DefaultReader(nodes: nodes, unionDefaults: unionDefaults)
    for (record, place) in recordPlaces {
      for (number, field) in nodes[record].fields.enumerated() where field.defaultJSON != nil {
        do { nodes[record].fields[number].defaultValue = try reader.value(ofField: number, in: record) } catch {
          if rules == .lenient { continue }
          throw AvroSchemaError(.invalidDefault(error.reason), at: pointer(pointer(place, number), "default"))
        }
      }
    }
  }
}
