extension IsolationFindings {
  private struct Circle {
    let anomaly: Anomaly
    let edges: [Int32]
  }

  /// Looks for circles and says what everything together rules out.
  func verdict(expecting level: IsolationLevel, deadline: UInt64) -> Verdict {
    guard committed > 0 else { return .unknown(reason: "no transaction committed, so nothing was shown") }
    let circles = circles(deadline)
    let found = Anomaly.allCases.filter { direct[$0] != nil || circles[$0] != nil }
    var statistics = CheckStatistics(operations: committed, parts: keyNames.count, steps: graph.edges.count)
    guard let worst = found.first(where: { $0.rulesOut(level) }) else {
      statistics.remarks = found.map { "\($0.rawValue), which \(level.rawValue) allows" }
      return .valid(statistics)
    }
    let ruledOut = IsolationLevel.allCases.filter { level in found.contains { $0.rulesOut(level) } }.map(\.rawValue)
    let others = found.filter { $0 != worst }.map(\.rawValue)
    let violation =
      if let circle = circles[worst] {
        explain(circle, others, ruledOut)
      } else if let direct = direct[worst] {
        explain(direct, others, ruledOut)
      } else {
        Violation(kind: worst.rawValue, explanation: "", witness: [], alsoFound: others, ruledOut: ruledOut)
      }
    return .invalid(violation)
  }

  /// The shortest circle of each kind.
  private func circles(_ deadline: UInt64) -> [Anomaly: Circle] {
    var found: [Anomaly: Circle] = [:]
    let kinds = CycleSearch.Kind.items + (graph.edges.contains { $0.kind == .predicate } ? CycleSearch.Kind.predicates : [])
    for component in graph.components(over: [.data, .time, .predicate]) {
      let search = CycleSearch(graph, component, deadline: deadline)
      var isKnown = false
      for kind in kinds {
        if let known = found[kind.anomaly], known.edges.count <= 2 {
          isKnown = true
          continue
        }
        guard !graph.components(over: kind.allowed, within: component).isEmpty, let edges = search.shortest(kind) else { continue }
        isKnown = true
        if found[kind.anomaly].map({ edges.count < $0.edges.count }) ?? true { found[kind.anomaly] = Circle(anomaly: kind.anomaly, edges: edges) }
      }
      // The component is a circle whether or not its shape was found in time.
      if !isKnown { found[.cycle] = found[.cycle] ?? Circle(anomaly: .cycle, edges: Array(edgesWithin(component).prefix(20))) }
    }
    return found
  }

  private func edgesWithin(_ component: [Int32]) -> [Int32] {
    let members = Set(component)
    return component.flatMap { node in graph.out(Int(node)).filter { members.contains(graph.edges[$0].to) }.map { Int32($0) } }
  }

  private func name(_ edge: DependencyGraph.Edge) -> String { keyNames.indices.contains(Int(edge.key)) ? "x\(keyNames[Int(edge.key)])" : "" }

  private func text(_ value: Int) -> String { value == .min ? "nothing" : "\(value)" }

  /// Why the second transaction of an edge comes after the first.
  private func reason(_ edge: DependencyGraph.Edge) -> String {
    let (a, b) = ("T\(edge.from)", "T\(edge.to)")
    switch edge.kind {
    case .ww: return "\(a) wrote \(text(edge.before)) to \(name(edge)), and \(b) wrote \(text(edge.after)) right after it"
    case .wr: return "\(b) read \(text(edge.before)) from \(name(edge)), which \(a) wrote"
    case .rw: return "\(a) read \(name(edge)) with \(text(edge.before)) as the newest, so before \(b) wrote \(text(edge.after))"
    case .predicate: return "\(a) looked for such as \(name(edge)) with \(text(edge.after)) in vain, so before \(b) wrote it"
    case .process: return "one client did \(a) and then \(b)"
    default: return "\(a) had ended before \(b) began"
    }
  }

  private func label(_ edge: DependencyGraph.Edge) -> String {
    switch edge.kind {
    case .ww: "ww \(name(edge)): \(text(edge.before)) → \(text(edge.after))"
    case .wr: "wr \(name(edge)): \(text(edge.before))"
    case .rw: "rw \(name(edge)): \(text(edge.before)) → \(text(edge.after))"
    case .predicate: "looked for \(name(edge)): \(text(edge.after))"
    case .process: "process"
    default: "real time"
    }
  }

  private func explain(_ circle: Circle, _ others: [String], _ ruledOut: [String]) -> Violation {
    let edges = circle.edges.map { graph.edges[Int($0)] }
    var nodes: [Int32] = []
    for edge in edges.flatMap({ [$0.from, $0.to] }) where !nodes.contains(edge) { nodes.append(edge) }
    let place = Dictionary(uniqueKeysWithValues: nodes.enumerated().map { ($1, $0) })
    let reasons = edges.map(reason)
    let explanation =
      circle.anomaly == .cycle
      ? "These transactions depend on each other in a circle, so none of them can have come first; its exact shape was not found in the time given. "
        + reasons.prefix(6).joined(separator: "; ") + "."
      : "Each of these \(nodes.count) transactions comes before the next, and the last before the first, so none of them can have come first: "
        + reasons.joined(separator: "; ") + ". Such a circle is called \(circle.anomaly.rawValue)."
    return Violation(
      kind: circle.anomaly.rawValue, explanation: explanation, witness: nodes.map(describe) + reasons,
      html: GraphPicture(
        title: circle.anomaly.rawValue, explanation: explanation, boxes: nodes.map(describe),
        arrows: edges.map { edge in
          GraphPicture.Arrow(
            from: place[edge.from] ?? 0, to: place[edge.to] ?? 0, text: label(edge), isCulprit: !edge.kind.isDisjoint(with: [.rw, .predicate]))
        }, notes: nodes.map(describe) + ["Ruled out: " + ruledOut.joined(separator: ", ")]
      ).page, alsoFound: others, ruledOut: ruledOut)
  }

  private func explain(_ finding: Direct, _ others: [String], _ ruledOut: [String]) -> Violation {
    let lines = finding.transactions.map(describe)
    return Violation(
      kind: finding.anomaly.rawValue, explanation: finding.explanation, witness: lines,
      html: GraphPicture(
        title: finding.anomaly.rawValue, explanation: finding.explanation, boxes: lines,
        arrows: lines.indices.dropFirst().map { GraphPicture.Arrow(from: $0 - 1, to: $0, text: "", isCulprit: false) },
        notes: lines + ["Ruled out: " + ruledOut.joined(separator: ", ")]
      ).page, alsoFound: others, ruledOut: ruledOut)
  }
}
