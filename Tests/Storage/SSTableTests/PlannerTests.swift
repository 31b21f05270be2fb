import StrataNodes
import StrataRequirements
import Testing

@testable import StrataSSTable

/// Planners over shapes made of tables that hold ranges of numbers; carrying a plan out keeps what it must.
@Suite struct PlannerTests {
  static func key(_ number: Int) -> [UInt8] { bytes(String(1_000_000 + number)) }

  static func table(_ id: UInt64, _ from: Int, _ to: Int, size: UInt64, level: UInt8 = 0) -> TableMetadata {
    var table = TableMetadata(fileID: id, level: level)
    table.smallest = InternalKey(userKey: key(from), trailer: Trailer(id, .value))
    table.largest = InternalKey(userKey: key(to), trailer: Trailer(id, .value))
    (table.fileSize, table.entryCount, table.dataBlockCount) = (size, 100, 10)
    (table.minSequence, table.maxSequence) = (id, id)
    return table
  }

  static func isSorted(_ level: [TableMetadata]) -> Bool { zip(level, level.dropFirst()).allSatisfy { $0.endsBefore($1.smallest.userKey) } }

  /// What a plan makes of a shape: outputs cover what the inputs covered, cut at the target size.
  static func carryOut(_ plan: CompactionPlan, _ shape: LSMShape, _ nextID: inout UInt64, target: UInt64) -> LSMShape {
    var shape = shape
    let ids = plan.inputIDs
    let age = shape.levels[0].firstIndex { ids.contains($0.fileID) } ?? 0
    for level in shape.levels.indices { shape.levels[level].removeAll { ids.contains($0.fileID) } }
    guard plan.kind != .deleteOnly else { return shape }
    let inputs = plan.inputs.flatMap { $0 }
    var outputs: [TableMetadata] = []
    if plan.kind == .trivialMove {
      outputs = inputs
      for index in outputs.indices { outputs[index].level = UInt8(plan.outputLevel) }
    } else if let descent = plan.descent {
      // Keys up to the descent, those within it, among which are all of the level below, and those behind it.
      let keys = span(plan.inputs[0] + plan.inputs[1])
      let from = descent.bounds.from.map(number) ?? .min
      let to = descent.bounds.to.map(number) ?? .max
      let within = span(plan.inputs[2]).map { [$0.clamped(to: from...(to - 1)), $0] } ?? []
      #expect(within.count == 2 && within[0] == within[1], "tables of the level below reach beyond the descent")
      let moved = (keys.map { $0.overlaps(from...(to - 1)) ? [$0.clamped(to: from...(to - 1))] : [] } ?? []) + within
      let upper = plan.inputs[0] + plan.inputs[1]
      for range in [keys.flatMap { $0.lowerBound < from ? $0.lowerBound...min($0.upperBound, from - 1) : nil },
        keys.flatMap { $0.upperBound >= to ? max($0.lowerBound, to)...$0.upperBound : nil }]
      {
        guard let range else { continue }
        outputs += pieces(range, upper.reduce(0) { $0 + $1.fileSize } / 3, level: plan.outputLevel, &nextID, target: target)
      }
      let low = moved.map(\.lowerBound).min() ?? 0
      let high = moved.map(\.upperBound).max() ?? 0
      outputs += pieces(low...high, plan.inputs[2].reduce(0) { $0 + $1.fileSize }, level: descent.level, &nextID, target: target)
    } else if let range = span(inputs) {
      outputs = pieces(range, plan.inputBytes, level: plan.outputLevel, &nextID, target: plan.outputLevel == 0 ? .max : target)
    }
    if plan.outputLevel == 0 {
      shape.levels[0].insert(contentsOf: outputs, at: min(age, shape.levels[0].count))
    } else {
      for output in outputs { shape.levels[Int(output.level)].append(output) }
      for level in shape.levels.indices.dropFirst() { shape.levels[level].sort { $0.smallest < $1.smallest } }
    }
    return shape
  }

  /// The numbers from the first key of some tables to the last.
  private static func span(_ tables: [TableMetadata]) -> ClosedRange<Int>? {
    let numbers = tables.flatMap { [number($0.smallest.userKey), number($0.largest.userKey)] }
    return numbers.min().flatMap { low in numbers.max().map { low...$0 } }
  }

  /// Tables of about the target size that cover a range.
  private static func pieces(
    _ range: ClosedRange<Int>, _ bytes: UInt64, level: Int, _ nextID: inout UInt64, target: UInt64
  ) -> [TableMetadata] {
    let count = max(1, min(range.count, Int(clamping: bytes / target)))
    let width = range.count / count
    return (0..<count).map { piece in
      nextID += 1
      let from = range.lowerBound + piece * width
      let to = piece == count - 1 ? range.upperBound : from + width - 1
      return table(nextID, from, max(from, to), size: max(1, bytes / UInt64(count)), level: UInt8(level))
    }
  }

  private static func number(_ key: [UInt8]) -> Int { (Int(String(decoding: key, as: UTF8.self)) ?? 0) - 1_000_000 }

