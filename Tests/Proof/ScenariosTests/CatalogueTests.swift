import StrataRequirements
import StrataSimulation
import Testing

@testable import StrataScenarios

/// Every scenario in its short form, and every defect caught.
struct CatalogueTests {

  @Test(.requirement("Simulation.never.7"), arguments: Catalogue.sound.map(\.name))
  func soundSystemsPassEverySeed(_ name: String) throws {
    let scenario = try #require(Catalogue.scenario(name))
    var served = 0
    // An ordered engine at its smallest takes a second of a debug build for one run.
    let seeds = name == "engine.lsm" ? 5 : name.hasPrefix("engine.") ? 20 : name.hasPrefix("raft.") ? 15 : 100
    for seed in 1...UInt64(seeds * testDepth) {
      let report = try scenario.run(scenario.plan(seed: seed))
      #expect(report.failure == nil, "\(name) with seed \(seed): \(report.failure.map(\.description) ?? "")")
      served += report.served
    }
    #expect(served > 300)
  }

  /// The defects of the ordered engine take longer than a debug build allows, those of Raft have a suite of their own; `strata sim zoo` runs all.
  @Test(arguments: Catalogue.broken.map(\.name).filter { !$0.hasPrefix("raft.") && (testDepth > 1 || !$0.hasPrefix("engine.lsm")) })
  func brokenSystemsAreCaught(_ name: String) throws {
    let scenario = try #require(Catalogue.scenario(name))
    let caught = try (1...UInt64(400)).first { try scenario.run(scenario.plan(seed: $0)).failure != nil }
    #expect(caught != nil, "\(name) was not caught with 400 seeds")
  }
}

/// Every order of events of a small scope, and every crash of a small workload.
struct ExhaustiveTests {
  @Test func theRegisterHoldsInEveryOrder() throws {
    let found = RegisterExploration.explore(flaw: nil, depth: 6 + min(testDepth - 1, 5), worlds: 3_000_000)
    #expect(found.violation == nil, "\(found.violation.map { "\($0)" } ?? "")")
    #expect(found.isComplete && found.worlds > 300)
  }

  @Test func anEarlyAcknowledgementIsFoundByTheShortestWay() throws {
    let found = RegisterExploration.explore(flaw: .acknowledgesEarly, depth: 12, worlds: 400_000)
    #expect(found.violation?.explanation.contains("durable on") == true, "\(found.worlds) worlds, depth \(found.depth)")
  }

  @Test(.requirement("Simulation.never.1"), arguments: ["engine.wal", "engine.bitcask", "engine.lsm"])
  func enginesSurviveEveryCrash(_ name: String) throws {
    var options = EngineCrashOptions()
    options.operations = 12
    options.images = 150 * testDepth
    let crashes = try #require(Catalogue.scenario(name)?.crashes)
    let report = try crashes(options)
    #expect(report.isClean, "\(report)")
  }

  @Test func aMissingSyncIsSeenByTheEnumeration() throws {
    var options = EngineCrashOptions()
    options.operations = 20
    options.images = 600
    let crashes = try #require(Catalogue.scenario("engine.wal.early-acknowledgement")?.crashes)
    let report = try crashes(options)
    #expect(!report.failures.isEmpty)
  }
}
