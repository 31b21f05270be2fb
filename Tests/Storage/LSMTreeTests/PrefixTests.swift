import StrataNodes
import StrataRequirements
import StrataSSTable
import StrataSimulation
import Testing

@testable import StrataLSMTree

/// Iterators over the keys of one prefix, and what filters that know prefixes leave out for them.
@Suite struct PrefixTests {
  private static let extractors: [PrefixExtractor?] = [nil, .fixed(2), .fixed(3), .delimiter(UInt8(ascii: ":")), .fixed(0), .fixed(40)]

  private func rows(_ store: LSMTree, _ prefix: String, at snapshot: Snapshot? = nil) throws -> [[String]] {
    var iterator = try store.iterator(prefix: bytes(prefix), at: snapshot)
    return try both(&iterator)
  }

  private func expected(_ model: [String: String], _ prefix: String) -> [[String]] {
    model.filter { bytes($0.key).starts(with: bytes(prefix)) }.sorted { bytes($0.key).lexicographicallyPrecedes(bytes($1.key)) }
      .map { [$0.key, $0.value] }
  }

  /// Random changes under an extractor that changes with every opening, filters whole and in parts: an iterator over a prefix sees what a dictionary
  /// holds, both ways, whatever the tables were written with.
  @Test func iteratorsOverAPrefixEqualADictionary() throws {
    for seed in 0..<(12 * testDepth) {
      var random = Random(seed: UInt64(seed))
      let disk = SimulatedFileSystem()
      var model: [String: String] = [:]
      for opening in 0..<4 {
        let extractor = Self.extractors[random.below(Self.extractors.count)]
        let wholeFilterBytes: UInt64 = random.chance(1, in: 2) ? 0 : 32 << 20
        let store = try LSMTree.open(
          home,
          options: tinyOptions {
            $0.defaultKeyspace.table.prefixExtractor = extractor
            $0.defaultKeyspace.table.wholeFilterBytes = wholeFilterBytes
          }, on: disk)
        for step in 0..<150 {
          let prefix = ["a", "a:", "b:", "bc:", "b", "cc:", "d:e", "\u{FF}:"][random.below(8)]
          let key = "\(prefix)\(random.below(12))"
          switch random.below(12) {
          case 0...6:
            model[key] = "\(opening).\(step)"
            try store.put(key, "\(opening).\(step)")
          case 7, 8:
            model[key] = nil
            try store.delete(key)
          case 9 where random.chance(1, in: 3):
            let end = key + "5"
            for gone in model.keys where bytes(key).lexicographicallyPrecedes(bytes(end)) && !bytes(gone).lexicographicallyPrecedes(bytes(key))
              && bytes(gone).lexicographicallyPrecedes(bytes(end))
            { model[gone] = nil }
            try store.deleteRange(key, end)
          case 10: try store.flush()
          case 11 where random.chance(1, in: 4): try store.compact()
          default: break
          }
          guard step % 25 == 24 else { continue }
          for prefix in ["", "a", "a:", "a:1", "b", "b:", "bc:", "cc", "cc:1", "d", "d:e", "e:", "zz:", "\u{FF}:"] {
            let found = try rows(store, prefix)
            #expect(found == expected(model, prefix), "seed \(seed), opening \(opening), step \(step), prefix \(prefix)")
          }
        }
        try store.close()
      }
    }
  }

  /// Of many tables that all overlap an iterator over a prefix opens those that hold it, though it is written to none of the options by now.
  @Test func tablesWithoutThePrefixAreLeftOut() throws {
    for wholeFilterBytes: UInt64 in [0, 32 << 20] {
      let disk = SimulatedFileSystem()
      func options(_ extractor: PrefixExtractor?) -> LSMOptions {
        tinyOptions {
          $0.compactsAutomatically = false
          $0.defaultKeyspace.table.prefixExtractor = extractor
          $0.defaultKeyspace.table.wholeFilterBytes = wholeFilterBytes
        }
      }
      var store = try LSMTree.open(home, options: options(.delimiter(UInt8(ascii: ":"))), on: disk)
      for table in 0..<8 {
        // Every table reaches from the first prefix to the last.
        for number in 0..<40 {
          try store.put("a:\(number)", "x")
          try store.put("user\(table):\(number)", "\(table)")
          try store.put("z:\(number)", "x")
        }
        try store.flush()
      }
      try store.put("a:last", "in memory")
      let tables = store.statistics.tablesByLevel.reduce(0, +)
      #expect(tables >= 8)
      for extractor in [PrefixExtractor.delimiter(UInt8(ascii: ":")), nil, .fixed(3)] {
        try store.close()
        store = try LSMTree.open(home, options: options(extractor), on: disk)
        try store.put("a:last", "in memory")
        var opened = 0
        for table in 0..<8 {
          let iterator = try store.iterator(prefix: bytes("user\(table):"))
          opened += (iterator.sources.cursor as? MergingCursor)?.childCount ?? 1
          let found = try rows(store, "user\(table):")
          #expect(found.count == 40 && found.allSatisfy { $0[1] == "\(table)" })
        }
        // One table each; a filter of ten bits errs once in a hundred times.
        #expect(opened <= 8 + 3, "\(opened) sources for 8 prefixes among \(tables) tables")
        // A prefix shorter than what the filter knows is in nearly every table's bounds and left out of none.
        let short = try store.iterator(prefix: bytes("user"))
        #expect(((short.sources.cursor as? MergingCursor)?.childCount ?? 1) >= 8)
      }
      try store.close()
    }
  }
}
