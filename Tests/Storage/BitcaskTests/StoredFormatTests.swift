import Foundation
import StrataDisk
import StrataRequirements
import StrataSimulation
import SystemPackage
import Testing

@testable import StrataBitcask

/// Stores that earlier builds wrote, and the one this build writes.
@Suite struct StoredFormatTests {
  static let version = "v1"

  static func options() -> BitcaskOptions {
    tinyOptions {
      $0.clock = { 1_700_000_000_000 }
      $0.segmentBytes = 4096 + 260
    }
  }

  /// Every kind of record, several segments, a merged one, hints, a manifest with edits, and an end that a crash cut off.
  static func write(_ disk: SimulatedFileSystem) throws {
    var store = try Bitcask.open(home, options: options(), on: disk)
    try store.put(key(1), bytes("one"))
    try store.put([], bytes("the empty key"))
    try store.put(key(2), [])
    try store.put(key(3), bytes("three"), ttl: .seconds(3600))
    try store.write([.put(key(4), bytes("four")), .delete(key(1)), .put([0, 255, 10], [UInt8](repeating: 7, count: 300))])
    try store.merge(.all)
    try store.createHintFiles()
    try store.delete(key(2))
    try store.close()
    store = try Bitcask.open(home, options: options(), on: disk)
    try store.put(key(5), bytes("five"))
  }

  static let expected: [[UInt8]: [UInt8]] = [
    []: bytes("the empty key"), key(3): bytes("three"), key(4): bytes("four"), key(5): bytes("five"),
    [0, 255, 10]: [UInt8](repeating: 7, count: 300),
  ]

  private func stored(_ version: String) throws -> [(name: String, bytes: [UInt8])] {
    let folder = try #require(Bundle.module.url(forResource: "Golden", withExtension: nil)).appendingPathComponent(version)
    return try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted().map { name in
      (name, [UInt8](try Data(contentsOf: folder.appendingPathComponent(name))))
    }
  }

  @Test(arguments: ["v1"]) func storesOfEveryVersionAreRead(version: String) throws {
    let disk = SimulatedFileSystem()
    for file in try stored(version) { try disk.install(home.appending(file.name), file.bytes) }
    let store = try Bitcask.open(home, options: Self.options(), on: disk)
    #expect(try contents(store) == Self.expected)
    #expect(store.lastSequence == 9 && store.recovery.damage.isEmpty && store.recovery.strayFiles.isEmpty)
    #expect(store.recovery.hintsLoaded > 0)
    #expect(try store.verify().isEmpty)
    #expect(try store.put(key(6), []) == 10)
  }

  /// Names and lengths; the bytes hold a number that is drawn anew for each store, and those of each record are compared in FormatTests.
  @Test func thisBuildWritesTheSameFiles() throws {
    let disk = SimulatedFileSystem()
    try Self.write(disk)
    // The lock names a process.
    let written = try names(disk).filter { $0 != "LOCK" }.map { name in (name: name, bytes: try #require(file(disk, name))) }
    if ProcessInfo.processInfo.environment["UPDATE_GOLDEN"] != nil {
      let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Golden/\(Self.version)")
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
      for file in written { try Data(file.bytes).write(to: folder.appendingPathComponent(file.name)) }
      return
    }
    let golden = try stored(Self.version)
    #expect(golden.map(\.name) == written.map(\.name))
    for (stored, new) in zip(golden, written) { #expect(stored.bytes.count == new.bytes.count, "\(stored.name)") }
  }
}
