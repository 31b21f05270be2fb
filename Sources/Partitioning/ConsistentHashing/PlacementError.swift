public import StrataDisk

/// What a placement refuses.
public enum PlacementError: Error, Sendable, Hashable {
  /// A parameter outside its range; the caller's mistake.
  case invalidParameter(name: String, value: String, allowed: String)
  /// Fewer nodes (or zones, in strict spread) than copies asked for. Add nodes or ask for fewer copies.
  case insufficientNodes(need: Int, have: Int)
  /// A lookup in a placement without nodes.
  case empty
  /// A change names a node that is not a member.
  case unknownNode(MemberID)
  /// The node is a member already, with another weight or place.
  case nodeExists(MemberID)
  /// Two placements between which no plan of ranges exists.
  case incompatible(old: String, new: String)
  /// Stored bytes that are damaged; the placement in force stays.
  case corrupt(offset: Int, reason: String)
  /// A version, kind or hash this build does not know. Use a newer build; the placement in force stays.
  case unsupported(field: String, value: Int)
  /// The disk refused.
  case disk(DiskError)
}

extension PlacementError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .invalidParameter(let name, let value, let allowed): "\(name) is \(value); allowed: \(allowed)"
    case .insufficientNodes(let need, let have): "\(need) distinct nodes or zones are needed and \(have) are there; add nodes or ask for fewer copies"
    case .empty: "the placement has no nodes; add one first"
    case .unknownNode(let id): "\(id) is not a member"
    case .nodeExists(let id): "\(id) is a member already; use reweighting to change its weight, or remove it first"
    case .incompatible(let old, let new): "no plan leads from \(old) to \(new); both must divide the same positions of the same hash"
    case .corrupt(let offset, let reason): "byte \(offset): \(reason); the placement in force stays, read another copy"
    case .unsupported(let field, let value): "\(field) \(value) is unknown to this build; use a newer one"
    case .disk(let error): "\(error)"
    }
  }
}
