import StrataCheckers
import StrataNodes
import StrataRequirements
import Testing

/// A history of whole operations one after the other; without a result the end is unknown.
func whole<Op, Result>(_ steps: [(process: Int, op: Op, result: Result?)]) throws -> History<Op, Result> {
  var history = History<Op, Result>()
  for step in steps {
    try history.invoke(step.op, by: step.process)
    if let result = step.result { try history.ok(result, by: step.process) } else { try history.lose(by: step.process) }
  }
  return history
}

/// A violation of this kind that shows itself.
func expectViolation(_ verdict: Verdict, _ kind: String, witness: Int? = nil, _ location: SourceLocation = #_sourceLocation) {
  guard let violation = verdict.violation else {
    Issue.record("not a violation: \(verdict)", sourceLocation: location)
    return
  }
  #expect(violation.kind == kind, "\(violation)", sourceLocation: location)
  #expect(!violation.explanation.isEmpty && violation.html.contains("<svg"), sourceLocation: location)
  if let witness { #expect(violation.witness.count == witness, "\(violation)", sourceLocation: location) }
}

@Suite(.requirement("Simulation.never.8", "Simulation.checkers.7")) struct SessionGuaranteeTests {
  typealias Step = (process: Int, op: VersionedOp, result: UInt64?)

  private func check(_ steps: [Step]) throws -> Verdict { SessionGuarantees.check(try whole(steps)) }

  @Test func emptyIsUnknown() throws {
    #expect(SessionGuarantees.check(History()).isUnknown)
    #expect(try check([(1, .write(key: 1), nil)]).isUnknown)
  }

  @Test func eachGuaranteeIsJudged() throws {
    expectViolation(try check([(1, .write(key: 1), 5), (1, .read(key: 1), 4)]), "read-your-writes", witness: 2)
    expectViolation(try check([(1, .read(key: 1), 5), (1, .read(key: 1), 4)]), "monotonic-reads", witness: 2)
    expectViolation(try check([(1, .write(key: 1), 5), (1, .write(key: 1), 4)]), "monotonic-writes", witness: 2)
    expectViolation(try check([(1, .read(key: 1), 5), (1, .write(key: 1), 4)]), "writes-follow-reads", witness: 2)
  }

  @Test func whatASessionHeardOfAnotherCounts() throws {
    // The second session saw y, which the first wrote after x, and then not x.
    expectViolation(
      try check([(1, .write(key: 1), 1), (1, .write(key: 2), 1), (2, .read(key: 2), 1), (2, .read(key: 1), 0)]), "monotonic-writes", witness: 4)
    // The answer without the question: session 1 read x, then wrote y.
    expectViolation(
      try check([(3, .write(key: 1), 1), (1, .read(key: 1), 1), (1, .write(key: 2), 1), (2, .read(key: 2), 1), (2, .read(key: 1), 0)]),
      "writes-follow-reads", witness: 4)
    // By way of a third.
    expectViolation(
      try check([
        (1, .write(key: 1), 1), (1, .write(key: 2), 1), (2, .read(key: 2), 1), (2, .write(key: 3), 1), (3, .read(key: 3), 1), (3, .read(key: 1), 0),
      ]), "monotonic-writes")
    #expect(try check([(1, .write(key: 1), 1), (1, .write(key: 2), 1), (2, .read(key: 1), 0), (2, .read(key: 2), 1), (2, .read(key: 1), 1)]).isValid)
  }

  @Test func aPromiseNotGivenIsNotJudged() throws {
    let history = try whole([(1, .write(key: 1), 5), (1, .read(key: 1), 4)] as [Step])
    #expect(SessionGuarantees.check(history, promising: [.monotonicReads]).isValid)
  }

  @Test func aSerialStoreKeepsAllGuarantees() throws {
    var random = Random(seed: 3)
    for _ in 0..<200 {
      var versions: [Int: UInt64] = [:]
      var steps: [Step] = []
      for _ in 0..<40 {
        let key = random.below(4)
        if random.chance(1, in: 2) {
          versions[key, default: 0] += 1
          steps.append((random.below(4), .write(key: key), versions[key]))
        } else {
          steps.append((random.below(4), .read(key: key), versions[key] ?? 0))
        }
      }
      let verdict = try check(steps)
      #expect(verdict.isValid, "\(verdict)")
    }
  }
}

@Suite(.requirement("Simulation.never.8", "Simulation.checkers.7")) struct ConvergenceTests {
  typealias Replica = Convergence.Replica<Int, [Int]>

  @Test func equalDeliveriesMeanEqualStates() {
    #expect(Convergence.check([Replica]()).isUnknown)
    #expect(Convergence.check([Replica(name: "a", delivered: [1], observed: [1]), Replica(name: "b", delivered: [2], observed: [2])]).isUnknown)
    let a = Replica(name: "a", delivered: [1, 2], observed: [1, 2])
    #expect(Convergence.check([a, Replica(name: "b", delivered: [2, 1], observed: [1, 2])]).isValid)
    expectViolation(Convergence.check([a, Replica(name: "b", delivered: [2, 1], observed: [2, 1])]), "divergence", witness: 2)
  }

  @Test func mergeLawsAreJudged() {
    let states: [Set<Int>] = [[], [1], [2], [1, 2, 3]]
    #expect(Convergence.checkMerge(states) { $0.union($1) }.isValid)
    #expect(Convergence.checkMerge([Set<Int>()]) { $0.union($1) }.isUnknown)
    #expect(Convergence.checkMerge([1, 1]) { $0 + $1 }.isUnknown)
    expectViolation(Convergence.checkMerge([1, 2]) { $0 + $1 }, "idempotence", witness: 2)
    expectViolation(Convergence.checkMerge([1, 2]) { first, _ in first }, "commutativity", witness: 4)
    expectViolation(Convergence.checkMerge([1, 2, 3]) { $0 == $1 ? $0 : 6 - $0 - $1 }, "inflation", witness: 4)
    // The best of two, where "best" goes in a circle.
    let beats: (Int, Int) -> Int = { a, b in a == b ? a : (a + 1) % 3 == b ? b : a }
    expectViolation(Convergence.checkMerge([0, 1, 2], merge: beats), "associativity", witness: 5)
  }

  @Test func updatesOnlyAdd() {
    let merge: (Set<Int>, Set<Int>) -> Set<Int> = { $0.union($1) }
    #expect(Convergence.checkUpdates([[], [1]], [1, 2], apply: { $0.union([$1]) }, merge: merge).isValid)
    #expect(Convergence.checkUpdates([[1]], [Int](), apply: { $0.union([$1]) }, merge: merge).isUnknown)
    expectViolation(Convergence.checkUpdates([[1]], [1], apply: { $0.subtracting([$1]) }, merge: merge), "inflation", witness: 3)
  }
}

@Suite(.requirement("Simulation.never.8", "Simulation.checkers.7")) struct DurabilityTests {
  typealias Batch = Durability.Batch<String, Int>

  let batches = [
    Batch([("a", 1)], .durable), Batch([("a", 2), ("b", 2)], .durable), Batch([("b", nil), ("c", 3)], .durable),
    Batch([("a", 4), ("d", 4)], .accepted),
    Batch([("e", 5), ("d", 5)], .none),
  ]

  @Test func someFirstBatchesAreRight() {
    #expect(Durability.check(batches, recovered: ["a": 2, "c": 3]).isValid)
    #expect(Durability.check(batches, recovered: ["a": 4, "c": 3, "d": 4]).isValid)
    #expect(Durability.check(batches, recovered: ["a": 4, "c": 3, "d": 5, "e": 5]).isValid)
  }

  @Test func everyBrokenPromiseHasItsName() {
    expectViolation(Durability.check(batches, recovered: ["a": 2]), "lost write")
    expectViolation(Durability.check(batches, recovered: ["a": 1, "c": 3]), "resurrection")
    expectViolation(Durability.check(batches, recovered: ["a": 2, "b": 2, "c": 3]), "resurrection")
    expectViolation(Durability.check(batches, recovered: ["a": 2, "c": 3, "z": 1]), "phantom")
    expectViolation(Durability.check(batches, recovered: ["a": 9, "c": 3]), "phantom")
    expectViolation(Durability.check(batches, recovered: ["a": 4, "c": 3]), "torn batch")
    expectViolation(
      Durability.check([Batch([("a", 1)], .accepted), Batch([("b", 1)], .accepted)], recovered: ["b": 1]), "gap", witness: 3)
    #expect(Durability.check([Batch([("a", 1)], .none)], recovered: [:]).isUnknown)
    #expect(Durability.check([Batch](), recovered: [:]).isUnknown)
  }

  @Test func agreesWithTheDefinition() {
    let seed: UInt64 = 21
    var random = Random(seed: seed)
    for round in 0..<5000 * testDepth {
      let batches = (0..<1 + random.below(5)).map { number in
        Batch(
          (0..<1 + random.below(2)).map { _ in (["a", "b", "c"][random.below(3)], random.chance(1, in: 4) ? nil : number) },
          [Durability.Acknowledgement.durable, .accepted, .none][random.below(3)])
      }
      var recovered: [String: Int] = [:]
      for batch in batches.prefix(random.below(batches.count + 1)) { for change in batch.changes { recovered[change.key] = change.value } }
      if random.chance(1, in: 2) { recovered[["a", "b", "c"][random.below(3)]] = random.chance(1, in: 2) ? nil : random.below(6) }
      let first = (batches.lastIndex { $0.acknowledgement == .durable } ?? -1) + 1
      let isRight = (first...batches.count).contains { length in
        var state: [String: Int] = [:]
        for batch in batches.prefix(length) { for change in batch.changes { state[change.key] = change.value } }
        return state == recovered
      }
      let verdict = Durability.check(batches, recovered: recovered)
      if verdict.isUnknown { continue }
      #expect(verdict.isValid == isRight, "seed \(seed), round \(round): \(verdict)")
    }
  }
}

@Suite(.requirement("Simulation.never.8", "Simulation.checkers.7")) struct TotalOrderTests {
  private func check(_ a: [Int], _ b: [Int], _ c: [Int] = [], _ agreement: TotalOrder.Agreement = .sameSequence, lost: Set<Int> = []) -> Verdict {
    TotalOrder.check([("a", a), ("b", b), ("c", c)], agreement: agreement, broadcast: Set(0..<10), acknowledged: lost)
  }

  @Test func sequencesAreJudged() {
    #expect(check([], []).isUnknown)
    #expect(check([1, 2, 3], [1, 2], [1, 2, 3]).isValid)
    expectViolation(check([1, 2, 3], [1, 3]), "different order", witness: 2)
    expectViolation(check([1, 2], [2, 1]), "different order")
    expectViolation(check([1, 2, 1], []), "duplicate", witness: 1)
    expectViolation(check([1, 77], []), "phantom", witness: 1)
    expectViolation(check([1, 2], [1], lost: [3]), "lost message")
  }

  @Test func ordersAreJudged() {
    #expect(check([1, 2, 3], [1, 3], [2, 3], .sameOrder).isValid)
    expectViolation(check([1, 2], [2, 3], [3, 1], .sameOrder), "different order", witness: 3)
    expectViolation(check([1, 2, 3], [3, 1], [], .sameOrder), "different order")
  }
}

@Suite(.requirement("Simulation.never.8", "Simulation.checkers.7")) struct MutualExclusionTests {
  typealias Step = (process: Int, op: LockOp, result: LockResult?)
  private func check(_ steps: [Step], leases: Bool = false) throws -> Verdict { MutualExclusion.check(try whole(steps), leases: leases) }

  @Test func locksAreJudged() throws {
    #expect(try check([]).isUnknown)
    #expect(try check([(1, .acquire(lock: 1), nil)]).isUnknown)
    let proper: [Step] = [
      (1, .acquire(lock: 1), .acquired(token: 3)), (1, .use(lock: 1, token: 3), .used), (1, .release(lock: 1), .released),
      (2, .acquire(lock: 1), .acquired(token: 4)), (3, .acquire(lock: 2), .acquired(token: 1)), (2, .use(lock: 1, token: 4), .used),
    ]
    #expect(try check(proper).isValid)
    expectViolation(try check([(1, .acquire(lock: 1), .acquired(token: 3)), (2, .acquire(lock: 1), .acquired(token: 4))]), "two holders", witness: 2)
    #expect(try check([(1, .acquire(lock: 1), .acquired(token: 3)), (2, .acquire(lock: 1), .acquired(token: 4))], leases: true).isValid)
    // A release nobody saw the end of may have worked.
    #expect(
      try check([(1, .acquire(lock: 1), .acquired(token: 3)), (1, .release(lock: 1), nil), (2, .acquire(lock: 1), .acquired(token: 4))]).isValid)
  }

  @Test func tokensAreJudged() throws {
    expectViolation(
      try check([
        (1, .acquire(lock: 1), .acquired(token: 5)), (1, .release(lock: 1), .released), (2, .acquire(lock: 1), .acquired(token: 4)),
      ]), "token went back", witness: 2)
    expectViolation(
      try check([
        (1, .acquire(lock: 1), .acquired(token: 5)), (1, .release(lock: 1), .released), (2, .acquire(lock: 1), .acquired(token: 5)),
      ]), "token twice", witness: 2)
    expectViolation(
      try check(
        [
          (1, .acquire(lock: 1), .acquired(token: 5)), (2, .acquire(lock: 1), .acquired(token: 6)), (2, .use(lock: 1, token: 6), .used),
          (1, .use(lock: 1, token: 5), .used),
        ], leases: true), "old token accepted", witness: 2)
  }
}
