import StrataDisk
import StrataNodes
import SystemPackage

/// One run of a storage engine on a simulated disk: random changes, reads and steps of background jobs; kills, power losses and failed syncs when the
/// plan says so; after each start, the contents must be those of a prefix of the batches that holds all durable ones.
final class EngineRun<E: StorageEngine> {
  private let plan: RunPlan
  private var disk: SimulatedFileSystem
  private var engine: E?
  private var random: Random
  private var choices: Random
  private var batches: [[EngineChange]] = []
  /// What all batches together come to.
  private var current: [Int: Int] = [:]
  /// How many of the batches no power loss may take.
  private var durable = 0
  private var nextValue = 1
  private var time: UInt64 = 0
  private var operations = 0
  private var reads = 0
  private var starts: UInt64 = 0
  private var situations: [String: Int] = [:]
  private var digest = TraceDigest()
  private var trace: Trace?
  private var failure: SimulationFailure?
  private let keys: Int
  private let name: String
  /// Called with the disk before each start.
  private let prepare: (SimulatedFileSystem) -> Void
  /// Whether a sync has failed, or will, in this life: only then may the engine refuse anything.
  private var syncFails = false

  init(_ plan: RunPlan, trace: Trace?, name: String, prepare: @escaping (SimulatedFileSystem) -> Void) {
    self.name = name
    self.prepare = prepare
    self.plan = plan
    self.trace = trace
    random = Random(seed: plan.seed).fork("engine")
    choices = Random(seed: plan.seed).fork("choices")
    let profiles: [DiskProfile] = [.strictPOSIX, .ext4Ordered, .xfs, .btrfs]
    disk = SimulatedFileSystem(
      profile: profiles[Int(plan.seed % UInt64(profiles.count))], random: Random(seed: plan.seed).fork("disk"))
    keys = [3, 20, 200][Int(plan.seed / 3 % 3)]
  }

  func report() -> RunReport {
    start("first start")
    var faults = plan.faults[...]
    for number in 0..<plan.requestsPerClient where failure == nil {
      time += plan.horizon / UInt64(max(1, plan.requestsPerClient))
      while let fault = faults.first, fault.start <= time, failure == nil {
        faults.removeFirst()
        suffer(fault)
      }
      // A stream per operation: leaving one out does not change the next.
      var stream = choices.fork("operation", number)
      if plan.skipped.contains(.init(client: 0, number: number)) { continue }
      if failure == nil { operate(&stream) }
    }
    if failure == nil { closeAndCompare() }
    return RunReport(
      scenario: name, plan: plan, failure: failure, digest: digest, simulatedTime: time, events: UInt64(operations) + starts,
      requests: operations, served: operations, network: NetworkStatistics(), situations: situations, trace: trace)
  }

  // MARK: What should be there

  private func state(_ count: Int) -> [Int: Int] {
    var state: [Int: Int] = [:]
    for batch in batches[..<count] { for change in batch { state[change.key] = change.value } }
    return state
  }

  private func note(_ kind: TraceEvent.Kind, _ text: @autoclosure () -> String) {
    digest.mix(time, UInt64(kind.rawValue))
    guard trace != nil else { return }
    let text = text()
    digest.mix(text)
    trace?.append(TraceEvent(event: UInt64(operations), time: time, kind: kind, node: 0, peer: -1, cause: 0, text: text))
  }

  private func fail(_ kind: String, _ explanation: String) {
    guard failure == nil else { return }
    failure = SimulationFailure(kind: kind, explanation: explanation, node: nil, time: time, event: UInt64(operations))
    note(.failure, "\(kind): \(explanation)")
  }

  private func reached(_ name: String, _ condition: Bool = true) { situations[name, default: 0] += condition ? 1 : 0 }

  // MARK: Operations

  private func operate(_ stream: inout Random) {
    operations += 1
    do {
      switch stream.below(20) {
      case 0..<9: try write(&stream)
      case 9..<12: try read(stream.below(keys))
      case 12..<18: for _ in 0...stream.below(4) { try engine?.step(&stream) }
      case 18: try sync()
      default: try scan()
      }
    } catch {
      refused(error)
    }
  }

