import StrataDisk
import StrataNodes
import StrataRequirements
import StrataSimulation
import Synchronization
import Testing

@testable import StrataSSTable

/// Adds operands as text; refuses where told to.
struct Append: MergeOperator {
  var name: String { "append" }
  var refuses = false
  var folds = true

  func fullMerge(key: RawSpan, base: [UInt8]?, operands: [[UInt8]]) -> [UInt8]? {
    refuses ? nil : (base ?? []) + operands.flatMap { [0x2B] + $0 }
  }

  func partialMerge(key: RawSpan, operands: [[UInt8]]) -> [UInt8]? { folds ? Array(operands.joined(separator: [0x2B])) : nil }
}

/// Everything ever written, and what a reader at any moment sees of it.
struct History {
  var entries: [TestEntry] = []
  var ranges: [RangeDeletion] = []

  var keys: [[UInt8]] { Array(Set(entries.map(\.key))).sorted { $0.lexicographicallyPrecedes($1) } }

  /// The value of `key` for a reader at `sequence`, by the letter: newest first, down to a value or a deletion.
  func visible(_ key: [UInt8], at sequence: UInt64) -> [UInt8]? {
    let covering =
      ranges.filter { $0.sequence <= sequence && !key.lexicographicallyPrecedes($0.start) && key.lexicographicallyPrecedes($0.end) }
      .map(\.sequence).max() ?? 0
    var operands: [[UInt8]] = []
    func folded(_ base: [UInt8]?) -> [UInt8]? {
      operands.isEmpty ? base : Append().fullMerge(key: key.span.bytes, base: base, operands: operands.reversed())
    }
    for entry in entries.filter({ $0.key == key && $0.sequence <= sequence }).sorted(by: { $0.sequence > $1.sequence }) {
      if entry.sequence < covering { break }
      switch entry.kind {
      case .merge: operands.append(entry.value)
      case .value: return folded(entry.value)
      default: return folded(nil)
      }
    }
    return folded(nil)
  }
}

@Suite struct MergeTests {
  @Test(.requirement("SSTable.never.14"), arguments: 0..<UInt64(16 * testDepth)) func mergedCursorsEqualASortedArray(seed: UInt64) throws {
    var random = Random(seed: seed)
    let entries = randomEntries(&random, count: 200, keySpace: 80)
    let disk = newDisk()
    let count = 1 + random.below(5)
    var parts: [[TestEntry]] = Array(repeating: [], count: count)
    for entry in entries { parts[random.below(count)].append(entry) }
    let readers = try parts.enumerated().map { index, part in
      try build(part, id: UInt64(index + 1), on: disk)
      return try open(UInt64(index + 1), on: disk)
    }
    let cursor = MergingCursor(readers.map { $0.cursor() })
    #expect(try forward(cursor) == entries, "seed \(seed)")
    #expect(try backward(cursor) == entries, "seed \(seed)")
    var place = -1
    for _ in 0..<500 {
      if place < 0 || random.chance(1, in: 12) {
        let probe = entries[random.below(entries.count)]
        let key = random.chance(1, in: 4) ? probe.key + [1] : probe.key
        let bound =
          entries.firstIndex { $0.internalKey >= InternalKey(userKey: key, trailer: Trailer.newest(atOrBelow: probe.sequence)) } ?? entries.count
        if random.chance(1, in: 2) {
          try cursor.seek(key, probe.sequence)
          place = bound
        } else {
          try cursor.seekBefore(key, probe.sequence)
          place = bound - 1
        }
      } else if random.chance(1, in: 2) {
        try cursor.next()
        place += 1
      } else {
        try cursor.previous()
        place -= 1
      }
      #expect((cursor.isValid ? TestEntry(cursor) : nil) == (entries.indices.contains(place) ? entries[place] : nil), "seed \(seed)")
      if !cursor.isValid { place = -1 }
    }
  }

  /// A random history, spread over tables in any way that keeps newer versions of a key in newer tables; some of the tables are merged.
  struct Case {
    var history = History()
    var tables: [TableReader] = []
    var snapshots: [UInt64] = []
    var floor: UInt64?
    let disk = newDisk()

