import StrataDisk
import StrataJobs
import StrataNodes
import StrataRequirements
import StrataSimulation
import StrataWriteAheadLog
import Synchronization
import SystemPackage
import Testing

@testable import StrataLSMTree

/// Writes that wait for nothing, and what tells when they hold.
@Suite struct SubmitTests {
  func open(_ disk: any FileSystem = SimulatedFileSystem(), _ change: (inout LSMOptions) -> Void = { _ in }) throws -> LSMTree {
    try LSMTree.open(home, options: tinyOptions(change), on: disk)
  }

  /// Of submissions every 32nd is timed until it is visible, and of the waits for their syncs.
  @Test func submissionsAreTimed() throws {
    let store = try open { $0.durability = .everyWrite }
    let said = Said()
    for number in 0..<50 {
      said.listen(store, try store.submit(put: bytes("\(number)").span.bytes, bytes("v").span.bytes))
      said.listen(store, try Self.submit(store, [Change.put("\(number)", "w")]))
    }
    try store.sync()
    #expect(store.statistics.writeLatency.timed == 4)
    #expect(store.statistics.syncLatency.timed > 0 && store.statistics.syncLatency.timed <= 4)
  }

  static func submit(_ store: LSMTree, _ changes: [Change]) throws -> UInt64 {
    var batch = WriteBatch()
    for change in changes { try change.add(to: &batch, store.defaultKeyspace) }
    while true {
      do throws(LSMError) { return try store.submit(&batch) } catch {
        guard case .busy = error else { throw error }
      }
      let refusal = Monitor<LSMError?>(nil)
      store.whenRoom(forBytes: batch.byteCount) { error in refusal.withLock { $0 = error } }
      if let error = refusal.withLock({ $0 }) { throw error }
    }
  }

  /// The versions a store said are acknowledged, in the order it said so.
  final class Said: Sendable {
    private let versions = Monitor([UInt64]())
    private let failures = Monitor([LSMError]())
    func listen(_ store: LSMTree, _ version: UInt64, _ then: @escaping @Sendable () -> Void = {}) {
      store.whenAcknowledged(version) { [self] error in
        if let error { failures.withLock { $0.append(error) } } else { versions.withLock { $0.append(version) } }
        then()
      }
    }
    var all: [UInt64] { versions.withLock { $0 } }
    var errors: [LSMError] { failures.withLock { $0 } }
  }

  @Test func whatIsSubmittedIsVisibleAndAcknowledgedLater() throws {
    let store = try open()
    let before = store.acknowledgedVersion
    let said = Said()
    let first = try store.submit(put: bytes("a").span.bytes, bytes("1").span.bytes)
    let second = try Self.submit(store, [.put("b", "2"), .delete("a"), .put("c", "3")])
    #expect((first, second) == (1, 4))
    #expect(try store.rows() == [["b", "2"], ["c", "3"]])
    #expect(store.acknowledgedVersion == before)
    said.listen(store, first)
    said.listen(store, second)
    #expect(said.all.isEmpty)
    store.core.log.commitPending()
    #expect(said.all == [first, second])
    #expect(store.acknowledgedVersion == second)
    // What is acknowledged already, and what nobody has written yet, is told at once.
    said.listen(store, 1)
    said.listen(store, 1000)
    #expect(said.all == [first, second, 1, 1000])
    let third = try store.submit(delete: bytes("c").span.bytes)
    try store.waitUntilDurable(third)
    #expect(store.acknowledgedVersion == third)
    // A version of the caller's choice leaves a gap and is what is acknowledged.
    var batch = WriteBatch()
    try batch.put(bytes("d").span.bytes, bytes("4").span.bytes)
    #expect(try store.submit(&batch, version: 100, durability: Durability.none) == 100)
    #expect(store.acknowledgedVersion == third)
    try store.sync()
    #expect(store.acknowledgedVersion == 100)
    try store.close()
    #expect(throws: LSMError.self) { try store.submit(delete: bytes("d").span.bytes) }
    let again = try open()
    #expect(again.acknowledgedVersion == again.lastVersion)
  }

  /// Whoever suspends is resumed when the log has committed, and what was unsynced is synced for it.
  @Test func waitingForDurabilityBlocksNoThread() async throws {
    let disk = SimulatedFileSystem()
    let store = try LSMTree.open(home, options: ThreadTests.options(), on: disk)
    let version = try store.submit(put: bytes("a").span.bytes, bytes("1").span.bytes, durability: Durability.none)
    try await store.waitUntilDurable(version)
    #expect(store.acknowledgedVersion == version)
    let again = try LSMTree.open(home, options: ThreadTests.options(), on: disk.crash(.nothingKept))
    #expect(try again.get("a") == "1")
    // A batch that finds no room suspends as well.
    for number in 0..<300 {
      var batch = WriteBatch()
      for key in 0..<4 { try batch.put(bytes("\(number) \(key)").span.bytes, bytes(String(repeating: "v", count: 200)).span.bytes) }
      try await again.write(batch)
    }
    #expect(try again.rows().count == 1201)
    try again.close()
  }

