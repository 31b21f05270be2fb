import StrataNodes
import StrataRequirements
import Testing

@testable import StrataBytes

/// What reading `bytes` by `body` threw, or nil.
private func failure(_ bytes: [UInt8], base: Int = 0, _ body: (inout ByteReader) throws(DecodeError) -> Void) -> DecodeError? {
  var reader = ByteReader(bytes.span.bytes, base: base)
  let before = reader.offset
  do throws(DecodeError) {
    try body(&reader)
    return nil
  } catch {
    #expect(reader.offset == before, "a failed read leaves the reader where it was")
    return error
  }
}

@Suite struct ReaderWriterTests {
  @Test func fixedWidthRoundTrip() throws {
    var writer = ByteWriter()
    writer.writeUInt8(0xAB)
    writer.writeUInt16(0x0102)
    writer.writeUInt32(0x0304_0506)
    writer.writeUInt64(0x0708_090A_0B0C_0D0E)
    writer.writeInt32(-2)
    writer.writeInt64(.min)
    writer.writeDouble(-0.0)
    writer.writeUInt16BigEndian(0x0102)
    writer.writeUInt32BigEndian(0x0304_0506)
    writer.writeUInt64BigEndian(0x0708_090A_0B0C_0D0E)
    #expect(writer.count == 49)
    let bytes = writer.finish()
    #expect(Array(bytes[..<15]) == [UInt8](hex: "ab 0201 06050403 0e0d0c0b0a090807"))
    #expect(Array(bytes[35...]) == [UInt8](hex: "0102 03040506 0708090a0b0c0d0e"))
    var reader = ByteReader(bytes.span.bytes)
    #expect(try reader.readUInt8() == 0xAB)
    #expect(try reader.readUInt16() == 0x0102)
    #expect(try reader.readUInt32() == 0x0304_0506)
    #expect(try reader.readUInt64() == 0x0708_090A_0B0C_0D0E)
    #expect(try reader.readInt32() == -2)
    #expect(try reader.readInt64() == .min)
    let zero = try reader.readDouble()
    #expect(zero == 0 && zero.sign == .minus)
    #expect(try reader.readUInt16BigEndian() == 0x0102)
    #expect(try reader.readUInt32BigEndian() == 0x0304_0506)
    #expect(try reader.readUInt64BigEndian() == 0x0708_090A_0B0C_0D0E)
    let ended = reader.isAtEnd
    #expect(ended && reader.remaining == 0)
  }

  @Test func varintsOfEveryLengthRoundTrip() throws {
    var random = Random(seed: 11)
    var values: [UInt64] = [0, 1, 127, 128, 16_383, 16_384, UInt64(UInt32.max), UInt64(UInt32.max) + 1, .max]
    for bits in 0..<64 { values += [1 << bits, (1 << bits) - 1, random.next() >> bits] }
    for value in values {
      var writer = ByteWriter()
      writer.writeVarint64(value)
      writer.writeZigzag64(Int64(bitPattern: value))
      #expect(ByteWriter.varintLength(value) <= writer.count)
      let bytes = writer.finish()
      var reader = ByteReader(bytes.span.bytes)
      #expect(try reader.readVarint64() == value)
      #expect(reader.offset == ByteWriter.varintLength(value))
      #expect(try reader.readZigzag64() == Int64(bitPattern: value))
      #expect(reader.remaining == 0)
      guard let small = UInt32(exactly: value) else { continue }
      var narrow = ByteWriter()
      narrow.writeVarint32(small)
      narrow.writeZigzag32(Int32(bitPattern: small))
      let narrowBytes = narrow.finish()
      var narrowReader = ByteReader(narrowBytes.span.bytes)
      #expect(try narrowReader.readVarint32() == small)
      #expect(try narrowReader.readZigzag32() == Int32(bitPattern: small))
    }
  }

  @Test func varintsHaveThePublishedForm() {
    func varint(_ value: UInt64) -> [UInt8] {
      var writer = ByteWriter()
      writer.writeVarint64(value)
      return writer.finish()
    }
    func zigzag(_ value: Int64) -> [UInt8] {
      var writer = ByteWriter()
      writer.writeZigzag64(value)
      return writer.finish()
    }
    #expect(varint(300) == [0xAC, 0x02])
    #expect(varint(.max) == [UInt8](repeating: 0xFF, count: 9) + [0x01])
    #expect(zigzag(-1) == [0x01] && zigzag(1) == [0x02] && zigzag(-2) == [0x03] && zigzag(.min) == varint(.max))
  }

