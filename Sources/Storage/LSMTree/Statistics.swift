import StrataJobs
import StrataSSTable
public import StrataWriteAheadLog
import Synchronization

/// What a store has done and holds; counts are since it was opened.
public struct LSMStatistics: Sendable {
  /// Bytes of keys and values given to writes, with their lengths.
  public var userBytes: UInt64 = 0
  /// What the log has done.
  public var log: WALStatistics
  /// Flushes done.
  public var flushes: UInt64 = 0
  /// Bytes flushes wrote.
  public var flushedBytes: UInt64 = 0
  /// Compactions done.
  public var compactions: UInt64 = 0
  /// Parts of those that were cut into parts.
  public var subCompactions: UInt64 = 0
  /// Compactions of level 0 that wrote to two levels: what the base had no room for went to the level below at once.
  public var descents: UInt64 = 0
  /// Bytes compactions read.
  public var compactionReadBytes: UInt64 = 0
  /// Bytes compactions wrote.
  public var compactionWrittenBytes: UInt64 = 0
  /// Values that flushes and compactions let go because their time was over; those of tables dropped whole are not counted.
  public var expiredValues: UInt64 = 0
  /// Bytes that compactions and flushes wrote into each level.
  public var writtenBytesByLevel: [UInt64] = []
  /// Tables of each level over all keyspaces.
  public var tablesByLevel: [Int] = []
  /// Bytes of each level over all keyspaces.
  public var bytesByLevel: [UInt64] = []
  /// Each keyspace by itself, the default one first.
  public var keyspaces: [KeyspaceStatistics] = []
  /// Reads of one key; every 64th is timed.
  public var getLatency: LSMLatency
  /// Writes and batches until they are acknowledged; every 32nd is timed. Submissions are not among them.
  public var writeLatency: LSMLatency
  /// What each durable write waited for the log's sync.
  public var syncLatency: LSMLatency
  /// Flushes.
  public var flushLatency: LSMLatency
  /// Compactions that rewrote tables.
  public var compactionLatency: LSMLatency
  /// Tables that the scrubber has read to their end.
  public var scrubbedTables: UInt64 = 0
  /// Bytes of them.
  public var scrubbedBytes: UInt64 = 0
  /// Tables in which it found damage, each pass counted.
  public var scrubbedDamaged: UInt64 = 0
  /// Tables taken in by `ingest`.
  public var ingestedTables: UInt64 = 0
  /// Their bytes.
  public var ingestedBytes: UInt64 = 0
  /// Time writes were held back.
  public var stallNanoseconds: UInt64 = 0
  /// How often writes were held back.
  public var stalls: UInt64 = 0
  /// Bytes in memtables.
  public var memtableBytes: Int = 0
  /// Bytes tables keep in memory outside the cache.
  public var tableMemoryBytes: Int = 0
  /// Tables whose filter is damaged: every lookup within their bounds reads a block of them. A compaction writes them anew.
  public var tablesWithDamagedFilter: Int = 0
  /// Tables in which damage was found, by number: reads of what is sound in them go on, no compaction touches them. The marks outlive the process;
  /// one goes with its table, or when `verify` or the scrubber has read the whole table and found it sound.
  public var quarantinedTables: [UInt64] = []
  /// The block cache.
  public var cache: BlockCache.Statistics
  /// Snapshots held.
  public var snapshots = 0
  /// Age of the oldest snapshot; zero where there is none.
  public var oldestSnapshotAge = Duration.zero
  /// Bytes of dropped tables that readers still keep.
  public var pinnedObsoleteBytes: UInt64 = 0
  /// Deletions in memtables and tables, those of ranges included.
  public var tombstones: UInt64 = 0
  /// Manifest files begun.
  public var manifestRotations = 0
  /// At most so many bytes of log are replayed by the next opening.
  public var recoveryBytesBound = 0
  /// Sorted runs a read of an absent key may have to ask, memtables included.
  public var readAmplification = 0
  /// Files removed at opening that nothing named.
  public var orphansRemoved: UInt64 = 0

