import StrataNodes
import StrataRequirements
import SystemPackage
import Testing

@testable import StrataDisk
@testable import StrataSimulation

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// What only the real file system can show.
@Suite struct POSIXTests {
  @Test func missingFileIsNotFound() throws {
    #expect(throws: DiskError.notFound("/nonexistent/file")) { _ = try POSIXFileSystem().open("/nonexistent/file", .read) }
  }

  @Test(arguments: DiskUnderTest.real) func threadsWriteAndReadDisjointRanges(real: DiskUnderTest) async throws {
    let scratch = try real.makeScratch()
    defer { scratch.removeTree() }
    let file = try POSIXFileSystem().open(scratch.path.appending("a"), .createNew)
    try await withThrowingTaskGroup(of: Void.self) { group in
      for writer in 0..<4 {
        group.addTask {
          for index in 0..<50 {
            let offset = UInt64((index * 4 + writer) * 300)
            try file.writeVectored([Array(repeating: UInt8(writer), count: 100), Array(repeating: UInt8(index), count: 200)], at: offset)
            if index % 10 == 0 { try file.sync(.data) }
            let back = try file.readExactly(at: offset, count: 300)
            #expect(back[99] == UInt8(writer) && back[100] == UInt8(index) && back[299] == UInt8(index))
          }
        }
      }
      try await group.waitForAll()
    }
    #expect(try file.size() == 60_000)
    try file.close()
  }

  @Test(arguments: DiskUnderTest.real) func vectoredWritesOfManySizes(real: DiskUnderTest) throws {
    let scratch = try real.makeScratch()
    defer { scratch.removeTree() }
    let file = try POSIXFileSystem().open(scratch.path.appending("a"), .createNew)
    for count in [1, 63, 64, 65, 127, 128, 129, 1000, 5000] {
      let pieces = (0..<count).map { Array(repeating: UInt8(truncatingIfNeeded: $0), count: $0 % 5) }
      try file.truncate(to: 0)
      try file.writeVectored(pieces, at: 3)
      #expect(try file.read(at: 3, count: 1 << 20) == Array(pieces.joined()), "\(count) pieces")
    }
  }

  /// Transfers that end anywhere, as a nearly full disk or a signal makes them.
  @Test func vectoredWritesGoOnWhereATransferEnded() {
    for seed in 0..<UInt64(200) {
      var random = Random(seed: seed)
      let pieces = (0..<random.below(200)).map { _ in random.chance(1, in: 4) ? [] : random.bytes(random.below(20)) }
      let all = Array(pieces.joined())
      var cursor = PieceCursor()
      var seen: [UInt8] = []
      while seen.count < all.count {
        var taken: [UInt8] = []
        let moved = cursor.withVectors(of: pieces) { vectors in
          for vector in vectors { taken += UnsafeRawBufferPointer(start: vector.iov_base, count: vector.iov_len) }
          return taken.isEmpty ? 0 : 1 + random.below(taken.count)
        }
        guard moved > 0 else { break }
        seen += taken.prefix(moved)
        cursor.advance(by: moved, in: pieces)
      }
      #expect(seen == all, "seed \(seed)")
    }
  }

  @Test func aRefusedLockNamesItsHolder() throws {
    let scratch = try DiskUnderTest.real[0].makeScratch()
    defer { scratch.removeTree() }
    let path = scratch.path.appending("LOCK")
    let disk = POSIXFileSystem()
    let lock = try disk.lock(path)
    #expect(throws: DiskError.locked(path, holder: getpid())) { _ = try disk.lock(path) }
    #expect(DiskError.locked(path, holder: getpid()).description.contains("process \(getpid())"))
    lock.unlock()
    try disk.lock(path).unlock()
  }

  #if os(Linux)
    /// The one device of every Linux machine that refuses writes as full and cannot be synced.
    @Test(.requirement("Simulation.never.5")) func aFailedSyncPoisonsTheHandle() throws {
      let disk = POSIXFileSystem()
      let file = try disk.open("/dev/full", .readWrite)
      #expect(throws: DiskError.noSpace("/dev/full", operation: .write)) { try file.write([1], at: 0) }
      #expect(throws: DiskError.noSpace("/dev/full", operation: .write)) { try file.writeVectored([[1], [2]], at: 0) }
      let failure = DiskError.io(errno: EINVAL, operation: .sync, path: "/dev/full", offset: nil)
      #expect(throws: failure) { try file.sync(.data) }
      #expect(throws: DiskError.poisoned(first: failure)) { try file.sync(.full) }
      #expect(throws: DiskError.poisoned(first: failure)) { try file.write([1], at: 0) }
      #expect(throws: DiskError.poisoned(first: failure)) { try file.writeVectored([[1]], at: 0) }
      #expect(throws: DiskError.poisoned(first: failure)) { try file.truncate(to: 0) }
      #expect(throws: DiskError.poisoned(first: failure)) { try file.allocate(0..<1) }
      #expect(try file.read(at: 0, count: 2) == [0, 0])
      // A handle opened afterwards knows nothing of it.
      #expect(throws: failure) { try disk.open("/dev/full", .readWrite).sync(.full) }
      try file.close()
    }
  #endif

  @Test func aFileBeyondTheSizeLimitIsRefusedByType() throws {
    let scratch = try DiskUnderTest.real[0].makeScratch()
    defer { scratch.removeTree() }
    let file = try POSIXFileSystem().open(scratch.path.appending("a"), .createNew)
    for offset in [UInt64(Int64.max), UInt64(Int64.max) + 1, .max] {
      #expect(throws: DiskError.self) { try file.write([1, 2], at: offset) }
      #expect(throws: DiskError.self) { try file.writeVectored([[1], [2]], at: offset) }
      #expect(throws: DiskError.self) { _ = try file.read(at: offset, count: 2) }
    }
    #expect(throws: DiskError.self) { try file.truncate(to: .max) }
    #expect(throws: DiskError.self) { try file.allocate(5..<(.max)) }
    #expect(try file.size() == 0)
  }

  @Test(.requirement("Simulation.never.3")) func makeDirectoriesSyncsEveryNameItRestsOn() throws {
    let recorder = RecordingFileSystem(SimulatedFileSystem())
    try recorder.makeDirectories("/a/b")
    try recorder.makeDirectories("/a/b")
    #expect(
      recorder.log.events == [
        .makeDirectory("/a"), .syncDirectory("/", since: 1), .makeDirectory("/a/b"), .syncDirectory("/a", since: 3),
        .syncDirectory("/a", since: 4),
      ])
  }

  @Test(.requirement("Simulation.never.1", "Simulation.never.3")) func atomicReplaceNeedsEveryOneOfItsSyncs() throws {
    let report = try CrashEnumeration().undetectedSyncs { (disk, ledger: Ledger<UInt8>) in
      for value in UInt8(1)...3 {
        try disk.atomicReplace("/a", with: Array(repeating: value, count: 700))
        ledger.note(value)
      }
    } recover: { disk, ledger in
      let least = ledger.entries.last ?? 0
      let isThere = try disk.exists("/a")
      let bytes = isThere ? try disk.readAll("/a", limit: 1000) : []
      struct Torn: Error { var bytes: [UInt8], least: UInt8 }
      let isWhole = bytes.count == 700 && bytes.allSatisfy { $0 == bytes[0] && $0 >= least }
      guard isWhole || (!isThere && least == 0) else { throw Torn(bytes: bytes, least: least) }
    }
    #expect(report.undetected.isEmpty && report.detected.count == 2, "\(report)")
  }
}
