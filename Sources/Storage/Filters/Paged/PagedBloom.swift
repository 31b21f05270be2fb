/// The arithmetic of a Bloom filter whose bits lie in pages that are kept apart, so that adding a key changes one page.
///
/// A hash names one page by multiply-shift and within it `hashes` positions, those that a ``BloomFilter`` of a page's size has for the remixed
/// hash. A page never touched is all zeros and need not exist. Some pages get more keys than others, which costs false positives; the filter is
/// made larger by what that takes (``init(slice:of:)``). A value without bits: the caller holds them. All operations O(hashes).
package struct PagedBloom: Sendable, Hashable {
  /// 64-bit words of a page at most: 1 KiB.
  package static let maxPageWords: UInt16 = 128

  /// How many pages there are, at least 1.
  package let pages: UInt32
  /// 64-bit words of every page, 1...``maxPageWords``.
  package let pageWords: UInt16
  /// Positions of a key, 1...2048.
  package let hashes: UInt16

  /// One of these very numbers, as they were stored; `nil` where there is none.
  package init?(pages: UInt32, pageWords: UInt16, hashes: UInt16) {
    guard pages >= 1, (1...Self.maxPageWords).contains(pageWords), (1...UInt16(BloomGeometry.maxHashCount)).contains(hashes) else { return nil }
    self.pages = pages
    self.pageWords = pageWords
    self.hashes = hashes
  }

  /// Slice `index` of a scalable filter: as many keys and as many false positives as ``ScalableBloomFilter`` gives it.
  /// - Throws: `.invalidParameters`; `.tooLarge` above `maxBytes`. Nothing is allocated.
  package init(slice index: Int, of parameters: ScalableBloomFilter.Parameters, maxBytes: UInt64) throws(FilterError) {
    try parameters.validate()
    guard let geometry = parameters.geometry(slice: index) else { throw .tooLarge(bytes: .max, limit: maxBytes) }
    let items = Double(parameters.initialCapacity) * Elementary.power(parameters.growth, index)
    try self.init(geometry, items: items, maxBytes: maxBytes)
  }

  /// A filter that does not grow: the size of a ``BloomFilter`` for as many keys and false positives.
  /// - Throws: as ``init(slice:of:maxBytes:)``.
  package init(expectedItems: Int, falsePositiveRate: Double, maxBytes: UInt64) throws(FilterError) {
    let geometry = try BloomGeometry(expectedItems: expectedItems, falsePositiveRate: falsePositiveRate)
    try self.init(geometry, items: Double(expectedItems), maxBytes: maxBytes)
  }

  /// Pages with as many false positives as `geometry` has with `items` keys in one piece.
  private init(_ geometry: BloomGeometry, items: Double, maxBytes: UInt64) throws(FilterError) {
    let hashes = UInt16(geometry.hashCount)
    guard geometry.byteCount <= maxBytes else { throw .tooLarge(bytes: geometry.byteCount, limit: maxBytes) }
    let words = geometry.byteCount / 8
    guard words > UInt64(Self.maxPageWords) else {
      self.pages = 1
      pageWords = UInt16(words)
      self.hashes = hashes
      return
    }
    let target = geometry.expectedRate(items: items)
    var factor = 1.0
    var pages = 1.0
    repeat {
      pages = (Double(words) * factor / Double(Self.maxPageWords)).rounded(.up)
      factor += 0.005
    } while Self.rate(items: items, pages: pages, hashes: geometry.hashCount) > target && factor < 4
    let bytes = UInt64(pages) * UInt64(Self.maxPageWords) * 8
    guard bytes <= maxBytes, pages <= Double(UInt32.max) else { throw .tooLarge(bytes: bytes, limit: maxBytes) }
    self.pages = UInt32(pages)
    pageWords = Self.maxPageWords
    self.hashes = hashes
  }

  /// The expected share of absent keys answered with "perhaps": the number of keys of a page is about normally distributed.
  private static func rate(items: Double, pages: Double, hashes: Int) -> Double {
    let mean = items / pages
    let deviation = mean.squareRoot()
    let empty = Elementary.ln(1 - 1 / (Double(maxPageWords) * 64)) * Double(hashes)
    var weights = 0.0
    var sum = 0.0
    for step in -50...50 {
      let z = Double(step) / 10
      let weight = Elementary.exp(-z * z / 2)
      weights += weight
      let clear = Elementary.exp(empty * max(mean + z * deviation, 0))
      sum += weight * Elementary.power(1 - clear, hashes)
    }
    return sum / weights
  }

  /// Bytes of a page.
  package var pageBytes: Int { Int(pageWords) * 8 }
  /// Bytes of all pages.
  package var byteCount: UInt64 { UInt64(pages) * UInt64(pageBytes) }

  /// The page of a hash.
  @inline(__always)
  package func page(of hash: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: hash.multipliedFullWidth(by: UInt64(pages)).high) }

  // Valid numbers were checked when this was made.
  private var pageGeometry: BloomGeometry? { try? BloomGeometry(bits: UInt64(pageWords) * 64, hashes: Int(hashes)) }

  /// Sets the bits of a hash in its page; gives whether any was new. `page` has ``pageBytes`` bytes.
  package func add(_ hash: UInt64, to page: UnsafeMutableRawBufferPointer) -> Bool {
    precondition(page.count == pageBytes, "a page of another filter")
    guard let geometry = pageGeometry, let base = page.baseAddress else { return false }
    var walk = PagedHash.inner(hash)
    var fresh = false
    for _ in 0..<geometry.hashCount {
      let position = geometry.position(walk)
      let place = Int(truncatingIfNeeded: position >> 6) * 8
      let word = UInt64(littleEndian: base.loadUnaligned(fromByteOffset: place, as: UInt64.self))
      let bit = (1 as UInt64) &<< position
      if word & bit == 0 { fresh = true }
      base.storeBytes(of: (word | bit).littleEndian, toByteOffset: place, as: UInt64.self)
      walk = walk &* BloomGeometry.step
    }
    return fresh
  }

  /// Whether the key of a hash may be in its page. `page` has ``pageBytes`` bytes.
  package func mayContain(_ hash: UInt64, in page: UnsafeRawBufferPointer) -> Bool {
    precondition(page.count == pageBytes, "a page of another filter")
    guard let geometry = pageGeometry, let base = page.baseAddress else { return false }
    return BloomFilter.test(PagedHash.inner(hash), geometry, base)
  }
}

/// What is asked within a page: the bits that named the page are the same for all keys there.
package enum PagedHash {
  /// A hash for the inside of a page; the same on every machine and for ever, as pages are stored.
  @inline(__always)
  package static func inner(_ hash: UInt64) -> UInt64 {
    let mixed = (hash ^ (hash >> 31)) &* 0xBF58_476D_1CE4_E5B9  // wraps: a permutation of 64 bits
    return mixed ^ (mixed >> 29)
  }
}
