import StrataNodes
import StrataRequirements
import Testing

@testable import StrataConsistentHashing

/// A store of several nodes, each with its own versions, moved by a plan while it is read and written.
private struct MovedStore {
  var nodes: [MemberID: [Int: Int]] = [:]

  mutating func write(_ key: Int, _ version: Int, to members: [MemberID]) {
    for member in members { nodes[member, default: [:]][key] = max(version, nodes[member]?[key] ?? 0) }
  }

  mutating func copy(_ move: TransferPlan.Move, from source: MemberID, _ positions: [UInt64]) {
    for (key, version) in nodes[source] ?? [:] where move.range.contains(positions[key]) { write(key, version, to: [move.destination]) }
  }
}

@Suite struct HandoverTests {
  /// Copies, reads and writes in any order; at any moment every reader of a key has its last write. Afterwards the new owners have all, and what the
  /// plan says may go is all that is too much.
  @Test(.requirement("ConsistentHashing.beyond.9"), arguments: 1...3) func noKeyIsUnreadableDuringAMove(replicas: Int) throws {
    for seed in 0..<UInt64(60 * testDepth) {
      var random = Random(seed: seed &* 4 &+ UInt64(replicas))
      let old = try randomRing(&random, atLeast: replicas)
      let new = try randomChange(old, &random, atLeast: replicas)
      guard new.epoch > old.epoch else { continue }
      var change = try Handover(from: old, to: new, replicas: replicas)
      let names = (0..<60).map { "key\($0)" }
      let positions = names.map { old.position(of: $0) }
      var store = MovedStore()
      var latest = [Int](repeating: 0, count: names.count)
      func check() throws {
        for key in names.indices {
          for reader in try change.readers(names[key]) {
            #expect(store.nodes[reader]?[key] == latest[key], "seed \(seed): \(reader) has not the last write of \(names[key])")
          }
        }
      }
      for key in names.indices { store.write(key, 0, to: try old.replicas(names[key], count: replicas)) }
      var version = 0
      while !change.isComplete {
        for _ in 0..<random.below(4) {
          version += 1
          let key = random.below(names.count)
          latest[key] = version
          store.write(key, version, to: try change.writers(names[key]))
        }
        let pending = change.pendingMoves
        let move = pending[random.below(pending.count)]
        let plan = change.plan.moves[move]
        store.copy(plan, from: plan.sources[random.below(plan.sources.count)], positions)
        change = try change.acknowledging(move)
        #expect(try change.acknowledging(move).pendingMoves == change.pendingMoves)
        try check()
      }
      try check()
      for key in names.indices {
        #expect(try change.readers(names[key]) == new.replicas(names[key], count: replicas))
        #expect(try change.writers(names[key]) == new.replicas(names[key], count: replicas))
        let holders = Set(store.nodes.filter { $0.value[key] != nil }.keys)
        let released = change.plan.moves.filter { $0.range.contains(positions[key]) }.map(\.replaces)
        #expect(holders.subtracting(released) == Set(try new.replicas(names[key], count: replicas)), "seed \(seed)")
      }
    }
  }

  @Test(.requirement("ConsistentHashing.beyond.9")) func changesThatCannotBe() throws {
    let ring = try HashRing(members: nodes(3))
    #expect(throws: PlacementError.self) { try Handover(from: ring, to: ring, replicas: 1) }
    let change = try Handover(from: ring, to: try ring.adding(Member("x")), replicas: 2)
    #expect(throws: PlacementError.self) { try change.acknowledging(-1) }
    #expect(throws: PlacementError.self) { try change.acknowledging(change.plan.moves.count) }
    #expect(!change.isComplete)
    for key in keys(200) {
      let writers = try change.writers(key)
      #expect(Set(writers).count == writers.count)
      #expect(Set(writers) == Set(try ring.replicas(key, count: 2)).union(try change.new.replicas(key, count: 2)))
    }
  }
}

@Suite struct PlacementHandleTests {
  @Test(.requirement("ConsistentHashing.beyond.10")) func aStalePlacementIsRefused() throws {
    let first = try HashRing(members: nodes(2))
    let handle = PlacementHandle(first)
    let one = try first.adding(Member("one"))
    let other = try first.adding(Member("other"))
    #expect(handle.publish(one, ifEpoch: 1))
    #expect(!handle.publish(other, ifEpoch: 1), "made from the placement before")
    #expect(handle.current.members.contains { $0.id == "one" })
    #expect(handle.current.epoch == 2)
    #expect(!handle.publish(first, ifEpoch: 2), "not newer")
    #expect(handle.publish(try one.removing("one"), ifEpoch: 2))
    #expect(handle.current.epoch == 3)
    #expect(handle.publish(try MaglevTable(epoch: 4, members: nodes(3), size: 7, hash: .xxh64), ifEpoch: 3), "of any kind")
    #expect(try handle.current.primary("k") != "other")
  }

  /// Eight readers beside one writer: each sees whole placements only, in the order in which they came.
  @Test(.requirement("ConsistentHashing.never.6")) func readersSeeWholePlacements() async throws {
    // At epoch e the members are e ... e + 2, so a mixture would show.
    func ring(_ epoch: Int) throws -> HashRing {
      let members = try Member.normalized((epoch...epoch + 2).map { Member(id("n\($0)")) })
      let entries = try HashRing.tokens(of: members, vnodes: 5, hash: .xxh64, allocation: .hashed, replicationFactor: 1)
      return HashRing(
        epoch: UInt64(epoch), members: members, vnodes: 5, hash: .xxh64, allocation: .hashed, replicationFactor: 1, entries: entries)
    }
    let last = 300 * testDepth
    let handle = PlacementHandle(try ring(1))
    let rings = try (2...last).map(ring)
    try await withThrowingTaskGroup(of: Int.self) { group in
      for reader in 0..<8 {
        group.addTask {
          var epoch = 0
          var snapshots = 0
          while epoch < last {
            let current = handle.current
            let seen = Int(current.epoch)
            #expect(seen >= epoch, "time runs forward")
            epoch = seen
            let allowed = (seen...seen + 2).map { id("n\($0)") }
            let owner = try current.primary("key\(reader) \(snapshots)")
            let owners = try current.replicas("k", count: 3)
            #expect(allowed.contains(owner) && Set(owners) == Set(allowed))
            snapshots += 1
            await Task.yield()
          }
          return snapshots
        }
      }
      group.addTask {
        for ring in rings {
          #expect(handle.publish(ring, ifEpoch: ring.epoch - 1))
          await Task.yield()
        }
        return 1
      }
      for try await snapshots in group { #expect(snapshots > 0) }
    }
    #expect(handle.current.epoch == UInt64(last))
  }
}
