import CStrataFilters

/// The hash every filter is asked with: XXH3-64 (https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md).
///
/// A key is hashed once and the 64 bits are used for all filters and all levels. The same on every machine and in every process, so filters may be
/// stored and sent; never Swift's `Hasher`, whose results differ by process. Complexity O(length), about 3 ns for a short key.
public enum FilterHash {
  /// The hash of `bytes`.
  @inlinable
  public static func hash64(_ bytes: UnsafeRawBufferPointer, seed: UInt64 = 0) -> UInt64 { strata_xxh3(bytes.baseAddress, bytes.count, seed) }

  /// The hash of borrowed bytes.
  @inlinable
  public static func hash64(_ bytes: RawSpan, seed: UInt64 = 0) -> UInt64 { bytes.withUnsafeBytes { hash64($0, seed: seed) } }

  /// The hash of a text's UTF-8.
  @inlinable
  public static func hash64(_ text: String, seed: UInt64 = 0) -> UInt64 {
    var text = text
    return text.withUTF8 { hash64(UnsafeRawBufferPointer($0), seed: seed) }
  }
}
