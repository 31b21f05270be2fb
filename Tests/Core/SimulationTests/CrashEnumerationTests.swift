import StrataDisk
import StrataRequirements
import StrataSimulation
import SystemPackage
import Testing

typealias LedgerOfSmallLog = Ledger<SmallLogNote>

@Suite struct CrashEnumerationTests {
  static func workload(_ mistake: SmallLog.Mistake) -> (any FileSystem, LedgerOfSmallLog) throws -> Void {
    { disk, ledger in
      var log = try SmallLog(disk, mistake)
      for _ in 0..<4 { try log.append(noting: ledger) }
      try log.checkpointAll()
      for _ in 0..<2 { try log.append(noting: ledger) }
    }
  }

  static func recovery(_ mistake: SmallLog.Mistake) -> (any FileSystem, LedgerOfSmallLog) throws -> Void {
    { disk, ledger in
      var log = try SmallLog(disk, mistake)
      try log.check(ledger.entries)
      try log.append(noting: ledger)
    }
  }

  @Test(
    .requirement("Simulation.never.1", "Simulation.never.3"),
    arguments: [
      DiskProfile.strictPOSIX, .ext4Ordered, .xfs, .btrfs, .none,
    ]) func aCorrectLogSurvivesEveryCrash(profile: DiskProfile) throws
  {
    var options = CrashEnumeration.Options()
    options.profile = profile
    let report = try CrashEnumeration(options).run(workload: Self.workload(.none), recover: Self.recovery(.none))
    #expect(report.isClean, "\(profile.name): \(report)")
    #expect(report.images > 20 && report.recoveryImages > 20, "\(profile.name): \(report)")
  }

  @Test(.requirement("Simulation.never.1"), arguments: SmallLog.Mistake.allCases.filter { $0 != .none })
  func everyPlantedMistakeIsFound(mistake: SmallLog.Mistake) throws {
    let report = try CrashEnumeration().run(workload: Self.workload(mistake), recover: Self.recovery(mistake))
    #expect(!report.failures.isEmpty, "\(mistake) went unnoticed: \(report)")
  }

  /// A bound on images thins out every place of the run instead of leaving the later ones out.
  @Test func aBoundedSearchLooksAtEveryPlace() throws {
    let whole = try CrashEnumeration().run(workload: Self.workload(.none), recover: Self.recovery(.none))
    #expect(!whole.wasCutShort)
    var options = CrashEnumeration.Options()
    options.maximumImages = (whole.images + whole.recoveryImages) / 4
    let part = try CrashEnumeration(options).run(workload: Self.workload(.none), recover: Self.recovery(.none))
    #expect(part.wasCutShort && part.points == whole.points, "\(part) of \(whole)")
    #expect(part.images < whole.images / 2, "\(part) of \(whole)")
    // A mistake made only near the end is found all the same.
    let late = try CrashEnumeration(options).run { disk, ledger in
      var log = try SmallLog(disk, .none)
      for _ in 0..<6 { try log.append(noting: ledger) }
      var careless = try SmallLog(disk, .appendsWithoutSync)
      try careless.append(noting: ledger)
    } recover: {
      try Self.recovery(.none)($0, $1)
    }
    #expect(!late.failures.isEmpty, "\(late)")
  }

  @Test(.requirement("Simulation.never.1")) func everySyncOfTheLogIsNeeded() throws {
    var options = CrashEnumeration.Options()
    // Recovery syncs the last segment in one place, with or without a torn tail cut before.
    options.site = { call in
      call.operation == .sync && ["open", "truncate"].contains(call.previous) ? "sync of a recovered segment" : call.defaultSite
    }
    let report = try CrashEnumeration(options).undetectedSyncs(workload: Self.workload(.none), recover: Self.recovery(.none))
    #expect(report.undetected.isEmpty, "\(report)")
    #expect(report.detected.count == 8, "\(report)")
  }
}
