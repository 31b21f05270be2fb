import StrataBytes
import StrataNodes
import StrataRequirements
import Testing

@testable import StrataFilters

/// One stored filter of each kind, and how it is read again.
private struct Stored {
  var kind: FilterKind
  var bytes: [UInt8]
  /// Reads the bytes and answers for some hashes; throws what the reader throws.
  var answers: @Sendable ([UInt8], [UInt64]) throws(FilterError) -> [Bool]
  var keys: [UInt64]

  static func all(keys count: Int = 40) throws -> [Stored] {
    let keys = Keys.hashes(count, seed: 42)
    var bloom = try BloomFilter(expectedItems: count, seed: 5)
    var blocked = try BlockedBloomFilter(expectedItems: count, bitsPerKey: 10, seed: 5)
    var counting = try CountingBloomFilter(expectedItems: count, seed: 5)
    var scalable = try ScalableBloomFilter(initialCapacity: max(count / 8, 1), seed: 5)
    var cuckoo = try CuckooFilter(capacity: count, seed: 5)
    for key in keys {
      bloom.add(hash: key)
      blocked.add(hash: key)
      counting.add(hash: key)
      try scalable.add(hash: key)
      try cuckoo.add(hash: key)
    }
    return [
      Stored(kind: .always, bytes: FilterFormat.constant(.always, seed: 5, keys: 0), answers: view, keys: []),
      Stored(kind: .never, bytes: FilterFormat.constant(.never, seed: 5, keys: 3), answers: view, keys: keys),
      Stored(kind: .bloom, bytes: bloom.encoded(), answers: decoder { bytes throws(FilterError) in try BloomFilter(decoding: bytes) }, keys: keys),
      Stored(
        kind: .blockedBloom, bytes: blocked.encoded(), answers: decoder { bytes throws(FilterError) in try BlockedBloomFilter(decoding: bytes) },
        keys: keys),
      Stored(
        kind: .countingBloom, bytes: counting.encoded(), answers: decoder { bytes throws(FilterError) in try CountingBloomFilter(decoding: bytes) },
        keys: keys),
      Stored(
        kind: .scalableBloom, bytes: scalable.encoded(), answers: decoder { bytes throws(FilterError) in try ScalableBloomFilter(decoding: bytes) },
        keys: keys),
      Stored(
        kind: .binaryFuse8, bytes: BinaryFuseFilter<UInt8>(hashes: keys, seed: 5).encoded(),
        answers: decoder { bytes throws(FilterError) in try BinaryFuseFilter<UInt8>(decoding: bytes) }, keys: keys),
      Stored(
        kind: .binaryFuse16, bytes: BinaryFuseFilter<UInt16>(hashes: keys, seed: 5).encoded(),
        answers: decoder { bytes throws(FilterError) in try BinaryFuseFilter<UInt16>(decoding: bytes) }, keys: keys),
      Stored(kind: .cuckoo, bytes: cuckoo.encoded(), answers: decoder { bytes throws(FilterError) in try CuckooFilter(decoding: bytes) }, keys: keys),
    ]
  }

  static let view: @Sendable ([UInt8], [UInt64]) throws(FilterError) -> [Bool] = { bytes, hashes throws(FilterError) in
    let view = try FilterView(validating: bytes.span.bytes)
    return hashes.map { view.mayContain(hash: $0) }
  }

  static func decoder<F: MembershipFilter>(
    _ decode: @escaping @Sendable ([UInt8]) throws(FilterError) -> F
  ) -> @Sendable ([UInt8], [UInt64]) throws(FilterError) -> [Bool] {
    { bytes, hashes throws(FilterError) in
      let filter = try decode(bytes)
      return hashes.map { filter.mayContain(hash: $0) }
    }
  }

  /// The bytes with both checksums made to fit again, as damage never does and an adversary may.
  static func resealed(_ bytes: [UInt8]) -> [UInt8] {
    var bytes = bytes
    guard bytes.count >= 64 else { return bytes }
    func store(_ value: UInt32, _ at: Int) {
      bytes.withUnsafeMutableBytes { $0.storeBytes(of: value.littleEndian, toByteOffset: at, as: UInt32.self) }
    }
    store(bytes.withUnsafeBytes { crc32c(UnsafeRawBufferPointer(rebasing: $0[64...])) }, 52)
    store(bytes.withUnsafeBytes { crc32c(UnsafeRawBufferPointer(rebasing: $0[..<60])) }, 60)
    return bytes
  }
}

