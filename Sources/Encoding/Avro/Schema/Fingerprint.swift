/// The ways to make a schema's fingerprint.
public enum Fingerprint: Sendable, Hashable, CaseIterable {
  /// CRC-64-AVRO: eight bytes, the least significant first, as a single-object message carries them.
  case rabin64
  /// MD5 (RFC 1321): 16 bytes. A name for a schema, no protection.
  case md5
  /// SHA-256 (FIPS 180-4): 32 bytes.
  case sha256
}

extension AvroSchema {
  /// The fingerprint of the canonical form. Schemas that differ only in defaults, aliases, documentation or logical types have the same,
  /// so it finds a writer's schema and is no identity of schemas.
  public func fingerprint(_ kind: Fingerprint) -> [UInt8] {
    let text = Array(parsingCanonicalForm.utf8)
    switch kind {
    case .rabin64:
      let value = Rabin64.of(text)
      return (0..<8).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) }
    case .md5: return MD5.digest(text)
    case .sha256: return SHA256.digest(text)
    }
  }

  /// The CRC-64-AVRO of the canonical form as a number.
  public var rabinFingerprint: UInt64 { Rabin64.of(Array(parsingCanonicalForm.utf8)) }
}

/// CRC-64-AVRO as the specification defines it.
enum Rabin64 {
  private static let empty: UInt64 = 0xC15D_213A_A4D7_A795

  private static let table: [UInt64] = (0..<256).map { byte in
    var value = UInt64(byte)
    for _ in 0..<8 { value = (value >> 1) ^ (empty & (0 &- (value & 1))) }  // all ones where a bit falls out, else none
    return value
  }

  static func of(_ bytes: [UInt8]) -> UInt64 {
    bytes.reduce(empty) { ($0 >> 8) ^ table[Int(UInt8(truncatingIfNeeded: $0) ^ $1)] }
  }
}

/// Blocks of 64 bytes with the padding MD5 and SHA-2 share: a one, zeros, the length in bits.
private func padded(_ bytes: [UInt8], lengthIsBigEndian: Bool) -> [UInt8] {
  var result = bytes + [0x80]
  result += [UInt8](repeating: 0, count: (120 - result.count % 64) % 64)
  let bits = UInt64(bytes.count) &* 8  // modulo 2^64, as both define it
  result += (0..<8).map { UInt8(truncatingIfNeeded: bits >> UInt64(lengthIsBigEndian ? 56 - 8 * $0 : 8 * $0)) }
  return result
}

private func rotatedLeft(_ value: UInt32, _ count: UInt32) -> UInt32 { (value << count) | (value >> (32 - count)) }

// Additions wrap around in both digests, because they are defined modulo 2^32.

enum MD5 {
  private static let shifts: [UInt32] = [7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21]

  /// The whole part of 2^32 |sin(i + 1)|, as RFC 1321 tabulates it.
  private static let sines: [UInt32] = [
    0xD76A_A478, 0xE8C7_B756, 0x2420_70DB, 0xC1BD_CEEE, 0xF57C_0FAF, 0x4787_C62A, 0xA830_4613, 0xFD46_9501, 0x6980_98D8, 0x8B44_F7AF,
    0xFFFF_5BB1, 0x895C_D7BE, 0x6B90_1122, 0xFD98_7193, 0xA679_438E, 0x49B4_0821, 0xF61E_2562, 0xC040_B340, 0x265E_5A51, 0xE9B6_C7AA,
    0xD62F_105D, 0x0244_1453, 0xD8A1_E681, 0xE7D3_FBC8, 0x21E1_CDE6, 0xC337_07D6, 0xF4D5_0D87, 0x455A_14ED, 0xA9E3_E905, 0xFCEF_A3F8,
    0x676F_02D9, 0x8D2A_4C8A, 0xFFFA_3942, 0x8771_F681, 0x6D9D_6122, 0xFDE5_380C, 0xA4BE_EA44, 0x4BDE_CFA9, 0xF6BB_4B60, 0xBEBF_BC70,
    0x289B_7EC6, 0xEAA1_27FA, 0xD4EF_3085, 0x0488_1D05, 0xD9D4_D039, 0xE6DB_99E5, 0x1FA2_7CF8, 0xC4AC_5665, 0xF429_2244, 0x432A_FF97,
    0xAB94_23A7, 0xFC93_A039, 0x655B_59C3, 0x8F0C_CC92, 0xFFEF_F47D, 0x8584_5DD1, 0x6FA8_7E4F, 0xFE2C_E6E0, 0xA301_4314, 0x4E08_11A1,
    0xF753_7E82, 0xBD3A_F235, 0x2AD7_D2BB, 0xEB86_D391,
  ]

