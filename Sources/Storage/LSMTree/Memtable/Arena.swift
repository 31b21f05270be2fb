import StrataJobs

/// A fixed block of memory that memtables are built in. Given back to its pool at its end, so that sealing a memtable costs no page faults.
/// Safe to share between threads because the object only names the memory; who writes where is the memtable's affair.
final class Arena: @unchecked Sendable {
  let base: UnsafeMutableRawPointer
  let capacity: Int
  private let pool: ArenaPool?

  fileprivate init(capacity: Int, pool: ArenaPool?, reusing memory: UnsafeMutableRawPointer? = nil) {
    self.capacity = capacity
    self.pool = pool
    base = memory ?? .allocate(byteCount: capacity, alignment: 64)
  }

  deinit {
    if let pool { pool.give(base) } else { base.deallocate() }
  }
}

/// Keeps the memory of a few dropped arenas of one size for the next ones.
/// Safe to share between threads because the pointers behind the lock belong to nobody else.
final class ArenaPool: @unchecked Sendable {
  private let spare: Monitor<[UnsafeMutableRawPointer]>
  private let arenaBytes: Int
  private let keeps: Int

  /// - Parameter keeps: how many arenas are held for reuse.
  init(arenaBytes: Int, keeps: Int) {
    self.arenaBytes = arenaBytes
    self.keeps = keeps
    spare = Monitor([])
  }

  deinit { spare.withLock { for memory in $0 { memory.deallocate() } } }

  /// An arena of the pool's size, or one of its own where `capacity` is larger.
  func take(capacity: Int) -> Arena {
    guard capacity <= arenaBytes else { return Arena(capacity: capacity, pool: nil) }
    return Arena(capacity: arenaBytes, pool: self, reusing: spare.withLock { $0.popLast() })
  }

  fileprivate func give(_ memory: UnsafeMutableRawPointer) {
    let isKept = spare.withLock { spare in
      guard spare.count < keeps else { return false }
      spare.append(memory)
      return true
    }
    if !isKept { memory.deallocate() }
  }
}
