import StrataDisk
import StrataNodes
import StrataRequirements
import StrataSimulation
import StrataWriteAheadLog
import SystemPackage
import Testing

@testable import StrataBitcask

/// The power fails before every disk operation of a workload, in every way the disk allows, and again during the recovery.
@Suite struct CrashTests {
  static let options = tinyOptions { $0.segmentBytes = 4096 + 160 }

  /// Images per run; a debug build examines some hundreds in a second.
  static func enumeration(_ profile: DiskProfile = .strictPOSIX, images: Int = 2500) -> CrashEnumeration {
    var options = CrashEnumeration.Options()
    options.profile = profile
    options.singlesPerPoint = 6
    options.tearsPerPoint = 2
    options.randomsPerPoint = 2
    options.crashesPerRecovery = 3
    options.maximumFailures = 1
    options.maximumImages = testDepth >= 10 ? .max : (sweepStride == 1 ? images : images / 16) * testDepth
    return CrashEnumeration(options)
  }

  /// A store with several sealed segments, hints, overwritten and deleted keys.
  static func filled() throws -> SimulatedFileSystem {
    let disk = SimulatedFileSystem()
    let store = try Bitcask.open(home, options: options, on: disk)
    for number in 0..<6 { try store.put(key(number), bytes("first \(number)")) }
    try store.delete(key(4))
    for number in 0..<2 { try store.put(key(number), bytes("second \(number)")) }
    try store.close()
    return disk
  }

  static var filledNotes: [StoreNote] {
    [.began((0..<6).map { .put(key($0), bytes("first \($0)")) })] + [.began([.delete(key(4))])]
      + [.began((0..<2).map { .put(key($0), bytes("second \($0)")) }), .acknowledged(last: 9)]
  }

  /// No crash broke a promise, and a deep run left none out.
  static func expectClean(_ report: CrashReport, _ place: SourceLocation = #_sourceLocation) {
    #expect(report.isClean, "\(report)", sourceLocation: place)
    #expect(testDepth < 10 || !report.wasCutShort, "\(report)", sourceLocation: place)
  }

  static func open(_ disk: any FileSystem, _ ledger: StoreLedger) throws -> NotingStore {
    NotingStore(store: try Bitcask.open(home, options: options, on: disk), ledger: ledger)
  }

  @Test(.requirement("Bitcask.never.7", "Bitcask.keep.6")) func puttingAndRotating() throws {
    let report = try Self.enumeration().run { disk, ledger in
      let noting = try Self.open(disk, ledger)
      for number in 0..<5 { try noting.put(key(number % 3), bytes("value \(number)")) }
      try noting.delete(key(1))
      try noting.write((0..<4).map { .put(key($0), bytes("batch \($0)")) })
      try noting.store.close()
    } recover: {
      try recoverAndCheck(Self.options)($0, $1)
    }
    Self.expectClean(report)
  }

  @Test(.requirement("Bitcask.never.1", "Bitcask.never.6", "Bitcask.never.5"), arguments: [MergeScope.all, .segments([1, 2]), .segments([2])])
  func merging(scope: MergeScope) throws {
    let report = try Self.enumeration().run(on: try Self.filled()) { disk, ledger in
      for note in Self.filledNotes { ledger.note(note) }
      let noting = try Self.open(disk, ledger)
      try noting.store.merge(scope)
      try noting.put(key(7), bytes("seven"))
      try noting.delete(key(2))
    } recover: {
      try recoverAndCheck(Self.options)($0, $1)
    }
    Self.expectClean(report)
  }

  /// Without syncs of its own the log may lose its end, but never what a merge has dropped on the strength of that end.
  @Test(.requirement("Bitcask.never.1")) func mergingOverUnsyncedWrites() throws {
    var options = Self.options
    options.durability = .none
    // Rotation would sync: everything new stays in one segment.
    options.segmentBytes = 1 << 14
    let report = try Self.enumeration().run(on: try Self.filled()) { disk, ledger in
      for note in Self.filledNotes { ledger.note(note) }
      let store = try Bitcask.open(home, options: options, on: disk)
      for change in [Mutation.put(key(0), bytes("third")), .delete(key(1)), .put(key(5), bytes("third"))] {
        ledger.note(.began([change]))
        try store.write([change])
      }
      try store.merge(.all)
      ledger.note(.began([.put(key(8), [])]))
      try store.put(key(8), [])
      try store.sync()
      ledger.note(.acknowledged(last: store.lastSequence))
    } recover: {
      try recoverAndCheck(Self.options)($0, $1)
    }
    Self.expectClean(report)
  }

