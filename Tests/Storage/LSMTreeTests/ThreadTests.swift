import StrataBytes
import StrataDisk
import StrataFilters
import StrataJobs
import StrataNodes
import StrataRequirements
import StrataSSTable
import StrataSimulation
import StrataWriteAheadLog
import Synchronization
import SystemPackage
import Testing

@testable import StrataLSMTree

/// Several threads on one store, with background threads flushing and compacting.
@Suite struct ThreadTests {
  static func options(_ change: (inout LSMOptions) -> Void = { _ in }) -> LSMOptions {
    tinyOptions { options in
      options.background = .threads(compactions: 2)
      options.durability = .none
      options.memtableBytes = 16 << 10
      options.logSegmentBytes = 64 << 10
      change(&options)
    }
  }

  static func run(_ bodies: [@Sendable () throws -> Void]) throws {
    let failures = Monitor([any Error]())
    let workers = bodies.enumerated().map { index, body in
      Worker(name: "test-\(index)") {
        do { try body() } catch { failures.withLock { $0.append(error) } }
      }
    }
    for worker in workers { worker.join() }
    if let first = failures.withLock({ $0.first }) { throw first }
  }

  /// Keys known to be there are found at every moment, whatever is flushed and compacted.
  @Test(.requirement("LSMTree.never.4", "LSMTree.never.5", "LSMTree.never.12")) func readersNeverMiss() throws {
    let store = try LSMTree.open(home, options: Self.options(), on: SimulatedFileSystem())
    for number in 0..<50 { try store.put("known \(number)", "\(number)") }
    let isDone = Atomic<Bool>(false)
    var bodies: [@Sendable () throws -> Void] = (0..<2).map { seed in
      {
        var random = Random(seed: UInt64(seed))
        while !isDone.load(ordering: .acquiring) {
          let number = random.below(50)
          guard try store.get("known \(number)") == "\(number)" else { throw Unexpected("known \(number) is gone") }
          if random.chance(1, in: 20), try store.rows(KeyBounds(prefix: bytes("known"))).count != 50 { throw Unexpected("a scan misses a key") }
        }
      }
    }
    bodies.append {
      defer { isDone.store(true, ordering: .releasing) }
      for number in 0..<(4000 * testDepth) {
        try store.put("filler \(number % 500)", String(repeating: "x", count: number % 100))
        if number % 50 == 0 { try store.put("known \(number / 50 % 50)", "\(number / 50 % 50)") }
      }
    }
    try Self.run(bodies)
    #expect(store.statistics.flushes > 3)
    try store.close()
  }

