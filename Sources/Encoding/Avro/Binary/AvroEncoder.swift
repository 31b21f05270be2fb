import StrataBytes

/// Writes values of one schema in binary. A value type that may be used from any thread; making one is O(size of the schema).
public struct AvroEncoder: Sendable {
  /// The schema of what is written.
  public let schema: AvroSchema
  /// How arrays and maps are laid down.
  public var blocks: AvroBlocks
  let plan: PlanStorage

  /// An encoder for `schema`.
  public init(_ schema: AvroSchema, blocks: AvroBlocks = .counted) {
    self.schema = schema
    self.blocks = blocks
    var compiler = PlanCompiler(writer: schema, reader: schema)
    do { plan = try compiler.compile() } catch {
      // Nothing resolves more simply than a schema with itself; only one beyond the size limit fails, and its encoder refuses every value.
      var parts = PlanParts()
      parts.failures = [error.reason]
      parts.ops = [PlanOp(code: .failure)]
      parts.origins = [PlanOrigin(node: Int32(schema.index), isWriter: true)]
      plan = PlanStorage(parts, root: 0, writer: schema.storage, reader: schema.storage)
    }
  }

  /// Appends one datum.
  /// - Throws: ``AvroEncodeError`` where the value is none of the schema; the writer is then as long as before.
  public func encode(_ value: AvroValue, into writer: inout ByteWriter) throws(AvroEncodeError) {
    let before = writer.count
    do throws(AvroEncodeError) {
      try ValueEncoder(plan: plan, tables: plan.tables, blocks: blocks).write(value, plan.root, &writer, depth: 0)
    } catch {
      writer.truncate(to: before)
      throw error
    }
  }

  /// One datum as bytes.
  public func encode(_ value: AvroValue) throws(AvroEncodeError) -> [UInt8] {
    var writer = ByteWriter()
    try encode(value, into: &writer)
    return writer.finish()
  }
}

/// How arrays and maps are laid down.
public enum AvroBlocks: Sendable, Hashable {
  /// One block with the number of items: the shortest.
  case counted
  /// Blocks of so many items with their size in bytes in front, which readers that skip jump over.
  case sized(items: Int)
}

/// Follows a schema's own plan and writes an ``AvroValue``.
struct ValueEncoder {
  // ``AvroEncoder/encode(_:into:)`` holds the plan.
  unowned(unsafe) let plan: PlanStorage
  let tables: PlanTables
  let blocks: AvroBlocks

  static let maximumDepth = 256

  func write(_ value: AvroValue, _ index: Int, _ writer: inout ByteWriter, depth: Int) throws(AvroEncodeError) {
    let op = tables.ops[index]
    // What there is most of, without a copy of the value to be taken apart beside the code.
    switch op.code {
    case .int: if case .int(let number) = value { return writer.writeZigzag32(number) }
    case .long: if case .long(let number) = value { return writer.writeZigzag64(number) }
    case .double: if case .double(let number) = value { return writer.writeUInt64(number.bitPattern) }
    case .string: if case .string(let text) = value { return writer.writeAvroString(text) }
    case .record: if case .record(let fields) = value { return try record(fields, op, index, &writer, depth) }
    default: break
    }
    try others(value, op, index, &writer, depth)
  }

  private func others(
    _ value: AvroValue, _ op: PlanOp, _ index: Int, _ writer: inout ByteWriter, _ depth: Int
  ) throws(AvroEncodeError) {
    switch (op.code, value) {
    case (.null, .null): break
    case (.boolean, .boolean(let flag)): writer.writeUInt8(flag ? 1 : 0)
    case (.float, .float(let number)): writer.writeUInt32(number.bitPattern)
    case (.bytes, .bytes(let bytes)):
      writer.writeZigzag64(Int64(bytes.count))
      writer.writeBytes(bytes)
    case (.union, .union(let branch, let value)): try union(branch, value, op, index, &writer, depth)
    case (.array, .array(let items)): try array(items, op, &writer, depth)
    case (.map, .map(let entries)): try map(entries, op, &writer, depth)
    case (.enumeration, .enumeration(let symbol)):
      guard symbol >= 0, symbol < Int(op.a) else {
        throw AvroEncodeError(.unknownSymbol, expected: "one of \(op.a) symbols of \(name(index))", got: "symbol \(symbol)")
      }
      writer.writeZigzag64(Int64(symbol))
    case (.fixed, .fixed(let bytes)):
      guard bytes.count == Int(op.a) else {
        throw AvroEncodeError(.wrongSize, expected: "\(op.a) bytes for \(name(index))", got: "\(bytes.count)")
      }
      writer.writeBytes(bytes)
    // The wire does not tell an int from a small long, so widening is the caller's to ask for; an int that is given for a long is one.
    case (.long, .int(let number)): writer.writeZigzag64(Int64(number))
    case (.int, .long(let number)):
      guard let number = Int32(exactly: number) else { throw AvroEncodeError(.outOfRange, expected: "int", got: "\(number)") }
      writer.writeZigzag32(number)
    default: throw AvroEncodeError(.typeMismatch, expected: name(index), got: value.kindName)
    }
  }

