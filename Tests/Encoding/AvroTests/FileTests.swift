import StrataBytes
import StrataDisk
import StrataNodes
import StrataRequirements
import StrataSimulation
import SystemPackage
import Testing

@testable import StrataAvro

private let path: FilePath = "/data.avro"
private let marker = (0..<16).map { UInt8(200 + $0) }

private func options(_ codec: AvroCodec, blockBytes: Int = 64) -> AvroFileOptions {
  var options = AvroFileOptions()
  options.codec = codec
  options.blockBytes = blockBytes
  options.syncMarker = marker
  return options
}

private func text(_ number: Int) -> AvroValue { .string("value number \(number) " + String(repeating: "x", count: number % 40)) }

private func write(_ numbers: Range<Int>, _ codec: AvroCodec, on disk: any FileSystem) throws {
  var writer = try AvroFileWriter.create(path, schema: .string, options: options(codec), on: disk)
  for number in numbers { try writer.append(text(number)) }
  try writer.close()
}

/// Values up to the end or the first error.
private func readable(_ disk: any FileSystem, onCorruption: AvroCorruption = .throw) throws -> (values: [AvroValue], error: AvroFileError?) {
  var reader = try AvroFileReader(path, onCorruption: onCorruption, on: disk)
  var values: [AvroValue] = []
  do throws(AvroFileError) { while let value = try reader.next() { values.append(value) } } catch { return (values, error) }
  return (values, nil)
}

struct FileTests {
  static let codecs: [AvroCodec] = [.null, .deflate(), .snappy, .zstandard()]

  @Test func aFileOfTheSpecificationsBytes() throws {
    let disk = SimulatedFileSystem()
    var writer = try AvroFileWriter.create(path, schema: .long, options: options(.null), on: disk)
    try writer.append(.long(1))
    try writer.append(.long(-1))
    try writer.close()
    var expected: [UInt8] = [0x4F, 0x62, 0x6A, 0x01, 0x04]
    for text in ["\u{16}avro.schema", "\u{0C}\"long\"", "\u{14}avro.codec", "\u{08}null", "\u{00}"] { expected += Array(text.utf8) }
    expected += marker
    expected += [0x04, 0x04, 0x02, 0x01]
    expected += marker
    #expect(disk.bytes(of: path) == expected)
    #expect(disk.bytes(of: "/data.avro.crc")?.count == 60)
  }

  @Test(arguments: codecs)
  func everyCodecThereAndBack(_ codec: AvroCodec) throws {
    let disk = SimulatedFileSystem()
    try write(0..<500, codec, on: disk)
    let result = try readable(disk)
    #expect(result.error == nil)
    #expect(result.values == (0..<500).map(text))
    let reader = try AvroFileReader(path, on: disk)
    #expect(reader.codec.name == codec.name)
    #expect(reader.schema == .string)
    #expect(try reader.map { try $0.get() } == (0..<500).map(text))
  }

  @Test func metadataInSizedBlocksAndWithoutCodec() throws {
    let disk = SimulatedFileSystem()
    var bytes: [UInt8] = [0x4F, 0x62, 0x6A, 0x01]
    let entry = Array("\u{16}avro.schema\u{0C}\"long\"".utf8)
    bytes += [0x01]
    bytes += ByteWriterBytes.zigzag(Int64(entry.count))
    bytes += entry
    // The marker's bytes also stand in the metadata.
    bytes += [0x02, 0x02, 0x6B, 0x20]
    bytes += marker
    bytes += [0x00]
    bytes += marker
    bytes += [0x02, 0x02, 0x0A]
    bytes += marker
    try disk.install(path, bytes)
    #expect(try readable(disk).values == [.long(5)])
    var part = try AvroFileReader(path, split: 10..<UInt64(bytes.count), on: disk)
    #expect(try part.next() == .long(5))
  }

