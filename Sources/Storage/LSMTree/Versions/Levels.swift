import StrataBytes
import StrataJobs
import StrataSSTable

/// The tables of a keyspace, as of one edit. Immutable; shared by all versions between two changes of it.
/// Safe to share between threads because everything is written in `init` and only read afterwards.
final class Levels: @unchecked Sendable {
  /// Level 0 by age, oldest first.
  let levelZero: [TableHandle]
  /// Sub-levels of level 0, newest first: each disjoint, and newer wherever it overlaps a later one.
  let subLevels: [SortedRun]
  /// Levels 1 and below; empty ones too, so that the index is the level less one.
  let deeper: [SortedRun]
  /// All runs that hold tables, newest first.
  let runs: [SortedRun]
  let runPointers: UnsafeMutablePointer<Unmanaged<SortedRun>>
  let runCount: Int
  private let ranges: Monitor<RangeTombstones?>

  /// - Parameter tables: in any order; each says its level.
  init(_ tables: [TableHandle]) {
    var byLevel = [[TableHandle]](repeating: [], count: LSMOptions.maxLevels)
    for table in tables { byLevel[min(Int(table.metadata.level), LSMOptions.maxLevels - 1)].append(table) }
    levelZero = byLevel[0].sorted { Self.isOlder($0.metadata, $1.metadata) }
    subLevels = Self.stack(levelZero).reversed().map { SortedRun($0, level: 0) }
    deeper = (1..<LSMOptions.maxLevels).map { level in
      SortedRun(byLevel[level].sorted { $0.metadata.smallest < $1.metadata.smallest }, level: level)
    }
    runs = subLevels + deeper.filter { $0.count > 0 }
    runCount = runs.count
    ranges = Monitor(tables.contains { !$0.reader.rangeTombstones.isEmpty } ? nil : RangeTombstones.none)
    runPointers = .allocate(capacity: max(1, runs.count))
    for (index, run) in runs.enumerated() { (runPointers + index).initialize(to: .passUnretained(run)) }
  }

  deinit { runPointers.deallocate() }

  /// The range deletions of all tables as one; put together when first asked for.
  func rangeTombstones() -> RangeTombstones {
    ranges.withLock { ranges in
      if let ranges { return ranges }
      let all = RangeTombstones(tables.flatMap { $0.reader.rangeTombstones.deletions })
      ranges = all
      return all
    }
  }

  static func isOlder(_ a: TableMetadata, _ b: TableMetadata) -> Bool {
    (a.maxSequence, a.minSequence, a.fileID) < (b.maxSequence, b.minSequence, b.fileID)
  }

  /// Lays tables, oldest first, into sub-levels, oldest first: each as low as those it overlaps allow (Pebble's L0 sub-levels).
  private static func stack(_ tables: [TableHandle]) -> [[TableHandle]] {
    var stacked: [[TableHandle]] = []
    for table in tables {
      var place = stacked.count
      while place > 0, !stacked[place - 1].contains(where: { overlap($0.metadata, table.metadata) }) { place -= 1 }
      if place == stacked.count { stacked.append([]) }
      stacked[place].append(table)
    }
    return stacked.map { $0.sorted { $0.metadata.smallest < $1.metadata.smallest } }
  }

  /// Whether the key ranges of two tables share a key.
  static func overlap(_ a: TableMetadata, _ b: TableMetadata) -> Bool {
    !ends(a, before: b.smallest.userKey) && !ends(b, before: a.smallest.userKey)
  }

  private static func ends(_ table: TableMetadata, before key: [UInt8]) -> Bool {
    let order = StrataLSMTree.order(table.largest.userKey, key)
    return order < 0 || (order == 0 && table.largestIsExclusive)
  }

  var tables: [TableHandle] { levelZero + deeper.flatMap(\.tables) }
  /// Bytes of all tables.
  var bytes: UInt64 { tables.reduce(0) { $0 + $1.metadata.fileSize } }

  /// The tables after a change.
  func replacing(_ removed: Set<UInt64>, with added: [TableHandle]) -> Levels {
    Levels(tables.filter { !removed.contains($0.metadata.fileID) } + added)
  }

  /// Tables with a key of the bounds.
  func overlapping(_ bounds: KeyBounds) -> [TableHandle] { tables.filter { Self.overlaps($0.metadata, bounds) } }

  static func overlaps(_ table: TableMetadata, _ bounds: KeyBounds) -> Bool {
    if let from = bounds.from, ends(table, before: from) { return false }
    if let to = bounds.to, order(table.smallest.userKey, to) >= 0 { return false }
    return true
  }
}

/// The order of two keys as bytes: negative, 0 or positive.
func order(_ a: [UInt8], _ b: [UInt8]) -> Int { compare(a.span.bytes, b.span.bytes) }
