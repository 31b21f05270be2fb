import CStrataMemory

/// One of the directory's 256 tables: open addressing in raw memory, in the order of the hash.
///
/// A slot is 20 bytes: location word (8), record length (4, 0 marks an empty slot), tag (4: hash bits 55...24), and 4 bytes that hold the
/// key's arena reference, or in fingerprint mode the hash bits 23...0. The home of a slot is `tag * capacity >> 32`, monotone in the hash,
/// so growing is one sequential pass that touches no key, and a position in hash order is a scan cursor that survives it.
/// Probing is linear and never wraps: spare slots behind the last home take what overflows.
struct DirectoryShard: ~Copyable {
  static let slotBytes = 20

  private let keepsKeys: Bool
  private var slots: UnsafeMutableRawPointer?
  /// Number of homes.
  private(set) var capacity = 0
  /// Slots behind the homes.
  private var spare = 0
  private(set) var count = 0
  private var arena = KeyArena()
  /// While recovering: the sequence of each slot's record.
  private var sequences: UnsafeMutablePointer<UInt64>?
  private var isRecovering = false

  /// Grown beyond this fraction of homes (in 64ths): 51/64 is 80 %.
  private static let maxLoad = 51
  private static let firstCapacity = 8

  /// What the shard adds to its size, in 1024ths, on its way past 1024 homes: the shards fill alike, and would all be at their emptiest
  /// together.
  private let phase: Int

  init(keepsKeys: Bool, isRecovering: Bool, phase: Int = 0) {
    self.keepsKeys = keepsKeys
    self.isRecovering = isRecovering
    self.phase = phase
  }

  /// Makes room for `keys` at once, for a recovery that knows about how many come.
  mutating func reserve(_ keys: Int) {
    guard keys > capacity else { return }
    rebuild(capacity: keys, spare: max(spare, min(keys, 64)))
  }

  deinit {
    if let slots { RawPages.free(slots, (capacity + spare) * Self.slotBytes) }
    sequences?.deallocate()
  }

  var memoryBytes: Int { (capacity + spare) * Self.slotBytes + arena.reservedBytes + (sequences == nil ? 0 : (capacity + spare) * 8) }

  // MARK: Lookup

  /// Asks for the memory of a hash's home.
  @inline(__always)
  func prefetch(_ hash: KeyHash) {
    guard let slots else { return }
    strata_prefetch(slots + home(hash.tag) * Self.slotBytes)
    if let sequences { strata_prefetch(sequences + home(hash.tag)) }
  }

  /// The slot of a key (memory mode).
  @inline(__always)
  func find(_ hash: KeyHash, _ key: UnsafeRawBufferPointer) -> Int? {
    guard let slots else { return nil }
    var slot = home(hash.tag)
    let limit = capacity + spare
    while slot < limit {
      let base = slots + slot * Self.slotBytes
      if base.loadUnaligned(fromByteOffset: 8, as: UInt32.self) == 0 { return nil }
      if base.loadUnaligned(fromByteOffset: 12, as: UInt32.self) == hash.tag,
        arena.equals(base.loadUnaligned(fromByteOffset: 16, as: UInt32.self), key)
      {
        return slot
      }
      slot += 1
    }
    return nil
  }

  /// The slot of a hash whose record lies at `location` (either mode; in fingerprint mode the caller has verified the key there).
  func find(_ hash: KeyHash, at location: Location) -> Int? {
    var found: Int?
    visitCandidates(hash) { slot, other in
      guard other == location else { return true }
      found = slot
      return false
    }
    return found
  }

  /// Locations of every slot whose stored hash bits equal the hash's (fingerprint mode: nearly always none or one).
  func candidates(_ hash: KeyHash) -> [Location] {
    var locations: [Location] = []
    visitCandidates(hash) { _, location in
      locations.append(location)
      return true
    }
    return locations
  }

  private func visitCandidates(_ hash: KeyHash, _ body: (Int, Location) -> Bool) {
    guard let slots else { return }
    var slot = home(hash.tag)
    while slot < capacity + spare, length(slot) != 0 {
      let base = slots + slot * Self.slotBytes
      if base.loadUnaligned(fromByteOffset: 12, as: UInt32.self) == hash.tag,
        keepsKeys || base.loadUnaligned(fromByteOffset: 16, as: UInt32.self) == hash.rest
      {
        if !body(slot, location(slot)) { return }
      }
      slot += 1
    }
  }

  @inline(__always)
  func entry(_ slot: Int) -> DirectoryEntry {
    DirectoryEntry(location: location(slot), expiry: keepsKeys ? arena.expiry(word(slot, 16)) : 0)
  }

