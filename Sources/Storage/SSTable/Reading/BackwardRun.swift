import CStrataMemory
import StrataBytes

/// The entries from a restart to the one a backward step wants, kept so that each is decoded once.
struct BackwardRun: ~Copyable {
  /// An entry as it stands in the block, with its key in the run's memory. A block is at most a gigabyte and a little: its offsets fit 32 bits.
  struct Saved {
    fileprivate var place: UInt32
    fileprivate var nextPlace: UInt32
    fileprivate var key: UInt32
    fileprivate var keyCount: UInt32
    fileprivate var valuePlace: UInt32
    fileprivate var valueCount: UInt32
    var trailer: Trailer

    var offset: Int { Int(place) }
    var next: Int { Int(nextPlace) }
    var value: Int { Int(valuePlace) }
    var valueBytes: Int { Int(valueCount) }
  }

  // Beside each other in memory of the run's own: an array would be asked for its owners at every step.
  private var saved: UnsafeMutablePointer<Saved>
  private var room = 32
  private var count = 0
  private var keys = RawBuffer(capacity: 1024)

  init() { saved = .allocate(capacity: room) }

  deinit { saved.deallocate() }

  /// The offset behind the entry that ``take()`` gives next; -1 where there is none.
  @inline(__always)
  var end: Int { count == 0 ? -1 : saved[count &- 1].next }

  mutating func forget() { count = 0 }

  /// The last entry that is left, of which ``end`` has told that there is one.
  @inline(__always)
  mutating func take() -> Saved {
    count &-= 1
    return saved[count]
  }

  @inline(__always)
  func key(of saved: Saved) -> UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: keys.base + Int(saved.key), count: Int(saved.keyCount)) }

  /// Every entry of a block in order, with their keys in the run's memory.
  mutating func all(of view: BlockView) -> [Saved] {
    decode(view, from: 0, to: view.entriesEnd)
    return Array(UnsafeBufferPointer(start: saved, count: count))
  }

  /// Decodes the entries from the last restart before `end`, which is behind an entry, up to it.
  mutating func fill(_ view: BlockView, before end: Int) {
    let restart = view.restart(atOrBefore: end - 1)
    let first = view.restartOffset(restart)
    if restart > 0 {
      // The run to come lies before this one, where no processor looks ahead.
      let before = max(view.restartOffset(restart - 1), first - 4096)
      strata_prefetch_range(view.base + before, first - before)
    }
    decode(view, from: first, to: end)
  }

  private mutating func decode(_ view: BlockView, from first: Int, to end: Int) {
    count = 0
    keys.count = 0
    var offset = first
    var start = 0
    while offset < end {
      let entry = view.decode(at: offset)
      let length = entry.shared &+ entry.unshared
      let place = keys.count
      let key = keys.reserve(length &+ copySlack)
      copyInPieces(keys.base + start, to: key, entry.shared)
      copyInPieces(view.base + entry.suffix, to: key + entry.shared, entry.unshared)
      keys.count = place &+ length
      if count == room { grow() }
      saved[count] = Saved(
        place: UInt32(truncatingIfNeeded: offset), nextPlace: UInt32(truncatingIfNeeded: entry.next), key: UInt32(truncatingIfNeeded: place),
        keyCount: UInt32(truncatingIfNeeded: length), valuePlace: UInt32(truncatingIfNeeded: entry.value),
        valueCount: UInt32(truncatingIfNeeded: entry.valueBytes), trailer: entry.trailer)
      count &+= 1
      start = place
      offset = entry.next
    }
  }

  private mutating func grow() {
    let grown = UnsafeMutablePointer<Saved>.allocate(capacity: room * 2)
    grown.update(from: saved, count: count)
    saved.deallocate()
    saved = grown
    room *= 2
  }
}

/// How many bytes behind the last one ``copyInPieces(_:to:_:)`` may touch on both sides.
let copySlack = 8

/// Copies `count` bytes, most often few, eight at a time: up to seven more are read and written, for which both sides have room. Of a block's entries
/// the source may be any part, for 24 bytes follow the last of them. The target may lie behind the source, no nearer than `count` bytes.
@inline(__always)
func copyInPieces(_ source: UnsafeRawPointer, to target: UnsafeMutableRawPointer, _ count: Int) {
  if count > 64 { return target.copyMemory(from: source, byteCount: count) }
  var place = 0
  while place < count {
    target.storeBytes(of: source.loadUnaligned(fromByteOffset: place, as: UInt64.self), toByteOffset: place, as: UInt64.self)
    place &+= 8
  }
}
