import StrataDisk
import StrataNodes
import StrataRequirements
import SystemPackage
import Testing

@testable import StrataSimulation

/// What a power loss may and may not take.
@Suite struct SimulatedFileSystemTests {
  static func synced(_ disk: SimulatedFileSystem, _ path: FilePath, _ bytes: [UInt8]) throws -> any File {
    let file = try disk.open(path, .create)
    try file.write(bytes, at: 0)
    try file.sync(.full)
    try disk.syncDirectory(path.parentDirectory)
    return file
  }

  @Test(.requirement("Simulation.never.3")) func aNameNeedsItsDirectorySynced() throws {
    let disk = SimulatedFileSystem()
    let file = try disk.open("/a", .createNew)
    try file.write([1, 2, 3], at: 0)
    try file.sync(.full)
    #expect(try disk.fork().crash(.nothingKept).exists("/a") == false)
    try disk.syncDirectory("/")
    #expect(disk.crash(.nothingKept).bytes(of: "/a") == [1, 2, 3])
  }

  @Test(.requirement("Simulation.never.3")) func aFileInALostDirectoryIsLost() throws {
    let disk = SimulatedFileSystem()
    try disk.makeDirectory("/d")
    _ = try Self.synced(disk, "/d/a", [1])
    #expect(disk.durableBytes(of: "/d/a") == nil)
    try disk.syncDirectory("/")
    #expect(disk.durableBytes(of: "/d/a") == [1])
  }

  @Test func journalledProfilesCommitNamesWithAFile() throws {
    for profile in [DiskProfile.ext4Ordered, .xfs, .btrfs] {
      let disk = SimulatedFileSystem(profile: profile)
      let other = try disk.open("/other", .create)
      let file = try disk.open("/a", .create)
      try file.sync(.full)
      #expect(disk.durableBytes(of: "/a") == [], "\(profile.name)")
      // One journal commits every name; Btrfs logs only the file's own.
      #expect((disk.durableBytes(of: "/other") == []) == (profile != .btrfs), "\(profile.name)")
      try other.close()
    }
  }

  @Test func bytesNeedASync() throws {
    let disk = SimulatedFileSystem()
    let file = try Self.synced(disk, "/a", [1, 2, 3])
    try file.write([9, 9], at: 1)
    #expect(disk.bytes(of: "/a") == [1, 9, 9])
    #expect(disk.durableBytes(of: "/a") == [1, 2, 3])
    #expect(disk.fork().crash(.everythingKept).bytes(of: "/a") == [1, 9, 9])
    try file.sync(.data)
    #expect(disk.durableBytes(of: "/a") == [1, 9, 9])
    #expect(disk.pendingOperations.isEmpty)
  }

  @Test func nothingIsEverPendingWithoutAVolatileCache() throws {
    let disk = SimulatedFileSystem(profile: .none)
    let file = try disk.open("/a", .create)
    try file.write([1, 2], at: 0)
    try disk.rename("/a", to: "/b", replacing: true)
    #expect(disk.pendingOperations.isEmpty)
    #expect(disk.crash(.nothingKept).bytes(of: "/b") == [1, 2])
  }

  @Test func aRenameIsAtomicAndVolatile() throws {
    let disk = SimulatedFileSystem()
    _ = try Self.synced(disk, "/b", [1])
    _ = try Self.synced(disk, "/a", [2])
    try disk.rename("/a", to: "/b", replacing: true)
    let lost = disk.fork().crash(.nothingKept)
    #expect(lost.bytes(of: "/a") == [2] && lost.bytes(of: "/b") == [1])
    let kept = disk.fork().crash(.everythingKept)
    #expect(kept.bytes(of: "/a") == nil && kept.bytes(of: "/b") == [2])
  }

  @Test func aRenameBetweenDirectoriesIsDurableWithEither() throws {
    for synced in ["/d", "/e"] {
      let disk = SimulatedFileSystem()
      try disk.makeDirectories("/d")
      try disk.makeDirectories("/e")
      _ = try Self.synced(disk, "/d/a", [1])
      try disk.rename("/d/a", to: "/e/b", replacing: true)
      try disk.syncDirectory(FilePath(synced))
      let after = disk.crash(.nothingKept)
      #expect(after.bytes(of: "/d/a") == nil && after.bytes(of: "/e/b") == [1], "synced \(synced)")
    }
  }

