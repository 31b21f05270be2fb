/// Exactly what must be copied where so that every key has its new owners, all replicas considered.
///
/// Moves are in ascending order of the ends of their ranges, then of their destinations; ranges of one destination do not overlap and are as
/// long as can be. A plan moves nothing itself: it is carried out by copying each range from one of its sources to the destination and, once the
/// new placement is in force, dropping the range at the node it replaces.
public struct TransferPlan: Sendable, Hashable, Codable {
  /// One range that a node must get.
  public struct Move: Sendable, Hashable, Codable {
    /// The positions.
    public var range: TokenRange
    /// Who has them under the old placement, in order of preference.
    public var sources: [MemberID]
    /// Who holds them under the new placement and has not had them.
    public var destination: MemberID
    /// Who had them and does not hold them any more: its copy may go once the new placement is in force.
    public var replaces: MemberID
    /// Why it moves.
    public var reason: Reason

    public init(range: TokenRange, sources: [MemberID], destination: MemberID, replaces: MemberID, reason: Reason) {
      self.range = range
      self.sources = sources
      self.destination = destination
      self.replaces = replaces
      self.reason = reason
    }
  }

  /// Why a range moves.
  public enum Reason: UInt8, Sendable, Hashable, Codable {
    /// The destination's share has grown; the node it replaces stays a member.
    case gain = 1
    /// The node it replaces is no member any more.
    case loss = 2
  }

  /// What gives keys the positions the ranges speak of.
  public var keyHash: KeyHash
  /// The largest position there is; the ranges lie on the circle of 0 up to it.
  public var lastPosition: UInt64
  /// The epoch the plan leads from.
  public var oldEpoch: UInt64
  /// The epoch it leads to.
  public var newEpoch: UInt64
  /// How many copies every key has.
  public var replicas: Int
  /// The moves.
  public var moves: [Move]
  /// What is copied in all, as a share of the data counted once: replicas may make it more than 1.
  public var bytesShare: Double

  /// The plan that leads from `old` to `new` when every key has `replicas` copies.
  ///
  /// O(B · replicas) for B ranges of either; the same placements give the same plan.
  /// - Throws: ``PlacementError/incompatible(old:new:)`` between different hashes or numbers of positions, or where either places every key on its
  ///   own and so has no ranges; ``PlacementError/insufficientNodes(need:have:)`` where either has fewer nodes than `replicas`.
  public static func between(
    _ old: some Placement, _ new: some Placement, replicas: Int = 1, spread: Spread = .zonesPreferred
  ) throws(PlacementError) -> TransferPlan {
    guard replicas >= 1 else { throw .invalidParameter(name: "replicas", value: "\(replicas)", allowed: "1 or more") }
    guard let oldEnds = old.boundaries, let newEnds = new.boundaries, old.keyHash == new.keyHash, old.lastPosition == new.lastPosition
    else { throw .incompatible(old: describe(old), new: describe(new)) }
    for placement in [old.members.count, new.members.count] where placement < replicas {
      throw .insufficientNodes(need: replicas, have: placement)
    }
    var survey = PlanSurvey(old.members, new.members, replicas: replicas, lastPosition: old.lastPosition)
    var i = 0
    var j = 0
    while i < oldEnds.count || j < newEnds.count {
      let end = min(i < oldEnds.count ? oldEnds[i] : .max, j < newEnds.count ? newEnds[j] : .max)
      if i < oldEnds.count, oldEnds[i] == end { i += 1 }
      if j < newEnds.count, newEnds[j] == end { j += 1 }
      try survey.look(at: end, old, new, spread)
    }
    let moves = survey.finish()
    return TransferPlan(
      keyHash: old.keyHash, lastPosition: old.lastPosition, oldEpoch: old.epoch, newEpoch: new.epoch, replicas: replicas, moves: moves.moves,
      bytesShare: moves.share)
  }

  private static func describe(_ placement: some Placement) -> String {
    let kind = "\(type(of: placement)) by \(placement.keyHash) over positions 0...\(placement.lastPosition)"
    return placement.boundaries == nil ? kind + " without ranges" : kind
  }
}
