import StrataBytes
import StrataNodes
import StrataRequirements
import Testing

@testable import StrataConsistentHashing

func id(_ name: String) -> MemberID { MemberID(stringLiteral: name) }

func nodes(_ count: Int) -> [Member] { (0..<count).map { Member(id("node\($0)")) } }

func keys(_ count: Int, seed: UInt64 = 1) -> [[UInt8]] {
  var random = Random(seed: seed)
  return (0..<count).map { _ in random.bytes(16) }
}

@Suite struct RingTests {
  @Test(.requirement("ConsistentHashing.keep.1", "ConsistentHashing.keep.2")) func tokensFollowWeight() throws {
    let ring = try HashRing(members: [Member("a"), Member("b", weight: 0.5), Member("c", weight: 3), Member("d", weight: 0.001)])
    #expect(ring.vnodes == 150 && ring.replicationFactor == 1)
    #expect(ring.tokenCount(of: "a") == 150)
    #expect(ring.tokenCount(of: "b") == 75)
    #expect(ring.tokenCount(of: "c") == 450)
    #expect(ring.tokenCount(of: "d") == 1, "never none")
    #expect(ring.tokenCount(of: "e") == nil)
    #expect(ring.tokenCount == 676)
    #expect(ring.ownership()["d"] ?? 0 > 0)
  }

  @Test(.requirement("ConsistentHashing.keep.3")) func replicasAreDistinctAndBeginWithThePrimary() throws {
    let ring = try HashRing(members: nodes(7), vnodes: 20, replicationFactor: 3)
    for key in keys(500) {
      for count in 1...7 {
        let owners = try ring.replicas(key, count: count)
        #expect(owners.count == count && Set(owners).count == count)
        #expect(owners.first == (try ring.primary(key)))
        #expect(Array(ring.walk(key).prefix(count)) == owners)
      }
      #expect(try ring.replicas(key).count == 3)
      #expect(Array(ring.walk(key)).count == 7)
    }
    #expect(throws: PlacementError.insufficientNodes(need: 8, have: 7)) { try ring.replicas("k", count: 8) }
  }

  @Test(.requirement("ConsistentHashing.keep.4")) func emptyAndUnknownAndDoubled() throws {
    let empty = try HashRing(members: [])
    #expect(throws: PlacementError.empty) { try empty.primary("k") }
    #expect(throws: PlacementError.empty) { try empty.replicas("k", count: 1) }
    #expect(Array(empty.walk("k")).isEmpty)
    #expect(throws: PlacementError.unknownNode("x")) { try empty.removing("x") }
    let ring = try HashRing(members: nodes(3))
    #expect(throws: PlacementError.unknownNode("x")) { try ring.removing("x") }
    #expect(throws: PlacementError.unknownNode("x")) { try ring.reweighting("x", 2) }
    let same = try ring.adding(Member("node1"))
    #expect(same == ring && same.epoch == ring.epoch)
    #expect(try TransferPlan.between(ring, same).moves.isEmpty)
    #expect(throws: PlacementError.nodeExists("node1")) { try ring.adding(Member("node1", weight: 2)) }
    #expect("\(PlacementError.nodeExists("node1"))".contains("reweighting"))
    #expect(throws: PlacementError.nodeExists("a")) { try HashRing(members: [Member("a"), Member("b"), Member("a")]) }
    #expect(try ring.adding(Member("x")).epoch == ring.epoch + 1)
    #expect(try ring.removing("node0").epoch == ring.epoch + 1)
    #expect(try ring.reweighting("node0", 2).epoch == ring.epoch + 1)
    #expect(try ring.reweighting("node0", 1).epoch == ring.epoch)
  }

