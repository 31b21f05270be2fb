import StrataDisk
import StrataJobs
import StrataSSTable
import StrataWriteAheadLog

extension LSMCore {
  /// Lets background work begin.
  func begin() {
    advanceExpiry()
    // The scheduler's threads keep the core; the store's face ends them.
    scheduler.start { [self] lane in nextJob(lane) }
    if let rate = options.scrubBytesPerSecond, rate > 0, !scheduler.isManual { scrubber.start(self, bytesPerSecond: rate) }
    shapeChanged()
  }

  func checkReadable(_ keyspace: Keyspace, _ snapshot: Snapshot?) throws(LSMError) {
    if isClosed.load(ordering: .relaxed) { throw .closed }
    try check(keyspace)
    if let snapshot, snapshot.list !== snapshots { throw .foreignSnapshot }
  }

  func acknowledge(_ ticket: CommitTicket) throws(LSMError) {
    let began = Stopwatch.begin(if: ticket.mustBeDurable)
    defer { latencies.sync.end(began) }
    do throws(WALError) { try log.acknowledge(ticket) } catch { throw refused(error) }
  }

  func acknowledge(_ ticket: CommitTicket) async throws(LSMError) {
    let began = Stopwatch.begin(if: ticket.mustBeDurable)
    defer { latencies.sync.end(began) }
    do throws(WALError) { try await log.acknowledge(ticket) } catch { throw refused(error) }
  }

  /// A write that the log could not make good: nothing more is taken, as what follows it in the order is not acknowledged either.
  func refused(_ error: WALError) -> LSMError {
    let failure = LSMError(error)
    if case .closed = failure { return failure }
    if case .readOnly(let cause) = failure { fail(cause) } else { fail(failure) }
    return failure
  }

  func flush(wait: Bool) throws(LSMError) {
    var waits: [(keyspace: Keyspace, number: UInt64)] = []
    for keyspace in allKeyspaces {
      let number = try commit.withLock { (state) throws(LSMError) -> UInt64 in
        try state.checkOpen()
        if !keyspace.active.isEmpty { seal(keyspace, &state) }
        return keyspace.active.number
      }
      waits.append((keyspace, number))
    }
    guard wait else { return }
    for (keyspace, number) in waits { try waitForFlush(of: keyspace, before: number) }
  }

  /// Returns when the keyspace's memtables with numbers below are in tables.
  func waitForFlush(of keyspace: Keyspace, before number: UInt64) throws(LSMError) {
    while true {
      let seen = scheduler.progress
      let isDone = keyspace.shape.withLock { !$0.sealed.contains { $0.memtable.number < number } }
      if isDone { return }
      if let failure = commit.withLock({ $0.failure }) { throw .readOnly(cause: failure) }
      if work.withLock({ $0.isOutOfSpace }) { throw .noSpace(directory) }
      if scheduler.isStopping { throw .closed }
      scheduler.wait(after: seen)
    }
  }

  func compact(_ keyspace: Keyspace, _ bounds: KeyBounds, wait: Bool) throws(LSMError) {
    try check(keyspace)
    try flush(wait: true)
    work.withLock { work in
      work.askedFailures[keyspace.id] = nil
      // One asked for meanwhile by somebody else is widened to everything.
      work.asked[keyspace.id] = work.asked[keyspace.id] == nil ? bounds : .all
    }
    scheduler.wake()
    while wait {
      let seen = scheduler.progress
      let (isPending, failure) = work.withLock { ($0.asked[keyspace.id] != nil, $0.askedFailures[keyspace.id]) }
      if let failure { throw failure }
      if !isPending { return }
      if let failure = commit.withLock({ $0.failure }) { throw .readOnly(cause: failure) }
      if scheduler.isStopping { throw .closed }
      scheduler.wait(after: seen)
    }
  }

  func waitUntilIdle() throws(LSMError) {
    while true {
      let seen = scheduler.progress
      if scheduler.isManual {
        while scheduler.step(budget: 1 << 20) {}
        return
      }
      if let failure = commit.withLock({ $0.failure }) { throw .readOnly(cause: failure) }
      if scheduler.isIdle, isInShape { return }
      if scheduler.isStopping { throw .closed }
      scheduler.wait(after: seen)
    }
  }

