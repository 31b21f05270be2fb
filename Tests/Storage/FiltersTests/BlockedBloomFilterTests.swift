import CStrataFilters
import StrataNodes
import StrataRequirements
import Testing

@testable import StrataFilters

@Suite struct BlockedBloomFilterTests {
  static func hash(_ number: UInt64) -> UInt64 { Keys.hash(Int(number), "sequential") }

  @Test(.requirement("Filters.keep.1"), arguments: [1.0, 5, 10, 16, 30, 100]) func whatWasAddedIsFound(bitsPerKey: Double) throws {
    for count in [0, 1, 2, 1000, 20_000] {
      var filter = BlockedBloomFilter(expectedKeys: count, bitsPerKey: bitsPerKey)
      let hashes = (0..<UInt64(count)).map(Self.hash)
      for hash in hashes { filter.insert(hash: hash) }
      #expect(hashes.allSatisfy { filter.mayContain(hash: $0) })
      var together = BlockedBloomFilter(expectedKeys: count, bitsPerKey: bitsPerKey)
      together.insert(hashes: hashes.span)
      #expect(together == filter && filter.insertions == UInt64(count))
    }
  }

  /// RocksDB documents these rates for the geometry, over keys of every shape; within a twentieth of the theory for blocks of 512 bits.
  @Test(arguments: [(10.0, 0.0096), (12, 0.0041), (16, 0.00081), (20, 0.00018)], ["sequential", "one bit apart", "common prefix", "random"])
  func falsePositivesAreAsPublished(_ published: (bitsPerKey: Double, rate: Double), shape: String) throws {
    let count = 50_000 * min(testDepth, 100)
    var filter = try BlockedBloomFilter(expectedItems: count, bitsPerKey: published.bitsPerKey)
    for number in 0..<count { filter.insert(hash: Keys.hash(number, shape)) }
    let probes = count * 3
    let found = (count..<count + probes).count { filter.mayContain(hash: Keys.hash($0, shape)) }
    let expected = filter.expectedFalsePositiveRate(at: count)
    #expect(abs(expected / published.rate - 1) < 0.07)
    Keys.expectRate(found, of: probes, expected, slack: 0.05)
  }

  @Test(.requirement("Filters.keep.3", "Filters.keep.4")) func estimates() throws {
    // 51.2 keys in each block and six positions each: RocksDB measures 0.957 %.
    #expect(abs(BlockGeometry.expectedRate(items: 51.2, blocks: 1, hashes: 6) - 0.00957) < 0.00002)
    var filter = try BlockedBloomFilter(expectedItems: 20_000, bitsPerKey: 10)
    #expect(filter.density == 0 && filter.estimatedCount == 0 && filter.estimatedFalsePositiveRate == 0)
    #expect(!(0..<1000).contains { filter.mayContain(hash: Self.hash($0)) })
    for number in 0..<20_000 as Range<UInt64> { filter.insert(hash: Self.hash(number)) }
    #expect(abs(filter.estimatedCount / 20_000 - 1) < 0.05)
    #expect(abs(filter.estimatedFalsePositiveRate / filter.expectedFalsePositiveRate(at: 20_000) - 1) < 0.1)
    #expect(filter.expectedFalsePositiveRate(at: 1 << 40) == 1)
    #expect(filter.memoryBytes == (20_000 * 10 / 512 + 1) * 64 && filter.bitCount == UInt64(filter.memoryBytes * 8))
  }

  /// The vector instructions, the plain ones and the batch give the same answers for every number of positions.
  @Test func everyFormOfTheProbeAgrees() {
    var random = Random(seed: 31)
    for count in 1...30 as ClosedRange<Int32> {
      var block = [UInt8](repeating: 0, count: 64)
      for _ in 0..<random.below(40) {
        block.withUnsafeMutableBytes { strata_block_set($0.baseAddress, UInt32(truncatingIfNeeded: random.next()), count) }
      }
      var both = 0
      for _ in 0..<2000 {
        let half = UInt32(truncatingIfNeeded: random.next())
        block.withUnsafeBytes { block in
          let narrow = strata_block_test_narrow(block.baseAddress, half, count)
          #expect(strata_block_test(block.baseAddress, half, count) == narrow)
          both += Int(narrow)
        }
      }
      #expect(count > 3 || both > 0)
    }
  }

  /// The loops over many keys, with and without vectors, with and without counting, do what single calls do: for every number of positions, and
  /// for fewer and more keys than are fetched ahead.
  @Test(.requirement("Filters.keep.6")) func batchesOfKeysSetTheSameBits() throws {
    for bits in [1, 3, 5, 8, 10, 14, 16, 20, 40, 100] as [Double] {
      for count in [1, 15, 16, 17, 64, 500] {
        let hashes = Keys.hashes(count, seed: UInt64(count))
        var single = try BlockedBloomFilter(expectedItems: 300, bitsPerKey: bits)
        var batch = single
        for hash in hashes { single.insert(hash: hash) }
        batch.insert(hashes: hashes.span)
        #expect(batch == single, "\(bits) bits, \(count) keys")
        var answers = BitMask(count: 1500)
        let asked = hashes + Keys.hashes(1500 - count, seed: 77)
        batch.mayContain(hashes: asked.span, into: &answers)
        #expect((0..<1500).allSatisfy { answers[$0] == single.mayContain(hash: asked[$0]) }, "\(bits) bits, \(count) keys")
      }
    }
    for hashCount in 1...20 {
      for (count, bits) in [(1, 64), (20, 100_003), (300, 700), (500, 100_000)] as [(Int, UInt64)] {
        let hashes = Keys.hashes(count, seed: UInt64(hashCount))
        var single = try BloomFilter(bits: bits, hashes: hashCount)
        var batch = single
        for hash in hashes { single.add(hash: hash) }
        batch.add(hashes: hashes.span)
        #expect(batch == single, "\(hashCount) hashes, \(count) keys, \(bits) bits")
        var answers = BitMask(count: 1000)
        let asked = hashes + Keys.hashes(1000 - count, seed: 78)
        batch.mayContain(hashes: asked.span, into: &answers)
        #expect((0..<1000).allSatisfy { answers[$0] == single.mayContain(hash: asked[$0]) }, "\(hashCount) hashes, \(count) keys, \(bits) bits")
      }
    }
  }

