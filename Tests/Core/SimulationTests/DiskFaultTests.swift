import StrataDisk
import StrataNodes
import StrataRequirements
import StrataSimulation
import SystemPackage
import Testing

/// Injected faults: failed syncs as Linux fails them, full disks, sectors that rot.
@Suite struct DiskFaultTests {
  static let ioError = Errno.ioError.rawValue

  func prepared(_ profile: DiskProfile = .strictPOSIX) throws -> (disk: SimulatedFileSystem, file: any File) {
    let disk = SimulatedFileSystem(profile: profile)
    return (disk, try SimulatedFileSystemTests.synced(disk, "/a", [1, 1, 1]))
  }

  @Test(.requirement("Simulation.never.5"), arguments: [DiskProfile.strictPOSIX, .ext4Ordered, .xfs, .btrfs])
  func aFailedSyncPoisonsTheHandleForGood(profile: DiskProfile) throws {
    let (disk, file) = try prepared(profile)
    let failure = DiskError.io(errno: Self.ioError, operation: .sync, path: "/a", offset: nil)
    try file.write([2], at: 0)
    disk.inject(DiskFault(.io, at: .matching { $0.operation == .sync }))
    #expect(throws: failure) { try file.sync(.full) }
    #expect(throws: DiskError.poisoned(first: failure)) { try file.sync(.full) }
    #expect(throws: DiskError.poisoned(first: failure)) { try file.write([3], at: 0) }
    #expect(throws: DiskError.poisoned(first: failure)) { try file.writeVectored([[3]], at: 0) }
    #expect(throws: DiskError.poisoned(first: failure)) { try file.truncate(to: 0) }
    #expect(throws: DiskError.poisoned(first: failure)) { try file.allocate(0..<9) }
    #expect(throws: DiskError.poisoned(first: failure)) { try file.sync(.data) }
    #expect(try file.size() == 3)
  }

  @Test(.requirement("Simulation.never.5"), arguments: [DiskProfile.strictPOSIX, .ext4Ordered, .xfs, .btrfs])
  func aLaterSyncNeverSavesTheLostBytes(profile: DiskProfile) throws {
    let (disk, file) = try prepared(profile)
    try file.write([2, 2, 2, 2], at: 0)
    disk.inject(DiskFault(.io, at: .matching { $0.operation == .sync }))
    #expect(throws: DiskError.self) { try file.sync(.full) }
    // A new handle never hears of it, and its syncs succeed.
    let fresh = try disk.open("/a", .readWrite)
    try fresh.sync(.full)
    let seen = try fresh.read(at: 0, count: 9)
    #expect(seen == (profile.failedBytes == .new ? [2, 2, 2, 2] : [1, 1, 1]), "\(profile.name)")
    let onDevice: [UInt8] = profile.failedBytes == .new ? [1, 1, 1, 0] : [1, 1, 1]
    for loss in [PowerLoss.nothingKept, .everythingKept, .random] {
      #expect(disk.fork().crash(loss).bytes(of: "/a") == onDevice, "\(profile.name) \(loss)")
    }
    disk.evict("/a")
    #expect(try fresh.read(at: 0, count: 9) == onDevice, "\(profile.name)")
    // What is written and synced from now on is durable.
    try fresh.write([5], at: 1)
    try fresh.sync(.full)
    #expect(disk.crash(.nothingKept).bytes(of: "/a")?[1] == 5)
  }

  @Test(.requirement("Simulation.never.5")) func everyHandleOpenAtTheFailureReportsItOnce() throws {
    let (disk, first) = try prepared()
    let second = try disk.open("/a", .readWrite)
    try first.write([2], at: 0)
    disk.failWriteback("/a")
    let third = try disk.open("/a", .readWrite)
    let failure = DiskError.io(errno: Self.ioError, operation: .sync, path: "/a", offset: nil)
    #expect(throws: failure) { try first.sync(.full) }
    #expect(throws: failure) { try second.sync(.full) }
    #expect(throws: DiskError.poisoned(first: failure)) { try second.sync(.full) }
    try third.sync(.full)
    #expect(disk.durableBytes(of: "/a") == [1, 1, 1])
  }

  @Test func evictionKeepsWhatIsStillPending() throws {
    let (disk, file) = try prepared()
    try file.write([2], at: 0)
    disk.failWriteback("/a")
    let fresh = try disk.open("/a", .readWrite)
    try fresh.write([3], at: 2)
    disk.evict("/a")
    #expect(try fresh.read(at: 0, count: 3) == [1, 1, 3])
  }

