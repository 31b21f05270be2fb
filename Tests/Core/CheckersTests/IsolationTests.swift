import StrataCheckers
import StrataNodes
import StrataRequirements
import Testing

private typealias L = Planted<ListStep>
private typealias R = Planted<RegisterStep>

/// Each anomaly of Adya's and Elle's catalogues in a history of its own.
@Suite struct IsolationTests {
  struct Case: Sendable, CustomTestStringConvertible {
    let anomaly: Anomaly
    let level: IsolationLevel
    let history: [Planted<ListStep>]
    var testDescription: String { anomaly.rawValue }
  }

  /// What is violated, the strongest level that still is not, and what happened.
  static let listCases: [Case] = [
    Case(
      anomaly: .g0, level: .readUncommitted,
      history: [
        L.all(.append(key: 1, 1), .append(key: 2, 1)), L.all(.append(key: 1, 2), .append(key: 2, 2)),
        L.all(.read(key: 1, [1, 2]), .read(key: 2, [2, 1])),
      ]),
    Case(anomaly: .g1a, level: .readCommitted, history: [L.all(.append(key: 1, 1), end: .fail), L.all(.read(key: 1, [1]))]),
    Case(
      anomaly: .g1b, level: .readCommitted,
      history: [
        L.all(.append(key: 1, 1), .append(key: 1, 2)), L.all(.read(key: 1, [1])), L.all(.read(key: 1, [1, 2])),
      ]),
    Case(
      anomaly: .g1c, level: .readCommitted,
      history: [
        L.all(.append(key: 1, 1), .read(key: 2, [1])), L.all(.append(key: 2, 1), .read(key: 1, [1])),
      ]),
    Case(
      anomaly: .dirtyUpdate, level: .readCommitted,
      history: [
        L.all(.append(key: 1, 1), end: .fail), L.all(.append(key: 1, 2)), L.all(.read(key: 1, [1, 2])),
      ]),
    Case(anomaly: .internal, level: .readAtomic, history: [L.all(.append(key: 1, 1), .read(key: 1, [])), L.all(.read(key: 1, [1]))]),
    Case(
      anomaly: .lostUpdate, level: .cursorStability,
      history: [
        L.all(.read(key: 1, []), .append(key: 1, 1)), L.all(.read(key: 1, []), .append(key: 1, 2)), L.all(.read(key: 1, [1, 2])),
      ]),
    Case(
      anomaly: .gSingle, level: .consistentView,
      history: [
        L.all(.append(key: 1, 1), .append(key: 2, 1)), L.all(.read(key: 1, []), .read(key: 2, [1])), L.all(.read(key: 1, [1])),
      ]),
    Case(
      anomaly: .gNonadjacent, level: .snapshotIsolation,
      history: [
        L.all(.append(key: 1, 1)), L.all(.append(key: 2, 1)), L.all(.read(key: 1, [1]), .read(key: 2, [])),
        L.all(.read(key: 2, [1]), .read(key: 1, [])),
      ]),
    Case(
      anomaly: .g2Item, level: .repeatableRead,
      history: [
        L.all(.read(key: 1, []), .append(key: 2, 1)), L.all(.read(key: 2, []), .append(key: 1, 1)),
        L.all(.read(key: 1, [1]), .read(key: 2, [1])),
      ]),
    Case(anomaly: .duplicate, level: .readUncommitted, history: [L.all(.append(key: 1, 1)), L.all(.read(key: 1, [1, 1]))]),
    Case(anomaly: .garbage, level: .readUncommitted, history: [L.all(.append(key: 1, 1)), L.all(.read(key: 1, [7]))]),
    Case(
      anomaly: .incompatibleOrder, level: .readCommitted,
      history: [
        L.all(.append(key: 1, 1)), L.all(.append(key: 1, 2)), L.all(.read(key: 1, [1, 2])), L.all(.read(key: 1, [2, 1])),
      ]),
    Case(
      anomaly: .g0Process, level: .strongSessionReadUncommitted,
      history: [
        L.at(0, 1, process: 1, .append(key: 1, 1)), L.at(2, 3, process: 1, .append(key: 1, 2)), L.all(.read(key: 1, [2, 1])),
      ]),
    Case(
      anomaly: .g0Realtime, level: .strongReadUncommitted,
      history: [
        L.at(0, 1, .append(key: 1, 1)), L.at(2, 3, .append(key: 1, 2)), L.all(.read(key: 1, [2, 1])),
      ]),
    Case(
      anomaly: .g1cProcess, level: .strongSessionReadCommitted,
      history: [
        L.at(0, 1, process: 1, .read(key: 1, [1])), L.at(2, 3, process: 1, .append(key: 1, 1)),
      ]),
    Case(anomaly: .g1cRealtime, level: .strongReadCommitted, history: [L.at(0, 1, .read(key: 1, [1])), L.at(2, 3, .append(key: 1, 1))]),
    Case(
      anomaly: .gSingleProcess, level: .strongSessionSnapshotIsolation,
      history: [
        L.at(0, 1, process: 1, .append(key: 1, 1)), L.at(2, 3, process: 1, .read(key: 1, [])), L.all(.read(key: 1, [1])),
      ]),
    Case(
      anomaly: .gSingleRealtime, level: .strongSnapshotIsolation,
      history: [
        L.at(0, 1, .append(key: 1, 1)), L.at(2, 3, .read(key: 1, [])), L.all(.read(key: 1, [1])),
      ]),
    Case(anomaly: .gNonadjacentProcess, level: .strongSessionSnapshotIsolation, history: nonadjacent(process: 1)),
    Case(anomaly: .gNonadjacentRealtime, level: .strongSnapshotIsolation, history: nonadjacent(process: -1)),
    Case(anomaly: .g2ItemProcess, level: .strongSessionSerializable, history: inARow(process: 1)),
    Case(anomaly: .g2ItemRealtime, level: .strictSerializable, history: inARow(process: -1)),
  ]

