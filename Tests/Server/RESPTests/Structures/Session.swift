import NIOCore
import StrataBitcask
import StrataDisk
import StrataLSMTree
import StrataSimulation
import StrataWriteAheadLog

@testable import StrataRESP

/// Commands on a key space without a server around it: run, answered and made durable one after the other.
final class Session {
  /// The engines every filter must work on.
  enum Store: String, CaseIterable, Sendable {
    case memory, lsm, bitcask
  }

  let keyspace: StrataRESP.Keyspace
  var context: CommandContext

  init(_ engine: any KeyValueEngine, cacheBytes: Int = 1 << 20) throws {
    keyspace = try StrataRESP.Keyspace(engine: engine, cacheBytes: cacheBytes, clock: { 1_700_000_000_000 })
    context = CommandContext(keyspace: keyspace, reply: ReplyWriter(buffer: ByteBufferAllocator().buffer(capacity: 256), limit: 1 << 24))
    context.now = 1_700_000_000_000
    context.mayWait = true
  }

  convenience init(_ store: Store, on disk: any FileSystem = SimulatedFileSystem(), durability: StrataWriteAheadLog.Durability = .none) throws {
    try self.init(try Self.engine(store, on: disk, durability))
  }

  static func engine(_ store: Store, on disk: any FileSystem, _ durability: StrataWriteAheadLog.Durability) throws -> any KeyValueEngine {
    switch store {
    case .memory: return MemoryEngine()
    case .lsm:
      var options = LSMOptions()
      options.memtableBytes = 64 << 10
      options.logSegmentBytes = 64 << 10
      options.durability = durability
      return LSMEngine(try LSMTree.open("/store", options: options, on: disk))
    case .bitcask:
      var options = BitcaskOptions()
      options.segmentBytes = 256 << 10
      options.durability = durability
      return BitcaskEngine(try Bitcask.open("/store", options: BitcaskEngine.options(options), on: disk))
    }
  }

  func close() throws { try keyspace.engine.close() }

  /// Runs one command; an error is a reply too.
  @discardableResult
  func call(_ words: String...) -> Reply { call(words.map { Array($0.utf8) }) }

  @discardableResult
  func call(_ words: [[UInt8]]) -> Reply {
    OwnedCall(words).withInvocation { call in
      guard let index = CommandTable.shared.find(call[0]) else { return .error("ERR unknown command") }
      let rule = CommandTable.shared.rules[index]
      guard rule.accepts(call.count) else { return .error("ERR wrong number of arguments") }
      // Waits for room where it must, as a member of a group does.
      _ = context.carryOut(rule, call)
      guard let buffer = context.reply.take(acknowledged: .max) else { return .null }
      var bytes = Array(buffer.readableBytesView)[...]
      return Self.parse(&bytes)
    }
  }

  private static func parse(_ bytes: inout ArraySlice<UInt8>) -> Reply {
    guard let end = bytes.firstIndex(of: 0x0D) else { return .null }
    let line = String(decoding: bytes[bytes.startIndex..<end], as: UTF8.self)
    bytes = bytes[(end + 2)...]
    let rest = line.dropFirst()
    switch line.first {
    case "+": return .simple(String(rest))
    case "-": return .error(String(rest))
    case ":": return .integer(Int64(rest) ?? 0)
    case "#": return .boolean(rest == "t")
    case "*", "~":
      guard let count = Int(rest), count >= 0 else { return .null }
      return .array((0..<count).map { _ in parse(&bytes) })
    case "%": return .map((0..<(2 * (Int(rest) ?? 0))).map { _ in parse(&bytes) })
    case "$":
      guard let count = Int(rest), count >= 0 else { return .null }
      defer { bytes = bytes[(bytes.startIndex + count + 2)...] }
      return .bulk(Array(bytes[bytes.startIndex..<(bytes.startIndex + count)]))
    default: return .null
    }
  }

  // MARK: what is stored

  /// Every key in the engine.
  func keys() throws -> [[UInt8]] {
    var keys: [[UInt8]] = []
    var position = ScanPosition.start
    while position != .end {
      let page = try keyspace.engine.scan(from: position, prefix: nil, count: 1000)
      keys += page.keys.map(\.key)
      position = page.next
    }
    return keys
  }

  /// The numbers of the structures that have a registration, and of those that have parts.
  func structures() throws -> (registered: Set<UInt64>, parts: [UInt64: Int]) {
    let keys = try keys()
    let parts = keys.compactMap { StructureKeys.number($0, StructureKeys.parts) }
    return (Set(keys.compactMap { StructureKeys.number($0, StructureKeys.registry) }), Dictionary(parts.map { ($0, 1) }, uniquingKeysWith: +))
  }

  /// The number of the structure under a key of database 0.
  func number(_ key: String) throws -> UInt64? {
    var number: UInt64?
    _ = try keyspace.engine.read(([0] + Array(key.utf8)).span.bytes, onlyIfCached: false) { value, stamp in
      number = RecordStamp(stamp).isString ? nil : value.withUnsafeBytes { StructureKeys.number(ofRoot: $0) }
    }
    return number
  }

  /// How many parts the structure under a key of database 0 has.
  func partCount(_ key: String) throws -> Int {
    guard let number = try number(key) else { return 0 }
    return try structures().parts[number] ?? 0
  }

  /// Whole passes over structures until nothing is left to do.
  func reap() throws {
    keyspace.noteStructures()
    for _ in 0..<3 {
      var position = ScanPosition.start
      repeat { position = try keyspace.reapSome(from: position, pages: 2) } while position != .start
    }
  }
}
