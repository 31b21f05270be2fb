import StrataNodes
import StrataRequirements
import Testing

@testable import StrataSimulation

/// A lock held by whoever last said so: right as long as messages keep their order, which they do not.
private struct Baton: Node, Hashable {
  enum Message: Hashable, Sendable { case take, release }

  let id: NodeID
  var holds: Bool
  static func recover(
    id: NodeID, peers: [NodeID], durable: DurableState<Int>, knobs: NoKnobs, at now: Instant, random: inout Random, _ out: inout Effects<Baton>
  ) throws(RecoveryError) -> Baton { Baton(id: id, holds: id == 1) }

  mutating func receive(_ input: Input<Baton>, at now: Instant, random: inout Random, _ out: inout Effects<Baton>) {
    switch input {
    case .request(_, let next):
      // The defect: the baton is handed on before it is let go, which shows only if the disk is slower than the network.
      guard holds else { return }
      out.persist([1], 1)
      out.send(to: next, .take)
    case .persisted: holds = false
    case .message(_, .take): holds = true
    default: break
    }
  }

  typealias Request = NodeID
  typealias Response = Int
  typealias Timer = Int
  typealias Record = Int
}

extension Chatter: SymmetricNode {
  func renamed(_ name: (NodeID) -> NodeID) -> Chatter {
    Chatter(of: self, named: name(id))
  }

  static func renamed(message: Message, _ name: (NodeID) -> NodeID) -> Message { message }

  static func renamed(request: Request, _ name: (NodeID) -> NodeID) -> Request {
    switch request {
    case .say(let word, let to): .say(word, to: name(to))
    case .ping(let to): .ping(name(to))
    default: request
    }
  }
}

struct ExplorerTests {
  /// Node 1 tells the others the same: what differs is only who heard it first.
  private var gossip: ExplorationScope<Chatter> {
    var scope = ExplorationScope<Chatter>()
    scope.nodes = 4
    scope.requests = [(1, .spread(7, among: 4))]
    scope.losses = 1
    scope.depth = 7
    return scope
  }

  @Test(.requirement("Simulation.beyond.3")) func worldsThatDifferInNamesAreOne() {
    var scope = gossip
    scope.drawsAlike = true
    // Every world, and for each the least of its renamings: as many as the symmetric explorer visits.
    var orbits: Set<Set<World<Chatter>>> = []
    let all = Explorer(scope).explore { world in
      orbits.insert(Set(world.renamings()))
      return nil
    }
    let alike = Explorer(symmetric: gossip).explore { _ in nil }
    #expect(all.isComplete && alike.isComplete)
    #expect(alike.worlds == orbits.count, "\(alike.worlds) of \(orbits.count)")
    // Of three messages each is on its way, heard or, one at most, lost: 21 worlds with names, 8 without.
    #expect(all.worlds == 21 && alike.worlds == 8, "\(alike.worlds) instead of \(all.worlds)")
  }

  @Test(.requirement("Simulation.beyond.3")) func namesMakeNoDifferenceToAViolation() {
    let rule: (World<Chatter>) -> String? = { world in world.nodes.count { $0.heard == [7] } == 3 ? "everybody knows" : nil }
    var scope = gossip
    scope.losses = 0
    let plain = Explorer(scope).explore(invariant: rule)
    let alike = Explorer(symmetric: scope).explore(invariant: rule)
    #expect(plain.violation?.path.count == 4 && alike.violation?.path.count == 4)
    #expect(alike.worlds < plain.worlds)
  }

  @Test func aRaceOfDiskAndNetworkIsFoundByTheShortestWay() {
    var scope = ExplorationScope<Baton>()
    scope.nodes = 2
    scope.requests = [(1, 2)]
    let found = Explorer(scope).explore { world in world.nodes.count { $0.holds } > 1 ? "two hold the baton" : nil }
    #expect(found.violation?.explanation == "two hold the baton")
    #expect(found.violation?.path.count == 2, "\(found.violation?.path ?? [])")
    #expect(found.violation?.path.first?.hasPrefix("ask n1") == true)
  }

  @Test func everyOrderIsVisitedOnce() {
    // Three words to one node: 3! orders of hearing, and each prefix of one, are different worlds; sending adds the rest.
    var scope = ExplorationScope<Chatter>()
    scope.nodes = 2
    scope.requests = [(1, .say(1, to: 2)), (1, .say(2, to: 2)), (1, .say(3, to: 2))]
    scope.depth = 6
    var orders: Set<[Int]> = []
    let found = Explorer(scope).explore { world in
      orders.insert(world.node(2)?.heard ?? [])
      return nil
    }
    #expect(found.isComplete && found.violation == nil)
    #expect(orders.count == 16)
  }

  @Test func crashesLossesAndCopiesAreBounded() {
    var scope = ExplorationScope<Chatter>()
    scope.nodes = 2
    scope.requests = [(1, .say(1, to: 2)), (1, .write([5], .sync))]
    scope.crashes = 1
    scope.losses = 1
    scope.duplicates = 1
    scope.depth = 8
    let found = Explorer(scope).explore(situations: [
      "heard twice": { $0.node(2)?.heard == [1, 1] }, "found its record": { $0.node(1)?.found == [5] },
      "lost its record": { $0.node(1)?.found == [] && $0.requests.count == 2 && $0.inFlight.isEmpty },
    ]) { world in (world.node(2)?.heard.count ?? 0) > 2 ? "heard more often than sent" : nil }
    #expect(found.violation == nil && found.isComplete)
    #expect(found.situations.values.allSatisfy { $0 > 0 }, "\(found.situations)")
  }

  @Test func brokenPromisesEndTheSearch() {
    var scope = ExplorationScope<Chatter>()
    scope.nodes = 1
    scope.requests = [(1, .breakPromise)]
    #expect(Explorer(scope).explore { _ in nil }.violation?.explanation == "always two is two")
    scope.requests = [(1, .stop)]
    #expect(Explorer(scope).explore { _ in nil }.violation?.explanation.contains("told to") == true)
  }
}
