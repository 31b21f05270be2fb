/// Commands on one value or several.
extension CommandContext {
  @inline(__always)
  mutating func get(_ call: Invocation) throws(CommandError) {
    try replyValue(try key(call[1]))
  }

  @inline(__always)
  mutating func set(_ call: Invocation) throws(CommandError) {
    guard call.count == 3 else { return try setWithOptions(call) }
    let key = try key(call[1])
    keyspace.lock.lock()
    defer { keyspace.lock.unlock() }
    try put(key, call[2], expiry: 0)
    reply.ok()
  }

  private struct SetOptions {
    var ifAbsent = false
    var ifPresent = false
    var get = false
    var keepTTL = false
    var expiry: UInt64?
  }

  private mutating func setOptions(_ call: Invocation) throws(CommandError) -> SetOptions {
    var options = SetOptions()
    var index = 3
    var deadline: (index: Int, unit: TimeUnit, absolute: Bool)?
    while index < call.count {
      let hasNext = index + 1 < call.count
      let timed = options.keepTTL || deadline != nil
      if call.matches(index, "NX"), !options.ifPresent {
        options.ifAbsent = true
      } else if call.matches(index, "XX"), !options.ifAbsent {
        options.ifPresent = true
      } else if call.matches(index, "GET") {
        options.get = true
      } else if call.matches(index, "KEEPTTL"), deadline == nil {
        options.keepTTL = true
      } else if hasNext, !timed, let (unit, absolute) = deadlineOption(call, index) {
        index += 1
        deadline = (index, unit, absolute)
      } else {
        throw .syntax
      }
      index += 1
    }
    if let deadline {
      options.expiry = try expiry(call, deadline.index, deadline.unit, absolute: deadline.absolute, command: "set")
    }
    return options
  }

  private func deadlineOption(_ call: Invocation, _ index: Int) -> (TimeUnit, absolute: Bool)? {
    if call.matches(index, "EX") { return (.seconds, false) }
    if call.matches(index, "PX") { return (.milliseconds, false) }
    if call.matches(index, "EXAT") { return (.seconds, true) }
    if call.matches(index, "PXAT") { return (.milliseconds, true) }
    return nil
  }

  private mutating func setWithOptions(_ call: Invocation) throws(CommandError) {
    let options = try setOptions(call)
    let key = try key(call[1])
    keyspace.lock.lock()
    defer { keyspace.lock.unlock() }
    var old: (bytes: [UInt8], found: Found)?
    var present: Found?
    if options.get {
      old = try value(key)
      present = old?.found
    } else if options.ifAbsent || options.ifPresent || options.keepTTL {
      present = try peek(key)
    }
    let applies = !(options.ifAbsent && present != nil) && !(options.ifPresent && present == nil)
    if applies {
      try put(key, call[2], expiry: options.expiry ?? (options.keepTTL ? present?.expiry ?? 0 : 0))
    }
    if options.get {
      if let old { reply.bulk(old.bytes) } else { reply.null() }
    } else if applies {
      reply.ok()
    } else {
      reply.null()
    }
  }

  mutating func setIfAbsent(_ call: Invocation) throws(CommandError) {
    let key = try key(call[1])
    keyspace.lock.lock()
    defer { keyspace.lock.unlock() }
    if try peek(key) != nil { return reply.integer(0) }
    try put(key, call[2], expiry: 0)
    reply.integer(1)
  }

  mutating func setExpiring(_ call: Invocation, milliseconds: Bool) throws(CommandError) {
    let expiry = try expiry(call, 2, milliseconds ? .milliseconds : .seconds, absolute: false, command: milliseconds ? "psetex" : "setex")
    let key = try key(call[1])
    keyspace.lock.lock()
    defer { keyspace.lock.unlock() }
    try put(key, call[3], expiry: expiry)
    reply.ok()
  }

  mutating func getAndSet(_ call: Invocation) throws(CommandError) {
    let key = try key(call[1])
    keyspace.lock.lock()
    defer { keyspace.lock.unlock() }
    let old = try value(key)
    try put(key, call[2], expiry: 0)
    if let old { reply.bulk(old.bytes) } else { reply.null() }
  }

  mutating func getAndDelete(_ call: Invocation) throws(CommandError) {
    let key = try key(call[1])
    keyspace.lock.lock()
    defer { keyspace.lock.unlock() }
    guard let old = try value(key) else {
      misses += 1
      return reply.null()
    }
    hits += 1
    try remove(key)
    reply.bulk(old.bytes)
  }

  mutating func getAndExpire(_ call: Invocation) throws(CommandError) {
    enum Change {
      case none, persist
      case at(UInt64)
    }
    var change = Change.none
    if call.count == 3, call.matches(2, "PERSIST") {
      change = .persist
    } else if call.count == 4, let (unit, absolute) = deadlineOption(call, 2) {
      change = .at(try expiry(call, 3, unit, absolute: absolute, command: "getex"))
    } else if call.count > 2 {
      throw .syntax
    }
    let key = try key(call[1])
    if case .none = change { return try replyValue(key) }
    keyspace.lock.lock()
    defer { keyspace.lock.unlock() }
    guard let old = try value(key) else {
      misses += 1
      return reply.null()
    }
    hits += 1
    switch change {
    case .at(let expiry) where expiry <= now: try remove(key)
    case .at(let expiry): try put(key, old.bytes, expiry: expiry)
    case .persist where old.found.expiry != 0: try put(key, old.bytes, expiry: 0)
    case .persist, .none: break
    }
    reply.bulk(old.bytes)
  }

