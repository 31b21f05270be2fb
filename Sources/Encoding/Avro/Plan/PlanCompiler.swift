/// Holds a writer's schema against a reader's and writes down what to do, by the resolution rules of the specification.
///
/// A pair of types is resolved once; the op stands in the memo before its children are made, which closes recursion. A pair that fails
/// becomes a failure op, so that what already refers to it fails at decoding, and fails again for whoever asks.
struct PlanCompiler {
  private let writer: AvroSchema
  private let reader: AvroSchema
  private var parts = PlanParts()
  private var memo: [Pair: Int] = [:]
  private var failed: [Int: AvroResolutionError] = [:]
  private var depth = 0

  private static let maximumOps = 1 << 20
  private static let maximumDepth = 1000

  /// Whose schema stands on either side: the writer's data for the reader, or one schema's own data.
  private enum Sides: UInt8 { case both, writerAlone, readerAlone }

  private struct Pair: Hashable {
    var writer: Int
    var reader: Int
    var sides: Sides
  }

  init(writer: AvroSchema, reader: AvroSchema) {
    self.writer = writer
    self.reader = reader
  }

  mutating func compile() throws(AvroResolutionError) -> PlanStorage {
    let isOne = writer.storage === reader.storage && writer.index == reader.index
    let root = try resolve(Pair(writer: writer.index, reader: reader.index, sides: isOne ? .writerAlone : .both), "")
    measure()
    return PlanStorage(parts, root: root, writer: writer.storage, reader: reader.storage)
  }

  private func nodes(_ pair: Pair) -> (writer: SchemaNode, reader: SchemaNode) {
    let w = pair.sides == .readerAlone ? reader.storage : writer.storage
    let r = pair.sides == .writerAlone ? writer.storage : reader.storage
    return (w.nodes[pair.writer], r.nodes[pair.reader])
  }

  private mutating func add(_ op: PlanOp, _ pair: Pair) -> Int {
    parts.ops.append(op)
    parts.origins.append(PlanOrigin(node: Int32(pair.reader), isWriter: pair.sides == .writerAlone))
    return parts.ops.count - 1
  }

  // MARK: Pairs

  private mutating func resolve(_ pair: Pair, _ path: String) throws(AvroResolutionError) -> Int {
    if let index = memo[pair] {
      if let error = failed[index] { throw error }
      return index
    }
    guard parts.ops.count < Self.maximumOps, depth < Self.maximumDepth else {
      throw AvroResolutionError(path: path, reason: "the schemas are too large to be held against each other")
    }
    depth += 1
    defer { depth -= 1 }
    let index = add(PlanOp(code: .null), pair)
    memo[pair] = index
    do {
      parts.ops[index] = try op(pair, path)
    } catch {
      failed[index] = error
      parts.ops[index] = failure(error)
      throw error
    }
    return index
  }

  private mutating func failure(_ error: AvroResolutionError) -> PlanOp {
    parts.failures.append(error.reason)
    return PlanOp(code: .failure, a: Int32(parts.failures.count - 1))
  }

  private mutating func op(_ pair: Pair, _ path: String) throws(AvroResolutionError) -> PlanOp {
    let (w, r) = nodes(pair)
    if w.kind == .union { return try writerUnion(pair, w, r, path) }
    if r.kind == .union { return try readerUnion(pair, w, r, path) }
    if w.kind == r.kind { return try sameKind(pair, w, r, path) }
    if let code = Self.promotion(w.kind, r.kind) { return PlanOp(code: code) }
    throw AvroResolutionError(path: path, reason: "\(w.branchName) cannot be read as \(r.branchName)")
  }

  private mutating func sameKind(_ pair: Pair, _ w: SchemaNode, _ r: SchemaNode, _ path: String) throws(AvroResolutionError) -> PlanOp {
    if w.kind.isNamed, Resolution.nameMatch(w, r) == nil {
      throw AvroResolutionError(path: path, reason: "\(w.kind.rawValue) \(w.branchName) is not \(r.branchName)")
    }
    if let reason = Resolution.decimalMismatch(w, r) { throw AvroResolutionError(path: path, reason: reason) }
    switch w.kind {
    case .null: return PlanOp(code: .null)
    case .boolean: return PlanOp(code: .boolean)
    case .int: return PlanOp(code: .int)
    case .long: return PlanOp(code: .long)
    case .float: return PlanOp(code: .float)
    case .double: return PlanOp(code: .double)
    case .bytes: return PlanOp(code: .bytes)
    case .string: return PlanOp(code: .string)
    case .fixed:
      guard w.size == r.size else {
        throw AvroResolutionError(path: path, reason: "fixed \(w.branchName) has \(w.size) bytes, the reader's \(r.size)")
      }
      return PlanOp(code: .fixed, a: Int32(w.size))
    case .enumeration: return try enumeration(w, r, path)
    case .array, .map:
      let isArray = w.kind == .array
      let child = Pair(writer: w.element, reader: r.element, sides: pair.sides)
      let element = try resolve(child, path + (isArray ? "/items" : "/values"))
      return PlanOp(code: isArray ? .array : .map, a: Int32(element))
    case .record: return try record(pair, w, r, path)
    case .union: return try writerUnion(pair, w, r, path)
    }
  }

