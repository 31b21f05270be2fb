/// Ketama's points: MD5 digests of a server's name and a number, four points each.
enum Ketama {
  /// Digests of a server whose weights are all the same.
  static let digestsPerServer = 40

  /// How many digests a server has. The arithmetic is that of the C libraries, single precision where they have it, because points come and
  /// go with its rounding. A server always has one, where theirs may have none.
  static func digestCount(weight: Double, total: Double, servers: Int, _ dialect: KetamaDialect) throws(PlacementError) -> Int {
    let share = Float(weight) / Float(total)
    let count: Float
    switch dialect {
    case .libketama: count = Float(Double(share) * 40 * Double(Float(servers)))
    case .libmemcached: count = Float(Double(share * 160 / 4 * Float(servers)) + 0.000_000_000_1)
    }
    guard count.isFinite, count <= Float(TokenTable.countLimit / 4) else {
      throw .invalidParameter(name: "weight", value: "\(weight)", allowed: "at most \(TokenTable.countLimit) points in all")
    }
    return max(1, Int(count.rounded(.down)))
  }

  /// The server's name as digests are made of it.
  static func name(_ id: MemberID, _ dialect: KetamaDialect) -> [UInt8] {
    let name = Array(id.name.utf8)
    let suffix = Array(":11211".utf8)
    if dialect == .libmemcached, name.count > suffix.count, name.suffix(suffix.count).elementsEqual(suffix) { return name.dropLast(suffix.count) }
    return name
  }

  /// The points of all servers, in any order.
  static func tokens(of members: [Member], _ dialect: KetamaDialect) throws(PlacementError) -> [TokenEntry] {
    let total = members.reduce(0) { $0 + $1.weight }
    var entries: [TokenEntry] = []
    for (rank, member) in members.enumerated() {
      let count = try digestCount(weight: member.weight, total: total, servers: members.count, dialect)
      guard entries.count + count * 4 <= TokenTable.countLimit else {
        throw .invalidParameter(name: "points", value: "\(entries.count + count * 4)", allowed: "at most \(TokenTable.countLimit) in all")
      }
      var text = name(member.id, dialect)
      text.append(UInt8(ascii: "-"))
      let prefix = text.count
      for index in 0..<count {
        text.removeSubrange(prefix...)
        HashRing.appendDecimal(index, to: &text)
        let digest = MD5.digest(text.span.bytes)
        for point in 0..<4 { entries.append(TokenEntry(token: UInt64(digest[point]), owner: UInt32(rank))) }
      }
    }
    return entries
  }
}

extension HashRing {
  /// A ring that places keys as memcached's clients do: 160 points of 32 bits for a server of average weight, keys by MD5.
  ///
  /// Points depend on a server's share of all weights: with unequal weights, adding a server moves a few keys between the others too.
  /// - Throws: as ``init(members:vnodes:hash:allocation:replicationFactor:)``.
  public static func ketama(
    members: [Member], dialect: KetamaDialect = .libketama, replicationFactor: Int = 1
  ) throws(PlacementError) -> HashRing {
    try HashRing(
      members: members, vnodes: Ketama.digestsPerServer * 4, hash: .md5Ketama, allocation: Allocation(rule: .ketama(dialect)),
      replicationFactor: replicationFactor)
  }
}
