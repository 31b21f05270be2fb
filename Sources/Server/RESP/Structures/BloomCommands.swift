import StrataFilters

/// BF.*: Bloom filters that grow. What they answer is what RedisBloom answers; see Docs/Server.md for where not.
extension CommandContext {
  /// What became of one item.
  enum FilterOutcome {
    /// It was added.
    case added
    /// It is perhaps there already; nothing was done.
    case present
    /// It cannot be added; the text says why.
    case full(String)
  }

  private static var defaultBloom: FilterRoot { FilterRoot(capacity: 100, expansion: 2, errorRate: 0.01) }

  // MARK: arguments

  /// What BF.RESERVE and BF.INSERT say of a filter to be made.
  private struct BloomOptions {
    var root = defaultBloom
    var expands = false
    var isFixed = false
    var mayCreate = true
  }

  private func errorRate(_ call: Invocation, _ index: Int) throws(CommandError) -> Double {
    guard call[index].count <= 256, let rate = Double(call.text(index)) else { throw .failed("ERR bad error rate") }
    guard rate > 0, rate < 1 else { throw .failed("ERR (0 < error rate range < 1)") }
    return rate
  }

  private func capacity(_ call: Invocation, _ index: Int) throws(CommandError) -> UInt64 {
    guard let capacity = Decimal.parse(call[index]) else { throw .failed("ERR bad capacity") }
    guard capacity > 0 else { throw .failed("ERR (capacity should be larger than 0)") }
    return UInt64(capacity)
  }

  private func expansion(_ call: Invocation, _ index: Int) throws(CommandError) -> UInt32 {
    guard index < call.count else { throw .failed("ERR no expansion") }
    guard let value = Decimal.parse(call[index]), (0...Int64(FilterRoot.maxExpansion)).contains(value) else { throw .failed("ERR bad expansion") }
    return UInt32(value)
  }

  /// Takes the option at `index`; gives how many arguments it has, 0 for one that is unknown.
  private func bloomOption(_ call: Invocation, _ index: Int, _ options: inout BloomOptions) throws(CommandError) -> Int {
    if call.matches(index, "EXPANSION") {
      options.root.expansion = try expansion(call, index + 1)
      options.expands = options.root.expansion > 0
      return 2
    }
    if call.matches(index, "NONSCALING") {
      options.isFixed = true
      return 1
    }
    return 0
  }

  /// The filter that the options describe, with its first sub-filter.
  private func newBloom(_ options: BloomOptions) throws(CommandError) -> FilterAccess {
    guard !(options.isFixed && options.expands) else { throw .failed("Nonscaling filters cannot expand") }
    var access = FilterAccess(.bloom, options.root, isNew: true)
    if options.isFixed { access.root.expansion = 0 }
    guard grow(&access) else { throw .failed("ERR could not create filter, it would take more than \(FilterRoot.maxBytes) bytes") }
    return access
  }

  /// Adds a sub-filter; false where there may be none.
  private func grow(_ access: inout FilterAccess) -> Bool {
    let root = access.root
    guard root.parts.count < FilterRoot.maxSubfilters else { return false }
    let room = FilterRoot.maxBytes - min(access.byteCount, FilterRoot.maxBytes)
    let part: PagedBloom
    do throws(FilterError) {
      if root.grows {
        // How much larger it is than the ones before is in its capacity already.
        guard let own = Int(exactly: root.capacity(root.parts.count)) else { return false }
        let parameters = ScalableBloomFilter.Parameters(initialCapacity: own, falsePositiveRate: root.errorRate, growth: 1)
        part = try PagedBloom(slice: root.parts.count, of: parameters, maxBytes: room)
      } else {
        part = try PagedBloom(expectedItems: Int(clamping: root.capacity), falsePositiveRate: root.errorRate, maxBytes: room)
      }
    } catch { return false }
    access.root.parts.append(part.part)
    access.root.newestItems = 0
    access.rootIsChanged = true
    return true
  }

  // MARK: one item

  private mutating func bloomContains(_ hash: UInt64, _ access: inout FilterAccess) throws(CommandError) -> Bool {
    for index in access.root.parts.indices.reversed() {
      guard let paged = PagedBloom(access.root.parts[index]) else { throw Self.damagedFilter }
      let page = try page(access.root.firstPage(index) &+ paged.page(of: hash), bytes: paged.pageBytes, of: &access)
      if page.withUnsafeBytes({ paged.mayContain(hash, in: $0) }) { return true }
    }
    return false
  }

  private mutating func addToBloom(_ hash: UInt64, _ access: inout FilterAccess) throws(CommandError) -> FilterOutcome {
    if try bloomContains(hash, &access) { return .present }
    if access.root.newestItems >= access.root.capacity(access.root.parts.count - 1) {
      guard access.root.grows else { return .full("ERR non scaling filter is full") }
      guard grow(&access) else {
        return .full("ERR the filter is full, it may not have more than \(FilterRoot.maxSubfilters) sub-filters or \(FilterRoot.maxBytes) bytes")
      }
    }
    let newest = access.root.parts.count - 1
    guard let paged = PagedBloom(access.root.parts[newest]) else { throw Self.damagedFilter }
    let number = access.root.firstPage(newest) &+ paged.page(of: hash)
    var page = try page(number, bytes: paged.pageBytes, of: &access)
    access.pages[number] = nil
    _ = page.withUnsafeMutableBytes { paged.add(hash, to: $0) }
    guard access.change(number, to: page) else { throw Self.tooManyPages }
    access.root.items &+= 1
    access.root.newestItems &+= 1
    return .added
  }

