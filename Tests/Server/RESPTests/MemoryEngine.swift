import class NIOConcurrencyHelpers.ConditionLock
import StrataRESP
import Synchronization

/// An engine in memory whose faults and delays are the test's: acknowledgements on command, cold records, no room, failing calls.
final class MemoryEngine: KeyValueEngine {
  struct Record {
    var value: [UInt8]
    var expiry: UInt64
    var sequence: UInt64
  }

  struct State {
    var records: [[UInt8]: Record] = [:]
    var removals: [[UInt8]: UInt64] = [:]
    var sequence: UInt64 = 0
    var acknowledged: UInt64 = 0
    var isManual = false
    var failure: EngineError?
    var waiters: [(sequence: UInt64, callback: @Sendable (EngineError?) -> Void)] = []
    var cold: Set<[UInt8]> = []
    var staysCold = false
    var waits = 0
    var hasRoom = true
    var roomWaiters: [@Sendable (EngineError?) -> Void] = []
    var roomError: EngineError?
    var writeError: EngineError?
    var readError: EngineError?
    var syncs = 0
    var isClosed = false
    var merges = 0
    var watchers: [(condition: @Sendable (borrowing State) -> Bool, bell: ConditionLock<Int>)] = []
  }

  let state = Mutex(State())
  let name = "memory"

  /// With `manual`, writes are acknowledged only by ``acknowledge(_:)``.
  init(manual: Bool = false) { state.withLock { $0.isManual = manual } }

  // MARK: faults

  func acknowledge(_ sequence: UInt64? = nil) {
    let ready = state.withLock { state in
      state.acknowledged = max(state.acknowledged, sequence ?? state.sequence)
      let ready = state.waiters.filter { $0.sequence <= state.acknowledged }
      state.waiters.removeAll { $0.sequence <= state.acknowledged }
      return ready
    }
    for waiter in ready { waiter.callback(nil) }
  }

  /// Nothing is acknowledged any more.
  func fail(_ error: EngineError) {
    let lost = state.withLock { state in
      state.failure = error
      defer { state.waiters = [] }
      return state.waiters
    }
    for waiter in lost { waiter.callback(error) }
  }

  func setRoom(_ hasRoom: Bool) {
    let waiters = state.withLock { state in
      state.hasRoom = hasRoom
      defer { if hasRoom { state.roomWaiters = [] } }
      return hasRoom ? state.roomWaiters : []
    }
    for waiter in waiters { waiter(nil) }
  }

  /// Makes reads of `key` in database 0 touch the disk once, or every time.
  func cool(_ key: String, forEver: Bool = false) {
    state.withLock {
      $0.cold.insert([0] + Array(key.utf8))
      $0.staysCold = forEver
    }
  }

  // MARK: what tests wait for

  /// Returns once a write has got `sequence`.
  func waitForSequence(_ sequence: UInt64) { wait { $0.sequence >= sequence } }

  /// Returns once a connection waits for room.
  func waitForRoomWaiter() { wait { !$0.roomWaiters.isEmpty } }

  private func wait(_ condition: @escaping @Sendable (borrowing State) -> Bool) {
    let bell = ConditionLock(value: 0)
    let isTrue = state.withLock { state in
      if condition(state) { return true }
      state.watchers.append((condition, bell))
      return false
    }
    guard !isTrue else { return }
    bell.lock(whenValue: 1)
    bell.unlock()
  }

  /// Wakes the tests whose condition has come true.
  private func ring() {
    state.withLock { state in
      for watcher in state.watchers where watcher.condition(state) {
        watcher.bell.lock()
        watcher.bell.unlock(withValue: 1)
      }
      state.watchers.removeAll { $0.bell.value == 1 }
    }
  }

  // MARK: KeyValueEngine

  func read(_ key: RawSpan, onlyIfCached: Bool, _ body: (RawSpan, UInt64) -> Void) throws(EngineError) -> ReadOutcome {
    let key = key.withUnsafeBytes { [UInt8]($0) }
    let found = state.withLock { state -> (Result<ReadOutcome, EngineError>, [UInt8]) in
      if let error = state.readError { return (.failure(error), []) }
      if state.cold.contains(key) {
        if onlyIfCached { return (.success(.notCached), []) }
        state.waits += 1
        if !state.staysCold { state.cold.remove(key) }
      }
      guard let record = state.records[key] else { return (.success(.absent(asOf: state.removals[key] ?? 0)), []) }
      return (.success(.found(expiry: record.expiry, sequence: record.sequence)), record.value)
    }
    let outcome = try found.0.get()
    if case .found(let expiry, _) = outcome { body(found.1.span.bytes, expiry) }
    return outcome
  }

  func peek(_ key: RawSpan, onlyIfCached: Bool) throws(EngineError) -> ReadOutcome {
    try read(key, onlyIfCached: onlyIfCached) { _, _ in }
  }

