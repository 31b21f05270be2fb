import StrataDisk
import StrataRequirements
import SystemPackage
import Testing

@testable import StrataSimulation

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// One suite for the real file systems and the simulated one: the operating system is the oracle, and every answer must be the same.
@Suite struct ConformanceTests {
  @Test func thereAreEnoughCases() {
    let names = (fileCases + nameCases).map(\.name)
    #expect(names.count >= 150)
    #expect(Set(names).count == names.count)
  }

  @Test(arguments: DiskUnderTest.real) func theSimulatedDiskAnswersLikeTheOperatingSystem(real: DiskUnderTest) throws {
    let scratch = try real.makeScratch()
    defer { scratch.removeTree() }
    for (index, example) in (fileCases + nameCases).enumerated() {
      let script = Script(example.script)
      let root = scratch.path.appending("case\(index)")
      try POSIXFileSystem().makeDirectory(root)
      let expected = script.transcript(on: POSIXFileSystem(), in: root)
      for wraps in [false, true] {
        let simulated = SimulatedFileSystem()
        try simulated.makeDirectory("/case")
        let disk: any FileSystem = wraps ? RecordingFileSystem(simulated) : simulated
        let actual = script.transcript(on: disk, in: "/case")
        for (theirs, ours) in zip(expected, actual) where theirs != ours {
          #expect(ours == theirs, "\(example.name) on \(real), recorded: \(wraps)")
        }
        #expect(expected.count == actual.count && !expected.contains { $0.contains("script is wrong") }, "\(example.name): \(expected)")
      }
    }
  }

  @Test func aRecordedRunReplaysToTheSameFiles() throws {
    for example in fileCases + nameCases {
      let simulated = SimulatedFileSystem()
      try simulated.makeDirectory("/case")
      let start = simulated.core.withLock { $0.state }
      let recorder = RecordingFileSystem(simulated)
      _ = Script(example.script).transcript(on: recorder, in: "/case")
      var replay = DiskReplay(recorder.log, from: start)
      while replay.index < recorder.log.events.count { try replay.step() }
      let end = simulated.core.withLock { $0.state }
      #expect(replay.state.fingerprint == end.fingerprint, "\(example.name)")
      let kept = Array(repeating: Survival.kept, count: end.pending.count)
      #expect(replay.state.afterPowerLoss([]).fingerprint == end.afterPowerLoss([]).fingerprint, "\(example.name)")
      #expect(end.afterPowerLoss(kept).fingerprint == end.fingerprint, "everything kept is what was seen: \(example.name)")
    }
  }
}

/// A place where the real file system is tried.
enum DiskUnderTest: String, CaseIterable, CustomStringConvertible {
  case memory = "/dev/shm"
  case temporary = "/tmp"

  /// Those this machine has.
  static var real: [DiskUnderTest] { allCases.filter { access($0.rawValue, W_OK) == 0 } }

  var description: String { rawValue }

  func makeScratch() throws -> Scratch { try Scratch(in: rawValue) }
}

/// A directory of one test's own.
struct Scratch {
  let path: FilePath

  init(in parent: String) throws {
    var template = Array("\(parent)/strata-disk-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw Errno(rawValue: errno) }
    path = FilePath(String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self))
  }

  /// Removes the directory and what is in it.
  func removeTree() { Self.remove(path) }

  private static func remove(_ path: FilePath) {
    let disk = POSIXFileSystem()
    for name in (try? disk.list(path)) ?? [] {
      let child = path.appending(name)
      if (try? disk.status(child))??.isDirectory == true { remove(child) } else { try? disk.remove(child) }
    }
    try? disk.removeDirectory(path)
  }
}