  @Test(.requirement("Bitcask.never.7")) func writingHints() throws {
    let report = try Self.enumeration(images: 1500).run { disk, ledger in
      let noting = try Self.open(disk, ledger)
      for number in 0..<7 { try noting.put(key(number), bytes("value \(number)")) }
      try noting.store.createHintFiles()
      try noting.delete(key(3))
      try noting.store.close()
    } recover: {
      try recoverAndCheck(Self.options)($0, $1)
    }
    Self.expectClean(report)
  }

  @Test(arguments: [DiskProfile.ext4Ordered, .xfs, .btrfs]) func otherFileSystems(profile: DiskProfile) throws {
    let report = try Self.enumeration(profile, images: 1000).run { disk, ledger in
      let noting = try Self.open(disk, ledger)
      for number in 0..<5 { try noting.put(key(number % 3), bytes("value \(number)")) }
      try noting.store.merge(.all)
      try noting.write((0..<3).map { .put(key($0), bytes("batch \($0)")) })
    } recover: {
      try recoverAndCheck(Self.options)($0, $1)
    }
    Self.expectClean(report)
  }

  /// The copy is whole once the call has returned; before, it is no store or a whole one.
  @Test func backingUp() throws {
    let target: FilePath = "/backup"
    let report = try Self.enumeration(images: 1000).run(on: try Self.filled()) { disk, ledger in
      let store = try Bitcask.open(home, options: Self.options, on: disk)
      for note in Self.filledNotes { ledger.note(note) }
      try store.put(key(9), bytes("in the active segment"))
      try store.backup(to: target)
      ledger.note(.began([.put(key(9), bytes("in the active segment"))]))
      ledger.note(.acknowledged(last: 10))
    } recover: { disk, ledger in
      // Notes of the copy: present only where the backup had returned.
      guard case .acknowledged(last: 10)? = ledger.entries.last else { return }
      let copy = try Bitcask.open(target, options: Self.options, on: disk)
      _ = try CrashModel(ledger.entries).check(copy)
    }
    Self.expectClean(report)
  }

  @Test(.requirement("Bitcask.never.7")) func everySyncIsNeeded() throws {
    var options = CrashEnumeration.Options()
    (options.singlesPerPoint, options.tearsPerPoint, options.randomsPerPoint, options.crashesPerRecovery) = (2, 0, 0, 1)
    (options.maximumFailures, options.maximumImages) = (1, testDepth >= 10 ? .max : 800 * testDepth)
    // A sync with nothing written since the one before changes nothing; that of the root is needed once, for the store's own name.
    options.site = { call in
      if call.operation == .sync, call.previous == "sync" { return "nothing to sync" }
      return call.path == "/" ? "sync of the store's parent" : call.defaultSite
    }
    let report = try CrashEnumeration(options).undetectedSyncs { disk, ledger in
      let noting = try Self.open(disk, ledger)
      for number in 0..<4 { try noting.put(key(number % 3), bytes("value \(number)")) }
      try noting.delete(key(1))
      try noting.store.createHintFiles()
      ledger.note(.hinted(noting.store.segments().filter(\.hasHint).count))
      ledger.note(.hinted(0))
      try noting.store.merge(.all)
      ledger.note(.hinted(noting.store.segments().filter(\.hasHint).count))
      try noting.put(key(7), bytes("seven"))
      try noting.store.close()
      ledger.note(.hinted(noting.store.segments().count))
    } recover: {
      try recoverAndCheck(Self.options)($0, $1)
    }
    #expect(report.undetected.allSatisfy { $0 == "nothing to sync" }, "\(report)")
  }
}
