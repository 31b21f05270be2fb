import StrataNodes

extension RunPlan {
  /// Draws a run: which faults it knows at all, how heavy each is, and when they come.
  ///
  /// Every seed switches off a random part of the kinds of faults and weighs the rest (swarm testing: Groce and others, ISSTA 2012), since a run
  /// that has a little of everything seldom has enough of one thing.
  public static func swarm(seed: UInt64, within limits: ScenarioLimits) -> RunPlan {
    let root = Random(seed: seed).fork("swarm")
    var shape = root.fork("shape")
    let nodes = shape.within(limits.nodes)
    var plan = RunPlan(
      seed: seed, nodes: nodes, clients: shape.within(limits.clients), requestsPerClient: shape.within(limits.requestsPerClient),
      horizon: limits.horizon)
    plan.livenessBudget = limits.livenessBudget
    plan.meanRefusalPause = limits.meanRefusalPause
    plan.meanPause = [1_000_000, 20_000_000, 100_000_000][shape.below(3)]
    plan.disk.meanExtraSync = [0, 400_000, 10_000_000][shape.below(3)]
    plan.network.meanExtraLatency = [0, 300_000, 2_000_000, 20_000_000][shape.below(4)]

    var active: [FaultKind] = []
    for (index, kind) in FaultKind.allCases.enumerated() where limits.faults.contains(kind) {
      var stream = root.fork("active", index)
      if stream.chance(kind.runsOfFour, in: 4) { active.append(kind) }
    }
    var amounts = root.fork("amounts")
    if active.contains(.loss) { plan.network.loss = Probability(partsPerMillion: amounts.within(1000...200_000)) }
    if active.contains(.duplication) { plan.network.duplication = Probability(partsPerMillion: amounts.within(1000...200_000)) }
    if active.contains(.replay) { plan.network.replay = Probability(partsPerMillion: amounts.within(1000...50_000)) }
    // Drawn apart, so that runs without them are as they were before there were any.
    var bytes = root.fork("bytes")
    if active.contains(.corruption) { plan.network.corruption = Probability(partsPerMillion: bytes.within(1000...50_000)) }
    if active.contains(.streams) {
      plan.network.carriage = .streams
      plan.network.resets = Probability(partsPerMillion: bytes.within(0...20_000))
      plan.network.meanReconnect = [0, 5_000_000, 200_000_000][bytes.below(3)]
    }
    plan.buggify = active.contains(.buggify)
    plan.randomKnobs = active.contains(.knobs)
    plan.adversary = active.contains(.adversary)
    plan.faults = faults(active, limits, nodes: nodes, root)
    // A node that lost records can only get them back from others, so it comes on top of the quorum that gets well.
    let damaged = Set(plan.faults.filter { $0.kind == .rot || $0.kind == .wipe }.compactMap(\.node)).count
    var core = plan.core
    var choice = root.fork("core")
    while core.count > max(1, min(nodes, limits.quorum(nodes) + damaged)) { core.remove(at: choice.below(core.count)) }
    plan.core = core
    return plan
  }

  private static func faults(_ active: [FaultKind], _ limits: ScenarioLimits, nodes: Int, _ root: Random) -> [Fault] {
    let timed = active.filter { !FaultKind.lasting.contains($0) }
    guard !timed.isEmpty, limits.horizon > 0 else { return [] }
    var faults: [Fault] = []
    var damaged: Set<NodeID> = []
    var draw = root.fork("faults")
    let weights = timed.map { _ in draw.within(1...8) }
    let total = weights.reduce(0, +)
    let mean = UInt64(1_000_000_000_000 / max(1, limits.faultsPerThousandSeconds)) / [1, 2, 4][draw.below(3)]
    var time = draw.exponential(mean: mean)
    while time < limits.horizon, faults.count < 10_000 {
      // One stream per fault: how one is drawn does not change the next.
      var stream = root.fork("fault", faults.count)
      var pick = stream.below(total)
      var kind = timed[0]
      for (candidate, weight) in zip(timed, weights) {
        kind = candidate
        pick -= weight
        if pick < 0 { break }
      }
      if var fault = Fault.drawn(kind, nodes: nodes, &stream) {
        // The fault budget: no more nodes ever lose records than the protocol can bear.
        if kind == .rot || kind == .wipe, let node = fault.node {
          if damaged.contains(node) || damaged.count < limits.damageable(nodes) { damaged.insert(node) } else { fault.effect = .down(node) }
        }
        fault.start = time
        fault.duration = 20_000_000 + stream.exponential(mean: [50_000_000, 500_000_000, 2_000_000_000][stream.below(3)])
        faults.append(fault)
      }
      time += draw.exponential(mean: mean) + 1
    }
    return faults
  }
}

