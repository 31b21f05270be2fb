/// What a binary fuse filter is made of.
@frozen
public enum FuseKind: UInt8, Sendable, Hashable {
  /// Built of no keys: everything is absent.
  case nothing = 0
  /// Built as the paper says.
  case fuse = 1
  /// No arrangement of the keys was found with any of the seeds tried: everything is perhaps present. Answers stay right, the
  /// filter just saves nothing. With distinct hashes an attempt fails six times in a hundred at the worst sizes and hardly
  /// ever at large ones, so a hundred failures in a row mean hashes that an adversary chose.
  case everything = 2
}

/// The division of the slots of a binary fuse filter into segments.
@usableFromInline
struct FuseShape: Sendable, Hashable {
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
    let bits = UInt64(segmentBits)
    let length = 1 &<< Int(segmentBits)
    let mask = length &- 1
    // The upper half of the product: below segmentCount << bits, in the order of `mixed`.
    let first = Int(truncatingIfNeeded: mixed.multipliedFullWidth(by: UInt64(segmentCount) &<< bits).high)
    // No sum overflows: a filter has fewer than 2^51 slots.
    let second = (first &+ length) ^ (Int(truncatingIfNeeded: mixed >> 18) & mask)
    let third = (first &+ 2 &* length) ^ (Int(truncatingIfNeeded: mixed) & mask)
    return (first, second, third)
  }
}

/// The bijection that spreads hashes, and its inverse.
@usableFromInline
enum FuseMix {
  /// The finaliser of MurmurHash3. Multiplications wrap by definition.
  @inlinable
  @inline(__always)
  static func mix(_ value: UInt64) -> UInt64 {
    var h = value
    h = (h ^ (h >> 33)) &* 0xFF51_AFD7_ED55_8CCD
    h = (h ^ (h >> 33)) &* 0xC4CE_B9FE_1A85_EC53
    return h ^ (h >> 33)
  }

  /// The mixing that is tried first for a seed.
  static func firstMixing(_ seed: UInt64) -> UInt64 { nextMixing(seed) }

  /// The mixing that is tried after another. The sum wraps: a walk through all 64-bit numbers.
  static func nextMixing(_ mixing: UInt64) -> UInt64 { mix(mixing &+ 0x9E37_79B9_7F4A_7C15) }

  /// The value that ``mix(_:)`` made `mixed` of: shifts by more than half undo themselves, odd factors have inverses modulo 2^64.
  static func unmix(_ mixed: UInt64) -> UInt64 {
    var h = mixed
    h = (h ^ (h >> 33)) &* 0x9CB4_B2F8_1293_37DB
    h = (h ^ (h >> 33)) &* 0x4F74_430C_22A5_4005
    return h ^ (h >> 33)
  }
}
