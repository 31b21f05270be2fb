import StrataBytes
import StrataFilters
import StrataSSTable

// Iterators have to pass over what was deleted until a compaction takes it away, and the sizes of levels say nothing of that: a row of deletions that
// nobody adds to may stay for ever, in the way of every read. So iterators charge the tables whose deletions they meet in long rows, and a table that
// has cost as much as rewriting it would is compacted for that alone.

extension LSMCore {
  /// An iterator charges tables with every so many entries that one move passes over; a power of two.
  static let chargedRow = 64

  /// Charges the tables with deletions around `key` with a row of entries that were passed over there.
  @inline(never)
  func charge(_ key: UnsafeRawBufferPointer, _ version: Version, _ keyspace: Keyspace) {
    guard let least = options.readTriggeredEntries, options.compactsAutomatically else { return }
    charge(version.active, key, UInt64(clamping: least), keyspace)
    let head = keyHead(key)
    for run in version.levels.runs {
      let place = run.table(for: key, head: head)
      guard place >= 0 else { continue }
      let table = run.tables[place]
      guard table.metadata.deletionCount + table.metadata.rangeDeletionCount > 0 else { continue }
      let limit = max(UInt64(clamping: least), table.metadata.entryCount)
      let charged = table.passedOver.add(UInt64(Self.chargedRow), ordering: .relaxed).newValue
      guard charged >= limit, charged - limit < UInt64(Self.chargedRow) else { continue }
      work.withLock { _ = $0.stumbledOver.insert(table.metadata.fileID) }
      scheduler.wake()
    }
  }

  /// Charges the memtable if the entry passed over there is a deletion of its own, and seals it when it has cost enough.
  private func charge(_ memtable: Memtable, _ key: UnsafeRawBufferPointer, _ least: UInt64, _ keyspace: Keyspace) {
    let target = Skiplist.Target(key, Trailer.newest(atOrBelow: Trailer.maxSequence))
    let link = memtable.list.version(target, hash: FilterHash.hash64(key))
    guard link != 0, memtable.list.trailer(link).kind == .deletion else { return }
    let limit = max(least, UInt64(memtable.entryCount))
    let charged = memtable.passedOver.add(UInt64(Self.chargedRow), ordering: .relaxed).newValue
    guard charged >= limit, charged - limit < UInt64(Self.chargedRow) else { return }
    commit.withLock { state in
      guard keyspace.active === memtable, !state.isClosed, state.failure == nil, sealedCount(keyspace) < options.maxSealedMemtables else { return }
      seal(keyspace, &state)
    }
  }

  /// What the picker has to know beside the shape.
  func circumstances() -> CompactionPicker.Circumstances {
    // History and snapshots first: what comes up later sees the present, which nothing takes away.
    let (oldest, newest) = snapshots.sequences { ($0.first, $0.last) }
    let (held, stumbledOver) = work.withLock { ($0.busy.union($0.quarantined), $0.stumbledOver) }
    return CompactionPicker.Circumstances(
      held: held, stumbledOver: stumbledOver, droppableThrough: min(oldest ?? .max, historyFloor ?? .max), newestSnapshot: newest,
      historyFloor: historyFloor, now: options.clock() / 1000)
  }
}

extension CompactionPicker {
  /// The most worthwhile plan for a table that readers stumble over: one level down, where its deletions meet what they delete, or anew where it is
  /// already at the bottom and nobody needs its deletions any more.
  var stumbledOver: Compaction? {
    guard !circumstances.stumbledOver.isEmpty else { return nil }
    for table in newestFirst(levels) where circumstances.stumbledOver.contains(table.metadata.fileID) && isFree(table) {
      let plan: Compaction? =
        switch keyspace.options.style {
        case .leveled: table.metadata.level == 0 ? levelZeroDown() : downOrAnew(table)
        case .sizeTiered: withOlderRuns(table)
        // Tables of different ages stay apart there.
        case .fifo, .timeWindow: nil
        }
      if let plan { return plan }
    }
    return nil
  }

  private func isFree(_ table: TableHandle) -> Bool { !circumstances.held.contains(table.metadata.fileID) }

  private func plan(_ inputs: [TableHandle], to level: Int) -> Compaction {
    Compaction(keyspace: keyspace, kind: .merge, inputs: inputs, outputLevel: level, reason: Self.reads)
  }

  /// Whether a merge with nothing older outside it lets the table's deletions go.
  private func isDroppable(_ table: TableHandle) -> Bool {
    table.metadata.maxSequence <= circumstances.droppableThrough && keyspace.options.isPurgeable == nil
  }

  private func downOrAnew(_ table: TableHandle) -> Compaction? {
    let level = Int(table.metadata.level)
    guard level + 1 < LSMOptions.maxLevels else { return isDroppable(table) ? plan([table], to: level) : nil }
    let below = levels.deeper[level].tables.filter { Levels.overlap($0.metadata, table.metadata) }
    return below.allSatisfy(isFree) ? plan([table] + below, to: level + 1) : nil
  }

  /// What the planner would do if a single run in level 0 were one too many.
  private func levelZeroDown() -> Compaction? {
    let strategy = keyspace.options.leveled(levelZeroTrigger: 1)
    return strategy.plan(levels.shape, busy: circumstances.held).map { compaction($0, reason: Self.reads) }
  }

  /// Runs of this style are merged with neighbours in age only: the table, and all that is older.
  private func withOlderRuns(_ table: TableHandle) -> Compaction? {
    let runs = newestFirst(levels)
    guard let place = runs.firstIndex(where: { $0 === table }) else { return nil }
    let inputs = Array(runs[place...])
    guard inputs.allSatisfy(isFree), inputs.count > 1 || isDroppable(table) else { return nil }
    return plan(inputs, to: 0)
  }
}
