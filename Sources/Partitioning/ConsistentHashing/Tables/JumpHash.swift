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
  @usableFromInline let steps: JumpSteps
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
    steps = JumpSteps(buckets: members.count)
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
    return steps.bucket(position)
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
      let bucket = steps.bucket(number)
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

/// ``JumpHash/bucket(_:buckets:)`` for one number of buckets, in integers.
///
/// A step of the published function waits for a multiplication, a rounding down and a conversion back; here it waits for one multiplication. The
/// quotient 2^31 / k is taken times 2^f, so that (bucket + 1) times it, shifted by 64 - f beforehand, has the next bucket in its upper word and what
/// was rounded away in its lower one. Where that fraction is so near to a whole number that the published function may have rounded to the other
/// side, the published function is asked.
@usableFromInline
struct JumpSteps: Sendable, Hashable {
  /// 0 where there are too many: then the published function is asked at once.
  @usableFromInline let buckets: UInt64
  @usableFromInline let total: Int
  @usableFromInline let shift: UInt64
  /// 2^(31 + f), and 2^62, which no quotient needs to exceed: one bucket times it is beyond the last.
  @usableFromInline let numerator: Double
  @usableFromInline let limit: Double
  /// How much of a fraction's 64 bits may be wrong: the quotient and the product of the published function are each rounded to 53 bits, and the
  /// quotient here to f behind the point; both count times the bucket.
  @usableFromInline let margin: UInt64

  /// As many buckets as are counted in `bitsLimit` bits are taken so; with more, most numbers would have to be asked for twice.
  init(buckets: Int, bitsLimit: Int = 20) {
    let bits = Int.bitWidth - buckets.leadingZeroBitCount
    let fraction = UInt64(62 - min(bits, bitsLimit))
    self.buckets = bits <= bitsLimit ? UInt64(buckets) : 0
    total = buckets
    shift = 64 - fraction
    numerator = 2_147_483_648.0 * Double(UInt64(1) << fraction)
    limit = 0x1p62
    margin = 1 << max(2 * (62 - fraction) + 4, 62 - fraction + 13)
  }

  @inlinable
  func bucket(_ number: UInt64) -> Int {
    guard buckets != 0 else { return JumpHash.bucket(number, buckets: total) }
    var key = number
    var bucket: UInt64 = 0
    var next: UInt64 = 0
    var nearest = UInt64.max
    while next < buckets {
      bucket = next
      key = key &* 2_862_933_555_777_941_757 &+ 1
      let quotient = min(numerator / Double(Int64(bitPattern: (key >> 33) &+ 1)), limit)
      let product = ((bucket &+ 1) &<< shift).multipliedFullWidth(by: UInt64(bitPattern: Int64(quotient)))
      // Wraps where the fraction is just below 1, so that both neighbourhoods of a whole number come out small.
      nearest = min(nearest, product.low &+ margin)
      next = product.high
    }
    return nearest < margin &<< 1 ? JumpHash.bucket(number, buckets: total) : Int(truncatingIfNeeded: bucket)
  }
}