  @Test func aSyncedRenameIsNotUndoneByAnOlderPendingName() throws {
    for profile in [DiskProfile.strictPOSIX, .btrfs] {
      let disk = SimulatedFileSystem(profile: profile)
      try disk.makeDirectories("/d")
      try disk.makeDirectories("/e")
      let moved = try Self.synced(disk, "/d/a", [1])
      _ = try disk.open("/e/b", .create)
      try disk.rename("/d/a", to: "/e/b", replacing: true)
      // Neither the sync of the source's directory nor that of the file may leave the older /e/b pending behind the rename.
      if profile == .btrfs { try moved.sync(.full) } else { try disk.syncDirectory("/d") }
      for loss in [PowerLoss.nothingKept, .everythingKept] {
        #expect(disk.fork().crash(loss).bytes(of: "/e/b") == [1], "\(profile) \(loss)")
      }
    }
  }

  @Test func aRenameMayOutliveTheBytesItCarries() throws {
    let disk = SimulatedFileSystem()
    _ = try Self.synced(disk, "/b", [1])
    let file = try disk.open("/a", .create)
    try file.write([2], at: 0)
    try disk.rename("/a", to: "/b", replacing: true)
    try disk.syncDirectory("/")
    #expect(disk.fork().crash(.nothingKept).bytes(of: "/b") == [])
    let ext4 = SimulatedFileSystem(profile: .ext4Ordered)
    _ = try Self.synced(ext4, "/b", [1])
    let other = try ext4.open("/a", .create)
    try other.write([2], at: 0)
    try ext4.rename("/a", to: "/b", replacing: true)
    // ext4 writes the bytes before a rename that replaces: create, write, rename; only the last is asked for.
    #expect(ext4.crash(.explicit([.kept, .lost, .kept])).bytes(of: "/b") == [2])
  }

  @Test func aRemovedFileMayComeBack() throws {
    let disk = SimulatedFileSystem()
    _ = try Self.synced(disk, "/a", [7])
    try disk.remove("/a")
    #expect(disk.fork().crash(.nothingKept).bytes(of: "/a") == [7])
    try disk.syncDirectory("/")
    #expect(disk.fork().crash(.nothingKept).bytes(of: "/a") == nil)
  }

  @Test func growthMaySurviveWithoutItsBytes() throws {
    let disk = SimulatedFileSystem()
    let file = try Self.synced(disk, "/a", [1])
    try file.write([2, 3, 4], at: 1)
    #expect(disk.fork().crash(.explicit([.grown(stale: nil)])).bytes(of: "/a") == [1, 0, 0, 0])
    let stale = disk.fork().crash(.explicit([.grown(stale: 5)])).bytes(of: "/a")
    #expect(stale?.count == 4 && stale?.first == 1 && stale != [1, 0, 0, 0] && stale != [1, 2, 3, 4])
    #expect(disk.fork().crash(.explicit([.prefix(bytes: 2)])).bytes(of: "/a") == [1, 2, 3])
  }

  @Test func tearsRespectTheProfile() throws {
    func left(_ profile: DiskProfile, _ survival: Survival) throws -> [UInt8]? {
      let disk = SimulatedFileSystem(profile: profile)
      let file = try Self.synced(disk, "/a", Array(repeating: 1, count: 1536))
      try file.write(Array(repeating: 2, count: 1400), at: 100)
      return disk.crash(.explicit([survival])).bytes(of: "/a")
    }
    func pattern(_ twos: [Range<Int>]) -> [UInt8] { (0..<1536).map { i in twos.contains { $0.contains(i) } ? 2 : 1 } }
    #expect(try left(.strictPOSIX, .prefix(bytes: 600)) == pattern([100..<700]))
    #expect(try left(.xfs, .prefix(bytes: 600)) == pattern([100..<512]))
    #expect(try left(.xfs, .prefix(bytes: 10)) == pattern([]))
    #expect(try left(.strictPOSIX, .sectors([true, false, true])) == pattern([100..<512, 1024..<1500]))
    #expect(try left(.strictPOSIX, .sectors([false, true, false])) == pattern([512..<1024]))
    #expect(try left(.ext4Ordered, .sectors([true, false, true])) == pattern([100..<512]))
    var whole = DiskProfile.strictPOSIX
    whole.tear = .none
    #expect(try left(whole, .prefix(bytes: 600)) == pattern([]))
    #expect(try left(whole, .kept) == pattern([100..<1500]))
  }

