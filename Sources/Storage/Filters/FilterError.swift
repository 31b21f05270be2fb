/// What can go wrong with a filter. Nothing here is a wrong answer: a caller that cannot read a filter treats every key as "perhaps".
public enum FilterError: Error, Sendable, Hashable {
  /// The caller's mistake: the parameter `name` cannot be `value`. Nothing was made.
  case invalidParameters(name: String, value: String)
  /// The filter would take `bytes` bytes, more than `limit`. No memory was taken. Give fewer bits per key or raise the limit.
  case tooLarge(bytes: UInt64, limit: UInt64)
  /// Two filters that differ in `field` cannot be combined; neither was changed.
  case incompatible(field: String, left: String, right: String)
  /// The item to remove is surely not there; nothing was changed.
  case notPresent
  /// The filter cannot take another item; it was not half-inserted. Make a larger one and add the keys again.
  case full(items: UInt64)
  /// The bytes at `offset` are not what a filter's writer wrote. Treat every key as "perhaps" and build the filter anew.
  case corrupt(reason: String, offset: Int)
  /// A filter this build cannot read: `field` at `offset` is `value`. Treat every key as "perhaps", or use a newer build.
  case unsupported(field: String, value: UInt64, offset: Int)
  /// The filter just built does not hold what was collected for it: memory or processor erred meanwhile. Build it again.
  case damagedWhileBuilding(reason: String)
}

extension FilterError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .invalidParameters(let name, let value): "a filter's \(name) cannot be \(value)"
    case .tooLarge(let bytes, let limit): "the filter would take \(bytes) bytes, above the limit of \(limit); fewer bits per key or a higher limit"
    case .incompatible(let field, let left, let right): "filters of different \(field) cannot be combined: \(left) and \(right)"
    case .notPresent: "the item is not in the filter, so it cannot be removed"
    case .full(let items): "the filter is full with \(items) items; make a larger one and add the keys again"
    case .corrupt(let reason, let offset): "byte \(offset): \(reason); the filter is damaged, every key is perhaps present: build it anew"
    case .unsupported(let field, let value, let offset):
      "byte \(offset): \(field) \(value) is unknown to this build, every key is perhaps present; use a newer build"
    case .damagedWhileBuilding(let reason): "\(reason) while the filter was built: memory or processor erred; build it again"
    }
  }
}
