import Foundation
import StrataBytes
import StrataCompression
import StrataDisk
import StrataNodes
import StrataRequirements
import StrataSimulation
import SystemPackage
import Testing

@testable import StrataSSTable

/// LevelDB's table format, written and read.
@Suite struct LevelDBTests {
  /// 28 entries written by LevelDB 1.23's TableBuilder: blocks of 100 bytes, a restart every four entries, Snappy. Every fifth key is deleted,
  /// every seventh has an older version.
  static let golden = [UInt8](
    Data(
      base64Encoded: """
        ajQADwBrZXktMDAwAegDAAEBEAgHBfQBAQksAG9sZGVyBgkBMQHpCRsYYgYJAjIB6gkNBGNjFTwIMwDrCRQUBgkENAHsCQw8YmJiYgAAAAA8AAAAAgAAAAE8
        SiAsaTQADwVrZXktMDA1Ae0DAAEBAGMBARQGCQY2Ae4JEQBhBQEUBgkHNwHvCRIAYgkBEAgHBfQBATMgAG9sZGVyAA8ACUsIOADwCSgsAAAAAEsAAAACAAAA
        AZRKfyZpNAAPCWtleS0wMDkB8QMAAQEAYREBGAUKCjEwAfIJFgBiFQEUBgkLMQHzCRYAYxkBFAYJDDIB9AkXEUIsYWFhYQAAAAABAAAAAR8vZwaEATQADwBr
        ZXktMDEzAPUDAAEBFAYJDjQB9gkMAGMyAQAQCAcF9AEBIywAb2xkZXIGCQ81AfcJKQBhNgEACAAPEAlWCDYB+AkhAGI6AQAsAAAAAFYAAAACAAAAAanyPNx3
        NAAPEWtleS0wMTcB+QMAAQEAYz4BABQGCQA4APoJHRQGCRM5AfsJDABiRgEAGAUKFDIwAfwJID5IACxjY2NjAAAAAAEAAAABLqhuhGw0AA8Va2V5LTAyMQH9
        AwABAQBhTgEAEAgHBfQBAR4sAG9sZGVyBgkWMgH+CTAAYlIBAEwGCQAzAP8DAAAAAAAAAAAAAQAAAAH9IGL/AAAAAAEAAAAAwPKhsJgBNAAPAmtleS0wMDQB
        7AMABQEAWBUUCDgA8AkUEF1XAA8DBSgMMTIB9AkUCLkBSRUVCDYB+AkVCIcCWxEVDDIwAfwJFQjnAkgVFQgzAP8JFQi0A0gBblwUAAAAKAAAAD0AAABSAAAA
        ZwAAAAYAAAAB/yZoK4EECI4EcAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABX+4CLJHVH2w==
        """, options: .ignoreUnknownCharacters) ?? Data())

  static func goldenEntries() -> [TestEntry] {
    var entries: [TestEntry] = []
    for number in 0..<24 {
      let digits = String(number)
      let key = bytes("key-" + String(repeating: "0", count: 3 - digits.count) + digits)
      guard number % 5 != 3 else {
        entries.append(TestEntry(key, UInt64(1000 + number), .deletion))
        continue
      }
      entries.append(TestEntry(key, UInt64(1000 + number), .value, [UInt8](repeating: UInt8(97 + number % 3), count: number)))
      if number % 7 == 0 { entries.append(TestEntry(key, 500, .value, bytes("older"))) }
    }
    return entries
  }

  static func put(_ content: [UInt8], _ name: String, on disk: any FileSystem) throws {
    let file = try disk.open(home.appending(name), .create)
    try file.truncate(to: 0)
    try file.write(content.span.bytes, at: 0)
    try file.close()
  }

  /// Imports a file of these bytes; the table it became.
  static func imported(_ content: [UInt8], on disk: any FileSystem = newDisk()) throws -> [TestEntry] {
    try put(content, "given.ldb", on: disk)
    _ = try importLevelDBTable(home.appending("given.ldb"), to: home.appending("9.sst"), fileID: 9, options: tinyOptions(), on: disk)
    return try forward(open(9, on: disk).cursor())
  }

  static func exported(
    _ entries: [TestEntry], _ change: (inout LevelDBTableOptions) -> Void = { _ in }, on disk: any FileSystem
  ) throws -> [UInt8] {
    try build(entries, on: disk)
    var options = LevelDBTableOptions()
    change(&options)
    let count = try exportLevelDBTable(open(on: disk), to: home.appending("out.ldb"), options: options, on: disk)
    #expect(count == UInt64(entries.count))
    return try disk.readAll(home.appending("out.ldb"), limit: 1 << 24)
  }

  @Test func readsWhatLevelDBWrote() throws {
    #expect(try Self.imported(Self.golden) == Self.goldenEntries())
  }

  @Test func writesTheLetterOfTheFormat() throws {
    let disk = newDisk()
    let file = try Self.exported(
      [TestEntry(bytes("ab"), 7, .value, bytes("x")), TestEntry(bytes("ac"), 5, .deletion)], { $0.compression = .none }, on: disk)
    // Two entries, the second sharing one byte; one restart at 0; then no compression, and the masked checksum.
    let block: [UInt8] =
      [0, 10, 1] + bytes("ab") + [1, 7, 0, 0, 0, 0, 0, 0] + bytes("x") + [1, 9, 0] + bytes("c") + [0, 5, 0, 0, 0, 0, 0, 0]
      + [0, 0, 0, 0, 1, 0, 0, 0]
    #expect(Array(file.prefix(block.count)) == block)
    #expect(file[block.count] == 0)
    #expect(file.load(UInt32.self, at: block.count + 1) == maskedCRC(crc32c((block + [0]).span.bytes)))
    #expect(Array(file.suffix(8)) == [0x57, 0xFB, 0x80, 0x8B, 0x24, 0x75, 0x47, 0xDB])
  }

