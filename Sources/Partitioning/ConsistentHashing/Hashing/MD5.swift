/// MD5 (RFC 1321) as a placement hash: ketama's points and keys. No security rests on it. Additions are modulo 2^32 by definition.
enum MD5 {
  /// Sixteen bytes as four words, the least significant byte of each first.
  struct Digest: Equatable {
    var words: (UInt32, UInt32, UInt32, UInt32)

    /// The four points ketama takes from one digest.
    subscript(point: Int) -> UInt32 {
      switch point {
      case 0: words.0
      case 1: words.1
      case 2: words.2
      default: words.3
      }
    }

    static func == (a: Digest, b: Digest) -> Bool { a.words == b.words }
  }

  /// The digest of `bytes`. O(length); takes no memory.
  static func digest(_ bytes: RawSpan) -> Digest {
    var state = Digest(words: (0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476))
    let count = bytes.byteCount
    bytes.withUnsafeBytes { bytes in
      var offset = 0
      if let base = bytes.baseAddress {
        while offset &+ 64 <= count {
          compress(&state, base + offset)
          offset &+= 64
        }
      }
      // The rest, one bit, zeros and the length in bits: one block, or two where the length has no room in the first.
      withUnsafeTemporaryAllocation(byteCount: 128, alignment: 8) { tail in
        let rest = count &- offset
        let length = rest < 56 ? 64 : 128
        guard let target = tail.baseAddress else { return }
        target.initializeMemory(as: UInt8.self, repeating: 0, count: length)
        if rest > 0, let base = bytes.baseAddress { target.copyMemory(from: base + offset, byteCount: rest) }
        target.storeBytes(of: 0x80, toByteOffset: rest, as: UInt8.self)
        target.storeBytes(of: (UInt64(count) &* 8).littleEndian, toByteOffset: length &- 8, as: UInt64.self)
        compress(&state, target)
        if length == 128 { compress(&state, target + 64) }
      }
    }
    return state
  }

  @inline(__always)
  private static func word(_ m: UnsafeRawPointer, _ index: Int) -> UInt32 {
    UInt32(littleEndian: m.loadUnaligned(fromByteOffset: index &* 4, as: UInt32.self))
  }

  @inline(__always)
  private static func step(_ a: UInt32, _ b: UInt32, _ mixed: UInt32, _ word: UInt32, _ constant: UInt32, _ shift: UInt32) -> UInt32 {
    let sum = a &+ mixed &+ word &+ constant
    return b &+ ((sum &<< shift) | (sum &>> (32 &- shift)))
  }

  @inline(__always) private static func f(_ x: UInt32, _ y: UInt32, _ z: UInt32) -> UInt32 { z ^ (x & (y ^ z)) }
  @inline(__always) private static func g(_ x: UInt32, _ y: UInt32, _ z: UInt32) -> UInt32 { (x & z) &+ (y & ~z) }
  @inline(__always) private static func h(_ x: UInt32, _ y: UInt32, _ z: UInt32) -> UInt32 { x ^ y ^ z }
  @inline(__always) private static func i(_ x: UInt32, _ y: UInt32, _ z: UInt32) -> UInt32 { y ^ (x | ~z) }

