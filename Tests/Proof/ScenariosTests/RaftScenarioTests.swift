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
    ("prior-term-commit", 39, "LeaderCompleteness"), ("stale-log-vote", 1, "LeaderCompleteness"), ("early-vote", 3, "VotesAreDurable"),
    ("vote-not-persisted", 1, "VotesAreDurable"), ("early-acknowledgement", 2, "CommittedIsDurable"),
    ("own-entry-undurable", 3, "CommittedIsDurable"), ("minority-commit", 2, "CommittedIsDurable"), ("unmatched-commit", 4, "StateMachineSafety"),
    ("no-consistency-check", 9, "LogMatching"), ("truncates-always", 28, "CommittedIsDurable"), ("read-without-quorum", 23, "linearizability"),
    ("read-before-commit", 6, "linearizability"), ("lease-from-answer", 19, "linearizability"), ("lease-outlives-transfer", 77, "linearizability"),
    ("amnesia", 61, "ElectionSafety"), ("read-name-reused", 554, "linearizability"), ("vote-cleared", 1, "OneVotePerTerm"),
    ("joint-half", 8, "CommittedIsDurable"), ("applied-twice", 63, "linearizability"),
    ("asked-at-work", 4, "linearizability"), ("answered-early", 1, "linearizability"),
  ])
  func defectsAreCaught(_ name: String, _ seed: UInt64, _ kind: String) throws {
    let scenario = try #require(Catalogue.scenario("raft.\(name)"))
    let report = try scenario.run(scenario.plan(seed: seed))
    #expect(report.failure?.kind == kind, "\(name) with seed \(seed): \(report.failure.map(\.description) ?? "not caught")")
  }

  /// Seeds that once failed: a snapshot that got lost was never sent again.
  @Test(arguments: [("kv", 5030)] as [(String, UInt64)])
  func seedsThatFailedOncePass(_ name: String, _ seed: UInt64) throws {
    let scenario = try #require(Catalogue.scenario("raft.\(name)"))
    let report = try scenario.run(scenario.plan(seed: seed))
    #expect(report.failure == nil, "\(name) with seed \(seed): \(report.failure.map(\.description) ?? "")")
  }

  /// A node that forgot what it acknowledged refuses every append; each refusal once brought the next append at once, and copies doubled them.
  @Test func refusalsDoNotMultiply() throws {
    let scenario = try #require(Catalogue.scenario("raft.amnesia"))
    #expect(try scenario.run(scenario.plan(seed: 4)).events < 100_000)
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
