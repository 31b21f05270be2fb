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
  /// What a key's expiry must have reached before the key is removed.
  private let expiryClock: @Sendable () -> UInt64
  let cache: RecordCache
  /// Serializes writers, and readers of several keys against them.
  let lock = NIOLock()
  // Guarded by `lock`.
  private nonisolated(unsafe) var sizes = DatabaseSizes()
  // Guarded by `lock`.
  private nonisolated(unsafe) var expiries = ExpirySightings()
  // Guarded by `lock`.
  private nonisolated(unsafe) var structures = StructureSightings()
  /// Numbers for places in scans.
  let cursors = ScanCursors()
  private let submitted = Atomic<UInt64>(0)
  private let expiredKeys = Atomic<Int>(0)
  private let writes = Atomic<Int>(0)
  private let synced = Atomic<UInt64>(0)

  /// Counts the keys of each database where that takes the engine's memory only; else they are counted when somebody asks.
  init(
    engine: any KeyValueEngine, cacheBytes: Int = 0, clock: @escaping @Sendable () -> UInt64, expiryClock: (@Sendable () -> UInt64)? = nil
  ) throws(EngineError) {
    self.expiryClock = expiryClock ?? clock
    cache = RecordCache(bytes: cacheBytes)
    self.engine = engine
    self.clock = clock
    submitted.store(engine.acknowledgedSequence, ordering: .relaxed)
    synced.store(clock() / 1000, ordering: .relaxed)
    guard engine.listsFromMemory else { return }
    let numbers = (0..<Self.databases).map { sizes.begin($0) }
    let counts = try engine.census(prefix: nil).run()
    for database in 0..<Self.databases {
      sizes.end(database, numbers[database], keys: counts.keys[database], expires: counts.expiring[database])
    }
  }

  /// The last sequence handed out to a write of this server; what has been listed or counted is no newer.
  var lastSubmitted: UInt64 { submitted.load(ordering: .acquiring) }
  /// Keys removed because their time had come.
  var expiredTotal: Int { expiredKeys.load(ordering: .relaxed) }
  /// Writes since the last explicit sync.
  var changesSinceSync: Int { writes.load(ordering: .relaxed) }
  /// When the last explicit sync ended, Unix seconds.
  var lastSync: UInt64 { synced.load(ordering: .relaxed) }

  /// Keys and keys with an expiry of one database; `nil` where they have to be counted first.
  func size(_ database: Int) -> (keys: Int, expires: Int)? { lock.withLock { sizes.size(database) } }

  /// Keys and keys with an expiry of one database at a moment during the call. May wait for the disk.
  func countedSize(_ database: Int) throws(EngineError) -> (keys: Int, expires: Int) {
    if let known = size(database) { return known }
    let (number, census) = try beginCensus(database)
    let counts = try census.run()
    let (keys, expires) = (counts.keys[database], counts.expiring[database])
    lock.withLock { sizes.end(database, number, keys: keys, expires: expires) }
    return (keys, expires)
  }

  private func beginCensus(_ database: Int) throws(EngineError) -> (number: UInt64, any KeyCensus) {
    lock.lock()
    defer { lock.unlock() }
    let census = try engine.census(prefix: UInt8(database))
    return (sizes.begin(database), census)
  }

  /// Another store has taken the place of the one before: what was known of that one is forgotten.
  func reload() {
    lock.withLock {
      // A census of the former store that is under way must not be taken for one of this.
      for database in 0..<Self.databases { sizes.forget(database) }
      expiries.note()
      structures.note()
    }
    cache.writeAll {}
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
        if value.count <= RecordCache.limit(key) { copy = [UInt8](value) }
      }
    }
    switch outcome {
    case .found(let expiry, let sequence):
      copy?.withUnsafeBytes { cache.keep(hash, key, $0, expiry: expiry, sequence: sequence, version: version) }
    case .absent(let sequence): cache.keep(hash, key, nil, expiry: 0, sequence: sequence, version: version)
    case .notCached: break
    }
    return outcome
  }

  /// As ``read(_:onlyIfCached:_:)`` without the value.
  func peek(_ key: UnsafeRawBufferPointer, onlyIfCached: Bool) throws(EngineError) -> ReadOutcome {
    if cache.isOn, let kept = cache.read(RecordCache.hash(key), key, { _, _ in }).outcome { return kept }
    return try engine.peek(key.bytes, onlyIfCached: onlyIfCached)
  }

  // MARK: writes; the caller holds `lock`

  func put(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, expiry: UInt64) throws(EngineError) -> UInt64 {
    var known = Previous.unknown
    let outcome = try cache.write(key, value, expiry: expiry) { (kept) throws(EngineError) in
      if let kept { known = Previous(kept) }
      return try engine.put(key.bytes, value.bytes, expiry: expiry, wantsPrevious: kept == nil && sizes.wantsPrevious(key.first))
    }
    note(key.first, known == .unknown ? outcome.previous : known, stored: true, expires: RecordStamp(expiry).expires)
    advance(outcome.sequence)
    return outcome.sequence
  }

  /// Removes a key; the sequence is the one that made or makes it absent.
  func delete(_ key: UnsafeRawBufferPointer) throws(EngineError) -> UInt64 {
    let outcome = try cache.write(key, nil, expiry: 0) { (kept) throws(EngineError) in
      if case .absent(let sequence)? = kept { return WriteOutcome(sequence: sequence, previous: .absent) }
      return try engine.delete(key.bytes)
    }
    guard outcome.previous != .absent else { return outcome.sequence }
    note(key.first, outcome.previous, stored: false, expires: false)
    advance(outcome.sequence)
    return outcome.sequence
  }

  func submit(_ mutations: [Mutation]) throws(EngineError) -> UInt64 {
    let wantsPrevious = (0..<UInt8(Self.databases)).contains { sizes.wantsPrevious($0) }
    for mutation in mutations { mutation.key.withUnsafeBytes { cache.suspend($0) } }
    let outcome: BatchOutcome
    do { outcome = try engine.submit(mutations, wantsPrevious: wantsPrevious) } catch {
      for mutation in mutations { mutation.key.withUnsafeBytes { cache.resume($0) } }
      throw error
    }
    for mutation in mutations { cache.resume(mutation, outcome.sequence) }
    for (mutation, previous) in zip(mutations, outcome.previous) {
      switch mutation {
      case .put(let key, _, let expiry):
        note(key.first, previous, stored: true, expires: RecordStamp(expiry).expires)
        if key.first == StructureKeys.registry { structures.note() }
      case .delete(let key): note(key.first, previous, stored: false, expires: false)
      }
    }
    advance(outcome.sequence)
    return outcome.sequence
  }

  /// Keeps the sizes, and whether anything may expire.
  private func note(_ prefix: UInt8?, _ previous: Previous, stored: Bool, expires: Bool) {
    sizes.note(prefix, previous, stored: stored, expires: expires)
    if expires { expiries.note() }
  }

  func noteStructures() { lock.withLock { structures.note() } }
  func beginReaping() -> Bool { lock.withLock { structures.beginPass(lastSubmitted) } }
  func endReaping() { lock.withLock { structures.endPass() } }

  /// A write has got this sequence.
  func advance(_ sequence: UInt64) {
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

  /// Removes every key of one database, or of all, by one write where the engine can, else in bounded batches; returns the last sequence. Other
  /// commands go on between two batches; a key written meanwhile may be removed too.
  func flush(_ database: Int?) throws(EngineError) -> UInt64 {
    let databases = database.map { $0...$0 } ?? 0...(Self.databases - 1)
    if let sequence = try whenThereIsRoom({ () throws(EngineError) in try removeAll(databases) }) { return sequence }
    var position = ScanPosition.start
    while position != .end {
      let page = try engine.scan(from: position, prefix: database.map { UInt8($0) }, count: 1024)
      let doomed = page.keys.filter { key, _ in key.first.map { databases.contains(Int($0)) } ?? false }
      let mutations = doomed.map { Mutation.delete(key: $0.key) }
      if !mutations.isEmpty { _ = try whenThereIsRoom { () throws(EngineError) in try submit(mutations) } }
      position = page.next
    }
    return lastSubmitted
  }

  /// Removes the keys of some databases by one write; `nil` where the engine cannot. The caller holds `lock`.
  private func removeAll(_ databases: ClosedRange<Int>) throws(EngineError) -> UInt64? {
    let prefixes = UInt8(databases.lowerBound)...UInt8(databases.upperBound)
    guard let sequence = try cache.writeAll({ () throws(EngineError) in try engine.removeAll(prefixes) }) else { return nil }
    for database in databases { sizes.clear(database) }
    advance(sequence)
    return sequence
  }

  /// Runs a write with the lock held, again after waiting for room where it must.
  private func whenThereIsRoom<Result>(_ write: () throws(EngineError) -> Result) throws(EngineError) -> Result {
    while true {
      do throws(EngineError) {
        lock.lock()
        defer { lock.unlock() }
        return try write()
      } catch {
        guard error.kind == .noRoom else { throw error }
      }
      try waitForRoom(1 << 20)
    }
  }

  /// One turn of active expiry: looks at up to `pages` pages of keys from a position and removes those whose time has come. Returns where
  /// the next turn goes on. Does nothing while no key has an expiry. May wait for the disk.
  func expireSome(from position: ScanPosition, pages: Int) throws(EngineError) -> ScanPosition {
    let due = lock.withLock {
      expiries.arePossible && (0..<Self.databases).contains { sizes.size($0).map { $0.expires > 0 } ?? true }
    }
    guard due else { return .start }
    var position = position
    for _ in 0..<pages {
      guard engine.hasRoom else { return position }
      if position == .start { lock.withLock { expiries.beginPass() } }
      let page = try engine.scan(from: position, prefix: nil, count: 512)
      let now = expiryClock()
      var sees = false
      for (key, stamp) in page.keys where RecordStamp(stamp).expires {
        sees = true
        guard RecordStamp(stamp).expiry <= now else { continue }
        do throws(EngineError) { try expire(key, now) } catch {
          // The next turn looks at this page again, when there may be room.
          guard error.kind == .noRoom else { throw error }
          lock.withLock { expiries.note() }
          return position
        }
      }
      position = page.next == .end ? .start : page.next
      lock.withLock {
        if sees { expiries.note() }
        if position == .start { expiries.endPass() }
      }
      if position == .start { return .start }
    }
    return position
  }

  /// Removes a key if its time has come.
  private func expire(_ key: [UInt8], _ now: UInt64) throws(EngineError) {
    // A record that the scan did not leave in memory is brought there before the lock is taken.
    for _ in 0..<4 {
      if try expireCached(key, now) { return }
      _ = try engine.peek(key.span.bytes, onlyIfCached: false)
    }
  }

  /// False where the record is not in memory.
  private func expireCached(_ key: [UInt8], _ now: UInt64) throws(EngineError) -> Bool {
    lock.lock()
    defer { lock.unlock() }
    // Read again under the lock: the key may have been written since the scan saw it.
    let outcome = try engine.peek(key.span.bytes, onlyIfCached: true)
    if outcome == .notCached { return false }
    guard case .found(let stamp, _) = outcome, RecordStamp(stamp).expires, RecordStamp(stamp).expiry <= now else { return true }
    _ = try key.span.bytes.withUnsafeBytes { (key) throws(EngineError) in try delete(key) }
    expiredKeys.add(1, ordering: .relaxed)
    return true
  }
}

/// Whether any key may have an expiry: not after a pass over all keys has seen none and none was written since it began.
struct ExpirySightings {
  private(set) var arePossible = true
  private var sinceBegin = true

  mutating func note() { (arePossible, sinceBegin) = (true, true) }
  mutating func beginPass() { sinceBegin = false }
  mutating func endPass() { arePossible = sinceBegin }
}
