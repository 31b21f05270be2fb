import StrataCheckers
import StrataJobs
import StrataNodes
import StrataRequirements
import Testing

/// What the verdict says and rests on.
@Suite struct LinearizabilityTests {
  typealias Registers = History<RegisterModel.Op, RegisterModel.Result>

  /// `w1` and `r1` are whole operations of one process after the other; letters after a number overlap: see the uses.
  static func sequence(_ steps: [(process: Int, op: RegisterModel.Op, result: RegisterModel.Result?)]) throws -> Registers {
    var history = Registers()
    for step in steps {
      try history.invoke(step.op, by: step.process)
      if let result = step.result { try history.ok(result, by: step.process) }
    }
    return history
  }

  @Test(.requirement("Simulation.never.8")) func aHistoryThatShowsNothingIsUnknown() throws {
    #expect(Linearizability.check(Registers(), against: RegisterModel()).isUnknown)
    var history = Registers()
    try history.invoke(.write(key: 1, 2), by: 0)
    try history.fail(by: 0)
    try history.invoke(.read(key: 1), by: 0)
    try history.lose(by: 0)
    try history.invoke(.write(key: 1, 3), by: 1)
    #expect(Linearizability.check(history, against: RegisterModel()).isUnknown)
  }

  @Test(.requirement("Simulation.checkers.8")) func aStaleReadIsFoundAndTheWitnessIsSmall() throws {
    var random = Random(seed: 11)
    var history = Registers()
    for number in 0..<400 {
      try history.invoke(.write(key: 0, number), by: 0)
      try history.ok(.written, by: 0)
      for reader in 1...2 {
        try history.invoke(.read(key: 0), by: reader)
        try history.ok(.value(number == 250 && reader == 2 ? 247 : number), by: reader)
      }
      if random.chance(1, in: 3) {
        try history.invoke(.write(key: 1, number), by: 3)
        try history.ok(.written, by: 3)
      }
    }
    // The same defect found by the zones and, because of one comparison, by the search.
    let violation = try #require(Linearizability.check(history, against: RegisterModel()).violation)
    #expect(violation.witness.count == 3, "\(violation)")
    #expect(violation.witness.contains { $0.contains("247") } && violation.explanation.contains("247"))
    #expect(violation.html.hasPrefix("<!doctype html>") && violation.html.contains("class=\"c\""))
    try history.invoke(.compareAndSet(key: 0, expected: 399, new: 400), by: 0)
    try history.ok(.compared(true), by: 0)
    let searched = try #require(Linearizability.check(history, against: RegisterModel()).violation)
    #expect(searched.witness.count == 3, "\(searched)")
  }

  @Test(.requirement("Simulation.checkers.2")) func whatNeverReturnedMayTakeEffectLateOrNever() throws {
    var history = Registers()
    try history.invoke(.write(key: 0, 1), by: 0)
    try history.lose(by: 0)
    for seen in [nil, nil, 1, 1] as [Int?] {
      try history.invoke(.read(key: 0), by: 1)
      try history.ok(.value(seen), by: 1)
    }
    #expect(Linearizability.check(history, against: RegisterModel()).isValid)
    try history.invoke(.read(key: 0), by: 1)
    try history.ok(.value(nil), by: 1)
    #expect(Linearizability.check(history, against: RegisterModel()).violation != nil)
  }

  @Test(.requirement("Simulation.checkers.2")) func aKnownFailureHasNoEffect() throws {
    var history = Registers()
    try history.invoke(.write(key: 0, 1), by: 0)
    try history.fail(by: 0)
    try history.invoke(.read(key: 0), by: 0)
    try history.ok(.value(1), by: 0)
    #expect(Linearizability.check(history, against: RegisterModel()).violation != nil)
  }

  @Test(.requirement("Simulation.checkers.2")) func intervalsIncludeTheirEnds() throws {
    // Nothing happens between the return of a write and the invocation of a read, so the read must see it; one event earlier it need not.
    var history = Registers()
    try history.invoke(.write(key: 0, 1), by: 0)
    try history.invoke(.read(key: 0), by: 1)
    try history.ok(.written, by: 0)
    try history.ok(.value(nil), by: 1)
    #expect(Linearizability.check(history, against: RegisterModel()).isValid)
  }

