import CStrataAvro
import StrataBytes
import StrataCompression

/// How a container file's blocks are compressed.
public enum AvroCodec: Sendable, Hashable {
  /// As they are. Strata's writer adds checksums beside the file.
  case null
  /// RFC 1951 without header. Strata's writer adds checksums beside the file.
  case deflate(level: Int = 6)
  /// Snappy with the CRC-32 of the data behind each block.
  case snappy
  /// Zstandard with the frame's checksum.
  case zstandard(level: Int = 3)
  /// Read, not written.
  case bzip2
  /// Read, not written.
  case xz

  /// The name in a file's header.
  public var name: String {
    switch self {
    case .null: "null"
    case .deflate: "deflate"
    case .snappy: "snappy"
    case .zstandard: "zstandard"
    case .bzip2: "bzip2"
    case .xz: "xz"
    }
  }

  /// The codec of this name with its usual level.
  public init?(name: String) {
    switch name {
    case "null": self = .null
    case "deflate": self = .deflate()
    case "snappy": self = .snappy
    case "zstandard": self = .zstandard()
    case "bzip2": self = .bzip2
    case "xz": self = .xz
    default: return nil
    }
  }

  /// Whether blocks say nothing about their own damage.
  var needsSidecar: Bool { self == .null || name == "deflate" }

  func compress(_ bytes: RawSpan) throws(AvroFileError) -> [UInt8] {
    do throws(CompressionError) {
      switch self {
      case .null: return bytes.withUnsafeBytes { Array($0) }
      case .deflate(let level): return try Codec.deflate.compress(bytes, level: level)
      case .snappy:
        // Four bytes of checksum, the most significant first, as the specification has it for this codec.
        let checksum = bytes.withUnsafeBytes { strata_crc32_ieee($0.baseAddress, $0.count) }
        return try Codec.snappy.compress(bytes) + (0..<4).map { UInt8(truncatingIfNeeded: checksum >> UInt32(24 - 8 * $0)) }
      case .zstandard(let level): return try Self.zstandard(bytes, min(max(level, 1), 19))
      case .bzip2, .xz: break
      }
    } catch { throw .compression(error) }
    throw .unwritableCodec(name)
  }

  private static func zstandard(_ bytes: RawSpan, _ level: Int) throws(CompressionError) -> [UInt8] {
    var written: Int64 = 0
    let result = [UInt8](unsafeUninitializedCapacity: Codec.zstd.maximumCompressedCount(bytes.byteCount)) { storage, count in
      written = bytes.withUnsafeBytes {
        strata_zstd_compress_checked($0.baseAddress, $0.count, storage.baseAddress, storage.count, Int32(level))
      }
      count = Int(max(written, 0))
    }
    guard written >= 0 else { throw .outOfMemory(.zstd) }
    return result
  }

  /// Why a block could not be restored.
  enum BlockFault: Error {
    case checksum
    case damaged(String)
  }

  func decompress(_ bytes: RawSpan, atMost limit: Int) throws(BlockFault) -> [UInt8] {
    do {
      switch self {
      case .null: return bytes.withUnsafeBytes { Array($0) }
      // fastavro leaves three bytes of zlib's checksum behind the data.
      case .deflate: return try Self.grow(bytes, limit, strata_inflate_lenient)
      case .zstandard: return try Codec.zstd.decompress(bytes, atMost: limit)
      case .snappy:
        guard bytes.byteCount >= 4 else { throw BlockFault.damaged("no checksum") }
        let data = try Codec.snappy.decompress(bytes.extracting(..<(bytes.byteCount - 4)), atMost: limit)
        let stored = (0..<4).reduce(UInt32(0)) { value, index in
          value << 8 | UInt32(bytes.unsafeLoad(fromByteOffset: bytes.byteCount - 4 + index, as: UInt8.self))
        }
        guard data.withUnsafeBytes({ strata_crc32_ieee($0.baseAddress, $0.count) }) == stored else { throw BlockFault.checksum }
        return data
      case .bzip2: return try Self.grow(bytes, limit, strata_bzip2_decompress)
      case .xz: return try Self.grow(bytes, limit, strata_xz_decompress)
      }
    } catch let fault as BlockFault {
      throw fault
    } catch let error as CompressionError {
      throw .damaged(error.description)
    } catch {
      throw .damaged("\(error)")
    }
  }

  private typealias Decompression = (UnsafeRawPointer?, Int, UnsafeMutableRawPointer?, Int) -> Int64

  /// Decompresses into a buffer that doubles until it fits.
  private static func grow(_ bytes: RawSpan, _ limit: Int, _ body: Decompression) throws(BlockFault) -> [UInt8] {
    var capacity = min(limit, max(4096, bytes.byteCount.multipliedReportingOverflow(by: 4).partialValue))
    while true {
      var written: Int64 = 0
      let result = [UInt8](unsafeUninitializedCapacity: capacity) { storage, count in
        written = bytes.withUnsafeBytes { body($0.baseAddress, $0.count, storage.baseAddress, capacity) }
        count = Int(max(written, 0))
      }
      if written >= 0 { return result }
      guard written == -2, capacity < limit else { throw .damaged(written == -2 ? "more than \(limit) bytes" : "not the codec's data") }
      capacity = min(limit, capacity * 2)
    }
  }
}
