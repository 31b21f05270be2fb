/// In which order the keys of a filter were peeled: each from a slot it had alone.
struct FuseOrder {
  /// The slots, first peeled first.
  private let stack: FilterMemory
  /// Per slot the exclusive or of its keys; for a slot in the order that is the key peeled from it.
  private let sums: FilterMemory
  private let keyCount: Int

  /// Takes away again and again a key that has one of its slots to itself; `nil` where keys are left that share all of theirs, or without memory.
  ///
  /// Takes 13 bytes per slot, 12 of which stay until the fingerprints are assigned.
  init?(peeling keys: borrowing FuseArrangement, _ shape: FuseShape) {
    let slotCount = shape.slotCount
    guard slotCount <= UInt32.max,
      let sums = try? FilterMemory(zeroed: UInt64(slotCount) * 8, limit: .max),
      let stack = try? FilterMemory(zeroed: UInt64(slotCount) * 4, limit: .max),
      let counts = try? FilterMemory(zeroed: UInt64(slotCount), limit: .max)
    else { return nil }
    self.sums = sums
    self.stack = stack
    keyCount = keys.count
    let tables = Tables(
      sums: sums.base.assumingMemoryBound(to: UInt64.self), counts: counts.base.assumingMemoryBound(to: UInt8.self),
      stack: stack.base.assumingMemoryBound(to: UInt32.self), slotCount: slotCount, shape: shape)
    let isPeeled = withExtendedLifetime((sums, stack, counts)) { tables.fill(keys.keys) && tables.peel() == keys.count }
    guard isPeeled else { return nil }
  }

  /// The tables of a peeling. Every slot is below `slotCount` by the shape, and a slot is ready once at most, so the order that grows from the front
  /// of `stack` and the ready slots that grow from its back never meet.
  private struct Tables {
    let sums: UnsafeMutablePointer<UInt64>
    /// 4 for each key of a slot, combined with the exclusive or of the keys' slot numbers (0...2): with one key left the number is that key's.
    let counts: UnsafeMutablePointer<UInt8>
    let stack: UnsafeMutablePointer<UInt32>
    let slotCount: Int
    let shape: FuseShape

    /// `false` where a slot has 64 keys or more: far outside what uniform hashes give.
    func fill(_ keys: UnsafeBufferPointer<UInt64>) -> Bool {
      var overflowed = false
      for key in keys {
        let slots = shape.slots(key)
        overflowed = add(key, slots.0, 0) || overflowed
        overflowed = add(key, slots.1, 1) || overflowed
        overflowed = add(key, slots.2, 2) || overflowed
      }
      return !overflowed
    }

    @inline(__always)
    private func add(_ key: UInt64, _ slot: Int, _ number: UInt8) -> Bool {
      sums[slot] ^= key
      let (count, overflow) = counts[slot].addingReportingOverflow(4)
      counts[slot] = count ^ number
      return overflow
    }

    /// How many keys could be peeled.
    func peel() -> Int {
      var ready = slotCount
      for slot in 0..<slotCount where counts[slot] >> 2 == 1 {
        ready &-= 1
        stack[ready] = UInt32(truncatingIfNeeded: slot)
      }
      var peeled = 0
      while ready < slotCount {
        let slot = Int(stack[ready])
        ready &+= 1
        // The key may have been peeled through another slot meanwhile.
        guard counts[slot] >> 2 == 1 else { continue }
        let key = sums[slot]
        let number = counts[slot] & 3
        stack[peeled] = UInt32(truncatingIfNeeded: slot)
        peeled &+= 1
        // The slot itself keeps the sum, which is the key, and counts as empty.
        counts[slot] = 0
        let slots = shape.slots(key)
        if number != 0 { remove(key, slots.0, 0, &ready) }
        if number != 1 { remove(key, slots.1, 1, &ready) }
        if number != 2 { remove(key, slots.2, 2, &ready) }
      }
      return peeled
    }

    @inline(__always)
    private func remove(_ key: UInt64, _ slot: Int, _ number: UInt8, _ ready: inout Int) {
      counts[slot] = (counts[slot] &- 4) ^ number  // the key is one of those counted
      sums[slot] ^= key
      if counts[slot] >> 2 == 1 {
        ready &-= 1
        stack[ready] = UInt32(truncatingIfNeeded: slot)
      }
    }
  }

  /// Fills in the fingerprints, last peeled first: the slot a key had alone is then touched by no key after it. `base` is zero and has room for all
  /// slots.
  @inline(__always)
  func assign<Fingerprint: FixedWidthInteger & BitwiseCopyable>(_: Fingerprint.Type, _ shape: FuseShape, _ base: UnsafeMutableRawPointer) {
    defer { withExtendedLifetime(self) {} }
    let fingerprints = base.assumingMemoryBound(to: Fingerprint.self)
    let stack = stack.base.assumingMemoryBound(to: UInt32.self)
    let sums = sums.base.assumingMemoryBound(to: UInt64.self)
    var index = keyCount
    while index > 0 {
      index &-= 1
      let slot = Int(stack[index])
      let key = sums[slot]
      let slots = shape.slots(key)
      let own = Fingerprint(truncatingIfNeeded: key ^ (key >> 32)).littleEndian
      // The slot itself is still zero, so this is what it must hold.
      fingerprints[slot] = fingerprints[slots.0] ^ fingerprints[slots.1] ^ fingerprints[slots.2] ^ own
    }
  }
}
