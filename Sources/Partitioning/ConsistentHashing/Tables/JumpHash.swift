/// Jump consistent hashing (Lamping and Veach, "A Fast, Minimal Memory, Consistent Hash Algorithm", 2014): numbered buckets, no table.
///
/// For shards that are only ever added or removed at the end; any other change needs another placement. A key moves only to the bucket added last,
/// or from the one removed last. The buckets are those of Guava's `Hashing.consistentHash` and ClickHouse's `jumpConsistentHash` for the same
/// 64-bit number. All weights are 1.
public struct JumpHash: Placement {
  public let epoch: UInt64
  /// The members; a member's index is its bucket.
  public let members: [Member]
  public let keyHash: KeyHash
  let topology: Topology

  /// Buckets in the order given.
  /// - Throws: ``PlacementError/nodeExists(_:)``, ``PlacementError/invalidParameter(name:value:allowed:)`` for weights other than 1.
  public init(members: [Member], hash: KeyHash = .xxh64) throws(PlacementError) { try self.init(epoch: 1, members: members, hash: hash) }

  init(epoch: UInt64, members: [Member], hash: KeyHash) throws(PlacementError) {
    _ = try Member.normalized(members)
    for member in members where member.weight != 1 {
      throw .invalidParameter(name: "weight of \(member.id)", value: "\(member.weight)", allowed: "1 in jump hashing")
    }
    self.epoch = epoch
    self.members = members
    keyHash = hash
    topology = Topology(members)
  }

  /// The bucket of a 64-bit number among `buckets`, which must be 1 or more: about ln(buckets) steps.
  ///
  /// The multiplication is modulo 2^64 by definition; the quotient is below `buckets` when it is used, so it fits.
  @inlinable
  public static func bucket(_ number: UInt64, buckets: Int) -> Int {
    var key = number
    var bucket = 0
    var next = 0.0
    let count = Double(buckets)
    while next < count {
      bucket = Int(next)
      key = key &* 2_862_933_555_777_941_757 &+ 1
      next = Double(bucket &+ 1) * (2_147_483_648.0 / Double(Int64(bitPattern: (key >> 33) &+ 1)))
    }
    return bucket
  }

  /// One bucket more, at the end.
  public func adding(_ member: Member) throws(PlacementError) -> JumpHash {
    if let present = members.first(where: { $0.id == member.id }) {
      guard present == member else { throw .nodeExists(member.id) }
      return self
    }
    return try JumpHash(epoch: epoch &+ 1, members: members + [member], hash: keyHash)  // as in every placement, 2^64 changes do not happen
  }

  /// Without the last bucket.
  /// - Throws: ``PlacementError/empty``.
  public func removingLast() throws(PlacementError) -> JumpHash {
    guard !members.isEmpty else { throw .empty }
    return try JumpHash(epoch: epoch &+ 1, members: members.dropLast(), hash: keyHash)  // as above
  }

  @inlinable
  public func primaryIndex(at position: UInt64) throws(PlacementError) -> Int {
    guard !members.isEmpty else { throw .empty }
    return Self.bucket(position, buckets: members.count)
  }

  public func fillOwners(_ owners: UnsafeMutableBufferPointer<UInt32>, at position: UInt64, spread: Spread) throws(PlacementError) {
    guard !members.isEmpty else { throw .empty }
    guard owners.count <= members.count else { throw .insufficientNodes(need: owners.count, have: members.count) }
    let order = order(at: position, atLeast: spread == .nodes || topology.isFlat ? owners.count : members.count)
    try topology.choose(from: order, into: owners, spread)
  }

  public func walk(at position: UInt64) -> PreferenceWalk {
    PreferenceWalk(members, .list(order(at: position, atLeast: members.count), next: 0))
  }

  /// Distinct buckets: of the number itself, then of numbers drawn from it; where those keep meeting the same buckets, the rest in ascending order.
  private func order(at position: UInt64, atLeast count: Int) -> [UInt32] {
    guard !members.isEmpty else { return [] }
    var seen = [Bool](repeating: false, count: members.count)
    var order: [UInt32] = []
    var number = position
    var attempts = 0
    while order.count < count, attempts < 16 * members.count + 64 {
      let bucket = Self.bucket(number, buckets: members.count)
      if !seen[bucket] {
        seen[bucket] = true
        order.append(UInt32(bucket))
      }
      attempts += 1
      number = Murmur.finish(position &+ UInt64(attempts) &* 0x9E37_79B9_7F4A_7C15)  // wraps: any number will do
    }
    if order.count < count { order += seen.indices.filter { !seen[$0] }.map { UInt32($0) } }
    return order
  }

  /// Every key is placed on its own.
  public var boundaries: [UInt64]? { nil }
}
