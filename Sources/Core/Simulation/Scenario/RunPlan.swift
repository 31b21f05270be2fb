import StrataNodes

/// Everything that decides one run of a scenario: with the scenario's name it is all a failure file needs to hold.
public struct RunPlan: Hashable, Sendable {
  /// Every random stream comes from it.
  public var seed: UInt64
  /// How many nodes.
  public var nodes: Int
  /// How many clients, each with at most one open request.
  public var clients: Int
  /// How many requests a client makes before the quiet end.
  public var requestsPerClient: Int
  /// When faults stop and the cluster has to get well, in nanoseconds.
  public var horizon: UInt64
  /// How long it may take to get well.
  public var livenessBudget: UInt64
  /// When a client gives a request up.
  public var requestTimeout: UInt64
  /// The mean time a client waits between requests.
  public var meanPause: UInt64
  /// The mean time a client waits that was refused, where that is longer: clients in a hurry spend all their requests on an outage otherwise.
  public var meanRefusalPause: UInt64
  /// The links.
  public var network: NetworkConditions
  /// The disks.
  public var disk: LogConditions
  /// Whether nodes may take unlikely ways.
  public var buggify: Bool
  /// Whether the protocol's settings are drawn at random.
  public var randomKnobs: Bool
  /// Whether the scenario may add faults of its own where they hurt most: ``Scenario/provoke(after:in:random:)``.
  public var adversary: Bool
  /// What goes wrong, in order of time.
  public var faults: [Fault]
  /// The nodes that are healed for good at the horizon. The others stay as they are: down, cut off or slow.
  public var core: [NodeID]
  /// Requests that are drawn and not made: what shrinking removes.
  public var skipped: Set<RequestNumber>

  /// A client's request by its place among that client's requests.
  public struct RequestNumber: Hashable, Sendable, Comparable {
    /// Which client.
    public let client: Int
    /// Its how-manieth request, from 0.
    public let number: Int

    /// The `number`-th request of `client`.
    public init(client: Int, number: Int) {
      self.client = client
      self.number = number
    }

    /// By client, then by number.
    public static func < (a: RequestNumber, b: RequestNumber) -> Bool { (a.client, a.number) < (b.client, b.number) }
  }

  /// A calm run: no faults, no loss, the protocol's own settings.
  public init(seed: UInt64, nodes: Int = 3, clients: Int = 3, requestsPerClient: Int = 50, horizon: UInt64 = 10_000_000_000) {
    self.seed = seed
    self.nodes = nodes
    self.clients = clients
    self.requestsPerClient = requestsPerClient
    self.horizon = horizon
    livenessBudget = 30_000_000_000
    requestTimeout = 2_000_000_000
    meanPause = 20_000_000
    meanRefusalPause = 0
    network = NetworkConditions()
    disk = LogConditions()
    buggify = false
    randomKnobs = false
    adversary = false
    faults = []
    core = (1...nodes).map { NodeID(UInt64($0)) }
    skipped = []
  }
}

/// What a scenario allows its runs to be.
public struct ScenarioLimits: Hashable, Sendable {
  /// How many nodes a run may have.
  public var nodes: ClosedRange<Int>
  /// How many clients.
  public var clients: ClosedRange<Int>
  /// How many requests a client makes.
  public var requestsPerClient: ClosedRange<Int>
  /// How long faults go on, in nanoseconds.
  public var horizon: UInt64
  /// How long getting well may take.
  public var livenessBudget: UInt64
  /// How long a client waits at least, on average, after it was refused, in nanoseconds.
  public var meanRefusalPause: UInt64 = 0
  /// What may go wrong.
  public var faults: Set<FaultKind>
  /// How many faults of lasting effect a second of virtual time brings on average, in thousandths.
  public var faultsPerThousandSeconds: Int
  /// The fault budget: how many nodes may ever lose durable records, as a function of the number of nodes. A correct protocol survives this
  /// many; beyond it no protocol could, and the checks would cry wolf.
  public var damageable: @Sendable (Int) -> Int
  /// How many nodes make the core that is healed at the end.
  public var quorum: @Sendable (Int) -> Int

