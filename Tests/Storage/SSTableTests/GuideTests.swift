import StrataBytes
import StrataFilters
import StrataNodes
import StrataRequirements
import StrataSimulation
import Testing

@testable import StrataSSTable

/// A search by a block's guide answers what a search without one does, which answers what a list of its entries does.
@Suite struct GuideTests {
  /// A payload in a pin of its own, with a guide in `room` bytes.
  private static func withGuide(_ payload: [UInt8], room: Int, _ body: (BlockView, BlockGuide) throws -> Void) rethrows {
    let pin = BlockPin.allocate(payload.count, guide: room)
    defer { pin.release() }
    pin.writable.copyBytes(from: payload)
    guard let plain = BlockView.checked(pin.payload).0 else { return }
    pin.makeGuide(plain)
    guard let view = BlockView(unchecked: pin.payload, guide: pin.guide) else { return }
    try body(view, pin.guide)
  }

  private static func payload(_ entries: [TestEntry], restartInterval: Int) -> [UInt8] {
    var builder = BlockBuilder(restartInterval: restartInterval, capacity: 4096)
    for entry in entries {
      entry.key.withUnsafeBytes { key in
        entry.value.withUnsafeBytes { builder.add(key, Trailer(entry.sequence, entry.kind), $0) }
      }
    }
    var payload = RawBuffer(capacity: 4096)
    builder.finish(into: &payload)
    return [UInt8](payload.bytes)
  }

  /// Keys in which heads are often equal, short, ended by zeros or in the middle of what is shared.
  private static func key(_ random: inout Random, _ common: [UInt8]) -> [UInt8] {
    let alphabet: [UInt8] = [0, 0, 1, 0x61, 0x62, 0xFF]
    var key = random.chance(1, in: 12) ? Array(common.prefix(random.below(common.count + 1))) : common
    for _ in 0..<random.below(8) { key.append(alphabet[random.below(alphabet.count)]) }
    return key
  }

  private static func entries(_ random: inout Random, _ common: [UInt8]) -> [TestEntry] {
    var made: Set<InternalKey> = []
    for _ in 0..<random.within(1...60) {
      let key = Self.key(&random, random.chance(1, in: 40) ? [] : common)
      for _ in 0..<(random.chance(1, in: 6) ? random.within(2...5) : 1) {
        made.insert(InternalKey(userKey: key, trailer: Trailer(UInt64(random.below(9)), random.chance(1, in: 5) ? .deletion : .value)))
      }
    }
    return made.sorted().map { internalKey in
      let kind = internalKey.trailer.kind ?? .value
      return TestEntry(internalKey.userKey, internalKey.trailer.sequence, kind, kind == .deletion ? [] : random.bytes(random.below(12)))
    }
  }

  /// The offset of every entry of a block.
  private static func offsets(_ view: BlockView) -> [Int] {
    var offsets: [Int] = []
    var offset = 0
    while offset < view.entriesEnd {
      offsets.append(offset)
      offset = view.decode(at: offset).next
    }
    return offsets
  }

  @Test(.requirement("SSTable.keep.2"), arguments: 0..<UInt64(200 * testDepth)) func itFindsWhatASearchFinds(seed: UInt64) throws {
    var random = Random(seed: seed)
    let common = random.chance(1, in: 3) ? [] : random.bytes(random.below(20))
    let entries = Self.entries(&random, common)
    let payload = Self.payload(entries, restartInterval: random.within(1...20))
    // Room for a sample of every entry, for some, for one, for none.
    let room = [entries.count * 6, entries.count * 6 + 5, entries.count * 3, 24, 6, 0][random.below(6)]
    let probes = (0..<60).map { _ in random.chance(1, in: 2) ? entries[random.below(entries.count)].key : Self.key(&random, common) }
    try Self.withGuide(payload, room: room) { view, guide in
      #expect((guide.count > 0) == (room >= 6) && guide.count * 6 <= room && (guide.step == 1) == (room >= entries.count * 6 || room < 6))
      let plain = try #require(BlockView(unchecked: UnsafeRawBufferPointer(start: view.base, count: payload.count)))
      let offsets = Self.offsets(view)
      for probe in probes + [[], common, common + [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]] {
        let trailer = Trailer.newest(atOrBelow: UInt64(random.below(10)))
        let wanted = InternalKey(userKey: probe, trailer: trailer)
        let place = entries.firstIndex { $0.internalKey >= wanted }
        probe.withUnsafeBytes { key in
          for (name, found) in [("guided", view.firstEntry(notBefore: key, trailer)), ("plain", plain.firstEntry(notBefore: key, trailer))] {
            var isRight = found?.offset == place.map { offsets[$0] }
            if let found, let place {
              let entry = entries[place]
              isRight = isRight && found.isKey == (entry.key == probe) && found.entry.trailer == Trailer(entry.sequence, entry.kind)
            }
            if !isRight { Issue.record("\(name), seed \(seed): \(probe) at \(trailer)") }
          }
        }
      }
    }
  }

