import NIOCore

/// CLIENT and MONITOR.
extension ClientHandler {
  /// The subcommand in lower case, checked for arity; `arities` maps names to what the whole command's length must be.
  func subcommand(_ call: Invocation, _ container: String, _ arities: [String: ClosedRange<Int>]) throws(CommandError) -> String {
    let name = call.text(1).lowercased()
    guard let range = arities[name] else {
      throw .failed("ERR unknown subcommand '\(String(call.text(1).prefix(128)))'. Try \(container.uppercased()) HELP.")
    }
    guard range.contains(call.count) else { throw .wrongArity("\(container)|\(name)") }
    return name
  }

  func help(_ container: String, _ lines: [String]) {
    let all = ["\(container) <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"] + lines + ["HELP", "    Print this help."]
    context.reply.array(all.count)
    for line in all { context.reply.bulk(line) }
  }

  private static let clientArities: [String: ClosedRange<Int>] = [
    "id": 2...2, "info": 2...2, "list": 2...Int.max, "kill": 3...Int.max, "setname": 3...3, "getname": 2...2, "no-evict": 3...3,
    "setinfo": 4...4, "help": 2...2,
  ]

  func clientCommand(_ call: Invocation) throws(CommandError) {
    switch try subcommand(call, "client", Self.clientArities) {
    case "id": context.reply.integer(Int64(clamping: client?.id ?? 0))
    case "info":
      publishState()
      context.reply.verbatim((client?.line(now: context.now) ?? "") + "\n")
    case "list": try clientList(call)
    case "kill": try clientKill(call)
    case "setname":
      try setName(call[2])
      context.reply.ok()
    case "getname":
      let name = client?.names.withLock { $0.name } ?? ""
      if name.isEmpty { context.reply.null() } else { context.reply.bulk(name) }
    case "no-evict":
      if call.matches(2, "ON") {
        client?.noEvict.store(true, ordering: .relaxed)
      } else if call.matches(2, "OFF") {
        client?.noEvict.store(false, ordering: .relaxed)
      } else {
        throw .syntax
      }
      context.reply.ok()
    case "setinfo": try setInfo(call)
    default:
      help(
        "CLIENT",
        [
          "GETNAME", "    Return the name of the current connection.", "ID", "    Return the ID of the current connection.", "INFO",
          "    Return information about the current client connection.", "KILL <ip:port>|<option> <value> [...]", "    Kill connections.",
          "LIST [options ...]", "    Return information about client connections.", "NO-EVICT (ON|OFF)", "    Accepted; nothing is ever evicted.",
          "SETINFO LIB-NAME|LIB-VER <value>", "    Tell the server about the client library.", "SETNAME <name>", "    Name the connection.",
        ])
    }
  }

  /// What other connections see of this one, brought up to date.
  private func publishState() {
    client?.queryBytes.store(input.readableBytes, ordering: .relaxed)
  }

  private static func isPrintable(_ bytes: UnsafeRawBufferPointer) -> Bool { bytes.allSatisfy { $0 >= 0x21 && $0 <= 0x7E } }

  func setName(_ name: UnsafeRawBufferPointer) throws(CommandError) {
    guard Self.isPrintable(name) else { throw .failed("ERR Client names cannot contain spaces, newlines or special characters.") }
    let text = String(decoding: name, as: UTF8.self)
    client?.names.withLock { $0.name = text }
  }

  private func setInfo(_ call: Invocation) throws(CommandError) {
    let value = call.text(3)
    if call.matches(2, "LIB-NAME") || call.matches(2, "LIB-VER") {
      let option = call.matches(2, "LIB-NAME") ? "lib-name" : "lib-ver"
      guard Self.isPrintable(call[3]) else { throw .failed("ERR \(option) cannot contain spaces, newlines or special characters.") }
      client?.names.withLock { names in
        if option == "lib-name" { names.library = value } else { names.libraryVersion = value }
      }
      context.reply.ok()
    } else {
      throw .failed("ERR Unrecognized option '\(call.text(2))'")
    }
  }

