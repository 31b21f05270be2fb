import StrataBytes

extension HashRing {
  /// How many tokens a member of `weight` has: ⌊vnodes · weight⌋, at least one.
  static func tokenCount(weight: Double, vnodes: Int) throws(PlacementError) -> Int {
    let count = (Double(vnodes) * weight).rounded(.down)
    guard count <= Double(TokenTable.countLimit) else {
      throw .invalidParameter(name: "weight", value: "\(weight)", allowed: "at most \(TokenTable.countLimit) tokens in all")
    }
    return max(1, Int(count))
  }

  /// The tokens of all members in ascending order.
  static func tokens(of members: [Member], vnodes: Int, hash: KeyHash, allocation: Allocation) throws(PlacementError) -> [TokenEntry] {
    var total = 0
    for member in members {
      total += try tokenCount(weight: member.weight, vnodes: vnodes)
      guard total <= TokenTable.countLimit else {
        throw .invalidParameter(name: "tokens", value: "\(total) and more", allowed: "at most \(TokenTable.countLimit) in all")
      }
    }
    var entries: [TokenEntry] = []
    entries.reserveCapacity(total)
    switch allocation.rule {
    case .hashed(let seed):
      for (rank, member) in members.enumerated() {
        let count = try tokenCount(weight: member.weight, vnodes: vnodes)
        appendHashed(member.id, rank: rank, count: count, hash: hash, seed: seed, to: &entries)
      }
    }
    entries.sort()
    return entries
  }

  /// The tokens `hash("<id>:0")`, `hash("<id>:1")`, ... of one member.
  static func appendHashed(_ id: MemberID, rank: Int, count: Int, hash: KeyHash, seed: UInt64, to entries: inout [TokenEntry]) {
    var name = Array(id.name.utf8)
    name.append(UInt8(ascii: ":"))
    let prefix = name.count
    for index in 0..<count {
      name.removeSubrange(prefix...)
      appendDecimal(index, to: &name)
      entries.append(TokenEntry(token: hash.tokenPosition(of: name.span.bytes, seed: seed), owner: UInt32(rank)))
    }
  }

  /// A number in decimal digits.
  static func appendDecimal(_ number: Int, to bytes: inout [UInt8]) {
    let first = bytes.count
    var rest = number
    repeat {
      bytes.append(UInt8(ascii: "0") + UInt8(rest % 10))
      rest /= 10
    } while rest > 0
    bytes[first...].reverse()
  }
}
