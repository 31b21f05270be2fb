/// What can be a key: bytes that lie one after another.
public protocol KeyBytes: ~Escapable {
  /// Lends the key's bytes to `body`. No copy where they are contiguous already.
  func withKeyBytes<Result>(_ body: (RawSpan) -> Result) -> Result
}

extension Array<UInt8>: KeyBytes {
  /// The array's own bytes.
  @inlinable
  @inline(__always)
  public func withKeyBytes<Result>(_ body: (RawSpan) -> Result) -> Result { body(span.bytes) }
}

extension ArraySlice<UInt8>: KeyBytes {
  /// The slice's own bytes.
  @inlinable
  @inline(__always)
  public func withKeyBytes<Result>(_ body: (RawSpan) -> Result) -> Result { body(span.bytes) }
}

extension RawSpan: KeyBytes {
  /// The bytes themselves.
  @inlinable
  @inline(__always)
  public func withKeyBytes<Result>(_ body: (RawSpan) -> Result) -> Result { body(self) }
}

extension String: KeyBytes {
  /// The text's UTF-8.
  @inlinable
  @inline(__always)
  public func withKeyBytes<Result>(_ body: (RawSpan) -> Result) -> Result { body(utf8Span.span.bytes) }
}
