import StrataNodes
import StrataRequirements
import Testing

@testable import StrataConsistentHashing

@Suite struct BoundedLoadTests {
  /// After every lease no node holds more than ⌈c · average · weight⌉, whatever comes and goes.
  @Test(.requirement("ConsistentHashing.beyond.8"), arguments: [1.0, 1.1, 1.25, 2.0])
  func noNodeIsOverItsPart(c: Double) throws {
    for seed in 0..<UInt64(10 * testDepth) {
      var random = Random(seed: seed)
      let members = (0..<random.within(1...8)).map { Member(id("n\($0)"), weight: [0.5, 1, 1, 3][random.below(4)]) }
      let weights = members.reduce(0) { $0 + $1.weight }
      let balancer = try BoundedLoad(try HashRing(members: members, vnodes: 30), c: c)
      var leases: [Lease] = []
      for step in 0..<300 {
        if random.chance(1, in: 4), !leases.isEmpty {
          leases.remove(at: random.below(leases.count)).release()
        } else {
          // A few keys make up most of the load.
          let lease = try balancer.acquire("key\(random.chance(1, in: 2) ? 0 : random.below(50))")
          leases.append(lease)
          let loads = balancer.loads
          for member in members where member.id == lease.node {
            let limit = (c * Double(leases.count) * member.weight / weights).rounded(.up)
            #expect(Double(loads[member.id] ?? 0) <= limit, "seed \(seed) step \(step)")
          }
        }
        #expect(balancer.loads.values.reduce(0, +) == leases.count)
      }
      leases.removeAll()
      #expect(balancer.loads.values.allSatisfy { $0 == 0 }, "a lease that goes gives its place back")
    }
  }

  @Test(.requirement("ConsistentHashing.beyond.8")) func aKeyStaysWhereThereIsRoom() throws {
    let ring = try HashRing(members: nodes(4))
    let balancer = try BoundedLoad(ring, c: 1.25)
    let first = try balancer.acquire("k")
    #expect(first.node == (try ring.primary("k")))
    let order = Array(ring.walk("k"))
    let second = try balancer.acquire("k")
    #expect(second.node == order[1], "overflow goes clockwise")
    first.release()
    first.release()
    #expect(balancer.loads.values.reduce(0, +) == 1, "released once")
    #expect(second.node == order[1])
  }

  @Test(.requirement("ConsistentHashing.beyond.8")) func leasesOutliveAPlacement() throws {
    let ring = try HashRing(members: nodes(3))
    let balancer = try BoundedLoad(ring, c: 2)
    let leases = try (0..<30).map { try balancer.acquire("k\($0)") }
    let gone = leases[0].node
    balancer.update(try ring.removing(gone))
    #expect(balancer.loads[gone] == nil)
    #expect(balancer.loads.values.reduce(0, +) == leases.count { $0.node != gone })
    balancer.update(try ring.removing(gone).adding(Member(gone)))
    #expect(balancer.loads.values.reduce(0, +) == 30, "its leases count again")
    for lease in leases { lease.release() }
    #expect(balancer.loads.values.allSatisfy { $0 == 0 })
    balancer.update(try HashRing(members: []))
    #expect(throws: PlacementError.empty) { try balancer.acquire("k") }
  }
}

@Suite struct HotKeysTests {
  /// Against exact counts: every key above total / capacity is there, and no count is off by more than it says.
  @Test(.requirement("ConsistentHashing.beyond.11")) func againstExactCounts() throws {
    for seed in 0..<UInt64(20 * testDepth) {
      var random = Random(seed: seed)
      let capacity = random.within(1...40)
      var sketch = try HotKeys(capacity: capacity)
      var exact: [[UInt8]: UInt64] = [:]
      for _ in 0..<2_000 {
        // Skewed: the square of a uniform number.
        let number = random.below(30) * random.below(30)
        let key = Array("k\(number)".utf8)
        let count = UInt64(random.within(1...3))
        exact[key, default: 0] += count
        sketch.observe(key, count: count)
      }
      let total = exact.values.reduce(0, +)
      #expect(sketch.total == total && sketch.skipped == 0)
      let top = sketch.top(capacity)
      #expect(top.count == min(capacity, exact.count))
      for hot in top {
        let truth = exact[hot.key] ?? 0
        #expect(truth <= hot.count && truth + hot.error >= hot.count, "seed \(seed)")
        #expect(hot.error <= total / UInt64(capacity))
      }
      for (key, count) in exact where count > total / UInt64(capacity) {
        #expect(top.contains { $0.key == key }, "seed \(seed): a key of \(count) of \(total) is missing")
      }
      #expect(zip(top, top.dropFirst()).allSatisfy { $0.count >= $1.count })
    }
  }

  @Test(.requirement("ConsistentHashing.beyond.11", "ConsistentHashing.input.1")) func bounds() throws {
    var sketch = try HotKeys(capacity: 2)
    sketch.observe([UInt8](repeating: 1, count: 4_097))
    #expect(sketch.skipped == 1 && sketch.total == 0 && sketch.top(5).isEmpty)
    sketch.observe("a", count: .max)
    sketch.observe("a", count: 5)
    #expect(sketch.total == .max && sketch.top(1)[0].count == .max)
    #expect(sketch.top(-1).isEmpty)
    #expect(throws: PlacementError.self) { try HotKeys(capacity: 0) }
  }
}
