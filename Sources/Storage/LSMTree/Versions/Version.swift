import StrataJobs
import StrataSSTable
import Synchronization

/// All a reader needs of a keyspace: its memtables and its tables, as of one moment. Immutable and published whole, so that a reader never
/// sees a flushed memtable gone and its table not yet there.
///
/// Order law: whoever reads pins a version first and asks for the visible sequence second. The other way round a flush and a compaction in
/// between could drop what that sequence still sees.
final class Version: @unchecked Sendable {
  // Sendable because everything is written in `init` and only read afterwards, but for the cache of range tombstones behind its lock.
  let active: Memtable
  /// Newest first.
  let sealed: [Memtable]
  let levels: Levels
  /// The lists of all memtables, newest first, for readers that must not count references.
  let lists: UnsafeMutablePointer<Skiplist>
  let memtables: UnsafeMutablePointer<Unmanaged<Memtable>>
  let memtableCount: Int

  init(active: Memtable, sealed: [Memtable], levels: Levels) {
    self.active = active
    self.sealed = sealed
    self.levels = levels
    memtableCount = 1 + sealed.count
    lists = .allocate(capacity: memtableCount)
    memtables = .allocate(capacity: memtableCount)
    for (index, memtable) in ([active] + sealed).enumerated() {
      (lists + index).initialize(to: memtable.list)
      (memtables + index).initialize(to: .passUnretained(memtable))
    }
  }

  deinit {
    lists.deallocate()
    memtables.deallocate()
  }

  /// Memtables, newest first.
  var allMemtables: [Memtable] { [active] + sealed }
}
