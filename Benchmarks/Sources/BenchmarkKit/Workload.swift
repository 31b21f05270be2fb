import Foundation

/// The keys, values and distributions of Peers/workload.h, number for number, so that subject and peer do the same work.
public enum Workload {
  /// Bytes of a key.
  public static let keySize = 16

  /// SplitMix64's finaliser: a bijection, so distinct numbers make distinct keys.
  @inlinable
  public static func mix(_ number: UInt64) -> UInt64 {
    // Wrapping is what the function is defined with.
    var x = number &+ 0x9E37_79B9_7F4A_7C15
    x = (x ^ (x >> 30)) &* 0xBF58_476D_1CE4_E5B9
    x = (x ^ (x >> 27)) &* 0x94D0_49BB_1331_11EB
    return x ^ (x >> 31)
  }

  /// The key of a record: 16 hexadecimal digits.
  public static func key(_ number: UInt64, seed: UInt64) -> [UInt8] {
    var key = [UInt8](repeating: 0, count: keySize)
    writeKey(number, seed: seed, into: &key)
    return key
  }

  /// Writes a record's key over the first 16 bytes of `key`, without allocating.
  public static func writeKey(_ number: UInt64, seed: UInt64, into key: inout [UInt8]) {
    precondition(key.count >= keySize, "a key takes 16 bytes")
    var bits = mix(number ^ mix(seed))
    for index in stride(from: keySize - 1, through: 0, by: -1) {
      let digit = UInt8(truncatingIfNeeded: bits & 15)
      key[index] = digit < 10 ? 0x30 + digit : 0x57 + digit
      bits >>= 4
    }
  }
}

/// xorshift64*, a few instructions per number.
public struct WorkloadRandom: Sendable {
  private var state: UInt64

  /// A generator that is a function of `seed` alone.
  public init(seed: UInt64) { state = Workload.mix(seed) | 1 }

  /// The next 64 random bits.
  public mutating func next() -> UInt64 {
    state ^= state >> 12
    state ^= state << 25
    state ^= state >> 27
    return state &* 2_685_821_657_736_338_717
  }

  /// A number below `bound`.
  public mutating func below(_ bound: UInt64) -> UInt64 { next().multipliedFullWidth(by: bound).high }

  /// A number in `0..<1`.
  public mutating func unit() -> Double { Double(next() >> 11) * 0x1.0p-53 }
}

/// Numbers in `0..<count` of which few are drawn often: rank r with a probability proportional to 1 / (r + 1)^theta (Gray et al., SIGMOD 1994),
/// scattered so that popular ones are not neighbours. Making one is O(count), drawing O(1).
public struct Zipf: Sendable {
  private let count: UInt64
  private let theta, zeta, alpha, eta: Double

  /// A distribution over `0..<count`; YCSB's skew is 0.99.
  public init(count: UInt64, theta: Double = 0.99) {
    precondition(count > 1, "a distribution needs two numbers")
    self.count = count
    self.theta = theta
    var zeta = 0.0
    for rank in 1...count { zeta += 1 / pow(Double(rank), theta) }
    self.zeta = zeta
    alpha = 1 / (1 - theta)
    eta = (1 - pow(2 / Double(count), 1 - theta)) / (1 - (1 + pow(0.5, theta)) / zeta)
  }

  /// The next number.
  public func next(_ random: inout WorkloadRandom) -> UInt64 {
    let u = random.unit()
    let uz = u * zeta
    let rank: UInt64
    if uz < 1 {
      rank = 0
    } else if uz < 1 + pow(0.5, theta) {
      rank = 1
    } else {
      rank = UInt64(Double(count) * pow(eta * u - eta + 1, alpha))
    }
    return Workload.mix(min(rank, count - 1)) % count
  }
}

/// The numbers `0..<count`, each once, in an order that follows from the seed; no list is kept.
public struct Shuffle: Sendable {
  private let count, seed: UInt64
  private let half: UInt64

  /// An order of `0..<count`.
  public init(count: UInt64, seed: UInt64) {
    self.count = count
    self.seed = Workload.mix(seed ^ 0x7368_7566)
    var half: UInt64 = 1
    while (UInt64(1) << (2 * half)) < count { half += 1 }
    self.half = half
  }

  /// The number at a place; `index` is below the count.
  public func at(_ index: UInt64) -> UInt64 {
    let mask = (UInt64(1) << half) - 1
    var index = index
    repeat {
      var left = index >> half
      var right = index & mask
      for round in UInt64(0)..<4 { (left, right) = (right, left ^ (Workload.mix(right ^ seed ^ (round << 56)) & mask)) }
      index = left << half | right
    } while index >= count
    return index
  }
}

/// Values are windows into one block of random bytes: nothing to compress, no cost beyond the copy.
public struct Values: Sendable {
  private static let window = 1 << 20
  private let block: [UInt8]
  /// Bytes of a value.
  public let size: Int

  /// Values of `size` bytes that follow from the seed.
  public init(seed: UInt64, size: Int) {
    self.size = size
    var random = WorkloadRandom(seed: seed ^ 0x76_616C_7565_73)
    block = (0..<Self.window + size).map { _ in UInt8(truncatingIfNeeded: random.next() >> 56) }
  }

  /// The value of a record, borrowed.
  public func of(_ number: UInt64) -> ArraySlice<UInt8> {
    let first = Int(Workload.mix(number) % UInt64(Self.window))
    return block[first..<first + size]
  }
}
