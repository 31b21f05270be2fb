import Foundation
import StrataDisk
import StrataRequirements
import StrataSimulation
import SystemPackage
import Testing

@testable import StrataWriteAheadLog

/// Files that earlier builds wrote, and those this one writes.
@Suite struct WALGoldenTests {
  static let version = "v1"

  /// Every kind of record, a record over a block's end, a close with its seal and handover, and a second segment that a crash ended.
  static func write(_ disk: SimulatedFileSystem) throws {
    var log = try WriteAheadLog.openSmall(disk)
    try log.append(.put(key: [1, 2, 3], value: [4, 5]))
    try log.append(.delete(key: []))
    try log.append(.application(kind: 200, payload: payload(3)))
    try log.append(batch: [.put(key: payload(4), value: []), .delete(key: payload(5)), record(6)])
    try log.checkpoint([7, 7, 7])
    try log.append(record(8, count: 33_000))
    try log.truncate(upTo: 2)
    try log.close()
    log = try WriteAheadLog.openSmall(disk)
    try log.append(record(9))
    try log.append(record(10))
  }

  static let expected: [WALContent] =
    [
      WALRecord.application(kind: 200, payload: payload(3)), .put(key: payload(4), value: []), .delete(key: payload(5)), record(6),
      record(8, count: 33_000), record(9), record(10),
    ].map { .operation($0) }

  /// Trailing zeros, which a growing file is full of, are left out of the stored files.
  private static func trimmed(_ bytes: [UInt8]) -> [UInt8] { Array(bytes.prefix((bytes.lastIndex { $0 != 0 } ?? -1) + 1)) }

  private func stored(_ version: String) throws -> [(name: String, bytes: [UInt8])] {
    let folder = try #require(Bundle.module.url(forResource: "Golden", withExtension: nil)).appendingPathComponent(version)
    return try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted().map { name in
      (name, [UInt8](try Data(contentsOf: folder.appendingPathComponent(name))))
    }
  }

  @Test(.requirement("WriteAheadLog.never.17"), arguments: ["v1"]) func filesOfEveryVersionAreRead(version: String) throws {
    let disk = SimulatedFileSystem()
    for file in try stored(version) { try disk.install(logPath.appending(file.name), file.bytes) }
    let (log, report) = try WriteAheadLog.open(logPath, options: .small(), on: disk)
    #expect(try log.entries().map(\.content) == Self.expected)
    #expect(log.firstSequence == 3 && log.lastSequence == 10 && log.lastCheckpoint == Checkpoint(sequence: 7, payload: [7, 7, 7]))
    #expect(report.damage.isEmpty && report.segments == 2)
    #expect(try log.append(record(11)) == 11)
  }

  @Test func thisBuildWritesTheSameBytes() throws {
    let disk = SimulatedFileSystem()
    try Self.write(disk)
    let written = try disk.segmentPaths.map { path in
      (name: path.lastComponent?.string ?? "", bytes: Self.trimmed(try #require(disk.bytes(of: path))))
    }
    if ProcessInfo.processInfo.environment["UPDATE_GOLDEN"] != nil {
      let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Golden/\(Self.version)")
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
      for file in written { try Data(file.bytes).write(to: folder.appendingPathComponent(file.name)) }
      return
    }
    let golden = try stored(Self.version)
    #expect(golden.map(\.name) == written.map(\.name))
    for (stored, new) in zip(golden, written) { #expect(stored.bytes == new.bytes, "\(stored.name)") }
  }
}
