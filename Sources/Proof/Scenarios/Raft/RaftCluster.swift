import StrataNodes
import StrataRaft
import StrataSimulation

/// A Raft group in virtual time that is driven by hand: for tests that tell a story step by step, where a ``Scenario`` lets a seed tell it.
///
/// ```swift
/// let group = try RaftCluster<KeyValueMachine>(nodeIDs: [1, 2, 3], seed: 7)
/// let leader = try group.runUntilLeader(maxTicks: 100)
/// group.partition([[leader]])
/// ```
///
/// A majority is always one of the whole configuration, whoever can be reached. One thread at a time may use it.
public final class RaftCluster<Machine: RaftStateMachine> {
  /// The nodes, links, disks and clocks: every fault of the simulator can be had here.
  public let simulator: Simulator<RaftNode<Machine>>
  private let tickTime: Duration

  /// A group of founders that knows no leader yet.
  ///
  /// - Parameters:
  ///   - nodeIDs: the members, which are named 1 … n in the simulator.
  ///   - config: the settings of all of them.
  /// - Throws: ``ScenarioError`` if the members are named otherwise.
  public init(nodeIDs: [NodeID], config: RaftKnobs = RaftKnobs(), seed: UInt64) throws(ScenarioError) {
    guard !nodeIDs.isEmpty, nodeIDs.count <= 256, nodeIDs.sorted() == (1...nodeIDs.count).map({ NodeID(UInt64($0)) }) else {
      throw ScenarioError("nodeIDs is \(nodeIDs); the members of a simulated group are named 1 to their number, at most 256")
    }
    tickTime = config.tick
    simulator = Simulator(nodes: nodeIDs.count, seed: seed, knobs: config, buggify: false)
  }

  /// Lets `count` ticks pass, and all that happens in them.
  ///
  /// - Throws: `SimulationFailure` if a node stops because an invariant is broken.
  public func tick(_ count: Int = 1) throws(SimulationFailure) { try simulator.run(for: tickTime * count) }

  /// Who leads: of those that take themselves for the leader, the one with the greatest term.
  public var leader: NodeID? {
    simulator.nodeIDs.filter { status(of: $0)?.role == .leader }.max { (status(of: $0)?.term ?? 0) < (status(of: $1)?.term ?? 0) }
  }

  /// How a node stands; nothing while it is down.
  public func status(of id: NodeID) -> RaftStatus? { simulator.node(id)?.core.status }

  /// Lets time pass until somebody leads, and says who.
  ///
  /// - Throws: `SimulationFailure` of the kind "too late" if nobody does in time.
  public func runUntilLeader(maxTicks: Int) throws(SimulationFailure) -> NodeID {
    try simulator.run(until: { _ in self.leader != nil }, within: tickTime * maxTicks, "a leader")
    return leader ?? 0
  }

  /// Sends a command to a node, or to whoever leads, or to the first; ``answer(to:)`` tells what came of it.
  @discardableResult
  public func submit(_ command: [UInt8], to id: NodeID? = nil) -> SessionID {
    simulator.ask(id ?? leader ?? simulator.nodeIDs[0], .command(command))
  }

  /// The answer to what was submitted; nothing while there is none.
  public func answer(to session: SessionID) -> RaftNode<Machine>.Response? { simulator.answer(to: session) }

  /// Lets time pass until a majority of the members, of both halves where the configuration is joint, knows that `index` is committed.
  ///
  /// - Throws: `SimulationFailure` of the kind "too late" if no majority does in time.
  public func runUntilCommitted(index: LogIndex, maxTicks: Int = 1000) throws(SimulationFailure) {
    try simulator.run(until: { _ in self.isCommitted(index) }, within: tickTime * maxTicks, "the commit of \(index)")
  }

  private func isCommitted(_ index: LogIndex) -> Bool {
    guard let conf = mostAdvanced?.confState else { return false }
    return [conf.voters, conf.outgoing].allSatisfy { voters in
      voters.isEmpty || voters.count { (status(of: $0)?.commit ?? 0) >= index } > voters.count / 2
    }
  }

  private var mostAdvanced: RaftStatus? {
    simulator.nodeIDs.compactMap(status(of:)).max { $0.commit < $1.commit }
  }

  /// The entries known to be committed, as far as the node that knows most still holds them.
  public var committedLog: [Entry] {
    guard let status = mostAdvanced, let core = simulator.node(status.id)?.core, status.commit > status.compacted.index else { return [] }
    return (status.compacted.index + 1...status.commit).compactMap { core.entry(at: $0) }
  }

  /// Divides the group; a node in no part is alone.
  public func partition(_ parts: [[NodeID]]) { simulator.partition(parts) }

  /// Joins what was divided.
  public func heal() { simulator.heal() }
}
