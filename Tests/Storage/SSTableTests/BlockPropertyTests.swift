import StrataBytes
import StrataNodes
import StrataRequirements
import StrataSimulation
import Testing

@testable import StrataSSTable

/// Blocks and tables that hold nothing wanted are passed over, and nothing else is.
@Suite struct BlockPropertyTests {
  /// The first byte of a value; deletions and empty values have no number.
  static let number = IntervalCollector("number") { _, kind, value in
    value.withUnsafeBytes { kind == .deletion ? nil : $0.first.map { UInt64($0) } }
  }

  /// The bytes that values begin with, each once; soon too long.
  struct Set: BlockPropertyCollector {
    var name: String { "set" }
    func add(key: RawSpan, sequence: UInt64, kind: EntryKind, value: RawSpan, to property: inout [UInt8]) {
      value.withUnsafeBytes { if let first = $0.first, !property.contains(first) { property.append(first) } }
      if property.count > 3 { property += [UInt8](repeating: 0, count: 300) }
    }
    func add(_ other: [UInt8], to property: inout [UInt8]) {
      for byte in other where !property.contains(byte) { property.append(byte) }
      if property.count > 3 { property += [UInt8](repeating: 0, count: 300) }
    }
  }

  static func filters(_ wanted: ClosedRange<UInt64>) -> [BlockFilter] {
    [
      BlockFilter("number", within: wanted),
      BlockFilter(property: "set") { $0.withUnsafeBytes { $0.contains { wanted.contains(UInt64($0)) } } },
    ]
  }

  /// Entries whose first value byte changes slowly, so that neighbours are alike, in small blocks; keys with many versions.
  static func sample(_ random: inout Random) -> [TestEntry] {
    var entries: [TestEntry] = []
    var first = 0
    for key in 0..<random.within(1...150) {
      if random.chance(1, in: 6) { first = random.below(20) }
      let versions = random.chance(1, in: 5) ? random.within(1...20) : 1
      for version in (0..<versions).reversed() {
        let isDeletion = random.chance(1, in: 10)
        let value = isDeletion || random.chance(1, in: 30) ? [] : [UInt8(first)] + random.bytes(random.below(20))
        entries.append(TestEntry(bytes("k\(1000 + key)"), UInt64(version + 1), isDeletion ? .deletion : .value, value))
      }
    }
    return entries
  }

  static func options(_ random: inout Random, _ collectors: [any BlockPropertyCollector]) -> TableOptions {
    let (partition, whole, bits) = ([256, 4096][random.below(2)], [0, 1 << 20][random.below(2)] as UInt64, random.chance(1, in: 4) ? nil : 10.0)
    return tinyOptions { options in
      options.propertyCollectors = collectors
      options.indexPartitionSize = partition
      options.wholeFilterBytes = whole
      options.filterBitsPerKey = bits
    }
  }

  /// What a cursor with a filter shows: everything wanted; entries in order; of a key that is shown the newest at any sequence, as without.
  @Test(.requirement("SSTable.never.14"), arguments: 0..<UInt64(60 * testDepth)) func nothingWantedIsPassedOver(seed: UInt64) throws {
    var random = Random(seed: seed)
    let entries = Self.sample(&random)
    let disk = newDisk()
    try build(entries, options: Self.options(&random, random.chance(1, in: 2) ? [Self.number, Set()] : [Set(), Self.number]), on: disk)
    let reader = try open(cache: random.chance(1, in: 2) ? nil : BlockCache(capacityBytes: 1 << 20), on: disk)
    #expect(try forward(reader.cursor()) == entries)
    #expect(reader.properties.map(\.name).sorted() == ["number", "set"])
    let low = UInt64(random.below(20))
    let wanted = low...low + UInt64(random.below(5))
    for filter in Self.filters(wanted) {
      let cursor = reader.cursor(fillCache: random.chance(1, in: 2), passing: filter)
      let shown = try forward(cursor)
      #expect(try backward(cursor) == shown, "seed \(seed)")
      let missing = Swift.Set(entries).subtracting(shown)
      #expect(missing.allSatisfy { entry in !(entry.value.first.map { wanted.contains(UInt64($0)) } ?? false) }, "seed \(seed)")
      #expect(shown == entries.filter { !missing.contains($0) }, "seed \(seed): another order")
      // What hides something that is shown is shown itself.
      for entry in missing {
        #expect(!shown.contains { $0.key == entry.key && $0.sequence < entry.sequence }, "seed \(seed): \(entry) would come up")
      }
      for _ in 0..<30 {
        let probe = entries[random.below(entries.count)]
        let place = shown.firstIndex { $0.internalKey >= probe.internalKey } ?? shown.count
        if random.chance(1, in: 2) {
          try cursor.seek(probe.key, probe.sequence)
          #expect((cursor.isValid ? TestEntry(cursor) : nil) == (place < shown.count ? shown[place] : nil), "seed \(seed)")
        } else {
          try cursor.seekBefore(probe.key, probe.sequence)
          #expect((cursor.isValid ? TestEntry(cursor) : nil) == (place > 0 ? shown[place - 1] : nil), "seed \(seed)")
        }
      }
    }
  }

