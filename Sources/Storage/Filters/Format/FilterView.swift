import CStrataFilters
import StrataBytes

/// A stored filter asked where it lies: in a mapped file, a block of a cache, an array. Nothing is copied; the view cannot outlive the bytes.
///
/// Making one checks everything once, so that asking checks nothing and can neither trap nor read beyond the bytes. It serves all kinds but
/// ``FilterKind/scalableBloom``, for which see ``ScalableBloomFilter/init(decoding:maxBytes:)-(RawSpan,_)``. Safe to ask from any number of threads.
public struct FilterView: MembershipFilter, ~Escapable {
  /// What the filter is.
  public let kind: FilterKind
  public let seed: UInt64
  /// How many keys it was built of, as its kind counts them.
  public let keyCount: UInt64
  /// The bytes of its payload.
  public let payloadBytes: Int
  private let form: Form
  private let payload: RawSpan

  private enum Form {
    case constant(Bool)
    case bloom(BloomGeometry)
    case blocked(UInt64, Int32)
    case counting(BloomGeometry, Int)
    case fuse8(FuseShape, UInt64)
    case fuse16(FuseShape, UInt64)
    case cuckoo(CuckooTable, CuckooVictim)
  }

  /// A view of the bytes of a filter, all of them.
  /// - Throws: `.corrupt` with the offset of what is wrong; `.unsupported` for an unknown version, kind or hash, and for scalable filters. A caller
  ///   then takes every key for perhaps present.
  @_lifetime(copy bytes)
  public init(validating bytes: RawSpan) throws(FilterError) {
    let header = try FilterHeader(checking: bytes)
    let payload = bytes.extracting(FilterFormat.headerBytes..<bytes.byteCount)
    kind = header.kind
    seed = header.seed
    keyCount = header.keys
    payloadBytes = header.payloadBytes
    self.payload = payload
    switch header.kind {
    case .always: form = .constant(false)
    case .never: form = .constant(true)
    case .blockedBloom: form = .blocked(header.parameters.0, Int32(header.blockHashes))
    case .binaryFuse8: form = .fuse8(header.fuseShape, header.parameters.1)
    case .binaryFuse16: form = .fuse16(header.fuseShape, header.parameters.1)
    case .cuckoo: form = .cuckoo(header.cuckooTable, FilterHeader.victim(payload))
    case .bloom, .countingBloom:
      guard let geometry = header.bloomGeometry else { throw .corrupt(reason: "parameters of a filter out of range", offset: 36) }
      form = header.kind == .bloom ? .bloom(geometry) : .counting(geometry, header.counterBits)
    case .scalableBloom: throw .unsupported(field: "view of kind", value: UInt64(header.kind.rawValue), offset: 6)
    }
  }

  public func mayContain(hash: UInt64) -> Bool {
    payload.withUnsafeBytes { bytes in
      // The payload's length was checked against the parameters, and no kind's payload is empty.
      guard let base = bytes.baseAddress else { return true }
      switch form {
      case .constant(let answer): return answer
      case .bloom(let geometry): return BloomFilter.test(hash, geometry, base)
      case .blocked(let blocks, let count):
        return strata_block_test(base + strata_block_offset(hash, blocks), UInt32(truncatingIfNeeded: hash), count) != 0
      case .counting(let geometry, let bits): return CountingBloomFilter.test(hash, geometry, bits, base)
      case .fuse8(let shape, let mixing): return BinaryFuseFilter<UInt8>.test(FuseMix.mix(hash &+ mixing), shape, base)  // wraps: a bijection
      case .fuse16(let shape, let mixing): return BinaryFuseFilter<UInt16>.test(FuseMix.mix(hash &+ mixing), shape, base)  // wraps: a bijection
      case .cuckoo(let table, let victim): return table.test(hash, base, victim)
      }
    }
  }

  /// Asks for many keys at once; see ``MembershipFilter/mayContain(hashes:into:)``.
  public func mayContain(hashes: Span<UInt64>, into answers: inout BitMask) {
    payload.withUnsafeBytes { bytes in
      guard let base = bytes.baseAddress else { return answers.fill(hashes.count) { _ in true } }
      switch form {
      case .bloom(let geometry): BloomFilter.test(hashes, geometry, base, &answers)
      case .blocked(_, let count): FilterProbe(bits: bytes, hashCount: Int(count)).mayContain(hashes: hashes, into: &answers)
      case .fuse8(let shape, let mixing): BinaryFuseFilter<UInt8>.test(hashes, shape, mixing, base, &answers)
      case .fuse16(let shape, let mixing): BinaryFuseFilter<UInt16>.test(hashes, shape, mixing, base, &answers)
      case .constant, .counting, .cuckoo: answers.fill(hashes.count) { mayContain(hash: hashes[$0]) }
      }
    }
  }

  /// How often an absent key is answered with "perhaps", from the kind, its parameters and the number of keys.
  public var expectedFalsePositiveRate: Double {
    switch form {
    case .constant(let answer): answer ? 1 : 0
    case .bloom(let geometry), .counting(let geometry, _): geometry.expectedRate(items: Double(keyCount))
    case .blocked(let blocks, let count): BlockGeometry.expectedRate(items: Double(keyCount), blocks: Double(blocks), hashes: Int(count))
    case .fuse8: Elementary.power(0.5, 8)
    case .fuse16: Elementary.power(0.5, 16)
    case .cuckoo(let table, _): CuckooFilter.rate(Double(keyCount) / Double(table.buckets * 4))
    }
  }
}
