/// COMMAND, CONFIG, SLOWLOG and LATENCY.
extension ClientHandler {
  // MARK: COMMAND

  private static let anyLength = 2...Int.max

  func commandCommand(_ call: Invocation) throws(CommandError) {
    guard call.count > 1 else {
      context.reply.array(table.specs.count)
      for spec in table.specs { describe(spec) }
      return
    }
    switch try subcommand(call, "command", ["count": 2...2, "docs": Self.anyLength, "info": Self.anyLength, "help": 2...2]) {
    case "count": context.reply.integer(table.specs.count)
    case "info":
      let specs: [CommandSpec?] =
        call.count == 2 ? table.specs : (2..<call.count).map { index in table.find(call[index]).map { table.specs[$0] } }
      context.reply.array(specs.count)
      for spec in specs { if let spec { describe(spec) } else { context.reply.null() } }
    case "docs":
      let specs =
        call.count == 2 ? table.specs : (2..<call.count).compactMap { index in table.find(call[index]).map { table.specs[$0] } }
      context.reply.map(specs.count)
      for spec in specs { document(spec) }
    default:
      help(
        "COMMAND",
        [
          "(no subcommand)", "    Return details about all commands.", "COUNT", "    Return the number of commands.",
          "DOCS [<command-name> ...]", "    Return documentation of commands.", "INFO [<command-name> ...]", "    Return details about commands.",
        ])
    }
  }

  private func describe(_ spec: CommandSpec) {
    context.reply.array(10)
    context.reply.bulk(spec.name)
    context.reply.integer(spec.arity)
    let flags = spec.flagNames
    context.reply.set(flags.count)
    for flag in flags { context.reply.status(flag) }
    context.reply.integer(spec.keys.first)
    context.reply.integer(spec.keys.last)
    context.reply.integer(spec.keys.step)
    let categories = categories(spec)
    context.reply.set(categories.count)
    for category in categories { context.reply.status(category) }
    context.reply.array(0)
    describeKeys(spec)
    context.reply.array(0)
  }

  private func categories(_ spec: CommandSpec) -> [String] {
    var categories: [String] = []
    if spec.flags.contains(.write) { categories.append("@write") }
    if spec.flags.contains(.readonly) { categories.append("@read") }
    switch spec.group {
    case "string": categories.append("@string")
    case "generic": categories.append("@keyspace")
    case "connection": categories.append("@connection")
    case "bf": categories.append("@bloom")
    case "cf": categories.append("@cuckoo")
    default: categories.append(spec.flags.contains(.write) ? "@keyspace" : "@admin")
    }
    categories.append(spec.flags.contains(.fast) ? "@fast" : "@slow")
    return categories
  }

  private func describeKeys(_ spec: CommandSpec) {
    guard spec.keys.first > 0 else { return context.reply.array(0) }
    context.reply.array(1)
    context.reply.map(3)
    context.reply.bulk("flags")
    context.reply.set(1)
    context.reply.status(spec.flags.contains(.write) ? "RW" : "RO")
    context.reply.bulk("begin_search")
    context.reply.map(2)
    context.reply.bulk("type")
    context.reply.bulk("index")
    context.reply.bulk("spec")
    context.reply.map(1)
    context.reply.bulk("index")
    context.reply.integer(spec.keys.first)
    context.reply.bulk("find_keys")
    context.reply.map(2)
    context.reply.bulk("type")
    context.reply.bulk("range")
    context.reply.bulk("spec")
    context.reply.map(3)
    context.reply.bulk("lastkey")
    context.reply.integer(spec.keys.last < 0 ? spec.keys.last : spec.keys.last - spec.keys.first)
    context.reply.bulk("keystep")
    context.reply.integer(spec.keys.step)
    context.reply.bulk("limit")
    context.reply.integer(0)
  }

