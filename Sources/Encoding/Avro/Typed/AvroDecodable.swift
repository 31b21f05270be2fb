import StrataBytes

/// A type that reads itself from data, field by field, without an ``AvroValue`` between.
///
/// A record asks for its fields in whatever order they come, by their place in the reader's schema:
///
///     mutating func decode(from decoder: inout AvroDecoder) throws(AvroDecodeError) {
///       var fields = try decoder.beginRecord()
///       while let field = try decoder.nextField(&fields) {
///         switch field {
///         case 0: station = try decoder.readString()
///         case 1: time = try decoder.readLong()
///         default: break
///         }
///       }
///     }
///
/// What is not read is skipped; what the writer does not have comes as its default. Decoding into a value that is there reuses its memory.
public protocol AvroDecodable {
  /// A value to decode into.
  init()

  /// Reads this value.
  mutating func decode(from decoder: inout AvroDecoder) throws(AvroDecodeError)
}

extension AvroPlan {
  /// The next datum as a `T`.
  /// - Throws: ``AvroDecodeError``; the reader is then where it was.
  public func decode<T: AvroDecodable>(_: T.Type, _ reader: inout ByteReader) throws(AvroDecodeError) -> T {
    var value = T()
    try decode(into: &value, &reader)
    return value
  }

  /// The next datum into a value that is there already: what it owns is used again.
  /// - Throws: ``AvroDecodeError``; the reader is then where it was, the value may hold part of the datum.
  public func decode<T: AvroDecodable>(into value: inout T, _ reader: inout ByteReader) throws(AvroDecodeError) {
    var ahead = reader
    let base = reader.offset
    let rest = ahead.readRest()
    var consumed = 0
    var failure: AvroDecodeError?
    rest.withUnsafeBytes { bytes in
      var decoder = AvroDecoder(storage, bytes, limits, text, base)
      do throws(AvroDecodeError) {
        try value.decode(from: &decoder)
        consumed = try decoder.finish()
      } catch { failure = error }
    }
    if let error = failure { throw located(error, &reader) }
    // The decoder was over these very bytes, so as many are there.
    do { _ = try reader.readBytes(consumed) } catch { throw AvroDecodeError(offset: base, path: "", kind: .endOfData) }
  }

  /// The error with its path, which the typed way does not keep: the generic way meets the same bytes again and does.
  func located(_ error: AvroDecodeError, _ reader: inout ByteReader) -> AvroDecodeError {
    var again = reader
    do throws(AvroDecodeError) { _ = try decode(&again) } catch {
      return error
    }
    return error
  }
}

/// Where a typed reader stands: the next value and the schema's idea of it. Made by ``AvroPlan``; used by one thread.
///
/// Every read is held against the plan: asking for what the schema does not have there is a typed error, never a misreading.
public struct AvroDecoder: ~Copyable {
  private var cursor: Cursor
  @usableFromInline let tables: PlanTables
  // ``AvroPlan/decode(into:_:)`` holds the plan while there is a decoder of it.
  private let plan: Unmanaged<PlanStorage>
  private let base: Int
  /// The op of the value that comes next, -1 where none does.
  @usableFromInline var op: Int32

  init(_ plan: PlanStorage, _ bytes: UnsafeRawBufferPointer, _ limits: AvroLimits, _ text: AvroText, _ base: Int) {
    cursor = Cursor(bytes, limits: limits, text: text)
    tables = plan.tables
    self.plan = Unmanaged.passUnretained(plan)
    self.base = base
    op = Int32(plan.root)
  }

  /// How many bytes the datum had.
  mutating func finish() throws(AvroDecodeError) -> Int {
    if op >= 0 { try skipValue() }
    guard cursor.depth == 0 else { throw mismatch("the rest of a record or collection") }
    return cursor.consumed
  }

  @inline(never)
  private func failure(_ fault: Fault) -> AvroDecodeError { fault.error(from: cursor.start, base: base) }

