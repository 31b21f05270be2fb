/// What a stored filter is; the number is the format's. Docs/Formats/Filters.md is normative.
public enum FilterKind: UInt8, Sendable, Hashable, CaseIterable {
  /// No key at all: everything is absent. Payload: one byte, 0.
  case always = 1
  /// Nothing is known: no key is surely absent. Payload: one byte, 1.
  case never = 2
  /// ``BloomFilter``.
  case bloom = 3
  /// ``BlockedBloomFilter``.
  case blockedBloom = 4
  /// ``CountingBloomFilter``.
  case countingBloom = 5
  /// ``ScalableBloomFilter``.
  case scalableBloom = 6
  /// ``BinaryFuseFilter`` of 8 bits.
  case binaryFuse8 = 7
  /// ``BinaryFuseFilter`` of 16 bits.
  case binaryFuse16 = 8
  /// ``CuckooFilter``.
  case cuckoo = 9
}

extension FilterKind: CustomStringConvertible {
  public var description: String {
    switch self {
    case .always: "always absent"
    case .never: "never absent"
    case .bloom: "bloom"
    case .blockedBloom: "blocked bloom"
    case .countingBloom: "counting bloom"
    case .scalableBloom: "scalable bloom"
    case .binaryFuse8: "binary fuse 8"
    case .binaryFuse16: "binary fuse 16"
    case .cuckoo: "cuckoo"
    }
  }
}
