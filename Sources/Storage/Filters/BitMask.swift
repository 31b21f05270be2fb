/// A fixed number of bits: the answers to a batch of questions. A value; reuse one for many batches and nothing is allocated.
public struct BitMask: Sendable, Hashable {
  /// How many bits there are.
  public let count: Int
  @usableFromInline var words: [UInt64]

  /// `count` bits, all clear. `count` must not be negative.
  public init(count: Int) {
    precondition(count >= 0, "a mask has no negative number of bits")
    self.count = count
    words = [UInt64](repeating: 0, count: count / 64 + (count % 64 == 0 ? 0 : 1))
  }

  /// Bit `index`, which must be in `0..<count`.
  @inlinable
  public subscript(index: Int) -> Bool {
    get {
      precondition(index >= 0 && index < count, "a bit outside the mask")
      return words[index >> 6] >> UInt64(index & 63) & 1 == 1
    }
    set {
      precondition(index >= 0 && index < count, "a bit outside the mask")
      let bit = (1 as UInt64) << UInt64(index & 63)
      words[index >> 6] = newValue ? words[index >> 6] | bit : words[index >> 6] & ~bit
    }
  }

  /// How many bits are set.
  public var setCount: Int { words.reduce(0) { $0 + $1.nonzeroBitCount } }

  /// Sets the first `count` bits to what `bit` says of each; the others stay.
  @inlinable
  @inline(__always)
  mutating func fill(_ count: Int, _ bit: (Int) -> Bool) {
    precondition(count <= self.count, "a mask too short for its answers")
    for first in stride(from: 0, to: count, by: 64) {
      var word: UInt64 = 0
      let last = min(first &+ 64, count)
      for index in first..<last { word |= (bit(index) ? 1 : 0) << UInt64(index & 63) }
      let used = last &- first == 64 ? UInt64.max : (1 << UInt64(last &- first)) &- 1
      words[first >> 6] = words[first >> 6] & ~used | word
    }
  }

  /// Sets the first `count` bits to what `body` writes: whole words, of which no bit behind the last answer is kept. The others stay.
  @inline(__always)
  mutating func fillWords(_ count: Int, _ body: (UnsafeMutablePointer<UInt64>?) -> Void) {
    precondition(count <= self.count, "a mask too short for its answers")
    guard count > 0 else { return }
    let last = (count &- 1) >> 6
    let kept = words[last]
    words.withUnsafeMutableBufferPointer { body($0.baseAddress) }
    // Bits behind the last answer are not this call's.
    if count & 63 != 0 { words[last] |= kept & ~((1 << UInt64(count & 63)) &- 1) }
  }
}
