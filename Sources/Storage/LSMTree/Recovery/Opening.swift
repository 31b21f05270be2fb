import StrataBytes
import StrataDisk
import StrataJobs
import StrataSSTable
import StrataWriteAheadLog
import SystemPackage

/// Brings a store's directory back to life: lock, manifest, tables, a new manifest file, the log's changes, and only then what nothing names.
struct Opening {
  let directory: FilePath
  var options: LSMOptions
  let fileSystem: any FileSystem

  /// - Throws: as `LSMTree.open`; nothing is changed where the manifest, a table or the log's head is not as it must be.
  func open() throws(LSMError) -> LSMCore {
    let lock = try disk { () throws(DiskError) in
      try fileSystem.makeDirectories(directory)
      return try fileSystem.lock(FileName.lock.path(in: directory))
    }
    do throws(LSMError) { return try open(lock) } catch {
      lock.unlock()
      throw error
    }
  }

  private func disk<Result>(_ body: () throws(DiskError) -> Result) throws(LSMError) -> Result {
    do { return try body() } catch { throw LSMError(error) }
  }

  private func open(_ lock: any FileLock) throws(LSMError) -> LSMCore {
    let loaded = try Manifest.load(directory, on: fileSystem)
    if options.takesStoredKeyspaceOptions, let record = loaded?.state.keyspaces[0]?.record {
      var adopted = self
      adopted.options.takesStoredKeyspaceOptions = false
      adopted.options.defaultKeyspace = try keyspaceOptions(record)
      return try adopted.open(lock, loaded)
    }
    return try open(lock, loaded)
  }

  private func open(_ lock: any FileLock, _ loaded: LoadedManifest?) throws(LSMError) -> LSMCore {
    var state = loaded?.state ?? ManifestState(store: StoreID(high: options.entropy(), low: options.entropy()))
    try settleDefault(&state)
    let names = try disk { () throws(DiskError) in try fileSystem.list(directory) }
    let scheduler = Scheduler(options)
    let obsolete = ObsoleteFiles { scheduler.wake() }
    let cache = BlockCache(capacityBytes: MemoryShares(options).cache)
    let levels = try openTables(state, cache, obsolete)
    let (log, lastLog) = try openLog(state, isNew: loaded == nil)
    do throws(LSMError) {
      let number = names.compactMap { FileName($0)?.manifestNumber }.max() ?? 0
      let manifest = try disk { () throws(DiskError) in
        try Manifest(
          state, number: max(number, loaded?.number ?? 0) + 1, floorBytes: options.manifestRewriteBytes, in: directory, on: fileSystem)
      }
      let core = try LSMCore(parts(lock, state, manifest, log, scheduler, obsolete, cache, levels, names))
      try core.replay(after: lastLog)
      core.removeOrphans(names)
      core.begin()
      return core
    } catch {
      try? log.close()
      throw error
    }
  }

  /// Adds the default keyspace to a new store; compares it with the options otherwise.
  private func settleDefault(_ state: inout ManifestState) throws(LSMError) {
    try options.defaultKeyspace.check()
    let wanted = KeyspaceRecord(0, "", options.defaultKeyspace)
    guard let present = state.keyspaces[0]?.record else {
      state.keyspaces[0] = ManifestState.KeyspaceState(record: wanted)
      return
    }
    try present.check(against: wanted)
  }

  /// Opens every table the manifest names. All that are missing are named at once.
  private func openTables(
    _ state: ManifestState, _ cache: BlockCache, _ obsolete: ObsoleteFiles
  ) throws(LSMError) -> [UInt32: Levels] {
    var levels: [UInt32: Levels] = [:]
    var missing: [UInt64] = []
    for (id, keyspace) in state.keyspaces {
      var handles: [TableHandle] = []
      for table in keyspace.tables.values.sorted(by: { $0.fileID < $1.fileID }) {
        do throws(LSMError) { handles.append(try LSMCore.openTable(table, directory, cache, obsolete, fileSystem)) } catch {
          guard case .missingTables(let ids) = error else { throw error }
          missing += ids
        }
      }
      levels[id] = Levels(handles)
    }
    guard missing.isEmpty else { throw .missingTables(missing.sorted()) }
    return levels
  }

  /// Opens the log and holds it against the manifest's marks.
  private func openLog(_ state: ManifestState, isNew: Bool) throws(LSMError) -> (WriteAheadLog, after: UInt64) {
    var settings = WALOptions()
    settings.segmentBytes = options.logSegmentBytes
    settings.durability = options.durability
    settings.maxRecordBytes = options.maxBatchBytes + 4096
    settings.usesThread = options.logUsesThread && options.background != .manual
    settings.clock = options.clock
    settings.entropy = options.entropy
    let path = FileName.log.path(in: directory)
    let log: WriteAheadLog
    do throws(WALError) { (log, _) = try WriteAheadLog.open(path, options: settings, on: fileSystem) } catch { throw LSMError(error) }
    let marks = state.keyspaces.values.map(\.flushedLog)
    let (least, greatest) = (marks.min() ?? 0, marks.max() ?? 0)
    var reason: String?
    if log.firstSequence > least + 1 {
      reason = "it begins at record \(log.firstSequence), tables hold what came before \(least + 1) only; an edit of the manifest is lost"
    } else if log.lastSequence < greatest {
      reason = "it ends at record \(log.lastSequence), tables hold records up to \(greatest)"
    }
    if let reason {
      try? log.close()
      throw .corruptLog(reason: reason)
    }
    return (log, least)
  }

