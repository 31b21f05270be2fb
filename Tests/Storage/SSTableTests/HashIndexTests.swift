import StrataBytes
import StrataFilters
import StrataNodes
import StrataRequirements
import StrataSimulation
import Testing

@testable import StrataSSTable

/// Gets through the hash indexes of data blocks find what a search finds, and damage is damage.
@Suite struct HashIndexTests {
  static func find(_ reader: TableReader, _ key: [UInt8], _ sequence: UInt64) throws -> TestEntry? {
    try key.withUnsafeBytes { pointer in
      let got = try reader.get(pointer, atOrBelow: sequence) { trailer, value in
        TestEntry(key, trailer.sequence, trailer.kind ?? .rangeDeletion, [UInt8](value))
      }
      var lookup = PointLookup()
      try reader.lookup(pointer, hash: FilterHash.hash64(pointer), atOrBelow: sequence, into: &lookup)
      if let got, got.kind == .value {
        #expect(lookup.state == .value && lookup.trailer.sequence == got.sequence && [UInt8](lookup.value) == got.value)
      } else if got?.kind == .deletion {
        #expect(lookup.state == .deletion)
      } else if got == nil {
        #expect(lookup.state == .open && !lookup.hasOperands)
      }
      return got
    }
  }

  /// Keys with many versions over runs and blocks, buckets few and many, keys that are not there.
  @Test(.requirement("SSTable.keep.2"), arguments: 0..<UInt64(80 * testDepth)) func theyFindWhatASearchFinds(seed: UInt64) throws {
    var random = Random(seed: seed)
    let entries = randomEntries(&random, count: random.within(1...400), keySpace: random.within(1...150))
    let (ratio, size, interval) = ([0.1, 0.75, 5, 1000][random.below(4)], [64, 300, 4096][random.below(3)], random.within(1...6))
    let (partition, bits) = ([256, 4096][random.below(2)], random.chance(1, in: 2) ? nil : 10.0)
    let options = tinyOptions { options in
      options.hashIndexRatio = ratio
      options.blockSize = size
      options.restartInterval = interval
      options.indexPartitionSize = partition
      options.filterBitsPerKey = bits
      options.compression = seed % 2 == 0 ? .none : .lz4
    }
    let disk = newDisk()
    try build(entries, options: options, on: disk)
    let reader = try open(cache: random.chance(1, in: 2) ? nil : BlockCache(capacityBytes: 1 << 20), on: disk)
    #expect(reader.hasHashIndexes)
    #expect(try forward(reader.cursor()) == entries && backward(reader.cursor()) == entries, "seed \(seed)")
    #expect(try reader.verify().isClean)
    for _ in 0..<200 {
      var key = entries[random.below(entries.count)].key
      if random.chance(1, in: 3) { key += random.bytes(1) } else if random.chance(1, in: 5) { key = Array(key.dropLast()) }
      let sequence = random.chance(1, in: 2) ? Trailer.maxSequence : UInt64(random.below(entries.count + 2))
      let expected = entries.first { $0.key == key && $0.sequence <= sequence }
      let found = try Self.find(reader, key, sequence)
      #expect(found == expected, "seed \(seed): \(String(decoding: key, as: UTF8.self)) at \(sequence)")
    }
  }

