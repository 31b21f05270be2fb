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
    /// How many bytes of the allocation come before the payload, beyond this head.
    var front = 0
    var bytes: Int
    let file: UInt64
    let offset: UInt64
    /// Index and filter blocks leave the cache last.
    let isImportant: Bool

    /// A slab with one pin.
    init(bytes: Int, file: UInt64, offset: UInt64, isImportant: Bool) {
      references = Atomic(1)
      isUsed = Atomic(1)
      self.bytes = bytes
      self.file = file
      self.offset = offset
      self.isImportant = isImportant
    }
  }

  static let headerBytes = (MemoryLayout<Slab>.size + 15) & ~15
  let slab: UnsafeMutablePointer<Slab>

  /// Memory for a payload of `bytes`, held by one pin; uninitialised.
  static func allocate(_ bytes: Int, file: UInt64 = 0, offset: UInt64 = 0, isImportant: Bool = false) -> BlockPin {
    let slab = UnsafeMutableRawPointer.allocate(byteCount: headerBytes + max(bytes, 1), alignment: 16).bindMemory(to: Slab.self, capacity: 1)
    slab.initialize(to: Slab(bytes: bytes, file: file, offset: offset, isImportant: isImportant))
    return BlockPin(slab: slab)
  }

  /// The payload.
  @inline(__always)
  package var payload: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: UnsafeRawPointer(slab) + (Self.headerBytes &+ slab.pointee.front), count: slab.pointee.bytes)
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
