import StrataDisk
import StrataNodes
import StrataRequirements
import SystemPackage
import Testing

@testable import StrataSimulation

/// Every outcome that the disk model allows occurs, as often as it should, and none that it forbids.
@Suite struct OutcomeStatisticsTests {
  static let draws = 6000

  /// Pearson's statistic for observed counts against probabilities that add up to one.
  static func chiSquare(_ observed: [Int], _ expected: [Double]) -> Double {
    let total = Double(observed.reduce(0, +))
    return zip(observed, expected).reduce(0) { sum, pair in
      let wanted = total * pair.1
      return sum + (Double(pair.0) - wanted) * (Double(pair.0) - wanted) / wanted
    }
  }

  /// Beyond which a fair draw falls less than once in a million, by degrees of freedom (chi-square quantiles at 1 - 10^-6).
  static let limit: [Int: Double] = [1: 23.9, 2: 27.6, 3: 30.7, 4: 33.4, 5: 35.9]

  static let sectors = 4
  static let old = [UInt8](repeating: 7, count: 100)
  static let new = [UInt8](repeating: 9, count: sectors * 512)

  /// What a loss left of one write of several sectors to an empty file.
  enum Left: Int, CaseIterable { case nothing, everything, prefix, sectors, zeros, stale }

  static func classify(_ bytes: [UInt8]?) -> Left? {
    guard let bytes else { return nil }
    if bytes.isEmpty { return .nothing }
    if bytes == new { return .everything }
    if bytes.count < new.count { return bytes.allSatisfy { $0 == 9 } ? .prefix : nil }
    if bytes.count > new.count { return nil }
    if bytes.allSatisfy({ $0 == 0 }) { return .zeros }
    let isSectors = (0..<sectors).allSatisfy { sector in
      let part = bytes[sector * 512..<(sector + 1) * 512]
      return part.allSatisfy { $0 == 0 } || part.allSatisfy { $0 == 9 }
    }
    return isSectors ? .sectors : .stale
  }

  @Test(.requirement("Simulation.never.1")) func aWriteIsLeftInEveryAllowedWay() throws {
    let disk = SimulatedFileSystem(random: Random(seed: 11))
    let file = try SimulatedFileSystemTests.synced(disk, "/a", [])
    try file.write(Self.new, at: 0)
    var counts = Array(repeating: 0, count: Left.allCases.count)
    for _ in 0..<Self.draws {
      let left = try #require(Self.classify(disk.crash(.random).bytes(of: "/a")), "an outcome that no rule allows (seed 11)")
      counts[left.rawValue] += 1
    }
    // Three in four draws keep or lose the whole with an even chance; the fourth is a prefix of 0...count bytes, a subset of the
    // sectors, growth with zeros or growth with stale bytes, each as often as the other.
    let edge = 1.0 / Double(Self.new.count + 1)
    let subset = 1.0 / 16
    let whole = 0.375 + (edge + subset) / 16
    let expected = [whole, whole, (1 - 2 * edge) / 16, (1 - 2 * subset) / 16, 1.0 / 16, 1.0 / 16]
    #expect(abs(expected.reduce(0, +) - 1) < 1e-9)
    let statistic = Self.chiSquare(counts, expected)
    #expect(statistic < Self.limit[5]!, "\(counts) against \(expected), seed 11")
    #expect(counts.allSatisfy { $0 > 0 }, "\(counts)")
  }

  @Test func namesSurviveIndependentlyUnderStrictPOSIX() throws {
    let disk = SimulatedFileSystem(random: Random(seed: 12))
    _ = try disk.open("/a", .create)
    _ = try disk.open("/b", .create)
    var counts = Array(repeating: 0, count: 4)
    for _ in 0..<Self.draws {
      let after = disk.crash(.random)
      counts[(after.bytes(of: "/a") == nil ? 0 : 1) + (after.bytes(of: "/b") == nil ? 0 : 2)] += 1
    }
    // Kept with 1/8, 4/8 or 7/8 by turns: both kept in 66 of 192 cases, exactly one in 30 each way.
    let expected = [66.0 / 192, 30.0 / 192, 30.0 / 192, 66.0 / 192]
    #expect(Self.chiSquare(counts, expected) < Self.limit[3]!, "\(counts), seed 12")
  }

