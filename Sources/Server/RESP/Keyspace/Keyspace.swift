import class NIOConcurrencyHelpers.ConditionLock
import struct NIOConcurrencyHelpers.NIOLock
import Synchronization

/// Sixteen databases over one engine's flat map: a key's first byte is its database.
///
/// All writes of the server pass through here. A command that reads and then writes holds ``lock`` meanwhile, so commands are atomic
/// towards each other; the lock is held for work in memory only, never over the disk.
final class Keyspace: Sendable {
  static let databases = 16

  let engine: any KeyValueEngine
  /// Unix time in milliseconds. Injected, so that tests move it.
  let clock: @Sendable () -> UInt64
  let cache: RecordCache
  /// Serializes writers, and readers of several keys against them.
  let lock = NIOLock()
  // Guarded by `lock`: the exact number of keys, and of keys with an expiry, per database.
  private nonisolated(unsafe) let counts: UnsafeMutablePointer<Int>
  private let submitted = Atomic<UInt64>(0)
  private let expiredKeys = Atomic<Int>(0)
  private let writes = Atomic<Int>(0)
  private let synced = Atomic<UInt64>(0)

  /// Counts the keys of each database by iterating them, which takes the engine's memory only.
  init(engine: any KeyValueEngine, cacheBytes: Int = 0, clock: @escaping @Sendable () -> UInt64) throws(EngineError) {
    cache = RecordCache(bytes: cacheBytes)
    self.engine = engine
    self.clock = clock
    counts = .allocate(capacity: Self.databases * 2)
    counts.initialize(repeating: 0, count: Self.databases * 2)
    submitted.store(engine.acknowledgedSequence, ordering: .relaxed)
    synced.store(clock() / 1000, ordering: .relaxed)
    var cursor: UInt64 = 0
    repeat {
      let page = try engine.scan(from: cursor, count: 4096)
      for (key, expiry) in page.keys {
        guard let database = key.first, database < Self.databases else { continue }
        counts[Int(database)] += 1
        if expiry != 0 { counts[Self.databases + Int(database)] += 1 }
      }
      cursor = page.next
    } while cursor != 0
  }

  deinit { counts.deallocate() }

  /// The last sequence handed out to a write of this server; what has been listed or counted is no newer.
  var lastSubmitted: UInt64 { submitted.load(ordering: .acquiring) }
  /// Keys removed because their time had come.
  var expiredTotal: Int { expiredKeys.load(ordering: .relaxed) }
  /// Writes since the last explicit sync.
  var changesSinceSync: Int { writes.load(ordering: .relaxed) }
  /// When the last explicit sync ended, Unix seconds.
  var lastSync: UInt64 { synced.load(ordering: .relaxed) }

  /// Keys and keys with an expiry of one database.
  func size(_ database: Int) -> (keys: Int, expires: Int) {
    lock.withLock { (counts[database], counts[Self.databases + database]) }
  }

  // MARK: reads

  /// Reads through the cache; otherwise as ``KeyValueEngine/read(_:onlyIfCached:_:)``.
  @inline(__always)
  func read(
    _ key: UnsafeRawBufferPointer, onlyIfCached: Bool, _ body: (UnsafeRawBufferPointer, UInt64) -> Void
  ) throws(EngineError) -> ReadOutcome {
    guard cache.isOn else {
      return try engine.read(key.bytes, onlyIfCached: onlyIfCached) { value, expiry in value.withUnsafeBytes { body($0, expiry) } }
    }
    let hash = RecordCache.hash(key)
    let (kept, version) = cache.read(hash, key, body)
    if let kept { return kept }
    // The sequence is known only after the call, so what may be kept is copied out.
    var copy: [UInt8]?
    let outcome = try engine.read(key.bytes, onlyIfCached: onlyIfCached) { value, expiry in
      value.withUnsafeBytes { value in
        body(value, expiry)
        if value.count <= RecordCache.maxRecordBytes { copy = [UInt8](value) }
      }
    }
    if case .found(let expiry, let sequence) = outcome, let copy {
      copy.withUnsafeBytes { cache.keep(hash, key, $0, expiry: expiry, sequence: sequence, version: version) }
    }
    return outcome
  }

  // MARK: writes; the caller holds `lock`

  func put(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, expiry: UInt64) throws(EngineError) -> UInt64 {
    let outcome = try engine.put(key.bytes, value.bytes, expiry: expiry)
    cache.forget(key)
    count(key.first, outcome.previous, stored: true, expires: expiry != 0)
    advance(outcome.sequence)
    return outcome.sequence
  }

  /// Removes a key; the sequence is the one that made or makes it absent.
  func delete(_ key: UnsafeRawBufferPointer) throws(EngineError) -> UInt64 {
    let outcome = try engine.delete(key.bytes)
    cache.forget(key)
    guard outcome.previous != .absent else { return outcome.sequence }
    count(key.first, outcome.previous, stored: false, expires: false)
    advance(outcome.sequence)
    return outcome.sequence
  }

