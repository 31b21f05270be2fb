import StrataDisk
import StrataJobs
import StrataSSTable
import SystemPackage

extension LSMCore {
  /// The most urgent job of a lane: flushes before cleaning up.
  func nextJob(_ lane: Scheduler.Lane) -> (any LSMJob)? {
    switch lane {
    case .flush: nextFlush() ?? nextTimeMark() ?? nextQuarantine() ?? nextCleanup()
    case .compaction: nextCompaction()
    }
  }

  private func nextFlush() -> (any LSMJob)? {
    guard manifest.failure == nil else { return nil }
    for keyspace in allKeyspaces {
      let sealed = keyspace.shape.withLock { $0.sealed }
      guard !sealed.isEmpty, work.withLock({ $0.flushing.insert(keyspace.id).inserted }) else { continue }
      // Another flush may have ended between the two looks. What is held back for tables being taken in is asked for after the list: what was
      // sealed before it was held lies before the tables in the order.
      let all = keyspace.shape.withLock { $0.sealed }
      let firstHeld = work.withLock { $0.ingest?.firstHeld[keyspace.id] ?? .max }
      let present = Array(all.prefix { $0.memtable.number < firstHeld })
      guard !present.isEmpty else {
        endFlush(keyspace)
        continue
      }
      return FlushJob(self, keyspace, present)
    }
    return nil
  }

  func endFlush(_ keyspace: Keyspace) { work.withLock { _ = $0.flushing.remove(keyspace.id) } }

  private func nextCleanup() -> (any LSMJob)? {
    epochs.sweep()
    let files = obsolete.take()
    let log = work.withLock { work -> UInt64? in
      guard let wanted = work.logDone, wanted > work.logTruncated else { return nil }
      work.logTruncated = wanted
      return wanted
    }
    return files.isEmpty && log == nil ? nil : CleanupJob(self, files: files, log: log)
  }

  /// What the log can let go of once `keyspace` is flushed up to `through`, for every keyspace whose changes are all in tables by then.
  ///
  /// Keyspaces with nothing in memory move along: otherwise their mark would fall behind the log's beginning, which is how a lost edit shows.
  func flushedLogs(after keyspace: Keyspace, through: UInt64) -> [(keyspace: UInt32, log: UInt64)] {
    commit.withLock { state in
      allKeyspaces.compactMap { other -> (keyspace: UInt32, log: UInt64)? in
        if other.id == keyspace.id { return (other.id, through) }
        let sealed = other.shape.withLock { $0.sealed.first { $0.firstLog > 0 }?.firstLog }
        let first = sealed ?? (other.activeFirstLog > 0 ? other.activeFirstLog : nil)
        let done = first.map { $0 - 1 } ?? state.lastLog
        return (other.id, min(done, through))
      }
    }
  }

  /// To be called when tables or memtables have changed: looks at the log, the pressure and the work anew.
  func shapeChanged() {
    // By what the manifest says: an edit is durable, a memtable's marks are not.
    let done = manifest.state.keyspaces.values.map(\.flushedLog).min() ?? 0
    work.withLock { work in
      work.logDone = max(work.logDone ?? 0, done)
    }
    updatePressure()
    scheduler.wake()
    scheduler.announceProgress()
  }

  /// A job has failed: a full disk passes, anything else turns writes off.
  func jobFailed(_ error: LSMError, _ what: String) {
    events.send(.jobFailed(what: what, error: "\(error)"))
    if error.isNoSpace {
      work.withLock { $0.isOutOfSpace = true }
      updatePressure()
    } else if case .closed = error {
    } else {
      fail(error)
    }
  }

  /// Where a job's tables go.
  func output(_ keyspace: Keyspace, level: UInt8) -> TableOutput {
    var table = keyspace.options.table
    table.level = level
    if tableMemory > shares.tables { table.wholeFilterBytes = 0 }
    table.databaseID = (store.high, store.low)
    table.createdAt = options.clock() / 1000
    var output = TableOutput(directory: directory, options: table) { [self] in takeFileNumber() }
    output.fileName = { FileName.table($0).text }
    output.targetFileSize = keyspace.options.outputTableBytes
    return output
  }

  /// What a merge may drop. Made after its inputs are fixed: a snapshot taken later sees the present, which every merge keeps.
  func garbagePolicy(_ keyspace: Keyspace, others: [TableMetadata]) -> GarbagePolicy {
    snapshots.sequences { sequences in
      var policy = GarbagePolicy()
      policy.snapshots = sequences
      policy.others = others
      policy.historyFloor = historyFloor
      policy.mergeOperator = keyspace.options.mergeOperator
      policy.isPurgeable = keyspace.options.isPurgeable
      policy.keepsSequences = keyspace.options.timeToLive != nil || keyspace.options.goesByAge
      policy.expiredThrough = keyspace.expiredThrough.load(ordering: .acquiring)
      return policy
    }
  }

  /// The version above which every change is kept, where history is kept at all.
  var historyFloor: UInt64? {
    let word = historyWord.load(ordering: .acquiring)
    return word == 0 ? nil : word - 1
  }

  // MARK: Files

  /// Removes tables that no edit names.
  func discard(_ tables: [TableMetadata]) {
    guard manifest.failure == nil else { return }
    for table in tables { remove(table: table.fileID) }
  }

  func remove(table: UInt64) {
    // What cannot be removed now is an orphan of the next opening.
    try? fileSystem.remove(FileName.table(table).path(in: directory))
  }
}

/// What background work is under way.
struct WorkState {
  /// Keyspaces with a flush.
  var flushing: Set<UInt32> = []
  /// Tables that are inputs of a compaction.
  var busy: Set<UInt64> = []
  /// Damaged tables, which no compaction reads.
  var quarantined: Set<UInt64> = []
  /// Tables whose mark, or the end of it, the manifest does not have yet.
  var unsettledMarks: Set<UInt64> = []
  /// Tables whose deletions have cost readers too much.
  var stumbledOver: Set<UInt64> = []
  /// Compactions under way.
  var running: [RunningCompaction] = []
  /// Full compactions that somebody waits for, by keyspace, and why the last one failed.
  var asked: [UInt32: KeyBounds] = [:]
  var askedFailures: [UInt32: LSMError] = [:]
  /// The last record of the log that no memtable needs.
  var logDone: UInt64?
  var logTruncated: UInt64 = 0
  /// What is held back while tables are taken in.
  var ingest: IngestHold?
  /// The last job failed for want of space.
  var isOutOfSpace = false
}

/// What a compaction under way will write: no other writes there.
struct RunningCompaction {
  var keyspace: UInt32
  var level: Int
  var hull: KeyHull
  var inputs: Set<UInt64>
}
