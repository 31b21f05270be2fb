import StrataDisk
import StrataNodes
import StrataRequirements
import StrataSimulation
import SystemPackage
import Testing

@testable import StrataBitcask

/// Random operations against a dictionary: writes, expiry, merges of random subsets, hints, restarts, crashes, a clock that jumps.
@Suite struct ModelTests {
  struct Entry: Hashable {
    var value: [UInt8]
    var expiry: UInt64
  }

  static func run(seed: UInt64, steps: Int, keyStorage: BitcaskOptions.KeyStorage) throws {
    var random = Random(seed: seed)
    let clock = TestClock()
    var disk = SimulatedFileSystem(random: random.fork("disk"))
    let options = tinyOptions {
      $0.clock = { clock.value }
      $0.keyStorage = keyStorage
      $0.merge.includeSmallBytes = 0
    }
    var model: [[UInt8]: Entry] = [:]
    var store = try Bitcask.open(home, options: options, on: disk)
    for step in 0..<steps {
      let name = key(random.below(30))
      switch random.below(40) {
      case 0..<18:
        let life: Duration? = random.chance(1, in: 4) ? .seconds(random.below(4000)) : nil
        let value = random.bytes(random.below(60))
        try store.put(name, value, ttl: life)
        model[name] = Entry(value: value, expiry: life.map { clock.value + UInt64($0.components.seconds) * 1000 } ?? 0)
      case 18..<25:
        let existed = model[name].map { $0.expiry == 0 || $0.expiry > clock.value } ?? false
        guard try store.delete(name) == existed else { throw Unexpected("seed \(seed), step \(step): delete told otherwise") }
        if existed { model[name] = nil }
      case 25..<29:
        let batch = (0..<(1 + random.below(5))).map { _ in
          random.chance(1, in: 3) ? Mutation.delete(key(random.below(30))) : .put(key(random.below(30)), random.bytes(random.below(30)))
        }
        try store.write(batch)
        for change in batch {
          // A delete of an expired key writes nothing, so the clock may bring it back.
          let isExpired = model[change.key].map { $0.expiry != 0 && $0.expiry <= clock.value } ?? false
          if change.value != nil || !isExpired { model[change.key] = change.value.map { Entry(value: $0, expiry: 0) } }
        }
      case 29, 30:
        let sealed = store.segments().filter { !$0.isActive }.map(\.id).filter { _ in random.chance(1, in: 2) }
        try store.merge(.segments(sealed))
        // What a merge finds expired is gone for good.
        forget(&model, store)
      case 31: try store.createHintFiles()
      case 32: try store.rebuildIndex()
      case 33, 34:
        if random.chance(1, in: 2) { try store.close() }
        disk = disk.crash(.everythingKept)
        store = try Bitcask.open(home, options: options, on: disk)
      case 35:
        disk = disk.crash(.random)
        store = try Bitcask.open(home, options: options, on: disk)
      case 36: clock.move(random.within(-3_600_000...3_600_000))
      case 37:
        try store.merge(.automatic)
        forget(&model, store)
      default:
        let expected = model[name].flatMap { $0.expiry == 0 || $0.expiry > clock.value ? $0.value : nil }
        guard try store.get(name) == expected else { throw Unexpected("seed \(seed), step \(step): \(name) is not \(String(describing: expected))") }
      }
      if step % 16 == 0 {
        let living = model.filter { $0.value.expiry == 0 || $0.value.expiry > clock.value }.mapValues(\.value)
        let found = try contents(store)
        guard found == living else {
          let wrong = Set(found.keys).union(living.keys).filter { found[$0] != living[$0] }.map { String(decoding: $0, as: UTF8.self) }
          throw Unexpected("seed \(seed), step \(step), \(keyStorage): differs in \(wrong.sorted())")
        }
      }
    }
  }

  /// Merges drop expired records for good, where the model only hides them until the clock goes back.
  static func forget(_ model: inout [[UInt8]: Entry], _ store: Bitcask) {
    for name in model.keys where store.index.candidates(KeyDirectoryTests.hash(name)).isEmpty { model[name] = nil }
  }

  @Test(
    .requirement("Bitcask.never.2", "Bitcask.never.5", "Bitcask.keep.7", "Bitcask.never.18", "Bitcask.keep.11"),
    arguments: 0..<UInt64(6 * testDepth))
  func equalsADictionaryUnderEveryEvent(seed: UInt64) throws {
    try Self.run(seed: seed, steps: 1800 / (sweepStride + 2), keyStorage: .memory)
    try Self.run(seed: seed &+ 1000, steps: 600 / (sweepStride + 2), keyStorage: .fingerprint)
  }

  /// Each sequence of deletes, partial merges and restarts over two keys, whatever the choice of inputs.
  @Test(.requirement("Bitcask.never.5")) func noPartialMergeBringsADeletedKeyBack() throws {
    for choice in stride(from: 0, to: 64, by: (sweepStride + 1) / 2) {
      let disk = SimulatedFileSystem()
      let options = tinyOptions { $0.segmentBytes = 4096 + 8 }
      var store = try Bitcask.open(home, options: options, on: disk)
      // One record per segment: value, tombstone, another key's value, and again.
      try store.put(key(1), bytes("old"))
      try store.put(key(2), bytes("other"))
      try store.delete(key(1))
      try store.put(key(3), bytes("third"))
      try store.delete(key(2))
      try store.put(key(4), bytes("fourth"))
      for round in 0..<2 {
        let sealed = store.segments().filter { !$0.isActive }.map(\.id)
        try store.merge(.segments(sealed.enumerated().filter { choice >> (($0.offset + round) % 6) & 1 == 1 }.map(\.element)))
        try store.close()
        if choice % 3 == 0 { for name in try names(disk) where name.hasSuffix(".hint") { try disk.remove(home.appending(name)) } }
        store = try Bitcask.open(home, options: options, on: disk)
        #expect(try contents(store) == [key(3): bytes("third"), key(4): bytes("fourth")], "choice \(choice), round \(round)")
      }
      // With everything merged, no tombstone is left.
      try store.merge(.all)
      #expect(store.segments().filter { !$0.isActive }.reduce(0) { $0 + $1.records } == 2)
      try store.close()
    }
  }

