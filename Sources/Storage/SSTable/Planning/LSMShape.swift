import StrataBytes

/// Where the tables of a tree are: what a planner looks at.
public struct LSMShape: Sendable, Hashable {
  /// Level 0 holds tables in order of age, newest first, that may overlap. Each deeper level is one sorted run: tables by key, none overlapping.
  public var levels: [[TableMetadata]]

  /// A shape of so many levels.
  public init(levels: [[TableMetadata]]) { self.levels = levels }

  /// Bytes of a level's tables but for those in `busy`.
  public func bytes(_ level: Int, except busy: Set<UInt64> = []) -> UInt64 {
    levels[level].reduce(0) { $0 + (busy.contains($1.fileID) ? 0 : $1.fileSize) }
  }

  /// The sorted runs level 0 amounts to: sub-level k holds tables that do not overlap and are newer than what they overlap in k - 1. A read looks
  /// into one table of each. Oldest first.
  public var subLevels: [[TableMetadata]] {
    var result: [[TableMetadata]] = []
    for table in levels.first?.reversed() ?? [] {
      // Above the topmost run with something the table overlaps.
      let below = result.lastIndex { run in run.contains { $0.overlaps(table) } }
      let place = below.map { $0 + 1 } ?? 0
      if place == result.count { result.append([]) }
      result[place].append(table)
    }
    return result
  }

  /// The tables of a sorted level that overlap `from...to`. O(log n + result).
  func overlapping(_ level: Int, _ range: KeyRange) -> ArraySlice<TableMetadata> {
    let tables = levels[level]
    var low = 0
    var high = tables.count
    while low < high {
      let middle = (low + high) / 2
      if tables[middle].endsBefore(range.from) { low = middle + 1 } else { high = middle }
    }
    var end = low
    while end < tables.count, !range.endsBefore(tables[end].smallest.userKey) { end += 1 }
    return tables[low..<end]
  }
}

/// A closed range of user keys; with `isExclusive` the last key is the first behind it.
struct KeyRange {
  var from: [UInt8]
  var to: [UInt8]
  var isExclusive: Bool

  init(_ table: TableMetadata) {
    from = table.smallest.userKey
    to = table.largest.userKey
    isExclusive = table.largestIsExclusive
  }

  /// Whether `key` lies behind the range.
  func endsBefore(_ key: [UInt8]) -> Bool { to.lexicographicallyPrecedes(key) || (isExclusive && to == key) }

  mutating func formUnion(_ other: KeyRange) {
    if other.from.lexicographicallyPrecedes(from) { from = other.from }
    if to.lexicographicallyPrecedes(other.to) {
      (to, isExclusive) = (other.to, other.isExclusive)
    } else if to == other.to {
      isExclusive = isExclusive && other.isExclusive
    }
  }
}

extension TableMetadata {
  /// Whether all of the table lies before `key`.
  func endsBefore(_ key: [UInt8]) -> Bool { KeyRange(self).endsBefore(key) }

  /// Whether the key ranges of two tables share a key.
  package func overlaps(_ other: TableMetadata) -> Bool { !endsBefore(other.smallest.userKey) && !other.endsBefore(smallest.userKey) }

  /// Whether a tenth of the blocks is mostly deletions: reads pass over them again and again.
  public var isTombstoneDense: Bool { dataBlockCount > 0 && tombstoneDenseBlocks * 10 >= dataBlockCount }
}

/// What to do next.
public struct CompactionPlan: Sendable, Hashable {
  /// How a plan is carried out.
  public enum Kind: Sendable, Hashable {
    /// Read the inputs and write what stays.
    case merge
    /// Only the level of the one input changes; no byte is read.
    case trivialMove
    /// The inputs go as they are; no byte is read.
    case deleteOnly
  }

  /// Why.
  public enum Reason: String, Sendable, Hashable {
    case level0, size, tombstones, space, age, window, manual
  }

  /// The tables that go, with their levels.
  public var inputs: [[TableMetadata]]
  /// Where the new tables go.
  public var outputLevel: Int
  /// How.
  public var kind: Kind
  /// Why.
  public var reason: Reason
  /// How urgent: 1 is due, more is overdue.
  public var score: Double
  /// The tables below the output, for cutting it where they are small.
  public var grandparents: [TableMetadata]
  /// The keys that go a level further than ``outputLevel``; `nil` for none.
  public var descent: Descent?

  public init(
    inputs: [[TableMetadata]], outputLevel: Int, kind: Kind, reason: Reason, score: Double, grandparents: [TableMetadata] = []
  ) {
    self.inputs = inputs
    self.outputLevel = outputLevel
    self.kind = kind
    self.reason = reason
    self.score = score
    self.grandparents = grandparents
  }

  /// Every input's number.
  public var inputIDs: Set<UInt64> { Set(inputs.joined().map(\.fileID)) }

  /// Bytes of all inputs.
  public var inputBytes: UInt64 { inputs.joined().reduce(0) { $0 + $1.fileSize } }
}

/// Decides what is merged with what. Pure: the same shape gives the same plan, and nothing is remembered but what the caller keeps.
public protocol CompactionStrategy: Sendable {
  /// The name a keyspace is configured with.
  var name: String { get }

  /// The most urgent plan none of whose inputs is in `busy`; `nil` where nothing is due.
  func plan(_ shape: LSMShape, busy: Set<UInt64>) -> CompactionPlan?
}
