import Foundation
import StrataDisk
import StrataRequirements
import StrataSimulation
import SystemPackage
import Testing

@testable import StrataWriteAheadLog

/// What opening, reading and truncating cost, counted in calls and bytes.
@Suite struct WALCostTests {
  private func build(segments: Int) throws -> SimulatedFileSystem {
    let disk = SimulatedFileSystem()
    let log = try WriteAheadLog.openSmall(disk) { $0.recycledSegments = 0 }
    for _ in 1..<segments { try log.fillSegment(recordBytes: 9000) }
    try log.checkpoint()
    try log.close()
    return disk
  }

  @Test(.requirement("WriteAheadLog.never.14")) func openingReadsTheLastSegmentOnly() throws {
    func opened(_ segments: Int) throws -> (bytes: UInt64, report: RecoveryReport) {
      let recorder = RecordingFileSystem(try build(segments: segments))
      let report = try WriteAheadLog.open(logPath, options: .small(), on: recorder).report
      return (recorder.traffic.bytesRead, report)
    }
    let few = try opened(2)
    let many = try opened(12)
    // Of each further segment the header, and the block in which its seal lies.
    #expect(many.bytes - few.bytes <= 10 * UInt64(SegmentHeader.bytes + Frame.blockBytes))
    #expect(many.report.bytesScanned - few.report.bytesScanned == 10 * UInt64(SegmentHeader.bytes))
    #expect(many.report.segments == 12)
  }

  @Test(.requirement("WriteAheadLog.never.14")) func replayReadsAsItIsAskedAndKeepsOneChunk() throws {
    let recorder = RecordingFileSystem(try build(segments: 8), logsReads: true)
    let log = try WriteAheadLog.openSmall(recorder)
    let reader = try log.replay()
    let before = recorder.traffic.bytesRead
    var delivered: UInt64 = 0
    while let entry = try reader.next() {
      delivered = (entry.segment - 1) * UInt64(log.options.segmentBytes) + entry.offset
      let read = recorder.traffic.bytesRead - before
      // A segment's rest, its seal and what is read twice at a segment's end come on top.
      #expect(read <= delivered + UInt64(SegmentReader.chunkBytes) + entry.segment * 3 * UInt64(Frame.blockBytes))
    }
    #expect(delivered > 400_000)
    let largest = recorder.log.events.compactMap { event in if case .read(_, _, let count) = event { count } else { nil } }.max()
    #expect(try #require(largest) <= SegmentReader.chunkBytes)
  }

  @Test(.requirement("WriteAheadLog.never.14"), .enabled(if: testDepth > 1)) func replayOfALargeLogTakesLittleMemory() throws {
    let directory = TemporaryDirectory()
    let log = try WriteAheadLog.open(
      directory.path,
      options: .small {
        $0.durability = .none; $0.segmentBytes = 16 << 20
      }
    ).log
    for number in UInt64(1)...384 { try log.append(record(number, count: 1 << 20)) }
    let before = residentBytes()
    let reader = try log.replay()
    var count = 0
    while try reader.next() != nil { count += 1 }
    #expect(count == 384)
    #expect(residentBytes() < before + 64 << 20)
    try log.close()
  }

  private func residentBytes() -> Int {
    let text = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)) ?? ""
    return (text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0) * 4096
  }

  @Test(.requirement("WriteAheadLog.never.6")) func truncatingCostsOneSmallWriteAndANameForEachSegment() throws {
    for segments in [3, 9] {
      let recorder = RecordingFileSystem(try build(segments: segments))
      let log = try WriteAheadLog.openSmall(recorder) { $0.recycledSegments = 0 }
      try log.append(record(log.lastSequence + 1))
      recorder.resetTraffic()
      let events = recorder.log.events.count
      try log.truncate(upTo: log.lastSequence)
      #expect(recorder.traffic.writes == 1 && recorder.traffic.bytesWritten < 100 && recorder.traffic.reads == 0)
      #expect(recorder.traffic.syncs == 1 && recorder.traffic.directorySyncs == 1)
      let removed = recorder.log.events[events...].count { event in if case .remove = event { true } else { false } }
      #expect(removed == segments)
    }
  }

  @Test func removedSegmentsAreUsedAgain() throws {
    let disk = SimulatedFileSystem()
    let log = try WriteAheadLog.openSmall(disk) { $0.recycledSegments = 2 }
    for _ in 0..<20 {
      try log.fillSegment()
      try log.truncate(upTo: log.lastSequence)
    }
    #expect(log.statistics.recycledSegments >= 15 && log.statistics.createdSegments <= 5)
    #expect(disk.contents.count <= 6)
    for number in log.lastSequence + 1...log.lastSequence + 20 { try log.append(record(number, count: 3000)) }
    let last = log.lastSequence
    // What an earlier life left in a file is never read as a record.
    for loss in [PowerLoss.nothingKept, .everythingKept, .random] {
      let copy = disk.fork()
      let reopened = try WriteAheadLog.openSmall(copy.crash(loss))
      #expect(reopened.lastSequence == last)
      #expect(try reopened.sequences() == Array(reopened.firstSequence...last))
    }
  }
}