  @Test(.requirement("Simulation.never.4")) func badVarintsAreRefused() {
    let full = [UInt8](repeating: 0xFF, count: 9)
    #expect(failure([0x80, 0x00]) { r throws(DecodeError) in _ = try r.readVarint64() } == .overlong(at: 0))
    #expect(failure([0xFF, 0x80, 0x00]) { r throws(DecodeError) in _ = try r.readVarint32() } == .overlong(at: 0))
    #expect(failure(full + [0x02]) { r throws(DecodeError) in _ = try r.readVarint64() } == .overflow(at: 0))
    #expect(failure(full + [0x81, 0x00]) { r throws(DecodeError) in _ = try r.readVarint64() } == .overflow(at: 0))
    #expect(failure(full + full) { r throws(DecodeError) in _ = try r.readVarint64() } == .overflow(at: 0))
    #expect(failure([0xFF, 0xFF, 0xFF, 0xFF, 0x10]) { r throws(DecodeError) in _ = try r.readVarint32() } == .overflow(at: 0))
    #expect(failure([0xFF, 0xFF, 0xFF, 0xFF, 0x8F, 0x01]) { r throws(DecodeError) in _ = try r.readVarint32() } == .overflow(at: 0))
    #expect(failure([], base: 40) { r throws(DecodeError) in _ = try r.readVarint64() } == .truncated(at: 40, need: 1, have: 0))
    #expect(failure([0x80, 0x80], base: 40) { r throws(DecodeError) in _ = try r.readVarint64() } == .truncated(at: 40, need: 3, have: 2))
  }

  /// With eight bytes left a varint is read as one word, near the end byte by byte: both must say the same of any bytes.
  @Test(.requirement("Simulation.never.4")) func bothWaysToReadAVarintAgree() {
    let seed: UInt64 = 0x7A
    var random = Random(seed: seed)
    func outcome(_ bytes: [UInt8], bits: Int) -> Result<[UInt64], DecodeError> {
      var reader = ByteReader(bytes.span.bytes)
      do throws(DecodeError) {
        let value = bits == 64 ? try reader.readVarint64() : UInt64(try reader.readVarint32())
        return .success([value, UInt64(reader.offset)])
      } catch { return .failure(error) }
    }
    for round in 0..<30_000 * min(depth, 100) {
      var bytes = (0..<random.below(11)).map { _ in [0x80, 0x81, 0xFF, 0x8F, 0x90][random.below(5)] as UInt8 }
      bytes.append([0, 1, 2, 0x0F, 0x10, 0x7F][random.below(6)])
      for bits in [32, 64] {
        let near = outcome(bytes, bits: bits)
        let far = outcome(bytes + [UInt8](repeating: 0xA5, count: 8), bits: bits)
        if near != far { Issue.record("seed \(seed) round \(round): \(bytes) as \(bits) bits: \(near), \(far)") }
      }
    }
  }

