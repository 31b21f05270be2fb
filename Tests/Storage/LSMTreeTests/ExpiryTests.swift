import StrataDisk
import StrataJobs
import StrataNodes
import StrataRequirements
import StrataSSTable
import StrataSimulation
import Synchronization
import Testing

@testable import StrataLSMTree

/// Values with a time to live: gone when it is over, not before, and never back.
@Suite struct ExpiryTests {
  /// A clock that tests set.
  final class Clock: Sendable {
    private let time = Atomic<UInt64>(1_700_000_000_000)
    var now: UInt64 { time.load(ordering: .relaxed) }
    func advance(seconds: UInt64) { time.add(seconds * 1000, ordering: .relaxed) }
    func goBack(seconds: UInt64) { time.subtract(seconds * 1000, ordering: .relaxed) }
  }

  static func options(_ clock: Clock, _ change: (inout LSMOptions) -> Void = { _ in }) -> LSMOptions {
    tinyOptions { options in
      options.clock = { clock.now }
      options.defaultKeyspace.mergeOperator = nil
      options.defaultKeyspace.timeToLive = .seconds(160)
      change(&options)
    }
  }

  /// What a value may live beyond its time: twice a thirty-second part of it, and here the longest step of the clock.
  static let slack: UInt64 = 10

  private static func settle(_ store: LSMTree) { while store.stepBackground(budget: 1 << 16) {} }

  /// Random writes over a long time, flushes and compactions between, restarts: what is younger is there, what is older by more than the slack is
  /// not, and what was once gone stays gone until it is written again.
  @Test(.requirement("LSMTree.never.13")) func valuesLiveTheirTimeAndNoLonger() throws {
    for seed in 0..<UInt64(12 * testDepth) {
      var random = Random(seed: seed)
      let (disk, clock) = (SimulatedFileSystem(), Clock())
      let options = Self.options(clock) { options in
        options.memtableBytes = [1024, 8192][random.below(2)]
        options.defaultKeyspace.style = CompactionStyle.allCases[random.below(4)]
        options.defaultKeyspace.windowLength = .seconds(50)
      }
      var store = try LSMTree.open(home, options: options, on: disk)
      var written: [String: (value: String, time: UInt64)] = [:]
      var gone: Set<String> = []
      for step in 0..<400 {
        let key = "\(random.below(30))"
        switch random.below(12) {
        case 0..<6:
          try store.put(key, "\(step)")
          written[key] = ("\(step)", clock.now)
          gone.remove(key)
        case 6:
          try store.delete(key)
          written[key] = nil
          gone.insert(key)
        case 7..<9: clock.advance(seconds: UInt64(random.within(1...40)))
        case 9: try store.flush()
        case 10: if random.chance(1, in: 3) { try store.compact() }
        default:
          if random.chance(1, in: 2) { try store.close() } else { store.core.abandon() }
          store = try LSMTree.open(home, options: options, on: disk)
        }
        Self.settle(store)
        let rows = Dictionary(uniqueKeysWithValues: try store.rows().map { ($0[0], $0[1]) })
        for number in 0..<30 {
          let key = "\(number)"
          let found = try store.get(key)
          guard found == rows[key] else { throw Unexpected("seed \(seed) step \(step): \(key) is \(found ?? "absent") or \(rows[key] ?? "absent")") }
          let age = written[key].map { (clock.now - $0.time) / 1000 }
          if let found {
            guard let age, found == written[key]?.value, age <= 160 + Self.slack + 40, !gone.contains(key) else {
              throw Unexpected("seed \(seed) step \(step): \(key) = \(found) is back, \(written[key].map { "\($0)" } ?? "deleted"), age \(age ?? 0)")
            }
          } else {
            if let age, age < 160 { throw Unexpected("seed \(seed) step \(step): \(key) is gone after \(age) s") }
            gone.insert(key)
          }
        }
      }
      try store.close()
    }
  }

  /// When everything has expired the files go, without a merge; snapshots do not keep it, other keyspaces are not touched.
  @Test func expiredTablesGoWhole() throws {
    let (disk, clock) = (SimulatedFileSystem(), Clock())
    let store = try LSMTree.open(home, options: Self.options(clock), on: disk)
    var forEver = KeyspaceOptions()
    forEver.mergeOperator = Appending()
    let other = try store.keyspace("other", create: forEver)
    for number in 0..<200 {
      try store.put("\(number)", String(repeating: "x", count: 50))
      try store.put(bytes("\(number)").span.bytes, bytes("stays").span.bytes, in: other)
    }
    try store.flush()
    Self.settle(store)
    let snapshot = store.snapshot()
    clock.advance(seconds: 159)
    Self.settle(store)
    #expect(try store.rows().count == 200)
    try store.put("new", "")
    Self.settle(store)
    clock.advance(seconds: 160)
    Self.settle(store)
    #expect(try store.rows() == [["new", ""]])
    #expect(try store.rows(at: snapshot).isEmpty)
    #expect(try store.get("7", at: snapshot) == nil)
    #expect(store.defaultKeyspace.version.levels.tables.isEmpty)
    #expect(try store.rows(in: other).count == 200)
    // Nothing is written any more, and still time passes.
    clock.advance(seconds: 160)
    Self.settle(store)
    clock.advance(seconds: 6)
    Self.settle(store)
    #expect(try store.rows().isEmpty)
    let edits = store.core.manifest.state.timeMarks.all
    clock.advance(seconds: 1000)
    Self.settle(store)
    #expect(store.core.manifest.state.timeMarks.all == edits)
    try store.put("again", "here")
    #expect(try store.rows() == [["again", "here"]])
  }

