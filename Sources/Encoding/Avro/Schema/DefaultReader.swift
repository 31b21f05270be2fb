import StrataBytes

/// Reads defaults: JSON by the rules for them, which are those of the JSON encoding but that a union's value has no branch written.
///
/// Each field's default is read once and reused where a record's default leaves the field out. What all defaults of a schema together may
/// hold is bounded, because such reuse can double with every level.
struct DefaultReader {
  struct Fault: Error { var reason: String }

  private let nodes: [SchemaNode]
  private let unionDefaults: UnionDefaults
  private var budget = 1 << 18
  private var ready: [Place: AvroValue] = [:]
  private var open: Set<Place> = []

  private struct Place: Hashable {
    var record: Int
    var field: Int
  }

  init(nodes: [SchemaNode], unionDefaults: UnionDefaults) {
    self.nodes = nodes
    self.unionDefaults = unionDefaults
  }

  mutating func value(ofField field: Int, in record: Int) throws(Fault) -> AvroValue {
    let place = Place(record: record, field: field)
    if let value = ready[place] {
      try charge(Self.size(value))
      return value
    }
    guard let json = nodes[record].fields[field].defaultJSON else { throw Fault(reason: "\(nodes[record].fields[field].name) has no default") }
    guard open.insert(place).inserted, open.count <= 256 else { throw Fault(reason: "it contains itself") }
    defer { open.remove(place) }
    let value = try value(json, of: nodes[record].fields[field].type)
    ready[place] = value
    return value
  }

  private mutating func charge(_ count: Int) throws(Fault) {
    guard count <= budget else { throw Fault(reason: "the schema's defaults together are too large") }
    budget -= count
  }

  private static func size(_ value: AvroValue) -> Int {
    switch value {
    case .record(let values), .array(let values): 1 + values.reduce(0) { $0 + size($1) }
    case .map(let entries): 1 + entries.reduce(0) { $0 + size($1.1) }
    case .union(_, let value): 1 + size(value)
    default: 1
    }
  }

  private mutating func value(_ json: JSON, of type: Int) throws(Fault) -> AvroValue {
    try charge(1)
    let node = nodes[type]
    switch (node.kind, json) {
    case (.null, .null): return .null
    case (.boolean, .bool(let flag)): return .boolean(flag)
    case (.int, .integer), (.int, .number), (.long, .integer), (.long, .number), (.float, .integer), (.float, .number), (.double, .integer),
      (.double, .number):
      return try number(json, node.kind)
    case (.bytes, .string(let text)): return .bytes(try latin1(text))
    case (.fixed, .string(let text)):
      let bytes = try latin1(text)
      guard bytes.count == node.size else { throw Fault(reason: "\(bytes.count) bytes for a fixed of \(node.size)") }
      return .fixed(bytes)
    case (.string, .string(let text)): return .string(text)
    case (.enumeration, .string(let text)):
      guard let index = node.symbols.firstIndex(of: text) else { throw Fault(reason: "\(text) is no symbol of \(node.branchName)") }
      return .enumeration(index)
    case (.array, .array(let items)):
      var values: [AvroValue] = []
      for item in items { values.append(try value(item, of: node.element)) }
      return .array(values)
    case (.map, .object(let members)):
      var entries: [(String, AvroValue)] = []
      for member in members { entries.append((member.name, try value(member.value, of: node.element))) }
      return .map(entries)
    case (.record, .object(let members)): return try record(members, of: type)
    case (.union, _): return try union(json, of: node)
    default: throw Fault(reason: "a JSON \(json.kindName) is no \(node.branchName)")
    }
  }

  private func number(_ json: JSON, _ kind: AvroKind) throws(Fault) -> AvroValue {
    let digits = json.digits ?? ""
    switch kind {
    case .int: if let value = json.wholeNumber, let int = Int32(exactly: value) { return .int(int) }
    case .long: if let value = json.wholeNumber { return .long(value) }
    case .float: if let value = Float(digits), value.isFinite { return .float(value) }
    default: if let value = Double(digits), value.isFinite { return .double(value) }
    }
    throw Fault(reason: "\(digits) is no \(kind.rawValue)")
  }

  private mutating func record(_ members: [JSON.Member], of type: Int) throws(Fault) -> AvroValue {
    let node = nodes[type]
    let given = Dictionary(members.map { ($0.name, $0.value) }, uniquingKeysWith: { first, _ in first })
    var values: [AvroValue] = []
    for (number, field) in node.fields.enumerated() {
      if let json = given[field.name] {
        values.append(try value(json, of: field.type))
      } else {
        values.append(try value(ofField: number, in: type))
      }
    }
    let names = Set(node.fields.map(\.name))
    if let stranger = members.first(where: { !names.contains($0.name) }) {
      throw Fault(reason: "\(node.branchName) has no field \(stranger.name)")
    }
    return .record(values)
  }

  private mutating func union(_ json: JSON, of node: SchemaNode) throws(Fault) -> AvroValue {
    for (index, branch) in node.branches.enumerated() {
      if let value = try? value(json, of: branch) { return .union(branch: index, value) }
      if unionDefaults == .firstBranch { break }
    }
    throw Fault(reason: "a JSON \(json.kindName) fits \(unionDefaults == .firstBranch ? "not the first branch" : "no branch") of the union")
  }

  private func latin1(_ text: String) throws(Fault) -> [UInt8] {
    guard let bytes = AvroJSON.latin1(text) else { throw Fault(reason: "a character above U+00FF in bytes") }
    return bytes
  }
}
