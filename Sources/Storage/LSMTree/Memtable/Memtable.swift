import CStrataMemory
import StrataBytes
import StrataFilters
import StrataJobs
import StrataSSTable
import Synchronization

/// The newest entries of a keyspace, in memory: what the log already holds and no table yet.
///
/// Writers reserve room under the commit lock and insert outside it, concurrently; readers need no lock. Once sealed no reservation is made
/// any more, and when ``isQuiet`` its content is final.
final class Memtable: @unchecked Sendable {
  // Sendable because the list is safe to use from all threads, the counters are atomic and the rest is behind a lock or immutable.
  let list: Skiplist
  private let arena: Arena
  /// The part of the arena that holds entries; behind it lies their index.
  private let capacity: Int
  /// Number in the order of the keyspace's memtables.
  let number: UInt64
  /// How many entries it takes.
  private let entryLimit: Int

  /// Bytes of the arena in use.
  private let used: Atomic<Int>
  /// Bytes promised to writers that have not finished.
  private let promised = Atomic<Int>(0)
  private let writers = Atomic<Int>(0)
  private let entries = Atomic<Int>(0)
  private let deletions = Atomic<Int>(0)
  /// Entries that iterators have passed over among its deletions; see ``LSMCore/charge(_:_:_:)``.
  let passedOver = Atomic<UInt64>(0)
  /// Newest sequence of any entry; final once quiet.
  private let newest = Atomic<UInt64>(0)
  private let rangeCount = Atomic<Int>(0)
  private let ranges = Monitor(Ranges())

  /// Range deletions as they came, and their fragments as of some count.
  private struct Ranges {
    var all: [RangeDeletion] = []
    var fragments: RangeTombstones?
  }

  /// Splices of a few writers; a writer that finds its own taken begins without.
  private let splices: UnsafeMutablePointer<SharedSplice>
  private static let spliceCount = 4

  private struct SharedSplice: ~Copyable {
    // First, since the thread sanitizer takes a change of it for one of what stands first: the flag, which others read meanwhile.
    var splice = Skiplist.Splice()
    let isTaken = Atomic<Bool>(false)
  }

  init(_ arena: Arena, number: UInt64, entryLimit: Int, prefix: [UInt8] = []) {
    precondition(arena.capacity <= 1 << 34, "links of 32 bits reach 32 GiB")
    self.arena = arena
    self.number = number
    self.entryLimit = entryLimit
    capacity = VersionIndex.start(inArena: arena.capacity)
    list = Skiplist(arena.base, index: VersionIndex(atEndOf: arena.base, capacity: arena.capacity, isZero: arena.isFresh), prefix: prefix)
    used = Atomic((Skiplist.headerBytes + 7) & ~7)
    splices = .allocate(capacity: Self.spliceCount)
    for index in 0..<Self.spliceCount { (splices + index).initialize(to: SharedSplice()) }
  }

  deinit {
    splices.deinitialize(count: Self.spliceCount)
    splices.deallocate()
  }

  // MARK: Filling

  /// The arena a memtable needs for entries that take `bytes`.
  static func arenaBytes(forEntries bytes: Int) -> Int {
    let least = bytes + (Skiplist.headerBytes + 7) & ~7
    // An index takes a sixteenth at most, and its header. Where the arena becomes larger than asked it may have one though this alone would not.
    return least + least / 14 + 128
  }

  /// Whether room for `bytes` would be promised. Under the commit lock.
  func hasRoom(_ bytes: Int) -> Bool { promised.load(ordering: .acquiring) + used.load(ordering: .acquiring) + bytes <= capacity }

  /// Promises room for entries that take at most `bytes`; `false` where the memtable is full. Under the commit lock.
  func reserve(_ bytes: Int, entries count: Int) -> Bool {
    // Promises first: what a writer finishes in between is then counted twice rather than not at all.
    let open = promised.load(ordering: .acquiring)
    guard open + used.load(ordering: .acquiring) + bytes <= capacity else { return false }
    let held = entries.load(ordering: .relaxed)
    guard held == 0 || held + count <= entryLimit else { return false }
    promised.add(bytes, ordering: .acquiringAndReleasing)
    writers.add(1, ordering: .acquiringAndReleasing)
    entries.add(count, ordering: .relaxed)
    return true
  }

  /// Ends what ``reserve(_:entries:)`` began, whether or not anything was inserted.
  func finish(_ bytes: Int, newest sequence: UInt64) {
    _ = newest.max(sequence, ordering: .relaxed)
    promised.subtract(bytes, ordering: .acquiringAndReleasing)
    writers.subtract(1, ordering: .acquiringAndReleasing)
  }

  /// Takes back a reservation of entries that never came to be. Under the commit lock.
  func cancel(_ bytes: Int, entries count: Int) {
    entries.subtract(count, ordering: .relaxed)
    finish(bytes, newest: 0)
  }

