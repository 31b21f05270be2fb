import StrataJobs

/// Looks for the shortest circle of a kind inside one component.
struct CycleSearch {
  /// What makes a circle one of a kind.
  struct Kind {
    let anomaly: Anomaly
    /// What may be in it beside what must.
    let allowed: Dependency
    /// What it begins with; it has at least one of these.
    let begins: Dependency
    /// Time of which it has at least one.
    let time: Dependency
    let antiDependencies: AntiDependencies

    enum AntiDependencies { case none, one, apart, inARow }

    /// From what is worst to what is least bad, without phantoms.
    static let items: [Kind] = [Dependency(), .process, .time].flatMap { time -> [Kind] in
      let names: [Anomaly] =
        time.isEmpty
        ? [.g0, .g1c, .gSingle, .gNonadjacent, .g2Item]
        : time == .process
          ? [.g0Process, .g1cProcess, .gSingleProcess, .gNonadjacentProcess, .g2ItemProcess]
          : [.g0Realtime, .g1cRealtime, .gSingleRealtime, .gNonadjacentRealtime, .g2ItemRealtime]
      let must: Dependency = time == .time ? .realtime : time
      return [
        Kind(anomaly: names[0], allowed: time.union(.ww), begins: .ww, time: must, antiDependencies: .none),
        Kind(anomaly: names[1], allowed: time.union([.ww, .wr]), begins: .wr, time: must, antiDependencies: .none),
        Kind(anomaly: names[2], allowed: time.union(.data), begins: .rw, time: must, antiDependencies: .one),
        Kind(anomaly: names[3], allowed: time.union(.data), begins: .rw, time: must, antiDependencies: .apart),
        Kind(anomaly: names[4], allowed: time.union(.data), begins: .rw, time: must, antiDependencies: .inARow),
      ]
    }

    /// The circles with a phantom, which needs no other overwritten read beside it.
    static let predicates: [Kind] = [
      (Dependency(), [Anomaly.gSinglePredicate, .gNonadjacentPredicate, .g2]),
      (.process, [.gSinglePredicateProcess, .gNonadjacentPredicateProcess, .g2Process]),
      (.time, [.gSinglePredicateRealtime, .gNonadjacentPredicateRealtime, .g2Realtime]),
    ].flatMap { (time: Dependency, names: [Anomaly]) -> [Kind] in
      let shapes: [AntiDependencies] = [.one, .apart, .inARow]
      return zip(names, shapes).map { name, shape in
        Kind(
          anomaly: name, allowed: time.union([.data, .predicate]), begins: .predicate, time: time == .time ? .realtime : time,
          antiDependencies: shape)
      }
    }
  }

  /// Where a way is, beside its node: how many anti-dependencies it has (up to 2), whether two were in a row, whether the last edge was
  /// one, and whether it has the time it must have.
  private struct Phase {
    var count = 0
    var inARow = false
    var endsWithOne = false
    var hasTime = false

    var number: Int { count * 8 + (inARow ? 4 : 0) + (endsWithOne ? 2 : 0) + (hasTime ? 1 : 0) }
    static let numbers = 24
  }

  let graph: DependencyGraph
  let members: [Int32]
  private let deadline: UInt64
  private let placeOf: [Int32: Int32]

  /// After a circle was found, how many more beginnings are tried for a shorter one.
  private static let furtherTries = 32

  init(_ graph: DependencyGraph, _ members: [Int32], deadline: UInt64) {
    self.graph = graph
    self.members = members.sorted()
    self.deadline = deadline
    placeOf = Dictionary(uniqueKeysWithValues: self.members.enumerated().map { ($1, Int32($0)) })
  }

  /// The edges of the shortest circle of the kind, beginning with one of those it begins with; nothing if there is none or time is over.
  func shortest(_ kind: Kind) -> [Int32]? {
    var best: [Int32]?
    var tries = 0
    for node in members {
      for edge in graph.out(Int(node)) where !graph.edges[edge].kind.isDisjoint(with: kind.begins) {
        guard placeOf[graph.edges[edge].to] != nil else { continue }
        if MonotonicClock.now() >= deadline || tries > Self.furtherTries { return best }
        if let circle = circle(kind, Int32(edge), shorterThan: best?.count ?? .max) { best = circle }
        if best != nil { tries += 1 }
      }
    }
    return best
  }

  private func step(_ phase: Phase, _ edge: Dependency, _ kind: Kind) -> Phase? {
    guard kind.allowed.isSuperset(of: edge) else { return nil }
    var phase = phase
    let isAnti = edge == .rw || edge == .predicate
    if isAnti {
      phase.inARow = phase.inARow || phase.endsWithOne
      phase.count = min(2, phase.count + 1)
      switch kind.antiDependencies {
      case .none: return nil
      case .one: if phase.count > 1 { return nil }
      case .apart: if phase.inARow { return nil }
      case .inARow: break
      }
    }
    phase.endsWithOne = isAnti
    phase.hasTime = phase.hasTime || !edge.isDisjoint(with: kind.time)
    return phase
  }

  private func accepts(_ phase: Phase, _ kind: Kind) -> Bool {
    guard kind.time.isEmpty || phase.hasTime else { return false }
    return switch kind.antiDependencies {
    case .none, .one: true
    case .apart: phase.count > 1 && !phase.endsWithOne
    case .inARow: phase.count > 1 && (phase.inARow || phase.endsWithOne)
    }
  }

  /// Breadth first from one edge back to its origin.
  private func circle(_ kind: Kind, _ begin: Int32, shorterThan limit: Int) -> [Int32]? {
    let origin = graph.edges[Int(begin)].from
    guard let phase = step(Phase(), graph.edges[Int(begin)].kind, kind), let start = placeOf[graph.edges[Int(begin)].to] else { return nil }
    // Of each place and phase, the edge that led there first and where it came from.
    var cameBy: [Int: (edge: Int32, from: Int)] = [:]
    var level = [(place: start, phase: phase)]
    cameBy[Int(start) * Phase.numbers + phase.number] = (begin, -1)
    var length = 1
    while !level.isEmpty, length + 1 < limit {
      var next: [(place: Int32, phase: Phase)] = []
      for (place, phase) in level {
        let here = Int(place) * Phase.numbers + phase.number
        for edge in graph.out(Int(members[Int(place)])) {
          guard let after = step(phase, graph.edges[edge].kind, kind) else { continue }
          let target = graph.edges[edge].to
          if target == origin {
            guard accepts(after, kind) else { continue }
            let circle = way(cameBy, here, Int32(edge))
            if isSimple(circle) { return circle }
            continue
          }
          guard let targetPlace = placeOf[target] else { continue }
          let there = Int(targetPlace) * Phase.numbers + after.number
          if cameBy[there] == nil {
            cameBy[there] = (Int32(edge), here)
            next.append((targetPlace, after))
          }
        }
      }
      level = next
      length += 1
    }
    return nil
  }

  private func way(_ cameBy: [Int: (edge: Int32, from: Int)], _ last: Int, _ closing: Int32) -> [Int32] {
    var circle = [closing]
    var here = last
    while here >= 0, let step = cameBy[here] {
      circle.append(step.edge)
      here = step.from
    }
    return circle.reversed()
  }

  /// A way that meets itself is two circles, and not of this kind as a whole.
  private func isSimple(_ circle: [Int32]) -> Bool { Set(circle.map { graph.edges[Int($0)].from }).count == circle.count }
}
