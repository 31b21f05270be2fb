extension Violation {
  /// A violation shown by some operations of a history, the last of them the culprit.
  static func timeline<Op, Result>(
    _ kind: String, _ explanation: String, _ history: History<Op, Result>, _ operations: [Int],
    text: (History<Op, Result>.Operation) -> String
  ) -> Violation {
    let culprit = operations.last
    let shown = Set(operations).sorted { history.operations[$0].invoked < history.operations[$1].invoked }
    let lines = shown.map { number -> String in
      let operation = history.operations[number]
      return "process \(operation.process): \(text(operation))  [events \(operation.invoked) to \(operation.returned.map(String.init) ?? "…")]"
    }
    let bars = shown.map { number in
      let operation = history.operations[number]
      return TimelinePicture.Bar(
        row: "process \(operation.process)", from: operation.invoked, to: operation.returned, text: text(operation),
        style: number == culprit ? .culprit : .plain)
    }
    return Violation(
      kind: kind, explanation: explanation, witness: lines,
      html: TimelinePicture(title: kind, explanation: explanation, bars: bars).page)
  }

  /// A violation shown by lines of text, each a row of its own.
  static func listing(_ kind: String, _ explanation: String, _ rows: [(name: String, items: [String])], culprits: Set<String> = []) -> Violation {
    var bars: [TimelinePicture.Bar] = []
    for row in rows {
      for (place, item) in row.items.enumerated() {
        bars.append(.init(row: row.name, from: place, to: place + 1, text: item, style: culprits.contains(item) ? .culprit : .plain))
      }
    }
    return Violation(
      kind: kind, explanation: explanation, witness: rows.map { "\($0.name): \($0.items.joined(separator: ", "))" },
      html: TimelinePicture(title: kind, explanation: explanation, bars: bars).page)
  }
}
