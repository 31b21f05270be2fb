import StrataCheckers
import StrataNodes
import StrataSimulation

/// Clients read and write a few replicated registers; whatever fails, the history must be linearizable.
struct RegisterScenario<Flaw: RegisterFlaw>: Scenario {
  typealias N = RegisterNode

  static var name: String { "register.\(Flaw.flaw?.rawValue ?? "abd")" }
  static var summary: String {
    switch Flaw.flaw {
    case nil: "the replicated register of Attiya, Bar-Noy and Dolev is linearizable"
    case .noWriteBack?: "broken: a read does not store what it saw"
    case .acknowledgesEarly?: "broken: a replica acknowledges before its disk does"
    case .minority?: "broken: half of the nodes pass for a majority"
    case .sameVersionTwice?: "broken: two writers may choose the same version"
    case .forgetsThatItForgot?: "broken: a replica that lost records goes on"
    case .namesUsedAgain?: "broken: a new start uses the names of its former life again"
    }
  }
  static var limits: ScenarioLimits { Flaw.flaw == nil ? ScenarioLimits() : ScenarioLimits(faults: .plain) }
  static var knobs: RegisterKnobs {
    var knobs = RegisterKnobs()
    knobs.flaw = Flaw.flaw
    return knobs
  }

  static var wire: SimulatedWire<RegisterNode.Message>? { RegisterWire.wire }

  static func otherKnobs(than knobs: RegisterKnobs, random: inout Random) -> RegisterKnobs {
    var other = knobs
    other.randomize(&random)
    return other
  }

  private var history = History<RegisterModel.Op, RegisterModel.Result>()
  private var nextValue = 0
  private let keys: Int

  init(plan: RunPlan) { keys = 1 + Int(plan.seed % 3) }

  mutating func nextRequest(of client: Int, number: Int, among nodes: [NodeID], random: inout Random) -> (
    node: NodeID, request: RegisterNode.Request
  )? {
    let key = random.below(keys)
    let node = nodes[random.below(nodes.count)]
    // Every written value is a new one, so that a read names the write it saw.
    return (node, random.chance(1, in: 2) ? .read(key: key) : .write(key: key, client * 1_000_000 + number))
  }

  private func op(_ request: RegisterNode.Request) -> RegisterModel.Op {
    switch request {
    case .read(let key): .read(key: key)
    case .write(let key, let value): .write(key: key, value)
    }
  }

  mutating func sent(_ request: RegisterNode.Request, by client: Int, number: Int, at time: UInt64) {
    try? history.invoke(op(request), by: client, at: time)
  }

  mutating func received(_ response: RegisterNode.Response, to request: RegisterNode.Request, by client: Int, number: Int, at time: UInt64) -> Bool {
    switch response {
    case .value(let value): try? history.ok(.value(value), by: client, at: time)
    case .written: try? history.ok(.written, by: client, at: time)
    case .unavailable:
      try? history.fail(by: client, at: time)
      return false
    }
    return true
  }

  mutating func lost(_ request: RegisterNode.Request, by client: Int, number: Int, refused: Bool, at time: UInt64) {
    if refused { try? history.fail(by: client, at: time) } else { try? history.lose(by: client, at: time) }
  }

  mutating func provoke(after id: NodeID, in cluster: Simulator<RegisterNode>, random: inout Random) -> [Fault] {
    // A coordinator that is gone and back before the answers arrive: they belong to its former life.
    guard cluster.node(id)?.isCoordinating == true, random.chance(1, in: 40) else { return [] }
    return [Fault(.down(id), at: cluster.now + UInt64(random.below(1_000_000)), for: UInt64(random.below(500_000)))]
  }

  mutating func verdict(of cluster: Simulator<RegisterNode>) -> (kind: String, explanation: String)? {
    Linearizability.check(history, against: RegisterModel()).violation.map { violation in
      (violation.kind, ([violation.explanation] + violation.witness).joined(separator: "\n  "))
    }
  }
}

/// Which flaw a scenario's registers have.
protocol RegisterFlaw: SendableMetatype {
  static var flaw: RegisterKnobs.Flaw? { get }
}

enum Sound: RegisterFlaw { static var flaw: RegisterKnobs.Flaw? { nil } }
enum NoWriteBack: RegisterFlaw { static var flaw: RegisterKnobs.Flaw? { .noWriteBack } }
enum AcknowledgesEarly: RegisterFlaw { static var flaw: RegisterKnobs.Flaw? { .acknowledgesEarly } }
enum Minority: RegisterFlaw { static var flaw: RegisterKnobs.Flaw? { .minority } }
enum SameVersionTwice: RegisterFlaw { static var flaw: RegisterKnobs.Flaw? { .sameVersionTwice } }
enum Amnesia: RegisterFlaw { static var flaw: RegisterKnobs.Flaw? { .forgetsThatItForgot } }
enum NamesUsedAgain: RegisterFlaw { static var flaw: RegisterKnobs.Flaw? { .namesUsedAgain } }

/// Every order in which two clients of three replicas, one of which may crash, can be served.
enum RegisterExploration {
  static func explore(flaw: RegisterKnobs.Flaw?, depth: Int, worlds: Int) -> Exploration {
    var scope = ExplorationScope<RegisterNode>()
    scope.nodes = 3
    scope.crashes = 1
    scope.requests = [(1, .write(key: 0, 7)), (2, .read(key: 0))]
    scope.knobs.flaw = flaw
    scope.depth = depth
    scope.worlds = worlds
    return Explorer(symmetric: scope).explore(situations: [
      "the write was acknowledged": { $0.replies.values.contains(.written) },
      "the read saw the write": { $0.replies.values.contains(.value(7)) },
    ]) { world in
      // What is acknowledged is durable on a majority, and so is what a read has shown.
      guard world.replies.values.contains(where: { $0 == .written || $0 == .value(7) }) else { return nil }
      let holders = world.nodeIDs.filter { world.durableRecords(of: $0).contains { $0.cell.value == 7 } }
      return holders.count >= 2 ? nil : "7 was acknowledged or shown while it is durable on \(holders) only"
    }
  }
}
