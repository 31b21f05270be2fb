import StrataFilters
import StrataRequirements
import StrataSimulation
import SystemPackage
import Testing

@testable import StrataSSTable

/// Filters of large tables, one for each part of the index, and filters that know prefixes.
@Suite struct FilterPartTests {
  private static let path = home.appending("1.sst")

  /// A table of many parts, each key twice, so that versions of one key lie in two parts here and there.
  private func parted(_ count: Int = 600, _ change: (inout TableOptions) -> Void = { _ in }) throws -> (SimulatedFileSystem, [TestEntry]) {
    let disk = newDisk()
    let entries = (0..<count).flatMap { number in
      [9, 4].map { TestEntry(bytes("g\(number / 50):key\(10_000 + number)"), $0, .value, bytes("\(number)")) }
    }.sorted { $0.internalKey < $1.internalKey }
    try build(
      entries,
      options: tinyOptions {
        $0.wholeFilterBytes = 0
        change(&$0)
      }, on: disk)
    return (disk, entries)
  }

  private func find(_ reader: TableReader, _ key: [UInt8], _ sequence: UInt64) throws -> [UInt8]? {
    var lookup = PointLookup()
    try key.withUnsafeBytes { try reader.lookup($0, hash: FilterHash.hash64($0), atOrBelow: sequence, into: &lookup) }
    return lookup.state == .value ? [UInt8](lookup.value) : nil
  }

  /// Parts come into the cache when they are asked for, and no others; what is absent reads no data; what is there is found at every sequence.
  @Test(.requirement("SSTable.never.6")) func partsAreReadWhenTheyAreNeeded() throws {
    let (disk, entries) = try parted { $0.indexPartitionSize = 2048 }
    let whole = newDisk()
    try build(entries, options: tinyOptions { $0.indexPartitionSize = 2048 }, on: whole)
    let cache = BlockCache(capacityBytes: 4 << 20)
    let reader = try open(cache: cache, on: disk)
    #expect(cache.statistics.misses == 0)
    // Of the ten bits for each of 600 keys nothing stays in memory, only where the parts lie.
    let inMemory = try open(on: whole).residentBytes
    #expect(reader.residentBytes + 375 < inMemory)
    #expect(try find(reader, bytes("g3:key10160x"), 9) == nil)
    // The part of the filter; one in a hundred such keys would also read the index and the data.
    #expect(cache.statistics.misses == 1)
    #expect(try find(reader, entries[0].key, 9) == entries[0].value)
    #expect(cache.statistics.misses == 4, "a part of the filter, one of the index, a block")
    for entry in entries { #expect(try find(reader, entry.key, entry.sequence) == entry.value, "\(entry)") }
    let parts = cache.statistics.misses
    var read = 0
    for number in 0..<600 {
      let before = cache.statistics.hits
      #expect(try find(reader, bytes("g\(number / 50):key\(10_000 + number)x"), 9) == nil)
      // A hit for the part of the filter; more are the price of a "perhaps".
      if cache.statistics.hits - before > 1 { read += 1 }
    }
    #expect(cache.statistics.misses == parts, "everything is in the cache by now")
    #expect(read < 40, "\(read) of 600 absent keys read the index")
    var lookup = PointLookup(onlyIfCached: true)
    let cold = try open(cache: BlockCache(capacityBytes: 4 << 20), on: disk)
    try entries[0].key.withUnsafeBytes { try cold.lookup($0, hash: FilterHash.hash64($0), atOrBelow: 9, into: &lookup) }
    #expect(lookup.state == .notCached)
  }

  /// Any byte damaged: every key is found or the error names the block; a damaged part of the filter costs no answer, and a verification names it.
  @Test(.requirement("Filters.never.4", "SSTable.never.1")) func aDamagedPartHidesNoKey() throws {
    let (disk, entries) = try parted(30) { $0.prefixExtractor = .delimiter(UInt8(ascii: ":")) }
    let bytes = try #require(disk.bytes(of: Self.path))
    var damagedParts = 0
    for place in bytes.indices {
      var damaged = bytes
      damaged[place] ^= 0x04
      try disk.install(Self.path, damaged)
      guard let reader = try? open(on: disk) else { continue }
      let damage = try reader.verify().damage
      let isFilter = damage.contains { if case .corruptBlock(_, _, "filter", _) = $0 { true } else { false } }
      if isFilter { damagedParts += 1 }
      // Where something else is hit other tests look closely.
      for entry in isFilter ? entries : [entries[place % entries.count]] {
        do {
          let found = try find(reader, entry.key, entry.sequence)
          #expect(found == entry.value, "byte \(place), \(entry)")
          let isPerhapsThere = try reader.mayContain(prefix: entry.key.span.bytes)
          #expect(isPerhapsThere, "byte \(place), \(entry)")
        } catch let error as TableError {
          #expect(!isFilter, "byte \(place): \(error)")
        }
      }
    }
    #expect(damagedParts > 64 * 3, "\(damagedParts) bytes of parts of the filter")
  }

  /// A prefix that the filter knows and the table has not is ruled out; one that is there, or that the filter cannot know, is not.
  @Test(arguments: [0, 32 << 20] as [UInt64]) func prefixesAreRuledOut(wholeFilterBytes: UInt64) throws {
    for extractor in [PrefixExtractor.delimiter(UInt8(ascii: ":")), .fixed(3)] {
      let (disk, _) = try parted {
        $0.wholeFilterBytes = wholeFilterBytes
        $0.prefixExtractor = extractor
      }
      let reader = try open(on: disk)
      #expect(reader.prefixExtractor == extractor)
      func mayContain(_ prefix: String) throws -> Bool { try reader.mayContain(prefix: bytes(prefix).span.bytes) }
      for group in 0..<12 { #expect(try mayContain("g\(group):") && mayContain("g\(group):key")) }
      #expect(try mayContain("") && mayContain("g") && mayContain("h"), "shorter than what the filter knows")
      let absent = try (0..<300).count { try mayContain("\(UnicodeScalar(UInt8(97 + $0 % 26)))\($0 / 26)x:") }
      #expect(absent < 30, "\(absent) of 300 prefixes that are not there")
    }
  }

  /// What a table's properties say of its extractor is what it was written with; a kind of a later version is not used.
  @Test func extractorsAreReadBack() throws {
    for extractor in [PrefixExtractor.fixed(0), .fixed(7), .fixed(70_000), .delimiter(0), .delimiter(255)] {
      let disk = newDisk()
      try build([TestEntry(bytes("a"), 1)], options: tinyOptions { $0.prefixExtractor = extractor }, on: disk)
      #expect(try open(on: disk).prefixExtractor == extractor)
    }
    #expect(PrefixExtractor.fixed(7).name == "fixed:7" && PrefixExtractor.delimiter(58).name == "delimiter:58")
    let key = bytes("ab:c")
    key.withUnsafeBytes { key in
      #expect(PrefixExtractor.fixed(2).length(in: key) == 2 && PrefixExtractor.fixed(4).length(in: key) == 4)
      #expect(PrefixExtractor.fixed(5).length(in: key) == nil && PrefixExtractor.fixed(-1).length(in: key) == nil)
      #expect(PrefixExtractor.delimiter(58).length(in: key) == 3 && PrefixExtractor.delimiter(120).length(in: key) == nil)
    }
  }
}
