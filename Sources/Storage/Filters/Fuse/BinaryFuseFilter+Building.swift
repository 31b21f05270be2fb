extension BinaryFuseFilter {
  /// The filter of these hashes under one seed, or nil where the keys cannot be peeled under it.
  static func build(_ hashes: [UInt64], seed: UInt64) -> BinaryFuseFilter? {
    let keys = sortedDistinct(hashes, seed: seed)
    let shape = Shape(keyCount: keys.count)
    guard let order = peel(keys, shape) else { return nil }
    return BinaryFuseFilter(kind: .fuse, keyCount: keys.count, shape: shape, seed: seed, fingerprints: assign(order, shape))
  }

  /// The hashes mixed with the seed, ascending, each once.
  ///
  /// Repeated keys would make peeling impossible. Ascending order makes the slots come one segment after another, which keeps the tables
  /// in the cache. The mixed values are uniform: one pass into buckets by the top bits leaves about eight in each to sort.
  private static func sortedDistinct(_ hashes: [UInt64], seed: UInt64) -> [UInt64] {
    let bits = max(0, Int.bitWidth - hashes.count.leadingZeroBitCount - 4)
    let shift = UInt64(64 - bits)
    var ends = [Int](repeating: 0, count: (1 << bits) + 1)
    for hash in hashes { ends[Int(truncatingIfNeeded: mix(hash &+ seed) >> shift) + 1] += 1 }
    for bucket in 1..<ends.count { ends[bucket] += ends[bucket - 1] }
    var keys = [UInt64](repeating: 0, count: hashes.count)
    for hash in hashes {
      let key = mix(hash &+ seed)
      let bucket = Int(truncatingIfNeeded: key >> shift)
      keys[ends[bucket]] = key
      ends[bucket] += 1
    }
    keys.withUnsafeMutableBufferPointer { keys in
      var start = 0
      for end in ends.dropLast() {
        sort(UnsafeMutableBufferPointer(rebasing: keys[start..<end]))
        start = end
      }
    }
    var kept = 1
    for index in keys.indices.dropFirst() where keys[index] != keys[kept - 1] {
      keys[kept] = keys[index]
      kept += 1
    }
    keys.removeLast(keys.count - kept)
    return keys
  }

  /// Insertion for the few keys a bucket has; the library's sort where many hashes repeat.
  private static func sort(_ keys: UnsafeMutableBufferPointer<UInt64>) {
    guard keys.count <= 32 else {
      var keys = keys
      keys.sort()
      return
    }
    for index in keys.indices.dropFirst() {
      let key = keys[index]
      var place = index
      while place > 0, keys[place - 1] > key {
        keys[place] = keys[place - 1]
        place -= 1
      }
      keys[place] = key
    }
  }

  /// Keys in the order they were peeled, each with which of its three slots it had alone.
  struct PeelingOrder {
    var keys: [UInt64] = []
    var alone: [UInt8] = []
  }

  /// Takes away again and again a key that has one of its slots to itself; nil where keys are left that share all of theirs.
  private static func peel(_ keys: [UInt64], _ shape: Shape) -> PeelingOrder? {
    // Per slot: the exclusive or of its keys; 4 for each key, plus the exclusive or of the keys' slot numbers (0...2). With one key
    // left both are that key's own.
    var sums = [UInt64](repeating: 0, count: shape.slotCount)
    var counts = [UInt8](repeating: 0, count: shape.slotCount)
    var overflowed = false
    for key in keys {
      let slots = shape.slots(key)
      func add(_ slot: Int, _ number: UInt8) {
        sums[slot] ^= key
        let (count, overflow) = counts[slot].addingReportingOverflow(4)
        counts[slot] = count ^ number
        overflowed = overflowed || overflow
      }
      add(slots.0, 0)
      add(slots.1, 1)
      add(slots.2, 2)
    }
    // 64 keys in one slot: far outside what uniform hashes give.
    if overflowed { return nil }

    var ready: [UInt32] = []
    ready.reserveCapacity(shape.slotCount)
    for slot in counts.indices where counts[slot] >> 2 == 1 { ready.append(UInt32(slot)) }
    var order = PeelingOrder()
    order.keys.reserveCapacity(keys.count)
    order.alone.reserveCapacity(keys.count)
    while let slot = ready.popLast() {
      // The key may have been peeled through another slot meanwhile.
      guard counts[Int(slot)] >> 2 == 1 else { continue }
      let key = sums[Int(slot)]
      let number = counts[Int(slot)] & 3
      order.keys.append(key)
      order.alone.append(number)
      let slots = shape.slots(key)
      func remove(_ slot: Int, _ other: UInt8) {
        counts[slot] = (counts[slot] - 4) ^ other
        sums[slot] ^= key
        if other != number, counts[slot] >> 2 == 1 { ready.append(UInt32(slot)) }
      }
      remove(slots.0, 0)
      remove(slots.1, 1)
      remove(slots.2, 2)
    }
    return order.keys.count == keys.count ? order : nil
  }

  /// Fills in the fingerprints, last peeled first: the slot a key had alone is then touched by no key after it.
  private static func assign(_ order: PeelingOrder, _ shape: Shape) -> [UInt8] {
    var fingerprints = [UInt8](repeating: 0, count: shape.slotCount)
    for index in order.keys.indices.reversed() {
      let key = order.keys[index]
      let slots = shape.slots(key)
      let all = fingerprints[slots.0] ^ fingerprints[slots.1] ^ fingerprints[slots.2] ^ fingerprint(key)
      // The slot itself is still zero, so `all` is what it must hold.
      fingerprints[order.alone[index] == 0 ? slots.0 : order.alone[index] == 1 ? slots.1 : slots.2] = all
    }
    return fingerprints
  }
}
