import StrataDisk
import StrataRequirements
import StrataSimulation
import SystemPackage
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Two files changed in every way of three steps, with every placement of syncs: what was synced is there, whatever the crash.
@Suite struct BoundedWorkloadsTests {
  enum Operation: Sendable, Hashable, CaseIterable {
    case writeA, writeB, replaceA, replaceB
  }

  /// The value each key must at least have, and those it may have.
  struct Note: Hashable, Sendable {
    var key: String
    var value: UInt8
    var isDurable: Bool
  }

  @Test func theGeneratorIsExhaustive() {
    let workloads = BoundedWorkloads(["a", "b"], lengths: 0...2)
    let texts = workloads.map { steps in
      steps.map { step in if case .run(let operation) = step { operation } else { "!" } }.joined()
    }
    #expect(
      texts == [
        "", "a", "a!", "b", "b!", "aa", "aa!", "ab", "ab!", "a!a", "a!a!", "a!b", "a!b!", "ba", "ba!", "bb", "bb!", "b!a", "b!a!", "b!b", "b!b!",
      ])
    #expect(workloads.count == texts.count)
    #expect(BoundedWorkloads([String](), lengths: 0...3).map(\.count) == [0])
    #expect(BoundedWorkloads([String](), lengths: 1...3).map(\.count) == [])
    #expect(BoundedWorkloads(Array(0..<100), lengths: 1...100).count == .max)
  }

  /// Depth 1 tries two operations, deeper runs three.
  static var depth: Int { getenv("STRATA_DEPTH").flatMap { Int(String(cString: $0)) } ?? 1 }

  @Test(.requirement("Simulation.never.1")) func syncedValuesSurviveEveryShortWorkload() throws {
    let workloads = BoundedWorkloads(Operation.allCases, lengths: 1...(Self.depth > 1 ? 3 : 2))
    var images = 0
    for steps in workloads {
      var options = CrashEnumeration.Options()
      options.crashesPerRecovery = 2
      let report = try CrashEnumeration(options).run { (disk, ledger: Ledger<Note>) in
        try Self.play(steps, on: disk, ledger)
      } recover: { disk, ledger in
        for key in ["a", "b"] { try Self.check(key, on: disk, ledger.entries) }
      }
      #expect(report.failures.isEmpty, "\(steps): \(report)")
      images += report.images
    }
    #expect(images > workloads.count * 2)
  }

  private static func play(_ steps: [BoundedWorkloads<Operation>.Step], on disk: any FileSystem, _ ledger: Ledger<Note>) throws {
    var dirty: [String: UInt8] = [:]
    var value: UInt8 = 0
    for step in steps {
      switch step {
      case .run(let operation):
        value += 1
        let key = operation == .writeA || operation == .replaceA ? "a" : "b"
        ledger.note(Note(key: key, value: value, isDurable: false))
        if operation == .writeA || operation == .writeB {
          try disk.open(FilePath("/\(key)"), .create).write([value], at: 0)
          dirty[key] = value
        } else {
          try disk.atomicReplace(FilePath("/\(key)"), with: [value])
          dirty[key] = nil
          ledger.note(Note(key: key, value: value, isDurable: true))
        }
      case .sync:
        for (key, value) in dirty.sorted(by: { $0.key < $1.key }) {
          try disk.open(FilePath("/\(key)"), .readWrite).sync(.data)
          try disk.syncDirectory("/")
          ledger.note(Note(key: key, value: value, isDurable: true))
        }
        dirty = [:]
      }
    }
  }

  struct Wrong: Error { var key: String, found: UInt8?, durable: UInt8?, possible: [UInt8] }

  private static func check(_ key: String, on disk: any FileSystem, _ notes: [Note]) throws {
    let mine = notes.filter { $0.key == key }
    let durable = mine.last { $0.isDurable }
    let possible = mine.filter { note in durable.map { note.value >= $0.value } ?? true }.map(\.value)
    let bytes = try disk.exists(FilePath("/\(key)")) ? disk.readAll(FilePath("/\(key)"), limit: 9) : nil
    // A file of one byte is old, new or, while un-synced, of stale growth; only a durable value binds.
    guard let durable else { return }
    guard let found = bytes?.first, possible.contains(found) else {
      throw Wrong(key: key, found: bytes?.first, durable: durable.value, possible: possible)
    }
  }
}
