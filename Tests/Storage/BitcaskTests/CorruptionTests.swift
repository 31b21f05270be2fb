import StrataDisk
import StrataNodes
import StrataRequirements
import StrataSimulation
import SystemPackage
import Testing

@testable import StrataBitcask

/// Every bit flipped, every length cut: the right answer or a typed error, never a wrong value, never a trap.
@Suite struct CorruptionTests {
  static let options = tinyOptions { $0.segmentBytes = 4096 + 250 }
  static let expected: [[UInt8]: [UInt8]] = [
    key(0): bytes("new 0"), key(1): bytes("new 1"), key(2): bytes("old 2"), key(4): bytes("old 4"), key(5): [], key(6): bytes("six"),
  ]

  /// Sealed segments with hints, an active one, overwritten and deleted keys, a batch.
  static func store(closed: Bool) throws -> SimulatedFileSystem {
    let disk = SimulatedFileSystem()
    let store = try Bitcask.open(home, options: options, on: disk)
    for number in 0..<5 { try store.put(key(number), bytes("old \(number)")) }
    try store.put(key(5), [])
    try store.write([.put(key(0), bytes("new 0")), .put(key(1), bytes("new 1")), .delete(key(3))])
    try store.createHintFiles()
    try store.put(key(6), bytes("six"))
    if closed { try store.close() }
    return disk.crash(.everythingKept)
  }

  /// Opens and reads all: each key right, `.corrupt`, or the open refused with an error that names a file.
  static func examine(_ disk: SimulatedFileSystem, mode: BitcaskOptions.RecoveryMode, _ what: String, mayLoseTail: Bool = false) throws {
    var options = options
    options.recovery = mode
    let store: Bitcask
    do throws(BitcaskError) { store = try Bitcask.open(home, options: options, on: disk) } catch {
      switch error {
      case .damaged, .unsupportedVersion, .missingSegment, .tornTail: return
      default: throw Unexpected("\(what): \(error)")
      }
    }
    // Salvage may lose records whose keys are unknown, and says so.
    let mayMiss = mayLoseTail || (mode == .salvage && !store.recovery.damage.isEmpty)
    for number in 0..<8 {
      do throws(BitcaskError) {
        let value = try store.get(key(number))
        if value != expected[key(number)], !mayMiss { throw BitcaskError.invalidArgument("\(what): key \(number) reads \(value ?? [])") }
        if let value, value != bytes("old \(number)"), value != expected[key(number)] {
          throw BitcaskError.invalidArgument("\(what): key \(number) reads what was never written: \(value)")
        }
      } catch {
        guard case .corrupt = error else { throw error }
      }
    }
    try store.put(key(9), bytes("still writable"))
    guard try store.get(key(9)) == bytes("still writable") else { throw Unexpected(what) }
  }

  static func damageable(_ disk: SimulatedFileSystem) throws -> [(name: String, size: Int)] {
    try names(disk).filter { $0 != "LOCK" }.map { ($0, file(disk, $0)?.count ?? 0) }
  }

  @Test(
    .requirement("Bitcask.never.8", "Bitcask.never.9", "Bitcask.keep.3"),
    arguments: [BitcaskOptions.RecoveryMode.tolerateTornTail, .salvage], [true, false])
  func everyBitFlipIsHarmlessOrReported(mode: BitcaskOptions.RecoveryMode, closed: Bool) throws {
    let image = try Self.store(closed: closed)
    var random = Random(seed: 5)
    let last = try names(image).last { $0.hasSuffix(".data") }
    for (name, size) in try Self.damageable(image) {
      // Zeros between a header's fields and its checksum, and behind the end, are sampled; all else is swept byte by byte.
      let isData = name.hasSuffix(".data")
      for byte in stride(from: random.below(sweepStride), to: size, by: sweepStride)
      where testDepth > 4 || !isData || byte < 72 || (byte > 4085 && byte < 4520) || random.below(400) == 0 {
        let bit = UInt64(byte * 8 + random.below(8))
        let disk = image.fork()
        #expect(disk.flipBit(bit, of: home.appending(name)))
        // In the segment last written to, damage to the last group cannot be told from a torn write.
        let mayLoseTail = !closed && name == last
        try Self.examine(disk, mode: mode, "bit \(bit) of \(name), \(mode), closed \(closed), seed 5", mayLoseTail: mayLoseTail)
      }
    }
  }