  @Test(.requirement("SSTable.keep.6", "SSTable.never.8", "SSTable.never.9"), arguments: 0..<UInt64(100)) func leveledPlansKeepTheRuns(seed: UInt64) {
    var random = Random(seed: seed)
    var strategy = LeveledStrategy()
    strategy.allowsDescents = random.chance(1, in: 2)
    strategy.baseLevelBytes = 400
    strategy.targetFileSize = 50
    strategy.fanOut = UInt64(2 + random.below(8))
    strategy.allowsTrivialMoves = random.chance(1, in: 2)
    var shape = LSMShape(levels: Array(repeating: [], count: 7))
    var id: UInt64 = 0
    for flush in 0..<60 {
      id += 1
      let from = random.below(5000)
      shape.levels[0].insert(Self.table(id, from, from + random.below(random.chance(1, in: 2) ? 5000 : 200), size: 50), at: 0)
      var rounds = 0
      // A few tables are being worked on by others.
      let busy = Set(shape.levels.joined().filter { _ in random.chance(1, in: 20) }.map(\.fileID))
      if let plan = strategy.plan(shape, busy: busy) { #expect(plan.inputIDs.isDisjoint(with: busy), "seed \(seed)") }
      while let plan = strategy.plan(shape, busy: []), rounds < 200 {
        rounds += 1
        #expect(plan.score >= 1)
        #expect(plan.inputs.joined().count <= strategy.maxInputs + plan.inputs.dropFirst().joined().count, "seed \(seed): too many inputs")
        #expect(strategy.allowsDescents || plan.descent == nil)
        expectAgeOrder(plan, shape, seed)
        shape = Self.carryOut(plan, shape, &id, target: strategy.targetFileSize)
        for level in 1..<7 {
          #expect(Self.isSorted(shape.levels[level]), "seed \(seed), flush \(flush): level \(level) overlaps after \(plan.reason)")
        }
      }
      #expect(rounds < 200, "seed \(seed): planning never ends")
      #expect(shape.subLevels.count < strategy.level0Trigger)
    }
  }

  /// Whatever is older than a chosen table of level 0 and overlaps it goes down with it.
  private func expectAgeOrder(_ plan: CompactionPlan, _ shape: LSMShape, _ seed: UInt64) {
    guard plan.outputLevel > 0 else { return }
    let ids = plan.inputIDs
    let level0 = shape.levels[0]
    for (index, table) in level0.enumerated() where ids.contains(table.fileID) {
      for older in level0[(index + 1)...] where older.overlaps(table) {
        #expect(ids.contains(older.fileID), "seed \(seed): table \(older.fileID) stays above newer data")
      }
    }
    if let descent = plan.descent {
      #expect(plan.inputs[1].count + plan.inputs[2].count <= 25 && !plan.inputs[2].isEmpty && descent.level == plan.outputLevel + 1)
    }
    for table in plan.inputs[0] + (plan.inputs.count > 1 ? plan.inputs[1] : []) {
      let range = KeyRange(table)
      for below in shape.overlapping(plan.outputLevel, range) { #expect(ids.contains(below.fileID), "seed \(seed): the output would overlap") }
    }
  }

  @Test(.requirement("SSTable.never.10")) func tieredMergesNeverJumpOverARun() {
    // A and C are alike, B between them is not.
    let runs = [(9, 100), (8, 5000), (7, 100), (6, 100), (5, 100)].map { Self.table(UInt64($0.0), 0, 10, size: UInt64($0.1) << 20) }
    #expect(
      SizeTieredStrategy().plan(LSMShape(levels: [runs]), busy: []) == nil
        || SizeTieredStrategy().plan(LSMShape(levels: [runs]), busy: [])?.inputs[0].count == 5)
    for seed in 0..<300 as Range<UInt64> {
      var random = Random(seed: seed)
      let runs = (0..<random.below(20)).map { Self.table(UInt64(100 - $0), 0, 10, size: UInt64(1 + random.below(4)) << UInt64(20 + random.below(6))) }
      guard let plan = SizeTieredStrategy().plan(LSMShape(levels: [runs]), busy: []) else { continue }
      let places = plan.inputs[0].compactMap { table in runs.firstIndex { $0.fileID == table.fileID } }
      #expect(places == Array((places.first ?? 0)..<(places.first ?? 0) + places.count), "seed \(seed)")
    }
  }

  @Test(.requirement("SSTable.keep.7")) func plansFollowFromTheShapeAlone() {
    var shape = LSMShape(levels: Array(repeating: [], count: 7))
    #expect(LeveledStrategy().plan(shape, busy: []) == nil)
    shape.levels[0] = (0..<4).map { Self.table(UInt64(10 - $0), 0, 100, size: 1 << 20) }
    let plan = LeveledStrategy().plan(shape, busy: [])
    #expect(plan == LeveledStrategy().plan(shape, busy: []))
    #expect(plan?.outputLevel == 6 && plan?.inputs[0].count == 4 && plan?.reason == .level0)
    // What is busy keeps back what is newer and overlaps it, and nothing else.
    #expect(LeveledStrategy().plan(shape, busy: [10])?.inputIDs == [7, 8, 9])
    #expect(LeveledStrategy().plan(shape, busy: [8])?.inputIDs == [7])
    #expect(LeveledStrategy().plan(shape, busy: [7]) == nil)
  }

  @Test func fifoDropsTheOldestOnly() {
    let shape = LSMShape(levels: [(0..<5).map { Self.table(UInt64(5 - $0), 0, 10, size: 100) }])
    #expect(FirstInFirstOutStrategy(maxBytes: 500).plan(shape, busy: []) == nil)
    #expect(FirstInFirstOutStrategy(maxBytes: 250).plan(shape, busy: [])?.inputs[0].map(\.fileID) == [3, 2, 1])
    #expect(FirstInFirstOutStrategy(maxBytes: 250).plan(shape, busy: [1]) == nil)
  }

  @Test func targetsFollowTheBottom() {
    var shape = LSMShape(levels: Array(repeating: [], count: 7))
    var strategy = LeveledStrategy()
    strategy.baseLevelBytes = 256
    #expect(strategy.targets(shape).base == 6)
    shape.levels[6] = [Self.table(1, 0, 9, size: 20_000)]
    let (base, targets) = strategy.targets(shape)
    // No target is below the base's largest: 200 would be rewritten for every flush that comes down.
    #expect(base == 4 && targets[6] == 20_000 && targets[5] == 2000 && targets[4] == 256)
  }
}
