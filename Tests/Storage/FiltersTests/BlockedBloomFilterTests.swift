import StrataNodes
import StrataRequirements
import Testing

@testable import StrataFilters

@Suite struct BlockedBloomFilterTests {
  static func hash(_ number: UInt64) -> UInt64 { withUnsafeBytes(of: number.littleEndian) { FilterHash.hash64($0) } }

  /// Vectors of the xxHash project: the empty input with seeds 0 and 1.
  @Test func hashIsXXH3() {
    let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
    #expect(FilterHash.hash64(nothing) == 0x2D06_8005_38D3_94C2)
    #expect(FilterHash.hash64(nothing, seed: 1) != FilterHash.hash64(nothing))
    let text = Array("strata".utf8)
    #expect(text.withUnsafeBytes { FilterHash.hash64($0) } == FilterHash.hash64(text.span.bytes))
  }

  @Test(.requirement("Filters.keep.1"), arguments: [1.0, 5, 10, 16, 30]) func whatWasAddedIsFound(bitsPerKey: Double) {
    for count in [0, 1, 2, 1000, 20_000] {
      var filter = BlockedBloomFilter(expectedKeys: count, bitsPerKey: bitsPerKey)
      for number in 0..<UInt64(count) { filter.insert(hash: Self.hash(number)) }
      #expect((0..<UInt64(count)).allSatisfy { filter.mayContain(hash: Self.hash($0)) })
    }
  }

  /// RocksDB documents these rates for the geometry; within a fifth, over sequential integers.
  @Test(arguments: [(10.0, 0.0096), (12, 0.0041), (16, 0.00081)]) func falsePositivesAreAsPublished(bitsPerKey: Double, rate: Double) {
    let count: UInt64 = 100_000
    var filter = BlockedBloomFilter(expectedKeys: Int(count), bitsPerKey: bitsPerKey)
    for number in 0..<count { filter.insert(hash: Self.hash(number)) }
    let probes: UInt64 = 400_000
    let found = (count..<count + probes).count { filter.mayContain(hash: Self.hash($0)) }
    let measured = Double(found) / Double(probes)
    #expect(measured < rate * 1.2 && measured > rate * 0.8, "\(measured)")
  }

  @Test func anEmptyFilterHoldsNothing() {
    let filter = BlockedBloomFilter(expectedKeys: 0, bitsPerKey: 10)
    #expect(!(0..<1000).contains { filter.mayContain(hash: Self.hash($0)) })
  }
}