  @Test(.requirement("Simulation.never.4")) func lengthsAreHeldAgainstLimitAndRest() {
    #expect(
      failure([0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01]) { r throws(DecodeError) in
        _ = try r.readLengthPrefixed(limit: .max, field: "value")
      } == .limitExceeded(at: 0, field: "value", limit: .max))
    #expect(
      failure([11] + Array(0..<11), base: 100) { r throws(DecodeError) in
        _ = try r.readLengthPrefixed(limit: 10, field: "key")
      } == .limitExceeded(at: 100, field: "key", limit: 10))
    #expect(
      failure([5, 1, 2], base: 7) { r throws(DecodeError) in
        _ = try r.readLengthPrefixed(limit: 10, field: "key")
      } == .truncated(at: 7, need: 5, have: 2))
    #expect(
      failure([1]) { r throws(DecodeError) in _ = try r.readCount(limit: -1, field: "n") } == .limitExceeded(at: 0, field: "n", limit: -1))
    #expect(failure([1, 2, 3]) { r throws(DecodeError) in try r.skip(4) } == .truncated(at: 0, need: 4, have: 3))
    #expect(failure([1, 2, 3]) { r throws(DecodeError) in try r.skip(-1) } == .truncated(at: 0, need: -1, have: 3))
    #expect(failure([1, 2, 3]) { r throws(DecodeError) in _ = try r.readBytes(.min) } == .truncated(at: 0, need: .min, have: 3))
    #expect(failure([1, 2, 3], base: 9) { r throws(DecodeError) in _ = try r.readUInt32() } == .truncated(at: 9, need: 4, have: 3))
  }

  @Test func bytesAndSubreaders() throws {
    var writer = ByteWriter(capacity: 64)
    writer.writeMagic("STRTEST1")
    writer.writeLengthPrefixed([1, 2, 3])
    writer.writeLengthPrefixed([UInt8](repeating: 7, count: 200))
    writer.writeZeros(3)
    writer.writeChecksum(since: 0)
    writer.writeUInt8(9)
    let bytes = writer.finish()
    var reader = ByteReader(bytes.span.bytes, base: 1000)
    try reader.readMagic("STRTEST1")
    let three = try reader.readLengthPrefixed(limit: 10, field: "three")
    #expect(three.withUnsafeBytes { Array($0) } == [1, 2, 3])
    var inner = try reader.subreader(202)
    #expect(inner.offset == 1012)
    #expect(try inner.readCount(limit: 200, field: "many") == 200)
    #expect(inner.readRest().byteCount == 200)
    #expect(inner.remaining == 0)
    try reader.skip(3)
    try reader.readChecksum(since: 1000)
    do throws(DecodeError) {
      try reader.expectEnd(of: "record")
      Issue.record("one byte is left")
    } catch {
      #expect(error.offset == reader.offset)
    }
    #expect(try reader.readUInt8() == 9)
    try reader.expectEnd(of: "record")
  }

  @Test(.requirement("Simulation.never.4", "Simulation.keep.6")) func everyFlipAndCutOfAChecksummedRecordIsATypedError() throws {
    var writer = ByteWriter()
    writer.writeMagic("STRTEST1")
    writer.writeUInt16(3)
    writer.writeLengthPrefixed(Array("some payload".utf8))
    writer.writeChecksum(since: 0)
    let good = writer.finish()
    func decode(_ bytes: [UInt8]) -> Result<[UInt8], DecodeError> {
      var reader = ByteReader(bytes.span.bytes)
      do throws(DecodeError) {
        try reader.readMagic("STRTEST1")
        let version = try reader.readUInt16()
        guard version <= 3 else { throw .unsupportedVersion(at: reader.offset - 2, version: UInt32(version), newest: 3) }
        let payload = try reader.readLengthPrefixed(limit: 100, field: "payload")
        try reader.readChecksum(since: 0)
        try reader.expectEnd(of: "record")
        return .success(payload.withUnsafeBytes { Array($0) })
      } catch {
        return .failure(error)
      }
    }
    #expect(try decode(good).get() == Array("some payload".utf8))
    for bit in 0..<good.count * 8 {
      var bad = good
      bad[bit / 8] ^= 1 << (bit % 8)
      #expect(throws: DecodeError.self, "bit \(bit)") { try decode(bad).get() }
    }
    for length in 0..<good.count {
      #expect(throws: DecodeError.self, "length \(length)") { try decode(Array(good[..<length])).get() }
    }
    var flipped = good
    flipped[12] ^= 1
    guard case .failure(.checksumMismatch(let at, let expected, let actual, let range)) = decode(flipped) else {
      Issue.record("a flipped payload is a checksum mismatch")
      return
    }
    #expect(at == 23 && range == 0..<23 && expected != actual)
  }

  @Test func readsThatFailLeaveTheReaderInPlace() {
    #expect(failure(Array("WRONG".utf8), base: 3) { r throws(DecodeError) in try r.readMagic("RIGHT") } == .badMagic(at: 3))
    #expect(failure(Array("RIG".utf8), base: 3) { r throws(DecodeError) in try r.readMagic("RIGHT") } == .truncated(at: 3, need: 5, have: 3))
  }

  @Test func writersAreReusedAndCorrected() {
    var writer = ByteWriter()
    writer.writeBytes([UInt8](repeating: 3, count: 1000))
    writer.removeAll()
    #expect(writer.count == 0)
    writer.writeUInt32(0)
    writer.writeUInt64(0)
    writer.writeBytes([5, 6])
    writer.overwriteUInt32(0x0403_0201, at: 0)
    writer.overwriteUInt64(0x0102, at: 4)
    writer.truncate(to: 13)
    #expect(writer.bytes.withUnsafeBytes { Array($0) } == [1, 2, 3, 4, 2, 1, 0, 0, 0, 0, 0, 0, 5])
    writer.removeAll()
    writer.writeBytes([UInt8(8)].span.bytes)
    #expect(writer.finish() == [8])
  }

  @Test func writersGrowAndKeepWhatTheyHold() throws {
    var random = Random(seed: 13)
    for _ in 0..<50 {
      var expected = random.bytes(random.below(50))
      var writer = ByteWriter(beginningWith: expected)
      for _ in 0..<random.below(200) {
        switch random.below(4) {
        case 0:
          let piece = random.bytes(random.below(100))
          writer.writeBytes(piece)
          expected += piece
        case 1:
          writer.writeZeros(3)
          expected += [0, 0, 0]
        case 2:
          let word = random.next()
          writer.writeUInt64(word)
          expected += (0..<8).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) }
        default:
          let kept = random.within(0...expected.count)
          writer.truncate(to: kept)
          expected.removeLast(expected.count - kept)
        }
      }
      #expect(writer.count == expected.count)
      #expect(writer.finish() == expected)
    }
  }

  @Test func errorsSayWhatWhereAndCure() {
    let all: [DecodeError] = [
      .truncated(at: 12, need: 3, have: 1), .overlong(at: 12), .overflow(at: 12), .limitExceeded(at: 12, field: "key", limit: 9),
      .badMagic(at: 12), .unsupportedVersion(at: 12, version: 9, newest: 2),
      .checksumMismatch(at: 12, expected: 0xAB, actual: 2, range: 0..<12), .malformed(at: 12, field: "tag"),
    ]
    for error in all {
      #expect(error.description.hasPrefix("byte 12: "), "\(error)")
      #expect(error.offset == 12)
    }
    #expect(all[6].description.contains("0x000000ab"))
    #expect(all[3].description.contains("key") && all[3].description.contains("9"))
  }

  /// Random bytes through every read: a value or a typed error, never a trap, and the reader never passes the end.
  @Test(.requirement("Simulation.never.4")) func randomBytesNeverTrap() {
    let seed: UInt64 = 0xF022
    var random = Random(seed: seed)
    var succeeded = 0
    var failed = 0
    for round in 0..<(depth >= 10 ? 2_000_000 : 20_000 * depth) {
      let bytes = random.bytes(random.below(24))
      let base = round % 3 == 0 ? Int(bitPattern: UInt(random.next())) : 0
      var reader = ByteReader(bytes.span.bytes, base: base)
      for _ in 0..<5 {
        do throws(DecodeError) {
          try readAnything(random.below(19), &reader, &random)
          succeeded += 1
        } catch {
          failed += 1
        }
        if reader.remaining < 0 || reader.remaining > bytes.count { Issue.record("seed \(seed) round \(round): left the bytes") }
      }
    }
    #expect(succeeded > failed / 10 && failed > succeeded / 10, "both outcomes are common: \(succeeded), \(failed)")
  }
}

