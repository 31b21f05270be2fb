import Testing

@testable import StrataRESP

/// Commands over a socket. Replies themselves are compared with redis-server in Tests/Interop; here is what needs a clock, an engine or a
/// second client.
@Suite struct CommandTests {
  @Test func expiryFollowsTheClock() throws {
    let server = try TestServer()
    defer { try? server.server.stop() }
    let client = try server.connect()
    #expect(try client.call("SET", "a", "1", "PX", "1000") == .ok)
    #expect(try client.call("PTTL", "a") == .integer(1000))
    server.time.advance(400)
    #expect(try client.call("PTTL", "a") == .integer(600))
    #expect(try client.call("TTL", "a") == .integer(1))
    server.time.advance(600)
    for (words, expected) in [
      (["GET", "a"], Reply.null), (["EXISTS", "a"], .integer(0)), (["TTL", "a"], .integer(-2)), (["TYPE", "a"], .simple("none")),
      (["STRLEN", "a"], .integer(0)), (["MGET", "a"], .array([.null])), (["KEYS", "*"], .array([])),
      (["SCAN", "0"], .array([.bulk("0"), .array([])])),
      (["EXPIRE", "a", "5"], .integer(0)), (["PERSIST", "a"], .integer(0)), (["DEL", "a"], .integer(0)), (["GETRANGE", "a", "0", "1"], .bulk("")),
      (["RENAME", "a", "b"], .error("ERR no such key")), (["COPY", "a", "b"], .integer(0)), (["SET", "a", "2", "XX"], .null), (["RANDOMKEY"], .null),
      (["APPEND", "a", "x"], .integer(1)), (["TTL", "a"], .integer(-1)), (["DBSIZE"], .integer(1)),
    ] {
      try client.send(Client.encode(words))
      #expect(try client.reply() == expected, "\(words)")
    }
  }

  @Test func anExpiredNumberStartsAgainWithoutExpiry() throws {
    let server = try TestServer()
    defer { try? server.server.stop() }
    let client = try server.connect()
    #expect(try client.call("SET", "n", "41", "PX", "10") == .ok)
    server.time.advance(10)
    #expect(try client.call("INCR", "n") == .integer(1))
    #expect(try client.call("PTTL", "n") == .integer(-1))
  }