  mutating func getMany(_ call: Invocation) throws(CommandError) {
    // Under the lock, so that an MSET is seen whole or not at all.
    keyspace.lock.lock()
    defer { keyspace.lock.unlock() }
    reply.array(call.count - 1)
    for index in 1..<call.count { try replyValue(try key(call[index]), isLenient: true) }
  }

  private func mutations(_ call: Invocation) throws(CommandError) -> [Mutation] {
    var mutations: [Mutation] = []
    mutations.reserveCapacity(call.count / 2)
    for index in stride(from: 1, to: call.count, by: 2) {
      mutations.append(.put(key: [UInt8](try key(call[index])), value: call.bytes(index + 1), expiry: 0))
    }
    return mutations
  }

  mutating func setMany(_ call: Invocation) throws(CommandError) {
    guard call.count % 2 == 1 else { throw .wrongArity("mset") }
    let mutations = try mutations(call)
    keyspace.lock.lock()
    defer { keyspace.lock.unlock() }
    try submit(mutations)
    reply.ok()
  }

  mutating func setManyIfAbsent(_ call: Invocation) throws(CommandError) {
    guard call.count % 2 == 1 else { throw .wrongArity("msetnx") }
    let mutations = try mutations(call)
    keyspace.lock.lock()
    defer { keyspace.lock.unlock() }
    for index in stride(from: 1, to: call.count, by: 2) {
      if try peek(try key(call[index])) != nil { return reply.integer(0) }
    }
    try submit(mutations)
    reply.integer(1)
  }

  mutating func length(_ call: Invocation) throws(CommandError) {
    let now = now
    var length = 0
    var isString = true
    let outcome: ReadOutcome
    let key = try key(call[1])
    do {
      outcome = try keyspace.read(key, onlyIfCached: !mayWait) { value, stamp in
        guard Self.alive(stamp, at: now) else { return }
        length = value.count
        isString = RecordStamp(stamp).isString
      }
    } catch { throw .engine(error) }
    switch outcome {
    case .notCached: throw .notCached
    case .absent(let sequence), .found(_, let sequence): require(sequence)
    }
    guard isString else { throw .wrongType }
    reply.integer(length)
  }

  mutating func append(_ call: Invocation) throws(CommandError) {
    let key = try key(call[1])
    keyspace.lock.lock()
    defer { keyspace.lock.unlock() }
    let old = try value(key)
    var bytes = old?.bytes ?? []
    guard bytes.count + call[2].count <= maxValueBytes else { throw .tooLong }
    // Appending nothing to something changes nothing; an absent key becomes an empty one.
    if old == nil || call[2].count > 0 {
      bytes.append(contentsOf: call[2])
      try put(key, bytes, expiry: old?.found.expiry ?? 0)
    }
    reply.integer(bytes.count)
  }

  mutating func getRange(_ call: Invocation) throws(CommandError) {
    var first = try integer(call, 2)
    var last = try integer(call, 3)
    guard let (bytes, _) = try value(try key(call[1])) else {
      misses += 1
      return reply.bulk([])
    }
    hits += 1
    let count = Int64(bytes.count)
    if first < 0, last < 0, first > last { return reply.bulk([]) }
    if first < 0 { first = max(0, count &+ first) }
    if last < 0 { last = max(0, count &+ last) }
    last = min(last, count - 1)
    guard first <= last, count > 0 else { return reply.bulk([]) }
    bytes.withUnsafeBytes { reply.bulk(UnsafeRawBufferPointer(rebasing: $0[Int(first)...Int(last)])) }
  }

  mutating func setRange(_ call: Invocation) throws(CommandError) {
    let offset = try integer(call, 2)
    guard offset >= 0 else { throw .failed("ERR offset is out of range") }
    let patch = call[3]
    let key = try key(call[1])
    keyspace.lock.lock()
    defer { keyspace.lock.unlock() }
    let old = try value(key)
    var bytes = old?.bytes ?? []
    guard patch.count > 0 else { return reply.integer(bytes.count) }
    guard offset <= Int64(maxValueBytes), Int(offset) + patch.count <= maxValueBytes else { throw .tooLong }
    let end = Int(offset) + patch.count
    if bytes.count < end { bytes.append(contentsOf: repeatElement(0, count: end - bytes.count)) }
    bytes.withUnsafeMutableBytes { UnsafeMutableRawBufferPointer(rebasing: $0[Int(offset)..<end]).copyMemory(from: patch) }
    try put(key, bytes, expiry: old?.found.expiry ?? 0)
    reply.integer(bytes.count)
  }
}
