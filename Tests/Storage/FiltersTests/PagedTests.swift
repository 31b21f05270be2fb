import StrataNodes
import StrataRequirements
import Testing

@testable import StrataFilters

/// Filters whose bits lie in pages.
@Suite struct PagedTests {
  @Test func aSmallFilterIsOnePageAndALargeOneManyOfTheSameSize() throws {
    let small = try PagedBloom(slice: 0, of: .init(initialCapacity: 100), maxBytes: 1 << 20)
    #expect(small.pages == 1)
    #expect(small.pageBytes == 152)
    #expect(small.hashes == 8)
    let large = try PagedBloom(slice: 0, of: .init(initialCapacity: 1_000_000), maxBytes: 1 << 24)
    #expect(large.pageBytes == 1024)
    // One piece takes 11.54 bits a key; pages cost two in a hundred of that.
    #expect(Double(large.byteCount) * 8 / 1_000_000 < 11.54 * 1.03)
    #expect(PagedBloom(pages: large.pages, pageWords: large.pageWords, hashes: large.hashes) == large)
    #expect(PagedBloom(pages: 0, pageWords: 1, hashes: 1) == nil)
    #expect(PagedBloom(pages: 1, pageWords: 129, hashes: 1) == nil)
    #expect(PagedBloom(pages: 1, pageWords: 1, hashes: 0) == nil)
    #expect(PagedCuckoo(pages: 1, pageBuckets: 1) == nil)
    #expect(PagedCuckoo(pages: 1, pageBuckets: 681) == nil)
    #expect(try PagedCuckoo(capacity: 1 << 20, maxBytes: 1 << 30).pageBytes == 4096)
  }

  @Test(.requirement("Filters.never.5")) func badParametersAreRefused() throws {
    #expect(throws: FilterError.self) { try PagedBloom(slice: 0, of: .init(initialCapacity: 0), maxBytes: 1 << 20) }
    #expect(throws: FilterError.self) { try PagedBloom(expectedItems: 10, falsePositiveRate: .nan, maxBytes: 1 << 20) }
    #expect(throws: FilterError.self) { try PagedBloom(expectedItems: 1 << 60, falsePositiveRate: 0.01, maxBytes: 1 << 29) }
    #expect(throws: FilterError.self) { try PagedBloom(slice: 63, of: .init(initialCapacity: 1 << 40, growth: 1), maxBytes: 1 << 29) }
    #expect(throws: FilterError.self) { try PagedCuckoo(capacity: .max, maxBytes: 1 << 29) }
    #expect(throws: FilterError.self) { try PagedCuckoo(capacity: -1, maxBytes: 1 << 29) }
  }

  /// Uneven pages cost no more than the size makes up for.
  @Test(.requirement("Filters.keep.1"), arguments: [0.1, 0.01, 0.0005]) func theRateIsThatOfOnePiece(rate: Double) throws {
    let items = 60_000
    let shape = try PagedBloom(expectedItems: items, falsePositiveRate: rate, maxBytes: 1 << 24)
    #expect(shape.pages > 20)
    var pages = [[UInt8]](repeating: [UInt8](repeating: 0, count: shape.pageBytes), count: Int(shape.pages))
    var random = Random(seed: 3)
    let keys = (0..<items).map { _ in random.next() }
    for key in keys { _ = pages[Int(shape.page(of: key))].withUnsafeMutableBytes { shape.add(key, to: $0) } }
    for key in keys { #expect(pages[Int(shape.page(of: key))].withUnsafeBytes { shape.mayContain(key, in: $0) }) }
    let probes = 200_000
    var wrong = 0
    for _ in 0..<probes {
      let key = random.next()
      if pages[Int(shape.page(of: key))].withUnsafeBytes({ shape.mayContain(key, in: $0) }) { wrong += 1 }
    }
    let deviation = (rate * (1 - rate) / Double(probes)).squareRoot()
    #expect(Double(wrong) / Double(probes) < rate * 1.03 + 3 * deviation, "seed 3: \(wrong) of \(probes)")
  }

  /// Pages of a cuckoo filter fill unevenly, and yet it holds what it was made for.
  @Test func aCuckooFilterHoldsItsCapacity() throws {
    let capacity = 60_000
    let shape = try PagedCuckoo(capacity: capacity, maxBytes: 1 << 24)
    #expect(shape.pages > 20)
    var pages: [CuckooFilter] = []
    for _ in 0..<shape.pages { pages.append(try shape.filter(nil)) }
    var random = Random(seed: 4)
    let keys = (0..<capacity).map { _ in random.next() }
    for key in keys { try pages[Int(shape.page(of: key))].add(hash: PagedHash.inner(key)) }
    for key in keys { #expect(pages[Int(shape.page(of: key))].mayContain(hash: PagedHash.inner(key))) }
    for key in keys { try pages[Int(shape.page(of: key))].remove(hash: PagedHash.inner(key)) }
    #expect(pages.allSatisfy { $0.count == 0 })
  }

  /// A page is its bytes, its victim among them; other bytes are refused or a page.
  @Test(.requirement("Filters.never.3")) func aPageRoundTrips() throws {
    let shape = try #require(PagedCuckoo(pages: 1, pageBuckets: 3))
    var filter = try shape.filter(nil)
    var random = Random(seed: 6)
    var keys: [UInt64] = []
    while true {
      let key = random.next()
      guard (try? filter.add(hash: key)) != nil else { break }
      keys.append(key)
    }
    #expect(filter.victim.fingerprint != 0)
    let bytes = shape.bytes(filter)
    let again = try bytes.span.bytes.withUnsafeBytes { (bytes) throws(FilterError) in try shape.filter(bytes) }
    for key in keys { #expect(again.mayContain(hash: key)) }
    #expect(shape.bytes(again) == bytes)
    for length in 0..<bytes.count {
      #expect(throws: FilterError.self) {
        _ = try Array(bytes[..<length]).span.bytes.withUnsafeBytes { (bytes) throws(FilterError) in try shape.filter(bytes) }
      }
    }
    for bit in 0..<(bytes.count * 8) {
      var flipped = bytes
      flipped[bit / 8] ^= 1 << (bit % 8)
      guard var page = try? flipped.span.bytes.withUnsafeBytes({ (bytes) throws(FilterError) in try shape.filter(bytes) }) else { continue }
      for key in keys { try? page.remove(hash: key) }
      for key in keys { try? page.add(hash: key) }
    }
  }
}