  @inline(never)
  private mutating func mismatch(_ expected: String) -> AvroDecodeError {
    let found = op < 0 ? "no further value" : plan.takeUnretainedValue().node(of: Int(op)).branchName
    return failure(cursor.fail(.typeMismatch(expected: expected, found: found)))
  }

  /// An error of the caller's own about the value just read.
  public mutating func refusal(_ reason: String) -> AvroDecodeError {
    return failure(cursor.fail(.refused(reason)))
  }

  /// The code of the next value once a writer's union that the reader does not have is behind.
  private mutating func settled() throws(AvroDecodeError) -> PlanOp.Code {
    while op >= 0 {
      let next = tables.ops[Int(op)]
      if next.code == .failure {
        throw failure(cursor.fail(.unreadableBranch(plan.takeUnretainedValue().failures[Int(next.a)])))
      }
      guard next.code == .union else { return next.code }
      do throws(Fault) { op = tables.indices[Int(next.a) + (try cursor.branch(next))] } catch { throw failure(error) }
    }
    throw mismatch("a value")
  }

  @inline(__always)
  private mutating func code() throws(AvroDecodeError) -> PlanOp.Code {
    if op >= 0 {
      let code = tables.ops[Int(op)].code
      if code != .union, code != .failure { return code }
    }
    return try settled()
  }

  // MARK: Primitives

  /// The next value, a `null`.
  public mutating func readNull() throws(AvroDecodeError) {
    guard try code() == .null else { throw mismatch("null") }
    op = -1
  }

  /// The next value, a `boolean`.
  public mutating func readBoolean() throws(AvroDecodeError) -> Bool {
    guard try code() == .boolean else { throw mismatch("boolean") }
    op = -1
    do throws(Fault) { return try cursor.boolean() } catch { throw failure(error) }
  }

  /// The next value, an `int`.
  public mutating func readInt() throws(AvroDecodeError) -> Int32 {
    guard try code() == .int else { throw mismatch("int") }
    op = -1
    do throws(Fault) { return try cursor.int() } catch { throw failure(error) }
  }

  /// The next value, a `long` or an `int`.
  public mutating func readLong() throws(AvroDecodeError) -> Int64 {
    let code = try code()
    do throws(Fault) {
      switch code {
      case .long:
        op = -1
        return try cursor.long()
      case .int, .intToLong:
        op = -1
        return Int64(try cursor.int())
      default: break
      }
    } catch { throw failure(error) }
    throw mismatch("long")
  }

  /// The next value, a `float`.
  public mutating func readFloat() throws(AvroDecodeError) -> Float {
    let code = try code()
    do throws(Fault) {
      switch code {
      case .float:
        op = -1
        return try cursor.float()
      case .intToFloat:
        op = -1
        return Float(try cursor.int())
      case .longToFloat:
        op = -1
        return Float(try cursor.long())
      default: break
      }
    } catch { throw failure(error) }
    throw mismatch("float")
  }

  /// The next value, a `double` or a `float`.
  public mutating func readDouble() throws(AvroDecodeError) -> Double {
    let code = try code()
    do throws(Fault) {
      switch code {
      case .double:
        op = -1
        return try cursor.double()
      case .float, .floatToDouble:
        op = -1
        return Double(try cursor.float())
      case .intToDouble:
        op = -1
        return Double(try cursor.int())
      case .longToDouble:
        op = -1
        return Double(try cursor.long())
      default: break
      }
    } catch { throw failure(error) }
    throw mismatch("double")
  }

  /// The next value, a `string`.
  public mutating func readString() throws(AvroDecodeError) -> String {
    let code = try code()
    guard code == .string || code == .bytesToString else { throw mismatch("string") }
    op = -1
    do throws(Fault) { return try cursor.string() } catch { throw failure(error) }
  }

  /// The next value, a `bytes`.
  public mutating func readBytes() throws(AvroDecodeError) -> [UInt8] {
    let code = try code()
    guard code == .bytes || code == .stringToBytes else { throw mismatch("bytes") }
    op = -1
    do throws(Fault) { return try cursor.bytes() } catch { throw failure(error) }
  }

