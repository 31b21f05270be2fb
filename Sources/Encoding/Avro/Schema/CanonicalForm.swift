import StrataBytes

extension AvroSchema {
  /// The Parsing Canonical Form of the specification: what a reader must know and nothing else, in one spelling. Defaults, aliases,
  /// documentation, order and logical types are not in it, so it identifies what was written, never the schema itself.
  public var parsingCanonicalForm: String {
    var writer = SchemaWriter(storage: storage, keepsEverything: false)
    writer.type(index, namespace: "")
    return writer.output.string
  }

  /// Everything the schema says, as JSON with names in full and attributes in one order; parsing it gives an equal schema.
  public var fullJSON: String {
    var writer = SchemaWriter(storage: storage, keepsEverything: true)
    writer.type(index, namespace: "")
    return writer.output.string
  }
}

/// Writes a schema as JSON: each named type in full where it first occurs, by its name after that.
private struct SchemaWriter {
  let storage: SchemaStorage
  let keepsEverything: Bool
  var output = JSONOutput()
  private var written: Set<Int> = []

  init(storage: SchemaStorage, keepsEverything: Bool) {
    self.storage = storage
    self.keepsEverything = keepsEverything
  }

  mutating func type(_ index: Int, namespace: String) {
    let node = storage.nodes[index]
    if let name = node.name, !written.insert(index).inserted { return output.quoted(name.full) }
    switch node.kind {
    case .union:
      output.raw("[")
      for (number, branch) in node.branches.enumerated() {
        if number > 0 { output.raw(",") }
        type(branch, namespace: namespace)
      }
      output.raw("]")
    case .array, .map:
      output.raw("{\"type\":")
      output.quoted(node.kind.rawValue)
      output.raw(node.kind == .array ? ",\"items\":" : ",\"values\":")
      type(node.element, namespace: namespace)
      properties(node.properties)
      output.raw("}")
    case .record, .enumeration, .fixed: named(node, namespace: namespace)
    default:
      if node.properties.isEmpty || !keepsEverything { return output.quoted(node.kind.rawValue) }
      output.raw("{\"type\":")
      output.quoted(node.kind.rawValue)
      properties(node.properties)
      output.raw("}")
    }
  }

  private mutating func named(_ node: SchemaNode, namespace: String) {
    let name = node.name ?? AvroName("")
    output.raw("{\"name\":")
    output.quoted(name.full)
    if keepsEverything {
      // A name without namespace inside one would be read as part of it.
      if name.namespace.isEmpty, !namespace.isEmpty { output.raw(",\"namespace\":\"\"") }
      list("aliases", node.aliases.map(\.full))
      doc(node.doc)
    }
    output.raw(",\"type\":")
    output.quoted(node.kind.rawValue)
    switch node.kind {
    case .record: fields(node, namespace: name.namespace)
    case .enumeration:
      output.raw(",\"symbols\":")
      strings(node.symbols)
      if keepsEverything, let symbol = node.defaultSymbol {
        output.raw(",\"default\":")
        output.quoted(node.symbols[symbol])
      }
    default:
      output.raw(",\"size\":")
      output.raw(String(node.size))
    }
    properties(node.properties)
    output.raw("}")
  }

  private mutating func fields(_ node: SchemaNode, namespace: String) {
    output.raw(",\"fields\":[")
    for (number, field) in node.fields.enumerated() {
      output.raw(number > 0 ? ",{\"name\":" : "{\"name\":")
      output.quoted(field.name)
      if keepsEverything {
        list("aliases", field.aliases)
        doc(field.doc)
      }
      output.raw(",\"type\":")
      type(field.type, namespace: namespace)
      if keepsEverything {
        if let value = field.defaultJSON {
          output.raw(",\"default\":")
          output.value(value)
        }
        if field.order != .ascending {
          output.raw(",\"order\":")
          output.quoted(field.order.rawValue)
        }
      }
      properties(field.properties)
      output.raw("}")
    }
    output.raw("]")
  }

  private mutating func doc(_ doc: String?) {
    guard let doc else { return }
    output.raw(",\"doc\":")
    output.quoted(doc)
  }

  private mutating func list(_ attribute: StaticString, _ items: [String]) {
    if items.isEmpty { return }
    output.raw(",\"")
    output.raw(attribute)
    output.raw("\":")
    strings(items)
  }

  private mutating func strings(_ items: [String]) {
    output.raw("[")
    for (number, item) in items.enumerated() {
      if number > 0 { output.raw(",") }
      output.quoted(item)
    }
    output.raw("]")
  }

  private mutating func properties(_ properties: [JSON.Member]) {
    guard keepsEverything else { return }
    for property in properties {
      output.raw(",")
      output.quoted(property.name)
      output.raw(":")
      output.value(property.value)
    }
  }
}
