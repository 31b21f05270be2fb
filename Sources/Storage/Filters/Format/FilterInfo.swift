import StrataBytes

/// What a stored filter of any kind says of itself, scalable ones included, after all of it was checked.
public struct FilterInfo: Sendable, Hashable {
  /// What the filter is.
  public let kind: FilterKind
  /// The seed keys are hashed with.
  public let seed: UInt64
  /// How many keys it holds, as its kind counts them.
  public let keyCount: UInt64
  /// The bytes of its payload.
  public let payloadBytes: Int
  /// How often an absent key is answered with "perhaps", from the kind, its parameters and the number of keys.
  public let expectedFalsePositiveRate: Double

  /// Checks the bytes of a filter, all of them, as ``FilterView`` does.
  /// - Throws: `.corrupt`, `.unsupported`; `.tooLarge` for a scalable filter above `maxBytes`.
  public init(validating bytes: RawSpan, maxBytes: UInt64 = 4 << 30) throws(FilterError) {
    let header = try FilterHeader(checking: bytes)
    kind = header.kind
    seed = header.seed
    keyCount = header.keys
    payloadBytes = header.payloadBytes
    if header.kind == .scalableBloom {
      expectedFalsePositiveRate = try ScalableBloomFilter(decoding: bytes, maxBytes: maxBytes).estimatedFalsePositiveRate
    } else {
      expectedFalsePositiveRate = try FilterView(validating: bytes).expectedFalsePositiveRate
    }
  }

  /// Bits of payload per key; `nil` without keys, and for the kinds that say the same of every key.
  public var bitsPerKey: Double? {
    keyCount == 0 || kind == .always || kind == .never ? nil : Double(payloadBytes) * 8 / Double(keyCount)
  }
}