  /// Three to five nodes under every fault, of which a minority may lose its disks.
  public init(
    nodes: ClosedRange<Int> = 3...5, clients: ClosedRange<Int> = 1...5, requestsPerClient: ClosedRange<Int> = 10...60,
    horizon: UInt64 = 10_000_000_000, livenessBudget: UInt64 = 30_000_000_000, faults: Set<FaultKind> = Set(FaultKind.allCases),
    faultsPerThousandSeconds: Int = 1500
  ) {
    self.nodes = nodes
    self.clients = clients
    self.requestsPerClient = requestsPerClient
    self.horizon = horizon
    self.livenessBudget = livenessBudget
    self.faults = faults
    self.faultsPerThousandSeconds = faultsPerThousandSeconds
    damageable = { ($0 - 1) / 2 }
    quorum = { $0 / 2 + 1 }
  }

  /// Equal limits draw equal plans, as far as the numbers go.
  public static func == (a: ScenarioLimits, b: ScenarioLimits) -> Bool {
    a.nodes == b.nodes && a.clients == b.clients && a.requestsPerClient == b.requestsPerClient && a.horizon == b.horizon
      && a.livenessBudget == b.livenessBudget
      && a.meanRefusalPause == b.meanRefusalPause && a.faults == b.faults && a.faultsPerThousandSeconds == b.faultsPerThousandSeconds
  }

  /// By the numbers that are compared.
  public func hash(into hasher: inout Hasher) {
    hasher.combine(nodes)
    hasher.combine(horizon)
  }
}

/// A plan or limit that makes no sense, found before the run starts.
public struct ScenarioError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Which field is wrong and what it may be.
  public let description: String

  /// An error with this text.
  public init(_ description: String) { self.description = description }
}

extension RunPlan {
  /// Finds what makes the plan impossible.
  ///
  /// - Throws: ``ScenarioError`` naming the field.
  public func validate() throws(ScenarioError) {
    func demand(_ condition: Bool, _ text: @autoclosure () -> String) throws(ScenarioError) {
      if !condition { throw ScenarioError(text()) }
    }
    try demand((1...256).contains(nodes), "nodes is \(nodes); a cluster has 1 to 256")
    try demand((0...10_000).contains(clients), "clients is \(clients); there may be 0 to 10000")
    try demand(requestsPerClient >= 0, "requestsPerClient is \(requestsPerClient); it cannot be negative")
    try demand(horizon < 1 << 62, "horizon is \(horizon) ns; at most 2^62 is possible")
    try demand(livenessBudget < 1 << 62, "livenessBudget is \(livenessBudget) ns; at most 2^62 is possible")
    try demand(requestTimeout > 0 && requestTimeout < 1 << 62, "requestTimeout is \(requestTimeout) ns; it lies between 1 and 2^62")
    try demand(network.capacity > 0, "network.capacity is \(network.capacity); a link holds at least one message")
    try demand(!core.isEmpty, "core is empty; somebody has to get well")
    let names = 1...UInt64(nodes)
    try demand(core.allSatisfy { names.contains($0.rawValue) }, "core names a node that does not exist; there are \(nodes)")
    for (place, fault) in faults.enumerated() {
      try demand(fault.start < 1 << 62 && fault.duration < 1 << 62, "fault \(place) is too late or too long; at most 2^62 ns is possible")
      if let node = fault.node {
        try demand(names.contains(node.rawValue), "fault \(place) hits \(node), which does not exist; there are \(nodes) nodes")
      }
      if case .swizzleClog(let nodes) = fault.effect {
        try demand(nodes.allSatisfy { names.contains($0.rawValue) }, "fault \(place) clogs a node that does not exist; there are \(self.nodes)")
      }
      if case .drift(_, let drift) = fault.effect {
        try demand(abs(drift) < 1_000_000, "fault \(place) lets a clock drift by \(drift) millionths; it must stay below a million")
      }
    }
  }
}
