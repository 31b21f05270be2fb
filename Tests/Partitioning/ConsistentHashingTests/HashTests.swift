import Foundation
import StrataBytes
import StrataNodes
import StrataRequirements
import Testing

@testable import StrataConsistentHashing

private func hex(_ digest: MD5.Digest) -> String {
  (0..<4).map { point in
    (0..<4).map { byte in
      let value = UInt8(truncatingIfNeeded: digest[point] >> UInt32(8 * byte))
      return (value < 16 ? "0" : "") + String(value, radix: 16)
    }.joined()
  }.joined()
}

/// The functions that give keys their positions, against what their authors and users published.
@Suite struct HashTests {
  /// RFC 1321, A.5.
  @Test(
    arguments: [
      ("", "d41d8cd98f00b204e9800998ecf8427e"), ("a", "0cc175b9c0f1b6a831c399e269772661"), ("abc", "900150983cd24fb0d6963f7d28e17f72"),
      ("message digest", "f96b697d7cb7938d525a2f31aaf161d0"), ("abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"),
      ("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", "d174ab98d277d9f5a5611c2c9f419d9f"),
      (String(repeating: "1234567890", count: 8), "57edf4a22be3c955ac49da2e2107b67a"),
    ]) func md5(text: String, digest: String)
  {
    #expect(hex(MD5.digest(text.utf8Span.span.bytes)) == digest)
  }

  /// Kafka's UtilsTest.
  @Test(
    arguments: [
      ("21", -973_932_308), ("foobar", -790_332_482), ("a-little-bit-long-string", -985_981_536), ("a-little-bit-longer-string", -1_486_304_829),
      ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971), ("abc", 479_470_107),
    ]) func murmur2(text: String, hash: Int32)
  {
    #expect(Int32(bitPattern: Murmur.hash2(text.utf8Span.span.bytes)) == hash)
    #expect(KeyHash.murmur2Kafka.position(of: text.utf8Span.span.bytes) == UInt64(UInt32(bitPattern: hash) & 0x7FFF_FFFF))
  }

  /// MurmurHash3_x64_128's first half for ASCII, where Cassandra's differs in nothing.
  @Test(
    arguments: [
      ("", 0), ("0", 0x2AC9_DEBE_D546_A380), ("01", 0x649E_4EAA_7FC1_708E), ("012", 0xCE68_F60D_7C35_3BDB), ("0123", 0x0F95_757C_E7F3_8254),
      ("01234", 0x0F04_E459_497F_3FC1),
    ] as [(String, UInt64)]) func murmur3(text: String, hash: UInt64)
  {
    #expect(UInt64(bitPattern: Murmur.token(text.utf8Span.span.bytes)) == hash)
    #expect(KeyHash.murmur3Token.position(of: text.utf8Span.span.bytes) == hash ^ (1 << 63))
  }

  /// Redis Cluster's specification and redis-cli.
  @Test func redisSlots() {
    #expect(CRC16.checksum("123456789".utf8Span.span.bytes) == 12_739)
    func slot(_ key: String) -> UInt16 { CRC16.slot(key.utf8Span.span.bytes) }
    #expect(slot("somekey") == 11_058)
    #expect(slot("foo{hash_tag}") == 2_515)
    #expect(slot("{user1000}.following") == slot("{user1000}.followers"))
    #expect(slot("foo{}{bar}") == CRC16.checksum("foo{}{bar}".utf8Span.span.bytes) & 0x3FFF)
    #expect(slot("foo{{bar}}zap") == CRC16.checksum("{bar".utf8Span.span.bytes) & 0x3FFF)
    #expect(slot("foo{bar}{zap}") == slot("bar"))
    #expect(slot("foo}bar{") == CRC16.checksum("foo}bar{".utf8Span.span.bytes) & 0x3FFF)
    #expect(slot("{}") == CRC16.checksum("{}".utf8Span.span.bytes) & 0x3FFF)
  }

  /// The specification's own vectors and the key's whole 64 bits.
  @Test func xxHash64() {
    #expect(KeyHash.xxh64.position(of: "".utf8Span.span.bytes) == 0xEF46_DB37_51D8_E999)
    #expect(KeyHash.xxh64.position(of: "abc".utf8Span.span.bytes) == 0x44BC_2CF5_AD77_0999)
  }

  @Test(.requirement("ConsistentHashing.keep.10")) func positionsStayWithinTheirBits() {
    var random = Random(seed: 1)
    for hash in KeyHash.allCases {
      var seen: UInt64 = 0
      for length in 0..<200 {
        let position = hash.position(of: random.bytes(length).span.bytes)
        #expect(position <= hash.lastPosition, "\(hash), \(length) bytes")
        seen |= position
      }
      #expect(seen == hash.lastPosition, "\(hash) uses all its bits")
    }
  }

  /// Swift's own hash, seeded anew by every process, appears where a dictionary asks a name for it and nowhere else.
  @Test(.requirement("ConsistentHashing.never.9")) func noSourceAsksForAHashOfTheProcess() throws {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent("Sources/Partitioning/ConsistentHashing")
    let files = (FileManager.default.enumerator(atPath: root.path)?.compactMap { $0 as? String } ?? []).filter { $0.hasSuffix(".swift") }
    #expect(files.count > 20)
    for file in files {
      for line in try String(contentsOf: root.appendingPathComponent(file), encoding: .utf8).split(separator: "\n") {
        let code = line.prefix { $0 != "/" }
        #expect(!code.contains("hashValue") && !code.contains("SystemRandomNumberGenerator"), "\(file): \(line)")
        #expect(
          !code.contains("Hasher") || code.contains("func hash(into state: inout Hasher)") && file.hasSuffix("MemberID.swift"), "\(file): \(line)")
      }
    }
  }

  @Test func keysOfEveryKindGiveTheSamePosition() throws {
    let ring = try HashRing(members: [Member("a"), Member("b")])
    let bytes = Array("user:1".utf8)
    let padded = [0] + bytes + [0]
    let expected = ring.position(of: "user:1")
    #expect(ring.position(of: bytes) == expected)
    #expect(ring.position(of: bytes.span.bytes) == expected)
    #expect(ring.position(of: padded[1...6]) == expected)
  }
}
