import StrataDisk
import StrataFilters
import StrataNodes
import StrataRequirements
import StrataSimulation
import SystemPackage
import Testing

@testable import StrataSSTable

/// Whatever happens to a table's bytes: the right answer or an error that names the place, never another answer, a trap or a silent end.
@Suite struct DamageTests {
  static func sample(_ compressed: Bool) -> ([TestEntry], TableOptions) {
    let entries = (0..<60).map { (number: Int) -> TestEntry in
      let isDeletion = number % 9 == 0
      return TestEntry(
        bytes("key\(100 + number)"), UInt64(number % 7 + 1), isDeletion ? .deletion : .value, isDeletion ? [] : bytes("value of \(number)"))
    }
    return (entries, tinyOptions { $0.compression = compressed ? .lz4 : .none })
  }

  private static func path(_ id: UInt64) -> FilePath { home.appending("\(id).sst") }

  /// Reads everything and says what came of it; each entry that is given must be one that was written, in order.
  private func examine(_ disk: SimulatedFileSystem, _ entries: [TestEntry], _ what: String) throws -> (isWhole: Bool, failures: Int) {
    var failures = 0
    let reader: TableReader
    do { reader = try open(cache: nil, on: disk) } catch is TableError { return (false, 1) }
    if reader.filterDamage != nil { failures += 1 }
    for entry in entries {
      do {
        let found = try entry.key.withUnsafeBytes { key in
          try reader.get(key) { TestEntry(entry.key, $0.sequence, $0.kind ?? .rangeDeletion, [UInt8]($1)) }
        }
        #expect(found == entry, "\(what): get gave \(String(describing: found)) for \(entry)")
      } catch is TableError { failures += 1 }
    }
    do {
      let all = try forward(reader.cursor(fillCache: false))
      #expect(all == entries, "\(what): a scan gave something else")
    } catch is TableError { failures += 1 }
    return (failures == 0, failures)
  }

  @Test(.requirement("SSTable.never.1", "SSTable.never.4"), arguments: [false, true]) func everyFlippedBitIsSeenOrHarmless(compressed: Bool) throws {
    let (entries, options) = Self.sample(compressed)
    let disk = newDisk()
    try build(entries, ranges: [RangeDeletion(start: bytes("a"), end: bytes("b"), sequence: 3)], options: options, on: disk)
    let whole = try #require(disk.bytes(of: Self.path(1)))
    var unseen: [Int] = []
    let stride = testDepth > 1 ? 1 : 7
    for bit in Swift.stride(from: 0, to: whole.count * 8, by: stride) {
      var damaged = whole
      damaged[bit / 8] ^= 1 << (bit % 8)
      try disk.install(Self.path(1), damaged)
      let (isWhole, failures) = try examine(disk, entries, "bit \(bit)")
      if isWhole { unseen.append(bit / 8) }
      // One block of data or a part of the index is hit: the others are still read.
      if failures > 1 { #expect(failures <= 20 || bit / 8 > whole.count - 1200, "bit \(bit): \(failures) reads failed") }
    }
    // Only the padding between blocks is read by nobody.
    #expect(unseen.allSatisfy { whole[$0] == 0 }, "\(unseen.filter { whole[$0] != 0 })")
  }

  @Test(.requirement("SSTable.never.3", "SSTable.never.4")) func everyCutIsRefused() throws {
    let (entries, options) = Self.sample(false)
    let disk = newDisk()
    let metadata = try build(entries, options: options, on: disk)
    let whole = try #require(disk.bytes(of: Self.path(1)))
    for length in 0..<whole.count {
      try disk.install(Self.path(1), Array(whole[..<length]))
      #expect(throws: TableError.self, "cut at \(length)") { try open(on: disk) }
      #expect(throws: TableError.truncated(Self.path(1), expected: metadata.fileSize, actual: UInt64(length))) {
        try open(expected: metadata, on: disk)
      }
    }
    try disk.install(Self.path(1), whole + [0])
    #expect(throws: TableError.self) { try open(on: disk) }
  }