  static func nonadjacent(process: Int) -> [Planted<ListStep>] {
    [
      L.at(10, 11, process: process, .append(key: 2, 1)), L.at(12, 13, process: process, .read(key: 1, [])), L.all(.append(key: 1, 1)),
      L.all(.read(key: 1, [1]), .read(key: 2, [])), L.all(.read(key: 2, [1])),
    ]
  }

  static func inARow(process: Int) -> [Planted<ListStep>] {
    [
      L.at(10, 11, process: process, .append(key: 2, 1)), L.at(12, 13, process: process, .read(key: 1, [])),
      L.all(.append(key: 1, 1), .read(key: 2, [])), L.all(.read(key: 2, [1]), .read(key: 1, [1])),
    ]
  }

  @Test(.requirement("Simulation.never.8", "Simulation.checkers.5", "Simulation.checkers.8"), arguments: listCases)
  func aPlantedAnomalyIsFound(_ planted: Case) throws {
    let verdict = try Isolation.checkListAppend(try lists(planted.history), expecting: planted.level)
    let violation = try #require(verdict.violation, "\(verdict)")
    #expect(anomalies(verdict).contains(planted.anomaly.rawValue), "\(violation)")
    #expect(violation.ruledOut.contains(planted.level.rawValue) && violation.ruledOut.contains("strict-serializable"))
    #expect(!violation.witness.isEmpty && violation.html.contains("<svg") && !violation.explanation.isEmpty)
    if planted.anomaly.rawValue.hasPrefix("G"), ![.g1a, .g1b].contains(planted.anomaly) {
      #expect(violation.kind == planted.anomaly.rawValue, "\(violation)")
    }
    // Levels that do not promise anything about it stay possible.
    for level in IsolationLevel.allCases where !violation.ruledOut.contains(level.rawValue) {
      #expect(try Isolation.checkListAppend(try lists(planted.history), expecting: level).isValid, "\(level)")
    }
  }

  @Test func whatALevelAllowsIsARemark() throws {
    let skew = try #require(Self.listCases.first { $0.anomaly == .g2Item })
    let verdict = try Isolation.checkListAppend(try lists(skew.history), expecting: .snapshotIsolation)
    guard case .valid(let statistics) = verdict else {
      Issue.record("\(verdict)")
      return
    }
    #expect(statistics.remarks == ["G2-item, which snapshot-isolation allows"])
  }

  @Test(.requirement("Simulation.checkers.6")) func theShortestCircleIsTheWitness() throws {
    // A circle of five and, within the same component, one of two.
    var planted = (0..<5).map { L.all(.append(key: $0, 1), .read(key: ($0 + 4) % 5, [1])) }
    planted.append(L.all(.append(key: 9, 1), .read(key: 0, [1])))
    planted[0].steps.append(.read(key: 9, [1]))
    let violation = try #require(try Isolation.checkListAppend(try lists(planted), expecting: .serializable).violation)
    #expect(violation.kind == "G1c" && violation.witness.count == 4, "\(violation)")
    #expect(violation.html.contains("wr x9: 1"))
  }

  @Test(.requirement("Simulation.never.8")) func aHistoryWithoutCommitsIsUnknown() throws {
    #expect(try Isolation.checkListAppend(ListHistory(), expecting: .readUncommitted).isUnknown)
    let failed = try lists([L.all(.append(key: 1, 1), end: .fail), L.all(.append(key: 1, 2), end: .info)])
    #expect(try Isolation.checkListAppend(failed, expecting: .readUncommitted).isUnknown)
    #expect(try Isolation.checkRegisters(RegisterHistory(), expecting: .readUncommitted).isUnknown)
  }

