import StrataNodes
import StrataRaft
import StrataSimulation

/// What must hold in a group after every input, by the names of the public TLA+ specification.
struct RaftInvariants<Machine: RaftStateMachine> {
  typealias N = RaftNode<Machine>

  /// What an entry says, and the term of the one before it.
  private struct Link: Hashable {
    var kind: EntryKind
    var payload: [UInt8]
    var previous: Term
  }

  private struct Seen {
    var incarnation: UInt64
    var status: RaftStatus
  }

  private var leaders: [Term: NodeID] = [:]
  private var links: [LogPlace: Link] = [:]
  private var committed: [LogIndex: Term] = [:]
  /// The term of the node that was first seen to know of a commit: leaders of later terms must hold the entry.
  private var committedIn: [LogIndex: Term] = [:]
  private var committedUpTo: LogIndex = 0
  private var seen: [NodeID: Seen] = [:]
  /// Who may lose durable records during the run: what they hold proves nothing.
  private let damaged: Set<NodeID>

  init(plan: RunPlan) {
    damaged = Set(plan.faults.filter { $0.kind == .rot || $0.kind == .wipe }.compactMap(\.node))
  }

  /// How a node stood when it last took an input.
  func status(of id: NodeID) -> RaftStatus? { seen[id]?.status }

  /// Looks at the node that just took an input.
  mutating func inspect(_ id: NodeID, in cluster: Simulator<N>) {
    guard let node = cluster.node(id) else { return }
    let status = node.core.status
    let before = seen[id]
    seen[id] = Seen(incarnation: node.incarnationName, status: status)
    if let problem = electionSafety(status) ?? monotonicity(status, node.incarnationName, before) {
      return cluster.fail(problem.0, problem.1, at: id)
    }
    let isNewLog = before?.status.last != status.last || before?.status.term != status.term || before?.incarnation != node.incarnationName
    if isNewLog, let problem = logMatching(node.core, status) { return cluster.fail(problem.0, problem.1, at: id) }
    if let problem = stateMachineSafety(node.core, status, since: before?.status, in: cluster) {
      return cluster.fail(problem.0, problem.1, at: id)
    }
    if status.role == .leader, before?.status.role != .leader || before?.status.term != status.term,
      let problem = leaderCompleteness(node.core, status) ?? votesAreDurable(status, of: before?.status.confState ?? status.confState, in: cluster)
    {
      cluster.fail(problem.0, problem.1, at: id)
    }
  }

  /// Whoever elected a leader cannot forget it: the votes of a majority, the leader's own among them, are where no loss of power takes them.
  private func votesAreDurable(_ status: RaftStatus, of conf: ConfState, in cluster: Simulator<N>) -> (String, String)? {
    for voters in [conf.voters, conf.outgoing] where !voters.isEmpty {
      let bound = voters.filter { id in
        if damaged.contains(id) { return true }
        guard let state = Self.hardState(cluster.durableRecords(of: id)) else { return false }
        return state.term > status.term || (state.term == status.term && state.vote == status.id)
      }
      if bound.count <= voters.count / 2 {
        return ("VotesAreDurable", "\(status.id) leads term \(status.term); its votes are durable at \(bound) of \(voters)")
      }
    }
    return nil
  }

  private static func hardState(_ records: [N.Record]) -> HardState? {
    for case .hardState(let state) in records.reversed() { return state }
    return nil
  }

  private mutating func electionSafety(_ status: RaftStatus) -> (String, String)? {
    guard status.role == .leader else { return nil }
    if let other = leaders[status.term], other != status.id { return ("ElectionSafety", "\(other) and \(status.id) both lead term \(status.term)") }
    leaders[status.term] = status.id
    return nil
  }