    init(_ random: inout Random) throws {
      let steps = UInt64(10 + random.below(60))
      let keySpace = 1 + random.below(8)
      for sequence in 1...steps {
        let key = bytes("k\(random.below(keySpace))")
        switch random.below(12) {
        case 0...1:
          let other = bytes("k\(random.below(keySpace + 1))")
          let (start, end) = key.lexicographicallyPrecedes(other) ? (key, other) : (other, key + [0])
          if start.lexicographicallyPrecedes(end) { history.ranges.append(RangeDeletion(start: start, end: end, sequence: sequence)) }
        case 2...4: history.entries.append(TestEntry(key, sequence, .deletion))
        case 5...6: history.entries.append(TestEntry(key, sequence, .merge, bytes("\(sequence)")))
        default: history.entries.append(TestEntry(key, sequence, .value, bytes("v\(sequence)")))
        }
      }
      snapshots = (0..<random.below(4)).map { _ in UInt64(random.below(Int(steps) + 1)) }
      floor = random.chance(1, in: 4) ? UInt64(random.below(Int(steps) + 1)) : nil
      // Tables are layers of sequences, as flushes make them, oldest first.
      var bounds = (0..<random.below(5)).map { _ in UInt64(random.below(Int(steps) + 1)) }.sorted() + [steps]
      bounds.insert(0, at: 0)
      for (index, (low, high)) in zip(bounds, bounds.dropFirst()).enumerated() where low < high {
        let layer = history.entries.filter { $0.sequence > low && $0.sequence <= high }.sorted { $0.internalKey < $1.internalKey }
        let ranges = history.ranges.filter { $0.sequence > low && $0.sequence <= high }
        try build(layer, ranges: ranges, id: UInt64(index + 1), on: disk)
        tables.append(try open(UInt64(index + 1), on: disk))
      }
    }

    /// What the tables hold together.
    func contents(_ tables: [TableReader]) throws -> History {
      var all = History()
      for table in tables {
        all.entries += try forward(table.cursor())
        all.ranges += table.rangeTombstones.deletions
      }
      return all
    }
  }

  /// Merges a contiguous part of the tables and says which reader sees something else afterwards.
  static func difference(_ seed: UInt64, change: (inout GarbagePolicy) -> Void = { _ in }) throws -> String? {
    var random = Random(seed: seed)
    var test = try Case(&random)
    var numbers: UInt64 = 100
    for round in 0..<2 where !test.tables.isEmpty {
      let low = random.below(test.tables.count)
      let high = low + 1 + random.below(test.tables.count - low)
      let inputs = Array(test.tables[low..<high].reversed())
      var policy = GarbagePolicy()
      policy.snapshots = test.snapshots
      policy.historyFloor = test.floor
      policy.others = (test.tables[..<low] + test.tables[high...]).map(\.metadata)
      policy.mergeOperator = Append(folds: random.chance(1, in: 2))
      change(&policy)
      let ids = Counter(numbers)
      numbers += 100
      var output = tinyOutput(ids)
      output.targetFileSize = random.chance(1, in: 2) ? 1 : 1 << 20
      let (tables, report) = try mergeTables(inputs, to: output, policy, on: test.disk)
      for (left, right) in zip(tables, tables.dropFirst()) {
        let isApart =
          left.largest.userKey.lexicographicallyPrecedes(right.smallest.userKey)
          || (left.largestIsExclusive && left.largest.userKey == right.smallest.userKey)
        if !isApart { return "round \(round): outputs overlap: \(left.largest) \(right.smallest)" }
      }
      let outputs = try tables.map { try open($0.fileID, expected: $0, on: test.disk) }
      test.tables.replaceSubrange(low..<high, with: outputs)
      let now = try test.contents(test.tables)
      let readers = Set(test.snapshots + [Trailer.maxSequence] + (test.floor.map { floor in (floor...200).map { $0 } } ?? []))
      for sequence in readers.sorted() {
        for key in test.history.keys {
          let before = test.history.visible(key, at: sequence)
          let after = now.visible(key, at: sequence)
          if before != after {
            func text(_ value: [UInt8]?) -> String { value.map { String(decoding: $0, as: UTF8.self) } ?? "nothing" }
            return "round \(round), \(String(decoding: key, as: UTF8.self)) at \(sequence): \(text(before)) became \(text(after)); \(report)"
          }
        }
      }
    }
    return nil
  }