  /// A clock set back brings nothing back and takes nothing away early.
  @Test(.requirement("LSMTree.never.13")) func aClockSetBack() throws {
    let (disk, clock) = (SimulatedFileSystem(), Clock())
    var store = try LSMTree.open(home, options: Self.options(clock), on: disk)
    try store.put("old", "1")
    Self.settle(store)
    clock.advance(seconds: 200)
    Self.settle(store)
    try store.put("young", "2")
    Self.settle(store)
    #expect(try store.rows() == [["young", "2"]])
    clock.goBack(seconds: 1000)
    Self.settle(store)
    try store.put("younger", "3")
    Self.settle(store)
    #expect(try store.rows() == [["young", "2"], ["younger", "3"]])
    try store.close()
    store = try LSMTree.open(home, options: Self.options(clock), on: disk)
    #expect(try store.rows() == [["young", "2"], ["younger", "3"]])
  }

  /// The time to live is the keyspace's own, kept over restarts, and contradictions are refused.
  @Test func itIsStored() throws {
    let (disk, clock) = (SimulatedFileSystem(), Clock())
    var plain = tinyOptions { $0.clock = { clock.now } }
    var store = try LSMTree.open(home, options: plain, on: disk)
    var short = KeyspaceOptions()
    short.timeToLive = .seconds(20)
    let sessions = try store.keyspace("sessions", create: short)
    try store.put(bytes("s").span.bytes, bytes("1").span.bytes, in: sessions)
    try store.put("k", "1")
    Self.settle(store)
    try store.close()
    clock.advance(seconds: 30)
    store = try LSMTree.open(home, options: plain, on: disk)
    Self.settle(store)
    #expect(try store.rows(in: store.keyspace("sessions")).isEmpty)
    #expect(try store.rows() == [["k", "1"]])
    #expect(throws: LSMError.self) { try store.keyspace("sessions", create: KeyspaceOptions()) }
    short.mergeOperator = Appending()
    #expect(throws: LSMError.self) { try store.keyspace("both", create: short) }
    try store.close()
    plain.defaultKeyspace.timeToLive = .seconds(5)
    #expect(throws: LSMError.self) { try LSMTree.open(home, options: plain, on: disk) }
  }

  /// Of many marks some go, none by which something has expired, and what expires is never less than before.
  @Test func marksAreThinned() {
    for seed in 0..<UInt64(20 * testDepth) {
      var random = Random(seed: seed)
      var marks = TimeMarks()
      let timesToLive = (0..<random.within(1...3)).map { _ in UInt64(random.within(10...100_000)) }
      var (sequence, time) = (UInt64(0), UInt64(1000))
      var expired = timesToLive.map { _ in UInt64(0) }
      for _ in 0..<3000 {
        sequence += UInt64(random.within(1...5))
        time += UInt64(random.below(40))
        let isAdded = marks.add(TimeMark(sequence: sequence, time: time), timesToLive: timesToLive)
        #expect(isAdded)
        for (index, timeToLive) in timesToLive.enumerated() {
          let now = marks.expired(after: timeToLive)
          if now < expired[index] { Issue.record("seed \(seed): \(now) after \(expired[index])") }
          expired[index] = now
        }
      }
      #expect(marks.count <= 514, "seed \(seed)")
      var again = TimeMarks()
      for mark in marks.all { _ = again.add(mark, timesToLive: timesToLive) }
      #expect(timesToLive.map { again.expired(after: $0) } == expired, "seed \(seed)")
      let isAddedAgain = marks.add(TimeMark(sequence: sequence, time: time), timesToLive: timesToLive)
      #expect(!isAddedAgain)
    }
  }

  /// Crashes while marks are made, tables flushed and dropped: what was seen to have expired is not there afterwards.
  @Test(.requirement("LSMTree.never.19")) func nothingComesBackAfterACrash() throws {
    let report = try CrashTests.enumeration(images: 150).run { (disk: any FileSystem, ledger: Ledger<Note>) in
      let clock = Clock()
      let store = try LSMTree.open(home, options: Self.options(clock) { $0.memtableBytes = 1024 }, on: disk)
      for number in 0..<6 {
        try store.put("\(number)", String(repeating: "x", count: 200))
        Self.settle(store)
        clock.advance(seconds: 60)
        Self.settle(store)
        // The keys that are gone, by number, as a batch of deletions in the notes' language.
        let gone = try (0...number).filter { try store.get("\($0)") == nil }
        ledger.note(.began(gone.map { .delete("\($0)") }))
        ledger.note(.durable)
      }
    } recover: { (disk: any FileSystem, ledger: Ledger<Note>) in
      // The clock begins anew, an hour of the other's past behind it.
      let store = try LSMTree.open(home, options: Self.options(Clock()), on: disk)
      var gone: Set<String> = []
      for case Note.began(let changes) in ledger.entries { for case Change.delete(let key) in changes { gone.insert(key) } }
      for key in gone where try store.get(key) != nil { throw Unexpected("\(key) is back") }
      store.core.abandon()
    }
    CrashTests.expectClean(report)
  }
}
