import StrataNodes

/// What changes in a simulated cluster beside its nodes.
@usableFromInline
struct SimulatorCore<N: Node> {
  @usableFromInline var network = NetworkConditions()
  @usableFromInline var disk = LogConditions()
  @usableFromInline var time: UInt64 = 0
  @usableFromInline var eventNumber: UInt64 = 0
  @usableFromInline var networkCounts = NetworkStatistics()
  @usableFromInline var firstFailure: SimulationFailure?
  @usableFromInline var links: [Link]
  /// What lies on each link's connection, where links are streams.
  @usableFromInline var connections: [Connection<N>]
  /// The conditions of each link, where they are not those of the whole network.
  @usableFromInline var linkConditions: [NetworkConditions] = []
  /// Which messages the network keeps.
  @usableFromInline var filter: ((NodeID, NodeID, N.Message) -> Bool)?
  @usableFromInline var queue = EventQueue<ClusterEvent<N>>()
  @usableFromInline var effects: Effects<N>
  @usableFromInline var ties: Random
  @usableFromInline var clients: Random
  @usableFromInline var sessions: UInt64 = 0
  /// Which node each open session asked.
  @usableFromInline var openSessions: [SessionID: Int] = [:]
  @usableFromInline var answers: [SessionID: N.Response] = [:]
  @usableFromInline var keepsAnswers = false
  /// Called after every input a node took and its effects.
  @usableFromInline var afterInput: ((NodeID) -> Void)?
  @usableFromInline var trace: Trace?
  /// A node's state in the trace.
  @usableFromInline var describe: (N) -> String = { "\($0)" }
  /// A message in the trace.
  @usableFromInline var describeMessage: (N.Message) -> String = { "\($0)" }
  @usableFromInline var digest = TraceDigest()

  @inlinable
  init(links: [Link], effects: Effects<N>, ties: Random, clients: Random, trace: Trace?) {
    self.links = links
    connections = Array(repeating: Connection(), count: links.count)
    self.effects = effects
    self.ties = ties
    self.clients = clients
    self.trace = trace
  }
}
