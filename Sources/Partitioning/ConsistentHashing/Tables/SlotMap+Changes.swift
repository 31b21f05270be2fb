extension SlotMap {
  /// One member more, with its share of the slots; no slot moves between the others.
  /// - Throws: as ``HashRing/adding(_:)``; ``PlacementError/invalidParameter(name:value:allowed:)`` while slots are under way.
  public func adding(_ member: Member) throws(PlacementError) -> SlotMap {
    try member.validate()
    let (rank, isPresent) = Member.rank(of: member.id, in: members)
    if isPresent {
      guard members[rank] == member else { throw .nodeExists(member.id) }
      return self
    }
    return try rebalanced(Member.normalized(members + [member]))
  }

  /// Without a member, whose slots go to the others; no other slot moves unless weights are uneven by more than rounding.
  /// - Throws: ``PlacementError/unknownNode(_:)``; ``PlacementError/invalidParameter(name:value:allowed:)`` while slots are under way.
  public func removing(_ id: MemberID) throws(PlacementError) -> SlotMap {
    guard Member.rank(of: id, in: members).isPresent else { throw .unknownNode(id) }
    return try rebalanced(members.filter { $0.id != id })
  }

  /// With another weight of one member.
  /// - Throws: ``PlacementError/unknownNode(_:)``; ``PlacementError/invalidParameter(name:value:allowed:)``, also while slots are under way.
  public func reweighting(_ id: MemberID, _ weight: Double) throws(PlacementError) -> SlotMap {
    let (rank, isPresent) = Member.rank(of: id, in: members)
    guard isPresent else { throw .unknownNode(id) }
    var changed = members
    changed[rank].weight = weight
    try changed[rank].validate()
    return changed == members ? self : try rebalanced(changed)
  }

  /// The fewest moves after which every member has its share of the slots, rounded down or up.
  private func rebalanced(_ changed: [Member]) throws(PlacementError) -> SlotMap {
    guard importers.isEmpty else {
      throw .invalidParameter(name: "slots under way", value: "\(importers.count)", allowed: "none; finish or cancel their moves first")
    }
    try Self.check(slots: slotCount, members: changed.count)
    var owners: [Int?] = self.owners.map { owner in
      let (rank, isPresent) = Member.rank(of: members[Int(owner)].id, in: changed)
      return isPresent ? rank : nil
    }
    if owners.isEmpty { owners = [Int?](repeating: nil, count: slotCount) }
    var surplus = [Int](repeating: 0, count: changed.count)
    for case let owner? in owners { surplus[owner] += 1 }
    for (rank, quota) in Self.quotas(changed, slots: slotCount, current: surplus).enumerated() { surplus[rank] -= quota }
    // Slots without an owner and the last ones of those who have too many, in ascending order to those who have too few.
    for slot in owners.indices.reversed() {
      if let owner = owners[slot], surplus[owner] > 0 {
        surplus[owner] -= 1
        owners[slot] = nil
      }
    }
    var taker = 0
    for slot in owners.indices where owners[slot] == nil && !changed.isEmpty {
      while taker + 1 < changed.count, surplus[taker] >= 0 { taker += 1 }
      surplus[taker] += 1
      owners[slot] = taker
    }
    return SlotMap(
      epoch: epoch &+ 1,  // as in every change
      members: changed, hash: keyHash, slots: slotCount, owners: changed.isEmpty ? [] : owners.map { UInt16($0 ?? 0) }, importers: [:])
  }

  /// How many slots each member should have: its share rounded down, or up where that keeps more slots in place, then where most is cut off.
  static func quotas(_ members: [Member], slots: Int, current: [Int]) -> [Int] {
    let total = members.reduce(0) { $0 + $1.weight }
    let shares = members.map { Double(slots) * $0.weight / total }
    // A share that is whole but for the rounding of its division is whole: it is not cut off, and takes no other's slot.
    let rounding = 1e-6
    var quotas = shares.map { Int(($0 + rounding).rounded(.down)) }
    let left = slots - quotas.reduce(0, +)
    let cuts = members.indices.map { shares[$0] - Double(quotas[$0]) }
    let order = members.indices.sorted { a, b in
      let whole = (cuts[a] < rounding, cuts[b] < rounding)
      if whole.0 != whole.1 { return whole.1 }
      let keeps = (current[a] > quotas[a], current[b] > quotas[b])
      if keeps.0 != keeps.1 { return keeps.0 }
      return cuts[a] != cuts[b] ? cuts[a] > cuts[b] : a < b
    }
    for place in 0..<max(0, left) where !order.isEmpty { quotas[order[place % order.count]] += 1 }
    return quotas
  }
}
