public import CStrataChecksum

/// The order of two byte strings as `memcmp` has it: unsigned bytes from the front, and a prefix before what it begins.
///
/// - Returns: negative where `a` comes first, 0 where they are equal, positive where `b` comes first.
/// - Complexity: O(length of the common prefix).
@inlinable
public func compare(_ a: RawSpan, _ b: RawSpan) -> Int {
  a.withUnsafeBytes { a in
    b.withUnsafeBytes { b in Int(strata_compare(a.baseAddress, a.count, b.baseAddress, b.count)) }
  }
}

/// As ``compare(_:_:)-(RawSpan,RawSpan)`` for callers that already hold pointers.
@inlinable
package func compare(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Int {
  Int(strata_compare(a.baseAddress, a.count, b.baseAddress, b.count))
}
