import StrataDisk
import StrataNodes
import StrataRequirements
import StrataSimulation
import StrataWriteAheadLog
import SystemPackage
import Testing

@testable import StrataRaft

/// The groups' log and their snapshots on a disk that fails.
struct RaftStorageTests {
  static var options: WALOptions {
    var options = WALOptions()
    options.segmentBytes = 4096
    options.zeroAheadBytes = 0
    options.recycledSegments = 0
    options.usesThread = false
    options.clock = { 0 }
    options.entropy = { 7 }
    return options
  }

  static func open(_ disk: any FileSystem, toleratesDamage: Bool = false) throws -> (
    storage: RaftStorage, groups: [UInt64: StoredGroup], isDamaged: Bool
  ) {
    try RaftStorage.open("/raft", cluster: 5, options: options, toleratesDamage: toleratesDamage, on: disk)
  }

  static func append(_ entries: [Entry], _ state: HardState? = nil) -> StorageAppend {
    StorageAppend(hardState: state, entries: entries, snapshot: nil, mustSync: true, responses: [])
  }

  static func snapshot(_ term: Term, _ index: LogIndex, _ data: [UInt8] = [1, 2, 3]) -> Snapshot {
    Snapshot(place: LogPlace(term: term, index: index), confState: ConfState(voters: [1, 2, 3]), data: data)
  }

  @Test func groupsShareALogAndAreFoundAgain() throws {
    let disk = SimulatedFileSystem()
    do {
      let storage = try Self.open(disk).storage
      for group in 1...3 as ClosedRange<UInt64> {
        let state = HardState(term: group, vote: NodeID(group), commit: 1)
        try storage.waitUntilDurable(try storage.submit(Self.append(log([1, 1, group]), state), of: group))
      }
      // A later leader's entries replace what follows them.
      try storage.waitUntilDurable(try storage.submit(Self.append(log([4], after: 1), HardState(term: 4)), of: 2))
      try storage.close()
    }
    let (storage, groups, isDamaged) = try Self.open(disk)
    #expect(!isDamaged && groups.count == 3)
    #expect(groups[1]?.entries == log([1, 1, 1]) && groups[1]?.hardState == HardState(term: 1, vote: 1, commit: 1))
    #expect(groups[2]?.entries.map(\.term) == [1, 4] && groups[2]?.hardState == HardState(term: 4))
    try storage.close()
  }

  @Test func aMarkWrittenLateDoesNotContradictALaterOne() throws {
    let disk = SimulatedFileSystem()
    let storage = try Self.open(disk).storage
    // Enough entries, a record each, to fill segments.
    for index in 1...200 as ClosedRange<UInt64> {
      let entry = Entry(term: 1, index: index, payload: [UInt8](repeating: 7, count: 100))
      try storage.waitUntilDurable(try storage.submit(Self.append([entry], HardState(term: 1, commit: index)), of: 1))
      // Compaction lags: its mark lies behind entries that the next compaction gives up.
      for (at, base) in [(130, 20), (160, 120)] as [(UInt64, UInt64)] where index == at {
        let snapshot = Self.snapshot(1, base)
        try storage.writeSnapshot(snapshot, of: 1)
        try storage.compact(1, to: LogPlace(term: 1, index: base), keeping: snapshot)
      }
    }
    #expect(storage.firstSequence > 100)
    try storage.close()
    let (again, groups, _) = try Self.open(disk)
    #expect(groups[1]?.base == LogPlace(term: 1, index: 120))
    #expect(groups[1]?.entries.map(\.index) == Array(121...200))
    try again.close()
  }

  @Test func aMemberCanBeMadeTheOnlyOne() throws {
    let disk = SimulatedFileSystem()
    var storage = try Self.open(disk).storage
    let change = Entry(term: 2, index: 4, kind: .confChange, payload: ConfChange([.addLearner(4)]).encoded)
    try storage.waitUntilDurable(
      try storage.submit(Self.append(log([1, 2], after: 1) + [change], HardState(term: 3, vote: 2, commit: 2)), of: 1))
    try storage.close()
    var groups: [UInt64: StoredGroup]
    (storage, groups, _) = try Self.open(disk)
    let state = try #require(groups[1])
    #expect(throws: RaftStorageError.self) { try storage.makeAlone(9, in: 1, from: state, founders: [1, 2, 3]) }
    let forced = try storage.makeAlone(2, in: 1, from: state, founders: [1, 2, 3])
    #expect(forced.before == ConfState(voters: [1, 2, 3], learners: [4]))
    #expect(forced.last == LogPlace(term: 2, index: 4) && forced.added == 3)
    try storage.close()
    (storage, groups, _) = try Self.open(disk)
    let after = try #require(groups[1])
    #expect(after.hardState == HardState(term: 4, vote: 0, commit: 7))
    var initial = InitialState.founding([1, 2, 3])
    initial.hardState = after.hardState
    initial.entries = after.entries
    var core = try RaftCore(config: RaftConfig(id: 2, seed: 1), initial: initial)
    for _ in 0..<40 {
      core.tick()
      while core.hasReady {
        let ready = core.ready()
        core.advance(ready)
      }
    }
    #expect(core.role == .leader && core.status.confState == ConfState(voters: [2]))
    try storage.close()
  }

