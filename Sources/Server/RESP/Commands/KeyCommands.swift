/// Commands on keys whatever their value.
extension CommandContext {
  mutating func delete(_ call: Invocation) throws(CommandError) {
    keyspace.lock.lock()
    defer { keyspace.lock.unlock() }
    if call.count == 2 {
      let key = try key(call[1])
      guard try peek(key) != nil else { return reply.integer(0) }
      try remove(key)
      return reply.integer(1)
    }
    var doomed: Set<[UInt8]> = []
    var mutations: [Mutation] = []
    for index in 1..<call.count {
      let key = try key(call[index])
      guard try peek(key) != nil else { continue }
      let bytes = [UInt8](key)
      if doomed.insert(bytes).inserted { mutations.append(.delete(key: bytes)) }
    }
    try submit(mutations)
    reply.integer(mutations.count)
  }

  mutating func exists(_ call: Invocation) throws(CommandError) {
    keyspace.lock.lock()
    defer { keyspace.lock.unlock() }
    var count = 0
    for index in 1..<call.count where try peek(try key(call[index])) != nil { count += 1 }
    hits += count
    misses += call.count - 1 - count
    reply.integer(count)
  }

  mutating func type(_ call: Invocation) throws(CommandError) {
    if let found = try peek(try key(call[1])) { reply.simple(found.type.name) } else { reply.simple("none") }
  }

  mutating func rename(_ call: Invocation, replacing: Bool) throws(CommandError) {
    let source = try key(call[1])
    let target = try secondKey(call[2], in: database)
    keyspace.lock.lock()
    defer { keyspace.lock.unlock() }
    guard let old = try record(source) else { throw .noSuchKey }
    if source.elementsEqual(target) { return replacing ? reply.ok() : reply.integer(0) }
    if !replacing, try peek(target) != nil { return reply.integer(0) }
    let stamp = RecordStamp(old.found.type, expiry: old.found.expiry)
    var mutations: [Mutation] = [.put(key: [UInt8](target), value: old.bytes, expiry: stamp.bits), .delete(key: [UInt8](source))]
    if !stamp.isString, let number = old.bytes.withUnsafeBytes({ StructureKeys.number(ofRoot: $0) }) {
      mutations.append(.put(key: StructureKeys.registration(number), value: [UInt8](target), expiry: 0))
    }
    try submit(mutations)
    if replacing { reply.ok() } else { reply.integer(1) }
  }

  mutating func copy(_ call: Invocation) throws(CommandError) {
    var replace = false
    var database = database
    var index = 3
    while index < call.count {
      if call.matches(index, "REPLACE") {
        replace = true
      } else if call.matches(index, "DB"), index + 1 < call.count {
        database = try databaseIndex(call, index + 1)
        index += 1
      } else {
        throw .syntax
      }
      index += 1
    }
    let source = try key(call[1])
    let target = try secondKey(call[2], in: database)
    if source.elementsEqual(target) { throw .failed("ERR source and destination objects are the same") }
    keyspace.lock.lock()
    defer { keyspace.lock.unlock() }
    guard let old = try record(source) else { return reply.integer(0) }
    if !replace, try peek(target) != nil { return reply.integer(0) }
    if old.found.type == .string {
      try put(target, old.bytes, expiry: old.found.expiry)
    } else {
      try copyFilter(old.bytes, old.found, to: target)
    }
    reply.integer(1)
  }

  // MARK: iteration

  private func page(_ position: ScanPosition, _ count: Int) throws(CommandError) -> ScanPage {
    guard mayWait || engine.listsFromMemory else { throw .notCached }
    do { return try engine.scan(from: position, prefix: UInt8(truncatingIfNeeded: database), count: count) } catch { throw .engine(error) }
  }

  private func isVisible(_ key: [UInt8], _ stamp: UInt64) -> Bool {
    key.first == UInt8(truncatingIfNeeded: database) && alive(stamp)
  }

  mutating func listKeys(_ call: Invocation) throws(CommandError) {
    let pattern = call.bytes(1)
    var keys: [[UInt8]] = []
    var bytes = 0
    var position = ScanPosition.start
    while position != .end {
      let page = try page(position, 4096)
      for (key, expiry) in page.keys where isVisible(key, expiry) && Glob.matches(pattern, key.dropFirst()) {
        keys.append(key)
        bytes += key.count
      }
      // The reply is bounded like any other, and so is the list it is made from.
      guard bytes <= maxValueBytes else { throw .failed("ERR more keys match than a reply may hold, use SCAN") }
      position = page.next
    }
    require(keyspace.lastSubmitted)
    reply.array(keys.count)
    for key in keys { key.withUnsafeBytes { reply.bulk(UnsafeRawBufferPointer(rebasing: $0[1...])) } }
  }