  @Test(.requirement("Bitcask.keep.7", "Bitcask.keep.8", "Bitcask.never.2")) func aMergeReportsAndShrinks() throws {
    let disk = SimulatedFileSystem()
    let clock = TestClock()
    let store = try Bitcask.open(home, options: tinyOptions { $0.clock = { clock.value } }, on: disk)
    for round in 0..<4 {
      // The clock runs backwards: it must decide nothing.
      clock.move(-3_600_000)
      for number in 0..<20 { try store.put(key(number), bytes("round \(round) of \(number)"), ttl: .seconds(1_000_000)) }
    }
    var sequences: [[UInt8]: SequenceNumber] = [:]
    for number in 0..<20 {
      guard case .found(let found) = try store.read(key(number), onlyIfCached: false, { ($0.sequence, $0.expiry, $0.writtenAt) }) else {
        throw Unexpected("missing")
      }
      sequences[key(number)] = found.0
      #expect(found.1 == clock.value + 1_000_000_000 && UInt64(found.2) == clock.value / 1000)
    }
    let (before, records) = (store.totalDiskUsage, store.segments().filter { !$0.isActive }.reduce(0) { $0 + $1.records })
    let report = try store.merge(.all)
    #expect(report.recordsMoved + report.recordsDropped == records && report.recordsDropped > 40)
    #expect(report.bytesFreed > 0 && store.totalDiskUsage < before)
    #expect(report.outputs.count > 1, "the output was not split")
    for segment in store.segments() { #expect(segment.hasHint != segment.isActive) }
    for number in 0..<20 {
      guard case .found(let found) = try store.read(key(number), onlyIfCached: false, { ($0.sequence, $0.expiry, $0.writtenAt, [UInt8]($0.value)) })
      else { throw Unexpected("missing") }
      #expect(found.0 == sequences[key(number)] && found.1 == clock.value + 1_000_000_000 && UInt64(found.2) == clock.value / 1000)
      #expect(found.3 == bytes("round 3 of \(number)"))
    }
    let data = try names(disk).filter { $0.hasSuffix(".data") }
    #expect(data.count == store.segmentCount, "\(data) are left")
  }

  @Test(.requirement("Bitcask.never.18")) func expiryIsAbsoluteAndSurvives() throws {
    let clock = TestClock()
    let disk = SimulatedFileSystem()
    let options = tinyOptions {
      $0.clock = { clock.value }
      $0.ttl = .seconds(100)
    }
    var store = try Bitcask.open(home, options: options, on: disk)
    try store.put(key(1), bytes("standard"))
    try store.put(key(2), bytes("long"), ttl: .seconds(1000))
    try store.write([.put(key(3), bytes("for ever"), expiry: .never), .put(key(4), bytes("fixed"), expiry: .at(clock.value + 50_000))])
    for number in 10..<30 { try store.put(key(number), bytes("filler")) }
    clock.move(100_000)
    for restarts in [false, true] {
      if restarts {
        try store.close()
        store = try Bitcask.open(home, options: options, on: disk)
      }
      #expect(try store.get(key(1)) == nil && !store.contains(key(1)) && store.delete(key(1)) == false)
      #expect(try store.get(key(4)) == nil)
      #expect(try contents(store) == [key(2): bytes("long"), key(3): bytes("for ever")])
      #expect(try Set(store.keys()) == [key(2), key(3)])
    }
    let before = store.totalDiskUsage
    try store.merge(.all)
    #expect(store.totalDiskUsage < before && store.count == 2)
    #expect(store.segments().filter { !$0.isActive }.reduce(0) { $0 + $1.records } == 2)
    #expect(try store.put(key(1), bytes("again")) > 0)
    #expect(try store.get(key(1)) == bytes("again"))
  }

  /// An expired value in a merged segment shields an older one, without expiry, in a segment that is not merged.
  @Test(.requirement("Bitcask.never.5", "Bitcask.never.18")) func anExpiredValueGoesLikeATombstone() throws {
    let clock = TestClock()
    let disk = SimulatedFileSystem()
    let options = tinyOptions {
      $0.segmentBytes = 4096 + 8
      $0.clock = { clock.value }
    }
    var store = try Bitcask.open(home, options: options, on: disk)
    try store.put(key(1), bytes("old"))
    try store.put(key(1), bytes("short-lived"), ttl: .seconds(1))
    try store.put(key(2), [])
    clock.move(2000)
    try store.merge(.segments([2]))
    #expect(store.count == 1)
    try store.close()
    store = try Bitcask.open(home, options: options, on: disk)
    #expect(try store.get(key(1)) == nil)
    try store.merge(.all)
    try store.close()
    store = try Bitcask.open(home, options: options, on: disk)
    #expect(try contents(store) == [key(2): []])
  }
}
