/// A digest of a run: 128 bits that two runs share if, and as good as only if, the same things happened in the same order.
public struct TraceDigest: Hashable, Sendable, CustomStringConvertible {
  @usableFromInline var low: UInt64 = 0x9E37_79B9_7F4A_7C15
  @usableFromInline var high: UInt64 = 0xC2B2_AE3D_27D4_EB4F

  /// The digest of nothing.
  public init() {}

  @inlinable
  mutating func mix(_ a: UInt64, _ b: UInt64) {
    low = (low ^ a) &* 0xFF51_AFD7_ED55_8CCD
    low ^= low >> 32
    high = (high &+ b ^ low) &* 0xC4CE_B9FE_1A85_EC53
    high ^= high >> 29
  }

  @usableFromInline
  mutating func mix(_ text: String) {
    var text = text
    text.withUTF8 { bytes in
      var word: UInt64 = 0
      for (index, byte) in bytes.enumerated() {
        word = word << 8 | UInt64(byte)
        if index & 7 == 7 { mix(word, UInt64(index)) }
      }
      mix(word, UInt64(bytes.count) | 1 << 63)
    }
  }

  /// 32 hexadecimal digits.
  public var description: String {
    func hex(_ word: UInt64) -> String {
      let digits = String(word, radix: 16)
      return String(repeating: "0", count: 16 - digits.count) + digits
    }
    return hex(high) + hex(low)
  }
}