  @Test func faultsHitTheChosenCall() throws {
    let (disk, file) = try prepared()
    disk.resetCallCounts()
    disk.inject(DiskFault(.io, at: .nth(2, of: .write)))
    disk.inject(DiskFault(.noSpace, at: .call(4)))
    try file.write([2], at: 0)
    #expect(throws: DiskError.io(errno: Self.ioError, operation: .write, path: "/a", offset: 1)) { try file.write([2], at: 1) }
    _ = try file.size()
    #expect(throws: DiskError.noSpace("/b", operation: .open)) { _ = try disk.open("/b", .create) }
    #expect(try disk.exists("/b") == false)
    #expect(disk.callCount == 5 && disk.callCount(of: .write) == 2 && disk.callCount(of: .status) == 2)
  }

  @Test(arguments: [DiskOperation.rename, .link, .remove, .makeDirectory, .removeDirectory, .list, .status, .syncDirectory, .lock, .freeSpace])
  func everyNameOperationCanFailAndThenChangesNothing(operation: DiskOperation) throws {
    let disk = SimulatedFileSystem()
    try disk.makeDirectories("/d")
    _ = try SimulatedFileSystemTests.synced(disk, "/a", [1])
    let before = disk.contents
    disk.inject(DiskFault(.io, at: .nth(disk.callCount(of: operation) + 1, of: operation)))
    let calls: [DiskOperation: () throws -> Void] = [
      .rename: { try disk.rename("/a", to: "/b", replacing: true) }, .link: { try disk.link("/a", to: "/b") },
      .remove: { try disk.remove("/a") }, .makeDirectory: { try disk.makeDirectory("/e") },
      .removeDirectory: { try disk.removeDirectory("/d") }, .list: { _ = try disk.list("/") },
      .status: { _ = try disk.status("/a") }, .syncDirectory: { try disk.syncDirectory("/") },
      .lock: { _ = try disk.lock("/L") }, .freeSpace: { _ = try disk.freeSpace("/") },
    ]
    let call = try #require(calls[operation])
    #expect(throws: DiskError.self) { try call() }
    #expect(disk.contents == before)
    try call()
  }

  @Test func aWriteMayFailPartWay() throws {
    let (disk, file) = try prepared()
    disk.inject(DiskFault(.noSpaceAfter(bytes: 2), at: .matching { $0.operation == .write }))
    #expect(throws: DiskError.noSpace("/a", operation: .write)) { try file.write([5, 6, 7, 8], at: 1) }
    #expect(disk.bytes(of: "/a") == [1, 5, 6])
    disk.inject(DiskFault(.ioAfter(bytes: 1), at: .matching { $0.operation == .write }))
    #expect(throws: DiskError.io(errno: Self.ioError, operation: .write, path: "/a", offset: 1)) { try file.write([9, 9], at: 0) }
    #expect(disk.bytes(of: "/a") == [9, 5, 6])
  }

  @Test func aFullDiskTakesWhatFits() throws {
    let (disk, file) = try prepared()
    disk.capacity = 10
    #expect(try disk.freeSpace("/") == 7)
    #expect(throws: DiskError.noSpace("/a", operation: .write)) { try file.write(Array(repeating: 2, count: 20), at: 3) }
    #expect(try file.size() == 10)
    #expect(throws: DiskError.noSpace("/a", operation: .allocate)) { try file.allocate(0..<11) }
    #expect(throws: DiskError.noSpace("/a", operation: .truncate)) { try file.truncate(to: 11) }
    try file.write([7], at: 9)
    let other = try disk.open("/b", .create)
    #expect(throws: DiskError.noSpace("/b", operation: .write)) { try other.write([1], at: 0) }
    // An open file holds its space until the last handle is gone.
    try disk.remove("/a")
    #expect(try disk.freeSpace("/") == 0)
    try file.close()
    #expect(try disk.freeSpace("/") == 10)
    try other.write([1], at: 0)
  }

  @Test func allocatedSpaceCannotRunOut() throws {
    let (disk, file) = try prepared()
    disk.capacity = 100
    try file.allocate(0..<60)
    let greedy = try disk.open("/b", .create)
    #expect(throws: DiskError.noSpace("/b", operation: .write)) { try greedy.write(Array(repeating: 1, count: 99), at: 0) }
    try file.write(Array(repeating: 2, count: 60), at: 0)
  }

