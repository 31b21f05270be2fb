import StrataNodes
import StrataRequirements
import Testing

@testable import StrataFilters

@Suite struct CountingBloomFilterTests {
  @Test(.requirement("Filters.keep.7")) func asManyRemovalsAsAdditions() throws {
    var filter = try CountingBloomFilter(expectedItems: 100)
    let key: UInt64 = 0x1234_5678_9ABC_DEF0
    for _ in 0..<5 { filter.add(hash: key) }
    #expect(filter.count == 5)
    for left in (0..<5).reversed() {
      try filter.remove(hash: key)
      #expect(filter.mayContain(hash: key) == (left > 0))
    }
    let before = filter
    #expect(throws: FilterError.notPresent) { try filter.remove(hash: key) }
    #expect(filter == before && filter.count == 0 && filter.usedCounters == 0)
  }

  @Test(.requirement("Filters.keep.7")) func positionsAreThoseOfABloomFilter() throws {
    for bits in [37, 1000, 4096] as [UInt64] {
      var counting = try CountingBloomFilter(counters: bits, hashes: 7)
      var plain = try BloomFilter(bits: bits, hashes: 7)
      for key in Keys.hashes(100, seed: bits) {
        counting.add(hash: key)
        plain.add(hash: key)
      }
      #expect(counting.usedCounters == plain.setBits)
      let probes = Keys.hashes(2000, seed: bits + 1)
      #expect(probes.allSatisfy { counting.mayContain(hash: $0) == plain.mayContain(hash: $0) })
      for position in 0..<bits {
        let byte = plain.memory.bytes[Int(position / 8)]
        #expect((counting.counter(position) > 0) == (byte >> UInt8(position % 8) & 1 == 1))
      }
    }
  }

  /// Tiny tables, where a key's positions coincide, against a multiset: what is in is found, and all that went in comes out.
  @Test(.requirement("Filters.never.8", "Filters.keep.7"), arguments: [2, 3, 4, 5, 6, 7, 8])
  func randomAdditionsAndRemovalsEqualAMultiset(counterBits: Int) throws {
    for round in 0..<20 * min(testDepth, 200) {
      let seed = UInt64(round * 10 + counterBits)
      var random = Random(seed: seed)
      let counters = UInt64(random.within(1...60))
      var filter = try CountingBloomFilter(counters: counters, hashes: random.within(1...9), counterBits: counterBits)
      let keys = Keys.hashes(12, seed: seed &+ 1)
      var model = [Int](repeating: 0, count: keys.count)
      for _ in 0..<150 {
        let chosen = random.below(keys.count)
        if random.chance(1, in: 2) {
          filter.add(hash: keys[chosen])
          model[chosen] += 1
        } else if model[chosen] > 0 {
          try filter.remove(hash: keys[chosen])
          model[chosen] -= 1
        } else if !filter.mayContain(hash: keys[chosen]) {
          let before = filter
          #expect(throws: FilterError.notPresent, "seed \(seed)") { try filter.remove(hash: keys[chosen]) }
          #expect(filter == before, "seed \(seed)")
        }
        for index in keys.indices where model[index] > 0 { #expect(filter.mayContain(hash: keys[index]), "seed \(seed): key \(index) lost") }
        #expect(filter.count == UInt64(model.reduce(0, +)), "seed \(seed)")
      }
      for index in keys.indices { for _ in 0..<model[index] { try filter.remove(hash: keys[index]) } }
      if filter.saturatedCounters == 0 { #expect(filter.usedCounters == 0, "seed \(seed): counts left behind") }
    }
  }

  /// A key that meets one counter several times counts it once: neither does it saturate early, nor does a mistaken removal go below zero.
  @Test(.requirement("Filters.never.8")) func positionsThatCoincideCountOnce() throws {
    for counterBits in 2...8 {
      var filter = try CountingBloomFilter(counters: 1, hashes: 5, counterBits: counterBits)
      for added in 1..<filter.counterMaximum {
        filter.add(hash: UInt64(added))
        #expect(filter.counter(0) == UInt64(added) && filter.saturatedCounters == 0)
      }
      for left in (0..<filter.counterMaximum - 1).reversed() {
        // Keys that were never added and look like those that were.
        try filter.remove(hash: 1 << 63 | UInt64(left))
        #expect(filter.counter(0) == UInt64(left))
      }
      #expect(throws: FilterError.notPresent) { try filter.remove(hash: 1) }
    }
  }

  /// Counters driven to their maximum stay there, and no key still in is missed.
  @Test(.requirement("Filters.keep.7", "Filters.keep.8")) func saturatedCountersAreFrozen() throws {
    for counterBits in 2...8 {
      var filter = try CountingBloomFilter(counters: 40, hashes: 3, counterBits: counterBits)
      let a: UInt64 = 0xAAAA_0000_1111_2222
      let b = Keys.hashes(1, seed: 3)[0]
      filter.add(hash: b)
      let times = filter.counterMaximum + 5
      for _ in 0..<times { filter.add(hash: a) }
      #expect(filter.saturatedCounters >= 1)
      let saturated = filter.saturatedCounters
      for _ in 0..<times { try filter.remove(hash: a) }
      #expect(filter.mayContain(hash: a), "a frozen counter is never counted down")
      #expect(filter.mayContain(hash: b))
      #expect(filter.saturatedCounters == saturated && filter.count == 1)
      try filter.remove(hash: b)
      #expect(throws: FilterError.notPresent) { try filter.remove(hash: a) }
    }
  }

  @Test(.requirement("Filters.keep.8")) func overloadIsVisible() throws {
    var filter = try CountingBloomFilter(expectedItems: 1000)
    for key in Keys.hashes(1000, seed: 9) { filter.add(hash: key) }
    #expect(filter.saturatedCounters == 0, "at the planned load none in 10^15")
    for key in Keys.hashes(30_000, seed: 10) { filter.add(hash: key) }
    #expect(filter.saturatedCounters > 1000)
  }

  @Test(.requirement("Filters.never.7")) func countersArePacked() throws {
    for counters in [1, 63, 64, 1000, 9586, 1_000_003] as [UInt64] {
      let filter = try CountingBloomFilter(counters: counters, hashes: 3)
      #expect(filter.memoryBytes <= Int(counters) / 2 + 64)
    }
    // Every counter of a width holds every value without touching its neighbours.
    for counterBits in 2...8 {
      var filter = try CountingBloomFilter(counters: 100, hashes: 1, counterBits: counterBits)
      var expected = [UInt64](repeating: 0, count: 100)
      for hash in Keys.hashes(4000, seed: 12) {
        filter.add(hash: hash)
        let position = Int(filter.geometry.position(hash))
        expected[position] = min(expected[position] + 1, UInt64(filter.counterMaximum))
      }
      #expect((0..<100).allSatisfy { filter.counter(UInt64($0)) == expected[$0] })
      let (used, saturated) = (filter.usedCounters, filter.saturatedCounters)
      filter.recount()
      #expect(filter.usedCounters == used && filter.saturatedCounters == saturated)
    }
  }
}
