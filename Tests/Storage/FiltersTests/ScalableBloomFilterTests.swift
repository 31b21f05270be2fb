import StrataNodes
import StrataRequirements
import Testing

@testable import StrataFilters

@Suite struct ScalableBloomFilterTests {
  /// From 1000 to a thousand times as many keys (at depth), the rates of all slices stay within the promise.
  @Test(.requirement("Filters.never.1", "Filters.keep.9", "Filters.keep.1")) func theCompoundRateIsTheOnePromised() throws {
    let count = min(50_000 * testDepth, 1_000_000)
    var filter = try ScalableBloomFilter()
    for index in 0..<count { try filter.add(hash: Keys.hash(index, "sequential")) }
    #expect((0..<count).allSatisfy { filter.mayContain(hash: Keys.hash($0, "sequential")) })
    let probes = count * 10
    let found = (count..<count + probes).count { filter.mayContain(hash: Keys.hash($0, "random")) }
    #expect(Double(found) / Double(probes) <= 0.01 * 1.05, "\(found) of \(probes)")
    #expect(filter.expectedFalsePositiveRate(at: count) <= 0.01)
    #expect(abs(filter.estimatedCount / Double(count) - 1) < 0.03 && filter.insertions == UInt64(count))
    let slices = filter.slices
    #expect(slices.count >= 6)
    for index in 1..<slices.count {
      #expect(abs(Double(slices[index].bitCount) / Double(slices[index - 1].bitCount) - 2) < 0.5, "twice the keys, a bit more for the rate")
      #expect(slices[index].hashCount == slices[index - 1].hashCount + 1, "half the rate")
    }
    // 2^-k at half fill is at most p (1 - r) r^i.
    #expect(slices[0].hashCount == 8)
  }

  @Test(.requirement("Filters.never.2")) func duplicatesNeverMakeItGrow() throws {
    var filter = try ScalableBloomFilter(initialCapacity: 1000)
    for _ in 0..<10_000 { try filter.add("one and the same") }
    #expect(filter.slices.count == 1 && filter.insertions == 10_000 && filter.mayContain("one and the same"))
    // Also of a slice that is full, where the next new key makes another.
    var added: [UInt64] = []
    for key in Keys.hashes(2000, seed: 1) where filter.slices[0].setBits < filter.slices[0].bitCount / 2 {
      try filter.add(hash: key)
      added.append(key)
    }
    #expect((900...1100).contains(added.count) && filter.slices.count == 1)
    for key in added { try filter.add(hash: key) }
    #expect(filter.slices.count == 1)
    try filter.add("another")
    #expect(filter.slices.count == 2 && filter.mayContain("another") && added.allSatisfy { filter.mayContain(hash: $0) })
  }

  /// Whatever path `add` takes, the key is in afterwards; tiny slices take all of them.
  @Test(.requirement("Filters.never.2", "Filters.keep.1"), arguments: [1, 3, 20]) func whatWasAddedIsFoundOnEveryPath(capacity: Int) throws {
    for seed in 0..<10 as Range<UInt64> {
      var random = Random(seed: seed)
      var filter = try ScalableBloomFilter(initialCapacity: capacity, falsePositiveRate: 0.3, growth: 1.3, tightening: 0.7)
      var added: [UInt64] = []
      for _ in 0..<300 {
        let key = !added.isEmpty && random.chance(1, in: 4) ? added[random.below(added.count)] : random.next()
        let wasThere = filter.mayContain(hash: key)
        let isNew = try filter.add(hash: key)
        #expect(filter.mayContain(hash: key), "seed \(seed)")
        #expect(isNew != wasThere, "seed \(seed): add says whether the key was surely absent")
        added.append(key)
      }
      #expect(added.allSatisfy { filter.mayContain(hash: $0) }, "seed \(seed)")
      #expect(filter.slices.count > 3)
    }
  }

  @Test func aFilterThatMayNotGrowRefuses() throws {
    var filter = try ScalableBloomFilter(initialCapacity: 100, maxSlices: 1)
    var refused: FilterError?
    var added: [UInt64] = []
    for key in Keys.hashes(200, seed: 4) {
      let before = filter
      do throws(FilterError) {
        try filter.add(hash: key)
        added.append(key)
      } catch {
        refused = error
        #expect(filter == before, "a refused key changes nothing")
      }
    }
    #expect(refused == .full(items: UInt64(added.count)) && (90...120).contains(added.count))
    #expect(added.allSatisfy { filter.mayContain(hash: $0) })
    var small = try ScalableBloomFilter(initialCapacity: 100, maxBytes: 400)
    #expect(throws: FilterError.self) { for key in Keys.hashes(1000, seed: 4) { try small.add(hash: key) } }
    #expect(small.memoryBytes <= 400)
  }

  @Test(.requirement("Filters.never.5")) func wrongParametersAreRefused() throws {
    func name(_ body: () throws -> Void) -> String? {
      do { try body() } catch FilterError.invalidParameters(let name, _) { return name } catch {}
      return nil
    }
    for capacity in [0, -1] { #expect(name { _ = try ScalableBloomFilter(initialCapacity: capacity) } == "initialCapacity") }
    for rate in [0, 1, .nan, -1, 2] { #expect(name { _ = try ScalableBloomFilter(falsePositiveRate: rate) } == "falsePositiveRate") }
    for growth in [0.99, 0, -1, .nan, .infinity] { #expect(name { _ = try ScalableBloomFilter(growth: growth) } == "growth") }
    for tightening in [0, 1, 1.5, -0.5, .nan] { #expect(name { _ = try ScalableBloomFilter(tightening: tightening) } == "tightening") }
    for slices in [0, -1, 65] { #expect(name { _ = try ScalableBloomFilter(maxSlices: slices) } == "maxSlices") }
    #expect(throws: FilterError.self) { try ScalableBloomFilter(initialCapacity: .max) }
    // Rates too small for a number end in a typed refusal or go on, never in a trap.
    var tight = try ScalableBloomFilter(initialCapacity: 1, falsePositiveRate: 1e-300, growth: 1, tightening: 1e-300)
    #expect(throws: FilterError.self) { for key in Keys.hashes(10_000, seed: 2) { try tight.add(hash: key) } }
  }
}
