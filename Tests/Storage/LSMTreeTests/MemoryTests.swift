import StrataBytes
import StrataNodes
import StrataRequirements
import StrataSSTable
import StrataSimulation
import Synchronization
import Testing

@testable import StrataLSMTree

/// All memory a store takes stays within its limit: what is counted of it stays within its share.
@Suite struct MemoryTests {
  let disk = SimulatedFileSystem()
  static let limit = 1 << 20

  func open(_ change: (inout LSMOptions) -> Void = { _ in }) throws -> LSMTree {
    try LSMTree.open(
      home,
      options: tinyOptions { options in
        options.memoryLimit = Self.limit
        options.memtableBytes = 64 << 10
        options.maxLogBytes = 1 << 30
        options.logSegmentBytes = 1 << 20
        options.defaultKeyspace.targetTableBytes = 64 << 10
        options.defaultKeyspace.baseLevelBytes = 256 << 10
        options.levelZeroSlowdown = 1000
        options.levelZeroStop = 2000
        change(&options)
      }, on: disk)
  }

  func memory(_ store: LSMTree) -> Int { store.core.commit.withLock { _ in store.core.memtableMemory } }
  /// What is written between two looks may come on top.
  func most(_ store: LSMTree) -> Int { store.core.shares.memtables / 16 * 17 }
  static func value(_ number: Int) -> [UInt8] { bytes("\(number) " + String(repeating: "x", count: 150)) }

  @Test func theSharesFitIntoTheLimit() {
    for limit in [0, 1, 4096, 1 << 20, 4 << 20, 1 << 30, 1 << 40] {
      for cache in [nil, 0, limit / 2, limit, limit * 2] as [Int?] {
        for memtable in [1, 4096, 64 << 20] {
          var options = LSMOptions()
          (options.memoryLimit, options.blockCacheBytes, options.memtableBytes) = (limit, cache, memtable)
          let shares = MemoryShares(options)
          #expect(shares.cache >= 0 && shares.memtables >= 0 && shares.cache + shares.memtables + limit / 4 <= limit, "\(limit), \(shares)")
          #expect(shares.memtable == 4096 || shares.memtable * 4 <= shares.memtables, "\(limit), \(shares)")
        }
      }
    }
  }

