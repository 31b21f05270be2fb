import StrataRequirements
import StrataSimulation
import Testing

@testable import StrataScenarios

/// Raft groups under every fault, and the defects that the faults bring out.
struct RaftScenarioTests {
  @Test(.requirement("Raft.never.12"), arguments: RaftScenarios.sound.map(\.name))
  func soundGroupsPassEverySeed(_ name: String) throws {
    let scenario = try #require(Catalogue.scenario(name))
    var served = 0
    for seed in 1000...UInt64(1000 + 8 * testDepth) {
      let report = try scenario.run(scenario.plan(seed: seed))
      #expect(report.failure == nil, "\(name) with seed \(seed): \(report.failure.map(\.description) ?? "")")
      served += report.served
    }
    #expect(served > 100)
  }

  /// A seed with which each defect shows, found by hunting, and what it shows as.
  @Test(arguments: [
    ("stale-log-vote", 4, "LeaderCompleteness"), ("early-acknowledgement", 1, "CommittedIsDurable"),
    ("own-entry-undurable", 3, "CommittedIsDurable"), ("minority-commit", 2, "CommittedIsDurable"), ("no-consistency-check", 89, "LogMatching"),
    ("truncates-always", 2, "CommittedIsDurable"), ("read-before-commit", 124, "linearizability"), ("read-name-reused", 9, "linearizability"),
    ("vote-cleared", 1, "OneVotePerTerm"), ("applied-twice", 4, "linearizability"),
  ])
  func defectsAreCaught(_ name: String, _ seed: UInt64, _ kind: String) throws {
    let scenario = try #require(Catalogue.scenario("raft.\(name)"))
    let report = try scenario.run(scenario.plan(seed: seed))
    #expect(report.failure?.kind == kind, "\(name) with seed \(seed): \(report.failure.map(\.description) ?? "not caught")")
  }

  @Test(.requirement("Raft.never.13"))
  func equalSeedsGiveEqualRuns() throws {
    let scenario = try #require(Catalogue.scenario("raft.kv"))
    let first = try scenario.run(scenario.plan(seed: 3))
    let second = try scenario.run(scenario.plan(seed: 3))
    let other = try scenario.run(scenario.plan(seed: 4))
    #expect(first.digest == second.digest && first.digest != other.digest)
  }
}