  /// Every block that the cache keeps has a guide of at most a sixteenth, which counts; without a cache there is none.
  @Test func whatIsKeptHasOne() throws {
    for codec in [TableOptions().compression, .none] {
      let disk = newDisk()
      let entries = (0..<2000).map { TestEntry(bytes("key\(100_000 + $0)"), 1, .value, [UInt8](repeating: UInt8($0 & 3), count: 100)) }
      try build(entries, options: tinyOptions { ($0.blockSize, $0.restartInterval, $0.compression) = (4096, 16, codec) }, on: disk)
      let cache = BlockCache(capacityBytes: 1 << 20)
      let kept = try open(cache: cache, on: disk)
      let cursor = kept.cursor()
      try cursor.first()
      let pin = try #require(cursor.blockPin)
      #expect(pin.guide.count > 30 && pin.guide.step == 1 && pin.guide.count * 6 <= pin.payload.count / 16)
      #expect(BlockCache.charge(pin.slab) >= pin.payload.count + pin.guide.count * 6)
      for entry in entries { #expect(try HashIndexTests.find(kept, entry.key, 9) == entry) }
      #expect(try HashIndexTests.find(kept, bytes("key1000000"), 9) == nil)
      let fresh = try open(cache: nil, on: disk).cursor()
      try fresh.first()
      #expect(try #require(fresh.blockPin).guide.count == 0)
    }
  }

  /// Blocks whose offsets need more than sixteen bits have none, and are searched as before.
  @Test func longBlocksHaveNone() {
    for count in [600, 700] {
      let entries = (0..<count).map { TestEntry(bytes("k\(1000 + $0)"), 1, .value, [UInt8](repeating: 1, count: 100)) }
      let payload = Self.payload(entries, restartInterval: 16)
      let room = BlockGuide.room(for: payload.count)
      #expect((room == 0) == (count == 700))
      Self.withGuide(payload, room: max(room, 64)) { view, guide in
        #expect((guide.count == 0) == (count == 700))
        for (place, offset) in Self.offsets(view).enumerated() {
          let found = entries[place].key.withUnsafeBytes { view.firstEntry(notBefore: $0, Trailer.newest(atOrBelow: 9)) }
          #expect(found?.offset == offset && found?.isKey == true)
        }
      }
    }
  }

  /// Payloads that pass their checksum and are nonsense: a guide to them leads nowhere but to their entries.
  @Test(.requirement("SSTable.never.4"), arguments: 0..<UInt64(8)) func nonsenseIsRefusedOrRead(seed: UInt64) {
    var random = Random(seed: seed)
    let common = Array("key/".utf8)
    let whole = Self.payload(Self.entries(&random, common), restartInterval: random.within(1...5))
    for _ in 0..<3000 * testDepth {
      var damaged = whole
      for _ in 0...random.below(3) { damaged[random.below(damaged.count)] = UInt8(truncatingIfNeeded: random.next()) }
      if random.chance(1, in: 5) { damaged.removeLast(random.below(damaged.count)) }
      Self.withGuide(damaged, room: random.below(400)) { view, guide in
        let offsets = Set(Self.offsets(view))
        if !(0..<guide.count).allSatisfy({ offsets.contains(guide.offset($0)) }) { Issue.record("seed \(seed): a sample is of no entry") }
        for probe in [[], common, Array("key".utf8), Self.key(&random, common), Self.key(&random, common)] {
          let found = probe.withUnsafeBytes { view.firstEntry(notBefore: $0, Trailer.newest(atOrBelow: 5)) }
          if let found, !offsets.contains(found.offset) { Issue.record("seed \(seed): \(probe) leads to no entry") }
        }
      }
    }
  }
}