  @Test func aSnapshotStandsForWhatIsGivenUp() throws {
    let disk = SimulatedFileSystem()
    var storage = try Self.open(disk).storage
    try storage.waitUntilDurable(try storage.submit(Self.append(log([1, 1, 1, 1]), HardState(term: 1, commit: 3)), of: 1))
    try storage.writeSnapshot(Self.snapshot(1, 3), of: 1)
    try storage.compact(1, to: LogPlace(term: 1, index: 2), keeping: Self.snapshot(1, 3))
    try storage.close()
    let opened = try Self.open(disk)
    storage = opened.storage
    let group = try #require(opened.groups[1])
    #expect(group.base == LogPlace(term: 1, index: 2) && group.entries.map(\.index) == [3, 4] && group.snapshot == LogPlace(term: 1, index: 3))
    #expect(try storage.snapshot(of: 1, at: LogPlace(term: 1, index: 3)).content() == [1, 2, 3])
    // A mark may only name a snapshot that is there.
    #expect(throws: RaftStorageError.self) { try storage.compact(1, to: LogPlace(term: 1, index: 4), keeping: Self.snapshot(1, 4)) }
    try storage.close()
  }

  @Test(.requirement("Raft.never.3"))
  func theLogOnDiskStaysShort() throws {
    let disk = SimulatedFileSystem()
    let storage = try Self.open(disk).storage
    // One group that writes, and one that wrote once.
    let idle = Self.append(log([1]), HardState(term: 1))
    try storage.waitUntilDurable(try storage.submit(idle, of: 9))
    var greatest: UInt64 = 0
    for round in 0..<200 as Range<UInt64> {
      let entries = (1...20 as ClosedRange<UInt64>).map { Entry(term: 1, index: round * 20 + $0, payload: Array(repeating: 7, count: 50)) }
      try storage.waitUntilDurable(try storage.submit(Self.append(entries, HardState(term: 1, commit: round * 20)), of: 1))
      let snapshot = Self.snapshot(1, round * 20 + 15)
      try storage.writeSnapshot(snapshot, of: 1)
      try storage.compact(1, to: snapshot.place, keeping: snapshot)
      if round % 10 == 9 {
        #expect(storage.pinning(before: storage.lastSequence - 3).contains(9))
        #expect(try storage.carryGroups(idleSince: storage.lastSequence - 3) == 1)
        #expect(!storage.pinning(before: storage.lastSequence - 3).contains(9))
      }
      greatest = max(greatest, storage.lastSequence - storage.firstSequence)
    }
    #expect(greatest < 100, "of \(storage.lastSequence) records \(greatest) were held at once")
    try storage.close()
    let groups = try Self.open(disk).groups
    #expect(groups[9]?.entries == log([1]) && groups[1]?.entries.map(\.index) == Array(3996...4000))
  }

  /// Two groups that wrote once, one of them with a snapshot and entries on both sides of its mark, and one that goes on.
  private static func workload(_ storage: RaftStorage, _ note: (Int) -> Void) throws {
    try storage.waitUntilDurable(try storage.submit(append(log([1, 1, 2]), HardState(term: 2, vote: 3, commit: 2)), of: 7))
    try storage.waitUntilDurable(try storage.submit(append(log([1, 1, 1, 1]), HardState(term: 1, commit: 4)), of: 8))
    try storage.waitUntilDurable(try storage.submit(append(log([1, 1], after: 4), HardState(term: 1, commit: 6)), of: 8))
    try storage.writeSnapshot(snapshot(1, 5), of: 8)
    try storage.compact(8, to: LogPlace(term: 1, index: 3), keeping: snapshot(1, 5))
    note(1)
    for index in 1...12 as ClosedRange<UInt64> {
      let entry = Entry(term: 1, index: index, payload: Array(repeating: 1, count: 600))
      try storage.waitUntilDurable(try storage.submit(append([entry], HardState(term: 1, commit: index - 1)), of: 1))
    }
    try storage.writeSnapshot(snapshot(1, 12), of: 1)
    try storage.compact(1, to: LogPlace(term: 1, index: 12), keeping: snapshot(1, 12))
    let end = storage.lastSequence
    guard try storage.carryGroups(idleSince: end - 2) == 2, storage.firstSequence >= end - 2 else { throw WorkloadFailure() }
    // Once more, from where they lie now, after others have replaced some of their entries.
    try storage.waitUntilDurable(try storage.submit(append(log([3], after: 2), HardState(term: 3, commit: 2)), of: 7))
    note(2)
    guard try storage.carryGroups(idleSince: storage.lastSequence + 1) == 3 else { throw WorkloadFailure() }
  }

