import StrataBytes
import StrataDisk
import StrataNodes
import StrataRequirements
import StrataSimulation
import SystemPackage
import Testing

@testable import StrataConsistentHashing

/// Placements of every kind, small enough to damage every bit of.
private func samples() throws -> [RingState] {
  let members = [Member("a", zone: "z1", rack: "r"), Member("b\u{E9}", weight: 0.5, zone: ""), Member("c", weight: 2)]
  let plain = [Member("a"), Member("b"), Member("c")]
  let ring = try HashRing(members: members, vnodes: 7, hash: .murmur3Token, allocation: .hashed(seed: 42), replicationFactor: 2)
  let balanced = try HashRing(members: plain, allocation: .balanced(tokensPerNode: 4), replicationFactor: 2).adding(Member("d"))
  let slots = try SlotMap(members: plain, slots: 40).adding(Member("d"))
  return [
    .ring(ring, next: nil), .ring(ring, next: try ring.adding(Member("d")).removing("a").reweighting("c", 3)), .ring(balanced, next: nil),
    .ring(balanced, next: try balanced.adding(Member("e")).removing("b")),
    .ring(try HashRing(members: [], allocation: .envoy), next: nil),
    .ring(try HashRing.ketama(members: plain, dialect: .libmemcached), next: nil),
    .ring(try HashRing.ketama(members: plain), next: nil), .slots(slots),
    .slots(try slots.migrating([slots.slots(of: "a")[0], slots.slots(of: "d")[0]], to: "b")), .slots(try SlotMap(members: [])),
    .maglev(try MaglevTable(members: members, size: 13).adding(Member("d"))), .rendezvous(try Rendezvous(members: members)),
    .jump(try JumpHash(members: plain.reversed())),
  ]
}

private func state(_ bytes: [UInt8]) throws -> RingState { try RingState(decoding: bytes.span.bytes) }

private func plan(_ bytes: [UInt8]) throws -> TransferPlan { try TransferPlan(decoding: bytes.span.bytes) }

/// The same kind, epochs, members and owners everywhere.
private func expectEqual(_ a: RingState, _ b: RingState, _ note: String) throws {
  let (x, y) = (a.placement, b.placement)
  #expect(x.epoch == y.epoch && x.members == y.members && x.keyHash == y.keyHash && type(of: x) == type(of: y), "\(note)")
  guard !x.members.isEmpty else { return }
  for key in keys(50) {
    let (one, other) = (try x.replicas(key, count: x.members.count), try y.replicas(key, count: x.members.count))
    #expect(one == other, "\(note)")
  }
  switch (a, b) {
  case (.ring(let ring, let next), .ring(let otherRing, let otherNext)):
    #expect(ring == otherRing && next == otherNext && next?.epoch == otherNext?.epoch, "\(note)")
  case (.slots(let map), .slots(let other)): #expect(map.importers == other.importers && map.owners == other.owners, "\(note)")
  default: break
  }
}

/// `bytes` with the checksum they should have.
private func sealed(_ bytes: [UInt8]) -> [UInt8] {
  guard bytes.count >= 4 else { return bytes }
  var writer = ByteWriter(beginningWith: Array(bytes.dropLast(4)))
  writer.writeChecksum(since: 0)
  return writer.finish()
}

@Suite struct FormatTests {
  @Test(.requirement("ConsistentHashing.format.1")) func everyKindSurvives() throws {
    for (index, sample) in try samples().enumerated() {
      let bytes = try sample.encode()
      let again = try state(bytes)
      try expectEqual(sample, again, "sample \(index)")
      #expect(try again.encode() == bytes)
    }
  }

  @Test(.requirement("ConsistentHashing.format.1", "ConsistentHashing.keep.10")) func randomRingsSurvive() throws {
    for seed in 0..<UInt64(200 * testDepth) {
      var random = Random(seed: seed)
      let ring = try randomRing(&random, atLeast: 2)
      let next = try randomChange(ring, &random, atLeast: 1)
      let states: [RingState] = [.ring(ring, next: nil)] + (next.epoch > ring.epoch ? [.ring(ring, next: next)] : [])
      for one in states {
        let bytes = try one.encode()
        try expectEqual(one, try state(bytes), "seed \(seed)")
      }
      let transfer = try TransferPlan.between(ring, next)
      #expect(try plan(transfer.encode()) == transfer, "seed \(seed)")
    }
  }

  /// Bytes that version 1 wrote stay readable and are still what is written.
  @Test(.requirement("ConsistentHashing.format.1")) func goldenBytes() throws {
    let ring = try HashRing(members: [Member("a", zone: "z"), Member("b", weight: 2)], vnodes: 3, replicationFactor: 2)
    let underWay = RingState.ring(ring, next: try ring.adding(Member("c")))
    #expect(hex(try underWay.encode()) == goldenState)
    try expectEqual(underWay, state(bytes(goldenState)), "golden")
    let balanced = RingState.ring(
      try HashRing(members: [Member("a"), Member("b")], hash: .md5Ketama, allocation: .balanced(tokensPerNode: 2)), next: nil)
    #expect(hex(try balanced.encode()) == goldenBalanced)
    let slots = RingState.slots(try SlotMap(members: [Member("a"), Member("b")], slots: 10, hash: .xxh64).migrating([3], to: "b"))
    #expect(hex(try slots.encode()) == goldenSlots)
    let transfer = try TransferPlan.between(ring, ring.adding(Member("c")).removing("a"))
    #expect(hex(transfer.encode()) == goldenPlan)
    #expect(try plan(bytes(goldenPlan)) == transfer)
  }

