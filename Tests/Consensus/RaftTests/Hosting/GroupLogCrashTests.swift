import StrataDisk
import StrataHost
import StrataJobs
import StrataNodes
import StrataRequirements
import StrataSimulation
import StrataWriteAheadLog
import Testing

@testable import StrataRaft

/// The log of a hosted group on a disk that loses power at any moment, while snapshots are written beside.
struct GroupLogCrashTests {
  typealias Log = RaftGroupLog<ListMachine>
  typealias Record = Log.Record

  enum Note: Hashable {
    case began(Int)
    case done(Int)
  }

  struct Lost: Error, CustomStringConvertible { let description: String }

  static func open(_ disk: any FileSystem) throws -> (disk: RaftDisk, log: Log) {
    var options = RaftStorageTests.options
    options.usesThread = true
    let opened = try RaftDisk("/raft", cluster: 5, options: options, on: disk)
    return (opened, opened.log(of: 1))
  }

  static let steps = 12

  static func entry(_ index: Int) -> Entry { Entry(term: 1, index: UInt64(index), payload: [UInt8(index)]) }

  static func snapshot(_ index: Int) -> Snapshot {
    Snapshot(
      place: LogPlace(term: 1, index: UInt64(index)), confState: ConfState(voters: [1]), data: (1...index).map { UInt8($0) })
  }

  /// What a member is told to write in a step: an entry, then now and then a checkpoint; in step 8 a snapshot from the leader that leaps ahead.
  static func write(_ step: Int, to log: Log, _ done: @escaping @Sendable (DiskError?) -> Void) {
    let state = Record.hardState(HardState(term: 1, vote: 1, commit: UInt64(step)))
    switch step {
    case 3, 6:
      let last = index(of: step - 1)
      let entries = ((last - 1)...last).map { entry($0) }
      log.checkpoint([.snapshot(base: LogPlace(term: 1, index: UInt64(last - 2)), snapshot(last)), .entries(entries), state], whenDurable: done)
    case 8: log.append([[.snapshot(base: LogPlace(term: 1, index: 20), snapshot(20)), state], [.entries([entry(21)])]], whenDurable: done)
    default: log.append([[.entries([entry(index(of: step))]), state]], whenDurable: done)
    }
  }

  static func index(of step: Int) -> Int { step > 8 ? 21 + step - 8 : step - (step > 6 ? 2 : step > 3 ? 1 : 0) }

  /// Everything the state machine and the log hold together after a step.
  static func content(after step: Int) -> [UInt8] {
    switch step {
    case ..<1: []
    case 3, 6: content(after: step - 1)
    case 8: (1...21).map { UInt8($0) }
    default: (1...index(of: step)).map { UInt8($0) }
    }
  }

  static func content(of records: [Record]) throws -> [UInt8] {
    var content: [UInt8] = []
    var end = 0
    for record in records {
      switch record {
      case .snapshot(_, let snapshot):
        content = snapshot.data
        end = Int(snapshot.index)
      case .entries(let entries):
        for entry in entries where entry.index > UInt64(end) {
          guard Int(entry.index) == end + 1 else { throw Lost(description: "entry \(entry.index) follows \(end)") }
          end += 1
          content += entry.payload
        }
      case .hardState: break
      }
    }
    return content
  }

