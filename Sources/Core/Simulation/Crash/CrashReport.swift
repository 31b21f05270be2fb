/// A crash after which recovery failed or lost what was promised.
public struct CrashFailure: Error, Sendable, CustomStringConvertible {
  /// Index of the workload's disk operation before which the power failed.
  public let eventIndex: Int
  /// What the power loss left.
  public let outcome: String
  /// The second crash, during recovery, when it took one.
  public let duringRecovery: String?
  /// The seed of the enumeration.
  public let seed: UInt64
  /// The operations around the crash.
  public let excerpt: String
  /// The error that recovery threw.
  public let error: String
  /// The disk as the power loss left it, to run recovery on in a debugger; a fork of it serves more than one try.
  public let disk: SimulatedFileSystem

  public var description: String {
    var text = "crash before operation \(eventIndex) (seed \(seed)): \(error)\n  outcome: \(outcome)\n\(excerpt)"
    if let duringRecovery { text += "\n  crashed again during recovery: \(duringRecovery)" }
    return text
  }
}

/// What an enumeration examined and found.
public struct CrashReport: Sendable, CustomStringConvertible {
  /// Places between disk operations at which the power was cut.
  public internal(set) var points = 0
  /// Distinct disk images that recovery was run on, those of second crashes not counted.
  public internal(set) var images = 0
  /// Images not run because an equal one with equal promises had been.
  public internal(set) var duplicates = 0
  /// Distinct images of crashes during recovery.
  public internal(set) var recoveryImages = 0
  /// Whether the bound on images left outcomes of some place unexamined.
  public internal(set) var wasCutShort = false
  /// What went wrong, at most `maximumFailures` of it.
  public internal(set) var failures: [CrashFailure] = []

  /// Whether nothing went wrong and there was something that could have.
  public var isClean: Bool { failures.isEmpty && images > 0 }

  public var description: String {
    var text = "\(points) crash points, \(images) images and \(recoveryImages) images of crashes during recovery, \(duplicates) repeated"
    if wasCutShort { text += ", cut short" }
    for failure in failures { text += "\n\(failure)" }
    return text
  }
}
