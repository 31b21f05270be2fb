import StrataCheckers
import StrataNodes
import StrataRequirements
import Testing

@Suite(.requirement("Simulation.never.8", "Simulation.checkers.7")) struct InvariantTests {
  @Test func banks() throws {
    typealias Step = (process: Int, op: BankOp, result: BankResult?)
    func check(_ steps: [Step]) throws -> Verdict { Invariants.bank(try whole(steps), total: 30, accounts: [1, 2, 3]) }
    #expect(try check([]).isUnknown)
    #expect(try check([(1, .transfer(from: 1, to: 2, amount: 3), .transferred), (1, .read, nil)]).isUnknown)
    #expect(try check([(1, .read, .balances([1: 10, 2: 20, 3: 0]))]).isValid)
    expectViolation(try check([(1, .read, .balances([1: 10, 2: 10, 3: 7]))]), "wrong total", witness: 1)
    expectViolation(try check([(1, .read, .balances([1: .max, 2: .max, 3: 2]))]), "wrong total")
    expectViolation(try check([(1, .read, .balances([1: 10, 2: 20]))]), "wrong accounts")
    expectViolation(try check([(1, .read, .balances([1: 40, 2: -10, 3: 0]))]), "negative balance")
  }

  @Test func sets() throws {
    typealias Step = (process: Int, op: SetModel.Op, result: SetModel.Result?)
    func check(_ steps: [Step]) throws -> Verdict { Invariants.set(try whole(steps)) }
    #expect(try check([]).isUnknown)
    #expect(try check([(1, .read, .elements([]))]).isUnknown)
    #expect(try check([(1, .add(1), .found(true)), (1, .add(2), nil), (1, .read, .elements([1])), (1, .read, .elements([1, 2]))]).isValid)
    expectViolation(try check([(1, .add(1), .found(true)), (1, .read, .elements([]))]), "lost element", witness: 2)
    expectViolation(try check([(1, .add(1), .found(true)), (1, .read, .elements([])), (1, .read, .elements([1]))]), "stale read", witness: 2)
    expectViolation(try check([(1, .add(1), .found(true)), (1, .read, .elements([1, 9]))]), "phantom element", witness: 1)
    expectViolation(try check([(1, .add(1), .found(true)), (1, .read, .elements([1, 2])), (1, .add(2), .found(true))]), "phantom element")
  }

  @Test func queues() throws {
    typealias Step = (process: Int, op: QueueModel.Op, result: QueueModel.Result?)
    func check(_ steps: [Step], drained: Bool = true) throws -> Verdict { Invariants.queue(try whole(steps), isDrained: drained) }
    #expect(try check([]).isUnknown)
    #expect(try check([(1, .enqueue(1), .enqueued)], drained: false).isUnknown)
    #expect(try check([(1, .enqueue(1), .enqueued), (1, .enqueue(2), nil), (1, .dequeue, .dequeued(1)), (1, .dequeue, .dequeued(nil))]).isValid)
    expectViolation(try check([(1, .enqueue(1), .enqueued), (1, .enqueue(2), .enqueued), (1, .dequeue, .dequeued(1))]), "lost value", witness: 1)
    #expect(try check([(1, .enqueue(1), .enqueued), (1, .enqueue(2), .enqueued), (1, .dequeue, .dequeued(1)), (1, .dequeue, nil)]).isValid)
    expectViolation(
      try check([(1, .enqueue(1), .enqueued), (1, .dequeue, .dequeued(1)), (2, .dequeue, .dequeued(1))]), "duplicate value", witness: 3)
    expectViolation(try check([(1, .dequeue, .dequeued(1)), (1, .enqueue(1), .enqueued)]), "phantom value", witness: 1)
  }

  @Test func counters() throws {
    typealias Step = (process: Int, op: CounterModel.Op, result: CounterModel.Result?)
    func check(_ steps: [Step]) throws -> Verdict { Invariants.counter(try whole(steps)) }
    #expect(try check([(1, .add(3), .added)]).isUnknown)
    #expect(try check([(1, .add(3), .added), (1, .add(4), nil), (1, .read, .value(3)), (1, .read, .value(7))]).isValid)
    expectViolation(try check([(1, .add(3), .added), (1, .read, .value(2))]), "counter out of bounds", witness: 2)
    expectViolation(try check([(1, .add(3), .added), (1, .read, .value(4))]), "counter out of bounds")
    #expect(try check([(1, .add(-3), nil), (1, .read, .value(-3)), (1, .add(5), .added), (1, .read, .value(2))]).isValid)
    var open = History<CounterModel.Op, CounterModel.Result>()
    try open.invoke(.add(2), by: 1)
    try open.invoke(.read, by: 2)
    try open.ok(.added, by: 1)
    try open.invoke(.add(5), by: 1)
    try open.ok(.value(7), by: 2)
    #expect(Invariants.counter(open).isValid)
  }

  @Test func identifiers() throws {
    #expect(Invariants.uniqueIDs(History<String, Int>()).isUnknown)
    #expect(Invariants.uniqueIDs(try whole([(1, "next", 1), (2, "next", 2), (2, "next", nil)])).isValid)
    expectViolation(Invariants.uniqueIDs(try whole([(1, "next", 1), (2, "next", 2), (3, "next", 1)])), "identifier twice", witness: 2)
  }

  @Test func forks() throws {
    typealias Step = (process: Int, op: ForkOp, result: Set<Int>?)
    func check(_ steps: [Step]) throws -> Verdict { Invariants.longFork(try whole(steps)) }
    #expect(try check([(1, .read([1, 2]), [1])]).isUnknown)
    #expect(try check([(1, .read([1, 2]), [1]), (2, .read([1, 2]), [1, 2]), (3, .read([1, 2]), []), (3, .read([3, 4]), [4])]).isValid)
    expectViolation(try check([(1, .read([1, 2]), [1]), (2, .read([2, 1]), [2])]), "long fork", witness: 2)
  }
}

