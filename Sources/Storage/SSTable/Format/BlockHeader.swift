import StrataBytes
import StrataCompression

/// What a block holds.
enum BlockKind: UInt8, Sendable {
  case data = 0, index, topIndex, filter, rangeDeletions, properties

  var name: String { "\(self)" }
}

/// Where a block lies: `storedBytes` count its payload, without the header.
@frozen
package struct BlockHandle: Sendable, Hashable {
  package var offset: UInt64
  package var storedBytes: UInt32

  package init(offset: UInt64, storedBytes: UInt32) {
    self.offset = offset
    self.storedBytes = storedBytes
  }

  /// Header and payload.
  var fileBytes: Int { BlockHeader.bytes + Int(storedBytes) }
}

/// The 16 bytes before a block's payload: u32 checksum, u32 stored length, u32 raw length, u8 kind, u8 codec, u16 zero.
///
/// The checksum covers the header from byte 4, the payload, and the context that is stored nowhere: the file's number and the block's offset. A
/// block read from the wrong place or out of the wrong file fails like a damaged one.
struct BlockHeader {
  static let bytes = 16
  /// No block is longer than the longest value and what surrounds it.
  static let rawLimit = TableLimits.valueBytes + 128 * 1024
  /// A block that claims to grow more than this was not written by us.
  static let growthLimit = 1024

  var storedBytes: Int
  var rawBytes: Int
  var kind: BlockKind
  var codec: Codec

  /// Completes a block whose payload stands behind 16 free bytes.
  static func seal(_ block: UnsafeMutableRawBufferPointer, rawBytes: Int, _ kind: BlockKind, _ codec: Codec, file: UInt64, offset: UInt64) {
    block.storeBytes(of: UInt32(block.count - bytes).littleEndian, toByteOffset: 4, as: UInt32.self)
    block.storeBytes(of: UInt32(rawBytes).littleEndian, toByteOffset: 8, as: UInt32.self)
    block.storeBytes(of: kind.rawValue, toByteOffset: 12, as: UInt8.self)
    block.storeBytes(of: codec.rawValue, toByteOffset: 13, as: UInt8.self)
    block.storeBytes(of: 0, toByteOffset: 14, as: UInt16.self)
    let sum = checksum(UnsafeRawBufferPointer(block), file: file, offset: offset)
    block.storeBytes(of: sum.littleEndian, toByteOffset: 0, as: UInt32.self)
  }

  private static func checksum(_ block: UnsafeRawBufferPointer, file: UInt64, offset: UInt64) -> UInt32 {
    let sum = crc32c(UnsafeRawBufferPointer(rebasing: block[4...]))
    return withUnsafeBytes(of: (file.littleEndian, offset.littleEndian)) { crc32c($0, continuing: sum) }
  }

  /// The header of `block`, which is a whole block as its handle says, if the block is what was written there.
  /// - Returns: `nil` and a reason where it is not.
  static func verify(_ block: UnsafeRawBufferPointer, kind: BlockKind, file: UInt64, offset: UInt64) -> (BlockHeader?, String) {
    guard block.count >= bytes else { return (nil, "it is shorter than a header") }
    let stored = UInt32(littleEndian: block.loadUnaligned(as: UInt32.self))
    guard stored == checksum(block, file: file, offset: offset) else { return (nil, "its checksum is wrong") }
    let storedBytes = Int(UInt32(littleEndian: block.loadUnaligned(fromByteOffset: 4, as: UInt32.self)))
    let rawBytes = Int(UInt32(littleEndian: block.loadUnaligned(fromByteOffset: 8, as: UInt32.self)))
    guard storedBytes == block.count - bytes else { return (nil, "it is \(block.count - bytes) bytes long and says \(storedBytes)") }
    guard let found = BlockKind(rawValue: block[12]), found == kind else { return (nil, "it is of kind \(block[12]), not \(kind.rawValue)") }
    guard let codec = Codec(rawValue: block[13]) else { return (nil, "its codec \(block[13]) is unknown") }
    guard rawBytes <= rawLimit, rawBytes <= storedBytes.multipliedReportingOverflow(by: growthLimit).partialValue || rawBytes <= growthLimit else {
      return (nil, "\(storedBytes) bytes cannot hold \(rawBytes)")
    }
    guard codec != .none || rawBytes == storedBytes else { return (nil, "an uncompressed block of \(storedBytes) bytes says \(rawBytes)") }
    return (BlockHeader(storedBytes: storedBytes, rawBytes: rawBytes, kind: kind, codec: codec), "")
  }
}