  /// Many concurrent writes of the same few values and a read that nothing explains: exponential for any search.
  static func hard(_ width: Int) throws -> History<CounterModel.Op, CounterModel.Result> {
    var history = History<CounterModel.Op, CounterModel.Result>()
    for process in 0..<width { try history.invoke(.add(1 << process), by: process) }
    for process in 0..<width { try history.ok(.added, by: process) }
    try history.invoke(.read, by: 0)
    try history.ok(.value(-1), by: 0)
    return history
  }

  @Test(.requirement("Simulation.checkers.3")) func aBudgetThatIsUsedUpGivesUnknown() throws {
    let history = try Self.hard(24)
    let steps = Linearizability.check(history, against: CounterModel(), budget: CheckBudget(steps: 10_000))
    #expect(steps.isUnknown, "\(steps)")
    let memory = Linearizability.check(history, against: CounterModel(), budget: CheckBudget(memory: 1 << 16))
    #expect(memory.isUnknown, "\(memory)")
    let time = Linearizability.check(history, against: CounterModel(), budget: CheckBudget(time: .zero))
    #expect(time.isUnknown, "\(time)")
    let cancellation = Cancellation()
    cancellation.cancel()
    let cancelled = Linearizability.check(history, against: CounterModel(), budget: CheckBudget(cancellation: cancellation))
    #expect(cancelled.isUnknown, "\(cancelled)")
    #expect(Linearizability.check(try Self.hard(8), against: CounterModel()).violation != nil)
  }

  @Test(.requirement("Simulation.checkers.4")) func partsAreJudgedInParallelWithTheSameVerdict() throws {
    for wrong in [nil, 3, 40] {
      var history = Registers()
      for number in 0..<6000 {
        try history.invoke(.write(key: number % 50, number), by: 0)
        try history.invoke(.compareAndSet(key: number % 50, expected: -5, new: 2), by: 1)
        try history.ok(.compared(number % 50 == wrong && number > 3000), by: 1)
        try history.ok(.written, by: 0)
      }
      let parallel = Linearizability.check(history, against: RegisterModel(), budget: CheckBudget(threads: 4))
      let single = Linearizability.check(history, against: RegisterModel(), budget: CheckBudget(threads: 1))
      #expect(parallel.isValid == (wrong == nil) && single.isValid == parallel.isValid)
      #expect(parallel.violation == single.violation)
    }
  }

  @Test func partialLinearizationsAreRightAsFarAsTheyGo() throws {
    let model = RegisterModel()
    let history = try Self.sequence([
      (0, .write(key: 0, 1), .written), (1, .write(key: 0, 2), .written), (2, .read(key: 0), .value(1)), (3, .read(key: 1), .value(nil)),
    ])
    let parts = Linearizability.partialLinearizations(history, against: model)
    #expect(parts.count == 2 && parts[0].map(\.operations) == [[0, 1]] && parts[1].map(\.operations) == [[3]])
    var random = Random(seed: 5)
    for _ in 0..<300 {
      let history = try RandomHistory.make(model, operations: 6, lies: 3, random: &random) { _, random in
        random.chance(1, in: 2) ? .read(key: 0) : .write(key: 0, random.below(3))
      } result: { state, op, _ in
        if case .read = op { .value(state) } else { .written }
      }
      for order in Linearizability.partialLinearizations(history, against: model).flatMap({ $0 }) {
        var state: Int?? = .some(nil)
        for operation in order.operations.map({ history.operations[$0] }) {
          state = state.flatMap { model.step($0, operation.op, operation.result) }
        }
        #expect(state != nil)
      }
    }
  }

  @Test func aLongHistoryOfUniqueWritesIsNotSearched() throws {
    var history = Registers()
    for number in 0..<20_000 * testDepth {
      try history.invoke(.write(key: 0, number), by: 0)
      try history.invoke(.read(key: 0), by: 1)
      try history.ok(.written, by: 0)
      try history.ok(.value(number), by: 1)
    }
    guard case .valid(let statistics) = Linearizability.check(history, against: RegisterModel()) else {
      Issue.record("not valid")
      return
    }
    #expect(statistics.steps == history.operations.count)
  }
}
