import StrataBytes
import StrataNodes
import StrataRequirements
import Testing

@testable import StrataSimulation

/// A protocol that loses what it was told if a crash comes in between: small enough to shrink to its bones.
private struct Forgetful: Scenario {
  typealias N = Chatter
  static let name = "test.forgetful"
  static let summary = "words are kept in memory only"
  static let limits = ScenarioLimits(requestsPerClient: 100...200, faultsPerThousandSeconds: 8000)

  init(plan: RunPlan) {}

  mutating func nextRequest(of client: Int, number: Int, among nodes: [NodeID], random: inout Random) -> (node: NodeID, request: Chatter.Request)? {
    let node = nodes[random.below(nodes.count)]
    return (node, .ping(node))
  }

  mutating func sent(_ request: Chatter.Request, by client: Int, number: Int, at time: UInt64) {}
  mutating func received(_ response: Chatter.Response, to request: Chatter.Request, by client: Int, number: Int, at time: UInt64) -> Bool { true }
  mutating func lost(_ request: Chatter.Request, by client: Int, number: Int, refused: Bool, at time: UInt64) {}

  mutating func inspect(_ id: NodeID, in cluster: Simulator<Chatter>) {
    // The planted defect: after its second crash a node that has served nobody is wrong.
    if id == 2, cluster.nodes[1].incarnation > 2, cluster.node(2)?.serial == 1 { cluster.fail("forgot", "n2 forgot", at: 2) }
  }

  mutating func verdict(of cluster: Simulator<Chatter>) -> (kind: String, explanation: String)? { nil }
}

/// A protocol that never answers again once a node has crashed: the live-lock that safety checks do not see.
private struct Stuck: Scenario {
  typealias N = Chatter
  static let name = "test.stuck"
  static let summary = "nobody is served after a crash"
  static let limits = ScenarioLimits()

  init(plan: RunPlan) {}

  mutating func nextRequest(of client: Int, number: Int, among nodes: [NodeID], random: inout Random) -> (node: NodeID, request: Chatter.Request)? {
    (nodes[0], .hold)
  }

  mutating func sent(_ request: Chatter.Request, by client: Int, number: Int, at time: UInt64) {}
  mutating func received(_ response: Chatter.Response, to request: Chatter.Request, by client: Int, number: Int, at time: UInt64) -> Bool { true }
  mutating func lost(_ request: Chatter.Request, by client: Int, number: Int, refused: Bool, at time: UInt64) {}
  mutating func verdict(of cluster: Simulator<Chatter>) -> (kind: String, explanation: String)? { nil }
}

/// An adversary that takes down whoever takes an input, once, and tries to wipe the next.
private struct Provoking: Scenario {
  static var name: String { "provoking" }
  static var summary: String { "" }
  static var limits: ScenarioLimits { ScenarioLimits() }
  private var struck = false

  init(plan: RunPlan) {}

  mutating func nextRequest(of client: Int, number: Int, among nodes: [NodeID], random: inout Random) -> (node: NodeID, request: Chatter.Request)? {
    (nodes[0], .ping(nodes[0]))
  }

  mutating func sent(_ request: Chatter.Request, by client: Int, number: Int, at time: UInt64) {}
  mutating func received(_ response: Chatter.Response, to request: Chatter.Request, by client: Int, number: Int, at time: UInt64) -> Bool { true }
  mutating func lost(_ request: Chatter.Request, by client: Int, number: Int, refused: Bool, at time: UInt64) {}
  mutating func verdict(of cluster: Simulator<Chatter>) -> (kind: String, explanation: String)? { nil }

  mutating func provoke(after id: NodeID, in cluster: Simulator<Chatter>, random: inout Random) -> [Fault] {
    if struck { return [] }
    struck = true
    let moment = cluster.now + 1_000_000
    return [Fault(.down(id), at: moment, for: 1_000_000), Fault(.wiped(id.rawValue == 1 ? 2 : 1), at: moment), Fault(.down(id), at: 0)]
  }
}

