import StrataNodes
import StrataRequirements
import Testing

@testable import StrataConsistentHashing

/// A ring drawn at random: few or many members, tokens and weights, every hash, so that tokens coincide often in the small spaces.
func randomRing(_ random: inout Random, atLeast: Int = 1) throws -> HashRing {
  let count = random.within(max(1, atLeast)...max(8, atLeast))
  let members = (0..<count).map { _ in Member(id("n\(random.below(1_000_000))x"), weight: [0.3, 1, 1, 1, 2.5][random.below(5)]) }
  var unique: [MemberID: Member] = [:]
  for member in members { unique[member.id] = member }
  var list = unique.values.sorted { $0.id < $1.id }
  while list.count < atLeast { list.append(Member(id("extra\(list.count)"))) }
  let hash = KeyHash.allCases[random.below(KeyHash.allCases.count)]
  return try HashRing(members: list, vnodes: [1, 2, 3, 10, 40][random.below(5)], hash: hash, allocation: .hashed(seed: random.next()))
}

/// A ring after one change, drawn at random; at least `atLeast` members stay.
func randomChange(_ ring: HashRing, _ random: inout Random, atLeast: Int) throws -> HashRing {
  let some = ring.members[random.below(ring.members.count)].id
  switch random.below(4) {
  case 0 where ring.members.count > atLeast: return try ring.removing(some)
  case 1: return try ring.reweighting(some, [0.2, 0.5, 2, 4][random.below(4)])
  case 2 where ring.members.count > atLeast:
    return try ring.removing(some).adding(Member(id("newcomer"), weight: 1.5)).adding(Member(id("a second one")))
  default: return try ring.adding(Member(id("newcomer")))
  }
}

/// Positions worth asking about: the ends of a range, next to them, and some within.
private func probes(_ range: TokenRange, last: UInt64, _ random: inout Random) -> [UInt64] {
  let length = range.length(lastPosition: last)
  func at(_ offset: UInt128) -> UInt64 { UInt64((UInt128(range.start) + 1 + offset) % (UInt128(last) + 1)) }
  var list = [at(0), at(length - 1)]
  if length > 1 { list += [at(1), at(length - 2)] }
  for _ in 0..<4 { list.append(at(UInt128(random.next()) % length)) }
  return list
}

@Suite struct PlanTests {
  /// Random changes at one copy, fewer with more: sources have the range, the destination gets it, nobody copies to itself.
  @Test(
    .requirement("ConsistentHashing.never.1", "ConsistentHashing.never.2", "ConsistentHashing.keep.9"), arguments: 1...5)
  func everyMoveAgreesWithBothRings(replicas: Int) throws {
    let rounds = (replicas == 1 ? 1_000 : 100) * testDepth
    for seed in 0..<UInt64(rounds) {
      var random = Random(seed: seed &* 8 &+ UInt64(replicas))
      let old = try randomRing(&random, atLeast: replicas)
      let new = try randomChange(old, &random, atLeast: replicas)
      let plan = try TransferPlan.between(old, new, replicas: replicas)
      #expect(plan.oldEpoch == old.epoch && plan.newEpoch == new.epoch && plan.replicas == replicas)
      let members = Set(new.members.map(\.id))
      for move in plan.moves.prefix(20) {
        #expect(!move.sources.contains(move.destination) && members.contains(move.destination), "seed \(seed)")
        #expect(move.reason == (members.contains(move.replaces) ? .gain : .loss), "seed \(seed)")
        for position in probes(move.range, last: old.lastPosition, &random) {
          let before = try old.replicas(at: position, count: replicas)
          let after = try new.replicas(at: position, count: replicas)
          #expect(before == move.sources, "seed \(seed) at \(position)")
          #expect(after.contains(move.destination), "seed \(seed) at \(position)")
          #expect(before.contains(move.replaces) && !after.contains(move.replaces), "seed \(seed) at \(position)")
          #expect(move.range.contains(position))
        }
        // One position before and one after belong to the move only if another part of the plan moves them alike.
        #expect(!move.range.contains(move.range.start) || move.range.start == move.range.end)
      }
    }
  }

  /// A store that carries the plan out holds, at every token and beside it, exactly what the new ring says.
  @Test(.requirement("ConsistentHashing.never.5"), arguments: 1...5)
  func aStoreThatFollowsThePlanIsRight(replicas: Int) throws {
    for seed in 0..<UInt64(30 * testDepth) {
      var random = Random(seed: seed &* 16 &+ UInt64(replicas))
      let old = try randomRing(&random, atLeast: replicas)
      let new = try randomChange(old, &random, atLeast: replicas)
      let plan = try TransferPlan.between(old, new, replicas: replicas)
      var positions = Set(old.boundaries ?? []).union(new.boundaries ?? [])
      for position in positions { positions.formUnion([position &+ 1 & old.lastPosition, position &- 1 & old.lastPosition]) }
      for position in positions.sorted().prefix(100) {
        var holders = Set(try old.replicas(at: position, count: replicas))
        for move in plan.moves where move.range.contains(position) {
          #expect(holders.isSuperset(of: Set(move.sources).subtracting(plan.moves.lazy.filter { $0.range.contains(position) }.map(\.replaces))))
          #expect(holders.insert(move.destination).inserted, "seed \(seed)")
          #expect(holders.remove(move.replaces) != nil, "seed \(seed)")
        }
        #expect(holders == Set(try new.replicas(at: position, count: replicas)), "seed \(seed) at \(position)")
      }
    }
  }