  private func clientList(_ call: Invocation) throws(CommandError) {
    var chosen = server.clients.all
    if call.count > 2 {
      if call.matches(2, "TYPE"), call.count == 4 {
        switch call.text(3).lowercased() {
        case "normal": chosen = chosen.filter { !$0.isMonitor.load(ordering: .relaxed) }
        case "master", "replica", "slave", "pubsub": chosen = []
        default: throw .failed("ERR Unknown client type '\(call.text(3))'")
        }
      } else if call.matches(2, "ID"), call.count > 3 {
        var ids: Set<UInt64> = []
        for index in 3..<call.count {
          guard let id = Decimal.parseUnsigned(call[index]), id > 0 else { throw .failed("ERR Invalid client ID") }
          ids.insert(id)
        }
        chosen = chosen.filter { ids.contains($0.id) }
      } else {
        throw .syntax
      }
    }
    publishState()
    context.reply.verbatim(chosen.map { $0.line(now: context.now) + "\n" }.joined())
  }

  private func clientKill(_ call: Invocation) throws(CommandError) {
    if call.count == 3 {
      let address = call.text(2)
      guard let victim = server.clients.all.first(where: { $0.address == address }) else { throw .failed("ERR No such client") }
      context.reply.ok()
      return kill(victim)
    }
    guard call.count % 2 == 0 else { throw .syntax }
    var victims = server.clients.all
    var skipsMe = true
    for index in stride(from: 2, to: call.count, by: 2) {
      let value = call.text(index + 1)
      if call.matches(index, "ID") {
        guard let id = Decimal.parseUnsigned(call[index + 1]), id > 0 else {
          throw .failed("ERR client-id should be greater than 0")
        }
        victims.removeAll { $0.id != id }
      } else if call.matches(index, "ADDR") {
        victims.removeAll { $0.address != value }
      } else if call.matches(index, "LADDR") {
        victims.removeAll { $0.localAddress != value }
      } else if call.matches(index, "USER") {
        guard value == "default" else { throw .failed("ERR No such user '\(value)'") }
      } else if call.matches(index, "TYPE") {
        switch value.lowercased() {
        case "normal": victims.removeAll { $0.isMonitor.load(ordering: .relaxed) }
        case "master", "replica", "slave", "pubsub": victims = []
        default: throw .failed("ERR Unknown client type '\(value)'")
        }
      } else if call.matches(index, "SKIPME"), ["yes", "no"].contains(value.lowercased()) {
        skipsMe = value.lowercased() == "yes"
      } else {
        throw .syntax
      }
    }
    if skipsMe { victims.removeAll { $0 === client } }
    context.reply.integer(victims.count)
    for victim in victims { kill(victim) }
  }

  private func kill(_ victim: ClientRecord) {
    // Not counted or listed from here on, however long its loop takes to close it.
    server.clients.remove(victim.id)
    if victim === client {
      // The reply leaves first.
      isClosing = true
      resumeSoon()
    } else {
      victim.channel.close(promise: nil)
    }
  }

  // MARK: MONITOR

  func monitor() {
    context.reply.ok()
    guard let client, !client.isMonitor.exchange(true, ordering: .relaxed) else { return }
    server.monitors.add(1, ordering: .relaxed)
  }

  /// Tells every monitor about a command that is about to run. Secrets and commands of administration are not shown, as in Redis.
  func feedMonitors(_ id: CommandID, _ call: Invocation) {
    guard ![.auth, .hello, .monitor, .shutdown, .quit].contains(id), !table.rules[Int(id.rawValue)].flags.contains(.admin) else { return }
    if id == .config, call.count > 1, call.matches(1, "SET") { return }
    let now = Clocks.unixMicroseconds()
    let fraction = String(now % 1_000_000)
    var line =
      "+\(now / 1_000_000).\(String(repeating: "0", count: 6 - fraction.utf8.count))\(fraction) [\(context.database) \(client?.address ?? "")]"
    for index in 0..<call.count { line += " " + Self.quoted(call[index]) }
    line += "\r\n"
    let buffer = ByteBuffer(string: line)
    for monitor in server.clients.all where monitor.isMonitor.load(ordering: .relaxed) {
      let handler = monitor.handler
      monitor.channel.eventLoop.execute { handler.value.push(buffer) }
    }
  }

  private static func quoted(_ bytes: UnsafeRawBufferPointer) -> String {
    var text = "\""
    for byte in bytes {
      switch byte {
      case UInt8(ascii: "\\"): text += "\\\\"
      case UInt8(ascii: "\""): text += "\\\""
      case 0x0A: text += "\\n"
      case 0x0D: text += "\\r"
      case 0x09: text += "\\t"
      case 0x07: text += "\\a"
      case 0x08: text += "\\b"
      case 0x20...0x7E: text.unicodeScalars.append(UnicodeScalar(byte))
      default: text += "\\x" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
      }
    }
    return text + "\""
  }
}
