import BenchmarkKit
import StrataNodes
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
  let first = cluster.eventCount
  let begin = nanoseconds()
  _ = cluster.next(until: 10_000_000 + events * 2000)
  let seconds = Double(nanoseconds() - begin) * 1e-9
  let count = Double(cluster.eventCount - first)
  return Figures(operations: count, seconds: seconds, extras: ["ns_per_event": seconds * 1e9 / count])
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
    extras: ["simulated_hours_per_minute": Double(simulated) / 3.6e12 / (seconds / 60)])
}

await runBenchmark("bench-sim") { options in
  [
    Comparison(
      "scheduler, ping-pong", unit: "events", parameters: [("outstanding", "1000"), ("trace", "off")],
      subject: Contender("strata") { round in pingPong(UInt64(options.scaled(20_000_000)), seed: options.seed &+ UInt64(round.number)) },
      peers: [], goals: [.throughput(atLeast: 5e6)]),
    Comparison(
      "replicated register under every fault, judged", unit: "events", parameters: [("scenario", "register.abd")],
      subject: Contender("strata") { _ in try scenario("register.abd", seeds: options.scaled(500)) }, peers: [],
      goals: [.extra("simulated_hours_per_minute", atLeast: 6)]),
  ]
}
