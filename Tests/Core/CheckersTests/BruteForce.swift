import StrataCheckers
import StrataNodes

/// Linearizability by its definition: tries every order of every subset of what never returned.
enum BruteForce {
  static func isLinearizable<M: SequentialModel>(_ history: History<M.Op, M.Result>, _ model: M) -> Bool {
    let byKey = Dictionary(grouping: history.operations.filter { !$0.hasFailed }) { model.key(of: $0.op) }
    return byKey.allSatisfy { key, operations in place(operations, model.initial(key), model) }
  }

  private static func place<M: SequentialModel>(_ left: [History<M.Op, M.Result>.Operation], _ state: M.State, _ model: M) -> Bool {
    if left.allSatisfy({ $0.result == nil }) { return true }
    for (index, operation) in left.enumerated() {
      let isPreceded = left.contains { $0.result != nil && ($0.returned ?? .max) < operation.invoked }
      if isPreceded { continue }
      guard let after = model.step(state, operation.op, operation.result) else { continue }
      var rest = left
      rest.remove(at: index)
      if place(rest, after, model) { return true }
    }
    return false
  }
}

/// Histories that a system might have produced, right in about half of all cases.
enum RandomHistory {
  /// `operations` operations by up to four processes. Each takes effect at a random moment in a copy of the model; now and then one lies, is
  /// lost or fails.
  static func make<M: SequentialModel>(
    _ model: M, operations: Int, lies: Int, random: inout Random, op: (Int, inout Random) -> M.Op,
    result: (M.State, M.Op, inout Random) -> M.Result
  ) throws -> History<M.Op, M.Result> {
    var history = History<M.Op, M.Result>()
    var states: [M.Key: M.State] = [:]
    var open: [Int: (op: M.Op, result: M.Result?, result2: M.Result?)] = [:]
    let processes = 1 + random.below(4)
    var begun = 0
    while begun < operations || !open.isEmpty {
      let process = random.below(processes)
      guard let current = open[process] else {
        if begun < operations {
          let op = op(begun, &random)
          begun += 1
          try history.invoke(op, by: process, at: UInt64(history.eventCount))
          open[process] = (op, nil, nil)
        }
        continue
      }
      let key = model.key(of: current.op)
      let state = states[key] ?? model.initial(key)
      if current.result == nil {
        switch random.below(10) {
        case 0:
          // Lost, with effect or without.
          if random.chance(1, in: 2), let after = model.step(state, current.op, nil) { states[key] = after }
          open[process] = nil
          try history.lose(by: process, at: UInt64(history.eventCount))
        case 1:
          open[process] = nil
          try history.fail(by: process, at: UInt64(history.eventCount))
        default:
          let result = result(state, current.op, &random)
          if let after = model.step(state, current.op, result) { states[key] = after }
          open[process]?.result = result
        }
      } else if var heard = current.result {
        if random.chance(1, in: lies) { heard = result(model.initial(key), current.op, &random) }
        open[process] = nil
        try history.ok(heard, by: process, at: UInt64(history.eventCount))
      }
    }
    return history
  }
}
