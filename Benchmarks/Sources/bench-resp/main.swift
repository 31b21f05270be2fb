import BenchmarkKit
import Foundation

// The server beside redis-server 7.0, both driven by redis-benchmark with 50 clients on the loopback interface.

/// One command as redis-benchmark sends it.
struct CommandLoad: Sendable {
  var test: String
  var pipeline: Int
  var requests: Int
  var valueBytes = 100
  var keys = 100_000
  /// Whether the keys are there before the measured time.
  var preloads = false

  func measure(_ kind: ServerKind, in directory: URL) throws -> Figures {
    let server = try RunningServer(kind, in: directory)
    defer { server.stop() }
    if preloads { _ = try run("set", requests: keys * 3, pipeline: 16, on: server) }
    let line = try run(test, requests: requests, pipeline: pipeline, on: server)
    let fields = line.split(separator: ",").map { $0.trimmingCharacters(in: CharacterSet(charactersIn: "\" \n")) }
    guard fields.count >= 8, let rate = Double(fields[1]), let p50 = Double(fields[4]), let p99 = Double(fields[6]), let longest = Double(fields[7])
    else { throw ServerError(text: "redis-benchmark printed: \(line)") }
    return Figures(
      operations: Double(requests), seconds: Double(requests) / rate,
      latency: Latency(p50: p50 * 1e6, p99: p99 * 1e6, p999: longest * 1e6, max: longest * 1e6),
      extras: ["rss_bytes": server.residentBytes])
  }

  private func run(_ test: String, requests: Int, pipeline: Int, on server: RunningServer) throws -> String {
    let lines = try output(
      of: Programs.redisBenchmark,
      [
        "-p", "\(server.port)", "-c", "50", "-n", "\(requests)", "-P", "\(pipeline)", "-r", "\(keys)", "-d", "\(valueBytes)", "-t", test, "--csv",
      ], isChatty: true)
    return lines.split(separator: "\n").last.map(String.init) ?? ""
  }
}

func comparison(
  _ load: CommandLoad, _ title: String, _ subject: ServerKind, _ peer: ServerKind, goals: [Goal]
) -> Comparison {
  Comparison(
    title, unit: "requests",
    parameters: [
      ("clients", "50"), ("requests", "\(load.requests)"), ("value", "\(load.valueBytes) B"), ("keys", "\(load.keys)"),
    ], subject: Contender(subject.name) { round in try load.measure(subject, in: round.directory) },
    peers: [Contender(peer.name) { round in try load.measure(peer, in: round.directory) }], goals: goals)
}

await runBenchmark("bench-resp") { options in
  // Both lose at most a second on power loss.
  let everysec = ServerKind.redis(fsync: "everysec")
  let batched = ServerKind.strata("strata batched", durability: ["--durability", "batched", "--batch-count", "1000000000", "--batch-interval", "1s"])
  // Both answer when the write is on the device.
  let always = ServerKind.redis(fsync: "always")
  let everyWrite = ServerKind.strata("strata every-write", durability: ["--durability", "every-write"])
  let million = options.scaled(1_000_000)
  func goals(_ peer: ServerKind, _ ratio: Double) -> [Goal] { [.ratio(to: peer.name, atLeast: ratio), .p99(ofPeer: peer.name, atMost: 1)] }
  return [
    comparison(
      CommandLoad(test: "get", pipeline: 16, requests: million * 2, preloads: true), "GET -P 16", batched, everysec, goals: goals(everysec, 1)),
    comparison(CommandLoad(test: "set", pipeline: 16, requests: million * 2), "SET -P 16", batched, everysec, goals: goals(everysec, 1)),
    comparison(
      CommandLoad(test: "set", pipeline: 1, requests: options.scaled(20_000)), "SET -P 1, every write synced", everyWrite, always,
      goals: goals(always, 1.2)),
    comparison(
      CommandLoad(test: "set", pipeline: 16, requests: options.scaled(200_000)), "SET -P 16, every write synced", everyWrite, always,
      goals: goals(always, 1.2)),
    comparison(CommandLoad(test: "get", pipeline: 1, requests: million / 2, preloads: true), "GET -P 1", batched, everysec, goals: []),
    comparison(CommandLoad(test: "set", pipeline: 1, requests: million / 2), "SET -P 1", batched, everysec, goals: []),
    comparison(CommandLoad(test: "incr", pipeline: 16, requests: million), "INCR -P 16", batched, everysec, goals: []),
    comparison(CommandLoad(test: "mset", pipeline: 16, requests: million / 4), "MSET (10 keys) -P 16", batched, everysec, goals: []),
    comparison(CommandLoad(test: "ping_mbulk", pipeline: 16, requests: million * 2), "PING -P 16", batched, everysec, goals: []),
  ]
}