  func submit(_ mutations: [Mutation]) throws(EngineError) -> UInt64 {
    let outcome = try engine.submit(mutations)
    for mutation in mutations {
      switch mutation {
      case .put(let key, _, _), .delete(let key): key.withUnsafeBytes { cache.forget($0) }
      }
    }
    for (mutation, previous) in zip(mutations, outcome.previous) {
      switch mutation {
      case .put(let key, _, let expiry): count(key.first, previous, stored: true, expires: expiry != 0)
      case .delete(let key): count(key.first, previous, stored: false, expires: false)
      }
    }
    advance(outcome.sequence)
    return outcome.sequence
  }

  /// Keeps the counts. A key without a database, which another tool may have stored, is nobody's.
  private func count(_ prefix: UInt8?, _ previous: Previous, stored: Bool, expires: Bool) {
    guard let database = prefix.map(Int.init), database < Self.databases else { return }
    if case .present(let had) = previous {
      counts[database] -= 1
      if had { counts[Self.databases + database] -= 1 }
    }
    if stored {
      counts[database] += 1
      if expires { counts[Self.databases + database] += 1 }
    }
  }

  private func advance(_ sequence: UInt64) {
    if sequence > submitted.load(ordering: .relaxed) { submitted.store(sequence, ordering: .releasing) }
    writes.store(writes.load(ordering: .relaxed) &+ 1, ordering: .relaxed)
  }

  // MARK: work on threads that may wait

  /// Makes everything submitted durable.
  func sync() throws(EngineError) {
    let before = changesSinceSync
    try engine.sync()
    writes.subtract(before, ordering: .relaxed)
    synced.store(clock() / 1000, ordering: .relaxed)
  }

  /// Waits until the engine takes a write of `bytes`.
  /// - Throws: what keeps it from doing so.
  func waitForRoom(_ bytes: Int) throws(EngineError) {
    let answer = RoomAnswer()
    engine.whenRoom(forBytes: bytes) { error in
      answer.error.withLock { $0 = error }
      answer.bell.lock()
      answer.bell.unlock(withValue: 1)
    }
    answer.bell.lock(whenValue: 1)
    answer.bell.unlock()
    if let error = answer.error.withLock({ $0 }) { throw error }
  }

  private final class RoomAnswer: Sendable {
    let bell = ConditionLock(value: 0)
    let error = Mutex<EngineError?>(nil)
  }

  /// Removes every key of one database, or of all, in bounded batches; returns the last sequence. Other commands go on between two
  /// batches; a key written meanwhile may be removed too.
  func flush(_ database: Int?) throws(EngineError) -> UInt64 {
    var cursor: UInt64 = 0
    repeat {
      let page = try engine.scan(from: cursor, count: 1024)
      let doomed = page.keys.lazy.filter { key, _ in database.map { key.first == UInt8($0) } ?? true }
      let mutations = doomed.map { Mutation.delete(key: $0.key) }
      try remove(Array(mutations))
      cursor = page.next
    } while cursor != 0
    return lastSubmitted
  }

  /// Removes keys in one batch, after waiting for room where it must.
  private func remove(_ mutations: [Mutation]) throws(EngineError) {
    while !mutations.isEmpty {
      do throws(EngineError) {
        lock.lock()
        defer { lock.unlock() }
        _ = try submit(mutations)
        return
      } catch {
        guard error.kind == .noRoom else { throw error }
      }
      try waitForRoom(1 << 20)
    }
  }

  /// One turn of active expiry: looks at up to `pages` pages of keys from `cursor` and removes those whose time has come. Returns where
  /// the next turn goes on. Does nothing while no key has an expiry.
  func expireSome(from cursor: UInt64, pages: Int) throws(EngineError) -> UInt64 {
    let due = lock.withLock { (0..<Self.databases).contains { counts[Self.databases + $0] > 0 } }
    guard due else { return 0 }
    var cursor = cursor
    for _ in 0..<pages {
      guard engine.hasRoom else { return cursor }
      let page = try engine.scan(from: cursor, count: 512)
      let now = clock()
      for (key, expiry) in page.keys where expiry != 0 && expiry <= now { try expire(key, now) }
      cursor = page.next
      if cursor == 0 { return 0 }
    }
    return cursor
  }

  private func expire(_ key: [UInt8], _ now: UInt64) throws(EngineError) {
    lock.lock()
    defer { lock.unlock() }
    // Read again under the lock: the key may have been written since the scan saw it.
    guard case .found(let expiry, _) = try engine.peek(key.span.bytes, onlyIfCached: true), expiry != 0, expiry <= now else { return }
    let outcome = try engine.delete(key.span.bytes)
    key.withUnsafeBytes { cache.forget($0) }
    guard outcome.previous != .absent else { return }
    count(key.first, outcome.previous, stored: false, expires: false)
    advance(outcome.sequence)
    expiredKeys.add(1, ordering: .relaxed)
  }
}