  @Test func spoiledSectorsStayUnreadableUntilWritten() throws {
    let disk = SimulatedFileSystem()
    let file = try SimulatedFileSystemTests.synced(disk, "/a", Array(repeating: 1, count: 2048))
    disk.spoil("/a", 600..<700)
    #expect(try file.read(at: 0, count: 512).count == 512)
    for _ in 0..<2 {
      #expect(throws: DiskError.io(errno: Self.ioError, operation: .read, path: "/a", offset: 512)) { _ = try file.read(at: 0, count: 513) }
    }
    let next = disk.crash(.nothingKept)
    let again = try next.open("/a", .readWrite)
    #expect(throws: DiskError.io(errno: Self.ioError, operation: .read, path: "/a", offset: 1000)) { _ = try again.read(at: 1000, count: 9) }
    try again.write(Array(repeating: 2, count: 512), at: 512)
    #expect(try again.read(at: 500, count: 100).count == 100)
  }

  @Test func rotAndCutsAreAtRest() throws {
    let (disk, file) = try prepared()
    #expect(disk.flipBit(9, of: "/a"))
    #expect(try file.read(at: 0, count: 3) == [1, 3, 1])
    #expect(disk.durableBytes(of: "/a") == [1, 3, 1])
    #expect(!disk.flipBit(24, of: "/a") && !disk.flipBit(0, of: "/none"))
    #expect(disk.cut("/a", to: 1))
    #expect(disk.durableBytes(of: "/a") == [1])
    #expect(!disk.cut("/a", to: 1))
  }

  @Test func lyingDevices() throws {
    let (disk, file) = try prepared()
    disk.inject(DiskFault(.lostWrite, at: .matching { $0.operation == .write }))
    try file.write([2], at: 0)
    try file.sync(.full)
    #expect(try file.read(at: 0, count: 3) == [2, 1, 1])
    disk.evict("/a")
    #expect(try file.read(at: 0, count: 3) == [1, 1, 1])
    disk.inject(DiskFault(.misdirectedWrite(offset: 2), at: .matching { $0.operation == .write }))
    try file.write([9], at: 0)
    try file.sync(.full)
    #expect(disk.durableBytes(of: "/a") == [1, 1, 9])
    disk.evict("/a")
    disk.inject(DiskFault(.lostSync, at: .matching { $0.operation == .sync }))
    try file.write([4], at: 0)
    try file.sync(.full)
    #expect(disk.durableBytes(of: "/a") == [1, 1, 9])
    disk.inject(DiskFault(.lostSync, at: .matching { $0.operation == .syncDirectory }))
    try disk.rename("/a", to: "/b", replacing: true)
    try disk.syncDirectory("/")
    #expect(disk.durableBytes(of: "/b") == nil)
  }

  @Test func powerMayFailAtAChosenCall() throws {
    let (disk, file) = try prepared()
    disk.inject(DiskFault(.crash, at: .nth(disk.callCount(of: .sync) + 1, of: .sync)))
    try file.write([2], at: 0)
    #expect(throws: DiskError.crashed("/a")) { try file.sync(.full) }
    #expect(disk.isCrashed)
    #expect(disk.crash(.nothingKept).bytes(of: "/a") == [1, 1, 1])
  }

  @Test func installedFilesAreDurable() throws {
    let disk = SimulatedFileSystem()
    try disk.install("/x/y/z", [1, 2])
    #expect(disk.pendingOperations.isEmpty)
    try disk.install("/x/y/z", [3])
    #expect(disk.crash(.nothingKept).contents == [.init(path: "/x/y/z", bytes: [3])])
    let file = SimulatedFileSystem()
    try file.install("/x", [])
    #expect(throws: DiskError.self) { try file.install("/x/y", []) }
  }

  @Test func uncachedReadsAreDrawn() throws {
    let disk = SimulatedFileSystem(random: Random(seed: 3))
    let file = try SimulatedFileSystemTests.synced(disk, "/a", Array(repeating: 1, count: 100))
    func hits() throws -> Int {
      var hits = 0
      for _ in 0..<400 {
        let bytes = [UInt8](unsafeUninitializedCapacity: 10) { storage, initialized in
          var span = OutputRawSpan(buffer: UnsafeMutableRawBufferPointer(storage), initializedCount: 0)
          if (try? file.readIfCached(at: 0, into: &span)) == true { hits += 1 }
          initialized = span.finalize(for: UnsafeMutableRawBufferPointer(storage))
        }
        #expect(bytes.isEmpty || bytes == Array(repeating: 1, count: 10))
      }
      return hits
    }
    #expect(try hits() == 400)
    disk.uncachedReads = 128
    let half = try hits()
    #expect(half > 140 && half < 260, "seed 3 gave \(half)")
    disk.uncachedReads = 256
    #expect(try hits() == 0)
  }
}
