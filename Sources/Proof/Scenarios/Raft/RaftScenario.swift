import StrataBytes
import StrataCheckers
import StrataHost
import StrataNodes
import StrataRaft
import StrataSimulation

/// Clients read, write and compare-and-set registers that a Raft group keeps; whatever fails, the history must be linearizable and the invariants of
/// the group must hold.
struct RaftScenario<Variant: RaftVariant>: Scenario {
  typealias N = RaftNode<Variant.Machine>

  static var name: String { "raft.\(Variant.name)" }
  static var summary: String { Variant.summary }
  static var limits: ScenarioLimits {
    var limits = ScenarioLimits()
    // Clients in a hurry are to be there still when the later faults come.
    limits.requestsPerClient = 20...200
    limits.meanRefusalPause = 100_000_000
    if Variant.changesMembers {
      limits.nodes = 4...5
      // As few as three may vote: two of them that lost their records leave no majority that knows what was promised, and whoever gets well may
      // be no voter.
      limits.damageable = { $0 > 2 ? 1 : 0 }
    }
    if Variant.needsAll { limits.quorum = { $0 } }
    if let faults = Variant.faults { limits.faults = faults }
    return limits
  }
  static var knobs: RaftKnobs {
    var knobs = RaftKnobs()
    knobs.repeatTicks = 5
    knobs.compactEntries = 40
    knobs.keptEntries = 5
    Variant.adjust(&knobs)
    return knobs
  }

  /// What members say to each other over TCP.
  static var wire: SimulatedWire<StrataRaft.Message>? {
    let codec = RaftMessageCodec()
    return SimulatedWire { message in
      var writer = ByteWriter()
      codec.encode(message, into: &writer)
      return writer.finish()
    } decode: { bytes, from in
      try codec.decode(bytes, from: from, attachments: nil)
    }
  }

  static func describe(_ node: N) -> String {
    let status = node.core.status
    var lines = [
      "\(status.role), term \(status.term)" + (status.vote.rawValue > 0 ? ", voted for \(status.vote)" : "")
        + (status.leader.rawValue > 0 ? ", follows \(status.leader)" : ""),
      "log \(status.compacted.index + 1)...\(status.last.index), last of term \(status.last.term)",
      "durable to \(status.stable)", "committed to \(status.commit)", "applied to \(status.applied)",
      "voters \(status.confState.voters)" + (status.confState.outgoing.isEmpty ? "" : ", leaving \(status.confState.outgoing)")
        + (status.confState.learners.isEmpty ? "" : ", learners \(status.confState.learners)"),
    ]
    lines += status.progress.map { "\($0.id): has \($0.progress.match), next is \($0.progress.next)" }
    if status.transferee.rawValue > 0 { lines.append("handing over to \(status.transferee)") }
    if status.isRepairing { lines.append("lost records and is getting them back") }
    return lines.joined(separator: "\n")
  }

  static func describe(message: StrataRaft.Message) -> String {
    var words = ["\(message.kind)", "t\(message.term)"]
    if message.isRejected { words.append("no") }
    if message.index > 0 { words.append("at \(message.index)/t\(message.logTerm)") }
    if let first = message.entries.first, let last = message.entries.last { words.append("with \(first.index)...\(last.index)") }
    if message.commit > 0 { words.append("commit \(message.commit)") }
    if message.hint > 0 { words.append("hint \(message.hint)") }
    if message.context > 0 { words.append("context \(message.context)") }
    if message.isTransfer { words.append("for a transfer") }
    if let snapshot = message.snapshot { words.append("snapshot of \(snapshot.place.index)") }
    return words.joined(separator: " ")
  }

  /// What a rolling change of the configuration may change at one member alone: the times of elections and the life of sessions are not among it.
  static func otherKnobs(than knobs: RaftKnobs, random: inout Random) -> RaftKnobs {
    var drawn = knobs
    drawn.randomize(&random)
    var other = knobs
    other.maxBytesPerMessage = drawn.maxBytesPerMessage
    other.maxInflightMessages = drawn.maxInflightMessages
    other.compactEntries = drawn.compactEntries
    other.keptEntries = drawn.keptEntries
    other.repeatTicks = drawn.repeatTicks
    return other
  }

  private var history = History<RegisterModel.Op, RegisterModel.Result>()
  private var invariants: RaftInvariants<Variant.Machine>
  private var adversary = RaftAdversary()
  private let keys: Int
  /// How often each client has left a node that did not answer.
  private var moves: [Int: Int] = [:]

