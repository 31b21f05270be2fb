import BenchmarkKit
import CAllocations
import StrataNodes
import StrataRaft
import StrataScenarios
import StrataSimulation

// How much virtual time a second of one core buys.

/// Exchanges messages between two nodes, 1,000 on their way at any time, until about `events` events have happened.
@Sendable func pingPong(_ events: UInt64, seed: UInt64) -> Figures {
  let cluster = Simulator<PingPong>(nodes: 2, seed: seed)
  cluster.network.minimumLatency = 1_000_000
  cluster.network.meanExtraLatency = 1_000_000
  // 1,000 messages that take 2 ms each: half a million events in a second of virtual time.
  _ = cluster.next(until: 10_000_000)
  // Until the queue has had its largest size it takes memory, and never after.
  _ = cluster.next(until: 200_000_000)
  let first = cluster.eventCount
  let allocations = strata_allocations()
  let begin = nanoseconds()
  _ = cluster.next(until: 200_000_000 + events * 2000)
  let seconds = Double(nanoseconds() - begin) * 1e-9
  let count = Double(cluster.eventCount - first)
  return Figures(
    operations: count, seconds: seconds,
    extras: [
      "ns_per_event": seconds * 1e9 / count, "allocations_per_million_events": Double(strata_allocations() - allocations) / count * 1e6,
    ])
}

/// What a node costs beside its own state: clusters of idle nodes are made, which hold next to nothing.
@Sendable func nodeMemory(clusters: Int) -> Figures {
  let before = strata_heap_bytes()
  let begin = nanoseconds()
  let made = (1...UInt64(clusters)).map { Simulator<Idle>(nodes: 5, seed: $0) }
  let seconds = Double(nanoseconds() - begin) * 1e-9
  let bytes = Double(strata_heap_bytes() - before) / Double(clusters * 5)
  return withExtendedLifetime(made) { Figures(operations: Double(clusters * 5), seconds: seconds, extras: ["kib_per_node": bytes / 1024]) }
}

func pace(_ simulated: UInt64, _ seconds: Double) -> Double { Double(simulated) / 3.6e12 / (seconds / 60) }

/// Five members of a group that nobody asks anything, with heartbeats every 50 ms, once somebody leads.
@Sendable func idleGroup(_ duration: Duration, seed: UInt64) throws -> Figures {
  var knobs = RaftKnobs()
  knobs.tick = .milliseconds(50)
  let group = try RaftCluster<KeyValueMachine>(nodeIDs: [1, 2, 3, 4, 5], config: knobs, seed: seed)
  _ = try group.runUntilLeader(maxTicks: 1000)
  let (firstEvent, firstMoment) = (group.simulator.eventCount, group.simulator.now)
  let begin = nanoseconds()
  try group.simulator.run(for: duration)
  let seconds = Double(nanoseconds() - begin) * 1e-9
  return Figures(
    operations: Double(group.simulator.eventCount - firstEvent), seconds: seconds,
    extras: ["simulated_hours_per_minute": pace(group.simulator.now - firstMoment, seconds)])
}

/// Three members, four clients that each ask every 20 ms, every fault, the invariants of the group and the history judged.
@Sendable func busyGroup(seeds: Int) throws -> Figures {
  guard let scenario = Catalogue.scenario("raft.kv") else { throw BenchmarkError.usage("no scenario raft.kv") }
  var limits = scenario.limits
  limits.nodes = 3...3
  limits.clients = 4...4
  limits.requestsPerClient = 3000...3000
  limits.horizon = 60_000_000_000
  var figures = Figures(operations: 0, seconds: 0)
  var simulated: UInt64 = 0
  var requests = 0
  let begin = nanoseconds()
  for seed in 1...UInt64(seeds) {
    var plan = RunPlan.swarm(seed: seed, within: limits)
    plan.meanPause = 20_000_000
    let report = try scenario.run(plan)
    simulated += report.simulatedTime
    requests += report.requests
    figures.operations += Double(report.events)
  }
  figures.seconds = Double(nanoseconds() - begin) * 1e-9
  figures.extras = [
    "simulated_hours_per_minute": pace(simulated, figures.seconds), "requests_per_virtual_second": Double(requests) / (Double(simulated) * 1e-9),
  ]
  return figures
}

