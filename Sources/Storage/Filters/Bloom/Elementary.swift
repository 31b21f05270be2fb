/// Logarithm and exponential from additions, multiplications and divisions alone, which every machine rounds alike: the C library's may
/// differ in the last bit, and with them the size of a filter, its bytes and so its checksum.
enum Elementary {
  static let ln2 = 0.693_147_180_559_945_3

  /// The natural logarithm of a positive finite number, to about 1e-15.
  static func ln(_ x: Double) -> Double {
    var exponent = Double(x.exponent)
    var m = x.significand
    if m > 1.414_213_562_373_095 {
      m /= 2
      exponent += 1
    }
    // ln m = 2 artanh s, |s| <= 0.172: thirteen terms leave less than 1e-20.
    let s = (m - 1) / (m + 1)
    let square = s * s
    var power = s
    var sum = 0.0
    for term in 0..<13 {
      sum += power / Double(2 * term + 1)
      power *= square
    }
    return exponent * ln2 + 2 * sum
  }

  /// e to the power `x`; 0 far below zero, infinite far above.
  static func exp(_ x: Double) -> Double {
    guard x > -745 else { return 0 }
    guard x < 709 else { return .infinity }
    let twos = (x / ln2).rounded()
    let rest = x - twos * ln2
    var term = 1.0
    var sum = 1.0
    for number in 1...18 {
      term *= rest / Double(number)
      sum += term
    }
    return Double(sign: .plus, exponent: Int(twos), significand: sum)
  }

  /// `x` multiplied with itself `count` times.
  static func power(_ x: Double, _ count: Int) -> Double {
    var result = 1.0
    var square = x
    var rest = count
    while rest > 0 {
      if rest & 1 == 1 { result *= square }
      square *= square
      rest >>= 1
    }
    return result
  }
}