  @Test func batchesAnswerAsSingleProbes() throws {
    let hashes = Keys.hashes(1000, seed: 3)
    var blocked = try BlockedBloomFilter(expectedItems: 500, bitsPerKey: 10)
    var classic = try BloomFilter(expectedItems: 500)
    var counting = try CountingBloomFilter(expectedItems: 500)
    var cuckoo = try CuckooFilter(capacity: 500)
    for hash in hashes[..<500] {
      blocked.insert(hash: hash)
      classic.add(hash: hash)
      counting.add(hash: hash)
      try cuckoo.add(hash: hash)
    }
    let fuse = BinaryFuseFilter<UInt8>(hashes: Array(hashes[..<500]))
    for count in [0, 1, 63, 64, 65, 127, 128, 1000] {
      func check(_ filter: some MembershipFilter) {
        for fill in [false, true] {
          var answers = BitMask(count: 1000)
          for index in 0..<1000 { answers[index] = fill }
          let asked = Array(hashes[..<count])
          filter.mayContain(hashes: asked.span, into: &answers)
          #expect((0..<1000).allSatisfy { answers[$0] == ($0 < count ? filter.mayContain(hash: hashes[$0]) : fill) }, "\(count)")
        }
      }
      check(blocked)
      check(classic)
      check(counting)
      check(cuckoo)
      check(fuse)
    }
  }

  @Test(.requirement("Filters.keep.5")) func unionsAreOrs() throws {
    let keys = Keys.hashes(2000, seed: 6)
    var a = try BlockedBloomFilter(expectedItems: 2000, bitsPerKey: 10, seed: 1)
    var b = a
    var both = a
    let (left, right) = (Array(keys[..<1200]), Array(keys[1000...]))
    a.insert(hashes: left.span)
    b.insert(hashes: right.span)
    both.insert(hashes: keys.span)
    try a.formUnion(b)
    #expect(a.insertions == 2200 && a.memory.equals(both.memory))
    let others = [
      try BlockedBloomFilter(expectedItems: 4000, bitsPerKey: 10, seed: 1), try BlockedBloomFilter(expectedItems: 2000, bitsPerKey: 10, seed: 2),
      try BlockedBloomFilter(expectedItems: 1666, bitsPerKey: 12, seed: 1),
    ]
    for other in others { #expect(throws: FilterError.self) { try a.formUnion(other) } }
  }

  @Test(.requirement("Filters.never.5")) func wrongParametersAreRefused() {
    for bits in [0.5, 0, -1, 101, .nan, .infinity] {
      #expect(throws: FilterError.invalidParameters(name: "bitsPerKey", value: "\(bits)")) {
        try BlockedBloomFilter(expectedItems: 10, bitsPerKey: bits)
      }
      #expect(throws: FilterError.self) { try ConcurrentBloomFilter(expectedItems: 10, bitsPerKey: bits) }
    }
    #expect(throws: FilterError.self) { try BlockedBloomFilter(expectedItems: 0, bitsPerKey: 10) }
    #expect(throws: FilterError.tooLarge(bytes: 1280, limit: 1000)) { try BlockedBloomFilter(expectedItems: 1000, bitsPerKey: 10, maxBytes: 1000) }
    #expect(throws: FilterError.self) { try BlockedBloomFilter(expectedItems: .max, bitsPerKey: 100) }
  }
}

@Suite struct ConcurrentBloomFilterTests {
  /// Eight threads add at once; none of their keys is lost, each thread finds its own at once, and the bits are those of one thread.
  @Test(.requirement("Filters.keep.1")) func eightAdders() async throws {
    let keys = Keys.hashes(40_000 * min(testDepth, 50), seed: 8)
    let filter = try ConcurrentBloomFilter(expectedItems: keys.count, bitsPerKey: 10)
    #expect(filter.estimatedCount == 0)
    let missed = await withTaskGroup(of: Int.self) { group in
      for thread in 0..<8 {
        group.addTask {
          var missed = 0
          // Neighbours overlap, so that threads meet at the same bits.
          for index in stride(from: thread / 2, to: keys.count, by: 4) {
            filter.add(hash: keys[index])
            if !filter.mayContain(hash: keys[index]) { missed += 1 }
          }
          return missed
        }
      }
      return await group.reduce(0, +)
    }
    #expect(missed == 0)
    #expect(keys.allSatisfy { filter.mayContain(hash: $0) })
    var alone = try BlockedBloomFilter(expectedItems: keys.count, bitsPerKey: 10)
    alone.insert(hashes: keys.span)
    let snapshot = try filter.snapshot(insertions: UInt64(keys.count))
    #expect(snapshot == alone)
    #expect(abs(filter.estimatedCount / Double(keys.count) - 1) < 0.05)
    let isNew = filter.add(hash: keys[0])
    #expect(!isNew)
  }
}
