import StrataBytes
import StrataDisk
import StrataNodes
import StrataRequirements
import StrataSimulation
import SystemPackage
import Testing

@testable import StrataBitcask

/// The letter of the formats, as Docs/Formats/Bitcask.md gives it. Files of version 1 must stay readable for ever.
@Suite struct FormatTests {
  static func hex(_ bytes: some Sequence<UInt8>) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }

  static func record(_ header: RecordHeader, key: [UInt8], value: [UInt8], salt: UInt64 = 7, segment: UInt32 = 3, at offset: UInt64) -> [UInt8] {
    var buffer = [UInt8](repeating: 0xEE, count: header.recordBytes)
    buffer.withUnsafeMutableBytes { buffer in
      key.withUnsafeBytes { key in
        value.withUnsafeBytes { RecordSeal(salt: salt, segment: segment).encode(header, key: key, value: $0, at: offset, into: buffer) }
      }
    }
    return buffer
  }

  static let header = RecordHeader(
    flags: [.expiry, .batchEnd], keyLength: 3, valueLength: 6, sequence: 0x0102_0304, expiry: 1_700_000_000_123,
    durableLag: 4, writtenAt: 1_700_000_000)

  @Test(.requirement("Bitcask.never.8")) func theBytesOfARecord() {
    let record = Self.record(Self.header, key: bytes("key"), value: bytes("value!"), at: 4096)
    #expect(record.count == 56)
    #expect(
      Self.hex(record[8...]) == "7cb10a0003000400" + "0600000000f15365" + "0403020100000000"
        + "7b68e5cf8b010000" + Self.hex(bytes("keyvalue!")) + "00000000000000")
    // The two checksums, by the letter: CRC of salt, segment and offset, then of what they cover.
    var place = ByteWriter()
    place.writeUInt64(7)
    place.writeUInt64(3)
    place.writeUInt64(4096)
    let seed = crc32c(place.bytes)
    func stored(_ offset: Int) -> UInt32 { (0..<4).reduce(0) { $0 | UInt32(record[offset + $1]) << (8 * UInt32($1)) } }
    #expect(stored(4) == crc32c(Array(record[43...]).span.bytes, continuing: seed))
    #expect(stored(0) == crc32c(Array(record[4..<43]).span.bytes, continuing: seed))
  }

  @Test(.requirement("Bitcask.never.8")) func everyBitOfARecordCounts() {
    let original = Self.record(Self.header, key: bytes("key"), value: bytes("value!"), at: 4096)
    let seal = RecordSeal(salt: 7, segment: 3)
    func isSound(_ record: [UInt8], at offset: UInt64, _ seal: RecordSeal) -> Bool {
      record.withUnsafeBytes {
        guard case .valid(let header) = seal.header(in: $0, at: offset, limit: UInt64($0.count)) else { return false }
        return header == Self.header.with(payloadCRC: header.payloadCRC) && seal.payloadIsValid(header, $0, at: offset)
      }
    }
    #expect(isSound(original, at: 4096, seal))
    for bit in 0..<original.count * 8 {
      var record = original
      record[bit / 8] ^= 1 << UInt8(bit % 8)
      #expect(!isSound(record, at: 4096, seal), "bit \(bit)")
    }
    #expect(!isSound(original, at: 4104, seal))
    #expect(!isSound(original, at: 4096, RecordSeal(salt: 8, segment: 3)))
    #expect(!isSound(original, at: 4096, RecordSeal(salt: 7, segment: 4)))
    for length in 0..<original.count { #expect(!isSound(Array(original[..<length]), at: 4096, seal)) }
  }

  @Test func theBytesOfTheOtherFiles() throws {
    let store = StoreID(low: 0x1111, high: 0x2222)
    let header = SegmentHeader(kind: .merged, store: store, segment: 5, salt: 6, firstSequence: 7, created: 8)
    let sector = header.encode()
    #expect(sector.count == 4096)
    #expect(
      Self.hex(sector[..<64]) == "53545242434b3031" + "0100001001000000" + "1111000000000000" + "2222000000000000"
        + "0500000000000000" + "0600000000000000" + "0700000000000000" + "0800000000000000")
    #expect(try SegmentHeader(decoding: sector) == header)
    var newer = Array(sector[..<4092])
    newer[8] = 2
    let crc = crc32c(newer.span.bytes)
    newer += withUnsafeBytes(of: crc.littleEndian) { Array($0) }
    #expect(throws: SegmentHeader.Failure.version(2)) { _ = try SegmentHeader(decoding: newer) }

    var edit = ManifestEdit(store: store, options: ManifestOptions(keepsKeys: true, segmentBytes: 4096))
    edit.added = [
      SegmentFacts(
        id: 9, kind: .log, state: .sealed, isDamaged: true, salt: 1, created: 2, firstSequence: 3, lastSequence: 4,
        length: 5, records: 6)
    ]
    (edit.removed, edit.nextSegment, edit.nextSequence) = ([8], 10, 11)
    let frame = ManifestFormat.encode(edit, number: 1, at: 32)
    #expect(frame.count % 8 == 0)
    #expect(Self.hex(frame[8..<25]) == "01" + "1111000000000000" + "2222000000000000")
    let file = ManifestFormat.header(1) + frame
    #expect(ManifestFormat.decode(file, number: 1, at: 32)?.edit == edit)
    #expect(ManifestFormat.decode(file, number: 2, at: 32) == nil)
    for bit in 0..<frame.count * 8 {
      var damaged = file
      damaged[32 + bit / 8] ^= 1 << UInt8(bit % 8)
      #expect(ManifestFormat.decode(damaged, number: 1, at: 32) == nil, "bit \(bit)")
    }
    #expect(String(decoding: Manifest.currentText(12), as: UTF8.self).hasPrefix("MANIFEST-0000000012 "))
  }

  @Test(.requirement("Bitcask.keep.5", "Bitcask.never.12")) func namesParseExactly() {
    for name in ["0000000001.data", "0000000001.hint", "MANIFEST-0000000007", "CURRENT", "LOCK"] { #expect(FileName(name)?.text == name) }
    for name in [
      "1.data", "00000000001.data", "000000000a.data", "9999999999.data", "0016777216.data", "+000000001.data", "MANIFEST-", "MANIFEST-1",
      "", ".data", "current",
      "0000000001.data2",
    ] { #expect(FileName(name) == nil, "\(name)") }
    #expect(FileName("anything.tmp") == .temporary)
  }

  /// Offsets beyond 4 GiB, through the data file, the hint and the index.
  @Test(.requirement("Bitcask.never.12")) func offsetsBeyondFourGiB() throws {
    let far: UInt64 = 5 << 30
    let location = Location(segment: 77, offset: far, length: 4000)
    #expect(location.offset == far && location.segment == 77 && location.length == 4000)
    #expect(Location(segment: Location.maxSegment, offset: Location.maxOffset, length: 1).offset == Location.maxOffset)
    var writer = ByteWriter()
    let entry = HintEntry(sequence: 1, location: location, isTombstone: false, expiry: 9)
    bytes("k").withUnsafeBytes { HintFormat.encode(entry, key: $0, into: &writer) }
    var reader = ByteReader(writer.bytes)
    #expect(try HintFormat.decode(&reader, segment: 77).entry == entry)

    // A sparse segment: the record lies behind 5 GiB of nothing.
    let directory = FilePath("/tmp/strata-bitcask-far-\(UInt64.random(in: .min ... .max))")
    let system = POSIXFileSystem()
    try system.makeDirectory(directory)
    defer {
      for name in (try? system.list(directory)) ?? [] { try? system.remove(directory.appending(name)) }
      try? system.removeDirectory(directory)
    }
    let file = try system.open(directory.appending("0000000003.data"), .createNew)
    let record = Self.record(Self.header, key: bytes("key"), value: bytes("value!"), at: far)
    try file.write(record, at: far)
    let scanner = SegmentScanner(file, seal: RecordSeal(salt: 7, segment: 3), from: far - 64, to: far + UInt64(record.count))
    guard case .gap(let gap, isZero: true)? = try scanner.next() else { throw Unexpected("no gap") }
    #expect(gap == far - 64..<far)
    guard case .record(let header, offset: far, isSound: true)? = try scanner.next() else { throw Unexpected("no record") }
    #expect(header.sequence == Self.header.sequence && scanner.withKey { [UInt8]($0) } == bytes("key"))
    let facts = SegmentFacts(id: 3, kind: .log, state: .sealed, salt: 7, created: 0, firstSequence: 1, length: far + UInt64(record.count))
    let segment = Segment(facts, path: directory.appending("0000000003.data"), file: file, trash: SegmentTrash())
    let found = try segment.readRecord(at: Location(segment: 3, offset: far, length: UInt32(record.count)))
    #expect(found?.header.sequence == Self.header.sequence)
  }

  @Test func policiesFollowTheThresholds() {
    var policy = MergePolicy(options: MergeOptions(), segmentBytes: 256 << 20)
    func candidate(_ id: UInt32, _ megabytes: Int, dead: Int) -> MergePolicy.Candidate {
      .init(id: id, bytes: megabytes << 20, deadBytes: dead << 20, isDamaged: false)
    }
    #expect(policy.choose([candidate(1, 200, dead: 119)], now: 0) == [])
    #expect(policy.choose([candidate(1, 200, dead: 120)], now: 0) == [1])
    #expect(policy.choose([candidate(1, 2000, dead: 512)], now: 0) == [1])
    // 2 by percentage, 3 by bytes, 4 by size, 5 not at all.
    let mixed = [
      candidate(1, 200, dead: 130), candidate(2, 200, dead: 80), candidate(3, 600, dead: 128),
      candidate(4, 9, dead: 0), candidate(5, 200, dead: 10),
    ]
    #expect(policy.choose(mixed, now: 0) == [1, 2, 3, 4])
    #expect(policy.choose([.init(id: 1, bytes: 100, deadBytes: 100, isDamaged: true)], now: 0) == [])
    policy.options.window = 22..<30
    #expect(policy.choose(mixed, now: 12 * 3_600_000).isEmpty && !policy.choose(mixed, now: 23 * 3_600_000).isEmpty)
    #expect(!policy.choose(mixed, now: 3 * 3_600_000).isEmpty && policy.choose(mixed, now: 7 * 3_600_000).isEmpty)
    policy.options.window = nil
    policy.options.maxFrozenSegments = 2
    #expect(policy.choose((1...3).map { candidate($0, 200, dead: 0) }, now: 0) == [1, 2, 3])
    #expect(policy.choose((1...2).map { candidate($0, 200, dead: 0) }, now: 0) == [])
  }
}

extension RecordHeader {
  func with(payloadCRC: UInt32) -> RecordHeader {
    var copy = self
    copy.payloadCRC = payloadCRC
    return copy
  }
}