  @Test(.requirement("ConsistentHashing.keep.5")) func onlyTheChangedMembersKeysMove() throws {
    let sample = keys(4_000)
    for count in [1, 2, 5, 10, 25] {
      let ring = try HashRing(members: nodes(count))
      let grown = try ring.adding(Member("newcomer"))
      var moved = 0
      for key in sample {
        let before = try ring.primary(key)
        let after = try grown.primary(key)
        if before != after {
          moved += 1
          #expect(after == "newcomer")
        }
      }
      let share = Double(moved) / Double(sample.count) * Double(count + 1)
      #expect(share > 0.6 && share < 1.4, "\(moved) of \(sample.count) keys to node \(count + 1)")
      let shrunk = try grown.removing("newcomer")
      #expect(shrunk == ring)
      let lighter = try grown.reweighting("newcomer", 0.5)
      let heavier = try grown.reweighting("newcomer", 2)
      for key in sample.prefix(1_000) {
        let owner = try grown.primary(key)
        if try lighter.primary(key) != owner { #expect(owner == "newcomer") }
        if try heavier.primary(key) != owner { #expect(try heavier.primary(key) == "newcomer") }
      }
    }
  }

  @Test(.requirement("ConsistentHashing.keep.6")) func sharesSumToOne() throws {
    #expect(try HashRing(members: []).imbalance == 1)
    for hash in KeyHash.allCases {
      let one = try HashRing(members: nodes(1), hash: hash)
      #expect(one.ownership() == ["node0": 1.0])
      #expect(one.imbalance == 1)
      for replicas in 1...3 {
        let ring = try HashRing(members: nodes(9), hash: hash)
        let sum = ring.ownership(replicas: replicas).values.reduce(0, +)
        #expect(abs(sum - Double(replicas)) < 1e-12, "\(hash) \(replicas): \(sum)")
      }
    }
  }

  @Test(.requirement("ConsistentHashing.keep.7")) func balance() throws {
    var spread = 0.0
    for seed in 0..<30 as Range<UInt64> {
      let ring = try HashRing(members: nodes(3), allocation: .hashed(seed: seed))
      #expect(ring.imbalance < 1.5, "seed \(seed): \(ring.imbalance)")
      spread += ring.imbalance
    }
    #expect(spread / 30 < 1.2)
    let hundred = try HashRing(members: nodes(100))
    #expect(hundred.imbalance < 1.6)
    #expect(try hundred.keyDistribution(keys(10_000)).values.allSatisfy { $0 > 0 })
    for seed in 0..<30 as Range<UInt64> {
      let ring = try HashRing(members: [Member("a", weight: 3), Member("b"), Member("c")], allocation: .hashed(seed: seed))
      let shares = ring.ownership()
      let ratio = (shares["a"] ?? 0) / (shares["b"] ?? 1)
      #expect(ratio >= 2 && ratio <= 4.5, "seed \(seed): \(ratio)")
    }
    let means = try [5, 25, 125].map { vnodes in
      try (0..<30 as Range<UInt64>).reduce(0.0) { sum, seed in
        sum + (try HashRing(members: nodes(8), vnodes: vnodes, allocation: .hashed(seed: seed)).imbalance)
      } / 30
    }
    #expect(means[0] > means[1] && means[1] > means[2], "\(means)")
  }

  @Test(.requirement("ConsistentHashing.keep.8")) func summary() throws {
    let ring = try HashRing(members: [Member("alpha", zone: "east"), Member("beta", weight: 3)], replicationFactor: 2)
    let text = ring.description
    for part in ["2 nodes", "replication factor 2", "600 tokens", "weight 3.0", "vnodes 450", "vnodes 150", "share ", " %", "zone east", "imbalance"]
    {
      #expect(text.contains(part), "\(part) in \(text)")
    }
  }

  /// Known positions and owners: what this ring gave once it gives for ever.
  @Test(.requirement("ConsistentHashing.keep.10", "ConsistentHashing.never.9")) func placementNeverChanges() throws {
    let ring = try HashRing(members: nodes(5))
    var digest: UInt64 = 0
    for index in 0..<1_000 {
      let owner = try ring.primaryIndex(at: ring.position(of: "key\(index)"))
      digest = xxh64([UInt8(owner)].span.bytes, seed: digest)
    }
    #expect(digest == 16_131_353_679_585_642_776)
  }
}
