extension LinearizabilityCheck {
  /// Makes a contradiction as small as it stays one, and tells what it shows.
  func violation(_ part: Int, _ contradiction: [Member]) -> Violation {
    let witness = withoutNeedlessGroups(withoutNeedlessObservations(beginning(contradiction)))
    let order = orders(part, witness).max { $0.count < $1.count } ?? []
    let blocked = firstUnplaced(witness, order)
    let explanation = explain(part, witness, order, blocked)
    var rank: [Int32: Int] = [:]
    for (place, number) in order.enumerated() { rank[number] = place + 1 }
    let bars = witness.enumerated().map { number, member in
      let operation = operations[Int(member.operation)]
      return TimelinePicture.Bar(
        row: "process \(operation.process)", from: operation.invoked, to: member.isOpen ? nil : operation.returned,
        text: (rank[Int32(number)].map { "\($0): " } ?? "") + text(member), style: number == blocked ? .culprit : .plain)
    }
    return Violation(
      kind: "linearizability", explanation: explanation, witness: witness.map(line),
      html: TimelinePicture(
        title: "Not linearizable: part \(keys[part])", explanation: explanation, bars: bars,
        notes: [
          "The numbers give the longest order that is right as far as it goes.", "A bar with an open end is an operation whose end nobody saw.",
        ]
      ).page)
  }

  /// The shortest beginning that contradicts itself: what returns later counts as open, what is invoked later is left out.
  private func beginning(_ members: [Member]) -> [Member] {
    func cut(_ end: Int) -> [Member] {
      members.compactMap { member in
        let operation = operations[Int(member.operation)]
        guard operation.invoked <= end else { return nil }
        if member.isOpen || (operation.returned ?? .max) <= end { return member }
        return model.observes(operation.op, nil) ? nil : Member(operation: member.operation, isOpen: true)
      }
    }
    let ends = members.compactMap { $0.isOpen ? nil : operations[Int($0.operation)].returned }.sorted()
    guard !ends.isEmpty else { return members }
    var low = 0
    var high = ends.count - 1
    while low < high {
      let middle = (low + high) / 2
      if contradicts(cut(ends[middle])) { high = middle } else { low = middle + 1 }
    }
    let shorter = cut(ends[low])
    return contradicts(shorter) ? shorter : members
  }

  /// Leaves out pieces of falling size as long as the rest contradicts itself.
  private func shrink<Piece>(_ pieces: [Piece], _ contradicts: ([Piece]) -> Bool) -> [Piece] {
    var pieces = pieces
    var size = max(1, pieces.count / 2)
    while !pieces.isEmpty {
      var start = 0
      var hasShrunk = false
      while start < pieces.count {
        let rest = Array(pieces[..<start] + pieces[min(pieces.count, start + size)...])
        if contradicts(rest) {
          pieces = rest
          hasShrunk = true
        } else {
          start += size
        }
      }
      if size == 1, !hasShrunk { break }
      size = max(1, size / 2)
    }
    return pieces
  }

  /// Leaving out what changes the state could make a right history wrong; leaving out what observes cannot.
  private func withoutNeedlessObservations(_ members: [Member]) -> [Member] {
    func isObservation(_ member: Member) -> Bool {
      !member.isOpen && model.observes(operations[Int(member.operation)].op, operations[Int(member.operation)].result)
    }
    let changes = members.filter { !isObservation($0) }
    func together(_ observations: [Member]) -> [Member] { (changes + observations).sorted { $0.operation < $1.operation } }
    return together(shrink(members.filter(isObservation)) { contradicts(together($0)) })
  }

  private func withoutNeedlessGroups(_ members: [Member]) -> [Member] {
    var groups: [AnyHashable: [Member]] = [:]
    var names: [AnyHashable] = []
    for member in members {
      let operation = operations[Int(member.operation)]
      guard let name = model.group(of: operation.op, member.isOpen ? nil : operation.result) else { return members }
      if groups[name] == nil { names.append(name) }
      groups[name, default: []].append(member)
    }
    func together(_ names: [AnyHashable]) -> [Member] { names.flatMap { groups[$0] ?? [] }.sorted { $0.operation < $1.operation } }
    return together(shrink(names) { contradicts(together($0)) })
  }

  /// The operation, not in the order, whose return comes first: no order can go past it.
  private func firstUnplaced(_ witness: [Member], _ order: LinearizabilitySearch.Order) -> Int? {
    let placed = Set(order.map { Int($0) })
    return witness.indices.filter { !placed.contains($0) && !witness[$0].isOpen }.min {
      (operations[Int(witness[$0].operation)].returned ?? .max) < (operations[Int(witness[$1].operation)].returned ?? .max)
    }
  }

  private func text(_ member: Member) -> String {
    let operation = operations[Int(member.operation)]
    return "\(operation.op) → \(member.isOpen ? "?" : operation.result.map { "\($0)" } ?? "?")"
  }

  private func line(_ member: Member) -> String {
    let operation = operations[Int(member.operation)]
    let end = member.isOpen ? "…" : operation.returned.map(String.init) ?? "…"
    return "process \(operation.process): \(text(member))  [events \(operation.invoked) to \(end)]"
  }

  /// A state as people write it: an optional as its value or `nil`.
  private static func text(of state: M.State) -> String {
    let mirror = Mirror(reflecting: state)
    guard mirror.displayStyle == .optional else { return "\(state)" }
    return mirror.children.first.map { "\($0.value)" } ?? "nil"
  }

  private func explain(_ part: Int, _ witness: [Member], _ order: LinearizabilitySearch.Order, _ blocked: Int?) -> String {
    var text =
      "If every operation took effect at one moment between its invocation and its return, these \(witness.count) operations on part \(keys[part]) "
      + "could be put into one order that explains what the clients heard. No order does. "
    if let blocked {
      let state = state(part, after: order, of: witness)
      text +=
        order.isEmpty
        ? "Not even one of them can come first: the state is \(Self.text(of: state)) then. "
        : "The longest that goes without a contradiction takes \(order.count) of them and leaves the state \(Self.text(of: state)). "
      text += "\(self.text(witness[blocked])) by process \(operations[Int(witness[blocked].operation)].process) returned next and is impossible "
      text += "there, and every other order comes to an end sooner."
    }
    return text
  }
}
