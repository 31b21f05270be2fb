import StrataNodes
import StrataRequirements
import StrataSimulation
import Testing

@testable import StrataRESP

/// A filter is one key, whatever it consists of.
@Suite struct StructureTests {
  static let wrong = Reply.error("WRONGTYPE Operation against a key holding the wrong kind of value")

  @Test(arguments: Session.Store.allCases) func aFilterIsOneKey(store: Session.Store) throws {
    let session = try Session(store)
    defer { try? session.close() }
    session.call("BF.MADD", "b", "x", "y")
    session.call("CF.ADD", "c", "x")
    session.call("SET", "s", "v")
    #expect(session.call("TYPE", "b") == .simple("MBbloom--"))
    #expect(session.call("TYPE", "c") == .simple("MBbloomCF"))
    #expect(session.call("TYPE", "s") == .simple("string"))
    #expect(session.call("EXISTS", "b", "c", "s") == .integer(3))
    #expect(session.call("DBSIZE") == .integer(3))
    for (type, key) in [("MBbloom--", "b"), ("mbbloomcf", "c"), ("string", "s")] {
      #expect(session.call("SCAN", "0", "COUNT", "1000", "TYPE", type) == .array([.bulk("0"), .array([.bulk(key)])]))
    }
    #expect(session.call("SCAN", "0", "COUNT", "1000", "TYPE", "zset") == .array([.bulk("0"), .array([])]))
    guard case .array(let all) = session.call("KEYS", "*") else { return #expect(Bool(false), "no array") }
    #expect(Set(all.map(\.description)) == Set([Reply.bulk("b"), .bulk("c"), .bulk("s")].map(\.description)))
    for _ in 0..<20 { if case .bulk(let key) = session.call("RANDOMKEY") { #expect(key.count == 1) } else { Issue.record("no key") } }
    #expect(session.call("RENAME", "b", "b2") == .ok)
    #expect(session.call("BF.MEXISTS", "b2", "x", "y", "z") == .array([.integer(1), .integer(1), .integer(0)]))
    #expect(session.call("BF.EXISTS", "b", "x") == .integer(0))
    try session.reap()
    #expect(session.call("BF.EXISTS", "b2", "x") == .integer(1))
    #expect(session.call("COPY", "b2", "b3", "DB", "4") == .integer(1))
    #expect(session.call("BF.ADD", "b2", "new") == .integer(1))
    session.context.database = 4
    #expect(session.call("BF.MEXISTS", "b3", "x", "y", "new") == .array([.integer(1), .integer(1), .integer(0)]))
    #expect(session.call("BF.CARD", "b3") == .integer(2))
    #expect(session.call("DBSIZE") == .integer(1))
    #expect(session.call("FLUSHDB") == .ok)
    #expect(session.call("BF.EXISTS", "b3", "x") == .integer(0))
    session.context.database = 0
    #expect(session.call("BF.EXISTS", "b2", "x") == .integer(1))
    #expect(session.call("DEL", "b2", "c") == .integer(2))
    #expect(session.call("BF.EXISTS", "b2", "x") == .integer(0))
    #expect(session.call("TYPE", "b2") == .simple("none"))
    #expect(session.call("DBSIZE") == .integer(1))
  }

  @Test(arguments: Session.Store.allCases) func typesAreKeptApart(store: Session.Store) throws {
    let session = try Session(store)
    defer { try? session.close() }
    session.call("BF.ADD", "b", "x")
    session.call("CF.ADD", "c", "x")
    session.call("SET", "s", "7")
    for key in ["b", "c"] {
      for words in [
        ["GET", key], ["STRLEN", key], ["APPEND", key, "x"], ["GETRANGE", key, "0", "1"], ["SETRANGE", key, "0", "x"], ["INCR", key],
        ["INCRBYFLOAT", key, "1"], ["GETSET", key, "x"], ["GETDEL", key], ["GETEX", key], ["GETEX", key, "EX", "5"], ["SET", key, "x", "GET"],
        ["SUBSTR", key, "0", "1"], ["DECRBY", key, "2"],
      ] {
        #expect(session.call(words.map { Array($0.utf8) }) == Self.wrong, "\(words)")
      }
      #expect(session.call("MGET", key, "s") == .array([.null, .bulk("7")]))
      #expect(session.call("SETNX", key, "x") == .integer(0))
    }
    for words in [
      ["BF.ADD", "s", "x"], ["BF.MADD", "c", "x"], ["BF.EXISTS", "s", "x"], ["BF.MEXISTS", "c", "x"], ["BF.INFO", "s"], ["BF.CARD", "c"],
      ["BF.RESERVE", "s", "0.1", "10"], ["BF.INSERT", "c", "ITEMS", "x"], ["CF.ADD", "s", "x"], ["CF.ADDNX", "b", "x"],
      ["CF.INSERT", "b", "ITEMS", "x"],
      ["CF.INSERTNX", "s", "ITEMS", "x"], ["CF.EXISTS", "b", "x"], ["CF.MEXISTS", "s", "x"], ["CF.DEL", "b", "x"], ["CF.COUNT", "s", "x"],
      ["CF.INFO", "b"], ["CF.RESERVE", "s", "100"], ["CF.RESERVE", "b", "100"],
    ] {
      #expect(session.call(words.map { Array($0.utf8) }) == Self.wrong, "\(words)")
    }
    #expect(session.call("GET", "s") == .bulk("7"))
    #expect(session.call("BF.EXISTS", "b", "x") == .integer(1))
    #expect(session.call("CF.EXISTS", "c", "x") == .integer(1))
  }

  @Test(arguments: Session.Store.allCases) func aFilterExpires(store: Session.Store) throws {
    let session = try Session(store)
    defer { try? session.close() }
    session.call("BF.ADD", "b", "x")
    #expect(session.call("TTL", "b") == .integer(-1))
    #expect(session.call("PEXPIRE", "b", "5000") == .integer(1))
    #expect(session.call("PTTL", "b") == .integer(5000))
    #expect(session.call("BF.ADD", "b", "y") == .integer(1))
    #expect(session.call("PTTL", "b") == .integer(5000))
    #expect(session.call("PERSIST", "b") == .integer(1))
    #expect(session.call("TTL", "b") == .integer(-1))
    #expect(session.call("BF.EXISTS", "b", "y") == .integer(1))
    #expect(session.call("PEXPIREAT", "b", "9223372036854775807") == .error("ERR invalid expire time in 'pexpireat' command"))
    #expect(session.call("PEXPIRE", "b", "1000") == .integer(1))
    #expect(session.call("RENAME", "b", "d") == .ok)
    #expect(session.call("PTTL", "d") == .integer(1000))
    session.context.now += 1000
    #expect(session.call("BF.EXISTS", "d", "x") == .integer(0))
    #expect(session.call("TYPE", "d") == .simple("none"))
    // What is made in its place is another filter, without the old one's bits.
    #expect(session.call("BF.ADD", "d", "y") == .integer(1))
    #expect(session.call("BF.MEXISTS", "d", "x", "y") == .array([.integer(0), .integer(1)]))
    #expect(session.call("TTL", "d") == .integer(-1))
  }

  @Test(arguments: Session.Store.allCases) func theBackgroundRemovesExpiredFilters(store: Session.Store) throws {
    let session = try Session(store)
    defer { try? session.close() }
    session.call("BF.ADD", "b", "x")
    session.call("BF.ADD", "c", "x")
    // The session's clock stands where expiry is judged by.
    session.context.now -= 10_000
    #expect(session.call("PEXPIRE", "b", "10000") == .integer(1))
    #expect(session.call("PEXPIRE", "c", "10001") == .integer(1))
    var position = ScanPosition.start
    repeat { position = try session.keyspace.expireSome(from: position, pages: 1) } while position != .start
    #expect(session.keyspace.expiredTotal == 1)
    session.context.now += 10_000
    #expect(session.call("EXISTS", "b", "c") == .integer(1))
    try session.reap()
    let stored = try session.structures()
    let kept = try #require(try session.number("c"))
    #expect(stored.registered == [kept])
    #expect(stored.parts == [kept: 1])
  }

  /// However a filter's root goes, its pages go too, and those of others stay.
  @Test(arguments: Session.Store.allCases) func nothingIsLeftOfAFilterThatIsGone(store: Session.Store) throws {
    let session = try Session(store)
    defer { try? session.close() }
    let ends: [[String]] = [
      ["DEL", "f"], ["UNLINK", "f"], ["SET", "f", "v"], ["MSET", "f", "v"], ["RENAME", "other", "f"], ["COPY", "other", "f", "REPLACE"],
      ["EXPIRE", "f", "-1"], ["SETEX", "f", "9", "v"], ["FLUSHDB"],
    ]
    for end in ends {
      session.call("SET", "other", "v")
      session.call("BF.RESERVE", "f", "0.01", "100000")
      for number in 0..<60 { session.call("BF.ADD", "f", "\(number)") }
      session.context.database = 1
      session.call("CF.ADD", "kept", "x")
      session.context.database = 0
      let before = try session.structures()
      #expect(before.registered.count == 2)
      #expect(try session.partCount("f") > 20)
      session.call(end.map { Array($0.utf8) })
      #expect(session.call("BF.EXISTS", "f", "1") != .integer(1), "\(end)")
      try session.reap()
      let after = try session.structures()
      #expect(after.registered.count == 1, "\(end)")
      #expect(after.parts.count == 1, "\(end): \(after.parts)")
      session.call("DEL", "f")
    }
    #expect(session.call("FLUSHALL") == .ok)
    try session.reap()
    // Only the counter is left, so that no number is given out again.
    #expect(try session.keys() == [StructureKeys.counter])
    session.call("BF.ADD", "f", "x")
    #expect(try session.number("f") ?? 0 > UInt64(ends.count))
  }

  /// Numbers go on after a restart, and so does the removal of what is gone.
  @Test(arguments: [Session.Store.lsm, .bitcask]) func aRestartGoesOn(store: Session.Store) throws {
    let disk = SimulatedFileSystem()
    var session = try Session(store, on: disk)
    session.call("BF.ADD", "a", "x")
    session.call("BF.ADD", "b", "x")
    session.call("DEL", "a")
    let last = try #require(try session.number("b"))
    try session.close()
    session = try Session(store, on: disk)
    #expect(session.call("BF.EXISTS", "b", "x") == .integer(1))
    session.call("CF.ADD", "c", "x")
    #expect(try session.number("c") == last + 1)
    #expect(try session.structures().registered.count == 3)
    try session.reap()
    #expect(try session.structures().registered == [last, last + 1])
    #expect(try Set(session.structures().parts.keys) == [last, last + 1])
    try session.close()
  }

  /// Bytes that are no root, or pages of another size, are an error for that key alone.
  @Test func damagedRecordsAreErrors() throws {
    let session = try Session(.memory)
    session.call("BF.ADD", "f", "x")
    let root = try #require(try root(session, "f"))
    var random = Random(seed: 5)
    let damaged = Reply.error("ERR the filter's record is damaged; delete the key and make it anew")
    for round in 0..<2000 {
      var bytes = root
      switch round % 3 {
      case 0: bytes = Array(bytes.prefix(random.below(bytes.count)))
      case 1: for _ in 0...random.below(3) { bytes[random.below(bytes.count)] ^= UInt8(1 + random.below(255)) }
      default: bytes += (0...random.below(20)).map { _ in UInt8(random.below(256)) }
      }
      for type in [RecordType.bloom, .cuckoo, RecordType(rawValue: 9)] {
        try store(session, [0, 0x66], bytes, RecordStamp(type, expiry: 0).bits)
        for words in [["BF.EXISTS", "f", "x"], ["CF.EXISTS", "f", "x"], ["BF.INFO", "f"], ["CF.INFO", "f"], ["CF.COUNT", "f", "x"]] {
          let reply = session.call(words.map { Array($0.utf8) })
          if case .error = reply { #expect(reply == damaged || reply == Self.wrong, "seed 5, round \(round): \(words)") }
        }
      }
    }
    try store(session, [0, 0x66], root, RecordStamp(.bloom, expiry: 0).bits)
    #expect(session.call("BF.EXISTS", "f", "x") == .integer(1))
    try store(session, StructureKeys.part(1, 0), [1, 2, 3], 0)
    #expect(session.call("BF.EXISTS", "f", "x") == damaged)
    #expect(session.call("BF.ADD", "f", "x") == damaged)
    #expect(session.call("TYPE", "f") == .simple("MBbloom--"))
    try store(session, [0, 0x66], root, RecordStamp(RecordType(rawValue: 9), expiry: 0).bits)
    #expect(session.call("TYPE", "f") == .simple("unknown"))
    #expect(session.call("GET", "f") == Self.wrong)
    #expect(session.call("COPY", "f", "g") == damaged)
    #expect(session.call("DEL", "f") == .integer(1))
  }

  private func root(_ session: Session, _ key: String) throws -> [UInt8]? {
    var bytes: [UInt8]?
    _ = try session.keyspace.engine.read(([0] + Array(key.utf8)).span.bytes, onlyIfCached: false) { value, _ in
      bytes = value.withUnsafeBytes { [UInt8]($0) }
    }
    return bytes
  }

  private func store(_ session: Session, _ key: [UInt8], _ bytes: [UInt8], _ stamp: UInt64) throws {
    try session.keyspace.lock.withLock { _ = try session.keyspace.submit([.put(key: key, value: bytes, expiry: stamp)]) }
  }

  @Test func aStampHoldsTypeAndExpiry() {
    for expiry: UInt64 in [0, 1, 1_700_000_000_000, RecordStamp.expiryEnd - 1] {
      for type in [RecordType.string, .bloom, .cuckoo, RecordType(rawValue: 127)] {
        let stamp = RecordStamp(RecordStamp(type, expiry: expiry).bits)
        #expect(stamp.type == type)
        #expect(stamp.expiry == expiry)
        #expect(stamp.expires == (expiry != 0))
      }
    }
    // Every expiry a string could have before there were types is still one.
    #expect(RecordStamp(UInt64(Int64.max)).expiry == UInt64(Int64.max))
    #expect(RecordStamp(UInt64(Int64.max)).isString)
  }
}
