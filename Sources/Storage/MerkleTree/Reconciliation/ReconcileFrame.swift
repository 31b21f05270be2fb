import StrataBytes

// Docs/Formats/RangeReconciliation.md is normative.

/// One frame between two replicas: what the sender says or asks about consecutive ranges of keys.
struct ReconcileFrame {
  /// No frame is longer.
  static let bytesMax = 65536
  /// Begins every frame's header, the fixed part of which has 24 bytes.
  static let magic: StaticString = "SMRR"

  enum Kind: UInt8 {
    case request = 0
    case reply = 1
  }

  /// What is said about one range.
  enum Mode {
    /// Nothing: the range has been dealt with.
    case skip
    /// This is the sender's fingerprint.
    case fingerprint(Fingerprint)
    /// These are all of the sender's items.
    case items([Item])
    /// The other side is to send its items.
    case ask
  }

  /// A key with the first 16 bytes of its item hash.
  struct Item: Hashable {
    var key: [UInt8]
    var mark: Fingerprint
  }

  struct Entry {
    var range: KeyRange
    var mode: Mode
  }

  var kind: Kind
  var session: UInt64
  /// The request's number within its session, repeated in the replies.
  var exchange: UInt32
  /// The sender's agreement on tombstones.
  var purgeBefore: [UInt8]
  /// The ranges, ascending, each beginning where the one before ends. Never empty.
  var entries: [Entry]

  /// From the first range's beginning to the last one's end.
  var coverage: KeyRange { KeyRange(lower: entries.first?.range.lower ?? [], upper: entries.last?.range.upper) }
}

extension ReconcileFrame {
  /// Reads a frame. Every order and limit is checked here: ranges follow each other without holes, items ascend within their range.
  /// - Throws: `.damaged` for bytes that are no frame or changed on the way, `.incompatible`, `.protocolError` for a frame no correct peer sends.
  init(decoding bytes: [UInt8]) throws(MerkleError) {
    guard bytes.count <= Self.bytesMax else { throw .damaged(.limitExceeded(at: 0, field: "length of a frame", limit: Self.bytesMax)) }
    let hasher: UInt8
    do throws(DecodeError) {
      guard bytes.count >= 4 else { throw .truncated(at: 0, need: 4, have: bytes.count) }
      let body = bytes.span.bytes.extracting(first: bytes.count - 4)
      // The checksum first: whatever stands behind it was written so.
      var end = ByteReader(bytes.span.bytes)
      try end.skip(body.byteCount)
      try end.readChecksum(since: 0)
      var reader = ByteReader(body)
      try reader.readMagic(Self.magic)
      try reader.readFormatVersion()
      let kindAt = reader.offset
      guard let kind = Kind(rawValue: try reader.readUInt8()) else { throw .malformed(at: kindAt, field: "kind of a frame") }
      hasher = try reader.readUInt8()
      let session = try reader.readUInt64()
      let exchange = try reader.readUInt32()
      let count = Int(try reader.readUInt32())
      let purgeBefore = try Self.readKey(&reader, field: "version")
      var lower = try Self.readKey(&reader, field: "lower bound")
      var entries: [Entry] = []
      // A range has one byte at least.
      guard count <= reader.remaining else { throw .truncated(at: reader.offset, need: count, have: reader.remaining) }
      entries.reserveCapacity(count)
      for _ in 0..<count {
        let entry = try Self.readEntry(&reader, from: lower)
        lower = entry.range.upper ?? []
        entries.append(entry)
      }
      try reader.expectEnd(of: "frame")
      self.init(kind: kind, session: session, exchange: exchange, purgeBefore: purgeBefore, entries: entries)
    } catch { throw .damaged(error) }
    guard hasher == SHA256MerkleHasher.identifier else {
      throw .incompatible(field: "hasher", mine: "\(SHA256MerkleHasher.identifier)", theirs: "\(hasher)")
    }
    try checkOrder()
  }

  /// Only the last range may be without end, every range has room for a key, and items lie in theirs in ascending order.
  private func checkOrder() throws(MerkleError) {
    guard !entries.isEmpty else { throw .protocolError(reason: "a frame without ranges") }
    for (index, entry) in entries.enumerated() {
      guard entry.range.upper != nil || index == entries.count - 1 else { throw .protocolError(reason: "ranges after the last key") }
      guard !entry.range.isEmpty else { throw .protocolError(reason: "ranges that do not ascend at \(hexText(entry.range.lower))") }
      guard case .items(let items) = entry.mode else { continue }
      for (index, item) in items.enumerated() {
        guard entry.range.contains(item.key), index == 0 || isLess(items[index - 1].key, item.key) else {
          throw .protocolError(reason: "items out of order or range at \(hexText(item.key))")
        }
      }
    }
  }

  private static func readKey(_ reader: inout ByteReader, field: String) throws(DecodeError) -> [UInt8] {
    try reader.readLengthPrefixed(limit: KeyRangeMerkleTree.keyBytesMax, field: field).withUnsafeBytes { Array($0) }
  }

  private static func readEntry(_ reader: inout ByteReader, from lower: [UInt8]) throws(DecodeError) -> Entry {
    let tagAt = reader.offset
    let tag = try reader.readUInt8()
    guard tag & ~(EntryTag.kinds | EntryTag.endless) == 0 else { throw .malformed(at: tagAt, field: "kind of a range") }
    let upper = tag & EntryTag.endless != 0 ? nil : try readSharing(&reader, with: lower)
    let range = KeyRange(lower: lower, upper: upper)
    switch tag & EntryTag.kinds {
    case EntryTag.skip: return Entry(range: range, mode: .skip)
    case EntryTag.fingerprint: return Entry(range: range, mode: .fingerprint(try Fingerprint(&reader)))
    case EntryTag.ask: return Entry(range: range, mode: .ask)
    default:
      let count = try reader.readCount(limit: reader.remaining / 18, field: "number of items")
      var items: [Item] = []
      items.reserveCapacity(count)
      var before = lower
      for _ in 0..<count {
        before = try readSharing(&reader, with: before)
        items.append(Item(key: before, mark: try Fingerprint(&reader)))
      }
      return Entry(range: range, mode: .items(items))
    }
  }

  /// Bytes of which only those are written that differ from the ones before.
  private static func readSharing(_ reader: inout ByteReader, with before: [UInt8]) throws(DecodeError) -> [UInt8] {
    let shared = try reader.readCount(limit: before.count, field: "shared bytes of a key")
    let rest = try reader.readLengthPrefixed(limit: KeyRangeMerkleTree.keyBytesMax - shared, field: "key")
    var key: [UInt8] = []
    key.reserveCapacity(shared + rest.byteCount)
    key.append(contentsOf: before.prefix(shared))
    rest.withUnsafeBytes { key.append(contentsOf: $0) }
    return key
  }
}

/// The first byte of a range in a frame.
enum EntryTag {
  static let skip: UInt8 = 0
  static let fingerprint: UInt8 = 1
  static let items: UInt8 = 2
  static let ask: UInt8 = 3
  static let kinds: UInt8 = 3
  /// The range has no upper bound.
  static let endless: UInt8 = 0x80
}