  func put(_ key: RawSpan, _ value: RawSpan, expiry: UInt64, wantsPrevious: Bool) throws(EngineError) -> WriteOutcome {
    let put = Mutation.put(key: key.withUnsafeBytes { [UInt8]($0) }, value: value.withUnsafeBytes { [UInt8]($0) }, expiry: expiry)
    let outcome = try submit([put], wantsPrevious: wantsPrevious)
    return WriteOutcome(sequence: outcome.sequence, previous: outcome.previous[0])
  }

  func delete(_ key: RawSpan) throws(EngineError) -> WriteOutcome {
    let outcome = try submit([.delete(key: key.withUnsafeBytes { [UInt8]($0) })], wantsPrevious: true)
    return WriteOutcome(sequence: outcome.sequence, previous: outcome.previous[0])
  }

  func removeAll(_ prefixes: ClosedRange<UInt8>) throws(EngineError) -> UInt64? { nil }
  func removeAll(startingWith prefix: RawSpan) throws(EngineError) -> UInt64? { nil }

  func submit(_ mutations: [Mutation], wantsPrevious: Bool) throws(EngineError) -> BatchOutcome {
    defer { ring() }
    let result = state.withLock { state -> Result<BatchOutcome, EngineError> in
      if let error = state.writeError ?? state.failure { return .failure(error) }
      if !state.hasRoom { return .failure(EngineError(.noRoom, "no room")) }
      var outcome = BatchOutcome(sequence: 0, previous: [])
      for mutation in mutations {
        switch mutation {
        case .put(let key, let value, let expiry):
          state.sequence += 1
          outcome.previous.append(state.records[key].map { .present(expires: $0.expiry != 0) } ?? .absent)
          state.records[key] = Record(value: value, expiry: expiry, sequence: state.sequence)
          outcome.sequence = state.sequence
        case .delete(let key):
          guard let old = state.records.removeValue(forKey: key) else {
            outcome.previous.append(.absent)
            outcome.sequence = max(outcome.sequence, state.removals[key] ?? 0)
            continue
          }
          state.sequence += 1
          outcome.previous.append(.present(expires: old.expiry != 0))
          state.removals[key] = state.sequence
          outcome.sequence = state.sequence
        }
      }
      if !state.isManual { state.acknowledged = state.sequence }
      return .success(outcome)
    }
    return try result.get()
  }

  var hasRoom: Bool { state.withLock { $0.hasRoom } }

  func whenRoom(forBytes bytes: Int, _ callback: @escaping @Sendable (EngineError?) -> Void) {
    let (now, error) = state.withLock { state in
      if !state.hasRoom, state.roomError == nil { state.roomWaiters.append(callback) }
      return (state.hasRoom, state.roomError)
    }
    if now { callback(nil) } else if let error { callback(error) } else { ring() }
  }

  var acknowledgedSequence: UInt64 { state.withLock { $0.acknowledged } }

  func whenAcknowledged(_ sequence: UInt64, _ callback: @escaping @Sendable (EngineError?) -> Void) {
    let (now, error) = state.withLock { state in
      if sequence > state.acknowledged, state.failure == nil { state.waiters.append((sequence, callback)) }
      return (sequence <= state.acknowledged, state.failure)
    }
    if now { callback(nil) } else if let error { callback(error) }
  }

  private static func hash(_ key: [UInt8]) -> UInt64 {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in key { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
    hash ^= hash >> 32
    hash = hash &* 0xD6E8_FEB8_6659_FD93
    return hash ^ (hash >> 32)
  }

  var isOrdered: Bool { false }
  var listsFromMemory: Bool { true }

  func census(prefix: UInt8?) throws(EngineError) -> any KeyCensus { ScanningCensus(self, prefix: prefix) }

  func scan(from position: ScanPosition, prefix: UInt8?, count: Int) throws(EngineError) -> ScanPage {
    let cursor: UInt64 = if case .hash(let hash) = position { hash } else { 0 }
    return state.withLock { state in
      let ordered = state.records.map { (Self.hash($0.key), $0.key, $0.value.expiry) }.filter { $0.0 >= cursor }.sorted { $0.0 < $1.0 }
      var page = ScanPage(keys: [], next: .end)
      for (index, (hash, key, expiry)) in ordered.enumerated() {
        page.keys.append((key, expiry))
        // Keys of one hash come together, so that the next page starts behind all of them.
        if page.keys.count >= count, index + 1 < ordered.count, ordered[index + 1].0 != hash {
          page.next = .hash(hash + 1)
          break
        }
      }
      return page
    }
  }

  func randomKey(prefix: UInt8?) throws(EngineError) -> [UInt8]? { state.withLock { $0.records.keys.randomElement() } }
  var count: Int { state.withLock { $0.records.count } }
  var statistics: [(name: String, value: String)] { [("memory_records", String(count))] }

  func startMerge(_ completion: @escaping @Sendable (EngineError?) -> Void) -> Bool {
    state.withLock { $0.merges += 1 }
    completion(nil)
    return true
  }

  func sync() throws(EngineError) {
    state.withLock { $0.syncs += 1 }
    acknowledge()
  }

  func close() throws(EngineError) { state.withLock { $0.isClosed = true } }
}
