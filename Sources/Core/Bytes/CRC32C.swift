public import CStrataChecksum

/// CRC-32C (Castagnoli, RFC 3720 B.4) of `bytes`, continuing from the checksum of what came before (0 to begin).
///
/// The checksum of every Strata format. Pure; safe from any thread; O(n) in the fastest form this processor has, chosen once before
/// `main`. `crc32c(b, continuing: crc32c(a))` equals the checksum of `a` followed by `b`.
@inlinable
public func crc32c(_ bytes: RawSpan, continuing: UInt32 = 0) -> UInt32 {
  bytes.withUnsafeBytes { strata_crc32c(continuing, $0.baseAddress, $0.count) }
}

/// As ``crc32c(_:continuing:)-(RawSpan,_)`` for callers that already hold a pointer.
@inlinable
package func crc32c(_ bytes: UnsafeRawBufferPointer, continuing: UInt32 = 0) -> UInt32 {
  strata_crc32c(continuing, bytes.baseAddress, bytes.count)
}

/// The checksum of `a` followed by `b`, from the checksums of both and the length of `b`, without the bytes.
///
/// O(log lengthB). `lengthB` must not be negative.
public func crc32cCombine(_ a: UInt32, _ b: UInt32, lengthB: Int) -> UInt32 {
  precondition(lengthB >= 0, "a length is not negative")
  // crc(ab) = crc(a)·x^(8·lengthB) + crc(b): the inversions at both ends cancel.
  var shifted = a
  var power: UInt32 = 0x0080_0000  // x^8, bits reflected
  var length = UInt(lengthB)
  while length != 0 {
    if length & 1 == 1 { shifted = multiply(shifted, power) }
    power = multiply(power, power)
    length >>= 1
  }
  return shifted ^ b
}

/// `a` times `b` modulo the Castagnoli polynomial; bit i of either stands for x^(31-i).
private func multiply(_ a: UInt32, _ b: UInt32) -> UInt32 {
  var product: UInt32 = 0
  var b = b
  var bit: UInt32 = 0x8000_0000
  while bit != 0 {
    if a & bit != 0 { product ^= b }
    b = (b >> 1) ^ (b & 1 == 1 ? 0x82F6_3B78 : 0)
    bit >>= 1
  }
  return product
}

/// `crc` in the form to store beside data that itself holds checksums.
///
/// The CRC of bytes that contain their own CRC is a constant, so a checksum of checksums would say nothing. Rotated right by 15 and
/// raised by a constant, as LevelDB's log format does. ``unmaskedCRC(_:)`` undoes it.
@inlinable
public func maskedCRC(_ crc: UInt32) -> UInt32 {
  // Wraps: arithmetic modulo 2^32 is what makes it invertible.
  ((crc >> 15) | (crc << 17)) &+ 0xA282_EAD8
}

/// The checksum that ``maskedCRC(_:)`` gave `masked` for.
@inlinable
public func unmaskedCRC(_ masked: UInt32) -> UInt32 {
  let rotated = masked &- 0xA282_EAD8
  return (rotated >> 17) | (rotated << 15)
}

/// A way to compute CRC-32C. All give the same results; tests hold them against each other and the tool names the one in use.
package enum CRC32CForm: Int, CaseIterable, Sendable {
  /// Slice-by-8 tables; everywhere.
  case software
  /// CRC instructions of SSE 4.2 or ARMv8 in three lanes merged by carry-less multiply.
  case lanes
  /// 512-bit carry-less multiply (AVX-512, VPCLMULQDQ).
  case folding

  /// Whether this processor can run it.
  package var isAvailable: Bool { strata_crc32c_form_of(CInt(rawValue)) != nil }

  /// The form ``crc32c(_:continuing:)-(RawSpan,_)`` uses.
  package static var chosen: CRC32CForm { allCases.last { $0.isAvailable } ?? .software }

  /// The checksum by this form, or nil where the processor cannot run it.
  package func checksum(_ bytes: UnsafeRawBufferPointer, continuing: UInt32 = 0) -> UInt32? {
    strata_crc32c_form_of(CInt(rawValue)).map { $0(continuing, bytes.baseAddress, bytes.count) }
  }
}
