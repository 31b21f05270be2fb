import StrataFilters

/// The root of a Bloom or cuckoo filter: what it was asked to be, its sub-filters and its counts. The bits lie in pages, which are its parts.
///
/// `version u8 = 1 | flags u8 (1: does not grow) | sub-filters u16 | expansion u32 | number u64 | seed u64 | capacity u64 | error rate f64 |
/// items u64 | deleted u64 | items of the newest sub-filter u64`, then per sub-filter `pages u32 | size of a page u16 | hashes u16`; little-endian.
/// See Docs/Formats/ServerFilters.md.
struct FilterRoot: Hashable, Sendable {
  static let version: UInt8 = 1
  static let headBytes = 64
  private static let partBytes = 8
  static let maxSubfilters = 64
  /// Bytes of all pages of a filter at most, present or not: those of a string.
  static let maxBytes: UInt64 = 512 << 20
  static let maxExpansion: UInt32 = 32_768

  /// A sub-filter: so many pages, behind those of the sub-filters before it.
  struct Part: Hashable, Sendable {
    var pages: UInt32
    /// 64-bit words of a Bloom filter's page, buckets of a cuckoo filter's.
    var size: UInt16
    /// Positions of a key in a Bloom filter, 0 in a cuckoo filter.
    var hashes: UInt16
  }

  var number: UInt64
  var seed: UInt64
  /// Items the first sub-filter was made for.
  var capacity: UInt64
  /// How much larger each sub-filter is than the one before; 0 where it does not grow.
  var expansion: UInt32
  var errorRate: Double
  /// Items that are in; of a Bloom filter, those that were new when they were added.
  var items: UInt64 = 0
  var deleted: UInt64 = 0
  /// Items added to the newest sub-filter of a Bloom filter.
  var newestItems: UInt64 = 0
  var parts: [Part] = []

  /// A filter without sub-filters, whose number is given later.
  init(capacity: UInt64, expansion: UInt32, errorRate: Double) {
    number = 0
    seed = 0
    self.capacity = capacity
    self.expansion = expansion
    self.errorRate = errorRate
  }

  var grows: Bool { expansion > 0 }

  /// Items the sub-filter of this place was made for; all there are where that is more than can be counted.
  func capacity(_ index: Int) -> UInt64 {
    var capacity = capacity
    for _ in 0..<index {
      let (product, overflow) = capacity.multipliedReportingOverflow(by: UInt64(expansion))
      guard !overflow else { return .max }
      capacity = product
    }
    return capacity
  }

  /// Items all sub-filters were made for.
  var totalCapacity: UInt64 {
    parts.indices.reduce(0) { sum, index in
      let (total, overflow) = sum.addingReportingOverflow(capacity(index))
      return overflow ? .max : total
    }
  }

  /// Pages before those of a sub-filter.
  func firstPage(_ index: Int) -> UInt32 { parts[..<index].reduce(0) { $0 &+ $1.pages } }

  func encoded() -> [UInt8] {
    var bytes: [UInt8] = [Self.version, grows ? 0 : 1]
    bytes.reserveCapacity(Self.headBytes + parts.count * Self.partBytes)
    func append(_ value: some FixedWidthInteger) { withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) } }
    append(UInt16(parts.count))
    append(expansion)
    for field in [number, seed, capacity, errorRate.bitPattern, items, deleted, newestItems] { append(field) }
    for part in parts {
      append(part.pages)
      append(part.size)
      append(part.hashes)
    }
    return bytes
  }

  /// What a root of this type says; `nil` for bytes that are none.
  init?(decoding bytes: [UInt8], _ type: RecordType) {
    guard bytes.count >= Self.headBytes, bytes[0] == Self.version else { return nil }
    func load<Number: FixedWidthInteger>(_ offset: Int, _: Number.Type) -> Number {
      bytes.withUnsafeBytes { Number(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: Number.self)) }
    }
    let count = Int(load(2, UInt16.self))
    expansion = load(4, UInt32.self)
    number = load(8, UInt64.self)
    seed = load(16, UInt64.self)
    capacity = load(24, UInt64.self)
    errorRate = Double(bitPattern: load(32, UInt64.self))
    items = load(40, UInt64.self)
    deleted = load(48, UInt64.self)
    newestItems = load(56, UInt64.self)
    guard (1...Self.maxSubfilters).contains(count), bytes.count == Self.headBytes + count * Self.partBytes else { return nil }
    guard expansion <= Self.maxExpansion, bytes[1] == (expansion == 0 ? 1 : 0), capacity > 0 else { return nil }
    for index in 0..<count {
      let start = Self.headBytes + index * Self.partBytes
      parts.append(Part(pages: load(start, UInt32.self), size: load(start + 4, UInt16.self), hashes: load(start + 6, UInt16.self)))
    }
    var total: UInt64 = 0
    for part in parts {
      switch type {
      case .bloom:
        guard let paged = PagedBloom(part) else { return nil }
        total += paged.byteCount
      case .cuckoo:
        guard let paged = PagedCuckoo(part) else { return nil }
        total += paged.byteCount
      default: return nil
      }
      guard total <= Self.maxBytes else { return nil }
    }
    if type == .bloom { guard errorRate > 0, errorRate < 1 else { return nil } }
  }
}

extension PagedBloom {
  init?(_ part: FilterRoot.Part) { self.init(pages: part.pages, pageWords: part.size, hashes: part.hashes) }
  var part: FilterRoot.Part { FilterRoot.Part(pages: pages, size: pageWords, hashes: hashes) }
}

extension PagedCuckoo {
  init?(_ part: FilterRoot.Part) { self.init(pages: part.pages, pageBuckets: part.size) }
  var part: FilterRoot.Part { FilterRoot.Part(pages: pages, size: pageBuckets, hashes: 0) }
}
