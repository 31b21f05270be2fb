import StrataBytes

/// The stored form of every filter: 64 bytes of header, so that the payload begins on a cache line where the whole does, then the payload.
enum FilterFormat {
  static let headerBytes = 64
  static let version: UInt16 = 1
  /// XXH3-64.
  static let hashID: UInt8 = 1

  /// The bytes of a filter. `payload` fills the memory behind the header, which is zero.
  static func encode(
    _ kind: FilterKind, seed: UInt64, keys: UInt64, parameters: (UInt64, UInt64), payloadBytes: Int,
    _ payload: (UnsafeMutableRawBufferPointer) -> Void
  ) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: headerBytes + payloadBytes) { target, initialized in
      let bytes = UnsafeMutableRawBufferPointer(target)
      bytes.initializeMemory(as: UInt8.self, repeating: 0)
      let body = UnsafeMutableRawBufferPointer(rebasing: bytes[headerBytes..<headerBytes + payloadBytes])
      payload(body)
      seal(bytes, kind, seed: seed, keys: keys, parameters: parameters)
      initialized = headerBytes + payloadBytes
    }
  }

  /// Writes the header in front of a payload that is there.
  static func seal(
    _ bytes: UnsafeMutableRawBufferPointer, _ kind: FilterKind, seed: UInt64, keys: UInt64, parameters: (UInt64, UInt64)
  ) {
    let payload = UnsafeRawBufferPointer(rebasing: bytes[headerBytes...])
    var writer = ByteWriter(capacity: headerBytes)
    writer.writeMagic("SFLT")
    writer.writeUInt16(version)
    writer.writeUInt8(kind.rawValue)
    writer.writeUInt8(hashID)
    writer.writeUInt32(0)
    writer.writeUInt64(seed)
    writer.writeUInt64(keys)
    writer.writeUInt64(UInt64(payload.count))
    writer.writeUInt64(parameters.0)
    writer.writeUInt64(parameters.1)
    writer.writeUInt32(crc32c(payload))
    writer.writeUInt32(0)
    writer.writeChecksum(since: 0)
    writer.bytes.withUnsafeBytes { UnsafeMutableRawBufferPointer(rebasing: bytes[..<headerBytes]).copyMemory(from: $0) }
  }
}

/// The header of a stored filter whose checksums, length and parameters hold.
struct FilterHeader {
  var kind: FilterKind
  var seed: UInt64
  var keys: UInt64
  var parameters: (UInt64, UInt64)
  var payloadBytes: Int

  /// Reads and checks all of a filter: header checksum, version, exact length, ranges of the parameters, payload checksum, in this order.
  /// - Throws: `.corrupt`, `.unsupported`.
  init(checking bytes: RawSpan) throws(FilterError) {
    do throws(DecodeError) {
      try self.init(reading: bytes)
    } catch {
      switch error {
      case .badMagic: throw .corrupt(reason: "no filter begins like this", offset: 0)
      case .truncated: throw .corrupt(reason: "the filter ends inside its header of 64 bytes", offset: bytes.byteCount)
      case .checksumMismatch(let at, _, _, _): throw .corrupt(reason: "the header's checksum does not match", offset: at)
      case .unsupportedVersion(_, let version, _): throw .unsupported(field: "format version", value: UInt64(version), offset: 4)
      case .malformed(let at, let field) where at == 6 || at == 7 || at == 8:
        throw .unsupported(field: field, value: UInt64(bytes.unsafeLoad(fromByteOffset: at, as: UInt8.self)), offset: at)
      default: throw .corrupt(reason: "\(error)", offset: error.offset)
      }
    }
    guard payloadBytes == bytes.byteCount - FilterFormat.headerBytes else {
      throw .corrupt(reason: "\(bytes.byteCount - FilterFormat.headerBytes) bytes of payload where the header says \(payloadBytes)", offset: 28)
    }
    guard hasSoundParameters else { throw .corrupt(reason: "parameters of a \(kind) filter out of range", offset: 36) }
    let payload = bytes.extracting(FilterFormat.headerBytes..<bytes.byteCount)
    let expected = bytes.unsafeLoadUnaligned(fromByteOffset: 52, as: UInt32.self)
    guard crc32c(payload) == UInt32(littleEndian: expected) else {
      throw .corrupt(reason: "the payload's checksum does not match", offset: FilterFormat.headerBytes)
    }
    if let offset = misplacedByte(payload) { throw .corrupt(reason: "payload of a \(kind) filter out of range", offset: 64 + offset) }
  }

