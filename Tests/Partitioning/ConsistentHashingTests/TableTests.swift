import StrataNodes
import StrataRequirements
import Testing

@testable import StrataConsistentHashing

@Suite struct JumpHashTests {
  /// Guava, ClickHouse and the paper's own code agree on these.
  @Test(.requirement("ConsistentHashing.beyond.2")) func publishedBuckets() {
    #expect((0..<10).map { JumpHash.bucket($0, buckets: 100) } == [0, 55, 62, 8, 45, 59, 86, 97, 82, 59])
    #expect(JumpHash.bucket(10_863_919_174_838_991, buckets: 11) == 6)
    #expect(JumpHash.bucket(2, buckets: 100_001) == 80_343)
    #expect(JumpHash.bucket(256, buckets: 1_024) == 520)
  }

  /// Lookups step in integers. With 2^26 buckets one step in a thousand is so near to a whole number that integers alone would be wrong.
  @Test(.requirement("ConsistentHashing.beyond.2"), arguments: [1, 2, 3, 10, 1_000, 1_024, 65_536, (1 << 20) - 1, 1 << 20, (1 << 26) - 1])
  func integersGiveThePublishedBuckets(buckets: Int) {
    let steps = JumpSteps(buckets: buckets, bitsLimit: buckets > 1 << 20 ? 26 : 20)
    var random = Random(seed: UInt64(buckets))
    let numbers = (0..<UInt64(10_000 * testDepth)).flatMap { [$0, random.next()] }
    #expect(numbers.first { steps.bucket($0) != JumpHash.bucket($0, buckets: buckets) } == nil)
    #expect(JumpSteps(buckets: 1 << 40).bucket(7) == JumpHash.bucket(7, buckets: 1 << 40))
  }

  @Test(.requirement("ConsistentHashing.beyond.2")) func keysMoveOnlyToTheLastBucket() throws {
    let ring = try JumpHash(members: nodes(9))
    let grown = try ring.adding(Member("last"))
    var moved = 0
    for key in keys(5_000) where try ring.primary(key) != grown.primary(key) {
      #expect(try grown.primary(key) == "last")
      moved += 1
    }
    #expect(moved > 350 && moved < 650, "\(moved) of 5000 to one of ten")
    #expect(try grown.removingLast().primary("k") == ring.primary("k"))
    #expect(try grown.removingLast().epoch == 3)
    #expect(throws: PlacementError.self) { try JumpHash(members: [Member("a", weight: 2)]) }
    #expect(throws: PlacementError.empty) { try JumpHash(members: []).removingLast() }
  }
}

@Suite struct MaglevTests {
  /// Envoy's table for these hosts and this size.
  @Test(.requirement("ConsistentHashing.beyond.4")) func envoysTable() throws {
    let table = try MaglevTable(members: (90...95).map { Member(id("127.0.0.1:\($0)")) }, size: 7)
    #expect(table.entries == [2, 4, 0, 1, 5, 0, 3])
  }

  @Test(.requirement("ConsistentHashing.beyond.4")) func sharesAreEvenAndFollowWeights() throws {
    let even = try MaglevTable(members: nodes(10), size: 5_003)
    var counts = [Int](repeating: 0, count: 10)
    for entry in even.entries { counts[Int(entry)] += 1 }
    #expect(counts.allSatisfy { $0 == 500 || $0 == 501 }, "\(counts)")
    let uneven = try MaglevTable(members: [Member("a"), Member("b", weight: 3)], size: 1_009)
    let heavy = uneven.entries.count { $0 == 1 }
    #expect(abs(heavy - 757) <= 2, "\(heavy) of 1009 entries")
  }

