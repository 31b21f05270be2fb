import NIOCore
import StrataBytes

/// What a frame is for.
enum FrameKind: UInt8, CaseIterable {
  /// The first of a connection, from whoever made it.
  case hello = 1
  /// The answer to it.
  case welcome = 2
  /// The answer to it where the connection is not wanted; the last of the connection.
  case refusal = 3
  /// A message.
  case message = 4
  /// A message that names files.
  case messageWithFiles = 5
  /// Asks for a chunk of a file.
  case fetch = 6
  /// A chunk.
  case chunk = 7
  /// The file asked for is not there.
  case missing = 8
}

/// Why bytes are no frame; the connection they came over is closed.
enum WireError: Error, Hashable, CustomStringConvertible {
  case badMagic
  case unsupportedVersion(UInt8)
  case unknownKind(UInt8)
  case reservedBits(UInt16)
  case tooLong(Int, limit: Int)
  case checksum
  case wrongCluster(UInt64)
  case wrongNode(from: UInt64, to: UInt64)
  case outOfPlace(FrameKind)
  case badPayload(String)

  var description: String {
    switch self {
    case .badMagic: "what came is no frame"
    case .unsupportedVersion(let version): "a frame of version \(version), this build reads \(WireFrame.version)"
    case .unknownKind(let kind): "a frame of unknown kind \(kind)"
    case .reservedBits(let bits): "reserved bits \(bits) are set in a frame"
    case .tooLong(let bytes, let limit): "a frame of \(bytes) bytes is over the limit of \(limit)"
    case .checksum: "a frame's checksum does not match its bytes"
    case .wrongCluster(let cluster): "a frame of cluster \(cluster)"
    case .wrongNode(let from, let to): "a frame from n\(from) to n\(to) on a connection of others"
    case .outOfPlace(let kind): "a frame (\(kind)) that has no place here"
    case .badPayload(let why): "a frame whose content cannot be read: \(why)"
    }
  }
}

/// A frame: 48 bytes of header, then the payload. See Docs/Formats/Transport.md.
struct WireFrame {
  static let magic: UInt32 = 0x4652_5453  // "STRF"
  static let version: UInt8 = 1
  static let headerBytes = 48
  private static let checksumOffset = 44

  var kind: FrameKind
  var cluster: UInt64
  var group: UInt64
  var from: UInt64
  var to: UInt64
  var payload = ByteBuffer()

  /// Writes a frame whose payload is `head` followed by `payload`.
  static func write(
    _ kind: FrameKind, cluster: UInt64, group: UInt64 = 0, from: UInt64, to: UInt64, head: [UInt8] = [], payload: [UInt8] = [],
    into buffer: inout ByteBuffer
  ) {
    let start = buffer.writerIndex
    let length = head.count + payload.count
    buffer.reserveCapacity(minimumWritableBytes: headerBytes + length)
    buffer.writeInteger(magic, endianness: .little)
    buffer.writeInteger(version)
    buffer.writeInteger(kind.rawValue)
    buffer.writeInteger(UInt16(0), endianness: .little)
    for number in [cluster, group, from, to] { buffer.writeInteger(number, endianness: .little) }
    buffer.writeInteger(UInt32(truncatingIfNeeded: length), endianness: .little)
    buffer.writeInteger(UInt32(0), endianness: .little)
    buffer.writeBytes(head)
    buffer.writeBytes(payload)
    let checksum = buffer.withUnsafeReadableBytes { Self.checksum(of: UnsafeRawBufferPointer(rebasing: $0[(start - buffer.readerIndex)...])) }
    buffer.setInteger(checksum, at: start + checksumOffset, endianness: .little)
  }

  /// Over header and payload, without the place of the checksum itself.
  private static func checksum(of frame: UnsafeRawBufferPointer) -> UInt32 {
    let header = crc32c(UnsafeRawBufferPointer(rebasing: frame[..<checksumOffset]))
    return crc32c(UnsafeRawBufferPointer(rebasing: frame[headerBytes...]), continuing: header)
  }

  /// Takes the next frame off `buffer`; nothing where more bytes have to come first. No memory is taken for a length that is not allowed.
  static func read(from buffer: inout ByteBuffer, limit: Int) throws(WireError) -> WireFrame? {
    let start = buffer.readerIndex
    guard buffer.readableBytes >= headerBytes else {
      // What does not begin as a frame does is not waited for.
      let have = min(buffer.readableBytes, 4)
      let expected = withUnsafeBytes(of: magic.littleEndian) { Array($0) }
      if let begin = buffer.getBytes(at: start, length: have), begin != Array(expected[..<have]) { throw .badMagic }
      return nil
    }
    guard let found = buffer.getInteger(at: start, endianness: .little, as: UInt32.self), found == magic else { throw .badMagic }
    let version = buffer.getInteger(at: start + 4, as: UInt8.self) ?? 0
    guard version == Self.version else { throw .unsupportedVersion(version) }
    let rawKind = buffer.getInteger(at: start + 5, as: UInt8.self) ?? 0
    guard let kind = FrameKind(rawValue: rawKind) else { throw .unknownKind(rawKind) }
    let reserved = buffer.getInteger(at: start + 6, endianness: .little, as: UInt16.self) ?? 0
    guard reserved == 0 else { throw .reservedBits(reserved) }
    let length = Int(buffer.getInteger(at: start + 40, endianness: .little, as: UInt32.self) ?? 0)
    guard length <= limit else { throw .tooLong(length, limit: limit) }
    guard buffer.readableBytes >= headerBytes + length else { return nil }
    let stored = buffer.getInteger(at: start + checksumOffset, endianness: .little, as: UInt32.self)
    let actual = buffer.withUnsafeReadableBytes { Self.checksum(of: UnsafeRawBufferPointer(rebasing: $0[..<(headerBytes + length)])) }
    guard stored == actual else { throw .checksum }
    var frame = WireFrame(
      kind: kind, cluster: number(8, of: buffer), group: number(16, of: buffer), from: number(24, of: buffer), to: number(32, of: buffer))
    buffer.moveReaderIndex(forwardBy: headerBytes)
    frame.payload = buffer.readSlice(length: length) ?? ByteBuffer()
    return frame
  }

  /// The number at an offset of the frame `buffer` begins with.
  private static func number(_ offset: Int, of buffer: ByteBuffer) -> UInt64 {
    buffer.getInteger(at: buffer.readerIndex + offset, endianness: .little, as: UInt64.self) ?? 0
  }

  /// Reads the payload by `body`; what cannot be read, or is too long, is an error of the frame.
  func decode<R>(_ body: (inout ByteReader) throws(DecodeError) -> R) throws(WireError) -> R {
    let result: Result<R, DecodeError> = payload.withUnsafeReadableBytes { bytes in
      var reader = ByteReader(RawSpan(_unsafeBytes: bytes))
      do throws(DecodeError) {
        let value = try body(&reader)
        try reader.expectEnd(of: "frame")
        return .success(value)
      } catch { return .failure(error) }
    }
    do { return try result.get() } catch { throw .badPayload(error.description) }
  }
}
