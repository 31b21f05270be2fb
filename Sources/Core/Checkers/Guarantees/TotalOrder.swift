/// Judges a broadcast that delivers messages to several nodes in one order.
public enum TotalOrder {
  /// How much the deliveries must agree.
  public enum Agreement: Hashable, Sendable {
    /// Of two nodes, one has delivered a beginning of what the other has: a replicated log.
    case sameSequence
    /// Two messages that two nodes both deliver, they deliver in the same order; a node may leave some out.
    case sameOrder
  }

  /// Judges what each node delivered. Unknown where nobody delivered anything. O(n).
  ///
  /// - Parameters:
  ///   - deliveries: of each node its messages, in order, over all its lives.
  ///   - broadcast: what was broadcast at all; nothing where that is not known.
  ///   - acknowledged: what a client was told is in the order, so that the longest delivery must have it; empty where the run was cut.
  public static func check<Message: Hashable & Sendable>(
    _ deliveries: [(node: String, messages: [Message])], agreement: Agreement = .sameSequence, broadcast: Set<Message>? = nil,
    acknowledged: Set<Message> = []
  ) -> Verdict {
    guard deliveries.contains(where: { !$0.messages.isEmpty }) else { return .unknown(reason: "nothing was delivered, so nothing was shown") }
    for (node, messages) in deliveries {
      var places: [Message: Int] = [:]
      for (place, message) in messages.enumerated() {
        if let earlier = places.updateValue(place, forKey: message) {
          return .invalid(
            say(
              "duplicate", "\(node) delivered \(message) twice, as number \(earlier) and as number \(place).", [(node, [earlier, place], messages)]))
        }
        if let broadcast, !broadcast.contains(message) {
          return .invalid(say("phantom", "\(node) delivered \(message), which nobody broadcast.", [(node, [place], messages)]))
        }
      }
    }
    let violation = agreement == .sameSequence ? sequence(deliveries) : order(deliveries)
    if let violation { return .invalid(violation) }
    let known = Set(deliveries.flatMap(\.messages))
    if let lost = acknowledged.first(where: { !known.contains($0) }) {
      return .invalid(
        .listing("lost message", "\(lost) was acknowledged, and no node has delivered it.", [("acknowledged", ["\(lost)"])], culprits: ["\(lost)"]))
    }
    return .valid(CheckStatistics(operations: deliveries.reduce(0) { $0 + $1.messages.count }, parts: deliveries.count))
  }

  private static func sequence<Message: Hashable>(_ deliveries: [(node: String, messages: [Message])]) -> Violation? {
    guard let longest = deliveries.max(by: { $0.messages.count < $1.messages.count }) else { return nil }
    for (node, messages) in deliveries {
      guard let place = messages.indices.first(where: { messages[$0] != longest.messages[$0] }) else { continue }
      return say(
        "different order",
        "\(node) delivered \(messages[place]) as number \(place), \(longest.node) delivered \(longest.messages[place]) there: they do not agree "
          + "on one sequence.", [(node, [place], messages), (longest.node, [place], longest.messages)])
    }
    return nil
  }

  /// One order exists exactly if what follows what at any node has no circle.
  private static func order<Message: Hashable>(_ deliveries: [(node: String, messages: [Message])]) -> Violation? {
    var numbers: [Message: Int32] = [:]
    var names: [Message] = []
    for message in deliveries.flatMap(\.messages) where numbers[message] == nil {
      numbers[message] = Int32(names.count)
      names.append(message)
    }
    var graph = DependencyGraph(count: names.count)
    for (number, delivery) in deliveries.enumerated() {
      for place in delivery.messages.indices.dropFirst() {
        guard let a = numbers[delivery.messages[place - 1]], let b = numbers[delivery.messages[place]] else { continue }
        graph.add(.init(a, b, .ww, key: Int32(number)))
      }
    }
    graph.seal()
    guard let component = graph.components(over: .ww).first else { return nil }
    let kind = CycleSearch.Kind(anomaly: .g0, allowed: .ww, begins: .ww, time: [], antiDependencies: .none)
    guard let circle = CycleSearch(graph, component, deadline: .max).shortest(kind) else { return nil }
    let edges = circle.map { graph.edges[Int($0)] }
    let reasons = edges.map { "\(deliveries[Int($0.key)].node) delivered \(names[Int($0.from)]) before \(names[Int($0.to)])" }
    let explanation = "No one order gives what the nodes delivered: " + reasons.joined(separator: "; ") + "."
    let place = Dictionary(uniqueKeysWithValues: edges.enumerated().map { ($1.from, $0) })
    return Violation(
      kind: "different order", explanation: explanation, witness: reasons,
      html: GraphPicture(
        title: "different order", explanation: explanation, boxes: edges.map { "\(names[Int($0.from)])" },
        arrows: edges.map { .init(from: place[$0.from] ?? 0, to: place[$0.to] ?? 0, text: deliveries[Int($0.key)].node, isCulprit: false) }
      ).page)
  }

  private static func say<Message>(_ kind: String, _ explanation: String, _ rows: [(String, [Int], [Message])]) -> Violation {
    var culprits: Set<String> = []
    let shown = rows.map { node, places, messages -> (name: String, items: [String]) in
      let near = Set(places.flatMap { [$0 - 1, $0, $0 + 1] }).filter { messages.indices.contains($0) }.sorted()
      for place in places { culprits.insert("\(place): \(messages[place])") }
      return (node, near.map { "\($0): \(messages[$0])" })
    }
    return .listing(kind, explanation, shown, culprits: culprits)
  }
}
