/// Every workload of a few operations with every placement of syncs, for exhaustive crash testing in a small scope.
///
/// Nearly all known crash bugs of file systems and databases need no more than three operations (ACE, OSDI 2018). The alphabet is
/// usually each operation of an engine on each of two keys.
public struct BoundedWorkloads<Operation: Sendable>: Sequence, Sendable {
  /// One step of a workload.
  public enum Step: Sendable {
    /// One operation of the alphabet.
    case run(Operation)
    /// The caller makes everything so far durable.
    case sync
  }

  /// The operations to choose from.
  public let alphabet: [Operation]
  /// The numbers of operations per workload.
  public let lengths: ClosedRange<Int>

  /// All workloads over an alphabet. Their number is ``count``; it grows as `(2 * alphabet.count) ^ length`.
  public init(_ alphabet: [Operation], lengths: ClosedRange<Int> = 1...3) {
    precondition(lengths.lowerBound >= 0, "a workload has no negative length")
    self.alphabet = alphabet
    self.lengths = lengths
  }

  /// How many workloads there are; `Int.max` where more than that.
  public var count: Int {
    lengths.reduce(0) { total, length in
      var product = 1
      for _ in 0..<length {
        let (next, overflow) = product.multipliedReportingOverflow(by: alphabet.count * 2)
        if overflow { return .max }
        product = next
      }
      let (sum, overflow) = total.addingReportingOverflow(product)
      return overflow ? .max : sum
    }
  }

  /// Shortest workloads first, each in the order of the alphabet; without a sync before with one.
  public func makeIterator() -> AnyIterator<[Step]> {
    let choices = alphabet.count * 2
    var length = lengths.lowerBound
    var digits = Array(repeating: 0, count: length)
    var isDone = alphabet.isEmpty && length > 0
    return AnyIterator {
      guard !isDone else { return nil }
      let steps = digits.flatMap { digit -> [Step] in
        digit % 2 == 0 ? [.run(self.alphabet[digit / 2])] : [.run(self.alphabet[digit / 2]), .sync]
      }
      var place = digits.count - 1
      while place >= 0, digits[place] == choices - 1 {
        digits[place] = 0
        place -= 1
      }
      if place >= 0 {
        digits[place] += 1
      } else if length < self.lengths.upperBound, !self.alphabet.isEmpty {
        length += 1
        digits = Array(repeating: 0, count: length)
      } else {
        isDone = true
      }
      return steps
    }
  }
}
