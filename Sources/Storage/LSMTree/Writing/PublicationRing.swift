import StrataJobs
import StrataSSTable
import Synchronization

/// Makes writes visible in the order of their sequences though they finish applying in any order, after Pebble's commit pipeline.
///
/// A write takes a place under the commit lock, marks it when it has been applied, and whoever finds the oldest place marked moves the
/// visible end over it and over all that follow. No lock; a writer that must see its own write waits for the few before it.
final class PublicationRing: @unchecked Sendable {
  // Sendable because the places are atomic.
  private static let capacity: UInt64 = 1024
  private let places: UnsafeMutablePointer<Atomic<UInt64>>
  private let oldest = Atomic<UInt64>(0)
  /// Moves under the commit lock only.
  private let next = Atomic<UInt64>(0)
  private let visibleEnd: Atomic<UInt64>
  private let sleepers = Atomic<Int>(0)
  private let bell = Monitor(())

  init(visible: UInt64) {
    visibleEnd = Atomic(visible)
    places = .allocate(capacity: Int(Self.capacity))
    for index in 0..<Int(Self.capacity) { (places + index).initialize(to: Atomic(0)) }
  }

  deinit { places.deallocate() }

  /// Everything up to here may be read.
  @inline(__always) var visible: UInt64 { visibleEnd.load(ordering: .acquiring) }

  /// Whether a place is free. Under the commit lock.
  var hasRoom: Bool { next.load(ordering: .relaxed) &- oldest.load(ordering: .acquiring) < Self.capacity }

  /// Takes the next place, which must be free (``hasRoom``). Under the commit lock.
  func enqueue() -> UInt64 {
    let place = next.load(ordering: .relaxed)
    slot(place).pointee.store(0, ordering: .relaxed)
    next.store(place &+ 1, ordering: .sequentiallyConsistent)
    return place
  }

  /// Marks a place as applied up to `last` and makes visible what can be.
  func publish(_ place: UInt64, last: UInt64) {
    slot(place).pointee.store(last, ordering: .sequentiallyConsistent)
    var moved = false
    while true {
      let first = oldest.load(ordering: .sequentiallyConsistent)
      guard first < next.load(ordering: .sequentiallyConsistent) else { break }
      let end = slot(first).pointee.load(ordering: .sequentiallyConsistent)
      guard end != 0 else { break }
      // A sequence, not the place, goes out: two that race here may pass each other, the greater one stays.
      if oldest.compareExchange(expected: first, desired: first &+ 1, ordering: .sequentiallyConsistent).exchanged {
        _ = visibleEnd.max(end, ordering: .sequentiallyConsistent)
        moved = true
      }
    }
    if moved, sleepers.load(ordering: .sequentiallyConsistent) > 0 {
      bell.withLock { _ in }
      bell.broadcast()
    }
  }

  /// Returns once everything up to `sequence` is visible.
  @inline(__always)
  func wait(for sequence: UInt64) {
    if visible >= sequence { return }
    sleep(until: sequence)
  }

  @inline(never)
  private func sleep(until sequence: UInt64) {
    for _ in 0..<64 where visible >= sequence { return }
    sleepers.add(1, ordering: .sequentiallyConsistent)
    _ = bell.wait { _ -> Void? in visibleEnd.load(ordering: .sequentiallyConsistent) >= sequence ? () : nil }
    sleepers.subtract(1, ordering: .sequentiallyConsistent)
  }

  /// Makes everything up to `sequence` visible at once: for recovery, and for a version that applies nothing. Nothing may be under way.
  func reset(visible sequence: UInt64) { visibleEnd.store(sequence, ordering: .sequentiallyConsistent) }

  @inline(__always)
  private func slot(_ place: UInt64) -> UnsafeMutablePointer<Atomic<UInt64>> { places + Int(place & (Self.capacity &- 1)) }
}