extension Fault {
  static func drawn(_ kind: FaultKind, nodes: Int, _ random: inout Random) -> Fault? {
    func node() -> NodeID { NodeID(UInt64(random.below(nodes) + 1)) }
    func pair() -> (NodeID, NodeID)? {
      guard nodes > 1 else { return nil }
      let a = random.below(nodes)
      return (NodeID(UInt64(a + 1)), NodeID(UInt64((a + random.within(1...nodes - 1)) % nodes + 1)))
    }
    switch kind {
    case .crash: return Fault(.down(node()), at: 0)
    case .powerLoss: return Fault(.powerLoss, at: 0)
    case .pause: return Fault(.paused(node()), at: 0)
    case .slow: return Fault(.slow(node(), inputTime: UInt64(random.within(1...50)) * 1_000_000), at: 0)
    case .partition: return nodes > 1 ? Fault(.partition(groups(nodes, &random)), at: 0) : nil
    case .oneWay: return pair().map { Fault(.oneWay(from: $0, to: $1), at: 0) }
    case .clog: return pair().map { Fault(.clog(from: $0, to: $1), at: 0) }
    case .failedSync: return Fault(.failedSync(node()), at: 0)
    case .stalledDisk: return Fault(.stalledDisk(node()), at: 0)
    case .rot: return Fault(.rot(node()), at: 0)
    case .wipe: return Fault(.wiped(node()), at: 0)
    case .drift: return Fault(.drift(node(), partsPerMillion: random.within(-500...500)), at: 0)
    case .clockJump: return Fault(.clockJump(node(), UInt64(random.within(1...3600)) * 1_000_000_000), at: 0)
    case .swizzleClog:
      let first = random.below(nodes)
      return Fault(.swizzleClog((0..<random.within(1...nodes)).map { NodeID(UInt64((first + $0) % nodes + 1)) }), at: 0)
    case .relapse: return Fault(.relapse(node()), at: 0)
    case .otherKnobs: return Fault(.otherKnobs(node()), at: 0)
    case .loss, .duplication, .replay, .buggify, .knobs, .adversary, .streams, .corruption: return nil
    }
  }

  /// The shapes a partition takes: one node alone, a random division, two halves, two halves that both see one bridge, a ring in which each
  /// node sees its neighbours.
  private static func groups(_ nodes: Int, _ random: inout Random) -> [[NodeID]] {
    var ids = (1...nodes).map { NodeID(UInt64($0)) }
    for index in ids.indices.dropLast() { ids.swapAt(index, random.within(index...ids.count - 1)) }
    switch random.below(5) {
    case 0: return [[ids[0]], Array(ids[1...])]
    case 1:
      let size = random.within(1...nodes - 1)
      return [Array(ids[..<size]), Array(ids[size...])]
    case 2: return [Array(ids[..<(nodes / 2)]), Array(ids[(nodes / 2)...])]
    case 3 where nodes > 2:
      let half = (nodes - 1) / 2
      return [[ids[0]] + ids[1...half], [ids[0]] + ids[(half + 1)...]]
    default: return ids.indices.map { [ids[$0], ids[($0 + 1) % nodes]] }
    }
  }
}
