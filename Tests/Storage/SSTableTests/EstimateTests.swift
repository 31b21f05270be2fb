import StrataDisk
import StrataNodes
import StrataRequirements
import Testing

@testable import StrataSSTable

/// What the index tells of a table without its data.
@Suite struct EstimateTests {
  static func table(_ count: Int, _ change: (inout TableOptions) -> Void = { _ in }) throws -> TableReader {
    let disk = newDisk()
    let entries = (0..<count).map { TestEntry(bytes(String(100_000 + $0)), 1, .value, [UInt8](repeating: 7, count: 50)) }
    try build(entries, options: tinyOptions(change), on: disk)
    return try open(on: disk)
  }

  @Test(arguments: [256, 1 << 20]) func bytesFollowTheShareOfKeys(partition: Int) throws {
    let table = try Self.table(4000) { $0.indexPartitionSize = partition }
    let all = try table.approximateBytes(in: .all)
    #expect(all > 4000 * 50 && all < table.metadata.fileSize)
    for (from, to) in [(0, 1000), (1000, 3000), (3999, 4000), (10, 11)] {
      let bounds = KeyBounds(from: bytes(String(100_000 + from)), to: bytes(String(100_000 + to)))
      let share = Double(try table.approximateBytes(in: bounds)) / Double(all)
      // At most a block more, of about four thousand.
      #expect(abs(share - Double(to - from) / 4000) < 0.02, "\(from)..<\(to): \(share)")
      #expect(share > 0)
    }
    #expect(try table.approximateBytes(in: KeyBounds(from: bytes("2"), to: nil)) == 0)
    #expect(try table.approximateBytes(in: KeyBounds(from: bytes("b"), to: bytes("a"))) == 0)
    #expect(try table.approximateBytes(in: KeyBounds(from: bytes("100000"), to: bytes("2"))) == all)
    #expect(try Self.table(0).approximateBytes(in: .all) == 0)
  }

  @Test(arguments: [256, 1 << 20]) func samplesCutIntoEqualPieces(partition: Int) throws {
    let table = try Self.table(4000) { $0.indexPartitionSize = partition }
    for count in [1, 3, 10] {
      let keys = try table.sampledKeys(count)
      #expect(keys.count == count)
      var before: [UInt8]? = nil
      for key in keys.map(Optional.some) + [nil] {
        if let before, let key { #expect(before.lexicographicallyPrecedes(key)) }
        let held = try forward(table.cursor()).count { entry in
          (before.map { !entry.key.lexicographicallyPrecedes($0) } ?? true) && (key.map { entry.key.lexicographicallyPrecedes($0) } ?? true)
        }
        #expect(abs(Double(held) / (4000 / Double(count + 1)) - 1) < 0.4, "\(count): \(held)")
        before = key
      }
    }
    #expect(try Self.table(1).sampledKeys(5).isEmpty)
    #expect(try Self.table(0).sampledKeys(5).isEmpty)
    #expect(try table.sampledKeys(0).isEmpty)
    #expect(try table.sampledKeys(1_000_000).count == Int(table.metadata.dataBlockCount) - 1)
  }
}
