import StrataBytes

/// What a merge may let go: the only place where entries disappear.
///
/// The rules are those of Docs/Formats/SSTable.md, "Garbage". A snapshot sees every sequence up to its own. The sequences between two neighbouring
/// snapshots are one *stripe*: nobody can see one of them without the newer ones, so of one key only the newest of a stripe matters.
public struct GarbagePolicy: Sendable {
  /// Sequences of live snapshots, in any order.
  public var snapshots: [UInt64] = []
  /// Reads at any sequence above this one must stay possible; `nil` where only snapshots count.
  public var historyFloor: UInt64?
  /// Every table of the version the merge started from that is not one of its inputs; memtables newer than all inputs need not be named.
  public var others: [TableMetadata] = []
  /// Folds operands. `nil` where there are none: an operand met is then an error.
  public var mergeOperator: (any MergeOperator)?
  /// Values up to this sequence have outlived their time and go, whoever could still see them; 0 for none.
  public var expiredThrough: UInt64 = 0
  /// Whether values keep their sequences though nobody can tell by them any more, as their age is told by them.
  public var keepsSequences = false
  /// Whether deletions of these keys at this sequence may go, beyond what the rules ask: replicas that have not heard of them say no.
  public var isPurgeable: (@Sendable (_ from: [UInt8], _ to: [UInt8], _ sequence: UInt64) -> Bool)?

  /// Nothing is kept but what a reader of the present needs.
  public init() {}
}

/// What a merge read, wrote and let go.
public struct MergeReport: Sendable, Hashable {
  /// Point entries read.
  public var entriesIn: UInt64 = 0
  /// Point entries written.
  public var entriesOut: UInt64 = 0
  /// Let go because a newer version of the key hides them from everybody.
  public var droppedHidden: UInt64 = 0
  /// Let go because a range deletion hides them from everybody.
  public var droppedCovered: UInt64 = 0
  /// Deletions let go because nothing older is left to delete.
  public var droppedTombstones: UInt64 = 0
  /// Values let go because their time is over.
  public var droppedExpired: UInt64 = 0
  /// Operands and bases that went into a folded entry, less the entry.
  public var folded: UInt64 = 0
  /// Of two equal versions of a key, the one of the source named later.
  public var versionTies: UInt64 = 0
  /// Deletions kept because a snapshot or the history still sees what they delete.
  public var keptForSnapshot: UInt64 = 0
  /// Deletions kept because a table outside the merge may hold what they delete.
  public var keptForOlderTable: UInt64 = 0
  /// Deletions kept because their owner does not yet let them go.
  public var keptForGrace: UInt64 = 0
  /// Range deletions, by piece and sequence, read and written.
  public var rangesIn: UInt64 = 0
  /// See ``rangesIn``.
  public var rangesOut: UInt64 = 0
  /// Keys whose operator refused; their operands were kept as they were.
  public var operatorFailures: UInt64 = 0
  /// Bytes of keys and values read.
  public var bytesIn: UInt64 = 0

  public init() {}

  /// Entries that went, for whatever reason.
  public var dropped: UInt64 { droppedHidden + droppedCovered + droppedTombstones + droppedExpired + folded + versionTies }
}

/// ``GarbagePolicy`` made ready for a pass over keys in order.
struct GarbageRules: ~Copyable {
  let policy: GarbagePolicy
  /// Snapshots and the history floor, ascending.
  private let stripes: [UInt64]
  /// Up to here an entry is in the oldest stripe.
  let oldest: UInt64
  private let floor: UInt64
  /// Tables outside the merge, by their first key, and those of them that hold the present key.
  private let others: [TableMetadata]
  private var nextOther = 0
  private var near: [Int] = []

  init(_ policy: GarbagePolicy) {
    self.policy = policy
    floor = policy.historyFloor ?? .max
    stripes = Array(Set(policy.snapshots + (policy.historyFloor.map { [$0] } ?? []))).sorted()
    oldest = stripes.first ?? .max
    others = policy.others.filter { !$0.isEmpty }.sorted { $0.smallest.userKey.lexicographicallyPrecedes($1.smallest.userKey) }
  }

  /// The stripe of a sequence: equal numbers, equal stripe.
  @inline(__always)
  func stripe(_ sequence: UInt64) -> UInt64 {
    if sequence <= oldest { return oldest }
    // Above the history floor every sequence can be asked for.
    if sequence > floor { return sequence }
    var low = 0
    var high = stripes.count
    while low < high {
      let middle = (low + high) / 2
      if stripes[middle] >= sequence { high = middle } else { low = middle + 1 }
    }
    return low < stripes.count ? stripes[low] : .max
  }

  /// Goes on to `key`, which is above all before.
  @inline(__always)
  mutating func advance(to key: UnsafeRawBufferPointer) {
    guard nextOther < others.count || !near.isEmpty else { return }
    moveOthers(to: key)
  }

  private mutating func moveOthers(to key: UnsafeRawBufferPointer) {
    while nextOther < others.count, others[nextOther].smallest.userKey.withUnsafeBytes({ compare($0, key) }) <= 0 {
      near.append(nextOther)
      nextOther += 1
    }
    near.removeAll { index in
      let order = others[index].largest.userKey.withUnsafeBytes { compare($0, key) }
      return order < 0 || (order == 0 && others[index].largestIsExclusive)
    }
  }

  /// Whether no table outside the merge can hold a version of the present key older than `sequence`.
  @inline(__always)
  func hasNoOlder(than sequence: UInt64) -> Bool {
    if near.isEmpty { return true }
    return near.allSatisfy { others[$0].minSequence >= sequence }
  }

  /// As ``hasNoOlder(than:)`` for a range of keys.
  func hasNoOlder(than sequence: UInt64, from: [UInt8], to: [UInt8]) -> Bool {
    !others.contains { table in
      table.minSequence < sequence && table.smallest.userKey.lexicographicallyPrecedes(to)
        && (from.lexicographicallyPrecedes(table.largest.userKey) || (from == table.largest.userKey && !table.largestIsExclusive))
    }
  }

  /// The range deletions that stay: of each stripe the newest, unless nothing older is left for it to delete.
  func retained(_ ranges: RangeTombstones, _ report: inout MergeReport) -> RangeTombstones {
    var pieces: [RangeTombstones.Fragment] = []
    for piece in ranges.fragments {
      var kept: [UInt64] = []
      for sequence in piece.sequences {
        report.rangesIn += 1
        if let newer = kept.last, stripe(newer) == stripe(sequence) { continue }
        if sequence > oldest {
          report.keptForSnapshot += 1
        } else if !hasNoOlder(than: sequence, from: piece.start, to: piece.end) {
          report.keptForOlderTable += 1
        } else if let purgeable = policy.isPurgeable, !purgeable(piece.start, piece.end, sequence) {
          report.keptForGrace += 1
        } else {
          continue
        }
        kept.append(sequence)
        report.rangesOut += 1
      }
      if !kept.isEmpty { pieces.append(RangeTombstones.Fragment(start: piece.start, end: piece.end, sequences: kept)) }
    }
    return RangeTombstones(fragments: pieces)
  }
}
