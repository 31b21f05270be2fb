import StrataSimulation

/// Every scenario `strata sim` knows.
public enum Catalogue {
  /// Those a correct system passes with every seed.
  public static let sound: [AnyScenario] =
    [
      register(Sound.self),
      AnyScenario(engine: LogEngine.self),
      AnyScenario(engine: BitcaskEngine.self),
      AnyScenario(engine: LSMEngine.self),
    ] + RaftScenarios.sound

  /// Those that are broken on purpose, each of which some seed must catch.
  public static let broken: [AnyScenario] =
    [
      register(NoWriteBack.self),
      register(AcknowledgesEarly.self),
      register(Minority.self),
      register(SameVersionTwice.self),
      register(Amnesia.self),
      register(NamesUsedAgain.self),
    ] + Defects.all + RaftScenarios.broken

  /// All of them.
  public static var all: [AnyScenario] { sound + broken }

  private static func register<Flaw: RegisterFlaw>(_ flaw: Flaw.Type) -> AnyScenario {
    var scenario = AnyScenario(RegisterScenario<Flaw>.self)
    let flaw = Flaw.flaw
    scenario.exploration = { RegisterExploration.explore(flaw: flaw, depth: $0, worlds: $1) }
    return scenario
  }

  /// The scenario of this name.
  public static func scenario(_ name: String) -> AnyScenario? { all.first { $0.name == name } }
}

extension Set<FaultKind> {
  /// What is enough to show what is broken on purpose: a run that spends its faults on other things shows it later.
  static let plain = Set(FaultKind.allCases).subtracting([.swizzleClog, .relapse, .otherKnobs, .streams, .corruption])
}