  /// The one property that catches every mistake of the garbage rules: nobody sees a difference.
  @Test(
    .requirement("SSTable.keep.4", "SSTable.keep.5", "SSTable.never.8"), arguments: 0..<UInt64(20))
  func mergesAreInvisible(part: UInt64) throws {
    for seed in part * 1000..<part * 1000 + UInt64(25 * testDepth) {
      let difference = try Self.difference(seed)
      #expect(difference == nil, "seed \(seed): \(difference ?? "")")
    }
  }

  /// The property fails when a rule is broken, so that its silence means something.
  @Test func brokenRulesAreSeen() throws {
    func isCaught(_ change: @escaping (inout GarbagePolicy) -> Void) throws -> Bool {
      for seed in 0..<2000 { if try Self.difference(UInt64(seed), change: change) != nil { return true } }
      return false
    }
    #expect(try isCaught { $0.others = [] }, "deletions dropped over older tables went unseen")
    #expect(try isCaught { $0.snapshots = [] }, "forgotten snapshots went unseen")
    #expect(try isCaught { $0.historyFloor = nil }, "a forgotten history floor went unseen")
  }

  /// The example of the format page.
  @Test func theWorkedExample() throws {
    let a = bytes("a")
    let versions = [
      TestEntry(a, 9, .value, [9]), TestEntry(a, 8, .deletion), TestEntry(a, 7, .value, [7]), TestEntry(a, 6, .deletion),
      TestEntry(a, 5, .value, [5]),
    ]
    func kept(_ snapshots: [UInt64], older: Bool = false) throws -> [UInt64] {
      let disk = newDisk()
      try build(versions, on: disk)
      var policy = GarbagePolicy()
      policy.snapshots = snapshots
      if older {
        policy.others = [try build([TestEntry(a, 1)], id: 2, on: disk)]
      }
      let ids = Counter(10)
      let (tables, _) = try mergeTables([try open(on: disk)], to: tinyOutput(ids), policy, on: disk)
      return try tables.flatMap { try forward(open($0.fileID, on: disk).cursor()).map(\.sequence) }
    }
    #expect(try kept([7], older: true) == [9, 7])
    #expect(try kept([6], older: true) == [9, 6])
    #expect(try kept([6]) == [9])
    #expect(try kept([], older: true) == [9])
    #expect(try kept([]) == [0])
  }

  /// A sequence must not be zeroed under a range deletion that stays: the deletion would then cover it.
  @Test func zeroingStopsUnderARangeDeletion() throws {
    let disk = newDisk()
    try build([TestEntry(bytes("k"), 10, .value, [1])], ranges: [RangeDeletion(start: bytes("a"), end: bytes("z"), sequence: 5)], on: disk)
    var policy = GarbagePolicy()
    policy.others = [try build([TestEntry(bytes("b"), 1)], id: 2, on: disk)]
    let ids = Counter(10)
    let (tables, _) = try mergeTables([try open(on: disk)], to: tinyOutput(ids), policy, on: disk)
    #expect(try forward(open(tables[0].fileID, on: disk).cursor()).map(\.sequence) == [10])
  }

  @Test(.requirement("SSTable.keep.7")) func aMergeOfDeletionsAloneLeavesNothing() throws {
    let disk = newDisk()
    try build((0..<30).map { TestEntry(bytes("k\(10 + $0)"), 3, .deletion) }, on: disk)
    let ids = Counter(10)
    let (tables, report) = try mergeTables([try open(on: disk)], to: tinyOutput(ids), on: disk)
    #expect(tables.isEmpty && report.droppedTombstones == 30 && report.entriesIn == 30)
    #expect(try disk.list(home) == ["1.sst"])
  }

