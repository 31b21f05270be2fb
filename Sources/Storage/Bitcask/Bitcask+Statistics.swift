public import SystemPackage

/// What is known of a segment.
public struct SegmentInfo: Sendable, Hashable {
  /// The segment's number; later ones are higher.
  public var id: UInt32
  /// Its data file.
  public var path: FilePath
  /// Length of its data.
  public var bytes: Int
  /// Records in it, and how many of them the index points to.
  public var records: Int
  /// Records that keys point to.
  public var liveRecords: Int
  /// Bytes a merge would free, as far as known.
  public var deadBytes: Int
  /// Whether it takes writes.
  public var isActive: Bool
  /// Whether opening need not read its data.
  public var hasHint: Bool
  /// Whether damage was found in it.
  public var isDamaged: Bool
}

/// The store in numbers; counts are since opening.
public struct BitcaskStatistics: Sendable, Hashable {
  /// Keys, expired ones that no merge has reclaimed included.
  public var keys = 0
  /// Data files.
  public var segments = 0
  /// Bytes of records in them.
  public var diskBytes = 0
  /// The part of these that no key points to.
  public var deadBytes = 0
  /// Memory of the key directory.
  public var indexBytes = 0
  /// Changes submitted since the store was opened.
  public var operations: UInt64 = 0
  /// Bytes written for them.
  public var bytesWritten: UInt64 = 0
  /// Syncs of data files.
  public var syncs: UInt64 = 0
  /// Time spent in them.
  public var syncNanoseconds: UInt64 = 0
  /// The longest of them.
  public var longestSyncNanoseconds: UInt64 = 0
  /// Segments that became full.
  public var rotations: UInt64 = 0
  /// Bytes submitted and not yet written.
  public var pendingBytes = 0
  /// Merges finished.
  public var merges: UInt64 = 0
  /// Bytes they wrote.
  public var mergedBytes: UInt64 = 0
  /// Records they left out.
  public var recordsDropped: UInt64 = 0
  /// Snapshots held.
  public var snapshots = 0
  /// Superseded versions kept for them.
  public var snapshotVersions = 0
  /// Bytes written to data files per byte that callers wrote: 1 and what merges copied.
  public var writeAmplification = 1.0
}

extension Bitcask {
  /// Every segment, oldest number first. O(segments).
  public func segments() -> [SegmentInfo] {
    let known = manifest.state.segments
    let now = options.clock()
    return table.all.filter { known[$0.id] != nil }.map { segment in
      SegmentInfo(
        id: segment.id, path: segment.path, bytes: segment.dataBytes + SegmentHeader.bytes, records: segment.records,
        liveRecords: segment.live.records, deadBytes: segment.deadBytes(now: now), isActive: segment.isActive, hasHint: segment.hasHint,
        isDamaged: segment.isDamaged)
    }
  }

  /// Number of segments, the active one included.
  public var segmentCount: Int { segments().count }

  /// Bytes of data in all segments; an active segment's reserved but unwritten space is not counted.
  public var totalDiskUsage: Int { segments().reduce(0) { $0 + $1.bytes } }

  /// The store in numbers. O(segments); takes short locks.
  public var statistics: BitcaskStatistics {
    let segments = segments()
    let (counts, pending) = commit.counters
    var result = BitcaskStatistics()
    result.keys = index.count
    result.segments = segments.count
    result.diskBytes = segments.reduce(0) { $0 + $1.bytes }
    result.deadBytes = segments.reduce(0) { $0 + $1.deadBytes }
    result.indexBytes = index.memoryBytes
    result.operations = counts.operations
    result.bytesWritten = counts.bytes
    result.syncs = counts.syncs
    result.syncNanoseconds = counts.syncNanoseconds
    result.longestSyncNanoseconds = counts.longestSyncNanoseconds
    result.rotations = counts.rotations
    result.pendingBytes = pending
    result.merges = counters.merges.load(ordering: .relaxed)
    result.mergedBytes = counters.mergedBytes.load(ordering: .relaxed)
    result.recordsDropped = counters.recordsDropped.load(ordering: .relaxed)
    result.snapshots = snapshots.count
    result.snapshotVersions = snapshots.versionCount
    if counts.bytes > 0 { result.writeAmplification = 1 + Double(result.mergedBytes) / Double(counts.bytes) }
    return result
  }
}
