import NIOCore

/// Commands about the connection and the server rather than keys.
extension ClientHandler {
  func runServerCommand(_ id: CommandID, _ call: Invocation) {
    do throws(CommandError) {
      switch id {
      case .ping: try ping(call)
      case .echo: context.reply.bulk(call[1])
      case .hello: try hello(call)
      case .auth: try auth(call)
      case .select: try select(call)
      case .quit:
        context.reply.ok()
        isClosing = true
        resumeSoon()
      case .reset: reset()
      case .client: try clientCommand(call)
      case .command: try commandCommand(call)
      case .info: info(call)
      case .role: role()
      case .raft: try raft(call)
      case .config: try config(call)
      case .save, .bgsave: try save(call, background: id == .bgsave)
      case .lastsave: context.reply.integer(Int64(clamping: server.keyspace.lastSync))
      case .bgrewriteaof: try merge()
      case .wait: try waitForReplicas(call)
      case .time: time()
      case .monitor: monitor()
      case .slowlog: try slowlog(call)
      case .latency: try latency(call)
      case .shutdown: try shutdown(call)
      default: throw .failed("ERR '\(id)' is not a command on the server")
      }
    } catch {
      loopState.counters.failed(id)
      replyError(error.text)
    }
  }

  private func ping(_ call: Invocation) throws(CommandError) {
    switch call.count {
    case 1: context.reply.simple("PONG")
    case 2: context.reply.bulk(call[1])
    default: throw .wrongArity("ping")
    }
  }

  private static let needsAuthentication =
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option can be used to "
    + "authenticate the client and select the RESP protocol version at the same time"

  private func hello(_ call: Invocation) throws(CommandError) {
    var version: Int64?
    if call.count > 1 {
      guard let number = Decimal.parse(call[1]) else { throw .failed("ERR Protocol version is not an integer or out of range") }
      guard number == 2 || number == 3 else { throw .failed("NOPROTO unsupported protocol version") }
      version = number
    }
    var index = 2
    var credentials: Int?
    var name: Int?
    while index < call.count {
      let left = call.count - 1 - index
      if call.matches(index, "AUTH"), left >= 2 {
        credentials = index + 1
        index += 3
      } else if call.matches(index, "SETNAME"), left >= 1 {
        name = index + 1
        index += 2
      } else {
        throw .failed("ERR Syntax error in HELLO option '\(call.text(index))'")
      }
    }
    if let credentials { try authenticate(user: call[credentials], password: call[credentials + 1]) }
    guard isAuthenticated else { throw .failed(Self.needsAuthentication) }
    if let name { try setName(call[name]) }
    if let version {
      context.reply.resp3 = version == 3
      client?.protocolVersion.store(Int(version), ordering: .relaxed)
    }
    context.reply.map(7)
    context.reply.bulk("server")
    context.reply.bulk("redis")
    context.reply.bulk("version")
    context.reply.bulk(RESPServer.compatibleVersion)
    context.reply.bulk("proto")
    context.reply.integer(context.reply.resp3 ? 3 : 2)
    context.reply.bulk("id")
    context.reply.integer(Int64(clamping: client?.id ?? 0))
    context.reply.bulk("mode")
    context.reply.bulk("standalone")
    context.reply.bulk("role")
    context.reply.bulk("master")
    context.reply.bulk("modules")
    context.reply.array(0)
  }

  private func auth(_ call: Invocation) throws(CommandError) {
    guard call.count <= 3 else { throw .syntax }
    if call.count == 2, server.current.password == nil {
      throw .failed(
        "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?")
    }
    if call.count == 2 {
      try "default".withUTF8Bytes { (user) throws(CommandError) in try authenticate(user: user, password: call[1]) }
    } else {
      try authenticate(user: call[1], password: call[2])
    }
    context.reply.ok()
  }

