extension Invariants {
  /// Every element that was added for certain is in every read of the whole set that began afterwards, and nothing is that nobody tried to add.
  /// Nothing is ever removed; operations other than ``SetModel/Op/add(_:)`` and ``SetModel/Op/read`` are left out.
  ///
  /// An element missing once and there later is `stale`, one missing to the end `lost`.
  public static func set(_ history: History<SetModel.Op, SetModel.Result>) -> Verdict {
    var attempts: [Int: Int] = [:]
    var added: [(returned: Int, element: Int, operation: Int)] = []
    var reads: [(operation: Int, elements: Set<Int>)] = []
    for (index, operation) in history.operations.enumerated() {
      switch operation.op {
      case .add(let element):
        if operation.hasFailed { continue }
        attempts[element] = min(attempts[element] ?? .max, operation.invoked)
        if operation.result != nil, let returned = operation.returned { added.append((returned, element, index)) }
      case .read: if case .elements(let elements)? = operation.result { reads.append((index, elements)) }
      case .remove, .contains: continue
      }
    }
    guard let last = reads.last, !added.isEmpty else { return .unknown(reason: "nothing was added or the set was never read, so nothing was shown") }
    added.sort { $0.returned < $1.returned }
    for read in reads {
      let operation = history.operations[read.operation]
      if let phantom = read.elements.sorted().first(where: { attempts[$0].map { $0 > operation.returned ?? .max } ?? true }) {
        return .invalid(
          .timeline("phantom element", "A read has the element \(phantom), which nobody had tried to add by then.", history, [read.operation]) {
            "\($0.op) → …\(phantom)…"
          })
      }
      // Most reads have everything that was there before them.
      for entry in added where entry.returned < operation.invoked && !read.elements.contains(entry.element) {
        let isLost = !last.elements.contains(entry.element)
        let explanation =
          isLost
          ? "The element \(entry.element) was added for certain, a later read does not have it, and neither has the last: it is lost."
          : "The element \(entry.element) was added for certain and a later read does not have it, though the last one does: the read was stale."
        return .invalid(
          .timeline(isLost ? "lost element" : "stale read", explanation, history, [entry.operation, read.operation]) {
            if case .read = $0.op { "read → without \(entry.element)" } else { "\($0.op) → done" }
          })
      }
    }
    return .valid(CheckStatistics(operations: added.count + reads.count, steps: reads.count))
  }

  /// What was taken out had been put in, no value was taken out more often than it was put in, and — where the queue was emptied in the end —
  /// everything that was put in for certain came out. Order is not looked at.
  ///
  /// - Parameter isDrained: whether the history ends with the queue emptied; without it nothing is called lost.
  public static func queue(_ history: History<QueueModel.Op, QueueModel.Result>, isDrained: Bool) -> Verdict {
    var attempts: [Int: [Int]] = [:]
    var certain: [Int: Int] = [:]
    var taken: [Int: [Int]] = [:]
    var lostTakes = 0
    for (index, operation) in history.operations.enumerated() where !operation.hasFailed {
      switch (operation.op, operation.result) {
      case (.enqueue(let value), let result):
        attempts[value, default: []].append(index)
        if result != nil { certain[value, default: 0] += 1 }
      case (.dequeue, .dequeued(let value?)?): taken[value, default: []].append(index)
      case (.dequeue, nil): lostTakes += 1
      default: continue
      }
    }
    guard !taken.isEmpty || (isDrained && !certain.isEmpty) else {
      return .unknown(reason: "nothing came out of the queue, so nothing was shown")
    }
    for (value, takes) in taken.sorted(by: { $0.key < $1.key }) {
      let puts = attempts[value] ?? []
      let early = puts.allSatisfy { history.operations[$0].invoked > history.operations[takes[0]].returned ?? .max }
      if puts.isEmpty || early {
        return queueFault("phantom value", "The value \(value) came out and had not been put in by then.", history, [takes[0]])
      }
      if takes.count > puts.count {
        return queueFault(
          "duplicate value", "The value \(value) was put in \(puts.count == 1 ? "once" : "\(puts.count) times") and came out \(takes.count) times.",
          history, puts.prefix(3) + takes.suffix(2))
      }
    }
    if isDrained {
      // Whoever took a value out without an answer may have any one of them.
      let lost = certain.sorted { $0.key < $1.key }.filter { $0.value > taken[$0.key]?.count ?? 0 }
      let missing = lost.reduce(0) { $0 + $1.value - (taken[$1.key]?.count ?? 0) }
      if missing > lostTakes, let first = lost.first {
        return queueFault(
          "lost value", "The value \(first.key) was put in for certain and never came out, though the queue was emptied (\(missing) such in all).",
          history,
          attempts[first.key]?.prefix(1).map { $0 } ?? [])
      }
    }
    return .valid(CheckStatistics(operations: history.operations.count { $0.result != nil }))
  }

