import StrataDisk
import StrataNodes
import StrataRequirements
import StrataSimulation
import StrataWriteAheadLog
import SystemPackage
import Testing

@testable import StrataLSMTree

/// What a workload notes: each batch before it is written, each acknowledgement, and what a recovery settled on.
enum Note: Hashable, Sendable {
  case began([Change])
  /// Everything begun so far survives power loss.
  case durable
  /// So many of those begun survive power loss.
  case acknowledged(Int)
  case recovered(kept: Int)
}

/// What the notes allow the store to hold.
struct CrashModel {
  private(set) var changes: [[Change]] = []
  private var durable = 0

  init(_ notes: [Note]) {
    for note in notes {
      switch note {
      case .began(let batch): changes.append(batch)
      case .durable: durable = changes.count
      case .acknowledged(let count): durable = max(durable, count)
      case .recovered(let kept):
        changes.removeLast(changes.count - kept)
        durable = kept
      }
    }
  }

  private func state(_ count: Int) -> [String: String] {
    var state: [String: String] = [:]
    for batch in changes[..<count] { for change in batch { change.apply(to: &state) } }
    return state
  }

  /// How many of the batches the store holds; throws where it is fewer than are durable, or no prefix of them.
  func check(_ store: LSMTree) throws -> Int {
    let found = try store.rows()
    for kept in (durable...changes.count).reversed() where sorted(state(kept)) == found { return kept }
    throw Unexpected("no prefix of \(durable)...\(changes.count) batches: \(found), at least \(sorted(state(durable)))")
  }
}

/// The power fails before every disk operation of a workload, in every way the disk allows, and again during the recovery.
@Suite struct CrashTests {
  static let options = tinyOptions { options in
    options.memtableBytes = 1024
    options.logSegmentBytes = 4096
    options.compactsAutomatically = true
    options.levelZeroTrigger = 2
  }

  static func enumeration(images: Int = 350) -> CrashEnumeration {
    var options = CrashEnumeration.Options()
    options.singlesPerPoint = 5
    options.tearsPerPoint = 2
    options.randomsPerPoint = 2
    options.crashesPerRecovery = 2
    options.maximumFailures = 1
    options.maximumImages = testDepth >= 10 ? .max : images * testDepth
    return CrashEnumeration(options)
  }

  static func write(_ store: LSMTree, _ ledger: Ledger<Note>, _ changes: [Change], durability: Durability = .everyWrite) throws {
    ledger.note(.began(changes))
    var batch = WriteBatch()
    for change in changes { try change.add(to: &batch, store.defaultKeyspace) }
    try store.write(batch, options: WriteOptions(durability: durability))
    if durability == .everyWrite { ledger.note(.durable) }
  }

  static func recover(_ disk: any FileSystem, _ ledger: Ledger<Note>) throws {
    do {
      let store = try LSMTree.open(home, options: options, on: disk)
      ledger.note(.recovered(kept: try CrashModel(ledger.entries).check(store)))
      try write(store, ledger, [.put("after", "the crash \(ledger.entries.count)"), .delete("1")])
      store.core.abandon()
    }
    let store = try LSMTree.open(home, options: options, on: disk)
    _ = try CrashModel(ledger.entries).check(store)
    // Nothing is left that nothing names.
    let live = Set(store.core.manifest.state.keyspaces.values.flatMap(\.tables.keys))
    let names = try disk.list(home)
    for name in names {
      if let number = FileName(name)?.tableNumber, !live.contains(number) { throw Unexpected("\(name) is an orphan") }
      if FileName(name) == .temporary { throw Unexpected("\(name) was left") }
    }
    store.core.abandon()
  }

