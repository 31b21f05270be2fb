/// xoshiro256** (Blackman and Vigna, 2018): a fast generator with 256 bits of state whose every draw follows from its seed.
///
/// Everything random in Strata that is not a secret comes from one of these, so that one seed replays a run. It is a value:
/// a copy draws the same numbers.
public struct Random: Sendable, Hashable {
  @usableFromInline var state: (UInt64, UInt64, UInt64, UInt64)

  /// A generator that is a function of `seed` alone.
  public init(seed: UInt64) {
    // SplitMix64, which the authors recommend for seeding: no seed gives an all-zero state.
    var x = seed
    func next() -> UInt64 {
      x &+= 0x9E37_79B9_7F4A_7C15
      var z = x
      z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
      z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
      return z ^ (z >> 31)
    }
    state = (next(), next(), next(), next())
  }

  /// The next 64 random bits.
  @inlinable
  public mutating func next() -> UInt64 {
    let result = rotateLeft(state.1 &* 5, 7) &* 9
    let t = state.1 << 17
    state.2 ^= state.0
    state.3 ^= state.1
    state.1 ^= state.2
    state.0 ^= state.3
    state.2 ^= t
    state.3 = rotateLeft(state.3, 45)
    return result
  }

  /// A number in `0..<bound`, without bias. `bound` must be positive.
  @inlinable
  public mutating func below(_ bound: Int) -> Int {
    precondition(bound > 0, "an empty range has no random member")
    let bound = UInt64(bound)
    // Lemire's multiply-shift with rejection.
    while true {
      let (high, low) = next().multipliedFullWidth(by: bound)
      if low >= (0 &- bound) % bound { return Int(high) }
    }
  }

  /// A number in `range`.
  @inlinable
  public mutating func within(_ range: ClosedRange<Int>) -> Int {
    range.lowerBound + below(range.upperBound - range.lowerBound + 1)
  }

  /// True with the probability `numerator / denominator`.
  @inlinable
  public mutating func chance(_ numerator: Int, in denominator: Int) -> Bool { below(denominator) < numerator }

  /// `count` random bytes.
  public mutating func bytes(_ count: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count)
    while bytes.count < count {
      var word = next()
      for _ in 0..<min(8, count - bytes.count) {
        bytes.append(UInt8(truncatingIfNeeded: word))
        word >>= 8
      }
    }
    return bytes
  }

  /// An independent generator for one concern: the same parent state, label and index give the same child, and drawing from one
  /// child never changes what another draws. The parent does not advance.
  public func fork(_ label: StaticString, _ index: Int = 0) -> Random {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    label.withUTF8Buffer { for byte in $0 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 } }
    var child = Random(seed: state.0 ^ rotateLeft(state.3, 17) ^ hash ^ (UInt64(bitPattern: Int64(index)) &* 0xD6E8_FEB8_6659_FD93))
    _ = child.next()
    return child
  }

  public static func == (a: Random, b: Random) -> Bool { a.state == b.state }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(state.0)
    hasher.combine(state.3)
  }
}

@inlinable
func rotateLeft(_ x: UInt64, _ k: UInt64) -> UInt64 { (x << k) | (x >> (64 - k)) }