  /// Sequences alone decide; what was written later by the clock is not newer.
  @Test(.requirement("SSTable.never.13")) func theClockDecidesNothing() throws {
    let disk = newDisk()
    try build([TestEntry(bytes("k"), 9, .value, [9])], id: 1, options: tinyOptions { $0.createdAt = 100 }, on: disk)
    try build([TestEntry(bytes("k"), 3, .value, [3])], id: 2, options: tinyOptions { $0.createdAt = 900 }, on: disk)
    for order in [[UInt64(1), 2], [2, 1]] {
      let ids = Counter(10 * order[0])
      let (tables, _) = try mergeTables(order.map { try open($0, on: disk) }, to: tinyOutput(ids), on: disk)
      #expect(try forward(open(tables[0].fileID, on: disk).cursor()).map(\.value) == [[9]])
    }
  }

  /// A cursor goes on reading a table whose file has lost its name.
  @Test(.requirement("SSTable.never.11")) func readersKeepTheirFile() throws {
    let disk = newDisk()
    let entries = (0..<200).map { TestEntry(bytes("k\(1000 + $0)"), 1, .value, [UInt8($0)]) }
    try build(entries, on: disk)
    let cursor = try open(cache: nil, on: disk).cursor()
    try cursor.first()
    try disk.remove(home.appending("1.sst"))
    var read: [TestEntry] = []
    while cursor.isValid {
      read.append(TestEntry(cursor))
      try cursor.next()
    }
    #expect(read == entries)
  }

  /// Whatever the size of its inputs, a merge holds a piece of each.
  @Test(.requirement("SSTable.never.15")) func mergesReadInPieces() throws {
    let disk = newDisk()
    for id in 1...3 as ClosedRange<UInt64> {
      let entries = (0..<3000).map { TestEntry(bytes("k\(10_000 + $0)"), id, .value, [UInt8](repeating: 1, count: 700)) }
      try build(entries, id: id, options: TableOptions(), on: disk)
    }
    let recorder = RecordingFileSystem(disk, logsReads: true)
    let inputs = try [3, 2, 1].map { try open(UInt64($0), on: recorder) }
    let ids = Counter(10)
    let (tables, report) = try mergeTables(inputs, to: tinyOutput(ids), on: recorder)
    #expect(tables.count == 1 && report.droppedHidden == 6000)
    let longest = recorder.log.events.compactMap { event -> Int? in if case .read(_, _, let count) = event { count } else { nil } }.max()
    #expect((longest ?? .max) <= 1 << 20)
  }

  @Test func operandsWithoutAnOperatorStopTheMerge() throws {
    let disk = newDisk()
    try build([TestEntry(bytes("a"), 1), TestEntry(bytes("b"), 2, .merge, [1])], on: disk)
    let ids = Counter(10)
    #expect(throws: TableError.missingMergeOperator(key: bytes("b"))) {
      try mergeTables([try open(on: disk)], to: tinyOutput(ids), on: disk)
    }
    #expect(try disk.list(home) == ["1.sst"])
  }

  @Test func aRefusingOperatorKeepsItsOperands() throws {
    let disk = newDisk()
    let entries = [TestEntry(bytes("a"), 9, .merge, [9]), TestEntry(bytes("a"), 8, .merge, [8]), TestEntry(bytes("a"), 7, .value, [7])]
    try build(entries, on: disk)
    var policy = GarbagePolicy()
    policy.mergeOperator = Append(refuses: true)
    let ids = Counter(10)
    let (tables, report) = try mergeTables([try open(on: disk)], to: tinyOutput(ids), policy, on: disk)
    let left = try forward(open(tables[0].fileID, on: disk).cursor())
    #expect(left.prefix(2).elementsEqual(entries.prefix(2)) && left.last?.value == [7] && report.operatorFailures == 1)
  }
}

/// Numbers for new tables.
final class Counter: Sendable {
  private let value: Atomic<UInt64>
  init(_ first: UInt64) { value = Atomic(first) }
  func next() -> UInt64 { value.add(1, ordering: .relaxed).oldValue }
}

/// Where the tests' merges write.
func tinyOutput(_ ids: Counter) -> TableOutput {
  var output = TableOutput(directory: home, options: tinyOptions()) { ids.next() }
  output.fileName = { "\($0).sst" }
  return output
}
