import StrataNodes
import StrataRequirements
import Testing

@testable import StrataFilters

@Suite struct BloomFilterTests {
  private static let rates = [0.9, 0.5, 0.1, 0.01, 1e-6]

  @Test(.requirement("Filters.keep.2")) func sizesAreTheClassicOnes() throws {
    let filter = try BloomFilter()
    #expect(filter.bitCount == 9586 && filter.hashCount == 7)
    #expect(filter.memoryBytes == (9586 + 63) / 64 * 8)
    let tiny = try BloomFilter(expectedItems: 1, falsePositiveRate: 0.999)
    #expect(tiny.bitCount == 1 && tiny.hashCount == 1)
    let sure = try BloomFilter(expectedItems: 1, falsePositiveRate: .leastNonzeroMagnitude)
    #expect(sure.bitCount == 1550 && sure.hashCount == 1074)
    let explicit = try BloomFilter(bits: 12_345, hashes: 3)
    #expect(explicit.bitCount == 12_345 && explicit.hashCount == 3)
    // m and k of other calculators, such as Thomas Hurst's.
    let known: [(Int, Double, UInt64, Int)] = [(1_000_000, 0.01, 9_585_059, 7), (1_000_000, 0.001, 14_377_588, 10), (100, 0.1, 480, 3)]
    for (items, rate, bits, hashes) in known {
      let geometry = try BloomGeometry(expectedItems: items, falsePositiveRate: rate)
      #expect(geometry.bitCount == bits && geometry.hashCount == hashes)
    }
  }

  @Test(.requirement("Filters.keep.1")) func whatWasAddedIsFound() throws {
    for bits in [1, 2, 63, 64, 65, 127, 1000, 4096, 10_007] as [UInt64] {
      for hashes in [1, 2, 7, 30] {
        var filter = try BloomFilter(bits: bits, hashes: hashes, seed: 3)
        let keys = Keys.hashes(300, seed: bits)
        for (index, key) in keys.enumerated() {
          filter.add(hash: key)
          #expect(keys[...index].allSatisfy { filter.mayContain(hash: $0) })
        }
      }
    }
  }

  /// Every length of key, zero bytes and bytes that are no UTF-8 among them, by the calls that hash.
  @Test(.requirement("Filters.keep.1")) func everyKindOfKeyIsFound() throws {
    var random = Random(seed: 11)
    var filter = try BloomFilter(expectedItems: 1000, falsePositiveRate: 0.01, seed: 99)
    let keys = (0...300).map { random.bytes($0) } + [[0], [0, 0], [0xFF, 0xFE], [0xC0, 0x80]]
    for key in keys { filter.add(key.span.bytes) }
    for text in ["", "a", "ünïcödé", "\0"] { filter.add(text) }
    #expect(keys.allSatisfy { filter.mayContain($0) && filter.mayContain($0.span.bytes) })
    #expect(["", "a", "ünïcödé", "\0"].allSatisfy { filter.mayContain($0) && filter.mayContain(Array($0.utf8)) })
    #expect(!filter.mayContain("never added"))
  }

  @Test(.requirement("Filters.keep.3", "Filters.keep.4")) func countsAndEstimates() throws {
    var filter = try BloomFilter(expectedItems: 5000, falsePositiveRate: 0.01)
    #expect(filter.density == 0 && filter.estimatedFalsePositiveRate == 0 && filter.estimatedCount == 0 && filter.insertions == 0)
    #expect(filter.expectedFalsePositiveRate(at: 0) == 0)
    let keys = Keys.hashes(5000, seed: 5)
    for key in keys { filter.add(hash: key) }
    for key in keys {
      let isNew = filter.add(hash: key)
      #expect(!isNew, "a key that is in sets no new bit")
    }
    #expect(filter.insertions == 10_000, "duplicates are counted")
    #expect(abs(filter.estimatedCount - 5000) < 500)
    #expect(abs(filter.estimatedFalsePositiveRate - Self.product(filter.density, filter.hashCount)) < 1e-15)
    #expect(abs(filter.expectedFalsePositiveRate(at: 5000) - 0.010_04) < 1e-4)
    var full = try BloomFilter(bits: 64, hashes: 8)
    for key in keys { full.add(hash: key) }
    #expect(full.density == 1 && full.estimatedCount == .infinity && full.estimatedFalsePositiveRate == 1)
  }

