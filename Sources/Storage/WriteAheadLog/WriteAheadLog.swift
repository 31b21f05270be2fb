import StrataBytes
import StrataDisk
import StrataJobs
import SystemPackage

/// A durable, ordered log of records: the one log of the package, under every engine that must not lose what it has acknowledged.
///
/// Records take sequences 1, 2, 3, … without gaps, over all segments and restarts. An append returns when its record is acknowledged under
/// the log's ``Durability``; appends of many threads share one write and one sync (``GroupCommit``). After a crash the log holds every
/// acknowledged record and no part of a batch. A failed write or sync is final: the log then refuses appends until it is opened again.
///
/// All functions may be called from any thread. Those without `async` may block in the operating system; the `async` forms block no thread.
/// One owner per directory, across processes.
public final class WriteAheadLog: Sendable {
  let options: WALOptions
  let directory: FilePath
  let fileSystem: any FileSystem
  let segments: LogSegments
  /// `nil` for a log opened with `.salvage`, which takes no writes.
  let commit: GroupCommit?
  let lock: (any FileLock)?
  let recovered: (last: SequenceNumber, checkpoint: Checkpoint?)
  let lastCheckpointMemory: Monitor<Checkpoint?>

  /// Opens the log in `directory`, creating both where missing, and recovers it.
  ///
  /// Reads the headers of all segments and scans only the last. After a crash the torn tail is cut and the segment ended; appends always
  /// go to a fresh segment, so no record ever follows old garbage.
  /// - Throws: `.alreadyOpen`; `.damaged`, `.tornTail`, `.missingSegment`, … as the recovery mode says, with nothing changed;
  ///   `.noSpace`, `.storage`.
  public static func open(
    _ directory: FilePath, options: WALOptions = WALOptions(), on fileSystem: any FileSystem = POSIXFileSystem()
  ) throws(WALError) -> (log: WriteAheadLog, report: RecoveryReport) {
    let options = options.normalized
    if options.recovery == .salvage { return try openForSalvage(directory, options, fileSystem) }
    let lock: any FileLock
    do {
      try fileSystem.makeDirectories(directory)
      lock = try fileSystem.lock(directory.appending(LogFiles.lock))
    } catch .locked(_, let holder) {
      throw .alreadyOpen(directory, holder: holder)
    } catch .noSpace(let path, _) {
      throw .noSpace(path)
    } catch { throw .storage(error) }
    do throws(WALError) {
      let scan = try LogScan(directory, on: fileSystem, options: options)
      let log = try WriteAheadLog(scan, directory, options, fileSystem, lock)
      return (log, scan.report)
    } catch {
      lock.unlock()
      throw error
    }
  }

  private static func openForSalvage(
    _ directory: FilePath, _ options: WALOptions, _ fileSystem: any FileSystem
  ) throws(WALError) -> (log: WriteAheadLog, report: RecoveryReport) {
    let scan = try LogScan(directory, on: fileSystem, options: options)
    let segments = LogSegments(
      directory: directory, fileSystem: fileSystem, options: options, logID: scan.logID ?? LogID(high: 0, low: 0), segments: scan.segments,
      lowWater: scan.lowWater, checkpoint: scan.checkpoint, free: [])
    return (WriteAheadLog(reading: segments, scan, directory, options, fileSystem), scan.report)
  }

  private init(
    reading segments: LogSegments, _ scan: LogScan, _ directory: FilePath, _ options: WALOptions, _ fileSystem: any FileSystem
  ) {
    self.options = options
    self.directory = directory
    self.fileSystem = fileSystem
    self.segments = segments
    commit = nil
    lock = nil
    recovered = (scan.lastSequence, nil)
    lastCheckpointMemory = Monitor(nil)
  }

  private init(
    _ scan: LogScan, _ directory: FilePath, _ options: WALOptions, _ fileSystem: any FileSystem, _ lock: any FileLock
  ) throws(WALError) {
    let checkpoint = try Self.readCheckpoint(scan, options, fileSystem)
    self.options = options
    self.directory = directory
    self.fileSystem = fileSystem
    self.lock = lock
    recovered = (scan.lastSequence, checkpoint)
    lastCheckpointMemory = Monitor(checkpoint)
    segments = LogSegments(
      directory: directory, fileSystem: fileSystem, options: options,
      logID: scan.logID ?? LogID(high: options.entropy(), low: options.entropy()), segments: scan.segments, lowWater: scan.lowWater,
      checkpoint: scan.checkpoint, free: scan.free)
    do throws(DiskError) {
      // A killed process may have left names that a power loss still takes back: only a durably free file may be overwritten, and only a
      // segment whose name is durable may get a successor.
      if !scan.free.isEmpty || !scan.segments.isEmpty { try fileSystem.syncDirectory(directory) }
      let predecessor =
        try scan.repair(segments, on: fileSystem) ?? SealedSegment(number: 0, firstSequence: 0, lastSequence: 0, length: 0)
      let first = scan.lastSequence + 1
      let active = try segments.prepare(predecessor.number + 1, atLeast: UInt64(options.segmentBytes))
      try segments.begin(active, firstSequence: first, predecessor: predecessor)
      commit = GroupCommit(
        options: options.commitOptions, source: segments, active: active, offset: active.dataStart, firstSequence: first, nextSequence: first)
      for path in scan.leftovers { try fileSystem.remove(path) }
      if !scan.leftovers.isEmpty { try fileSystem.syncDirectory(directory) }
      try segments.reclaim()
    } catch .noSpace(let path, _) {
      throw .noSpace(path)
    } catch { throw .storage(error) }
  }

