import StrataNodes
import StrataRequirements
import Testing

@testable import StrataConsistentHashing

@Suite struct InputTests {
  private func refuses(_ name: String, _ body: () throws -> Void, _ location: SourceLocation = #_sourceLocation) {
    do {
      try body()
      Issue.record("\(name) passed", sourceLocation: location)
    } catch PlacementError.invalidParameter(let parameter, _, let allowed) {
      #expect(parameter.contains(name) && !allowed.isEmpty, sourceLocation: location)
    } catch {
      Issue.record("\(name): \(error)", sourceLocation: location)
    }
  }

  @Test(.requirement("ConsistentHashing.never.7", "ConsistentHashing.input.1")) func degenerateParameters() throws {
    let two = nodes(2)
    for vnodes in [0, -1, .min, 1_000_001, .max] { refuses("vnodes") { _ = try HashRing(members: two, vnodes: vnodes) } }
    for tokens in [0, -1, 1_000_001] {
      refuses("tokens per node") { _ = try HashRing(members: two, allocation: .balanced(tokensPerNode: tokens)) }
    }
    for factor in [0, -1, .min, .max] { refuses("replication factor") { _ = try HashRing(members: two, replicationFactor: factor) } }
    for weight in [0, -1, .nan, .infinity, -.infinity, -0.0] {
      refuses("weight") { _ = try HashRing(members: [Member("a", weight: weight)]) }
      refuses("weight") { _ = try HashRing(members: two).adding(Member("a", weight: weight)) }
      refuses("weight") { _ = try HashRing(members: two).reweighting("node0", weight) }
      refuses("weight") { _ = try Rendezvous(members: [Member("a", weight: weight)]) }
      refuses("weight") { _ = try MaglevTable(members: [Member("a", weight: weight)]) }
      refuses("weight") { _ = try SlotMap(members: [Member("a", weight: weight)]) }
      refuses("weight") { _ = try JumpHash(members: [Member("a", weight: weight)]) }
      refuses("weight") { _ = try HashRing.ketama(members: [Member("a", weight: weight)]) }
    }
    for weight in [1e9, 1e300, .greatestFiniteMagnitude] {
      refuses("weight") { _ = try HashRing(members: [Member("a", weight: weight)]) }
      refuses("weight") { _ = try HashRing(members: two).reweighting("node0", weight) }
    }
    refuses("tokens") { _ = try HashRing(members: nodes(20), vnodes: 1_000_000) }
    refuses("hash") { _ = try HashRing(members: two, hash: .xxh64, allocation: Allocation(rule: .ketama(.libketama))) }
    for c in [0.99, 0, -1, .nan, .infinity, 1_001] { refuses("c") { _ = try BoundedLoad(HashRing(members: two), c: c) } }
    for slots in [0, -1, 1, .max] { refuses("slots") { _ = try SlotMap(members: two, slots: slots) } }
    let long = String(repeating: "x", count: 1_025)
    let nothing = String()
    refuses("node id") { _ = try MemberID(nothing) }
    refuses("node id") { _ = try MemberID(long) }
    refuses("zone") { _ = try HashRing(members: [Member("a", zone: String(repeating: "z", count: 256))]) }
    refuses("rack") { _ = try HashRing(members: [Member("a", rack: String(repeating: "z", count: 256))]) }
    for count in [0, -1, .min] { refuses("count of replicas") { _ = try HashRing(members: two).replicas("k", count: count) } }
  }

  /// Extreme but allowed: no trap.
  @Test(.requirement("ConsistentHashing.input.1")) func extremes() throws {
    let light = Member("light", weight: .leastNonzeroMagnitude)
    let ring = try HashRing(members: [light, Member("b")])
    #expect(ring.tokenCount(of: "light") == 1)
    #expect(ring.imbalance.isFinite || ring.imbalance == .infinity)
    #expect(!ring.description.isEmpty)
    let heavy = [Member("a", weight: 1e12), Member("b", weight: 1e12), light]
    for member in heavy {
      let owners = try Rendezvous(members: heavy).replicas("k", count: 3)
      #expect(owners.contains(member.id))
      #expect(try Rendezvous(members: [member]).primary("k") == member.id)
    }
  }

  /// Names are bytes: composed and decomposed letters are two nodes, and order is that of bytes.
  @Test(.requirement("ConsistentHashing.keep.10")) func namesAreBytes() throws {
    let composed = id("caf\u{E9}")
    let decomposed = id("cafe\u{301}")
    #expect(composed != decomposed && composed.name == decomposed.name)
    #expect(Set([composed, decomposed]).count == 2)
    #expect(decomposed < composed && !(composed < decomposed))
    let ring = try HashRing(members: [Member(composed), Member(decomposed)])
    #expect(ring.members.map(\.id) == [decomposed, composed])
    #expect(ring.tokens.count == 300)
  }

  /// A sorted table after a build and after a merge, with an index that finds in it what halving finds. That neither is quadratic is measured by
  /// `make bench-hashing`.
  @Test(.requirement("ConsistentHashing.never.8", "ConsistentHashing.keep.9")) func manyTokens() throws {
    let ring = try HashRing(members: nodes(300), vnodes: 150)
    #expect(ring.tokenCount == 45_000)
    #expect(zip(ring.table.tokens, ring.table.tokens.dropFirst()).allSatisfy { $0 <= $1 })
    #expect(ring.tokenBytes <= 16 * ring.tokenCount + 40, "\(ring.tokenBytes) bytes")
    let grown = try ring.adding(Member("x"))
    #expect(zip(grown.table.tokens, grown.table.tokens.dropFirst()).allSatisfy { $0 <= $1 })
    #expect(grown.tokenCount == 45_150)
    // The index leads to the token that halving finds.
    var random = Random(seed: 4)
    for _ in 0..<5_000 {
      let position = random.next()
      let found = grown.table.search(position, 0, grown.tokenCount)
      #expect(grown.table.index(at: position) == (found == grown.tokenCount ? 0 : found))
    }
    for (index, token) in grown.table.tokens.enumerated().prefix(2_000) {
      #expect(grown.table.tokens[grown.table.index(at: token)] == token)
      #expect(grown.table.index(at: token &+ 1) == (index + 1) % grown.tokenCount || grown.table.tokens[index + 1] == token)
    }
  }
}
