extension HashRing {
  /// The share of all positions each member holds a copy of, from the exact lengths of the ranges. The shares sum to `replicas` (rounded to
  /// 1e-12), and one member alone holds 1. With fewer members than `replicas` every member holds everything. O(V · replicas).
  ///
  /// Copies are spread as ``Placement/replicas(_:count:spread:)`` spreads them by default.
  public func ownership(replicas: Int = 1) -> [MemberID: Double] {
    var shares: [MemberID: Double] = [:]
    for (member, share) in zip(members, ownershipShares(replicas: replicas)) { shares[member.id] = share }
    return shares
  }

  /// As ``ownership(replicas:)``, in the order of ``members``.
  func ownershipShares(replicas: Int) -> [Double] {
    let count = min(max(replicas, 1), members.count)
    guard count > 0 else { return [] }
    var lengths = [UInt128](repeating: 0, count: members.count)
    withUnsafeTemporaryAllocation(of: UInt32.self, capacity: count) { owners in
      owners.initialize(repeating: 0)
      forEachRange { end, length in
        do throws(PlacementError) { try fillOwners(owners, at: end, spread: .zonesPreferred) } catch { return }
        for owner in owners { lengths[Int(owner)] += length }
      }
    }
    let whole = Double(UInt128(lastPosition) + 1)
    return lengths.map { Double($0) / whole }
  }

  /// Every range of positions with its last one and its length.
  func forEachRange(_ body: (_ end: UInt64, _ length: UInt128) -> Void) {
    guard var previous = table.tokens.last else { return }
    let whole = UInt128(lastPosition) + 1
    for (index, token) in table.tokens.enumerated() {
      if index == 0 {
        body(token, UInt128(token) + whole - UInt128(previous))
      } else if token != previous {
        body(token, UInt128(token - previous))
      }
      previous = token
    }
  }

  /// How uneven the ring is: the largest ratio of a member's share of the keys to its share of the weights; 1 is even, and of an empty ring.
  public var imbalance: Double { imbalance(replicas: 1) }

  /// As ``imbalance``, of the share of all copies when every key has `replicas`.
  public func imbalance(replicas: Int) -> Double {
    let total = members.reduce(0) { $0 + $1.weight }
    let copies = Double(min(max(replicas, 1), max(members.count, 1)))
    var worst = members.isEmpty ? 1.0 : 0.0
    for (member, share) in zip(members, ownershipShares(replicas: replicas)) {
      // A weight that vanishes beside the others asks for nothing and, having nothing, is not uneven.
      if share > 0 { worst = max(worst, share / copies / (member.weight / total)) }
    }
    return worst
  }
}

extension HashRing: CustomStringConvertible {
  /// A summary for people: replication factor, nodes, and of each its weight, tokens and share.
  public var description: String {
    var counts = [Int](repeating: 0, count: members.count)
    for owner in table.owners { counts[Int(owner)] += 1 }
    let plural = members.count == 1 ? "" : "s"
    var text = "ring of \(members.count) node\(plural), \(tokenCount) tokens, hash \(keyHash), replication factor \(replicationFactor), "
    text += "imbalance \(fixed(imbalance, digits: 3)), epoch \(epoch)"
    for ((member, count), share) in zip(zip(members, counts), ownershipShares(replicas: 1)) {
      text += "\n  \(member.id)  weight \(member.weight)  vnodes \(count)  share \(fixed(share * 100, digits: 2)) %"
      if let zone = member.zone { text += "  zone \(zone)" }
      if let rack = member.rack { text += "  rack \(rack)" }
    }
    return text
  }
}

/// A number that is not negative with this many digits behind the point.
package func fixed(_ value: Double, digits: Int) -> String {
  var scale = 1.0
  for _ in 0..<digits { scale *= 10 }
  let scaled = (value * scale).rounded()
  guard scaled.isFinite, scaled < 1e18 else { return "\(value)" }
  let text = String(Int64(scaled))
  let padded = String(repeating: "0", count: max(0, digits + 1 - text.utf8.count)) + text
  return digits == 0 ? padded : "\(padded.dropLast(digits)).\(padded.suffix(digits))"
}