  static func digest(_ bytes: [UInt8]) -> [UInt8] {
    let text = padded(bytes, lengthIsBigEndian: false)
    var state: [UInt32] = [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476]
    for block in stride(from: 0, to: text.count, by: 64) {
      let words = (0..<16).map { word in (0..<4).reduce(UInt32(0)) { $0 | UInt32(text[block + word * 4 + $1]) << UInt32(8 * $1) } }
      var (a, b, c, d) = (state[0], state[1], state[2], state[3])
      for step in 0..<64 {
        let mix: UInt32
        let word: Int
        switch step / 16 {
        case 0: (mix, word) = ((b & c) | (~b & d), step)
        case 1: (mix, word) = ((d & b) | (~d & c), (5 * step + 1) % 16)
        case 2: (mix, word) = (b ^ c ^ d, (3 * step + 5) % 16)
        default: (mix, word) = (c ^ (b | ~d), 7 * step % 16)
        }
        let turned = rotatedLeft(a &+ mix &+ sines[step] &+ words[word], shifts[step / 16 * 4 + step % 4])
        (a, d, c, b) = (d, c, b, b &+ turned)
      }
      state = [state[0] &+ a, state[1] &+ b, state[2] &+ c, state[3] &+ d]
    }
    return state.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> UInt32(8 * $0)) } }
  }
}

enum SHA256 {
  /// The first 32 bits of the fractions of the cube roots of the first 64 primes, as FIPS 180-4 tabulates them.
  private static let constants: [UInt32] = [
    0x428A_2F98, 0x7137_4491, 0xB5C0_FBCF, 0xE9B5_DBA5, 0x3956_C25B, 0x59F1_11F1, 0x923F_82A4, 0xAB1C_5ED5, 0xD807_AA98, 0x1283_5B01,
    0x2431_85BE, 0x550C_7DC3, 0x72BE_5D74, 0x80DE_B1FE, 0x9BDC_06A7, 0xC19B_F174, 0xE49B_69C1, 0xEFBE_4786, 0x0FC1_9DC6, 0x240C_A1CC,
    0x2DE9_2C6F, 0x4A74_84AA, 0x5CB0_A9DC, 0x76F9_88DA, 0x983E_5152, 0xA831_C66D, 0xB003_27C8, 0xBF59_7FC7, 0xC6E0_0BF3, 0xD5A7_9147,
    0x06CA_6351, 0x1429_2967, 0x27B7_0A85, 0x2E1B_2138, 0x4D2C_6DFC, 0x5338_0D13, 0x650A_7354, 0x766A_0ABB, 0x81C2_C92E, 0x9272_2C85,
    0xA2BF_E8A1, 0xA81A_664B, 0xC24B_8B70, 0xC76C_51A3, 0xD192_E819, 0xD699_0624, 0xF40E_3585, 0x106A_A070, 0x19A4_C116, 0x1E37_6C08,
    0x2748_774C, 0x34B0_BCB5, 0x391C_0CB3, 0x4ED8_AA4A, 0x5B9C_CA4F, 0x682E_6FF3, 0x748F_82EE, 0x78A5_636F, 0x84C8_7814, 0x8CC7_0208,
    0x90BE_FFFA, 0xA450_6CEB, 0xBEF9_A3F7, 0xC671_78F2,
  ]

  static func digest(_ bytes: [UInt8]) -> [UInt8] {
    let text = padded(bytes, lengthIsBigEndian: true)
    var state: [UInt32] = [
      0x6A09_E667, 0xBB67_AE85, 0x3C6E_F372, 0xA54F_F53A, 0x510E_527F, 0x9B05_688C, 0x1F83_D9AB, 0x5BE0_CD19,
    ]
    for block in stride(from: 0, to: text.count, by: 64) {
      var words = (0..<16).map { word in (0..<4).reduce(UInt32(0)) { $0 << 8 | UInt32(text[block + word * 4 + $1]) } }
      for index in 16..<64 {
        let (early, late) = (words[index - 15], words[index - 2])
        let small = rotatedLeft(early, 25) ^ rotatedLeft(early, 14) ^ (early >> 3)
        let large = rotatedLeft(late, 15) ^ rotatedLeft(late, 13) ^ (late >> 10)
        words.append(words[index - 16] &+ small &+ words[index - 7] &+ large)
      }
      var s = state
      for step in 0..<64 {
        let spread = rotatedLeft(s[4], 26) ^ rotatedLeft(s[4], 21) ^ rotatedLeft(s[4], 7)
        let choice = (s[4] & s[5]) ^ (~s[4] & s[6])
        let first = s[7] &+ spread &+ choice &+ constants[step] &+ words[step]
        let turned = rotatedLeft(s[0], 30) ^ rotatedLeft(s[0], 19) ^ rotatedLeft(s[0], 10)
        let majority = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2])
        s = [first &+ turned &+ majority, s[0], s[1], s[2], s[3] &+ first, s[4], s[5], s[6]]
      }
      state = zip(state, s).map { $0 &+ $1 }
    }
    return state.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> UInt32(24 - 8 * $0)) } }
  }
}
