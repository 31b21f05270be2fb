import StrataSimulation

/// Every scenario `strata sim` knows.
public enum Catalogue {
  /// Those a correct system passes with every seed.
  public static let sound: [AnyScenario] =
    [
      AnyScenario(RegisterScenario<Sound>.self),
      AnyScenario(engine: LogEngine.self),
      AnyScenario(engine: BitcaskEngine.self),
      AnyScenario(engine: LSMEngine.self),
    ] + RaftScenarios.sound

  /// Those that are broken on purpose, each of which some seed must catch.
  public static let broken: [AnyScenario] =
    [
      AnyScenario(RegisterScenario<NoWriteBack>.self),
      AnyScenario(RegisterScenario<AcknowledgesEarly>.self),
      AnyScenario(RegisterScenario<Minority>.self),
      AnyScenario(RegisterScenario<SameVersionTwice>.self),
      AnyScenario(RegisterScenario<Amnesia>.self),
    ] + RaftScenarios.broken

  /// All of them.
  public static var all: [AnyScenario] { sound + broken }

  /// The scenario of this name.
  public static func scenario(_ name: String) -> AnyScenario? { all.first { $0.name == name } }
}
