import StrataBytes

/// Right checksums for wrong bytes.
enum Sealing {
  /// The last four bytes as the checksum of all before them.
  static func end(_ bytes: inout [UInt8]) {
    guard bytes.count >= 4 else { return }
    store(crc32c(bytes.span.bytes.extracting(0..<bytes.count - 4)), at: bytes.count - 4, in: &bytes)
  }

  static func store<T: FixedWidthInteger & BitwiseCopyable>(_ value: T, at offset: Int, in bytes: inout [UInt8]) {
    bytes.withUnsafeMutableBytes { $0.storeBytes(of: value.littleEndian, toByteOffset: offset, as: T.self) }
  }

  static func load<T: FixedWidthInteger & BitwiseCopyable>(_: T.Type, at offset: Int, in bytes: [UInt8]) -> T {
    bytes.withUnsafeBytes { T(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: T.self)) }
  }

  static func crc(_ bytes: [UInt8], _ range: Range<Int>, continuing: UInt32 = 0) -> UInt32 {
    crc32c(bytes.span.bytes.extracting(range), continuing: continuing)
  }
}
