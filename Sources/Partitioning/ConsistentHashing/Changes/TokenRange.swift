/// Positions after `start` up to and with `end`: `(start, end]`. Where `end` is not above `start` the range goes on beyond the largest
/// position at the smallest; equal ends mean all positions.
public struct TokenRange: Sendable, Hashable, Codable {
  /// The last position before the range.
  public var start: UInt64
  /// The last position of the range.
  public var end: UInt64

  /// `(start, end]`.
  public init(start: UInt64, end: UInt64) {
    self.start = start
    self.end = end
  }

  /// Whether `position` lies within.
  @inlinable
  public func contains(_ position: UInt64) -> Bool {
    start < end ? position > start && position <= end : position > start || position <= end
  }

  /// How many positions it has where `lastPosition` is the largest there is: up to 2^64.
  public func length(lastPosition: UInt64) -> UInt128 {
    start < end ? UInt128(end - start) : UInt128(lastPosition) + 1 + UInt128(end) - UInt128(start)
  }
}

extension TokenRange: CustomStringConvertible {
  /// `(3, 17]`.
  public var description: String { "(\(start), \(end)]" }
}
