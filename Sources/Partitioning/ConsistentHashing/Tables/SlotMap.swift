/// A fixed number of slots, each with the node that owns it: Dynamo's third strategy, Riak's ring, Redis Cluster's slots.
///
/// A key's slot never changes, only the slot's owner does, by an explicit table that a change moves as little as possible. Further copies are chosen
/// by rendezvous among the other members, so that a node's slots are backed up by all of them. A slot that is being moved has a state: its owner
/// serves what it still has and sends askers for the rest to the importing node.
public struct SlotMap: Placement {
  public let epoch: UInt64
  /// The members in ascending order of their names.
  public let members: [Member]
  public let keyHash: KeyHash
  /// The owner of each slot.
  @usableFromInline let owners: [UInt16]
  @usableFromInline let remainder: Remainder
  /// Slots under way and the rank of the node that imports each, ascending.
  let importers: [UInt32: UInt16]
  let rendezvous: Rendezvous

  /// Redis Cluster's number of slots.
  public static let defaultSlots = CRC16.slotCount
  /// The most slots there may be.
  public static let slotLimit = 1 << 20

  /// Slots shared out in proportion to weights, to each member one stretch, at epoch 1.
  /// - Throws: ``PlacementError/invalidParameter(name:value:allowed:)`` for fewer slots than members, or more than 2^20;
  ///   ``PlacementError/nodeExists(_:)``.
  public init(members: [Member], slots: Int = Self.defaultSlots, hash: KeyHash = .crc16Slot) throws(PlacementError) {
    let sorted = try Member.normalized(members)
    try Self.check(slots: slots, members: sorted.count)
    var owners: [UInt16] = []
    for (rank, count) in Self.quotas(sorted, slots: slots, current: [Int](repeating: 0, count: sorted.count)).enumerated() {
      owners += [UInt16](repeating: UInt16(rank), count: count)
    }
    self.init(epoch: 1, members: sorted, hash: hash, slots: slots, owners: owners, importers: [:])
  }

  init(epoch: UInt64, members: [Member], hash: KeyHash, slots: Int, owners: [UInt16], importers: [UInt32: UInt16]) {
    self.epoch = epoch
    self.members = members
    keyHash = hash
    self.owners = owners
    self.importers = importers
    remainder = Remainder(UInt64(slots))
    rendezvous = Rendezvous(epoch: epoch, members: members, hash: hash)
  }

  static func check(slots: Int, members: Int) throws(PlacementError) {
    guard slots >= max(2, members), slots <= slotLimit else {
      throw .invalidParameter(name: "slots", value: "\(slots)", allowed: "\(max(2, members))...\(slotLimit)")
    }
  }

  /// How many slots there are.
  public var slotCount: Int { Int(remainder.divisor) }

  /// The owner of a slot, or `nil` where there is no such slot or no member.
  public func owner(ofSlot slot: Int) -> MemberID? { owners.indices.contains(slot) ? members[Int(owners[slot])].id : nil }

  /// The slots of a member, ascending.
  public func slots(of id: MemberID) -> [Int] {
    let (rank, isPresent) = Member.rank(of: id, in: members)
    return isPresent ? owners.indices.filter { Int(owners[$0]) == rank } : []
  }

  // MARK: Lookup

  /// The largest slot.
  public var lastPosition: UInt64 { remainder.divisor - 1 }

  /// The slot of a key: its hash modulo the number of slots, which for Redis Cluster's hash and number is its slot there.
  @inlinable
  public func position(of key: borrowing some KeyBytes & ~Escapable) -> UInt64 {
    let hash = keyHash
    let remainder = remainder
    return key.withKeyBytes { remainder.of(hash.position(of: $0)) }
  }

  @inlinable
  public func primaryIndex(at position: UInt64) throws(PlacementError) -> Int {
    guard !owners.isEmpty else { throw .empty }
    let slot = position < remainder.divisor ? position : remainder.of(position)
    return Int(owners[Int(truncatingIfNeeded: slot)])
  }