  private func document(_ spec: CommandSpec) {
    context.reply.bulk(spec.name)
    context.reply.map(spec.subcommands.isEmpty ? 4 : 5)
    for (name, value) in [("summary", spec.summary), ("since", spec.since), ("group", spec.group), ("complexity", spec.complexity)] {
      context.reply.bulk(name)
      context.reply.bulk(value)
    }
    guard !spec.subcommands.isEmpty else { return }
    context.reply.bulk("subcommands")
    context.reply.map(spec.subcommands.count)
    for name in spec.subcommands {
      context.reply.bulk("\(spec.name)|\(name)")
      context.reply.map(1)
      context.reply.bulk("group")
      context.reply.bulk(spec.group)
    }
  }

  // MARK: SLOWLOG

  func slowlog(_ call: Invocation) throws(CommandError) {
    switch try subcommand(call, "slowlog", ["get": 2...3, "len": 2...2, "reset": 2...2, "help": 2...2]) {
    case "get":
      var count: Int64 = 10
      if call.count == 3 {
        count = Decimal.parse(call[2]) ?? -2
        guard count >= -1 else { throw .failed("ERR count should be greater than or equal to -1") }
      }
      let entries = server.slowLog.latest(count == -1 ? Int.max : Int(count))
      context.reply.array(entries.count)
      for entry in entries {
        context.reply.array(6)
        context.reply.integer(Int64(clamping: entry.id))
        context.reply.integer(Int64(clamping: entry.unixSeconds))
        context.reply.integer(Int64(clamping: entry.microseconds))
        context.reply.array(entry.arguments.count)
        for argument in entry.arguments { context.reply.bulk(argument) }
        context.reply.bulk(entry.address)
        context.reply.bulk(entry.clientName)
      }
    case "len": context.reply.integer(server.slowLog.count)
    case "reset":
      server.slowLog.reset()
      context.reply.ok()
    default:
      help(
        "SLOWLOG",
        [
          "GET [<count>]", "    Return top <count> entries from the slowlog (default: 10, -1 mean all).", "LEN",
          "    Return the length of the slowlog.", "RESET", "    Reset the slowlog.",
        ])
    }
  }

  // MARK: LATENCY

  func latency(_ call: Invocation) throws(CommandError) {
    let arities = ["latest": 2...2, "history": 3...3, "reset": Self.anyLength, "doctor": 2...2, "help": 2...2]
    switch try subcommand(call, "latency", arities) {
    case "latest":
      let all = server.latency.all()
      context.reply.array(all.count)
      for (event, series) in all {
        context.reply.array(4)
        context.reply.bulk(event)
        context.reply.integer(Int64(clamping: series.samples.last?.unixSeconds ?? 0))
        context.reply.integer(Int64(clamping: series.samples.last?.milliseconds ?? 0))
        context.reply.integer(Int64(clamping: series.worst))
      }
    case "history":
      let samples = server.latency.history(call.text(2))
      context.reply.array(samples.count)
      for sample in samples {
        context.reply.array(2)
        context.reply.integer(Int64(clamping: sample.unixSeconds))
        context.reply.integer(Int64(clamping: sample.milliseconds))
      }
    case "reset":
      context.reply.integer(server.latency.reset((2..<max(2, call.count)).map { call.text($0) }))
    case "doctor":
      let threshold = server.latency.threshold.load(ordering: .relaxed)
      let all = server.latency.all()
      if threshold == 0 {
        context.reply.verbatim("Latency monitoring is off. Set latency-monitor-threshold (milliseconds) to record slow events.\n")
      } else if all.isEmpty {
        context.reply.verbatim("No event took \(threshold) ms or longer since monitoring was switched on.\n")
      } else {
        context.reply.verbatim(
          all.map { "\($0.event): \($0.series.samples.count) samples at or above \(threshold) ms, worst \($0.series.worst) ms.\n" }.joined())
      }
    default:
      help(
        "LATENCY",
        [
          "DOCTOR", "    Return a human readable latency report.", "HISTORY <event>", "    Return time-latency samples for the <event> class.",
          "LATEST", "    Return the latest latency samples for all events.", "RESET [<event> ...]", "    Reset latency data of one or more events.",
        ])
    }
  }

  // MARK: CONFIG

