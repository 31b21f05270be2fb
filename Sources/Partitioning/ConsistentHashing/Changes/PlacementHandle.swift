import StrataJobs
import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// The placement in force, shared by threads: many read it while one publishes the next.
///
/// A reader takes one consistent placement per call and never waits, for other readers or for a writer. A writer may wait a moment for readers
/// that are in the middle of taking the placement before. One placement is kept, besides those readers still hold.
// Unchecked Sendable because of the pointer alone, which is atomic and names an immutable, Sendable box.
public final class PlacementHandle: @unchecked Sendable {
  /// The placement as an object, so that one word names it.
  private final class Box: Sendable {
    let placement: any Placement
    init(_ placement: any Placement) { self.placement = placement }
  }

  // The left-right scheme (Ramalhete and Correia, 2015): a reader enters the counter the switch names before it reads the pointer and leaves it
  // once it holds a reference of its own. A writer swaps the pointer, then turns the switch, and waits until each counter has been seen
  // empty after the swap; nobody can then be between reading the old pointer and holding the object.
  private let pointer: Atomic<UnsafeMutableRawPointer>
  private let side = Atomic<Int>(0)
  private let readersOfFirst = Atomic<Int>(0)
  private let readersOfSecond = Atomic<Int>(0)
  private let writing = Monitor(())

  /// A handle of `placement`.
  public init(_ placement: any Placement) { pointer = Atomic(Unmanaged.passRetained(Box(placement)).toOpaque()) }

  deinit { Unmanaged<Box>.fromOpaque(pointer.load(ordering: .acquiring)).release() }

  /// The placement in force. Never waits.
  public var current: any Placement {
    let isFirst = side.load(ordering: .sequentiallyConsistent) == 0
    if isFirst {
      readersOfFirst.add(1, ordering: .sequentiallyConsistent)
    } else {
      readersOfSecond.add(1, ordering: .sequentiallyConsistent)
    }
    // The counter keeps the object alive until `takeUnretainedValue` has made a reference.
    let box = Unmanaged<Box>.fromOpaque(pointer.load(ordering: .sequentiallyConsistent)).takeUnretainedValue()
    let placement = box.placement
    if isFirst {
      readersOfFirst.subtract(1, ordering: .sequentiallyConsistent)
    } else {
      readersOfSecond.subtract(1, ordering: .sequentiallyConsistent)
    }
    return placement
  }

  /// Puts `placement` in force if the one in force has `epoch` and `placement` a higher one; says whether it did.
  ///
  /// Of two that were made from the same placement one is refused, so a stale change cannot undo a newer one: look at ``current`` and plan again.
  public func publish(_ placement: any Placement, ifEpoch epoch: UInt64) -> Bool {
    writing.withLock { _ in
      let present = pointer.load(ordering: .acquiring)
      // Only this lock's holder ends an object's life, so it may be looked at.
      let presentEpoch = Unmanaged<Box>.fromOpaque(present).takeUnretainedValue().placement.epoch
      guard presentEpoch == epoch, placement.epoch > epoch else { return false }
      pointer.store(Unmanaged.passRetained(Box(placement)).toOpaque(), ordering: .sequentiallyConsistent)
      let before = side.load(ordering: .sequentiallyConsistent)
      awaitEmpty(1 - before)
      side.store(1 - before, ordering: .sequentiallyConsistent)
      awaitEmpty(before)
      Unmanaged<Box>.fromOpaque(present).release()
      return true
    }
  }

  /// Until nobody is between entering and leaving on that side: a few instructions of a reader, or its turn on the processor.
  private func awaitEmpty(_ side: Int) {
    while (side == 0 ? readersOfFirst.load(ordering: .sequentiallyConsistent) : readersOfSecond.load(ordering: .sequentiallyConsistent)) != 0 {
      sched_yield()
    }
  }
}
