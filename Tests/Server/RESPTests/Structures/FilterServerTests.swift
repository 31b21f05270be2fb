import StrataNodes
import StrataRequirements
import Testing

@testable import StrataRESP

/// Filters behind a server: where records are not in memory, where replies wait, and in a group.
@Suite(.serialized) struct FilterServerTests {
  /// Most pages are on disk: commands find them there, on a disk thread.
  @Test func pagesComeFromTheDisk() throws {
    let server = try OrderedServer()
    defer { try? server.server.stop() }
    let client = try server.connect()
    #expect(try client.call("BF.RESERVE", "b", "0.01", "20000") == .ok)
    #expect(try client.call("CF.RESERVE", "c", "9000") == .ok)
    var random = Random(seed: 9)
    let items = (0..<250).map { _ in "i\(random.below(1_000_000))" }
    for item in items {
      #expect(try client.call("BF.ADD", "b", item) != .null)
      #expect(try client.call("SET", "s\(item)", String(repeating: "x", count: 200)) == .ok)
    }
    for item in items.prefix(20) { #expect(try client.call("CF.ADD", "c", item) == .integer(1)) }
    for item in items { #expect(try client.call("BF.EXISTS", "b", item) == .integer(1)) }
    try client.send(Client.encode(["BF.MEXISTS", "b"] + items))
    #expect(try client.reply() == .array(items.map { _ in .integer(1) }))
    #expect(try client.call("COPY", "b", "b2") == .integer(1))
    #expect(try client.call("DEL", "b") == .integer(1))
    try client.send(Client.encode(["BF.MEXISTS", "b2"] + items))
    #expect(try client.reply() == .array(items.map { _ in .integer(1) }))
    for item in items.prefix(20) { #expect(try client.call("CF.DEL", "c", item) == .integer(1)) }
    #expect(try client.call("DBSIZE") == .integer(Int64(Set(items).count + 2)))
  }

  /// An item is shown as added only when that is acknowledged.
  @Test func anAnswerWaitsForTheWholeWrite() throws {
    let engine = MemoryEngine(manual: true)
    let server = try TestServer(engine) { $0.threads = 1 }
    defer { try? server.server.stop() }
    let writer = try server.connect()
    let reader = try server.connect()
    let other = try server.connect()
    try writer.send(Client.encode(["BF.ADD", "f", "a"]))
    engine.waitForSequence(4)
    try reader.send(Client.encode(["BF.EXISTS", "f", "a"]))
    // Page, counter and registration alone are not the write.
    engine.acknowledge(3)
    for _ in 0..<3 { #expect(try other.call("PING") == .simple("PONG")) }
    #expect(writer.isSilent)
    #expect(reader.isSilent)
    engine.acknowledge()
    #expect(try writer.reply() == .integer(1))
    #expect(try reader.reply() == .integer(1))
  }

  @Test func theServerKnowsTheCommands() throws {
    let server = try TestServer()
    defer { try? server.server.stop() }
    let client = try server.connect()
    for (name, arity, category) in [("bf.add", 3, "@bloom"), ("cf.insertnx", -4, "@cuckoo")] {
      let info = try client.call("COMMAND", "INFO", name).description
      #expect(info.contains("\"\(name)\", :\(arity)"))
      #expect(info.contains(category))
      #expect(try client.call("COMMAND", "DOCS", name).description.contains("Filter"))
    }
    guard case .integer(let count) = try client.call("COMMAND", "COUNT") else { return #expect(Bool(false), "no count") }
    #expect(count == CommandID.allCases.count)
    #expect(try client.call("BF.ADD", "f") == .error("ERR wrong number of arguments for 'bf.add' command"))
    #expect(try client.call("BF.SCANDUMP", "f", "0").description.contains("unknown command"))
  }

  /// Every member's store says the same, also one that began anew from another's checkpoint.
  @Test func aGroupKeepsFilters() throws {
    let group = try Group { $0.snapshotBytes = 60_000 }
    let clients = try group.founders.keys.sorted().map { try group.connect($0) }
    #expect(try clients[0].call("BF.RESERVE", "b", "0.01", "50") == .ok)
    for number in 0..<200 {
      #expect(try clients[number % 3].call("BF.ADD", "b", "i\(number)") != .null)
      #expect(try clients[(number + 1) % 3].call("CF.ADD", "c", "i\(number)") == .integer(1))
    }
    for number in 0..<50 { #expect(try clients[number % 3].call("CF.DEL", "c", "i\(number)") == .integer(1)) }
    #expect(try clients[1].call("GET", "b") == StructureTests.wrong)
    #expect(try clients[1].call("RENAME", "b", "d") == .ok)
    #expect(try clients[2].call("BF.ADD", "b", "again") == .integer(1))
    let count = try clients[0].call("BF.CARD", "d")
    let answers = try clients.map { client -> [Reply] in
      try client.send(Client.encode(["BF.MEXISTS", "d"] + (0..<250).map { "i\($0)" }))
      try client.send(Client.encode(["CF.MEXISTS", "c"] + (0..<250).map { "i\($0)" }))
      return [try client.reply(), try client.reply(), try client.call("BF.CARD", "d"), try client.call("TYPE", "c")]
    }
    #expect(answers[0] == answers[1] && answers[1] == answers[2])
    #expect(answers[0][2] == count)
    guard case .array(let found) = answers[0][0] else { return #expect(Bool(false), "no array") }
    #expect(found.prefix(200).allSatisfy { $0 == .integer(1) })
    let victim = try #require(try group.founders.keys.sorted().first { try $0 != group.leader() })
    for id in group.founders.keys { try group.stop(id) }
    for id in group.founders.keys.sorted() { try group.start(id) }
    let again = try group.connect(victim)
    try again.send(Client.encode(["BF.MEXISTS", "d"] + (0..<250).map { "i\($0)" }) + Client.encode(["CF.MEXISTS", "c"] + (0..<250).map { "i\($0)" }))
    #expect(try again.reply() == answers[0][0])
    #expect(try again.reply() == answers[0][1])
    #expect(try again.call("BF.EXISTS", "b", "again") == .integer(1))
    #expect(try again.call("BF.EXISTS", "b", "i1") == .integer(0))
  }
}