/// A node that shows its settings.
private struct Restless: Node {
  let pace: Int

  static func recover(
    id: NodeID, peers: [NodeID], durable: DurableState<Int>, knobs: RestlessKnobs, at now: Instant, random: inout Random,
    _ out: inout Effects<Restless>
  ) throws(RecoveryError) -> Restless { Restless(pace: knobs.pace) }

  mutating func receive(_ input: Input<Restless>, at now: Instant, random: inout Random, _ out: inout Effects<Restless>) {}

  typealias Message = Int
  typealias Request = Int
  typealias Response = Int
  typealias Timer = Int
  typealias Record = Int
  typealias Knobs = RestlessKnobs
}

private struct RestlessKnobs: NodeKnobs {
  var pace = 1
  init() {}
  init(pace: Int) { self.pace = pace }
  mutating func randomize(_ random: inout Random) { pace = random.below(100) }
}

struct PlanTests {
  @Test func anAdversaryAddsFaultsWithinTheBudget() throws {
    var plan = RunPlan(seed: 5)
    func kinds(_ kind: TraceEvent.Kind) throws -> Int {
      try AnyScenario(Provoking.self).run(plan, trace: Trace()).trace?.events.count { $0.kind == kind } ?? 0
    }
    #expect(try kinds(.crash) == 0)
    plan.adversary = true
    // What lies in the past or would take durable records is left out.
    #expect(try kinds(.crash) == 1 && kinds(.start) == plan.nodes + 1 && kinds(.fault) == 0)
  }

  @Test func everyKindOfFaultIsDrawnAndTheBudgetHolds() {
    var kinds: Set<FaultKind> = []
    var lossy = 0
    let limits = ScenarioLimits()
    for seed in 1...300 as ClosedRange<UInt64> {
      let plan = RunPlan.swarm(seed: seed, within: limits)
      kinds.formUnion(plan.faults.map(\.kind))
      if plan.network.loss > .never { lossy += 1 }
      let damaged = Set(plan.faults.filter { $0.kind == .rot || $0.kind == .wipe }.compactMap(\.node))
      #expect(damaged.count <= (plan.nodes - 1) / 2, "seed \(seed)")
      #expect(plan.core.count > plan.nodes / 2)
      #expect(plan.faults.map(\.start) == plan.faults.map(\.start).sorted())
      #expect(throws: Never.self) { try plan.validate() }
    }
    #expect(kinds == Set(FaultKind.allCases).subtracting(FaultKind.lasting))
    // Each kind is part of about half of the runs: that is the swarm.
    #expect((100...200).contains(lossy), "\(lossy)")
  }

  /// What each new start of a node found, and with which settings it came up.
  private func starts(_ fault: Fault) throws -> RunReport {
    var plan = RunPlan(seed: 21, nodes: 1, clients: 1)
    plan.faults = [fault]
    return try AnyScenario(Provoking.self).run(plan, trace: Trace())
  }

  @Test func aRelapseIsASecondCrashAtTheSameMoment() throws {
    let report = try starts(Fault(.relapse(1), at: 1_000_000_000, for: 50_000_000))
    let ends = (report.trace?.events ?? []).filter { $0.kind == .crash || $0.kind == .start }
    #expect(ends.map(\.kind) == [.start, .crash, .start, .crash, .start])
    #expect(ends.map(\.time) == [0, 1_000_000_000, 1_050_000_000, 1_050_000_000, 1_050_000_000])
  }

  @Test func settingsChangeWithTheNextStart() throws {
    let cluster = Simulator<Restless>(nodes: 2, seed: 1, knobs: RestlessKnobs(pace: 3))
    cluster.setKnobs(1, RestlessKnobs(pace: 8))
    #expect(cluster.node(1)?.pace == 3)
    for id in cluster.nodeIDs {
      cluster.crash(id)
      cluster.restart(id)
    }
    #expect(cluster.node(1)?.pace == 8 && cluster.node(2)?.pace == 3 && cluster.knobs(of: 1)?.pace == 8)
  }

