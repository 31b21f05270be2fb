public import StrataSSTable
public import StrataWriteAheadLog
import StrataJobs

/// How a store behaves. Everything may differ from one opening to the next, except what a keyspace was created with. Tests shrink the sizes
/// to reach deep paths with little data.
public struct LSMOptions: Sendable {
  /// Levels of a keyspace, level 0 included.
  public static let maxLevels = 7

  /// Bytes of a memtable, at most a quarter of what all of them may take (see ``memoryLimit``); a fuller one is sealed and flushed.
  public var memtableBytes = 64 << 20
  /// Entries of a memtable, for those who count rather than weigh.
  public var memtableEntryLimit = Int.max
  /// Sealed memtables of a keyspace that may wait to be flushed; writers wait beyond.
  public var maxSealedMemtables = 2
  /// When a write counts as acknowledged, where it does not say otherwise.
  public var durability: Durability = .everyWrite
  /// Bytes of log kept at most; beyond, the keyspace that holds the oldest of it is flushed.
  public var maxLogBytes = 1 << 30
  /// Bytes of a segment of the log.
  public var logSegmentBytes = 64 << 20
  /// The largest batch, encoded.
  public var maxBatchBytes = 256 << 20
  /// Bytes of memory for all the store keeps: memtables, block cache, what tables keep open, and the buffers of compactions and iterators.
  ///
  /// A half is for memtables, those that only readers keep included: near that the largest is flushed early, beyond it writers wait for a flush, and
  /// where readers keep half of it new iterators flush first and keep none. A quarter is for the block cache, and the rest for all else: where the
  /// filters of tables come to an eighth, new tables have theirs in the cache. A compaction needs up to 16 MiB whatever the limit is.
  public var memoryLimit = 1 << 30
  /// Bytes of the block cache, at most five eighths of ``memoryLimit``; a quarter of it where `nil`. What is more than a quarter is taken from the
  /// memtables.
  public var blockCacheBytes: Int?
  /// Sorted runs in level 0 that start a compaction.
  public var levelZeroTrigger = 4
  /// Sorted runs in level 0 from which on writes are slowed.
  public var levelZeroSlowdown = 20
  /// Sorted runs in level 0 at which writes stop.
  public var levelZeroStop = 36
  /// Bytes compaction may be behind before writes are slowed.
  public var softDebtBytes = 64 << 30
  /// Bytes compaction may be behind before writes stop.
  public var hardDebtBytes = 256 << 30
  /// Bytes per second that flushes and compactions may write together; `nil` for no limit.
  public var bytesPerSecond: Int?
  /// Bytes per second that a thread of its own reads of the tables, over and over, to find damage before a reader does: a damaged table is told of by
  /// an event and spared by compactions. `nil` for none. A pass over a terabyte at 4 MiB a second takes three days.
  public var scrubBytesPerSecond: Int?
  /// Who runs flushes and compactions.
  public var background: Background = .threads(compactions: 1)
  /// Parts into which a compaction is cut by its keys at most, each of them merged by a thread beside the others; none is smaller than an output
  /// table. Parts of a level's compactions only: runs of level 0 stay whole.
  public var maxSubCompactions = 1
  /// A table is compacted, and a memtable flushed, when readers have passed over this many entries among its deletions, or over as many as it holds
  /// where those are more, in long rows; `nil` for never. Otherwise deletions that nobody adds to could stand in the way of every read for ever.
  public var readTriggeredEntries: Int? = 1 << 14
  /// Whether compactions start by themselves.
  public var compactsAutomatically = true
  /// Whether ``LSMTree/close()`` flushes memtables; without, the next opening replays the log.
  public var flushesOnClose = true
  /// Bytes of manifest from which on a new file is begun where the old one is mostly history.
  public var manifestRewriteBytes: UInt64 = 1 << 20
  /// Whether the log may use a thread of its own.
  public var logUsesThread = true
  /// Milliseconds since 1970, for information and TTL; never decides which of two writes wins.
  public var clock: @Sendable () -> UInt64 = { WallClock.unixMilliseconds() }
  /// Source of identifiers; they need to differ, not to be secret.
  public var entropy: @Sendable () -> UInt64 = {
    var generator = SystemRandomNumberGenerator()
    return generator.next()
  }
  /// Options of the default keyspace.
  public var defaultKeyspace = KeyspaceOptions()
  /// Whether the default keyspace of a store that exists is taken as it was created, whatever ``defaultKeyspace`` says of what is stored with it: for
  /// tools that look at any store. A merge operator it was created with must still be given.
  public var takesStoredKeyspaceOptions = false
  /// Merge operators that keyspaces created earlier may name.
  public var mergeOperators: [any MergeOperator] = []

