import Testing

/// Names the requirement a test proves, as numbered in Docs/Requirements: `.requirement("Bitcask.never.5")`.
///
/// `make requirements` collects these from the sources and prints, per target, which numbers have a test and which have not.
public struct RequirementTrait: TestTrait, SuiteTrait {
  /// The requirement's identifier, `<Target>.<keep|never|...>.<number>`.
  public let identifiers: [String]
  public var isRecursive: Bool { true }
}

extension Trait where Self == RequirementTrait {
  /// Marks a test or suite as the proof of the named requirements.
  public static func requirement(_ identifiers: String...) -> Self { RequirementTrait(identifiers: identifiers) }
}
