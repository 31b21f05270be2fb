import SystemPackage
import StrataBytes
import StrataSSTable

/// What an iterator reads: a version, kept, and one merged cursor over its memtables and tables.
struct ReadSources {
  let version: Version
  let cursor: Cursor
  /// The same, for moves that do not count a reference.
  let unowned: Unmanaged<Cursor>
  /// Range deletions of memtables and tables, each part with some.
  let ranges: [RangeTombstones]
  let hasRanges: Bool
  /// Range deletions of a batch that reads itself.
  let ownRanges: [RangeTombstones]
  /// The last of the batch's changes that is seen; below ``IndexedBatch/firstSequence`` where there is none.
  let ownThrough: UInt64

  /// Whether what reads at `version` sees the entry.
  @inline(__always)
  func isVisible(_ trailer: Trailer, at version: UInt64) -> Bool {
    trailer.sequence <= version || (trailer.sequence >= IndexedBatch.firstSequence && trailer.sequence <= ownThrough)
  }

  /// The last sequence that what reads at `version` may see of those that are not above a hidden entry's.
  func visibleEnd(below hidden: Trailer, at version: UInt64) -> UInt64 { hidden.sequence > ownThrough ? max(version, ownThrough) : version }

  /// The newest range deletion that covers the key and is visible at `sequence`; 0 where there is none.
  func covering(_ key: UnsafeRawBufferPointer, at sequence: UInt64) -> UInt64 {
    var newest: UInt64 = 0
    for part in ownRanges { newest = max(newest, part.coveringSequence(key, atOrBelow: ownThrough)) }
    for part in ranges { newest = max(newest, part.coveringSequence(key, atOrBelow: sequence)) }
    return newest
  }

  /// What a failed move means: a damaged block is laid to its table.
  func error(_ error: TableError, _ core: LSMCore, _ keyspace: Keyspace) -> LSMError {
    let path =
      switch error {
      case .corruptBlock(let path, _, _, _), .notATable(let path, _), .truncated(let path, _, _), .foreignTable(let path, _): path
      default: nil as FilePath?
      }
    guard let path, let table = version.levels.tables.first(where: { $0.reader.path == path }) else { return LSMError(error) }
    return core.damaged(error, table, keyspace)
  }
}

/// How the tables of a run are read.
struct RunReading {
  var fillCache: Bool
  /// What is passed over in tables that hide nothing.
  var filter: BlockFilter?
  /// The runs older than this one.
  var older: ArraySlice<SortedRun>

  func cursor(_ table: TableHandle) -> TableCursor {
    let passes = filter != nil && !older.contains { $0.overlaps(table.metadata) }
    return table.reader.cursor(fillCache: fillCache, passing: passes ? filter : nil)
  }
}

extension LSMCore {
  /// Pins the present version of a keyspace and opens cursors on all of it that the bounds touch. Where readers keep much memory, on its tables
  /// only, as of a moment whose changes are all there.
  func sources(
    _ keyspace: Keyspace, _ bounds: KeyBounds, at sequence: UInt64?, _ options: ReadOptions, under layer: BatchLayer? = nil
  ) -> (ReadSources, version: UInt64) {
    // Held until the tables are pinned: a compaction in between would drop what its version sees.
    let moment = spareMemtables(keyspace)
    defer { withExtendedLifetime(moment) {} }
    let sequence = moment.map { min($0.version, sequence ?? .max) } ?? sequence
    while true {
      let ingested = keyspace.lastIngested.load(ordering: .acquiring)
      let version = moment == nil ? pin(keyspace) : pin(keyspace).withoutMemtables
      // After the version is pinned: see `Version`.
      let visible = sequence ?? ring.visible
      // Tables taken in between are visible and not in the version, though what was written after them may be in its memtable: a hole.
      if keyspace.lastIngested.load(ordering: .acquiring) != ingested { continue }
      var options = options
      if keyspace.options.mergeOperator != nil { options.passing = nil }
      return (sources(version, bounds, options, under: layer), visible)
    }
  }

  /// The present version, counted, without the keyspace's lock.
  func pin(_ keyspace: Keyspace) -> Version {
    let slot = epochs.enter()
    defer { epochs.leave(slot) }
    return keyspace.pinned.takeUnretainedValue()
  }

  /// Cursors over a version, and over a batch's changes above it.
  func sources(_ version: Version, _ bounds: KeyBounds, _ options: ReadOptions, under layer: BatchLayer?) -> ReadSources {
    var cursors: [Cursor] = layer?.memtables.map { $0.cursor() } ?? []
    let ownRanges = layer?.ranges ?? []
    var ranges: [RangeTombstones] = []
    for memtable in version.allMemtables {
      if !memtable.isEmpty, let cursor = memtable.cursor(prefix: options.prefix) { cursors.append(cursor) }
      if memtable.hasRangeDeletions { ranges.append(memtable.rangeTombstones()) }
    }
    let runs = version.levels.runs
    for (index, run) in runs.enumerated() {
      let reading = RunReading(fillCache: options.fillCache, filter: options.passing, older: runs[(index + 1)...])
      if let prefix = options.prefix {
        if let cursor = run.cursor(prefix: prefix, bounds, reading) { cursors.append(cursor) }
      } else if run.count == 1 {
        guard Levels.overlaps(run.tables[0].metadata, bounds) else { continue }
        cursors.append(reading.cursor(run.tables[0]))
      } else {
        cursors.append(LevelCursor(run, bounds: bounds, reading))
      }
    }
    let tables = version.levels.rangeTombstones()
    if !tables.isEmpty { ranges.append(tables) }
    let cursor = cursors.count == 1 ? cursors[0] : MergingCursor(cursors)
    return ReadSources(
      version: version, cursor: cursor, unowned: .passUnretained(cursor), ranges: ranges,
      hasRanges: !ranges.isEmpty || !ownRanges.isEmpty, ownRanges: ownRanges, ownThrough: layer?.last ?? 0)
  }
}
