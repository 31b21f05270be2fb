import StrataDisk
import StrataRequirements
import StrataSimulation
import SystemPackage
import Testing

@testable import StrataWriteAheadLog

/// What the log promises without any fault.
@Suite struct WriteAheadLogTests {
  let disk = SimulatedFileSystem()

  @Test(.requirement("WriteAheadLog.keep.1")) func sequencesBeginAtOneAndContinueAfterARestart() throws {
    var log = try WriteAheadLog.openSmall(disk)
    #expect(log.lastSequence == 0 && log.durableSequence == 0 && log.firstSequence == 1)
    #expect(try log.append(.put(key: [1], value: [])) == 1)
    #expect(try log.append(.delete(key: [1])) == 2)
    #expect(try log.append(batch: [.put(key: [], value: [7]), .delete(key: [])]) == 3...4)
    try log.close()
    log = try WriteAheadLog.openSmall(disk)
    #expect(log.lastSequence == 4)
    #expect(try log.append(.application(kind: 64, payload: [9])) == 5)
    #expect(try log.sequences() == [1, 2, 3, 4, 5])
    #expect(
      try log.entries(after: 3).map(\.content) == [.operation(.delete(key: [])), .operation(.application(kind: 64, payload: [9]))])
    // Over rotations too.
    while log.statistics.segments < 5 { try log.append(record(log.lastSequence + 1, count: 20_000)) }
    #expect(try log.sequences() == Array(1...log.lastSequence))
    try log.close()
    log = try WriteAheadLog.openSmall(disk)
    #expect(try log.sequences() == Array(1...log.lastSequence))
  }

  @Test(.requirement("WriteAheadLog.keep.2")) func aBatchIsOneUnit() throws {
    let recorder = RecordingFileSystem(disk)
    let log = try WriteAheadLog.openSmall(recorder)
    try log.append(record(1))
    let begin = recorder.log.events.count
    #expect(try log.append(batch: []) == nil)
    #expect(recorder.log.events.count == begin && log.lastSequence == 1, "an empty batch writes nothing and takes nothing")
    recorder.resetTraffic()
    #expect(try log.append(batch: (2...6).map { record($0) }) == 2...6)
    #expect(recorder.traffic.writes == 1 && recorder.traffic.syncs == 1)
    let entries = try log.entries(after: 1)
    #expect(entries.map(\.batch) == Array(repeating: 2...6, count: 5))
    #expect(Set(entries.map(\.offset)).count == 1, "one frame holds all")
    // A batch that begins near a segment's end stays in it, however long it is.
    let large = try #require(try log.append(batch: (7...20).map { record($0, count: 30_000) }))
    let places = try log.entries(after: 6)
    #expect(large == 7...20 && Set(places.map(\.segment)).count == 1 && places.count == 14)
  }

  @Test(.requirement("WriteAheadLog.keep.3"), arguments: [Durability.everyWrite, .batched(count: 100, interval: .seconds(3600)), .none])
  func aCheckpointIsDurableAndInvisibleToReplay(mode: Durability) throws {
    let log = try WriteAheadLog.openSmall(disk) { $0.durability = mode }
    try log.append(record(1))
    #expect(try log.checkpoint([1, 2, 3]) == 2)
    #expect(log.durableSequence == 2, "\(mode)")
    try log.append(record(3))
    #expect(try log.sequences() == [1, 3])
    #expect(try log.iterate().all().map(\.content).contains(.checkpoint([1, 2, 3])))
    #expect(log.lastCheckpoint == Checkpoint(sequence: 2, payload: [1, 2, 3]))
    let after = try WriteAheadLog.openSmall(disk.crash(.nothingKept))
    #expect(after.lastSequence >= 2 && after.lastCheckpoint == Checkpoint(sequence: 2, payload: [1, 2, 3]))
    #expect(try after.checkpoint() == after.lastSequence && after.lastCheckpoint?.payload == [])
  }

  @Test(.requirement("WriteAheadLog.keep.4")) func replayAndTruncateTakeAnyBoundary() throws {
    for boundary in UInt64(0)...9 {
      let disk = SimulatedFileSystem()
      var log = try WriteAheadLog.openSmall(disk)
      try log.append(record(1))
      try log.append(batch: (2...5).map { record($0) })
      try log.append(record(6))
      try log.append(batch: (7...9).map { record($0) })
      #expect(try log.sequences(after: boundary) == (boundary < 9 ? Array(boundary + 1...9) : []))
      try log.truncate(upTo: boundary)
      for _ in 0..<2 {
        #expect(try log.sequences() == (boundary < 9 ? Array(boundary + 1...9) : []), "truncated up to \(boundary)")
        #expect(log.firstSequence == boundary + 1)
        if boundary > 1 {
          #expect(throws: WALError.sequenceTruncated(first: boundary + 1)) { try log.replay(after: boundary - 1) }
        }
        try log.close()
        log = try WriteAheadLog.openSmall(disk)
      }
    }
  }

  @Test(.requirement("WriteAheadLog.keep.5"), arguments: [Durability.batched(count: 1000, interval: .seconds(3600)), .none])
  func structuralEventsSyncInEveryMode(mode: Durability) throws {
    func lasts(_ log: WriteAheadLog, _ disk: SimulatedFileSystem) throws -> UInt64 {
      try WriteAheadLog.openSmall(disk.fork().crash(.nothingKept)).lastSequence
    }
    let log = try WriteAheadLog.openSmall(disk) { $0.durability = mode }
    try log.append(record(1))
    #expect(try lasts(log, disk) == 0)
    try log.append(batch: [record(2), record(3)])
    #expect(try lasts(log, disk) == 3, "a batch")
    try log.append(batch: [record(4), record(5)], durability: Durability.none)
    #expect(try lasts(log, disk) == 3, "a batch weakened by the call")
    try log.checkpoint()
    #expect(try lasts(log, disk) == 6, "a checkpoint")
    try log.fillSegment()
    #expect(try lasts(log, disk) >= log.lastSequence - 1, "a rotation makes its segment durable")
    try log.append(record(log.lastSequence + 1))
    let last = log.lastSequence
    try log.close()
    #expect(try lasts(log, disk) == last, "close")
  }

  @Test(.requirement("WriteAheadLog.keep.6")) func modesLoseNoMoreThanTheySay() throws {
    for count in [1, 2, 5] {
      let disk = SimulatedFileSystem()
      let log = try WriteAheadLog.openSmall(disk) { $0.durability = .batched(count: count, interval: .seconds(3600)) }
      for number in UInt64(1)...20 {
        try log.append(record(number))
        let kept = try WriteAheadLog.openSmall(disk.fork().crash(.nothingKept)).lastSequence
        #expect(number - kept <= UInt64(count - 1), "\(number - kept) of \(number) lost with a count of \(count)")
      }
    }
    // The interval is served by the commit thread's work, here done by hand.
    let due = SimulatedFileSystem()
    let log = try WriteAheadLog.openSmall(due) { $0.durability = .batched(count: 1000, interval: .zero) }
    try log.append(record(1))
    log.commitPending()
    #expect(log.durableSequence == 1)
    try log.append(record(2), durability: Durability.none)
    log.commitPending()
    #expect(log.durableSequence == 1)
    // A call's own interval counts in a log of another mode.
    let other = try WriteAheadLog.openSmall(SimulatedFileSystem()) { $0.durability = .none }
    try other.append(record(1), durability: .batched(count: 1000, interval: .zero))
    #expect(other.durableSequence == 0)
    other.commitPending()
    #expect(other.durableSequence == 1)
    // Without a sync the bytes are in the kernel's hands all the same: the process may die.
    let none = SimulatedFileSystem()
    let unsynced = try WriteAheadLog.openSmall(none) { $0.durability = .none }
    for number in UInt64(1)...5 { try unsynced.append(record(number)) }
    #expect(unsynced.durableSequence == 0)
    #expect(try WriteAheadLog.openSmall(none.fork()).lastSequence == 5)
  }

  @Test func anAcknowledgedDeadlineOutlivesASubmissionNobodyWaitsFor() throws {
    let log = try WriteAheadLog.openSmall(disk) { $0.durability = .batched(count: 2, interval: .zero) }
    try log.append(record(1))
    try log.submit(record(2))
    log.commitPending()
    #expect(log.durableSequence == 2)
  }

  @Test(.requirement("WriteAheadLog.keep.7", "Simulation.keep.3")) func aFullSegmentRotates() throws {
    let log = try WriteAheadLog.openSmall(disk)
    let limit = UInt64(log.options.segmentBytes)
    // The prefix of a record takes some bytes that vary with the watermark: approach the limit, then hit it exactly.
    while true {
      let end = log.end(durably: true).offset
      if end + 4000 > limit { break }
      try log.append(record(log.lastSequence + 1, count: 2000))
    }
    let end = log.end(durably: true).offset
    let rest = Int(limit - end)
    // Frame header, kind, count, watermark, operation and its length.
    let last = log.lastSequence
    let overhead = 16 + LogicalRecord.prefixBytes(count: 1, watermark: last) + 1 + (rest > 160 ? 2 : 1)
    try log.append(record(last + 1, count: rest - overhead))
    #expect(log.end(durably: true).offset == limit && log.statistics.segments == 1, "the record that reaches the limit is in the segment")
    try log.append(record(last + 2))
    #expect(log.statistics.segments == 2, "the next is not")
    #expect(try log.entries().map(\.segment).suffix(2) == [1, 2])
    #expect(try log.sequences() == Array(1...last + 2))
  }

  @Test(.requirement("WriteAheadLog.keep.10")) func segmentsGoOldestFirst() throws {
    let recorder = RecordingFileSystem(disk)
    let log = try WriteAheadLog.openSmall(recorder) { $0.recycledSegments = 0 }
    for _ in 0..<5 { try log.fillSegment() }
    let middle = try #require(try log.entries().last { $0.segment == 4 }).sequence
    try log.truncate(upTo: middle)
    let removed = recorder.log.events.compactMap { event in if case .remove(let path) = event { path.lastComponent?.string } else { nil } }
    #expect(removed.count == 4 && removed == removed.sorted())
    #expect(log.statistics.segments == 2)
    #expect(try log.sequences() == Array(middle + 1...log.lastSequence))
  }

  @Test(.requirement("WriteAheadLog.never.2")) func sequencesNeverStartAgain() throws {
    var log = try WriteAheadLog.openSmall(disk)
    for number in UInt64(1)...5 { try log.append(record(number)) }
    try log.truncate(upTo: 5)
    for _ in 0..<3 {
      try log.close()
      log = try WriteAheadLog.openSmall(disk)
      #expect(log.lastSequence == 5 && log.firstSequence == 6)
    }
    #expect(try log.append(record(6)) == 6)
    #expect(try log.sequences() == [6])
  }

  @Test(.requirement("WriteAheadLog.never.7")) func truncatingBeyondTheEndChangesNothing() throws {
    let log = try WriteAheadLog.openSmall(disk)
    for number in UInt64(1)...3 { try log.append(record(number)) }
    let before = disk.contents
    #expect(throws: WALError.truncateBeyondEnd(requested: 4, last: 3)) { try log.truncate(upTo: 4) }
    #expect(throws: WALError.truncateBeyondEnd(requested: .max, last: 3)) { try log.truncate(upTo: .max) }
    #expect(disk.contents == before)
    #expect(try log.sequences() == [1, 2, 3])
  }

  @Test(.requirement("WriteAheadLog.never.12")) func noDurabilityIsWeakerThanItsName() throws {
    // A mode is a value of an enum; a nonsensical one syncs rather than not.
    for mode in [Durability.batched(count: 0, interval: .seconds(3600)), .batched(count: -5, interval: .seconds(-1)), .everyWrite] {
      let disk = SimulatedFileSystem()
      let log = try WriteAheadLog.openSmall(disk) { $0.durability = mode }
      for number in UInt64(1)...3 { try log.append(record(number)) }
      #expect(log.durableSequence == 3, "\(mode)")
    }
  }

  @Test(.requirement("WriteAheadLog.never.16")) func aSecondOwnerIsRefused() throws {
    let log = try WriteAheadLog.openSmall(disk)
    #expect(throws: WALError.alreadyOpen(logPath, holder: 1)) { try WriteAheadLog.openSmall(disk) }
    try log.append(record(1))
    try log.close()
    #expect(throws: WALError.closed) { try log.append(record(2)) }
    #expect(throws: WALError.closed) { try log.close() }
    // The second close of the first owner does not take the lock from the second owner.
    let next = try WriteAheadLog.openSmall(disk)
    #expect(throws: WALError.closed) { try log.close() }
    #expect(throws: WALError.alreadyOpen(logPath, holder: 1)) { try WriteAheadLog.openSmall(disk) }
    #expect(try next.sequences() == [1])
    let directory = TemporaryDirectory()
    let real = try WriteAheadLog.open(directory.path, options: .small()).log
    #expect(throws: WALError.self) { try WriteAheadLog.open(directory.path, options: .small()) }
    try real.close()
  }

  @Test func pinsKeepRecordsUpToTheirBound() throws {
    let log = try WriteAheadLog.openSmall(disk)
    try log.append(record(1))
    let pin = try log.pin(at: 0, name: "slow", maxBytes: 1 << 20)
    let small = try log.pin(at: 0, name: "small", maxBytes: 1)
    for _ in 0..<3 { try log.fillSegment() }
    #expect(throws: WALError.pinLost(name: "small")) { try small.sequence }
    let last = log.lastSequence
    try log.truncate(upTo: last)
    #expect(log.statistics.segments == 4)
    #expect(try pin.sequence == 0)
    #expect(throws: WALError.sequenceTruncated(first: last + 1)) { try log.pin(at: 0, name: "late", maxBytes: 1) }
    pin.advance(to: last)
    try log.truncate(upTo: last)
    #expect(log.statistics.segments == 1)
    pin.release()
    #expect(throws: WALError.pinLost(name: "slow")) { try pin.sequence }
  }

  @Test func aReaderOvertakenByATruncationIsTold() throws {
    let log = try WriteAheadLog.openSmall(disk)
    for _ in 0..<4 { try log.fillSegment() }
    let reader = try log.replay()
    let first = try #require(try reader.next())
    try log.truncate(upTo: log.lastSequence)
    #expect(first.sequence == 1)
    let error = #expect(throws: WALError.self) { while try reader.next() != nil {} }
    #expect(error == .sequenceTruncated(first: log.lastSequence + 1))
  }
}