  @Test(.requirement("Raft.never.5"))
  func nothingAcknowledgedIsLostWhileSnapshotsAreWritten() throws {
    var options = CrashEnumeration.Options()
    options.singlesPerPoint = testDepth > 1 ? 24 : 1
    options.tearsPerPoint = testDepth > 1 ? 6 : 1
    options.randomsPerPoint = testDepth > 1 ? 4 : 1
    options.crashesPerRecovery = testDepth > 1 ? 8 : 1
    let report = try CrashEnumeration(options).run { (disk, ledger: Ledger<Note>) in
      let (opened, log) = try Self.open(disk)
      _ = try log.recover()
      for step in 1...Self.steps {
        ledger.note(.began(step))
        let outcome = Monitor<DiskError??>(nil)
        Self.write(step, to: log) { error in
          outcome.withLock { $0 = .some(error) }
          outcome.broadcast()
        }
        if let error = outcome.wait(until: { $0 }) ?? nil { throw error }
        ledger.note(.done(step))
      }
      try opened.close()
      guard log.failedCompactions == 0 else { throw Lost(description: "a compaction failed") }
    } recover: { disk, ledger in
      let (opened, log) = try Self.open(disk)
      let found = try log.recover()
      let done = ledger.entries.reduce(0) { if case .done(let step) = $1 { max($0, step) } else { $0 } }
      let begun = ledger.entries.reduce(0) { if case .began(let step) = $1 { max($0, step) } else { $0 } }
      let content = try Self.content(of: found.records)
      guard !found.isDamaged, (done...max(begun, done)).contains(where: { Self.content(after: $0) == content }) else {
        throw Lost(description: "holds \(content), damaged: \(found.isDamaged), acknowledged step \(done), begun \(begun)")
      }
      try opened.close()
    }
    #expect(report.isClean, "\(report)")
    #expect(report.images > 50)
  }

  @Test func aFailedSyncFailsEverythingAfterIt() throws {
    let disk = SimulatedFileSystem()
    let (opened, log) = try Self.open(disk)
    _ = try log.recover()
    func write(_ step: Int) -> DiskError? {
      let outcome = Monitor<DiskError??>(nil)
      Self.write(step, to: log) { error in
        outcome.withLock { $0 = .some(error) }
        outcome.broadcast()
      }
      return outcome.wait(until: { $0 }) ?? nil
    }
    #expect(write(1) == nil)
    disk.inject(DiskFault(.io, at: .matching { $0.operation == .sync }))
    let first = write(2)
    #expect(first != nil)
    for step in [3, 4, 8] { #expect(write(step) == first) }
    #expect(throws: RaftStorageError.self) { try opened.close() }
  }

  @Test func aSnapshotThatCannotBeWrittenLeavesTheLogLongerAndNothingElse() throws {
    let disk = SimulatedFileSystem()
    do {
      let (opened, log) = try Self.open(disk)
      _ = try log.recover()
      disk.inject(DiskFault(.noSpace, at: .matching { $0.path.string.hasSuffix(".snap.tmp") && $0.operation == .write }, times: .max))
      for step in 1...5 { Self.write(step, to: log) { _ in } }
      try opened.close()
      #expect(log.failedCompactions == 1)
    }
    disk.removeFaults()
    let (opened, log) = try Self.open(disk)
    #expect(try Self.content(of: log.recover().records) == Self.content(after: 5))
    try opened.close()
  }

  @Test func whatIsGivenWithoutWaitingKeepsItsOrder() throws {
    for round in 0..<20 {
      let disk = SimulatedFileSystem()
      do {
        let (opened, log) = try Self.open(disk)
        _ = try log.recover()
        for step in 1...Self.steps { Self.write(step, to: log) { _ in } }
        try opened.close()
      }
      let (opened, log) = try Self.open(disk)
      #expect(try Self.content(of: log.recover().records) == Self.content(after: Self.steps), "round \(round)")
      try opened.close()
    }
  }

  @Test func aCheckpointThatSaysSomethingElseReplacesTheLog() throws {
    let disk = SimulatedFileSystem()
    do {
      let (opened, log) = try Self.open(disk)
      _ = try log.recover()
      for step in 1...2 { Self.write(step, to: log) { _ in } }
      let other = Entry(term: 2, index: 2, payload: [99])
      log.checkpoint(
        [.snapshot(base: LogPlace(term: 1, index: 1), Self.snapshot(1)), .entries([other]), .hardState(HardState(term: 2))], whenDurable: { _ in })
      try opened.close()
    }
    let (opened, log) = try Self.open(disk)
    #expect(try Self.content(of: log.recover().records) == [1, 99])
    try opened.close()
  }
}
