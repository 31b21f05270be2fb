import StrataBytes

private let planMagic: StaticString = "STTP"
private let planVersion: UInt16 = 1

extension TransferPlan {
  /// The plan's bytes: Docs/Formats/TransferPlan.md. Equal plans have equal bytes.
  public func encode() -> [UInt8] {
    var writer = ByteWriter()
    writer.writeMagic(planMagic)
    writer.writeUInt16(planVersion)
    writer.writeUInt16(0)
    writer.writeUInt64(oldEpoch)
    writer.writeUInt64(newEpoch)
    writer.writeUInt64(lastPosition)
    writer.writeUInt8(keyHash.rawValue)
    writer.writeZeros(3)
    writer.writeUInt32(UInt32(truncatingIfNeeded: replicas))
    let names = Set(moves.flatMap { $0.sources + [$0.destination, $0.replaces] }).sorted()
    var numbers: [MemberID: UInt32] = [:]
    for (number, name) in names.enumerated() { numbers[name] = UInt32(number) }
    writer.writeUInt32(UInt32(names.count))
    writer.writeUInt32(UInt32(moves.count))
    for name in names { writer.writeLengthPrefixed(Array(name.name.utf8)) }
    var previous: UInt64 = 0
    for move in moves {
      writer.writeVarint64(move.range.end &- previous)
      // 0 where the range is all positions; no other range is empty.
      writer.writeVarint64(UInt64(truncatingIfNeeded: move.range.length(lastPosition: lastPosition) % (UInt128(lastPosition) + 1)))
      writer.writeUInt8(move.reason.rawValue)
      writer.writeVarint32(numbers[move.destination] ?? 0)
      writer.writeVarint32(numbers[move.replaces] ?? 0)
      for source in move.sources { writer.writeVarint32(numbers[source] ?? 0) }
      previous = move.range.end
    }
    writer.writeChecksum(since: 0)
    return writer.finish()
  }

  /// The plan in `bytes`, all of them.
  /// - Throws: ``PlacementError/unsupported(field:value:)``, ``PlacementError/corrupt(offset:reason:)``.
  public init(decoding bytes: RawSpan) throws(PlacementError) {
    let plan: (plan: TransferPlan, hash: UInt8) = try decoding { () throws(DecodeError) in
      var reader = ByteReader(bytes)
      try reader.readMagic(planMagic)
      let version = try reader.readUInt16()
      guard version == planVersion else { throw .unsupportedVersion(at: 4, version: UInt32(version), newest: UInt32(planVersion)) }
      guard reader.remaining >= 4 else { throw .truncated(at: 6, need: 4, have: reader.remaining) }
      var end = reader
      try end.skip(end.remaining - 4)
      try end.readChecksum(since: 0)
      var body = ByteReader(bytes.extracting(6..<bytes.byteCount - 4), base: 6)
      return try Self.read(&body)
    }
    guard KeyHash(rawValue: plan.hash) != nil else { throw .unsupported(field: "hash", value: Int(plan.hash)) }
    self = plan.plan
  }

  private static func read(_ reader: inout ByteReader) throws(DecodeError) -> (TransferPlan, UInt8) {
    guard try reader.readUInt16() == 0 else { throw .malformed(at: 6, field: "flags of a plan") }
    let oldEpoch = try reader.readUInt64()
    let newEpoch = try reader.readUInt64()
    let lastPosition = try reader.readUInt64()
    let hash = try reader.readUInt8()
    guard try (reader.readUInt8(), reader.readUInt16()) == (0, 0) else { throw .malformed(at: 33, field: "zero bytes of a plan") }
    let replicas = Int(try reader.readUInt32())
    guard (1...Member.countLimit).contains(replicas) else { throw .malformed(at: 36, field: "number of replicas") }
    let nameCount = Int(try reader.readUInt32())
    let moveCount = Int(try reader.readUInt32())
    // Names take two bytes at least and moves five, so the bytes bound what is allocated.
    guard nameCount <= reader.remaining / 2, moveCount <= reader.remaining / 5 else { throw .malformed(at: 40, field: "counts of a plan") }
    var names: [MemberID] = []
    for _ in 0..<nameCount {
      let at = reader.offset
      let name = try reader.readLengthPrefixed(limit: MemberID.byteLimit, field: "node id").withUnsafeBytes {
        String(validating: $0, as: UTF8.self)
      }
      guard let name, let id = try? MemberID(name), names.last.map({ $0 < id }) ?? true else { throw .malformed(at: at, field: "node id") }
      names.append(id)
    }
    var moves: [Move] = []
    var total: UInt128 = 0
    for _ in 0..<moveCount {
      let move = try readMove(&reader, after: moves.last?.range.end ?? 0, lastPosition: lastPosition, replicas: replicas, names)
      total += move.range.length(lastPosition: lastPosition)
      moves.append(move)
    }
    try reader.expectEnd(of: "a plan")
    let share = Double(total) / Double(UInt128(lastPosition) + 1)
    return (
      TransferPlan(
        keyHash: KeyHash(rawValue: hash) ?? .xxh64, lastPosition: lastPosition, oldEpoch: oldEpoch, newEpoch: newEpoch, replicas: replicas,
        moves: moves, bytesShare: share), hash
    )
  }

  private static func readMove(
    _ reader: inout ByteReader, after previous: UInt64, lastPosition: UInt64, replicas: Int, _ names: [MemberID]
  ) throws(DecodeError) -> Move {
    let at = reader.offset
    let (end, overflow) = previous.addingReportingOverflow(try reader.readVarint64())
    let length = try reader.readVarint64()
    guard !overflow, end <= lastPosition, length <= lastPosition else { throw .malformed(at: at, field: "range of a move") }
    // Back from the end, over the smallest position to the largest where need be.
    let start = length <= end ? end - length : lastPosition - (length - end) + 1
    guard let reason = Reason(rawValue: try reader.readUInt8()) else { throw .malformed(at: at, field: "reason of a move") }
    func node(_ reader: inout ByteReader) throws(DecodeError) -> MemberID {
      let number = try reader.readVarint32()
      guard number < names.count else { throw .malformed(at: at, field: "node of a move") }
      return names[Int(number)]
    }
    let destination = try node(&reader)
    let replaces = try node(&reader)
    guard replicas <= reader.remaining else { throw .truncated(at: reader.offset, need: replicas, have: reader.remaining) }
    var sources: [MemberID] = []
    for _ in 0..<replicas { sources.append(try node(&reader)) }
    guard !sources.contains(destination), sources.contains(replaces) else { throw .malformed(at: at, field: "nodes of a move") }
    return Move(range: TokenRange(start: start, end: end), sources: sources, destination: destination, replaces: replaces, reason: reason)
  }
}