  /// The power fails at every disk operation: what was said to be acknowledged is there, and what is there is a prefix.
  @Test(.requirement("LSMTree.never.1", "LSMTree.keep.2")) func acknowledgedMeansDurable() throws {
    let report = try CrashTests.enumeration(images: 250).run { disk, ledger in
      let store = try LSMTree.open(home, options: CrashTests.options, on: disk)
      let said = Said()
      for number in 0..<12 {
        let changes = [Change.put("\(number % 4)", "value \(number)" + String(repeating: "x", count: 150)), .delete("\((number + 2) % 4)")]
        ledger.note(.began(changes))
        let known = store.acknowledgedVersion
        let version = try Self.submit(store, changes)
        guard try store.get("\(number % 4)") != nil else { throw Unexpected("a submission is not visible") }
        guard known < version, store.acknowledgedVersion < version else { throw Unexpected("\(version) is acknowledged before it is written") }
        said.listen(store, version) { ledger.note(.acknowledged(number + 1)) }
        guard said.all.count == number / 3 * 3 else { throw Unexpected("\(said.all) were told before anything was committed") }
        if number % 3 == 2 { store.core.log.commitPending() }
        store.stepBackground(budget: 300)
      }
      try store.close()
    } recover: {
      try CrashTests.recover($0, $1)
    }
    CrashTests.expectClean(report)
  }

  /// A sync that fails acknowledges nothing, says so, and turns writes off.
  @Test func afterAFailedSyncNothingIsAcknowledged() throws {
    let disk = SimulatedFileSystem()
    let store = try open(disk)
    try store.put("a", "1")
    disk.inject(DiskFault(.io, at: .nth(disk.callCount(of: .sync) + 1, of: .sync)))
    let said = Said()
    let version = try Self.submit(store, [.put("b", "2")])
    said.listen(store, version)
    store.core.log.commitPending()
    #expect(said.all.isEmpty && said.errors.count == 1)
    #expect(store.acknowledgedVersion == version - 1)
    #expect(throws: LSMError.self) { try store.waitUntilDurable(version) }
    #expect(throws: LSMError.self) { try store.submit(delete: bytes("a").span.bytes) }
    #expect(try store.get("b") == "2")
    said.listen(store, version)
    #expect(said.errors.count == 2)
  }