  private static func product(_ x: Double, _ count: Int) -> Double { (0..<count).reduce(1.0) { product, _ in product * x } }

  @Test(.requirement("Filters.keep.5")) func unionsAreOrs() throws {
    let keys = Keys.hashes(6000, seed: 6)
    var a = try BloomFilter(expectedItems: 6000, seed: 1)
    var b = a
    var both = a
    for key in keys[..<4000] { a.add(hash: key) }
    for key in keys[3000...] { b.add(hash: key) }
    for key in keys { both.add(hash: key) }
    #expect(abs(try a.estimatedIntersection(b) - 1000) < 150)
    try a.formUnion(b)
    #expect(a.insertions == 7000 && a.setBits == both.setBits && a.memory.equals(both.memory))
    #expect(keys.allSatisfy { a.mayContain(hash: $0) })
    #expect(abs(a.estimatedCount - 6000) < 300, "the estimate comes from the bits, not from the calls")

    let untouched = a
    for (other, field) in [
      (try BloomFilter(expectedItems: 6001, seed: 1), "bits"), (try BloomFilter(bits: a.bitCount, hashes: 6, seed: 1), "hashes"),
      (try BloomFilter(expectedItems: 6000, seed: 2), "seed"),
    ] {
      let error = #expect(throws: FilterError.self) { try a.formUnion(other) }
      if case .incompatible(field, _, _) = error {} else { Issue.record("\(String(describing: error)) does not name \(field)") }
      #expect(throws: FilterError.self) { try a.estimatedIntersection(other) }
    }
    #expect(a == untouched)
  }

  @Test func copiesGoTheirOwnWay() throws {
    var a = try BloomFilter()
    a.add("one")
    let b = a
    a.add("two")
    #expect(a.mayContain("two") && !b.mayContain("two") && b.mayContain("one") && a != b)
  }

  @Test(.requirement("Filters.keep.6")) func orderDoesNotMatter() throws {
    let keys = Keys.hashes(500, seed: 7)
    var a = try BloomFilter(expectedItems: 500)
    var b = a
    for key in keys { a.add(hash: key) }
    b.add(hashes: Array(keys.reversed()).span)
    #expect(a == b)
  }

  /// Expected 1.004 % at the planned load: 9.585 bits per key rounded to seven positions.
  @Test(arguments: ["random", "sequential", "one bit apart", "common prefix"]) func falsePositivesAreAsCalculated(shape: String) throws {
    let count = 100_000 * min(testDepth, 100)
    var filter = try BloomFilter(expectedItems: count, falsePositiveRate: 0.01)
    for index in 0..<count { filter.add(hash: Keys.hash(index, shape)) }
    let probes = count * 2
    let found = (count..<count + probes).count { filter.mayContain(hash: Keys.hash($0, shape)) }
    Keys.expectRate(found, of: probes, filter.expectedFalsePositiveRate(at: count))
  }

