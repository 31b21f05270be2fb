import StrataRequirements
import Testing

@testable import StrataRESP

/// Replies and what they wait for.
///
/// "Not answered" is shown without waiting: the client asks something on a second connection of the same loop afterwards, and by the time that is
/// answered the first reply would have been there.
@Suite struct DurabilityTests {
  /// One loop, so that an answer on one connection proves that everything before it on the others was done.
  private func server(_ engine: MemoryEngine) throws -> TestServer { try TestServer(engine) { $0.threads = 1 } }

  /// Passes twice through the loop: once for what was received, once for what that scheduled.
  private func settle(_ client: Client) throws {
    for _ in 0..<3 { #expect(try client.call("PING") == .simple("PONG")) }
  }

  @Test func aWriteIsAnsweredOnlyWhenAcknowledged() throws {
    let engine = MemoryEngine(manual: true)
    let server = try server(engine)
    defer { try? server.server.stop() }
    let writer = try server.connect()
    let other = try server.connect()
    try writer.send(Client.encode(["SET", "a", "1"]))
    engine.waitForSequence(1)
    try settle(other)
    #expect(writer.isSilent)
    engine.acknowledge()
    #expect(try writer.reply() == .ok)
  }

  @Test func whatIsNotAcknowledgedIsNotShownToOthers() throws {
    let engine = MemoryEngine(manual: true)
    let server = try server(engine)
    defer { try? server.server.stop() }
    let writer = try server.connect()
    let reader = try server.connect()
    let other = try server.connect()
    try writer.send(Client.encode(["SET", "a", "1"]))
    engine.waitForSequence(1)
    for words in [["GET", "a"], ["EXISTS", "a"], ["MGET", "b", "a"], ["DBSIZE"], ["KEYS", "*"], ["SCAN", "0"], ["STRLEN", "a"], ["TTL", "a"]] {
      try reader.send(Client.encode(words))
    }
    try settle(other)
    #expect(reader.isSilent)
    engine.acknowledge()
    let expected: [Reply] = [
      .bulk("1"), .integer(1), .array([.null, .bulk("1")]), .integer(1), .array([.bulk("a")]), .array([.bulk("0"), .array([.bulk("a")])]),
      .integer(1), .integer(-1),
    ]
    for reply in expected { #expect(try reader.reply() == reply) }
  }

  @Test func aRemovalThatIsNotAcknowledgedIsNotShownEither() throws {
    let engine = MemoryEngine(manual: true)
    let server = try server(engine)
    defer { try? server.server.stop() }
    let writer = try server.connect()
    let reader = try server.connect()
    let other = try server.connect()
    try writer.send(Client.encode(["SET", "a", "1"]))
    engine.waitForSequence(1)
    engine.acknowledge()
    #expect(try writer.reply() == .ok)
    try writer.send(Client.encode(["DEL", "a"]))
    engine.waitForSequence(2)
    try reader.send(Client.encode(["GET", "a"]))
    try settle(other)
    #expect(reader.isSilent)
    engine.acknowledge()
    #expect(try reader.reply() == .null)
  }

  @Test func repliesLeaveInOrderAndAsFarAsAcknowledged() throws {
    let engine = MemoryEngine(manual: true)
    let server = try server(engine)
    defer { try? server.server.stop() }
    let client = try server.connect()
    let other = try server.connect()
    try client.send(
      ["PING", "SET", "SET", "PING"].enumerated().flatMap { index, name in
        Client.encode(name == "PING" ? [name, "\(index)"] : [name, "k\(index)", "v"])
      })
    engine.waitForSequence(2)
    #expect(try client.reply() == .bulk("0"))
    try settle(other)
    #expect(client.isSilent)
    engine.acknowledge(1)
    #expect(try client.reply() == .ok)
    try settle(other)
    #expect(client.isSilent)
    engine.acknowledge(2)
    #expect(try client.reply() == .ok)
    #expect(try client.reply() == .bulk("3"))
  }

  @Test func aLostWriteIsAnErrorAndTheConnectionCloses() throws {
    let engine = MemoryEngine(manual: true)
    let server = try server(engine)
    defer { try? server.server.stop() }
    let writer = try server.connect()
    let bystander = try server.connect()
    try writer.send(Client.encode(["PING"]) + Client.encode(["SET", "a", "1"]) + Client.encode(["PING"]))
    engine.waitForSequence(1)
    engine.fail(EngineError(.durabilityLost, "sync failed; reopen the store"))
    #expect(try writer.reply() == .simple("PONG"))
    #expect(try writer.reply() == .error("MISCONF sync failed; reopen the store"))
    #expect(writer.isClosed)
    #expect(try bystander.call("PING") == .simple("PONG"))
    #expect(try bystander.call("SET", "b", "1") == .error("MISCONF sync failed; reopen the store"))
  }

  @Test func waitAnswersAfterDurability() throws {
    let engine = MemoryEngine(manual: true)
    let server = try server(engine)
    defer { try? server.server.stop() }
    let writer = try server.connect()
    let waiter = try server.connect()
    let other = try server.connect()
    try writer.send(Client.encode(["SET", "a", "1"]))
    engine.waitForSequence(1)
    try waiter.send(Client.encode(["WAIT", "0", "0"]))
    try settle(other)
    #expect(waiter.isSilent)
    engine.acknowledge()
    #expect(try waiter.reply() == .integer(0))
  }

  @Test func writersStopWhileThereIsNoRoom() throws {
    let engine = MemoryEngine()
    let server = try server(engine)
    defer { try? server.server.stop() }
    let client = try server.connect()
    let other = try server.connect()
    #expect(try client.call("SET", "a", "1") == .ok)
    #expect(try other.call("PING") == .simple("PONG"))
    engine.setRoom(false)
    try client.send(Client.encode(["SET", "a", "2"]))
    engine.waitForRoomWaiter()
    #expect(engine.state.withLock { $0.sequence } == 1)
    engine.setRoom(true)
    #expect(try client.reply() == .ok)
    #expect(try client.call("GET", "a") == .bulk("2"))
  }

  /// A disk that stays full: reads go on, writes say why they are refused, nothing spins or hangs.
  @Test func roomThatNeverComesRefusesWritesAndServesReads() throws {
    let engine = MemoryEngine()
    let server = try server(engine)
    defer { try? server.server.stop() }
    let client = try server.connect()
    #expect(try client.call("SET", "a", "1") == .ok)
    engine.state.withLock {
      $0.hasRoom = false
      $0.roomError = EngineError(.noSpace, "the disk is full")
    }
    #expect(try client.call("GET", "a") == .bulk("1"))
    #expect(try client.call("SET", "a", "2") == .error("MISCONF the disk is full"))
    #expect(try client.call("INCR", "a") == .error("MISCONF the disk is full"))
    #expect(try client.call("FLUSHALL") == .error("MISCONF the disk is full"))
    #expect(try client.call("GET", "a") == .bulk("1"))
    engine.state.withLock { $0.roomError = nil }
    engine.setRoom(true)
    #expect(try client.call("SET", "a", "2") == .ok)
  }

  @Test func aRefusedWriteChangesNothingAndIsAnswered() throws {
    let engine = MemoryEngine()
    let server = try server(engine)
    defer { try? server.server.stop() }
    let client = try server.connect()
    #expect(try client.call("SET", "a", "1") == .ok)
    engine.state.withLock { $0.writeError = EngineError(.noSpace, "the disk is full") }
    #expect(try client.call("SET", "a", "2") == .error("MISCONF the disk is full"))
    #expect(try client.call("MSET", "a", "2", "b", "2") == .error("MISCONF the disk is full"))
    #expect(try client.call("GET", "a") == .bulk("1"))
    #expect(try client.call("DBSIZE") == .integer(1))
    engine.state.withLock { $0.writeError = nil }
    #expect(try client.call("SET", "a", "3") == .ok)
    engine.state.withLock { $0.readError = EngineError(.damaged, "record damaged") }
    #expect(try client.call("GET", "never read") == .error("ERR record damaged"))
    #expect(try client.call("INCR", "never read") == .error("ERR record damaged"))
    #expect(try client.call("GET", "a") == .bulk("3"), "what the cache holds is not read again")
  }

  /// Every kind of command runs to the same end when its records are not in memory, once or ever.
  @Test(arguments: [false, true]) func coldRecordsAreReadOnDiskThreads(forEver: Bool) throws {
    let engine = MemoryEngine()
    let server = try server(engine)
    defer { try? server.server.stop() }
    let client = try server.connect()
    let cases: [([String], Reply)] = [
      (["GET", "a"], .bulk("1")), (["STRLEN", "a"], .integer(1)), (["MGET", "a", "b"], .array([.bulk("1"), .bulk("2")])),
      (["INCR", "a"], .integer(2)),
      (["APPEND", "a", "x"], .integer(2)), (["GETSET", "a", "1"], .bulk("2x")), (["SETNX", "b", "x"], .integer(0)),
      (["EXISTS", "a", "b"], .integer(2)),
      (["SET", "a", "1", "GET"], .bulk("1")), (["EXPIRE", "a", "100"], .integer(1)), (["TTL", "a"], .integer(100)), (["PERSIST", "a"], .integer(1)),
      (["RENAME", "a", "c"], .ok), (["RENAME", "c", "a"], .ok), (["COPY", "a", "d"], .integer(1)), (["GETRANGE", "a", "0", "5"], .bulk("1")),
      (["MSETNX", "a", "1", "e", "2"], .integer(0)), (["DEL", "d", "zz"], .integer(1)), (["TYPE", "a"], .simple("string")), (["GETDEL", "d"], .null),
      (["INCRBYFLOAT", "b", "0.5"], .bulk("2.5")), (["SET", "b", "2"], .ok),
    ]
    #expect(try client.call("MSET", "a", "1", "b", "2") == .ok)
    for (words, expected) in cases {
      engine.cool("a", forEver: forEver)
      engine.cool("b", forEver: forEver)
      // A command behind it in the pipeline is answered behind it.
      try client.send(Client.encode(words) + Client.encode(["PING"]))
      #expect(try client.reply() == expected, "\(words)")
      #expect(try client.reply() == .simple("PONG"))
    }
    #expect(engine.state.withLock { $0.waits } > 0)
  }
}

/// The cache never shows what is no longer so.
@Suite struct RecordCacheTests {
  private func read(_ cache: RecordCache, _ key: String) -> (value: String?, version: UInt64) {
    Array(key.utf8).withUnsafeBytes { key in
      var value: String?
      let (_, version) = cache.read(RecordCache.hash(key), key) { bytes, _ in value = String(decoding: bytes, as: UTF8.self) }
      return (value, version)
    }
  }

  private func keep(_ cache: RecordCache, _ key: String, _ value: String?, version: UInt64) {
    Array(key.utf8).withUnsafeBytes { key in
      guard let value else { return cache.keep(RecordCache.hash(key), key, nil, expiry: 0, sequence: 1, version: version) }
      Array(value.utf8).withUnsafeBytes { cache.keep(RecordCache.hash(key), key, $0, expiry: 0, sequence: 1, version: version) }
    }
  }

  private func write(_ cache: RecordCache, _ key: String, _ value: String?, sequence: UInt64) throws -> ReadOutcome? {
    var known: ReadOutcome?
    try Array(key.utf8).withUnsafeBytes { key in
      let change = { (kept: ReadOutcome?) throws(EngineError) -> WriteOutcome in
        known = kept
        return WriteOutcome(sequence: sequence, previous: .unknown)
      }
      guard let value else { return _ = try cache.write(key, nil, expiry: 0, change) }
      _ = try Array(value.utf8).withUnsafeBytes { value in try cache.write(key, value, expiry: 0, change) }
    }
    return known
  }

  private func outcome(_ cache: RecordCache, _ key: String) -> ReadOutcome? {
    Array(key.utf8).withUnsafeBytes { cache.read(RecordCache.hash($0), $0) { _, _ in }.outcome }
  }

  @Test func aReadThatAWriteOvertookIsNotKept() throws {
    let cache = RecordCache(bytes: 1 << 20)
    let (none, version) = read(cache, "k")
    #expect(none == nil)
    #expect(try write(cache, "k", "new", sequence: 2) == nil)
    keep(cache, "k", "old", version: version)
    #expect(read(cache, "k").value == nil)
    keep(cache, "k", "new", version: read(cache, "k").version)
    #expect(read(cache, "k").value == "new")
    Array("k".utf8).withUnsafeBytes { cache.suspend($0) }
    #expect(read(cache, "k").value == nil)
    // Nothing is kept while the write is under way, and nothing that was read before it ended.
    let during = read(cache, "k").version
    keep(cache, "k", "old", version: during)
    #expect(read(cache, "k").value == nil)
    Array("k".utf8).withUnsafeBytes { cache.resume($0) }
    keep(cache, "k", "old", version: during)
    #expect(read(cache, "k").value == nil)
    keep(cache, "k", "newest", version: read(cache, "k").version)
    #expect(read(cache, "k").value == "newest")
  }

  @Test func whatIsKeptFollowsWritesAndTellsWhatWasThere() throws {
    let cache = RecordCache(bytes: 1 << 20)
    keep(cache, "k", nil, version: read(cache, "k").version)
    #expect(outcome(cache, "k") == .absent(asOf: 1))
    #expect(try write(cache, "k", "a longer value than none", sequence: 2) == .absent(asOf: 1))
    #expect(read(cache, "k").value == "a longer value than none" && outcome(cache, "k") == .found(expiry: 0, sequence: 2))
    #expect(try write(cache, "k", "short", sequence: 3) == .found(expiry: 0, sequence: 2))
    #expect(read(cache, "k").value == "short")
    #expect(try write(cache, "k", String(repeating: "v", count: RecordCache.maxRecordBytes), sequence: 4) == .found(expiry: 0, sequence: 3))
    #expect(outcome(cache, "k") == nil, "too long a record is not kept, and neither is the one before it")
    keep(cache, "k", "again", version: read(cache, "k").version)
    #expect(try write(cache, "k", nil, sequence: 5) == .found(expiry: 0, sequence: 1))
    #expect(outcome(cache, "k") == .absent(asOf: 5))
  }

  @Test func aFailedWriteAndAWriteOfAllForget() throws {
    let cache = RecordCache(bytes: 1 << 20)
    keep(cache, "k", "v", version: read(cache, "k").version)
    #expect(throws: EngineError.self) {
      try Array("k".utf8).withUnsafeBytes { key in
        _ = try cache.write(key, nil, expiry: 0) { _ throws(EngineError) in throw EngineError(.failed, "no") }
      }
    }
    #expect(outcome(cache, "k") == nil)
    keep(cache, "k", "v", version: read(cache, "k").version)
    let before = read(cache, "other").version
    cache.writeAll { #expect(outcome(cache, "k") == nil) }
    keep(cache, "other", "old", version: before)
    #expect(outcome(cache, "k") == nil && outcome(cache, "other") == nil)
  }

  @Test(arguments: [0, 1, 1023, 1024, 1025, 100_000]) func valuesOfEveryLengthReadTheSameTwice(length: Int) throws {
    let server = try TestServer()
    defer { try? server.server.stop() }
    let client = try server.connect()
    let value = String(repeating: "v", count: length)
    #expect(try client.call("SET", "a", value) == .ok)
    for _ in 0..<3 { #expect(try client.call("GET", "a") == .bulk(value)) }
    #expect(try client.call("APPEND", "a", "x") == .integer(Int64(length + 1)))
    for _ in 0..<3 { #expect(try client.call("GET", "a") == .bulk(value + "x")) }
    #expect(try client.call("DEL", "a") == .integer(1))
    #expect(try client.call("GET", "a") == .null)
  }

  @Test func itStaysBelowItsBoundAndKeepsAnswersRight() {
    let cache = RecordCache(bytes: 64 << 10)
    var kept = 0
    for index in 0..<20_000 { keep(cache, "key\(index)", "value\(index)", version: read(cache, "key\(index)").version) }
    for index in 0..<20_000 {
      guard let value = read(cache, "key\(index)").value else { continue }
      #expect(value == "value\(index)")
      kept += 1
    }
    #expect(kept > 0 && kept * 16 <= 64 << 10)
  }
}
