import StrataDisk
import StrataRequirements
import Synchronization
import SystemPackage
import Testing

@testable import StrataSimulation

@Suite struct RecordingTests {
  @Test func theLogHoldsWhatHappened() throws {
    let recorder = RecordingFileSystem(SimulatedFileSystem())
    try recorder.makeDirectory("/d")
    let file = try recorder.open("/d/a", .createNew)
    try file.write([1, 2], at: 0)
    try file.writeVectored([[3], [], [4, 5]], at: 2)
    try file.allocate(0..<9)
    try file.sync(.data)
    recorder.note("acknowledged")
    try file.truncate(to: 1)
    try file.close()
    try recorder.rename("/d/a", to: "/d/b", replacing: true)
    try recorder.link("/d/b", to: "/d/c")
    try recorder.syncDirectory("/d")
    try recorder.remove("/d/b")
    _ = try recorder.lock("/LOCK")
    #expect(throws: DiskError.notFound("/none")) { _ = try recorder.open("/none", .read) }
    #expect(
      recorder.log.events == [
        .makeDirectory("/d"), .open(handle: 0, path: "/d/a", mode: .createNew), .write(handle: 0, offset: 0, bytes: [1, 2]),
        .write(handle: 0, offset: 2, bytes: [3, 4, 5]), .allocate(handle: 0, range: 0..<9), .sync(handle: 0, level: .data, since: 5),
        .note("acknowledged"), .truncate(handle: 0, size: 1), .close(handle: 0), .rename(from: "/d/a", to: "/d/b"),
        .link(existing: "/d/b", to: "/d/c"), .syncDirectory("/d", since: 11), .remove("/d/b"), .lock("/LOCK"),
        .failed(.open, "/none", .notFound("/none")),
      ])
    #expect(recorder.log.excerpt(around: 5, before: 1, after: 1) == "  4: allocate 0..<9 of /d/a\n> 5: sync /d/a data\n  6: -- acknowledged")
  }

  @Test func trafficCountsWhatTheDeviceSees() throws {
    let recorder = RecordingFileSystem(SimulatedFileSystem(), logsReads: true)
    let file = try recorder.open("/a", .create)
    try file.write(Array(repeating: 1, count: 100), at: 0)
    try file.writeVectored([[1], [2, 3]], at: 100)
    _ = try file.read(at: 50, count: 100)
    try file.sync(.full)
    try recorder.syncDirectory("/")
    let traffic = recorder.traffic
    #expect(traffic.bytesWritten == 103 && traffic.writes == 2 && traffic.bytesRead == 53 && traffic.reads == 1)
    #expect(traffic.syncs == 1 && traffic.directorySyncs == 1)
    #expect(recorder.log.events.contains(.read(handle: 0, offset: 50, count: 53)))
    recorder.resetTraffic()
    #expect(recorder.traffic == DiskTraffic())
  }

  @Test func failedCallsCountForNothing() throws {
    let disk = SimulatedFileSystem()
    let recorder = RecordingFileSystem(disk)
    let file = try recorder.open("/a", .create)
    disk.inject(DiskFault(.io, at: .matching { $0.operation == .write || $0.operation == .sync }, times: 2))
    #expect(throws: DiskError.self) { try file.write([1], at: 0) }
    #expect(throws: DiskError.self) { try file.sync(.full) }
    #expect(recorder.traffic == DiskTraffic())
    #expect(recorder.log.events.count == 3)
  }

  @Test func aSyncCoversOnlyWhatWasLoggedBeforeItBegan() throws {
    var log = DiskLog()
    log.paths = ["/a"]
    log.events = [
      .open(handle: 0, path: "/a", mode: .create), .syncDirectory("/", since: 1), .write(handle: 0, offset: 0, bytes: [1]),
      .write(handle: 0, offset: 1, bytes: [2]), .sync(handle: 0, level: .full, since: 3),
    ]
    var replay = DiskReplay(log, from: DiskState(profile: .strictPOSIX))
    for _ in log.events { try replay.step() }
    #expect(replay.state.pendingOperations.map(\.kind) == [.write(offset: 1, count: 1)])
    let disk = SimulatedFileSystem(state: replay.state, random: .init(seed: 1))
    #expect(disk.durableBytes(of: "/a") == [1])
  }

  @Test func mutedSyncsDoNothing() throws {
    let recorder = RecordingFileSystem(SimulatedFileSystem())
    let file = try recorder.open("/a", .create)
    try recorder.syncDirectory("/")
    try file.write([1], at: 0)
    try file.sync(.full)
    let log = recorder.log
    #expect(log.syncCalls.map(\.call.defaultSite) == ["syncDirectory / after create", "sync /a after write"])
    for (index, expected) in [(1, [UInt8]?.none), (3, [])] {
      var replay = DiskReplay(log, from: DiskState(profile: .strictPOSIX), muted: [index])
      for _ in log.events { try replay.step() }
      let disk = SimulatedFileSystem(state: replay.state, random: .init(seed: 1))
      #expect(disk.durableBytes(of: "/a") == expected, "muted \(index)")
    }
  }

  @Test func aLogOfAnotherDiskDoesNotReplay() throws {
    var log = DiskLog()
    log.events = [.rename(from: "/a", to: "/b")]
    var replay = DiskReplay(log, from: DiskState(profile: .strictPOSIX))
    #expect(throws: DiskError.notFound("/a")) { try replay.step() }
  }

  @Test func sitesAreNamedByPatternAndPredecessor() {
    let call = SyncCall(operation: .sync, path: "/db/000123-45.log", previous: "write", ordinal: 3)
    #expect(call.defaultSite == "sync /db/#-#.log after write")
  }

  @Test func notesOfManyThreadsKeepTheirPlace() async throws {
    let recorder = RecordingFileSystem(SimulatedFileSystem())
    let ledger = Ledger<Int>(after: [-1], recorder: recorder)
    try await withThrowingTaskGroup(of: Void.self) { group in
      for writer in 0..<4 {
        group.addTask {
          let file = try recorder.open(FilePath("/f\(writer)"), .create)
          for index in 0..<25 {
            try file.write([UInt8(index)], at: UInt64(index))
            ledger.note(writer * 100 + index)
          }
        }
      }
      try await group.waitForAll()
    }
    #expect(ledger.entries.count == 101 && ledger.entries.first == -1)
    let log = recorder.log
    for entry in ledger.own {
      // The write that a note follows is in the log before it.
      let isBefore = log.events[..<entry.position].contains { event in
        if case .write(let handle, let offset, _) = event {
          log.path(of: handle) == FilePath("/f\(entry.note / 100)") && offset == UInt64(entry.note % 100)
        } else {
          false
        }
      }
      #expect(isBefore, "note \(entry.note)")
    }
  }
}
