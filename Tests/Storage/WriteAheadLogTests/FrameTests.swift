import StrataBytes
import StrataDisk
import StrataNodes
import StrataRequirements
import StrataSimulation
import SystemPackage
import Testing

@testable import StrataWriteAheadLog

/// Frames, as LevelDB's tests of its log put them to the test.
@Suite struct WALFrameTests {
  static let header = SegmentHeader(logID: LogID(high: 1, low: 2), number: 1, salt: 0x5EED, firstSequence: 1)
  static let path: FilePath = "/segment"

  /// A segment whose records are given by the sizes of their logical payloads, built without a log.
  struct Segment {
    var bytes = WALFrameTests.header.encoded()
    var digest: UInt32 = 0
    var next: UInt64 = 1

    mutating func add(_ record: WALRecord) {
      let size = LogicalRecord.bytes(of: record) + LogicalRecord.prefixBound
      let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Frame.bound(payload: size), alignment: 8)
      defer { buffer.deallocate() }
      var frames = FrameWriter(
        buffer, at: UInt64(bytes.count), sequence: next, seed: Frame.seed(salt: header.salt, segment: header.number), digest: digest)
      LogicalRecord.writePrefix(.operation, count: 1, watermark: 0, to: &frames)
      LogicalRecord.write(record, to: &frames)
      let used = frames.finish()
      digest = frames.digest
      bytes += buffer[..<used]
      next += 1
    }

    mutating func add(sizes: [Int]) { for size in sizes { add(record(next, count: size)) } }

    /// Adds a frame as given, with a right checksum.
    mutating func addFrame(_ kind: UInt8, flags: UInt8 = 0, sequence: UInt64, _ payload: [UInt8]) {
      var frame = [UInt8](repeating: 0, count: 16) + payload
      frame.store(UInt16(payload.count), at: 4)
      frame[6] = kind
      frame[7] = flags
      frame.store(sequence, at: 8)
      let seed = Frame.seed(salt: header.salt, segment: header.number)
      let sum = frame.withUnsafeBytes { Frame.checksum(seed: seed, offset: UInt64(bytes.count), UnsafeRawBufferPointer(rebasing: $0[4...])) }
      frame.store(sum, at: 0)
      bytes += frame
    }

