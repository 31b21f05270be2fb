import StrataDisk
import StrataNodes
import StrataRequirements
import StrataSimulation
import SystemPackage
import Testing

@testable import StrataWriteAheadLog

/// Crashes in the middle of a write: garbage behind the last record, batches that are there wholly or not at all.
@Suite struct WALTornTailTests {
  /// A crashed log of two records and where it ends.
  static func build() throws -> (disk: SimulatedFileSystem, path: FilePath, end: UInt64) {
    let disk = SimulatedFileSystem()
    let log = try WriteAheadLog.openSmall(disk)
    try log.append(record(1))
    try log.append(record(2))
    let end = log.end(durably: true).offset
    return (disk.crash(.nothingKept), disk.segmentPaths[0], end)
  }

  @Test(.requirement("WriteAheadLog.never.1")) func recordsBehindGarbageAreNotLost() throws {
    let (base, path, end) = try Self.build()
    let content = Array(try #require(base.bytes(of: path)).prefix(Int(end)))
    var random = Random(seed: 0x7A11)
    var lengths = Array(1...33) + [511, 512, 4096, 32_768, 65_536]
    if testDepth > 5 { lengths = Array(1...65_536) } else { for _ in 0..<8 * testDepth { lengths.append(random.within(1...65_536)) } }
    for length in lengths {
      for kind in 0..<2 {
        let disk = base.fork()
        // Random bytes, and the log's own frames at a wrong place.
        let garbage = kind == 0 ? random.bytes(length) : (0..<length).map { content[4096 + $0 % (content.count - 4096)] }
        try disk.install(path, content + garbage)
        var (log, report) = try WriteAheadLog.open(logPath, options: .small(), on: disk)
        #expect(report.tornBytes > 0 || garbage.allSatisfy { $0 == 0 }, "\(length) bytes")
        #expect(log.lastSequence == 2, "\(length) bytes")
        for number in UInt64(3)...5 { try log.append(record(number)) }
        log = try WriteAheadLog.openSmall(disk.crash(.nothingKept))
        #expect(try log.sequences() == [1, 2, 3, 4, 5], "\(length) bytes of garbage of kind \(kind), seed 0x7A11")
      }
    }
  }

  @Test(.requirement("WriteAheadLog.never.4"), arguments: [24, 33_000]) func aBatchCutAnywhereIsWholeOrAbsent(recordBytes: Int) throws {
    let disk = SimulatedFileSystem()
    let log = try WriteAheadLog.openSmall(disk)
    try log.append(record(1))
    let start = log.end(durably: true).offset
    try log.append(batch: (2...5).map { record($0, count: recordBytes / ($0 == 3 ? 1 : 4)) })
    let end = log.end(durably: true).offset
    let crashed = disk.crash(.everythingKept)
    let path = try #require(crashed.segmentPaths.first)
    let bytes = try #require(crashed.bytes(of: path))
    let step = testDepth > 1 || end - start < 1000 ? 1 : 1499
    for cut in Array(stride(from: start, to: end, by: step)) + [end - 1, end] {
      for filling in [[], [UInt8](repeating: 0xA5, count: Int(end - cut))] where filling.isEmpty || cut % 7 == 0 {
        let copy = crashed.fork()
        try copy.install(path, Array(bytes.prefix(Int(cut))) + filling)
        let reopened = try WriteAheadLog.openSmall(copy)
        let batch: [UInt64] = cut == end ? [2, 3, 4, 5] : []
        #expect(reopened.lastSequence == (cut == end ? 5 : 1), "cut at \(cut)")
        let later = try reopened.append(record(99))
        for boundary in 0...later {
          #expect(try reopened.sequences(after: boundary) == ([1] + batch + [later]).filter { $0 > boundary }, "cut at \(cut)")
        }
      }
    }
  }
}
