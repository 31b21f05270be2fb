import CStrataServer

#if canImport(Glibc)
  import Glibc
#else
  import Musl
#endif

/// INFO: only what is true here, under Redis' names where they exist.
extension ClientHandler {
  private static let sections = [
    "server", "clients", "memory", "persistence", "engine", "stats", "replication", "cpu", "commandstats", "keyspace",
  ]

  func info(_ call: Invocation) {
    var wanted: [String] = []
    if call.count == 1 { wanted = Self.sections.filter { $0 != "commandstats" } }
    for index in 1..<max(1, call.count) {
      switch call.text(index).lowercased() {
      case "default": wanted += Self.sections.filter { $0 != "commandstats" }
      case "all", "everything": wanted += Self.sections
      case let name: wanted.append(name)
      }
    }
    guard server.replication != nil else {
      return inform(wanted, [("role", "master"), ("connected_slaves", "0"), ("master_repl_offset", "0")])
    }
    consult { [wanted] handler, status in
      guard let replication = handler.server.replication, let status else { return handler.replyError("ERR the member has ended") }
      handler.inform(wanted, Self.replicationLines(replication, status))
    }
  }

  private func inform(_ wanted: [String], _ replication: [(String, String)]) {
    let known = (0..<Keyspace.databases).map { wanted.contains("keyspace") ? server.keyspace.size($0) : (0, 0) }
    let sizes = known.compactMap { $0 }
    if sizes.count == known.count { return replyInfo(wanted, sizes, replication) }
    let keyspace = server.keyspace
    offload { () throws(EngineError) in
      var sizes: [(keys: Int, expires: Int)] = []
      for database in 0..<Keyspace.databases { sizes.append(try keyspace.countedSize(database)) }
      return sizes
    } _: { handler, sizes in
      handler.replyInfo(wanted, sizes, replication)
    }
  }

  private func replyInfo(_ wanted: [String], _ sizes: [(keys: Int, expires: Int)], _ replication: [(String, String)]) {
    // What the figures count may not be durable yet.
    context.reply.require(server.keyspace.lastSubmitted, from: context.reply.count)
    let texts = Self.sections.filter { wanted.contains($0) }.map { section in
      let lines = section == "replication" ? replication : lines(section, sizes)
      return "# \(section.prefix(1).uppercased())\(section.dropFirst())\r\n" + lines.map { "\($0.0):\($0.1)\r\n" }.joined()
    }
    context.reply.verbatim(texts.joined(separator: "\r\n"))
  }

  private func lines(_ section: String, _ sizes: [(keys: Int, expires: Int)]) -> [(String, String)] {
    switch section {
    case "server": serverLines()
    case "clients":
      [
        ("connected_clients", String(server.clients.count)), ("maxclients", String(server.current.maxClients)),
        ("monitor_clients", String(server.monitors.load(ordering: .relaxed))),
      ]
    case "memory": memoryLines()
    case "persistence": persistenceLines()
    case "engine": [("engine", server.keyspace.engine.name)] + server.keyspace.engine.statistics.map { ($0.name, $0.value) }
    case "stats": statsLines()
    case "cpu": cpuLines()
    case "commandstats": commandLines()
    default:
      sizes.enumerated().filter { $1.keys > 0 }.map { ("db\($0)", "keys=\($1.keys),expires=\($1.expires),avg_ttl=0") }
    }
  }

  private func serverLines() -> [(String, String)] {
    let uptime = (Clocks.unixMilliseconds() &- server.startedAt) / 1000
    return [
      ("redis_version", RESPServer.compatibleVersion), ("strata_version", RESPServer.version), ("redis_mode", "standalone"),
      ("engine", server.keyspace.engine.name), ("arch_bits", "64"), ("multiplexing_api", "epoll"), ("process_id", String(getpid())),
      ("run_id", server.runID), ("tcp_port", String(server.boundPort.load(ordering: .relaxed))),
      ("server_time_usec", String(Clocks.unixMicroseconds())), ("uptime_in_seconds", String(uptime)), ("uptime_in_days", String(uptime / 86_400)),
      ("io_threads_active", server.loops.count > 1 ? "1" : "0"),
    ]
  }

  private func memoryLines() -> [(String, String)] {
    [
      ("used_memory", String(strata_heap_bytes())), ("used_memory_peak_rss", String(strata_peak_resident_bytes())), ("maxmemory", "0"),
      ("maxmemory_policy", "noeviction"),
    ]
  }

  private func persistenceLines() -> [(String, String)] {
    let keyspace = server.keyspace
    return [
      ("loading", "0"), ("rdb_changes_since_last_save", String(keyspace.changesSinceSync)),
      ("rdb_bgsave_in_progress", server.saving.load(ordering: .relaxed) ? "1" : "0"), ("rdb_last_save_time", String(keyspace.lastSync)),
      ("aof_enabled", "1"), ("aof_rewrite_in_progress", server.merging.load(ordering: .relaxed) ? "1" : "0"),
      ("durability", server.options.appendFsync), ("last_sequence", String(keyspace.lastSubmitted)),
      ("acknowledged_sequence", String(keyspace.engine.acknowledgedSequence)),
    ]
  }

  private func statsLines() -> [(String, String)] {
    // This connection's share is still with it.
    publishCounts()
    return [
      ("total_connections_received", String(server.total(.connections))), ("total_commands_processed", String(server.total(.commands))),
      ("total_net_input_bytes", String(server.total(.inputBytes))), ("total_net_output_bytes", String(server.total(.outputBytes))),
      ("rejected_connections", String(server.total(.rejected))), ("expired_keys", String(server.keyspace.expiredTotal)),
      ("evicted_keys", "0"), ("keyspace_hits", String(server.total(.hits))), ("keyspace_misses", String(server.total(.misses))),
      ("total_error_replies", String(server.total(.errors))), ("commands_on_disk_threads", String(server.total(.offloaded))),
    ]
  }

  private func cpuLines() -> [(String, String)] {
    var user: UInt64 = 0
    var system: UInt64 = 0
    strata_processor_time(&user, &system)
    func text(_ microseconds: UInt64) -> String {
      let fraction = String(microseconds % 1_000_000)
      return "\(microseconds / 1_000_000).\(String(repeating: "0", count: 6 - fraction.utf8.count))\(fraction)"
    }
    return [("used_cpu_sys", text(system)), ("used_cpu_user", text(user))]
  }

  private func commandLines() -> [(String, String)] {
    table.specs.compactMap { spec in
      let calls = server.total(spec.id, 0)
      let rejected = server.total(spec.id, 3)
      guard calls > 0 || rejected > 0 else { return nil }
      let microseconds = server.total(spec.id, 1) / 1000
      let hundredths = calls == 0 ? 0 : server.total(spec.id, 1) / 10 / calls
      let perCall = "\(hundredths / 100).\(hundredths % 100 < 10 ? "0" : "")\(hundredths % 100)"
      return (
        "cmdstat_\(spec.name)",
        "calls=\(calls),usec=\(microseconds),usec_per_call=\(perCall),rejected_calls=\(rejected),failed_calls=\(server.total(spec.id, 2))"
      )
    }
  }
}
