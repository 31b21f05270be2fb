import StrataJobs
import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// A block of memory that memtables are built in. Given back to its pool at its end, so that sealing a memtable costs no page faults.
/// Safe to share between threads because the object only names the memory; who writes where is the memtable's affair.
final class Arena: @unchecked Sendable {
  let base: UnsafeMutableRawPointer
  let capacity: Int
  /// Nothing was ever written to it: its bytes are zero, and take memory only once they are written.
  let isFresh: Bool
  private let pool: ArenaPool
  /// Bytes it is charged with since its memtable was sealed.
  private let charge = Atomic<Int>(0)
  /// The charge again, once tables hold what it holds.
  private let pinned = Atomic<Int>(0)

  fileprivate init(capacity: Int, pool: ArenaPool, reusing memory: UnsafeMutableRawPointer? = nil) {
    self.capacity = capacity
    self.pool = pool
    isFresh = memory == nil
    base = memory ?? ArenaMemory.take(capacity)
  }

  deinit {
    pool.held.subtract(charge.load(ordering: .relaxed), ordering: .relaxed)
    pool.pinned.subtract(pinned.load(ordering: .relaxed), ordering: .relaxed)
    pool.give(base, capacity)
  }

  /// Charges what the memtable in it keeps in memory from now on. Once, when it is sealed.
  func hold(_ bytes: Int) {
    charge.store(bytes, ordering: .relaxed)
    pool.held.add(bytes, ordering: .relaxed)
  }

  /// Tables hold what it holds: only readers keep it. Once, after ``hold(_:)``.
  func noteFlushed() {
    let bytes = charge.load(ordering: .relaxed)
    pinned.store(bytes, ordering: .relaxed)
    pool.pinned.add(bytes, ordering: .relaxed)
  }
}

/// Memory straight from the system where it is worth a call: unlike what an allocator keeps, it is the system's again at once when it is given back.
private enum ArenaMemory {
  private static let leastMapped = 64 << 10

  static func take(_ count: Int) -> UnsafeMutableRawPointer {
    if count < leastMapped {
      let memory = UnsafeMutableRawPointer.allocate(byteCount: count, alignment: 64)
      memory.initializeMemory(as: UInt8.self, repeating: 0, count: count)
      return memory
    }
    let memory = mmap(nil, count, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0)
    guard let memory, memory != MAP_FAILED else { preconditionFailure("the system has no \(count) bytes for a memtable") }
    return memory
  }

  static func giveBack(_ memory: UnsafeMutableRawPointer, _ count: Int) {
    if count < leastMapped { memory.deallocate() } else { munmap(memory, count) }
  }
}

/// Keeps the memory of a few dropped arenas of one size for the next ones, and counts what all of them take.
/// Safe to share between threads because the pointers behind the lock belong to nobody else and the counts are atomic.
final class ArenaPool: @unchecked Sendable {
  private let spare: Monitor<[UnsafeMutableRawPointer]>
  private let arenaBytes: Int
  private let keeps: Int
  /// Bytes of arenas whose memtables are sealed.
  fileprivate let held = Atomic<Int>(0)
  /// Those of them that are in tables.
  fileprivate let pinned = Atomic<Int>(0)

  /// - Parameter keeps: how many arenas are held for reuse.
  init(arenaBytes: Int, keeps: Int) {
    self.arenaBytes = arenaBytes
    self.keeps = keeps
    spare = Monitor([])
  }

  deinit { dropSpares() }

  /// An arena of the pool's size, or one of its own size where `capacity` is larger.
  func take(capacity: Int) -> Arena {
    guard capacity <= arenaBytes else { return Arena(capacity: capacity, pool: self) }
    return Arena(capacity: arenaBytes, pool: self, reusing: spare.withLock { $0.popLast() })
  }

  fileprivate func give(_ memory: UnsafeMutableRawPointer, _ capacity: Int) {
    let isKept = spare.withLock { spare in
      guard capacity == arenaBytes, spare.count < keeps else { return false }
      spare.append(memory)
      return true
    }
    if !isKept { ArenaMemory.giveBack(memory, capacity) }
  }

  /// Bytes of arenas that no memtable fills: sealed, read though they are in tables, or kept for reuse.
  var heldBytes: Int { held.load(ordering: .relaxed) + spare.withLock { $0.count } * arenaBytes }

  /// Bytes of arenas that only readers keep.
  var pinnedBytes: Int { pinned.load(ordering: .relaxed) }

  /// Gives the memory kept for reuse back to the system.
  func dropSpares() {
    let spares = spare.withLock { spare in
      defer { spare = [] }
      return spare
    }
    for memory in spares { ArenaMemory.giveBack(memory, arenaBytes) }
  }
}