    /// A reader of the segment, cut to `length`.
    func reader(length: Int? = nil) throws -> SegmentReader {
      let disk = SimulatedFileSystem()
      let length = length ?? bytes.count
      try disk.install(path, Array(bytes.prefix(length)))
      return SegmentReader(file: try disk.open(path, .read), header: header, limit: UInt64(length), maxRecordBytes: 1 << 20)
    }
  }

  /// Reads records until something else comes; returns their sequences and what came.
  private func read(_ reader: SegmentReader) throws -> (sequences: [UInt64], last: SegmentReader.Item) {
    var sequences: [UInt64] = []
    while true {
      let item = try reader.next()
      guard case .record(_, let sequence, _) = item else { return (sequences, item) }
      sequences.append(sequence)
    }
  }

  private func isEnd(_ item: SegmentReader.Item) -> Bool { if case .end = item { true } else { false } }
  private func isBad(_ item: SegmentReader.Item) -> Bool { if case .bad = item { true } else { false } }

  @Test(.requirement("WriteAheadLog.keep.9")) func recordsOfEverySizeAroundABlock() throws {
    let room = Frame.blockBytes - 16
    for size in [0, 1, room - 30, room - 1, room, room + 1, Frame.blockBytes, 3 * Frame.blockBytes, 100_000] {
      var segment = Segment()
      segment.add(sizes: [size, 5, size, 0])
      let reader = try segment.reader()
      for number in UInt64(1)...4 {
        guard case .record(_, number, let prefix) = try reader.next() else {
          Issue.record("record \(number) of \(size) bytes")
          break
        }
        #expect(prefix.count == 1 && reader.payload.count >= (number % 2 == 1 ? size : 0))
      }
      #expect(isEnd(try reader.next()))
    }
  }

  @Test(.requirement("WriteAheadLog.keep.9")) func keysAndValuesAreAnyBytes() throws {
    let disk = SimulatedFileSystem()
    var log = try WriteAheadLog.openSmall(disk)
    var random = Random(seed: 3)
    var written: [WALRecord] = [
      .put(key: [], value: []), .delete(key: []), .application(kind: 255, payload: []), .put(key: [0, 0, 0], value: [255]),
      .put(key: random.bytes(100_001), value: random.bytes(150_000)), .delete(key: [UInt8](repeating: 0, count: 70_000)),
    ]
    for size in [1, 127, 128, 16_383, 16_384] { written.append(.put(key: random.bytes(size), value: random.bytes(size))) }
    for record in written { try log.append(record) }
    try log.append(batch: written)
    try log.close()
    log = try WriteAheadLog.openSmall(disk)
    #expect(try log.entries().map(\.content) == (written + written).map { .operation($0) })
    var borrowed: [WALRecord] = []
    try log.replay().forEach { (_, operation, first, second) in
      switch operation {
      case .put: borrowed.append(.put(key: [UInt8](first), value: [UInt8](second)))
      case .delete: borrowed.append(.delete(key: [UInt8](first)))
      case .application(let kind): borrowed.append(.application(kind: kind, payload: [UInt8](first)))
      }
    }
    #expect(borrowed == written + written)
  }

  /// A record is made to end at every distance from the block's end, and another, or a seal, follows.
  @Test func everyRestOfABlock() throws {
    for rest in 0...70 {
      var segment = Segment()
      // 16 frame header, 3 prefix, 1 code, 3 length.
      segment.add(sizes: [Frame.blockBytes - rest - 23])
      let end = segment.bytes.count - SegmentHeader.bytes
      try #require(end == Frame.blockBytes - rest)
      var followed = segment
      followed.add(sizes: [10, 0])
      #expect(try read(try followed.reader()).sequences == [1, 2, 3], "a record behind a rest of \(rest)")
      let seal = Seal(lastSequence: 1, digest: segment.digest, reason: .rotated)
      segment.bytes += seal.encoded(at: UInt64(segment.bytes.count), seed: Frame.seed(salt: Self.header.salt, segment: 1))
      let handed = Seal(lastSequence: 1, digest: segment.digest, reason: .handover)
      segment.bytes += handed.encoded(at: UInt64(segment.bytes.count), seed: Frame.seed(salt: Self.header.salt, segment: 1))
      let reader = try segment.reader()
      let found = try read(reader)
      guard case .seal(seal, _) = found.last, case .seal(handed, _) = try reader.next() else {
        Issue.record("a seal behind a rest of \(rest): \(found.last)")
        continue
      }
    }
  }

  /// The same through a log: closed, reopened, read, whatever was left of the block.
  @Test(.requirement("WriteAheadLog.keep.8"), arguments: [1, 512, 4096]) func everyRestOfABlockInALog(padGroups: Int) throws {
    for rest in stride(from: 0, through: 66, by: testDepth > 1 ? 1 : 3) {
      let disk = SimulatedFileSystem()
      let change: (inout WALOptions) -> Void = { $0.padGroups = padGroups }
      var log = try WriteAheadLog.openSmall(disk, change)
      try log.append(record(1, count: Frame.blockBytes - rest - 23))
      try log.append(record(2))
      try log.close()
      log = try WriteAheadLog.openSmall(disk, change)
      #expect(try log.sequences() == [1, 2], "rest \(rest)")
      try log.append(record(3, count: Frame.blockBytes - rest - 23))
      try log.close()
      log = try WriteAheadLog.openSmall(disk, change)
      try log.append(record(4, count: Frame.blockBytes - rest - 23))
      let crashed = try WriteAheadLog.openSmall(disk.crash(.random), change)
      #expect(try crashed.sequences() == [1, 2, 3, 4], "rest \(rest)")
    }
  }

  @Test func groupsThatBeginOnFreshSectors() throws {
    for alignment in [512, 4096] {
      let disk = SimulatedFileSystem()
      var log = try WriteAheadLog.openSmall(disk) { $0.padGroups = alignment }
      for number in UInt64(1)...60 { try log.append(record(number, count: Int(400 + number * 7 % 120))) }
      #expect(try log.entries().allSatisfy { $0.offset % UInt64(alignment) == 0 })
      try log.close()
      log = try WriteAheadLog.openSmall(disk) { $0.padGroups = alignment }
      #expect(try log.sequences() == Array(1...60))
    }
  }

  @Test func fragmentsOutOfPlace() throws {
    // Kinds: 1 full, 2 first, 3 middle, 4 last.
    let cases: [(name: String, frames: [(kind: UInt8, sequence: UInt64)])] = [
      ("a last without its first", [(4, 2)]), ("a middle without its first", [(3, 2)]), ("a first and the end", [(2, 2)]),
      ("a first behind a first", [(2, 2), (2, 2)]), ("a full behind a first", [(2, 2), (1, 2)]), ("a last of another record", [(2, 2), (4, 3)]),
      ("a seal inside a record", [(2, 2), (5, 2)]), ("an unknown kind", [(9, 2)]), ("the wrong sequence", [(1, 3)]),
      ("the sequence before", [(1, 1)]),
    ]
    for (name, frames) in cases {
      var segment = Segment()
      segment.add(sizes: [10])
      let end = segment.bytes.count
      for frame in frames { segment.addFrame(frame.kind, sequence: frame.sequence, [1, 1, 0, 64, 0]) }
      let reader = try segment.reader()
      let found = try read(reader)
      #expect(found.sequences == [1] && isBad(found.last), "\(name): \(found)")
      #expect(reader.validEnd == UInt64(end), "\(name)")
    }
  }

  /// The due record, written for another place or another segment: only the checksum's seed tells.
  @Test(.requirement("WriteAheadLog.never.3", "WriteAheadLog.never.15")) func aFrameOfAnotherPlaceIsNone() throws {
    var segment = Segment()
    segment.add(sizes: [10])
    let end = segment.bytes.count
    var other = Segment()
    other.add(sizes: [11])
    let elsewhere = other.bytes.count
    segment.add(sizes: [20])
    other.add(sizes: [20])
    #expect(try read(try segment.reader()).sequences == [1, 2])
    segment.bytes.replaceSubrange(end..., with: other.bytes[elsewhere...])
    let found = try read(try segment.reader())
    #expect(found.sequences == [1] && isBad(found.last))
    let seeds = [(Self.header.salt, UInt64(2)), (Self.header.salt &+ 1, 1)].map { Frame.seed(salt: $0, segment: $1) }
    #expect(Set(seeds + [Frame.seed(salt: Self.header.salt, segment: 1)]).count == 3)
  }

  @Test func flagsSayWhetherAFrameMayBeSkipped() throws {
    for (flags, skips) in [(UInt8(0x80), true), (0x81, true), (0x01, false), (0x7F, false)] {
      var segment = Segment()
      segment.add(sizes: [10])
      segment.addFrame(17, flags: flags, sequence: 2, [1, 2, 3])
      segment.add(sizes: [10])
      #expect(try read(try segment.reader()).sequences == (skips ? [1, 2] : [1]), "flags \(flags)")
    }
  }

  @Test func payloadsThatAreNoRecord() throws {
    let payloads: [[UInt8]] = [
      [], [0], [1], [1, 1], [1, 2, 0, 64, 0], [2, 0, 0], [3, 0, 0, 3, 0], [4, 1, 0, 4, 1], [9, 1, 0], [1, 0x80],
      [2] + [UInt8](repeating: 0xFF, count: 9) + [0x7F, 0],
    ]
    for payload in payloads {
      var segment = Segment()
      segment.addFrame(1, sequence: 1, payload)
      let found = try read(try segment.reader())
      #expect(found.sequences.isEmpty && isBad(found.last), "\(payload)")
    }
    // Right in front, wrong behind: found out when it is read.
    for body in [[1, 1, 0, 64], [1, 1, 0, 64, 200, 1], [1, 1, 0, 5, 0], [2, 3, 0, 64, 0], [1, 1, 0, 1, 1, 7]] as [[UInt8]] {
      let disk = SimulatedFileSystem()
      var segment = Segment()
      segment.addFrame(1, sequence: 1, body)
      try disk.install(logPath.appending(SegmentName.make(number: 1, firstSequence: 1)), segment.bytes)
      let log = try WriteAheadLog.openSmall(disk)
      #expect(throws: WALError.self, "\(body)") { try log.entries() }
      #expect(throws: WALError.self, "\(body)") { try log.replay().forEach { (_, _, _, _) in } }
    }
  }

  @Test func aCutRecordIsATornTail() throws {
    var segment = Segment()
    segment.add(sizes: [10, 40_000])
    let first = SegmentHeader.bytes + 16 + 3 + 2 + 10
    for length in stride(from: first + 1, to: segment.bytes.count, by: testDepth > 1 ? 7 : 977) {
      let found = try read(try segment.reader(length: length))
      #expect(found.sequences == [1] && isBad(found.last), "\(length)")
    }
  }
}
