import CStrataFilters

/// Bytes that begin on a cache line, zero at first, given back with their last owner. Sixteen bytes behind the last may be read.
@usableFromInline
final class FilterMemory: @unchecked Sendable {  // written to only while it has a single owner, see `makeUnique`
  @usableFromInline let base: UnsafeMutableRawPointer
  @usableFromInline let byteCount: Int
  private let owner: UnsafeMutableRawPointer

  /// The most memory one filter takes unless its maker is told otherwise: 4 GiB.
  static let defaultLimit: UInt64 = 4 << 30

  /// - Throws: `.tooLarge` above `limit`, before memory is taken, and where the system has no such amount.
  init(zeroed bytes: UInt64, limit: UInt64) throws(FilterError) {
    guard bytes <= limit, bytes <= UInt64(Int.max) else { throw .tooLarge(bytes: bytes, limit: limit) }
    var owner: UnsafeMutableRawPointer?
    guard let base = strata_zeroed(Int(bytes), &owner), let owner else { throw .tooLarge(bytes: bytes, limit: limit) }
    self.base = base
    self.owner = owner
    byteCount = Int(bytes)
  }

  /// A copy of borrowed bytes.
  convenience init(copying bytes: RawSpan) throws(FilterError) {
    try self.init(zeroed: UInt64(bytes.byteCount), limit: .max)
    bytes.withUnsafeBytes { if let source = $0.baseAddress { base.copyMemory(from: source, byteCount: $0.count) } }
  }

  /// The same bytes in memory of their own.
  @usableFromInline
  init(copying other: FilterMemory) {
    var owner: UnsafeMutableRawPointer?
    guard let base = strata_zeroed(other.byteCount, &owner), let owner else { preconditionFailure("no memory for a copy of a filter") }
    self.base = base
    self.owner = owner
    byteCount = other.byteCount
    base.copyMemory(from: other.base, byteCount: byteCount)
  }

  @usableFromInline
  deinit { strata_release(owner) }

  /// Gives a filter about to change its own copy where others hold the memory too.
  @inlinable
  @inline(__always)
  static func makeUnique(_ memory: inout FilterMemory) {
    if !isKnownUniquelyReferenced(&memory) { memory = FilterMemory(copying: memory) }
  }

  var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: byteCount) }

  /// How many bits are set.
  var setBits: UInt64 { strata_set_bits(base, byteCount) }

  func equals(_ other: FilterMemory) -> Bool { bytes.elementsEqual(other.bytes) }
}
