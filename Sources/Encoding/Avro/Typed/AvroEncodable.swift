import StrataBytes

/// A type that writes itself, without an ``AvroValue`` between. A record writes its fields in the order of the schema:
///
///     func encode(to output: inout AvroOutput) throws(AvroEncodeError) {
///       let outer = try output.beginRecord()
///       try output.write(station)
///       try output.write(time)
///       try output.end(outer)
///     }
public protocol AvroEncodable {
  /// Writes this value.
  func encode(to output: inout AvroOutput) throws(AvroEncodeError)
}

extension AvroEncoder {
  /// Appends one datum. Collections are laid down as counted blocks.
  /// - Throws: ``AvroEncodeError`` where what the value writes is not what the schema asks for; the writer is then as long as before.
  public func encode<T: AvroEncodable>(_ value: T, into writer: inout ByteWriter) throws(AvroEncodeError) {
    let before = writer.count
    var failure: AvroEncodeError?
    withUnsafeMutablePointer(to: &writer) { writer in
      var output = AvroOutput(plan, writer)
      do throws(AvroEncodeError) {
        try value.encode(to: &output)
        try output.finish()
      } catch { failure = error }
    }
    if let failure {
      writer.truncate(to: before)
      throw failure
    }
  }
}

/// Where a typed writer stands. Every write is held against the schema, so that whatever a type does, what is written is its datum.
public struct AvroOutput: ~Copyable {
  /// Valid while ``AvroEncoder/encode(_:into:)-(T,_)`` runs, which is as long as this value lives.
  private let writer: UnsafeMutablePointer<ByteWriter>
  private let tables: PlanTables
  private let plan: PlanStorage
  private var frame: AvroFrame
  private var depth = 0

  init(_ plan: PlanStorage, _ writer: UnsafeMutablePointer<ByteWriter>) {
    self.writer = writer
    tables = plan.tables
    self.plan = plan
    frame = AvroFrame(kind: .whole, op: Int32(plan.root), next: 0, end: 1, owner: -1)
  }

  func finish() throws(AvroEncodeError) {
    guard frame.kind == .whole, frame.next == 1 else { throw missing() }
  }

  @inline(never)
  private func missing() -> AvroEncodeError {
    switch frame.kind {
    case .record where frame.next < frame.end:
      let record = tables.ops[Int(frame.owner)]
      let step = Int(frame.next - record.a)
      return AvroEncodeError(.missingField, expected: "a value", got: "none", path: "/" + plan.fieldName(record, step))
    case .array, .map: return AvroEncodeError(.missingField, expected: "\(frame.end) items", got: "\(frame.next)")
    default: return AvroEncodeError(.missingField, expected: "a value", got: "none")
    }
  }

  @inline(never)
  private func mismatch(_ got: String) -> AvroEncodeError {
    guard frame.op >= 0 else { return AvroEncodeError(.unknownField, expected: "no further value", got: got) }
    let expected = plan.node(of: Int(frame.op)).branchName
    guard frame.kind == .record, frame.owner >= 0 else { return AvroEncodeError(.typeMismatch, expected: expected, got: got) }
    let record = tables.ops[Int(frame.owner)]
    let name = plan.fieldName(record, Int(frame.next - record.a))
    return AvroEncodeError(.typeMismatch, expected: expected, got: got, path: "/" + name)
  }

  @inline(__always)
  private func expect(_ code: PlanOp.Code, _ got: StaticString) throws(AvroEncodeError) {
    guard frame.op >= 0, tables.ops[Int(frame.op)].code == code else { throw mismatch("\(got)") }
  }

  /// What comes after a value that has been written.
  @inline(__always)
  private mutating func advance() {
    frame.next &+= 1  // at most end, as nothing is accepted there
    switch frame.kind {
    case .record: frame.op = frame.next < frame.end ? tables.steps[Int(frame.next)].op : -1
    case .array: frame.op = frame.next < frame.end ? frame.item : -1
    case .map, .whole: frame.op = -1
    }
  }

  // MARK: Primitives

  /// A `null`.
  public mutating func writeNull() throws(AvroEncodeError) {
    try expect(.null, "null")
    advance()
  }

  /// A `boolean`.
  public mutating func write(_ value: Bool) throws(AvroEncodeError) {
    try expect(.boolean, "boolean")
    writer.pointee.writeUInt8(value ? 1 : 0)
    advance()
  }

  /// An `int`, or a `long` of this value.
  public mutating func write(_ value: Int32) throws(AvroEncodeError) {
    guard frame.op >= 0, [.int, .long].contains(tables.ops[Int(frame.op)].code) else { throw mismatch("int") }
    writer.pointee.writeZigzag32(value)
    advance()
  }

  /// A `long`.
  public mutating func write(_ value: Int64) throws(AvroEncodeError) {
    try expect(.long, "long")
    writer.pointee.writeZigzag64(value)
    advance()
  }

  /// A `float`.
  public mutating func write(_ value: Float) throws(AvroEncodeError) {
    try expect(.float, "float")
    writer.pointee.writeUInt32(value.bitPattern)
    advance()
  }