  private func parts(
    _ lock: any FileLock, _ state: ManifestState, _ manifest: Manifest, _ log: WriteAheadLog, _ scheduler: Scheduler,
    _ obsolete: ObsoleteFiles, _ cache: BlockCache, _ levels: [UInt32: Levels], _ names: [String]
  ) throws(LSMError) -> OpenedParts {
    let shares = MemoryShares(options)
    var options = options
    options.memtableBytes = shares.memtable
    let arenas = ArenaPool(arenaBytes: options.memtableBytes, keeps: 2)
    var keyspaces: [String: Keyspace] = [:]
    for (id, keyspace) in state.keyspaces {
      let record = keyspace.record
      let memtable = Memtable(arenas.take(capacity: options.memtableBytes), number: 0, entryLimit: options.memtableEntryLimit)
      keyspaces[record.name] = Keyspace(
        id: id, name: record.name, options: try keyspaceOptions(record), store: state.store, active: memtable, levels: levels[id] ?? Levels([]))
    }
    guard let defaultKeyspace = keyspaces[""] else { throw .incompatible("the manifest has no default keyspace") }
    let files = names.compactMap { FileName($0)?.tableNumber }.max() ?? 0
    return OpenedParts(
      options: options, shares: shares, directory: directory, fileSystem: fileSystem, lock: lock, log: log, manifest: manifest, epochs: Epochs(),
      obsolete: obsolete, cache: cache, arenas: arenas, scheduler: scheduler, events: EventHub(), lastSequence: state.lastSequence,
      defaultKeyspace: defaultKeyspace, keyspaces: keyspaces, nextFile: max(state.nextFile, files + 1))
  }

  /// The options of a keyspace the manifest names: those given for the default one, the default's with its own strategy for others.
  private func keyspaceOptions(_ record: KeyspaceRecord) throws(LSMError) -> KeyspaceOptions {
    var result = options.defaultKeyspace
    if record.id == 0, !options.takesStoredKeyspaceOptions { return result }
    result.style = record.strategy
    if record.strategy == .fifo { result.fifoBytes = record.styleLimit }
    if record.strategy == .timeWindow { result.windowLength = .seconds(Int64(clamping: record.styleLimit)) }
    result.timeToLive = record.timeToLive > 0 ? .milliseconds(Int64(clamping: record.timeToLive)) : nil
    result.mergeOperator = nil
    if !record.mergeOperator.isEmpty {
      let known = options.mergeOperators + [options.defaultKeyspace.mergeOperator].compactMap { $0 }
      guard let merger = known.first(where: { $0.name == record.mergeOperator }) else {
        throw .incompatible("\(record.label) needs merge operator \"\(record.mergeOperator)\"; give it in the options")
      }
      result.mergeOperator = merger
    }
    return result
  }
}

extension KeyspaceRecord {
  init(_ id: UInt32, _ name: String, _ options: KeyspaceOptions) {
    self.init(
      id: id, name: name, strategy: options.style, mergeOperator: options.mergeOperator?.name ?? "",
      prefixExtractor: options.table.prefixExtractor?.name ?? "", timeToLive: options.timeToLiveMilliseconds, styleLimit: options.styleLimit)
  }

  fileprivate var label: String { name.isEmpty ? "the default keyspace" : "keyspace \"\(name)\"" }

  /// - Throws: `.incompatible` where the keyspace was created with something else than what is asked for.
  func check(against wanted: KeyspaceRecord) throws(LSMError) {
    if mergeOperator != wanted.mergeOperator {
      throw .incompatible("\(label) was created with merge operator \"\(mergeOperator)\", not \"\(wanted.mergeOperator)\"")
    }
    if timeToLive != wanted.timeToLive {
      throw .incompatible("\(label) was created with a time to live of \(timeToLive) ms, not \(wanted.timeToLive); 0 is for ever")
    }
    if strategy != wanted.strategy { throw .incompatible("\(label) was created as \(strategy), not \(wanted.strategy)") }
    if styleLimit != wanted.styleLimit {
      let unit = strategy == .fifo ? "bytes" : "seconds"
      throw .incompatible("\(label) was created as \(strategy) of \(styleLimit) \(unit), not \(wanted.styleLimit)")
    }
  }
}