  @Test(arguments: [DiskProfile.ext4Ordered, .xfs, .btrfs]) func journalledNamesSurviveAsAPrefix(profile: DiskProfile) throws {
    let disk = SimulatedFileSystem(profile: profile, random: Random(seed: 13))
    for name in ["/a", "/b", "/c"] { _ = try disk.open(FilePath(name), .create) }
    var counts: [[Bool]: Int] = [:]
    for _ in 0..<Self.draws {
      let after = disk.crash(.random)
      counts[["/a", "/b", "/c"].map { after.bytes(of: FilePath($0)) != nil }, default: 0] += 1
    }
    let legal = [[false, false, false], [true, false, false], [true, true, false], [true, true, true]]
    #expect(Set(counts.keys) == Set(legal), "\(profile): \(counts)")
    // p, and its square and cube, averaged over 1/8, 4/8 and 7/8.
    let moments = [1.0, 0.5, 66.0 / 192, (1.0 + 64 + 343) / 1536]
    let expected = [1 - moments[1], moments[1] - moments[2], moments[2] - moments[3], moments[3]]
    let statistic = Self.chiSquare(legal.map { counts[$0, default: 0] }, expected)
    #expect(statistic < Self.limit[3]!, "\(profile): \(counts), seed 13")
  }

  @Test(.requirement("Simulation.never.1", "Simulation.never.3"), arguments: [DiskProfile.strictPOSIX, .ext4Ordered, .xfs, .btrfs])
  func nothingForbiddenEverHappens(profile: DiskProfile) throws {
    for seed in 0..<UInt64(20) {
      let disk = SimulatedFileSystem(profile: profile, random: Random(seed: seed))
      let kept = try SimulatedFileSystemTests.synced(disk, "/kept", Self.old)
      _ = try SimulatedFileSystemTests.synced(disk, "/target", [1])
      let fresh = try SimulatedFileSystemTests.synced(disk, "/fresh", [2, 2])
      // Pending from here on: an overwrite, a growth, a rename over a name, a removal.
      try kept.write([8, 8], at: 10)
      try kept.write(Self.new, at: 100)
      try disk.rename("/fresh", to: "/target", replacing: true)
      _ = try SimulatedFileSystemTests.synced(disk, "/other", [3])
      try fresh.write([4], at: 0)
      try disk.remove("/other")
      for _ in 0..<100 {
        let after = disk.crash(.random)
        // Synced bytes outside a pending write's range never change; those inside are old or new.
        let bytes = try #require(after.bytes(of: "/kept"), "a synced name is gone (\(profile), seed \(seed))")
        #expect(bytes.count >= 100 && bytes[..<10] == Self.old[..<10] && bytes[12..<100] == Self.old[12..<100], "\(profile), seed \(seed)")
        #expect(bytes[10..<12].allSatisfy { $0 == 7 || $0 == 8 }, "\(profile), seed \(seed)")
        // Syncing /other synced the directory and with it the rename: only the renamed file can be there.
        #expect([[2, 2], [4, 2]].contains(after.bytes(of: "/target")), "\(profile), seed \(seed)")
        #expect(after.bytes(of: "/fresh") == nil, "\(profile), seed \(seed)")
        #expect([nil, [3]].contains(after.bytes(of: "/other")), "\(profile), seed \(seed)")
      }
    }
  }

  @Test(arguments: [DiskProfile.strictPOSIX, .ext4Ordered, .xfs, .btrfs]) func aRenameHappensWhollyOrNotAtAll(profile: DiskProfile) throws {
    let disk = SimulatedFileSystem(profile: profile, random: Random(seed: 14))
    _ = try SimulatedFileSystemTests.synced(disk, "/target", [1])
    _ = try SimulatedFileSystemTests.synced(disk, "/fresh", [2])
    try disk.rename("/fresh", to: "/target", replacing: true)
    var moved = 0
    for _ in 0..<1000 {
      let after = disk.crash(.random)
      let pair = [after.bytes(of: "/fresh"), after.bytes(of: "/target")]
      #expect(pair == [[2], [1]] || pair == [nil, [2]], "\(profile): \(pair)")
      if pair[0] == nil { moved += 1 }
    }
    #expect(moved > 400 && moved < 600, "\(profile): \(moved) of 1000, seed 14")
  }
}
