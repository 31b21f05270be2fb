import StrataFilters

/// CF.*: cuckoo filters, from which items can be removed again. What they answer is what RedisBloom answers; see Docs/Server.md for where not.
extension CommandContext {
  private static var defaultCuckoo: FilterRoot { FilterRoot(capacity: 1024, expansion: 1, errorRate: 0) }
  /// Sub-filters a cuckoo filter may have: each adds to the share of false positives.
  private static let maxCuckooSubfilters = 32

  // MARK: arguments

  private func number(
    _ call: Invocation, _ index: Int, _ name: StaticString, _ range: ClosedRange<Int64>
  ) throws(CommandError) -> Int64 {
    guard index < call.count, let value = Decimal.parse(call[index]) else { throw .failed("Couldn't parse \(name)") }
    guard range.contains(value) else {
      throw .failed("\(name): value must be an integer between \(range.lowerBound) and \(range.upperBound), inclusive.")
    }
    return value
  }

  private func newCuckoo(_ root: FilterRoot) throws(CommandError) -> FilterAccess {
    var access = FilterAccess(.cuckoo, root, isNew: true)
    guard growCuckoo(&access) else { throw .failed("ERR Could not create filter, it would take more than \(FilterRoot.maxBytes) bytes") }
    return access
  }

  /// Adds a sub-filter; false where there may be none.
  private func growCuckoo(_ access: inout FilterAccess) -> Bool {
    let count = access.root.parts.count
    guard count < Self.maxCuckooSubfilters, let capacity = Int(exactly: access.root.capacity(count)) else { return false }
    let room = FilterRoot.maxBytes - min(access.byteCount, FilterRoot.maxBytes)
    guard let part = try? PagedCuckoo(capacity: capacity, maxBytes: room) else { return false }
    access.root.parts.append(part.part)
    access.rootIsChanged = true
    return true
  }

  // MARK: one item

  /// The page of an item in one sub-filter, as a filter of its own.
  private struct CuckooPage {
    var shape: PagedCuckoo
    var number: UInt32
    var filter: CuckooFilter
  }

  private mutating func cuckooPage(_ hash: UInt64, _ index: Int, _ access: inout FilterAccess) throws(CommandError) -> CuckooPage {
    guard let shape = PagedCuckoo(access.root.parts[index]) else { throw Self.damagedFilter }
    let number = access.root.firstPage(index) &+ shape.page(of: hash)
    let bytes = try page(number, bytes: shape.pageBytes, of: &access)
    do throws(FilterError) {
      let filter = try bytes.span.bytes.withUnsafeBytes { (bytes) throws(FilterError) in try shape.filter(bytes) }
      return CuckooPage(shape: shape, number: number, filter: filter)
    } catch { throw Self.damagedFilter }
  }

  private func keep(_ page: CuckooPage, _ access: inout FilterAccess) throws(CommandError) {
    guard access.change(page.number, to: page.shape.bytes(page.filter)) else { throw Self.tooManyPages }
  }

  private mutating func cuckooContains(_ hash: UInt64, _ access: inout FilterAccess) throws(CommandError) -> Bool {
    for index in access.root.parts.indices.reversed() {
      if try cuckooPage(hash, index, &access).filter.mayContain(hash: PagedHash.inner(hash)) { return true }
    }
    return false
  }

  private mutating func addToCuckoo(_ hash: UInt64, unique: Bool, _ access: inout FilterAccess) throws(CommandError) -> FilterOutcome {
    if unique, try cuckooContains(hash, &access) { return .present }
    var index = access.root.parts.count - 1
    while true {
      var page = try cuckooPage(hash, index, &access)
      if (try? page.filter.add(hash: PagedHash.inner(hash))) != nil {
        try keep(page, &access)
        access.root.items &+= 1
        return .added
      }
      // Room in earlier sub-filters is used before there is a further one.
      index -= 1
      guard index < 0 else { continue }
      guard access.root.grows else { return .full("Filter is full") }
      guard growCuckoo(&access) else { return .full("Maximum expansions reached") }
      index = access.root.parts.count - 1
    }
  }

  // MARK: commands

  mutating func reserveCuckoo(_ call: Invocation) throws(CommandError) {
    guard let capacity = Decimal.parse(call[2]) else { throw .failed("Bad capacity") }
    var root = Self.defaultCuckoo
    var bucket: Int64 = 2
    var index = 3
    while index < call.count {
      if call.matches(index, "BUCKETSIZE") {
        bucket = try number(call, index + 1, "BUCKETSIZE", 1...255)
      } else if call.matches(index, "MAXITERATIONS") {
        _ = try number(call, index + 1, "MAXITERATIONS", 1...65_535)
      } else if call.matches(index, "EXPANSION") {
        root.expansion = UInt32(try number(call, index + 1, "EXPANSION", 0...Int64(FilterRoot.maxExpansion)))
      } else {
        throw .syntax
      }
      index += 2
    }
    guard capacity >= bucket * 2 else { throw .failed("Capacity must be at least (BucketSize * 2)") }
    root.capacity = UInt64(capacity)
    var access = try newCuckoo(root)
    let key = try key(call[1])
    keyspace.lock.lock()
    defer { keyspace.lock.unlock() }
    try mustBeFree(key, .cuckoo)
    let counter = try open(&access)
    try commit(access, counter, to: key)
    reply.ok()
  }