  @Test(.requirement("ConsistentHashing.beyond.4", "ConsistentHashing.input.1")) func sizesThatCannotBe() throws {
    for (size, next) in [(65_536, "65537"), (1, "2"), (0, "2"), (-5, "2"), (9, "11")] {
      #expect {
        try MaglevTable(members: nodes(2), size: size)
      } throws: {
        if case .invalidParameter("table size", _, let allowed)? = $0 as? PlacementError { allowed.hasSuffix("such as \(next)") } else { false }
      }
    }
    #expect(throws: PlacementError.self) { try MaglevTable(members: nodes(6), size: 5) }
    #expect(throws: PlacementError.self) { try MaglevTable(members: nodes(2), size: 5_000_077) }
    #expect(throws: PlacementError.empty) { try MaglevTable(members: []).primary("k") }
  }

  @Test func remaindersByMultiplication() {
    var random = Random(seed: 3)
    for divisor in [2, 3, 7, 64, 65_537, 16_384, 5_000_011, 1 << 20] as [UInt64] {
      let remainder = Remainder(divisor)
      for value in [0, 1, divisor - 1, divisor, divisor + 1, .max, .max - 1] + (0..<2_000).map({ _ in random.next() }) {
        #expect(remainder.of(value) == value % divisor, "\(value) by \(divisor)")
      }
    }
  }

  /// The plan between two tables says which entries change hands.
  @Test func plansOverEntries() throws {
    let old = try MaglevTable(members: nodes(5), size: 211)
    let new = try old.adding(Member("x"))
    let plan = try TransferPlan.between(old, new)
    for entry in 0..<211 as Range<UInt64> {
      let before = old.members[try old.primaryIndex(at: entry)].id
      let after = new.members[try new.primaryIndex(at: entry)].id
      let moves = plan.moves.filter { $0.range.contains(entry) }
      #expect(moves.map(\.destination) == (before == after ? [] : [after]))
    }
  }
}

@Suite struct RendezvousTests {
  @Test(.requirement("ConsistentHashing.beyond.3")) func onlyTheChangedNodesKeysMove() throws {
    let old = try Rendezvous(members: [Member("a"), Member("b", weight: 2), Member("c"), Member("d", weight: 0.5)])
    let new = try old.adding(Member("e", weight: 1.5))
    for key in keys(4_000) {
      let before = try old.replicas(key, count: 3)
      let after = try new.replicas(key, count: 3)
      #expect(after.filter { $0 != "e" } == Array(before.prefix(after.contains("e") ? 2 : 3)), "the others keep their order")
      #expect(after.first == (try new.primary(key)))
    }
    #expect(try new.removing("e").primary("k") == old.primary("k"))
  }

  /// Shares within four standard deviations of the binomial expectation.
  @Test(.requirement("ConsistentHashing.beyond.3")) func sharesFollowWeights() throws {
    for weights in [[1, 1, 1, 1, 1], [1, 2, 3, 0.5, 3.5], [5, 0.1, 1, 1, 1]] {
      let members = weights.enumerated().map { Member(id("n\($0)"), weight: $1) }
      let counts = try Rendezvous(members: members).keyDistribution(keys(20_000 * testDepth, seed: 9))
      let total = weights.reduce(0, +)
      for member in members {
        let n = Double(20_000 * testDepth)
        let share = member.weight / total
        let deviation = (Double(counts[member.id] ?? 0) - n * share) / (n * share * (1 - share)).squareRoot()
        #expect(abs(deviation) < 4, "\(member.id) of \(weights): \(deviation) sigma")
      }
    }
  }

  /// Values known to 17 digits; every machine must round alike because only basic operations are used.
  @Test(.requirement("ConsistentHashing.keep.10")) func logarithm() {
    for (value, logarithm) in [
      (0.5, -0.693_147_180_559_945_3), (0.1, -2.302_585_092_994_045_5), (0.999, -0.001_000_500_333_583_533_5), (0x1p-53, -36.736_800_569_677_1),
    ] {
      #expect(abs(Rendezvous.naturalLogarithm(value) / logarithm - 1) < 1e-15, "\(value)")
    }
    #expect(Rendezvous.naturalLogarithm(1 - 0x1p-53) < 0)
  }
}

@Suite struct SlotMapTests {
  @Test(.requirement("ConsistentHashing.beyond.6")) func redisClusterSlots() throws {
    let map = try SlotMap(members: [Member("a"), Member("b"), Member("c")])
    #expect(map.slotCount == 16_384)
    #expect(map.position(of: "somekey") == 11_058)
    #expect(map.position(of: "foo{hash_tag}") == 2_515)
    // As redis-cli --cluster create shares them out: 0-5460, 5461-10922, 10923-16383, up to which of the three is shorter.
    #expect(["a", "b", "c"].map { map.slots(of: $0).count }.sorted() == [5_461, 5_461, 5_462])
    #expect(map.slots(of: "a") == Array(0..<map.slots(of: "a").count))
    #expect(map.slots(of: "x").isEmpty && map.owner(ofSlot: 16_384) == nil)
  }