  /// The next value, a `fixed`.
  public mutating func readFixed() throws(AvroDecodeError) -> [UInt8] {
    guard try code() == .fixed else { throw mismatch("fixed") }
    let size = Int(tables.ops[Int(op)].a)
    op = -1
    do throws(Fault) { return try cursor.fixed(size) } catch { throw failure(error) }
  }

  /// The next value, the place of an enum's symbol in the reader's schema.
  public mutating func readEnumeration() throws(AvroDecodeError) -> Int {
    guard try code() == .enumeration else { throw mismatch("enum") }
    let symbol = tables.ops[Int(op)]
    op = -1
    do throws(Fault) { return try cursor.enumeration(symbol, tables, plan) } catch { throw failure(error) }
  }

  /// The next value, whatever it is.
  public mutating func readValue() throws(AvroDecodeError) -> AvroValue {
    guard op >= 0 else { throw mismatch("a value") }
    var generic = GenericDecoder(plan, tables, cursor)
    let index = Int(op)
    op = -1
    do throws(Fault) {
      let value = try generic.value(index)
      cursor = generic.cursor
      return value
    } catch {
      cursor = generic.cursor
      throw failure(error)
    }
  }

  /// Moves over the next value.
  public mutating func skipValue() throws(AvroDecodeError) {
    guard op >= 0 else { throw mismatch("a value") }
    let index = Int(op)
    op = -1
    do throws(Fault) { try cursor.skip(index, tables, plan) } catch { throw failure(error) }
  }

  // MARK: Unions

  /// The reader's branch of the next value, a union; the branch's value comes next.
  public mutating func readBranch() throws(AvroDecodeError) -> Int {
    guard try code() == .wrap else { throw mismatch("union") }
    let wrap = tables.ops[Int(op)]
    op = wrap.b
    return Int(wrap.a)
  }

  /// Whether the next value, a union, is null, which is then read; otherwise the branch's value comes next.
  public mutating func readIsNull() throws(AvroDecodeError) -> Bool {
    _ = try readBranch()
    guard try code() == .null else { return false }
    op = -1
    return true
  }
}

extension AvroDecoder {
  // MARK: Records

  /// The next value, a record; ``nextField(_:)`` gives its fields.
  public mutating func beginRecord() throws(AvroDecodeError) -> AvroFields {
    guard try code() == .record else { throw mismatch("record") }
    let record = tables.ops[Int(op)]
    op = -1
    do throws(Fault) { try cursor.enter() } catch { throw failure(error) }
    let shape = tables.records[Int(record.c)]
    return AvroFields(
      step: record.a, end: record.a + record.b, missing: shape.firstDefault, lastMissing: shape.firstDefault + shape.defaultCount)
  }

  /// The place in the reader's record of the field whose value comes next; `nil` once all have come. A field that was not read is skipped.
  @inlinable
  @inline(__always)
  public mutating func nextField(_ fields: inout AvroFields) throws(AvroDecodeError) -> Int? {
    // In the type's own loop, so that its switch over the places knows where they come from.
    if op < 0, fields.step < fields.end {
      let step = tables.steps[Int(fields.step)]
      if step.target >= 0 {
        fields.step &+= 1  // below end
        op = step.op
        return Int(step.target)
      }
    }
    return try fieldBehindSkipped(&fields)
  }

  /// As ``nextField(_:)`` where something is to be skipped first, or where the writer's fields are over.
  @usableFromInline
  mutating func fieldBehindSkipped(_ fields: inout AvroFields) throws(AvroDecodeError) -> Int? {
    if op >= 0 { try skipValue() }
    while fields.step < fields.end {
      let step = tables.steps[Int(fields.step)]
      fields.step &+= 1  // below end
      if step.target >= 0 {
        op = step.op
        return Int(step.target)
      }
      if cursor.step(over: tables.ops[Int(step.op)]) { continue }
      do throws(Fault) { try cursor.skip(Int(step.op), tables, plan) } catch { throw failure(error) }
    }
    return nextMissing(&fields)
  }

