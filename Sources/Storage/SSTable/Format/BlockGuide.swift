/// Where the entries of a data block are, gathered when it is brought into memory and kept behind its payload; stored nowhere.
///
/// ```
/// for every `step`th entry, from the first on:  u32 head, u16 offset
/// ```
/// A head is the four bytes of a key behind the block's common prefix, most significant first, zeros where the key is shorter. A search then knows
/// from a few neighbouring cache lines which entry to look at, instead of walking a run of entries of which each tells where the next begins. Where
/// heads are equal the walk decides, from the first entry that has the head. At most a sixteenth of the payload; more entries than fit are passed
/// over evenly, and a block whose offsets need more than sixteen bits has no guide.
/// Safe to share between threads because the memory is written before a second owner has it, and then only read.
struct BlockGuide: @unchecked Sendable {
  /// Head and offset; no alignment.
  static let sampleBytes = 6
  static let none = BlockGuide(base: UnsafeRawPointer(bitPattern: 1).unsafelyUnwrapped, count: 0, step: 1)

  let base: UnsafeRawPointer
  let count: Int
  /// Of how many entries one is here.
  let step: Int

  /// Bytes behind a payload of `bytes` that its guide may take.
  static func room(for bytes: Int) -> Int { bytes <= Int(UInt16.max) ? bytes >> 4 : 0 }

  @inline(__always)
  func head(_ index: Int) -> UInt32 { base.loadUnaligned(fromByteOffset: index &* Self.sampleBytes, as: UInt32.self) }

  @inline(__always)
  func offset(_ index: Int) -> Int { Int(base.loadUnaligned(fromByteOffset: index &* Self.sampleBytes &+ 4, as: UInt16.self)) }

  /// How many samples have a smaller head, of keys in order; no more than there are, whatever the heads.
  @inline(__always)
  func samples(below head: UInt32) -> Int {
    var place = 0
    var left = count
    // Without a branch on the heads, which no processor could foresee.
    while left > 1 {
      let half = left >> 1
      place &+= half & (0 &- (self.head(place &+ half &- 1) < head ? 1 : 0))
      left &-= half
    }
    if left == 1, self.head(place) < head { place &+= 1 }
    return place
  }

  /// Writes the guide of `view`, a checked block, behind its payload, where there are ``room(for:)`` bytes.
  /// - Returns: how many samples it has, and of how many entries one is.
  static func write(_ view: BlockView, to room: UnsafeMutableRawBufferPointer) -> (count: Int, step: Int) {
    let most = room.count / sampleBytes
    guard let target = room.baseAddress, most > 0, view.entryCount > 0, view.entriesEnd <= Int(UInt16.max) else { return (0, 1) }
    let step = (view.entryCount &- 1) / most &+ 1
    var count = 0
    var left = 0
    var head: UInt32 = 0
    var offset = 0
    while offset < view.entriesEnd {
      let entry = view.decode(at: offset)
      head = self.head(of: entry, in: view, after: head)
      if left == 0 {
        let place = count &* sampleBytes
        target.storeBytes(of: head, toByteOffset: place, as: UInt32.self)
        target.storeBytes(of: UInt16(truncatingIfNeeded: offset), toByteOffset: place &+ 4, as: UInt16.self)
        count &+= 1
        left = step
      }
      left &-= 1
      offset = entry.next
    }
    return (count, step)
  }

  /// The head of an entry's key, from that of the entry before. Of a key shorter than the block says all of them are, which only a block made with
  /// intent has, some head.
  @inline(__always)
  private static func head(of entry: BlockView.Entry, in view: BlockView, after last: UInt32) -> UInt32 {
    // What the key has of the head in common with the one before, and where in the part of its own it goes on. Lengths of keys are at most 65,536.
    let kept = max(0, entry.shared &- view.prefix)
    if kept >= 4 { return last }
    let skipped = max(0, view.prefix &- entry.shared)
    let own = entry.unshared &- skipped
    let mask = UInt32.max &>> UInt32(truncatingIfNeeded: kept &* 8)
    guard own > 0 else { return last & ~mask }
    // Behind every entry follow 24 bytes at least: four can be read wherever one can.
    var bytes = UInt32(bigEndian: view.base.loadUnaligned(fromByteOffset: entry.suffix &+ skipped, as: UInt32.self))
    if own < 4 { bytes &= ~(UInt32.max &>> UInt32(truncatingIfNeeded: own &* 8)) }
    return last & ~mask | bytes &>> UInt32(truncatingIfNeeded: kept &* 8)
  }
}
