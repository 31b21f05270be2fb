/// Where the fingerprints of a cuckoo filter lie: buckets of four of 12 bits each, six bytes a bucket, without gaps.
@frozen
@usableFromInline
struct CuckooTable: Sendable, Hashable {
  /// How many buckets there are: at least 1.
  @usableFromInline let buckets: UInt64

  static let bucketBytes: UInt64 = 6
  static let slotsPerBucket = 4
  /// Behind the buckets lie the victim's bucket (8 bytes), its fingerprint or 0 (4), and four zero bytes. So a bucket may be read as eight bytes.
  static let tailBytes: UInt64 = 16

  /// The bytes of buckets and tail, or nil where they cannot be counted.
  var byteCount: UInt64? {
    let (bytes, overflow) = buckets.multipliedReportingOverflow(by: Self.bucketBytes)
    return overflow || bytes > .max - Self.tailBytes ? nil : bytes + Self.tailBytes
  }

  /// The fingerprint of a hash: 12 bits, never 0, which marks an empty slot.
  @inlinable
  @inline(__always)
  static func fingerprint(_ hash: UInt64) -> UInt64 {
    let bits = hash & 0xFFF
    return bits == 0 ? 1 : bits
  }

  /// The bucket that a hash names first.
  @inlinable
  @inline(__always)
  func bucket(_ hash: UInt64) -> UInt64 { hash.multipliedFullWidth(by: buckets).high }

  /// The other bucket of a fingerprint, from either: the two add up to a number that only depends on the fingerprint, modulo the buckets. Fan's
  /// exclusive or would need a power of two.
  @inlinable
  @inline(__always)
  func other(_ bucket: UInt64, _ fingerprint: UInt64) -> UInt64 {
    let sum = (fingerprint &* 0x9E37_79B9_7F4A_7C15).multipliedFullWidth(by: buckets).high
    return sum >= bucket ? sum &- bucket : sum &+ buckets &- bucket
  }

  /// The four fingerprints of a bucket below `buckets` in the lower 48 bits; what is above is not the bucket's.
  @inlinable
  @inline(__always)
  static func load(_ base: UnsafeRawPointer, _ bucket: UInt64) -> UInt64 {
    UInt64(littleEndian: base.loadUnaligned(fromByteOffset: Int(truncatingIfNeeded: bucket &* 6), as: UInt64.self))
  }

  /// A word that is 0 where no fingerprint of a loaded bucket is `fingerprint`: a lane of 12 bits becomes zero, and only then does one borrow. The
  /// lowest bit that is set is the topmost of the first such lane; bits above it may be those of lanes a borrow went through.
  @inlinable
  @inline(__always)
  static func matches(_ bucket: UInt64, _ fingerprint: UInt64) -> UInt64 {
    let difference = bucket ^ (fingerprint &* 0x0010_0100_1001)
    return (difference &- 0x0010_0100_1001) & ~difference & 0x8008_0080_0800
  }

  /// Whether the fingerprint of a hash is in one of its buckets or is the victim.
  @inlinable
  @inline(__always)
  func test(_ hash: UInt64, _ base: UnsafeRawPointer, _ victim: CuckooVictim) -> Bool {
    let fingerprint = Self.fingerprint(hash)
    let first = bucket(hash)
    let second = other(first, fingerprint)
    // Both are read at once: to wait for the first before asking for the second costs more than it saves.
    let found = Self.matches(Self.load(base, first), fingerprint) | Self.matches(Self.load(base, second), fingerprint)
    // Rare and the same for every key, so a branch of its own; one on `found` would be a guess.
    if victim.fingerprint == 0 { return found != 0 }
    return found != 0 || victim.isOne(of: first, second, fingerprint)
  }

  /// Fingerprint `slot` of a bucket, 0 where it is empty.
  @inline(__always)
  static func get(_ base: UnsafeRawPointer, _ bucket: UInt64, _ slot: Int) -> UInt64 { load(base, bucket) >> UInt64(slot * 12) & 0xFFF }

  @inline(__always)
  static func set(_ base: UnsafeMutableRawPointer, _ bucket: UInt64, _ slot: Int, _ fingerprint: UInt64) {
    let shift = UInt64(slot * 12)
    let word = load(base, bucket) & ~(0xFFF << shift) | fingerprint << shift
    base.storeBytes(of: word.littleEndian, toByteOffset: Int(truncatingIfNeeded: bucket &* 6), as: UInt64.self)
  }

  /// Puts `fingerprint` into the first slot that holds `old`, if any does.
  @inline(__always)
  static func replace(_ base: UnsafeMutableRawPointer, _ bucket: UInt64, _ old: UInt64, with fingerprint: UInt64) -> Bool {
    let word = load(base, bucket)
    let matches = matches(word, old)
    guard matches != 0 else { return false }
    let shift = UInt64(truncatingIfNeeded: matches.trailingZeroBitCount &- 11)  // the topmost of a lane's twelve bits
    let changed = word ^ (old ^ fingerprint) &<< shift
    base.storeBytes(of: changed.littleEndian, toByteOffset: Int(truncatingIfNeeded: bucket &* 6), as: UInt64.self)
    return true
  }

  /// The slots of a bucket that hold `fingerprint`, which may be 0 for the empty ones.
  @inline(__always)
  static func count(_ base: UnsafeRawPointer, _ bucket: UInt64, _ fingerprint: UInt64) -> Int {
    let word = load(base, bucket)
    return (0..<slotsPerBucket).count { word >> UInt64($0 * 12) & 0xFFF == fingerprint }
  }
}

/// The fingerprint that found no place, with one of its buckets; fingerprint 0 for none.
@frozen
@usableFromInline
struct CuckooVictim: Sendable, Hashable {
  @usableFromInline var bucket: UInt64 = 0
  @usableFromInline var fingerprint: UInt64 = 0

  /// Whether it is this fingerprint, of one of these buckets. Not inlined, so that the frequent way stays free of it.
  @inline(never)
  @usableFromInline
  func isOne(of first: UInt64, _ second: UInt64, _ fingerprint: UInt64) -> Bool {
    self.fingerprint == fingerprint && (bucket == first || bucket == second)
  }
}
