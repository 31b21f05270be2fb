/// A value as a program without schema has it. ``AvroSchema/value(of:)`` finds what it is in a schema, branches of unions included.
public enum AvroUntyped: Sendable {
  /// Nothing.
  case null
  /// True or false.
  case boolean(Bool)
  /// A whole number.
  case integer(Int64)
  /// A number.
  case double(Double)
  /// Bytes.
  case bytes([UInt8])
  /// Text: a string, or an enum's symbol.
  case string(String)
  /// Values in order.
  case list([AvroUntyped])
  /// Values by name: a record or a map.
  case keyed([(String, AvroUntyped)])

  var kindName: String {
    switch self {
    case .null: "null"
    case .boolean: "boolean"
    case .integer: "integer"
    case .double: "double"
    case .bytes: "bytes"
    case .string: "string"
    case .list: "list"
    case .keyed: "keyed value"
    }
  }
}

extension AvroSchema {
  /// The value of this schema that an untyped one is.
  ///
  /// In a union the exact type comes first: an integer is an int where it fits, else a long, else a float or double. A text is the enum that
  /// has it as symbol before it is a string. A keyed value is the record that has all its keys as fields before it is a map; where two
  /// records have, and not exactly one has these fields alone, that is an error and no guess.
  /// - Throws: ``AvroEncodeError`` with the path of what does not fit. A record's missing field is one, whatever its default.
  public func value(of value: AvroUntyped) throws(AvroEncodeError) -> AvroValue {
    try UntypedMatch(storage: storage).value(value, index, depth: 0)
  }
}

private struct UntypedMatch {
  let storage: SchemaStorage

  func value(_ value: AvroUntyped, _ type: Int, depth: Int) throws(AvroEncodeError) -> AvroValue {
    guard depth < ValueEncoder.maximumDepth else {
      throw AvroEncodeError(.tooDeep, expected: "at most \(ValueEncoder.maximumDepth) levels", got: "more")
    }
    let node = storage.nodes[type]
    switch (node.kind, value) {
    case (.null, .null): return .null
    case (.boolean, .boolean(let flag)): return .boolean(flag)
    case (.int, .integer(let number)):
      guard let int = Int32(exactly: number) else { throw AvroEncodeError(.outOfRange, expected: "int", got: "\(number)") }
      return .int(int)
    case (.long, .integer(let number)): return .long(number)
    case (.float, .integer(let number)): return .float(Float(number))
    case (.double, .integer(let number)): return .double(Double(number))
    case (.float, .double(let number)): return .float(Float(number))
    case (.double, .double(let number)): return .double(number)
    case (.bytes, .bytes(let bytes)): return .bytes(bytes)
    case (.string, .string(let text)): return .string(text)
    case (.fixed, .bytes(let bytes)):
      guard bytes.count == node.size else { throw AvroEncodeError(.wrongSize, expected: "\(node.size) bytes", got: "\(bytes.count)") }
      return .fixed(bytes)
    case (.enumeration, .string(let text)):
      guard let index = node.symbols.firstIndex(of: text) else {
        throw AvroEncodeError(.unknownSymbol, expected: "a symbol of \(node.branchName)", got: text)
      }
      return .enumeration(index)
    case (.array, .list(let items)): return .array(try list(items, node.element, depth))
    case (.map, .keyed(let entries)):
      var result: [(String, AvroValue)] = []
      for (key, value) in entries {
        do throws(AvroEncodeError) { result.append((key, try self.value(value, node.element, depth: depth + 1))) } catch {
          throw error.inside(key)
        }
      }
      return .map(result)
    case (.record, .keyed(let entries)): return .record(try record(entries, node, depth))
    case (.union, _):
      let branch = try self.branch(value, node)
      return .union(branch: branch, try self.value(value, node.branches[branch], depth: depth + 1))
    default: throw AvroEncodeError(.typeMismatch, expected: node.branchName, got: value.kindName)
    }
  }

  private func list(_ items: [AvroUntyped], _ element: Int, _ depth: Int) throws(AvroEncodeError) -> [AvroValue] {
    var result: [AvroValue] = []
    for (number, item) in items.enumerated() {
      do throws(AvroEncodeError) { result.append(try value(item, element, depth: depth + 1)) } catch { throw error.inside("\(number)") }
    }
    return result
  }

  private func record(_ entries: [(String, AvroUntyped)], _ node: SchemaNode, _ depth: Int) throws(AvroEncodeError) -> [AvroValue] {
    let given = Dictionary(entries, uniquingKeysWith: { _, last in last })
    if let stranger = entries.first(where: { entry in !node.fields.contains { $0.name == entry.0 } }) {
      throw AvroEncodeError(.unknownField, expected: "a field of \(node.branchName)", got: stranger.0, path: "/" + stranger.0)
    }
    var fields: [AvroValue] = []
    for field in node.fields {
      guard let value = given[field.name] else {
        throw AvroEncodeError(.missingField, expected: storage.nodes[field.type].branchName, got: "nothing", path: "/" + field.name)
      }
      do throws(AvroEncodeError) { fields.append(try self.value(value, field.type, depth: depth + 1)) } catch { throw error.inside(field.name) }
    }
    return fields
  }

  private func branch(_ value: AvroUntyped, _ union: SchemaNode) throws(AvroEncodeError) -> Int {
    let first = { (kinds: [AvroKind]) -> Int? in
      for kind in kinds {
        if let index = union.branches.firstIndex(where: { storage.nodes[$0].kind == kind }) { return index }
      }
      return nil
    }
    let found: Int? =
      switch value {
      case .null: first([.null])
      case .boolean: first([.boolean])
      case .integer(let number): first(Int32(exactly: number) == nil ? [.long, .double, .float] : [.int, .long, .double, .float])
      case .double: first([.double, .float])
      case .bytes(let bytes):
        first([.bytes]) ?? union.branches.firstIndex { storage.nodes[$0].kind == .fixed && storage.nodes[$0].size == bytes.count }
      case .string(let text):
        union.branches.firstIndex { storage.nodes[$0].kind == .enumeration && storage.nodes[$0].symbols.contains(text) } ?? first([.string])
      case .list: first([.array])
      case .keyed(let entries): try recordBranch(Set(entries.map(\.0)), union) ?? first([.map])
      }
    guard let found else {
      let branches = union.branches.map { storage.nodes[$0].branchName }.joined(separator: ", ")
      throw AvroEncodeError(.noBranch, expected: "one of \(branches)", got: value.kindName)
    }
    return found
  }

  private func recordBranch(_ keys: Set<String>, _ union: SchemaNode) throws(AvroEncodeError) -> Int? {
    let candidates = union.branches.indices.filter { branch in
      let node = storage.nodes[union.branches[branch]]
      return node.kind == .record && keys.isSubset(of: node.fields.map(\.name))
    }
    if candidates.count < 2 { return candidates.first }
    let exact = candidates.filter { storage.nodes[union.branches[$0]].fields.count == keys.count }
    guard exact.count == 1 else {
      let names = candidates.map { storage.nodes[union.branches[$0]].branchName }.joined(separator: " and ")
      throw AvroEncodeError(.ambiguousBranch, expected: "the fields of one record", got: "fields that \(names) have")
    }
    return exact[0]
  }
}