  /// Where a submission would have to wait it is refused, and told when there is room again.
  @Test func fullMemtablesRefuseSubmissions() throws {
    let store = try open(SimulatedFileSystem()) { $0.compactsAutomatically = false }
    let filler = bytes(String(repeating: "x", count: 600))
    var submitted = 0
    let refused = try #require(throws: LSMError.self) {
      for _ in 0..<1000 {
        _ = try store.submit(put: bytes("\(submitted)").span.bytes, filler.span.bytes, durability: Durability.none)
        submitted += 1
        // Room in the log is not what this is about.
        if !store.core.log.hasRoom { try store.core.log.makeRoom(forPayload: 4096) }
      }
    }
    guard case .busy(.memtables) = refused else { throw Unexpected("\(refused)") }
    #expect(!store.hasRoom)
    #expect(store.statistics.flushes == 0)
    let answer = Monitor<[LSMError?]>([])
    store.whenRoom(forBytes: 1000) { error in answer.withLock { $0.append(error) } }
    #expect(answer.withLock { $0.count == 1 && $0[0] == nil })
    #expect(store.statistics.flushes > 0)
    #expect(store.hasRoom)
    _ = try store.submit(put: bytes("more").span.bytes, filler.span.bytes)
    #expect(try store.rows().count == submitted + 1)
  }

  /// With background threads: writers that never wait but for room, and all of it acknowledged in order.
  @Test(.requirement("LSMTree.never.12")) func manySubmittersAndRoomOnDemand() throws {
    let store = try LSMTree.open(home, options: ThreadTests.options { $0.maxLogBytes = 1 << 20 }, on: SimulatedFileSystem())
    let said = Said()
    let writers = 3
    let count = 600 * testDepth
    try ThreadTests.run(
      (0..<writers).map { writer in
        {
          for number in 0..<count {
            while true {
              do throws(LSMError) {
                let version = try store.submit(put: bytes("\(writer) \(number)").span.bytes, bytes(String(repeating: "v", count: 100)).span.bytes)
                if number % 50 == 49 { said.listen(store, version) }
                break
              } catch {
                guard case .busy = error else { throw error }
              }
              let gate = Monitor<LSMError??>(nil)
              store.whenRoom(forBytes: 200) { error in
                gate.withLock { $0 = .some(error) }
                gate.broadcast()
              }
              if let error = gate.wait(until: { $0 }) ?? nil { throw error }
            }
          }
        }
      })
    try store.sync()
    #expect(store.acknowledgedVersion == UInt64(writers * count))
    #expect(said.errors.isEmpty)
    #expect(try store.rows().count == writers * count)
    #expect(store.statistics.flushes > 2)
    try store.close()
    #expect(said.all.count == writers * count / 50)
  }

  /// Reads that may not wait answer from memory or say that they cannot.
  @Test func cachedReadsNeverTouchTheDisk() throws {
    let disk = SimulatedFileSystem()
    let store = try open(disk)
    func read(_ key: String, _ store: LSMTree, onlyIfCached: Bool = true) throws -> (ReadAnswer, String?) {
      var value: String?
      let answer = try store.read(bytes(key).span.bytes, onlyIfCached: onlyIfCached) { span in
        value = span.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
      }
      return (answer, value)
    }
    for number in 0..<40 { try store.put("key \(number)", "value \(number)") }
    let gone = try store.delete("key 7")
    #expect(try read("key 3", store) == (.found(version: 4), "value 3"))
    #expect(try read("key 7", store) == (.absent(asOf: gone), nil))
    #expect(try read("none", store) == (.absent(asOf: 0), nil))
    let range = try store.deleteRange("key 1", "key 2")
    #expect(try read("key 11", store) == (.absent(asOf: range), nil))
    try store.flush()
    try store.close()
    let again = try open(disk)
    let reads = disk.callCount(of: .read)
    #expect(try read("key 3", again) == (.notCached, nil))
    // Outside of every table's bounds, and covered by a deletion that is in memory: no block is needed.
    #expect(try read("zzz", again) == (.absent(asOf: 0), nil))
    #expect(disk.callCount(of: .read) == reads)
    #expect(try read("key 3", again, onlyIfCached: false).1 == "value 3")
    #expect(disk.callCount(of: .read) > reads)
    let after = disk.callCount(of: .read)
    // A compaction may forget the version of what everybody sees.
    #expect(try [.found(version: 0), .found(version: 4)].contains(read("key 3", again).0))
    try again.put("key 9", "new")
    #expect(try read("key 9", again).1 == "new")
    #expect(disk.callCount(of: .read) == after)
  }

  /// Whether a call needs room on the device. The log writes where it has allocated before.
  private static func takesSpace(_ call: DiskCall) -> Bool {
    switch call.operation {
    case .allocate: true
    case .write: !call.path.string.contains("/log/")
    default: false
    }
  }

  /// A disk that is full from some moment on: writes are refused, reads go on, and once there is space again everything resumes by itself.
  @Test(arguments: [3, 40, 120]) func fullDisksRefuseAndResume(after calls: Int) throws {
    let disk = SimulatedFileSystem()
    let store = try open(disk) { $0.flushesOnClose = false }
    var acknowledged: [String: String] = [:]
    try store.put("first", "1")
    acknowledged["first"] = "1"
    let from = disk.callCount + calls
    disk.inject(
      DiskFault(.noSpace, at: .matching { $0.number >= from && Self.takesSpace($0) }, times: .max))
    var refused = 0
    for number in 0..<120 {
      let (key, value) = ("\(number % 30)", String(repeating: "v", count: 200) + "\(number)")
      do throws(LSMError) {
        try store.put(bytes(key).span.bytes, bytes(value).span.bytes)
        acknowledged[key] = value
      } catch {
        guard case .noSpace = error else { throw error }
        refused += 1
      }
      store.stepBackground(budget: 1000)
      #expect(try store.get("first") == "1")
    }
    #expect(refused > 0)
    #expect(try store.rows() == sorted(acknowledged))
    disk.removeFaults()
    for number in 0..<120 {
      let (key, value) = ("\(number % 30)", String(repeating: "w", count: 200) + "\(number)")
      try store.put(key, value)
      acknowledged[key] = value
      store.stepBackground(budget: 1000)
    }
    try store.flush()
    #expect(try store.rows() == sorted(acknowledged))
    try store.close()
    #expect(try open(disk).rows() == sorted(acknowledged))
  }
}