  /// A `double`.
  public mutating func write(_ value: Double) throws(AvroEncodeError) {
    try expect(.double, "double")
    writer.pointee.writeUInt64(value.bitPattern)
    advance()
  }

  /// A `string`.
  public mutating func write(_ value: String) throws(AvroEncodeError) {
    try expect(.string, "string")
    writer.pointee.writeAvroString(value)
    advance()
  }

  /// A `bytes` or a `fixed` of this length.
  public mutating func write(bytes value: [UInt8]) throws(AvroEncodeError) {
    let op = frame.op >= 0 ? tables.ops[Int(frame.op)] : PlanOp(code: .failure)
    switch op.code {
    case .bytes: writer.pointee.writeZigzag64(Int64(value.count))
    case .fixed:
      guard value.count == Int(op.a) else { throw AvroEncodeError(.wrongSize, expected: "\(op.a) bytes", got: "\(value.count)") }
    default: throw mismatch("bytes")
    }
    writer.pointee.writeBytes(value)
    advance()
  }

  /// An enum's symbol by its place.
  public mutating func write(symbol: Int) throws(AvroEncodeError) {
    try expect(.enumeration, "enum")
    let count = Int(tables.ops[Int(frame.op)].a)
    guard symbol >= 0, symbol < count else { throw AvroEncodeError(.unknownSymbol, expected: "one of \(count) symbols", got: "symbol \(symbol)") }
    writer.pointee.writeZigzag64(Int64(symbol))
    advance()
  }

  /// A value of any kind.
  public mutating func write(_ value: AvroValue) throws(AvroEncodeError) {
    guard frame.op >= 0 else { throw mismatch(value.kindName) }
    try ValueEncoder(plan: plan, tables: tables, blocks: .counted).write(value, Int(frame.op), &writer.pointee, depth: depth)
    advance()
  }

  /// The branch of a union; its value comes next.
  public mutating func write(branch: Int) throws(AvroEncodeError) {
    try expect(.union, "union")
    let op = tables.ops[Int(frame.op)]
    guard branch >= 0, branch < Int(op.b) else { throw AvroEncodeError(.noBranch, expected: "one of \(op.b) branches", got: "branch \(branch)") }
    writer.pointee.writeZigzag64(Int64(branch))
    frame.op = tables.ops[Int(tables.indices[Int(op.a) + branch])].b
  }

  // MARK: Composites

  private mutating func begin(_ inner: AvroFrame) throws(AvroEncodeError) -> AvroFrame {
    guard depth < ValueEncoder.maximumDepth else {
      throw AvroEncodeError(.tooDeep, expected: "at most \(ValueEncoder.maximumDepth) levels", got: "more")
    }
    depth += 1
    let outer = frame
    frame = inner
    return outer
  }

  /// A record, whose fields come next in the order of the schema. Give what this returns to ``end(_:)`` behind the last.
  public mutating func beginRecord() throws(AvroEncodeError) -> AvroFrame {
    try expect(.record, "record")
    let op = tables.ops[Int(frame.op)]
    let first = op.b > 0 ? tables.steps[Int(op.a)].op : -1
    return try begin(AvroFrame(kind: .record, op: first, next: op.a, end: op.a + op.b, owner: frame.op))
  }

  /// An array of so many items, which come next.
  public mutating func beginArray(count: Int) throws(AvroEncodeError) -> AvroFrame {
    try expect(.array, "array")
    return try beginItems(.array, count)
  }

  /// A map of so many entries; ``write(key:)`` comes before each value.
  public mutating func beginMap(count: Int) throws(AvroEncodeError) -> AvroFrame {
    try expect(.map, "map")
    return try beginItems(.map, count)
  }

  private mutating func beginItems(_ kind: AvroFrame.Kind, _ count: Int) throws(AvroEncodeError) -> AvroFrame {
    guard let end = Int32(exactly: count), end >= 0 else { throw AvroEncodeError(.outOfRange, expected: "fewer than 2^31 items", got: "\(count)") }
    if count > 0 { writer.pointee.writeZigzag64(Int64(count)) }
    let item = tables.ops[Int(frame.op)].a
    return try begin(AvroFrame(kind: kind, op: kind == .array && end > 0 ? item : -1, next: 0, end: end, owner: frame.op, item: item))
  }

  /// The key of the map's next value.
  public mutating func write(key: String) throws(AvroEncodeError) {
    guard frame.kind == .map, frame.op < 0, frame.next < frame.end else { throw mismatch("a map's key") }
    writer.pointee.writeAvroString(key)
    frame.op = frame.item
  }

  /// The end of what began last. All fields or items must have been written.
  public mutating func end(_ outer: AvroFrame) throws(AvroEncodeError) {
    guard frame.kind != .whole, frame.next == frame.end else { throw missing() }
    if frame.kind != .record { writer.pointee.writeUInt8(0) }
    frame = outer
    depth -= 1
    advance()
  }
}

/// What a typed writer is inside of.
public struct AvroFrame {
  enum Kind { case whole, record, array, map }

  var kind: Kind
  /// The op of the value that comes next, -1 where none may.
  var op: Int32
  var next: Int32
  var end: Int32
  var owner: Int32
  var item: Int32 = -1
}
