import StrataBytes
import StrataDisk

/// Reads the records of one segment file in order, verifying every frame. Single owner.
///
/// Parses nothing at or beyond `limit`, so that a reader never sees bytes a writer is at.
final class SegmentReader {
  enum Item {
    /// A record whose payload is ``SegmentReader/payload``, with its first frame at `offset`.
    case record(offset: UInt64, sequence: UInt64, prefix: LogicalRecord.Prefix)
    case seal(Seal, offset: UInt64)
    /// `limit` is reached.
    case end
    /// The bytes at `offset` are no frame, or the record that began at `offset` is not complete.
    case bad(offset: UInt64, reason: Reason)
  }

  enum Reason: Equatable {
    /// Zeros where a frame would begin.
    case unwritten
    case invalid(String)
    /// Intact so far, and more than the reader may take.
    case overLimit(Int)

    var isOverLimit: Bool { if case .overLimit = self { true } else { false } }

    var text: String {
      switch self {
      case .unwritten: "nothing is written there"
      case .invalid(let text): text
      case .overLimit(let limit): "a record over the limit of \(limit) bytes; open with a larger maxRecordBytes"
      }
    }
  }

  /// A multiple of the block size.
  static let chunkBytes = 8 * Frame.blockBytes

  let file: any File
  let header: SegmentHeader
  let maxRecordBytes: Int
  private let seed: UInt32
  private let chunk: UnsafeMutableRawPointer
  private var chunkStart: UInt64 = 0
  private var chunkCount = 0
  /// Where a record of several frames is put together; grows with what has been verified, never with what a length says.
  private var assembly = UnsafeMutableRawBufferPointer(start: nil, count: 0)
  private var assembledCount = 0
  private var usesAssembly = false
  private var payloadStart = 0
  private var payloadCount = 0
  private var operationsStart = 0

  /// Where the next frame is looked for.
  private(set) var position: UInt64
  /// The end of the last complete record.
  private(set) var validEnd: UInt64
  /// The sequence the next record must have; `nil` to accept any.
  private(set) var expected: UInt64?
  /// Over the frames of complete records.
  private(set) var digest: UInt32 = 0
  /// With those of the record being put together.
  private var runningDigest: UInt32 = 0
  private(set) var bytesRead: UInt64 = 0
  var limit: UInt64

  init(file: any File, header: SegmentHeader, from offset: UInt64? = nil, limit: UInt64, maxRecordBytes: Int) {
    self.file = file
    self.header = header
    self.limit = limit
    self.maxRecordBytes = maxRecordBytes
    seed = Frame.seed(salt: header.salt, segment: header.number)
    chunk = .allocate(byteCount: Self.chunkBytes, alignment: 4096)
    position = offset ?? UInt64(SegmentHeader.bytes)
    validEnd = position
    expected = offset == nil ? header.firstSequence : nil
  }

  deinit {
    chunk.deallocate()
    assembly.deallocate()
  }

  /// The payload of the record just delivered; valid until the next call.
  var payload: UnsafeRawBufferPointer {
    if usesAssembly { return UnsafeRawBufferPointer(start: assembly.baseAddress, count: assembledCount) }
    return UnsafeRawBufferPointer(start: chunk + payloadStart, count: payloadCount)
  }