  /// Rebalancing moves no more than it must and ends within one slot of every target.
  @Test(.requirement("ConsistentHashing.beyond.6")) func rebalancingMovesTheMinimum() throws {
    for seed in 0..<UInt64(200 * testDepth) {
      var random = Random(seed: seed)
      let slots = random.within(30...500)
      var map = try SlotMap(members: nodes(random.within(1...6)), slots: slots, hash: .xxh64)
      for step in 0..<6 {
        let before = map
        let some = map.members[random.below(map.members.count)].id
        switch random.below(3) {
        case 0 where map.members.count > 1: map = try map.removing(some)
        case 1: map = try map.reweighting(some, [0.5, 2, 3][random.below(3)])
        default: map = try map.adding(Member(id("s\(seed)-\(step)")))
        }
        let total = map.members.reduce(0) { $0 + $1.weight }
        var needed = 0
        for member in map.members {
          let target = Double(slots) * member.weight / total
          let count = map.slots(of: member.id).count
          #expect(abs(Double(count) - target) < 1, "seed \(seed): \(count) for \(target)")
          needed += max(0, count - before.slots(of: member.id).count)
        }
        let moved = (0..<slots).count { map.owner(ofSlot: $0) != before.owner(ofSlot: $0) }
        #expect(moved == needed, "seed \(seed): every moved slot fills a gap")
        #expect(map.epoch == before.epoch + (map.members == before.members ? 0 : 1))
        let plan = try TransferPlan.between(before, map)
        #expect(abs(plan.bytesShare * Double(slots) - Double(moved)) < 1e-6)
      }
    }
  }

  /// Counts may not be kept where a target is met only by rounding the other way: the fewest moves are found by trying all quotas.
  @Test(.requirement("ConsistentHashing.beyond.6")) func quotasKeepWhatIsThere() {
    let members = nodes(3)
    #expect(SlotMap.quotas(members, slots: 10, current: [3, 3, 4]) == [3, 3, 4])
    #expect(SlotMap.quotas(members, slots: 10, current: [4, 3, 3]) == [4, 3, 3])
    #expect(SlotMap.quotas(members, slots: 11, current: [3, 4, 4]) == [3, 4, 4])
    #expect(SlotMap.quotas(members, slots: 11, current: [11, 0, 0]) == [4, 4, 3])
  }

  /// A division may leave a whole share a little below or above itself (0.7 of 2.7 of 351 is 90.99...); its member keeps exactly that share.
  @Test(
    .requirement("ConsistentHashing.beyond.6"),
    arguments: [
      ([0.4, 0.7, 0.2, 0.4, 1], 3, [52, 91, 26, 52, 130]), ([3, 0.4, 2, 2, 0.6], 0, [123, 16, 82, 82, 25]),
      ([1, 0.6, 0.3, 0.1, 0.5], 0, [182, 109, 55, 18, 91]),
    ] as [([Double], Int, [Int])])
  func wholeSharesStayWhole(weights: [Double], holder: Int, expected: [Int]) {
    let members = weights.enumerated().map { Member(id("m\($0.offset)"), weight: $0.element) }
    let slots = expected.reduce(0, +)
    #expect(SlotMap.quotas(members, slots: slots, current: weights.indices.map { $0 == holder ? slots : 0 }) == expected)
  }

  @Test(.requirement("ConsistentHashing.beyond.6")) func slotsUnderWay() throws {
    let map = try SlotMap(members: [Member("a"), Member("b")])
    let slot = Int(map.position(of: "k"))
    let owner = try map.primary("k")
    let other: MemberID = owner == "a" ? "b" : "a"
    let moving = try map.migrating([slot], to: other)
    #expect(try moving.primary("k") == owner)
    #expect(try moving.route("k") == .migrating(from: owner, to: other))
    #expect(moving.migrations.map(\.slot) == [slot] && moving.migrations[0].importer == other)
    #expect(throws: PlacementError.self) { try moving.migrating([slot], to: other) }
    #expect(throws: PlacementError.self) { try moving.adding(Member("c")) }
    let done = try moving.finishing([slot])
    #expect(try done.route("k") == .owner(other))
    #expect(done.epoch == 3)
    #expect(try moving.cancelling([slot]).route("k") == .owner(owner))
    #expect(throws: PlacementError.self) { try done.finishing([slot]) }
    #expect(throws: PlacementError.self) { try map.migrating([slot], to: owner) }
    #expect(throws: PlacementError.self) { try map.migrating([-1], to: other) }
    #expect(throws: PlacementError.unknownNode("x")) { try map.migrating([slot], to: "x") }
  }

