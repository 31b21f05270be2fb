import StrataNodes
import Testing

@testable import StrataSSTable

/// Which keys of a merge into the base go a level further.
@Suite struct DescentTests {
  /// A base over its target, four flushes of everything over it, and ten tables below.
  private static func shape(base: [TableMetadata]) -> LSMShape {
    var levels: [[TableMetadata]] = Array(repeating: [], count: 7)
    levels[0] = (0..<4).map { PlannerTests.table(UInt64(100 - $0), 0, 999, size: 100) }
    levels[5] = base
    levels[6] = (0..<10).map { PlannerTests.table(UInt64(10 + $0), $0 * 100, $0 * 100 + 99, size: 300, level: 6) }
    return LSMShape(levels: levels)
  }

  private static var strategy: LeveledStrategy {
    var strategy = LeveledStrategy()
    (strategy.baseLevelBytes, strategy.targetFileSize, strategy.allowsDescents) = (500, 100, true)
    return strategy
  }

  @Test func theDensestKeysThatAreEnoughGoOn() throws {
    // Between 300 and 499 the base holds three times as much as elsewhere.
    let base = [(0, 299, 60), (300, 499, 180), (500, 999, 100)].enumerated().map {
      PlannerTests.table(UInt64(30 + $0), $1.0, $1.1, size: UInt64($1.2), level: 5)
    }
    let plan = try #require(Self.strategy.plan(Self.shape(base: base), busy: []))
    // 740 bytes come together, 240 too many; a table below has 40 of the flushes and 90 of the base here.
    #expect(plan.outputLevel == 5 && plan.inputs.map(\.count) == [4, 3, 2] && plan.inputs[2].map(\.fileID) == [13, 14])
    #expect(plan.descent == Descent(level: 6, bounds: KeyBounds(from: PlannerTests.key(300), to: PlannerTests.key(500))))
  }

  @Test func nothingGoesOnThatHasRoom() throws {
    let base = [PlannerTests.table(30, 0, 999, size: 100, level: 5)]
    let plan = try #require(Self.strategy.plan(Self.shape(base: base), busy: []))
    #expect(plan.inputs.map(\.count) == [4, 1] && plan.descent == nil)
    var strategy = Self.strategy
    strategy.allowsDescents = false
    let full = Self.shape(base: [PlannerTests.table(30, 0, 999, size: 400, level: 5)])
    #expect(strategy.plan(full, busy: [])?.descent == nil && Self.strategy.plan(full, busy: [])?.descent != nil)
  }

  @Test func whereOthersWorkBelowNothingGoesOn() throws {
    let full = Self.shape(base: [PlannerTests.table(30, 0, 999, size: 400, level: 5)])
    let plan = try #require(Self.strategy.plan(full, busy: [19]))
    #expect(plan.inputs.map(\.count) == [4, 1] && plan.descent == nil)
  }

  /// Where what may be read does not suffice, the most that it allows goes on.
  @Test func tablesReadAreBounded() throws {
    var strategy = Self.strategy
    strategy.maxInputs = 4
    let full = Self.shape(base: [PlannerTests.table(30, 0, 999, size: 400, level: 5)])
    let plan = try #require(strategy.plan(full, busy: []))
    #expect(plan.inputs.map(\.count) == [4, 1, 3])
    strategy.maxInputs = 5
    #expect(strategy.plan(full, busy: [])?.inputs.map(\.count) == [4, 1, 4])
  }

  /// Over all shapes: a run of neighbours that brings enough where any does, and no shorter part of it would.
  @Test(arguments: 0..<UInt64(200)) func choicesAreAsGoodAsTheyCanBe(seed: UInt64) {
    var random = Random(seed: seed)
    let lower = (0..<random.within(1...12)).map {
      PlannerTests.table(UInt64($0), $0 * 100, $0 * 100 + 99, size: UInt64(random.within(1...500)), level: 6)
    }
    let upper = (0..<random.within(1...6)).map { index in
      let from = random.below(lower.count * 100)
      return PlannerTests.table(UInt64(50 + index), from, from + random.below(lower.count * 100 - from), size: UInt64(random.within(1...900)))
    }
    let choice = DescentChoice(upper: upper, lower: lower, excess: UInt64(random.within(1...2000)), most: random.within(0...8))
    let chosen = choice.chosen()
    #expect(chosen.count <= max(0, choice.most), "seed \(seed)")
    let arriving = choice.arriving()
    #expect(abs(arriving.reduce(0, +) - Double(upper.reduce(0) { $0 + $1.fileSize })) < 0.001, "seed \(seed): bytes got lost")
    func bytes(_ range: Range<Int>) -> Double { arriving[range].reduce(0, +) }
    func cost(_ range: Range<Int>) -> Double { Double(lower[range].reduce(0) { $0 + $1.fileSize }) / bytes(range) }
    let runs = lower.indices.flatMap { from in (from..<lower.count).map { from..<$0 + 1 } }.filter { $0.count <= choice.most && bytes($0) > 0 }
    // The cheapest of those that reach and of which no end can be spared; by a hair they may differ in how they were added up.
    let enough = runs.filter { bytes($0) >= Double(choice.excess) + 0.001 }
    if !enough.isEmpty {
      #expect(bytes(chosen) >= Double(choice.excess) - 0.001, "seed \(seed)")
      #expect(bytes(chosen.dropFirst().isEmpty ? 0..<0 : chosen.lowerBound + 1..<chosen.upperBound) < Double(choice.excess) + 0.001, "seed \(seed)")
      let least = enough.filter { bytes($0.lowerBound + 1..<$0.upperBound) < Double(choice.excess) - 0.001 }
      for other in least where other.upperBound != chosen.upperBound && lower.indices.contains(other.upperBound - 1) {
        #expect(cost(chosen) <= cost(other) + 0.001, "seed \(seed): \(chosen), but \(other) costs less")
      }
    } else if let most = runs.map(bytes).max(), most < Double(choice.excess) - 0.001 {
      #expect(abs(bytes(chosen) - most) < 0.001, "seed \(seed)")
    }
  }
}
