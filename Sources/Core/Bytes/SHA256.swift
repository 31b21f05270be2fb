import CStrataDigest

/// SHA-256 (FIPS 180-4) of a message that comes in pieces. For one at hand, ``sha256(_:)-(RawSpan)``.
///
/// A value: a copy goes on from the same beginning. By the processor's instructions where it has them.
public struct SHA256: Sendable {
  private var message = strata_sha256()

  /// Nothing taken in yet.
  public init() { strata_sha256_begin(&message) }

  /// Takes in `bytes`. O(n).
  public mutating func update(_ bytes: RawSpan) { bytes.withUnsafeBytes { strata_sha256_add(&message, $0.baseAddress, $0.count) } }

  /// Takes in `bytes`. O(n).
  public mutating func update(_ bytes: [UInt8]) { update(bytes.span.bytes) }

  /// The digest of what was taken in; ends the message.
  public consuming func finish() -> Digest {
    Digest { strata_sha256_end(&message, $0.assumingMemoryBound(to: UInt8.self)) }
  }
}

/// The SHA-256 digest of `bytes`. Pure; safe from any thread; O(n).
public func sha256(_ bytes: RawSpan) -> Digest {
  var message = SHA256()
  message.update(bytes)
  return message.finish()
}

/// The SHA-256 digest of `bytes`. Pure; safe from any thread; O(n).
public func sha256(_ bytes: [UInt8]) -> Digest { sha256(bytes.span.bytes) }

/// The digest of the byte `tag` and then the bytes of `a` and `b`: messages of different tags never have one digest.
package func sha256(tag: UInt8, _ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Digest {
  Digest { strata_sha256_tagged(tag, a.baseAddress, a.count, b.baseAddress, b.count, $0.assumingMemoryBound(to: UInt8.self)) }
}

/// For each of the adjoining rows of `rowBytes` bytes, the digest of the byte `tag` and the row, two rows at a time.
///
/// - Parameters:
///   - rows: at least `count` rows.
///   - digests: has room for `count` digests and does not overlap the rows.
package func sha256(tag: UInt8, rows: UnsafeRawPointer?, rowBytes: Int, count: Int, into digests: UnsafeMutablePointer<Digest>) {
  strata_sha256_rows(tag, rows, rowBytes, count, UnsafeMutableRawPointer(digests).assumingMemoryBound(to: UInt8.self))
}

/// A way to compute SHA-256. All give the same results; tests hold them against each other.
package enum SHA256Form: Int, CaseIterable, Sendable {
  /// Portable C.
  case software
  /// The SHA instructions of x86-64 or ARMv8, two messages interleaved where that helps.
  case instructions

  /// The digests of rows by this form, see the function of that name; nil where the processor cannot run it.
  package func digests(tag: UInt8, rows: [UInt8], rowBytes: Int, count: Int) -> [Digest]? {
    guard let form = strata_sha256_form_of(CInt(rawValue)) else { return nil }
    precondition(rowBytes >= 0 && count >= 0 && rowBytes * count <= rows.count, "rows lie within their bytes")
    return rows.withUnsafeBytes { rows in
      [Digest](unsafeUninitializedCapacity: count) { digests, initialized in
        if let start = digests.baseAddress {
          strata_sha256_rows_by(
            form, tag, rows.baseAddress, rowBytes, count, UnsafeMutableRawPointer(start).assumingMemoryBound(to: UInt8.self))
        }
        initialized = count
      }
    }
  }
}
