import NIOCore
import StrataBytes
import StrataHost
import StrataNodes
import StrataRequirements
import Testing

@testable import StrataTransport

/// Frames in bytes: what was written is read, and nothing else is.
struct WireTests {
  static func frame(_ payload: [UInt8] = [0xAA, 0xBB]) -> ByteBuffer {
    var buffer = ByteBuffer()
    WireFrame.write(.message, cluster: 0x11, group: 0x22, from: 3, to: 4, head: [0xCC], payload: payload, into: &buffer)
    return buffer
  }

  @Test func theBytesOfVersionOneStay() throws {
    var buffer = Self.frame()
    let u64 = { (number: UInt8) in [number, 0, 0, 0, 0, 0, 0, 0] as [UInt8] }
    var golden: [UInt8] = Array("STRF".utf8) + [1, 4, 0, 0] + u64(0x11) + u64(0x22) + u64(3) + u64(4) + [3, 0, 0, 0]
    let payload: [UInt8] = [0xCC, 0xAA, 0xBB]
    let checksum = crc32c((golden + payload).span.bytes)
    golden += withUnsafeBytes(of: checksum.littleEndian) { Array($0) } + payload
    #expect(Array(buffer.readableBytesView) == golden)
    let read = try #require(try WireFrame.read(from: &buffer, limit: 100))
    #expect(read.kind == .message && read.cluster == 0x11 && read.group == 0x22 && read.from == 3 && read.to == 4)
    #expect(Array(read.payload.readableBytesView) == payload && buffer.readableBytes == 0)
  }

  @Test func framesFollowEachOtherAndWaitForTheirLastByte() throws {
    let bytes = Array(Self.frame().readableBytesView)
    var buffer = ByteBuffer()
    var frames = 0
    for byte in bytes + bytes + bytes {
      buffer.writeInteger(byte)
      while try WireFrame.read(from: &buffer, limit: 100) != nil { frames += 1 }
    }
    #expect(frames == 3 && buffer.readableBytes == 0)
  }

  @Test func noFlippedBitMakesAFrame() {
    let bytes = Array(Self.frame(Array(0..<40)).readableBytesView)
    for bit in 0..<(bytes.count * 8) {
      var flipped = bytes
      flipped[bit / 8] ^= 1 << UInt8(bit % 8)
      var buffer = ByteBuffer(bytes: flipped)
      // A greater length waits for bytes that make the checksum wrong.
      let read = (try? WireFrame.read(from: &buffer, limit: 1 << 20)) ?? nil
      #expect(read == nil, "bit \(bit)")
    }
  }

  @Test func whatIsNoFrameIsRefusedAtOnceAndBeforeMemoryIsTaken() {
    var buffer = ByteBuffer(string: "GET")
    #expect(throws: WireError.badMagic) { try WireFrame.read(from: &buffer, limit: 100) }
    var long = Self.frame()
    long.setInteger(UInt32(101), at: 40, endianness: .little)
    #expect(throws: WireError.tooLong(101, limit: 100)) { try WireFrame.read(from: &long, limit: 100) }
    var newer = Self.frame()
    newer.setInteger(UInt8(2), at: 4)
    #expect(throws: WireError.unsupportedVersion(2)) { try WireFrame.read(from: &newer, limit: 100) }
    var kind = Self.frame()
    kind.setInteger(UInt8(99), at: 5)
    #expect(throws: WireError.unknownKind(99)) { try WireFrame.read(from: &kind, limit: 100) }
    var reserved = Self.frame()
    reserved.setInteger(UInt16(256), at: 6, endianness: .little)
    #expect(throws: WireError.reservedBits(256)) { try WireFrame.read(from: &reserved, limit: 100) }
  }

  @Test func refusalsSayTheSameAtBothEnds() throws {
    let all: [Refusal] = [
      .wrongCluster(mine: 1, yours: 2), .wrongNode(mine: 3, wanted: 4), .sameNode(5), .noCommonVersion(mine: 1, yours: 2...7), .unknown(9),
    ]
    for refusal in all { #expect(try Self.refusal(refusal.encoded) == refusal) }
    let hello = { (from: UInt64, to: UInt64, cluster: UInt64, versions: ClosedRange<UInt8>) in
      Refusal.judging(
        WireFrame(kind: .hello, cluster: cluster, group: 0, from: from, to: to),
        Hello(oldestVersion: versions.lowerBound, newestVersion: versions.upperBound, incarnation: 0), node: 1, cluster: 8)
    }
    #expect(hello(2, 1, 8, 1...3) == nil)
    #expect(hello(2, 1, 9, 1...1) == .wrongCluster(mine: 8, yours: 9))
    #expect(hello(2, 3, 8, 1...1) == .wrongNode(mine: 1, wanted: 3))
    #expect(hello(1, 1, 8, 1...1) == .sameNode(1))
    #expect(hello(2, 1, 8, 2...3) == .noCommonVersion(mine: 1, yours: 2...3))
  }

  @Test func whatIsSaidOfFilesComesBackOrIsRefused() throws {
    let set = AttachmentSet(id: "7-9", files: [.init(name: "a.sst", bytes: 5, crc32c: 6), .init(name: "b", bytes: .max, crc32c: 0)])
    let bytes = set.encoded
    #expect(try Self.set(bytes) == set)
    for length in bytes.indices { #expect(throws: DecodeError.self, "cut at \(length)") { try Self.set(Array(bytes[..<length])) } }
    for bit in 0..<(bytes.count * 8) {
      var flipped = bytes
      flipped[bit / 8] ^= 1 << UInt8(bit % 8)
      if let other = try? Self.set(flipped) { #expect(other.defect == nil, "bit \(bit)") }
    }
    let evil = AttachmentSet(id: "x", files: [.init(name: "../../etc/passwd", bytes: 1, crc32c: 0)]).encoded
    #expect(throws: DecodeError.self) { try Self.set(evil) }
    let fetch = Fetch(number: 1, id: "7-9", file: "b", offset: 3, bytes: 4)
    #expect(try Self.fetch(fetch.encoded) == fetch)
    for bad in [Fetch(number: 1, id: "..", file: "b", offset: 3, bytes: 4), Fetch(number: 1, id: "a", file: "b", offset: 3, bytes: 2 << 20)] {
      #expect(throws: DecodeError.self) { try Self.fetch(bad.encoded) }
    }
  }

  private static func set(_ bytes: [UInt8]) throws(DecodeError) -> AttachmentSet {
    var reader = ByteReader(bytes.span.bytes)
    return try AttachmentSet(decoding: &reader)
  }

  private static func fetch(_ bytes: [UInt8]) throws(DecodeError) -> Fetch {
    var reader = ByteReader(bytes.span.bytes)
    return try Fetch(decoding: &reader)
  }

  private static func refusal(_ bytes: [UInt8]) throws(DecodeError) -> Refusal {
    var reader = ByteReader(bytes.span.bytes)
    return try Refusal(decoding: &reader)
  }
}
