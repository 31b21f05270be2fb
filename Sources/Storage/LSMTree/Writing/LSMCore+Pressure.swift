import StrataJobs
import StrataWriteAheadLog

/// How much writes are held back.
public enum WritePressure: Sendable, Hashable {
  /// Not at all.
  case none
  /// Writes are spread so that about this many bytes per second are taken.
  case slow(bytesPerSecond: Int, PressureReason)
  /// Writes wait until background work has caught up.
  case stopped(PressureReason)
}

// The word: 0 for none; bits 0-7 the reason, bit 8 set where writes stop, else bits 16... the nanoseconds that each KiB costs.

extension LSMCore {
  private static let stopBit: UInt64 = 1 << 8
  private static let reasons: [PressureReason] = [.memtables, .levelZero, .compactionDebt, .noSpace, .memory, .log]
  /// What must be free beyond a flush's tables before a full disk is tried again: manifest and log go on too.
  private static let spareBytes = 256 << 10
  /// The longest a write is delayed where it is not stopped.
  private static let maxDelayNanoseconds: UInt64 = 1_000_000

  var pressure: WritePressure {
    let word = pressureWord.load(ordering: .relaxed)
    if word == 0 { return .none }
    let reason = Self.reasons[min(Int(word & 0xFF), Self.reasons.count - 1)]
    if word & Self.stopBit != 0 { return .stopped(reason) }
    return .slow(bytesPerSecond: Int(1024 * 1_000_000_000 / max(1, word >> 16)), reason)
  }

  /// Looks at levels and disk anew. Called when either changed, never by a write.
  func updatePressure() {
    var word: UInt64 = 0
    if work.withLock({ $0.isOutOfSpace }) { word = Self.stopBit | 3 }
    for keyspace in allKeyspaces where word & Self.stopBit == 0 {
      let levels = keyspace.version.levels
      let runs = keyspace.options.style == .leveled ? levels.subLevels.count : 0
      let debt = Int(clamping: compactionDebt(keyspace, levels))
      if runs >= options.levelZeroStop {
        word = Self.stopBit | 1
      } else if debt >= options.hardDebtBytes {
        word = Self.stopBit | 2
      } else {
        word = max(word, slowing(runs, from: options.levelZeroSlowdown, to: options.levelZeroStop, 1))
        word = max(word, slowing(debt, from: options.softDebtBytes, to: options.hardDebtBytes, 2))
      }
    }
    if word & Self.stopBit != 0, pressureWord.load(ordering: .relaxed) & Self.stopBit == 0 { events.send(.stopped(pressure(word))) }
    pressureWord.store(word, ordering: .releasing)
  }

  private func pressure(_ word: UInt64) -> PressureReason { Self.reasons[min(Int(word & 0xFF), Self.reasons.count - 1)] }

  /// Between the limits the rate falls linearly from one and a half times what compactions drain to half of it.
  private func slowing(_ value: Int, from soft: Int, to hard: Int, _ reason: UInt64) -> UInt64 {
    guard value >= soft, hard > soft else { return 0 }
    let drained = max(1 << 20, counters.drainRate())
    let share = Double(value - soft) / Double(hard - soft)
    let rate = Double(drained) * (1.5 - share)
    return UInt64(max(1, 1024 * 1e9 / rate)) << 16 | reason
  }

  func isStopping(_ word: UInt64) -> Bool { word & Self.stopBit != 0 }

  /// What a write of `bytes` costs under a word that slows.
  func delayNanoseconds(_ word: UInt64, _ bytes: Int) -> UInt64 { (word >> 16) &* UInt64(bytes + 1023) / 1024 }

  /// Lets a write in, after the delay or the wait that the pressure asks for.
  @inline(__always)
  func admit(bytes: Int, _ keyspace: Keyspace, _ options: WriteOptions) throws(LSMError) {
    if pressureWord.load(ordering: .relaxed) != 0 { try holdBack(bytes, options) }
  }

