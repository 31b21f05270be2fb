import StrataDisk
import StrataRequirements
import StrataSimulation
import SystemPackage
import Testing

@testable import StrataWriteAheadLog

/// What callers and directories can get wrong, each refused by its own error.
@Suite struct WALBadInputTests {
  let disk = SimulatedFileSystem()

  @Test func aRecordOverTheLimitTakesNothing() throws {
    let log = try WriteAheadLog.openSmall(disk) { $0.maxRecordBytes = 1000 }
    try log.append(record(1))
    let before = disk.contents
    for attempt in [record(2, count: 1000), .put(key: [], value: payload(2, count: 990)), .delete(key: payload(2, count: 5000))] {
      let error = #expect(throws: WALError.self) { try log.append(attempt) }
      guard case .recordTooLarge(_, limit: 1000) = error else {
        Issue.record("\(String(describing: error))")
        continue
      }
    }
    #expect(throws: WALError.self) { try log.append(batch: (0..<50).map { record($0, count: 40) }) }
    #expect(throws: WALError.self) { try log.checkpoint(payload(1, count: 1001)) }
    #expect(throws: WALError.invalidKind(63)) { try log.append(.application(kind: 63, payload: [])) }
    #expect(throws: WALError.invalidKind(0)) { try log.append(batch: [record(2), .application(kind: 0, payload: [])]) }
    #expect(disk.contents == before && log.lastSequence == 1)
    #expect(try log.append(record(2, count: 900)) == 2)
  }

  @Test func aSmallerLimitNeverCutsWhatALargerOneTook() throws {
    let log = try WriteAheadLog.openSmall(disk)
    try log.append(record(1))
    try log.append(record(2, count: 50_000))
    try log.append(record(3))
    let crashed = disk.crash(.nothingKept)
    let before = crashed.contents
    let error = #expect(throws: WALError.self) { try WriteAheadLog.openSmall(crashed) { $0.maxRecordBytes = 20_000 } }
    #expect(error.map(isDamage) == true && crashed.contents == before)
    #expect(try WriteAheadLog.openSmall(crashed).sequences() == [1, 2, 3])
  }

  @Test func aClosedLogRefusesEverything() async throws {
    let log = try WriteAheadLog.openSmall(disk)
    try append(log)
    try close(log)
    #expect(throws: WALError.closed) { try append(log) }
    #expect(throws: WALError.closed) { try log.submit(record(2)) }
    #expect(throws: WALError.closed) { try log.truncate(upTo: 1) }
    #expect(throws: WALError.closed) { try synced(log) }
    await #expect(throws: WALError.closed) { try await log.sync() }
    await #expect(throws: WALError.closed) { try await log.append(record(2)) }
    await #expect(throws: WALError.closed) { try await log.checkpoint() }
  }

  // The blocking forms, which an asynchronous test would not choose.
  private func close(_ log: WriteAheadLog) throws { try log.close() }
  private func append(_ log: WriteAheadLog) throws { try log.append(record(2)) }
  private func synced(_ log: WriteAheadLog) throws { try log.sync() }