private func readAnything(_ kind: Int, _ reader: inout ByteReader, _ random: inout Random) throws(DecodeError) {
  switch kind {
  case 0: _ = try reader.readUInt8()
  case 1: _ = try reader.readUInt16()
  case 2: _ = try reader.readUInt32()
  case 3: _ = try reader.readUInt64()
  case 4: _ = try reader.readInt32()
  case 5: _ = try reader.readInt64()
  case 6: _ = try reader.readDouble()
  case 7: _ = try reader.readUInt16BigEndian()
  case 8: _ = try reader.readUInt32BigEndian()
  case 9: _ = try reader.readUInt64BigEndian()
  case 10: _ = try reader.readVarint32()
  case 11: _ = try reader.readVarint64()
  case 12: _ = try reader.readZigzag32()
  case 13: _ = try reader.readZigzag64()
  case 14: _ = try reader.readLengthPrefixed(limit: random.below(300), field: "x")
  case 15: _ = try reader.readBytes(Int(bitPattern: UInt(random.next() >> UInt64(random.below(64)))))
  case 16: _ = try reader.readCount(limit: .max, field: "x")
  case 17: try reader.readChecksum(since: reader.offset)
  default:
    var inner = try reader.subreader(random.below(8))
    _ = try inner.readVarint64()
  }
}
