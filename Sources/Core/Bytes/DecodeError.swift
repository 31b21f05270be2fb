/// Why bytes could not be decoded. Every case carries `at`, the byte offset where the field that failed begins, counted as the
/// ``ByteReader``'s `base` says: from the file's start where the reader was told so.
public enum DecodeError: Error, Sendable, Hashable {
  /// The bytes end inside a field: it needs `need` bytes, `have` are left. A writer may have been cut off; the rest is missing.
  case truncated(at: Int, need: Int, have: Int)
  /// A varint in more bytes than its value needs. No Strata writer makes one.
  case overlong(at: Int)
  /// A number beyond what its field can hold.
  case overflow(at: Int)
  /// A length or count above the stated limit; nothing was allocated for it.
  case limitExceeded(at: Int, field: String, limit: Int)
  /// Not a file or message of the expected kind.
  case badMagic(at: Int)
  /// A version this build cannot read.
  case unsupportedVersion(at: Int, version: UInt32, newest: UInt32)
  /// The stored checksum is `expected`, the bytes of `range` give `actual`.
  case checksumMismatch(at: Int, expected: UInt32, actual: UInt32, range: Range<Int>)
  /// A field with a value that has no meaning: an unknown tag, text that is not UTF-8, bytes after the end.
  case malformed(at: Int, field: String)
}

extension DecodeError {
  /// The byte offset of the field that failed.
  public var offset: Int {
    switch self {
    case .truncated(let at, _, _), .overlong(let at), .overflow(let at), .limitExceeded(let at, _, _), .badMagic(let at),
      .unsupportedVersion(let at, _, _), .checksumMismatch(let at, _, _, _), .malformed(let at, _):
      at
    }
  }
}

extension DecodeError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .truncated(let at, let need, let have): "byte \(at): ends inside a field that needs \(need) bytes, \(have) are left"
    case .overlong(let at): "byte \(at): a number in more bytes than it needs; damaged, or not written by Strata"
    case .overflow(let at): "byte \(at): a number too large for its field; damaged"
    case .limitExceeded(let at, let field, let limit): "byte \(at): \(field) is above the limit of \(limit); damaged, or raise the limit"
    case .badMagic(let at): "byte \(at): not the expected kind of file or message"
    case .unsupportedVersion(let at, let version, let newest):
      "byte \(at): version \(version), this build reads up to \(newest); use a newer build"
    case .checksumMismatch(let at, let expected, let actual, let range):
      "byte \(at): checksum \(hex(expected)) does not match \(hex(actual)) of bytes \(range.lowerBound)..<\(range.upperBound); damaged"
    case .malformed(let at, let field): "byte \(at): \(field) is not valid; damaged, or not written by Strata"
    }
  }
}

private func hex(_ value: UInt32) -> String {
  let digits = String(value, radix: 16)
  return "0x" + String(repeating: "0", count: 8 - digits.count) + digits
}
