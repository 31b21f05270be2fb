import StrataBytes

extension RingState {
  /// The placement in `bytes`, all of them.
  /// - Throws: ``PlacementError/unsupported(field:value:)`` for a version, kind, hash or allocation this build does not know;
  ///   ``PlacementError/corrupt(offset:reason:)`` for anything else that is not a placement.
  public init(decoding bytes: RawSpan) throws(PlacementError) {
    var reader = try StateReader(bytes)
    self = try reader.read()
  }
}

/// The fixed fields at the beginning.
private struct StateHeader {
  var flags: UInt16
  var epoch: UInt64
  var kind: StateFormat.Kind
  var hash: KeyHash
  var replicationFactor: Int
  var memberCount: Int
  var allocation: UInt8
  var size: Int
  var seed: UInt64
}

/// A member as stored, with the weight to come.
private struct StoredMember {
  var member: Member
  var state: StateFormat.MemberState
  var weight: Double
}

private struct StateReader: ~Escapable {
  private var reader: ByteReader

  @_lifetime(copy bytes)
  init(_ bytes: RawSpan) throws(PlacementError) {
    let all = bytes
    try decoding { () throws(DecodeError) in
      var ahead = ByteReader(all)
      try ahead.readMagic(StateFormat.magic)
      // The version before the checksum, whose place another version may have moved.
      let version = try ahead.readUInt16()
      guard version == StateFormat.version else {
        throw .unsupportedVersion(at: 4, version: UInt32(version), newest: UInt32(StateFormat.version))
      }
      guard ahead.remaining >= 4 else { throw .truncated(at: 6, need: 4, have: ahead.remaining) }
      try ahead.skip(ahead.remaining - 4)
      try ahead.readChecksum(since: 0)
    }
    reader = ByteReader(bytes.extracting(0..<bytes.byteCount - 4))
  }

  private mutating func corrupt<R>(_ reason: String, at offset: Int? = nil) throws(PlacementError) -> R {
    throw .corrupt(offset: offset ?? reader.offset, reason: reason)
  }

  private static func take<R>(
    _ source: inout ByteReader, _ body: (inout ByteReader) throws(DecodeError) -> R
  ) throws(PlacementError) -> R {
    do throws(DecodeError) { return try body(&source) } catch { throw error.asCorrupt }
  }

  private mutating func readHeader() throws(PlacementError) -> StateHeader {
    let fields = try Self.take(&reader) { (reader) throws(DecodeError) in
      try reader.skip(6)
      return (
        flags: try reader.readUInt16(), epoch: try reader.readUInt64(), kind: try reader.readUInt8(), hash: try reader.readUInt8(),
        factor: try reader.readUInt16(), count: try reader.readUInt32(), allocation: try reader.readUInt8(),
        zeros: (try reader.readUInt8(), try reader.readUInt16()), size: try reader.readUInt32(), seed: try reader.readUInt64()
      )
    }
    guard let kind = StateFormat.Kind(rawValue: fields.kind) else { throw .unsupported(field: "kind", value: Int(fields.kind)) }
    guard let hash = KeyHash(rawValue: fields.hash) else { throw .unsupported(field: "hash", value: Int(fields.hash)) }
    guard fields.flags & ~StateFormat.underWay == 0, fields.flags == 0 || kind == .ring else {
      throw .unsupported(field: "flags", value: Int(fields.flags))
    }
    guard fields.zeros == (0, 0) else { return try corrupt("bytes that must be zero are not", at: 25) }
    guard fields.count <= Member.countLimit else { return try corrupt("\(fields.count) members, more than \(Member.countLimit)", at: 20) }
    guard kind == .ring || fields.allocation == 0 && fields.seed == 0 && fields.factor == 1 else {
      return try corrupt("parameters of a ring in another placement", at: 18)
    }
    return StateHeader(
      flags: fields.flags, epoch: fields.epoch, kind: kind, hash: hash, replicationFactor: Int(fields.factor), memberCount: Int(fields.count),
      allocation: fields.allocation, size: Int(fields.size), seed: fields.seed)
  }

  private mutating func readText(length: Int, at offset: Int) throws(PlacementError) -> String {
    let text = try Self.take(&reader) { (reader) throws(DecodeError) in
      try reader.readBytes(length).withUnsafeBytes { String(validating: $0, as: UTF8.self) }
    }
    guard let text else { return try corrupt("a name that is not UTF-8", at: offset) }
    return text
  }