  // MARK: commands

  mutating func reserveBloom(_ call: Invocation) throws(CommandError) {
    guard call.count <= 7 else { throw .wrongArity("bf.reserve") }
    var options = BloomOptions()
    options.root.errorRate = try errorRate(call, 2)
    options.root.capacity = try capacity(call, 3)
    var index = 4
    while index < call.count {
      let taken = try bloomOption(call, index, &options)
      guard taken > 0 else { throw .syntax }
      index += taken
    }
    var access = try newBloom(options)
    let key = try key(call[1])
    keyspace.lock.lock()
    defer { keyspace.lock.unlock() }
    try mustBeFree(key, .bloom)
    let counter = try open(&access)
    try commit(access, counter, to: key)
    reply.ok()
  }

  /// A reserved key must not be there.
  mutating func mustBeFree(_ key: UnsafeRawBufferPointer, _ type: RecordType) throws(CommandError) {
    guard let present = try peek(key) else { return }
    throw present.type == type ? .failed("ERR item exists") : .wrongType
  }

  mutating func addToBloom(_ call: Invocation, _ first: Int, many: Bool) throws(CommandError) {
    try addToBloom(call, first, many: many, BloomOptions())
  }

  mutating func insertIntoBloom(_ call: Invocation) throws(CommandError) {
    var options = BloomOptions()
    var index = 2
    while index < call.count, !call.matches(index, "ITEMS") {
      if call.matches(index, "NOCREATE") {
        options.mayCreate = false
        index += 1
      } else if call.matches(index, "CAPACITY"), index + 1 < call.count {
        options.root.capacity = try capacity(call, index + 1)
        index += 2
      } else if call.matches(index, "ERROR"), index + 1 < call.count {
        options.root.errorRate = try errorRate(call, index + 1)
        index += 2
      } else {
        let taken = try bloomOption(call, index, &options)
        guard taken > 0 else { throw .failed("ERR Unknown argument received") }
        index += taken
      }
    }
    guard index + 1 < call.count else { throw .wrongArity("bf.insert") }
    try addToBloom(call, index + 1, many: true, options)
  }

  private mutating func addToBloom(_ call: Invocation, _ first: Int, many: Bool, _ options: BloomOptions) throws(CommandError) {
    let made = try newBloom(options)
    let key = try key(call[1])
    keyspace.lock.lock()
    defer { keyspace.lock.unlock() }
    let present = try filter(key, .bloom)
    guard options.mayCreate || present != nil else { throw .failed("ERR not found") }
    var access = present ?? made
    let counter = try open(&access)
    var outcomes: [FilterOutcome] = []
    for index in first..<call.count {
      let outcome = try addToBloom(hash(call[index], access), &access)
      outcomes.append(outcome)
      access.trim()
      if case .full(let text) = outcome, !many { throw .failed(text) }
      // What comes behind it is not looked at any more.
      if case .full = outcome { break }
    }
    try commit(access, counter, to: key)
    if many { reply.array(outcomes.count) }
    for outcome in outcomes {
      switch outcome {
      case .added: reply.boolean(true)
      case .present: reply.boolean(false)
      case .full(let text): reply.error(text)
      }
    }
  }

  mutating func lookUpInBloom(_ call: Invocation, many: Bool) throws(CommandError) {
    let key = try key(call[1])
    keyspace.lock.lock()
    defer { keyspace.lock.unlock() }
    var access = try filter(key, .bloom)
    var answers: [Bool] = []
    for index in 2..<call.count {
      var answer = false
      if var present = access {
        access = nil
        answer = try bloomContains(hash(call[index], present), &present)
        present.trim()
        access = present
      }
      answers.append(answer)
    }
    if many { reply.array(answers.count) }
    for answer in answers { reply.boolean(answer) }
  }

  mutating func describeBloom(_ call: Invocation) throws(CommandError) {
    guard call.count <= 3 else { throw .wrongArity("bf.info") }
    let key = try key(call[1])
    keyspace.lock.lock()
    defer { keyspace.lock.unlock() }
    guard let access = try filter(key, .bloom) else { throw .failed("ERR not found") }
    let root = access.root
    let fields: [(option: StaticString, name: StaticString, value: Int64?)] = [
      ("CAPACITY", "Capacity", Int64(clamping: root.totalCapacity)), ("SIZE", "Size", Int64(clamping: access.byteCount)),
      ("FILTERS", "Number of filters", Int64(root.parts.count)), ("ITEMS", "Number of items inserted", Int64(clamping: root.items)),
      ("EXPANSION", "Expansion rate", root.grows ? Int64(root.expansion) : nil),
    ]
    if call.count == 3 {
      guard let field = fields.first(where: { call.matches(2, $0.option) }) else { throw .failed("ERR Invalid information value") }
      reply.array(1)
      if let value = field.value { reply.integer(value) } else { reply.null() }
      return
    }
    reply.map(fields.count)
    for field in fields {
      reply.simple(field.name)
      if let value = field.value { reply.integer(value) } else { reply.null() }
    }
  }

  mutating func countBloom(_ call: Invocation) throws(CommandError) {
    let key = try key(call[1])
    keyspace.lock.lock()
    defer { keyspace.lock.unlock() }
    reply.integer(Int64(clamping: try filter(key, .bloom)?.root.items ?? 0))
  }
}
