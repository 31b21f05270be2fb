import StrataBytes
import StrataDisk
import StrataSSTable
import SystemPackage

// Ingestion takes its place in the order of writes before its tables are part of the store, and publishes that place when they are. Whoever writes
// meanwhile gets a later place and waits for the earlier one, as every writer does. What must not wait for it is the flush that it may need itself:
// see `IngestHold`.

/// What holds while tables are being taken in: per keyspace the first memtable that is not flushed, as it may hold entries ordered behind the tables,
/// which are not visible before the tables are.
struct IngestHold: Sendable {
  var firstHeld: [UInt32: UInt64]
}

extension LSMCore {
  /// How far ahead of the present the version of ingested tables lies at least.
  private static let leastLeftOut: UInt64 = 1 << 20

  /// - Parameter leavingOut: how many versions are left out for what is written while the tables are copied.
  func ingest(
    _ paths: [FilePath], _ keyspace: Keyspace, _ version: UInt64?, leavingOut: UInt64? = nil
  ) throws(LSMError) -> UInt64 {
    if isClosed.load(ordering: .acquiring) { throw .closed }
    try check(keyspace)
    return try maintenance.withLock { _ throws(LSMError) in
      let sources = try sorted(paths)
      guard let hull = hull(of: sources) else { return ring.visible }
      var room = leavingOut ?? sources.reduce(Self.leastLeftOut) { $0 + $1.metadata.fileSize }
      while true {
        let last = try commit.withLock { (state) throws(LSMError) in
          try state.checkOpen()
          return state.lastSequence
        }
        let chosen = version ?? last + room
        guard chosen > last, chosen <= Trailer.maxSequence else { throw .versionOutOfOrder(given: chosen, atLeast: last + 1) }
        var copies: [TableMetadata] = []
        do throws(LSMError) {
          for source in sources { copies.append(try copy(source, chosen, keyspace)) }
          if try take(copies, chosen, hull, keyspace) { return chosen }
        } catch {
          discard(copies)
          throw error
        }
        discard(copies)
        // So much was written meanwhile: once more, further ahead.
        guard version == nil else { throw .versionOutOfOrder(given: chosen, atLeast: ring.visible + 1) }
        room = min(room << 6, Trailer.maxSequence)
      }
    }
  }

  // MARK: The tables

  /// The tables, opened, in the order of their keys.
  private func sorted(_ paths: [FilePath]) throws(LSMError) -> [TableReader] {
    var sources: [TableReader] = []
    for path in paths {
      do throws(TableError) { sources.append(try TableReader.open(path, on: fileSystem)) } catch {
        throw .cannotIngest(path, reason: error.description)
      }
    }
    sources.removeAll { $0.metadata.entryCount == 0 && $0.rangeTombstones.isEmpty }
    sources.sort { $0.metadata.smallest < $1.metadata.smallest }
    for source in sources where !source.rangeTombstones.isEmpty || source.metadata.mergeCount > 0 {
      throw .cannotIngest(source.path, reason: "it holds range deletions or merge operands")
    }
    for (left, right) in zip(sources, sources.dropFirst()) where order(left.metadata.largest.userKey, right.metadata.smallest.userKey) >= 0 {
      throw .cannotIngest(right.path, reason: "its keys overlap those of \(left.path)")
    }
    return sources
  }

  private func hull(of sources: [TableReader]) -> KeyHull? {
    guard let first = sources.first, let last = sources.last else { return nil }
    return KeyHull(from: first.metadata.smallest.userKey, to: last.metadata.largest.userKey)
  }

  /// Writes a table's entries into one of the store's own, under one version.
  private func copy(_ source: TableReader, _ version: UInt64, _ keyspace: Keyspace) throws(LSMError) -> TableMetadata {
    let id = takeFileNumber()
    var duplicate = false
    do throws(TableError) {
      var writer = try TableWriter(
        FileName.table(id).path(in: directory), fileID: id, options: output(keyspace, level: 0).options, on: fileSystem)
      let cursor = source.cursor(fillCache: false)
      var previous: [UInt8]?
      try cursor.first()
      while cursor.isValid, !duplicate {
        let entry = cursor.entry
        if let previous, previous.span.bytes.withUnsafeBytes({ compare($0, entry.key) }) == 0 {
          duplicate = true
        } else {
          previous = [UInt8](entry.key)
          try writer.add(entry.key, Trailer(version, entry.trailer.kind ?? .value), entry.value, hash: nil)
          try cursor.next()
        }
      }
      if !duplicate { return try writer.finish() }
    } catch {
      if error.path == source.path { throw .cannotIngest(source.path, reason: error.description) }
      throw LSMError(error)
    }
    throw .cannotIngest(source.path, reason: "a key has several versions")
  }

  // MARK: Becoming part of the store

  /// Makes the copies part of the store; `false` where writes have reached their version already.
  private func take(_ copies: [TableMetadata], _ version: UInt64, _ hull: KeyHull, _ keyspace: Keyspace) throws(LSMError) -> Bool {
    // What lies in memory goes to tables while nobody waits for us; what comes in between is little.
    if keyspace.version.allMemtables.contains(where: { $0.overlaps(hull) }) { try flush(keyspace) }
    guard let (reservation, flushedBefore) = try takePlace(of: version, hull, keyspace) else { return false }
    var failure: LSMError?
    var busy: Set<UInt64> = []
    do throws(LSMError) {
      if let flushedBefore { try waitForFlush(of: keyspace, before: flushedBefore) }
      try install(copies, version, keyspace, &busy)
    } catch { failure = error }
    // Whatever came of it, those behind must not wait for ever: a version without a write is a gap and no more.
    work.withLock { $0.ingest = nil }
    ring.publish(reservation.place, last: version)
    ring.wait(for: version)
    // Not before they are visible: a merge would take them for what every later snapshot sees.
    work.withLock { work in
      work.busy.subtract(busy)
      work.running.removeAll { !$0.inputs.isDisjoint(with: busy) }
    }
    shapeChanged()
    if let failure { throw failure }
    return true
  }

