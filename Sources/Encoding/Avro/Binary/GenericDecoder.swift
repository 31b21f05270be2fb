/// Follows a plan and builds an ``AvroValue``.
struct GenericDecoder {
  // Whoever decodes holds the plan for as long; counting it again for each datum or skipped field costs as much as reading one.
  let plan: Unmanaged<PlanStorage>
  let tables: PlanTables
  var cursor: Cursor

  /// The caller holds the plan while there is a decoder.
  init(_ plan: Unmanaged<PlanStorage>, _ tables: PlanTables, _ cursor: Cursor) {
    self.plan = plan
    self.tables = tables
    self.cursor = cursor
  }

  /// What a value in a collection takes in memory, about.
  private static let valueBytes = MemoryLayout<AvroValue>.stride
  private static let entryBytes = MemoryLayout<(String, AvroValue)>.stride

  mutating func value(_ index: Int) throws(Fault) -> AvroValue {
    let op = tables.ops[index]
    switch op.code {
    case .null: return .null
    case .boolean: return .boolean(try cursor.boolean())
    case .int: return .int(try cursor.int())
    case .long: return .long(try cursor.long())
    case .float: return .float(try cursor.float())
    case .double: return .double(try cursor.double())
    case .bytes, .stringToBytes: return .bytes(try cursor.bytes())
    case .string, .bytesToString: return .string(try cursor.string())
    case .fixed: return .fixed(try cursor.fixed(Int(op.a)))
    case .intToLong: return .long(Int64(try cursor.int()))
    case .intToFloat: return .float(Float(try cursor.int()))
    case .intToDouble: return .double(Double(try cursor.int()))
    case .longToFloat: return .float(Float(try cursor.long()))
    case .longToDouble: return .double(Double(try cursor.long()))
    case .floatToDouble: return .double(Double(try cursor.float()))
    case .record:
      try cursor.enter()
      let fields = tables.records[Int(op.c)].isStraight ? try straight(op) : try rearranged(op)
      cursor.leave()
      return .record(fields)
    default: return try compound(op)
    }
  }

  private mutating func compound(_ op: PlanOp) throws(Fault) -> AvroValue {
    switch op.code {
    case .enumeration: return .enumeration(try cursor.enumeration(op, tables, plan))
    case .union:
      let branch = try cursor.branch(op)
      return try value(Int(tables.indices[Int(op.a) + branch]))
    case .wrap:
      try cursor.enter()
      try cursor.charge(Self.valueBytes)
      let value = try value(Int(op.b))
      cursor.leave()
      return .union(branch: Int(op.a), value)
    case .array:
      try cursor.enter()
      let items = try array(op)
      cursor.leave()
      return .array(items)
    case .map:
      try cursor.enter()
      let entries = try map(op)
      cursor.leave()
      return .map(entries)
    default: throw cursor.fail(.unreadableBranch(plan.takeUnretainedValue().failures[Int(op.a)]))
    }
  }

  // MARK: Records

  /// Fields that come all and in the reader's order.
  private mutating func straight(_ op: PlanOp) throws(Fault) -> [AvroValue] {
    let count = Int(op.b)
    if count == 0 { return [] }
    try cursor.charge(32 + count * Self.valueBytes)
    let steps = tables.steps + Int(op.a)
    // Appending is specialized here; an array made uninitialized asks the runtime for its type each time.
    var fields: [AvroValue] = []
    fields.reserveCapacity(count)
    for number in 0..<count {
      do throws(Fault) { fields.append(try value(Int(steps[number].op))) } catch {
        throw error.inside(plan.takeUnretainedValue().fieldName(op, number))
      }
    }
    return fields
  }

  private mutating func rearranged(_ op: PlanOp) throws(Fault) -> [AvroValue] {
    let record = tables.records[Int(op.c)]
    try cursor.charge(32 + Int(record.fieldCount) * Self.valueBytes)
    var fields = [AvroValue](repeating: .null, count: Int(record.fieldCount))
    for number in Int(op.a)..<Int(op.a) + Int(op.b) {
      let step = tables.steps[number]
      do throws(Fault) {
        if step.target >= 0 {
          fields[Int(step.target)] = try value(Int(step.op))
        } else if !cursor.step(over: tables.ops[Int(step.op)]) {
          try cursor.skip(Int(step.op), tables, plan)
        }
      } catch {
        throw error.inside(plan.takeUnretainedValue().fieldName(op, number - Int(op.a)))
      }
    }
    for number in Int(record.firstDefault)..<Int(record.firstDefault) + Int(record.defaultCount) {
      let missing = tables.defaults[number]
      fields[Int(missing.target)] = plan.takeUnretainedValue().defaultValues[Int(missing.value)]
    }
    return fields
  }

