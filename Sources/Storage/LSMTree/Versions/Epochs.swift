import StrataJobs
import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Lets readers use a shared object without counting references, and its owner drop it when no reader can hold it any more.
///
/// A reader announces the present epoch in a slot of its own before it loads the object and clears the slot afterwards. A replaced object
/// is kept until every announced epoch is younger than its replacement. Fraser, "Practical lock-freedom" (2004), reduced to one writer.
final class Epochs: @unchecked Sendable {
  // Sendable because the slots are atomic and the waiting objects are behind a lock.
  private static let slotCount = 128
  /// A cache line each, so that readers do not slow each other.
  private static let stride = 64
  /// Where a slot counts its readers, in the same line.
  private static let countOffset = 8
  private let memory: UnsafeMutableRawPointer
  private let now = Atomic<UInt64>(1)
  private let retired: Monitor<[(epoch: UInt64, object: AnyObject)]>

  init() {
    memory = .allocate(byteCount: Self.slotCount * Self.stride, alignment: Self.stride)
    for index in 0..<Self.slotCount {
      (memory + index * Self.stride).bindMemory(to: Atomic<UInt64>.self, capacity: 1).initialize(to: Atomic(0))
      (memory + index * Self.stride + Self.countOffset).bindMemory(to: UInt64.self, capacity: 1).initialize(to: 0)
    }
    retired = Monitor([])
  }

  deinit { memory.deallocate() }

  @inline(__always)
  private func slot(_ index: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
    (memory + index &* Self.stride).assumingMemoryBound(to: Atomic<UInt64>.self)
  }

  /// Announces a reader. What it loads afterwards stays until ``leave(_:)`` with the number returned. Not for long: nothing that was replaced
  /// since is freed meanwhile.
  @inline(__always)
  func enter() -> Int {
    let epoch = now.load(ordering: .sequentiallyConsistent)
    var index = Self.homeSlot
    // Sequentially consistent: the announcement must be visible before the object is loaded.
    while !slot(index).pointee.compareExchange(expected: 0, desired: epoch, ordering: .sequentiallyConsistent).exchanged {
      index = (index &+ 1) & (Self.slotCount &- 1)
    }
    return index
  }

  @inline(__always)
  func leave(_ index: Int) { slot(index).pointee.store(0, ordering: .releasing) }

  /// Whether the reader in a slot is one of every `stride` (a power of two) that were there: for samples. Between `enter` and `leave`, once.
  @inline(__always)
  func isSampled(_ index: Int, every stride: UInt64) -> Bool {
    // The slot is its reader's alone, so its count is too.
    let count = (memory + (index &* Self.stride &+ Self.countOffset)).assumingMemoryBound(to: UInt64.self)
    count.pointee &+= 1
    return count.pointee & (stride &- 1) == 0
  }

  /// A slot that this thread usually finds free.
  @inline(__always)
  private static var homeSlot: Int {
    #if canImport(Glibc)
      let thread = UInt64(pthread_self())
    #else
      let thread = UInt64(pthread_mach_thread_np(pthread_self()))
    #endif
    return Int(truncatingIfNeeded: (thread &* 0x9E37_79B9_7F4A_7C15) >> 57)  // 57 leaves seven bits: one of 128 slots
  }

  /// A number that differs between threads that run at the same time, mostly.
  @inline(__always) static var threadSlot: Int { homeSlot }

  /// Keeps `object`, which no reader can load any more, until nobody who might have loaded it is left.
  func retire(_ object: AnyObject) {
    let epoch = now.add(1, ordering: .sequentiallyConsistent).oldValue
    retired.withLock { $0.append((epoch, object)) }
    sweep()
  }

  /// Drops what nobody can hold any more.
  /// - Returns: whether something is still kept.
  @discardableResult
  func sweep() -> Bool {
    var oldest = UInt64.max
    var dropped: [AnyObject] = []
    let isWaiting = retired.withLock { retired in
      guard !retired.isEmpty else { return false }
      for index in 0..<Self.slotCount {
        let epoch = slot(index).pointee.load(ordering: .sequentiallyConsistent)
        if epoch != 0 { oldest = min(oldest, epoch) }
      }
      dropped = retired.filter { $0.epoch < oldest }.map(\.object)
      retired.removeAll { $0.epoch < oldest }
      return !retired.isEmpty
    }
    // What goes here may run deinitialisers that take other locks.
    _ = consume dropped
    return isWaiting
  }
}
