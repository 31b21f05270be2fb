import StrataSimulation

/// Every scenario `strata sim` knows.
public enum Catalogue {
  /// Those a correct system passes with every seed.
  public static let sound: [AnyScenario] =
    [
<<<<<<< HEAD
      register(Sound.self),
=======
      AnyScenario(RegisterScenario<Sound>.self),
>>>>>>> raft
      AnyScenario(engine: LogEngine.self),
      AnyScenario(engine: BitcaskEngine.self),
      AnyScenario(engine: LSMEngine.self),
    ] + RaftScenarios.sound

  /// Those that are broken on purpose, each of which some seed must catch.
  public static let broken: [AnyScenario] =
    [
<<<<<<< HEAD
      register(NoWriteBack.self),
      register(AcknowledgesEarly.self),
      register(Minority.self),
      register(SameVersionTwice.self),
      register(Amnesia.self),
    ] + Defects.all + RaftScenarios.broken
=======
      AnyScenario(RegisterScenario<NoWriteBack>.self),
      AnyScenario(RegisterScenario<AcknowledgesEarly>.self),
      AnyScenario(RegisterScenario<Minority>.self),
      AnyScenario(RegisterScenario<SameVersionTwice>.self),
      AnyScenario(RegisterScenario<Amnesia>.self),
    ] + RaftScenarios.broken
>>>>>>> raft

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