  @Test func aValueWrittenTwiceIsAnErrorOfTheHistory() throws {
    let twice = try lists([L.at(0, 1, .append(key: 1, 5)), L.at(2, 3, .append(key: 1, 5))])
    #expect(throws: HistoryError.duplicateWrite(of: "the append of 5 to x1", at: .event(2), before: .event(0))) {
      try Isolation.checkListAppend(twice, expecting: .serializable)
    }
    let registers = try registers([R.at(0, 1, .write(key: 1, 5)), R.at(2, 3, .write(key: 1, 5))])
    #expect(throws: HistoryError.self) { try Isolation.checkRegisters(registers, expecting: .serializable) }
  }

  @Test func aTransactionWhoseEndNobodySawCountsOnceItWasRead() throws {
    // The first reads its own future through an open transaction.
    let history = try lists([
      L.all(.append(key: 1, 1), .read(key: 2, [1])), L.all(.append(key: 2, 1), .append(key: 3, 1), end: .info),
      L.all(.read(key: 3, [1]), .read(key: 1, [])), L.all(.read(key: 1, [1])),
    ])
    #expect(try Isolation.checkListAppend(history, expecting: .strictSerializable).isValid)
    let dirty = try lists([
      L.all(.append(key: 1, 1), .append(key: 2, 1), end: .info), L.all(.read(key: 1, [1]), .read(key: 2, [])), L.all(.read(key: 2, [1])),
    ])
    #expect(anomalies(try Isolation.checkListAppend(dirty, expecting: .serializable)).contains("G-single"))
  }

  // MARK: Registers

  struct RegisterCase: Sendable, CustomTestStringConvertible {
    let anomaly: Anomaly
    let history: [Planted<RegisterStep>]
    var order: RegisterOrder = []
    var testDescription: String { anomaly.rawValue }
  }

  static let registerCases: [RegisterCase] = [
    RegisterCase(anomaly: .g1a, history: [R.all(.write(key: 1, 1), end: .fail), R.all(.read(key: 1, 1))]),
    RegisterCase(anomaly: .g1b, history: [R.all(.write(key: 1, 1), .write(key: 1, 2)), R.all(.read(key: 1, 1))]),
    RegisterCase(
      anomaly: .g1c,
      history: [
        R.all(.write(key: 1, 1), .read(key: 2, 1)), R.all(.write(key: 2, 1), .read(key: 1, 1)),
      ]),
    RegisterCase(anomaly: .internal, history: [R.all(.write(key: 1, 1), .read(key: 1, 2)), R.all(.write(key: 1, 2))]),
    RegisterCase(anomaly: .garbage, history: [R.all(.read(key: 1, 9))]),
    RegisterCase(
      anomaly: .lostUpdate,
      history: [
        R.all(.write(key: 1, 1)), R.all(.read(key: 1, 1), .write(key: 1, 2)), R.all(.read(key: 1, 1), .write(key: 1, 3)),
      ]),
    RegisterCase(
      anomaly: .gSingle,
      history: [
        R.all(.write(key: 1, 1), .write(key: 2, 1)), R.all(.read(key: 1, nil), .read(key: 2, 1)),
      ]),
    RegisterCase(
      anomaly: .gNonadjacent,
      history: [
        R.all(.write(key: 1, 1)), R.all(.write(key: 2, 1)), R.all(.read(key: 1, 1), .read(key: 2, nil)), R.all(.read(key: 2, 1), .read(key: 1, nil)),
      ]),
    RegisterCase(anomaly: .g2Item, history: [R.all(.read(key: 1, nil), .write(key: 2, 1)), R.all(.read(key: 2, nil), .write(key: 1, 1))]),
    RegisterCase(
      anomaly: .cyclicVersions,
      history: [
        R.all(.read(key: 1, 1), .write(key: 1, 2)), R.all(.read(key: 1, 2), .write(key: 1, 1)),
      ]),
    RegisterCase(
      anomaly: .g0,
      history: [
        R.at(0, 1, .write(key: 1, 1)), R.at(2, 30, .write(key: 1, 2), .write(key: 2, 2)), R.at(4, 30, .write(key: 1, 3), .write(key: 2, 1)),
        R.at(31, 32, .read(key: 1, 3), .read(key: 2, 2)), R.at(2, 3, .read(key: 1, 2)), R.at(2, 3, .read(key: 2, 1)),
      ], order: .linearizable),
    RegisterCase(anomaly: .gSingleRealtime, history: [R.at(0, 1, .write(key: 1, 1)), R.at(2, 3, .read(key: 1, nil))]),
    RegisterCase(
      anomaly: .gSingleProcess,
      history: [
        R.at(0, 1, process: 1, .write(key: 1, 1)), R.at(2, 3, process: 1, .read(key: 1, nil)),
      ]),
  ]

  @Test(.requirement("Simulation.never.8"), arguments: registerCases)
  func aPlantedAnomalyOfRegistersIsFound(_ planted: RegisterCase) throws {
    let verdict = try Isolation.checkRegisters(try registers(planted.history), expecting: .strictSerializable, order: planted.order)
    #expect(anomalies(verdict).contains(planted.anomaly.rawValue), "\(verdict)")
  }

  @Test func sequentialRegistersShowMore() throws {
    // One client sees 1 and then 2 in x, another 2 and then 1.
    let history = try registers([
      R.all(.write(key: 1, 1)), R.all(.write(key: 1, 2)), R.at(0, 1, process: 1, .read(key: 1, 1)), R.at(2, 3, process: 1, .read(key: 1, 2)),
      R.at(0, 1, process: 2, .read(key: 1, 2)), R.at(2, 3, process: 2, .read(key: 1, 1)),
    ])
    #expect(try Isolation.checkRegisters(history, expecting: .strictSerializable).isValid)
    #expect(anomalies(try Isolation.checkRegisters(history, expecting: .strictSerializable, order: .sequential)).contains("cyclic-versions"))
  }
}

