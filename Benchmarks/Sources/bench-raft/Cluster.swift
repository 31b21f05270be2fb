import BenchmarkKit
import Foundation

/// A replicated store as three processes on the loopback interface.
struct ClusterKind: Sendable {
  var name: String
  /// The name by which the load generator knows it.
  var kind: String
  /// The programs and their arguments, for a directory and six free ports: three for clients, three for the members.
  var commands: @Sendable (_ directory: URL, _ ports: [Int]) -> [(program: URL, arguments: [String])]

  /// Debian's etcd, as it comes.
  static let etcd = ClusterKind(name: "etcd 3.4", kind: "etcd") { directory, ports in
    let cluster = (0..<3).map { "n\($0)=http://127.0.0.1:\(ports[3 + $0])" }.joined(separator: ",")
    return (0..<3).map { node in
      let client = "http://127.0.0.1:\(ports[node])"
      let peer = "http://127.0.0.1:\(ports[3 + node])"
      return (
        URL(fileURLWithPath: "/usr/bin/etcd"),
        [
          "--name", "n\(node)", "--data-dir", directory.appendingPathComponent("n\(node)").path, "--listen-client-urls", client,
          "--advertise-client-urls", client, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", cluster,
          "--initial-cluster-state", "new", "--logger", "zap", "--log-level", "error", "--quota-backend-bytes", "8589934592",
        ]
      )
    }
  }

  static func strata(_ name: String, reads: String) -> ClusterKind {
    ClusterKind(name: name, kind: "strata") { directory, ports in
      let cluster = (0..<3).map { "\($0 + 1)=127.0.0.1:\(ports[3 + $0])" }.joined(separator: ",")
      return (0..<3).map { node in
        (
          program,
          [
            "serve", "--node", "\(node + 1)", "--cluster", cluster, "--dir", directory.appendingPathComponent("n\(node)").path, "--port",
            "\(ports[node])", "--reads", reads, "--log-level", "warning",
          ]
        )
      }
    }
  }

  /// `STRATA_BINARY`, or the release build of this checkout.
  private static var program: URL {
    if let path = ProcessInfo.processInfo.environment["STRATA_BINARY"] { return URL(fileURLWithPath: path) }
    return URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent(".build/release/strata")
  }
}

/// What is asked of a cluster.
struct ClusterLoad: Sendable {
  var operation: String
  var inflight: Int
  var seconds: Double
  var preloads = false
  /// Connections over which the requests in flight go.
  var connections = 100

  func measure(_ kind: ClusterKind, in directory: URL) throws -> Figures {
    let ports = try (0..<6).map { _ in try freePort() }
    let processes = try kind.commands(directory, ports).map { program, arguments in
      let process = Process()
      process.executableURL = program
      process.arguments = arguments
      process.standardOutput = FileHandle.nullDevice
      process.standardError = FileHandle.nullDevice
      try process.run()
      return process
    }
    defer {
      for process in processes { process.terminate() }
      for process in processes {
        for _ in 0..<500 where process.isRunning { usleep(10_000) }
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
        process.waitUntilExit()
      }
    }
    let endpoints = ports[..<3].map { "127.0.0.1:\($0)" }.joined(separator: ",")
    try waitForLeader(kind, endpoints)
    let line = try load(
      kind, endpoints,
      [
        "-op", operation, "-inflight", "\(inflight)", "-connections", "\(connections)", "-seconds", "\(seconds)",
        preloads ? "-preload=true" : "-preload=false",
      ])
    guard let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Double], let operations = object["operations"],
      let elapsed = object["seconds"], object["failures"] == 0
    else { throw ClusterFailure(text: "\(kind.name): the load generator printed \(line)") }
    let resident = processes.reduce(0) { $0 + residentBytes(of: $1.processIdentifier) }
    return Figures(
      operations: operations, seconds: elapsed,
      latency: Latency(p50: object["p50"] ?? 0, p99: object["p99"] ?? 0, p999: object["p999"] ?? 0, max: object["max"] ?? 0),
      extras: ["rss_bytes": resident])
  }

  /// Asks until somebody leads.
  private func waitForLeader(_ kind: ClusterKind, _ endpoints: String) throws {
    for _ in 0..<100 {
      if let line = try? load(kind, endpoints, ["-op", "put", "-inflight", "3", "-seconds", "0.2"]), line.contains("\"failures\":0") { return }
      usleep(100_000)
    }
    throw ClusterFailure(text: "\(kind.name) does not answer")
  }

  private func load(_ kind: ClusterKind, _ endpoints: String, _ arguments: [String]) throws -> String {
    let path = Peers.directory.appendingPathComponent("cluster_load")
    return try output(of: path, ["-kind", kind.kind, "-endpoints", endpoints] + arguments, isChatty: true)
  }
}