  /// Whether no job would start now.
  private var isInShape: Bool {
    let circumstances = circumstances()
    return work.withLock { $0.unsettledMarks.isEmpty }
      && allKeyspaces.allSatisfy { keyspace in
        keyspace.shape.withLock { $0.sealed.isEmpty }
          && (!options.compactsAutomatically || CompactionPicker(keyspace, keyspace.version.levels, options, circumstances).pick() == nil)
      }
  }

  func close() throws(LSMError) {
    let isFirst = isClosed.compareExchange(expected: false, desired: true, ordering: .acquiringAndReleasing).exchanged
    guard isFirst else { throw .closed }
    scheduler.announceProgress()
    room.stop()
    scrubber.stop()
    // Whoever changes the manifest ends first: the directory is another's once its lock is gone.
    try maintenance.withLock { _ throws(LSMError) in try shutDown() }
  }

  private func shutDown() throws(LSMError) {
    var failure: LSMError?
    if options.flushesOnClose {
      do throws(LSMError) { try flush(wait: true) } catch { failure = error }
    }
    commit.withLock { $0.isClosed = true }
    scheduler.stop()
    if manifest.failure == nil {
      do throws(LSMError) { try settleMarks() } catch { failure = failure ?? error }
    }
    if failure == nil { finishCleaning() }
    do throws(WALError) { try log.close() } catch { failure = failure ?? LSMError(error) }
    scheduler.forget()
    events.finish()
    lock.unlock()
    if let failure { throw failure }
  }

  /// Removes what has become free, so that a closed directory holds what the manifest names and no more.
  private func finishCleaning() {
    work.withLock { $0.logDone = max($0.logDone ?? 0, manifest.state.keyspaces.values.map(\.flushedLog).min() ?? 0) }
    while let job = nextJob(.flush) as? CleanupJob {
      while case .progress = job.advance(budget: 1 << 20) {}
    }
  }

  /// Ends a store that nobody closed: nothing more is promised, nothing lost.
  func abandon() {
    guard isClosed.compareExchange(expected: false, desired: true, ordering: .acquiringAndReleasing).exchanged else { return }
    commit.withLock { $0.isClosed = true }
    scheduler.stop()
    room.stop()
    scrubber.stop()
    scheduler.forget()
    // Whoever opens the directory next must find the log's lock free, though readers may still hold this object.
    try? log.close()
    events.finish()
    lock.unlock()
  }

  var statistics: LSMStatistics {
    var statistics = LSMStatistics(log: log.statistics, cache: cache.statistics, latencies)
    counters.read(into: &statistics)
    statistics.userBytes = commit.withLock { $0.userBytes }
    var byLevel = [UInt64](repeating: 0, count: LSMOptions.maxLevels)
    var tables = [Int](repeating: 0, count: LSMOptions.maxLevels)
    for keyspace in allKeyspaces {
      statistics.keyspaces.append(KeyspaceStatistics(keyspace))
      let version = keyspace.version
      for table in version.levels.tables {
        byLevel[Int(table.metadata.level)] += table.metadata.fileSize
        tables[Int(table.metadata.level)] += 1
        statistics.tableMemoryBytes += table.reader.residentBytes
        statistics.tablesWithDamagedFilter += table.reader.filterDamage == nil ? 0 : 1
        statistics.tombstones += table.metadata.deletionCount + table.metadata.rangeDeletionCount
      }
      for memtable in version.allMemtables {
        statistics.memtableBytes += memtable.usedBytes
        statistics.tombstones += UInt64(memtable.deletionCount)
      }
      statistics.quarantinedTables += quarantined(in: version.levels)
      statistics.readAmplification = max(statistics.readAmplification, version.memtableCount + version.levels.runCount)
      statistics.recoveryBytesBound += version.memtableCount * options.memtableBytes
    }
    statistics.bytesByLevel = byLevel
    statistics.tablesByLevel = tables
    statistics.snapshots = snapshots.count
    statistics.oldestSnapshotAge = snapshots.oldestAge
    statistics.pinnedObsoleteBytes = obsolete.pinnedBytes
    statistics.manifestRotations = manifest.rotations
    return statistics
  }
}
