import StrataBytes

/// What all frames of one side in one exchange have in common.
struct FrameHeader {
  var kind: ReconcileFrame.Kind
  var session: UInt64
  var exchange: UInt32
  var purgeBefore: [UInt8]
}

/// Writes one frame: ranges in ascending order, each beginning where the one before ended.
struct FrameWriter: ~Copyable {
  private var writer: ByteWriter
  /// Where the ranges that are in the bytes end.
  private var written: [UInt8]
  /// Where the ranges end, one that is skipped and not yet written included; nil for the end of all keys.
  private(set) var upper: [UInt8]?
  /// Skipped ranges in a row become one, so the last one waits for what follows.
  private var hasSkip = false
  private var count: UInt32 = 0

  private static let countOffset = 20

  /// Begins a frame whose ranges begin at `lower`.
  init(_ header: FrameHeader, lower: [UInt8]) {
    writer = ByteWriter(capacity: 256)
    writer.writeMagic(ReconcileFrame.magic)
    writer.writeUInt16(merkleFormatVersion)
    writer.writeUInt8(header.kind.rawValue)
    writer.writeUInt8(SHA256MerkleHasher.identifier)
    writer.writeUInt64(header.session)
    writer.writeUInt32(header.exchange)
    writer.writeUInt32(0)
    writer.writeLengthPrefixed(header.purgeBefore)
    writer.writeLengthPrefixed(lower)
    written = lower
    upper = lower
  }

  /// Whether no range has been written.
  var isEmpty: Bool { count == 0 && !hasSkip }

  /// How many bytes the frame has at most when a range up to `bound` with `payload` bytes has been added.
  func bytes(addingRangeTo bound: [UInt8]?, payload: Int) -> Int {
    writer.count + (hasSkip ? 7 + (upper?.count ?? 0) : 0) + 7 + (bound?.count ?? 0) + payload + 4
  }

  mutating func skip(to bound: [UInt8]?) {
    hasSkip = true
    upper = bound
  }

  mutating func fingerprint(_ fingerprint: Fingerprint, to bound: [UInt8]?) {
    range(EntryTag.fingerprint, to: bound)
    fingerprint.write(to: &writer)
  }

  mutating func ask(to bound: [UInt8]?) { range(EntryTag.ask, to: bound) }

  mutating func items(_ items: [ReconcileFrame.Item], to bound: [UInt8]?) {
    var before = upper ?? []
    range(EntryTag.items, to: bound)
    writer.writeVarint64(UInt64(items.count))
    for item in items {
      writeSharing(item.key, with: before)
      item.mark.write(to: &writer)
      before = item.key
    }
  }

  private mutating func range(_ tag: UInt8, to bound: [UInt8]?) {
    writeSkip()
    write(tag, bound)
  }

  private mutating func writeSkip() {
    guard hasSkip else { return }
    hasSkip = false
    write(EntryTag.skip, upper)
  }

  private mutating func write(_ tag: UInt8, _ bound: [UInt8]?) {
    writer.writeUInt8(bound == nil ? tag | EntryTag.endless : tag)
    if let bound {
      writeSharing(bound, with: written)
      written = bound
    }
    upper = bound
    count += 1
  }

  private mutating func writeSharing(_ key: [UInt8], with before: [UInt8]) {
    let shared = zip(key, before).prefix { $0 == $1 }.count
    writer.writeVarint64(UInt64(shared))
    writer.writeLengthPrefixed(key.span.bytes.extracting(shared..<key.count))
  }

  /// The frame's bytes.
  consuming func finish() -> [UInt8] {
    writeSkip()
    writer.overwriteUInt32(count, at: Self.countOffset)
    writer.writeChecksum(since: 0)
    return writer.finish()
  }
}
