import StrataCheckers
import StrataNodes
import StrataRequirements
import Testing

/// The checker says exactly what the definition says.
@Suite(.requirement("Simulation.checkers.1")) struct LinearizabilityOracleTests {
  /// Compares `rounds` random histories, checks that both verdicts are common, and that every witness is itself a contradiction.
  private func compare<M: SequentialModel>(
    _ model: M, seed: UInt64, rounds: Int, op: (Int, inout Random) -> M.Op, result: (M.State, M.Op, inout Random) -> M.Result
  ) throws {
    var random = Random(seed: seed)
    var right = 0
    var wrong = 0
    for round in 0..<rounds * testDepth {
      let history = try RandomHistory.make(model, operations: 1 + random.below(7), lies: 4, random: &random, op: op, result: result)
      guard history.operations.contains(where: { $0.result != nil }) else {
        #expect(Linearizability.check(history, against: model).isUnknown)
        continue
      }
      let expected = BruteForce.isLinearizable(history, model)
      let verdict = Linearizability.check(history, against: model)
      if expected { right += 1 } else { wrong += 1 }
      if verdict.isUnknown || verdict.isValid != expected {
        Issue.record("seed \(seed), round \(round): \(verdict) where the definition says \(expected): \(history.operations)")
        return
      }
      if let violation = verdict.violation {
        #expect(!violation.witness.isEmpty && violation.html.contains("<svg") && violation.kind == "linearizability")
      }
    }
    #expect(right > rounds / 25 && wrong > rounds / 25, "seed \(seed): \(right) right, \(wrong) wrong")
  }

  @Test func registers() throws {
    try compare(RegisterModel(), seed: 1, rounds: 20_000) { _, random in
      switch random.below(5) {
      case 0, 1: .read(key: 0)
      case 2, 3: .write(key: 0, random.below(3))
      default: .compareAndSet(key: 0, expected: random.chance(1, in: 4) ? nil : random.below(3), new: random.below(3))
      }
    } result: { state, op, _ in
      switch op {
      case .read: .value(state)
      case .write: .written
      case .compareAndSet(_, let expected, _): .compared(expected == state)
      }
    }
  }

  @Test func registersWithUniqueWrites() throws {
    try compare(RegisterModel(), seed: 2, rounds: 30_000) { number, random in
      random.chance(1, in: 2) ? .read(key: random.below(2)) : .write(key: random.below(2), number)
    } result: { state, op, random in
      if case .read = op { .value(random.chance(1, in: 12) ? random.below(4) : state) } else { .written }
    }
  }

  @Test func texts() throws {
    try compare(KeyValueModel(), seed: 3, rounds: 15_000) { number, random in
      let key = ["a", "b"][random.below(2)]
      return switch random.below(6) {
      case 0, 1: .append(key, "\(number)")
      case 2: .put(key, "x")
      case 3: .delete(key)
      default: .get(key)
      }
    } result: { state, op, random in
      if case .get = op { .value(random.chance(1, in: 4) ? String(state.dropLast()) : state) } else { .done }
    }
  }

  @Test func sets() throws {
    try compare(SetModel(), seed: 4, rounds: 10_000) { _, random in
      switch random.below(5) {
      case 0, 1: .add(random.below(2))
      case 2: .remove(random.below(2))
      case 3: .contains(random.below(2))
      default: .read
      }
    } result: { state, op, _ in
      switch op {
      case .add(let element): .found(!state.contains(element))
      case .remove(let element), .contains(let element): .found(state.contains(element))
      case .read: .elements(state)
      }
    }
  }

  @Test func queues() throws {
    try compare(QueueModel(), seed: 5, rounds: 10_000) { number, random in
      random.chance(1, in: 2) ? .enqueue(number / 2) : .dequeue
    } result: { state, op, random in
      if case .dequeue = op { .dequeued(random.chance(1, in: 10) ? random.below(3) : state.first) } else { .enqueued }
    }
  }

  @Test func counters() throws {
    try compare(CounterModel(), seed: 6, rounds: 10_000) { _, random in
      random.chance(1, in: 2) ? .add(1 + random.below(2)) : .read
    } result: { state, op, random in
      switch op {
      case .read: .value(state)
      case .add(let amount): random.chance(1, in: 2) ? .added : .value(state + amount)
      }
    }
  }

  @Test func locks() throws {
    try compare(LockModel(), seed: 7, rounds: 10_000) { number, random in
      random.chance(1, in: 2) ? .acquire(lock: 0, client: number % 3) : .release(lock: 0, client: random.below(3))
    } result: { state, op, random in
      switch op {
      case .acquire: state.holder == nil ? .acquired(token: max(state.token, 0) + random.below(3)) : .refused
      case .release(_, let client): .released(state.holder == client)
      }
    }
  }
}