  public init() {}

  /// Who runs background work.
  public enum Background: Sendable, Hashable {
    /// Threads of the store's own: one for flushes, this many for compactions.
    case threads(compactions: Int)
    /// Nobody: the caller runs ``LSMTree/stepBackground(budget:)``; nothing happens between calls, and a call that has to wait for background
    /// work runs it itself. For tests and simulations.
    case manual
  }
}

/// How a level of sorted runs is kept in shape. The raw values are stored.
public enum CompactionStyle: UInt8, Sendable, Hashable, CaseIterable {
  /// Levels of growing size, each one sorted run: fewest probes per read.
  case leveled = 0
  /// Runs of like size and adjacent age are merged: fewest bytes written.
  case sizeTiered = 1
  /// Nothing is merged, and the oldest tables go when there are more than ``KeyspaceOptions/fifoBytes``: a cache or a log of what was last.
  case fifo = 2
  /// Runs written in the same ``KeyspaceOptions/windowLength`` are merged and no others: series that are read by time and go by age.
  case timeWindow = 3
}

/// What a keyspace is created with.
public struct KeyspaceOptions: Sendable {
  /// How tables are merged; stored with the keyspace.
  public var style: CompactionStyle = .leveled
  /// Folds operands; its name is stored with the keyspace.
  public var mergeOperator: (any MergeOperator)?
  /// How tables are written.
  public var table = TableOptions()
  /// Bytes of an output table.
  public var targetTableBytes: UInt64 = 64 << 20
  /// Bytes of the level that level 0 is merged into, at most, before there is one more level.
  public var baseLevelBytes: UInt64 = 256 << 20
  /// How much larger each level is than the one above.
  public var fanOut = 10
  /// Bytes of tables that a keyspace of the style `.fifo` keeps; stored with it.
  ///
  /// Beyond, the oldest table goes as a whole, and with it every value of it that was not written again since: as if it were deleted, but without a
  /// version. What newer tables hold stays: the newest version of an overwritten key, and the deletion of a deleted one. A table stays as long as a
  /// snapshot sees any of it, and, where history is kept, until the floor has passed it. Not together with a merge operator.
  public var fifoBytes: UInt64 = 1 << 30
  /// How long a window of the style `.timeWindow` is, in whole seconds; stored with the keyspace. With a ``timeToLive`` of many windows, old windows
  /// go table by table.
  public var windowLength = Duration.seconds(86_400)
  /// How long values are there after they were written; `nil` for ever. Stored with the keyspace.
  ///
  /// A value is gone for every reader, those with snapshots included, when it is that old, or later by at most a sixteenth of the shortest time to
  /// live of the store and three seconds; it never comes back. Its space is free when its whole table has expired or a compaction passes. Told by the
  /// clock of the options: one that is set back makes values live longer. Not together with a merge operator.
  public var timeToLive: Duration?
  /// Whether the deletion of these keys at this version may be forgotten; `nil` where it always may. Replicas that have not heard of it say no.
  public var isPurgeable: (@Sendable (_ from: [UInt8], _ to: [UInt8], _ version: UInt64) -> Bool)?

  public init() {}
}
