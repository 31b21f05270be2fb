import CStrataFilters
import CStrataMemory

/// A filter that forgets again: fingerprints of 12 bits in one of two buckets each (B. Fan, D. Andersen and others, CoNEXT 2014).
///
/// Smaller than a counting filter and exact for what was added: removing a key that was added never loses another. Answers "perhaps" for an absent
/// key at most twice in a thousand times. A key may be added up to eight times. **Remove only what was added**: a look-alike's removal takes a
/// fingerprint that is another key's. Filled to 95 % of its slots and more, then ``FilterError/full(items:)``. The same parameters and the same calls
/// give the same bytes on every machine. A value: share copies between threads freely, change one from one place at a time. Asking and removing O(1),
/// adding O(1) on average and at most 500 moves.
public struct CuckooFilter: MembershipFilter, Hashable {
  public let seed: UInt64
  /// How many keys are in, duplicates included.
  public internal(set) var count: UInt64 = 0
  @usableFromInline let table: CuckooTable
  @usableFromInline var victim = CuckooVictim()
  @usableFromInline var memory: FilterMemory

  static let maxMoves = 500

  /// An empty filter with room for `capacity` keys at 95 % load, duplicates included.
  /// - Throws: `.invalidParameters` for no capacity; `.tooLarge`, before memory is taken.
  public init(capacity: Int = 1000, seed: UInt64 = 0, maxBytes: UInt64 = 4 << 30) throws(FilterError) {
    guard capacity > 0 else { throw .invalidParameters(name: "capacity", value: "\(capacity)") }
    // At least two buckets, so that a fingerprint has somewhere to move to.
    let table = CuckooTable(buckets: max(UInt64((Double(capacity) / (4 * 0.95)).rounded(.up)), 2))
    guard let bytes = table.byteCount else { throw .tooLarge(bytes: .max, limit: maxBytes) }
    self.init(table, try FilterMemory(zeroed: bytes, limit: maxBytes), seed: seed)
  }

  init(_ table: CuckooTable, _ memory: FilterMemory, seed: UInt64) {
    self.table = table
    self.memory = memory
    self.seed = seed
  }

  @inlinable
  @inline(__always)
  public func mayContain(hash: UInt64) -> Bool { table.test(hash, UnsafeRawPointer(memory.base), victim) }

  public func mayContain(hashes: Span<UInt64>, into answers: inout BitMask) {
    let ahead = 16
    answers.fill(hashes.count) { index in
      let next = index &+ ahead
      if next < hashes.count {
        let bucket = table.bucket(hashes[next])
        strata_prefetch(memory.base + Int(bucket &* 6))
        strata_prefetch(memory.base + Int(table.other(bucket, CuckooTable.fingerprint(hashes[next])) &* 6))
      }
      return mayContain(hash: hashes[index])
    }
  }

  /// How many keys that look like this one are in: at least as often as it was added, at most nine.
  public func count(hash: UInt64) -> Int {
    let fingerprint = CuckooTable.fingerprint(hash)
    let first = table.bucket(hash)
    let second = table.other(first, fingerprint)
    var found = CuckooTable.count(memory.base, first, fingerprint)
    if second != first { found += CuckooTable.count(memory.base, second, fingerprint) }
    if victim.fingerprint == fingerprint, victim.bucket == first || victim.bucket == second { found += 1 }
    return found
  }

  /// Adds the key of this hash once.
  /// - Throws: `.full` where no place was found for it, or where eight equal fingerprints fill both of its buckets; it is then not in, and nothing
  /// has changed.
  public mutating func add(hash: UInt64) throws(FilterError) {
    FilterMemory.makeUnique(&memory)
    let fingerprint = CuckooTable.fingerprint(hash)
    let first = table.bucket(hash)
    let second = table.other(first, fingerprint)
    if !place(fingerprint, first), !place(fingerprint, second) {
      // Moving equal fingerprints among their own two buckets makes no room.
      let equal = CuckooTable.count(memory.base, first, fingerprint) + CuckooTable.count(memory.base, second, fingerprint)
      guard victim.fingerprint == 0, equal < 2 * CuckooTable.slotsPerBucket else { throw .full(items: count) }
      move(fingerprint, from: first, walk: hash)
    }
    count += 1
  }

