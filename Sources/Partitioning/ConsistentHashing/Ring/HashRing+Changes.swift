extension HashRing {
  /// The ring with one member more: about a share of `1/N` of the keys moves, all of it to the new member. One merge, O(V).
  ///
  /// A member that is there already, unchanged, gives this ring as it is.
  /// - Throws: ``PlacementError/nodeExists(_:)`` where it is there with another weight, zone or rack;
  ///   ``PlacementError/invalidParameter(name:value:allowed:)``.
  public func adding(_ member: Member) throws(PlacementError) -> HashRing {
    try member.validate()
    let (rank, isPresent) = Member.rank(of: member.id, in: members)
    if isPresent {
      guard members[rank] == member else { throw .nodeExists(member.id) }
      return self
    }
    guard members.count < Member.countLimit else {
      throw .invalidParameter(name: "members", value: "\(members.count + 1)", allowed: "at most \(Member.countLimit)")
    }
    var changed = members
    changed.insert(member, at: rank)
    if case .ketama(let dialect) = allocation.rule { return next(changed, try Ketama.tokens(of: changed, dialect).sorted()) }
    // Ranks from the newcomer's on rise by one, which keeps coinciding tokens in the order of names.
    var older = table.entries
    for index in older.indices where older[index].owner >= rank { older[index].owner += 1 }
    return next(changed, try placing(member, rank: rank, among: older, changed))
  }

  /// The ring without a member: only its keys move. O(V).
  /// - Throws: ``PlacementError/unknownNode(_:)``.
  public func removing(_ id: MemberID) throws(PlacementError) -> HashRing {
    let (rank, isPresent) = Member.rank(of: id, in: members)
    guard isPresent else { throw .unknownNode(id) }
    var changed = members
    changed.remove(at: rank)
    if case .ketama(let dialect) = allocation.rule { return next(changed, try Ketama.tokens(of: changed, dialect).sorted()) }
    var entries: [TokenEntry] = []
    entries.reserveCapacity(table.count)
    for entry in table.entries where entry.owner != rank {
      entries.append(TokenEntry(token: entry.token, owner: entry.owner > rank ? entry.owner - 1 : entry.owner))
    }
    return next(changed, entries)
  }

  /// The ring with another weight of one member: keys move only to it (a higher weight) or only from it (a lower one). O(V).
  ///
  /// The weight it has already gives this ring as it is.
  /// - Throws: ``PlacementError/unknownNode(_:)``, ``PlacementError/invalidParameter(name:value:allowed:)``.
  public func reweighting(_ id: MemberID, _ weight: Double) throws(PlacementError) -> HashRing {
    let (rank, isPresent) = Member.rank(of: id, in: members)
    guard isPresent else { throw .unknownNode(id) }
    var member = members[rank]
    guard member.weight != weight else { return self }
    member.weight = weight
    try member.validate()
    var changed = members
    changed[rank] = member
    switch allocation.rule {
    case .ketama(let dialect): return next(changed, try Ketama.tokens(of: changed, dialect).sorted())
    case .balanced:
      // Its tokens stay or go one by one: what it keeps it need not copy.
      let count = try Self.tokenCount(weight: weight, vnodes: vnodes)
      let present = table.owners.count { $0 == rank }
      if count > present { return next(changed, try placing(member, rank: rank, among: table.entries, changed)) }
      var layout = BalancedLayout(table.entries, changed, replicas: replicationFactor, lastPosition: lastPosition)
      layout.remove(present - count, of: UInt32(rank))
      return next(changed, layout.entries)
    case .hashed, .envoy:
      return next(changed, try placing(member, rank: rank, among: table.entries.filter { $0.owner != rank }, changed))
    }
  }

  /// The entries with those that `member` lacks, ascending.
  private func placing(
    _ member: Member, rank: Int, among entries: [TokenEntry], _ members: [Member]
  ) throws(PlacementError) -> [TokenEntry] {
    let count = try Self.tokenCount(weight: member.weight, vnodes: vnodes)
    guard entries.count + count <= TokenTable.countLimit else {
      throw .invalidParameter(name: "tokens", value: "\(entries.count + count)", allowed: "at most \(TokenTable.countLimit) in all")
    }
    if case .balanced = allocation.rule {
      var layout = BalancedLayout(entries, members, replicas: replicationFactor, lastPosition: lastPosition)
      layout.add(count - entries.count { $0.owner == rank }, of: UInt32(rank))
      return layout.entries
    }
    var newer: [TokenEntry] = []
    newer.reserveCapacity(count)
    Self.appendNamed(member.id, rank: rank, count: count, hash: keyHash, allocation: allocation, to: &newer)
    newer.sort()
    return TokenTable.merge(entries, newer)
  }

  private func next(_ members: [Member], _ entries: [TokenEntry]) -> HashRing {
    HashRing(
      epoch: epoch &+ 1,  // 2^64 changes do not happen; bytes that claim so must not trap
      members: members, vnodes: vnodes, hash: keyHash, allocation: allocation, replicationFactor: replicationFactor, entries: entries)
  }
}