  /// One block of 64 bytes.
  // tidy: the sixty-four steps of the standard, written out so that every constant, shift and word is fixed at compile time.
  private static func compress(_ state: inout Digest, _ m: UnsafeRawPointer) {
    var (a, b, c, d) = state.words
    a = step(a, b, f(b, c, d), word(m, 0), 0xD76A_A478, 7)
    d = step(d, a, f(a, b, c), word(m, 1), 0xE8C7_B756, 12)
    c = step(c, d, f(d, a, b), word(m, 2), 0x2420_70DB, 17)
    b = step(b, c, f(c, d, a), word(m, 3), 0xC1BD_CEEE, 22)
    a = step(a, b, f(b, c, d), word(m, 4), 0xF57C_0FAF, 7)
    d = step(d, a, f(a, b, c), word(m, 5), 0x4787_C62A, 12)
    c = step(c, d, f(d, a, b), word(m, 6), 0xA830_4613, 17)
    b = step(b, c, f(c, d, a), word(m, 7), 0xFD46_9501, 22)
    a = step(a, b, f(b, c, d), word(m, 8), 0x6980_98D8, 7)
    d = step(d, a, f(a, b, c), word(m, 9), 0x8B44_F7AF, 12)
    c = step(c, d, f(d, a, b), word(m, 10), 0xFFFF_5BB1, 17)
    b = step(b, c, f(c, d, a), word(m, 11), 0x895C_D7BE, 22)
    a = step(a, b, f(b, c, d), word(m, 12), 0x6B90_1122, 7)
    d = step(d, a, f(a, b, c), word(m, 13), 0xFD98_7193, 12)
    c = step(c, d, f(d, a, b), word(m, 14), 0xA679_438E, 17)
    b = step(b, c, f(c, d, a), word(m, 15), 0x49B4_0821, 22)
    a = step(a, b, g(b, c, d), word(m, 1), 0xF61E_2562, 5)
    d = step(d, a, g(a, b, c), word(m, 6), 0xC040_B340, 9)
    c = step(c, d, g(d, a, b), word(m, 11), 0x265E_5A51, 14)
    b = step(b, c, g(c, d, a), word(m, 0), 0xE9B6_C7AA, 20)
    a = step(a, b, g(b, c, d), word(m, 5), 0xD62F_105D, 5)
    d = step(d, a, g(a, b, c), word(m, 10), 0x0244_1453, 9)
    c = step(c, d, g(d, a, b), word(m, 15), 0xD8A1_E681, 14)
    b = step(b, c, g(c, d, a), word(m, 4), 0xE7D3_FBC8, 20)
    a = step(a, b, g(b, c, d), word(m, 9), 0x21E1_CDE6, 5)
    d = step(d, a, g(a, b, c), word(m, 14), 0xC337_07D6, 9)
    c = step(c, d, g(d, a, b), word(m, 3), 0xF4D5_0D87, 14)
    b = step(b, c, g(c, d, a), word(m, 8), 0x455A_14ED, 20)
    a = step(a, b, g(b, c, d), word(m, 13), 0xA9E3_E905, 5)
    d = step(d, a, g(a, b, c), word(m, 2), 0xFCEF_A3F8, 9)
    c = step(c, d, g(d, a, b), word(m, 7), 0x676F_02D9, 14)
    b = step(b, c, g(c, d, a), word(m, 12), 0x8D2A_4C8A, 20)
    a = step(a, b, h(b, c, d), word(m, 5), 0xFFFA_3942, 4)
    d = step(d, a, h(a, b, c), word(m, 8), 0x8771_F681, 11)
    c = step(c, d, h(d, a, b), word(m, 11), 0x6D9D_6122, 16)
    b = step(b, c, h(c, d, a), word(m, 14), 0xFDE5_380C, 23)
    a = step(a, b, h(b, c, d), word(m, 1), 0xA4BE_EA44, 4)
    d = step(d, a, h(a, b, c), word(m, 4), 0x4BDE_CFA9, 11)
    c = step(c, d, h(d, a, b), word(m, 7), 0xF6BB_4B60, 16)
    b = step(b, c, h(c, d, a), word(m, 10), 0xBEBF_BC70, 23)
    a = step(a, b, h(b, c, d), word(m, 13), 0x289B_7EC6, 4)
    d = step(d, a, h(a, b, c), word(m, 0), 0xEAA1_27FA, 11)
    c = step(c, d, h(d, a, b), word(m, 3), 0xD4EF_3085, 16)
    b = step(b, c, h(c, d, a), word(m, 6), 0x0488_1D05, 23)
    a = step(a, b, h(b, c, d), word(m, 9), 0xD9D4_D039, 4)
    d = step(d, a, h(a, b, c), word(m, 12), 0xE6DB_99E5, 11)
    c = step(c, d, h(d, a, b), word(m, 15), 0x1FA2_7CF8, 16)
    b = step(b, c, h(c, d, a), word(m, 2), 0xC4AC_5665, 23)
    a = step(a, b, i(b, c, d), word(m, 0), 0xF429_2244, 6)
    d = step(d, a, i(a, b, c), word(m, 7), 0x432A_FF97, 10)
    c = step(c, d, i(d, a, b), word(m, 14), 0xAB94_23A7, 15)
    b = step(b, c, i(c, d, a), word(m, 5), 0xFC93_A039, 21)
    a = step(a, b, i(b, c, d), word(m, 12), 0x655B_59C3, 6)
    d = step(d, a, i(a, b, c), word(m, 3), 0x8F0C_CC92, 10)
    c = step(c, d, i(d, a, b), word(m, 10), 0xFFEF_F47D, 15)
    b = step(b, c, i(c, d, a), word(m, 1), 0x8584_5DD1, 21)
    a = step(a, b, i(b, c, d), word(m, 8), 0x6FA8_7E4F, 6)
    d = step(d, a, i(a, b, c), word(m, 15), 0xFE2C_E6E0, 10)
    c = step(c, d, i(d, a, b), word(m, 6), 0xA301_4314, 15)
    b = step(b, c, i(c, d, a), word(m, 13), 0x4E08_11A1, 21)
    a = step(a, b, i(b, c, d), word(m, 4), 0xF753_7E82, 6)
    d = step(d, a, i(a, b, c), word(m, 11), 0xBD3A_F235, 10)
    c = step(c, d, i(d, a, b), word(m, 2), 0x2AD7_D2BB, 15)
    b = step(b, c, i(c, d, a), word(m, 9), 0xEB86_D391, 21)
    state.words = (state.words.0 &+ a, state.words.1 &+ b, state.words.2 &+ c, state.words.3 &+ d)
  }
}
