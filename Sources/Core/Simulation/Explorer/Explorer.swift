import StrataNodes

/// How large a world an explorer looks at, and what may go wrong in it.
public struct ExplorationScope<N: Node> {
  /// How many nodes.
  public var nodes = 3
  /// How many times some node crashes.
  public var crashes = 0
  /// How many messages are lost.
  public var losses = 0
  /// How many messages are delivered once too often.
  public var duplicates = 0
  /// What clients ask, in this order, at any time.
  public var requests: [(id: NodeID, request: N.Request)] = []
  /// The protocol's settings.
  public var knobs = N.Knobs()
  /// What nodes draw at random follows from it.
  public var seed: UInt64 = 1
  /// How many steps deep.
  public var depth = 12
  /// How many different worlds at most.
  public var worlds = 1_000_000
  /// Whether all nodes draw the same random numbers, so that they differ in their names alone.
  var drawsAlike = false

  /// Three nodes to which nothing happens.
  public init() {}
}

/// What an exploration found.
public struct Exploration: Sendable {
  /// Different worlds visited.
  public let worlds: Int
  /// How many steps deep every world was followed.
  public let depth: Int
  /// True if every world within the depth was visited; false if the number of worlds ran out first.
  public let isComplete: Bool
  /// The broken invariant and the shortest way to it, step by step.
  public let violation: (explanation: String, path: [String])?
  /// How many worlds each named situation held in.
  public let situations: [String: Int]
}

/// Visits every state a small cluster can reach within some steps: each message may be delivered next, each timer may fire next, each write
/// may become durable next, each node may crash next, in every order.
///
/// Breadth first, so that a violation comes with a shortest way to it. A world is remembered by a fingerprint of 128 bits.
public struct Explorer<N: Node & Hashable>
where N.Message: Hashable, N.Request: Hashable, N.Response: Hashable, N.Record: Hashable {
  private let scope: ExplorationScope<N>

  /// All worlds that count as one with a world; nothing where each counts on its own.
  private let renamings: ((World<N>) -> [World<N>])?

  /// An explorer of this scope.
  public init(_ scope: ExplorationScope<N>) { self.init(scope, renamings: nil) }

  init(_ scope: ExplorationScope<N>, renamings: ((World<N>) -> [World<N>])?) {
    self.scope = scope
    self.renamings = renamings
  }

  /// The least fingerprint of all worlds that count as one with this.
  private func mark(of world: World<N>) -> Fingerprint {
    guard let renamings else { return Fingerprint(world) }
    return renamings(world).map(Fingerprint.init).min { ($0.first, $0.second) < ($1.first, $1.second) } ?? Fingerprint(world)
  }

  private struct Fingerprint: Hashable {
    let first: Int
    let second: Int

    init(_ world: World<N>) {
      var a = Hasher()
      var b = Hasher()
      b.combine(0x5EED)
      world.hash(into: &a)
      world.hash(into: &b)
      first = a.finalize()
      second = b.finalize()
    }
  }

  /// Looks for a world in which `invariant` gives an explanation.
  ///
  /// - Parameters:
  ///   - invariant: what is wrong with a world, or nothing. What nodes state with ``Effects/always(_:_:)`` is checked besides.
  ///   - situations: named conditions whose worlds are counted: one that never held shows that the scope is too small to say anything.
  public func explore(
    situations: [String: (World<N>) -> Bool] = [:], invariant: (World<N>) -> String?
  ) -> Exploration {
    let probe = Probe(random: Random(seed: scope.seed), isTracing: false, buggifies: false)
    var effects = Effects<N>(observer: probe)
    let start = World(scope, &effects)
    var parents: [Fingerprint: (parent: Fingerprint, step: String)] = [:]
    let root = mark(of: start)
    parents[root] = (root, "")
    var level = [(start, root)]
    var counts = situations.mapValues { _ in 0 }

    func path(to fingerprint: Fingerprint) -> [String] {
      var steps: [String] = []
      var current = fingerprint
      while current != root, let (parent, step) = parents[current] {
        steps.append(step)
        current = parent
      }
      return steps.reversed()
    }

    func judge(_ world: World<N>) -> String? {
      for (name, holds) in situations where holds(world) { counts[name, default: 0] += 1 }
      if let name = probe.takeBroken() { return "always \(name)" }
      return world.broken ?? invariant(world)
    }

    if let explanation = judge(start) {
      return Exploration(worlds: 1, depth: 0, isComplete: true, violation: (explanation, []), situations: counts)
    }
    for depth in 0..<scope.depth {
      var next: [(World<N>, Fingerprint)] = []
      for (world, fingerprint) in level {
        for step in world.steps() {
          var after = world
          after.take(step, scope, &effects)
          let print = mark(of: after)
          guard parents[print] == nil else { continue }
          parents[print] = (fingerprint, step.describe(world))
          if let explanation = judge(after) {
            return Exploration(
              worlds: parents.count, depth: depth + 1, isComplete: false, violation: (explanation, path(to: print)), situations: counts)
          }
          if parents.count >= scope.worlds {
            return Exploration(worlds: parents.count, depth: depth, isComplete: false, violation: nil, situations: counts)
          }
          next.append((after, print))
        }
      }
      level = next
      if level.isEmpty { break }
    }
    return Exploration(worlds: parents.count, depth: scope.depth, isComplete: true, violation: nil, situations: counts)
  }
}
