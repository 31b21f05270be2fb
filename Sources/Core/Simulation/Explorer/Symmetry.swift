import StrataNodes

/// A protocol that does not care how its nodes are named: if all names are exchanged everywhere, the same happens to the nodes that bear them.
///
/// An explorer told so visits one world for each set of worlds that differ in names only, of three nodes up to six times fewer. It is the protocol's
/// promise: one that breaks a tie by the smaller name does care, at least where a tie can come up.
public protocol SymmetricNode: Node, Hashable where Message: Hashable, Request: Hashable, Response: Hashable, Record: Hashable {
  /// The node as it would be if everybody had the name that `name` gives for theirs.
  func renamed(_ name: (NodeID) -> NodeID) -> Self
  /// The same of a message.
  static func renamed(message: Message, _ name: (NodeID) -> NodeID) -> Message
  /// The same of what a client asks.
  static func renamed(request: Request, _ name: (NodeID) -> NodeID) -> Request
  /// The same of what a client hears.
  static func renamed(response: Response, _ name: (NodeID) -> NodeID) -> Response
  /// The same of what is kept.
  static func renamed(record: Record, _ name: (NodeID) -> NodeID) -> Record
  /// The same of a timer's name.
  static func renamed(timer: Timer, _ name: (NodeID) -> NodeID) -> Timer
}

extension SymmetricNode {
  /// Names nobody.
  public static func renamed(request: Request, _ name: (NodeID) -> NodeID) -> Request { request }
  /// Names nobody.
  public static func renamed(response: Response, _ name: (NodeID) -> NodeID) -> Response { response }
  /// Names nobody.
  public static func renamed(record: Record, _ name: (NodeID) -> NodeID) -> Record { record }
  /// Names nobody.
  public static func renamed(timer: Timer, _ name: (NodeID) -> NodeID) -> Timer { timer }
}

extension World where N: SymmetricNode {
  /// This world under every exchange of names that leaves the requests not made yet as they are.
  func renamings() -> [World] {
    Self.orders(of: places.count).compactMap { order in
      func name(_ id: NodeID) -> NodeID {
        let index = Int(truncatingIfNeeded: id.rawValue) - 1
        return order.indices.contains(index) ? NodeID(UInt64(order[index] + 1)) : id
      }
      guard script.allSatisfy({ name($0.id) == $0.id && N.renamed(request: $0.request, name) == $0.request }) else { return nil }
      return renamed(order, name)
    }
  }

  private func renamed(_ order: [Int], _ name: (NodeID) -> NodeID) -> World {
    var world = self
    for (index, place) in places.enumerated() {
      var place = place
      place.node = place.node?.renamed(name)
      place.durable = place.durable.map { N.renamed(record: $0, name) }
      place.writes = place.writes.map {
        Write(records: $0.records.map { N.renamed(record: $0, name) }, ticket: $0.ticket, wantsReport: $0.wantsReport, replacesAll: $0.replacesAll)
      }
      place.timers = Dictionary(uniqueKeysWithValues: place.timers.map { (N.renamed(timer: $0.key, name), $0.value) })
      world.places[order[index]] = place
    }
    world.messages = Dictionary(
      uniqueKeysWithValues: messages.map {
        (Envelope(from: name($0.key.from), to: name($0.key.to), message: N.renamed(message: $0.key.message, name)), $0.value)
      })
    world.replies = replies.mapValues { N.renamed(response: $0, name) }
    world.requests = requests.mapValues { N.renamed(request: $0, name) }
    return world
  }

  /// Every order of `count` places.
  private static func orders(of count: Int) -> [[Int]] {
    (0..<count).reduce([[]]) { orders, _ in orders.flatMap { order in (0..<count).filter { !order.contains($0) }.map { order + [$0] } } }
  }
}

extension Explorer where N: SymmetricNode {
  /// An explorer of a scope of at most five nodes that visits one of all worlds that differ in names only. All nodes draw the same random numbers.
  public init(symmetric scope: ExplorationScope<N>) {
    precondition(scope.nodes <= 5, "of more than five nodes there are too many orders to look at in each step")
    var scope = scope
    scope.drawsAlike = true
    self.init(scope, renamings: { $0.renamings() })
  }
}