  /// Batches of several threads are seen whole or not at all, and in the order of their versions.
  @Test(.requirement("LSMTree.never.12")) func batchesAreAtomic() throws {
    let store = try LSMTree.open(home, options: Self.options(), on: SimulatedFileSystem())
    let isDone = Atomic<Int>(0)
    let writers = 3
    var bodies: [@Sendable () throws -> Void] = (0..<writers).map { writer in
      {
        defer { isDone.add(1, ordering: .acquiringAndReleasing) }
        for number in 0..<(400 * testDepth) {
          var batch = WriteBatch()
          for key in 0..<4 { try batch.put(bytes("\(writer) \(key)").span.bytes, bytes("\(number)").span.bytes) }
          try store.write(batch)
          // A write is visible to its writer when it returns.
          guard try store.get("\(writer) 3") == "\(number)" else { throw Unexpected("a write is not visible") }
        }
      }
    }
    bodies.append {
      while isDone.load(ordering: .acquiring) < writers {
        let snapshot = store.snapshot()
        for writer in 0..<writers {
          let values = try (0..<4).map { try store.get("\(writer) \($0)", at: snapshot) }
          guard Set(values).count == 1 else { throw Unexpected("a batch is seen in part: \(values)") }
        }
        let rows = try store.rows(at: snapshot)
        guard try store.rows(at: snapshot) == rows else { throw Unexpected("a snapshot changes") }
      }
    }
    try Self.run(bodies)
    for writer in 0..<writers { #expect(try store.get("\(writer) 0") == "\(400 * testDepth - 1)") }
    try store.close()
  }

  /// After a stop without close everything acknowledged is there: the process's death loses nothing.
  @Test func abandonedStoresRecover() throws {
    let disk = SimulatedFileSystem()
    let store = try LSMTree.open(home, options: Self.options(), on: disk)
    try Self.run(
      (0..<3).map { writer in
        { for number in 0..<500 { try store.put("\(writer) \(number)", "\(number)") } }
      })
    let rows = try store.rows()
    #expect(rows.count == 1500)
    store.core.abandon()
    let again = try LSMTree.open(home, options: Self.options(), on: disk)
    #expect(try again.rows() == rows)
    try again.close()
  }

  /// What was applied out of order becomes visible in order.
  @Test func publicationFollowsTheOrder() {
    let ring = PublicationRing(visible: 10)
    let places = (0..<3).map { _ in ring.enqueue() }
    ring.publish(places[1], last: 12)
    ring.publish(places[2], last: 15)
    #expect(ring.visible == 10)
    ring.publish(places[0], last: 11)
    #expect(ring.visible == 15)
    for number in 0..<3000 { ring.publish(ring.enqueue(), last: UInt64(16 + number)) }
    #expect(ring.visible == 3015 && ring.hasRoom)
  }

  /// Inserts from several threads into one list: nothing is lost, both directions agree.
  @Test func skiplist() throws {
    let memtable = Memtable(ArenaPool(arenaBytes: 4 << 20, keeps: 0).take(capacity: 4 << 20), number: 1, entryLimit: .max)
    let perThread = 3000
    try Self.run(
      (0..<4).map { thread in
        {
          var splice = Skiplist.Splice()
          var random = Random(seed: UInt64(thread))
          for number in 0..<perThread {
            let key = bytes("\(random.below(500))")
            key.withUnsafeBytes { key in
              memtable.insert(key: key, trailer: Trailer(UInt64(thread * perThread + number + 1), .value), value: key, &splice)
            }
          }
        }
      })
    let cursor = memtable.cursor()
    var forward: [UInt64] = []
    var last: CursorEntry?
    try cursor.first()
    while cursor.isValid {
      if let last { #expect(last.precedes(cursor.entry)) }
      last = cursor.entry
      forward.append(cursor.entry.trailer.sequence)
      try cursor.next()
    }
    #expect(forward.count == 4 * perThread)
    var backward: [UInt64] = []
    try cursor.last()
    while cursor.isValid {
      backward.append(cursor.entry.trailer.sequence)
      try cursor.previous()
    }
    #expect(backward == forward.reversed())
    // What the index finds is what a search finds, at the latest state and in the past.
    var random = Random(seed: 9)
    for number in 0..<600 {
      let key = bytes("\(number)")
      key.withUnsafeBytes { key in
        for sequence in [Trailer.maxSequence, UInt64(random.below(4 * perThread))] {
          let target = Skiplist.Target(key, .newest(atOrBelow: sequence))
          let searched = memtable.list.bracket(target).after
          let expected = searched != 0 && memtable.list.holds(searched, target) ? searched : 0
          #expect(memtable.list.version(target, hash: FilterHash.hash64(key)) == expected, "key \(number) at \(sequence)")
        }
      }
    }
  }

  /// Keys with and without the prefix that a list was given come in the order of their bytes.
  @Test(arguments: 0..<8) func aListGivenAPrefixKeepsTheOrder(seed: Int) throws {
    var random = Random(seed: UInt64(seed))
    let prefix = bytes(["", "k", "key:0000", String(repeating: "x", count: 100)][seed % 4])
    let memtable = Memtable(ArenaPool(arenaBytes: 1 << 20, keeps: 0).take(capacity: 1 << 20), number: 1, entryLimit: .max, prefix: prefix)
    var splice = Skiplist.Splice()
    var keys = Set<[UInt8]>()
    for number in 0..<2000 {
      var key = Array(prefix.prefix(random.below(prefix.count + 2)))
      for _ in 0..<random.below(12) { key.append([0, 1, 0x30, 0x6B, 0xFF][random.below(5)]) }
      keys.insert(key)
      key.withUnsafeBytes { memtable.insert(key: $0, trailer: Trailer(UInt64(number + 1), .value), value: $0, &splice) }
    }
    let cursor = memtable.cursor()
    var found: [[UInt8]] = []
    try cursor.first()
    while cursor.isValid {
      if found.last != [UInt8](cursor.entry.key) { found.append([UInt8](cursor.entry.key)) }
      try cursor.next()
    }
    let sorted = keys.sorted { $0.lexicographicallyPrecedes($1) }
    #expect(found == sorted)
    for key in sorted {
      try key.withUnsafeBytes { try cursor.seek($0, .newest(atOrBelow: Trailer.maxSequence)) }
      #expect(cursor.isValid && [UInt8](cursor.entry.key) == key)
    }
    let last = sorted.last ?? []
    let first = sorted.first ?? []
    #expect(memtable.list.commonPrefix() == Array(zip(first, last).prefix { $0 == $1 }.map(\.0).prefix(Skiplist.maxPrefix)))
  }

  /// An index that has no room for every key finds all the same, and says nothing of what it left out.
  @Test func moreKeysThanTheIndexHolds() {
    let bytesOfArena = 1 << 20
    let memtable = Memtable(ArenaPool(arenaBytes: bytesOfArena, keeps: 0).take(capacity: bytesOfArena), number: 1, entryLimit: .max)
    var splice = Skiplist.Splice()
    let count = bytesOfArena / 128 + 1000
    for number in 0..<count {
      // Half of the keys twice: before and after the index is full.
      let key = bytes("\(number * 7919 % (count * 2 / 3))")
      key.withUnsafeBytes { memtable.insert(key: $0, trailer: Trailer(UInt64(number + 1), .value), value: $0, &splice) }
    }
    for number in 0..<(count * 2 / 3) {
      bytes("\(number)").withUnsafeBytes { key in
        let target = Skiplist.Target(key, .newest(atOrBelow: Trailer.maxSequence))
        let searched = memtable.list.bracket(target).after
        let expected = searched != 0 && memtable.list.holds(searched, target) ? searched : 0
        #expect(memtable.list.version(target, hash: FilterHash.hash64(key)) == expected, "key \(number)")
      }
    }
  }
}