  @Test(.requirement("ConsistentHashing.format.2")) func runsOfOneOwnerAreOne() throws {
    // The map's two runs as three: the same owners, and other bytes than the map is written as.
    let map = try SlotMap(members: [Member("a"), Member("b")], slots: 40)
    let bytes = try RingState.slots(map).encode()
    let runs = bytes.count - 4 - 1 - 4
    #expect(Array(bytes[runs..<runs + 4]) == [19, 0, 20, 1], "the layout this test rewrites")
    var split = bytes
    split.replaceSubrange(runs..<runs + 2, with: [9, 0, 10, 0])
    split[runs - 8] = 3
    #expect(throws: PlacementError.self) { try state(sealed(split)) }
    #expect(try state(sealed(bytes)).encode() == bytes)
  }

  @Test(.requirement("ConsistentHashing.format.2")) func aNewWeightIsAnother() throws {
    // A member that is under way to the weight it has would be written as one that is not under way.
    let ring = try HashRing(members: [Member("a"), Member("b")], vnodes: 5, allocation: .hashed(seed: 1))
    let bytes = try RingState.ring(ring, next: try ring.reweighting("b", 3)).encode()
    let weight = bytes.count - 4 - 8 - 8
    #expect(Array(bytes[weight + 6..<weight + 8]) == [0x08, 0x40], "the layout this test rewrites")
    var same = bytes
    same.replaceSubrange(weight + 6..<weight + 8, with: [0xF0, 0x3F])
    #expect(throws: PlacementError.self) { try state(sealed(same)) }
  }

  @Test(.requirement("ConsistentHashing.format.2")) func everyCutAndEveryFlipIsRefused() throws {
    for (index, sample) in try samples().enumerated() {
      let bytes = try sample.encode()
      for length in 0..<bytes.count {
        #expect(throws: PlacementError.self, "sample \(index) cut to \(length)") { try state(Array(bytes[..<length])) }
      }
      for bit in 0..<bytes.count * 8 {
        var damaged = bytes
        damaged[bit / 8] ^= 1 << (bit % 8)
        #expect(throws: PlacementError.self, "sample \(index) bit \(bit)") { try state(damaged) }
      }
      #expect(throws: PlacementError.self) { try state((bytes + [0])) }
    }
  }

  /// Damage under a right checksum: whatever comes out can be asked and written again.
  @Test(.requirement("ConsistentHashing.format.2")) func mutatedBytesNeverTrap() throws {
    let all = try samples().map { try $0.encode() }.filter { $0.count < 2_000 }
    let ring = try HashRing(members: nodes(4), vnodes: 3)
    let moves = try TransferPlan.between(ring, ring.adding(Member("x")), replicas: 2).encode()
    var accepted = 0
    for seed in 0..<UInt64(3_000 * testDepth) {
      var random = Random(seed: seed)
      var damaged = random.chance(1, in: 5) ? moves : all[random.below(all.count)]
      for _ in 0..<random.within(1...4) {
        switch random.below(4) {
        case 0: damaged[random.below(damaged.count)] = UInt8(truncatingIfNeeded: random.next())
        case 1: damaged[random.below(damaged.count)] ^= 1 << UInt8(random.below(8))
        case 2: damaged.insert(UInt8(truncatingIfNeeded: random.next()), at: random.below(damaged.count))
        default: damaged.remove(at: random.below(damaged.count))
        }
      }
      damaged = sealed(damaged)
      // A change of the number of tokens of a member is right, and may take megabytes: not of interest here.
      if damaged.count > 36, damaged[30] != 0 || damaged[31] != 0 { continue }
      if survives(damaged, "seed \(seed)") { accepted += 1 }
    }
    #expect(accepted > 50, "\(accepted) were placements")
  }

  /// Reads bytes that may be anything; whether they were a placement.
  private func survives(_ damaged: [UInt8], _ note: String) -> Bool {
    do {
      let found = try plan(damaged)
      let again = try plan(found.encode())
      #expect(again == found, "\(note)")
    } catch {
      #expect(error is PlacementError)
    }
    do {
      let found = try state(damaged)
      let again = try state(found.encode())
      let members = found.placement.members
      #expect(again.placement.members == members, "\(note)")
      if !members.isEmpty { _ = try found.placement.replicas("k", count: members.count) }
      return true
    } catch {
      #expect(error is PlacementError)
      return false
    }
  }