  /// Removes the key of this hash once. Only for keys that were added: see the type.
  /// - Throws: `.notPresent` where the key is surely absent; nothing is changed.
  public mutating func remove(hash: UInt64) throws(FilterError) {
    let fingerprint = CuckooTable.fingerprint(hash)
    let first = table.bucket(hash)
    let second = table.other(first, fingerprint)
    FilterMemory.makeUnique(&memory)
    if !take(fingerprint, first), !take(fingerprint, second) {
      guard victim.fingerprint == fingerprint, victim.bucket == first || victim.bucket == second else { throw .notPresent }
      victim = CuckooVictim()
    }
    count -= count > 0 ? 1 : 0
    // The slot that became free may be the victim's.
    if victim.fingerprint != 0,
      place(victim.fingerprint, victim.bucket) || place(victim.fingerprint, table.other(victim.bucket, victim.fingerprint))
    {
      victim = CuckooVictim()
    }
  }

  /// Puts a fingerprint into an empty slot of a bucket, where there is one.
  @inline(__always)
  private func place(_ fingerprint: UInt64, _ bucket: UInt64) -> Bool {
    CuckooTable.replace(memory.base, bucket, 0, with: fingerprint)
  }

  private func take(_ fingerprint: UInt64, _ bucket: UInt64) -> Bool { CuckooTable.replace(memory.base, bucket, fingerprint, with: 0) }

  /// Puts a fingerprint in the place of another, that one in its other bucket, and so on; the last becomes the victim. Which slot gives way follows
  /// from the hash, so that the same calls give the same bytes.
  private mutating func move(_ fingerprint: UInt64, from bucket: UInt64, walk: UInt64) {
    var (fingerprint, bucket, walk) = (fingerprint, bucket, walk)
    for _ in 0..<Self.maxMoves {
      walk = walk &* 0x9E37_79B9_7F4A_7C15 &+ 1  // wraps: a generator of slots
      let slot = Int(walk >> 62)
      let displaced = CuckooTable.get(memory.base, bucket, slot)
      CuckooTable.set(memory.base, bucket, slot, fingerprint)
      fingerprint = displaced
      bucket = table.other(bucket, fingerprint)
      if place(fingerprint, bucket) { return }
    }
    victim = CuckooVictim(bucket: bucket, fingerprint: fingerprint)
  }

  public static func == (a: Self, b: Self) -> Bool {
    a.table == b.table && a.seed == b.seed && a.count == b.count && a.victim == b.victim && a.memory.equals(b.memory)
  }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(table)
    hasher.combine(count)
  }
}

extension CuckooFilter {
  /// Slots for fingerprints.
  public var slotCount: UInt64 { table.buckets * 4 }
  /// The share of slots that are taken.
  public var density: Double { Double(count) / Double(slotCount) }
  /// What is in, duplicates included.
  public var insertions: UInt64 { count }
  /// What is in, duplicates included: exact where only what was added was removed.
  public var estimatedCount: Double { Double(count) }
  /// The number of bits of the slots.
  public var bitCount: UInt64 { slotCount * 12 }
  /// How many buckets are read for a key.
  public var hashCount: Int { 2 }
  /// How often an absent key is answered with "perhaps" as the filter is.
  public var estimatedFalsePositiveRate: Double { Self.rate(density) }
  /// How often an absent key is answered with "perhaps" with `items` keys in.
  public func expectedFalsePositiveRate(at items: Int) -> Double { Self.rate(Double(items) / Double(slotCount)) }
  /// Bytes of memory the slots take, with the 16 bytes of the victim.
  public var memoryBytes: Int { memory.byteCount }

  /// Eight slots are looked at, each of which, if it is taken, holds one of 4095 fingerprints; the value 1 comes twice as often, hence 4098/4096².
  static func rate(_ load: Double) -> Double { 1 - Elementary.power(1 - min(max(load, 0), 1) * 4098 / (4096 * 4096), 8) }
}
