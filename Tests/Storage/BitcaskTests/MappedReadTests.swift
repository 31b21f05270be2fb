import Foundation
import StrataDisk
import StrataNodes
import StrataRequirements
import StrataWriteAheadLog
import SystemPackage
import Testing

@testable import StrataBitcask

/// Reads out of mapped segments, on the real file system: what positioned reads give, through rotation, merges, truncation and damage.
@Suite struct MappedReadTests {
  private func inDirectory(_ body: (FilePath) throws -> Void) throws {
    let directory = FileManager.default.temporaryDirectory.appendingPathComponent("strata-mapped-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: directory) }
    try body(FilePath(directory.path))
  }

  private static func options(_ durability: Durability) -> BitcaskOptions {
    tinyOptions {
      $0.reads = .mapped
      $0.durability = durability
      $0.segmentBytes = 40_000
    }
  }

  @Test(.requirement("Bitcask.keep.3", "Bitcask.keep.7"), arguments: 0..<UInt64(6)) func mappedReadsEqualADictionary(seed: UInt64) throws {
    try inDirectory { directory in
      var random = Random(seed: seed)
      let options = Self.options(seed % 2 == 0 ? .none : .everyWrite)
      var store = try Bitcask.open(directory, options: options)
      var model: [[UInt8]: [UInt8]] = [:]
      for step in 0..<1500 {
        let name = key(random.below(60))
        switch random.below(100) {
        case 0..<50:
          let value = random.bytes(random.below(400))
          try store.put(name, value)
          model[name] = value
        case 50..<60:
          try store.delete(name)
          model[name] = nil
        case 60: try store.merge(.all)
        case 61:
          try store.close()
          store = try Bitcask.open(directory, options: options)
        default: #expect(try store.get(name) == model[name], "seed \(seed), step \(step)")
        }
      }
      #expect(try contents(store) == model, "seed \(seed)")
      try store.close()
    }
  }

  @Test(.requirement("Bitcask.never.8")) func damageUnderAMappingIsSeen() throws {
    try inDirectory { directory in
      let store = try Bitcask.open(directory, options: Self.options(.everyWrite))
      try store.put(key(1), bytes("a value that will change on the disk"))
      try store.put(key(2), bytes("another"))
      let segment = try #require(store.segments().first { $0.isActive })
      let name = String(repeating: "0", count: 10 - "\(segment.id)".count) + "\(segment.id).data"
      let file = try POSIXFileSystem().open(directory.appending(name), .readWrite)
      try file.write([0x21], at: 4096 + 60)
      #expect(throws: BitcaskError.self) { try store.get(key(1)) }
      #expect(try store.get(key(2)) == bytes("another"))
    }
  }
}
