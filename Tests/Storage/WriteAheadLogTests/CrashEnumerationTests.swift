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
    options.singlesPerPoint = depth > 1 ? 24 : 3
    options.tearsPerPoint = depth > 1 ? 6 : 1
    options.randomsPerPoint = depth > 1 ? 4 : 1
    options.crashesPerRecovery = depth > 1 ? 8 : 1
    options.site = { call in
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
}