  /// Writes, flushes and compacts a step at a time between the writes, closes.
  static func workload(_ disk: any FileSystem, _ ledger: Ledger<Note>) throws {
    let store = try LSMTree.open(home, options: options, on: disk)
    for number in 0..<10 {
      let filler = String(repeating: "x", count: 150)
      try write(store, ledger, [.put("\(number % 4)", "value \(number)\(filler)"), .merge("m", "\(number)"), .delete("\((number + 2) % 4)")])
      if number % 4 == 3 { try write(store, ledger, [.deleteRange("1", "3")]) }
      store.stepBackground(budget: 200)
    }
    try store.flush()
    try write(store, ledger, [.put("last", "one")])
    while store.stepBackground(budget: 300) {}
    try store.close()
  }

  static func expectClean(_ report: CrashReport, _ place: SourceLocation = #_sourceLocation) {
    #expect(report.isClean, "\(report)", sourceLocation: place)
  }

  @Test(.requirement("LSMTree.never.1", "LSMTree.never.2", "LSMTree.never.3", "LSMTree.never.19", "LSMTree.keep.2"))
  func writingFlushingAndCompacting() throws {
    Self.expectClean(try Self.enumeration().run(workload: Self.workload, recover: { try Self.recover($0, $1) }))
  }

  /// Without syncs of its own the log may lose its end, but never what comes before something that is there.
  @Test(.requirement("LSMTree.never.1")) func flushingOverUnsyncedWrites() throws {
    let report = try Self.enumeration(images: 200).run { disk, ledger in
      let store = try LSMTree.open(home, options: Self.options, on: disk)
      for number in 0..<9 {
        let filler = String(repeating: "x", count: 150)
        try Self.write(store, ledger, [.put("\(number % 4)", "value \(number)\(filler)"), .delete("\((number + 2) % 4)")], durability: .none)
        store.stepBackground(budget: 500)
      }
      try store.flush()
      ledger.note(.durable)
      try Self.write(store, ledger, [.put("more", "")], durability: .none)
      try store.compact()
    } recover: {
      try Self.recover($0, $1)
    }
    Self.expectClean(report)
  }

  /// Snapshots see the same before, during and after a compaction of deletions, crash or not.
  @Test(.requirement("LSMTree.never.3")) func compactingWithSnapshots() throws {
    let disk = SimulatedFileSystem()
    let store = try LSMTree.open(home, options: Self.options, on: disk)
    var kept: [(snapshot: Snapshot, rows: [[String]])] = []
    for number in 0..<40 {
      try store.put("\(number % 7)", "value \(number)")
      if number % 3 == 0 { try store.delete("\(number % 5)") }
      if number % 9 == 0 { kept.append((store.snapshot(), try store.rows())) }
      if number % 10 == 0 { try store.flush() }
    }
    let before = try store.rows()
    try store.compact()
    for (snapshot, rows) in kept { #expect(try store.rows(at: snapshot) == rows) }
    #expect(try store.rows() == before)
  }

  /// Taking any one sync away must show.
  @Test(.requirement("LSMTree.never.1")) func everySyncIsNeeded() throws {
    let report = try Self.enumeration(images: 60).undetectedSyncs { disk, ledger in
      let store = try LSMTree.open(home, options: Self.options, on: disk)
      let filler = String(repeating: "x", count: 200)
      for number in 0..<2 {
        try Self.write(store, ledger, [.put("\(number)", filler), .delete("0")])
        try store.flush()
      }
      while store.stepBackground() {}
      try Self.write(store, ledger, [.put("last", "one")])
    } recover: {
      try Self.recover($0, $1)
    }
    #expect(!report.detected.isEmpty)
    let unexplained = report.undetected.filter { site in !Self.redundant.contains { site.contains($0) } }
    #expect(unexplained.isEmpty, "\(report)")
  }

  /// Syncs that another one covers in every crash, and why.
  static let redundant = [
    // The log's own: its suite shows which of them matter to it.
    "/store/log",
    // The store and its log both make the directory's name durable, and the manifest's directory sync comes before any acknowledgement.
    "syncDirectory / ", "syncDirectory /store after makeDirectory", "syncDirectory /store after open", "syncDirectory /store after remove",
    "syncDirectory /store after syncDirectory",
  ]
}