  @inline(__always)
  func location(_ slot: Int) -> Location {
    guard let slots else { preconditionFailure("a slot of an empty table") }
    let base = slots + slot * Self.slotBytes
    return Location(
      word: base.loadUnaligned(as: UInt64.self), length: base.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
  }

  func sequence(_ slot: Int) -> UInt64 { sequences?[slot] ?? 0 }

  // MARK: Change

  /// Points an existing slot somewhere else.
  mutating func update(_ slot: Int, _ entry: DirectoryEntry, sequence: UInt64 = 0) {
    guard let slots else { preconditionFailure("a slot of an empty table") }
    let base = slots + slot * Self.slotBytes
    base.storeBytes(of: entry.location.word, as: UInt64.self)
    base.storeBytes(of: entry.location.length, toByteOffset: 8, as: UInt32.self)
    sequences?[slot] = sequence
    guard keepsKeys else { return }
    let reference = base.loadUnaligned(fromByteOffset: 16, as: UInt32.self)
    if !arena.setExpiry(reference, entry.expiry) {
      let key = arena.key(reference)
      // The arena may move its first chunk while it grows, so the key is carried over by value.
      let copy = [UInt8](key)
      arena.drop(reference)
      let fresh = copy.withUnsafeBytes { arena.append($0, expiry: entry.expiry, keepsExpiry: true) }
      base.storeBytes(of: fresh, toByteOffset: 16, as: UInt32.self)
      compactIfWorthwhile()
    }
  }

  /// Points an existing slot somewhere else and leaves its expiry as it is.
  mutating func relocate(_ slot: Int, to location: Location) {
    guard let slots else { preconditionFailure("a slot of an empty table") }
    let base = slots + slot * Self.slotBytes
    base.storeBytes(of: location.word, as: UInt64.self)
    base.storeBytes(of: location.length, toByteOffset: 8, as: UInt32.self)
  }

  /// Adds a key that has no slot yet.
  mutating func insert(_ hash: KeyHash, _ key: UnsafeRawBufferPointer, _ entry: DirectoryEntry, sequence: UInt64 = 0) {
    if (count + 1) * 64 > capacity * Self.maxLoad { grow() }
    let reference = keepsKeys ? arena.append(key, expiry: entry.expiry, keepsExpiry: entry.expiry != 0) : hash.rest
    place(entry.location, hash.tag, reference, sequence)
    count += 1
  }

  /// Takes a slot out; those behind it close the gap, so no mark remains.
  mutating func remove(_ slot: Int) {
    guard let slots else { preconditionFailure("a slot of an empty table") }
    if keepsKeys { arena.drop(word(slot, 16)) }
    let limit = capacity + spare
    var hole = slot
    var next = slot + 1
    while next < limit, length(next) != 0 {
      if home(word(next, 12)) <= hole {
        (slots + hole * Self.slotBytes).copyMemory(from: slots + next * Self.slotBytes, byteCount: Self.slotBytes)
        if let sequences { sequences[hole] = sequences[next] }
        hole = next
      }
      next += 1
    }
    (slots + hole * Self.slotBytes).storeBytes(of: 0, toByteOffset: 8, as: UInt32.self)
    count -= 1
    compactIfWorthwhile()
  }

  // MARK: Recovery

  /// Recovery's insert: the higher sequence wins, whatever the order of calls; of equal ones the later segment.
  mutating func offer(_ hash: KeyHash, _ key: UnsafeRawBufferPointer, _ entry: DirectoryEntry, sequence: UInt64, slot: Int?) -> Bool {
    guard let slot else {
      insert(hash, key, entry, sequence: sequence)
      return true
    }
    let present = self.sequence(slot)
    guard sequence > present || (sequence == present && entry.location.segment > location(slot).segment) else { return false }
    update(slot, entry, sequence: sequence)
    return true
  }

  /// Ends recovery: removes the marks of deleted keys and frees the sequences.
  mutating func finishRecovery() {
    isRecovering = false
    var slot = 0
    while slot < capacity + spare {
      if length(slot) != 0, location(slot).isDeleted { remove(slot) } else { slot += 1 }
    }
    sequences?.deallocate()
    sequences = nil
    // More was reserved than came.
    if capacity > 64, count * 2 < capacity { rebuild(capacity: max(Self.firstCapacity, count + count / 3), spare: min(count + 8, 64)) }
  }

  // MARK: Scan

  /// Visits, in slot order, every entry whose tag is at least `tag`, until at least `wanted` are visited and no further entry can have a
  /// tag below the returned one. Returns `nil` at the end of the shard.
  func scan(from tag: UInt32, wanted: Int, _ body: (UnsafeRawBufferPointer, DirectoryEntry) -> Void) -> UInt32? {
    guard slots != nil, count > 0 else { return nil }
    var slot = home(tag)
    var visited = 0
    while slot < capacity + spare {
      if length(slot) == 0 {
        if visited >= wanted, slot < capacity - 1 {
          // The first tag whose home lies behind this empty slot: everything with a smaller tag lies before it.
          let boundary = (UInt64(slot + 1) << 32 + UInt64(capacity) - 1) / UInt64(capacity)
          guard boundary <= UInt64(UInt32.max) else { return nil }
          return UInt32(boundary)
        }
      } else if word(slot, 12) >= tag {
        visited += 1
        let reference = word(slot, 16)
        body(keepsKeys ? arena.key(reference) : UnsafeRawBufferPointer(start: nil, count: 0), entry(slot))
      }
      slot += 1
    }
    return nil
  }

  /// The first entry at or behind the home of `tag`.
  func first(from tag: UInt32) -> Int? {
    guard slots != nil, count > 0 else { return nil }
    var slot = home(tag)
    while slot < capacity + spare {
      if length(slot) != 0 { return slot }
      slot += 1
    }
    return nil
  }

  func key(_ slot: Int) -> [UInt8] { keepsKeys ? [UInt8](arena.key(word(slot, 16))) : [] }

  // MARK: Table

  @inline(__always)
  private func home(_ tag: UInt32) -> Int { Int((UInt64(tag) &* UInt64(capacity)) >> 32) }

  @inline(__always)
  private func word(_ slot: Int, _ offset: Int) -> UInt32 {
    guard let slots else { preconditionFailure("a slot of an empty table") }
    return (slots + slot * Self.slotBytes).loadUnaligned(fromByteOffset: offset, as: UInt32.self)
  }

  @inline(__always)
  private func length(_ slot: Int) -> UInt32 { word(slot, 8) }

  /// Puts an entry in the first free slot from its home on.
  @inline(__always)
  private mutating func place(_ location: Location, _ tag: UInt32, _ reference: UInt32, _ sequence: UInt64) {
    while true {
      guard let slots else { preconditionFailure("no table to place into") }
      let limit = capacity + spare
      var slot = home(tag)
      while slot < limit, (slots + slot * Self.slotBytes).loadUnaligned(fromByteOffset: 8, as: UInt32.self) != 0 { slot += 1 }
      if slot < limit {
        let base = slots + slot * Self.slotBytes
        base.storeBytes(of: location.word, as: UInt64.self)
        base.storeBytes(of: location.length, toByteOffset: 8, as: UInt32.self)
        base.storeBytes(of: tag, toByteOffset: 12, as: UInt32.self)
        base.storeBytes(of: reference, toByteOffset: 16, as: UInt32.self)
        sequences?[slot] = sequence
        return
      }
      // The last run reached the end. Chosen keys could make that happen at any load, so only the spare part grows then.
      rebuild(capacity: capacity, spare: spare * 2)
    }
  }

  private mutating func grow() {
    // A quarter more than before: at 80 % load the mean cost of a slot stays below 29 bytes.
    var next = capacity == 0 ? Self.firstCapacity : capacity + max(capacity / 4, 4)
    if capacity < 1024, next >= 1024 { next += next * phase / 1024 }
    rebuild(capacity: next, spare: max(spare, min(next, 64)))
  }

  private mutating func rebuild(capacity newCapacity: Int, spare newSpare: Int) {
    let oldSlots = slots
    let oldLimit = capacity + spare
    let oldSequences = sequences
    capacity = newCapacity
    spare = newSpare
    slots = RawPages.allocate((newCapacity + newSpare) * Self.slotBytes)
    sequences = isRecovering ? .allocate(capacity: newCapacity + newSpare) : nil
    sequences?.initialize(repeating: 0, count: newCapacity + newSpare)
    guard let oldSlots else { return }
    for slot in 0..<oldLimit {
      let base = oldSlots + slot * Self.slotBytes
      let length = base.loadUnaligned(fromByteOffset: 8, as: UInt32.self)
      if length == 0 { continue }
      place(
        Location(word: base.loadUnaligned(as: UInt64.self), length: length),
        base.loadUnaligned(fromByteOffset: 12, as: UInt32.self), base.loadUnaligned(fromByteOffset: 16, as: UInt32.self),
        oldSequences?[slot] ?? 0)
    }
    RawPages.free(oldSlots, oldLimit * Self.slotBytes)
    oldSequences?.deallocate()
  }

  private mutating func compactIfWorthwhile() {
    guard keepsKeys, arena.wantsCompaction, let slots else { return }
    var fresh = KeyArena()
    for slot in 0..<(capacity + spare) where length(slot) != 0 {
      let reference = word(slot, 16)
      let expiry = arena.expiry(reference)
      let moved = fresh.append(arena.key(reference), expiry: expiry, keepsExpiry: expiry != 0)
      (slots + slot * Self.slotBytes).storeBytes(of: moved, toByteOffset: 16, as: UInt32.self)
    }
    arena = fresh
  }
}