  private struct WorkloadFailure: Error {}

  @Test(.requirement("Raft.never.5")) func groupsThatAreMovedAreWholeAfterEveryCrash() throws {
    var options = CrashEnumeration.Options()
    options.singlesPerPoint = testDepth > 1 ? 24 : 1
    options.tearsPerPoint = testDepth > 1 ? 6 : 1
    options.randomsPerPoint = testDepth > 1 ? 4 : 1
    options.crashesPerRecovery = testDepth > 1 ? 8 : 1
    let report = try CrashEnumeration(options).run { (disk, ledger: Ledger<Int>) in
      let storage = try Self.open(disk).storage
      try Self.workload(storage) { ledger.note($0) }
      try storage.close()
    } recover: { disk, ledger in
      let (storage, groups, isDamaged) = try Self.open(disk)
      guard !isDamaged else { throw WorkloadFailure() }
      let done = ledger.entries.max() ?? 0
      if done >= 1 {
        let first = groups[7]
        let old = first?.entries == log([1, 1, 2]) && first?.hardState == HardState(term: 2, vote: 3, commit: 2)
        let new = first?.entries.map(\.term) == [1, 1, 3] && first?.hardState == HardState(term: 3, commit: 2)
        guard new || (old && done < 2) else { throw WorkloadFailure() }
        let second = groups[8]
        guard second?.entries.map(\.index) == [4, 5, 6], second?.base == LogPlace(term: 1, index: 3),
          second?.snapshot == LogPlace(term: 1, index: 5), second?.hardState == HardState(term: 1, commit: 6)
        else { throw WorkloadFailure() }
        _ = try storage.snapshot(of: 8, at: LogPlace(term: 1, index: 5)).content()
      }
      try storage.close()
    }
    #expect(report.isClean, "\(report)")
    #expect(report.images > 50)
  }

  @Test func aGroupThatNeedsMuchIsNotMoved() throws {
    let disk = SimulatedFileSystem()
    let storage = try Self.open(disk).storage
    let entry = Entry(term: 1, index: 1, payload: Array(repeating: 7, count: RaftStorage.maxCarriedBytes))
    try storage.waitUntilDurable(try storage.submit(Self.append([entry], HardState(term: 1)), of: 1))
    try storage.waitUntilDurable(try storage.submit(Self.append(log([1]), HardState(term: 1)), of: 2))
    #expect(try storage.carryGroups(idleSince: storage.lastSequence + 1) == 1)
    #expect(storage.pinning(before: storage.lastSequence - 1) == [1])
    try storage.close()
  }

  @Test func aMarkThatLaterOnesHaveLeftBehindIsNoContradiction() throws {
    let disk = SimulatedFileSystem()
    let storage = try Self.open(disk).storage
    for index in 1...300 as ClosedRange<UInt64> {
      let entry = Entry(term: 1, index: index, payload: Array(repeating: 1, count: 60))
      try storage.waitUntilDurable(try storage.submit(Self.append([entry], HardState(term: 1, commit: index - 1)), of: 1))
    }
    // Both marks lie behind all entries; the second lets the log begin behind what the first stands for.
    for index in [100, 280] as [UInt64] {
      try storage.writeSnapshot(Self.snapshot(1, index), of: 1)
      try storage.compact(1, to: LogPlace(term: 1, index: index), keeping: Self.snapshot(1, index))
    }
    #expect(storage.firstSequence > 200)
    try storage.close()
    let again = try Self.open(disk)
    let group = try #require(again.groups[1])
    #expect(group.base == LogPlace(term: 1, index: 280) && group.entries.map(\.index) == Array(281...300))
    #expect(group.snapshot == LogPlace(term: 1, index: 280) && group.gap == nil)
    try again.storage.close()
  }