  static func promotion(_ w: AvroKind, _ r: AvroKind) -> PlanOp.Code? {
    switch (w, r) {
    case (.int, .long): .intToLong
    case (.int, .float): .intToFloat
    case (.int, .double): .intToDouble
    case (.long, .float): .longToFloat
    case (.long, .double): .longToDouble
    case (.float, .double): .floatToDouble
    case (.string, .bytes): .stringToBytes
    case (.bytes, .string): .bytesToString
    default: nil
    }
  }

  private mutating func enumeration(_ w: SchemaNode, _ r: SchemaNode, _ path: String) throws(AvroResolutionError) -> PlanOp {
    if w.symbols == r.symbols { return PlanOp(code: .enumeration, a: Int32(w.symbols.count), b: -1) }
    let places = Dictionary(uniqueKeysWithValues: r.symbols.enumerated().map { ($1, $0) })
    // An unknown symbol without default is -1 - place of the reason.
    var mapping: [Int32] = []
    var known = w.symbols.isEmpty
    for symbol in w.symbols {
      if let place = places[symbol] ?? r.defaultSymbol {
        known = true
        mapping.append(Int32(place))
      } else {
        parts.failures.append(symbol)
        mapping.append(-Int32(parts.failures.count))
      }
    }
    guard known else { throw AvroResolutionError(path: path, reason: "enum \(r.branchName) knows no symbol of the writer and has no default") }
    let start = parts.indices.count
    parts.indices += mapping
    return PlanOp(code: .enumeration, a: Int32(w.symbols.count), b: Int32(start))
  }

  // MARK: Unions

  private mutating func writerUnion(_ pair: Pair, _ w: SchemaNode, _ r: SchemaNode, _ path: String) throws(AvroResolutionError) -> PlanOp {
    var branches: [Int32] = []
    var readable = w.branches.isEmpty
    var reason: AvroResolutionError?
    for (number, branch) in w.branches.enumerated() {
      do throws(AvroResolutionError) {
        let child: Int
        if pair.sides != .both, r.kind == .union {
          let op = try resolve(Pair(writer: branch, reader: r.branches[number], sides: pair.sides), "\(path)/\(number)")
          child = add(PlanOp(code: .wrap, a: Int32(number), b: Int32(op)), pair)
        } else if r.kind == .union {
          let wrap = try readerUnion(
            Pair(writer: branch, reader: pair.reader, sides: pair.sides), writer.storage.nodes[branch], r, "\(path)/\(number)")
          child = add(wrap, pair)
        } else {
          child = try resolve(Pair(writer: branch, reader: pair.reader, sides: pair.sides), "\(path)/\(number)")
        }
        branches.append(Int32(child))
        readable = true
      } catch {
        reason = reason ?? error
        branches.append(Int32(add(failure(error), pair)))
      }
    }
    guard readable else { throw reason ?? AvroResolutionError(path: path, reason: "no branch can be read") }
    let start = parts.indices.count
    parts.indices += branches
    return PlanOp(code: .union, a: Int32(start), b: Int32(branches.count))
  }

  private mutating func readerUnion(_ pair: Pair, _ w: SchemaNode, _ r: SchemaNode, _ path: String) throws(AvroResolutionError) -> PlanOp {
    let storage = pair.sides == .writerAlone ? writer.storage : reader.storage
    guard let branch = Resolution.branch(of: r, for: w, in: storage) else {
      throw AvroResolutionError(path: path, reason: "the reader's union has no branch for \(w.branchName)")
    }
    let op = try resolve(Pair(writer: pair.writer, reader: r.branches[branch], sides: pair.sides), path)
    return PlanOp(code: .wrap, a: Int32(branch), b: Int32(op))
  }

  // MARK: Records

