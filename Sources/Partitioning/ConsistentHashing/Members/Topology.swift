/// Zones and racks of the members, numbered; how copies are spread over them.
struct Topology: Sendable, Hashable {
  let zoneOf: [UInt32]
  let rackOf: [UInt32]
  /// The zone of each rack.
  let zoneOfRack: [UInt32]
  let zoneSizes: [Int]
  let rackSizes: [Int]

  init(_ members: [Member]) {
    struct Place: Hashable {
      var zone: [UInt8]?
      var rack: [UInt8]?
    }
    // Numbered in the order of the members, so that equal sets give equal numbers. Names are told apart by their bytes.
    var zones: [[UInt8]?: UInt32] = [:]
    var racks: [Place: UInt32] = [:]
    var zoneOf: [UInt32] = []
    var rackOf: [UInt32] = []
    var zoneOfRack: [UInt32] = []
    var zoneSizes: [Int] = []
    var rackSizes: [Int] = []
    for member in members {
      let zoneName = member.zone.map { Array($0.utf8) }
      let place = Place(zone: zoneName, rack: member.rack.map { Array($0.utf8) })
      let zone = zones[zoneName] ?? UInt32(zoneSizes.count)
      if zone == zoneSizes.count {
        zones[zoneName] = zone
        zoneSizes.append(0)
      }
      let rack = racks[place] ?? UInt32(rackSizes.count)
      if rack == rackSizes.count {
        racks[place] = rack
        rackSizes.append(0)
        zoneOfRack.append(zone)
      }
      zoneSizes[Int(zone)] += 1
      rackSizes[Int(rack)] += 1
      zoneOf.append(zone)
      rackOf.append(rack)
    }
    self.zoneOf = zoneOf
    self.rackOf = rackOf
    self.zoneOfRack = zoneOfRack
    self.zoneSizes = zoneSizes
    self.rackSizes = rackSizes
  }

  var zoneCount: Int { zoneSizes.count }

  /// Whether all nodes stand in one rack of one zone, so that any distinct nodes are spread as well as can be.
  var isFlat: Bool { rackSizes.count <= 1 }

  /// Chooses from an order of preference that has every node once, or as many as are wanted where spread does not matter.
  func choose(from order: [UInt32], into owners: UnsafeMutableBufferPointer<UInt32>, _ spread: Spread) throws(PlacementError) {
    if spread == .nodes || isFlat && (spread == .zonesPreferred || owners.count <= 1) {
      for place in owners.indices { owners[place] = order[place] }
    } else {
      var next = order.makeIterator()
      try self.spread(over: owners, strict: spread == .zonesStrict) { next.next() }
    }
  }

  /// Chooses `owners.count` distinct nodes from an order of preference: each next one the first, in that order, of the zone that has the fewest
  /// copies, and there of the rack that has the fewest. The first of the order is always the first chosen.
  ///
  /// `next` gives every node once. Strict spread demands a zone of its own for each copy.
  func spread(over owners: UnsafeMutableBufferPointer<UInt32>, strict: Bool, next: () -> UInt32?) throws(PlacementError) {
    if strict, zoneCount < owners.count { throw .insufficientNodes(need: owners.count, have: zoneCount) }
    var waiting: [UInt32] = []
    var copiesOfZone = [Int](repeating: 0, count: zoneSizes.count)
    var copiesOfRack = [Int](repeating: 0, count: rackSizes.count)
    func rank(_ node: UInt32) -> (Int, Int) { (copiesOfZone[Int(zoneOf[Int(node)])], copiesOfRack[Int(rackOf[Int(node)])]) }
    for place in owners.indices {
      let best = bestRank(copiesOfZone, copiesOfRack)
      var chosen = waiting.firstIndex { rank($0) == best }
      while chosen == nil, let node = next() {
        waiting.append(node)
        if rank(node) == best { chosen = waiting.count - 1 }
      }
      guard let chosen else { throw .insufficientNodes(need: owners.count, have: place) }
      let node = waiting.remove(at: chosen)
      owners[place] = node
      copiesOfZone[Int(zoneOf[Int(node)])] += 1
      copiesOfRack[Int(rackOf[Int(node)])] += 1
    }
  }

  /// The fewest copies in a zone that has nodes left, and the fewest in such a zone's rack that has.
  private func bestRank(_ copiesOfZone: [Int], _ copiesOfRack: [Int]) -> (Int, Int) {
    var best = (Int.max, Int.max)
    for rack in rackSizes.indices where copiesOfRack[rack] < rackSizes[rack] {
      let rank = (copiesOfZone[Int(zoneOfRack[rack])], copiesOfRack[rack])
      if rank < best { best = rank }
    }
    return best
  }
}

/// How the copies of a key are spread over zones and racks.
public enum Spread: UInt8, Sendable, Hashable, Codable {
  /// Any distinct nodes, in the order of preference.
  case nodes
  /// Over as many zones as there are, evenly; within a zone over its racks; where zones run out, several in one. See ``PreferenceList/isDegraded``.
  case zonesPreferred
  /// Each copy in a zone of its own, or an error.
  case zonesStrict
}

/// The nodes that hold a key, and whether they are spread as was wished.
public struct PreferenceList: Sendable, Hashable {
  /// Distinct nodes, the primary first.
  public let nodes: [MemberID]
  /// Whether two copies share a zone although a zone for each was preferred.
  public let isDegraded: Bool
}
