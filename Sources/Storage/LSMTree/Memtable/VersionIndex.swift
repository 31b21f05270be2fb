import CStrataMemory
import StrataBytes
import StrataSSTable
import Synchronization

/// Where the newest version of each key of a list lies, by the key's hash: overwriting a key and reading one then cost a few cache misses
/// instead of a search.
///
/// Open addressing without deletion in a fixed block of memory, `hash bits 63...32 | link` to a place, changed by compare-and-swap. It is an aid:
/// what does not fit is left out, and from then on a key that is not found may be in the list all the same.
///
/// A version is entered after it is linked and before it is published, so a reader that sees a sequence finds the version that made it, or
/// a newer one of the same key, from which the older ones follow in the list.
struct VersionIndex: @unchecked Sendable {
  // Sendable because everything behind the pointers is atomic.
  private struct Header: ~Copyable {
    let used = Atomic<Int>(0)
    /// Something was left out.
    let isPartial = Atomic<Bool>(false)
  }

  private static let headerBytes = 64
  /// Memory for which an index is not worth its place.
  private static let leastArena = 16 << 10

  private let header: UnsafeMutablePointer<Header>
  private let slots: UnsafeMutablePointer<Atomic<UInt64>>
  private let mask: Int

  /// How much of an arena of `capacity` bytes an index takes: at most a sixteenth and its header.
  private static func bytes(ofArena capacity: Int) -> Int {
    guard capacity >= leastArena else { return 0 }
    return headerBytes + slotCount(capacity) * 8
  }

  /// Where the index of an arena begins: what is before is left for entries. The arena's end where there is none.
  static func start(inArena capacity: Int) -> Int {
    let bytes = bytes(ofArena: capacity)
    return bytes == 0 ? capacity : (capacity - bytes) & ~7
  }

  private static func slotCount(_ capacity: Int) -> Int { 1 << (Int.bitWidth - 1 - (capacity / 128).leadingZeroBitCount) }

  /// An empty index in the last bytes of an arena; `nil` where the arena is too small to share.
  /// - Parameter isZero: the bytes are, so that those of places nobody needs are not touched.
  init?(atEndOf arena: UnsafeMutableRawPointer, capacity: Int, isZero: Bool) {
    let bytes = Self.bytes(ofArena: capacity)
    guard bytes > 0 else { return nil }
    let start = arena + Self.start(inArena: capacity)
    if !isZero { start.initializeMemory(as: UInt8.self, repeating: 0, count: bytes) }
    header = start.bindMemory(to: Header.self, capacity: 1)
    header.initialize(to: Header())
    slots = (start + Self.headerBytes).bindMemory(to: Atomic<UInt64>.self, capacity: Self.slotCount(capacity))
    mask = Self.slotCount(capacity) - 1
  }

  /// What the index knows of a key.
  enum Finding {
    /// Its newest version, or the newest but those being written.
    case newest(Skiplist.Link)
    case absent
    case unknown
  }

  /// Asks for the cache line of a key's place.
  @inline(__always)
  func prefetch(_ hash: UInt64) { strata_prefetch(slots + (Int(truncatingIfNeeded: hash) & mask)) }

  /// Looks a key up in the list the index is of.
  @inline(__always)
  func find(_ key: UnsafeRawBufferPointer, _ hash: UInt64, in list: Skiplist) -> Finding {
    var place = Int(truncatingIfNeeded: hash) & mask
    // An eighth of the places stays free, so this ends.
    while true {
      let word = slots[place].load(ordering: .acquiring)
      if word == 0 { return header.pointee.isPartial.load(ordering: .acquiring) ? .unknown : .absent }
      if (word ^ hash) >> 32 == 0 {
        let link = Skiplist.Link(truncatingIfNeeded: word)
        if compare(list.key(link), key) == 0 { return .newest(link) }
      }
      place = (place &+ 1) & mask
    }
  }

  /// Enters a version that is in the list, unless a newer one of its key is here.
  @inline(__always)
  func enter(_ link: Skiplist.Link, _ key: UnsafeRawBufferPointer, _ hash: UInt64, in list: Skiplist) {
    let mine = (hash >> 32) << 32 | UInt64(link)
    var place = Int(truncatingIfNeeded: hash) & mask
    var word = slots[place].load(ordering: .acquiring)
    while true {
      if word == 0 {
        guard claim() else { return }
        let outcome = slots[place].compareExchange(expected: 0, desired: mine, ordering: .acquiringAndReleasing)
        if outcome.exchanged { return }
        header.pointee.used.subtract(1, ordering: .relaxed)
        word = outcome.original
        continue
      }
      if (word ^ hash) >> 32 == 0 {
        let other = Skiplist.Link(truncatingIfNeeded: word)
        if compare(list.key(other), key) == 0 {
          if list.trailer(other) > list.trailer(link) { return }
          let outcome = slots[place].compareExchange(expected: word, desired: mine, ordering: .acquiringAndReleasing)
          if outcome.exchanged { return }
          word = outcome.original
          continue
        }
      }
      place = (place &+ 1) & mask
      word = slots[place].load(ordering: .acquiring)
    }
  }

  /// Takes one of the places that may be used.
  @inline(__always)
  private func claim() -> Bool {
    if header.pointee.used.load(ordering: .relaxed) < mask &- mask / 8 {
      if header.pointee.used.add(1, ordering: .relaxed).oldValue < mask &- mask / 8 { return true }
      header.pointee.used.subtract(1, ordering: .relaxed)
    }
    header.pointee.isPartial.store(true, ordering: .releasing)
    return false
  }
}
