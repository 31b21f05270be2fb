import StrataBytes

/// Rendezvous hashing (Thaler and Ravishankar, "Using name-based mappings to increase hit rates", 1998): every node bids for every key, the
/// highest bids hold it. With weights the bid is `-weight / ln(u)` of a number u in (0, 1) that key and node give.
///
/// O(nodes) a lookup: for up to about a hundred. No tables; the most even of all placements; a change moves only the keys of the node it is about.
/// The logarithm is computed with basic operations alone, so that every machine rounds alike.
public struct Rendezvous: Placement {
  public let epoch: UInt64
  /// The members in ascending order of their names.
  public let members: [Member]
  public let keyHash: KeyHash
  /// Two numbers of each node: what a key is mixed with and what it is multiplied by (odd).
  let seeds: [(UInt64, UInt64)]
  /// Nodes of the same weight, whose highest number makes the highest bid.
  let classes: [(weight: Double, nodes: [Int])]
  let topology: Topology

  /// A placement over `members`, at epoch 1.
  /// - Throws: ``PlacementError/invalidParameter(name:value:allowed:)``, ``PlacementError/nodeExists(_:)``.
  public init(members: [Member], hash: KeyHash = .xxh64) throws(PlacementError) {
    self.init(epoch: 1, members: try Member.normalized(members), hash: hash)
  }

  /// A placement of members in ascending order.
  init(epoch: UInt64, members: [Member], hash: KeyHash) {
    self.epoch = epoch
    self.members = members
    keyHash = hash
    seeds = members.map { member in
      let name = Array(member.id.name.utf8)
      return (StrataBytes.xxh64(name.span.bytes), StrataBytes.xxh64(name.span.bytes, seed: 1) | 1)
    }
    var classes: [(weight: Double, nodes: [Int])] = []
    for (index, member) in members.enumerated() {
      if let place = classes.firstIndex(where: { $0.weight == member.weight }) {
        classes[place].nodes.append(index)
      } else {
        classes.append((member.weight, [index]))
      }
    }
    self.classes = classes
    topology = Topology(members)
  }

  /// One node more: only keys it outbids the others for move, to it.
  /// - Throws: as ``HashRing/adding(_:)``.
  public func adding(_ member: Member) throws(PlacementError) -> Rendezvous {
    try member.validate()
    let (rank, isPresent) = Member.rank(of: member.id, in: members)
    if isPresent {
      guard members[rank] == member else { throw .nodeExists(member.id) }
      return self
    }
    // 2^64 changes do not happen; an epoch read from a disk may wrap all the same.
    return Rendezvous(epoch: epoch &+ 1, members: try Member.normalized(members + [member]), hash: keyHash)
  }

  /// Without a node: only its keys move.
  /// - Throws: ``PlacementError/unknownNode(_:)``.
  public func removing(_ id: MemberID) throws(PlacementError) -> Rendezvous {
    guard Member.rank(of: id, in: members).isPresent else { throw .unknownNode(id) }
    return Rendezvous(epoch: epoch &+ 1, members: members.filter { $0.id != id }, hash: keyHash)  // as above
  }

  /// The number of a node for a key: both halves of a product in which every bit of either counts.
  @inline(__always)
  private static func number(_ position: UInt64, _ seed: (UInt64, UInt64)) -> UInt64 {
    let product = (position ^ seed.0).multipliedFullWidth(by: seed.1)
    return product.high ^ product.low
  }

  public func primaryIndex(at position: UInt64) throws(PlacementError) -> Int {
    guard !members.isEmpty else { throw .empty }
    let key = Murmur.finish(position)
    if classes.count == 1 { return highest(key) }
    var best = Bid(score: -1, number: 0, node: 0)
    for group in classes {
      var highest: UInt64 = 0
      var node = group.nodes[0]
      for index in group.nodes {
        let number = Self.number(key, seeds[index])
        if number > highest {
          highest = number
          node = index
        }
      }
      let bid = Bid(score: Self.score(highest, group.weight), number: highest, node: UInt32(node))
      if bid.precedes(best) { best = bid }
    }
    return Int(best.node)
  }

  /// The node of the highest number; where all weights are equal, its bid is the highest. Of equal numbers the first node's counts.
  private func highest(_ key: UInt64) -> Int {
    seeds.withUnsafeBufferPointer { seeds in
      // Nodes of even and odd index side by side: neither maximum waits for the other.
      var even = (number: UInt64(0), node: 0)
      var odd = (number: UInt64(0), node: 1)
      var index = 0
      while index &+ 1 < seeds.count {
        let (first, second) = (Self.number(key, seeds[index]), Self.number(key, seeds[index &+ 1]))
        even.node = first > even.number ? index : even.node
        even.number = first > even.number ? first : even.number
        odd.node = second > odd.number ? index &+ 1 : odd.node
        odd.number = second > odd.number ? second : odd.number
        index &+= 2
      }
      if index < seeds.count {
        let last = Self.number(key, seeds[index])
        if last > even.number { even = (last, index) }
      }
      let isOdd = odd.number > even.number || (odd.number == even.number && odd.node < even.node)
      return isOdd ? odd.node : even.node
    }
  }

  private struct Bid {
    var score: Double
    var number: UInt64
    var node: UInt32

    /// Higher scores first; rounding may make scores of different numbers equal.
    func precedes(_ other: Bid) -> Bool {
      score != other.score ? score > other.score : number != other.number ? number > other.number : node < other.node
    }
  }

  /// `-weight / ln(u)` with u the middle of one of 2^52 equal parts of (0, 1).
  private static func score(_ number: UInt64, _ weight: Double) -> Double {
    weight / -naturalLogarithm((Double(number >> 12) + 0.5) * 0x1p-52)
  }

  /// ln of a positive number below 1, by basic operations alone: the exponent, and the series of artanh for the rest.
  static func naturalLogarithm(_ value: Double) -> Double {
    var exponent = Double(value.exponent)
    var m = value.significand
    if m > 1.414_213_562_373_095 {
      m *= 0.5
      exponent += 1
    }
    let t = (m - 1) / (m + 1)
    let square = t * t
    var sum = 0.0
    var k = 23.0
    while k >= 1 {
      sum = sum * square + 1 / k
      k -= 2
    }
    return exponent * 0.693_147_180_559_945_3 + 2 * t * sum
  }

  /// All nodes, the highest bid first.
  func order(at position: UInt64) -> [UInt32] {
    let key = Murmur.finish(position)
    let bids = members.indices.map { index in
      let number = Self.number(key, seeds[index])
      return Bid(score: classes.count == 1 ? 0 : Self.score(number, members[index].weight), number: number, node: UInt32(index))
    }
    return bids.sorted { $0.precedes($1) }.map(\.node)
  }

  public func fillOwners(_ owners: UnsafeMutableBufferPointer<UInt32>, at position: UInt64, spread: Spread) throws(PlacementError) {
    guard !members.isEmpty else { throw .empty }
    guard owners.count <= members.count else { throw .insufficientNodes(need: owners.count, have: members.count) }
    try topology.choose(from: order(at: position), into: owners, spread)
  }

  public func walk(at position: UInt64) -> PreferenceWalk { PreferenceWalk(members, .list(order(at: position), next: 0)) }

  /// Every key is placed on its own.
  public var boundaries: [UInt64]? { nil }
}
