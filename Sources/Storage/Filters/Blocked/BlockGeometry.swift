/// The numbers of blocked Bloom filters.
enum BlockGeometry {
  static let blockBytes = 64
  static let maxBlocks: UInt64 = 1 << 26
  static let maxHashCount = 64

  /// The number of bits per key with which a block of 512 has the fewest false positives.
  static func hashCount(bitsPerKey: Double) -> Int {
    switch bitsPerKey {
    case ..<2.5: 1
    case ..<3.6: 2
    case ..<5.1: 3
    case ..<6.7: 4
    case ..<8.3: 5
    case ...10.07: 6
    case ...14: 8
    case ...16.05: 9
    case ...18.3: 10
    case ...22: 11
    case ...25.5: 12
    default: min(24, Int(bitsPerKey / 2))
    }
  }

  /// Blocks for `items` keys.
  /// - Throws: `.invalidParameters`; `.tooLarge` above `maxBytes` or 4 GiB.
  static func blocks(items: Int, bitsPerKey: Double, maxBytes: UInt64) throws(FilterError) -> UInt64 {
    guard items > 0 else { throw .invalidParameters(name: "expectedItems", value: "\(items)") }
    guard bitsPerKey >= 1, bitsPerKey <= 100 else { throw .invalidParameters(name: "bitsPerKey", value: "\(bitsPerKey)") }
    let blocks = UInt64(Double(items) * bitsPerKey / 512) + 1  // at most 2^63 · 100 / 512
    let limit = min(maxBytes, maxBlocks * 64)
    guard blocks <= limit / 64 else { throw .tooLarge(bytes: blocks > .max / 64 ? .max : blocks * 64, limit: limit) }
    return blocks
  }

  /// The expected share of absent keys answered with "perhaps": the number of keys in a block follows Poisson's law.
  static func expectedRate(items: Double, blocks: Double, hashes: Int) -> Double {
    let mean = items / blocks
    guard mean > 0 else { return 0 }
    guard mean < 700 else { return 1 }
    var share = Elementary.exp(-mean)
    var clear = 1.0
    let oneClear = Elementary.power(511.0 / 512, hashes)
    var rate = 0.0
    for keys in 1...(Int(mean + 20 * mean.squareRoot()) + 60) {
      share *= mean / Double(keys)
      clear *= oneClear
      rate += share * Elementary.power(1 - clear, hashes)
    }
    return min(rate, 1)
  }
}