  mutating func addToCuckoo(_ call: Invocation, unique: Bool) throws(CommandError) {
    let outcome = try addToCuckoo(call, 2, unique: unique, Self.defaultCuckoo, mayCreate: true, many: false)[0]
    if case .present = outcome { reply.boolean(false) } else { reply.boolean(true) }
  }

  mutating func insertIntoCuckoo(_ call: Invocation, unique: Bool) throws(CommandError) {
    var root = Self.defaultCuckoo
    var mayCreate = true
    var index = 2
    while index < call.count, !call.matches(index, "ITEMS") {
      if call.matches(index, "NOCREATE") {
        mayCreate = false
        index += 1
      } else if call.matches(index, "CAPACITY"), index + 1 < call.count {
        guard let capacity = Decimal.parse(call[index + 1]) else { throw .failed("Bad capacity") }
        guard capacity >= 4 else { throw .failed("Capacity must be at least (BucketSize * 2)") }
        root.capacity = UInt64(capacity)
        index += 2
      } else {
        throw .failed("Unknown argument received")
      }
    }
    guard index + 1 < call.count else { throw .wrongArity(unique ? "cf.insertnx" : "cf.insert") }
    let outcomes = try addToCuckoo(call, index + 1, unique: unique, root, mayCreate: mayCreate, many: true)
    reply.array(outcomes.count)
    for outcome in outcomes {
      switch outcome {
      case .added: unique ? reply.integer(1) : reply.boolean(true)
      case .present: reply.integer(0)
      case .full: !unique && reply.resp3 ? reply.boolean(false) : reply.integer(-1)
      }
    }
  }

  /// Adds all arguments from `first` on and writes what that changed.
  private mutating func addToCuckoo(
    _ call: Invocation, _ first: Int, unique: Bool, _ root: FilterRoot, mayCreate: Bool, many: Bool
  ) throws(CommandError) -> [FilterOutcome] {
    let made = try newCuckoo(root)
    let key = try key(call[1])
    keyspace.lock.lock()
    defer { keyspace.lock.unlock() }
    let present = try filter(key, .cuckoo)
    guard mayCreate || present != nil else { throw .failed("ERR not found") }
    var access = present ?? made
    let counter = try open(&access)
    var outcomes: [FilterOutcome] = []
    for index in first..<call.count {
      let outcome = try addToCuckoo(hash(call[index], access), unique: unique, &access)
      if case .full(let text) = outcome, !many { throw .failed(text) }
      outcomes.append(outcome)
      access.trim()
    }
    try commit(access, counter, to: key)
    return outcomes
  }

  mutating func lookUpInCuckoo(_ call: Invocation, many: Bool) throws(CommandError) {
    let key = try key(call[1])
    keyspace.lock.lock()
    defer { keyspace.lock.unlock() }
    var answers: [Bool] = []
    if var access = try filter(key, .cuckoo) {
      for index in 2..<call.count {
        answers.append(try cuckooContains(hash(call[index], access), &access))
        access.trim()
      }
    }
    if many { reply.array(call.count - 2) }
    for index in 0..<(call.count - 2) { reply.boolean(index < answers.count && answers[index]) }
  }

  mutating func removeFromCuckoo(_ call: Invocation) throws(CommandError) {
    let key = try key(call[1])
    keyspace.lock.lock()
    defer { keyspace.lock.unlock() }
    guard var access = try filter(key, .cuckoo) else { throw .failed("Not found") }
    let hash = hash(call[2], access)
    for index in access.root.parts.indices.reversed() {
      var page = try cuckooPage(hash, index, &access)
      guard (try? page.filter.remove(hash: PagedHash.inner(hash))) != nil else { continue }
      try keep(page, &access)
      access.root.items -= access.root.items > 0 ? 1 : 0
      access.root.deleted &+= 1
      try commit(access, nil, to: key)
      return reply.boolean(true)
    }
    reply.boolean(false)
  }

  mutating func countInCuckoo(_ call: Invocation) throws(CommandError) {
    let key = try key(call[1])
    keyspace.lock.lock()
    defer { keyspace.lock.unlock() }
    var count = 0
    if var access = try filter(key, .cuckoo) {
      let hash = hash(call[2], access)
      for index in access.root.parts.indices { count += try cuckooPage(hash, index, &access).filter.count(hash: PagedHash.inner(hash)) }
    }
    reply.integer(count)
  }

  mutating func describeCuckoo(_ call: Invocation) throws(CommandError) {
    let key = try key(call[1])
    keyspace.lock.lock()
    defer { keyspace.lock.unlock() }
    guard let access = try filter(key, .cuckoo) else { throw .failed("ERR not found") }
    let root = access.root
    let buckets = root.parts.reduce(0) { $0 + (PagedCuckoo($1)?.buckets ?? 0) }
    let fields: [(StaticString, UInt64)] = [
      ("Size", access.byteCount), ("Number of buckets", buckets), ("Number of filters", UInt64(root.parts.count)),
      ("Number of items inserted", root.items), ("Number of items deleted", root.deleted), ("Bucket size", 4),
      ("Expansion rate", UInt64(root.expansion)), ("Max iterations", 500),
    ]
    reply.map(fields.count)
    for (name, value) in fields {
      reply.simple(name)
      reply.integer(Int64(clamping: value))
    }
  }
}