/// Cuts the power before each disk operation of an engine's workload; an operation is an image on which recovery was run.
@Sendable func crashes(_ name: String, operations: Int, images: Int) throws -> Figures {
  guard let enumerate = Catalogue.scenario(name)?.crashes else { throw BenchmarkError.usage("no engine \(name)") }
  var options = EngineCrashOptions()
  options.operations = operations
  options.images = images
  let begin = nanoseconds()
  let report = try enumerate(options)
  let seconds = Double(nanoseconds() - begin) * 1e-9
  guard report.isClean else { throw BenchmarkError.usage("\(report)") }
  return Figures(operations: Double(report.images + report.recoveryImages), seconds: seconds, extras: ["crash_points": Double(report.points)])
}

/// Runs seeds of a scenario; an operation is a nanosecond of virtual time.
@Sendable func scenario(_ name: String, seeds: Int) throws -> Figures {
  guard let scenario = Catalogue.scenario(name) else { throw BenchmarkError.usage("no scenario \(name)") }
  var simulated: UInt64 = 0
  var events: UInt64 = 0
  let begin = nanoseconds()
  for seed in 1...UInt64(seeds) {
    let report = try scenario.run(scenario.plan(seed: seed))
    simulated += report.simulatedTime
    events += report.events
  }
  let seconds = Double(nanoseconds() - begin) * 1e-9
  return Figures(
    operations: Double(events), seconds: seconds,
    extras: ["simulated_hours_per_minute": pace(simulated, seconds)])
}

await runBenchmark("bench-sim") { options in
  [
    Comparison(
      "scheduler, ping-pong", unit: "events", parameters: [("outstanding", "1000"), ("trace", "off")],
      subject: Contender("strata") { round in pingPong(UInt64(options.scaled(20_000_000)), seed: options.seed &+ UInt64(round.number)) },
      peers: [], goals: [.throughput(atLeast: 5e6), .extra("allocations_per_million_events", atMost: 0)]),
    Comparison(
      "a node beside its state", unit: "nodes", subject: Contender("strata") { _ in nodeMemory(clusters: options.scaled(1000)) }, peers: [],
      goals: [.extra("kib_per_node", atMost: 64)]),
    Comparison(
      "idle group of five, heartbeats every 50 ms", unit: "events",
      subject: Contender("strata") { round in
        try idleGroup(.seconds(options.scaled(36_000)), seed: options.seed &+ UInt64(round.number))
      }, peers: [], goals: [.extra("simulated_hours_per_minute", atLeast: 60)]),
    Comparison(
      "group of three, 200 requests a second, every fault, judged", unit: "events", parameters: [("scenario", "raft.kv")],
      subject: Contender("strata") { _ in try busyGroup(seeds: options.scaled(30)) }, peers: [],
      goals: [.extra("simulated_hours_per_minute", atLeast: 6)]),
    Comparison(
      "crashes of a log of 1,000 operations", unit: "images", parameters: [("scenario", "engine.wal")],
      subject: Contender("strata") { _ in try crashes("engine.wal", operations: 1000, images: options.scaled(4000)) }, peers: [],
      goals: [.throughput(atLeast: 500)]),
    Comparison(
      "crashes of an ordered engine that compacts", unit: "images", parameters: [("scenario", "engine.lsm"), ("operations", "200")],
      subject: Contender("strata") { _ in try crashes("engine.lsm", operations: 200, images: options.scaled(1000)) }, peers: [],
      goals: [.throughput(atLeast: 30)]),
    Comparison(
      "replicated register under every fault, judged", unit: "events", parameters: [("scenario", "register.abd")],
      subject: Contender("strata") { _ in try scenario("register.abd", seeds: options.scaled(500)) }, peers: [],
      goals: [.extra("simulated_hours_per_minute", atLeast: 6)]),
  ]
}
