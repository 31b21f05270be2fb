/// Memory in which a stored key (database byte + the client's key) is put together without an allocation per command.
///
/// Two slots, for commands with two keys; what ``compose(_:_:slot:)`` returns is valid until its slot is used again.
final class KeyScratch {
  private var slots: (UnsafeMutableRawBufferPointer, UnsafeMutableRawBufferPointer)

  init() {
    slots = (.allocate(byteCount: 128, alignment: 1), .allocate(byteCount: 128, alignment: 1))
  }

  deinit {
    slots.0.deallocate()
    slots.1.deallocate()
  }

  @inline(__always)
  func compose(_ database: Int, _ key: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
    if key.count >= slots.0.count { Self.grow(&slots.0, key.count + 1) }
    return Self.fill(slots.0, database, key)
  }

  func composeSecond(_ database: Int, _ key: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
    if key.count >= slots.1.count { Self.grow(&slots.1, key.count + 1) }
    return Self.fill(slots.1, database, key)
  }

  @inline(__always)
  private static func fill(_ slot: UnsafeMutableRawBufferPointer, _ database: Int, _ key: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
    slot[0] = UInt8(truncatingIfNeeded: database)
    UnsafeMutableRawBufferPointer(rebasing: slot[1...]).copyMemory(from: key)
    return UnsafeRawBufferPointer(rebasing: slot[..<(key.count + 1)])
  }

  private static func grow(_ slot: inout UnsafeMutableRawBufferPointer, _ count: Int) {
    slot.deallocate()
    slot = .allocate(byteCount: count, alignment: 1)
  }
}