  @Test(.requirement("SSTable.never.4"), arguments: 0..<UInt64(8)) func randomDamageNeverTraps(seed: UInt64) throws {
    var random = Random(seed: seed)
    let (entries, options) = Self.sample(seed % 2 == 0)
    let disk = newDisk()
    try build(entries, options: options, on: disk)
    let whole = try #require(disk.bytes(of: Self.path(1)))
    for _ in 0..<150 * testDepth {
      var damaged = whole
      for _ in 0...random.below(4) {
        let place = random.below(damaged.count)
        let length = min(1 + random.below(40), damaged.count - place)
        damaged.replaceSubrange(place..<place + length, with: random.bytes(length))
      }
      try disk.install(Self.path(1), damaged)
      _ = try examine(disk, entries, "seed \(seed)")
    }
  }

  /// Payloads that pass their checksum and are nonsense: a writer's mistake, or somebody's malice.
  @Test(.requirement("SSTable.never.4"), arguments: 0..<UInt64(8)) func nonsenseInBlocksIsRefusedOrRead(seed: UInt64) throws {
    var random = Random(seed: seed)
    var builder = BlockBuilder(restartInterval: 3, capacity: 64)
    for number in 0..<20 { bytes("key\(100 + number)").withUnsafeBytes { builder.add($0, Trailer(5, .value), $0) } }
    var payload = RawBuffer(capacity: 64)
    builder.finish(into: &payload)
    let whole = [UInt8](payload.bytes)
    for _ in 0..<3000 * testDepth {
      var damaged = whole
      for _ in 0...random.below(3) { damaged[random.below(damaged.count)] = UInt8(truncatingIfNeeded: random.next()) }
      if random.chance(1, in: 5) { damaged.removeLast(random.below(damaged.count)) }
      damaged.withUnsafeBytes { bytes in
        guard let view = BlockView.checked(bytes).0 else { return }
        var run = BackwardRun()
        if view.entriesEnd > 0 { run.fill(view, before: view.entriesEnd) }
        for probe in ["", "key", "key105", "key1050", "zzz"] {
          Array(probe.utf8).withUnsafeBytes { _ = view.firstEntry(notBefore: $0, Trailer.newest(atOrBelow: 9)) }
        }
      }
    }
  }

  @Test(.requirement("SSTable.never.2")) func salvageNeedsNeitherFooterNorIndex() throws {
    for compressed in [false, true] {
      let (entries, options) = Self.sample(compressed)
      let range = RangeDeletion(start: bytes("a"), end: bytes("b"), sequence: 3)
      let disk = newDisk()
      try build(entries, ranges: [range], options: options, on: disk)
      let whole = try #require(disk.bytes(of: Self.path(1)))
      try disk.install(Self.path(1), whole.dropLast(64) + [UInt8](repeating: 0, count: 64))
      #expect(throws: TableError.self) { try open(on: disk) }
      let (metadata, report) = try salvageTable(Self.path(1), to: Self.path(2), fileID: 2, options: options, on: disk)
      let saved = try open(2, expected: metadata, on: disk)
      #expect(try forward(saved.cursor()) == entries && saved.rangeTombstones.deletions == [range])
      #expect(report.entries == UInt64(entries.count) && report.rangeDeletions == 1)
      // A damaged block costs its entries alone.
      var damaged = whole
      damaged[200] ^= 1
      try disk.install(Self.path(1), damaged)
      let (rest, _) = try salvageTable(Self.path(1), to: Self.path(3), fileID: 3, options: options, on: disk)
      #expect(rest.entryCount < UInt64(entries.count) && rest.entryCount > UInt64(entries.count / 2))
      #expect(try forward(open(3, on: disk).cursor()).allSatisfy { entries.contains($0) })
    }
  }