  init(log: WALStatistics, cache: BlockCache.Statistics, _ latencies: Latencies) {
    self.log = log
    self.cache = cache
    getLatency = latencies.get.latency
    writeLatency = latencies.write.latency
    syncLatency = latencies.sync.latency
    flushLatency = latencies.flush.latency
    compactionLatency = latencies.compaction.latency
  }

  /// Bytes written to tables and log for each byte of the user; 0 before the first.
  public var writeAmplification: Double {
    userBytes == 0 ? 0 : Double(flushedBytes + compactionWrittenBytes + log.bytesWritten) / Double(userBytes)
  }
}

/// What a keyspace holds, and how it is kept in shape.
public struct KeyspaceStatistics: Sendable, Hashable {
  /// Its name, empty for the default one.
  public var name: String
  /// How its tables are merged.
  public var style: CompactionStyle
  /// Of the style `fifo` the bytes it keeps, of `timeWindow` the seconds of a window; 0 for other styles.
  public var styleLimit: UInt64
  /// Milliseconds that its values live, 0 for ever.
  public var timeToLiveMilliseconds: UInt64
  /// Its tables.
  public var tables: Int
  /// Their bytes.
  public var bytes: UInt64
  /// Seconds since 1970 by when all of its oldest table had been written; 0 for no table.
  public var oldestTableTime: UInt64

  init(_ keyspace: Keyspace) {
    let tables = keyspace.version.levels.tables
    (name, style, styleLimit) = (keyspace.name, keyspace.options.style, keyspace.options.styleLimit)
    timeToLiveMilliseconds = keyspace.options.timeToLiveMilliseconds
    self.tables = tables.count
    bytes = tables.reduce(0) { $0 + $1.metadata.fileSize }
    oldestTableTime = tables.map(\.metadata.newestTime).min() ?? 0
  }
}

/// A flush or compaction that has written its tables.
struct FinishedMerge {
  var parts: Int
  var bytesIn: UInt64
  var droppedExpired: UInt64
  var bytesOut: UInt64
  var bytesByLevel: [(level: Int, bytes: UInt64)]
  var isFlush: Bool
  /// Whether some of its keys went a level further than the rest.
  var isDescent: Bool
  var nanoseconds: UInt64

  /// - Parameter reports: of each part.
  init(_ reports: [MergeReport], _ outputs: [TableMetadata], isFlush: Bool, isDescent: Bool = false, nanoseconds: UInt64) {
    parts = reports.count
    bytesIn = reports.reduce(0) { $0 + $1.bytesIn }
    droppedExpired = reports.reduce(0) { $0 + $1.droppedExpired }
    bytesOut = outputs.reduce(0) { $0 + $1.fileSize }
    bytesByLevel = outputs.map { (Int($0.level), $0.fileSize) }
    self.isFlush = isFlush
    self.isDescent = isDescent
    self.nanoseconds = nanoseconds
  }
}

/// Counters that many threads add to.
final class Counters: Sendable {
  let orphansRemoved = Atomic<UInt64>(0)
  private let stallNanoseconds = Atomic<UInt64>(0)
  private let stalls = Atomic<UInt64>(0)

  private struct Work {
    var flushes: UInt64 = 0
    var flushedBytes: UInt64 = 0
    var compactions: UInt64 = 0
    var subCompactions: UInt64 = 0
    var descents: UInt64 = 0
    var read: UInt64 = 0
    var written: UInt64 = 0
    var ingestedTables: UInt64 = 0
    var ingestedBytes: UInt64 = 0
    var expiredValues: UInt64 = 0
    var scrubbedTables: UInt64 = 0
    var scrubbedBytes: UInt64 = 0
    var scrubbedDamaged: UInt64 = 0
    var byLevel = [UInt64](repeating: 0, count: LSMOptions.maxLevels)
    /// Bytes per second of the compactions so far, the later ones weighing more.
    var drainRate = 0.0
  }

  private let work = Monitor(Work())

  func stalled(_ nanoseconds: UInt64) {
    stallNanoseconds.add(nanoseconds, ordering: .relaxed)
    stalls.add(1, ordering: .relaxed)
  }

