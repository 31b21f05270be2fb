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
  static func tokens(
    of members: [Member], vnodes: Int, hash: KeyHash, allocation: Allocation, replicationFactor: Int
  ) throws(PlacementError) -> [TokenEntry] {
    var entries: [TokenEntry] = []
    if case .ketama(let dialect) = allocation.rule {
      guard hash == .md5Ketama else { throw .invalidParameter(name: "hash of a ketama ring", value: "\(hash)", allowed: "md5Ketama") }
      entries = try Ketama.tokens(of: members, dialect)
    } else {
      var counts: [Int] = []
      var total = 0
      for member in members {
        let count = try tokenCount(weight: member.weight, vnodes: vnodes)
        total += count
        guard total <= TokenTable.countLimit else {
          throw .invalidParameter(name: "tokens", value: "\(total) and more", allowed: "at most \(TokenTable.countLimit) in all")
        }
        counts.append(count)
      }
      if case .balanced = allocation.rule {
        entries = BalancedLayout.tokens(of: members, counts: counts, replicas: replicationFactor, lastPosition: hash.lastPosition)
      } else {
        entries.reserveCapacity(total)
        for (rank, member) in members.enumerated() {
          appendNamed(member.id, rank: rank, count: counts[rank], hash: hash, allocation: allocation, to: &entries)
        }
      }
    }
    return TokenTable.sorted(entries, bits: hash.bits)
  }

  /// The tokens of one member that are hashes of its name and a number: `<id>:<i>`, in Envoy's layout `<id>_<i>`.
  static func appendNamed(
    _ id: MemberID, rank: Int, count: Int, hash: KeyHash, allocation: Allocation, to entries: inout [TokenEntry]
  ) {
    var seed: UInt64 = 0
    if case .hashed(let given) = allocation.rule { seed = given }
    var name = Array(id.name.utf8)
    name.append(allocation.rule == .envoy ? UInt8(ascii: "_") : UInt8(ascii: ":"))
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
