import CStrataServer

/// Commands on values that are numbers.
extension CommandContext {
  mutating func add(_ call: Invocation, _ amount: Int64) throws(CommandError) {
    let key = try key(call[1])
    keyspace.lock.lock()
    defer { keyspace.lock.unlock() }
    var number: Int64 = 0
    var isNumber = true
    var live = false
    var isString = true
    let now = now
    let outcome: ReadOutcome
    do {
      outcome = try keyspace.read(key, onlyIfCached: !mayWait) { value, stamp in
        guard Self.alive(stamp, at: now) else { return }
        live = true
        isString = RecordStamp(stamp).isString
        if let parsed = Decimal.parse(value) { number = parsed } else { isNumber = false }
      }
    } catch { throw .engine(error) }
    var expiry: UInt64 = 0
    switch outcome {
    case .notCached: throw .notCached
    case .absent(let sequence): require(sequence)
    case .found(let stored, let sequence):
      require(sequence)
      if live { expiry = stored }
    }
    guard isString else { throw .wrongType }
    guard isNumber else { throw .notInteger }
    let (sum, overflow) = number.addingReportingOverflow(amount)
    guard !overflow else { throw .overflow }
    try withUnsafeTemporaryAllocation(byteCount: 24, alignment: 1) { (scratch) throws(CommandError) in
      let start = Decimal.write(sum, scratch)
      try put(key, UnsafeRawBufferPointer(rebasing: scratch[start...]), expiry: expiry)
    }
    reply.integer(sum)
  }

  mutating func subtract(_ call: Invocation) throws(CommandError) {
    let amount = try integer(call, 2)
    guard amount != .min else { throw .failed("ERR decrement would overflow") }
    try add(call, -amount)
  }

  mutating func addDecimal(_ call: Invocation) throws(CommandError) {
    let key = try key(call[1])
    keyspace.lock.lock()
    defer { keyspace.lock.unlock() }
    let old = try value(key)
    let current = old?.bytes ?? [UInt8(ascii: "0")]
    var failure: Int32 = 0
    let sum = [UInt8](unsafeUninitializedCapacity: 5120) { target, count in
      current.withUnsafeBytes { a in
        let b = call[2]
        failure = strata_decimal_add(
          a.baseAddress?.assumingMemoryBound(to: CChar.self), a.count, b.baseAddress?.assumingMemoryBound(to: CChar.self), b.count,
          UnsafeMutableRawPointer(target.baseAddress)?.assumingMemoryBound(to: CChar.self), target.count, &count)
      }
    }
    switch failure {
    case 0: break
    case Int32(STRATA_DECIMAL_OVERFLOW.rawValue): throw .failed("ERR increment would produce NaN or Infinity")
    default: throw .failed("ERR value is not a valid float")
    }
    try put(key, sum, expiry: old?.found.expiry ?? 0)
    reply.bulk(sum)
  }
}
