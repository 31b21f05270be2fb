public import StrataBytes

// The compact form for formats that hold a filter inside: Docs/Formats/BinaryFuseFilter.md is normative. Magic and checksum belong to the file that
// holds the filter. Docs/Formats/Filters.md is the form with both.
private let formatVersion: UInt8 = 1
private let headerBytes = 32

extension BinaryFuseFilter where Fingerprint == UInt8 {
  /// How many bytes ``encode(into:)`` writes.
  public var encodedBytes: Int { headerBytes + memory.byteCount }

  /// Appends the filter. Equal filters have equal bytes. The container adds the checksum.
  public func encode(into writer: inout ByteWriter) {
    writer.reserve(encodedBytes)
    writer.writeUInt8(formatVersion)
    writer.writeUInt8(kind.rawValue)
    writer.writeUInt8(shape.segmentBits)
    writer.writeUInt8(0)
    writer.writeUInt32(shape.segmentCount)
    writer.writeUInt64(mixing)
    writer.writeUInt64(UInt64(keyCount))
    writer.writeUInt64(UInt64(memory.byteCount))
    writer.writeBytes(RawSpan(_unsafeBytes: memory.bytes))
  }

  /// Reads what ``encode(into:)`` wrote. Whatever the bytes are, the result can be asked without a trap; that its answers are right
  /// is what the container's checksum says.
  /// - Parameter limit: the most bytes the encoding may have; checked before memory is taken.
  /// - Throws: ``DecodeError``; `reader` is then where it was.
  public init(decoding reader: inout ByteReader, limit: Int) throws(DecodeError) {
    var ahead = reader
    let start = ahead.offset
    let version = try ahead.readUInt8()
    guard version == formatVersion else {
      throw .unsupportedVersion(at: start, version: UInt32(version), newest: UInt32(formatVersion))
    }
    guard let kind = Kind(rawValue: try ahead.readUInt8()) else { throw .malformed(at: start + 1, field: "kind of filter") }
    let segmentBits = try ahead.readUInt8()
    guard segmentBits <= FuseShape.segmentBitsMax else { throw .malformed(at: start + 2, field: "segment length of a filter") }
    guard try ahead.readUInt8() == 0 else { throw .malformed(at: start + 3, field: "reserved byte of a filter") }
    let shape = FuseShape(segmentBits: segmentBits, segmentCount: try ahead.readUInt32())
    let mixing = try ahead.readUInt64()
    let keyCount = try ahead.readUInt64()
    let length = try ahead.readUInt64()
    guard limit >= headerBytes, length <= UInt64(limit - headerBytes) else {
      throw .limitExceeded(at: start + 24, field: "length of a filter", limit: limit)
    }
    switch kind {
    case .fuse:
      guard shape.segmentCount > 0, length == UInt64(shape.slotCount) else {
        throw .malformed(at: start + 24, field: "length of a filter")
      }
      guard keyCount > 0, keyCount <= length else { throw .malformed(at: start + 16, field: "number of keys of a filter") }
    case .nothing, .everything:
      guard shape == FuseShape(), mixing == 0, keyCount == 0, length == 0 else {
        throw .malformed(at: start + 2, field: "header of a filter without fingerprints")
      }
    }
    let fingerprints = try ahead.readBytes(Int(length))
    guard let memory = try? FilterMemory(copying: fingerprints) else {
      throw .limitExceeded(at: start + 24, field: "length of a filter", limit: limit)
    }
    self.init(kind: kind, keyCount: Int(keyCount), seed: 0, shape: shape, mixing: mixing, memory: memory)
    reader = ahead
  }
}
