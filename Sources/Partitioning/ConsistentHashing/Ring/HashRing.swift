/// A consistent hash ring with weighted virtual nodes.
///
/// Every member has tokens on the circle of positions, as many as its weight asks for. A key belongs to the member of the first token that is not
/// below the key's position, and beyond the largest token to the smallest: ranges are `(previous, token]` everywhere, in lookups, in ownership
/// and in plans. Tokens that coincide are ordered by the names of their members; the first has the range. A hashed ring is a function of the set of
/// its members, whatever the order in which they came.
///
/// A value: every change returns another ring with the next epoch. Any thread may ask it.
public struct HashRing: Placement {
  public let epoch: UInt64
  /// The members in ascending order of their names.
  public let members: [Member]
  public let keyHash: KeyHash
  /// Tokens of a member of weight 1.
  public let vnodes: Int
  /// How tokens are found.
  public let allocation: Allocation
  /// How many copies of a key there are meant to be.
  public let replicationFactor: Int
  @usableFromInline let table: TokenTable
  let topology: Topology

  /// Tokens of a member of weight 1 where nothing else is said.
  public static let defaultVnodes = 150

  /// The highest replication factor.
  public static let replicationLimit = 65_535

  /// A ring of `members`, at epoch 1. O(V log V) for V tokens in all.
  /// - Parameters:
  ///   - vnodes: tokens of a member of weight 1, 1...1 000 000; a member of weight w has ⌊w · vnodes⌋, at least one. A balanced allocation
  ///     says its own number.
  ///   - replicationFactor: what ``replicas(_:)`` gives and plans count on.
  /// - Throws: ``PlacementError/invalidParameter(name:value:allowed:)``, ``PlacementError/nodeExists(_:)`` for a member named twice.
  public init(
    members: [Member], vnodes: Int = Self.defaultVnodes, hash: KeyHash = .xxh64, allocation: Allocation = .hashed, replicationFactor: Int = 1
  ) throws(PlacementError) {
    guard (1...1_000_000).contains(vnodes) else {
      throw .invalidParameter(name: "vnodes", value: "\(vnodes)", allowed: "1...1000000")
    }
    guard (1...Self.replicationLimit).contains(replicationFactor) else {
      throw .invalidParameter(name: "replication factor", value: "\(replicationFactor)", allowed: "1...\(Self.replicationLimit)")
    }
    var vnodes = vnodes
    if case .balanced(let tokensPerNode) = allocation.rule {
      guard (1...1_000_000).contains(tokensPerNode) else {
        throw .invalidParameter(name: "tokens per node", value: "\(tokensPerNode)", allowed: "1...1000000")
      }
      vnodes = tokensPerNode
    }
    let sorted = try Member.normalized(members)
    let entries = try Self.tokens(
      of: sorted, vnodes: vnodes, hash: hash, allocation: allocation, replicationFactor: replicationFactor)
    self.init(
      epoch: 1, members: sorted, vnodes: vnodes, hash: hash, allocation: allocation, replicationFactor: replicationFactor, entries: entries)
  }

  /// A ring of parts that fit together: members ascending, entries ascending.
  init(
    epoch: UInt64, members: [Member], vnodes: Int, hash: KeyHash, allocation: Allocation, replicationFactor: Int, entries: [TokenEntry]
  ) {
    self.epoch = epoch
    self.members = members
    self.vnodes = vnodes
    keyHash = hash
    self.allocation = allocation
    self.replicationFactor = replicationFactor
    table = TokenTable(sorted: entries, bits: hash.bits)
    topology = Topology(members)
  }

  // MARK: Lookup

  /// The index in ``members`` of the owner of `position`: one read of the index by its top bits, then one or two tokens; O(log V) at worst.
  @inlinable
  public func primaryIndex(at position: UInt64) throws(PlacementError) -> Int {
    guard table.count > 0 else { throw .empty }
    return Int(table.owners[table.index(at: position)])
  }

  public func fillOwners(_ owners: UnsafeMutableBufferPointer<UInt32>, at position: UInt64, spread: Spread) throws(PlacementError) {
    guard table.count > 0 else { throw .empty }
    guard owners.count <= members.count else { throw .insufficientNodes(need: owners.count, have: members.count) }
    if spread == .nodes || topology.isFlat && (spread == .zonesPreferred || owners.count <= 1) {
      fillDistinct(owners, from: table.index(at: position))
    } else {
      var walk = walk(at: position)
      try topology.spread(over: owners, strict: spread == .zonesStrict) { walk.nextIndex() }
    }
  }

  /// The next distinct owners clockwise. Every member has a token, so there are enough.
  private func fillDistinct(_ owners: UnsafeMutableBufferPointer<UInt32>, from start: Int) {
    var filled = 0
    var index = start
    while filled < owners.count {
      let owner = table.owners[index]
      var isNew = true
      for place in 0..<filled where owners[place] == owner { isNew = false }
      if isNew {
        owners[filled] = owner
        filled += 1
      }
      index = index + 1 == table.count ? 0 : index + 1
    }
  }

  public func walk(at position: UInt64) -> PreferenceWalk {
    PreferenceWalk(members, .ring(table, next: table.count == 0 ? 0 : table.index(at: position), steps: 0))
  }

  /// As many copies of `key` as ``replicationFactor`` says.
  @inlinable
  public func replicas(_ key: borrowing some KeyBytes & ~Escapable) throws(PlacementError) -> [MemberID] {
    try replicas(key, count: replicationFactor)
  }

  public var boundaries: [UInt64]? {
    var ends: [UInt64] = []
    ends.reserveCapacity(table.count)
    for token in table.tokens where ends.last != token { ends.append(token) }
    return ends
  }

  /// All tokens in ascending order with their owners; where some coincide, the first has the range.
  public var tokens: [(token: UInt64, owner: MemberID)] { zip(table.tokens, table.owners).map { ($0, members[Int($1)].id) } }

  /// How many tokens there are.
  public var tokenCount: Int { table.count }

  /// Bytes of memory the tokens and their index take.
  public var tokenBytes: Int { table.padded.count * 8 + table.owners.count * 4 + table.starts.count * 4 }

  /// How many tokens a member has, or `nil` where it is none.
  public func tokenCount(of id: MemberID) -> Int? {
    let (rank, isPresent) = Member.rank(of: id, in: members)
    return isPresent ? table.owners.count { $0 == rank } : nil
  }
}

extension HashRing: Equatable {
  /// The same members, parameters and tokens; the epoch does not count.
  public static func == (a: HashRing, b: HashRing) -> Bool {
    a.members == b.members && a.keyHash == b.keyHash && a.vnodes == b.vnodes && a.allocation == b.allocation
      && a.replicationFactor == b.replicationFactor && a.table == b.table
  }
}