  private static func queueFault(
    _ kind: String, _ explanation: String, _ history: History<QueueModel.Op, QueueModel.Result>, _ operations: [Int]
  ) -> Verdict {
    .invalid(.timeline(kind, explanation, history, operations) { "\($0.op) → \($0.result.map { "\($0)" } ?? "?")" })
  }

  /// Every read of a counter lies between the sum of what was added for certain before it began and of all that may have been added before it
  /// returned. Amounts may be negative.
  public static func counter(_ history: History<CounterModel.Op, CounterModel.Result>) -> Verdict {
    // Events in order: what may be added from its invocation on, what is added from its return on.
    var events: [(place: Int, low: Int, high: Int, readBegins: Int, readEnds: Int)] = []
    var reads = 0
    for (index, operation) in history.operations.enumerated() where !operation.hasFailed {
      switch operation.op {
      case .add(let amount):
        events.append((operation.invoked, min(amount, 0), max(amount, 0), -1, -1))
        if operation.result != nil, let returned = operation.returned { events.append((returned, max(amount, 0), min(amount, 0), -1, -1)) }
      case .read:
        guard case .value? = operation.result, let returned = operation.returned else { continue }
        reads += 1
        events.append((operation.invoked, 0, 0, index, -1))
        events.append((returned, 0, 0, -1, index))
      }
    }
    guard reads > 0 else { return .unknown(reason: "the counter was never read, so nothing was shown") }
    events.sort { $0.place < $1.place }
    // The bounds now; an open read takes the widest while it is open.
    var (low, high) = (0, 0)
    var open: [Int: (low: Int, high: Int)] = [:]
    for event in events {
      low = low &+ event.low  // sums of a file's numbers may wrap; a history that does so has no meaning either
      high = high &+ event.high
      for index in open.keys { open[index] = (min(open[index]?.low ?? low, low), max(open[index]?.high ?? high, high)) }
      if event.readBegins >= 0 { open[event.readBegins] = (low, high) }
      guard event.readEnds >= 0, let bounds = open.removeValue(forKey: event.readEnds) else { continue }
      guard case .value(let seen)? = history.operations[event.readEnds].result, seen < bounds.low || seen > bounds.high else { continue }
      let explanation =
        "A read gives \(seen); by what had been added for certain before it and what may have been added until it returned it must be between "
        + "\(bounds.low) and \(bounds.high)."
      let before = history.operations.indices.filter { history.operations[$0].invoked < event.place && history.operations[$0].op != .read }
      return .invalid(
        .timeline("counter out of bounds", explanation, history, before.suffix(6) + [event.readEnds]) {
          "\($0.op) → \($0.result.map { "\($0)" } ?? "?")"
        })
    }
    return .valid(CheckStatistics(operations: history.operations.count { $0.result != nil }, steps: reads))
  }

  /// No identifier is given out twice.
  public static func uniqueIDs<Op, ID: Hashable & Sendable>(_ history: History<Op, ID>) -> Verdict {
    var owners: [ID: Int] = [:]
    for (index, operation) in history.operations.enumerated() {
      guard let id = operation.result else { continue }
      guard let other = owners.updateValue(index, forKey: id) else { continue }
      return .invalid(
        .timeline("identifier twice", "The identifier \(id) was given out twice.", history, [other, index]) {
          "\($0.op) → \($0.result.map { "\($0)" } ?? "?")"
        })
    }
    guard !owners.isEmpty else { return .unknown(reason: "no identifier was given out, so nothing was shown") }
    return .valid(CheckStatistics(operations: owners.count))
  }
}
