import StrataBytes

/// What the frames of one record carry: kind, count, the durable watermark, then the operations. Encoding and decoding are pure; see
/// Docs/Formats/WriteAheadLog.md.
enum LogicalRecord {
  enum Kind: UInt8 {
    case operation = 1, batch, checkpoint, truncate
  }

  enum Operation {
    static let put: UInt8 = 1
    static let delete: UInt8 = 2
    static let checkpoint: UInt8 = 3
    static let truncate: UInt8 = 4
    static let firstApplicationKind: UInt8 = 64
  }

  /// Kind, count and watermark at their longest.
  static let prefixBound = 1 + 10 + 10

  static func prefixBytes(count: Int, watermark: UInt64) -> Int {
    1 + ByteWriter.varintLength(UInt64(count)) + ByteWriter.varintLength(watermark)
  }

  /// Bytes of one operation of a code and fields.
  @inline(__always)
  static func bytes(_ first: Int, _ second: Int? = nil) -> Int {
    var bytes = 1 + ByteWriter.varintLength(UInt64(first)) + first
    if let second { bytes += ByteWriter.varintLength(UInt64(second)) + second }
    return bytes
  }

  static func bytes(of record: WALRecord) -> Int {
    switch record {
    case .put(let key, let value): bytes(key.count, value.count)
    case .delete(let key): bytes(key.count)
    case .application(_, let payload): bytes(payload.count)
    }
  }

  static func write(_ record: WALRecord, to frames: inout FrameWriter) {
    switch record {
    case .put(let key, let value):
      key.withUnsafeBytes { key in value.withUnsafeBytes { write(Operation.put, key, $0, to: &frames) } }
    case .delete(let key): key.withUnsafeBytes { write(Operation.delete, $0, nil, to: &frames) }
    case .application(let kind, let payload): payload.withUnsafeBytes { write(kind, $0, nil, to: &frames) }
    }
  }

  @inline(__always)
  static func write(_ code: UInt8, _ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer?, to frames: inout FrameWriter) {
    frames.write(code)
    frames.write(varint: UInt64(first.count))
    frames.write(first)
    if let second {
      frames.write(varint: UInt64(second.count))
      frames.write(second)
    }
  }

  @inline(__always)
  static func writePrefix(_ kind: Kind, count: Int, watermark: UInt64, to frames: inout FrameWriter) {
    frames.write(kind.rawValue)
    frames.write(varint: UInt64(count))
    frames.write(varint: watermark)
  }

  /// The prefix of a record.
  struct Prefix {
    var kind: Kind
    /// Operations, and so sequences, of the record.
    var count: UInt64
    var watermark: UInt64
  }

  /// Parses a record's prefix; leaves `reader` at the first operation.
  static func readPrefix(_ reader: inout ByteReader) throws(DecodeError) -> Prefix? {
    guard let kind = Kind(rawValue: try reader.readUInt8()) else { return nil }
    let count = try reader.readVarint64()
    let watermark = try reader.readVarint64()
    let isPlausible =
      switch kind {
      case .operation, .checkpoint: count == 1
      case .batch: count >= 1
      case .truncate: count == 0
      }
    return isPlausible ? Prefix(kind: kind, count: count, watermark: watermark) : nil
  }
}

extension LogicalRecord {
  /// The sequence a truncation record gives up, or `nil` where the payload is not one.
  static func truncation(_ payload: UnsafeRawBufferPointer) -> UInt64? {
    payload.withUnsafeReader { reader in
      guard let prefix = try? readPrefix(&reader), prefix.kind == .truncate, (try? reader.readUInt8()) == Operation.truncate else { return nil }
      return try? reader.readVarint64()
    }
  }
}