  private mutating func readLabel() throws(PlacementError) -> String? {
    let offset = reader.offset
    let length = try Self.take(&reader) { (reader) throws(DecodeError) in
      try reader.readCount(limit: Member.labelByteLimit + 1, field: "zone or rack")
    }
    return length == 0 ? nil : try readText(length: length - 1, at: offset)
  }

  private mutating func readMember() throws(PlacementError) -> StoredMember {
    let offset = reader.offset
    let length = try Self.take(&reader) { (reader) throws(DecodeError) in
      try reader.readCount(limit: MemberID.byteLimit, field: "node id")
    }
    let name = try readText(length: length, at: offset)
    guard !name.isEmpty else { return try corrupt("a node without a name", at: offset) }
    let weight = try Self.take(&reader) { (reader) throws(DecodeError) in try reader.readDouble() }
    let member = Member(try MemberID(name), weight: weight, zone: try readLabel(), rack: try readLabel())
    let stateByte = try Self.take(&reader) { (reader) throws(DecodeError) in try reader.readUInt8() }
    guard let state = StateFormat.MemberState(rawValue: stateByte) else { throw .unsupported(field: "state of a member", value: Int(stateByte)) }
    guard state == .reweighted else { return StoredMember(member: member, state: state, weight: weight) }
    let next = try Self.take(&reader) { (reader) throws(DecodeError) in try reader.readDouble() }
    guard next != weight else { return try corrupt("a new weight that is the old one", at: offset) }
    return StoredMember(member: member, state: state, weight: next)
  }

  /// Tokens ascending with owners below `memberCount`.
  private mutating func readTokens(memberCount: Int, lastPosition: UInt64) throws(PlacementError) -> [TokenEntry] {
    let offset = reader.offset
    let count = try Self.take(&reader) { (reader) throws(DecodeError) in try reader.readUInt64() }
    // Every token takes two bytes at least, so the bytes bound what is allocated.
    guard count <= UInt64(min(TokenTable.countLimit, reader.remaining / 2)) else { return try corrupt("\(count) tokens", at: offset) }
    var entries: [TokenEntry] = []
    entries.reserveCapacity(Int(count))
    var token: UInt64 = 0
    for _ in 0..<count {
      let at = reader.offset
      let (step, owner) = try Self.take(&reader) { (reader) throws(DecodeError) in (try reader.readVarint64(), try reader.readVarint32()) }
      let (next, overflow) = token.addingReportingOverflow(step)
      guard !overflow, next <= lastPosition, owner < memberCount else { return try corrupt("a token outside the ring", at: at) }
      token = next
      let entry = TokenEntry(token: token, owner: owner)
      if let last = entries.last, !(last < entry), last != entry { return try corrupt("tokens out of order", at: at) }
      entries.append(entry)
    }
    return entries
  }

  mutating func read() throws(PlacementError) -> RingState {
    let header = try readHeader()
    var stored: [StoredMember] = []
    for _ in 0..<header.memberCount { stored.append(try readMember()) }
    guard header.flags & StateFormat.underWay != 0 || stored.allSatisfy({ $0.state == .normal }) else {
      return try corrupt("a member is joining or leaving and no change is under way")
    }
    if header.kind != .jump {
      for (one, next) in zip(stored, stored.dropFirst()) where !(one.member.id < next.member.id) { return try corrupt("members out of order") }
    }
    let state: RingState
    do throws(PlacementError) { state = try build(header, stored) } catch {
      // Parameters no placement takes cannot have been written by one.
      switch error {
      case .corrupt, .unsupported: throw error
      default: return try corrupt("\(error)")
      }
    }
    guard reader.isAtEnd else { return try corrupt("\(reader.remaining) bytes after the end") }
    return state
  }

  private mutating func build(_ header: StateHeader, _ stored: [StoredMember]) throws(PlacementError) -> RingState {
    let members = stored.map(\.member)
    switch header.kind {
    case .ring: return try readRing(header, stored)
    case .slots: return .slots(try readSlots(header, try Member.normalized(members)))
    case .maglev:
      return .maglev(try MaglevTable(epoch: header.epoch, members: try Member.normalized(members), size: header.size, hash: header.hash))
    case .rendezvous:
      guard header.size == 0 else { return try corrupt("a size where there is none", at: 28) }
      return .rendezvous(Rendezvous(epoch: header.epoch, members: try Member.normalized(members), hash: header.hash))
    case .jump:
      guard header.size == 0 else { return try corrupt("a size where there is none", at: 28) }
      return .jump(try JumpHash(epoch: header.epoch, members: members, hash: header.hash))
    }
  }

