import StrataBytes

/// The JSON encoding of the specification, both directions.
public enum AvroJSON {
  /// What becomes of numbers that JSON does not have.
  public enum Numbers: Sendable, Hashable {
    /// NaN and the infinities are errors.
    case strict
    /// They are the strings `"NaN"`, `"Infinity"` and `"-Infinity"`, as some implementations write them.
    case extended
  }

  /// Bytes written as the characters U+0000 to U+00FF; `nil` where another character is among them.
  static func latin1(_ text: String) -> [UInt8]? {
    var bytes: [UInt8] = []
    for scalar in text.unicodeScalars {
      guard scalar.value <= 0xFF else { return nil }
      bytes.append(UInt8(scalar.value))
    }
    return bytes
  }

  /// A value as one line of JSON: a union's value under its branch's name but for null, bytes as the characters of their numbers.
  /// - Throws: ``AvroEncodeError`` where the value is none of the schema, or a number that JSON does not have.
  public static func encode(_ value: AvroValue, _ schema: AvroSchema, numbers: Numbers = .strict) throws(AvroEncodeError) -> [UInt8] {
    var writer = JSONValueWriter(storage: schema.storage, numbers: numbers)
    try writer.write(value, schema.index, depth: 0)
    return writer.output.text
  }

  /// The value that a JSON text says.
  /// - Throws: ``AvroJSONError`` where the text is no JSON or its value none of the schema.
  public static func decode(_ text: [UInt8], _ schema: AvroSchema, numbers: Numbers = .strict) throws(AvroJSONError) -> AvroValue {
    let json: JSON
    do { json = try JSON(parsing: text, depth: 512) } catch { throw AvroJSONError(path: "", reason: error.description) }
    return try JSONValueReader(storage: schema.storage, numbers: numbers).value(json, schema.index, depth: 0)
  }
}

/// Why a JSON text is no value of a schema.
public struct AvroJSONError: Error, Sendable, Hashable, CustomStringConvertible {
  /// Where, as a JSON pointer.
  public var path: String
  /// What is wrong there.
  public var reason: String

  public var description: String { path.isEmpty ? reason : "\(path): \(reason)" }

  func inside(_ step: String) -> AvroJSONError { AvroJSONError(path: "/" + step + path, reason: reason) }
}

private struct JSONValueWriter {
  let storage: SchemaStorage
  let numbers: AvroJSON.Numbers
  var output = JSONOutput()

  mutating func write(_ value: AvroValue, _ type: Int, depth: Int) throws(AvroEncodeError) {
    guard depth < ValueEncoder.maximumDepth else {
      throw AvroEncodeError(.tooDeep, expected: "at most \(ValueEncoder.maximumDepth) levels", got: "more")
    }
    let node = storage.nodes[type]
    switch (node.kind, value) {
    case (.null, .null): output.raw("null")
    case (.boolean, .boolean(let flag)): output.raw(flag ? "true" : "false")
    case (.int, .int(let number)), (.long, .int(let number)): output.raw(String(number))
    case (.long, .long(let number)): output.raw(String(number))
    case (.float, .float(let number)): try write(number.isFinite ? number.description : nil, Double(number))
    case (.double, .double(let number)): try write(number.isFinite ? number.description : nil, number)
    case (.bytes, .bytes(let bytes)): output.quoted(latin1: bytes)
    case (.fixed, .fixed(let bytes)) where bytes.count == node.size: output.quoted(latin1: bytes)
    case (.string, .string(let text)): output.quoted(text)
    case (.enumeration, .enumeration(let symbol)) where node.symbols.indices.contains(symbol): output.quoted(node.symbols[symbol])
    case (.array, .array(let items)):
      output.raw("[")
      for (number, item) in items.enumerated() {
        if number > 0 { output.raw(",") }
        do throws(AvroEncodeError) { try write(item, node.element, depth: depth + 1) } catch { throw error.inside("\(number)") }
      }
      output.raw("]")
    case (.map, .map(let entries)):
      try members(entries.count) { (number) in
        (entries[number].0, entries[number].1, node.element)
      } depth: {
        depth + 1
      }
    case (.record, .record(let fields)) where fields.count == node.fields.count:
      try members(fields.count) { (number) in
        (node.fields[number].name, fields[number], node.fields[number].type)
      } depth: {
        depth + 1
      }
    case (.union, .union(let branch, let value)) where node.branches.indices.contains(branch):
      let child = node.branches[branch]
      if storage.nodes[child].kind == .null { return try write(value, child, depth: depth + 1) }
      output.raw("{")
      output.quoted(storage.nodes[child].branchName)
      output.raw(":")
      try write(value, child, depth: depth + 1)
      output.raw("}")
    default: throw AvroEncodeError(.typeMismatch, expected: node.branchName, got: value.kindName)
    }
  }

  private mutating func members(
    _ count: Int, _ member: (Int) -> (name: String, value: AvroValue, type: Int), depth: () -> Int
  ) throws(AvroEncodeError) {
    output.raw("{")
    for number in 0..<count {
      if number > 0 { output.raw(",") }
      let member = member(number)
      output.quoted(member.name)
      output.raw(":")
      do throws(AvroEncodeError) { try write(member.value, member.type, depth: depth()) } catch { throw error.inside(member.name) }
    }
    output.raw("}")
  }

