import BenchmarkKit
import Foundation
import StrataHost
import StrataNodes
import StrataRaft
import SystemPackage

// What groups cost of which nothing is asked.

/// A machine that counts.
private struct CountingMachine: RaftStateMachine {
  private var count: UInt64 = 0

  mutating func apply(_ command: [UInt8]) -> [UInt8] {
    count += 1
    return []
  }
  func query(_ question: [UInt8]) -> [UInt8] { [] }
  func snapshot() -> [UInt8]? { withUnsafeBytes(of: count.littleEndian) { Array($0) } }
  mutating func restore(_ bytes: [UInt8]) -> Bool { true }
}

/// Three hosts in this process with a member of each group on each, files and all.
private final class Crowd {
  typealias Member = RaftNode<CountingMachine>

  let network = InProcessNetwork()
  private var hosts: [StrataHost.Host] = []
  private var disks: [RaftDisk] = []
  private var nodes: [[HostedNode<Member>]] = []

  init(_ groups: Int, restTicks: Int, in directory: URL) throws {
    let ids = [1, 2, 3] as [NodeID]
    var knobs = RaftKnobs()
    knobs.tick = .milliseconds(100)
    knobs.restTicks = restTicks
    for id in ids {
      let host = StrataHost.Host(name: "host \(id)")
      let disk = try RaftDisk(FilePath(directory.appendingPathComponent("n\(id.rawValue)").path), cluster: 1)
      var options = NodeOptions()
      options.timerSlack = knobs.tick
      options.latencies = NodeLatencies()
      let transport = network.transport(of: id)
      nodes.append(
        try (1...groups).map { group in
          try host.run(
            Member.self, as: id, in: GroupID(UInt64(group)), peers: ids, knobs: knobs, log: disk.log(of: UInt64(group)), codec: RaftMessageCodec(),
            over: transport, options: options)
        })
      hosts.append(host)
      disks.append(disk)
    }
  }

  /// Has every group do one thing, so that all have a leader, a session and a log.
  func use() async throws {
    try await withThrowingTaskGroup(of: Void.self) { tasks in
      for node in nodes[0] { tasks.addTask { _ = try await node.request(.command([1]), deadline: .seconds(60)) } }
      try await tasks.waitForAll()
    }
  }

  /// How many of the members rest.
  func resting() throws -> Int {
    try nodes.joined().reduce(0) { try $1.inspect { $0.core.isResting } ? $0 + 1 : $0 }
  }

  func end() throws {
    for host in hosts { host.stop() }
    for disk in disks { try disk.close() }
  }
}

private func processorSeconds() -> Double {
  var usage = rusage()
  getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
  func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) * 1e-6 }
  return seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

/// 1,000 groups of three members: what each of the three hosts spends on them while nothing is asked.
@Sendable func idleGroups(_ groups: Int, seconds: Double, isFirst: Bool, in directory: URL) async throws -> Figures {
  let before = residentBytes(of: ProcessInfo.processInfo.processIdentifier)
  let crowd = try Crowd(groups, restTicks: 10, in: directory)
  try await crowd.use()
  // Resting takes ten ticks of a tenth of a second.
  for _ in 0..<300 {
    if try crowd.resting() == 3 * groups { break }
    try await Task.sleep(for: .milliseconds(100))
  }
  try await Task.sleep(for: .seconds(2))
  let memory = residentBytes(of: ProcessInfo.processInfo.processIdentifier) - before
  let messages = crowd.network.counts.delivered
  let processor = processorSeconds()
  let begin = nanoseconds()
  try await Task.sleep(for: .seconds(seconds))
  let elapsed = Double(nanoseconds() - begin) * 1e-9
  let spent = processorSeconds() - processor
  let sent = Double(crowd.network.counts.delivered - messages)
  let resting = try crowd.resting()
  try crowd.end()
  var extras = ["core_percent_per_host": 100 * spent / elapsed / 3, "members_resting": Double(resting)]
  // Later rounds take memory that the first has freed, and seem to cost none.
  if isFirst { extras["bytes_per_member"] = memory / Double(3 * groups) }
  return Figures(operations: sent, seconds: elapsed, extras: extras)
}

@Sendable func idleComparisons(_ options: BenchmarkOptions) -> [Comparison] {
  let groups = options.scaled(1000)
  return [
    Comparison(
      "idle groups", unit: "messages", parameters: [("groups", "\(groups)"), ("members of each", "3"), ("tick", "100 ms")],
      subject: Contender("strata") { round in try await idleGroups(groups, seconds: 3, isFirst: round.number == 0, in: round.directory) }, peers: [],
      goals: [.extra("core_percent_per_host", atMost: 1), .extra("bytes_per_member", atMost: 8192)])
  ]
}
