import Logging
import Testing

@testable import StrataRESP

/// Limits, refusals and the end of connections and servers.
@Suite struct ConnectionTests {
  @Test func aPipelineIsAnsweredInOrderWhateverItsSize() throws {
    let server = try TestServer()
    defer { try? server.server.stop() }
    let client = try server.connect()
    var wire: [UInt8] = []
    for index in 0..<5000 { wire += Client.encode(["SET", "k\(index % 50)", "\(index)"]) + Client.encode(["GET", "k\(index % 50)"]) }
    try client.send(wire)
    for index in 0..<5000 {
      #expect(try client.reply() == .ok)
      #expect(try client.reply() == .bulk("\(index)"))
    }
  }

  /// A client that asks for much and reads nothing is not served further until it reads; then it gets everything.
  @Test func aSlowReaderPausesItselfAndNobodyElse() throws {
    let server = try TestServer()
    defer { try? server.server.stop() }
    let slow = try server.connect(receiveBuffer: 4096)
    let other = try server.connect()
    let value = String(repeating: "v", count: 100_000)
    #expect(try other.call("SET", "big", value) == .ok)
    let count = 400
    var wire: [UInt8] = []
    for _ in 0..<count { wire += Client.encode(["GET", "big"]) }
    try slow.send(wire)
    #expect(try other.call("PING") == .simple("PONG"))
    #expect(server.server.heldBytes < 8 << 20)
    for _ in 0..<count { #expect(try slow.reply() == .bulk(value)) }
  }

  @Test func aClientThatNeverReadsWhatIsPushedIsClosed() throws {
    let server = try TestServer {
      $0.maxOutputBytes = 1 << 20; $0.maxBulkBytes = 64 << 10
    }
    defer { try? server.server.stop() }
    let monitor = try server.connect(receiveBuffer: 4096)
    #expect(try monitor.call("MONITOR") == .ok)
    let client = try server.connect()
    let value = String(repeating: "v", count: 60_000)
    var rounds = 0
    while server.server.connectedClients == 2, rounds < 5000 {
      #expect(try client.call("SET", "a", value) == .ok)
      rounds += 1
    }
    #expect(server.server.connectedClients == 1)
  }

  @Test func oversizeIsRefusedBeforeItArrives() throws {
    let server = try TestServer {
      $0.maxBulkBytes = 1000; $0.maxArguments = 20
    }
    defer { try? server.server.stop() }
    for (text, message) in [
      ("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1001\r\n", "ERR Protocol error: invalid bulk length"),
      ("*21\r\n", "ERR Protocol error: invalid multibulk length"),
      ("*1\r\n$x\r\n", "ERR Protocol error: invalid bulk length"),
    ] {
      let client = try server.connect()
      try client.send(Client.encode(["PING"]))
      try client.send(text)
      #expect(try client.reply() == .simple("PONG"))
      #expect(try client.reply() == .error(message))
      #expect(client.isClosed)
    }
    let client = try server.connect()
    #expect(try client.call("SETRANGE", "a", "999", "x") == .integer(1000))
    #expect(try client.call("SETRANGE", "a", "1000", "x") == .error("ERR string exceeds maximum allowed size (proto-max-bulk-len)"))
    #expect(try client.call("APPEND", "a", "x") == .error("ERR string exceeds maximum allowed size (proto-max-bulk-len)"))
    #expect(try client.call("GET", String(repeating: "k", count: 999)) == .null)
  }

  @Test func aKeyThatIsTooLongIsRefused() throws {
    let server = try TestServer()
    defer { try? server.server.stop() }
    let client = try server.connect()
    #expect(try client.call("SET", String(repeating: "k", count: 65_534), "v") == .ok)
    #expect(try client.call("SET", String(repeating: "k", count: 65_535), "v") == .error("ERR key is longer than 65534 bytes"))
    #expect(try client.call("DBSIZE") == .integer(1))
  }

  @Test func aQueryBufferThatIsFullEndsTheConnection() throws {
    let server = try TestServer { $0.maxQueryBytes = 1 << 20 }
    defer { try? server.server.stop() }
    let client = try server.connect()
    try? client.send(Array("*2\r\n$4\r\nECHO\r\n$4000000\r\n".utf8) + [UInt8](repeating: 0, count: 4_000_000))
    #expect(client.isClosed)
    #expect(try server.connect().call("PING") == .simple("PONG"))
  }

  @Test func tooManyClientsAreToldSo() throws {
    let server = try TestServer { $0.maxClients = 2 }
    defer { try? server.server.stop() }
    let one = try server.connect()
    let two = try server.connect()
    #expect(try one.call("PING") == .simple("PONG"))
    #expect(try two.call("PING") == .simple("PONG"))
    let three = try server.connect()
    #expect(try three.reply() == .error("ERR max number of clients reached"))
    #expect(three.isClosed)
    #expect(try one.call("PING") == .simple("PONG"))
  }

  @Test func idleClientsAreClosedAndActiveOnesAreNot() throws {
    let server = try TestServer { $0.idleTimeoutSeconds = 60 }
    defer { try? server.server.stop() }
    let idle = try server.connect()
    #expect(try idle.call("PING") == .simple("PONG"))
    server.time.advance(59_000)
    let active = try server.connect()
    #expect(try active.call("PING") == .simple("PONG"))
    server.time.advance(2000)
    #expect(idle.isClosed)
    #expect(try active.call("PING") == .simple("PONG"))
  }

  @Test func nothingButAuthenticationWorksWithoutThePassword() throws {
    let server = try TestServer { $0.password = "secret" }
    defer { try? server.server.stop() }
    let client = try server.connect()
    for spec in CommandTable.shared.specs where !spec.flags.contains(.noAuth) {
      let words = [spec.name] + [String](repeating: "1", count: abs(spec.arity) - 1)
      try client.send(Client.encode(words))
      #expect(try client.reply() == .error("NOAUTH Authentication required."), "\(spec.name)")
    }
    #expect(try client.call("AUTH", "secretx") == .error("WRONGPASS invalid username-password pair or user is disabled."))
    #expect(try client.call("AUTH", "secre") == .error("WRONGPASS invalid username-password pair or user is disabled."))
    #expect(try client.call("AUTH", "") == .error("WRONGPASS invalid username-password pair or user is disabled."))
    #expect(try client.call("AUTH", "secret") == .ok)
    #expect(try client.call("PING") == .simple("PONG"))
  }

  @Test func stoppingAnswersWhatWasReceivedAndClosesTheEngine() throws {
    let server = try TestServer()
    let client = try server.connect()
    #expect(try client.call("SET", "a", "1") == .ok)
    try server.server.stop()
    #expect(client.isClosed)
    #expect(server.engine.state.withLock { $0.isClosed })
    #expect(throws: Client.Closed.self) { try server.connect().call("PING") }
  }

  @Test func shutdownIsPassedOn() throws {
    let server = try TestServer()
    let client = try server.connect()
    try client.send(Client.encode(["SHUTDOWN", "NOSAVE"]))
    #expect(client.isClosed)
    try server.server.shutdownRequested.wait()
    try server.server.stop()
  }

  @Test func anAddressInUseLeavesTheStoreUntouched() throws {
    let server = try TestServer()
    defer { try? server.server.stop() }
    var options = ServerOptions()
    options.port = server.server.port
    var opened = false
    #expect {
      try RESPServer.start(options: options, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }) { () throws(EngineError) in
        opened = true
        return MemoryEngine()
      }
    } throws: { error in
      if case ServerError.addressInUse = error { return true }
      return false
    }
    #expect(!opened)
  }

  @Test(arguments: ["0.0.0.0", "::", "192.0.2.1", "example.invalid"]) func anOpenAddressNeedsAPassword(host: String) {
    var options = ServerOptions()
    options.host = host
    #expect {
      try RESPServer.start(options: options, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }) { () throws(EngineError) in
        MemoryEngine()
      }
    } throws: { error in
      if case ServerError.insecure = error { return true }
      return false
    }
  }

  @Test func aHalfClosedClientIsStillAnswered() throws {
    let server = try TestServer()
    defer { try? server.server.stop() }
    let client = try server.connect()
    try client.send(Client.encode(["SET", "a", "1"]) + Client.encode(["GET", "a"]))
    client.finishSending()
    #expect(try client.reply() == .ok)
    #expect(try client.reply() == .bulk("1"))
    #expect(client.isClosed)
  }

  @Test func protocolThreeHasItsOwnTypes() throws {
    let server = try TestServer()
    defer { try? server.server.stop() }
    let client = try server.connect()
    guard case .map(let pairs) = try client.call("HELLO", "3") else {
      Issue.record("not a map")
      return
    }
    #expect(pairs.prefix(2) == [.bulk("server"), .bulk("redis")])
    #expect(try client.call("CONFIG", "GET", "save") == .map([.bulk("save"), .bulk("")]))
    #expect(try client.call("RESET") == .simple("RESET"))
    #expect(try client.call("CONFIG", "GET", "save") == .array([.bulk("save"), .bulk("")]))
  }
}
