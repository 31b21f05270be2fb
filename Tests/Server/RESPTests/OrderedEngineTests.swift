import Logging
import StrataDisk
import StrataLSMTree
import StrataNodes
import StrataSimulation
import Testing

@testable import StrataRESP

/// A server on the ordered engine, small enough that most records are on disk and not in memory.
final class OrderedServer {
  let server: RESPServer
  let time = TestServer.Time()

  static func options() -> LSMOptions {
    var options = LSMOptions()
    options.memtableBytes = 8 << 10
    options.logSegmentBytes = 64 << 10
    options.blockCacheBytes = 16 << 10
    options.durability = .none
    options.defaultKeyspace.table.blockSize = 256
    return options
  }

  init(_ disk: any FileSystem = SimulatedFileSystem(), _ change: (inout ServerOptions) -> Void = { _ in }) throws {
    let time = time
    var options = ServerOptions()
    options.port = 0
    options.activeExpiry = false
    options.cacheBytes = 0
    options.clock = { time.milliseconds.load(ordering: .sequentiallyConsistent) }
    change(&options)
    server = try RESPServer.start(options: options, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }) { () throws(EngineError) in
      do throws(LSMError) { return LSMEngine(try LSMTree.open("/store", options: Self.options(), on: disk)) } catch { throw EngineError(error) }
    }
  }

  func connect() throws -> Client { try Client(port: server.port) }
}

@Suite struct OrderedEngineTests {
  static func text(_ reply: Reply) -> String? {
    if case .bulk(let bytes) = reply { String(decoding: bytes, as: UTF8.self) } else { nil }
  }

  /// A whole scan; `between` runs after each page.
  static func scan(_ client: Client, count: Int, between: () throws -> Void = {}) throws -> [String] {
    var keys: [String] = []
    var cursor = "0"
    repeat {
      guard case .array(let parts) = try client.call("SCAN", cursor, "COUNT", "\(count)"), parts.count == 2, let next = text(parts[0]),
        case .array(let page) = parts[1]
      else { throw Client.Closed() }
      keys += page.compactMap { text($0) }
      cursor = next
      try between()
    } while cursor != "0"
    return keys
  }

  /// Sizes are those of a model after writes of which memory does not know what they replaced.
  @Test(arguments: [1, 2] as [UInt64]) func sizesAreExactWhateverMemoryKnows(seed: UInt64) throws {
    let server = try OrderedServer()
    defer { try? server.server.stop() }
    let client = try server.connect()
    var random = Random(seed: seed)
    var model: [Int: [String: Bool]] = [0: [:], 3: [:]]
    for round in 0..<40 {
      let database = random.below(2) * 3
      #expect(try client.call("SELECT", "\(database)") == .ok)
      var wire: [UInt8] = []
      var count = 0
      for _ in 0..<60 {
        let key = "key \(random.below(400))"
        switch random.below(8) {
        case 0:
          wire += Client.encode(["DEL", key])
          model[database]?[key] = nil
        case 1:
          wire += Client.encode(["SET", key, "v", "EX", "1000"])
          model[database]?[key] = true
        case 2:
          let other = "key \(random.below(400))"
          wire += Client.encode(["MSET", key, "1", other, "2", key, "3"])
          for name in [key, other] { model[database]?[name] = false }
        default:
          wire += Client.encode(["SET", key, String(repeating: "v", count: random.below(60))])
          model[database]?[key] = false
        }
        count += 1
      }
      try client.send(wire)
      for _ in 0..<count { if case .error(let text) = try client.reply() { Issue.record("seed \(seed): \(text)") } }
      if random.below(12) == 0 {
        #expect(try client.call("FLUSHDB") == .ok)
        model[database] = [:]
      }
      guard round % 3 == 0 else { continue }
      let expected = model[database] ?? [:]
      #expect(try client.call("DBSIZE") == .integer(Int64(expected.count)), "seed \(seed), round \(round)")
      let lines = Self.text(try client.call("INFO", "keyspace")) ?? ""
      for (database, keys) in model where !keys.isEmpty {
        let line = "db\(database):keys=\(keys.count),expires=\(keys.values.filter { $0 }.count),"
        #expect(lines.contains(line), "seed \(seed), round \(round): \(line) in \(lines)")
      }
    }
  }