  /// A block with more restarts than a byte can name has none, and a search finds its keys.
  @Test func blocksOfManyRestartsHaveNone() throws {
    for count in [252, 253, 254, 600] {
      let disk = newDisk()
      let entries = (0..<count).map { TestEntry(bytes("k\(1000 + $0)"), 1, .value, [UInt8($0 & 0xFF)]) }
      let options = tinyOptions { options in
        options.hashIndexRatio = 0.75
        options.blockSize = 1 << 20
        options.restartInterval = 1
      }
      try build(entries, options: options, on: disk)
      let reader = try open(on: disk)
      let cursor = reader.cursor()
      try cursor.first()
      let pin = try #require(cursor.blockPin)
      let view = try #require(BlockView(unchecked: pin.payload))
      #expect((view.buckets > 0) == (count <= BlockHash.maxRestarts) && view.restarts == count)
      // Keys fall into buckets by chance: of so many more buckets than keys about a quarter stays without.
      let used = [UInt8](view.hashes).count { $0 != BlockHash.none }
      #expect(view.buckets == 0 || (used * 2 > view.buckets && used < view.buckets), "\(used) of \(view.buckets)")
      for entry in entries { #expect(try Self.find(reader, entry.key, 9) == entry) }
      #expect(try Self.find(reader, bytes("k1000x"), 9) == nil)
    }
  }

  static func small(_ disk: SimulatedFileSystem) throws -> [TestEntry] {
    let entries = (0..<24).map { (number: Int) -> TestEntry in
      let isDeletion = number % 5 == 3
      return TestEntry(bytes("key\(10 + number / 2)"), UInt64(9 - number % 2), isDeletion ? .deletion : .value, isDeletion ? [] : [UInt8(number)])
    }
    let options = tinyOptions { options in
      options.hashIndexRatio = 0.75
      options.blockSize = 120
      options.createdAt = 1_700_000_000
      options.propertyCollectors = [BlockPropertyTests.number]
    }
    try build(entries, options: options, on: disk)
    return entries
  }

  /// Every bit flipped: the answer there was, or an error.
  @Test(.requirement("SSTable.never.1")) func damageIsNeverAnAnswer() throws {
    let disk = newDisk()
    let entries = try Self.small(disk)
    let path = home.appending("1.sst")
    let good = try disk.readAll(path, limit: 1 << 20)
    for place in good.indices {
      for bit in 0..<8 where testDepth > 1 || bit == place % 8 {
        var bad = good
        bad[place] ^= 1 << bit
        try disk.install(path, bad)
        guard let reader = try? open(cache: nil, on: disk) else { continue }
        for entry in entries {
          do {
            let found = try Self.find(reader, entry.key, entry.sequence)
            #expect(found == entry, "byte \(place) bit \(bit)")
          } catch is TableError {}
        }
      }
    }
  }

  /// Buckets that name no restart are damage though the checksum is right, and no bucket leads out of its block.
  @Test(.requirement("SSTable.never.4")) func bucketsAreNotBelieved() throws {
    var builder = BlockBuilder(restartInterval: 2, capacity: 512, keysPerBucket: 0.75)
    let keys = (0..<9).map { bytes("k\($0)") }
    for key in keys { key.withUnsafeBytes { builder.add($0, Trailer(1, .value), $0, hash: FilterHash.hash64($0)) } }
    var payload = RawBuffer(capacity: 512)
    builder.finish(into: &payload)
    let good = [UInt8](payload.bytes)
    #expect(good.withUnsafeBytes { BlockView.checked($0).0?.buckets } == 12)
    var random = Random(seed: 3)
    for _ in 0..<20_000 * testDepth {
      var bad = good
      // The buckets, their number and the tail.
      for _ in 0..<random.within(1...3) { bad[bad.count - 1 - random.below(60)] = UInt8(random.below(256)) }
      bad.withUnsafeBytes { bad in
        guard let view = BlockView.checked(bad).0 else { return }
        #expect(view.hashes.allSatisfy { $0 >= BlockHash.collision || Int($0) < view.restarts }, "a bucket leads nowhere")
        for key in keys { key.withUnsafeBytes { _ = view.firstEntry(of: $0, Trailer(1, .value), hash: FilterHash.hash64($0)) } }
      }
    }
  }

  /// The bytes of a small table, which stay readable for ever. Docs/Formats/SSTable.md says what each is.
  @Test func aGoldenTable() throws {
    let disk = newDisk()
    let entries = try Self.small(disk)
    let made = try disk.readAll(home.appending("1.sst"), limit: 1 << 20)
    #expect(made == Self.golden, "a new table is laid out in another way")
    try disk.install(home.appending("1.sst"), Self.golden)
    let reader = try open(on: disk)
    #expect(try forward(reader.cursor()) == entries && reader.hasHashIndexes && reader.metadata.createdAt == 1_700_000_000)
    for entry in entries { #expect(try Self.find(reader, entry.key, entry.sequence) == entry) }
    let interval: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 22, 0, 0, 0, 0, 0, 0, 0]
    #expect(reader.properties == [TableProperty(name: "number", value: interval)])
    #expect(try forward(reader.cursor(passing: BlockFilter("number", within: 23...30))).isEmpty)
  }

  static let golden: [UInt8] = hex(
    """
    5354524154535354010001004000000001000000000000000000000000000000000000000000000000f1536500000000000000000000000000000000231f9cd3
    b4882ec07d0000007d0000000000000000050101016b657931300005002100010104010101013102000520006b65793131040101010132040500210001050005
    0101016b6579313306050021000107000018002e00300000000000000031000000000000003300000000000000fe01fffffffe06000800000000000000080000
    00010000000300000004000201000000298bbac37b0000007b00000000000000000500016b657931340500210001090401010101350a00052100016b65793135
    0b0401010101360c0500200000050101016b657931370e05002100010f000016002c00340000000000000035000000000000003700000000000000ff0001fffe
    02060008000000000000000800000002000000030000000400020100000000003664bcdb7c0000007c0000000000000000050101016b65793138100500210001
    11040100013900052100016b6579313913030201010132301405002100011500050101016b657932311605002000000016002f00313800000000000031390000
    0000000032310000000000000102ff00feff0600080000000000000008000000020000000300000003000201000000002a987755b0000000b000000002000000
    000501001e6b65793133407d08010809008080808010001100000000000000000700000000000000000501001f6b65793137d0017b0802080900808080801000
    1109000000000000000f00000000000000000500001f6b65793231e0027c08020809008080808010001110000000000000001600000000000000000028005100
    313300000000000031370000000000003231000000000000080000000000000003000000010000000300000003000200fea0e72f400000004000000003000000
    892008082d02000042200200a011800050a2440044880020100000a0080a0022800000002080020080120800020010a1030000108a2040000101000400400300
    fe6679d46400000064000000050000000101010201000301180401130501050601000701000c01080d01090e01780f0113100103110100130580e2cfaa060805
    6b657931300a056b65793231090281120b0280101201001401001718066e756d626572010000000000000000160000000000000000000000f001000000000000
    b0000000b00200000000000040000000000000000000000000000000000300000000000064000000d80300000000000018000000000000000000000000000000
    01000106000000000000000090e1e3d35453535441525453
    """)

  private static func hex(_ text: String) -> [UInt8] {
    var bytes: [UInt8] = []
    var half: UInt8?
    for character in text where character.isHexDigit {
      let digit = UInt8(character.hexDigitValue ?? 0)
      if let first = half { bytes.append(first << 4 | digit) }
      half = half == nil ? digit : nil
    }
    return bytes
  }
}
