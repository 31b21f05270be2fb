/// Commands on a key's time to live. The expiry is part of the record, so changing it writes the value again; of a structure of many records only the
/// root.
extension CommandContext {
  private struct ExpireConditions {
    var ifNone = false
    var ifSome = false
    var ifLater = false
    var ifEarlier = false

    /// Whether the new expiry may replace the old one (0: none, which counts as infinitely late).
    func allow(_ old: UInt64, _ new: Int64) -> Bool {
      if ifNone, old != 0 { return false }
      if ifSome, old == 0 { return false }
      if ifLater, old == 0 || new <= Int64(clamping: old) { return false }
      if ifEarlier, old != 0, new >= Int64(clamping: old) { return false }
      return true
    }
  }

  private func conditions(_ call: Invocation) throws(CommandError) -> ExpireConditions {
    var conditions = ExpireConditions()
    for index in 3..<max(3, call.count) {
      if call.matches(index, "NX") {
        conditions.ifNone = true
      } else if call.matches(index, "XX") {
        conditions.ifSome = true
      } else if call.matches(index, "GT") {
        conditions.ifLater = true
      } else if call.matches(index, "LT") {
        conditions.ifEarlier = true
      } else {
        throw .failed("ERR Unsupported option \(call.text(index))")
      }
    }
    if conditions.ifNone, conditions.ifSome || conditions.ifLater || conditions.ifEarlier {
      throw .failed("ERR NX and XX, GT or LT options at the same time are not compatible")
    }
    if conditions.ifLater, conditions.ifEarlier { throw .failed("ERR GT and LT options at the same time are not compatible") }
    return conditions
  }

  mutating func expire(_ call: Invocation, _ unit: TimeUnit, absolute: Bool) throws(CommandError) {
    let name = (unit == .milliseconds ? "p" : "") + "expire" + (absolute ? "at" : "")
    let conditions = try conditions(call)
    let amount = try integer(call, 2)
    guard let deadline = expiry(amount, unit, absolute: absolute) else { throw .invalidExpire(name) }
    let key = try key(call[1])
    keyspace.lock.lock()
    defer { keyspace.lock.unlock() }
    guard let present = try peek(key), conditions.allow(present.expiry, deadline) else { return reply.integer(0) }
    guard present.type == .string || deadline < Int64(RecordStamp.expiryEnd) else { throw .invalidExpire(name) }
    if deadline <= Int64(clamping: now) {
      try remove(key)
    } else {
      guard let old = try record(key) else { return reply.integer(0) }
      try put(key, old.bytes, expiry: RecordStamp(old.found.type, expiry: UInt64(deadline)).bits)
    }
    reply.integer(1)
  }

  mutating func persist(_ call: Invocation) throws(CommandError) {
    let key = try key(call[1])
    keyspace.lock.lock()
    defer { keyspace.lock.unlock() }
    guard let present = try peek(key), present.expiry != 0, let old = try record(key) else { return reply.integer(0) }
    try put(key, old.bytes, expiry: RecordStamp(old.found.type, expiry: 0).bits)
    reply.integer(1)
  }

  mutating func remaining(_ call: Invocation, _ unit: TimeUnit, absolute: Bool) throws(CommandError) {
    guard let found = try peek(try key(call[1])) else { return reply.integer(-2) }
    guard found.expiry != 0 else { return reply.integer(-1) }
    let milliseconds = Int64(clamping: absolute ? found.expiry : found.expiry - now)
    // Seconds are rounded, as Redis rounds them.
    let seconds = milliseconds / 1000 + (milliseconds % 1000 >= 500 ? 1 : 0)
    reply.integer(unit == .milliseconds ? milliseconds : seconds)
  }
}