  enum Note: Hashable {
    case began(UInt64, Int)
    case done(UInt64, Int)
  }

  /// What group `group` writes in step `step`, and what must be found of it afterwards.
  static func step(_ step: Int) -> StorageAppend {
    let term = UInt64(step / 3 + 1)
    // Every third step a new leader replaces the last entry.
    let index = UInt64(step) + 1 - UInt64(step / 3)
    return append([Entry(term: term, index: index, payload: [UInt8(step)])], HardState(term: term, vote: 1, commit: index - 1))
  }

  @Test(.requirement("Raft.never.5"))
  func nothingAcknowledgedIsLostInACrash() throws {
    var options = CrashEnumeration.Options()
    options.singlesPerPoint = testDepth > 1 ? 24 : 1
    options.tearsPerPoint = testDepth > 1 ? 6 : 1
    options.randomsPerPoint = testDepth > 1 ? 4 : 1
    options.crashesPerRecovery = testDepth > 1 ? 8 : 1
    let report = try CrashEnumeration(options).run { (disk, ledger: Ledger<Note>) in
      let storage = try Self.open(disk).storage
      for step in 0..<7 {
        for group in 1...2 as ClosedRange<UInt64> {
          ledger.note(.began(group, step))
          try storage.waitUntilDurable(try storage.submit(Self.step(step), of: group))
          ledger.note(.done(group, step))
        }
        if step == 4 {
          let place = LogPlace(term: 1, index: 2)
          let snapshot = Snapshot(place: place, confState: ConfState(voters: [1]), data: [9])
          try storage.writeSnapshot(snapshot, of: 1)
          try storage.compact(1, to: place, keeping: snapshot)
        }
      }
      try storage.close()
    } recover: { disk, ledger in
      let (storage, groups, isDamaged) = try Self.open(disk)
      guard !isDamaged else { throw Lost(description: "a crash passes for damage") }
      for group in 1...2 as ClosedRange<UInt64> { try Self.check(groups[group] ?? StoredGroup(), group, ledger.entries, storage) }
      try storage.close()
    }
    #expect(report.isClean, "\(report)")
    #expect(report.images > 50 && report.recoveryImages > 20)
  }

  struct Lost: Error, CustomStringConvertible { let description: String }

  static func check(_ stored: StoredGroup, _ group: UInt64, _ notes: [Note], _ storage: RaftStorage) throws {
    let done = notes.reduce(-1) { if case .done(group, let step) = $1 { max($0, step) } else { $0 } }
    let begun = notes.reduce(-1) { if case .began(group, let step) = $1 { max($0, step) } else { $0 } }
    let wanted = done < 0 ? HardState() : step(done).hardState ?? HardState()
    if stored.hardState.term < wanted.term {
      throw Lost(description: "group \(group) is in term \(stored.hardState.term), acknowledged was \(wanted.term)")
    }
    // The state is that after some step between the last acknowledged and the last begun.
    for last in max(done, 0)...max(begun, 0) {
      var model: [Entry] = []
      if begun >= 0, !(last == 0 && done < 0 && stored.entries.isEmpty) {
        for each in 0...last {
          let append = step(each)
          model.removeAll { $0.index >= append.entries[0].index }
          model += append.entries
        }
      }
      model.removeAll { $0.index <= stored.base.index }
      if stored.entries == model {
        if let place = stored.snapshot, try storage.snapshot(of: group, at: place).content() != [9] {
          throw Lost(description: "the snapshot is another")
        }
        return
      }
    }
    throw Lost(description: "group \(group) holds \(stored.entries.map { "\($0.term)/\($0.index)" }), acknowledged step \(done), begun \(begun)")
  }

