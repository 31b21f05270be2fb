public import StrataSSTable

extension LSMTree {
  /// Keeps every version above `version` readable, until the floor is moved on; durable on return. It only moves forward. Where no history was kept
  /// before, it begins at the present: what compactions have dropped does not come back.
  /// - Returns: the floor in force.
  @discardableResult
  public func setHistoryFloor(_ version: UInt64) throws(LSMError) -> UInt64 { try core.setHistoryFloor(version) }

  /// The oldest version that can be read; the last one where no history is kept.
  public var oldestReadable: UInt64 { core.historyFloor ?? core.ring.visible }

  /// The moment of an earlier version.
  /// - Throws: `.historyTruncated` where it is older than ``oldestReadable``; `.versionOutOfOrder` where it is still to come.
  public func snapshot(at version: UInt64) throws(LSMError) -> Snapshot {
    let core = core
    let visible = core.ring.visible
    guard version <= visible else { throw .versionOutOfOrder(given: version, atLeast: visible) }
    // Judged under the list's lock, under which compactions read the floor.
    guard let snapshot = core.snapshots.make(at: version, where: { version == core.ring.visible || core.historyFloor.map { version >= $0 } ?? false })
    else { throw .historyTruncated(oldest: oldestReadable) }
    return snapshot
  }

  /// Every change after `version` that is visible now, deletions included: range deletions first, then by key, the newest change of a key first.
  /// - Throws: `.historyTruncated` where changes after `version` may be gone.
  public func changes(since version: UInt64, in keyspace: Keyspace? = nil) throws(LSMError) -> ChangeIterator {
    let keyspace = keyspace ?? core.defaultKeyspace
    try core.checkReadable(keyspace, nil)
    guard let floor = core.historyFloor, version >= floor else { throw .historyTruncated(oldest: oldestReadable) }
    return ChangeIterator(core, keyspace, since: version)
  }
}

extension LSMCore {
  func setHistoryFloor(_ version: UInt64) throws(LSMError) -> UInt64 {
    try maintenance.withLock { _ throws(LSMError) in
      try commit.withLock { (state) throws(LSMError) in try state.checkOpen() }
      // Nothing may compact under the rules of before while the first floor is set.
      return try scheduler.whileQuiet { () throws(LSMError) in
        let floor = historyFloor.map { max($0, version) } ?? max(version, ring.visible)
        var edit = ManifestEdit()
        edit.historyFloor = floor
        try manifest.apply(edit)
        historyWord.store(floor + 1, ordering: .releasing)
        return floor
      }
    }
  }
}

/// One change of a key or a range, as ``LSMTree/changes(since:in:)`` delivers it.
public struct VersionedChange: Sendable, Hashable {
  /// The change's place in the order of writes.
  public var version: UInt64
  /// What it does.
  public var kind: EntryKind
  /// The key; of a range deletion its first.
  public var key: [UInt8]
  /// The value or operand; of a range deletion the first key no longer deleted.
  public var value: [UInt8]
}

/// Delivers changes one by one. It keeps what it reads from being freed; belongs to one thread at a time.
public struct ChangeIterator: ~Copyable {
  private let core: LSMCore
  private let keyspace: Keyspace
  private let since: UInt64
  /// The last version it delivers.
  public let through: UInt64
  private let sources: ReadSources
  private var ranges: [VersionedChange]
  private var hasBegun = false

  init(_ core: LSMCore, _ keyspace: Keyspace, since: UInt64) {
    self.core = core
    self.keyspace = keyspace
    self.since = since
    let (sources, through) = core.sources(keyspace, .all, at: nil, ReadOptions())
    self.sources = sources
    self.through = through
    let wanted = sources.ranges.flatMap(\.deletions).filter { $0.sequence > since && $0.sequence <= through }
    // A deletion cut into pieces is put together again by its sequence.
    var whole: [UInt64: RangeDeletion] = [:]
    for piece in wanted {
      var joined = whole[piece.sequence] ?? piece
      if order(piece.start, joined.start) < 0 { joined.start = piece.start }
      if order(piece.end, joined.end) > 0 { joined.end = piece.end }
      whole[piece.sequence] = joined
    }
    ranges = whole.values.sorted { $0.sequence < $1.sequence }.map {
      VersionedChange(version: $0.sequence, kind: .rangeDeletion, key: $0.start, value: $0.end)
    }
  }

  /// The next change, `nil` at the end.
  public mutating func next() throws(LSMError) -> VersionedChange? {
    if let range = ranges.popLast() { return range }
    let cursor = sources.cursor
    do throws(TableError) {
      if hasBegun { if cursor.isValid { try cursor.next() } } else { try cursor.first() }
      hasBegun = true
      while cursor.isValid {
        let entry = cursor.entry
        if entry.trailer.sequence > since, entry.trailer.sequence <= through, let kind = entry.trailer.kind {
          return VersionedChange(version: entry.trailer.sequence, kind: kind, key: [UInt8](entry.key), value: [UInt8](entry.value))
        }
        try cursor.next()
      }
    } catch { throw sources.error(error, core, keyspace) }
    return nil
  }
}
