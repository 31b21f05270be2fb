/// The size of a classic filter and where in it the bits of a hash lie. Counting and scalable filters share it.
@frozen
public struct BloomGeometry: Sendable, Hashable {
  /// The number of bits, or of counters: at least 1.
  public let bitCount: UInt64
  /// The number of positions of one key: 1...2048. Some may coincide.
  public let hashCount: Int

  static let maxHashCount = 2048

  /// A geometry of these very numbers.
  /// - Throws: `.invalidParameters` for no bits, or hashes outside 1...2048.
  public init(bits: UInt64, hashes: Int) throws(FilterError) {
    guard bits >= 1 else { throw .invalidParameters(name: "bits", value: "\(bits)") }
    guard hashes >= 1, hashes <= Self.maxHashCount else { throw .invalidParameters(name: "hashes", value: "\(hashes)") }
    bitCount = bits
    hashCount = hashes
  }

  /// The smallest geometry that keeps the promised rate: m = ⌈−n ln p / (ln 2)²⌉ and k = round(m/n · ln 2).
  /// - Parameters:
  ///   - expectedItems: how many distinct keys, at least 1.
  ///   - falsePositiveRate: how often an absent key may be answered with "perhaps" once they are in, above 0 and below 1.
  /// - Throws: `.invalidParameters`, `.tooLarge` where the bits cannot be counted.
  public init(expectedItems: Int, falsePositiveRate p: Double) throws(FilterError) {
    guard expectedItems > 0 else { throw .invalidParameters(name: "expectedItems", value: "\(expectedItems)") }
    guard p > 0, p < 1 else { throw .invalidParameters(name: "falsePositiveRate", value: "\(p)") }
    let bits = (-Double(expectedItems) * Elementary.ln(p) / (Elementary.ln2 * Elementary.ln2)).rounded(.up)
    guard bits < 0x1p63 else { throw .tooLarge(bytes: .max, limit: UInt64(Int64.max) / 8) }
    let m = max(UInt64(bits), 1)
    let k = (Double(m) / Double(expectedItems) * Elementary.ln2).rounded()
    try self.init(bits: m, hashes: Int(min(max(k, 1), Double(Self.maxHashCount))))
  }

  /// Bytes that the bits take, rounded up to whole words.
  var byteCount: UInt64 { ((bitCount - 1) / 64 + 1) * 8 }

  /// Multiplied with again and again, a hash gives the further positions; 2^64 divided by the golden ratio, odd so that nothing is lost.
  ///
  /// Not the customary sum h1 + i·h2, whose positions coincide for h2 = 0 and repeat early where h2 and the number of bits share a factor.
  @inlinable static var step: UInt64 { 0x9E37_79B9_7F4A_7C15 }

  /// Where the present value of the walk lies: uniform over 0..<bitCount for any number of bits.
  @inlinable
  @inline(__always)
  func position(_ walk: UInt64) -> UInt64 { walk.multipliedFullWidth(by: bitCount).high }

  /// The expected share of absent keys answered with "perhaps" once `items` distinct keys are in.
  func expectedRate(items: Double) -> Double {
    guard items > 0 else { return 0 }
    // The share of bits set, as 1 − e^x, and for small x as −x, where the difference would lose its digits.
    let x = -Double(hashCount) * items / Double(bitCount)
    let density = x > -1e-8 ? -x : 1 - Elementary.exp(x)
    return Elementary.power(density, hashCount)
  }

  /// How many distinct keys set this many bits; infinite where all are set.
  func estimatedItems(setBits: UInt64) -> Double {
    guard setBits > 0 else { return 0 }
    guard setBits < bitCount else { return .infinity }
    return -Double(bitCount) / Double(hashCount) * Elementary.ln(Double(bitCount - setBits) / Double(bitCount))
  }
}
