import StrataDisk
import StrataJobs
import StrataRequirements
import StrataSimulation
import SystemPackage
import Testing

@testable import StrataWriteAheadLog

/// Storage that fails at any call.
@Suite struct WALFaultTests {
  /// What a run was told before it met an error.
  struct Outcome {
    var acknowledged: UInt64 = 0
    var begun: UInt64 = 0
    var truncated: UInt64 = 0
    var error: WALError?
    /// The first error was refused before anything was taken, and the log went on.
    var wentOn = false
  }

  /// Append, batch, checkpoint, rotation, truncation, recycling, close and reopen, going on after errors as a program would.
  private func run(_ disk: SimulatedFileSystem, _ outcome: inout Outcome) throws(WALError) {
    let options = WALOptions.small { $0.zeroAheadBytes = 1 << 10 }
    var log = try WriteAheadLog.open(logPath, options: options, on: disk).log
    for round in 0..<2 {
      for size in [24, 34_000, 24, 35_000, 24, 20] {
        outcome.begun = log.lastSequence + 1
        do {
          outcome.acknowledged = try log.append(record(outcome.begun, count: size))
          if outcome.error != nil { outcome.wentOn = true }
        } catch {
          try refused(error, log, &outcome)
        }
      }
      outcome.begun = log.lastSequence + 3
      if let range = try log.append(batch: (1...3).map { record(log.lastSequence + $0) }) { outcome.acknowledged = range.upperBound }
      outcome.begun += 1
      outcome.acknowledged = try log.checkpoint()
      outcome.truncated = log.lastSequence - 4
      try log.truncate(upTo: outcome.truncated)
      if round == 0 {
        try log.close()
        log = try WriteAheadLog.open(logPath, options: options, on: disk).log
      }
    }
  }

  /// After a refusal nothing was taken; after a failure nothing is taken any more.
  private func refused(_ error: WALError, _ log: WriteAheadLog, _ outcome: inout Outcome) throws(WALError) {
    if outcome.error == nil { outcome.error = error }
    switch error {
    case .noSpace, .storage:
      #expect(log.lastSequence == outcome.begun - 1, "\(error)")
      outcome.begun -= 1
    case .durabilityLost:
      #expect(throws: error) { try log.append(record(0)) }
      #expect(throws: error) { try log.sync() }
      #expect(log.durableSequence <= outcome.acknowledged, "\(error)")
      throw error
    default: throw error
    }
  }

  @Test(
    .requirement("WriteAheadLog.never.10"),
    arguments: [DiskFault.Effect.io, .noSpace, .ioAfter(bytes: 10), .noSpaceAfter(bytes: 600)])
  func anErrorAtAnyCallLosesNothingAcknowledged(effect: DiskFault.Effect) throws {
    let clean = SimulatedFileSystem()
    var outcome = Outcome()
    try run(clean, &outcome)
    let calls = clean.callCount
    #expect(calls > 100)
    var refusals = 0
    for call in 1...calls {
      for profile in [DiskProfile.strictPOSIX, .btrfs] where profile == .strictPOSIX || testDepth > 1 {
        let disk = SimulatedFileSystem(profile: profile)
        disk.inject(DiskFault(effect, at: .call(call)))
        var outcome = Outcome()
        do { try run(disk, &outcome) } catch { if outcome.error == nil { outcome.error = error } }
        refusals += outcome.wentOn ? 1 : 0
        disk.removeFaults()
        let losses: [PowerLoss?] = [nil, .nothingKept, .everythingKept, .random]
        for loss in testDepth > 1 ? losses : [losses[call % 4]] {
          let restart = loss.map { disk.fork().crash($0) } ?? disk.fork()
          let log: WriteAheadLog
          do { log = try WriteAheadLog.openSmall(restart) } catch {
            Issue.record("\(effect) at call \(call) of \(profile.name): \(error) after \(String(describing: outcome.error))")
            continue
          }
          let possible = outcome.acknowledged...max(outcome.acknowledged, outcome.begun)
          #expect(possible.contains(log.lastSequence), "\(effect) at call \(call): \(log.lastSequence), \(outcome)")
          let sequences = try log.iterate().all().filter { if case .truncate = $0.content { false } else { true } }.map(\.sequence)
          let expected = log.firstSequence <= log.lastSequence ? Array(log.firstSequence...log.lastSequence) : []
          #expect(sequences.filter { $0 >= log.firstSequence } == expected, "\(effect) at call \(call): \(sequences)")
        }
      }
    }
    #expect(refusals > 0, "no error was survived in place")
  }

  @Test(.requirement("WriteAheadLog.never.9")) func aFailedSyncIsFinal() throws {
    let disk = SimulatedFileSystem()
    let log = try WriteAheadLog.openSmall(disk)
    try log.append(record(1))
    let told = Monitor<[WALError?]>([])
    for number in UInt64(2)...6 { try log.submit(record(number)) }
    for number in UInt64(2)...6 { log.whenDurable(number) { error in told.withLock { $0.append(error) } } }
    disk.resetCallCounts()
    disk.inject(DiskFault(.io, at: .nth(1, of: .sync)))
    let error = try #require(throws: WALError.self) { try log.append(record(7)) }
    guard case .durabilityLost = error else { throw error }
    #expect(told.withLock { $0 } == Array(repeating: error, count: 5), "every waiter of the group fails")
    #expect(log.durableSequence == 1)
    for _ in 0..<3 {
      #expect(throws: error) { try log.append(record(8)) }
      #expect(throws: error) { try log.sync() }
      #expect(throws: error) { try log.checkpoint() }
      #expect(throws: error) { try log.truncate(upTo: 1) }
      #expect(throws: error) { try log.waitDurable(2) }
    }
    #expect(disk.callCount(of: .sync) == 1, "a failed sync is never repeated")
    #expect(throws: error) { try log.close() }
    #expect(disk.callCount(of: .sync) == 1 && log.durableSequence == 1)
    // Pages that the kernel marked clean read back as if they were there; reopening writes them again before it calls them recovered.
    let reopened = try WriteAheadLog.openSmall(disk)
    let last = reopened.lastSequence
    #expect(last == 7)
    let crashed = try WriteAheadLog.openSmall(disk.crash(.nothingKept))
    #expect(crashed.lastSequence == last)
    #expect(try crashed.sequences() == Array(1...last))
  }

  @Test func aFailureReachesThoseWhoWaitForRoom() throws {
    let disk = SimulatedFileSystem()
    let log = try WriteAheadLog.openSmall(disk)
    let commit = try log.writer()
    let told = Monitor<CommitError?>(nil)
    commit.whenRoom(forBytes: 10) { error in told.withLock { $0 = error } }
    disk.inject(DiskFault(.io, at: .nth(disk.callCount(of: .sync) + 1, of: .sync)))
    #expect(throws: WALError.self) { try log.append(record(1)) }
    #expect(told.withLock { $0 } != nil)
  }
}
