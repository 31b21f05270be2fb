import Foundation
import StrataBytes
import StrataNodes
import StrataRequirements
import Testing

@testable import StrataFilters

private func hashes(_ count: Int, seed: UInt64) -> [UInt64] {
  var random = Random(seed: seed)
  return (0..<count).map { _ in random.next() }
}

private func encoded(_ filter: BinaryFuseFilter<UInt8>) -> [UInt8] {
  var writer = ByteWriter()
  filter.encode(into: &writer)
  return writer.finish()
}

private func decoded(_ bytes: [UInt8], limit: Int = 1 << 30) throws(DecodeError) -> BinaryFuseFilter<UInt8> {
  var reader = ByteReader(bytes.span.bytes)
  do throws(DecodeError) {
    let filter = try BinaryFuseFilter<UInt8>(decoding: &reader, limit: limit)
    #expect(reader.offset == filter.encodedBytes)
    return filter
  } catch {
    #expect(reader.offset == 0, "a refused filter leaves the reader where it was")
    throw error
  }
}

@Suite struct BinaryFuseFilterTests {
  @Test(.requirement("Filters.keep.1")) func noSizeHasAFalseNegative() {
    for count in Array(0...300) + [500, 1_000, 3_333, 10_000, 65_536, 100_000] {
      let keys = hashes(count, seed: UInt64(count) + 1)
      let filter = BinaryFuseFilter<UInt8>(hashes: keys)
      #expect(filter.kind == (count == 0 ? .nothing : .fuse))
      #expect(filter.keyCount == count)
      #expect(keys.allSatisfy { filter.contains(hash: $0) }, "\(count) keys")
    }
  }

  @Test(.requirement("Filters.keep.1", "Filters.keep.10")) func aMillionKeysInNineBitsEach() throws {
    let count = 1_000_000
    let keys = hashes(count, seed: 77)
    let filter = BinaryFuseFilter<UInt8>(hashes: keys)
    #expect(filter.kind == .fuse)
    #expect(keys.allSatisfy { filter.contains(hash: $0) })
    #expect(Double(filter.memoryBytes) * 8 / Double(count) < 9.3)
    let again = try decoded(encoded(filter))
    #expect(again == filter)
    let probes = 1_000_000 * min(testDepth, 10)
    var random = Random(seed: 78)
    var positives = 0
    for _ in 0..<probes where again.contains(hash: random.next()) { positives += 1 }
    let rate = Double(positives) / Double(probes)
    #expect(rate < 0.006 && rate > 0.003, "false positive rate \(rate), expected 1/256")
  }

  /// Hashes of keys that look alike, and raw numbers used as hashes: the filter mixes them itself.
  @Test(.requirement("Filters.keep.1"), arguments: ["decimal keys", "consecutive numbers", "high bits only"])
  func keysThatLookAlike(shape: String) {
    let count = 20_000
    func hash(_ index: Int) -> UInt64 {
      switch shape {
      case "decimal keys": xxh64(Array("user:\(index)".utf8).span.bytes)
      case "consecutive numbers": UInt64(index)
      default: UInt64(index) << 44
      }
    }
    let filter = BinaryFuseFilter<UInt8>(hashes: (0..<count).map(hash))
    #expect(filter.kind == .fuse)
    #expect((0..<count).allSatisfy { filter.contains(hash: hash($0)) })
    let positives = (count..<count + 200_000).count { filter.contains(hash: hash($0)) }
    #expect(positives < 1_200, "\(positives) of 200000 absent keys")
  }

  @Test(.requirement("Filters.keep.6", "Filters.never.13")) func orderAndRepetitionDoNotMatter() {
    for count in [1, 2, 3, 10, 1_000, 30_000] {
      var keys = hashes(count, seed: 5)
      let filter = BinaryFuseFilter<UInt8>(hashes: keys, seed: 9)
      keys += keys.reversed()
      keys += [UInt64](repeating: keys[0], count: 5_000)
      let repeated = BinaryFuseFilter<UInt8>(hashes: keys, seed: 9)
      #expect(repeated == filter)
      #expect(encoded(repeated) == encoded(filter))
      #expect(repeated.keyCount == count)
    }
    let keys = hashes(100, seed: 5)
    #expect(BinaryFuseFilter<UInt8>(hashes: keys, seed: 1) != BinaryFuseFilter<UInt8>(hashes: keys, seed: 2))
  }