  public func fillOwners(_ owners: UnsafeMutableBufferPointer<UInt32>, at position: UInt64, spread: Spread) throws(PlacementError) {
    guard !self.owners.isEmpty else { throw .empty }
    guard owners.count <= members.count else { throw .insufficientNodes(need: owners.count, have: members.count) }
    if owners.count == 1 {
      owners[0] = UInt32(self.owners[Int(remainder.of(position))])
    } else {
      try rendezvous.topology.choose(from: order(at: position), into: owners, spread)
    }
  }

  public func walk(at position: UInt64) -> PreferenceWalk { PreferenceWalk(members, .list(order(at: position), next: 0)) }

  private func order(at position: UInt64) -> [UInt32] {
    guard !owners.isEmpty else { return [] }
    let slot = remainder.of(position)
    let owner = UInt32(owners[Int(slot)])
    return [owner] + rendezvous.order(at: slot).filter { $0 != owner }
  }

  /// Every slot: copies beyond the first differ from slot to slot.
  public var boundaries: [UInt64]? { owners.indices.map { UInt64($0) } }
}

extension SlotMap {
  /// Where a key is served.
  public enum Route: Sendable, Hashable {
    /// By the slot's owner (others answer `MOVED slot owner`).
    case owner(MemberID)
    /// The slot is under way: the owner serves what it still has and answers `ASK slot importer` for the rest.
    case migrating(from: MemberID, to: MemberID)
  }

  /// Where `key` is served.
  /// - Throws: ``PlacementError/empty``.
  public func route(_ key: borrowing some KeyBytes & ~Escapable) throws(PlacementError) -> Route {
    let slot = UInt32(position(of: key))
    let owner = members[try primaryIndex(at: UInt64(slot))].id
    return importers[slot].map { .migrating(from: owner, to: members[Int($0)].id) } ?? .owner(owner)
  }

  /// The slots under way with the nodes that import them, ascending.
  public var migrations: [(slot: Int, importer: MemberID)] {
    importers.keys.sorted().map { (Int($0), members[Int(importers[$0] ?? 0)].id) }
  }

  /// Begins to move slots to a member: they stay with their owners, which are migrating, until ``finishing(_:)``.
  /// - Throws: ``PlacementError/unknownNode(_:)``; ``PlacementError/invalidParameter(name:value:allowed:)`` for a slot that is not there, already
  ///   under way, or the member's own.
  public func migrating(_ slots: [Int], to id: MemberID) throws(PlacementError) -> SlotMap {
    let (rank, isPresent) = Member.rank(of: id, in: members)
    guard isPresent else { throw .unknownNode(id) }
    var importers = importers
    for slot in slots {
      guard owners.indices.contains(slot), importers[UInt32(slot)] == nil, Int(owners[slot]) != rank else {
        throw .invalidParameter(name: "slot to move to \(id)", value: "\(slot)", allowed: "a slot of another node that is not under way")
      }
      importers[UInt32(slot)] = UInt16(rank)
    }
    return next(owners, importers)
  }

  /// Ends the move of slots: their importers own them.
  /// - Throws: ``PlacementError/invalidParameter(name:value:allowed:)`` for a slot that is not under way.
  public func finishing(_ slots: [Int]) throws(PlacementError) -> SlotMap { try ending(slots) { owners, slot, importer in owners[slot] = importer } }

  /// Gives up the move of slots: their owners keep them.
  /// - Throws: ``PlacementError/invalidParameter(name:value:allowed:)`` for a slot that is not under way.
  public func cancelling(_ slots: [Int]) throws(PlacementError) -> SlotMap { try ending(slots) { _, _, _ in } }

  private func ending(_ slots: [Int], _ body: (inout [UInt16], Int, UInt16) -> Void) throws(PlacementError) -> SlotMap {
    var owners = owners
    var importers = importers
    for slot in slots {
      guard owners.indices.contains(slot), let importer = importers.removeValue(forKey: UInt32(slot)) else {
        throw .invalidParameter(name: "slot", value: "\(slot)", allowed: "one that is under way")
      }
      body(&owners, slot, importer)
    }
    return next(owners, importers)
  }

  private func next(_ owners: [UInt16], _ importers: [UInt32: UInt16]) -> SlotMap {
    // 2^64 changes do not happen; an epoch read from a disk may wrap all the same.
    SlotMap(epoch: epoch &+ 1, members: members, hash: keyHash, slots: slotCount, owners: owners, importers: importers)
  }
}
