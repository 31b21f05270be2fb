/// The configurations a search has visited: which operations are done, and the state they led to.
///
/// Operations are done roughly in the order of the history, so of the long bit set only the words between the first that is not full and the
/// last that is not empty are stored; the operations that never returned have words of their own behind them, stored whole. All memory is in
/// two blocks that this type owns; every index into them is computed here from sizes it keeps.
struct ConfigurationSet: ~Copyable {
  private var arena: UnsafeMutablePointer<UInt64>
  private var arenaCapacity: Int
  private var arenaCount = 0
  private var slots: UnsafeMutablePointer<UInt64>
  private var slotCount: Int
  private(set) var count = 0
  private let certainWords: Int
  private let pendingWords: Int

  init(certainWords: Int, pendingWords: Int) {
    self.certainWords = certainWords
    self.pendingWords = pendingWords
    arenaCapacity = 256
    arena = .allocate(capacity: arenaCapacity)
    slotCount = 64
    slots = .allocate(capacity: slotCount)
    slots.initialize(repeating: 0, count: slotCount)
  }

  deinit {
    arena.deallocate()
    slots.deallocate()
  }

  /// How many bytes the set takes now.
  var bytes: Int { (arenaCapacity + slotCount) * 8 }

  /// How many bytes it would take at most after one more insertion.
  var bytesAfterGrowth: Int {
    let needed = arenaCount + 2 + certainWords + pendingWords
    let arena = needed > arenaCapacity ? arenaCapacity * 2 + needed : arenaCapacity
    return (arena + (count * 4 >= slotCount * 3 ? slotCount * 2 : slotCount)) * 8
  }

  /// Adds a configuration and says whether it is new. `done` has `certainWords + pendingWords` words; `firstOpen` is a word before which all
  /// are full; `hash` depends on the configuration alone.
  mutating func insert(_ done: UnsafePointer<UInt64>, state: Int32, hash: UInt64, firstOpen: Int, lastUsed: Int) -> Bool {
    var low = firstOpen
    while low < certainWords, done[low] == .max { low += 1 }
    var high = min(lastUsed + 1, certainWords)
    while high > low, done[high - 1] == 0 { high -= 1 }
    high = max(high, low)
    let header = UInt64(UInt32(bitPattern: state)) << 32 | UInt64(UInt32(truncatingIfNeeded: low))
    let words = high - low
    if count * 4 >= slotCount * 3 { growSlots() }
    let mask = slotCount - 1
    var slot = Int(truncatingIfNeeded: hash) & mask
    let tag = hash >> 40
    while slots[slot] != 0 {
      let entry = slots[slot]
      if entry >> 40 == tag, matches(Int(entry & 0xFF_FFFF_FFFF) - 1, header, words, done + low, done + certainWords) { return false }
      slot = (slot + 1) & mask
    }
    let needed = arenaCount + 3 + words + pendingWords
    if needed > arenaCapacity { growArena(needed) }
    slots[slot] = tag << 40 | UInt64(arenaCount + 1)
    arena[arenaCount] = header
    arena[arenaCount + 1] = UInt64(words)
    arena[arenaCount + 2] = hash
    (arena + arenaCount + 3).update(from: done + low, count: words)
    (arena + arenaCount + 3 + words).update(from: done + certainWords, count: pendingWords)
    arenaCount = needed
    count += 1
    return true
  }

  private func matches(
    _ offset: Int, _ header: UInt64, _ words: Int, _ window: UnsafePointer<UInt64>, _ pending: UnsafePointer<UInt64>
  ) -> Bool {
    guard arena[offset] == header, arena[offset + 1] == UInt64(words) else { return false }
    for index in 0..<words where arena[offset + 3 + index] != window[index] { return false }
    for index in 0..<pendingWords where arena[offset + 3 + words + index] != pending[index] { return false }
    return true
  }

  private mutating func growArena(_ needed: Int) {
    let capacity = arenaCapacity * 2 + needed
    let larger = UnsafeMutablePointer<UInt64>.allocate(capacity: capacity)
    larger.update(from: arena, count: arenaCount)
    arena.deallocate()
    arena = larger
    arenaCapacity = capacity
  }

  private mutating func growSlots() {
    let old = slots
    let oldCount = slotCount
    slotCount *= 2
    slots = .allocate(capacity: slotCount)
    slots.initialize(repeating: 0, count: slotCount)
    let mask = slotCount - 1
    for index in 0..<oldCount where old[index] != 0 {
      let offset = Int(old[index] & 0xFF_FFFF_FFFF) - 1
      var slot = Int(truncatingIfNeeded: arena[offset + 2]) & mask
      while slots[slot] != 0 { slot = (slot + 1) & mask }
      slots[slot] = old[index]
    }
    old.deallocate()
  }
}

/// What the model answered: the state that an operation leads to from a state, or that it is impossible there.
///
/// The model is generic and slow to ask; the search asks for the same pair again and again.
struct StepMemory: ~Copyable {
  private var keys: UnsafeMutablePointer<UInt64>
  private var values: UnsafeMutablePointer<Int32>
  private var capacity: Int
  private var count = 0

  init() {
    capacity = 64
    keys = .allocate(capacity: capacity)
    values = .allocate(capacity: capacity)
    keys.initialize(repeating: .max, count: capacity)
    values.initialize(repeating: 0, count: capacity)
  }

  deinit {
    keys.deallocate()
    values.deallocate()
  }

  var bytes: Int { capacity * 12 }

  @inline(__always)
  private static func home(_ key: UInt64, _ mask: Int) -> Int { Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) >> 20) & mask }

  /// The remembered state; `.min` if the pair is not known.
  @inline(__always)
  func find(_ key: UInt64) -> Int32 {
    let mask = capacity - 1
    var slot = Self.home(key, mask)
    while keys[slot] != .max {
      if keys[slot] == key { return values[slot] }
      slot = (slot + 1) & mask
    }
    return .min
  }

  mutating func insert(_ key: UInt64, _ value: Int32) {
    if count * 4 >= capacity * 3 { grow() }
    let mask = capacity - 1
    var slot = Self.home(key, mask)
    while keys[slot] != .max { slot = (slot + 1) & mask }
    keys[slot] = key
    values[slot] = value
    count += 1
  }

  private mutating func grow() {
    let (oldKeys, oldValues, oldCapacity) = (keys, values, capacity)
    capacity *= 2
    keys = .allocate(capacity: capacity)
    values = .allocate(capacity: capacity)
    keys.initialize(repeating: .max, count: capacity)
    values.initialize(repeating: 0, count: capacity)
    let mask = capacity - 1
    for index in 0..<oldCapacity where oldKeys[index] != .max {
      var slot = Self.home(oldKeys[index], mask)
      while keys[slot] != .max { slot = (slot + 1) & mask }
      keys[slot] = oldKeys[index]
      values[slot] = oldValues[index]
    }
    oldKeys.deallocate()
    oldValues.deallocate()
  }
}
