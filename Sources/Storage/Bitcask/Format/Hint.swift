import StrataBytes
import StrataDisk
import StrataFilters

/// What a hint file says about one record.
struct HintEntry: Sendable, Hashable {
  var sequence: UInt64
  var location: Location
  var isTombstone: Bool
  /// Unix milliseconds, 0 for none.
  var expiry: UInt64
}

/// What must agree before a hint is believed.
struct HintIdentity: Sendable, Hashable {
  var store: StoreID
  var segment: UInt32
  var salt: UInt64
}

/// A hint file: everything recovery needs of a sealed segment, without its values. Little-endian.
///
///     0  magic "STRHNT01"   8  version u16   10  zeros   16  store id   32  segment id u64   40  salt u64   48  zeros
///    64  entries: sequence u64, offset u64, total length u32, flags u8 (1 tombstone, 2 expiry), 0 u8, key length u16,
///        expiry u64 when flagged, key
///     .  key filter: binary fuse, 8 bits, over XXH64 of every key; none for an empty segment
///     .  trailer, 56 bytes: data length u64, entry bytes u64, filter bytes u64, entry count u64, lowest sequence u64, highest sequence u64,
///        0 u32, CRC-32C u32 of all before
enum HintFormat {
  static let headerBytes = 64
  static let trailerBytes = 56
  static let version: UInt16 = 1
  static let entryBytes = 24

  static func encode(header identity: HintIdentity) -> [UInt8] {
    var writer = ByteWriter(capacity: headerBytes)
    writer.writeMagic("STRHNT01")
    writer.writeUInt16(version)
    writer.writeZeros(6)
    writer.writeUInt64(identity.store.low)
    writer.writeUInt64(identity.store.high)
    writer.writeUInt64(UInt64(identity.segment))
    writer.writeUInt64(identity.salt)
    writer.writeZeros(headerBytes - writer.count)
    return writer.finish()
  }

  static func encode(_ entry: HintEntry, key: UnsafeRawBufferPointer, into writer: inout ByteWriter) {
    writer.writeUInt64(entry.sequence)
    writer.writeUInt64(entry.location.offset)
    writer.writeUInt32(entry.location.length)
    writer.writeUInt8((entry.isTombstone ? 1 : 0) | (entry.expiry != 0 ? 2 : 0))
    writer.writeUInt8(0)
    writer.writeUInt16(UInt16(key.count))
    if entry.expiry != 0 { writer.writeUInt64(entry.expiry) }
    writer.writeBytes(key.bytes)
  }

  /// The entry at the reader's place; the key stays valid as long as the bytes read from.
  static func decode(_ reader: inout ByteReader, segment: UInt32) throws(DecodeError) -> (entry: HintEntry, keyLength: Int) {
    let start = reader.offset
    let sequence = try reader.readUInt64()
    let offset = try reader.readUInt64()
    let length = try reader.readUInt32()
    let flags = try reader.readUInt8()
    try reader.skip(1)
    let keyLength = Int(try reader.readUInt16())
    let expiry = flags & 2 != 0 ? try reader.readUInt64() : 0
    guard offset & 7 == 0, offset >= UInt64(SegmentHeader.bytes), offset <= Location.maxOffset, flags < 4,
      Int(length) >= RecordHeader.recordBytes(key: keyLength, value: 0)
    else { throw .malformed(at: start, field: "hint entry") }
    let location = Location(segment: segment, offset: offset, length: length)
    return (HintEntry(sequence: sequence, location: location, isTombstone: flags & 1 != 0, expiry: expiry), keyLength)
  }
}

/// Writes a hint file front to back through a bounded buffer. The caller gives the file its name once it is synced.
struct HintWriter: ~Copyable {
  private static let bufferBytes = 256 << 10

  private let file: any File
  private var buffer: ByteWriter
  private var offset: UInt64 = 0
  private var crc: UInt32 = 0
  private var entryBytes: UInt64 = 0
  private var lowest = UInt64.max
  private var highest: UInt64 = 0
  private var hashes: [UInt64] = []

  init(_ file: any File, _ identity: HintIdentity) {
    self.file = file
    buffer = ByteWriter(capacity: Self.bufferBytes)
    buffer.writeBytes(HintFormat.encode(header: identity))
  }

  mutating func add(_ entry: HintEntry, key: UnsafeRawBufferPointer, hash: KeyHash) throws(DiskError) {
    let before = buffer.count
    HintFormat.encode(entry, key: key, into: &buffer)
    entryBytes += UInt64(buffer.count - before)
    lowest = min(lowest, entry.sequence)
    highest = max(highest, entry.sequence)
    hashes.append(hash.value)
    if buffer.count >= Self.bufferBytes { try flush() }
  }

  /// Writes filter and trailer for a data file of this length and syncs the file.
  consuming func finish(dataLength: UInt64) throws(DiskError) {
    let count = UInt64(hashes.count)
    let filterStart = buffer.count
    if !hashes.isEmpty { BinaryFuseFilter<UInt8>(hashes: hashes).encode(into: &buffer) }
    let filterBytes = UInt64(buffer.count - filterStart)
    buffer.writeUInt64(dataLength)
    buffer.writeUInt64(entryBytes)
    buffer.writeUInt64(filterBytes)
    buffer.writeUInt64(count)
    buffer.writeUInt64(count == 0 ? 0 : lowest)
    buffer.writeUInt64(highest)
    buffer.writeUInt32(0)
    crc = crc32c(buffer.bytes, continuing: crc)
    buffer.writeUInt32(crc)
    try file.write(buffer.bytes, at: offset)
    try file.sync(.full)
    try file.close()
  }