  private func write(_ stream: inout Random) throws {
    let batch = (0..<stream.within(1...4)).map { _ in
      nextValue += 1
      return EngineChange(key: stream.below(keys), value: stream.chance(1, in: 4) ? nil : nextValue)
    }
    let isSynced = stream.chance(1, in: 2)
    note(.request, "write\(isSynced ? " synced" : "") \(batch.map { "\($0.key)=\($0.value.map(String.init) ?? "-")" }.joined(separator: " "))")
    batches.append(batch)
    for change in batch { current[change.key] = change.value }
    try engine?.write(batch, isSynced: isSynced)
    // What is acknowledged counts, also after a sync has failed: perhaps it was that of a file a job wrote, which is thrown away. If it was the
    // log's, the next power loss shows what the acknowledgement was worth.
    if isSynced { durable = batches.count }
  }

  private func sync() throws {
    note(.request, "sync")
    try engine?.sync()
    durable = batches.count
  }

  private func read(_ key: Int) throws {
    reads += 1
    let found = try engine?.read(key)
    let wanted = current[key]
    note(.reply, "read \(key): \(found.map(String.init) ?? "-")")
    if found != wanted {
      fail("wrong read", "key \(key) holds \(wanted.map(String.init) ?? "nothing"), the engine says \(found.map(String.init) ?? "nothing")")
    }
  }

  private func scan() throws {
    let found = try engine?.contents() ?? [:]
    note(.reply, "scan: \(found.count) keys")
    if found != current { fail("wrong scan", difference(found, current)) }
  }

  private func difference(_ found: [Int: Int], _ wanted: [Int: Int]) -> String {
    let keys = Set(found.keys).union(wanted.keys).filter { found[$0] != wanted[$0] }.sorted()
    return "\(keys.count) keys differ: "
      + keys.prefix(5).map { "\($0) holds \(wanted[$0].map(String.init) ?? "nothing"), found \(found[$0].map(String.init) ?? "nothing")" }
      .joined(separator: "; ")
  }

  /// An engine may refuse to go on only after a sync has failed; what it was doing then may have happened or not.
  private func refused(_ error: any Error) {
    note(.lost, "refused: \(error)")
    guard syncFails else { return fail("refused", "an operation failed though nothing was wrong with the disk: \(error)") }
    reached("refused after a failed sync")
    restart("restart after a failed sync")
  }

  // MARK: Faults

  private func suffer(_ fault: Fault) {
    switch fault.effect {
    case .down: restart("kill")
    case .powerLoss:
      note(.crash, "power loss with \(disk.pendingOperations.count) pending operations")
      reached("power was lost with pending operations", !disk.pendingOperations.isEmpty)
      engine = nil
      disk = disk.crash(random.chance(1, in: 4) ? .nothingKept : .random)
      syncFails = false
      start("start after power loss")
    case .failedSync:
      note(.fault, "the next sync of a file fails")
      syncFails = true
      disk.inject(DiskFault(.io, at: .nth(disk.callCount(of: .sync) + 1, of: .sync)))
    default: break
    }
  }

  /// The process is killed: what it wrote stays in the page cache.
  private func restart(_ reason: String) {
    note(.crash, reason)
    engine = nil
    disk = disk.fork()
    disk.removeFaults()
    // What a failed sync left in the page cache may look durable and is not: only a power loss settles it.
    if syncFails { disk = disk.crash(.random) }
    syncFails = false
    start("start after \(reason)")
  }

  private func start(_ reason: String) {
    starts += 1
    note(.start, reason)
    prepare(disk)
    do {
      engine = try E(opening: disk, random: &random)
      let found = try engine?.contents() ?? [:]
      try engine?.verify()
      guard let kept = (durable...batches.count).reversed().first(where: { state($0) == found }) else {
        return fail(
          "lost or resurrected",
          "\(reason): no prefix of the \(batches.count) batches that holds the \(durable) durable ones: \(difference(found, state(durable)))")
      }
      reached("a start lost batches that were not durable", kept < batches.count)
      batches.removeLast(batches.count - kept)
      current = found
      durable = kept
    } catch {
      fail("recovery failed", "\(reason): \(error)")
    }
  }

  private func closeAndCompare() {
    do {
      if syncFails { return restart("end") }
      try engine?.close()
      durable = batches.count
      engine = nil
      disk = disk.crash(.nothingKept)
      start("start after close")
      if failure == nil { try engine?.close() }
    } catch {
      fail("refused", "closing failed: \(error)")
    }
  }
}
