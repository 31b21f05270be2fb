import StrataDisk
import StrataNodes

/// A run's disk operations and notes, with the disk it started from.
struct RecordedRun<Note: Hashable & Sendable>: Sendable {
  var initial: DiskState
  var log: DiskLog
  var notes: [Ledger<Note>.Entry]
}

/// The loop of a ``CrashEnumeration``.
struct CrashSearch<Note: Hashable & Sendable> {
  let options: CrashEnumeration.Options
  let mutedSite: String?
  let recover: (any FileSystem, Ledger<Note>) throws -> Void
  private(set) var report = CrashReport()
  /// Every sync site met, in the workload and in recoveries.
  private(set) var sites: Set<String> = []
  private var seen: Set<ImageKey> = []
  private let random: Random

  /// An image together with what recovery must find on it.
  private struct ImageKey: Hashable {
    var image: Fingerprint
    var notes: Int
    var laterNotes: [Note]
  }

  init(
    options: CrashEnumeration.Options, mutedSite: String?, recover: @escaping (any FileSystem, Ledger<Note>) throws -> Void
  ) {
    self.options = options
    self.mutedSite = mutedSite
    self.recover = recover
    random = Random(seed: options.seed)
  }

  private var hasFailedEnough: Bool { report.failures.count >= options.maximumFailures }

  private var examined: Int { report.images + report.recoveryImages }

  /// Up to how many images may have been examined after the present place, so that a bounded search looks at places all along the run and not
  /// only at the first ones.
  private func share(of places: Int) -> Int {
    let (product, overflow) = options.maximumImages.multipliedReportingOverflow(by: report.points)
    return overflow ? .max : product / places
  }

  /// The outcomes in an order of which any beginning is a fair sample.
  private static func shuffled(_ outcomes: [CrashOutcome], _ draw: inout Random) -> [CrashOutcome] {
    var outcomes = outcomes
    for index in outcomes.indices.dropLast() { outcomes.swapAt(index, index + draw.below(outcomes.count - index)) }
    return outcomes
  }

  /// Cuts the power at every place of a run.
  mutating func examine(_ run: RecordedRun<Note>) {
    var replay = DiskReplay(run.log, from: run.initial, muted: mutedEvents(of: run.log))
    let notes = run.notes.map(\.note)
    var known = 0
    let places = run.log.events.count(where: DiskReplay.isChange) + 1
    let bounds = CrashBounds(singles: options.singlesPerPoint, tears: options.tearsPerPoint, randoms: options.randomsPerPoint)
    do {
      while true {
        // Whatever is noted before the next change is known at this place.
        while replay.index < run.log.events.count, !DiskReplay.isChange(run.log.events[replay.index]) { try replay.step() }
        while known < run.notes.count, run.notes[known].position <= replay.index { known += 1 }
        var draw = random.fork("crash point", replay.index)
        report.points += 1
        let end = share(of: places)
        var outcomes = replay.state.crashOutcomes(bounds, &draw)
        if end != .max { outcomes = Self.shuffled(outcomes, &draw) }
        for outcome in outcomes {
          guard !hasFailedEnough else { return }
          guard examined < end else {
            report.wasCutShort = true
            break
          }
          examine(outcome, of: replay, Array(notes[..<known]), &draw)
        }
        if options.killsProcess, !hasFailedEnough, examined < end { examineKill(of: replay, Array(notes[..<known]), &draw) }
        guard replay.index < run.log.events.count else { return }
        try replay.step()
      }
    } catch {
      fail(replay, replay.state, "replay", "the recorded operation \(run.log.describe(replay.index - 1)) does not apply: \(error)")
    }
  }

  private mutating func examine(_ outcome: CrashOutcome, of replay: DiskReplay, _ notes: [Note], _ draw: inout Random) {
    let image = replay.state.afterPowerLoss(outcome.survivals)
    guard seen.insert(ImageKey(image: image.fingerprint, notes: notes.count, laterNotes: [])).inserted else {
      report.duplicates += 1
      return
    }
    examine(image, of: replay, notes, &draw) { replay.state.describe(outcome) }
  }

  /// The process dies and the power stays: recovery sees everything, and what was pending still is.
  private mutating func examineKill(of replay: DiskReplay, _ notes: [Note], _ draw: inout Random) {
    guard !replay.state.pending.isEmpty else { return }
    examine(replay.state, of: replay, notes, &draw) {
      "process killed, power on:\n" + replay.state.pendingOperations.map { "    still pending: \($0)" }.joined(separator: "\n")
    }
  }

