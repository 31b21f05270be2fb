import StrataBytes
public import StrataDisk
import StrataJobs
import StrataWriteAheadLog
import Synchronization
public import SystemPackage

/// The number of an operation. They rise by one from operation to operation, survive restarts and alone decide which of two records wins.
public typealias SequenceNumber = UInt64

/// A log-structured hash table (Sheehy and Smith, "Bitcask", 2010): values in append-only segments, every key's location in memory.
///
/// A get is one index probe and one positioned read of the exact record, verified; a put is an append that shares its sync with others.
/// Keys and values are any bytes. For point access only: there are no range scans, and all keys must fit in memory at about 30 bytes and
/// the key each (or 26 bytes, see ``BitcaskOptions/KeyStorage``).
///
///     put -> group commit (order, place, sync) -> segment file      the segment is the log: nothing is written twice
///              \-> key directory                                    visible at once, in sequence order
///     get -> key directory -> segment file (or the bytes still pending)
///
/// Invariants: one segment takes appends, all others are immutable; the manifest alone says which segments there are; the highest
/// sequence of a key wins, never a clock or a file's place; a tombstone stays until nothing older can come back.
///
/// Fault model: a crash loses or tears any unsynced sector and forgets unsynced names; a failed sync is final; any byte may rot and is then
/// reported, never returned. Safe to use from any thread. The blocking forms may wait for the disk and must not be called on Swift's
/// cooperative pool; the `async` forms suspend.
public final class Bitcask: Sendable {
  /// The directory the store lives in.
  public let directory: FilePath
  /// What opening found.
  public let recovery: RecoveryReport

  let options: BitcaskOptions
  let fileSystem: any FileSystem
  let manifest: Manifest
  let table: SegmentTable
  let trash: SegmentTrash
  let index: KeyDirectory
  let commit: GroupCommit
  let snapshots: SnapshotRegistry
  /// The sequence of the latest removal: what the absence of a key may rest on.
  let lastRemoval: Atomic<UInt64>
  let counters = StoreCounters()
  /// Milliseconds of life a value without its own is given; 0 for no end.
  let standardLife: UInt64
  /// Held by merges, backups and index rebuilds, which exclude one another.
  let maintenance = Monitor(MaintenanceState())
  private let lock: any FileLock
  private let closed = Atomic<Bool>(false)
  let executor: JobExecutor?
  private let calls = Monitor<JobExecutor?>(nil)

  init(_ opened: OpenedStore) {
    directory = opened.directory
    recovery = opened.report
    options = opened.options
    fileSystem = opened.fileSystem
    manifest = opened.manifest
    table = opened.table
    trash = opened.trash
    index = opened.index
    commit = opened.commit
    lock = opened.lock
    lastRemoval = Atomic(opened.report.lastSequence)
    snapshots = SnapshotRegistry(limit: opened.options.maxSnapshotVersions)
    standardLife = opened.options.ttl.map { UInt64(max(1, $0.nanoseconds / 1_000_000)) } ?? 0
    if opened.options.background == .threads {
      var executorOptions = JobExecutor.Options()
      executorOptions.name = "bitcask"
      executorOptions.bytesPerSecond = opened.options.merge.bytesPerSecond
      executor = JobExecutor(options: executorOptions)
    } else {
      executor = nil
    }
    opened.supply.whenRotated { [weak self] in self?.scheduleMaintenance() }
  }

  deinit { shutDown() }

  /// Opens the store in `directory`, which is created when missing, and recovers it from whatever a crash left.
  ///
  /// Blocks for as long as loading the hints, and reading the segment last written to, takes. ``recovery`` tells what was found.
  /// - Throws: `.alreadyOpen`, `.missingSegment`, `.damaged`, `.tornTail`, `.unsupportedVersion`, `.noSpace`, `.invalidArgument`, `.disk`.
  public static func open(
    _ directory: FilePath, options: BitcaskOptions = BitcaskOptions(), on fileSystem: any FileSystem = POSIXFileSystem()
  ) throws(BitcaskError) -> Bitcask {
    let store = Bitcask(try StoreOpening(directory: directory, options: options, fileSystem: fileSystem).run())
    store.scheduleMaintenance()
    return store
  }

  /// Number of keys; from memory. A key that has expired counts until a merge reclaims it.
  public var count: Int { index.count }

  /// The last sequence given out.
  public var lastSequence: SequenceNumber { commit.submittedSequence }
  /// Everything up to here is acknowledged under the store's durability.
  public var acknowledgedSequence: SequenceNumber { commit.acknowledgedSequence }
  /// Everything up to here survives power loss.
  public var durableSequence: SequenceNumber { commit.durableSequence }

  func checkOpen() throws(BitcaskError) {
    if closed.load(ordering: .relaxed) { throw .closed }
  }

