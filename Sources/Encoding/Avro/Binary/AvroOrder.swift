import StrataBytes

/// The order of data by the specification, found from the bytes: records field by field as their schemas say, numbers by value, text and
/// bytes byte by byte, unions by branch and then value. NaN is above all numbers and -0 below 0, as Java orders them. Maps have no order.
public struct AvroOrder: Sendable {
  private let plan: AvroPlan

  /// The order of `schema`'s data.
  /// - Throws: ``AvroResolutionError`` only for a schema of more than a million types.
  public init(_ schema: AvroSchema, limits: AvroLimits = .default) throws(AvroResolutionError) {
    plan = try AvroPlan(writer: schema, limits: limits)
  }

  /// Below zero where the datum at `a` comes first, above where that at `b` does, zero where neither does. Reads no further than it must.
  /// - Throws: ``AvroDecodeError`` for damaged data and for maps that would decide.
  public func compare(_ a: ByteReader, _ b: ByteReader) throws(AvroDecodeError) -> Int {
    var (a, b) = (a, b)
    let offset = a.offset
    let (first, second) = (a.readRest(), b.readRest())
    var failure: AvroDecodeError?
    let result = first.withUnsafeBytes { first in
      second.withUnsafeBytes { second in
        var comparison = Comparison(
          plan: plan.storage, tables: plan.storage.tables, a: Cursor(first, limits: plan.limits), b: Cursor(second, limits: plan.limits))
        do throws(Fault) { return try comparison.compare(plan.storage.root) } catch {
          failure = error.error(from: comparison.failedInB ? comparison.b.start : comparison.a.start, base: offset)
          return 0
        }
      }
    }
    if let failure { throw failure }
    return result
  }
}

/// The order of two data of one schema; see ``AvroOrder``, which is made once for many.
/// - Throws: ``AvroDecodeError`` for damaged data and for maps that would decide.
public func compareEncoded(_ a: ByteReader, _ b: ByteReader, schema: AvroSchema) throws(AvroDecodeError) -> Int {
  let order: AvroOrder
  do { order = try AvroOrder(schema) } catch { throw AvroDecodeError(offset: a.offset, path: error.path, kind: .refused(error.reason)) }
  return try order.compare(a, b)
}

private struct Comparison {
  let plan: PlanStorage
  let tables: PlanTables
  var a: Cursor
  var b: Cursor
  var failedInB = false

  private mutating func both<T>(_ read: (inout Cursor) throws(Fault) -> T) throws(Fault) -> (T, T) {
    failedInB = false
    let first = try read(&a)
    failedInB = true
    let second = try read(&b)
    failedInB = false
    return (first, second)
  }

  private func sign<T: Comparable>(_ pair: (T, T)) -> Int { pair.0 < pair.1 ? -1 : pair.0 > pair.1 ? 1 : 0 }

  /// Bits as a number that orders as the specification's Java does.
  private func rank(_ value: Double) -> Int64 {
    let bits = Int64(bitPattern: (value.isNaN ? Double.nan : value).bitPattern)
    return bits >= 0 ? bits : .min + ~bits  // negative numbers run the other way; ~bits is not negative, so nothing overflows
  }

  mutating func compare(_ index: Int) throws(Fault) -> Int {
    let op = tables.ops[index]
    switch op.code {
    case .null: return 0
    case .boolean: return sign(try both { (c) throws(Fault) in try c.boolean() ? 1 : 0 })
    case .int: return sign(try both { (c) throws(Fault) in try c.int() })
    case .long: return sign(try both { (c) throws(Fault) in try c.long() })
    case .float:
      let pair = try both { (c) throws(Fault) in try c.float() }
      return sign((rank(Double(pair.0)), rank(Double(pair.1))))
    case .double:
      let pair = try both { (c) throws(Fault) in try c.double() }
      return sign((rank(pair.0), rank(pair.1)))
    case .bytes, .string:
      let lengths = try both { (c) throws(Fault) in try c.length() }
      return bytes(lengths.0, lengths.1)
    case .fixed:
      let size = Int(op.a)
      _ = try both { (c) throws(Fault) in
        _ = try c.take(size)
        c.next -= size
      }
      return bytes(size, size)
    case .enumeration:
      let (plan, tables) = (Unmanaged.passUnretained(plan), tables)
      return sign(try both { (c) throws(Fault) in try c.enumeration(op, tables, plan) })
    case .union:
      let branches = try both { (c) throws(Fault) in try c.branch(op) }
      if branches.0 != branches.1 { return sign(branches) }
      return try compare(Int(tables.ops[Int(tables.indices[Int(op.a) + branches.0])].b))
    case .array: return try array(op)
    case .record: return try record(op, index)
    case .map: throw a.fail(.notComparable)
    // A schema's own plan has no promotions, wraps outside unions or failures.
    default: throw a.fail(.notComparable)
    }
  }

  private mutating func bytes(_ first: Int, _ second: Int) -> Int {
    let order = memoryOrder(UnsafeRawBufferPointer(start: a.next, count: first), UnsafeRawBufferPointer(start: b.next, count: second))
    a.next += first
    b.next += second
    return order
  }

  private func memoryOrder(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Int {
    for index in 0..<min(a.count, b.count) where a[index] != b[index] { return a[index] < b[index] ? -1 : 1 }
    return a.count < b.count ? -1 : a.count > b.count ? 1 : 0
  }

  private mutating func record(_ op: PlanOp, _ index: Int) throws(Fault) -> Int {
    try a.enter()
    let origin = plan.origins[index]
    let storage = origin.isWriter ? plan.writer : plan.reader
    for number in 0..<Int(op.b) {
      let child = Int(tables.steps[Int(op.a) + number].op)
      switch storage.nodes[Int(origin.node)].fields[number].order {
      case .ignore:
        let (plan, tables) = (Unmanaged.passUnretained(plan), tables)
        _ = try both { (c) throws(Fault) in try c.skip(child, tables, plan) }
      case .ascending:
        let order = try compare(child)
        if order != 0 { return order }
      case .descending:
        let order = try compare(child)
        if order != 0 { return -order }
      }
    }
    a.leave()
    return 0
  }

  private mutating func array(_ op: PlanOp) throws(Fault) -> Int {
    try a.enter()
    var left = (0, 0)
    var counts = (0, 0)
    var blocks = (ItemBlock(), ItemBlock())
    let minimum = Int(tables.ops[Int(op.a)].minimumSize)
    while true {
      if left.0 == 0 {
        try a.end(blocks.0)
        blocks.0 = try a.items(after: counts.0, minimumSize: minimum)
        left.0 = blocks.0.count
        counts.0 += left.0
      }
      if left.1 == 0 {
        failedInB = true
        try b.end(blocks.1)
        blocks.1 = try b.items(after: counts.1, minimumSize: minimum)
        left.1 = blocks.1.count
        failedInB = false
        counts.1 += left.1
      }
      if left.0 == 0 || left.1 == 0 {
        a.leave()
        return left.0 > 0 ? 1 : left.1 > 0 ? -1 : 0
      }
      if minimum == 0, tables.ops[Int(op.a)].fixedSize == 0 {
        // Items without bytes are all equal: what counts is how many there are.
        let common = min(left.0, left.1)
        left = (left.0 - common, left.1 - common)
        continue
      }
      let order = try compare(Int(op.a))
      if order != 0 { return order }
      left = (left.0 - 1, left.1 - 1)
    }
  }
}
