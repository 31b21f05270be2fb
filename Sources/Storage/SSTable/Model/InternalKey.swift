import StrataBytes

/// A user key with the trailer of one of its versions, owned. Internal order: user key ascending as bytes, then trailer descending.
public struct InternalKey: Sendable, Hashable, Comparable {
  /// The key as its user wrote it.
  public var userKey: [UInt8]
  /// Sequence and kind.
  public var trailer: Trailer

  public init(userKey: [UInt8], trailer: Trailer) {
    self.userKey = userKey
    self.trailer = trailer
  }

  public static func < (a: InternalKey, b: InternalKey) -> Bool {
    let order = compare(a.userKey.span.bytes, b.userKey.span.bytes)
    return order != 0 ? order < 0 : a.trailer > b.trailer
  }
}

/// The first eight bytes of a key as a big-endian number, zeros where the key is shorter: unequal heads order two keys by one integer
/// comparison; equal heads say nothing and the bytes decide.
@inlinable
public func keyHead(_ key: UnsafeRawBufferPointer) -> UInt64 {
  if key.count >= 8 { return UInt64(bigEndian: key.loadUnaligned(as: UInt64.self)) }
  var head: UInt64 = 0
  for (index, byte) in key.enumerated() { head |= UInt64(byte) << UInt64(56 &- 8 &* index) }  // fewer than eight bytes: no shift below 8
  return head
}

/// How two keys of equal ``keyHead(_:)`` compare: less than 0, 0 or more, as ``compare(_:_:)``. Without a call, as keys are short.
@inline(__always)
func orderBehindHead(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Int {
  let limit = min(a.count, b.count)
  guard limit >= 8 else { return compare(a, b) }
  var place = 8
  while place < limit {
    // The last step takes eight bytes too, of which the first are known to be equal.
    let from = min(place, limit &- 8)
    let x = UInt64(bigEndian: a.loadUnaligned(fromByteOffset: from, as: UInt64.self))
    let y = UInt64(bigEndian: b.loadUnaligned(fromByteOffset: from, as: UInt64.self))
    if x != y { return x < y ? -1 : 1 }
    place &+= 8
  }
  return a.count &- b.count
}

/// Which keys a reader wants: half-open, `nil` for no bound. A range whose start is not before its end is empty, never an error.
public struct KeyBounds: Sendable, Hashable {
  /// First key wanted.
  public var from: [UInt8]?
  /// First key no longer wanted.
  public var to: [UInt8]?

  public init(from: [UInt8]? = nil, to: [UInt8]? = nil) {
    self.from = from
    self.to = to
  }

  /// Every key.
  public static let all = KeyBounds()

  /// The keys that begin with `prefix`.
  public init(prefix: [UInt8]) {
    var end = prefix
    while end.last == 0xFF { end.removeLast() }
    if let last = end.popLast() { end.append(last + 1) }  // not 0xFF, so it has a successor
    self.init(from: prefix, to: end.isEmpty ? nil : end)
  }

  /// Whether no key can lie within.
  public var isEmpty: Bool {
    guard let to else { return false }
    let start = from ?? []
    return compare(start.span.bytes, to.span.bytes) >= 0
  }
}
