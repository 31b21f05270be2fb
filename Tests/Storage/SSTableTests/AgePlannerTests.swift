import StrataNodes
import StrataRequirements
import Testing

@testable import StrataSSTable

/// Planners that go by the age of tables, over shapes made at random.
@Suite struct AgePlannerTests {
  static func table(_ id: UInt64, _ from: Int, _ to: Int, size: UInt64, time: UInt64) -> TableMetadata {
    var table = PlannerTests.table(id, from, to, size: size)
    (table.createdAt, table.newestTime) = (time, time)
    return table
  }

  /// Runs of level 0, newest first, by a clock that is now and then set back.
  static func runs(_ random: inout Random, _ count: Int, setsBack: Bool) -> [TableMetadata] {
    var time: UInt64 = 100_000
    var runs: [TableMetadata] = []
    for id in 0..<count {
      time += UInt64(random.below(60))
      if setsBack, random.chance(1, in: 15) { time -= UInt64(random.below(500)) }
      let from = random.below(50)
      runs.insert(table(UInt64(id + 1), from, from + random.below(10), size: UInt64(1 + random.below(100)), time: time), at: 0)
    }
    return runs
  }

  @Test(.requirement("SSTable.keep.6", "SSTable.never.10"), arguments: 0..<UInt64(400)) func theOldestGoAndNothingBeforeWhatIsOlder(seed: UInt64) {
    var random = Random(seed: seed)
    let runs = Self.runs(&random, random.below(30), setsBack: true)
    let total = runs.reduce(0) { $0 + $1.fileSize }
    let busy = Set(runs.filter { _ in random.chance(1, in: 12) }.map(\.fileID))
    let limit = UInt64(random.below(Int(total) + 50))
    let expiry = random.chance(1, in: 2) ? 100_000 + UInt64(random.below(900)) : nil
    let bound = random.chance(1, in: 3) ? UInt64.max : limit
    // Some lie below the others, as after another style.
    let split = random.below(runs.count + 1)
    let shape = LSMShape(levels: random.chance(1, in: 3) ? [Array(runs[..<split]), [], Array(runs[split...])] : [runs])
    let oldestFirst = shape.levels.dropFirst().reversed().joined() + shape.levels[0].reversed()
    let plan = FirstInFirstOutStrategy(maxBytes: bound, expiresBefore: expiry).plan(shape, busy: busy)
    let gone = plan?.inputIDs ?? []
    #expect(plan.map { $0.kind == .deleteOnly && !gone.isEmpty } ?? true)
    #expect(gone.isDisjoint(with: busy), "seed \(seed)")
    var kept: [TableMetadata] = []
    var left = total
    for table in oldestFirst {
      let isOld = expiry.map { table.newestTime < $0 } ?? false
      let isFree = !busy.contains(table.fileID) && !kept.contains { $0.overlaps(table) }
      let mustGo = isFree && (isOld || (kept.isEmpty && left > bound))
      #expect(gone.contains(table.fileID) == mustGo, "seed \(seed): table \(table.fileID)")
      if mustGo { left -= table.fileSize } else { kept.append(table) }
    }
    if busy.isEmpty, expiry == nil { #expect(left <= bound, "seed \(seed): \(left) bytes stay of at most \(bound)") }
  }

  /// Carried out until nothing is due: each window that is over is one table, no table is of two, and the order of age is kept.
  @Test(.requirement("SSTable.keep.6", "SSTable.never.10"), arguments: 0..<UInt64(200)) func windowsStayApart(seed: UInt64) {
    var random = Random(seed: seed)
    var runs: [TableMetadata] = []
    var members: [UInt64: [UInt64]] = [:]
    var id: UInt64 = 0
    var strategy = TimeWindowStrategy(windowSeconds: UInt64(random.within(50...400)), now: 100_000)
    strategy.maxRuns = random.within(2...6)
    strategy.minRuns = random.within(2...4)
    let isMonotone = random.chance(2, in: 3)
    for _ in 0..<60 {
      id += 1
      strategy.now += UInt64(random.below(60))
      if !isMonotone, random.chance(1, in: 15) { strategy.now -= UInt64(random.below(300)) }
      runs.insert(Self.table(id, 0, 10, size: 1 + UInt64(random.below(3)) << 20, time: strategy.now), at: 0)
      members[id] = [id]
      let busy = Set(runs.filter { _ in random.chance(1, in: 8) }.map(\.fileID))
      if let plan = strategy.plan(LSMShape(levels: [runs]), busy: busy) { #expect(plan.inputIDs.isDisjoint(with: busy), "seed \(seed)") }
      var rounds = 0
      while let plan = strategy.plan(LSMShape(levels: [runs]), busy: []), rounds < 100 {
        rounds += 1
        let inputs = plan.inputs[0]
        #expect(inputs.count > 1 && inputs.count <= strategy.maxRuns && plan.kind == .merge && plan.outputLevel == 0, "seed \(seed)")
        #expect(Set(inputs.map(strategy.window)).count == 1, "seed \(seed): a merge of two windows")
        let place = runs.firstIndex { $0.fileID == inputs[0].fileID } ?? 0
        #expect(Array(runs[place..<min(runs.count, place + inputs.count)]) == inputs, "seed \(seed): not neighbours in age")
        id += 1
        members[id] = inputs.flatMap { members[$0.fileID] ?? [] }
        let merged = Self.table(id, 0, 10, size: inputs.reduce(0) { $0 + $1.fileSize }, time: inputs.map(\.newestTime).max() ?? 0)
        runs.replaceSubrange(place..<place + inputs.count, with: [merged])
      }
      #expect(rounds < 100, "seed \(seed): planning never ends")
      let all = runs.flatMap { members[$0.fileID] ?? [] }
      #expect(all == all.sorted(by: >), "seed \(seed): the order of age is lost")
      for (newer, older) in zip(runs, runs.dropFirst()) where strategy.window(newer) == strategy.window(older) {
        #expect(strategy.window(newer) >= strategy.now / strategy.windowSeconds, "seed \(seed): a window that is over has two tables")
      }
    }
  }

  @Test(.requirement("SSTable.keep.6")) func windowsGoByAge() {
    let runs = [(5, 500), (4, 450), (3, 390), (2, 250), (1, 240)].map { Self.table(UInt64($0.0), 0, 10, size: 1, time: UInt64($0.1)) }
    let strategy = TimeWindowStrategy(windowSeconds: 100, now: 510, expiresBefore: 300)
    let plan = strategy.plan(LSMShape(levels: [runs]), busy: [])
    #expect(plan?.kind == .deleteOnly && plan?.inputs == [Array(runs[3...])] && plan?.reason == .age)
    // While an older one is being read the newer ones over it stay.
    #expect(strategy.plan(LSMShape(levels: [runs]), busy: [1])?.kind != .deleteOnly)
    let later = TimeWindowStrategy(windowSeconds: 100, now: 510)
    #expect(later.plan(LSMShape(levels: [runs]), busy: [])?.inputs == [Array(runs[3...])])
    #expect(later.plan(LSMShape(levels: [Array(runs[..<3])]), busy: []) == nil)
    // Any time a table may claim is one that can be planned with.
    let strange = [UInt64.max, 0, .max].enumerated().map { Self.table(UInt64(9 - $0.offset), 0, 10, size: .max / 4, time: $0.element) }
    _ = TimeWindowStrategy(windowSeconds: 0, now: .max, expiresBefore: .max).plan(LSMShape(levels: [strange]), busy: [])
    #expect(FirstInFirstOutStrategy(maxBytes: 0).plan(LSMShape(levels: [strange]), busy: [])?.inputs[0].count == 3)
  }

  /// The time goes into the table, out of a merge the newest of its inputs', and takes no byte where it is that of creation.
  @Test func theNewestTimeIsKept() throws {
    let disk = newDisk()
    func make(_ id: UInt64, _ created: UInt64, _ newest: UInt64?) throws -> TableMetadata {
      let options = tinyOptions { ($0.createdAt, $0.newestTime) = (created, newest) }
      return try build([TestEntry(bytes("key"), id, .value, bytes("value"))], id: id, options: options, on: disk)
    }
    let (plain, merged) = (try make(1, 70, nil), try make(2, 90, 60))
    #expect(plain.newestTime == 70 && merged.newestTime == 60 && merged.createdAt == 90)
    #expect(try make(3, 70, 70).fileSize == plain.fileSize)
    let readers = try [open(2, on: disk), open(1, on: disk)]
    #expect(readers.map(\.metadata.newestTime) == [60, 70])
    var output = TableOutput(directory: home) { 4 }
    output.fileName = { "\($0).sst" }
    output.options.createdAt = 100
    let tables = try mergeTables(readers, to: output, on: disk).tables
    #expect(tables.map(\.newestTime) == [70])
    #expect(try open(4, on: disk).metadata.newestTime == 70)
  }
}