  private func monotonicity(_ status: RaftStatus, _ incarnation: UInt64, _ before: Seen?) -> (String, String)? {
    guard let before, before.incarnation == incarnation else { return nil }
    let old = before.status
    if status.term < old.term { return ("MonotonicTerm", "the term went from \(old.term) to \(status.term)") }
    if status.commit < old.commit { return ("MonotonicCommit", "the commit mark went from \(old.commit) to \(status.commit)") }
    if status.applied < old.applied { return ("MonotonicApplied", "applied went from \(old.applied) to \(status.applied)") }
    if status.term == old.term, old.vote != 0, status.vote != old.vote {
      return ("OneVotePerTerm", "the vote of term \(status.term) went from \(old.vote) to \(status.vote)")
    }
    return nil
  }

  private mutating func logMatching(_ core: RaftCore, _ status: RaftStatus) -> (String, String)? {
    var previous = status.compacted.term
    var index = status.compacted.index
    while index < status.last.index {
      index += 1
      guard let entry = core.entry(at: index) else { return ("LogMatching", "there is no entry \(index) up to \(status.last)") }
      let place = LogPlace(term: entry.term, index: index)
      let link = Link(kind: entry.kind, payload: entry.payload, previous: previous)
      if let known = links[place], known != link { return ("LogMatching", "two logs hold \(place) and differ in it or before it") }
      links[place] = link
      previous = entry.term
    }
    return nil
  }

  private mutating func stateMachineSafety(
    _ core: RaftCore, _ status: RaftStatus, since before: RaftStatus?, in cluster: Simulator<N>
  ) -> (String, String)? {
    let from = before?.commit ?? 0
    guard status.commit > from else { return nil }
    for index in max(from, status.compacted.index) + 1...max(status.commit, max(from, status.compacted.index) + 1) where index <= status.commit {
      guard let term = core.entry(at: index)?.term else { continue }
      if let known = committed[index], known != term {
        return ("StateMachineSafety", "\(index) is committed with term \(known) and with term \(term)")
      }
      committed[index] = term
      committedIn[index] = min(committedIn[index] ?? .max, status.term)
    }
    if status.role == .leader, status.commit > committedUpTo {
      committedUpTo = status.commit
      // One input may commit a change of members, apply it, and commit more under the new ones.
      let problem = committedIsDurable(status, of: before?.confState ?? status.confState, in: cluster)
      return problem == nil ? nil : committedIsDurable(status, of: status.confState, in: cluster)
    }
    return nil
  }

  /// What is committed no loss of power may take from a majority.
  private func committedIsDurable(_ status: RaftStatus, of conf: ConfState, in cluster: Simulator<N>) -> (String, String)? {
    guard let term = committed[status.commit] else { return nil }
    for voters in [conf.voters, conf.outgoing] where !voters.isEmpty {
      let holders = voters.filter { id in
        damaged.contains(id) || Self.holds(LogPlace(term: term, index: status.commit), cluster.durableRecords(of: id))
      }
      if holders.count <= voters.count / 2 {
        return ("CommittedIsDurable", "\(term)/\(status.commit) is committed and durable at \(holders) of \(voters)")
      }
    }
    return nil
  }

  private static func holds(_ place: LogPlace, _ records: [N.Record]) -> Bool {
    for record in records.reversed() {
      switch record {
      case .hardState: continue
      case .entries(let entries):
        guard let first = entries.first?.index, first <= place.index else { continue }
        if let entry = entries.first(where: { $0.index == place.index }) { return entry.term == place.term }
        return false
      case .snapshot(let base, let snapshot): return snapshot.index >= place.index || base.index >= place.index
      }
    }
    return false
  }

  private func leaderCompleteness(_ core: RaftCore, _ status: RaftStatus) -> (String, String)? {
    // A slow node may still come to lead a term that has long been overtaken; it owes nothing to the terms after it.
    for index in committed.keys.sorted() where index > status.compacted.index {
      guard let term = committed[index], (committedIn[index] ?? .max) < status.term, core.entry(at: index)?.term != term else { continue }
      return ("LeaderCompleteness", "\(status.id) leads term \(status.term) without \(term)/\(index), which is committed")
    }
    return nil
  }
}