  /// The part of ``payload`` behind the prefix.
  var operations: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: payload[operationsStart...]) }

  /// Forgets what was read ahead; for readers that have reached a limit which then moved.
  func refresh() { chunkCount = 0 }

  /// Continues the search at `offset`, after damage.
  func skip(to offset: UInt64) {
    position = offset
    validEnd = offset
    expected = nil
  }

  /// The next record, seal, end or fault. After a fault the position is still at the record that has it.
  func next() throws(DiskError) -> Item {
    var start: UInt64?
    var sequence: UInt64 = 0
    usesAssembly = false
    assembledCount = 0
    runningDigest = digest
    var at = position
    while true {
      guard let found = try frame(at: &at, isStart: start == nil) else {
        if let start { return .bad(offset: start, reason: .invalid("the record's end is missing")) }
        position = at
        return .end
      }
      let here = start ?? at
      guard case .valid(let kind, let own, let payload) = found else {
        guard case .invalid(let reason) = found else { return .end }
        position = here
        if start != nil { return .bad(offset: here, reason: .invalid("the record's end is missing: \(reason.text)")) }
        return .bad(offset: here, reason: reason)
      }
      if let expected, own != expected {
        position = here
        return .bad(offset: here, reason: .invalid("sequence \(own) where \(expected) was due"))
      }
      let end = at + UInt64(Frame.headerBytes + payload.count)
      switch kind {
      case .seal where start == nil:
        guard let seal = Seal(payload) else { return .bad(offset: at, reason: .invalid("malformed seal")) }
        position = end
        return .seal(seal, offset: at)
      case .full where start == nil:
        payloadStart = Int(at - chunkStart) + Frame.headerBytes
        payloadCount = payload.count
        extend(digest: at)
        return finish(here, own, end)
      case .first where start == nil:
        start = at
        sequence = own
        assemble(payload)
        extend(digest: at)
      case .middle where start != nil, .last where start != nil:
        guard own == sequence else { return .bad(offset: here, reason: .invalid("a fragment of another record")) }
        guard assembledCount + payload.count <= maxRecordBytes else {
          position = here
          return .bad(offset: here, reason: .overLimit(maxRecordBytes))
        }
        assemble(payload)
        extend(digest: at)
        if kind == .last {
          usesAssembly = true
          return finish(here, own, end)
        }
      default:
        position = here
        return .bad(offset: here, reason: .invalid(start == nil ? "a fragment without its beginning" : "the record's end is missing"))
      }
      at = end
    }
  }

  private func finish(_ start: UInt64, _ sequence: UInt64, _ end: UInt64) -> Item {
    var reader = ByteReader(payload.bytes)
    let parsed = try? LogicalRecord.readPrefix(&reader)
    operationsStart = reader.offset
    guard let prefix = parsed ?? nil, sequence > 0, sequence <= SegmentHeader.maxSequence, prefix.count <= SegmentHeader.maxSequence else {
      position = start
      return .bad(offset: start, reason: .invalid("malformed record"))
    }
    position = end
    validEnd = end
    digest = runningDigest
    expected = sequence + prefix.count
    return .record(offset: start, sequence: sequence, prefix: prefix)
  }

  private func assemble(_ bytes: UnsafeRawBufferPointer) {
    guard let source = bytes.baseAddress else { return }
    if assembledCount + bytes.count > assembly.count {
      let grown = UnsafeMutableRawBufferPointer.allocate(byteCount: max(2 * assembly.count, assembledCount + bytes.count), alignment: 16)
      grown.copyMemory(from: UnsafeRawBufferPointer(rebasing: assembly[..<assembledCount]))
      assembly.deallocate()
      assembly = grown
    }
    (assembly.baseAddress! + assembledCount).copyMemory(from: source, byteCount: bytes.count)
    assembledCount += bytes.count
  }

  private func extend(digest at: UInt64) {
    runningDigest = crc32c(UnsafeRawBufferPointer(start: chunk + Int(at - chunkStart), count: 4), continuing: runningDigest)
  }

  // MARK: Frames

  private enum Found {
    case valid(Frame.Kind, sequence: UInt64, payload: UnsafeRawBufferPointer)
    case invalid(Reason)
  }

  /// The frame at `at`, which moves over padding; `nil` at the limit.
  private func frame(at: inout UInt64, isStart: Bool) throws(DiskError) -> Found? {
    while true {
      let room = Frame.roomInBlock(at: at)
      if room <= Frame.headerBytes {
        at += UInt64(room)
        continue
      }
      if at >= limit { return nil }
      let have = try load(at, room)
      guard have >= Frame.headerBytes else { return .invalid(have == 0 ? .unwritten : .invalid("\(have) bytes of a frame header")) }
      let header = UnsafeRawBufferPointer(start: chunk + Int(at - chunkStart), count: have)
      if header.loadUnaligned(as: UInt64.self) == 0, header.loadUnaligned(fromByteOffset: 8, as: UInt64.self) == 0 {
        // A seal goes to the next block where this one has no room for it.
        if isStart, room < Seal.bytes {
          at += UInt64(room)
          continue
        }
        let alignment = UInt64(self.header.groupAlignment)
        guard isStart, alignment > 1, at % alignment != 0 else { return .invalid(.unwritten) }
        at += min(alignment - at % alignment, UInt64(room))
        continue
      }
      let found = Self.verify(header, room: room, at: at, seed: seed)
      if case .valid = found { return found }
      if isStart, let gap = paddingBytes(header, at: at) {
        at += UInt64(gap)
        continue
      }
      // An unknown kind that says it may be skipped is passed over when its checksum holds.
      if let length = Self.skippable(header, room: room, at: at, seed: seed) {
        at += UInt64(Frame.headerBytes + length)
        continue
      }
      return found
    }
  }

  /// The zeros at `at` up to where the next group begins, where they are fewer than a frame's header.
  private func paddingBytes(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) -> Int? {
    let gap = Int(header.aligned(offset) - offset)
    guard gap > 0, gap < Frame.headerBytes, bytes[..<gap].allSatisfy({ $0 == 0 }) else { return nil }
    return gap
  }

  private static func verify(_ bytes: UnsafeRawBufferPointer, room: Int, at offset: UInt64, seed: UInt32) -> Found {
    let length = Int(UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: 4, as: UInt16.self)))
    guard length <= room - Frame.headerBytes else { return .invalid(.invalid("a frame of \(length) bytes crosses its block")) }
    guard length + Frame.headerBytes <= bytes.count else { return .invalid(.invalid("a frame of \(length) bytes is cut")) }
    let covered = UnsafeRawBufferPointer(rebasing: bytes[4..<Frame.headerBytes + length])
    guard UInt32(littleEndian: bytes.loadUnaligned(as: UInt32.self)) == Frame.checksum(seed: seed, offset: offset, covered) else {
      return .invalid(.invalid("checksum mismatch"))
    }
    let raw = bytes[6]
    guard bytes[7] == 0, let kind = Frame.Kind(rawValue: raw), kind != .unwritten else {
      return .invalid(.invalid("unknown frame kind \(raw)"))
    }
    let sequence = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
    return .valid(kind, sequence: sequence, payload: UnsafeRawBufferPointer(rebasing: bytes[Frame.headerBytes..<Frame.headerBytes + length]))
  }

  private static func skippable(_ bytes: UnsafeRawBufferPointer, room: Int, at offset: UInt64, seed: UInt32) -> Int? {
    let length = Int(UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: 4, as: UInt16.self)))
    guard bytes[7] & 0x80 != 0, length <= room - Frame.headerBytes, length + Frame.headerBytes <= bytes.count else { return nil }
    let covered = UnsafeRawBufferPointer(rebasing: bytes[4..<Frame.headerBytes + length])
    let holds = UInt32(littleEndian: bytes.loadUnaligned(as: UInt32.self)) == Frame.checksum(seed: seed, offset: offset, covered)
    return holds ? length : nil
  }

  /// Makes the bytes from `offset` to the end of its block present, as far as the file has them; returns how many there are.
  private func load(_ offset: UInt64, _ room: Int) throws(DiskError) -> Int {
    if offset < chunkStart || offset + UInt64(room) > chunkStart + UInt64(chunkCount) {
      let blockStart = offset - UInt64(Frame.blockBytes - room)
      // A chunk that ended short of its size may have grown since; it is read again only from the block asked for.
      chunkStart = blockStart
      let wanted = Int(min(UInt64(Self.chunkBytes), max(limit, offset + UInt64(room)) - blockStart))
      var span = OutputRawSpan(buffer: UnsafeMutableRawBufferPointer(start: chunk, count: wanted), initializedCount: 0)
      try file.read(at: blockStart, into: &span)
      chunkCount = span.finalize(for: UnsafeMutableRawBufferPointer(start: chunk, count: wanted))
      bytesRead += UInt64(chunkCount)
    }
    return max(0, min(room, Int(chunkStart) + chunkCount - Int(offset)))
  }

  // MARK: After damage

  /// The first valid frame that begins at or after `offset` and the highest durable watermark any valid record from there on carries;
  /// `nil` where nothing valid follows. Some seals count as watermarks of everything before them.
  func survey(from offset: UInt64) throws(DiskError) -> (first: UInt64, watermark: UInt64)? {
    var first: UInt64?
    var watermark: UInt64 = 0
    var at = offset
    while at < limit {
      let room = Frame.roomInBlock(at: at)
      let have = try load(at, room)
      if have <= Frame.headerBytes {
        at += UInt64(room)
        continue
      }
      let bytes = UnsafeRawBufferPointer(start: chunk + Int(at - chunkStart), count: have)
      if at == offset || room == Frame.blockBytes, bytes.isZero {
        at += UInt64(room)
        continue
      }
      // A frame's kind is never zero, so eight zero bytes hold no header that matters.
      if bytes.loadUnaligned(as: UInt64.self) == 0 {
        at += bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self) == 0 ? 8 : 1
        continue
      }
      // Only what could be a frame of this segment is worth a checksum: sequences begin with the header's, and each takes a byte or more.
      let number = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
      guard bytes[6] >= 1, bytes[6] <= 5, bytes[7] == 0, number &- header.firstSequence <= at,
        case .valid(let kind, let sequence, let payload) = Self.verify(bytes, room: room, at: at, seed: seed)
      else {
        at += 1
        continue
      }
      if first == nil { first = at }
      switch kind {
      case .seal: watermark = max(watermark, Seal(payload)?.provenSequence ?? 0)
      case .full, .first:
        let prefix = payload.withUnsafeReader { reader in try? LogicalRecord.readPrefix(&reader) }
        watermark = max(watermark, min((prefix ?? nil)?.watermark ?? 0, sequence &- 1))
      default: break
      }
      at += UInt64(Frame.headerBytes + payload.count)
    }
    return first.map { ($0, watermark) }
  }

  /// The offset behind the last byte before `limit` that is not zero, at least `offset`.
  func endOfBytes(from offset: UInt64) throws(DiskError) -> UInt64 {
    var last = offset
    var at = offset
    while at < limit {
      let room = Frame.roomInBlock(at: at)
      let have = try load(at, room)
      let bytes = UnsafeRawBufferPointer(start: chunk + Int(at - chunkStart), count: have)
      if !bytes.isZero, let index = bytes.lastIndex(where: { $0 != 0 }) { last = at + UInt64(index) + 1 }
      at += UInt64(room)
    }
    return last
  }
}

extension UnsafeRawBufferPointer {
  /// Whether all bytes are zero: the first is, and each is like the one before.
  var isZero: Bool {
    guard let first else { return true }
    return first == 0 && compare(Self(rebasing: self[..<(count - 1)]), Self(rebasing: self[1...])) == 0
  }

  /// Parses the bytes, which the caller keeps alive, with a reader.
  func withUnsafeReader<R>(_ body: (inout ByteReader) -> R) -> R {
    var reader = ByteReader(bytes)
    return body(&reader)
  }
}
