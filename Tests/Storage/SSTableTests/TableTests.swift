import StrataCompression
import StrataDisk
import StrataFilters
import StrataNodes
import StrataRequirements
import StrataSimulation
import Testing

@testable import StrataSSTable

/// What is written is read, by every way of reading.
@Suite struct TableTests {
  @Test(.requirement("SSTable.keep.1", "SSTable.keep.3")) func emptyAndSmallestTables() throws {
    let disk = newDisk()
    let nothing = try build([], on: disk)
    #expect(nothing.isEmpty)
    let empty = try open(expected: nothing, on: disk)
    #expect(try forward(empty.cursor()) == [] && backward(empty.cursor()) == [])
    let one = try build([TestEntry([], 7, .value, [])], id: 2, on: disk)
    #expect(one.smallest == one.largest && one.entryCount == 1)
    let reader = try open(2, expected: one, on: disk)
    #expect(try forward(reader.cursor()) == [TestEntry([], 7)])
  }

  /// Random tables equal a sorted array: forward, backward, by seeks, by point reads at every sequence.
  @Test(
    .requirement("SSTable.keep.2", "SSTable.keep.3", "SSTable.keep.8", "SSTable.never.14", "SSTable.never.7"),
    arguments: 0..<UInt64(24 * testDepth)) func tablesEqualAModel(seed: UInt64) throws
  {
    var random = Random(seed: seed)
    let entries = randomEntries(&random, count: 1 + random.below(400), keySpace: 1 + random.below(200))
    let options = tinyOptions {
      $0.blockSize = [64, 200, 4096][random.below(3)]
      $0.restartInterval = [1, 2, 5, 16][random.below(4)]
      $0.compression = Codec.allCases[random.below(3)]
      $0.indexPartitionSize = [256, 4096, 1 << 20][random.below(3)]
      $0.filterBitsPerKey = random.chance(1, in: 3) ? nil : 10
      $0.wholeFilterBytes = random.chance(1, in: 2) ? 0 : 32 << 20
      $0.prefixExtractor = [nil, .fixed(1), .fixed(8), .delimiter(UInt8(ascii: "/"))][random.below(4)]
    }
    let disk = newDisk()
    let metadata = try build(entries, options: options, on: disk)
    #expect(metadata.smallest == entries.first?.internalKey && metadata.largest == entries.last?.internalKey)
    #expect(metadata.entryCount == UInt64(entries.count) && metadata.deletionCount == UInt64(entries.count { $0.kind == .deletion }))
    let reader = try open(expected: metadata, cache: random.chance(1, in: 3) ? nil : BlockCache(capacityBytes: 4096), on: disk)
    for cursor in [reader.cursor(), reader.cursor(fillCache: false)] {
      #expect(try forward(cursor) == entries, "seed \(seed)")
      #expect(try backward(cursor) == entries, "seed \(seed)")
      try walk(cursor, entries, &random, steps: 300, seed)
    }
    #expect(reader.prefixExtractor == (options.filterBitsPerKey == nil ? nil : options.prefixExtractor))
    for entry in entries {
      for count in 0...entry.key.count {
        #expect(try reader.mayContain(prefix: entry.key.span.bytes.extracting(0..<count)), "seed \(seed), \(entry), \(count)")
      }
    }
    for _ in 0..<200 {
      let probe = random.chance(1, in: 2) ? entries[random.below(entries.count)].key : bytes("\(random.below(400))")
      let sequence = UInt64(random.below(entries.count * 2))
      let expected = entries.first { $0.key == probe && $0.sequence <= sequence }
      let found = try probe.withUnsafeBytes { key in
        try reader.get(key, atOrBelow: sequence) { TestEntry([UInt8](key), $0.sequence, $0.kind ?? .rangeDeletion, [UInt8]($1)) }
      }
      #expect(found == expected, "seed \(seed)")
      var lookup = PointLookup()
      try probe.withUnsafeBytes { try reader.lookup($0, hash: FilterHash.hash64($0), atOrBelow: sequence, into: &lookup) }
      let versions = entries.filter { $0.key == probe && $0.sequence <= sequence }
      let settled = versions.first { $0.kind != .merge }
      #expect(lookup.operands.map(\.bytes) == versions.prefix { $0.kind == .merge }.map(\.value), "seed \(seed)")
      #expect(lookup.isSettled == (settled != nil))
      if let settled, lookup.state == .value { #expect([UInt8](lookup.value) == settled.value && settled.kind == .value) }
    }
  }

  /// A random walk with changes of direction at any point.
  private func walk(_ cursor: Cursor, _ entries: [TestEntry], _ random: inout Random, steps: Int, _ seed: UInt64) throws {
    var place = -1
    for _ in 0..<steps {
      if place < 0 || place >= entries.count || random.chance(1, in: 10) {
        let probe = random.chance(1, in: 2) ? entries[random.below(entries.count)].key : bytes("\(random.below(300))")
        let sequence = random.chance(1, in: 2) ? Trailer.maxSequence : UInt64(random.below(400))
        let bound =
          entries.firstIndex { $0.internalKey >= InternalKey(userKey: probe, trailer: Trailer.newest(atOrBelow: sequence)) } ?? entries.count
        if random.chance(1, in: 2) {
          try cursor.seek(probe, sequence)
          place = bound
        } else {
          try cursor.seekBefore(probe, sequence)
          place = bound - 1
        }
      } else if random.chance(1, in: 2) {
        try cursor.next()
        place += 1
      } else {
        try cursor.previous()
        place -= 1
      }
      let expected = entries.indices.contains(place) ? entries[place] : nil
      #expect((cursor.isValid ? TestEntry(cursor) : nil) == expected, "seed \(seed), place \(place)")
      if !cursor.isValid { place = -1 }
    }
  }

  private func refusal(_ entry: TestEntry, _ writer: inout TableWriter) -> TableError? {
    do { try writer.add(key: entry.key.span.bytes, sequence: entry.sequence, kind: entry.kind, value: entry.value.span.bytes) } catch { return error }
    return nil
  }

  @Test(.requirement("SSTable.keep.1")) func disorderIsRefusedAndChangesNothing() throws {
    let disk = newDisk()
    var writer = try TableWriter(home.appending("1.sst"), fileID: 1, options: tinyOptions(), on: disk)
    let good = (0..<40).map { TestEntry(bytes("k\(100 + $0)"), 50, .value, [UInt8($0)]) }
    for entry in good {
      #expect(refusal(entry, &writer) == nil)
      for wrong in [entry, TestEntry(entry.key, 51), TestEntry(bytes("a"), 99)] {
        #expect(refusal(wrong, &writer) == .outOfOrder(previous: entry.internalKey, next: wrong.internalKey))
      }
    }
    #expect(refusal(TestEntry([UInt8](repeating: 0x7A, count: 70_000), 1), &writer) == .keyTooLarge(70_000))
    do {
      try writer.addRangeDeletion(from: [2], to: [2], sequence: 1)
      Issue.record("an empty range was taken")
    } catch { #expect(error == .emptyRange(from: [2], to: [2])) }
    let metadata = try writer.finish()
    #expect(try forward(open(expected: metadata, on: disk).cursor()) == good)
  }

  @Test(.requirement("SSTable.never.12")) func anAbandonedTableLeavesNothing() throws {
    let disk = newDisk()
    do {
      var writer = try TableWriter(home.appending("1.sst"), fileID: 1, options: tinyOptions(), on: disk)
      try writer.add(key: [UInt8](repeating: 1, count: 1).span.bytes, sequence: 1, kind: .value, value: [UInt8]().span.bytes)
      writer.abandon()
    }
    #expect(try disk.list(home) == [])
    do { _ = try TableWriter(home.appending("2.sst"), fileID: 2, options: tinyOptions(), on: disk) }
    #expect(try disk.list(home) == [])
  }

  @Test(.requirement("SSTable.never.5", "SSTable.never.6")) func aWarmReadTouchesTwoBlocksAtMost() throws {
    let disk = RecordingFileSystem(newDisk(), logsReads: true)
    let entries = (0..<2000).map { TestEntry(bytes("key\(100_000 + $0)"), 1, .value, bytes("value \($0)")) }
    let metadata = try build(entries, options: tinyOptions { $0.indexPartitionSize = 1 << 20 }, on: disk)
    let cache = BlockCache(capacityBytes: 1 << 22)
    let reader = try open(expected: metadata, cache: cache, on: disk)
    let cursor = reader.cursor()
    try cursor.seek(bytes("key100700"))
    let before = cache.statistics.misses
    #expect(before <= 2)
    for _ in 0..<200 { _ = try bytes("key100700").withUnsafeBytes { try reader.get($0) { $1.count } } }
    #expect(cache.statistics.misses == before)
  }
}