@Suite struct FilterFormatTests {
  @Test(.requirement("Filters.keep.10", "Filters.keep.1")) func everyKindRoundTrips() throws {
    for count in [1, 2, 40, 3000] {
      for stored in try Stored.all(keys: count) {
        let probes = stored.keys + Keys.hashes(500, seed: 1)
        let answers = try stored.answers(stored.bytes, probes)
        #expect(answers.prefix(stored.keys.count).allSatisfy { $0 }, "\(stored.kind)")
        #expect(stored.bytes.count > 64 && Array(stored.bytes[..<4]) == Array("SFLT".utf8) && stored.bytes[6] == stored.kind.rawValue)
        if stored.kind != .scalableBloom { #expect(try Stored.view(stored.bytes, probes) == answers, "\(stored.kind): the view answers alike") }
      }
    }
    var cuckoo = try CuckooFilter(capacity: 8)
    for hash in Keys.hashes(40, seed: 2) { try? cuckoo.add(hash: hash) }
    try #require(cuckoo.victim.fingerprint != 0)
    #expect(try CuckooFilter(decoding: cuckoo.encoded()) == cuckoo, "the victim too")
    var scalable = try ScalableBloomFilter(
      initialCapacity: 3, falsePositiveRate: 0.2, growth: 1.5, tightening: 0.8, maxSlices: 9, seed: 1, maxBytes: 999)
    for hash in Keys.hashes(30, seed: 2) { try scalable.add(hash: hash) }
    #expect(try ScalableBloomFilter(decoding: scalable.encoded()) == scalable && scalable.slices.count > 1)
    for bits in 2...8 {
      var counting = try CountingBloomFilter(counters: 100, hashes: 3, counterBits: bits, seed: 9)
      for hash in Keys.hashes(200, seed: 2) { counting.add(hash: hash) }
      let again = try CountingBloomFilter(decoding: counting.encoded())
      #expect(again == counting && again.saturatedCounters == counting.saturatedCounters && again.usedCounters == counting.usedCounters)
    }
    for kind in [FuseKind.nothing, .everything] {
      let fuse = BinaryFuseFilter<UInt8>(kind: kind, seed: 3)
      #expect(try BinaryFuseFilter<UInt8>(decoding: fuse.encoded()) == fuse)
    }
  }

  @Test(.requirement("Filters.never.3", "Filters.never.4")) func everyCutAndExtensionIsRefused() throws {
    for stored in try Stored.all() {
      for length in 0..<stored.bytes.count {
        #expect(throws: FilterError.self, "\(stored.kind) cut to \(length)") { try stored.answers(Array(stored.bytes[..<length]), []) }
      }
      #expect(throws: FilterError.self) { try stored.answers(stored.bytes + [0], []) }
    }
  }

  @Test(.requirement("Filters.never.3", "Filters.never.4")) func everyFlippedBitIsRefused() throws {
    for stored in try Stored.all() {
      for bit in 0..<stored.bytes.count * 8 {
        var damaged = stored.bytes
        damaged[bit / 8] ^= 1 << (bit % 8)
        #expect(throws: FilterError.self, "\(stored.kind), bit \(bit)") { try stored.answers(damaged, []) }
        if stored.kind != .scalableBloom { #expect(throws: FilterError.self) { _ = try Stored.view(damaged, []) } }
      }
    }
  }

  /// Bytes mutated at random, half of them with checksums made to fit: a typed error, or a filter that can be asked and changed. Never a trap.
  @Test(.requirement("Filters.never.3")) func mutationsNeverTrap() throws {
    let seed: UInt64 = 0xF11
    var random = Random(seed: seed)
    let all = try Stored.all()
    let probes = Keys.hashes(8, seed: 3) + [0, .max, 1 << 63]
    var accepted = 0
    for round in 0..<20_000 * min(testDepth, 50) {
      let stored = all[round % all.count]
      var bytes = stored.bytes
      for _ in 0..<random.within(1...4) {
        let place = random.chance(2, in: 3) ? 36 + random.below(16) : random.below(bytes.count)
        bytes[min(place, bytes.count - 1)] = random.chance(1, in: 2) ? UInt8(random.below(256)) : [0, 1, 0xFF, 0x80, 64][random.below(5)]
      }
      if random.chance(1, in: 8) { bytes.removeLast(random.below(bytes.count)) }
      if random.chance(1, in: 8) { bytes += random.bytes(random.below(70)) }
      if random.chance(4, in: 5), bytes.count > 64 {
        if random.chance(1, in: 2) {
          bytes.withUnsafeMutableBytes { $0.storeBytes(of: UInt64($0.count - 64).littleEndian, toByteOffset: 28, as: UInt64.self) }
        }
        bytes = Stored.resealed(bytes)
      }
      do throws(FilterError) {
        _ = try stored.answers(bytes, probes)
        accepted += 1
      } catch {}
      if let view = try? Stored.view(bytes, probes) { #expect(view.count == probes.count) }
      if var counting = try? CountingBloomFilter(decoding: bytes) {
        for probe in probes {
          counting.add(hash: probe)
          try counting.remove(hash: probe)
        }
      }
      if var cuckoo = try? CuckooFilter(decoding: bytes) { for probe in probes { try? cuckoo.add(hash: probe) } }
      if var scalable = try? ScalableBloomFilter(decoding: bytes) { for probe in probes { _ = try? scalable.add(hash: probe) } }
    }
    #expect(accepted > 500, "seed \(seed): \(accepted) accepted")
  }

  @Test(.requirement("Filters.never.3")) func whatIsWrongIsSaid() throws {
    let all = try Stored.all()
    func failure(_ bytes: [UInt8]) -> FilterError? {
      do throws(FilterError) { _ = try FilterView(validating: bytes.span.bytes) } catch { return error }
      return nil
    }
    func changed(_ kind: FilterKind, _ place: Int, _ values: [UInt8]) -> [UInt8] {
      var bytes = all.first { $0.kind == kind }!.bytes
      bytes.replaceSubrange(place..<place + values.count, with: values)
      return Stored.resealed(bytes)
    }
    #expect(failure(changed(.bloom, 4, [2, 0])) == .unsupported(field: "format version", value: 2, offset: 4))
    #expect(failure(changed(.bloom, 6, [77])) == .unsupported(field: "kind", value: 77, offset: 6))
    #expect(failure(changed(.bloom, 7, [2])) == .unsupported(field: "hash", value: 2, offset: 7))
    #expect(failure(changed(.bloom, 8, [4])) == .unsupported(field: "flag", value: 4, offset: 8))
    #expect(failure(changed(.bloom, 0, [0])) == .corrupt(reason: "no filter begins like this", offset: 0))
    for (kind, place, values) in [
      (.bloom, 36, [0, 0, 0, 0, 0, 0, 0, 0]), (.bloom, 44, [0]), (.bloom, 48, [1]), (.blockedBloom, 36, [9]), (.blockedBloom, 44, [0]),
      (.blockedBloom, 44, [65]), (.countingBloom, 48, [9]), (.countingBloom, 48, [1]), (.binaryFuse8, 36, [19]), (.binaryFuse8, 37, [1]),
      (.binaryFuse8, 40, [0, 0, 0, 0]), (.binaryFuse8, 20, [0, 0, 0, 0]), (.binaryFuse16, 40, [0xFF, 0xFF, 0xFF, 0xFF]), (.cuckoo, 36, [1]),
      (.cuckoo, 44, [1]), (.always, 36, [1]), (.always, 20, [1]),
    ] as [(FilterKind, Int, [UInt8])] {
      let error = failure(changed(kind, place, values))
      if case .corrupt(_, 36) = error {} else { Issue.record("\(kind) with \(values) at \(place): \(String(describing: error))") }
    }
    #expect(failure(changed(.always, 64, [1])) == .corrupt(reason: "payload of a always absent filter out of range", offset: 64))
    #expect(failure(all[5].bytes) == .unsupported(field: "view of kind", value: 6, offset: 6))
    #expect(throws: FilterError.incompatible(field: "kind", left: "bloom", right: "cuckoo")) { try BloomFilter(decoding: all[8].bytes) }
    #expect(throws: FilterError.self) { try BloomFilter(decoding: all[2].bytes, maxBytes: 10) }
  }

  /// Bytes that version 1 wrote stay readable and are still what is written: the digest of each kind's bytes, and one in full.
  @Test(.requirement("Filters.keep.6", "Filters.never.13")) func goldenBytes() throws {
    let golden: [FilterKind: UInt64] = [
      .always: 0xA30F_40FA_5216_CD52, .never: 0xD135_9B94_AC02_CAF6, .bloom: 0xCFCB_5787_083D_E710, .blockedBloom: 0x5863_13A0_DC90_2F35,
      .countingBloom: 0x664B_BD73_4BD2_494A, .scalableBloom: 0xCAD6_7ABC_E686_FD0F, .binaryFuse8: 0xB770_FD89_3AC8_8083,
      .binaryFuse16: 0xA0B8_99C1_EE41_2C6A,
      .cuckoo: 0x44FD_F5F0_45AC_CC29,
    ]
    for stored in try Stored.all() {
      let digest = FilterHash.hash64(stored.bytes.span.bytes)
      #expect(golden[stored.kind] == digest, "\(stored.kind): 0x\(String(digest, radix: 16))")
    }
    let text = FilterFormat.constant(.never, seed: 5, keys: 3).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    let expected =
      "53464c54010002010000000005000000000000000300000000000000010000000000000000000000"
      + "00000000000000000000000052d016a000000000af7d2a5b01"
    #expect(text == expected)
  }

  /// More bits than 32 bits can count, of which hardly any are set.
  @Test(.requirement("Filters.never.10")) func sixBillionBits() throws {
    var filter = try BloomFilter(bits: 6_000_000_011, hashes: 5, seed: 1)
    let keys = Keys.hashes(1000, seed: 10)
    for key in keys { filter.add(hash: key) }
    #expect(filter.setBits > 4990 && keys.contains { filter.geometry.position($0) > UInt64(UInt32.max) })
    let bytes = filter.encoded()
    #expect(bytes.count == 64 + 750_000_008)
    let view = try FilterView(validating: bytes.span.bytes)
    #expect(keys.allSatisfy { view.mayContain(hash: $0) })
    let again = try BloomFilter(decoding: bytes)
    #expect(again.bitCount == 6_000_000_011 && again.setBits == filter.setBits && again.insertions == 1000)
    #expect(keys.allSatisfy { again.mayContain(hash: $0) })
    #expect(abs(again.estimatedCount - 1000) < 10)
  }
}