  private init(reading bytes: RawSpan) throws(DecodeError) {
    var reader = ByteReader(bytes)
    try reader.readMagic("SFLT")
    var rest = reader
    try rest.skip(FilterFormat.headerBytes - 8)
    let actual = crc32c(bytes.extracting(0..<60))
    let expected = try rest.readUInt32()
    guard actual == expected else { throw .checksumMismatch(at: 60, expected: expected, actual: actual, range: 0..<60) }
    let version = try reader.readUInt16()
    guard version == FilterFormat.version else { throw .unsupportedVersion(at: 4, version: UInt32(version), newest: UInt32(FilterFormat.version)) }
    guard let kind = FilterKind(rawValue: try reader.readUInt8()) else { throw .malformed(at: 6, field: "kind") }
    guard try reader.readUInt8() == FilterFormat.hashID else { throw .malformed(at: 7, field: "hash") }
    guard try reader.readUInt32() == 0 else { throw .malformed(at: 8, field: "flag") }
    self.kind = kind
    seed = try reader.readUInt64()
    keys = try reader.readUInt64()
    let length = try reader.readUInt64()
    guard length <= UInt64(Int.max) else { throw .malformed(at: 28, field: "length of a filter") }
    payloadBytes = Int(length)
    parameters = (try reader.readUInt64(), try reader.readUInt64())
    _ = try reader.readUInt32()
    guard try reader.readUInt32() == 0 else { throw .malformed(at: 56, field: "reserved bytes of a filter") }
  }

  private var low: UInt32 { UInt32(truncatingIfNeeded: parameters.1) }
  private var high: UInt32 { UInt32(truncatingIfNeeded: parameters.1 >> 32) }

  /// m and k of a classic or counting filter.
  var bloomGeometry: BloomGeometry? { try? BloomGeometry(bits: parameters.0, hashes: Int(low)) }
  var counterBits: Int { Int(high) }
  var blockHashes: Int { Int(low) }
  var cuckooTable: CuckooTable { CuckooTable(buckets: parameters.0) }
  /// Segment length and count of a binary fuse filter; the second parameter is its mixing.
  var fuseShape: FuseShape {
    FuseShape(segmentBits: UInt8(truncatingIfNeeded: parameters.0), segmentCount: UInt32(truncatingIfNeeded: parameters.0 >> 32))
  }
  static func fuseParameter(_ shape: FuseShape) -> UInt64 { UInt64(shape.segmentCount) << 32 | UInt64(shape.segmentBits) }

  private var hasSoundParameters: Bool {
    switch kind {
    case .always: payloadBytes == 1 && parameters == (0, 0) && keys == 0
    case .never: payloadBytes == 1 && parameters == (0, 0)
    case .bloom: high == 0 && bloomGeometry.map { $0.byteCount == UInt64(payloadBytes) } ?? false
    case .blockedBloom:
      high == 0 && low >= 1 && low <= BlockGeometry.maxHashCount && payloadBytes % 64 == 0 && parameters.0 == UInt64(payloadBytes / 64)
        && parameters.0 >= 1 && parameters.0 <= BlockGeometry.maxBlocks
    case .countingBloom:
      (2...8).contains(counterBits)
        && bloomGeometry.map { CountingBloomFilter.byteCount($0, counterBits) == UInt64(payloadBytes) } ?? false
    case .scalableBloom: parameters.1 == 0 && parameters.0 >= 1 && parameters.0 <= 64 && payloadBytes >= 64
    case .binaryFuse8, .binaryFuse16:
      fuseShape.segmentBits <= FuseShape.segmentBitsMax && parameters.0 & 0xFFFF_FF00 == 0 && fuseShape.segmentCount >= 1
        && payloadBytes == fuseShape.slotCount * (kind == .binaryFuse8 ? 1 : 2) && keys >= 1 && keys <= UInt64(fuseShape.slotCount)
    case .cuckoo:
      parameters.1 == 0 && parameters.0 >= 1 && cuckooTable.byteCount == UInt64(payloadBytes) && keys <= parameters.0 &* 4 &+ 1
    }
  }

  /// The offset of a payload byte that no writer wrote so although its checksum holds.
  private func misplacedByte(_ payload: RawSpan) -> Int? {
    switch kind {
    case .always: return payload.unsafeLoad(fromByteOffset: 0, as: UInt8.self) == 0 ? nil : 0
    case .never: return payload.unsafeLoad(fromByteOffset: 0, as: UInt8.self) == 1 ? nil : 0
    case .bloom:
      // Bits behind the last must be clear, for they would be counted.
      let used = parameters.0 % 64
      let last = payloadBytes - 8
      let word = UInt64(littleEndian: payload.unsafeLoadUnaligned(fromByteOffset: last, as: UInt64.self))
      return used != 0 && word >> used != 0 ? last : nil
    case .cuckoo:
      let tail = payloadBytes - 16
      let victim = Self.victim(payload)
      let rest = payload.unsafeLoadUnaligned(fromByteOffset: tail + 12, as: UInt32.self)
      guard rest == 0, victim.fingerprint <= 0xFFF, victim.bucket < parameters.0, victim.fingerprint != 0 || victim.bucket == 0 else { return tail }
      return nil
    case .blockedBloom, .countingBloom, .scalableBloom, .binaryFuse8, .binaryFuse16: return nil
    }
  }

  /// The victim in the last sixteen bytes of a cuckoo filter's payload.
  static func victim(_ payload: RawSpan) -> CuckooVictim {
    let tail = payload.byteCount - 16
    return CuckooVictim(
      bucket: UInt64(littleEndian: payload.unsafeLoadUnaligned(fromByteOffset: tail, as: UInt64.self)),
      fingerprint: UInt64(UInt32(littleEndian: payload.unsafeLoadUnaligned(fromByteOffset: tail + 8, as: UInt32.self))))
  }
}