  /// The positions of each class of m fill evenly, and the rate holds: primes, powers of two, odd and even numbers.
  @Test(.requirement("Filters.never.11"), arguments: [9973, 8192, 10_001, 10_000] as [UInt64]) func positionsAreUniform(bits: UInt64) throws {
    let geometry = try BloomGeometry(bits: bits, hashes: 7)
    let bins = 64
    let keys = 100_000
    for number in 0..<7 {
      var counts = [Int](repeating: 0, count: bins)
      for index in 0..<keys {
        var walk = Keys.hash(index, "sequential")
        for _ in 0..<number { walk = walk &* BloomGeometry.step }
        counts[Int(geometry.position(walk) * UInt64(bins) / bits)] += 1
      }
      // Bins hold different numbers of positions where 64 does not divide m.
      var chi = 0.0
      for bin in 0..<bins {
        let positions = (0..<bits).count { Int($0 * UInt64(bins) / bits) == bin }
        let expected = Double(keys) * Double(positions) / Double(bits)
        chi += (Double(counts[bin]) - expected) * (Double(counts[bin]) - expected) / expected
      }
      #expect(chi < 126, "position \(number) of \(bits) bits: chi square \(chi) with 63 degrees, 1 in 10^5 above 126")
    }
    var filter = try BloomFilter(bits: bits, hashes: 7)
    for index in 0..<1000 { filter.add(hash: Keys.hash(index, "sequential")) }
    let found = (1000..<201_000).count { filter.mayContain(hash: Keys.hash($0, "sequential")) }
    // Against the filter's own density: one small filter's bits scatter more than its probes.
    #expect(abs(Double(found) / 200_000 / filter.estimatedFalsePositiveRate - 1) < 0.12)
  }

  /// A step that is even, or nothing, must not bring positions together: the walk of a hash has no period within k.
  @Test(.requirement("Filters.never.11")) func oddStepsNeverRepeatEarly() throws {
    for bits in [1024, 65_536, 1_000_003] as [UInt64] {
      let geometry = try BloomGeometry(bits: bits, hashes: 8)
      var distinct = 0
      for hash in Keys.hashes(2000, seed: bits) {
        var walk = hash & ~0xFFFF_FFFF  // the lower half nothing, what a second hash of zero would be
        var positions = Set<UInt64>()
        for _ in 0..<8 {
          positions.insert(geometry.position(walk))
          walk = walk &* BloomGeometry.step
        }
        distinct += positions.count
      }
      #expect(distinct > 2000 * 8 * 97 / 100, "\(distinct) distinct positions of 16000 over \(bits) bits")
    }
  }

  @Test(.requirement("Filters.never.5")) func wrongParametersAreRefused() {
    func name(_ body: () throws -> Void) -> String? {
      do { try body() } catch FilterError.invalidParameters(let name, _) { return name } catch {}
      return nil
    }
    for items in [0, -1, .min] { #expect(name { _ = try BloomFilter(expectedItems: items) } == "expectedItems") }
    for rate in [0, 1, -0.1, 1.5, .nan, .infinity, -.infinity] {
      #expect(name { _ = try BloomFilter(falsePositiveRate: rate) } == "falsePositiveRate")
      #expect(name { _ = try CountingBloomFilter(falsePositiveRate: rate) } == "falsePositiveRate")
    }
    #expect(name { _ = try BloomFilter(bits: 0, hashes: 3) } == "bits")
    for hashes in [0, -1, 2049, .max] { #expect(name { _ = try BloomFilter(bits: 10, hashes: hashes) } == "hashes") }
    for bits in [-1, 0, 1, 9, 64] { #expect(name { _ = try CountingBloomFilter(counterBits: bits) } == "counterBits") }
    #expect(name { _ = try CountingBloomFilter(counters: 0, hashes: 2) } == "bits")
  }

  @Test(.requirement("Filters.never.5")) func tooLargeIsRefusedBeforeMemoryIsTaken() {
    func isTooLarge(_ body: () throws -> Void) -> Bool {
      do { try body() } catch FilterError.tooLarge { return true } catch {}
      return false
    }
    #expect(isTooLarge { _ = try BloomFilter(expectedItems: .max, falsePositiveRate: 1e-300) })
    #expect(isTooLarge { _ = try BloomFilter(expectedItems: 1 << 40) })
    #expect(isTooLarge { _ = try BloomFilter(bits: .max, hashes: 1) })
    #expect(isTooLarge { _ = try BloomFilter(bits: .max, hashes: 1, maxBytes: .max) })
    #expect(isTooLarge { _ = try BloomFilter(bits: 8001, hashes: 1, maxBytes: 1000) })
    #expect(!isTooLarge { _ = try BloomFilter(bits: 8000, hashes: 1, maxBytes: 1000) })
    #expect(isTooLarge { _ = try CountingBloomFilter(counters: .max, hashes: 1, counterBits: 8) })
  }
}