  @Test func activeExpiryRemovesWhatIsDueAndCountsStayExact() throws {
    let server = try TestServer()
    defer { try? server.server.stop() }
    let client = try server.connect()
    for index in 0..<500 { #expect(try client.call("SET", "t\(index)", "v", "PX", "\(index + 1)") == .ok) }
    for index in 0..<100 { #expect(try client.call("SET", "k\(index)", "v") == .ok) }
    server.time.advance(250)
    let time = server.time
    let keyspace = try Keyspace(engine: server.engine, clock: { time.milliseconds.load(ordering: .sequentiallyConsistent) })
    #expect(try #require(keyspace.size(0)) == (600, 500))
    var position = ScanPosition.start
    repeat { position = try keyspace.expireSome(from: position, pages: 1) } while position != .start
    #expect(try #require(keyspace.size(0)) == (350, 250))
    #expect(server.engine.count == 350)
    #expect(keyspace.expiredTotal == 250)
  }

  @Test func databasesAreApart() throws {
    let server = try TestServer()
    defer { try? server.server.stop() }
    let client = try server.connect()
    for database in 0..<16 {
      #expect(try client.call("SELECT", "\(database)") == .ok)
      #expect(try client.call("MSET", "a", "\(database)", "b\(database)", "x") == .ok)
    }
    #expect(try client.call("SELECT", "3") == .ok)
    #expect(try client.call("GET", "a") == .bulk("3"))
    #expect(try client.call("DBSIZE") == .integer(2))
    #expect(try client.call("FLUSHDB") == .ok)
    #expect(try client.call("DBSIZE") == .integer(0))
    #expect(try client.call("SELECT", "4") == .ok)
    #expect(try client.call("DBSIZE") == .integer(2))
    #expect(try client.call("RANDOMKEY") != .null)
    #expect(try client.call("FLUSHALL") == .ok)
    #expect(server.engine.count == 0)
  }

  @Test func aScanReturnsEveryKeyOnceWhileOthersComeAndGo() throws {
    let server = try TestServer()
    defer { try? server.server.stop() }
    let client = try server.connect()
    var expected: Set<String> = []
    for index in 0..<300 {
      expected.insert("stay\(index)")
      #expect(try client.call("SET", "stay\(index)", "v") == .ok)
    }
    var seen: [String] = []
    var cursor = "0"
    var round = 0
    repeat {
      guard case .array(let parts) = try client.call("SCAN", cursor, "COUNT", "7"), case .bulk(let next) = parts[0], case .array(let keys) = parts[1]
      else {
        Issue.record("not a scan reply")
        return
      }
      for case .bulk(let key) in keys { seen.append(String(decoding: key, as: UTF8.self)) }
      cursor = String(decoding: next, as: UTF8.self)
      #expect(try client.call("SET", "come\(round)", "v") == .ok)
      #expect(try client.call("DEL", "come\(round - 3)") != .null)
      round += 1
    } while cursor != "0"
    let stayed = seen.filter { $0.hasPrefix("stay") }
    #expect(stayed.count == expected.count)
    #expect(Set(stayed) == expected)
  }

  /// Increments of many clients at once lose nothing: a read and the write that follows it are one step.
  @Test func readModifyWriteIsAtomic() throws {
    let server = try TestServer()
    defer { try? server.server.stop() }
    let clients = try (0..<8).map { _ in try server.connect() }
    let rounds = 200
    for client in clients {
      var wire: [UInt8] = []
      for _ in 0..<rounds { wire += Client.encode(["INCR", "n"]) + Client.encode(["APPEND", "s", "x"]) }
      try client.send(wire)
    }
    for client in clients { for _ in 0..<(rounds * 2) { _ = try client.reply() } }
    #expect(try clients[0].call("GET", "n") == .bulk("\(8 * rounds)"))
    #expect(try clients[0].call("STRLEN", "s") == .integer(Int64(8 * rounds)))
  }

  @Test func anMSETIsSeenWholeOrNotAtAll() throws {
    let server = try TestServer()
    defer { try? server.server.stop() }
    let writer = try server.connect()
    let reader = try server.connect()
    let rounds = 300
    var writes: [UInt8] = []
    var reads: [UInt8] = []
    for round in 0..<rounds {
      writes += Client.encode(["MSET", "a", "\(round)", "b", "\(round)", "c", "\(round)"])
      reads += Client.encode(["MGET", "a", "b", "c"])
    }
    try writer.send(writes)
    try reader.send(reads)
    for _ in 0..<rounds {
      guard case .array(let values) = try reader.reply() else { continue }
      #expect(values[0] == values[1] && values[1] == values[2])
    }
    for _ in 0..<rounds { #expect(try writer.reply() == .ok) }
  }

  @Test func monitorShowsCommandsAndHidesSecrets() throws {
    let server = try TestServer()
    defer { try? server.server.stop() }
    let monitor = try server.connect()
    let client = try server.connect()
    #expect(try monitor.call("MONITOR") == .ok)
    #expect(try client.call("SET", "a\"b", "\n\u{1}") == .ok)
    _ = try client.call("AUTH", "secret")
    #expect(try client.call("PING") == .simple("PONG"))
    guard case .simple(let first) = try monitor.reply(), case .simple(let second) = try monitor.reply() else {
      Issue.record("no lines")
      return
    }
    #expect(first.hasSuffix(#"] "SET" "a\"b" "\n\x01""#))
    #expect(second.hasSuffix(#"] "PING""#))
  }

  @Test func clientsAreListedNamedAndKilled() throws {
    let server = try TestServer()
    defer { try? server.server.stop() }
    let one = try server.connect()
    let two = try server.connect()
    #expect(try one.call("CLIENT", "SETNAME", "first") == .ok)
    #expect(try two.call("CLIENT", "SETINFO", "LIB-NAME", "lib") == .ok)
    guard case .integer(let id) = try two.call("CLIENT", "ID"), case .bulk(let list) = try one.call("CLIENT", "LIST") else {
      Issue.record("no list")
      return
    }
    let lines = String(decoding: list, as: UTF8.self).split(separator: "\n")
    #expect(lines.count == 2)
    #expect(lines.contains { $0.contains("name=first") && $0.contains("cmd=client") })
    #expect(lines.contains { $0.contains("id=\(id) ") && $0.contains("lib-name=lib") })
    #expect(try one.call("CLIENT", "KILL", "ID", "\(id)") == .integer(1))
    #expect(two.isClosed)
    #expect(try one.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no") == .integer(1))
    #expect(one.isClosed)
  }

  @Test func figuresAreTrue() throws {
    let server = try TestServer()
    defer { try? server.server.stop() }
    let client = try server.connect()
    #expect(try client.call("CONFIG", "SET", "slowlog-log-slower-than", "0") == .ok)
    #expect(try client.call("SET", "a", "1") == .ok)
    #expect(try client.call("GET", "a") == .bulk("1"))
    #expect(try client.call("GET", "b") == .null)
    _ = try client.call("INCR", "a", "b")
    guard case .bulk(let bytes) = try client.call("INFO", "everything") else {
      Issue.record("no info")
      return
    }
    let info = String(decoding: bytes, as: UTF8.self)
    for line in [
      "keyspace_hits:1\r\n", "keyspace_misses:1\r\n", "connected_clients:1\r\n", "db0:keys=1,expires=0", "cmdstat_get:calls=2,",
      "cmdstat_set:calls=1,",
      "rejected_calls=1", "engine:memory\r\n", "memory_records:1\r\n", "last_sequence:1\r\n", "tcp_port:\(server.server.port)\r\n",
    ] {
      #expect(info.contains(line), "\(line)")
    }
    guard case .array(let entries) = try client.call("SLOWLOG", "GET", "-1"), case .array(let newest) = entries.first ?? .null else {
      Issue.record("no slow log")
      return
    }
    #expect(entries.count >= 4)
    #expect(newest[3] == .array([.bulk("INFO"), .bulk("everything")]))
    #expect(try client.call("SAVE") == .ok)
    #expect(server.engine.state.withLock { $0.syncs } == 1)
    #expect(try client.call("BGREWRITEAOF") == .simple("Background append only file rewriting started"))
    #expect(server.engine.state.withLock { $0.merges } == 1)
  }

  @Test func commandTablesDescribeWhatExists() throws {
    let server = try TestServer()
    defer { try? server.server.stop() }
    let client = try server.connect()
    let count = CommandID.allCases.count
    #expect(try client.call("COMMAND", "COUNT") == .integer(Int64(count)))
    guard case .array(let all) = try client.call("COMMAND"), case .array(let docs) = try client.call("COMMAND", "DOCS", "get", "nosuch") else {
      Issue.record("no table")
      return
    }
    #expect(all.count == count)
    #expect(docs.count == 2)
    guard case .array(let infos) = try client.call("COMMAND", "INFO", "get", "nosuch"), case .array(let get) = infos[0] else {
      Issue.record("no info")
      return
    }
    #expect(infos[1] == .null)
    #expect(Array(get[0..<6]) == [.bulk("get"), .integer(2), .array([.simple("readonly"), .simple("fast")]), .integer(1), .integer(1), .integer(1)])
    for container in ["CLIENT", "CONFIG", "COMMAND", "SLOWLOG", "LATENCY"] {
      guard case .array(let lines) = try client.call(container, "HELP") else {
        Issue.record("no help for \(container)")
        continue
      }
      #expect(lines.count > 4)
    }
  }
}