  @Test func damageIsNoticedAndStartsARepair() throws {
    let disk = SimulatedFileSystem()
    let storage = try Self.open(disk).storage
    for index in 0..<200 as Range<UInt64> {
      let entry = Entry(term: 1, index: index + 1, payload: Array(repeating: 1, count: 40))
      try storage.waitUntilDurable(try storage.submit(Self.append([entry], HardState(term: 1)), of: 1))
    }
    try storage.close()
    // An entry in the middle of the log no longer says what was written.
    let segments = try disk.list("/raft/log").filter { $0.hasSuffix(".seg") }.sorted()
    let file = try disk.open(FilePath("/raft/log").appending(segments[0]), .readWrite)
    let bytes = try file.read(at: 0, count: 1 << 20)
    let middle = try #require(bytes.lastIndex(of: 1)) / 2
    let place = try #require((middle..<middle + 500).first { bytes[$0..<$0 + 20].allSatisfy { $0 == 1 } })
    try file.write([0xEE], at: UInt64(place))
    #expect(throws: RaftStorageError.self) {
      let opened = try Self.open(disk)
      try opened.storage.close()
    }
    let repaired = try Self.open(disk, toleratesDamage: true)
    #expect(repaired.isDamaged && (repaired.groups[1]?.entries.count ?? 0) < 200)
    let group = repaired.groups[1] ?? StoredGroup()
    let core = try RaftCore(
      config: RaftConfig(id: 1, seed: 1),
      initial: InitialState(hardState: group.hardState, confState: ConfState(voters: [1, 2, 3]), entries: group.entries, isDamaged: true))
    #expect(core.isRepairing)
    try repaired.storage.close()
  }

  // MARK: Snapshot files

  @Test func aSnapshotFileIsReadBackChunkByChunk() throws {
    let disk = SimulatedFileSystem()
    let header = SnapshotFile.Header(group: 1, cluster: 2, place: LogPlace(term: 3, index: 4), confState: ConfState(voters: [1], learners: [2]))
    for size in [0, 1, SnapshotFile.chunkBytes, SnapshotFile.chunkBytes + 1, 3 * SnapshotFile.chunkBytes - 1] {
      var random = Random(seed: UInt64(size))
      let content = random.bytes(size)
      var pieces = stride(from: 0, to: size, by: 700_000).map { Array(content[$0..<min(size, $0 + 700_000)]) }[...]
      try SnapshotFile.write(header, to: "/s.snap", on: disk) { pieces.popFirst() }
      let file = try SnapshotFile("/s.snap", on: disk)
      #expect(file.header == header && file.contentBytes == UInt64(size))
      #expect(file.chunks == (size + SnapshotFile.chunkBytes - 1) / SnapshotFile.chunkBytes)
      #expect(try file.content() == content)
    }
  }

  @Test func everyFlippedBitAndEveryCutOfASnapshotIsNoticed() throws {
    let disk = SimulatedFileSystem()
    let header = SnapshotFile.Header(group: 1, cluster: 2, place: LogPlace(term: 3, index: 4), confState: ConfState(voters: [1]))
    var rest: [UInt8]? = [1, 2, 3, 4, 5]
    try SnapshotFile.write(header, to: "/s.snap", on: disk) {
      defer { rest = nil }
      return rest
    }
    let file = try disk.open("/s.snap", .read)
    let whole = try file.read(at: 0, count: 4096)
    func damaged(_ bytes: [UInt8]) throws -> Bool {
      let copy = try disk.open("/c.snap", .create)
      try copy.truncate(to: 0)
      try copy.write(bytes, at: 0)
      do {
        return try SnapshotFile("/c.snap", on: disk).content() != [1, 2, 3, 4, 5]
      } catch RaftStorageError.damagedSnapshot { return true }
    }
    #expect(try !damaged(whole))
    // The checksum over the whole content is for transfers; a file's own chunks are checked one by one.
    let total = whole.count - 16..<whole.count - 12
    for place in whole.indices {
      for bit in 0..<8 {
        var bytes = whole
        bytes[place] ^= 1 << bit
        #expect(try damaged(bytes), "byte \(place), bit \(bit)\(total.contains(place) ? " of the total" : "")")
      }
      #expect(try damaged(Array(whole[..<place])))
    }
  }

  @Test func everyFlippedBitOfARecordIsAnErrorOrAnotherRecordAndNeverATrap() throws {
    let records: [RaftRecord] = [
      .entries(log([1, 2])), .hardState(HardState(term: 1, vote: 2, commit: 3, repairFloor: 4)),
      .mark(
        base: LogPlace(term: 1, index: 2), snapshot: LogPlace(term: 1, index: 3), confState: ConfState(voters: [1, 2], learners: [3]),
        replacesLog: true),
    ]
    for record in records {
      let whole = record.encoded(group: 77)
      let read = try RaftRecord.decode(whole)
      #expect(read.group == 77 && read.record == record)
      for place in whole.indices {
        for bit in 0..<8 {
          var bytes = whole
          bytes[place] ^= 1 << bit
          if let other = try? RaftRecord.decode(bytes) { #expect(other.group != 77 || other.record != record) }
        }
        #expect(throws: (any Error).self) { try RaftRecord.decode(Array(whole[..<place])) }
      }
    }
  }
}
