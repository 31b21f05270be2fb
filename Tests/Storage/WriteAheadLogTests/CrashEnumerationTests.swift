import StrataDisk
import StrataRequirements
import StrataSimulation
import Testing

@testable import StrataWriteAheadLog

@Suite struct WALCrashTests {
  static let modes: [Durability] = [.everyWrite, .batched(count: 3, interval: .seconds(3600)), .none]

  static func enumeration(_ profile: DiskProfile = .strictPOSIX) -> CrashEnumeration {
    var options = CrashEnumeration.Options()
    options.profile = profile
    options.singlesPerPoint = testDepth > 1 ? 24 : 1
    options.tearsPerPoint = testDepth > 1 ? 6 : 1
    options.randomsPerPoint = testDepth > 1 ? 4 : 1
    options.crashesPerRecovery = testDepth > 1 ? 8 : 1
    options.site = { call in
      if call.operation == .syncDirectory, call.path == "/" { return "sync of the directory that holds the log's" }
      // Names a killed process left: their case takes a recycled file, see below.
      if call.defaultSite == "syncDirectory /log after open" { return "sync of the directory that holds the log's" }
      // The first sync of a new segment's file is that of its header.
      let isHeader = call.operation == .sync && call.ordinal == 0 && call.path.string.contains("free-")
      return isHeader ? "sync of a segment's header" : call.defaultSite
    }
    return CrashEnumeration(options)
  }

  @Test(
    .requirement("WriteAheadLog.keep.5", "WriteAheadLog.keep.6", "WriteAheadLog.keep.8", "WriteAheadLog.never.6", "WriteAheadLog.never.8"),
    arguments: modes)
  func everyPromiseSurvivesACrashAtEveryCall(mode: Durability) throws {
    let options = WALOptions.small { $0.durability = mode }
    let report = try Self.enumeration().run { disk, ledger in
      try CrashScript(disk, ledger, options).run()
    } recover: { disk, ledger in
      try CrashScript.recover(disk, ledger, options)
    }
    #expect(report.isClean, "\(mode): \(report)")
    #expect(report.images > 100 && report.recoveryImages > 50, "\(mode): \(report)")
  }

  /// Each sync of the log's, of segments and of directories, left out: a crash must show it.
  @Test(.requirement("WriteAheadLog.never.8", "WriteAheadLog.keep.6")) func everySyncOfTheLogIsNeeded() throws {
    let options = WALOptions.small { $0.recycledSegments = 0 }
    var enumeration = Self.enumeration()
    enumeration.options.singlesPerPoint = 2
    enumeration.options.crashesPerRecovery = 3
    enumeration.options.maximumImages = testDepth > 1 ? .max : 4000
    let report = try enumeration.undetectedSyncs { disk, ledger in
      try CrashScript(disk, ledger, options).runShort()
    } recover: { disk, ledger in
      try CrashScript.recover(disk, ledger, options)
    }
    // What this one is for needs a kill and then a power loss that takes one name and leaves the next; the last test of this suite has it.
    #expect(report.undetected.allSatisfy { $0 == "syncDirectory /log after syncDirectory" }, "\(report)")
    #expect(report.detected.count >= 8, "\(report)")
  }

  @Test(.requirement("WriteAheadLog.never.8")) func namesAKilledProcessLeftAreSyncedBeforeTheirFilesAreReused() throws {
    let disk = SimulatedFileSystem()
    let log = try WriteAheadLog.openSmall(disk)
    try log.fillSegment()
    try log.fillSegment()
    // The process dies between giving a file back and making that durable.
    let syncs = disk.callCount(of: .syncDirectory)
    disk.inject(DiskFault(.io, at: .nth(syncs + 1, of: .syncDirectory)))
    #expect(throws: WALError.self) { try log.truncate(upTo: log.lastSequence - 1) }
    let next = disk.fork()
    let free = next.contents.map(\.path.string).filter { $0.contains("free-") }
    #expect(free.count == 2)
    // The next process reuses the files, and the power fails while it does.
    next.inject(DiskFault(.crash, at: .nth(1, of: .rename)))
    #expect(throws: WALError.self) { try WriteAheadLog.openSmall(next) }
    let reopened = try WriteAheadLog.openSmall(next.crash(.nothingKept))
    #expect(try reopened.sequences() == [log.lastSequence])
  }

  /// A power loss may take the name of a segment and leave that of its successor, if both were pending: a successor is made only once the names
  /// that a killed process left are durable.
  @Test(.requirement("WriteAheadLog.never.8")) func aSegmentGetsASuccessorOnlyUnderADurableName() throws {
    let disk = SimulatedFileSystem()
    let log = try WriteAheadLog.openSmall(disk)
    let syncs = disk.callCount(of: .syncDirectory)
    disk.inject(DiskFault(.io, at: .nth(syncs + 1, of: .syncDirectory)))
    #expect(throws: WALError.self) { for _ in 0..<3 { try log.fillSegment() } }
    #expect(try disk.list(logPath).contains { $0.hasPrefix("wal-0000000002") })
    // The next process dies at each of its directory syncs, that of its own segment's name among them, and any part of what is pending survives.
    for call in 1...4 {
      let next = disk.fork()
      next.removeFaults()
      next.resetCallCounts()
      next.inject(DiskFault(.crash, at: .nth(call, of: .syncDirectory)))
      if (try? WriteAheadLog.openSmall(next)) != nil { continue }
      let pending = min(next.pendingOperations.count, 8)
      for choice in 0..<1 << pending {
        let survivals = (0..<pending).map { choice >> $0 & 1 == 1 ? Survival.kept : .lost }
        let after = next.fork().crash(.explicit(survivals))
        #expect(throws: Never.self, "call \(call), \(survivals)") { try WriteAheadLog.openSmall(after) }
      }
    }
  }
}