  @Test func aScanGoesByKeyOrderAndReturnsEveryKeyOnce() throws {
    let server = try OrderedServer()
    defer { try? server.server.stop() }
    let client = try server.connect()
    for index in 0..<700 { #expect(try client.call("SET", "key:\(index)", "v") == .ok) }
    #expect(try client.call("SELECT", "1") == .ok)
    #expect(try client.call("SET", "other", "v") == .ok)
    #expect(try client.call("SELECT", "0") == .ok)
    #expect(try Self.scan(client, count: 7) == (0..<700).map { "key:\($0)" }.sorted())
    // While keys between come and go, those that stay come once.
    var round = 0
    let seen = try Self.scan(client, count: 10) { () throws in
      #expect(try client.call("SET", "key:\(round)x", "v") == .ok)
      #expect(try client.call("DEL", "key:\(round)", "key:\(699 - round)") != .integer(0))
      round += 1
    }
    let kept = Set((round..<(700 - round)).map { "key:\($0)" })
    #expect(kept.isSubset(of: seen))
    #expect(Set(seen).count == seen.count)
  }

  /// A cursor of before a restart goes on without losing a key.
  @Test func aCursorSurvivesARestart() throws {
    let disk = SimulatedFileSystem()
    var cursor = ""
    var seen: Set<String> = []
    do {
      let server = try OrderedServer(disk)
      let client = try server.connect()
      for index in 0..<300 { #expect(try client.call("SET", "\(1000 + index):key", "v") == .ok) }
      guard case .array(let parts) = try client.call("SCAN", "0", "COUNT", "100"), case .array(let page) = parts[1] else { throw Client.Closed() }
      cursor = try #require(Self.text(parts[0]))
      seen = Set(page.compactMap { Self.text($0) })
      try server.server.stop()
    }
    let server = try OrderedServer(disk)
    defer { try? server.server.stop() }
    let client = try server.connect()
    var pages = 0
    while cursor != "0" {
      guard case .array(let parts) = try client.call("SCAN", cursor, "COUNT", "100"), case .array(let page) = parts[1] else { throw Client.Closed() }
      cursor = try #require(Self.text(parts[0]))
      // The first page begins where the cursor's six bytes say, which is where the scan was.
      let keys = page.compactMap { Self.text($0) }
      #expect(seen.intersection(keys).count <= 1)
      seen.formUnion(keys)
      pages += 1
    }
    #expect(pages == 2 || pages == 3)
    #expect(seen.count == 300)
  }

  /// Commands run to the same end wherever their records are.
  @Test func recordsOnDiskAreFound() throws {
    let server = try OrderedServer()
    defer { try? server.server.stop() }
    let client = try server.connect()
    for index in 0..<2000 { #expect(try client.call("SET", "key \(index)", "\(index)") == .ok) }
    for index in stride(from: 0, to: 2000, by: 131) {
      let key = "key \(index)"
      #expect(try client.call("GET", key) == .bulk("\(index)"))
      #expect(try client.call("INCR", key) == .integer(Int64(index + 1)))
      #expect(try client.call("EXISTS", key, "none", "key \(1999 - index)") == .integer(2))
      #expect(try client.call("SETNX", "key \(1999 - index)", "x") == .integer(0))
      #expect(try client.call("APPEND", key, "!") == .integer(Int64("\(index + 1)!".utf8.count)))
      #expect(try client.call("DEL", key, "none") == .integer(1))
      #expect(try client.call("DEL", key) == .integer(0))
      #expect(try client.call("GET", key) == .null)
    }
    guard case .array(let keys) = try client.call("KEYS", "key 19?7") else { throw Client.Closed() }
    #expect(keys.map { Self.text($0) ?? "" } == (0..<10).map { "key 19\($0)7" })
    #expect(try client.call("BGREWRITEAOF") != .null)
    #expect(try client.call("SAVE") == .ok)
    let info = Self.text(try client.call("INFO", "engine")) ?? ""
    for name in ["lsm_level", "lsm_write_amplification:", "lsm_read_amplification:", "lsm_stall_usec:", "lsm_cache_bytes:", "lsm_memtable_bytes:"] {
      #expect(info.contains(name), "\(name) in \(info)")
    }
    for name in ["get", "write", "sync", "flush", "compaction"] {
      #expect(info.contains("lsm_\(name)_latency:timed="), "\(name) in \(info)")
    }
    // Every 64th of more than a thousand reads is timed, every 32nd of as many writes, and each flush.
    for name in ["get", "write", "flush"] { #expect(!info.contains("lsm_\(name)_latency:timed=0"), "\(name) in \(info)") }
  }

  @Test func activeExpiryReadsFromDiskAndRestsWhenNothingExpires() throws {
    let disk = SimulatedFileSystem()
    let time = TestServer.Time()
    let store = try LSMTree.open("/store", options: OrderedServer.options(), on: disk)
    let keyspace = try Keyspace(engine: LSMEngine(store), clock: { time.milliseconds.load(ordering: .sequentiallyConsistent) })
    let now = keyspace.clock()
    let scratch = KeyScratch()
    func put(_ index: Int, expiry: UInt64) throws {
      if !store.hasRoom { try keyspace.waitForRoom(1 << 10) }
      try Array("key \(index)".utf8).withUnsafeBytes { key in
        try Array("v".utf8).withUnsafeBytes { value in
          keyspace.lock.lock()
          defer { keyspace.lock.unlock() }
          do throws(EngineError) { _ = try keyspace.put(scratch.compose(0, key), value, expiry: expiry) } catch {
            guard error.kind == .noRoom else { throw error }
            try store.flush()
            _ = try keyspace.put(scratch.compose(0, key), value, expiry: expiry)
          }
        }
      }
    }
    for index in 0..<1500 { try put(index, expiry: index % 3 == 0 ? now + 100 : 0) }
    try store.flush()
    time.advance(200)
    func pass() throws {
      var position = ScanPosition.start
      repeat { position = try keyspace.expireSome(from: position, pages: 1) } while position != .start
    }
    try pass()
    #expect(keyspace.expiredTotal == 500)
    #expect(try keyspace.countedSize(0) == (1000, 0))
    // A pass that sees nothing is the last one, until something with an expiry is written.
    try pass()
    let reads = store.statistics.cache
    try pass()
    #expect(store.statistics.cache == reads)
    try put(7, expiry: now + 300)
    time.advance(200)
    try pass()
    #expect(keyspace.expiredTotal == 501)
    try store.close()
  }

  @Test func everyKeyMayBeTheRandomOne() throws {
    let server = try OrderedServer()
    defer { try? server.server.stop() }
    let client = try server.connect()
    #expect(try client.call("RANDOMKEY") == .null)
    let names = ["", "a", "user:0001", "user:0002", "user:00021", "zz"]
    for name in names { #expect(try client.call("SET", name, "v") == .ok) }
    #expect(try client.call("SELECT", "2") == .ok)
    #expect(try client.call("SET", "apart", "v") == .ok)
    #expect(try client.call("SELECT", "0") == .ok)
    var seen: Set<String> = []
    for _ in 0..<20_000 where seen.count < names.count { seen.insert(Self.text(try client.call("RANDOMKEY")) ?? "nothing") }
    #expect(seen == Set(names))
  }
}

/// What the server keeps of sizes and cursors.
@Suite struct KeyspaceStateTests {
  @Test func aCensusCountsWithWhatIsWrittenMeanwhile() {
    var sizes = DatabaseSizes()
    #expect(sizes.size(0) == nil && !sizes.wantsPrevious(0))
    let first = sizes.begin(0)
    #expect(sizes.wantsPrevious(0) && !sizes.wantsPrevious(1) && !sizes.wantsPrevious(200))
    sizes.note(0, .absent, stored: true, expires: true)
    sizes.note(0, .present(expires: false), stored: false, expires: false)
    #expect(sizes.size(0) == nil)
    sizes.end(0, first, keys: 10, expires: 1)
    #expect(sizes.size(0)! == (10, 2))
    // One unknown write makes it unknown; one during a census makes the census count for nothing.
    sizes.note(0, .unknown, stored: true, expires: false)
    #expect(sizes.size(0) == nil && !sizes.wantsPrevious(0))
    let second = sizes.begin(0)
    sizes.note(0, .unknown, stored: true, expires: false)
    sizes.end(0, second, keys: 11, expires: 2)
    #expect(sizes.size(0) == nil)
    // The later of two censuses counts, and none that a flush overtook.
    let third = sizes.begin(0)
    let fourth = sizes.begin(0)
    sizes.end(0, third, keys: 1, expires: 1)
    #expect(sizes.size(0) == nil)
    sizes.clear(0)
    sizes.end(0, fourth, keys: 5, expires: 5)
    #expect(sizes.size(0)! == (0, 0))
  }

  @Test func cursorsAreInOrderDistinctAndBounded() throws {
    let cursors = ScanCursors()
    #expect(cursors.number(.end) == 0 && cursors.position(0, database: 0, isOrdered: true) == .start)
    #expect(cursors.position(77, database: 0, isOrdered: false) == .hash(77))
    var numbers: [UInt64] = []
    for index in 0..<10_000 {
      let key = [3] + Array("k\(index % 5)".utf8) + [UInt8(index % 251), UInt8(index / 251)]
      let number = cursors.number(.key(key))
      #expect(number != 0)
      #expect(cursors.position(number, database: 3, isOrdered: true) == .key(key))
      numbers.append(number)
    }
    #expect(Set(numbers.suffix(ScanCursors.maxEntries)).count == ScanCursors.maxEntries)
    // One that is forgotten, or asked for in another database, stands for its six bytes, which no later key precedes.
    guard case .key(let rest) = cursors.position(numbers[0], database: 3, isOrdered: true) else { throw Client.Closed() }
    #expect(rest == [3] + Array("k0".utf8))
    guard case .key(let other) = cursors.position(numbers[9999], database: 4, isOrdered: true) else { throw Client.Closed() }
    #expect(other.first == 4 && other.dropFirst().starts(with: Array("k4".utf8)))
    let long = [UInt8](repeating: 7, count: 60_000)
    for _ in 0..<600 { _ = cursors.number(.key(long)) }
    let number = cursors.number(.key(long))
    #expect(cursors.position(number, database: 7, isOrdered: true) == .key(long))
  }
}
