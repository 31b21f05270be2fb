import StrataBytes
import StrataDisk
import StrataSSTable
import StrataWriteAheadLog

extension LSMCore {
  /// Applies the log's records after `start` that are not in tables yet. Full memtables are flushed on the way, so that a long log needs no more
  /// memory than a short one. Nobody else uses the core yet.
  func replay(after start: UInt64) throws(LSMError) {
    let marks = manifest.state.keyspaces.mapValues(\.flushedLog)
    let byID = Dictionary(uniqueKeysWithValues: allKeyspaces.map { ($0.id, $0) })
    commit.withLock { $0.lastLog = start }
    let reader: WALReader
    do throws(WALError) { reader = try log.replay(after: start) } catch { throw LSMError(error) }
    do {
      try reader.forEach { (number, operation, payload, _) throws(LSMError) in
        guard case .application(BatchFormat.logKind) = operation else {
          throw .corruptLog(reason: "record \(number) is not a batch")
        }
        do throws(DecodeError) { try apply(number, payload, marks, byID) } catch {
          if let failure = replayFailure.withLock({ $0.take() }) { throw failure }
          throw .corruptLog(reason: "record \(number): \(error)")
        }
      }
    } catch let error as LSMError {
      throw error
    } catch let error as WALError {
      throw LSMError(error)
    } catch { throw .corruptLog(reason: "\(error)") }
    commit.withLock { state in
      state.lastLog = max(state.lastLog, log.lastSequence)
      // What was written before is not counted anew.
      (state.recordBytes, state.nextCheck) = (0, memoryStride)
    }
    let last = commit.withLock { $0.lastSequence }
    ring.reset(visible: last)
    log.begin(mark: last)
  }

  private func apply(
    _ number: UInt64, _ payload: RawSpan, _ marks: [UInt32: UInt64], _ byID: [UInt32: Keyspace]
  ) throws(DecodeError) {
    var reader = ByteReader(payload)
    let header = try BatchFormat.readHeader(&reader)
    let previous = commit.withLock { $0.lastLogged }
    guard previous == 0 || header.previous == previous else {
      throw .malformed(at: 1, field: "the sequence before (\(header.previous) where \(previous) was the last)")
    }
    do throws(LSMError) { try relieveReplay(payload.byteCount) } catch {
      replayFailure.withLock { $0 = error }
      throw .malformed(at: 0, field: "flush")
    }
    var sequence = header.first
    var splice = Skiplist.Splice()
    var last: Memtable?
    var touched: [UInt32: Memtable] = [:]
    // More than the entries can take: a share of the batch is never split over two memtables, one of which might be flushed alone.
    let bound = payload.byteCount + Int(header.count) * Skiplist.nodeBound(key: 0, value: 0)
    defer { for memtable in touched.values { memtable.finish(bound, newest: header.last) } }
    for _ in 0..<header.count {
      let entry = try BatchFormat.readEntry(&reader)
      defer { sequence += 1 }
      // What a table holds already is not applied again; a keyspace that is no more has dropped its changes.
      guard let mark = marks[entry.keyspace], number > mark, let keyspace = byID[entry.keyspace] else { continue }
      let memtable: Memtable
      if let present = touched[entry.keyspace] {
        memtable = present
      } else {
        do throws(LSMError) { memtable = try room(keyspace, bound, Int(header.count)) } catch {
          replayFailure.withLock { $0 = error }
          throw .malformed(at: 0, field: "flush")
        }
        touched[entry.keyspace] = memtable
        if keyspace.activeFirstLog == 0 { keyspace.activeFirstLog = number }
      }
      if last !== memtable {
        splice = Skiplist.Splice()
        last = memtable
      }
      memtable.add(entry, sequence, &splice)
    }
    try reader.expectEnd(of: "batch")
    commit.withLock { state in
      state.lastLogged = header.last
      state.lastSequence = max(state.lastSequence, header.last)
      state.lastLog = number
    }
    ring.reset(visible: commit.withLock { $0.lastSequence })
  }

  /// Flushes where all memtables together take too much memory. Before a record's entries are applied: none of them waits for its writer then.
  private func relieveReplay(_ bytes: Int) throws(LSMError) {
    let isRelieved = commit.withLock { state in
      state.recordBytes += UInt64(bytes)
      let own = bytes > options.memtableBytes / 2 ? Memtable.arenaBytes(forEntries: bytes) : nil
      guard state.recordBytes >= state.nextCheck || own != nil else { return true }
      state.nextCheck = state.recordBytes + memoryStride
      return relieveMemory(&state, forAnother: own ?? 0)
    }
    if isRelieved { return }
    while allKeyspaces.contains(where: { sealedCount($0) > 0 }) { try runFlush() }
  }

  /// Room in the keyspace's memtable; a full one is sealed, and flushed where too many are.
  private func room(_ keyspace: Keyspace, _ bound: Int, _ entries: Int) throws(LSMError) -> Memtable {
    if keyspace.active.reserve(bound, entries: entries) { return keyspace.active }
    commit.withLock { state in seal(keyspace, &state, atLeast: bound) }
    while keyspace.shape.withLock({ $0.sealed.count }) > options.maxSealedMemtables { try runFlush() }
    guard keyspace.active.reserve(bound, entries: entries) else { throw .batchTooLarge(bytes: bound, limit: options.memtableBytes) }
    return keyspace.active
  }

  /// Runs the flush that is due, on this thread.
  private func runFlush() throws(LSMError) {
    guard let job = nextJob(.flush) else { return }
    while true {
      switch job.advance(budget: 1 << 20) {
      case .progress: continue
      case .done: return
      case .failed: throw commit.withLock { $0.failure } ?? .noSpace(directory)
      }
    }
  }

  /// Removes what a crash left: tables, manifests and half-written files that nothing names. Foreign files stay.
  func removeOrphans(_ names: [String]) {
    let live = Set(manifest.state.keyspaces.values.flatMap(\.tables.keys))
    let current = manifest.number
    var removed = 0
    for name in names {
      let isOrphan =
        switch FileName(name) {
        case .table(let number): !live.contains(number)
        case .manifest(let number): number != current
        case .temporary: true
        case .current, .lock, .log, nil: false
        }
      guard isOrphan, (try? fileSystem.remove(directory.appending(name))) != nil else { continue }
      removed += 1
    }
    counters.orphansRemoved.add(UInt64(removed), ordering: .relaxed)
  }
}
