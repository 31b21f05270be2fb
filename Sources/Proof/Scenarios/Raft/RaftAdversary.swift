import StrataNodes
import StrataRaft
import StrataSimulation

/// Faults at the moments that matter to a group: when a node was just elected, has just committed, hands over, or begins to change its members.
/// Chance alone hits the few milliseconds between two rounds of messages so seldom that whole rules of the protocol could be left out unnoticed.
struct RaftAdversary {
  /// What this run's adversary does, drawn once: one that does everything seldom gets far with any of it.
  private struct Taste {
    /// Cuts leaders off.
    var isolates: Bool
    /// Stops leaders, which then wake up and take themselves for leaders still.
    var pauses: Bool
    /// Cuts off what leaders say and holds back what they hear.
    var delaysAnswers: Bool
    /// Cuts off whoever is handing over.
    var cutsTransfers: Bool
    /// Divides the old members from the new while both count.
    var splitsChanges: Bool
    /// Cuts leaders off when they have just committed, most often when that is their first commit.
    var cutsCommits: Bool
    /// Lets everybody's disk stall when a leader was just elected.
    var stallsDisks: Bool

    init(_ random: inout Random) {
      isolates = random.chance(1, in: 2)
      pauses = random.chance(1, in: 2)
      delaysAnswers = random.chance(1, in: 2)
      cutsTransfers = random.chance(1, in: 2)
      splitsChanges = random.chance(1, in: 2)
      cutsCommits = random.chance(1, in: 2)
      stallsDisks = random.chance(1, in: 2)
    }
  }

  private var taste: Taste?
  private var greatestTerm: Term = 0
  /// The terms in which something was committed.
  private var firstCommits: Set<Term> = []
  /// When a leader that has lasted is struck again.
  private var nextStrike: UInt64 = 0
  private var seen: [NodeID: RaftStatus] = [:]

  /// What goes wrong next, now that the node `id` has taken an input and is as `status` says.
  mutating func moves<Machine>(
    after id: NodeID, _ status: RaftStatus, in cluster: Simulator<RaftNode<Machine>>, _ random: inout Random
  ) -> [Fault] {
    let taste = self.taste ?? Taste(&random)
    self.taste = taste
    let before = seen.updateValue(status, forKey: id)
    guard status.role == .leader || status.role == .candidate, let node = cluster.node(id) else { return [] }
    let config = node.core.config
    let timeout = (config.tick * config.electionTicks).wholeNanoseconds
    let now = cluster.now
    let others = cluster.nodeIDs.filter { $0 != id }
    func isolate(_ id: NodeID, at start: UInt64, for duration: UInt64) -> Fault {
      Fault(.partition([[id], cluster.nodeIDs.filter { $0 != id }]), at: start, for: duration)
    }
    if status.role == .candidate {
      guard taste.cutsTransfers, before?.role != .candidate else { return [] }
      return others.filter { seen[$0]?.transferee == id }.map { isolate($0, at: now, for: Self.part(of: timeout, 10...40, &random)) }
    }
    if taste.splitsChanges, status.confState.isJoint, before?.confState.isJoint == false,
      let groups = Self.division(of: status.confState, leader: id, others)
    {
      return [Fault(.partition(groups), at: now, for: Self.part(of: timeout, 30...80, &random))]
    }
    if taste.cutsCommits, let before, before.term == status.term, before.commit < status.commit {
      let isFirst = firstCommits.insert(status.term).inserted
      if random.chance(1, in: isFirst ? 2 : 16) { return [isolate(id, at: now, for: Self.part(of: timeout, 15...60, &random))] }
    }
    let isNew = status.term > greatestTerm
    guard isNew || now >= nextStrike else { return [] }
    greatestTerm = max(greatestTerm, status.term)
    nextStrike = now + 5 * timeout
    if isNew, taste.stallsDisks, random.chance(1, in: 4) {
      let stall = Self.part(of: timeout, 2...20, &random)
      return others.map { Fault(.stalledDisk($0), at: now, for: stall) }
    }
    var ways: [Int] = []
    if taste.isolates { ways.append(0) }
    if taste.pauses { ways.append(1) }
    if taste.delaysAnswers { ways.append(2) }
    guard !ways.isEmpty, random.chance(3, in: 4) else { return [] }
    switch ways[random.below(ways.count)] {
    case 0:
      // At once, within a round of messages, or when it has worked for a while.
      let lag = [0, 0, UInt64(random.below(10_000_000)), Self.part(of: timeout, 1...30, &random)][random.below(4)]
      return [isolate(id, at: now + lag, for: Self.part(of: timeout, lag == 0 ? 15...60 : 5...40, &random))]
    case 1: return [Fault(.paused(id), at: now + Self.part(of: timeout, 2...20, &random), for: Self.part(of: timeout, 10...30, &random))]
    default: return lateAnswers(to: id, from: others, at: now, timeout, ticks: config.electionTicks, &random)
    }
  }

  /// A leader's last rounds of heartbeats are heard, and a bare majority's answers to them come when another may have been elected; the rest it hears
  /// no more, or it would learn of its successor.
  private func lateAnswers(
    to leader: NodeID, from others: [NodeID], at now: UInt64, _ timeout: UInt64, ticks: Int, _ random: inout Random
  ) -> [Fault] {
    let start = now + Self.part(of: timeout, 2...20, &random)
    let held = Self.part(of: timeout, 6...19, &random)
    let cut = start + timeout / UInt64(ticks) * 3 / 2
    let first = random.below(max(1, others.count))
    let late = (0..<(others.count + 1) / 2).map { others[(first + $0) % others.count] }
    return others.flatMap { other in
      [
        late.contains(other)
          ? Fault(.clog(from: other, to: leader), at: start, for: held) : Fault(.oneWay(from: other, to: leader), at: start, for: 4 * timeout),
        Fault(.oneWay(from: leader, to: other), at: cut, for: 4 * timeout),
      ]
    }
  }

  /// So many tenths of a time, drawn from a range.
  private static func part(of time: UInt64, _ tenths: ClosedRange<Int>, _ random: inout Random) -> UInt64 {
    time / 10 * UInt64(random.within(tenths))
  }

  /// A majority of the old members, among whom the leader is not, apart from everybody else; nothing if the old ones have none without it.
  private static func division(of conf: ConfState, leader: NodeID, _ others: [NodeID]) -> [[NodeID]]? {
    let old = conf.outgoing.filter { $0 != leader }
    let needed = conf.outgoing.count / 2 + 1
    guard old.count >= needed else { return nil }
    // Those that leave come first, so that the new members keep as many as possible.
    let apart = (old.filter { !conf.voters.contains($0) } + old.filter { conf.voters.contains($0) }).prefix(needed)
    return [Array(apart), [leader] + others.filter { !apart.contains($0) }]
  }
}

extension Duration {
  /// The time in nanoseconds; nothing where it is negative.
  fileprivate var wholeNanoseconds: UInt64 {
    let (seconds, attoseconds) = components
    return UInt64(max(0, seconds)) * 1_000_000_000 + UInt64(max(0, attoseconds)) / 1_000_000_000
  }
}
