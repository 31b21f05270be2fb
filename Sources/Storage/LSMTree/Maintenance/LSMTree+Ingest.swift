import StrataBytes
import StrataDisk
import StrataSSTable
public import SystemPackage

extension LSMTree {
  /// Adds tables that a `TableWriter` has made elsewhere, all of their entries as one write with one version; durable on return.
  ///
  /// The tables are read through, every checksum checked, and written anew under that version, so they stay as they are and may lie on another
  /// device. They come to lie as deep as nothing overlaps them. Versions are left out, so that writes go on while the tables are copied; during
  /// the one edit of the manifest at the end they wait for it.
  /// - Parameter tables: of values and deletions, each key once, no two tables overlapping; what they say of sequences counts for nothing.
  /// - Returns: the version of all the entries.
  /// - Throws: `.cannotIngest` where a table is none of that kind; `.busy` where writes to the same keys leave no moment for it; `.noSpace`,
  ///   `.readOnly`, `.closed`. Nothing has changed then.
  @discardableResult
  public func ingest(_ tables: [FilePath], in keyspace: Keyspace? = nil) throws(LSMError) -> UInt64 {
    try core.ingest(tables, keyspace ?? core.defaultKeyspace)
  }
}

extension LSMCore {
  /// How far ahead of the present the version of ingested tables lies: more than is written while they are copied.
  private static let versionsLeftOut: UInt64 = 1 << 32
  /// How often it is tried to find the memtables without a key that lies among the tables.
  private static let attempts = 8

  func ingest(_ paths: [FilePath], _ keyspace: Keyspace) throws(LSMError) -> UInt64 {
    if isClosed.load(ordering: .acquiring) { throw .closed }
    try check(keyspace)
    return try maintenance.withLock { _ throws(LSMError) in
      let version = try commit.withLock { (state) throws(LSMError) in
        try state.checkOpen()
        return state.lastSequence + Self.versionsLeftOut
      }
      guard version <= Trailer.maxSequence else { throw .versionOutOfOrder(given: version, atLeast: 0) }
      let sources = try sorted(paths)
      guard let first = sources.first, let last = sources.last else { return ring.visible }
      let hull = KeyHull(from: first.metadata.smallest.userKey, to: last.metadata.largest.userKey)
      var copies: [TableMetadata] = []
      do throws(LSMError) {
        for source in sources { copies.append(try copy(source, version, keyspace)) }
        for _ in 0..<Self.attempts {
          try flush(wait: true)
          if try scheduler.whileQuiet({ () throws(LSMError) in try install(copies, version, hull, keyspace) }) { return version }
        }
        throw .busy(.memtables)
      } catch {
        discard(copies)
        throw error
      }
    }
  }

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

  /// Makes the copies part of the store; `false` where memtables hold a key that lies among them. No job runs.
  private func install(_ copies: [TableMetadata], _ version: UInt64, _ hull: KeyHull, _ keyspace: Keyspace) throws(LSMError) -> Bool {
    let reservation = try commit.withLock { (state) throws(LSMError) -> Reservation? in
      try state.checkOpen()
      guard state.lastSequence < version else { throw .busy(.memtables) }
      // Those who are under way are let finish: only then do the memtables tell what they hold.
      ring.wait(for: state.lastSequence)
      guard ring.hasRoom, !keyspace.version.allMemtables.contains(where: { $0.overlaps(hull) }) else { return nil }
      state.lastSequence = version
      return Reservation(first: version, last: version, place: ring.enqueue(), ticket: nil)
    }
    guard let reservation else { return false }
    // Whatever comes of it, those behind must not wait for ever: a version without a write is a gap and no more.
    defer { ring.publish(reservation.place, last: version) }
    var handles: [TableHandle] = []
    for var copy in copies {
      copy.level = deepest(for: copy, keyspace)
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
    shapeChanged()
    return true
  }

  /// The lowest level with nothing that overlaps the table in it or above.
  private func deepest(for table: TableMetadata, _ keyspace: Keyspace) -> UInt8 {
    let levels = keyspace.version.levels
    guard keyspace.options.style == .leveled, !levels.levelZero.contains(where: { Levels.overlap($0.metadata, table) }) else { return 0 }
    let free = levels.deeper.prefix { run in !run.tables.contains { Levels.overlap($0.metadata, table) } }
    return UInt8(free.last?.level ?? 0)
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
