/// A static set of keys in about 9 bits each that answers "surely absent" or "perhaps present" from three bytes.
///
/// Never answers absent for a key it was built of. Answers present for an absent key once in 256 times (0.39 %). Built once from the
/// 64-bit hashes of all keys (``xxh64(_:seed:)-(RawSpan,_)``); keys cannot be added later. A value: safe to share between threads.
///
/// T. M. Graf, D. Lemire, "Binary Fuse Filters: Fast and Smaller Than Xor Filters", ACM JEA 27 (2022). Every key has one slot in each of
/// three consecutive segments; the fingerprints in its slots, combined by exclusive or, give the key's own.
public struct BinaryFuseFilter: Sendable, Hashable {
  /// What a filter is made of.
  @frozen
  public enum Kind: UInt8, Sendable, Hashable {
    /// Built of no keys: everything is absent.
    case nothing = 0
    /// Built as the paper says.
    case fuse = 1
    /// No arrangement of the keys was found with any of the seeds tried: everything is perhaps present. Answers stay right, the
    /// filter just saves nothing. With distinct hashes an attempt fails six times in a hundred at the worst sizes and hardly
    /// ever at large ones, so a hundred failures in a row mean hashes that an adversary chose.
    case everything = 2
  }

  /// What this filter is made of.
  public let kind: Kind
  /// How many distinct hashes it was built of.
  public let keyCount: Int
  @usableFromInline let shape: Shape
  @usableFromInline let seed: UInt64
  @usableFromInline let fingerprints: [UInt8]

  /// The filter over the keys with these hashes; hashes may repeat and come in any order.
  ///
  /// Deterministic: the same set of hashes and the same seed give the same bytes on every machine. Takes O(n) time, about 35 bytes per
  /// hash while building, 9 bits per distinct hash afterwards. Never fails, see ``Kind/everything``; more than 2^30 hashes give it at once.
  public init(hashes: [UInt64], seed: UInt64 = 0) { self.init(hashes: hashes, seed: seed, attempts: 100) }

  init(hashes: [UInt64], seed: UInt64, attempts: Int) {
    guard !hashes.isEmpty else {
      self.init(kind: .nothing)
      return
    }
    if hashes.count <= 1 << 30 {
      var attemptSeed = seed
      for _ in 0..<attempts {
        attemptSeed = Self.mix(attemptSeed &+ 0x9E37_79B9_7F4A_7C15)  // wraps: a walk through all seeds
        if let filter = Self.build(hashes, seed: attemptSeed) {
          self = filter
          return
        }
      }
    }
    self.init(kind: .everything)
  }

  /// A filter without fingerprints.
  init(kind: Kind) { self.init(kind: kind, keyCount: 0, shape: Shape(), seed: 0, fingerprints: []) }

  init(kind: Kind, keyCount: Int, shape: Shape, seed: UInt64, fingerprints: [UInt8]) {
    self.kind = kind
    self.keyCount = keyCount
    self.shape = shape
    self.seed = seed
    self.fingerprints = fingerprints
  }

  /// Whether the key with this hash may be among those the filter was built of; false means it surely is not.
  ///
  /// O(1): three reads.
  @inlinable
  public func contains(hash: UInt64) -> Bool {
    guard kind == .fuse else { return kind == .everything }
    let mixed = Self.mix(hash &+ seed)  // wraps: any bijection of the hashes will do
    let slots = shape.slots(mixed)
    return fingerprints[slots.0] ^ fingerprints[slots.1] ^ fingerprints[slots.2] == Self.fingerprint(mixed)
  }

  /// How many bytes of memory the fingerprints take.
  public var memoryBytes: Int { fingerprints.count }

  /// The finaliser of MurmurHash3: a bijection that spreads every bit. Multiplications wrap by definition.
  @inlinable
  @inline(__always)
  static func mix(_ value: UInt64) -> UInt64 {
    var h = value
    h = (h ^ (h >> 33)) &* 0xFF51_AFD7_ED55_8CCD
    h = (h ^ (h >> 33)) &* 0xC4CE_B9FE_1A85_EC53
    return h ^ (h >> 33)
  }

  @inlinable
  @inline(__always)
  static func fingerprint(_ mixed: UInt64) -> UInt8 { UInt8(truncatingIfNeeded: mixed ^ (mixed >> 32)) }
}

extension BinaryFuseFilter {
  /// The division of the slots into segments.
  @usableFromInline
  struct Shape: Sendable, Hashable {
    /// The length of a segment is 2 to this power.
    @usableFromInline var segmentBits: UInt8 = 0
    /// How many segments a key's first slot may lie in; two more follow.
    @usableFromInline var segmentCount: UInt32 = 0

    static let segmentBitsMax: UInt8 = 18

    var slotCount: Int { (Int(segmentCount) + 2) << Int(segmentBits) }

    init() {}

    init(segmentBits: UInt8, segmentCount: UInt32) {
      self.segmentBits = segmentBits
      self.segmentCount = segmentCount
    }

    /// The shape for `keyCount` distinct keys, by the paper's formulas: segments of 2^floor(log n / log 3.33 + 2.25) slots, and
    /// max(1.125, 0.875 + 0.25 log 10^6 / log n) slots per key. Only operations that every machine rounds alike, so that the same keys
    /// give the same bytes everywhere; the straight line for log2 between powers of two errs towards more slots.
    init(keyCount n: Int) {
      segmentBits = 2
      var threshold = 2.465  // 3.33^0.75: where the exponent becomes 3
      while Double(n) >= threshold, segmentBits < Self.segmentBitsMax {
        segmentBits += 1
        threshold *= 3.33
      }
      let floorLog2 = Int.bitWidth - 1 - n.leadingZeroBitCount
      let log2 = max(Double(floorLog2) + Double(n) / Double(1 << floorLog2) - 1, 1)
      let slotsPerKey = max(1.125, 0.875 + 0.25 * 19.931_568_6 / log2)
      let wanted = Int(Double(n) * slotsPerKey) + 1
      let segments = (wanted + (1 << Int(segmentBits)) - 1) >> Int(segmentBits)
      segmentCount = UInt32(max(segments - 2, 1))
    }

    /// The three slots of a key: always three different ones below `slotCount`, whatever the bits.
    @inlinable
    @inline(__always)
    func slots(_ mixed: UInt64) -> (Int, Int, Int) {
      let bits = Int(segmentBits)
      let mask = (1 << bits) - 1
      // The upper half of the product: below segmentCount << bits, in the order of `mixed`.
      let first = Int(truncatingIfNeeded: mixed.multipliedFullWidth(by: UInt64(segmentCount) << UInt64(bits)).high)
      let second = (first + mask + 1) ^ (Int(truncatingIfNeeded: mixed >> 18) & mask)
      let third = (first + 2 * (mask + 1)) ^ (Int(truncatingIfNeeded: mixed) & mask)
      return (first, second, third)
    }
  }
}