  /// Makes everything written so far durable, whatever the durability.
  /// - Throws: `.durabilityLost`, `.closed`.
  public func sync() throws(BitcaskError) {
    try checkOpen()
    try committed { () throws(CommitError) in try commit.sync() }
  }

  /// Makes everything written so far durable, whatever the durability; suspends.
  public func sync() async throws(BitcaskError) {
    try checkOpen()
    let last = commit.submittedSequence
    do throws(CommitError) { try await commit.wait(for: last, durably: true) } catch { throw BitcaskError(error) }
  }

  /// Makes everything durable, seals the active segment with its hint, so that the next opening reads no data, and gives the directory free.
  ///
  /// Background work stops after its current step. Every later use throws `.closed`; so does a second close.
  /// - Throws: `.durabilityLost` after a failed sync: the store is closed, and recovery decides what it holds.
  public func close() throws(BitcaskError) {
    guard !closed.exchange(true, ordering: .acquiringAndReleasing) else { throw .closed }
    executor?.shutDown()
    calls.withLock { $0 }?.shutDown()
    defer { lock.unlock() }
    let last = try committed { () throws(CommitError) in try commit.close() }
    if let prepared = last.prepared, let segment = table.remove(UInt32(truncatingIfNeeded: prepared.number)) {
      try? fileSystem.remove(segment.path)
    }
    guard let active = table.segment(UInt32(truncatingIfNeeded: last.active.number)) else { return }
    if last.end == UInt64(SegmentHeader.bytes) {
      try disk { () throws(DiskError) in
        try manifest.apply(ManifestEdit(removed: [active.id], nextSequence: commit.submittedSequence + 1))
      }
      _ = table.remove(active.id)
      try? fileSystem.remove(active.path)
    } else {
      try disk { () throws(DiskError) in
        try active.file.truncate(to: last.end)
        try active.file.sync(.full)
        active.seal(length: last.end, lastSequence: commit.submittedSequence)
        try manifest.apply(ManifestEdit(added: [active.currentFacts], nextSequence: commit.submittedSequence + 1))
      }
      try writeHint(of: active)
    }
    emptyTrash()
  }

  /// As ``close()-()``, on a thread of its own; suspends.
  public func close() async throws(BitcaskError) {
    let result = await withCheckedContinuation { (continuation: CheckedContinuation<Result<Void, BitcaskError>, Never>) in
      _ = Worker(name: "close") {
        continuation.resume(returning: Result { () throws(BitcaskError) in try self.close() })
      }
    }
    try result.get()
  }

  /// Ends threads and gives the directory free without writing anything, as a dying process would.
  private func shutDown() {
    guard !closed.exchange(true, ordering: .acquiringAndReleasing) else { return }
    executor?.shutDown()
    calls.withLock { $0 }?.shutDown()
    commit.stopThread()
    lock.unlock()
  }

  /// Runs a blocking call on a thread that may wait.
  func offload<Value: Sendable>(_ body: @escaping @Sendable () throws(BitcaskError) -> Value) async throws(BitcaskError) -> Value {
    try checkOpen()
    let executor = calls.withLock { calls -> JobExecutor in
      if let calls { return calls }
      var options = JobExecutor.Options()
      options.name = "bitcask-call"
      let executor = JobExecutor(options: options)
      calls = executor
      return executor
    }
    let result = await withCheckedContinuation { (continuation: CheckedContinuation<Result<Value, BitcaskError>, Never>) in
      let answer = Mutex<Result<Value, BitcaskError>>(.failure(.closed))
      let box = AnswerBox(answer)
      do throws(JobExecutor.Failure) {
        try executor.submit(name: "bitcask.call") {
          let result = Result { () throws(BitcaskError) in try body() }
          box.answer.withLock { $0 = result }
        } completion: { _ in
          continuation.resume(returning: box.answer.withLock { $0 })
        }
      } catch {
        continuation.resume(returning: .failure(error == .queueFull ? .busy("a queue of 1024 calls") : .closed))
      }
    }
    return try result.get()
  }
}

/// Carries a call's result to its completion; `closed` where the call never ran.
private final class AnswerBox<Value: Sendable>: Sendable {
  let answer: Mutex<Result<Value, BitcaskError>>
  init(_ answer: consuming Mutex<Result<Value, BitcaskError>>) { self.answer = answer }
}

/// Counts since opening.
final class StoreCounters: Sendable {
  let mergedBytes = Atomic<UInt64>(0)
  let merges = Atomic<UInt64>(0)
  let recordsDropped = Atomic<UInt64>(0)
}

/// What excludes what.
struct MaintenanceState {
  /// What runs now: a merge, a backup, a rebuild.
  var running: String?
  var isScheduled = false
}
