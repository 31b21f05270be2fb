import StrataBytes

extension RingState {
  /// The bytes of the placement. Equal placements of one epoch have equal bytes.
  /// - Throws: ``PlacementError/incompatible(old:new:)`` where the ring to come differs in more than members and weights.
  public func encode() throws(PlacementError) -> [UInt8] {
    var writer = ByteWriter()
    switch self {
    case .ring(let ring, let next):
      try Self.write(ring, next, to: &writer)
    case .slots(let map):
      Self.writeHeader(.slots, map, size: map.slotCount, to: &writer)
      Self.write(map.members, to: &writer)
      Self.writeTokens(map.runs, to: &writer)
      writer.writeVarint64(UInt64(map.importers.count))
      for slot in map.importers.keys.sorted() {
        writer.writeVarint32(slot)
        writer.writeVarint32(UInt32(map.importers[slot] ?? 0))
      }
    case .maglev(let table):
      Self.writeHeader(.maglev, table, size: table.size, to: &writer)
      Self.write(table.members, to: &writer)
    case .rendezvous(let rendezvous):
      Self.writeHeader(.rendezvous, rendezvous, to: &writer)
      Self.write(rendezvous.members, to: &writer)
    case .jump(let jump):
      Self.writeHeader(.jump, jump, to: &writer)
      Self.write(jump.members, to: &writer)
    }
    writer.writeChecksum(since: 0)
    return writer.finish()
  }

  private static func writeHeader(
    _ kind: StateFormat.Kind, _ placement: some Placement, flags: UInt16 = 0, replicationFactor: Int = 1, memberCount: Int? = nil,
    allocation: (rule: UInt8, seed: UInt64) = (0, 0), size: Int = 0, to writer: inout ByteWriter
  ) {
    writer.writeMagic(StateFormat.magic)
    writer.writeUInt16(StateFormat.version)
    writer.writeUInt16(flags)
    writer.writeUInt64(placement.epoch)
    writer.writeUInt8(kind.rawValue)
    writer.writeUInt8(placement.keyHash.rawValue)
    writer.writeUInt16(UInt16(replicationFactor))
    writer.writeUInt32(UInt32(memberCount ?? placement.members.count))
    writer.writeUInt8(allocation.rule)
    writer.writeZeros(3)
    writer.writeUInt32(UInt32(size))
    writer.writeUInt64(allocation.seed)
  }

  private static func write(_ members: [Member], to writer: inout ByteWriter) {
    for member in members { write(member, .normal, to: &writer) }
  }

  private static func write(_ member: Member, _ state: StateFormat.MemberState, to writer: inout ByteWriter) {
    writer.writeLengthPrefixed(Array(member.id.name.utf8))
    writer.writeDouble(member.weight)
    for label in [member.zone, member.rack] {
      // 0: none; else one more than the length.
      guard let label else {
        writer.writeVarint64(0)
        continue
      }
      let bytes = Array(label.utf8)
      writer.writeVarint64(UInt64(bytes.count) + 1)
      writer.writeBytes(bytes)
    }
    writer.writeUInt8(state.rawValue)
  }

  private static func writeTokens(_ entries: [TokenEntry], to writer: inout ByteWriter) {
    writer.writeUInt64(UInt64(entries.count))
    var previous: UInt64 = 0
    for entry in entries {
      writer.writeVarint64(entry.token - previous)
      writer.writeVarint32(entry.owner)
      previous = entry.token
    }
  }

  private static func write(_ ring: HashRing, _ next: HashRing?, to writer: inout ByteWriter) throws(PlacementError) {
    let isBalanced = if case .balanced = ring.allocation.rule { true } else { false }
    guard let next else {
      writeHeader(
        .ring, ring, replicationFactor: ring.replicationFactor, allocation: ring.allocation.stored, size: ring.vnodes, to: &writer)
      write(ring.members, to: &writer)
      if isBalanced { writeTokens(ring.table.entries, to: &writer) }
      return
    }
    let union = try states(ring, next)
    writeHeader(
      .ring, ring, flags: StateFormat.underWay, replicationFactor: ring.replicationFactor, memberCount: union.count,
      allocation: ring.allocation.stored, size: ring.vnodes, to: &writer)
    for (member, state, weight) in union {
      write(member, state, to: &writer)
      if state == .reweighted { writer.writeDouble(weight) }
    }
    writer.writeUInt64(next.epoch)
    if isBalanced {
      writeTokens(ring.table.entries, to: &writer)
      writeTokens(next.table.entries, to: &writer)
    }
  }

  /// The members of either ring with their states, ascending; the last part is the weight to come.
  private static func states(
    _ ring: HashRing, _ next: HashRing
  ) throws(PlacementError) -> [(member: Member, state: StateFormat.MemberState, weight: Double)] {
    guard next.epoch > ring.epoch, next.keyHash == ring.keyHash, next.allocation == ring.allocation, next.vnodes == ring.vnodes,
      next.replicationFactor == ring.replicationFactor
    else { throw .incompatible(old: "the ring of epoch \(ring.epoch)", new: "that of epoch \(next.epoch)") }
    var union: [(member: Member, state: StateFormat.MemberState, weight: Double)] = []
    for member in ring.members {
      let (rank, isPresent) = Member.rank(of: member.id, in: next.members)
      guard isPresent else {
        union.append((member, .leaving, member.weight))
        continue
      }
      var other = next.members[rank]
      let weight = other.weight
      other.weight = member.weight
      guard other == member else { throw .incompatible(old: "\(member.id) in its place", new: "\(member.id) in another zone or rack") }
      union.append((member, weight == member.weight ? .normal : .reweighted, weight))
    }
    for member in next.members where !Member.rank(of: member.id, in: ring.members).isPresent { union.append((member, .joining, member.weight)) }
    return union.sorted { $0.member.id < $1.member.id }
  }
}

extension SlotMap {
  /// The last slot of each run of slots of one owner.
  var runs: [TokenEntry] {
    owners.indices.filter { $0 + 1 == owners.count || owners[$0] != owners[$0 + 1] }.map {
      TokenEntry(token: UInt64($0), owner: UInt32(owners[$0]))
    }
  }
}
