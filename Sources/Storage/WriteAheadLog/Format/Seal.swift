import StrataBytes

/// The frame that ends a segment: nothing valid follows it but a handover.
struct Seal: Sendable, Hashable {
  static let payloadBytes = 16
  static let bytes = Frame.headerBytes + payloadBytes
  /// What a seal takes at most, with the rest of a block that has no room for it.
  static let bound = 2 * bytes

  enum Reason: UInt8, Sendable {
    /// The segment was full.
    case rotated = 1
    /// The log was closed in order.
    case closed
    /// Recovery cut the segment here.
    case recovered
    /// Stands behind a seal: the successor's name is durable, so its absence is a loss.
    case handover
  }

  var lastSequence: UInt64
  var digest: UInt32
  var reason: Reason

  /// Writes the frame for `offset`, in the next block where it does not fit, and returns the bytes used.
  func encode(_ buffer: UnsafeMutableRawBufferPointer, at offset: UInt64, seed: UInt32) -> Int {
    let room = Frame.roomInBlock(at: offset)
    let gap = room < Self.bytes ? room : 0
    buffer.initializeMemory(as: UInt8.self, repeating: 0)
    let frame = UnsafeMutableRawBufferPointer(rebasing: buffer[gap..<gap + Self.bytes])
    frame.storeBytes(of: UInt16(Self.payloadBytes).littleEndian, toByteOffset: 4, as: UInt16.self)
    frame.storeBytes(of: Frame.Kind.seal.rawValue, toByteOffset: 6, as: UInt8.self)
    frame.storeBytes(of: (lastSequence &+ 1).littleEndian, toByteOffset: 8, as: UInt64.self)
    frame.storeBytes(of: lastSequence.littleEndian, toByteOffset: 16, as: UInt64.self)
    frame.storeBytes(of: digest.littleEndian, toByteOffset: 24, as: UInt32.self)
    frame.storeBytes(of: reason.rawValue, toByteOffset: 28, as: UInt8.self)
    let sum = Frame.checksum(
      seed: seed, offset: offset + UInt64(gap), UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(frame)[4...]))
    frame.storeBytes(of: sum.littleEndian, as: UInt32.self)
    return gap + Self.bytes
  }

  func encoded(at offset: UInt64, seed: UInt32) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: Self.bound) { buffer, count in
      count = encode(UnsafeMutableRawBufferPointer(buffer), at: offset, seed: seed)
    }
  }

  init(lastSequence: UInt64, digest: UInt32, reason: Reason) {
    self.lastSequence = lastSequence
    self.digest = digest
    self.reason = reason
  }

  /// Parses the payload of a frame whose checksum holds.
  init?(_ payload: UnsafeRawBufferPointer) {
    guard payload.count == Self.payloadBytes, let reason = Reason(rawValue: payload[12]) else { return nil }
    lastSequence = UInt64(littleEndian: payload.loadUnaligned(as: UInt64.self))
    digest = UInt32(littleEndian: payload.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
    self.reason = reason
  }
}
