import StrataDisk
import StrataNodes

/// How the crashes of an engine's workload are enumerated.
public struct EngineCrashOptions: Hashable, Sendable {
  /// Operations of the workload: writes, reads, steps of background jobs.
  public var operations = 40
  /// What the workload follows from.
  public var seed: UInt64 = 1
  /// Disk images examined at most; shared out evenly over the run.
  public var images = 2000

  /// Forty operations, two thousand images.
  public init() {}
}

/// What a workload promised.
private enum EngineNote: Hashable, Sendable {
  case began([EngineChange])
  case durable
  case recovered(kept: Int)
}

/// What the notes allow an engine to hold.
private struct EngineModel {
  var batches: [[EngineChange]] = []
  var durable = 0

  init(_ notes: [EngineNote]) {
    for note in notes {
      switch note {
      case .began(let batch): batches.append(batch)
      case .durable: durable = batches.count
      case .recovered(let kept):
        batches.removeLast(batches.count - kept)
        durable = kept
      }
    }
  }

  /// How many batches the engine holds; throws if that is no prefix with all durable ones.
  func check(_ engine: some StorageEngine) throws -> Int {
    let found = try engine.contents()
    try engine.verify()
    for kept in (durable...batches.count).reversed() {
      var state: [Int: Int] = [:]
      for batch in batches[..<kept] { for change in batch { state[change.key] = change.value } }
      if state == found { return kept }
    }
    throw EngineFault("no prefix of the \(batches.count) batches with the \(durable) durable ones: \(found.count) keys were found")
  }
}

/// Cuts the power before every disk operation of a workload of `engine`, in the ways the disk allows, and again during the recovery.
///
/// - Throws: what the workload throws. What recoveries throw is in the report.
public func enumerateCrashes<E: StorageEngine>(of engine: E.Type, _ options: EngineCrashOptions = EngineCrashOptions()) throws -> CrashReport {
  var choices = CrashEnumeration.Options()
  choices.seed = options.seed
  choices.maximumImages = options.images
  choices.singlesPerPoint = 4
  choices.tearsPerPoint = 2
  choices.randomsPerPoint = 2
  choices.crashesPerRecovery = 1
  return try CrashEnumeration(choices).run { (disk, ledger: Ledger<EngineNote>) in
    var random = Random(seed: options.seed).fork("workload")
    var engine = try E(opening: disk, random: &random)
    var value = 1
    for _ in 0..<options.operations {
      if random.chance(1, in: 3) {
        for _ in 0...random.below(4) { try engine.step(&random) }
        continue
      }
      let batch = (0..<random.within(1...3)).map { _ in
        value += 1
        return EngineChange(key: random.below(12), value: random.chance(1, in: 4) ? nil : value)
      }
      let isSynced = random.chance(2, in: 3)
      ledger.note(.began(batch))
      try engine.write(batch, isSynced: isSynced)
      if isSynced { ledger.note(.durable) }
    }
    try engine.close()
    ledger.note(.durable)
  } recover: { disk, ledger in
    var random = Random(seed: options.seed).fork("recovery")
    let engine = try E(opening: disk, random: &random)
    let kept = try EngineModel(ledger.entries).check(engine)
    ledger.note(.recovered(kept: kept))
    let batch = [EngineChange(key: 0, value: 1_000_000), EngineChange(key: 5, value: nil)]
    ledger.note(.began(batch))
    try engine.write(batch, isSynced: true)
    ledger.note(.durable)
    try engine.close()
  }
}