  /// Fields that the writer does not have are read from their defaults' bytes; the data's own wait.
  private mutating func nextMissing(_ fields: inout AvroFields) -> Int? {
    if let (next, end) = fields.data {
      cursor.next = next
      cursor.end = end
      fields.data = nil
    }
    guard fields.missing < fields.lastMissing else {
      if !fields.isOver { cursor.leave() }
      fields.isOver = true
      return nil
    }
    let missing = tables.defaults[Int(fields.missing)]
    fields.missing &+= 1  // below the last
    fields.data = (cursor.next, cursor.end)
    cursor.next = tables.defaultBytes + Int(missing.offset)
    cursor.end = cursor.next + Int(missing.length)
    op = missing.op
    return Int(missing.target)
  }

  // MARK: Collections

  /// The next value, an array; ``nextItem(_:)`` gives its items.
  public mutating func beginArray() throws(AvroDecodeError) -> AvroItems {
    guard try code() == .array else { throw mismatch("array") }
    return try beginItems()
  }

  /// The next value, a map; ``nextKey(_:)`` gives its keys, each before its value.
  public mutating func beginMap() throws(AvroDecodeError) -> AvroItems {
    guard try code() == .map else { throw mismatch("map") }
    return try beginItems()
  }

  private mutating func beginItems() throws(AvroDecodeError) -> AvroItems {
    let items = AvroItems(op: tables.ops[Int(op)].a)
    op = -1
    do throws(Fault) { try cursor.enter() } catch { throw failure(error) }
    return items
  }

  /// Whether an item comes next; an item that was not read is skipped.
  public mutating func nextItem(_ items: inout AvroItems) throws(AvroDecodeError) -> Bool {
    if op >= 0 { try skipValue() }
    if items.left == 0 {
      guard try nextBlock(&items, minimumSize: Int(tables.ops[Int(items.op)].minimumSize)) else { return false }
    }
    items.left &-= 1  // above zero
    op = items.op
    return true
  }

  /// The key of the value that comes next; `nil` at the end.
  public mutating func nextKey(_ items: inout AvroItems) throws(AvroDecodeError) -> String? {
    if op >= 0 { try skipValue() }
    if items.left == 0 {
      guard try nextBlock(&items, minimumSize: 1 + Int(tables.ops[Int(items.op)].minimumSize)) else { return nil }
    }
    items.left &-= 1  // above zero
    do throws(Fault) {
      let key = try cursor.string()
      op = items.op
      return key
    } catch { throw failure(error) }
  }

  private mutating func nextBlock(_ items: inout AvroItems, minimumSize: Int) throws(AvroDecodeError) -> Bool {
    if items.isOver { return false }
    do throws(Fault) {
      try cursor.end(items.block)
      items.block = try cursor.items(after: items.count, minimumSize: minimumSize)
      items.left = items.block.count
      // Items without bytes cost the caller memory all the same.
      if minimumSize == 0 { try cursor.charge(items: items.left, each: MemoryLayout<AvroValue>.stride) }
    } catch { throw failure(error) }
    items.count += items.left
    if items.left > 0 { return true }
    items.isOver = true
    cursor.leave()
    return false
  }
}

/// Where a record's reader stands.
public struct AvroFields {
  @usableFromInline var step: Int32
  @usableFromInline var end: Int32
  var missing: Int32
  var lastMissing: Int32
  /// The data's own place while a default is read.
  var data: (UnsafePointer<UInt8>, UnsafePointer<UInt8>)?
  var isOver = false
}

/// Where a collection's reader stands.
public struct AvroItems {
  var op: Int32
  /// Items left of the block, and how many all blocks so far announced.
  var left = 0
  var count = 0
  var isOver = false
  /// The block its items come from.
  var block = ItemBlock()

  init(op: Int32) { self.op = op }
}