  @Test func aSetThatCannotBeArrangedIsNeverMissed() throws {
    let keys = hashes(50, seed: 6)
    let filter = BinaryFuseFilter<UInt8>(hashes: keys, seed: 0, attempts: 0)
    #expect(filter.kind == .everything)
    #expect(keys.allSatisfy { filter.contains(hash: $0) })
    #expect(filter.contains(hash: 12_345))
    #expect(filter.memoryBytes == 0)
    #expect(try decoded(encoded(filter)) == filter)
  }

  /// A seed fails now and then; the next one is tried. Without the retry some of these sets would have no filter.
  @Test func someSeedsFailAndAnotherSucceeds() {
    var failures = 0
    for seed in 0..<2_000 as Range<UInt64> {
      let keys = hashes(Int(seed % 40) + 2, seed: seed)
      let first = keys.withUnsafeBufferPointer { BinaryFuseFilter<UInt8>.build([$0], seed: seed, attempts: 1) }
      if first == nil { failures += 1 }
      #expect(BinaryFuseFilter<UInt8>(hashes: keys, seed: seed).kind == .fuse)
    }
    #expect(failures > 0 && failures < 1_000, "\(failures) of 2000 first seeds failed")
  }

  /// Fingerprints of 16 bits: one absent key in 65 536 is answered with "perhaps", at 18 bits per key.
  @Test(.requirement("Filters.keep.1")) func sixteenBits() {
    let count = 50_000
    let keys = hashes(count, seed: 16)
    let filter = BinaryFuseFilter<UInt16>(hashes: keys + keys)
    #expect(filter.keyCount == count && keys.allSatisfy { filter.contains(hash: $0) })
    #expect(Double(filter.memoryBytes) * 8 / Double(count) < 20)
    let probes = 2_000_000 * min(testDepth, 20)
    var random = Random(seed: 17)
    let found = (0..<probes).count { _ in filter.mayContain(hash: random.next()) }
    Keys.expectRate(found, of: probes, 1.0 / 65_536)
  }

  @Test func theEmptyFilterContainsNothing() throws {
    let filter = BinaryFuseFilter<UInt8>(hashes: [])
    #expect(!hashes(1_000, seed: 8).contains { filter.contains(hash: $0) })
    #expect(encoded(filter) == [1] + [UInt8](repeating: 0, count: 31))
    #expect(try decoded(encoded(filter)) == filter)
  }

  /// Bytes that version 1 wrote stay readable and are still what is written.
  @Test(.requirement("Filters.keep.6")) func goldenBytes() throws {
    let keys = ["alpha", "beta", "gamma", "delta", "epsilon"].map { xxh64(Array($0.utf8).span.bytes) }
    let bytes = encoded(BinaryFuseFilter<UInt8>(hashes: keys, seed: 42))
    let golden = "0101030001000000c77f04f860871c2d05000000000000001800000000000000000000000000000000000000009900000000003a4c00b688"
    let text = bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    #expect(text == golden)
    let filter = try decoded(bytes)
    #expect(keys.allSatisfy { filter.contains(hash: $0) })
  }
}

@Suite struct BinaryFuseFilterDamageTests {
  @Test(.requirement("Filters.never.3")) func everyCutIsRefused() {
    for count in [0, 1, 100] {
      let bytes = encoded(BinaryFuseFilter<UInt8>(hashes: hashes(count, seed: 3)))
      for length in 0..<bytes.count {
        #expect(throws: DecodeError.self, "\(length) of \(bytes.count)") { try decoded(Array(bytes[..<length])) }
      }
    }
  }

  /// No flip may trap, be read beyond the bytes or pass as another shape; flips of fingerprints and of the seed are the container's
  /// checksum's to find.
  @Test(.requirement("Filters.never.3")) func everyFlipGivesAFilterOrATypedError() {
    let bytes = encoded(BinaryFuseFilter<UInt8>(hashes: hashes(100, seed: 3)))
    let probes = hashes(200, seed: 4)
    for bit in 0..<bytes.count * 8 {
      var damaged = bytes
      damaged[bit / 8] ^= 1 << (bit % 8)
      guard let filter = try? decoded(damaged) else { continue }
      #expect(bit / 8 >= 8, "a flip in the shape must be seen: bit \(bit)")
      #expect(filter.memoryBytes == bytes.count - 32)
      _ = probes.count { filter.contains(hash: $0) }
    }
  }