  private func name(_ op: Int) -> String {
    if tables.ops[op].code == .failure { return plan.failures[Int(tables.ops[op].a)] }
    return plan.node(of: op).branchName
  }

  private func check(_ depth: Int) throws(AvroEncodeError) {
    guard depth < Self.maximumDepth else { throw AvroEncodeError(.tooDeep, expected: "at most \(Self.maximumDepth) levels", got: "more") }
  }

  private func record(
    _ fields: [AvroValue], _ op: PlanOp, _ index: Int, _ writer: inout ByteWriter, _ depth: Int
  ) throws(AvroEncodeError) {
    try check(depth)
    let count = Int(op.b)
    guard fields.count == count else {
      let kind: AvroEncodeError.Kind = fields.count < count ? .missingField : .unknownField
      throw AvroEncodeError(kind, expected: "\(count) fields of \(name(index))", got: "\(fields.count)")
    }
    let steps = tables.steps + Int(op.a)
    for number in 0..<count {
      do throws(AvroEncodeError) { try write(fields[number], Int(steps[number].op), &writer, depth: depth + 1) } catch {
        throw error.inside(plan.fieldName(op, number))
      }
    }
  }

  private func union(
    _ branch: Int, _ value: AvroValue, _ op: PlanOp, _ index: Int, _ writer: inout ByteWriter, _ depth: Int
  ) throws(AvroEncodeError) {
    guard branch >= 0, branch < Int(op.b) else {
      throw AvroEncodeError(.noBranch, expected: "one of \(op.b) branches", got: "branch \(branch)")
    }
    try check(depth)
    writer.writeZigzag64(Int64(branch))
    // A branch of a schema's own plan is always a wrapped op.
    let wrap = tables.ops[Int(tables.indices[Int(op.a) + branch])]
    try write(value, Int(wrap.b), &writer, depth: depth + 1)
  }

  private func array(_ items: [AvroValue], _ op: PlanOp, _ writer: inout ByteWriter, _ depth: Int) throws(AvroEncodeError) {
    try check(depth)
    try collection(items.count, &writer) { (number, writer) throws(AvroEncodeError) in
      do throws(AvroEncodeError) { try write(items[number], Int(op.a), &writer, depth: depth + 1) } catch { throw error.inside("\(number)") }
    }
  }

  private func map(_ entries: [(String, AvroValue)], _ op: PlanOp, _ writer: inout ByteWriter, _ depth: Int) throws(AvroEncodeError) {
    try check(depth)
    try collection(entries.count, &writer) { (number, writer) throws(AvroEncodeError) in
      writer.writeAvroString(entries[number].0)
      do throws(AvroEncodeError) { try write(entries[number].1, Int(op.a), &writer, depth: depth + 1) } catch {
        throw error.inside(entries[number].0)
      }
    }
  }

  /// Items in one counted block, or in sized blocks that are written aside first because their size stands before them.
  @inline(__always)
  private func collection(
    _ count: Int, _ writer: inout ByteWriter, _ item: (Int, inout ByteWriter) throws(AvroEncodeError) -> Void
  ) throws(AvroEncodeError) {
    switch blocks {
    case .counted:
      if count > 0 { writer.writeZigzag64(Int64(count)) }
      for number in 0..<count { try item(number, &writer) }
    case .sized(let perBlock):
      var number = 0
      while number < count {
        let end = min(count, number + max(1, perBlock))
        var aside = ByteWriter()
        for index in number..<end { try item(index, &aside) }
        writer.writeZigzag64(Int64(number - end))
        writer.writeZigzag64(Int64(aside.count))
        writer.writeBytes(aside.bytes)
        number = end
      }
    }
    writer.writeUInt8(0)
  }
}

extension ByteWriter {
  /// Text in UTF-8 behind its length.
  @inline(__always)
  mutating func writeAvroString(_ text: String) {
    var text = text
    text.withUTF8 { bytes in
      writeZigzag64(Int64(bytes.count))
      writeBytes(RawSpan(_unsafeElements: bytes))
    }
  }
}