  @Test(.requirement("Bitcask.never.9", "Bitcask.keep.6"), arguments: [true, false])
  func everyCutIsHarmlessOrReported(closed: Bool) throws {
    let image = try Self.store(closed: closed)
    let last = try names(image).last { $0.hasSuffix(".data") }
    for (name, size) in try Self.damageable(image) {
      let isData = name.hasSuffix(".data")
      for length in stride(from: size % sweepStride, to: size, by: sweepStride)
      where testDepth > 4 || !isData || length < 16 || (length > 4088 && length < 4520) {
        let disk = image.fork()
        #expect(disk.cut(home.appending(name), to: UInt64(length)))
        let mayLoseTail = !closed && name == last
        try Self.examine(disk, mode: .tolerateTornTail, "\(name) cut to \(length), closed \(closed)", mayLoseTail: mayLoseTail)
      }
    }
  }

  @Test(.requirement("Bitcask.never.9", "Bitcask.keep.6", "Bitcask.keep.8")) func aBadHintGivesTheIndexOfAScan() throws {
    let image = try Self.store(closed: true)
    let hints = try names(image).filter { $0.hasSuffix(".hint") }
    #expect(hints.count >= 2)
    for hint in hints {
      let size = file(image, hint)?.count ?? 0
      for position in stride(from: 0, to: size * 2, by: sweepStride * 2 - 1) {
        let disk = image.fork()
        if position < size {
          #expect(disk.cut(home.appending(hint), to: UInt64(position)))
        } else {
          #expect(disk.flipBit(UInt64(position - size) * 8 + UInt64(position % 8), of: home.appending(hint)))
        }
        let store = try Bitcask.open(home, options: Self.options, on: disk)
        #expect(store.recovery.segmentsScanned == 1 && store.recovery.hintsLoaded == hints.count - 1, "\(hint) at \(position)")
        #expect(try contents(store) == Self.expected, "\(hint) at \(position)")
        // The hint is written anew.
        try store.maintain()
        try store.close()
        #expect(try Bitcask.open(home, options: Self.options, on: disk).recovery.segmentsScanned == 0)
      }
    }
  }

  @Test(.requirement("Bitcask.keep.6")) func hintsAndDataGiveTheSameIndex() throws {
    let disk = try Self.store(closed: true)
    let store = try Bitcask.open(home, options: Self.options, on: disk)
    #expect(store.recovery.hintsLoaded > 1 && store.recovery.segmentsScanned == 0)
    try store.rebuildIndex()
    #expect(try contents(store) == Self.expected)
    try store.close()
    for name in try names(disk) where name.hasSuffix(".hint") { try disk.remove(home.appending(name)) }
    let again = try Bitcask.open(home, options: Self.options, on: disk)
    #expect(again.recovery.hintsLoaded == 0 && again.recovery.segmentsScanned > 1)
    #expect(try contents(again) == Self.expected)
  }

  @Test(.requirement("Bitcask.never.9")) func anOrphanHintIsRemovedAndAForeignOneRefused() throws {
    let disk = try Self.store(closed: true)
    let hints = try names(disk).filter { $0.hasSuffix(".hint") }
    try disk.install(home.appending("0000000999.hint"), file(disk, hints[0]) ?? [])
    try disk.install(home.appending(hints[1]), file(disk, hints[0]) ?? [])
    let store = try Bitcask.open(home, options: Self.options, on: disk)
    #expect(store.recovery.orphansRemoved.contains("0000000999.hint"))
    #expect(store.recovery.segmentsScanned == 1)
    #expect(try contents(store) == Self.expected)
  }