  /// Inserts one entry into reserved room.
  @inline(__always)
  func insert(key: UnsafeRawBufferPointer, trailer: Trailer, value: UnsafeRawBufferPointer, _ splice: inout Skiplist.Splice) {
    let hash = FilterHash.hash64(key)
    let older = list.older(key, hash, than: trailer)
    // A further version of a key stands beside the one before. Fewer of them get towers: keys are found without, versions by a few steps.
    let height = max(1, Skiplist.height(trailer.sequence) - (older == 0 ? 0 : 1))
    let bytes = Skiplist.nodeBytes(height: height, key: key.count, value: value.count)
    let offset = used.add(bytes, ordering: .acquiringAndReleasing).oldValue
    precondition(offset &+ bytes <= capacity, "an entry beyond what was reserved")
    list.insert(at: offset, height: height, key: key, hash: hash, trailer: trailer, value: value, before: older, &splice)
    if trailer.word & 0xFF == UInt64(EntryKind.deletion.rawValue) { deletions.add(1, ordering: .relaxed) }
  }

  /// Asks for what ``insert(key:trailer:value:_:)`` looks at first.
  @inline(__always)
  func prefetch(_ key: UnsafeRawBufferPointer) { list.prefetch(FilterHash.hash64(key)) }

  /// Calls `body` with a splice: that of the last writer in this slot where nobody else uses it.
  @inline(__always)
  func withSplice(_ slot: Int, _ body: (inout Skiplist.Splice) -> Void) {
    let shared = splices + (slot & (Self.spliceCount - 1))
    if shared.pointee.isTaken.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged {
      body(&shared.pointee.splice)
      shared.pointee.isTaken.store(false, ordering: .releasing)
    } else {
      var splice = Skiplist.Splice()
      body(&splice)
    }
  }

  /// Adds a range deletion; its bytes count as used, in whole words, as nodes lie at such.
  func deleteRange(from start: UnsafeRawBufferPointer, to end: UnsafeRawBufferPointer, sequence: UInt64) {
    used.add((start.count + end.count + 64 + 7) & ~7, ordering: .acquiringAndReleasing)
    ranges.withLock { ranges in
      ranges.all.append(RangeDeletion(start: [UInt8](start), end: [UInt8](end), sequence: sequence))
      ranges.fragments = nil
      rangeCount.store(ranges.all.count, ordering: .releasing)
    }
  }

  // MARK: State

  /// No writer is at work: once sealed, nothing changes any more.
  var isQuiet: Bool { writers.load(ordering: .acquiring) == 0 }
  var isEmpty: Bool { entries.load(ordering: .relaxed) == 0 }
  var entryCount: Int { entries.load(ordering: .relaxed) }
  var deletionCount: Int { deletions.load(ordering: .relaxed) + rangeCount.load(ordering: .relaxed) }
  var newestSequence: UInt64 { newest.load(ordering: .acquiring) }
  var usedBytes: Int { min(used.load(ordering: .relaxed), capacity) }

  /// Bytes of memory it takes: what was written, and of the index at most a page for each entry. All of an arena that was used before.
  var residentBytes: Int {
    // An entry takes some of the arena, so their number times a page is far from any overflow.
    arena.isFresh ? min(arena.capacity, usedBytes + min(arena.capacity - capacity, entryCount * 4096)) : arena.capacity
  }

  /// Counts its memory among that of memtables that take no more entries. Once, when it is sealed.
  func hold() { arena.hold(residentBytes) }

  /// Its entries are in tables. Once, after ``hold()``.
  func noteFlushed() { arena.noteFlushed() }

  var hasRangeDeletions: Bool { rangeCount.load(ordering: .acquiring) > 0 }

  /// The range deletions so far as fragments; built anew only when some came since.
  func rangeTombstones() -> RangeTombstones {
    ranges.withLock { ranges in
      if let fragments = ranges.fragments { return fragments }
      let fragments = RangeTombstones(ranges.all)
      ranges.fragments = fragments
      return fragments
    }
  }

  /// The range deletions as they came.
  var rangeDeletions: [RangeDeletion] { ranges.withLock { $0.all } }

  /// A position in the entries. It keeps the memtable.
  func cursor() -> MemtableCursor { MemtableCursor(self) }
}

/// A position in a memtable. Entries that other threads insert meanwhile appear or not, as their place has been passed or not.
final class MemtableCursor: Cursor {
  private let memtable: Memtable
  private let list: Skiplist
  private var link: Skiplist.Link = 0

  init(_ memtable: Memtable) {
    self.memtable = memtable
    list = memtable.list
  }

  @inline(__always)
  private func stand(_ link: Skiplist.Link) {
    self.link = link
    isValid = link > Skiplist.origin
    guard isValid else { return }
    let key = list.key(link)
    entry = CursorEntry(key: key, head: keyHead(key), trailer: list.trailer(link), value: list.value(link))
  }

  override func first() throws(TableError) { stand(list.next(Skiplist.origin)) }
  override func last() throws(TableError) { stand(list.last()) }
  override func next() throws(TableError) {
    stand(list.next(link))
    // Nodes lie in the order they were written in: the one after this is asked for while this one is being used.
    if isValid { strata_prefetch_range(list.node(list.next(link)), 192) }
  }
  override func previous() throws(TableError) { stand(list.previous(link)) }

  override func seek(_ key: UnsafeRawBufferPointer, _ trailer: Trailer) throws(TableError) {
    stand(list.bracket(Skiplist.Target(key, trailer)).after)
  }

  override func seekBefore(_ key: UnsafeRawBufferPointer, _ trailer: Trailer) throws(TableError) {
    stand(list.bracket(Skiplist.Target(key, trailer)).before)
  }
}