  private mutating func examine(
    _ image: DiskState, of replay: DiskReplay, _ notes: [Note], _ draw: inout Random, _ describe: () -> String
  ) {
    report.images += 1
    switch recovered(image, notes, random: draw) {
    case .failure(let error): fail(replay, image, describe(), "\(error.underlying)")
    case .success(let recovery):
      let seed = options.seed
      crashAgain(during: recovery, notes, &draw) { again, error, disk in
        CrashFailure(
          eventIndex: replay.index, outcome: describe(), duringRecovery: again, seed: seed,
          excerpt: replay.log.excerpt(around: replay.index), error: error, disk: disk)
      }
    }
  }

  private struct RecoveryError: Error { var underlying: any Error }

  /// Runs recovery on an image.
  private func recovered(_ image: DiskState, _ notes: [Note], random: Random) -> Result<RecordedRun<Note>, RecoveryError> {
    let recorder = RecordingFileSystem(SimulatedFileSystem(state: image, random: random))
    let ledger = Ledger(after: notes, recorder: recorder)
    do { try recover(recorder, ledger) } catch { return .failure(RecoveryError(underlying: error)) }
    return .success(RecordedRun(initial: image, log: recorder.log, notes: ledger.own))
  }

  /// Cuts the power at a few places of a recovery and recovers once more.
  private mutating func crashAgain(
    during recovery: RecordedRun<Note>, _ notes: [Note], _ draw: inout Random, _ failure: (String, String, SimulatedFileSystem) -> CrashFailure
  ) {
    let muted = mutedEvents(of: recovery.log)
    let changes = recovery.log.events.indices.filter { DiskReplay.isChange(recovery.log.events[$0]) }
    guard let last = changes.last, options.crashesPerRecovery > 0 else { return }
    var places: Set<Int> = [last]
    if changes.count <= options.crashesPerRecovery {
      places = Set(changes)
    } else {
      while places.count < options.crashesPerRecovery { places.insert(changes[draw.below(changes.count)]) }
    }
    var replay = DiskReplay(recovery.log, from: recovery.initial, muted: muted)
    while replay.index <= last {
      let change = replay.index
      do { try replay.step() } catch {
        let text = "the recorded operation does not apply: \(error)"
        report.failures.append(failure(recovery.log.describe(change), text, disk(recovery.initial)))
        return
      }
      guard places.contains(change) else { continue }
      // The notes up to the next change are known, as in the first crash.
      var next = replay.index
      while next < recovery.log.events.count, !DiskReplay.isChange(recovery.log.events[next]) { next += 1 }
      let later = recovery.notes.filter { $0.position <= next }.map(\.note)
      let bounds = CrashBounds(singles: 0, tears: 0, randoms: 1)
      for outcome in replay.state.crashOutcomes(bounds, &draw) {
        guard !hasFailedEnough else { return }
        let image = replay.state.afterPowerLoss(outcome.survivals)
        let key = ImageKey(image: image.fingerprint, notes: notes.count, laterNotes: later)
        guard seen.insert(key).inserted else {
          report.duplicates += 1
          continue
        }
        report.recoveryImages += 1
        if case .failure(let error) = recovered(image, notes + later, random: draw) {
          let place = "after\n\(recovery.log.excerpt(around: change, after: 0))\n  outcome: \(replay.state.describe(outcome))"
          report.failures.append(failure(place, "\(error.underlying)", disk(image)))
        }
      }
    }
  }

  private func disk(_ state: DiskState) -> SimulatedFileSystem { SimulatedFileSystem(state: state, random: random) }

  private mutating func fail(_ replay: DiskReplay, _ image: DiskState, _ outcome: String, _ error: String) {
    report.failures.append(
      CrashFailure(
        eventIndex: replay.index, outcome: outcome, duringRecovery: nil, seed: options.seed,
        excerpt: replay.log.excerpt(around: replay.index), error: error, disk: disk(image)))
  }

  /// The events of the muted site; notes the sites met on the way.
  private mutating func mutedEvents(of log: DiskLog) -> Set<Int> {
    var muted: Set<Int> = []
    for (index, call) in log.syncCalls {
      let site = options.site(call)
      sites.insert(site)
      if site == mutedSite { muted.insert(index) }
    }
    return muted
  }
}