  private mutating func record(_ pair: Pair, _ w: SchemaNode, _ r: SchemaNode, _ path: String) throws(AvroResolutionError) -> PlanOp {
    let targets = pair.sides == .both ? Resolution.fieldTargets(writer: w, reader: r) : Array(w.fields.indices)
    var steps: [PlanStep] = []
    var filled = Set<Int>()
    for (number, field) in w.fields.enumerated() {
      let place = "\(path)/\(field.name)"
      if let target = targets[number] {
        filled.insert(target)
        let op = try resolve(Pair(writer: field.type, reader: r.fields[target].type, sides: pair.sides), place)
        steps.append(PlanStep(op: Int32(op), target: Int32(target)))
      } else {
        let op = try resolve(Pair(writer: field.type, reader: field.type, sides: .writerAlone), place)
        steps.append(PlanStep(op: Int32(op), target: -1))
      }
    }
    var defaults: [PlanDefault] = []
    for (number, field) in r.fields.enumerated() where !filled.contains(number) {
      guard let value = field.defaultValue else {
        throw AvroResolutionError(path: "\(path)/\(field.name)", reason: "the writer has no such field and the reader no default for it")
      }
      let own = Pair(writer: field.type, reader: field.type, sides: .readerAlone)
      let op = try resolve(own, "\(path)/\(field.name)")
      let bytes = PlainEncoder.bytes(value)
      defaults.append(
        PlanDefault(
          target: Int32(number), op: Int32(op), offset: Int32(parts.defaultBytes.count), length: Int32(bytes.count),
          value: Int32(parts.defaultValues.count)))
      parts.defaultBytes += bytes
      parts.defaultValues.append(value)
    }
    let straight = steps.enumerated().allSatisfy { Int($1.target) == $0 } && steps.count == r.fields.count
    parts.records.append(
      PlanRecord(
        fieldCount: Int32(r.fields.count), isStraight: straight, firstDefault: Int32(parts.defaults.count), defaultCount: Int32(defaults.count)))
    parts.defaults += defaults
    let start = parts.steps.count
    parts.steps += steps
    return PlanOp(code: .record, a: Int32(start), b: Int32(steps.count), c: Int32(parts.records.count - 1))
  }

  // MARK: Sizes

  /// Finds for every op how many bytes its data have. Ops that contain themselves have no fixed size.
  private mutating func measure() {
    var state = [UInt8](repeating: 0, count: parts.ops.count)
    for index in parts.ops.indices { measure(index, &state, depth: 0) }
  }

  private mutating func measure(_ index: Int, _ state: inout [UInt8], depth: Int) {
    guard state[index] == 0, depth <= Self.maximumDepth else { return }
    state[index] = 1
    let op = parts.ops[index]
    var fixed: Int32 = -1
    var minimum: Int32 = 1
    switch op.code {
    case .null: (fixed, minimum) = (0, 0)
    case .boolean: fixed = 1
    case .float, .floatToDouble: (fixed, minimum) = (4, 4)
    case .double: (fixed, minimum) = (8, 8)
    case .fixed: (fixed, minimum) = (op.a, op.a)
    case .wrap:
      measure(Int(op.b), &state, depth: depth + 1)
      (fixed, minimum) = (parts.ops[Int(op.b)].fixedSize, parts.ops[Int(op.b)].minimumSize)
    case .record: (fixed, minimum) = measureRecord(op, &state, depth: depth)
    case .array, .map: measure(Int(op.a), &state, depth: depth + 1)
    case .union: for branch in 0..<Int(op.b) { measure(Int(parts.indices[Int(op.a) + branch]), &state, depth: depth + 1) }
    case .failure: minimum = 0
    default: break
    }
    parts.ops[index].fixedSize = fixed
    parts.ops[index].minimumSize = minimum
    state[index] = 2
  }

  private mutating func measureRecord(_ op: PlanOp, _ state: inout [UInt8], depth: Int) -> (Int32, Int32) {
    var fixed = 0
    var minimum = 0
    var isFixed = true
    for step in Int(op.a)..<Int(op.a) + Int(op.b) {
      let child = Int(parts.steps[step].op)
      measure(child, &state, depth: depth + 1)
      let measured = parts.ops[child]
      isFixed = isFixed && state[child] == 2 && measured.fixedSize >= 0
      fixed = min(fixed + Int(max(measured.fixedSize, 0)), 1 << 32)
      minimum = min(minimum + Int(measured.minimumSize), Int(Int32.max))
    }
    return (isFixed && fixed <= Int(Int32.max) ? Int32(fixed) : -1, Int32(minimum))
  }
}