  @Test(.requirement("ConsistentHashing.input.1")) func fewerSlotsThanNodes() throws {
    #expect(throws: PlacementError.invalidParameter(name: "slots", value: "4", allowed: "5...1048576")) { try SlotMap(members: nodes(5), slots: 4) }
    let map = try SlotMap(members: nodes(5), slots: 5)
    #expect(throws: PlacementError.self) { try map.adding(Member("x")) }
  }
}

/// What every placement promises alike.
@Suite struct EveryPlacementTests {
  private func placements(_ members: [Member]) throws -> [any Placement] {
    [
      try HashRing(members: members, vnodes: 20), try HashRing(members: members, allocation: .balanced(tokensPerNode: 8), replicationFactor: 3),
      try HashRing.ketama(members: members), try HashRing(members: members, allocation: .envoy), try JumpHash(members: members),
      try Rendezvous(members: members), try MaglevTable(members: members, size: 251), try SlotMap(members: members, slots: 128),
    ]
  }

  @Test(.requirement("ConsistentHashing.keep.3")) func listsAreDistinctAndBeginWithThePrimary() throws {
    for placement in try placements(nodes(6)) {
      for key in keys(100) {
        let walk = Array(placement.walk(key))
        #expect(walk.count == 6 && Set(walk).count == 6, "\(type(of: placement))")
        for count in 1...6 {
          let owners = try placement.replicas(key, count: count)
          #expect(owners == Array(walk.prefix(count)), "\(type(of: placement))")
        }
        #expect(try placement.primary(key) == walk[0], "\(type(of: placement))")
      }
      #expect(throws: PlacementError.insufficientNodes(need: 7, have: 6)) { try placement.replicas("k", count: 7) }
      #expect(throws: PlacementError.self) { try placement.replicas("k", count: 0) }
    }
    for placement in try placements([]) {
      #expect(throws: PlacementError.empty, "\(type(of: placement))") { try placement.primary("k") }
      #expect(throws: PlacementError.empty, "\(type(of: placement))") { try placement.replicas("k", count: 1) }
      #expect(Array(placement.walk("k")).isEmpty)
    }
  }

  @Test(.requirement("ConsistentHashing.beyond.7")) func copiesSpreadOverZonesThenRacks() throws {
    let members = (0..<12).map { Member(id("n\($0)"), zone: "z\($0 % 3)", rack: "r\($0 / 3 % 2)") }
    for placement in try placements(members) {
      for key in keys(100) {
        let three = try placement.preferenceList(key, count: 3)
        #expect(zones(three.nodes, members) == [1, 1, 1] && !three.isDegraded, "\(type(of: placement))")
        #expect(three.nodes[0] == (try placement.primary(key)))
        #expect(try placement.replicas(key, count: 3, spread: .zonesStrict) == three.nodes)
        let six = try placement.preferenceList(key, count: 6)
        #expect(zones(six.nodes, members) == [2, 2, 2] && six.isDegraded, "\(type(of: placement))")
        let racks = Set(six.nodes.map { node in members.first { $0.id == node }.map { "\($0.zone ?? "") \($0.rack ?? "")" } })
        #expect(racks.count == 6, "two of a zone stand in two racks: \(type(of: placement))")
        #expect(Set(try placement.replicas(key, count: 12)).count == 12)
        #expect(try placement.replicas(key, count: 5, spread: .nodes) == Array(placement.walk(key).prefix(5)))
      }
      #expect(throws: PlacementError.insufficientNodes(need: 4, have: 3), "\(type(of: placement))") {
        try placement.replicas("k", count: 4, spread: .zonesStrict)
      }
    }
  }

  private func zones(_ nodes: [MemberID], _ members: [Member]) -> [Int] {
    var counts: [String: Int] = [:]
    for node in nodes { counts[members.first { $0.id == node }?.zone ?? "", default: 0] += 1 }
    return counts.values.sorted()
  }

  @Test func plansNeedRanges() throws {
    let members = nodes(3)
    for placement in [try JumpHash(members: members), try Rendezvous(members: members)] as [any Placement] {
      #expect(throws: PlacementError.self) { try planFromItself(placement) }
    }
  }

  private func planFromItself(_ placement: some Placement) throws -> TransferPlan { try TransferPlan.between(placement, placement) }
}