  private mutating func flush() throws(DiskError) {
    crc = crc32c(buffer.bytes, continuing: crc)
    try file.write(buffer.bytes, at: offset)
    offset += UInt64(buffer.count)
    buffer.removeAll()
  }
}

/// A hint file whose checksum, count and identity have been found to agree.
struct HintReader {
  private static let chunkBytes = 1 << 20
  /// Longer hints are taken for damage: no segment has more entries than records fit in it.
  private static func maxBytes(_ dataLength: UInt64) -> UInt64 { (dataLength &* 2) &+ 4096 }

  private let file: any File
  private let identity: HintIdentity
  private let dataLength: UInt64
  private let entryEnd: UInt64
  private let filterBytes: Int
  let count: UInt64
  let lowestSequence: UInt64
  let highestSequence: UInt64

  /// `nil` when anything about the file is not exactly as it should be; the caller scans the data instead.
  init?(_ file: any File, expecting identity: HintIdentity, dataLength: UInt64) throws(DiskError) {
    let size = try file.size()
    let frame = UInt64(HintFormat.headerBytes + HintFormat.trailerBytes)
    guard size >= frame, size <= Self.maxBytes(dataLength) else { return nil }
    guard try file.readExactly(at: 0, count: HintFormat.headerBytes) == HintFormat.encode(header: identity) else { return nil }
    let trailer = try file.readExactly(at: size - UInt64(HintFormat.trailerBytes), count: HintFormat.trailerBytes)
    do {
      var reader = ByteReader(trailer.span.bytes)
      guard try reader.readUInt64() == dataLength else { return nil }
      let entryBytes = try reader.readUInt64()
      let filterBytes = try reader.readUInt64()
      count = try reader.readUInt64()
      lowestSequence = try reader.readUInt64()
      highestSequence = try reader.readUInt64()
      try reader.skip(4)
      let (sum, overflow) = entryBytes.addingReportingOverflow(filterBytes)
      guard !overflow, sum == size - frame else { return nil }
      self.filterBytes = Int(filterBytes)
      entryEnd = UInt64(HintFormat.headerBytes) + entryBytes
      let expected = try reader.readUInt32()
      guard try Self.checksum(file, size - 4) == expected else { return nil }
    } catch let error as DiskError {
      throw error
    } catch {
      return nil
    }
    self.file = file
    self.identity = identity
    self.dataLength = dataLength
  }

  /// Visits every entry in file order. The key is valid during the call.
  /// - Returns: `false` where the entries turn out not to fit their count.
  func forEach(_ body: (HintEntry, UnsafeRawBufferPointer) -> Void) throws(DiskError) -> Bool {
    var position = UInt64(HintFormat.headerBytes)
    var seen: UInt64 = 0
    let longest = HintFormat.entryBytes + 8 + 0xFFFF
    while position < entryEnd {
      let wanted = Int(min(UInt64(Self.chunkBytes), entryEnd - position))
      let chunk = try file.readExactly(at: position, count: wanted)
      let isLast = UInt64(wanted) == entryEnd - position
      let used = chunk.withUnsafeBytes { (bytes) -> Int? in
        var reader = ByteReader(bytes.bytes)
        while !reader.isAtEnd, isLast || reader.remaining >= longest {
          guard let (entry, keyLength) = try? HintFormat.decode(&reader, segment: identity.segment) else { return nil }
          guard keyLength <= reader.remaining, entry.location.offset + UInt64(entry.location.length) <= dataLength else { return nil }
          let start = reader.offset
          guard (try? reader.skip(keyLength)) != nil else { return nil }
          seen += 1
          body(entry, UnsafeRawBufferPointer(rebasing: bytes[start..<(start + keyLength)]))
        }
        return reader.offset
      }
      guard let used, used > 0 else { return false }
      position += UInt64(used)
    }
    return seen == count
  }

  /// The filter over the segment's keys; `nil` where it cannot be read, which means that any key may be there.
  func filter() throws(DiskError) -> BinaryFuseFilter<UInt8>? {
    guard filterBytes > 0 else { return nil }
    let bytes = try file.readExactly(at: entryEnd, count: filterBytes)
    var reader = ByteReader(bytes.span.bytes)
    return try? BinaryFuseFilter<UInt8>(decoding: &reader, limit: filterBytes)
  }

  private static func checksum(_ file: any File, _ length: UInt64) throws(DiskError) -> UInt32 {
    var crc: UInt32 = 0
    var position: UInt64 = 0
    while position < length {
      let chunk = try file.readExactly(at: position, count: Int(min(UInt64(chunkBytes), length - position)))
      crc = crc32c(chunk.span.bytes, continuing: crc)
      position += UInt64(chunk.count)
    }
    return crc
  }
}
