import StrataBytes
import StrataConsistentHashing

/// Stored placements and transfer plans.
enum HashingTargets {
  static var all: [FuzzTarget] { [state, plan] }

  private static let members = [Member("a", zone: "z1", rack: "r"), Member("b\u{E9}", weight: 0.5, zone: ""), Member("c", weight: 2)]
  private static let plain = [Member("a"), Member("b"), Member("c")]
  private static let ring = made { try HashRing(members: plain, vnodes: 5, allocation: .hashed(seed: 42), replicationFactor: 2) }
  private static let balanced = made { try HashRing(members: plain, allocation: .balanced(tokensPerNode: 4), replicationFactor: 2) }

  static let state = FuzzTarget(
    "hashing.state", weight: 20,
    corpus: made {
      let zoned = try HashRing(members: members, vnodes: 7, hash: .murmur3Token, allocation: .hashed(seed: 1), replicationFactor: 2)
      let slots = try SlotMap(members: plain, slots: 40).adding(Member("d"))
      let states: [RingState] = [
        .ring(ring, next: nil), .ring(zoned, next: try zoned.adding(Member("d")).removing("a").reweighting("c", 3)), .ring(balanced, next: nil),
        .ring(balanced, next: try balanced.adding(Member("e")).removing("b")), .ring(try HashRing(members: [], allocation: .envoy), next: nil),
        .ring(try HashRing.ketama(members: plain, dialect: .libmemcached), next: nil), .ring(try HashRing.ketama(members: plain), next: nil),
        .slots(slots), .slots(try slots.migrating([slots.slots(of: "a")[0], slots.slots(of: "d")[0]], to: "b")),
        .slots(try SlotMap(members: [])), .maglev(try MaglevTable(members: members, size: 13)), .rendezvous(try Rendezvous(members: members)),
        .jump(try JumpHash(members: plain)),
      ]
      return try states.map { try $0.encode() }
    }, mend: { Sealing.end(&$0) }
  ) { bytes in
    guard let state = try? RingState(decoding: bytes.span.bytes) else { return false }
    guard let again = try? state.encode() else { broken("a placement that was read cannot be written") }
    demand(again == bytes, "a placement has two encodings")
    let placement = state.placement
    for number in 0..<4 { _ = try? placement.replicas([UInt8(number), 7], count: min(3, placement.members.count)) }
    return true
  }

  static let plan = FuzzTarget(
    "hashing.plan", weight: 40,
    corpus: made {
      let pairs = try [
        (ring, ring.adding(Member("d"))), (ring, ring.removing("a")), (balanced, balanced.adding(Member("e")).removing("b")), (ring, ring),
        (HashRing(members: [Member("a")]), HashRing(members: [Member("a")]).adding(Member("b")).removing("a")),
      ]
      return try pairs.map { try TransferPlan.between($0, $1).encode() }
    }, mend: { Sealing.end(&$0) }
  ) { bytes in
    guard let plan = try? TransferPlan(decoding: bytes.span.bytes) else { return false }
    guard let again = try? TransferPlan(decoding: plan.encode().span.bytes) else { broken("a plan that was read cannot be written") }
    demand(again == plan, "a plan is another one after it was written and read")
    return true
  }
}
