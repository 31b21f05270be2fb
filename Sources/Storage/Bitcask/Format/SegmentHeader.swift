import StrataBytes

/// The first sector of a data file. Little-endian.
///
///       0  magic "STRBCK01"
///       8  version u16
///      10  header bytes u16      4096
///      12  kind u8               0 log, 1 merge output
///      13  zeros
///      16  store id, 16 bytes
///      32  segment id u64
///      40  salt u64
///      48  first sequence u64    no record of the segment has a lower one
///      56  created u64           Unix milliseconds; information only
///      64  zeros
///    4092  CRC-32C u32           of all before
struct SegmentHeader: Sendable, Hashable {
  static let bytes = 4096
  static let version: UInt16 = 1

  enum Kind: UInt8, Sendable, Hashable {
    /// Written by callers: sequences rise by one from record to record.
    case log = 0
    /// Written by a merge: sequences in any order.
    case merged = 1
  }

  var kind: Kind
  var store: StoreID
  var segment: UInt32
  var salt: UInt64
  var firstSequence: UInt64
  var created: UInt64

  func encode() -> [UInt8] {
    var writer = ByteWriter(capacity: Self.bytes)
    writer.writeMagic("STRBCK01")
    writer.writeUInt16(Self.version)
    writer.writeUInt16(UInt16(Self.bytes))
    writer.writeUInt8(kind.rawValue)
    writer.writeZeros(3)
    writer.writeUInt64(store.low)
    writer.writeUInt64(store.high)
    writer.writeUInt64(UInt64(segment))
    writer.writeUInt64(salt)
    writer.writeUInt64(firstSequence)
    writer.writeUInt64(created)
    writer.writeZeros(Self.bytes - 4 - writer.count)
    writer.writeChecksum(since: 0)
    return writer.finish()
  }

  enum Failure: Error, Sendable, Hashable {
    case damaged
    case version(UInt16)
  }

  init(kind: Kind, store: StoreID, segment: UInt32, salt: UInt64, firstSequence: UInt64, created: UInt64) {
    self.kind = kind
    self.store = store
    self.segment = segment
    self.salt = salt
    self.firstSequence = firstSequence
    self.created = created
  }

  init(decoding bytes: [UInt8]) throws(Failure) {
    do {
      var reader = ByteReader(bytes.span.bytes)
      try reader.readMagic("STRBCK01")
      let version = try reader.readUInt16()
      let length = try reader.readUInt16()
      let kind = try reader.readUInt8()
      try reader.skip(3)
      store = StoreID(low: try reader.readUInt64(), high: try reader.readUInt64())
      let id = try reader.readUInt64()
      salt = try reader.readUInt64()
      firstSequence = try reader.readUInt64()
      created = try reader.readUInt64()
      try reader.skip(Self.bytes - 4 - 64)
      try reader.readChecksum(since: 0)
      guard version == Self.version else { throw Failure.version(version) }
      guard length == UInt16(Self.bytes), let kind = Kind(rawValue: kind), id <= UInt64(Location.maxSegment) else { throw Failure.damaged }
      self.kind = kind
      segment = UInt32(id)
    } catch let failure as Failure {
      throw failure
    } catch {
      throw .damaged
    }
  }
}

/// Sixteen random bytes every file of a store carries, so that a file of another store is not taken for one of this.
struct StoreID: Sendable, Hashable {
  var low: UInt64
  var high: UInt64
}
