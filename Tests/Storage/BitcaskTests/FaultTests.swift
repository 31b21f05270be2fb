import StrataDisk
import StrataNodes
import StrataRequirements
import StrataSimulation
import SystemPackage
import Testing

@testable import StrataBitcask

/// The disk refuses one call, any call: what was acknowledged stays readable and survives.
@Suite struct FaultTests {
  /// Runs a workload with one fault; returns what was acknowledged, and what may or may not be there.
  static func workload(_ store: Bitcask) -> (known: [[UInt8]: [UInt8]?], unsure: Set<[UInt8]>, errors: [BitcaskError]) {
    var known: [[UInt8]: [UInt8]?] = [:]
    var unsure: Set<[UInt8]> = []
    var errors: [BitcaskError] = []
    func attempt(_ name: [UInt8]?, _ value: [UInt8]?, _ body: () throws(BitcaskError) -> Void) {
      do throws(BitcaskError) {
        try body()
        if let name { (known[name], unsure) = (.some(value), unsure.subtracting([name])) }
      } catch {
        errors.append(error)
        if let name { unsure.insert(name) }
      }
    }
    for number in 0..<14 {
      attempt(key(number % 5), bytes("value \(number)")) { () throws(BitcaskError) in try store.put(key(number % 5), bytes("value \(number)")) }
    }
    attempt(key(2), nil) { () throws(BitcaskError) in try store.delete(key(2)) }
    attempt(nil, nil) { () throws(BitcaskError) in try store.createHintFiles() }
    attempt(nil, nil) { () throws(BitcaskError) in try store.merge(.all) }
    attempt(key(7), bytes("seven")) { () throws(BitcaskError) in try store.put(key(7), bytes("seven")) }
    return (known, unsure, errors)
  }

  static func check(_ store: Bitcask, _ known: [[UInt8]: [UInt8]?], _ unsure: Set<[UInt8]>, _ what: String) throws {
    for (name, value) in known where !unsure.contains(name) {
      let found = try store.get(name)
      guard found == value else { throw Unexpected("\(what): \(String(decoding: name, as: UTF8.self)) is \(String(describing: found))") }
    }
  }

  @Test(.requirement("Bitcask.never.7"), arguments: [DiskFault.Effect.noSpace, .io, .noSpaceAfter(bytes: 30), .ioAfter(bytes: 100)])
  func anyCallMayFail(effect: DiskFault.Effect) throws {
    let probe = SimulatedFileSystem()
    _ = Self.workload(try Bitcask.open(home, options: tinyOptions(), on: probe))
    let calls = probe.callCount
    var failed = 0
    for call in stride(from: 1, through: calls, by: (sweepStride + 1) / 2) {
      let disk = SimulatedFileSystem()
      disk.inject(DiskFault(effect, at: .call(call)))
      let what = "\(effect) at call \(call)"
      do throws(BitcaskError) {
        let store = try Bitcask.open(home, options: tinyOptions(), on: disk)
        let (known, unsure, errors) = Self.workload(store)
        failed += errors.isEmpty ? 0 : 1
        // The store reads on, whatever it refuses to write; a fault not yet met would only fail a read.
        disk.removeFaults()
        do { try Self.check(store, known, unsure, what) } catch { Issue.record("\(error)") }
        let restarted = disk.crash(.nothingKept)
        do {
          let again = try Bitcask.open(home, options: tinyOptions(), on: restarted)
          try Self.check(again, known, unsure, "\(what), after a power loss")
          try again.put(key(9), bytes("nine"))
          try again.merge(.all)
          try Self.check(again, known, unsure, "\(what), after a merge")
        } catch { Issue.record("\(what): \(error)") }
      } catch {
        // Opening itself was refused: the next start works.
        disk.removeFaults()
        #expect(throws: Never.self, "\(what)") { _ = try Bitcask.open(home, options: tinyOptions(), on: disk.crash(.nothingKept)) }
      }
    }
    #expect(failed > 20 / sweepStride)
  }

  @Test(.requirement("Bitcask.never.7")) func aFailedSyncIsFinal() throws {
    let disk = SimulatedFileSystem()
    let store = try Bitcask.open(home, options: tinyOptions { $0.segmentBytes = 1 << 16 }, on: disk)
    try store.put(key(1), bytes("one"))
    disk.inject(DiskFault(.io, at: .nth(disk.callCount(of: .sync) + 1, of: .sync)))
    for number in 2...4 {
      do throws(BitcaskError) {
        try store.put(key(number), bytes("lost"))
        Issue.record("a put after a failed sync was acknowledged")
      } catch {
        guard case .durabilityLost = error else { throw Unexpected("\(error)") }
      }
    }
    #expect(try store.get(key(1)) == bytes("one"))
    #expect(throws: BitcaskError.self) { try store.close() }
    let again = try Bitcask.open(home, options: tinyOptions(), on: disk.crash(.nothingKept))
    #expect(try again.get(key(1)) == bytes("one"))
    try again.put(key(2), bytes("two"))
  }

  @Test func aFullDiskRefusesPutsAndAllowsMerges() throws {
    let disk = SimulatedFileSystem()
    let options = tinyOptions { $0.reservedBytes = 64 << 10 }
    let store = try Bitcask.open(home, options: options, on: disk)
    disk.capacity = 160 << 10
    var acknowledged = 0
    do throws(BitcaskError) {
      while acknowledged < 10_000 {
        try store.put(key(acknowledged % 10), bytes("value \(acknowledged)"))
        acknowledged += 1
      }
      Issue.record("the disk never filled")
    } catch {
      guard case .noSpace = error else { throw Unexpected("\(error)") }
    }
    for number in 0..<10 { #expect(try store.get(key(number)) != nil) }
    let report = try store.merge(.all)
    #expect(report.bytesFreed > 0)
    try store.maintain()
    try store.put(key(1), bytes("room again"))
    #expect(try store.get(key(1)) == bytes("room again"))
  }

  @Test(.requirement("Bitcask.keep.9", "Bitcask.never.16")) func aPutNeverMerges() throws {
    let disk = SimulatedFileSystem()
    let recorder = RecordingFileSystem(disk)
    // Merges are due all the time, and nobody runs them.
    let options = tinyOptions {
      $0.merge.isAutomatic = true
      $0.merge.maxFrozenSegments = 2
    }
    let store = try Bitcask.open(home, options: options, on: recorder)
    let reads = disk.callCount(of: .read)
    for number in 0..<100 { try store.put(key(number % 5), bytes("value \(number)")) }
    #expect(disk.callCount(of: .read) == reads && store.segmentCount > 10, "a put did the work of a merge")
    try store.maintain()
    #expect(store.segmentCount <= 3, "the count did not trigger a merge")
    let count = store.segmentCount
    for number in 0..<5 { try store.put(key(number), bytes("again \(number)")) }
    try store.merge(.all)
    #expect(store.segmentCount <= count + 1)
    for number in 0..<5 { #expect(try store.get(key(number)) == bytes("again \(number)")) }
    // The rate limit is the executor's; each step is bounded.
    for number in 0..<100 { try store.put(key(number), [UInt8](repeating: 1, count: 100)) }
    let job = try #require(store.mergeJob(.all))
    var steps = 0
    while case .progress(let bytes) = try job.step(budget: 200) {
      steps += 1
      #expect(bytes <= 200 + 4096)
    }
    #expect(steps > 20)
  }
}