  private mutating func write(_ digits: String?, _ number: Double) throws(AvroEncodeError) {
    if let digits { return output.raw(digits) }
    guard numbers == .extended else { throw AvroEncodeError(.outOfRange, expected: "a number that JSON has", got: "\(number)") }
    output.quoted(number.isNaN ? "NaN" : number < 0 ? "-Infinity" : "Infinity")
  }
}

private struct JSONValueReader {
  let storage: SchemaStorage
  let numbers: AvroJSON.Numbers

  func value(_ json: JSON, _ type: Int, depth: Int) throws(AvroJSONError) -> AvroValue {
    guard depth < ValueEncoder.maximumDepth else { throw AvroJSONError(path: "", reason: "nested deeper than \(ValueEncoder.maximumDepth)") }
    let node = storage.nodes[type]
    switch (node.kind, json) {
    case (.null, .null): return .null
    case (.boolean, .bool(let flag)): return .boolean(flag)
    case (.int, .integer), (.int, .number), (.long, .integer), (.long, .number), (.float, _), (.double, _): return try number(json, node.kind)
    case (.bytes, .string(let text)):
      guard let bytes = AvroJSON.latin1(text) else { throw AvroJSONError(path: "", reason: "a character above U+00FF in bytes") }
      return .bytes(bytes)
    case (.fixed, .string(let text)):
      guard let bytes = AvroJSON.latin1(text), bytes.count == node.size else {
        throw AvroJSONError(path: "", reason: "not the \(node.size) bytes of \(node.branchName)")
      }
      return .fixed(bytes)
    case (.string, .string(let text)): return .string(text)
    case (.enumeration, .string(let text)):
      guard let symbol = node.symbols.firstIndex(of: text) else {
        throw AvroJSONError(path: "", reason: "\(text) is no symbol of \(node.branchName)")
      }
      return .enumeration(symbol)
    case (.array, .array(let items)):
      var values: [AvroValue] = []
      for (number, item) in items.enumerated() {
        do throws(AvroJSONError) { values.append(try value(item, node.element, depth: depth + 1)) } catch { throw error.inside("\(number)") }
      }
      return .array(values)
    case (.map, .object(let members)):
      var entries: [(String, AvroValue)] = []
      for member in members {
        do throws(AvroJSONError) { entries.append((member.name, try value(member.value, node.element, depth: depth + 1))) } catch {
          throw error.inside(member.name)
        }
      }
      return .map(entries)
    case (.record, .object(let members)): return .record(try record(members, node, depth))
    case (.union, _): return try union(json, node, depth)
    default: throw AvroJSONError(path: "", reason: "a JSON \(json.kindName) is no \(node.branchName)")
    }
  }

  private func number(_ json: JSON, _ kind: AvroKind) throws(AvroJSONError) -> AvroValue {
    if case .string(let text) = json, numbers == .extended, ["NaN", "Infinity", "-Infinity"].contains(text) {
      let value = text == "NaN" ? Double.nan : text == "Infinity" ? .infinity : -.infinity
      return kind == .float ? .float(Float(value)) : .double(value)
    }
    switch kind {
    case .int: if let value = json.wholeNumber, let int = Int32(exactly: value) { return .int(int) }
    case .long: if let value = json.wholeNumber { return .long(value) }
    case .float: if let digits = json.digits, let value = Float(digits), value.isFinite { return .float(value) }
    default: if let digits = json.digits, let value = Double(digits), value.isFinite { return .double(value) }
    }
    throw AvroJSONError(path: "", reason: "\(json.digits ?? "a JSON " + json.kindName) is no \(kind.rawValue)")
  }

  private func record(_ members: [JSON.Member], _ node: SchemaNode, _ depth: Int) throws(AvroJSONError) -> [AvroValue] {
    let given = Dictionary(members.map { ($0.name, $0.value) }, uniquingKeysWith: { first, _ in first })
    if let stranger = members.first(where: { member in !node.fields.contains { $0.name == member.name } }) {
      throw AvroJSONError(path: "/" + stranger.name, reason: "\(node.branchName) has no such field")
    }
    var fields: [AvroValue] = []
    for field in node.fields {
      guard let json = given[field.name] else { throw AvroJSONError(path: "/" + field.name, reason: "the field is missing") }
      do throws(AvroJSONError) { fields.append(try value(json, field.type, depth: depth + 1)) } catch { throw error.inside(field.name) }
    }
    return fields
  }

  private func union(_ json: JSON, _ node: SchemaNode, _ depth: Int) throws(AvroJSONError) -> AvroValue {
    if case .null = json, let branch = node.branches.firstIndex(where: { storage.nodes[$0].kind == .null }) {
      return .union(branch: branch, .null)
    }
    guard case .object(let members) = json, members.count == 1,
      let branch = node.branches.firstIndex(where: { storage.nodes[$0].branchName == members[0].name && storage.nodes[$0].kind != .null })
    else {
      let names = node.branches.map { storage.nodes[$0].branchName }.joined(separator: ", ")
      throw AvroJSONError(path: "", reason: "a union's value is null or {branch: value} with one of \(names)")
    }
    do throws(AvroJSONError) { return .union(branch: branch, try value(members[0].value, node.branches[branch], depth: depth + 1)) } catch {
      throw error.inside(members[0].name)
    }
  }
}
