// Skipping moves over data without building anything: fixed widths in one step, sized blocks in one jump.

extension Cursor {
  /// Moves over a number or a short text whose end one word shows, which most fields that a projection leaves out are; says whether it did. Where it
  /// did not, nothing has moved, and ``skip(_:_:_:)`` finds what there is.
  @inline(__always)
  mutating func step(over op: PlanOp) -> Bool {
    guard remaining >= 8 else { return false }
    switch op.code {
    case .long, .longToFloat, .longToDouble, .int, .intToLong, .intToFloat, .intToDouble:
      let word = UInt64(littleEndian: UnsafeRawPointer(next).loadUnaligned(as: UInt64.self))
      let ends = ~word & 0x8080_8080_8080_8080
      let length = ends.trailingZeroBitCount / 8 + 1
      // A number of four bytes is an int; the fifth of one may say more than 32 bits.
      let isLong = op.code == .long || op.code == .longToFloat || op.code == .longToDouble
      guard ends != 0, isLong || length <= 4 else { return false }
      next += length
      return true
    case .string, .bytes, .stringToBytes, .bytesToString:
      let head = Int(next.pointee)
      // One byte, and not a negative number.
      guard head < 0x80, head & 1 == 0, head >> 1 < remaining else { return false }
      next += 1 + (head >> 1)
      return true
    default: return false
    }
  }

  /// Moves over one datum of the op's writer.
  mutating func skip(_ index: Int, _ tables: PlanTables, _ plan: Unmanaged<PlanStorage>) throws(Fault) {
    let op = tables.ops[index]
    if op.fixedSize >= 0 {
      // A boolean's content is not looked at, but a reader that goes on behind it loses nothing by that.
      _ = try take(Int(op.fixedSize))
      return
    }
    switch op.code {
    case .int, .intToLong, .intToFloat, .intToDouble: _ = try int()
    case .long, .longToFloat, .longToDouble: _ = try long()
    case .bytes, .string, .stringToBytes, .bytesToString: next += try length()
    case .enumeration: _ = try enumerationPlace(op)
    case .union: try skip(Int(tables.indices[Int(op.a) + (try branch(op))]), tables, plan)
    case .wrap:
      try enter()
      try skip(Int(op.b), tables, plan)
      leave()
    case .array, .map:
      try enter()
      try skipCollection(op, tables, plan)
      leave()
    case .record:
      try enter()
      for number in 0..<Int(op.b) {
        do throws(Fault) { try skip(Int(tables.steps[Int(op.a) + number].op), tables, plan) } catch {
          throw error.inside(plan.takeUnretainedValue().fieldName(op, number))
        }
      }
      leave()
    case .failure: throw fail(.unreadableBranch(plan.takeUnretainedValue().failures[Int(op.a)]))
    // These have a fixed size and were taken above.
    case .null, .boolean, .float, .double, .fixed, .floatToDouble: break
    }
  }

  private mutating func enumerationPlace(_ op: PlanOp) throws(Fault) -> Int32 {
    let place = next
    let index = try int()
    guard index >= 0, index < op.a else { throw fail(.enumOutOfRange(Int64(index), symbols: Int(op.a)), at: place) }
    return index
  }

  private mutating func skipCollection(_ op: PlanOp, _ tables: PlanTables, _ plan: Unmanaged<PlanStorage>) throws(Fault) {
    let item = tables.ops[Int(op.a)]
    let isMap = op.code == .map
    var items = 0
    while true {
      let place = next
      let (count, size) = try block()
      if count == 0 { return }
      guard count <= limits.maxCollectionItems - items else { throw fail(.limitExceeded("items", limit: limits.maxCollectionItems), at: place) }
      items += count
      if let size {
        next += size
        continue
      }
      if item.fixedSize >= 0, !isMap {
        let (total, overflow) = count.multipliedReportingOverflow(by: Int(item.fixedSize))
        guard !overflow else { throw fail(.endOfData) }
        _ = try take(total)
        continue
      }
      for number in 0..<count {
        if isMap { next += try length() }
        do throws(Fault) { try skip(Int(op.a), tables, plan) } catch {
          throw error.inside("\(items - count + number)")
        }
      }
    }
  }
}