  @Test(.requirement("ConsistentHashing.format.2", "ConsistentHashing.never.10")) func unknownVersionsKindsAndHashes() throws {
    let bytes = try samples()[0].encode()
    func changed(_ offset: Int, _ value: UInt8) -> [UInt8] {
      var copy = bytes
      copy[offset] = value
      return sealed(copy)
    }
    for (offset, field, value) in [(4, "version", 2), (16, "kind", 9), (17, "hash", 77), (17, "hash", 0), (24, "allocation", 6), (6, "flags", 2)] {
      #expect(throws: PlacementError.unsupported(field: field, value: value)) {
        try state(changed(offset, UInt8(value)))
      }
    }
    // The hash is part of the ring: another one places keys elsewhere.
    let other = try state(changed(17, KeyHash.xxh64.rawValue)).placement
    let ring = try samples()[0].placement
    #expect(other.keyHash == .xxh64 && ring.keyHash == .murmur3Token)
    #expect(try keys(200).contains { try other.primary($0) != ring.primary($0) })
  }

  @Test(.requirement("ConsistentHashing.format.3")) func filesAreReplacedWhole() throws {
    let disk = SimulatedFileSystem()
    try disk.makeDirectories("/rings")
    let path: FilePath = "/rings/current"
    let all = try samples()
    for one in all {
      try one.save(to: path, on: disk)
      try expectEqual(one, RingState.load(from: path, on: disk), "file")
    }
    #expect(throws: PlacementError.disk(.notFound("/rings/none"))) { try RingState.load(from: "/rings/none", on: disk) }
  }

  /// Every crash while rings are saved one after another leaves one that was saved, none older than the last that was acknowledged.
  @Test(.requirement("ConsistentHashing.format.3")) func crashesLeaveOneOrTheOther() throws {
    var options = CrashEnumeration.Options()
    options.maximumFailures = 1
    let first = try HashRing(members: nodes(2), vnodes: 4)
    let rings = [first, try first.adding(Member("x")), try first.adding(Member("x")).removing("node0")]
    let path: FilePath = "/rings/current"
    let disk = SimulatedFileSystem()
    try disk.makeDirectories("/rings")
    try RingState.ring(first, next: nil).save(to: path, on: disk)
    let report = try CrashEnumeration(options).run(on: disk) { (disk, ledger: Ledger<UInt64>) in
      ledger.note(1)
      for ring in rings.dropFirst() {
        try RingState.ring(ring, next: nil).save(to: path, on: disk)
        ledger.note(ring.epoch)
      }
    } recover: { disk, ledger in
      let placement = try RingState.load(from: path, on: disk).placement
      guard let acknowledged = ledger.entries.last, placement.epoch >= acknowledged, placement.epoch <= acknowledged + 1 else {
        throw PlacementError.corrupt(offset: 0, reason: "epoch \(placement.epoch) after \(ledger.entries)")
      }
    }
    #expect(report.isClean && report.images > 5, "\(report)")
  }

  @Test(.requirement("ConsistentHashing.format.1")) func changesThatCannotBeStored() throws {
    let ring = try HashRing(members: [Member("a", zone: "x"), Member("b")])
    let moved = try ring.removing("a").adding(Member("a", zone: "y"))
    #expect(throws: PlacementError.self) { try RingState.ring(ring, next: moved).encode() }
    #expect(throws: PlacementError.self) { try RingState.ring(ring, next: ring).encode() }
    #expect(throws: PlacementError.self) {
      try RingState.ring(ring, next: HashRing(members: nodes(2), vnodes: 3).adding(Member("x"))).encode()
    }
  }
}

private func hex(_ bytes: [UInt8]) -> String { bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() }

private func bytes(_ hex: String) -> [UInt8] {
  let digits = hex.utf8.map { $0 < 0x61 ? $0 - 0x30 : $0 - 0x57 }
  return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
}

private let goldenState =
  "535452470100010001000000000000000101020003000000010000000300000000000000000000000161000000000000f03f027a0000016200000000"
  + "000000400000000163000000000000f03f0000010200000000000000662a1eb8"
private let goldenBalanced =
  "535452470100000001000000000000000102010002000000050000000200000000000000000000000161000000000000f03f00000001620000000000"
  + "00f03f0000000400000000000000ffffffff03008080808004018080808004018080808004002a4c9610"
private let goldenSlots =
  "535452470100000002000000000000000201010002000000000000000a00000000000000000000000161000000000000f03f00000001620000000000"
  + "00f03f0000000200000000000000040005010103016ae433ce"
private let goldenPlan =
  "535454500100000001000000000000000300000000000000ffffffffffffffff01000000010000000300000005000000016101620163d887c9a5f1eb"
  + "acbf63c1b2c3e88cf193df38020200008efdbefddae5924c8efdbefddae5924c01020101b0ed87e9bab1b0965dd3d9818df2e6dce65501020101b0ba"
  + "9ef7faf49bc114b89fa0b1abd5d88b0401020101ddccb2969d8e88ef0285c796fdc7f1e65202010000f9a19151"