  /// Ten thousand rows by time: a minute of them costs a few blocks, and none of a table that ended before.
  @Test(.requirement("SSTable.never.5")) func whatIsPassedOverIsNotRead() throws {
    let disk = newDisk()
    let entries = (0..<10_000).map { TestEntry(bytes("k\(10_000 + $0)"), 1, .value, [UInt8($0 / 100)] + [UInt8](repeating: 7, count: 60)) }
    let layout = tinyOptions {
      $0.blockSize = 512
      $0.propertyCollectors = [Self.number]
    }
    try build(entries, options: layout, on: disk)
    try build(entries, id: 2, options: tinyOptions { $0.blockSize = 512 }, on: disk)
    let recorder = RecordingFileSystem(disk, logsReads: true)
    func reads(_ id: UInt64, _ filter: BlockFilter) throws -> (rows: Int, blocks: Int) {
      let reader = try open(id, cache: nil, on: recorder)
      func count() -> Int { recorder.log.events.count { if case .read = $0 { true } else { false } } }
      let before = count()
      let rows = try forward(reader.cursor(passing: filter)).count
      return (rows, count() - before)
    }
    let blocks = try open(on: disk).metadata.dataBlockCount
    let few = try reads(1, BlockFilter("number", within: 42...42))
    #expect((100..<140).contains(few.rows) && few.blocks < 40 && blocks > 1000, "\(few) of \(blocks)")
    #expect(try reads(1, BlockFilter("number", within: 100...200)) == (0, 0))
    // A table that lacks the property is read in full, as is one asked for another.
    #expect(try reads(2, BlockFilter("number", within: 42...42)).rows == 10_000)
    #expect(try reads(1, BlockFilter("numbers", within: 42...42)).rows == 10_000)
  }

  /// A property that does not fit is none: its blocks are read.
  @Test func longPropertiesAreNone() throws {
    let disk = newDisk()
    let entries = (0..<200).map { TestEntry(bytes("k\(1000 + $0)"), 1, .value, [UInt8($0)]) }
    let layout = tinyOptions {
      $0.blockSize = 256
      $0.propertyCollectors = [Set()]
    }
    try build(entries, options: layout, on: disk)
    let reader = try open(on: disk)
    #expect(reader.properties == [TableProperty(name: "set", value: nil)])
    let filter = BlockFilter(property: "set") { _ in false }
    #expect(try forward(reader.cursor(passing: filter)).count > 150)
  }

  /// Without collectors a table is, byte for byte, what it was before there were any.
  @Test func unusedTheyCostNothing() throws {
    let disk = newDisk()
    var random = Random(seed: 7)
    let entries = randomEntries(&random, count: 300, keySpace: 80)
    try build(entries, options: tinyOptions { $0.createdAt = 5 }, on: disk)
    let content = try disk.readAll(home.appending("1.sst"), limit: 1 << 20)
    #expect(crc32c(content.span.bytes) == 2_811_256_916)
  }
}