@Suite(.requirement("Simulation.never.8", "Simulation.checkers.7")) struct LogDeliveryTests {
  typealias Step = (process: Int, op: LogOp, result: LogResult?)
  private func check(_ steps: [Step], failing: [Int] = []) throws -> Verdict {
    var history = History<LogOp, LogResult>()
    for (index, step) in steps.enumerated() {
      try history.invoke(step.op, by: step.process)
      if failing.contains(index) {
        try history.fail(by: step.process)
      } else if let result = step.result {
        try history.ok(result, by: step.process)
      } else {
        try history.lose(by: step.process)
      }
    }
    return LogDelivery.check(history)
  }
  private func send(_ value: Int, at offset: Int?, by process: Int = 1) -> Step {
    (process, .send(partition: 0, value), offset.map { .sent(offset: $0) })
  }
  private func poll(_ records: [(Int, Int)], by process: Int = 9) -> Step {
    (process, .poll, .polled(records.map { LogRecord(partition: 0, offset: $0.0, value: $0.1) }))
  }

  @Test func aRightLogIsValid() throws {
    #expect(try check([]).isUnknown)
    #expect(try check([send(1, at: 0)]).isUnknown)
    #expect(try check([send(1, at: 0), send(2, at: 1), send(3, at: nil), send(4, at: 5), poll([(0, 1), (1, 2)]), poll([(3, 3), (5, 4)])]).isValid)
    #expect(try check([send(1, at: 0), send(2, at: 1), poll([(0, 1), (1, 2)]), (9, .assign([0]), .assigned), poll([(0, 1)])]).isValid)
  }

  @Test func everyFaultHasItsName() throws {
    expectViolation(try check([send(1, at: 0), send(2, at: 1), poll([(1, 2)])]), "lost write", witness: 2)
    expectViolation(try check([send(1, at: 0), send(2, at: 1, by: 2), poll([(0, 1), (2, 1)])]), "duplicate", witness: 1)
    expectViolation(try check([send(1, at: nil), send(2, at: nil, by: 2), poll([(1, 2), (0, 1)])]), "reordered", witness: 1)
    expectViolation(try check([send(1, at: 0), poll([(0, 1)])], failing: [0]), "aborted read", witness: 2)
    expectViolation(try check([send(1, at: 0), send(2, at: 1), poll([(0, 1), (1, 2)]), poll([(1, 2)])]), "non-monotonic poll", witness: 2)
    expectViolation(
      try check([send(1, at: 0), send(2, at: 1), send(3, at: 2), poll([(0, 1)]), poll([(2, 3)]), poll([(1, 2)], by: 8)]), "skipped", witness: 3)
    expectViolation(try check([send(1, at: 5), send(2, at: 3), poll([(3, 2), (5, 1)])]), "non-monotonic send", witness: 2)
    expectViolation(try check([send(1, at: 0), send(2, at: nil, by: 2), poll([(0, 2)])]), "two values at one offset", witness: 2)
    expectViolation(try check([send(1, at: 0), poll([(0, 7)])]), "phantom value", witness: 1)
    expectViolation(
      try check([send(1, at: 0), (9, .poll, .polled([LogRecord(partition: 1, offset: 0, value: 1)]))]), "wrong partition", witness: 2)
  }
}