  deinit {
    // A log dropped without `close` gives up its thread and its lock; what was not acknowledged may be lost.
    commit?.stopThread()
    lock?.unlock()
  }

  // MARK: State

  /// The last sequence given out; 0 for an empty log.
  public var lastSequence: SequenceNumber { commit?.submittedSequence ?? recovered.last }
  /// Everything up to here survives power loss.
  public var durableSequence: SequenceNumber { commit?.durableSequence ?? recovered.last }
  /// The first sequence that can still be replayed; one more than ``lastSequence`` where none can.
  public var firstSequence: SequenceNumber { min(segments.lowWater, lastSequence) + 1 }
  /// The newest checkpoint that is durable.
  public var lastCheckpoint: Checkpoint? { lastCheckpointMemory.withLock { $0 } }

  /// Makes everything appended so far durable, whatever the mode.
  public func sync() throws(WALError) {
    let commit = try writer()
    do { try commit.sync() } catch { throw WALError(error, directory) }
  }

  /// Makes everything appended so far durable; blocks no thread.
  public func sync() async throws(WALError) {
    let commit = try writer()
    do throws(CommitError) {
      try commit.checkOpen()
      try await commit.wait(for: commit.submittedSequence, durably: true)
    } catch { throw WALError(error, directory) }
  }

  /// Makes everything durable, ends the segment so that the next opening need not search for the log's end, and gives the directory free.
  /// A log that has failed closes too and throws its failure. Afterwards everything throws `.closed`.
  public func close() throws(WALError) {
    guard let commit else { return }
    do {
      let end: (active: PreparedSegment, end: UInt64, firstSequence: UInt64, prepared: PreparedSegment?)
      do { end = try commit.close() } catch {
        // Whoever closed first still writes the seal.
        if case .closed = error {} else { lock?.unlock() }
        throw error
      }
      defer { lock?.unlock() }
      do throws(DiskError) {
        try seal(end.active, at: end.end, lastSequence: lastSequence, prepared: end.prepared)
      } catch { throw WALError.storage(error) }
    } catch let error as CommitError {
      throw WALError(error, directory)
    } catch let error as WALError {
      throw error
    } catch { preconditionFailure("only typed errors are thrown above: \(error)") }
  }

  private func seal(_ active: PreparedSegment, at end: UInt64, lastSequence: UInt64, prepared: PreparedSegment?) throws(DiskError) {
    let seal = Seal(lastSequence: lastSequence, digest: segments.frames.digest, reason: .closed)
    let alignment = UInt64(options.padGroups)
    let place = (end + alignment - 1) / alignment * alignment
    let gap = [UInt8](repeating: 0, count: Int(place - end))
    let bytes = gap + seal.encoded(at: place, seed: Frame.seed(salt: active.salt, segment: active.number))
    try active.file.write(bytes, at: end)
    try active.file.truncate(to: end + UInt64(bytes.count))
    try active.file.sync(.full)
    try active.file.close()
    try prepared?.file.close()
  }

  func writer() throws(WALError) -> GroupCommit {
    guard let commit else { throw .readOnly }
    return commit
  }

  /// Serves what the commit thread would, on the calling thread: for logs opened with `usesThread` off.
  public func commitPending() { commit?.commitPending() }
}

extension WALOptions {
  /// The options with every bound inside its range.
  var normalized: WALOptions {
    var options = self
    options.segmentBytes = max(segmentBytes, SegmentHeader.bytes + 2 * Frame.blockBytes)
    options.maxPendingBytes = max(maxPendingBytes, 1)
    options.padGroups = padGroups == 512 || padGroups == 4096 ? padGroups : 1
    options.recycledSegments = max(0, recycledSegments)
    return options
  }

  var commitOptions: GroupCommit.Options {
    var commit = GroupCommit.Options(segmentBytes: UInt64(segmentBytes), durability: durability)
    commit.maxPendingBytes = maxPendingBytes
    commit.zeroAheadBytes = durability == .none ? 0 : zeroAheadBytes
    commit.commitDelay = commitDelay
    commit.commitSiblings = commitSiblings
    commit.groupAlignment = UInt64(padGroups)
    commit.usesThread = usesThread
    return commit
  }
}