  // MARK: Collections

  private mutating func array(_ op: PlanOp) throws(Fault) -> [AvroValue] {
    var items: [AvroValue] = []
    while true {
      let block = try cursor.items(after: items.count, minimumSize: Int(tables.ops[Int(op.a)].minimumSize))
      let count = block.count
      if count == 0 { return items }
      try cursor.charge(items: count, each: Self.valueBytes)
      items.reserveCapacity(items.isEmpty ? count : max(items.count + count, items.count * 2))
      for _ in 0..<count {
        do throws(Fault) { items.append(try value(Int(op.a))) } catch {
          throw error.inside("\(items.count)")
        }
      }
      try cursor.end(block)
    }
  }

  private mutating func map(_ op: PlanOp) throws(Fault) -> [(String, AvroValue)] {
    var entries: [(String, AvroValue)] = []
    while true {
      let block = try cursor.items(after: entries.count, minimumSize: 1 + Int(tables.ops[Int(op.a)].minimumSize))
      let count = block.count
      if count == 0 { return entries }
      try cursor.charge(items: count, each: Self.entryBytes)
      entries.reserveCapacity(entries.isEmpty ? count : max(entries.count + count, entries.count * 2))
      for _ in 0..<count {
        let key = try cursor.string()
        do throws(Fault) { entries.append((key, try value(Int(op.a)))) } catch {
          throw error.inside(key)
        }
      }
      try cursor.end(block)
    }
  }
}

extension PlanStorage {
  /// What a path calls the field a step reads. The reader's name where it keeps the field, else its place in the writer's record.
  func fieldName(_ op: PlanOp, _ step: Int) -> String {
    let owner = tables.steps[Int(op.a) + step]
    guard let index = (0..<origins.count).first(where: { tables.ops[$0].code == .record && tables.ops[$0].c == op.c }) else { return "\(step)" }
    let fields = node(of: index).fields
    guard owner.target >= 0, Int(owner.target) < fields.count else { return "\(step)" }
    return fields[Int(owner.target)].name
  }
}

extension Cursor {
  /// The place of an enum's symbol in the reader's schema.
  @inline(__always)
  mutating func enumeration(_ op: PlanOp, _ tables: PlanTables, _ plan: Unmanaged<PlanStorage>) throws(Fault) -> Int {
    let place = next
    let index = Int64(try int())
    guard index >= 0, index < Int64(op.a) else { throw fail(.enumOutOfRange(index, symbols: Int(op.a)), at: place) }
    if op.b < 0 { return Int(index) }
    let target = tables.indices[Int(op.b) + Int(index)]
    guard target >= 0 else { throw fail(.unknownSymbol(plan.takeUnretainedValue().failures[Int(-1 - target)]), at: place) }
    return Int(target)
  }

  /// The writer's branch of a union.
  @inline(__always)
  mutating func branch(_ op: PlanOp) throws(Fault) -> Int {
    let place = next
    let branch = try long()
    guard branch >= 0, branch < Int64(op.b) else { throw fail(.branchOutOfRange(branch, branches: Int(op.b)), at: place) }
    return Int(branch)
  }

  /// How many items the next block has, 0 at the end. The bytes left can hold them, and all items together keep to the limit.
  @inline(__always)
  mutating func items(after count: Int, minimumSize: Int) throws(Fault) -> ItemBlock {
    let place = next
    let (more, size) = try block()
    if more == 0 { return ItemBlock() }
    guard more <= limits.maxCollectionItems - count else { throw fail(.limitExceeded("items", limit: limits.maxCollectionItems), at: place) }
    if minimumSize > 0, more > remaining / minimumSize { throw fail(.endOfData, at: end) }
    return ItemBlock(count: more, size: size ?? 0, end: size.map { next + $0 })
  }

  /// To be called behind a block's last item: holds what was read against what the block says.
  @inline(__always)
  mutating func end(_ block: ItemBlock) throws(Fault) {
    guard let end = block.end, end != next else { return }
    throw fail(.wrongBlockSize(stated: block.size, actual: block.size + (next - end)), at: end - block.size)
  }
}
