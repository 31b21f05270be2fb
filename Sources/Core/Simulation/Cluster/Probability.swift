import StrataNodes

/// How likely something is, in millionths: exact, and the same on every machine.
public struct Probability: Hashable, Comparable, Sendable {
  /// Of a million chances, how many come true: 0 ... 1,000,000.
  public let partsPerMillion: Int

  /// A probability of this many millionths, which must lie in 0 ... 1,000,000.
  public init(partsPerMillion: Int) {
    precondition((0...1_000_000).contains(partsPerMillion), "a probability lies between 0 and 1,000,000 millionths")
    self.partsPerMillion = partsPerMillion
  }

  /// A probability in hundredths, 0 ... 100.
  public static func percent(_ percent: Int) -> Probability { Probability(partsPerMillion: percent * 10_000) }

  /// Never.
  public static let never = Probability(partsPerMillion: 0)

  /// Always.
  public static let always = Probability(partsPerMillion: 1_000_000)

  /// The smaller probability comes first.
  public static func < (a: Probability, b: Probability) -> Bool { a.partsPerMillion < b.partsPerMillion }
}

extension Random {
  /// True with `probability`. Impossible and certain things draw nothing.
  @inlinable
  mutating func happens(_ probability: Probability) -> Bool {
    let parts = probability.partsPerMillion
    if parts == 0 { return false }
    return parts == 1_000_000 || below(1_000_000) < parts
  }

  /// A time whose distribution falls exponentially around `mean` nanoseconds, at most 30 times the mean, drawn without floating point: the
  /// leading zeros of a random word stand for the whole part of a binary logarithm, the bits behind them for its fraction.
  @inlinable
  mutating func exponential(mean: UInt64) -> UInt64 {
    if mean == 0 { return 0 }
    let word = next()
    let zeros = min(UInt64(word.leadingZeroBitCount), 44)
    let fraction = (word << (zeros &+ 1)) >> 48
    // The logarithm is taken as straight between powers of two, which makes its mean 1.5; 43,691 / 65,536 makes the result's mean exact.
    let units = (zeros + 1) << 16 - fraction
    return UInt64((UInt128(mean) * UInt128(units) * 43_691) >> 32)
  }
}