  @Test(.requirement("Bitcask.never.11")) func damageInTheMiddleCostsThatRecordOnly() throws {
    for damagesKey in [false, true] {
      let disk = SimulatedFileSystem()
      var options = tinyOptions { $0.segmentBytes = 1 << 16 }
      let store = try Bitcask.open(home, options: options, on: disk)
      for number in 0..<50 { try store.put(bytes("k\(number % 10)\(number / 10)"), bytes("value \(number)")) }
      try store.close()
      for name in try names(disk) where name.hasSuffix(".hint") { try disk.remove(home.appending(name)) }
      // Records are 56 bytes; the tenth's key begins 40 bytes in, its value 2 bytes later.
      #expect(disk.flipBit(UInt64(4096 + 9 * 56 + (damagesKey ? 41 : 43)) * 8, of: home.appending("0000000001.data")))
      if damagesKey {
        // Nobody can tell which key would show an older value.
        #expect(throws: BitcaskError.self) { _ = try Bitcask.open(home, options: options, on: disk) }
        options.recovery = .salvage
      }
      let again = try Bitcask.open(home, options: options, on: disk)
      #expect(again.recovery.damage.count == 1)
      for number in 0..<50 {
        let name = bytes("k\(number % 10)\(number / 10)")
        if number != 9 {
          #expect(try again.get(name) == bytes("value \(number)"))
        } else if damagesKey {
          #expect(try again.get(name) == nil)
        } else {
          #expect(throws: BitcaskError.corrupt(segment: 1, offset: 4096 + 9 * 56, keyHash: KeyDirectoryTests.hash(name).value)) {
            _ = try again.get(name)
          }
        }
      }
      // Overwriting heals.
      try again.put(bytes("k90"), bytes("healed"))
      #expect(try again.get(bytes("k90")) == bytes("healed"))
    }
  }

  @Test(.requirement("Bitcask.never.10")) func aMergeKeepsWhatItCannotRead() throws {
    let disk = SimulatedFileSystem()
    let store = try Bitcask.open(home, options: Self.options, on: disk)
    for number in 0..<40 { try store.put(key(number), bytes("value \(number)")) }
    try store.createHintFiles()
    let victim = try #require(store.segments().first)
    #expect(disk.flipBit(UInt64(4096 + 48) * 8, of: victim.path))
    let report = try store.merge(.all)
    #expect(report.damage.map(\.segment) == [victim.id])
    #expect(store.segments().contains { $0.id == victim.id && $0.isDamaged })
    #expect(throws: BitcaskError.self) { _ = try store.get(key(0)) }
    for number in 1..<40 { #expect(try store.get(key(number)) == bytes("value \(number)")) }
    #expect(try store.verify().count == 1)
    try store.close()
    let again = try Bitcask.open(home, options: Self.options, on: disk)
    #expect(throws: BitcaskError.self) { _ = try again.get(key(0)) }
    for number in 1..<40 { #expect(try again.get(key(number)) == bytes("value \(number)")) }
  }

  /// Garbage of every length behind the end, then three more writes, then a restart: all three are there.
  @Test(.requirement("Bitcask.never.3")) func nothingIsAppendedBehindATornTail() throws {
    var random = Random(seed: 3)
    let options = tinyOptions { $0.segmentBytes = 1 << 16 }
    let image = SimulatedFileSystem()
    let store = try Bitcask.open(home, options: options, on: image)
    try store.put(key(0), bytes("before"))
    let end = 4096 + RecordHeader.recordBytes(key: key(0).count, value: 6)
    for length in Array(stride(from: 1, through: 200, by: sweepStride)) + [511, 512, 513, 4095, 4096, 4097, 65_536] {
      let disk = image.crash0()
      let name = home.appending("0000000001.data")
      let data = Array((disk.bytes(of: name) ?? []).prefix(end))
      try disk.install(name, data + random.bytes(length))
      let torn = try Bitcask.open(home, options: options, on: disk)
      #expect(torn.recovery.tornBytes == UInt64(length))
      for number in 1...3 { try torn.put(key(number), bytes("after")) }
      try torn.sync()
      let again = try Bitcask.open(home, options: options, on: disk.crash(.nothingKept))
      #expect(again.count == 4, "garbage of \(length) bytes, seed 3")
      #expect(try again.get(key(0)) == bytes("before"))
    }
    var strict = options
    strict.recovery = .absolute
    let disk = image.crash0()
    try disk.install(home.appending("0000000001.data"), Array((disk.bytes(of: home.appending("0000000001.data")) ?? []).prefix(end)) + [1])
    #expect(throws: BitcaskError.tornTail(home.appending("0000000001.data"), offset: UInt64(end), bytes: 1)) {
      _ = try Bitcask.open(home, options: strict, on: disk)
    }
  }

  @Test(.requirement("Bitcask.never.6", "Bitcask.never.12")) func strayFilesAreIgnoredAndMissingOnesReported() throws {
    let disk = try Self.store(closed: true)
    let stray = [
      "1.data", "notes.txt", "99999999999.data", "000000000x.data", "0000000001.data.bak", "-000000001.data",
      "４0000000001.data", ".hidden",
    ]
    for name in stray { try disk.install(home.appending(name), bytes("stray")) }
    try disk.install(home.appending("0000000042.data.tmp"), bytes("left behind"))
    var store = try Bitcask.open(home, options: Self.options, on: disk)
    #expect(Set(store.recovery.strayFiles) == Set(stray))
    #expect(store.recovery.orphansRemoved == ["0000000042.data.tmp"])
    #expect(try contents(store) == Self.expected)
    try store.close()
    try disk.remove(home.appending("0000000001.data"))
    #expect(throws: BitcaskError.missingSegment(1, home.appending("0000000001.data"))) {
      _ = try Bitcask.open(home, options: Self.options, on: disk)
    }
    var salvage = Self.options
    salvage.recovery = .salvage
    store = try Bitcask.open(home, options: salvage, on: disk)
    #expect(store.recovery.damage.map(\.kind) == [.segment])
    #expect(try store.get(key(6)) == bytes("six"))
  }
}

extension SimulatedFileSystem {
  /// A copy whose locks are free, everything written kept.
  func crash0() -> SimulatedFileSystem { fork().crash(.everythingKept) }
}