func residentBytes(of process: Int32) -> Double {
  let text = (try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)) ?? ""
  let line = text.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
  return Double(line?.split(whereSeparator: \.isWhitespace).dropFirst().first ?? "0").map { $0 * 1024 } ?? 0
}

private func freePort() throws -> Int {
  let socket = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
  defer { close(socket) }
  var address = sockaddr_in()
  address.sin_family = sa_family_t(AF_INET)
  address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
  var length = socklen_t(MemoryLayout<sockaddr_in>.size)
  let bound = withUnsafeMutablePointer(to: &address) { pointer in
    pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(socket, $0, length) == 0 && getsockname(socket, $0, &length) == 0 }
  }
  guard bound else { throw ClusterFailure(text: "no free port on the loopback address") }
  return Int(UInt16(bigEndian: address.sin_port))
}

/// A cluster that did not come up or a load that failed.
struct ClusterFailure: Error, CustomStringConvertible {
  var text: String
  var description: String { text }
}

/// etcd beside Strata under one load generator.
func clusterComparisons(_ options: BenchmarkOptions) -> [Comparison] {
  let seconds = max(1, 5 * options.scale)
  func compare(_ title: String, _ load: ClusterLoad, _ subject: ClusterKind, goals: [Goal]) -> Comparison {
    var peers = [Contender(ClusterKind.etcd.name) { round in try load.measure(.etcd, in: round.directory) }]
    if load.inflight > load.connections {
      // What the same costs where nothing that is asked at the same time goes together.
      var apart = load
      apart.connections = load.inflight
      let measured = apart
      peers.append(Contender("\(subject.name), a connection each") { round in try measured.measure(subject, in: round.directory) })
    }
    return Comparison(
      title, unit: "requests",
      parameters: [
        ("members", "3"), ("value", "256 B"), ("in flight", "\(load.inflight)"),
        ("connections", "\(min(load.connections, load.inflight))"), ("keys", "10000"),
      ],
      subject: Contender(subject.name) { round in try load.measure(subject, in: round.directory) }, peers: peers, goals: goals)
  }
  let strata = ClusterKind.strata("strata", reads: "linearizable")
  let lease = ClusterKind.strata("strata, leases", reads: "lease")
  func ratio(_ limit: Double) -> Goal { .ratio(to: ClusterKind.etcd.name, atLeast: limit) }
  return [
    compare("durable put, 1,000 in flight", ClusterLoad(operation: "put", inflight: 1000, seconds: seconds), strata, goals: [ratio(3)]),
    compare(
      "durable put, 1 in flight", ClusterLoad(operation: "put", inflight: 1, seconds: seconds), strata,
      goals: [.p50(ofPeer: ClusterKind.etcd.name, atMost: 0.8)]),
    compare(
      "linearizable get, 1,000 in flight", ClusterLoad(operation: "get", inflight: 1000, seconds: seconds, preloads: true), strata,
      goals: [ratio(5)]),
    compare(
      "lease get, 1,000 in flight", ClusterLoad(operation: "get", inflight: 1000, seconds: seconds, preloads: true), lease, goals: [ratio(10)]),
  ]
}
