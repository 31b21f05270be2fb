import StrataNodes
import StrataRequirements
import Testing

@testable import StrataFilters

@Suite struct FilterBuilderTests {
  private static let policies: [FilterPolicy] = [.none, .blockedBloom(bitsPerKey: 10), .binaryFuse8, .binaryFuse16]

  @Test(.requirement("Filters.keep.1", "Filters.keep.10"), arguments: policies) func everyKeyBuiltOfIsFound(policy: FilterPolicy) throws {
    for count in [0, 1, 2, 3, 10, 1000, 33_000, 70_000] {
      let keys = Keys.hashes(count, seed: UInt64(count))
      var builder = try FilterBuilder(policy: policy, seed: 77)
      for key in keys { builder.add(hash: key) }
      for key in keys.prefix(count / 2) where policy != .blockedBloom(bitsPerKey: 10) { builder.add(hash: key) }
      let bytes = try builder.finish()
      let view = try FilterView(validating: bytes.span.bytes)
      #expect(view.seed == 77)
      #expect(keys.allSatisfy { view.mayContain(hash: $0) })
      let kind: FilterKind =
        switch policy {
        case .none: .never
        case _ where count == 0: .always
        case .blockedBloom: .blockedBloom
        case .binaryFuse8: .binaryFuse8
        case .binaryFuse16: .binaryFuse16
        }
      #expect(view.kind == kind)
      let positives = Keys.hashes(2000, seed: 999).count { view.mayContain(hash: $0) }
      #expect(policy == .none ? positives == 2000 : positives < 60, "\(positives)")
    }
  }

  @Test(.requirement("Filters.keep.6")) func orderDoesNotMatter() throws {
    let keys = Keys.hashes(40_000, seed: 3)
    for policy in Self.policies {
      var a = try FilterBuilder(policy: policy, seed: 1)
      var b = try FilterBuilder(policy: policy, seed: 1)
      for key in keys { a.add(hash: key) }
      for key in keys.reversed() { b.add(hash: key) }
      let left = try a.finish()
      let right = try b.finish()
      #expect(left == right)
    }
  }

  @Test(arguments: [0, 1, 40_000]) func fuseFilterWithoutArrangementBecomesABloomFilter(extra: Int) throws {
    for policy in [FilterPolicy.binaryFuse8, .binaryFuse16] {
      let keys = Keys.hashes(500 + extra, seed: 9)
      var builder = try FilterBuilder(policy: policy, seed: 1)
      builder.attempts = 0
      for key in keys + keys { builder.add(hash: key) }
      let bytes = try builder.finish()
      let view = try FilterView(validating: bytes.span.bytes)
      #expect(view.kind == .blockedBloom && view.keyCount == UInt64(keys.count), "each key once")
      #expect(keys.allSatisfy { view.mayContain(hash: $0) })
    }
  }

  /// What finishing throws, or `nil`.
  private func failure(_ builder: consuming FilterBuilder) -> FilterError? {
    do throws(FilterError) {
      _ = try builder.finish()
      return nil
    } catch { return error }
  }

  private func builder(_ policy: FilterPolicy, _ keys: [UInt64], maxBytes: UInt64 = 1 << 30, detects: Bool = true) throws -> FilterBuilder {
    var builder = try FilterBuilder(policy: policy, seed: 1, detectsCorruption: detects, maxBytes: maxBytes)
    for key in keys { builder.add(hash: key) }
    return builder
  }

  /// Memory that forgets between the arrival of a key and the filter is found, whichever part of it and whatever the kind.
  @Test func damageWhileBuildingIsFound() throws {
    let keys = Keys.hashes(40_000, seed: 4)
    for policy in Self.policies.dropFirst() {
      for index in [0, 12_345, 39_999] {
        var builder = try builder(policy, keys)
        builder.damage = { $0.corrupt(index) }
        #expect(failure(builder) == .damagedWhileBuilding(reason: "the collected hashes changed"))
      }
      var cleared = try builder(policy, keys)
      cleared.bitDamage = { for place in 0..<64 { $0[$0.count / 2 + place] = 0 } }
      if case .damagedWhileBuilding = failure(cleared) {} else { Issue.record("cleared bits went unnoticed") }
      var trusting = try builder(policy, keys, detects: false)
      trusting.damage = { $0.corrupt(5) }
      #expect(failure(trusting) == nil)
    }
  }