  @Test(.requirement("SSTable.keep.3")) func roundTripsEveryEntry() throws {
    for seed in 0..<UInt64(20 * (Int(ProcessInfo.processInfo.environment["STRATA_DEPTH"] ?? "") ?? 1)) {
      var random = Random(seed: seed)
      var entries = randomEntries(&random, count: [0, 1, 2, 50, 400][random.below(5)], keySpace: 200, valueBytes: 90)
      for index in entries.indices where entries[index].kind == .merge { entries[index].kind = .value }
      let disk = newDisk()
      let file = try Self.exported(
        entries,
        { options in
          options.compression = random.chance(1, in: 2) ? .none : .snappy
          options.blockSize = [1, 64, 4096][random.below(3)]
          options.restartInterval = 1 + random.below(20)
        }, on: disk)
      #expect(try Self.imported(file, on: disk) == entries, "seed \(seed)")
    }
  }

  /// Every bit flipped and every length cut: an error, or the right answer; never other entries, never a trap.
  @Test(.requirement("SSTable.never.4")) func damageIsFound() throws {
    let right = Self.goldenEntries()
    var refused = 0
    for place in Self.golden.indices {
      var damaged = Self.golden
      damaged[place] ^= UInt8(1 << (place % 8))
      do {
        #expect(try Self.imported(damaged) == right, "byte \(place)")
      } catch is TableError { refused += 1 }
    }
    // Padding of the footer, and the metaindex and its handle, which are not read, change nothing.
    #expect(refused >= Self.golden.count - 60)
    for count in Self.golden.indices {
      #expect(throws: TableError.self, "cut to \(count)") { try Self.imported(Array(Self.golden[..<count])) }
    }
    #expect(throws: TableError.self) { try Self.imported([UInt8](repeating: 0, count: 4096)) }
  }

  /// Damage behind a right checksum, as a program of ill will makes it.
  @Test(.requirement("SSTable.never.4")) func mutatedBlocksWithRightChecksumsDoNotTrap() throws {
    let disk = newDisk()
    let file = try Self.exported(Self.goldenEntries(), { $0.compression = .none }, on: disk)
    var random = Random(seed: 4)
    let end = file.count - 48
    var survived = 0
    for _ in 0..<2000 {
      var mutated = file
      for _ in 0...random.below(3) { mutated[random.below(end)] = UInt8(truncatingIfNeeded: random.next()) }
      // The one data block begins the file; its end is where the metaindex begins, which the footer names.
      var reader = ByteReader(mutated.span.bytes.extracting(end..<mutated.count))
      let data = Int(try reader.readVarint64()) - LevelDBFormat.trailerBytes
      let sum = LevelDBFormat.checksum(mutated.span.bytes.extracting(0..<data), code: mutated[data])
      withUnsafeBytes(of: sum.littleEndian) { mutated.replaceSubrange(data + 1..<data + 5, with: $0) }
      do {
        _ = try Self.imported(mutated)
        survived += 1
      } catch is TableError {}
    }
    #expect(survived < 2000)
  }

  @Test func refusesWhatTheFormatHasNoFormFor() throws {
    let disk = newDisk()
    func refused(_ entries: [TestEntry], _ ranges: [RangeDeletion] = [], _ codec: Codec = .snappy) throws -> Bool {
      try build(entries, ranges: ranges, on: disk)
      var options = LevelDBTableOptions()
      options.compression = codec
      do { try exportLevelDBTable(open(on: disk), to: home.appending("out.ldb"), options: options, on: disk) } catch let error as TableError {
        guard case .inexpressible = error else { throw error }
        return try !disk.exists(home.appending("out.ldb")) && !disk.exists(home.appending("out.ldb.tmp"))
      }
      return false
    }
    #expect(try refused([TestEntry(bytes("a"), 1, .merge, bytes("+1"))]))
    #expect(try refused([], [RangeDeletion(start: bytes("a"), end: bytes("b"), sequence: 3)]))
    #expect(try refused([TestEntry(bytes("a"), 1)], [], .zstd))
    #expect(throws: TableError.self) { try importLevelDBTable(home.appending("1.sst"), to: home.appending("2.sst"), fileID: 2, on: disk) }
    #expect(try !disk.exists(home.appending("2.sst")) && !disk.exists(home.appending("2.sst.tmp")))
  }

  /// A crash at every disk call of an export leaves the whole file under its name or none.
  @Test(.requirement("SSTable.never.12")) func exportsAppearWhole() throws {
    let entries = Self.goldenEntries()
    let plain = newDisk()
    let whole = try Self.exported(entries, on: plain)
    let report = try CrashEnumeration().run { (disk, ledger: Ledger<UInt64>) in
      try disk.makeDirectories(home)
      _ = try Self.exported(entries, on: disk)
      ledger.note(1)
    } recover: { disk, ledger in
      guard try disk.exists(home), try disk.list(home).contains("out.ldb") else {
        if !ledger.entries.isEmpty { throw Lost() }
        return
      }
      guard try disk.readAll(home.appending("out.ldb"), limit: 1 << 20) == whole else { throw Lost() }
    }
    #expect(report.isClean, "\(report)")
  }

  struct Lost: Error {}
}
