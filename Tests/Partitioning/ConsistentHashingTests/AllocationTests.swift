import StrataNodes
import StrataRequirements
import Testing

@testable import StrataConsistentHashing

@Suite struct KetamaTests {
  @Test(.requirement("ConsistentHashing.beyond.1")) func publishedPoints() throws {
    let ring = try HashRing.ketama(members: [Member("127.0.0.1:8091")])
    let points = Set(ring.tokens.map(\.token))
    #expect(points.isSuperset(of: [3_368_554_293, 2_739_831_190, 828_527_028, 3_345_787_079]))
    #expect(ring.tokenCount == 160 && ring.keyHash == .md5Ketama)
  }

  @Test(.requirement("ConsistentHashing.beyond.1")) func dialects() throws {
    let plain = try HashRing.ketama(members: [Member("10.0.0.1:11211")], dialect: .libketama)
    let short = try HashRing.ketama(members: [Member("10.0.0.1:11211")], dialect: .libmemcached)
    #expect(plain.tokens.map(\.token) != short.tokens.map(\.token))
    #expect(short.tokens.map(\.token) == (try HashRing.ketama(members: [Member("10.0.0.1")])).tokens.map(\.token))
    // 10 of 12 servers' shares, in single precision: 1/12 · 40 · 12 rounds to 40 or just below it.
    let dozen = try HashRing.ketama(members: nodes(12), dialect: .libmemcached)
    #expect(dozen.tokenCount == 12 * 160)
    let weighted = try HashRing.ketama(members: [Member("a", weight: 1), Member("b", weight: 3)], dialect: .libmemcached)
    #expect(weighted.tokenCount(of: "a") == 80 && weighted.tokenCount(of: "b") == 240)
    let ghost = try HashRing.ketama(members: [Member("a", weight: 0.001), Member("b", weight: 30)])
    #expect(ghost.tokenCount(of: "a") == 4, "never none")
  }

  @Test(.requirement("ConsistentHashing.beyond.1")) func changesEqualANewRing() throws {
    let members = [Member("a:1"), Member("b:2", weight: 2), Member("c:3")]
    let ring = try HashRing.ketama(members: members, dialect: .libmemcached)
    let grown = try ring.adding(Member("d:4", weight: 5))
    #expect(grown == (try HashRing.ketama(members: members + [Member("d:4", weight: 5)], dialect: .libmemcached)))
    #expect(try grown.removing("d:4") == ring)
    #expect(try grown.reweighting("d:4", 1) == HashRing.ketama(members: members + [Member("d:4")], dialect: .libmemcached))
  }

  @Test(.requirement("ConsistentHashing.beyond.4")) func envoysRing() throws {
    let ring = try HashRing(members: [Member("10.0.0.1:80")], vnodes: 3, allocation: .envoy)
    let expected = (0..<3).map { KeyHash.xxh64.position(of: "10.0.0.1:80_\($0)".utf8Span.span.bytes) }.sorted()
    #expect(ring.tokens.map(\.token) == expected)
  }
}

@Suite struct BalancedTests {
  /// Ten nodes of 16 tokens, three copies: new, grown one by one, and shrunk again.
  @Test(.requirement("ConsistentHashing.beyond.5")) func tenNodesWithinATenth() throws {
    for seed in 0..<UInt64(3 * testDepth) {
      let members = (0..<10).map { Member(id("s\(seed)-\($0)")) }
      let whole = try HashRing(members: members, allocation: .balanced(), replicationFactor: 3)
      #expect(whole.tokenCount == 160 && whole.vnodes == 16)
      #expect(whole.imbalance(replicas: 3) <= 1.10, "seed \(seed): \(whole.imbalance(replicas: 3))")
      var grown = try HashRing(members: Array(members.prefix(3)), allocation: .balanced(), replicationFactor: 3)
      for member in members.dropFirst(3) {
        let before = grown
        grown = try grown.adding(member)
        #expect(grown.tokenCount(of: member.id) == 16)
        let plan = try TransferPlan.between(before, grown)
        #expect(plan.moves.allSatisfy { $0.destination == member.id }, "the others' tokens stay")
      }
      #expect(grown.imbalance(replicas: 3) <= 1.10, "seed \(seed), grown: \(grown.imbalance(replicas: 3))")
      let shrunk = try grown.removing(members[4].id)
      #expect(shrunk.tokenCount == 144)
      #expect(shrunk.imbalance(replicas: 3) <= 1.3, "seed \(seed), shrunk: \(shrunk.imbalance(replicas: 3))")
    }
  }

  @Test(.requirement("ConsistentHashing.beyond.5")) func weightsCount() throws {
    let members = [Member("a"), Member("b", weight: 2), Member("c"), Member("d"), Member("e", weight: 0.5), Member("f"), Member("g")]
    let ring = try HashRing(members: members, allocation: .balanced(), replicationFactor: 2)
    #expect(ring.tokenCount(of: "b") == 32 && ring.tokenCount(of: "e") == 8)
    #expect(ring.imbalance(replicas: 2) < 1.35, "\(ring)")
    let heavier = try ring.reweighting("e", 1)
    #expect(heavier.tokenCount(of: "e") == 16)
    #expect(try TransferPlan.between(ring, heavier).moves.allSatisfy { $0.destination == "e" })
    let lighter = try ring.reweighting("b", 1)
    #expect(lighter.tokenCount(of: "b") == 16)
    #expect(try TransferPlan.between(ring, lighter).moves.allSatisfy { $0.replaces == "b" })
    #expect(lighter.imbalance(replicas: 2) < 1.4, "\(lighter)")
  }

  @Test func smallRingsAndSmallSpaces() throws {
    for count in 0...4 {
      let ring = try HashRing(members: nodes(count), hash: .crc16Slot, allocation: .balanced(tokensPerNode: 3), replicationFactor: 2)
      let grown = try ring.adding(Member("x")).adding(Member("y"))
      #expect(grown.tokenCount == 3 * (count + 2))
      #expect(try grown.removing("x").removing("y") == ring)
    }
  }
}

/// What DESIGN pages quote: hashed rings of ten nodes.
@Suite struct BalanceFigures {
  @Test(.requirement("ConsistentHashing.keep.7")) func tenHashedNodes() throws {
    func figures(vnodes: Int) throws -> (mean: Double, worst: Double) {
      let all = try (0..<30 as Range<UInt64>).map {
        try HashRing(members: nodes(10), vnodes: vnodes, allocation: .hashed(seed: $0)).imbalance
      }
      return (all.reduce(0, +) / 30, all.max() ?? 0)
    }
    let many = try figures(vnodes: 150)
    #expect(many.mean <= 1.15 && many.worst <= 1.35, "\(many)")
    let few = try figures(vnodes: 16)
    #expect(few.mean > 1.25 && few.mean < 1.5, "\(few)")
  }
}