  @Test(.requirement("ConsistentHashing.never.4")) func movesAreSortedDisjointAndExact() throws {
    for seed in 0..<UInt64(500 * testDepth) {
      var random = Random(seed: seed)
      let old = try randomRing(&random, atLeast: 2)
      let removed = old.members[random.below(old.members.count)].id
      let new = seed % 2 == 0 ? try old.removing(removed) : try old.adding(Member(id("newcomer")))
      let plan = try TransferPlan.between(old, new)
      var total: UInt128 = 0
      for (index, move) in plan.moves.enumerated() {
        total += move.range.length(lastPosition: old.lastPosition)
        if index > 0 {
          let before = plan.moves[index - 1]
          #expect(before.range.end < move.range.end, "seed \(seed): sorted")
          #expect(before.range.end <= move.range.start, "seed \(seed): disjoint")
          let alike = (before.sources, before.destination, before.replaces) == (move.sources, move.destination, move.replaces)
          #expect(!(before.range.end == move.range.start && alike), "seed \(seed): coalesced")
        }
      }
      if let first = plan.moves.first, let last = plan.moves.last, plan.moves.count > 1, first.range.start >= first.range.end {
        #expect(last.range.end <= first.range.start, "seed \(seed): the range over the end is disjoint from the last")
      }
      let share = seed % 2 == 0 ? old.ownership()[removed] : new.ownership()[id("newcomer")]
      #expect(abs((share ?? -1) - plan.bytesShare) < 1e-12, "seed \(seed)")
      #expect(abs(Double(total) / Double(UInt128(old.lastPosition) + 1) - plan.bytesShare) < 1e-15)
    }
  }

  /// The node alone gives everything to its successor: one range, all positions.
  @Test func everythingMoves() throws {
    let old = try HashRing(members: [Member("a")])
    let new = try old.adding(Member("b")).removing("a")
    let plan = try TransferPlan.between(old, new)
    #expect(plan.moves.count == 1 && plan.bytesShare == 1)
    #expect(plan.moves[0].range.start == plan.moves[0].range.end)
    #expect(plan.moves[0].reason == .loss)
  }

  @Test func plansThatCannotBe() throws {
    let old = try HashRing(members: nodes(3))
    let other = try HashRing(members: nodes(3), hash: .md5Ketama)
    #expect {
      try TransferPlan.between(old, other)
    } throws: {
      if case PlacementError.incompatible? = $0 as? PlacementError { true } else { false }
    }
    #expect(throws: PlacementError.insufficientNodes(need: 4, have: 3)) { try TransferPlan.between(old, old.adding(Member("x")), replicas: 4) }
    #expect(throws: PlacementError.self) { try TransferPlan.between(old, old, replicas: 0) }
  }

  /// Slots of 14 bits for hundreds of tokens of many members: some coincide. (Those of one member do not: CRC tells short numbers apart.)
  @Test(.requirement("ConsistentHashing.never.3")) func coincidingTokensAreHarmless() throws {
    var coinciding = 0
    for seed in 0..<UInt64(5 * testDepth) {
      var random = Random(seed: seed)
      let members = (0..<random.within(2...12)).map { Member(id("m\($0)-\(seed)")) }
      let ring = try HashRing(members: members, vnodes: 600, hash: .crc16Slot)
      coinciding += ring.tokenCount - (ring.boundaries ?? []).count
      // Ownership counted position by position.
      var counts = [Int](repeating: 0, count: members.count)
      for position in 0...ring.lastPosition { counts[try ring.primaryIndex(at: position)] += 1 }
      let shares = ring.ownership()
      for (member, count) in zip(ring.members, counts) { #expect(shares[member.id] == Double(count) / 16_384, "seed \(seed)") }
      var shuffled = members
      for index in shuffled.indices.reversed() { shuffled.swapAt(index, random.below(index + 1)) }
      var grown = try HashRing(members: [], vnodes: 600, hash: .crc16Slot)
      for member in shuffled { grown = try grown.adding(member) }
      #expect(grown == ring, "seed \(seed)")
      let extra = try grown.adding(Member("zz"))
      #expect(try extra.removing("zz") == ring)
    }
    #expect(coinciding > 100 * testDepth)
  }

  @Test(.requirement("ConsistentHashing.never.3", "ConsistentHashing.keep.10")) func theOrderOfInsertionDoesNotMatter() throws {
    for seed in 0..<UInt64(500 * testDepth) {
      var random = Random(seed: seed)
      let ring = try randomRing(&random)
      var shuffled = ring.members
      for index in shuffled.indices.reversed() { shuffled.swapAt(index, random.below(index + 1)) }
      var grown = try HashRing(members: [], vnodes: ring.vnodes, hash: ring.keyHash, allocation: ring.allocation)
      for member in shuffled { grown = try grown.adding(member) }
      #expect(grown == ring, "seed \(seed)")
      #expect(grown.description == ring.description.replacing("epoch 1", with: "epoch \(shuffled.count + 1)"), "seed \(seed)")
    }
  }
}
