import StrataFilters

/// The hashes of a table's keys and of their prefixes, and where among them the parts of the index begin.
struct FilterHashes: ~Copyable {
  private(set) var all: [UInt64] = []
  private var ends: [Int] = []
  private let extractor: PrefixExtractor?
  private var lastPrefix: UInt64?

  init(_ extractor: PrefixExtractor?) { self.extractor = extractor }

  /// Whether the present part has no key yet: the next entry's is one of it, though it be a further version of the key before.
  @inline(__always)
  var beginsPart: Bool { all.count == ends.last ?? 0 }

  @inline(__always)
  mutating func add(_ key: UnsafeRawBufferPointer, _ hash: UInt64) {
    if extractor != nil { addPrefix(key) }
    all.append(hash)
  }

  /// Adds the key's prefix unless the key before has the same and is in the same part.
  private mutating func addPrefix(_ key: UnsafeRawBufferPointer) {
    guard let length = extractor?.length(in: key) else { return }
    let hash = FilterHash.hash64(UnsafeRawBufferPointer(rebasing: key[..<length]))
    if hash == lastPrefix, !beginsPart { return }
    lastPrefix = hash
    all.append(hash)
  }

  mutating func endPart() {
    ends.append(all.count)
    lastPrefix = nil
  }

  /// The hashes of part `index`.
  func part(_ index: Int) -> Range<Int> { (index == 0 ? 0 : ends[index - 1])..<ends[index] }
}