  /// Seals the keyspace's memtable and waits until all before the new one are in tables.
  private func flush(_ keyspace: Keyspace) throws(LSMError) {
    let number = try commit.withLock { (state) throws(LSMError) -> UInt64 in
      try state.checkOpen()
      if !keyspace.active.isEmpty { seal(keyspace, &state) }
      return keyspace.active.number
    }
    try waitForFlush(of: keyspace, before: number)
  }

  /// Takes the place of `version` in the order of writes; `nil` where it is past.
  /// - Returns: also the memtable before which all must be in tables first, as they hold keys that lie among those of the tables.
  private func takePlace(of version: UInt64, _ hull: KeyHull, _ keyspace: Keyspace) throws(LSMError) -> (Reservation, flushedBefore: UInt64?)? {
    while true {
      let last = ring.visible
      if last >= version { return nil }
      let taken = try commit.withLock { (state) throws(LSMError) -> (Reservation, flushedBefore: UInt64?)? in
        try state.checkOpen()
        guard state.lastSequence < version, ring.hasRoom else { return nil }
        // Those under way only copy bytes; when they are done the memtables tell what they hold.
        ring.wait(for: state.lastSequence)
        var flushedBefore: UInt64?
        if keyspace.version.allMemtables.contains(where: { $0.overlaps(hull) }) {
          if !keyspace.active.isEmpty { seal(keyspace, &state) }
          flushedBefore = keyspace.active.number
          let firstHeld = Dictionary(uniqueKeysWithValues: allKeyspaces.map { ($0.id, $0.active.number) })
          work.withLock { $0.ingest = IngestHold(firstHeld: firstHeld) }
        }
        state.lastSequence = version
        return (Reservation(first: version, last: version, place: ring.enqueue(), ticket: nil), flushedBefore)
      }
      if let taken { return taken }
      // Either the version is past, or the ring was full: its oldest place is published without anybody's help.
      let reached = commit.withLock { $0.lastSequence }
      if reached >= version { return nil }
      ring.wait(for: reached)
    }
  }

  /// Adds the copies by one edit, each to its level. Their numbers are in `busy` as long as no compaction may touch them.
  private func install(
    _ copies: [TableMetadata], _ version: UInt64, _ keyspace: Keyspace, _ busy: inout Set<UInt64>
  ) throws(LSMError) {
    var handles: [TableHandle] = []
    for var copy in copies {
      copy.level = claimLevel(for: copy, keyspace)
      busy.insert(copy.fileID)
      handles.append(try openTable(copy))
    }
    var edit = ManifestEdit()
    edit.added = handles.map { (keyspace.id, $0.metadata) }
    edit.nextFile = nextFile.load(ordering: .relaxed)
    edit.lastSequence = version
    try manifest.apply(edit)
    keyspace.publish(epochs) { shape in
      shape.version = Version(
        active: shape.version.active, sealed: shape.version.sealed, levels: shape.version.levels.replacing([], with: handles))
    }
    // Before the version is visible: see `LSMCore.sources`.
    keyspace.lastIngested.store(version, ordering: .releasing)
    counters.ingested(tables: handles.count, bytes: handles.reduce(0) { $0 + $1.metadata.fileSize })
    events.send(.ingested(keyspace: keyspace.name, tables: handles.map(\.metadata.fileID), version: version))
  }

  /// The lowest level with nothing that overlaps the table in it or above, and no compaction about to write there. Taken as a compaction takes its
  /// output, so that none is begun that would.
  private func claimLevel(for table: TableMetadata, _ keyspace: Keyspace) -> UInt8 {
    let hull = KeyHull(from: table.smallest.userKey, to: table.largest.userKey)
    return work.withLock { work in
      let levels = keyspace.version.levels
      var level = 0
      if keyspace.options.style == .leveled, !levels.levelZero.contains(where: { Levels.overlap($0.metadata, table) }) {
        for run in levels.deeper {
          if run.tables.contains(where: { Levels.overlap($0.metadata, table) }) { break }
          let isTarget = work.running.contains { $0.keyspace == keyspace.id && $0.level == run.level && $0.hull.overlaps(hull) }
          if !isTarget { level = run.level }
        }
      }
      work.busy.insert(table.fileID)
      work.running.append(RunningCompaction(keyspace: keyspace.id, level: level, hull: hull, inputs: [table.fileID]))
      return UInt8(level)
    }
  }
}

extension Memtable {
  /// Whether an entry or range deletion touches the keys of a hull.
  func overlaps(_ hull: KeyHull) -> Bool {
    if rangeDeletions.contains(where: { order($0.start, hull.to) <= 0 && order($0.end, hull.from) > 0 }) { return true }
    let cursor = cursor()
    do throws(TableError) {
      try hull.from.span.bytes.withUnsafeBytes { (from) throws(TableError) in try cursor.seek(from, Trailer(word: .max)) }
    } catch { return true }
    guard cursor.isValid else { return false }
    return hull.to.withUnsafeBytes { compare(cursor.entry.key, $0) } <= 0
  }
}