  @Test func writesBetweenSyncsSurviveInAnyOrder() throws {
    let disk = SimulatedFileSystem()
    let file = try Self.synced(disk, "/a", [0, 0, 0])
    for index in 0..<3 { try file.write([UInt8(index + 1)], at: UInt64(index)) }
    #expect(disk.fork().crash(.explicit([.lost, .kept, .lost])).bytes(of: "/a") == [0, 2, 0])
    #expect(disk.fork().crash(.explicit([.kept, .lost, .kept])).bytes(of: "/a") == [1, 0, 3])
    try file.truncate(to: 1)
    #expect(disk.fork().crash(.explicit([.lost, .lost, .lost, .kept])).bytes(of: "/a") == [0])
    #expect(disk.fork().crash(.explicit([.lost, .lost, .kept, .lost])).bytes(of: "/a") == [0, 0, 3])
  }

  @Test func aBarrierOrdersAndPromisesNothing() throws {
    let disk = SimulatedFileSystem()
    let file = try Self.synced(disk, "/a", [0, 0])
    try file.write([1], at: 0)
    try file.sync(.barrier)
    try file.write([2], at: 1)
    #expect(disk.fork().crash(.nothingKept).bytes(of: "/a") == [0, 0])
    // Keeping what came after the barrier keeps what came before.
    #expect(disk.fork().crash(.explicit([.lost, .lost, .kept])).bytes(of: "/a") == [1, 2])
  }

  @Test func aPowerLossEndsHandlesAndLocks() throws {
    let disk = SimulatedFileSystem()
    let file = try Self.synced(disk, "/a", [1])
    let lock = try disk.lock("/LOCK")
    let next = disk.crash(.nothingKept)
    #expect(throws: DiskError.crashed("/a")) { _ = try file.read(at: 0, count: 1) }
    #expect(throws: DiskError.crashed("/a")) { try file.sync(.full) }
    #expect(throws: DiskError.crashed("/a")) { _ = try disk.open("/a", .read) }
    try file.close()
    let again = try next.lock("/LOCK")
    #expect(throws: DiskError.locked("/LOCK", holder: 1)) { _ = try next.lock("/LOCK") }
    // The lock of the former life is not the one held now.
    lock.unlock()
    #expect(throws: DiskError.locked("/LOCK", holder: 1)) { _ = try next.lock("/LOCK") }
    again.unlock()
  }

  @Test func forksAreIndependent() throws {
    let disk = SimulatedFileSystem()
    let file = try Self.synced(disk, "/a", Array(repeating: 1, count: 9000))
    let fork = disk.fork()
    try file.write([2], at: 5000)
    let copy = try fork.open("/a", .readWrite)
    try copy.write([3], at: 0)
    #expect(try file.read(at: 0, count: 1) == [1] && file.read(at: 5000, count: 1) == [2])
    #expect(try copy.read(at: 0, count: 1) == [3] && copy.read(at: 5000, count: 1) == [1])
  }

  @Test func unsyncedBytesAreBounded() throws {
    var state = DiskState(profile: .strictPOSIX)
    state.writebackBytes = 10_000
    let disk = SimulatedFileSystem(state: state, random: Random(seed: 1))
    let file = try disk.open("/a", .create)
    for index in 0..<100 { try file.write(Array(repeating: UInt8(index), count: 1000), at: UInt64(index * 1000)) }
    #expect(disk.pendingOperations.count <= 11)
    // The kernel wrote the oldest ones by itself.
    #expect(disk.durableBytes(of: "/a").map { $0.count >= 85_000 } == true)
  }

  @Test func removedFilesAreForgotten() throws {
    let disk = SimulatedFileSystem()
    for index in 0..<2000 {
      let path = FilePath("/f\(index)")
      let file = try disk.open(path, .create)
      try file.write([1, 2, 3], at: 0)
      try disk.remove(path)
      try disk.syncDirectory("/")
    }
    #expect(disk.core.withLock { $0.state.nodes.count } < 600)
    #expect(disk.core.withLock { $0.state.pending.count } < 600)
  }

  @Test func equalSeedsGiveEqualPowerLosses() throws {
    func losses() throws -> [[SimulatedFileSystem.Content]] {
      let disk = SimulatedFileSystem(random: Random(seed: 42))
      let file = try disk.open("/a", .create)
      for index in 0..<20 { try file.write(Array(repeating: UInt8(index), count: 700), at: UInt64(index * 500)) }
      try disk.rename("/a", to: "/b", replacing: true)
      return (0..<20).map { _ in disk.crash(.random).contents }
    }
    let first = try losses()
    #expect(try first == losses())
    #expect(Set(first).count > 10)
  }
}
