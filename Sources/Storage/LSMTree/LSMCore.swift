import StrataDisk
import StrataJobs
import StrataSSTable
import StrataWriteAheadLog
import Synchronization
import SystemPackage

/// What a store is, apart from its public face: background threads hold this and not the face, so that a store dropped without `close` ends.
///
/// Locks, outermost first: a keyspace change (`maintenance`), the commit lock, the manifest, a keyspace's shape. None is held while waiting
/// for background work.
final class LSMCore: Sendable {
  let options: LSMOptions
  let shares: MemoryShares
  let directory: FilePath
  let fileSystem: any FileSystem
  let lock: any FileLock
  let store: StoreID
  let log: WriteAheadLog
  let manifest: Manifest
  let epochs: Epochs
  let ring: PublicationRing
  let snapshots = SnapshotList()
  let obsolete: ObsoleteFiles
  let cache: BlockCache
  let arenas: ArenaPool
  let commit: Monitor<CommitState>
  let scheduler: Scheduler
  let counters = Counters()
  let room = RoomKeeper()
  let scrubber = Scrubber()
  let latencies = Latencies()
  let defaultKeyspace: Keyspace
  /// The same, for reads that do not count a reference.
  let unownedDefault: Unmanaged<Keyspace>
  /// Keyspaces by name; the default one has the empty name.
  let keyspaces: Monitor<[String: Keyspace]>
  /// Held by whoever creates, drops, ingests, checkpoints or closes.
  let maintenance = Monitor(())
  let nextFile: Atomic<UInt64>
  /// How much writes are held back: 0 not at all, else what `LSMCore+Pressure` makes of it.
  let pressureWord = Atomic<UInt64>(0)
  /// 1 + the version before which history may be gone; 0 where only snapshots keep history.
  let historyWord: Atomic<UInt64>
  let isClosed = Atomic<Bool>(false)
  /// Why a replay stopped, on its way out through the decoder.
  let replayFailure: Monitor<LSMError?> = Monitor(nil)
  let events: EventHub
  let work: Monitor<WorkState>

  /// The largest batch that is taken.
  var batchLimit: Int { min(options.maxBatchBytes, options.memoryLimit / 2) }

  init(_ parts: OpenedParts) {
    options = parts.options
    shares = parts.shares
    directory = parts.directory
    fileSystem = parts.fileSystem
    lock = parts.lock
    store = parts.manifest.state.store
    log = parts.log
    manifest = parts.manifest
    epochs = parts.epochs
    obsolete = parts.obsolete
    cache = parts.cache
    arenas = parts.arenas
    scheduler = parts.scheduler
    events = parts.events
    ring = PublicationRing(visible: parts.lastSequence)
    commit = Monitor(
      CommitState(lastSequence: parts.lastSequence, lastLogged: 0, lastLog: 0, nextCheck: parts.shares.stride(parts.options)))
    defaultKeyspace = parts.defaultKeyspace
    unownedDefault = .passUnretained(parts.defaultKeyspace)
    keyspaces = Monitor(parts.keyspaces)
    nextFile = Atomic(parts.nextFile)
    work = Monitor(WorkState(quarantined: parts.manifest.state.quarantined))
    historyWord = Atomic(parts.manifest.state.historyFloor.map { $0 + 1 } ?? 0)
  }

  /// A number no file of the store has had.
  func takeFileNumber() -> UInt64 { nextFile.add(1, ordering: .relaxed).oldValue }

  @inline(__always)
  func check(_ keyspace: Keyspace) throws(LSMError) {
    if keyspace.isDropped || keyspace.store != store { throw .foreignKeyspace(keyspace.name) }
  }

  var allKeyspaces: [Keyspace] { keyspaces.withLock { $0.values.sorted { $0.id < $1.id } } }

  /// Turns writes off for good; reads go on.
  func fail(_ error: LSMError) {
    let isFirst = commit.withLock { state in
      guard state.failure == nil else { return false }
      state.failure = error
      return true
    }
    if isFirst { events.send(.becameReadOnly(cause: "\(error)")) }
    scheduler.announceProgress()
  }

  // MARK: Memtables

  func sealedCount(_ keyspace: Keyspace) -> Int { keyspace.shape.withLock { $0.sealed.count } }

  func makeMemtable(_ number: UInt64, atLeast bytes: Int, prefix: [UInt8] = []) -> Memtable {
    let capacity = max(options.memtableBytes, Memtable.arenaBytes(forEntries: bytes))
    return Memtable(arenas.take(capacity: capacity), number: number, entryLimit: options.memtableEntryLimit, prefix: prefix)
  }

  /// Ends the keyspace's active memtable and begins another with room for `bytes`. Under the commit lock.
  func seal(_ keyspace: Keyspace, _ state: inout CommitState, atLeast bytes: Int = 0) {
    let number = state.nextMemtable
    state.nextMemtable += 1
    let fresh = makeMemtable(number, atLeast: bytes, prefix: keyspace.active.list.commonPrefix())
    keyspace.active.hold()
    let sealed = SealedMemtable(memtable: keyspace.active, firstLog: keyspace.activeFirstLog, throughLog: state.lastLog)
    keyspace.active = fresh
    keyspace.activeFirstLog = 0
    keyspace.publish(epochs) { shape in
      shape.sealed.append(sealed)
      shape.version = Version(active: fresh, sealed: [sealed.memtable] + shape.version.sealed, levels: shape.version.levels)
    }
    scheduler.wake()
  }

  // MARK: Tables

  /// Opens a table the manifest knows, or is about to.
  func openTable(_ metadata: TableMetadata) throws(LSMError) -> TableHandle {
    try Self.openTable(metadata, directory, cache, obsolete, fileSystem)
  }

  static func openTable(
    _ metadata: TableMetadata, _ directory: FilePath, _ cache: BlockCache, _ obsolete: ObsoleteFiles, _ fileSystem: any FileSystem
  ) throws(LSMError) -> TableHandle {
    do throws(TableError) {
      let path = FileName.table(metadata.fileID).path(in: directory)
      return TableHandle(metadata, try TableReader.open(path, expected: metadata, cache: cache, on: fileSystem), obsolete)
    } catch {
      if case .disk(.notFound) = error { throw .missingTables([metadata.fileID]) }
      throw LSMError(error)
    }
  }
}

/// What opening makes before there is a core.
struct OpenedParts {
  var options: LSMOptions
  var shares: MemoryShares
  var directory: FilePath
  var fileSystem: any FileSystem
  var lock: any FileLock
  var log: WriteAheadLog
  var manifest: Manifest
  var epochs: Epochs
  var obsolete: ObsoleteFiles
  var cache: BlockCache
  var arenas: ArenaPool
  var scheduler: Scheduler
  var events: EventHub
  var lastSequence: UInt64
  var defaultKeyspace: Keyspace
  var keyspaces: [String: Keyspace]
  var nextFile: UInt64
}
