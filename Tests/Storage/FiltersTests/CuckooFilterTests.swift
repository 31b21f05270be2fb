import StrataNodes
import StrataRequirements
import Testing

@testable import StrataFilters

@Suite struct CuckooFilterTests {
  @Test func fillsToNinetyFivePercent() throws {
    for capacity in [10_000, 100_003] {
      let keys = Keys.hashes(capacity, seed: UInt64(capacity))
      var filter = try CuckooFilter(capacity: capacity)
      for key in keys { try filter.add(hash: key) }
      #expect(filter.density >= 0.949 && filter.count == UInt64(capacity))
      #expect(keys.allSatisfy { filter.mayContain(hash: $0) })
      #expect(filter.memoryBytes == Int(filter.slotCount) * 12 / 8 + 16)
      let probes = 400_000
      let found = Keys.hashes(probes, seed: 2).count { filter.mayContain(hash: $0) }
      Keys.expectRate(found, of: probes, filter.estimatedFalsePositiveRate, slack: 0.05)
      #expect(filter.estimatedFalsePositiveRate < 0.0019)
    }
  }

  @Test func removalIsExactForWhatWasAdded() throws {
    let keys = Keys.hashes(5000, seed: 1)
    var filter = try CuckooFilter(capacity: 5000)
    for key in keys { try filter.add(hash: key) }
    for (index, key) in keys.enumerated().reversed() {
      try filter.remove(hash: key)
      if index % 500 == 0 { #expect(keys[..<index].allSatisfy { filter.mayContain(hash: $0) }) }
    }
    #expect(filter.count == 0 && filter.victim.fingerprint == 0 && filter.memory.setBits == 0)
    let before = filter
    #expect(throws: FilterError.notPresent) { try filter.remove(hash: keys[0]) }
    #expect(filter == before)
  }

  /// Tiny tables, often full, against a multiset: nothing in is missed, a refusal changes nothing, the count is exact.
  @Test(.requirement("Filters.never.9")) func randomAdditionsAndRemovalsEqualAMultiset() throws {
    var refusals = 0
    var victims = 0
    for seed in 0..<UInt64(60 * min(testDepth, 200)) {
      var random = Random(seed: seed)
      var filter = try CuckooFilter(capacity: random.within(1...30))
      let keys = Keys.hashes(20, seed: seed &+ 7)
      var model = [Int](repeating: 0, count: keys.count)
      for _ in 0..<200 {
        let chosen = random.below(keys.count)
        if random.chance(3, in: 5) {
          let before = filter
          do throws(FilterError) {
            try filter.add(hash: keys[chosen])
            model[chosen] += 1
          } catch {
            refusals += 1
            #expect(error == .full(items: before.count) && filter == before, "seed \(seed)")
          }
        } else if model[chosen] > 0 {
          try filter.remove(hash: keys[chosen])
          model[chosen] -= 1
        } else if !filter.mayContain(hash: keys[chosen]) {
          let before = filter
          #expect(throws: FilterError.notPresent, "seed \(seed)") { try filter.remove(hash: keys[chosen]) }
          #expect(filter == before)
        }
        victims += filter.victim.fingerprint == 0 ? 0 : 1
        for index in keys.indices where model[index] > 0 {
          #expect(filter.mayContain(hash: keys[index]) && filter.count(hash: keys[index]) >= model[index], "seed \(seed): key \(index)")
        }
        #expect(filter.count == UInt64(model.reduce(0, +)), "seed \(seed)")
      }
    }
    #expect(refusals > 100 && victims > 100, "\(refusals) refusals and \(victims) steps with a victim")
  }

  @Test func duplicatesAreBounded() throws {
    var filter = try CuckooFilter(capacity: 1000)
    var other = filter
    let key: UInt64 = 0xFEDC_BA98_7654_3210
    for copies in 1...8 {
      try filter.add(hash: key)
      #expect(filter.count(hash: key) == copies)
    }
    let full = filter
    #expect(throws: FilterError.full(items: 8)) { try filter.add(hash: key) }
    #expect(filter == full)
    for _ in 0..<8 { try filter.remove(hash: key) }
    #expect(!filter.mayContain(hash: key))
    // The same calls give the same bytes.
    for hash in Keys.hashes(1000, seed: 3) { try filter.add(hash: hash) }
    for hash in Keys.hashes(1000, seed: 3) { try other.add(hash: hash) }
    #expect(filter == other)
  }

  @Test func bucketsAreEachOthersOther() {
    var random = Random(seed: 5)
    for buckets in [1, 2, 3, 1000, 1 << 20, 1 << 40, .max / 6] as [UInt64] {
      let table = CuckooTable(buckets: buckets)
      for _ in 0..<500 {
        let hash = random.next()
        let fingerprint = CuckooTable.fingerprint(hash)
        let first = table.bucket(hash)
        let second = table.other(first, fingerprint)
        #expect(first < buckets && second < buckets && table.other(second, fingerprint) == first)
      }
    }
    for _ in 0..<2000 {
      let bucket = random.next() & (random.chance(1, in: 2) ? .max : 0x0010_0100_1001)
      let wanted = random.chance(1, in: 2) ? bucket >> UInt64(random.below(4) * 12) & 0xFFF : random.next() & 0xFFF
      let slot = (0..<4).first { bucket >> UInt64($0 * 12) & 0xFFF == wanted }
      #expect((CuckooTable.matches(bucket, wanted) != 0) == (slot != nil))
      // The first such slot is replaced, and nothing else is touched.
      let new = random.next() & 0xFFF
      var word = bucket
      let isReplaced = withUnsafeMutableBytes(of: &word) { CuckooTable.replace($0.baseAddress!, 0, wanted, with: new) }
      let expected = slot.map { bucket & ~(0xFFF << UInt64($0 * 12)) | new << UInt64($0 * 12) } ?? bucket
      #expect(isReplaced == (slot != nil) && word == expected, "\(bucket) \(wanted) \(new)")
    }
  }

  @Test(.requirement("Filters.never.5")) func wrongParametersAreRefused() {
    for capacity in [0, -1, .min] {
      #expect(throws: FilterError.invalidParameters(name: "capacity", value: "\(capacity)")) { try CuckooFilter(capacity: capacity) }
    }
    for capacity in [1 << 40, .max] { #expect(throws: FilterError.self) { try CuckooFilter(capacity: capacity) } }
  }
}
