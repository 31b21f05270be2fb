import CStrataChecksum

/// CRC-32C of `bytes`, continuing from the checksum of what came before (0 to begin).
@inlinable
public func crc32c(_ bytes: RawSpan, continuing: UInt32 = 0) -> UInt32 {
  bytes.withUnsafeBytes { strata_crc32c(continuing, $0.baseAddress, $0.count) }
}
