import StrataDisk
import StrataWriteAheadLog
import SystemPackage

/// What a store is made of once its files are in order.
struct OpenedStore {
  var directory: FilePath
  var options: BitcaskOptions
  var fileSystem: any FileSystem
  var manifest: Manifest
  var table: SegmentTable
  var trash: SegmentTrash
  var index: KeyDirectory
  var supply: SegmentSupply
  var commit: GroupCommit
  var lock: any FileLock
  var report: RecoveryReport
}

/// Opens a directory: lock, manifest, index, the end of the segment last written to, a fresh one, a new manifest; only then are
/// files removed that the manifest does not name. A crash at any point leaves a directory that opens to the same store.
struct StoreOpening {
  let directory: FilePath
  let options: BitcaskOptions
  let fileSystem: any FileSystem

  func run() throws(BitcaskError) -> OpenedStore {
    try options.validate()
    try disk { () throws(DiskError) in try fileSystem.makeDirectories(directory) }
    let lock: any FileLock
    do throws(DiskError) { lock = try fileSystem.lock(FileName.lock.path(in: directory)) } catch {
      if case .locked(let path, let holder) = error { throw .alreadyOpen(path, pid: holder) }
      throw BitcaskError(error)
    }
    do throws(BitcaskError) { return try open(lock) } catch {
      lock.unlock()
      throw error
    }
  }

  private func open(_ lock: any FileLock) throws(BitcaskError) -> OpenedStore {
    let loaded = try Manifest.load(directory, on: fileSystem)
    let manifestOptions = ManifestOptions(keepsKeys: options.keyStorage == .memory, segmentBytes: UInt64(options.segmentBytes))
    var state = loaded?.state ?? Manifest.State(store: .random(), options: manifestOptions)
    state.options = manifestOptions
    var report = RecoveryReport()
    if let loaded, loaded.tornBytes > 0 {
      report.wasClean = false
      if options.recovery == .absolute {
        throw .tornTail(FileName.manifest(loaded.number).path(in: directory), offset: loaded.tornAt, bytes: loaded.tornBytes)
      }
    }
    let names = try disk { () throws(DiskError) in try fileSystem.list(directory) }
    try treatForgottenSegments(names, &state, loaded, &report)
    let table = SegmentTable()
    let trash = SegmentTrash()
    for facts in state.segments.values.sorted(by: { $0.id < $1.id }) { try openSegment(facts, &state, table, trash, &report) }
    try endActiveSegment(&state, table, &report)
    let index = KeyDirectory(keepsKeys: options.keyStorage == .memory, isRecovering: true)
    // The record counts of the manifest are sealed with checksums, but the files bound them too.
    index.reserve(table.all.reduce(0) { $0 + min(Int(clamping: $1.currentFacts.records), $1.dataBytes / RecordHeader.bytes) })
    let loading = IndexLoading(index: index, table: table, store: state.store, fileSystem: fileSystem, mode: options.recovery)
    let outcome = try loading.load(table.all, threads: options.background == .manual ? 1 : options.recoveryThreads)
    index.finishRecovery { location in table.segment(location.segment)?.gain(Int(location.length)) }
    report.lastSequence = max(outcome.report.lastSequence, state.nextSequence - 1)
    report.hintsLoaded = outcome.report.hintsLoaded
    report.segmentsScanned = outcome.report.segmentsScanned
    report.bytesScanned += outcome.report.bytesScanned
    report.damage += outcome.report.damage
    for segment in table.all where segment.isDamaged { state.segments[segment.id]?.isDamaged = true }
    return try finish(lock, loaded?.number ?? 0, state, table, trash, index, report, names)
  }

  /// The manifest's last edit may be gone without a trace. What it named gives it away: a log segment takes records only once its edit is
  /// durable, so one that is unknown, has records, and begins behind every known one, means that the manifest is damaged. Salvage takes
  /// such a segment back in.
  private func treatForgottenSegments(
    _ names: [String], _ state: inout Manifest.State, _ loaded: LoadedManifest?, _ report: inout RecoveryReport
  ) throws(BitcaskError) {
    guard let loaded else { return }
    let known = state.nextSequence
    for name in names {
      guard case .data(let id) = FileName(name), state.segments[id] == nil else { continue }
      let path = directory.appending(name)
      let found = try disk { () throws(DiskError) -> SegmentFacts? in
        let file = try fileSystem.open(path, .read)
        defer { try? file.close() }
        let size = try file.size()
        guard size >= UInt64(SegmentHeader.bytes),
          let header = try? SegmentHeader(decoding: try file.readExactly(at: 0, count: SegmentHeader.bytes)),
          header.store == state.store, header.segment == id, header.kind == .log, header.firstSequence >= known
        else { return nil }
        let seal = RecordSeal(salt: header.salt, segment: id)
        let scanner = SegmentScanner(file, seal: seal, to: size)
        var holdsRecord = false
        while !holdsRecord, let item = try scanner.next() {
          if case .record = item { holdsRecord = true }
        }
        guard holdsRecord else { return nil }
        let tail = try TailScan(file, seal: seal, firstSequence: header.firstSequence, size: size)
        return SegmentFacts(
          id: id, kind: .log, state: .sealed, isDamaged: true, salt: header.salt, created: header.created, firstSequence: header.firstSequence,
          lastSequence: tail.lastSequence, length: tail.remainsAreDamage ? size : tail.validEnd, records: tail.records)
      }
      guard let facts = found else { continue }
      guard options.recovery == .salvage else {
        throw .damaged(
          FileName.manifest(loaded.number).path(in: directory), offset: loaded.tornAt, reason: "it does not name \(name), which holds records")
      }
      state.segments[id] = facts
      state.nextSequence = max(state.nextSequence, facts.lastSequence + 1)
      report.damage.append(Damage(segment: id, path: path, offset: 0, length: facts.length, kind: .forgotten))
    }
  }