  /// Settings as CONFIG GET shows them. Those in ``changeable`` can be set.
  private func settings() -> [(name: String, value: String)] {
    let current = server.current
    let options = server.options
    return [
      ("appendfsync", options.appendFsync), ("appendonly", "yes"), ("bind", options.host),
      ("client-query-buffer-limit", String(options.maxQueryBytes)), ("databases", String(Keyspace.databases)), ("dir", options.directory),
      ("io-threads", String(options.threads)), ("latency-monitor-threshold", String(server.latency.threshold.load(ordering: .relaxed))),
      ("maxclients", String(current.maxClients)), ("maxmemory", "0"), ("maxmemory-policy", "noeviction"),
      ("port", String(options.tls == nil ? server.boundPort.load(ordering: .relaxed) : 0)),
      ("proto-max-bulk-len", String(options.maxBulkBytes)), ("requirepass", current.password ?? ""), ("save", ""),
      ("slowlog-log-slower-than", String(server.slowLog.threshold.load(ordering: .relaxed))),
      ("slowlog-max-len", String(server.slowLog.capacity.load(ordering: .relaxed))), ("timeout", String(current.idleTimeoutSeconds)),
      ("tls-port", String(options.tls == nil ? 0 : server.boundPort.load(ordering: .relaxed))),
    ]
  }

  private static let changeable: Set<String> = [
    "latency-monitor-threshold", "maxclients", "requirepass", "slowlog-log-slower-than", "slowlog-max-len", "timeout",
  ]

  func config(_ call: Invocation) throws(CommandError) {
    switch try subcommand(call, "config", ["get": 3...Int.max, "set": 4...Int.max, "resetstat": 2...2, "help": 2...2]) {
    case "get":
      let patterns = (2..<call.count).map { call.bytes($0).map(\.lowerCased) }
      let found = settings().filter { setting in
        let name = Array(setting.name.utf8)
        return patterns.contains { Glob.matches($0, name[...]) }
      }
      context.reply.map(found.count)
      for (name, value) in found {
        context.reply.bulk(name)
        context.reply.bulk(value)
      }
    case "set": try configSet(call)
    case "resetstat":
      for loop in server.loops.values { loop.counters.reset() }
      context.reply.ok()
    default:
      help(
        "CONFIG",
        [
          "GET <pattern>", "    Return parameters matching the glob-like <pattern> and their values.", "SET <directive> <value>",
          "    Set the configuration <directive> to <value>.", "RESETSTAT", "    Reset statistics reported by the INFO command.",
        ])
    }
  }

  private func configSet(_ call: Invocation) throws(CommandError) {
    guard call.count % 2 == 0 else { throw .wrongArity("config|set") }
    // Everything is checked before anything changes.
    var changes: [(name: String, index: Int, number: Int)] = []
    for index in stride(from: 2, to: call.count, by: 2) {
      let name = call.text(index).lowercased()
      guard settings().contains(where: { $0.name == name }) else {
        throw .failed("ERR Unknown option or number of arguments for CONFIG SET - '\(call.text(index))'")
      }
      guard Self.changeable.contains(name) else {
        throw .failed("ERR CONFIG SET failed (possibly related to argument '\(name)') - can't set immutable config")
      }
      var number = 0
      if name != "requirepass" {
        let lowest: Int64 = name == "slowlog-log-slower-than" ? -1 : (name == "maxclients" ? 1 : 0)
        guard let value = Decimal.parse(call[index + 1]), value >= lowest, value <= Int64(Int32.max) else {
          throw .failed("ERR CONFIG SET failed (possibly related to argument '\(name)') - argument couldn't be parsed into an integer")
        }
        number = Int(value)
      }
      changes.append((name, index + 1, number))
    }
    for (name, index, number) in changes {
      switch name {
      case "latency-monitor-threshold": server.latency.threshold.store(number, ordering: .relaxed)
      case "maxclients": server.change { $0.maxClients = number }
      case "slowlog-log-slower-than": server.slowLog.threshold.store(number, ordering: .relaxed)
      case "slowlog-max-len": server.slowLog.capacity.store(number, ordering: .relaxed)
      case "timeout": server.change { $0.idleTimeoutSeconds = number }
      default:
        let password = call.text(index)
        server.change { $0.password = password.isEmpty ? nil : password }
      }
    }
    context.reply.ok()
  }
}