  @Test(.requirement("SSTable.never.1")) func verifyNamesEachDamagedBlockAndGoesOn() throws {
    let (entries, options) = Self.sample(false)
    let disk = newDisk()
    let metadata = try build(entries, options: options, on: disk)
    let sound = try open(expected: metadata, on: disk).verify()
    #expect(sound.isClean && sound.entries == metadata.entryCount && sound.blocks == metadata.dataBlockCount)
    var bytes = try #require(disk.bytes(of: Self.path(1)))
    bytes[100] ^= 4
    bytes[700] ^= 4
    try disk.install(Self.path(1), bytes)
    let found = try open(expected: metadata, on: disk).verify()
    #expect(found.damage.count == 2 && found.blocks + 2 >= metadata.dataBlockCount - 20, "\(found)")
  }

  @Test func foreignAndNewerTablesAreNamed() throws {
    let (entries, options) = Self.sample(false)
    let disk = newDisk()
    let one = try build(entries, options: options, on: disk)
    try build(entries, id: 2, options: options, on: disk)
    try disk.install(Self.path(3), try #require(disk.bytes(of: Self.path(2))))
    var expected = one
    expected.fileID = 3
    #expect(throws: TableError.self) { try open(3, expected: expected, on: disk) }
    #expect(throws: TableError.foreignTable(Self.path(1), reason: "it was written by another database")) {
      try TableReader.open(Self.path(1), databaseID: (1, 2), on: disk)
    }
    var newer = try #require(disk.bytes(of: Self.path(1)))
    newer[8] = 9
    try disk.install(Self.path(4), newer)
    #expect(throws: TableError.self) { try open(4, on: disk) }
    #expect(throws: TableError.notATable("/tables/none", reason: "0 bytes are less than head and footer of a table")) {
      try disk.install("/tables/none", [])
      return try TableReader.open("/tables/none", on: disk)
    }
  }

  /// The power fails before every disk operation of building and merging: there is a whole table under a final name, or none.
  @Test(.requirement("SSTable.never.3", "SSTable.never.12")) func aTableIsWholeOrAbsentAfterEveryCrash() throws {
    let (entries, options) = Self.sample(false)
    let report = try CrashEnumeration().run { (disk, ledger: Ledger<UInt64>) in
      try disk.makeDirectories(home)
      try build(entries, options: options, on: disk)
      ledger.note(1)
      try build(entries.map { TestEntry($0.key, $0.sequence + 10, $0.kind, $0.value) }, id: 2, options: options, on: disk)
      ledger.note(2)
      let ids = Counter(10)
      let tables = try mergeTables([try open(2, on: disk), try open(1, on: disk)], to: tinyOutput(ids), on: disk).tables
      for table in tables { ledger.note(table.fileID) }
    } recover: { disk, ledger in
      guard try disk.exists(home) else {
        if !ledger.entries.isEmpty { throw Lost(id: 0) }
        return
      }
      let names = try disk.list(home)
      for id in ledger.entries where !names.contains("\(id).sst") { throw Lost(id: id) }
      for name in names where name.hasSuffix(".sst") {
        let reader = try TableReader.open(home.appending(name), on: disk)
        guard try forward(reader.cursor()).count == Int(reader.metadata.entryCount) else { throw Lost(id: reader.metadata.fileID) }
      }
    }
    #expect(report.isClean, "\(report)")
    let sites = try CrashEnumeration().undetectedSyncs { (disk, ledger: Ledger<UInt64>) in
      try disk.makeDirectories(home)
      try build(entries, options: options, on: disk)
      ledger.note(1)
    } recover: { disk, ledger in
      for id in ledger.entries {
        guard try disk.exists(home), try disk.list(home).contains("\(id).sst") else { throw Lost(id: id) }
        _ = try forward(try open(id, on: disk).cursor())
      }
    }
    #expect(sites.undetected.isEmpty, "\(sites)")
  }

  struct Lost: Error { var id: UInt64 }
}
