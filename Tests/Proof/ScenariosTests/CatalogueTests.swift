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

  @Test(arguments: Catalogue.broken.map(\.name).filter { !$0.hasPrefix("raft.") })
  func brokenSystemsAreCaught(_ name: String) throws {
    let scenario = try #require(Catalogue.scenario(name))
    let caught = try (1...UInt64(400)).first { try scenario.run(scenario.plan(seed: $0)).failure != nil }
    #expect(caught != nil, "\(name) was not caught with 400 seeds")
  }
}