  @Test func waitingForWhatWasNotGivenOutIsRefused() throws {
    let log = try WriteAheadLog.openSmall(disk)
    try log.append(record(1))
    #expect(throws: WALError.truncateBeyondEnd(requested: 2, last: 1)) { try log.waitDurable(2) }
    log.whenDurable(2) { #expect($0 == .truncateBeyondEnd(requested: 2, last: 1)) }
    log.whenDurable(1) { #expect($0 == nil) }
  }

  @Test func foreignFilesAreLeftAloneAndListed() throws {
    try disk.install(logPath.appending("notes.txt"), [1, 2, 3])
    try disk.install(logPath.appending("wal-7.seg.damaged"), [1])
    let (log, report) = try WriteAheadLog.open(logPath, options: .small(), on: disk)
    #expect(report.foreignFiles == ["notes.txt", "wal-7.seg.damaged"])
    try log.append(record(1))
    #expect(disk.bytes(of: logPath.appending("notes.txt")) == [1, 2, 3])
  }

  @Test(arguments: [
    "wal-.seg", "wal-1-1.seg", "wal-000000000a-00000000000000000001.seg", "wal-0000000001-99999999999999999999.seg",
    "wal-0000000001-00000000000000000001-1.seg", "wal--.seg", "wal-00000000001-0000000000000000001.seg",
  ]) func aMalformedNameIsNamed(name: String) throws {
    let path = logPath.appending(name)
    try disk.install(path, [1, 2, 3])
    #expect(throws: WALError.unrecognizedFile(path)) { try WriteAheadLog.openSmall(disk) }
  }

  @Test func aSegmentOfAnotherLogIsNamed() throws {
    let first = try WriteAheadLog.openSmall(disk)
    try first.fillSegment()
    try first.close()
    let other = SimulatedFileSystem()
    let second = try WriteAheadLog.open(logPath, options: .small(seed: 99), on: other).log
    try second.fillSegment()
    try second.close()
    let path = try #require(disk.segmentPaths.first)
    try disk.install(path, try #require(other.bytes(of: path)))
    #expect(throws: WALError.wrongLog(path)) { try WriteAheadLog.openSmall(disk) }
  }

  @Test(.requirement("WriteAheadLog.never.17")) func aVersionOfTheFutureIsNamed() throws {
    let log = try WriteAheadLog.openSmall(disk)
    try log.append(record(1))
    try log.close()
    let path = try #require(disk.segmentPaths.first)
    var bytes = try #require(disk.bytes(of: path))
    bytes.store(UInt16(2), at: 8)
    try disk.install(path, bytes)
    let before = disk.contents
    #expect(throws: WALError.unsupportedVersion(path, found: 2, supported: 1)) { try WriteAheadLog.openSmall(disk) }
    #expect(disk.contents == before)
  }

  @Test func headersThatMakeNoSenseAreRefused() throws {
    var header = SegmentHeader(logID: LogID(high: 1, low: 2), number: 3, salt: 4, firstSequence: 10)
    header.predecessor = .init(number: 2, lastSequence: 9, length: 5000, digest: 1)
    header.checkpoint = CheckpointPlace(sequence: 9, segment: 2, offset: 4096)
    header.lowWater = 9
    #expect(try SegmentHeader(header.encoded(), path: "x") == header)
    let changes: [(inout SegmentHeader) -> Void] = [
      { $0.number = 0 }, { $0.firstSequence = 0 }, { $0.firstSequence = .max }, { $0.lowWater = 10 }, { $0.lowWater = .max },
      { $0.predecessor.lastSequence = .max }, { $0.predecessor.number = 3 }, { $0.checkpoint?.offset = 0 }, { $0.checkpoint?.offset = .max },
      { $0.checkpoint?.sequence = 10 }, { $0.groupAlignment = 7 },
    ]
    for (index, change) in changes.enumerated() {
      var changed = header
      change(&changed)
      #expect(throws: WALError.self, "change \(index)") { try SegmentHeader(changed.encoded(), path: "x") }
    }
    for count in [0, 1, 4095] {
      #expect(throws: WALError.self) { try SegmentHeader(Array(header.encoded().prefix(count)), path: "x") }
    }
  }

  @Test func aFullDiskRefusesAndLetsGoOn() throws {
    let log = try WriteAheadLog.openSmall(disk)
    try log.append(record(1))
    disk.capacity = 150_000
    var refusal: WALError?
    while refusal == nil {
      do { try log.append(record(log.lastSequence + 1, count: 30_000)) } catch { refusal = error }
      try #require(log.lastSequence < 20)
    }
    guard case .noSpace = refusal else { throw refusal ?? .closed }
    let last = log.lastSequence
    #expect(try log.sequences() == Array(1...last), "what is there stays readable")
    disk.capacity = nil
    #expect(try log.append(record(last + 1, count: 30_000)) == last + 1, "appends resume")
    try log.close()
    #expect(try WriteAheadLog.openSmall(disk).sequences() == Array(1...last + 1))
    let full = SimulatedFileSystem()
    full.capacity = 1000
    let error = #expect(throws: WALError.self) { try WriteAheadLog.openSmall(full) }
    guard case .noSpace = error else { throw error ?? .closed }
  }

  @Test func salvageTakesNoWrites() throws {
    try WriteAheadLog.openSmall(disk).append(record(1))
    let log = try WriteAheadLog.openSmall(disk.crash(.nothingKept)) { $0.recovery = .salvage }
    #expect(throws: WALError.readOnly) { try log.append(record(2)) }
    #expect(throws: WALError.readOnly) { try log.truncate(upTo: 1) }
    #expect(try log.sequences() == [1])
    try log.close()
  }
}