  private mutating func readRing(_ header: StateHeader, _ stored: [StoredMember]) throws(PlacementError) -> RingState {
    guard let allocation = Allocation(stored: header.allocation, seed: header.seed, size: header.size) else {
      throw .unsupported(field: "allocation", value: Int(header.allocation))
    }
    guard allocation.stored == (header.allocation, header.seed) else { return try corrupt("a seed where there is none", at: 32) }
    let current = stored.filter { $0.state != .joining }.map(\.member)
    guard header.flags & StateFormat.underWay != 0 else { return .ring(try readRing(header, allocation, header.epoch, current), next: nil) }
    let epoch = try Self.take(&reader) { (reader) throws(DecodeError) in try reader.readUInt64() }
    guard epoch > header.epoch else { return try corrupt("the ring to come is not newer") }
    let future = stored.filter { $0.state != .leaving }.map { stored in
      var member = stored.member
      member.weight = stored.weight
      return member
    }
    let ring = try readRing(header, allocation, header.epoch, current)
    return .ring(ring, next: try readRing(header, allocation, epoch, future))
  }

  private mutating func readRing(
    _ header: StateHeader, _ allocation: Allocation, _ epoch: UInt64, _ members: [Member]
  ) throws(PlacementError) -> HashRing {
    guard case .balanced = allocation.rule else {
      let ring = try HashRing(
        members: members, vnodes: header.size, hash: header.hash, allocation: allocation, replicationFactor: header.replicationFactor)
      return ring.at(epoch: epoch)
    }
    let empty = try HashRing(members: [], hash: header.hash, allocation: allocation, replicationFactor: header.replicationFactor)
    let sorted = try Member.normalized(members)
    let entries = try readTokens(memberCount: sorted.count, lastPosition: header.hash.lastPosition)
    var hasToken = [Bool](repeating: false, count: sorted.count)
    for entry in entries { hasToken[Int(entry.owner)] = true }
    guard hasToken.allSatisfy({ $0 }) else { return try corrupt("a member without a token") }
    return HashRing(
      epoch: epoch, members: sorted, vnodes: empty.vnodes, hash: header.hash, allocation: allocation,
      replicationFactor: header.replicationFactor, entries: entries)
  }

  private mutating func readSlots(_ header: StateHeader, _ members: [Member]) throws(PlacementError) -> SlotMap {
    try SlotMap.check(slots: header.size, members: members.count)
    let runs = try readTokens(memberCount: members.count, lastPosition: UInt64(header.size - 1))
    var owners: [UInt16] = []
    for run in runs {
      guard run.token >= owners.count else { return try corrupt("slots out of order") }
      // Else one map would have many encodings.
      guard owners.last != UInt16(run.owner) else { return try corrupt("two runs of one owner, one behind the other") }
      owners += [UInt16](repeating: UInt16(run.owner), count: Int(run.token) + 1 - owners.count)
    }
    guard owners.count == (members.isEmpty ? 0 : header.size) else { return try corrupt("\(owners.count) of \(header.size) slots have an owner") }
    let count = try Self.take(&reader) { (reader) throws(DecodeError) in try reader.readCount(limit: owners.count, field: "slots under way") }
    var importers: [UInt32: UInt16] = [:]
    var previous: UInt32?
    for _ in 0..<count {
      let (slot, importer) = try Self.take(&reader) { (reader) throws(DecodeError) in (try reader.readVarint32(), try reader.readVarint32()) }
      guard slot < owners.count, importer < members.count, owners[Int(slot)] != UInt16(importer), previous.map({ $0 < slot }) ?? true else {
        return try corrupt("a slot under way that cannot be")
      }
      importers[slot] = UInt16(importer)
      previous = slot
    }
    return SlotMap(epoch: header.epoch, members: members, hash: header.hash, slots: header.size, owners: owners, importers: importers)
  }
}

extension HashRing {
  /// The same ring at another epoch.
  func at(epoch: UInt64) -> HashRing {
    HashRing(
      epoch: epoch, members: members, vnodes: vnodes, hash: keyHash, allocation: allocation, replicationFactor: replicationFactor,
      entries: table.entries)
  }
}