  @inline(never)
  private func holdBack(_ bytes: Int, _ options: WriteOptions) throws(LSMError) {
    let began = MonotonicClock.now()
    defer { counters.stalled(MonotonicClock.now() &- began) }
    var hasTried = false
    while true {
      let seen = scheduler.progress
      let word = pressureWord.load(ordering: .acquiring)
      if word == 0 { return }
      let reason = pressure(word)
      if word & Self.stopBit == 0 {
        if scheduler.isManual { return }
        if options.isSubmission {
          guard room.takeCredit(bytes) else { throw .busy(reason) }
          return
        }
        let delay = min(Self.maxDelayNanoseconds, delayNanoseconds(word, bytes))
        _ = commit.wait(timeout: .nanoseconds(Int64(delay))) { _ -> Void? in nil }
        return
      }
      try commit.withLock { (state) throws(LSMError) in try state.checkOpen() }
      if reason == .noSpace {
        try tryForSpace(again: &hasTried)
        continue
      }
      if options.noStall { throw .busy(reason) }
      scheduler.wait(after: seen)
    }
  }

  /// With a full disk a write fails, unless there is space again: then the jobs that failed are tried once more, and only once for one write,
  /// as what is reported free may not be for us.
  func tryForSpace(again hasTried: inout Bool) throws(LSMError) {
    if hasTried { throw .noSpace(directory) }
    hasTried = true
    let free = (try? fileSystem.freeSpace(directory)) ?? .max
    // A flush writes about as much as its memtable holds.
    let sealed = allKeyspaces.flatMap { $0.shape.withLock { $0.sealed.map(\.memtable.usedBytes) } }.max() ?? 0
    guard free > UInt64(sealed + Self.spareBytes) else { throw .noSpace(directory) }
    work.withLock { $0.isOutOfSpace = false }
    updatePressure()
    scheduler.wake()
  }

  /// Waits until there may be what a write lacked.
  func wait(for shortage: Shortage, _ options: WriteOptions) throws(LSMError) {
    let began = MonotonicClock.now()
    defer { counters.stalled(MonotonicClock.now() &- began) }
    switch shortage {
    case .place:
      // Those who hold the places only copy bytes.
      if !ring.hasRoom { ring.wait(for: commit.withLock { $0.lastSequence }) }
    case .memtable(let keyspace):
      if options.noStall {
        room.isMemtableFull.store(true, ordering: .releasing)
        throw .busy(.memtables)
      }
      try waitForMemtable(keyspace)
    case .memory(let bytes):
      if options.noStall {
        room.isMemtableFull.store(true, ordering: .releasing)
        throw .busy(.memory)
      }
      try waitForMemory(bytes)
    case .log(let bytes):
      if options.noStall { throw .busy(.log) }
      do throws(WALError) { try log.makeRoom(forPayload: bytes) } catch { throw LSMError(error) }
    }
  }

  /// Waits for a flush where the keyspace's memtables are all full.
  func waitForMemtable(_ keyspace: Keyspace) throws(LSMError) {
    var hasTried = false
    while true {
      let seen = scheduler.progress
      guard sealedCount(keyspace) >= options.maxSealedMemtables else { return }
      try commit.withLock { (state) throws(LSMError) in try state.checkOpen() }
      if work.withLock({ $0.isOutOfSpace }) { try tryForSpace(again: &hasTried) }
      scheduler.wait(after: seen)
    }
  }

  /// Bytes that compactions have still to move for the levels to be in shape.
  func compactionDebt(_ keyspace: Keyspace, _ levels: Levels) -> UInt64 {
    guard keyspace.options.style == .leveled else { return 0 }
    let (base, targets) = keyspace.options.leveled(levelZeroTrigger: options.levelZeroTrigger).targets(levels.shape)
    var debt: UInt64 = levels.subLevels.count >= options.levelZeroTrigger ? levels.subLevels.reduce(0) { $0 + $1.bytes } : 0
    for run in levels.deeper.dropLast() where run.level >= base && run.bytes > targets[run.level] {
      debt += (run.bytes - targets[run.level]) * UInt64(max(1, keyspace.options.fanOut))
    }
    return debt
  }
}