  init(plan: RunPlan) {
    keys = 1 + Int(plan.seed % 3)
    invariants = RaftInvariants(plan: plan)
  }

  mutating func nextRequest(of client: Int, number: Int, among nodes: [NodeID], random: inout Random) -> (node: NodeID, request: N.Request)? {
    let key = random.below(keys)
    // Every other client only reads, and stays with a node for as long as that answers: a leader that was deposed unknowingly keeps those that
    // write waiting.
    let isReader = client % 2 == 1
    let node = nodes[isReader ? (client + number / 32 + moves[client, default: 0]) % nodes.count : random.below(nodes.count)]
    let value = client * 1_000_000 + number
    if isReader { return (node, .query(KeyValueMachine.read(key))) }
    switch random.below(20) {
    case 0: return (node, .transfer(nodes[random.below(nodes.count)]))
    case 1 where Variant.changesMembers && nodes.count > 3: return (node, .change(change(among: nodes, &random)))
    case ..<10: return (node, .query(KeyValueMachine.read(key)))
    case ..<17: return (node, .command(KeyValueMachine.write(key, value)))
    default:
      let expected = random.chance(1, in: 4) ? nil : random.below(5) * 1_000_000 + random.below(max(1, number))
      return (node, .command(KeyValueMachine.compareAndSet(key, expected, value)))
    }
  }

  /// The members behind the third stop voting or vote again, one or all of them; the others always do.
  private func change(among nodes: [NodeID], _ random: inout Random) -> ConfChange {
    if random.chance(1, in: 4) { return ConfChange() }
    let changed = random.chance(1, in: 2) ? nodes[3...] : [nodes[random.within(3...nodes.count - 1)]]
    let isVoting = random.chance(1, in: 2)
    return ConfChange(
      changed.map { isVoting ? .addVoter($0) : .addLearner($0) }, transition: [.auto, .implicit, .explicit][random.below(3)])
  }

  /// What a request does to a register; nothing for what is no business of the history.
  private func op(_ request: N.Request) -> RegisterModel.Op? {
    switch request {
    case .query(let question), .staleQuery(let question, _): return .read(key: Int(question[0]))
    case .command(let command):
      let first = KeyValueMachine.value(Array(command[2..<10])) ?? 0
      guard command[0] > 0 else { return .write(key: Int(command[1]), first) }
      return .compareAndSet(
        key: Int(command[1]), expected: command[0] == 2 ? first : nil, new: KeyValueMachine.value(Array(command[10..<18])) ?? 0)
    case .change, .transfer, .snapshot: return nil
    }
  }

  mutating func sent(_ request: N.Request, by client: Int, number: Int, at time: UInt64) {
    if let op = op(request) { try? history.invoke(op, by: client, at: time) }
  }

  mutating func received(_ response: N.Response, to request: N.Request, by client: Int, number: Int, at time: UInt64) -> Bool {
    guard let op = op(request) else { return false }
    guard case .answer(let answer) = response else {
      try? history.fail(by: client, at: time)
      return false
    }
    switch op {
    case .read: try? history.ok(.value(KeyValueMachine.value(answer)), by: client, at: time)
    case .write: try? history.ok(.written, by: client, at: time)
    case .compareAndSet: try? history.ok(.compared(answer == [1]), by: client, at: time)
    }
    return true
  }

  mutating func lost(_ request: N.Request, by client: Int, number: Int, refused: Bool, at time: UInt64) {
    moves[client, default: 0] += 1
    guard op(request) != nil else { return }
    if refused { try? history.fail(by: client, at: time) } else { try? history.lose(by: client, at: time) }
  }

  mutating func inspect(_ id: NodeID, in cluster: Simulator<N>) { invariants.inspect(id, in: cluster) }

  mutating func provoke(after id: NodeID, in cluster: Simulator<N>, random: inout Random) -> [Fault] {
    guard let status = invariants.status(of: id) else { return [] }
    return adversary.moves(after: id, status, in: cluster, &random)
  }

  func isWell(_ cluster: Simulator<N>, core: [NodeID]) -> Bool {
    // Whoever leads, of the core or not: the clients' requests show whether it can.
    cluster.nodeIDs.contains { cluster.node($0)?.core.role == .leader }
  }

  mutating func verdict(of cluster: Simulator<N>) -> (kind: String, explanation: String)? {
    Linearizability.check(history, against: RegisterModel()).violation.map { ($0.kind, $0.description) }
  }
}
