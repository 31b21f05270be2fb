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
  public var keys = 0
  public var segments = 0
  public var diskBytes = 0
  public var deadBytes = 0
  public var indexBytes = 0
  public var operations: UInt64 = 0
  public var bytesWritten: UInt64 = 0
  public var syncs: UInt64 = 0
  public var syncNanoseconds: UInt64 = 0
  public var longestSyncNanoseconds: UInt64 = 0
  public var rotations: UInt64 = 0
  public var pendingBytes = 0
  public var merges: UInt64 = 0
  public var mergedBytes: UInt64 = 0
  public var recordsDropped: UInt64 = 0
  public var snapshots = 0
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