  @Test func manyKeyspacesShareTheMemoryOfMemtables() throws {
    let store = try open()
    let spaces = try (0..<40).map { try store.keyspace("\($0)", create: tinyOptions().defaultKeyspace) }
    // None of the arenas is filled, nor its memory touched.
    #expect(memory(store) < 64 << 10)
    var random = Random(seed: 7)
    for number in 0..<6000 {
      try store.put(bytes("\(number)").span.bytes, Self.value(number).span.bytes, in: spaces[random.below(40)])
      if number % 16 == 0 { #expect(memory(store) <= most(store)) }
    }
    #expect(store.statistics.flushes > 0)
  }

  /// The log is applied within the memory that was given, however much more it was written with.
  @Test func recoveryStaysWithinTheMemoryOfMemtables() throws {
    let store = try open { options in
      options.memoryLimit = 1 << 30
      options.flushesOnClose = false
    }
    let spaces = try (0..<40).map { try store.keyspace("\($0)", create: tinyOptions().defaultKeyspace) }
    for number in 0..<6000 { try store.put(bytes("\(number)").span.bytes, Self.value(number).span.bytes, in: spaces[number % 40]) }
    #expect(store.statistics.flushes == 0 && memory(store) > Self.limit)
    try store.close()
    let again = try open()
    #expect(memory(again) <= most(again))
    for number in 0..<6000 {
      let found = try again.get(bytes("\(number)").span.bytes, in: try again.keyspace("\(number % 40)"))
      #expect(found == Self.value(number))
    }
    #expect(again.statistics.userBytes == 0)
  }

  /// Iterators that are held while the store goes on keep little memory, and each sees its own moment.
  @Test(arguments: 0..<UInt64(3 * testDepth)) func iteratorsHeldOpenKeepLittleMemory(seed: UInt64) throws {
    let store = try open()
    var random = Random(seed: seed)
    let held = Held()
    var model: [String: String] = [:]
    var earlier: (snapshot: Snapshot, rows: [String: String])?
    for round in 0..<30 {
      for _ in 0..<400 {
        let key = "\(random.below(300))"
        if random.below(8) == 0 {
          try store.delete(key)
          model[key] = nil
        } else {
          let value = "\(random.next()) " + String(repeating: "y", count: 140)
          try store.put(key, value)
          model[key] = value
        }
      }
      // What readers keep when they are told to keep no more, and a memtable that is flushed early.
      #expect(memory(store) <= store.core.shares.memtables / 4 * 5, "seed \(seed), round \(round)")
      if let earlier, round % 3 == 0 {
        held.add(try store.iterator(at: earlier.snapshot), earlier.rows, earlier.snapshot)
      } else {
        held.add(try store.iterator(), model)
      }
      earlier = (store.snapshot(), model)
      for _ in 0..<random.below(200) { store.stepBackground(budget: 16 << 10, pick: { random.below($0) }) }
    }
    #expect(store.core.arenas.pinnedBytes > 0, "seed \(seed): no iterator kept a memtable")
    try held.check("seed \(seed)")
    try held.refresh()
    try held.check("seed \(seed)", present: model)
    held.end()
    store.core.epochs.sweep()
    #expect(store.core.arenas.pinnedBytes == 0, "seed \(seed)")
  }

  /// An iterator that flushes first sees all that was written before it was made, and one moment, whatever is written, flushed and merged meanwhile.
  @Test func iteratorsThatFlushFirstSeeOneMoment() throws {
    let store = try open { options in
      options.background = .threads(compactions: 1)
      options.durability = .none
      options.memoryLimit = 512 << 10
    }
    let rounds = 150 * testDepth
    let written = Atomic<Int>(-1)
    let flushedFirst = Atomic<Int>(0)
    @Sendable func write(_ round: Int) throws {
      var batch = WriteBatch()
      for key in 0..<100 { try batch.put(bytes("\(1000 + key)").span.bytes, bytes("\(round) " + String(repeating: "x", count: 120)).span.bytes) }
      try store.write(batch)
      written.store(round, ordering: .releasing)
    }
    try write(0)
    let reader: @Sendable () throws -> Void = {
      let held = Held()
      while written.load(ordering: .acquiring) < rounds {
        let known = written.load(ordering: .acquiring)
        if store.core.arenas.pinnedBytes > store.core.shares.memtables / 2 { flushedFirst.add(1, ordering: .relaxed) }
        var iterator = try store.iterator()
        let rows = try both(&iterator)
        let seen = Set(rows.compactMap { $0[1].split(separator: " ").first.flatMap { Int($0) } })
        guard rows.count == 100, seen.count == 1, let round = seen.first, round >= known else {
          throw Unexpected("\(rows.count) rows of rounds \(seen) after round \(known)")
        }
        held.add(iterator, [:])
        held.keep(12)
      }
    }
    try ThreadTests.run([reader, { for round in 1...rounds { try write(round) } }])
    #expect(flushedFirst.load(ordering: .relaxed) > 0)
    try store.close()
  }

  @Test func largeBatchesWaitForMemory() throws {
    let store = try open()
    for round in 0..<12 {
      var batch = WriteBatch()
      for number in 0..<1200 { try batch.put(bytes("\(round) \(number)").span.bytes, Self.value(number).span.bytes) }
      try store.write(batch)
      #expect(memory(store) <= most(store))
    }
    #expect(try store.get(bytes("11 7").span.bytes) == Self.value(7))
  }

  /// A write that may not wait is refused for want of memory, and told when there is some.
  @Test func submissionsAreToldOfMemory() throws {
    let store = try open()
    let spaces = try (0..<40).map { try store.keyspace("\($0)", create: tinyOptions().defaultKeyspace) }
    var refusals = 0
    for number in 0..<6000 {
      let key = bytes("\(number)")
      do throws(LSMError) { _ = try store.submit(put: key.span.bytes, Self.value(number).span.bytes, in: spaces[number % 40]) } catch {
        guard case .busy(let reason) = error else { throw error }
        if reason == .memory { refusals += 1 }
        #expect(!store.hasRoom)
        let answer = Atomic<Int>(0)
        store.whenRoom(forBytes: 200) { error in answer.store(error == nil ? 1 : 2, ordering: .sequentiallyConsistent) }
        #expect(answer.load(ordering: .sequentiallyConsistent) == 1)
        _ = try store.submit(put: key.span.bytes, Self.value(number).span.bytes, in: spaces[number % 40])
      }
      if number % 16 == 0 { #expect(memory(store) <= most(store)) }
    }
    #expect(refusals > 0)
  }

  /// Many small tables: their filters do not add up beyond their share.
  @Test func filtersOfManyTablesMoveToTheCache() throws {
    let store = try open { options in
      options.memoryLimit = 256 << 10
      options.defaultKeyspace.targetTableBytes = 32 << 10
      options.defaultKeyspace.table.filterBitsPerKey = 40
    }
    for number in 0..<8000 { try store.put("key \(number)", "\(number)") }
    try store.flush()
    while store.stepBackground() {}
    let tables = store.defaultKeyspace.version.levels.tables
    #expect(tables.contains { $0.reader.hasFilterInParts })
    // Forty kilobytes of filters, and what their tables keep besides.
    #expect(store.core.tableMemory < store.core.shares.tables * 2, "\(store.core.tableMemory) bytes of \(tables.count) tables")
    for number in stride(from: 0, to: 8000, by: 37) { #expect(try store.get("key \(number)") == "\(number)") }
    #expect(try store.get("key") == nil)
  }

  /// A merge of many tables has one of each level open.
  @Test func compactionsOpenOneTableOfALevel() throws {
    let store = try open { $0.compactsAutomatically = false }
    for number in 0..<4000 { try store.put("\(number)", "a \(number) " + String(repeating: "z", count: 100)) }
    try store.compact()
    for number in 0..<500 { try store.put("\(number * 8)", "b \(number)") }
    try store.flush()
    let levels = store.defaultKeyspace.version.levels
    let deep = try #require(levels.deeper.first { $0.count > 0 })
    #expect(deep.count > 4 && !levels.levelZero.isEmpty)
    #expect(Levels.cursors(overInputs: levels.levelZero.reversed() + deep.tables).count == levels.levelZero.count + 1)
    try store.compact()
    for number in 0..<4000 {
      #expect(try store.get("\(number)") == (number % 8 == 0 ? "b \(number / 8)" : "a \(number) " + String(repeating: "z", count: 100)))
    }
  }
}

/// Iterators with what each of them must show.
private final class Held {
  private final class One {
    var iterator: LSMIterator
    let rows: [String: String]
    /// Kept, as a refresh reads its moment anew.
    let snapshot: Snapshot?
    init(_ iterator: consuming LSMIterator, _ rows: [String: String], _ snapshot: Snapshot?) {
      self.iterator = iterator
      self.rows = rows
      self.snapshot = snapshot
    }
  }

  private var all: [One] = []

  func add(_ iterator: consuming LSMIterator, _ rows: [String: String], _ snapshot: Snapshot? = nil) { all.append(One(iterator, rows, snapshot)) }
  func refresh() throws { for one in all { try one.iterator.refresh() } }
  func end() { all = [] }
  /// Lets go of all but the newest.
  func keep(_ count: Int) { all.removeFirst(max(0, all.count - count)) }

  /// Each shows its rows or, where it has no moment of its own, `present`.
  func check(_ place: String, present: [String: String]? = nil) throws {
    for (index, one) in all.enumerated() {
      let rows = Dictionary(uniqueKeysWithValues: try both(&one.iterator).map { ($0[0], $0[1]) })
      let isRight = rows == (one.snapshot == nil ? present ?? one.rows : one.rows)
      #expect(isRight, "\(place), iterator \(index)")
    }
  }
}