  private func openSegment(
    _ facts: SegmentFacts, _ state: inout Manifest.State, _ table: SegmentTable, _ trash: SegmentTrash, _ report: inout RecoveryReport
  ) throws(BitcaskError) {
    let path = FileName.data(facts.id).path(in: directory)
    let file: any File
    do throws(DiskError) { file = try fileSystem.open(path, .readWrite) } catch {
      guard case .notFound = error else { throw BitcaskError(error) }
      guard options.recovery == .salvage else { throw .missingSegment(facts.id, path) }
      report.damage.append(Damage(segment: facts.id, path: path, offset: 0, length: facts.length, kind: .segment))
      state.segments[facts.id] = nil
      return
    }
    var facts = facts
    let size = try disk { () throws(DiskError) in try file.size() }
    let header = try disk { () throws(DiskError) in try file.read(at: 0, count: SegmentHeader.bytes) }
    do throws(SegmentHeader.Failure) {
      let header = try SegmentHeader(decoding: header)
      guard header.store == state.store, header.segment == facts.id, header.salt == facts.salt else {
        throw SegmentHeader.Failure.damaged
      }
    } catch {
      if case .version(let version) = error {
        throw .unsupportedVersion(path, found: Int(version), supported: Int(SegmentHeader.version))
      }
      // The manifest knows all that the header says, so nothing is lost by it.
      report.damage.append(Damage(segment: facts.id, path: path, offset: 0, length: UInt64(SegmentHeader.bytes), kind: .header))
      if options.recovery == .absolute { throw .damaged(path, offset: 0, reason: "the header sector is not sound") }
      facts.isDamaged = true
    }
    if facts.state == .sealed, size < facts.length {
      let reason = "it ends after \(size) of \(facts.length) bytes"
      guard options.recovery == .salvage else { throw .damaged(path, offset: size, reason: reason) }
      report.damage.append(Damage(segment: facts.id, path: path, offset: size, length: facts.length - size, kind: .region))
      facts.isDamaged = true
      facts.length = size
    }
    state.segments[facts.id] = facts
    table.add(Segment(facts, path: path, file: file, trash: trash, reads: options.reads))
  }

  /// Cuts the segment that was being written to where its last complete write ends, makes that durable, and seals it: nothing is ever
  /// appended behind what a crash left.
  private func endActiveSegment(
    _ state: inout Manifest.State, _ table: SegmentTable, _ report: inout RecoveryReport
  ) throws(BitcaskError) {
    guard let segment = table.all.first(where: { $0.isActive }) else { return }
    report.wasClean = false
    let size = try disk { () throws(DiskError) in try segment.file.size() }
    let first = segment.currentFacts.firstSequence
    let tail = try disk { () throws(DiskError) in try TailScan(segment.file, seal: segment.seal, firstSequence: first, size: size) }
    report.bytesScanned += size
    if tail.hasRemains { try judge(tail, segment, size, &report) }
    // Salvage keeps what lies behind damage: the index scan steps over the holes.
    let keepsAll = tail.remainsAreDamage && options.recovery == .salvage
    let end = keepsAll ? size : tail.validEnd
    if !keepsAll, tail.records == 0 {
      // Remains of a cut-short write in a file no manifest names would look like a segment that a damaged manifest forgot.
      if tail.hasRemains {
        try disk { () throws(DiskError) in
          try segment.file.truncate(to: min(size, UInt64(SegmentHeader.bytes)))
          try segment.file.sync(.full)
        }
      }
      state.segments[segment.id] = nil
      _ = table.remove(segment.id)
      return
    }
    try disk { () throws(DiskError) in
      var position = tail.unprovenFrom
      while position < tail.validEnd {
        let piece = try segment.file.readExactly(at: position, count: Int(min(1 << 20, tail.validEnd - position)))
        try segment.file.write(piece, at: position)
        position += UInt64(piece.count)
      }
      if size > end { try segment.file.truncate(to: end) }
      try segment.file.sync(.full)
    }
    let sealed = segment.sealed { facts in
      facts.length = end
      facts.lastSequence = tail.lastSequence
      facts.records = tail.records
      facts.isDamaged = facts.isDamaged || keepsAll
    }
    state.segments[segment.id] = sealed
    state.nextSequence = max(state.nextSequence, tail.lastSequence + 1)
  }