  @Test func aFaultTakenOutLeavesTheOthersAsTheyWere() throws {
    // Words sent before the moment of a fault travel alike with and without it.
    var plan = RunPlan(seed: 11)
    plan.faults = [Fault(.down(1), at: 2_000_000_000, for: 1_000_000_000), Fault(.drift(2, partsPerMillion: 300), at: 5_000_000_000)]
    var without = plan
    without.faults.removeLast()
    let scenario = AnyScenario(Forgetful.self)
    let a = try scenario.run(plan, trace: Trace())
    let b = try scenario.run(without, trace: Trace())
    func before(_ report: RunReport) -> [String] {
      (report.trace?.events ?? []).prefix { $0.time < 5_000_000_000 }.map { "\($0.time) \($0.kind) \($0.node) \($0.peer) \($0.text)" }
    }
    #expect(before(a) == before(b) && before(a).count > 100)
    #expect(a.digest != b.digest)
  }

  @Test func aLiveLockIsFound() throws {
    let report = try AnyScenario(Stuck.self).run(RunPlan(seed: 1))
    #expect(report.failure?.kind == "no progress")
    #expect(report.failure?.explanation.contains("have not been served") == true)
  }

  @Test func aLongFailureShrinksToItsBones() throws {
    let scenario = AnyScenario(Forgetful.self)
    let seed = try #require(
      try (1...200 as ClosedRange<UInt64>).first { seed in
        let report = try scenario.run(scenario.plan(seed: seed))
        return report.failure?.kind == "forgot" && report.events >= 1000
      })
    let plan = scenario.plan(seed: seed)
    var shrinker = Shrinker(scenario, plan, kind: "forgot", time: .seconds(60))
    shrinker.run()
    let report = try scenario.run(shrinker.plan, trace: Trace())
    #expect(report.failure?.kind == "forgot")
    #expect(shrinker.plan.faults.count <= 2 && report.requests <= 3, "\(shrinker.plan.faults.count) faults, \(report.requests) requests")
    let happened = report.trace?.events.count ?? .max
    #expect(happened <= 15, "\(report.traceText)")
  }

  @Test func aFailureFileReplaysTheRun() throws {
    let scenario = AnyScenario(Forgetful.self)
    let seed = try #require(try (1...200 as ClosedRange<UInt64>).first { try scenario.run(scenario.plan(seed: $0)).failure != nil })
    var plan = scenario.plan(seed: seed)
    plan.skipped = [.init(client: 0, number: 3)]
    let report = try scenario.run(plan, trace: Trace())
    let file = try #require(FailureFile(report, revision: "test"))
    let (read, isComplete) = try FailureFile.parse(Array(file.text.utf8))
    #expect(isComplete && read == file)
    #expect(try scenario.run(read.plan, trace: Trace()).digest.description == file.digest)
  }

  @Test func plansOfEverySeedSurviveTheirText() throws {
    let scenario = AnyScenario(Forgetful.self)
    for seed in 1...100 as ClosedRange<UInt64> {
      let plan = scenario.plan(seed: seed &* 0x9E37_79B9_7F4A_7C15)
      #expect(try RunPlan(plan.json).network == plan.network)
      for fault in plan.faults { #expect(try Fault(fault.json) == fault) }
    }
  }

  @Test(.requirement("Simulation.never.4")) func aChangedFailureFileIsRefusedOrReadAsItWas() throws {
    let report = try AnyScenario(Stuck.self).run(RunPlan(seed: 1), trace: Trace())
    let file = try #require(FailureFile(report, revision: "test"))
    let bytes = Array(file.text.utf8)
    for index in bytes.indices {
      var changed = bytes
      changed[index] ^= 1 << UInt8(index % 8)
      // A flip in the last line may hide it: then the file counts as cut off, and what is before it is as it was.
      if let (read, isComplete) = try? FailureFile.parse(changed) { #expect(!isComplete && read == file, "byte \(index)") }
      if let (read, isComplete) = try? FailureFile.parse(Array(bytes[..<index])) {
        // Without the last line feed nothing is missing.
        #expect(isComplete == (index == bytes.count - 1) && read.plan == file.plan, "cut at \(index)")
      }
    }
  }

  @Test func impossiblePlansAreRefusedByField() {
    func refusal(_ change: (inout RunPlan) -> Void) -> String {
      var plan = RunPlan(seed: 1)
      change(&plan)
      do throws(ScenarioError) { try plan.validate() } catch { return error.description }
      return ""
    }
    #expect(refusal { $0.nodes = 0 }.contains("nodes is 0"))
    #expect(refusal { $0.core = [] }.contains("core"))
    #expect(refusal { $0.core = [9] }.contains("core"))
    #expect(refusal { $0.faults = [Fault(.down(7), at: 0)] }.contains("fault 0 hits n7"))
    #expect(refusal { $0.faults = [Fault(.drift(1, partsPerMillion: 2_000_000), at: 0)] }.contains("drift"))
    #expect(refusal { $0.requestTimeout = 0 }.contains("requestTimeout"))
    #expect(refusal { $0.network.capacity = 0 }.contains("capacity"))
  }

  @Test func theDiagramHoldsTheRunAndCannotBeBrokenOutOf() throws {
    let report = try AnyScenario(Stuck.self).run(RunPlan(seed: 1), trace: Trace(keepsStates: true))
    let html = SpaceTimeDiagram(report).html
    #expect(html.contains("test.stuck, seed 1") && html.contains("no progress"))
    #expect(html.components(separatedBy: "</script>").count == 2)
    #expect(report.traceLines.split(separator: "\n").count == (report.trace?.events.count ?? 0) + 2)
  }

  @Test func thePerfettoTraceHoldsEveryInputAndMessage() throws {
    var plan = RunPlan(seed: 11)
    plan.faults = [Fault(.down(1), at: 2_000_000_000, for: 1_000_000_000), Fault(.paused(2), at: 4_000_000_000, for: 500_000_000)]
    let report = try AnyScenario(Forgetful.self).run(plan, trace: Trace())
    let trace = try JSON(parsing: Array(ChromeTrace(report).json.utf8))
    let rows = try #require(trace["traceEvents"]?.array)
    func count(_ phase: String, _ category: String? = nil) -> Int {
      rows.count { $0["ph"]?.string == phase && (category == nil || $0["cat"]?.string == category) }
    }
    let events = try #require(report.trace?.events)
    #expect(count("M") == plan.nodes + 2)
    for kind in [TraceEvent.Kind.receive, .request, .start] {
      #expect(count("X", "\(kind)") == events.count { $0.kind == kind } && count("X", "\(kind)") > 0)
    }
    #expect(count("s") == count("f") && count("s") == events.count { $0.kind == .receive })
    #expect(rows.contains { $0["name"]?.string == "down" && $0["dur"] == .number("1000000.000") && $0["ts"] == .number("2000000.000") })
    #expect(rows.contains { $0["name"]?.string == "paused" && $0["dur"] == .number("500000.000") })
    #expect(rows.allSatisfy { $0["ph"] != nil && $0["pid"] != nil })
  }

  @Test func aTraceCanEndEarlier() throws {
    let report = try AnyScenario(Forgetful.self).run(RunPlan(seed: 11), trace: Trace())
    let shown = report.shown(until: 3_000_000_000)
    let events = try #require(shown.trace?.events)
    #expect(events.last.map { $0.time <= 3_000_000_000 } == true && events.count > 100)
    #expect(events == report.trace.map { Array($0.events.prefix(events.count)) } && report.trace!.events[events.count].time > 3_000_000_000)
  }
}
