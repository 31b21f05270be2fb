import StrataBytes
import StrataDisk

/// Frames: how records lie in a segment; see Docs/Formats/WriteAheadLog.md.
///
/// From byte 4096 a segment is a row of 32 KiB blocks. A record is one frame, or a first, middle and last frame where it crosses a block's
/// end. A frame's checksum is seeded with the segment's salt, its number and the frame's offset, so bytes that are stale, copied or moved
/// never pass.
enum Frame {
  static let blockBytes = 32 << 10
  static let headerBytes = 16

  enum Kind: UInt8 {
    case unwritten = 0, full, first, middle, last, seal
  }

  /// The part of a block from `offset` on.
  static func roomInBlock(at offset: UInt64) -> Int {
    blockBytes - Int((offset - UInt64(SegmentHeader.bytes)) % UInt64(blockBytes))
  }

  /// An upper bound of what a record of `payload` bytes takes, wherever it begins.
  static func bound(payload: Int) -> Int {
    payload + headerBytes * (payload / (blockBytes - headerBytes) + 3)
  }

  static func seed(salt: UInt64, segment: UInt64) -> UInt32 {
    withUnsafeTemporaryAllocation(byteCount: 16, alignment: 8) { buffer in
      buffer.storeBytes(of: salt.littleEndian, as: UInt64.self)
      buffer.storeBytes(of: segment.littleEndian, toByteOffset: 8, as: UInt64.self)
      return crc32c(UnsafeRawBufferPointer(buffer), continuing: 0)
    }
  }

  /// The stored checksum of a frame: CRC-32C of everything behind it, seeded by place, masked.
  @inline(__always)
  static func checksum(seed: UInt32, offset: UInt64, _ covered: UnsafeRawBufferPointer) -> UInt32 {
    var place = offset.littleEndian
    let seeded = withUnsafeBytes(of: &place) { crc32c($0, continuing: seed) }
    return maskedCRC(crc32c(covered, continuing: seeded))
  }
}

/// Splits one record into frames while it is being written.
struct FrameWriter {
  private let buffer: UnsafeMutableRawPointer
  private let capacity: Int
  private let offset: UInt64
  private let sequence: UInt64
  private let seed: UInt32
  private(set) var used = 0
  /// Checksums of the frames, chained: what a successor's header says about the segment.
  private(set) var digest: UInt32
  private var frame = 0
  private var room = 0
  private var isFirst = true
  /// Where the record's first frame begins in the file.
  private(set) var start: UInt64 = 0

  /// - Parameter buffer: room for ``Frame/bound(payload:)`` bytes that will stand at `offset` of the file.
  init(_ buffer: UnsafeMutableRawBufferPointer, at offset: UInt64, sequence: UInt64, seed: UInt32, digest: UInt32) {
    self.buffer = buffer.baseAddress!
    capacity = buffer.count
    self.offset = offset
    self.sequence = sequence
    self.seed = seed
    self.digest = digest
    open()
    start = offset + UInt64(frame)
  }

  @inline(__always)
  mutating func write(_ byte: UInt8) {
    if room == 0 { next() }
    buffer.storeBytes(of: byte, toByteOffset: used, as: UInt8.self)
    advance(1)
  }

  mutating func write(_ bytes: UnsafeRawBufferPointer) {
    guard var source = bytes.baseAddress else { return }
    var rest = bytes.count
    while rest > 0 {
      if room == 0 { next() }
      let part = min(room, rest)
      (buffer + used).copyMemory(from: source, byteCount: part)
      advance(part)
      source += part
      rest -= part
    }
  }

  @inline(__always)
  mutating func write(varint value: UInt64) {
    var value = value
    while value >= 0x80 {
      write(UInt8(truncatingIfNeeded: value) | 0x80)
      value >>= 7
    }
    write(UInt8(truncatingIfNeeded: value))
  }

  /// Closes the last frame. Returns the bytes used.
  mutating func finish() -> Int {
    close(isFirst ? .full : .last)
    return used
  }

  @inline(__always)
  private mutating func advance(_ count: Int) {
    used += count
    room -= count
  }

  private mutating func next() {
    close(isFirst ? .first : .middle)
    isFirst = false
    open()
  }

  /// Starts a frame where the present block has room for a header and a byte, else in the next.
  private mutating func open() {
    var space = Frame.roomInBlock(at: offset + UInt64(used))
    if space <= Frame.headerBytes {
      (buffer + used).initializeMemory(as: UInt8.self, repeating: 0, count: space)
      used += space
      space = Frame.blockBytes
    }
    frame = used
    used += Frame.headerBytes
    room = space - Frame.headerBytes
  }

  private mutating func close(_ kind: Frame.Kind) {
    precondition(used <= capacity, "frames beyond the reservation")
    let length = used - frame - Frame.headerBytes
    buffer.storeBytes(of: UInt16(length).littleEndian, toByteOffset: frame + 4, as: UInt16.self)
    buffer.storeBytes(of: kind.rawValue, toByteOffset: frame + 6, as: UInt8.self)
    buffer.storeBytes(of: 0, toByteOffset: frame + 7, as: UInt8.self)
    buffer.storeBytes(of: sequence.littleEndian, toByteOffset: frame + 8, as: UInt64.self)
    var sum = Frame.checksum(
      seed: seed, offset: offset + UInt64(frame), UnsafeRawBufferPointer(start: buffer + frame + 4, count: length + Frame.headerBytes - 4)
    ).littleEndian
    buffer.storeBytes(of: sum, toByteOffset: frame, as: UInt32.self)
    digest = withUnsafeBytes(of: &sum) { crc32c($0, continuing: digest) }
  }
}
