import StrataJobs
import StrataSSTable

// Memtables share a part of the memory limit. Near its end the largest of them are flushed early; beyond it writers wait for a flush, and readers no
// longer keep memtables. What cannot be made less by a flush, memory that readers keep already, makes memtables small and stops nobody: a
// writer may be who holds the reader.

extension LSMCore {
  /// Bytes that memtables take. Under the commit lock.
  var memtableMemory: Int { arenas.heldBytes + allKeyspaces.reduce(0) { $0 + $1.active.residentBytes } }

  /// Whether a flush would give memory back.
  private var hasSealed: Bool { allKeyspaces.contains { sealedCount($0) > 0 } }

  /// Bytes that are written between two looks at the memory.
  var memoryStride: UInt64 { shares.stride(options) }

  /// Seals the largest memtable where all of them are near the end of their share.
  /// - Returns: whether there is memory to go on with, or nothing to wait for.
  func relieveMemory(_ state: inout CommitState, forAnother bytes: Int = 0) -> Bool {
    guard memtableMemory + bytes > shares.memtables / 4 * 3 else { return true }
    arenas.dropSpares()
    guard memtableMemory + bytes > shares.memtables / 4 * 3 else { return true }
    let filled = allKeyspaces.filter { !$0.active.isEmpty && sealedCount($0) < options.maxSealedMemtables }
    if let largest = filled.max(by: { $0.active.residentBytes < $1.active.residentBytes }) { seal(largest, &state) }
    return memtableMemory + bytes <= shares.memtables || !hasSealed
  }

  /// Waits until a flush has made room for `bytes` more, or nothing is left to flush.
  func waitForMemory(_ bytes: Int) throws(LSMError) {
    var hasTried = false
    while true {
      let seen = scheduler.progress
      let isShort = try commit.withLock { (state) throws(LSMError) in
        try state.checkOpen()
        return memtableMemory + bytes > shares.memtables && hasSealed
      }
      guard isShort else { return }
      epochs.sweep()
      if work.withLock({ $0.isOutOfSpace }) { try tryForSpace(again: &hasTried) }
      scheduler.wait(after: seen)
    }
  }

  /// Where readers keep many memtables already, flushes the keyspace's, so that the next reader need not keep any.
  /// - Returns: the moment up to which all its changes are in tables, held until they are pinned; `nil` where memtables may be kept.
  func spareMemtables(_ keyspace: Keyspace) -> Snapshot? {
    guard arenas.pinnedBytes > shares.memtables / 2 else { return nil }
    epochs.sweep()
    guard arenas.pinnedBytes > shares.memtables / 2 else { return nil }
    let moment = snapshots.make { ring.visible }
    do throws(LSMError) {
      let number = try commit.withLock { (state) throws(LSMError) -> UInt64 in
        try state.checkOpen()
        if !keyspace.active.isEmpty { seal(keyspace, &state) }
        return keyspace.active.number
      }
      try waitForFlush(of: keyspace, before: number)
      return moment
    } catch { return nil }  // Nothing can be flushed any more, and nothing is written that could take more memory.
  }

  /// Bytes that the tables of all keyspaces keep outside the cache.
  var tableMemory: Int {
    allKeyspaces.reduce(0) { $0 + $1.version.levels.tables.reduce(0) { $0 + $1.reader.residentBytes } }
  }
}

extension Version {
  /// The same tables under no entries in memory.
  var withoutMemtables: Version {
    let bytes = 4096
    let empty = Memtable(ArenaPool(arenaBytes: bytes, keeps: 0).take(capacity: bytes), number: active.number, entryLimit: 0)
    return Version(active: empty, sealed: [], levels: levels)
  }
}
