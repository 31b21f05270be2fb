import StrataNodes

/// A protocol under test: what clients ask of it, what must hold at every step, and how the run is judged.
public protocol Scenario: SendableMetatype {
  /// The protocol.
  associatedtype N: Node

  /// The name under which it is run, in lower case with dots: `register.abd`.
  static var name: String { get }
  /// What it shows, in one line.
  static var summary: String { get }
  /// What its runs may be.
  static var limits: ScenarioLimits { get }

  /// The protocol's settings, before a run draws some at random.
  static var knobs: N.Knobs { get }

  /// How the protocol's messages look on the wire. With it, runs that know ``FaultKind/corruption`` carry bytes, of which some are flipped.
  static var wire: SimulatedWire<N.Message>? { get }

  /// A node's state for the reader of a diagram, best in a few lines.
  static func describe(_ node: N) -> String

  /// A message for the reader of a trace, best in a few words.
  static func describe(message: N.Message) -> String

  /// A fresh run.
  init(plan: RunPlan)

  /// The settings a node may come up with in the midst of a run, when it ran with `knobs` before: those of a new version, or of an operator who
  /// restarts one node after the other. What the protocol promises must not hang on the nodes agreeing about them.
  static func otherKnobs(than knobs: N.Knobs, random: inout Random) -> N.Knobs

  /// The next request of a client and the node it goes to; nothing if the client has no more.
  mutating func nextRequest(of client: Int, number: Int, among nodes: [NodeID], random: inout Random) -> (node: NodeID, request: N.Request)?

  /// A client sent a request.
  mutating func sent(_ request: N.Request, by client: Int, number: Int, at time: UInt64)

  /// A client got its answer. Returns whether the protocol has served it: refusals ("not the leader") do not count as progress.
  mutating func received(_ response: N.Response, to request: N.Request, by client: Int, number: Int, at time: UInt64) -> Bool

  /// A client will never get an answer. If `refused` the request had no effect; otherwise it may take effect at any later time.
  mutating func lost(_ request: N.Request, by client: Int, number: Int, refused: Bool, at time: UInt64)

  /// Called after every input a node took: the place for invariants over the whole cluster, which ``Simulator/fail(_:_:at:)`` reports.
  mutating func inspect(_ id: NodeID, in cluster: Simulator<N>)

  /// The moves of an adversary that sees the whole cluster, where the plan has one: called after every input a node took before the horizon,
  /// it returns faults to come. What chance seldom hits, the moment a node was elected or a hand-over is under way, it hits at will. It may draw from
  /// `random` only, so that the seed still decides the run; faults that lose durable records have a budget of their own and are ignored here.
  mutating func provoke(after id: NodeID, in cluster: Simulator<N>, random: inout Random) -> [Fault]

  /// Whether the cluster is well again once the core is healed. Asked until it is or the budget is over.
  func isWell(_ cluster: Simulator<N>, core: [NodeID]) -> Bool

  /// Judges the whole run; nothing wrong gives nothing.
  mutating func verdict(of cluster: Simulator<N>) -> (kind: String, explanation: String)?
}

extension Scenario {
  /// What a product would choose.
  public static var knobs: N.Knobs { N.Knobs() }
  /// As the node describes itself.
  public static func describe(_ node: N) -> String { "\(node)" }
  /// As the message describes itself.
  public static func describe(message: N.Message) -> String { "\(message)" }
  /// Messages travel as values.
  public static var wire: SimulatedWire<N.Message>? { nil }
  /// The same.
  public static func otherKnobs(than knobs: N.Knobs, random: inout Random) -> N.Knobs { knobs }
  /// Nothing to look at.
  public mutating func inspect(_ id: NodeID, in cluster: Simulator<N>) {}
  /// Leaves everything to chance.
  public mutating func provoke(after id: NodeID, in cluster: Simulator<N>, random: inout Random) -> [Fault] { [] }
  /// Answered requests suffice.
  public func isWell(_ cluster: Simulator<N>, core: [NodeID]) -> Bool { true }
}

/// What a run came to.
public struct RunReport: Sendable {
  /// The scenario.
  public let scenario: String
  /// What decided the run.
  public let plan: RunPlan
  /// What went wrong, if anything did.
  public let failure: SimulationFailure?
  /// Equal for equal runs, in any process.
  public let digest: TraceDigest
  /// How much virtual time passed, in nanoseconds.
  public let simulatedTime: UInt64
  /// How many events were carried out.
  public let events: UInt64
  /// How many requests clients made.
  public let requests: Int
  /// How many of them were served.
  public let served: Int
  /// What became of the messages.
  public let network: NetworkStatistics
  /// How often each noted situation came up.
  public let situations: [String: Int]
  /// What happened, if that was kept.
  public internal(set) var trace: Trace?

  /// The same run with a trace that ends at a moment, in nanoseconds of true time.
  public func shown(until time: UInt64) -> RunReport {
    var report = self
    report.trace?.cut(after: time)
    return report
  }
}

/// A scenario whose protocol is hidden, for lists and tools.
public struct AnyScenario: Sendable {
  /// Its name.
  public let name: String
  /// What it shows.
  public let summary: String
  /// What its runs may be.
  public let limits: ScenarioLimits
  /// Enumerates the crashes of a workload, if the scenario is that of a storage engine.
  public internal(set) var crashes: (@Sendable (EngineCrashOptions) throws -> CrashReport)?
  /// Explores every order of events of a small cluster to a depth, if the scenario has such a scope.
  public var exploration: (@Sendable (_ depth: Int, _ worlds: Int) -> Exploration)?
  private let runner: @Sendable (RunPlan, Trace?) -> RunReport

  init(name: String, summary: String, limits: ScenarioLimits, runner: @escaping @Sendable (RunPlan, Trace?) -> RunReport) {
    self.name = name
    self.summary = summary
    self.limits = limits
    self.runner = runner
  }

  /// Hides `scenario`'s type.
  public init<S: Scenario>(_ scenario: S.Type) {
    name = S.name
    summary = S.summary
    limits = S.limits
    runner = { plan, trace in ScenarioRun<S>(plan, trace: trace).report() }
  }

  /// The run a seed stands for.
  public func plan(seed: UInt64) -> RunPlan { .swarm(seed: seed, within: limits) }

  /// Runs a plan.
  ///
  /// - Parameter trace: an empty trace if what happens is to be kept; it makes the run slower and changes its digest, nothing else.
  /// - Throws: ``ScenarioError`` if the plan makes no sense.
  public func run(_ plan: RunPlan, trace: Trace? = nil) throws(ScenarioError) -> RunReport {
    try plan.validate()
    return runner(plan, trace)
  }
}