  private func authenticate(user: UnsafeRawBufferPointer, password: UnsafeRawBufferPointer) throws(CommandError) {
    guard user.elementsEqual("default".utf8), server.isPassword(password) else {
      server.logger.warning("authentication failed", metadata: ["address": "\(client?.address ?? "")"])
      throw .failed("WRONGPASS invalid username-password pair or user is disabled.")
    }
    isAuthenticated = true
  }

  private func select(_ call: Invocation) throws(CommandError) {
    context.database = try context.databaseIndex(call, 1)
    client?.database.store(context.database, ordering: .relaxed)
    context.reply.ok()
  }

  private func reset() {
    context.database = 0
    context.reply.resp3 = false
    isAuthenticated = server.current.password == nil
    if let client {
      client.database.store(0, ordering: .relaxed)
      client.protocolVersion.store(2, ordering: .relaxed)
      client.names.withLock { $0.name = "" }
      client.noEvict.store(false, ordering: .relaxed)
      if client.isMonitor.exchange(false, ordering: .relaxed) { server.monitors.subtract(1, ordering: .relaxed) }
    }
    context.reply.simple("RESET")
  }

  private func save(_ call: Invocation, background: Bool) throws(CommandError) {
    if background, call.count > 1, !(call.count == 2 && call.matches(1, "SCHEDULE")) { throw .syntax }
    let server = server
    guard server.saving.compareExchange(expected: false, desired: true, ordering: .acquiringAndReleasing).exchanged else {
      throw .failed("ERR Background save already in progress")
    }
    guard background else {
      return offload { () throws(EngineError) in
        defer { server.saving.store(false, ordering: .releasing) }
        try server.keyspace.sync()
      }
    }
    server.pool.submit { state in
      defer { server.saving.store(false, ordering: .releasing) }
      guard case .active = state else { return }
      do { try server.keyspace.sync() } catch { server.logger.error("background sync failed", metadata: ["reason": "\(error)"]) }
    }
    context.reply.simple("Background saving started")
  }

  private func merge() throws(CommandError) {
    let server = server
    guard !server.merging.load(ordering: .acquiring) else {
      throw .failed("ERR Background append only file rewriting already in progress")
    }
    server.merging.store(true, ordering: .releasing)
    let started = server.keyspace.engine.startMerge { error in
      server.merging.store(false, ordering: .releasing)
      if let error { server.logger.error("merge failed", metadata: ["reason": "\(error)"]) } else { server.logger.info("merge finished") }
    }
    guard started else {
      server.merging.store(false, ordering: .releasing)
      throw .failed("ERR Background append only file rewriting already in progress")
    }
    context.reply.simple("Background append only file rewriting started")
  }

  private func waitForReplicas(_ call: Invocation) throws(CommandError) {
    guard let count = Decimal.parse(call[1]) else { throw .notInteger }
    guard let timeout = Decimal.parse(call[2]) else { throw .failed("ERR timeout is not an integer or out of range") }
    guard timeout >= 0 else { throw .failed("ERR timeout is negative") }
    if server.replication != nil { return waitForMembers(Int(clamping: count), milliseconds: timeout) }
    // There are no replicas. The answer waits for the durability of everything written before.
    context.reply.require(server.keyspace.lastSubmitted, from: context.reply.count)
    context.reply.integer(0)
  }

  private func time() {
    let now = Clocks.unixMicroseconds()
    context.reply.array(2)
    context.reply.bulk(String(now / 1_000_000))
    context.reply.bulk(String(now % 1_000_000))
  }

  private func shutdown(_ call: Invocation) throws(CommandError) {
    for index in 1..<max(1, call.count) {
      guard ["NOSAVE", "SAVE", "NOW", "FORCE"].contains(call.text(index).uppercased()) else { throw .syntax }
    }
    server.logger.notice("shutdown requested", metadata: ["address": "\(client?.address ?? "")"])
    isClosing = true
    resumeSoon()
    server.requestShutdown()
  }
}

extension String {
  /// The text's bytes, for as long as `body` runs.
  func withUTF8Bytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
    let bytes = Array(utf8)
    return try bytes.span.bytes.withUnsafeBytes { (raw) throws(E) in try body(raw) }
  }
}
