import Synchronization

/// A block's payload in memory, kept in place while any pin on it is held.
///
/// Counted by hand: a pin is one word, taking and releasing one cost an atomic addition each, and nothing on a read's way retains an object. Every
/// pin is released exactly once.
package struct BlockPin: @unchecked Sendable {
  // Sendable because the payload is never written once a second owner has a pin, and the counts are atomic.
  /// What stands before the payload.
  struct Slab: ~Copyable {
    /// Pins, and one for the cache while the block is in it.
    let references: Atomic<UInt32>
    /// Set by every use, cleared by the cache's hand.
    let isUsed: Atomic<UInt8>
    /// Index and filter blocks leave the cache last.
    let isImportant: Bool
    /// Samples of the guide behind the payload, once it is made; of how many entries one is, and how many bytes are there for it.
    var guideCount: UInt16 = 0
    var guideStep: UInt32 = 1
    var guideRoom: UInt32
    /// How many bytes of the allocation come before the payload, beyond this head.
    var front = 0
    var bytes: Int
    let file: UInt64
    let offset: UInt64

    /// A slab with one pin.
    init(bytes: Int, guideRoom: Int, file: UInt64, offset: UInt64, isImportant: Bool) {
      references = Atomic(1)
      isUsed = Atomic(1)
      self.bytes = bytes
      self.guideRoom = UInt32(truncatingIfNeeded: guideRoom)  // at most 4 KiB
      self.file = file
      self.offset = offset
      self.isImportant = isImportant
    }
  }

  static let headerBytes = (MemoryLayout<Slab>.size + 15) & ~15
  let slab: UnsafeMutablePointer<Slab>

  /// Memory for a payload of `bytes` and for the guide behind it, held by one pin; uninitialised.
  static func allocate(_ bytes: Int, guide: Int = 0, file: UInt64 = 0, offset: UInt64 = 0, isImportant: Bool = false) -> BlockPin {
    let size = headerBytes + max(bytes, 1) + guide
    let slab = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16).bindMemory(to: Slab.self, capacity: 1)
    slab.initialize(to: Slab(bytes: bytes, guideRoom: guide, file: file, offset: offset, isImportant: isImportant))
    return BlockPin(slab: slab)
  }

  /// The payload.
  @inline(__always)
  package var payload: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: UnsafeRawPointer(slab) + (Self.headerBytes &+ slab.pointee.front), count: slab.pointee.bytes)
  }

  /// The guide to the payload's entries.
  @inline(__always)
  var guide: BlockGuide {
    let end = UnsafeRawPointer(slab) + (Self.headerBytes &+ slab.pointee.front &+ slab.pointee.bytes)
    return BlockGuide(base: end, count: Int(slab.pointee.guideCount), step: Int(slab.pointee.guideStep))
  }

  /// Makes the guide of `view`, which is the payload's, where there is room for one; before anybody else has the pin.
  func makeGuide(_ view: BlockView) {
    let room = UnsafeMutableRawBufferPointer(start: UnsafeMutableRawPointer(mutating: guide.base), count: Int(slab.pointee.guideRoom))
    let (count, step) = BlockGuide.write(view, to: room)
    slab.pointee.guideCount = UInt16(truncatingIfNeeded: count)  // of six bytes each in at most 4 KiB
    slab.pointee.guideStep = UInt32(truncatingIfNeeded: step)
  }

  /// Makes the payload begin `count` bytes later; before anybody else has the pin.
  func dropFront(_ count: Int) {
    slab.pointee.front += count
    slab.pointee.bytes -= count
  }

  /// The payload, for whoever fills it before anybody else sees it.
  var writable: UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(start: UnsafeMutableRawPointer(slab) + (Self.headerBytes + slab.pointee.front), count: slab.pointee.bytes)
  }

  /// One more pin on the same block.
  @inline(__always)
  func retain() { slab.pointee.references.add(1, ordering: .relaxed) }

  /// Gives the pin back; the block's memory may be gone.
  @inline(__always)
  package func release() {
    if slab.pointee.references.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 { free() }
  }

  @inline(never)
  private func free() {
    slab.deinitialize(count: 1)
    UnsafeMutableRawPointer(slab).deallocate()
  }
}
