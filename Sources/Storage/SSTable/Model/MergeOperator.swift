/// How operands written by `merge` fold into a value. Both functions are pure: the same bytes give the same result on every machine and in
/// every version of the program, because compaction applies them at times nobody chooses. Called on any thread.
public protocol MergeOperator: Sendable {
  /// Stored with the keyspace; opening it with an operator of another name is refused.
  var name: String { get }

  /// The value after `operands` (oldest first) are applied to `base` (`nil` where the key did not exist).
  /// - Returns: `nil` where the operands cannot be applied; the key's reader then gets an error and compaction leaves the operands alone.
  func fullMerge(key: RawSpan, base: [UInt8]?, operands: [[UInt8]]) -> [UInt8]?

  /// One operand that does what `operands` (oldest first, at least two) do one after another, or `nil` where there is none.
  func partialMerge(key: RawSpan, operands: [[UInt8]]) -> [UInt8]?
}