  mutating func scan(_ call: Invocation) throws(CommandError) {
    guard let cursor = Decimal.parseUnsigned(call[1]) else { throw .failed("ERR invalid cursor") }
    var count: Int64 = 10
    var pattern: [UInt8]?
    var types: ClosedRange<UInt8>? = 0...UInt8.max
    var index = 2
    while index < call.count {
      guard index + 1 < call.count else { throw .syntax }
      if call.matches(index, "COUNT") {
        count = try integer(call, index + 1)
        guard count >= 1 else { throw .syntax }
      } else if call.matches(index, "MATCH") {
        pattern = call.bytes(index + 1)
      } else if call.matches(index, "TYPE") {
        types = RecordType(named: call[index + 1]).map { $0.rawValue...$0.rawValue }
      } else {
        throw .syntax
      }
      index += 2
    }
    // One call looks at a bounded number of keys however large COUNT is.
    let database = UInt8(truncatingIfNeeded: database)
    let position = keyspace.cursors.position(cursor, database: database, isOrdered: engine.isOrdered)
    let page = try page(position, Int(min(count, 65_536)))
    let found = page.keys.filter { key, stamp in
      types?.contains(RecordStamp(stamp).type.rawValue) ?? false && isVisible(key, stamp)
        && (pattern.map { Glob.matches($0, key.dropFirst()) } ?? true)
    }
    require(keyspace.lastSubmitted)
    reply.array(2)
    reply.bulk(String(keyspace.cursors.number(page.next)))
    reply.array(found.count)
    for (key, _) in found { key.withUnsafeBytes { reply.bulk(UnsafeRawBufferPointer(rebasing: $0[1...])) } }
  }

  mutating func randomKey() throws(CommandError) {
    guard mayWait || engine.listsFromMemory else { throw .notCached }
    require(keyspace.lastSubmitted)
    if let size = keyspace.size(database), size.keys == 0 { return reply.null() }
    let prefix = UInt8(truncatingIfNeeded: database)
    for _ in 0..<64 {
      let some: [UInt8]?
      do { some = try engine.randomKey(prefix: prefix) } catch { throw .engine(error) }
      guard let key = some else { return reply.null() }
      guard key.first == prefix else { continue }
      let found: Found? = try key.span.bytes.withUnsafeBytes { (bytes) throws(CommandError) in try peek(bytes) }
      if found != nil { return key.withUnsafeBytes { reply.bulk(UnsafeRawBufferPointer(rebasing: $0[1...])) } }
    }
    // Few keys of this database among many of others: the first live one after a random place, once around. That may be long.
    guard mayWait else { throw .notCached }
    var positions = !engine.isOrdered ? [ScanPosition.hash(.random(in: 1 ... .max)), .start] : [.start]
    while var position = positions.first {
      positions.removeFirst()
      while position != .end {
        let page = try page(position, 512)
        if let (key, _) = page.keys.first(where: { isVisible($0.key, $0.expiry) }) {
          return key.withUnsafeBytes { reply.bulk(UnsafeRawBufferPointer(rebasing: $0[1...])) }
        }
        position = page.next
      }
    }
    reply.null()
  }

  mutating func databaseSize() throws(CommandError) {
    if let size = keyspace.size(database) {
      require(keyspace.lastSubmitted)
      return reply.integer(size.keys)
    }
    guard mayWait else { throw .notCached }
    let size: (keys: Int, expires: Int)
    do { size = try keyspace.countedSize(database) } catch { throw .engine(error) }
    require(keyspace.lastSubmitted)
    reply.integer(size.keys)
  }

  mutating func flush(_ call: Invocation, _ database: Int?) throws(CommandError) {
    if call.count > 2 || (call.count == 2 && !call.matches(1, "SYNC") && !call.matches(1, "ASYNC")) { throw .syntax }
    do { require(try keyspace.flush(database)) } catch { throw .engine(error) }
    reply.ok()
  }
}