  @Test func resolvedWhileReading() throws {
    let disk = SimulatedFileSystem()
    try write(0..<20, .zstandard(), on: disk)
    var reader = try AvroFileReader(path, reader: .bytes, on: disk)
    guard case .bytes? = try reader.next() else { return #expect(Bool(false)) }
    #expect(throws: AvroFileError.self) { try AvroFileReader(path, reader: .int, on: disk) }
  }

  @Test func partsShareNothingAndLoseNothing() throws {
    let disk = SimulatedFileSystem()
    try write(0..<300, .deflate(), on: disk)
    let size = UInt64(disk.bytes(of: path)?.count ?? 0)
    var random = Random(seed: 7)
    for _ in 0..<40 {
      var cuts = (0..<random.below(6)).map { _ in UInt64(random.below(Int(size))) }.sorted()
      cuts = [0] + cuts + [size]
      var values: [AvroValue] = []
      for (from, to) in zip(cuts, cuts.dropFirst()) where from < to {
        var reader = try AvroFileReader(path, split: from..<to, on: disk)
        while let value = try reader.next() { values.append(value) }
      }
      #expect(values == (0..<300).map(text), "cuts \(cuts)")
    }
  }

  @Test(arguments: codecs)
  func everyFlippedBitOfABlockIsFound(_ codec: AvroCodec) throws {
    let disk = SimulatedFileSystem()
    try write(0..<8, codec, on: disk)
    let bytes = try #require(disk.bytes(of: path))
    let first = Int(try AvroFileReader(path, on: disk).headerLength)
    for bit in first * 8..<bytes.count * 8 where bit % (testDepth > 1 ? 1 : 3) == 0 {
      var damaged = bytes
      damaged[bit / 8] ^= UInt8(1 << (bit % 8))
      try disk.install(path, damaged)
      let result = try readable(disk)
      #expect(result.values == (0..<result.values.count).map(text), "bit \(bit)")
      if result.error == nil {
        // RFC 8878 leaves bits of frames and sequences without meaning; a flip there changes no content, which its checksum confirms.
        #expect(codec.name == "zstandard" && result.values.count == 8, "bit \(bit)")
        continue
      }
      let rest = try readable(disk, onCorruption: .skipToNextSync)
      #expect(rest.error == nil, "bit \(bit)")
      #expect(rest.values.allSatisfy { value in (0..<8).contains { text($0) == value } }, "bit \(bit)")
    }
  }

  @Test(arguments: codecs)
  func everyLengthOfTheFile(_ codec: AvroCodec) throws {
    let disk = SimulatedFileSystem()
    try write(0..<12, codec, on: disk)
    let bytes = try #require(disk.bytes(of: path))
    let first = Int(try AvroFileReader(path, on: disk).headerLength)
    for count in 0..<bytes.count {
      try disk.install(path, Array(bytes[..<count]))
      guard count >= first else {
        #expect(throws: AvroFileError.self) { try AvroFileReader(path, on: disk) }
        continue
      }
      let result = try readable(disk)
      #expect(result.values == (0..<result.values.count).map(text))
      // What was cut at a block's end shows only where there are checksums beside the file.
      if codec.needsSidecar { #expect(result.error != nil, "cut to \(count)") }
    }
  }

  @Test func damageIsPassedOverAndReported() throws {
    let disk = SimulatedFileSystem()
    try write(0..<100, .zstandard(), on: disk)
    var bytes = try #require(disk.bytes(of: path))
    var reader = try AvroFileReader(path, on: disk)
    var blocks: [AvroBlock] = []
    while let block = try reader.nextBlock() { blocks.append(block) }
    let bad = blocks[3]
    bytes[Int(bad.offset)] ^= 0x80
    try disk.install(path, bytes)
    var salvage = try AvroFileReader(path, onCorruption: .skipToNextSync, on: disk)
    var count = 0
    while try salvage.next() != nil { count += 1 }
    #expect(count == 100 - bad.count)
    #expect(salvage.damage.map(\.range) == [bad.offset..<bad.end])
  }

  @Test func badInputHasKindsOfItsOwn() throws {
    let disk = SimulatedFileSystem()
    func failure(_ bytes: [UInt8]) -> String {
      do {
        try disk.install(path, bytes)
        var reader = try AvroFileReader(path, on: disk)
        while try reader.next() != nil {}
      } catch { return "\(error)" }
      return ""
    }
    #expect(failure([1, 2, 3, 4, 5]).contains("not an Avro container"))
    let header = { (schema: String, codec: String) in
      ContainerHeader(metadata: [("avro.schema", Array(schema.utf8)), ("avro.codec", Array(codec.utf8))], sync: marker).encoded()
    }
    #expect(failure(ContainerHeader(metadata: [], sync: marker).encoded()).contains("no avro.schema"))
    #expect(failure(header(#""nothing""#, "null")).contains("no type that is known"))
    #expect(failure(header(#""int""#, "lzo")).contains("codec lzo"))
    let file = header(#""int""#, "null")
    #expect(failure(file + [0x02, 0x02, 0x06] + marker) == "")
    #expect(failure(file + [0x02, 0x02, 0x06] + marker.reversed()).contains("does not end in the file's marker"))
    #expect(failure(file + [0x04, 0x02, 0x06] + marker).contains("the data ends inside a value"))
    #expect(failure(file + [0x02, 0x04, 0x06, 0x06] + marker).contains("bytes are left behind"))
    #expect(failure(file + [0x02, 0x03, 0x06] + marker).contains("below zero"))
    #expect(failure(file + [0x02] + ByteWriterBytes.zigzag(1 << 40)).contains("more than the limit"))
    #expect(failure(file + [0x02, 0x02]).contains("ends inside the block"))
    #expect(throws: AvroFileError.self) { try AvroFileWriter.create(path, schema: .int, options: options(.xz), on: disk).bytesWritten }
  }

  @Test func appendingGoesOnBehindTheLastWholeBlock() throws {
    for codec in Self.codecs {
      let disk = SimulatedFileSystem()
      try write(0..<30, codec, on: disk)
      let whole = try #require(disk.bytes(of: path))
      try disk.install(path, whole + [0x10, 0x20, 0x30])
      var writer = try AvroFileWriter.append(path, schema: .string, on: disk)
      for number in 30..<50 { try writer.append(text(number)) }
      try writer.close()
      let result = try readable(disk)
      #expect(result.error == nil)
      #expect(result.values == (0..<50).map(text), "\(codec)")
      #expect(throws: AvroFileError.self) { try AvroFileWriter.append(path, schema: .bytes, on: disk).bytesWritten }
      // Damage that whole blocks follow is not an appender's to cut away.
      var damaged = try #require(disk.bytes(of: path))
      damaged[Int(try AvroFileReader(path, on: disk).headerLength) + 30] ^= 0x40
      try disk.install(path, damaged)
      #expect(throws: AvroFileError.self) { try AvroFileWriter.append(path, schema: .string, on: disk).bytesWritten }
      #expect(disk.bytes(of: path) == damaged)
    }
  }

  @Test func whatWasThereStaysUntilTheNewFileIsWhole() throws {
    let disk = SimulatedFileSystem()
    try write(0..<5, .null, on: disk)
    var writer = try AvroFileWriter.create(path, schema: .string, options: options(.snappy), on: disk)
    try writer.append(text(9))
    #expect(throws: AvroFileError.self) { try writer.append(.int(1)) }
    #expect(try readable(disk).values.count == 5)
    try writer.discard()
    #expect(throws: AvroFileError.self) { try writer.append(text(1)) }
    #expect(disk.bytes(of: "/data.avro.tmp") == nil)
    // The old file's checksums say nothing about a new one.
    var other = options(.null)
    other.syncMarker = marker.reversed()
    var next = try AvroFileWriter.create(path, schema: .string, options: other, on: disk)
    try next.append(text(1))
    let stale = try #require(disk.bytes(of: "/data.avro.crc"))
    try next.close()
    try disk.install("/data.avro.crc", stale)
    #expect(try readable(disk).values == [text(1)])
  }

  @Test func damagedFilesGiveValuesOrErrors() throws {
    let disk = SimulatedFileSystem()
    for codec in Self.codecs {
      try write(0..<20, codec, on: disk)
      let bytes = try #require(disk.bytes(of: path))
      var random = Random(seed: 3)
      for _ in 0..<150 * testDepth {
        var damaged = bytes
        for _ in 0...random.below(4) { damaged[random.below(damaged.count)] = UInt8(random.below(256)) }
        try disk.install(path, damaged)
        _ = try? readable(disk)
        _ = try? readable(disk, onCorruption: .skipToNextSync)
      }
    }
  }
}

struct FileCrashTests {
  private enum Event: Hashable, Sendable {
    case created
    case appended(Int)
  }

  private struct Broken: Error {
    var reason: String
  }

  @Test(arguments: [AvroCodec.zstandard(), .snappy])
  func everyCrashLeavesAPrefixOfWholeBlocks(_ codec: AvroCodec) throws {
    var choices = CrashEnumeration.Options()
    choices.maximumImages = 1500 * testDepth
    let report = try CrashEnumeration(choices).run { (disk, ledger: Ledger<Event>) in
      try write(0..<10, codec, on: disk)
      ledger.note(.created)
      var writer = try AvroFileWriter.append(path, schema: .string, options: options(codec), on: disk)
      for number in 10..<20 {
        try writer.append(text(number))
        if number % 3 == 0 {
          try writer.sync()
          ledger.note(.appended(number))
        }
      }
      try writer.close()
      ledger.note(.appended(19))
    } recover: { disk, ledger in
      var atLeast = 0
      for event in ledger.entries {
        switch event {
        case .created: atLeast = max(atLeast, 10)
        case .appended(let number): atLeast = max(atLeast, number + 1)
        }
      }
      guard try disk.exists(path) else {
        if atLeast > 0 { throw Broken(reason: "the file is gone") }
        return
      }
      let (values, _) = try readable(disk)
      guard values.count >= atLeast, values == (0..<values.count).map(text) else {
        throw Broken(reason: "\(values.count) values where \(atLeast) were acknowledged")
      }
      var writer = try AvroFileWriter.append(path, schema: .string, options: options(codec), on: disk)
      try writer.append(text(values.count))
      try writer.close()
      let after = try readable(disk)
      guard after.error == nil, after.values == (0...values.count).map(text) else { throw Broken(reason: "appending after the crash") }
    }
    #expect(report.isClean, "\(report)")
  }

  @Test func valuesWithoutBytesAreBounded() throws {
    // A block of no bytes that says it has 2^61 nulls is refused, and one of a few is read.
    let disk = SimulatedFileSystem()
    var writer = try AvroFileWriter.create(path, schema: .null, options: options(.null), on: disk)
    for _ in 0..<3 { try writer.append(.null) }
    try writer.close()
    #expect(try readable(disk).values.count == 3)
    var bytes = try #require(disk.bytes(of: path))
    let head = bytes.count - 18
    #expect(bytes[head...head + 1] == [0x06, 0x00])
    bytes.replaceSubrange(head..<head + 1, with: [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40])
    let inflated = SimulatedFileSystem()
    try inflated.install(path, bytes)
    guard case .damagedBlock = try readable(inflated).error else {
      Issue.record("2^61 values of no bytes are read")
      return
    }
  }

  @Test func aNewUncompressedFileIsWholeOrNotThere() throws {
    var choices = CrashEnumeration.Options()
    choices.maximumImages = 1000 * testDepth
    let report = try CrashEnumeration(choices).run { (disk, ledger: Ledger<Event>) in
      try write(0..<10, .null, on: disk)
      ledger.note(.created)
    } recover: { disk, ledger in
      guard try disk.exists(path) else {
        if !ledger.entries.isEmpty { throw Broken(reason: "the file is gone") }
        return
      }
      let (values, error) = try readable(disk)
      guard error == nil, values == (0..<10).map(text) else { throw Broken(reason: "half a file under its name") }
    }
    #expect(report.isClean, "\(report)")
  }
}
