// Consistent hashing: which nodes hold a key, and what must move when the nodes change.
//
//   key ── KeyHash ──► position ── ring, slots, jump, rendezvous, Maglev ──► owners in order of preference
//   placement, placement ── TransferPlan ──► ranges of positions that others copy
//
// A placement is a value: a change gives a new one with the next epoch. Nothing here moves data, reads a clock or draws a random number.

/// A rule that says which nodes hold a key.
///
/// A value; any thread may ask it. The same key gives the same nodes in every process, on every machine and in every version of Swift.
public protocol Placement: Sendable {
  /// Counts the changes; a placement made from another one has a higher epoch.
  var epoch: UInt64 { get }

  /// The nodes; owners are told as indices of this array.
  var members: [Member] { get }

  /// What gives a key its position.
  var keyHash: KeyHash { get }

  /// The largest position a key can have; the smallest is 0.
  var lastPosition: UInt64 { get }

  /// The position of a key, O(length).
  func position(of key: borrowing some KeyBytes & ~Escapable) -> UInt64

  /// The index in ``members`` of the node that holds the keys at `position` first.
  /// - Throws: ``PlacementError/empty``.
  func primaryIndex(at position: UInt64) throws(PlacementError) -> Int

  /// Fills `owners` with the indices of as many distinct nodes, in order of preference, the primary first.
  /// - Throws: ``PlacementError/insufficientNodes(need:have:)``, never a short list; ``PlacementError/empty``.
  func fillOwners(_ owners: UnsafeMutableBufferPointer<UInt32>, at position: UInt64, spread: Spread) throws(PlacementError)

  /// All nodes that hold anything, in the order in which they stand in for each other at `position`.
  func walk(at position: UInt64) -> PreferenceWalk

  /// The last positions of the ranges within which all keys have the same owners, ascending; `nil` where a placement has no ranges
  /// (every key is placed on its own). Range i is `(boundary i-1, boundary i]`, the first begins after the last.
  var boundaries: [UInt64]? { get }
}

extension Placement {
  /// The position of a key, O(length).
  @inlinable
  @inline(__always)
  public func position(of key: borrowing some KeyBytes & ~Escapable) -> UInt64 {
    let hash = keyHash
    return key.withKeyBytes { hash.position(of: $0) }
  }

  /// The largest position a key can have.
  public var lastPosition: UInt64 { keyHash.lastPosition }

  /// The node that holds `key` first. Takes no memory.
  /// - Throws: ``PlacementError/empty``.
  @inlinable
  public func primary(_ key: borrowing some KeyBytes & ~Escapable) throws(PlacementError) -> MemberID {
    members[try primaryIndex(at: position(of: key))].id
  }

  /// The `count` distinct nodes that hold `key`, in order of preference; the first is ``primary(_:)``.
  /// - Throws: ``PlacementError/insufficientNodes(need:have:)`` where there are fewer nodes (in strict spread: zones), never a short list.
  @inlinable
  public func replicas(
    _ key: borrowing some KeyBytes & ~Escapable, count: Int, spread: Spread = .zonesPreferred
  ) throws(PlacementError) -> [MemberID] {
    try replicas(at: position(of: key), count: count, spread: spread)
  }

  /// As ``replicas(_:count:spread:)`` for a position.
  public func replicas(at position: UInt64, count: Int, spread: Spread = .zonesPreferred) throws(PlacementError) -> [MemberID] {
    guard count >= 1 else { throw .invalidParameter(name: "count of replicas", value: "\(count)", allowed: "1 or more") }
    let members = members
    guard !members.isEmpty else { throw .empty }
    guard count <= members.count else { throw .insufficientNodes(need: count, have: members.count) }
    var failure: PlacementError?
    let nodes = withUnsafeTemporaryAllocation(of: UInt32.self, capacity: count) { owners in
      owners.initialize(repeating: 0)
      do throws(PlacementError) { try fillOwners(owners, at: position, spread: spread) } catch {
        failure = error
        return [MemberID]()
      }
      return [MemberID](unsafeUninitializedCapacity: count) { target, initialized in
        for place in 0..<count { target.initializeElement(at: place, to: members[Int(owners[place])].id) }
        initialized = count
      }
    }
    if let failure { throw failure }
    return nodes
  }

  /// As ``replicas(_:count:spread:)`` in preferred spread, and whether every copy has a zone of its own.
  public func preferenceList(_ key: borrowing some KeyBytes & ~Escapable, count: Int) throws(PlacementError) -> PreferenceList {
    let nodes = try replicas(key, count: count)
    var zones: Set<[UInt8]?> = []
    for node in nodes {
      let (rank, isPresent) = Member.rank(of: node, in: members)
      let member = isPresent ? members[rank] : members.first { $0.id == node }
      zones.insert((member?.zone).map { Array($0.utf8) })
    }
    return PreferenceList(nodes: nodes, isDegraded: zones.count < nodes.count)
  }

  /// All nodes that hold anything, each once, in the order in which they stand in for each other for `key`: handoff goes to the first
  /// that is not among the key's replicas. Zones do not change this order.
  @inlinable
  public func walk(_ key: borrowing some KeyBytes & ~Escapable) -> PreferenceWalk { walk(at: position(of: key)) }

  /// How many of `keys` each node holds first; nodes without any are there with 0.
  public func keyDistribution<Keys: Sequence>(_ keys: Keys) throws(PlacementError) -> [MemberID: Int] where Keys.Element: KeyBytes {
    var counts = [Int](repeating: 0, count: members.count)
    for key in keys { counts[try primaryIndex(at: position(of: key))] += 1 }
    var result: [MemberID: Int] = [:]
    for (member, count) in zip(members, counts) { result[member.id] = count }
    return result
  }
}

/// The nodes of a placement in order of preference at one position, each once.
public struct PreferenceWalk: Sequence, IteratorProtocol, Sendable {
  enum Order: Sendable {
    /// Along a ring from the token of this index on.
    case ring(TokenTable, next: Int, steps: Int)
    /// As listed.
    case list([UInt32], next: Int)
  }

  let members: [Member]
  var order: Order
  var seen: [Bool]
  /// How many nodes have been given.
  var given = 0

  /// Whether every node has been given.
  var isAtEnd: Bool { given == members.count }

  init(_ members: [Member], _ order: Order) {
    self.members = members
    self.order = order
    seen = [Bool](repeating: false, count: members.count)
  }

  /// The next node, or `nil` after the last.
  public mutating func next() -> MemberID? { nextIndex().map { members[Int($0)].id } }

  mutating func nextIndex() -> UInt32? {
    switch order {
    case .ring(let table, var next, var steps):
      while steps < table.count {
        let owner = table.owners[next]
        next = next + 1 == table.count ? 0 : next + 1
        steps += 1
        if !seen[Int(owner)] {
          seen[Int(owner)] = true
          given += 1
          order = .ring(table, next: next, steps: steps)
          return owner
        }
      }
      order = .ring(table, next: next, steps: steps)
      return nil
    case .list(let list, let next):
      guard next < list.count else { return nil }
      order = .list(list, next: next + 1)
      given += 1
      return list[next]
    }
  }
}