  @Test(.requirement("Filters.never.3")) func headersOutOfRangeAreRefused() {
    let good = encoded(BinaryFuseFilter<UInt8>(hashes: hashes(100, seed: 3)))
    func refusal(_ change: (inout [UInt8]) -> Void, limit: Int = 1 << 30) -> DecodeError? {
      var bytes = good
      change(&bytes)
      do throws(DecodeError) {
        _ = try decoded(bytes, limit: limit)
        return nil
      } catch { return error }
    }
    #expect(refusal { _ in } == nil)
    #expect(refusal { $0[0] = 2 } == .unsupportedVersion(at: 0, version: 2, newest: 1))
    #expect(refusal { $0[1] = 3 } == .malformed(at: 1, field: "kind of filter"))
    #expect(refusal { $0[1] = 0 } == .malformed(at: 2, field: "header of a filter without fingerprints"))
    #expect(refusal { $0[2] = 19 } == .malformed(at: 2, field: "segment length of a filter"))
    #expect(refusal { $0[3] = 1 } == .malformed(at: 3, field: "reserved byte of a filter"))
    #expect(refusal { $0.replaceSubrange(4..<8, with: [0, 0, 0, 0]) } == .malformed(at: 24, field: "length of a filter"))
    #expect(refusal { $0.replaceSubrange(16..<24, with: [0, 0, 0, 0, 0, 0, 0, 0]) } == .malformed(at: 16, field: "number of keys of a filter"))
    #expect(refusal { $0[23] = 0xFF } == .malformed(at: 16, field: "number of keys of a filter"))
    #expect(refusal { $0[31] = 0xFF } == .limitExceeded(at: 24, field: "length of a filter", limit: 1 << 30))
    #expect(refusal({ _ in }, limit: good.count) == nil)
    #expect(refusal({ _ in }, limit: good.count - 1) == .limitExceeded(at: 24, field: "length of a filter", limit: good.count - 1))
    #expect(refusal({ _ in }, limit: -1) == .limitExceeded(at: 24, field: "length of a filter", limit: -1))
    // The largest shape a header can name, with the length that belongs to it: refused before memory is taken.
    #expect(
      refusal(
        {
          $0[2] = 18
          $0.replaceSubrange(4..<8, with: [0xFF, 0xFF, 0xFF, 0xFF])
          $0.replaceSubrange(24..<32, with: [0, 0, 0x04, 0, 0, 0, 0x04, 0])
        }, limit: .max) == .truncated(at: 32, need: (0xFFFF_FFFF + 2) << 18, have: good.count - 32))
  }

  @Test(.requirement("Filters.never.3")) func randomHeadersNeverTrap() {
    let seed: UInt64 = 0xF17
    var random = Random(seed: seed)
    var accepted = 0
    for _ in 0..<100_000 * min(testDepth, 100) {
      let bits = random.below(5)
      let count = random.below(4)
      let slots = (count + 2) << bits
      var writer = ByteWriter()
      writer.writeUInt8(1)
      writer.writeUInt8(UInt8(random.below(3)))
      writer.writeUInt8(UInt8(bits))
      writer.writeUInt8(0)
      writer.writeUInt32(UInt32(count))
      writer.writeUInt64(random.next())
      writer.writeUInt64(UInt64(random.below(slots + 2)))
      writer.writeUInt64(UInt64(random.chance(1, in: 5) ? random.below(100) : slots))
      writer.writeBytes(random.bytes(slots))
      guard let filter = try? decoded(writer.finish()) else { continue }
      accepted += 1
      for _ in 0..<4 { _ = filter.contains(hash: random.next()) }
      _ = filter.contains(hash: .max)
      _ = filter.contains(hash: 0)
    }
    #expect(accepted > 1_000, "seed \(seed): \(accepted) accepted")
  }
}