  func add(_ merge: FinishedMerge) {
    work.withLock { work in
      if merge.isFlush {
        work.flushes += 1
        work.flushedBytes += merge.bytesOut
      } else {
        work.compactions += 1
        work.subCompactions += merge.parts > 1 ? UInt64(merge.parts) : 0
        work.descents += merge.isDescent ? 1 : 0
        work.read += merge.bytesIn
        work.written += merge.bytesOut
        let rate = Double(merge.bytesIn) * 1e9 / Double(max(1, merge.nanoseconds))
        work.drainRate = work.drainRate == 0 ? rate : work.drainRate * 0.8 + rate * 0.2
      }
      for (level, bytes) in merge.bytesByLevel { work.byLevel[level] += bytes }
      work.expiredValues += merge.droppedExpired
    }
  }

  func scrubbed(_ found: TableVerification) {
    work.withLock { work in
      work.scrubbedTables += 1
      work.scrubbedBytes += found.bytes
      work.scrubbedDamaged += found.isClean ? 0 : 1
    }
  }

  func ingested(tables: Int, bytes: UInt64) {
    work.withLock { work in
      work.ingestedTables += UInt64(tables)
      work.ingestedBytes += bytes
    }
  }

  /// Bytes per second that compactions take in; 64 MiB where none has run.
  func drainRate() -> Int {
    let rate = work.withLock { $0.drainRate }
    return rate == 0 ? 64 << 20 : Int(rate)
  }

  func read(into statistics: inout LSMStatistics) {
    statistics.orphansRemoved = orphansRemoved.load(ordering: .relaxed)
    statistics.stallNanoseconds = stallNanoseconds.load(ordering: .relaxed)
    statistics.stalls = stalls.load(ordering: .relaxed)
    work.withLock { work in
      statistics.flushes = work.flushes
      statistics.flushedBytes = work.flushedBytes
      statistics.compactions = work.compactions
      statistics.subCompactions = work.subCompactions
      statistics.descents = work.descents
      statistics.compactionReadBytes = work.read
      statistics.compactionWrittenBytes = work.written
      statistics.writtenBytesByLevel = work.byLevel
      statistics.scrubbedTables = work.scrubbedTables
      statistics.scrubbedBytes = work.scrubbedBytes
      statistics.scrubbedDamaged = work.scrubbedDamaged
      statistics.expiredValues = work.expiredValues
      statistics.ingestedTables = work.ingestedTables
      statistics.ingestedBytes = work.ingestedBytes
    }
  }
}

/// Something that happened in a store, for logs and operators.
public enum LSMEvent: Sendable, Hashable {
  /// Memtables have become tables.
  case flushed(keyspace: String, tables: [UInt64], bytes: UInt64)
  /// Tables were merged, moved or dropped.
  case compacted(keyspace: String, reason: String, inputs: [UInt64], outputs: [UInt64], level: Int)
  /// Tables made elsewhere have become part of the store.
  case ingested(keyspace: String, tables: [UInt64], version: UInt64)
  /// A job failed.
  case jobFailed(what: String, error: String)
  /// A damaged table is no longer compacted.
  case quarantined(keyspace: String, table: UInt64, error: String)
  /// A table that was damaged has been read from end to end and is sound: it is compacted again.
  case absolved(keyspace: String, table: UInt64)
  /// Writes have stopped.
  case stopped(PressureReason)
  /// Writes are off for good.
  case becameReadOnly(cause: String)
}

/// Hands events to whoever listens, the newest 256 of them at most for one who is slow.
final class EventHub: Sendable {
  private let listeners: Monitor<[UInt64: AsyncStream<LSMEvent>.Continuation]> = Monitor([:])
  private let next = Atomic<UInt64>(0)

  func send(_ event: LSMEvent) {
    let all = listeners.withLock { Array($0.values) }
    for listener in all { listener.yield(event) }
  }

  func listen() -> AsyncStream<LSMEvent> {
    let (stream, continuation) = AsyncStream.makeStream(of: LSMEvent.self, bufferingPolicy: .bufferingNewest(256))
    let id = next.add(1, ordering: .relaxed).oldValue
    listeners.withLock { $0[id] = continuation }
    continuation.onTermination = { [weak self] _ in self?.listeners.withLock { _ = $0.removeValue(forKey: id) } }
    return stream
  }

  func finish() {
    let all = listeners.withLock { Array($0.values) }
    for listener in all { listener.finish() }
  }
}