  private func judge(_ tail: TailScan, _ segment: Segment, _ size: UInt64, _ report: inout RecoveryReport) throws(BitcaskError) {
    let cut = size - tail.validEnd
    switch options.recovery {
    case .absolute: throw .tornTail(segment.path, offset: tail.validEnd, bytes: cut)
    case .tolerateTornTail where tail.remainsAreDamage:
      throw .damaged(segment.path, offset: tail.validEnd, reason: "records behind it prove that what stood there had been durable")
    case .salvage where tail.remainsAreDamage: return
    case .pointInTime:
      // What is cut may be all there is of later writes, so it is kept for whoever wants to look.
      try disk { () throws(DiskError) in
        let copy = try fileSystem.open(FilePath(segment.path.string + ".damaged"), .create)
        try copy.truncate(to: 0)
        var position: UInt64 = 0
        while tail.validEnd + position < size {
          let piece = try segment.file.read(at: tail.validEnd + position, count: 1 << 20)
          if piece.isEmpty { break }
          try copy.write(piece, at: position)
          position += UInt64(piece.count)
        }
        try copy.sync(.full)
        try copy.close()
        try fileSystem.syncDirectory(directory)
      }
    case .tolerateTornTail, .salvage: break
    }
    report.tornBytes += cut
  }

  /// Creates the segment that takes the next writes, writes the new manifest and removes what it does not name.
  private func finish(
    _ lock: any FileLock, _ number: UInt32, _ state: Manifest.State, _ table: SegmentTable, _ trash: SegmentTrash, _ index: KeyDirectory,
    _ report: RecoveryReport, _ names: [String]
  ) throws(BitcaskError) -> OpenedStore {
    var state = state
    var report = report
    state.nextSequence = max(state.nextSequence, report.lastSequence + 1)
    // Files a crash left behind may have numbers beyond the counter.
    for case .data(let id) in names.compactMap({ FileName($0) }) { state.nextSegment = max(state.nextSegment, id + 1) }
    guard number < UInt32.max - 1 else { throw .outOfSegments(directory) }
    let manifest = try disk { () throws(DiskError) in try Manifest(state, number: number + 1, in: directory, on: fileSystem) }
    report.orphansRemoved = try removeOrphans(names, state, &report)
    let supply = SegmentSupply(
      directory: directory, fileSystem: fileSystem, manifest: manifest, table: table, trash: trash, options: options)
    let first = state.nextSequence
    let (prepared, segment) = try disk { () throws(DiskError) -> (PreparedSegment, Segment) in
      let (segment, prepared) = try supply.create(UInt64(options.segmentBytes))
      let facts = try supply.writeHeader(segment, firstSequence: first)
      try manifest.apply(ManifestEdit(added: [facts], nextSequence: first))
      return (prepared, segment)
    }
    table.add(segment)
    var commitOptions = GroupCommit.Options(segmentBytes: UInt64(options.segmentBytes), durability: options.durability)
    commitOptions.maxPendingBytes = options.maxPendingBytes
    commitOptions.usesThread = options.background == .threads
    let commit = GroupCommit(
      options: commitOptions, source: supply, active: prepared, offset: prepared.dataStart, firstSequence: first, nextSequence: first)
    return OpenedStore(
      directory: directory, options: options, fileSystem: fileSystem, manifest: manifest, table: table, trash: trash, index: index,
      supply: supply, commit: commit, lock: lock, report: report)
  }

  private func removeOrphans(_ names: [String], _ state: Manifest.State, _ report: inout RecoveryReport) throws(BitcaskError) -> [String] {
    var removed: [String] = []
    for name in names {
      let isOrphan: Bool
      switch FileName(name) {
      case .data(let id), .hint(let id): isOrphan = state.segments[id] == nil && options.recovery != .salvage
      case .temporary: isOrphan = true
      case .manifest, .current, .lock: isOrphan = false
      case nil:
        report.strayFiles.append(name)
        isOrphan = false
      }
      guard isOrphan else { continue }
      try disk { () throws(DiskError) in
        do throws(DiskError) { try fileSystem.remove(directory.appending(name)) } catch {
          // Manifests write and remove temporary files of their own.
          guard case .notFound = error else { throw error }
        }
      }
      removed.append(name)
    }
    return removed
  }
}

extension StoreID {
  static func random() -> StoreID { StoreID(low: .random(in: .min ... .max), high: .random(in: .min ... .max)) }
}
