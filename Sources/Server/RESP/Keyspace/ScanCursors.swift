import StrataJobs

/// Numbers for places in a scan, as clients want them.
///
/// A place in hash order is its own number. For a place in key order the number's upper 48 bits are the key's first six bytes behind the
/// database, in order, and a bounded table holds the whole key. A number the table no longer knows, after a restart say, goes on at the first
/// key with those six bytes: no key is lost, some come again.
final class ScanCursors: Sendable {
  static let maxEntries = 4096
  static let maxBytes = 16 << 20
  private static let serialBits: UInt64 = 16
  private static let prefixBytes = 6

  private struct State {
    var keys: [UInt64: [UInt8]] = [:]
    /// Numbers, oldest first; those before `oldest` are gone.
    var order: [UInt64] = []
    var oldest = 0
    var bytes = 0
    var serial: UInt64 = 0
  }

  private let state = Monitor(State())

  /// The number of a place; 0 for the end.
  func number(_ position: ScanPosition) -> UInt64 {
    switch position {
    case .start, .end: 0
    case .hash(let hash): hash
    case .key(let key): enter(key)
    }
  }

  private func enter(_ key: [UInt8]) -> UInt64 {
    let head = (1...Self.prefixBytes).reduce(UInt64(0)) { $0 << 8 | ($1 < key.count ? UInt64(key[$1]) : 0) } << Self.serialBits
    return state.withLock { state in
      repeat { state.serial = state.serial % (1 << Self.serialBits - 1) + 1 } while state.keys[head | state.serial] != nil
      let number = head | state.serial
      state.keys[number] = key
      state.order.append(number)
      state.bytes += key.count
      while state.keys.count > Self.maxEntries || (state.bytes > Self.maxBytes && state.keys.count > 1) {
        state.bytes -= state.keys.removeValue(forKey: state.order[state.oldest])?.count ?? 0
        state.oldest += 1
      }
      if state.oldest > Self.maxEntries {
        state.order.removeFirst(state.oldest)
        state.oldest = 0
      }
      return number
    }
  }

  /// The place a client's number stands for in a database.
  func position(_ number: UInt64, database: UInt8, isOrdered: Bool) -> ScanPosition {
    if number == 0 { return .start }
    guard isOrdered else { return .hash(number) }
    if let key = state.withLock({ $0.keys[number] }), key.first == database { return .key(key) }
    var key = [database]
    for index in 0..<Self.prefixBytes { key.append(UInt8(truncatingIfNeeded: number >> UInt64(56 - 8 * index))) }
    // Zeros may stand for what a short key does not have.
    while key.count > 1, key.last == 0 { key.removeLast() }
    return .key(key)
  }
}