  @Test(.requirement("Filters.never.5")) func limits() throws {
    for bits in [0.0, 101, .nan] { #expect(throws: FilterError.self) { _ = try FilterBuilder(policy: .blockedBloom(bitsPerKey: bits), seed: 0) } }
    for policy in Self.policies.dropFirst() {
      if case .tooLarge(_, 1000) = failure(try builder(policy, Keys.hashes(5000, seed: 1), maxBytes: 1000)) {} else { Issue.record("\(policy)") }
    }
  }

  /// Monkey's division: the sum of the levels' rates is least, so that any other division of the same bits costs more.
  @Test func bitsAreDividedForTheFewestProbes() throws {
    let levels = [1000, 10_000, 100_000, 1_000_000]
    let keys = levels.reduce(0, +)
    func cost(_ bits: [Double]) -> Double { bits.reduce(0) { $0 + Elementary.exp(-$1 * Elementary.ln2 * Elementary.ln2) } }
    for perKey in [0.5, 2, 5, 10] {
      let budget = perKey * Double(keys)
      let bits = try FilterPolicy.bitsPerKey(levelKeys: levels, budgetBits: budget)
      let used = zip(bits, levels).reduce(0) { $0 + $1.0 * Double($1.1) }
      #expect(abs(used / budget - 1) < 1e-9)
      #expect(zip(bits, bits.dropFirst()).allSatisfy { $0 >= $1 } && bits.allSatisfy { $0 >= 0 })
      #expect(cost(bits) < cost(levels.map { _ in perKey }))
      for from in levels.indices where bits[from] > 0.1 {
        for to in levels.indices where to != from {
          var other = bits
          let moved = 0.01 * Double(min(levels[from], levels[to]))
          other[from] -= moved / Double(levels[from])
          other[to] += moved / Double(levels[to])
          #expect(cost(other) >= cost(bits) - 1e-12)
        }
      }
    }
    #expect(try FilterPolicy.bitsPerKey(levelKeys: [], budgetBits: 10) == [])
    #expect(try FilterPolicy.bitsPerKey(levelKeys: [5, 10], budgetBits: 0) == [0, 0])
    let withEmpty = try FilterPolicy.bitsPerKey(levelKeys: [0, 10, 1000], budgetBits: 10_000)
    #expect(withEmpty[0] == withEmpty[1])
    #expect(throws: FilterError.self) { try FilterPolicy.bitsPerKey(levelKeys: [-1], budgetBits: 1) }
    #expect(throws: FilterError.self) { try FilterPolicy.bitsPerKey(levelKeys: [1], budgetBits: .nan) }
  }
}

@Suite struct FilterHashTests {
  /// The input of the xxHash project's own tests, and its published results for seed 0 and 11400714785074694797.
  @Test(.requirement("Filters.never.13")) func vectorsOfXXH3() {
    let prime: UInt64 = 11_400_714_785_074_694_797
    var generator: UInt64 = 2_654_435_761
    let input = (0..<1 << 20).map { _ in
      defer { generator = generator &* prime }
      return UInt8(truncatingIfNeeded: generator >> 56)
    }
    func hash(_ count: Int, _ seed: UInt64) -> UInt64 { FilterHash.hash64(input.span.bytes.extracting(0..<count), seed: seed) }
    let published: [(Int, UInt64, UInt64)] = [
      (0, 0x2D06_8005_38D3_94C2, 0xA8A6_B918_B2F0_364A), (1, 0xC44B_DFF4_074E_ECDB, 0x032B_E332_DD76_6EF8),
      (6, 0x27B5_6A84_CD2D_7325, 0x8458_9C11_6AB5_9AB9), (12, 0xA713_DAF0_DFBB_77E7, 0xE730_3E1B_2336_DE0E),
      (24, 0xA3FE_70BF_9D35_10EB, 0x850E_80FC_35BD_D690), (48, 0x397D_A259_ECBA_1F11, 0xADC2_CBAA_44AC_C616),
      (80, 0xBCDE_FBBB_2C47_C90A, 0xC6DD_0CB6_9953_2E73), (195, 0xCD94_217E_E362_EC3A, 0xBA68_003D_370C_B3D9),
      (403, 0xCDEB_804D_65C6_DEA4, 0x6259_F6EC_FD64_43FD), (512, 0x617E_4959_9013_CB6B, 0x3CE4_57DE_14C2_7708),
    ]
    for (count, zero, seeded) in published { #expect(hash(count, 0) == zero && hash(count, prime) == seeded, "\(count) bytes") }
    // The hash of all hashes of 0...512 bytes, and that of a MiB, by the C library through Python's xxhash.
    let all: [(UInt64, UInt64, UInt64)] = [
      (0, 0x0F24_3E5A_7E80_58FD, 0x7ADE_52BB_FBD6_97BA), (prime, 0xA423_3EE3_FD79_A1AB, 0x3114_6B91_B00E_B226),
    ]
    for (seed, digest, mebibyte) in all {
      let hashes = (0...512).map { hash($0, seed).littleEndian }
      #expect(hashes.withUnsafeBytes { FilterHash.hash64($0) } == digest)
      #expect(hash(1 << 20, seed) == mebibyte)
    }
    #expect(FilterHash.hash64("strata") == FilterHash.hash64(Array("strata".utf8).span.bytes))
    #expect(FilterHash.hash64(UnsafeRawBufferPointer(start: nil, count: 0)) == published[0].1)
  }

  /// Against the C library's in digits that another program computed.
  @Test func elementaryFunctions() {
    for (x, ln) in [(1.0, 0.0), (2, 0.6931471805599453), (0.01, -4.605170185988091), (1e-300, -690.7755278982137), (1e300, 690.7755278982137)] {
      #expect(abs(Elementary.ln(x) - ln) <= abs(ln) * 4e-16)
    }
    #expect(abs(Elementary.ln(.leastNonzeroMagnitude) + 744.4400719213812) < 1e-10)
    for (x, e) in [(0.0, 1.0), (1, 2.718281828459045), (-1, 0.36787944117144233), (-50, 1.9287498479639178e-22), (100, 2.6881171418161356e43)] {
      #expect(abs(Elementary.exp(x) / e - 1) < 1e-14)
    }
    #expect(Elementary.exp(-800) == 0 && Elementary.exp(800) == .infinity && Elementary.power(0.5, 10) == 1.0 / 1024)
    #expect(Keys.hashes(1000, seed: 1).allSatisfy { FuseMix.unmix(FuseMix.mix($0)) == $0 })
  }
}
