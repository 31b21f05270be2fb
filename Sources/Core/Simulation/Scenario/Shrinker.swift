import StrataJobs
import StrataNodes

/// Makes a failing run small: fewer faults, fewer requests, fewer clients, fewer nodes, plainer latencies, as long as the same kind of failure comes
/// back.
///
/// Lists are reduced by delta debugging (Zeller and Hildebrandt, Simplifying and Isolating Failure-Inducing Input, 2002).
public struct Shrinker {
  private let scenario: AnyScenario
  private let kind: String
  private let deadline: UInt64
  /// Runs tried so far.
  public private(set) var attempts = 0
  /// The smallest plan found.
  public private(set) var plan: RunPlan

  /// Shrinks a run of `scenario` that fails with the invariant `kind`, for at most `time`.
  public init(_ scenario: AnyScenario, _ plan: RunPlan, kind: String, time: Duration = .seconds(60)) {
    self.scenario = scenario
    self.plan = plan
    self.kind = kind
    deadline = MonotonicClock.now() &+ UInt64(clamping: time.nanoseconds)
  }

  /// Runs a candidate and keeps it if it fails in the same way.
  private mutating func adopt(_ change: (inout RunPlan) -> Void) -> Bool {
    guard MonotonicClock.now() < deadline else { return false }
    var candidate = plan
    change(&candidate)
    if candidate == plan { return false }
    attempts += 1
    guard let report = try? scenario.run(candidate), report.failure?.kind == kind else { return false }
    plan = candidate
    return true
  }

  /// Shrinks until nothing helps any more or the time is over.
  public mutating func run() {
    cutHorizon()
    for kind in FaultKind.allCases { dropKind(kind) }
    var before: RunPlan
    repeat {
      before = plan
      dropFaults()
      dropClients()
      dropRequests()
      dropNodes()
    } while plan != before && MonotonicClock.now() < deadline
    simplify()
  }

  private mutating func cutHorizon() {
    guard let time = (try? scenario.run(plan))?.failure?.time, time < plan.horizon else { return }
    _ = adopt { plan in
      plan.horizon = time + 1
      plan.faults.removeAll { $0.start > time }
    }
    // A verdict that comes at the end says nothing about when it could have come: look for the shortest run.
    while adopt({ $0.horizon = $0.horizon * 3 / 4 }) {}
    _ = adopt { plan in plan.faults.removeAll { $0.start > plan.horizon } }
  }

  private mutating func dropKind(_ kind: FaultKind) {
    _ = adopt { plan in
      switch kind {
      case .loss: plan.network.loss = .never
      case .duplication: plan.network.duplication = .never
      case .replay: plan.network.replay = .never
      case .buggify: plan.buggify = false
      case .knobs: plan.randomKnobs = false
      case .adversary: plan.adversary = false
      case .streams: plan.network.carriage = .datagrams
      case .corruption: plan.network.corruption = .never
      default: plan.faults.removeAll { $0.kind == kind }
      }
    }
  }

  private mutating func dropFaults() {
    reduce(count: { $0.faults.count }, remove: { plan, range in plan.faults.removeSubrange(range) })
  }

  private mutating func dropRequests() {
    // Requests from the end first: the horizon in requests.
    while plan.requestsPerClient > 1, adopt({ $0.requestsPerClient /= 2 }) {}
    while plan.requestsPerClient > 1, adopt({ $0.requestsPerClient -= 1 }) {}
    func remaining(_ plan: RunPlan) -> [RunPlan.RequestNumber] {
      (0..<plan.clients).flatMap { client in (0..<min(plan.requestsPerClient, 2000)).map { .init(client: client, number: $0) } }
        .filter { !plan.skipped.contains($0) }
    }
    reduce(count: { remaining($0).count }, remove: { plan, range in plan.skipped.formUnion(remaining(plan)[range]) })
  }

  private mutating func dropClients() { while plan.clients > 1, adopt({ $0.clients -= 1 }) {} }

  private mutating func dropNodes() {
    while plan.nodes > 1 {
      let fewer = plan.nodes - 1
      guard fewer >= scenario.limits.nodes.lowerBound else { return }
      let removed = NodeID(UInt64(plan.nodes))
      let changed = adopt { plan in
        plan.nodes = fewer
        plan.core.removeAll { $0 == removed }
        if plan.core.isEmpty { plan.core = [1] }
        plan.faults.removeAll { $0.node == removed }
      }
      if !changed { return }
    }
  }

  private mutating func simplify() {
    _ = adopt { $0.network.meanExtraLatency = 0 }
    _ = adopt { $0.disk.meanExtraSync = 0 }
    _ = adopt { $0.meanPause = 1_000_000 }
    _ = adopt { $0.meanRefusalPause = 0 }
    for index in plan.faults.indices { _ = adopt { $0.faults[index].duration = 20_000_000 } }
  }

  /// Removes ever smaller ranges of a list while the failure comes back.
  private mutating func reduce(count: (RunPlan) -> Int, remove: (inout RunPlan, Range<Int>) -> Void) {
    if count(plan) > 0, adopt({ remove(&$0, 0..<count($0)) }) { return }
    var pieces = 2
    while MonotonicClock.now() < deadline {
      let total = count(plan)
      if total == 0 { return }
      let size = max(1, total / pieces)
      var start = 0
      var changed = false
      while start < count(plan) {
        let range = start..<min(start + size, count(plan))
        if adopt({ remove(&$0, range) }) { changed = true } else { start += size }
      }
      if size == 1, !changed { return }
      pieces = changed ? max(2, pieces - 1) : min(pieces * 2, max(2, count(plan)))
    }
  }
}