/// Random histories of databases that keep what they promise, and of such that do not.
@Suite struct IsolationPropertyTests {
  @Test(
    .requirement("Simulation.checkers.5"),
    arguments: [
      (ListDatabase.Mode.serial, IsolationLevel.strictSerializable), (.snapshot, .snapshotIsolation), (.readCommitted, .readCommitted),
    ])
  func aDatabaseThatKeepsItsPromiseIsValid(_ mode: ListDatabase.Mode, _ level: IsolationLevel) throws {
    var stronger = 0
    for seed in 1...UInt64(60 * testDepth) {
      var random = Random(seed: seed)
      let history = try ListDatabase.run(mode, transactions: 120, keys: 3, processes: 5, readsAllLast: true, random: &random)
      let verdict = try Isolation.checkListAppend(history, expecting: level)
      #expect(verdict.isValid, "seed \(seed): \(verdict)")
      if mode != .serial, try Isolation.checkListAppend(history, expecting: .strictSerializable).violation != nil { stronger += 1 }
    }
    // What a weaker database does is caught by a stronger expectation.
    #expect(mode == .serial || stronger > 40, "\(stronger)")
  }

  @Test func whatIsNotCommittedShows() throws {
    var caught = 0
    for seed in 1...UInt64(40) {
      var random = Random(seed: seed)
      let history = try ListDatabase.run(.readUncommitted, transactions: 60, keys: 3, processes: 5, readsAllLast: true, random: &random)
      if try Isolation.checkListAppend(history, expecting: .readCommitted).violation != nil { caught += 1 }
    }
    #expect(caught > 30, "\(caught)")
  }

  @Test(.requirement("Simulation.checkers.6")) func smallHistoriesAgreeWithTheDefinition() throws {
    let seed: UInt64 = 77
    var random = Random(seed: seed)
    var right = 0
    var wrong = 0
    for round in 0..<4000 * testDepth {
      let mode = [ListDatabase.Mode.serial, .snapshot, .readCommitted, .readUncommitted][random.below(4)]
      let history = try ListDatabase.run(mode, transactions: 5, keys: 2, processes: 3, readsAllLast: true, random: &random)
      let expected = BruteForce.isLinearizable(history, ListTransactionModel())
      let verdict = try Isolation.checkListAppend(history, expecting: .strictSerializable)
      if expected { right += 1 } else { wrong += 1 }
      #expect(verdict.isValid == expected, "seed \(seed), round \(round): \(verdict) where the definition says \(expected)")
    }
    #expect(right > 400 && wrong > 400, "\(right) right, \(wrong) wrong")
  }

  @Test func withoutALastReadNothingRightIsCalledWrong() throws {
    let seed: UInt64 = 78
    var random = Random(seed: seed)
    for round in 0..<2000 * testDepth {
      let mode = [ListDatabase.Mode.serial, .snapshot, .readCommitted][random.below(3)]
      let history = try ListDatabase.run(mode, transactions: 5, keys: 2, processes: 3, readsAllLast: false, random: &random)
      guard try Isolation.checkListAppend(history, expecting: .strictSerializable).violation != nil else { continue }
      #expect(!BruteForce.isLinearizable(history, ListTransactionModel()), "seed \(seed), round \(round)")
    }
  }
}
