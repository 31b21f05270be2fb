import StrataNodes
import StrataRaft
import StrataRequirements
import StrataSimulation
import Testing

@testable import StrataScenarios

/// The group that is driven by hand.
struct RaftClusterTests {
  private func founded(_ count: Int, seed: UInt64) throws -> RaftCluster<KeyValueMachine> {
    try RaftCluster(nodeIDs: (1...count).map { NodeID(UInt64($0)) }, seed: seed)
  }

  @Test func aLeaderIsElectedAndServes() throws {
    let group = try founded(3, seed: 1)
    _ = try group.runUntilLeader(maxTicks: 100)
    let session = group.submit(KeyValueMachine.write(1, 5))
    while group.answer(to: session) == nil { try group.tick() }
    #expect(group.answer(to: session) == .answer([]))
    let last = try #require(group.committedLog.last?.index)
    try group.runUntilCommitted(index: last)
    #expect(group.committedLog.map(\.index) == Array(group.committedLog[0].index...last))
  }

  @Test(.requirement("Raft.never.11"))
  func aMajorityIsOneOfAllMembers() throws {
    let group = try founded(5, seed: 2)
    let leader = try group.runUntilLeader(maxTicks: 100)
    try group.tick(5)
    let others = group.simulator.nodeIDs.filter { $0 != leader }
    group.partition([[leader, others[0]]])
    group.submit(KeyValueMachine.write(1, 5), to: leader)
    try group.tick(5)
    let last = try #require(group.status(of: leader)).last.index
    #expect(group.status(of: others[0])?.last.index == last, "everybody who can be reached holds it")
    #expect(throws: SimulationFailure.self) { try group.runUntilCommitted(index: last, maxTicks: 8) }
    #expect(group.committedLog.allSatisfy { $0.index < last })
    group.heal()
    try group.runUntilCommitted(index: last)
  }

  @Test func equalSeedsTellEqualStories() throws {
    func story(_ seed: UInt64) throws -> TraceDigest {
      let group = try founded(3, seed: seed)
      let leader = try group.runUntilLeader(maxTicks: 100)
      group.simulator.crash(leader)
      try group.tick(100)
      return group.simulator.digest
    }
    let digests = try (story(3), story(3), story(4))
    #expect(digests.0 == digests.1 && digests.0 != digests.2)
  }

  @Test func otherNamesAreRefused() {
    for ids in [[], [2, 3], [1, 1, 2], [1, 3]] as [[NodeID]] {
      #expect(throws: ScenarioError.self) { try RaftCluster<KeyValueMachine>(nodeIDs: ids, seed: 1) }
    }
  }
}
