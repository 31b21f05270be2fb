import StrataBitcask
import StrataBytes
import StrataDisk
import StrataJobs
import StrataLSMTree
import StrataNodes
import StrataSimulation
import StrataWriteAheadLog
import Synchronization
import SystemPackage

/// Where an engine under test lives on its disk.
private let directory: FilePath = "/store"

/// Identifiers that follow from a seed.
private final class SeededEntropy: Sendable {
  private let random: Monitor<Random>
  init(_ random: Random) { self.random = Monitor(random) }
  func next() -> UInt64 { random.withLock { $0.next() } }
}

/// The ordered engine, its flushes and compactions stepped one slice at a time.
struct LSMEngine: StorageEngine {
  static let name = "engine.lsm"
  static let summary = "the LSM-tree under kills, power loss and failed syncs, background jobs stopped between any two steps"

  private let store: LSMTree

  init(opening disk: any FileSystem, random: inout Random) throws {
    var options = LSMOptions()
    options.memtableBytes = [512, 2048, 8192][random.below(3)]
    options.logSegmentBytes = [2048, 16384][random.below(2)]
    options.maxLogBytes = 64 << 10
    options.background = .manual
    options.logUsesThread = false
    options.manifestRewriteBytes = [512, 4096][random.below(2)]
    options.levelZeroTrigger = random.within(1...4)
    options.flushesOnClose = random.chance(1, in: 2)
    options.clock = { 1_700_000_000_000 }
    let entropy = SeededEntropy(random.fork("entropy", random.below(1 << 30)))
    options.entropy = { entropy.next() }
    options.defaultKeyspace.targetTableBytes = 4096
    options.defaultKeyspace.baseLevelBytes = 8192
    options.defaultKeyspace.fanOut = 3
    options.defaultKeyspace.table.blockSize = 256
    store = try LSMTree.open(directory, options: options, on: disk)
  }

  func write(_ batch: [EngineChange], isSynced: Bool) throws {
    var changes = WriteBatch()
    for change in batch {
      if let value = change.value {
        try changes.put(change.keyBytes.span.bytes, EngineChange.bytes(ofValue: value).span.bytes)
      } else {
        try changes.delete(change.keyBytes.span.bytes)
      }
    }
    _ = try store.write(changes, options: WriteOptions(durability: isSynced ? .everyWrite : Durability.none))
  }

  func sync() throws { try store.flush() }

  func read(_ key: Int) throws -> Int? {
    try store.get(EngineChange.bytes(ofKey: key).span.bytes).map(EngineChange.value(of:))
  }

  func contents() throws -> [Int: Int] {
    var found: [Int: Int] = [:]
    var last: [UInt8] = []
    var iterator = try store.iterator()
    try iterator.first()
    while iterator.isValid {
      let key = iterator.key.withUnsafeBytes { Array($0) }
      if compare(key.span.bytes, last.span.bytes) <= 0 { throw EngineFault("the key \(key) does not come after \(last)") }
      last = key
      found[try EngineChange.key(of: key)] = try EngineChange.value(of: iterator.value.withUnsafeBytes { Array($0) })
      try iterator.next()
    }
    return found
  }

  mutating func step(_ random: inout Random) throws {
    let budget = [1, 300, 1 << 16][random.below(3)]
    let pick = random.next()
    _ = store.stepBackground(budget: budget) { Int(pick % UInt64(max(1, $0))) }
  }

  func verify() throws {
    let report = try store.verify()
    if !report.damage.isEmpty { throw EngineFault("damage: \(report.damage)") }
  }

  func close() throws { try store.close() }
}

/// Bitcask, its merges stepped one slice at a time.
struct BitcaskEngine: StorageEngine {
  static let name = "engine.bitcask"
  static let summary = "Bitcask under kills, power loss and failed syncs, merges stopped between any two steps"

  private let store: Bitcask
  private var merge: MergeJob?

  init(opening disk: any FileSystem, random: inout Random) throws {
    var options = BitcaskOptions()
    options.segmentBytes = [4500, 16384][random.below(2)]
    options.durability = .none
    options.background = .manual
    options.reservedBytes = 0
    options.merge.isAutomatic = false
    options.recoveryThreads = 1
    options.keyStorage = random.chance(1, in: 2) ? .memory : .fingerprint
    options.reads = random.chance(1, in: 4) ? .mapped : .positional
    options.clock = { 1_700_000_000_000 }
    store = try Bitcask.open(directory, options: options, on: disk)
  }

  func write(_ batch: [EngineChange], isSynced: Bool) throws {
    _ = try store.write(
      batch.map { change in
        change.value.map { .put(change.keyBytes, EngineChange.bytes(ofValue: $0)) } ?? .delete(change.keyBytes)
      })
    if isSynced { try store.sync() }
  }

  func sync() throws { try store.sync() }

  func read(_ key: Int) throws -> Int? { try store.get(EngineChange.bytes(ofKey: key)).map(EngineChange.value(of:)) }

  func contents() throws -> [Int: Int] {
    var found: [Int: Int] = [:]
    var items = store.items()
    while let item = try items.next() {
      let key = try EngineChange.key(of: item.key)
      if found.updateValue(try EngineChange.value(of: item.value), forKey: key) != nil { throw EngineFault("key \(key) was shown twice") }
    }
    if found.count != store.count { throw EngineFault("shows \(found.count) keys and counts \(store.count)") }
    return found
  }

  mutating func step(_ random: inout Random) throws {
    if merge == nil { merge = store.mergeJob(.all) }
    if try merge?.step(budget: [1, 500, 1 << 16][random.below(3)]) == .done { merge = nil }
  }

  func verify() throws {
    let damage = try store.verify()
    if !damage.isEmpty { throw EngineFault("damage: \(damage)") }
  }

  func close() throws { try store.close() }
}

/// The write-ahead log alone, replayed into a dictionary: an engine whose whole state is its log.
struct LogEngine: StorageEngine {
  static let name = "engine.wal"
  static let summary = "the write-ahead log under kills, power loss and failed syncs, replayed into memory"

  private let log: WriteAheadLog
  private let state: Monitor<[Int: Int]>

  init(opening disk: any FileSystem, random: inout Random) throws {
    var options = WALOptions()
    options.segmentBytes = [1, 4096, 65536][random.below(3)]
    options.durability = .none
    options.usesThread = false
    options.zeroAheadBytes = 4 << 10
    options.clock = { 1_700_000_000_000 }
    let entropy = SeededEntropy(random.fork("entropy", random.below(1 << 30)))
    options.entropy = { entropy.next() }
    log = try WriteAheadLog.open(directory, options: options, on: disk).log
    var state: [Int: Int] = [:]
    let reader = try log.replay()
    while let entry = try reader.next() {
      guard case .operation(.application(_, let payload)) = entry.content else { continue }
      for line in String(decoding: payload, as: UTF8.self).split(separator: " ") {
        let parts = line.split(separator: "=", omittingEmptySubsequences: false)
        guard parts.count == 2, let key = Int(parts[0]) else { throw EngineFault("a record nobody wrote: \(payload)") }
        state[key] = parts[1] == "-" ? nil : Int(parts[1])
      }
    }
    self.state = Monitor(state)
  }

  func write(_ batch: [EngineChange], isSynced: Bool) throws {
    let text = batch.map { "\($0.key)=\($0.value.map(String.init) ?? "-")" }.joined(separator: " ")
    _ = try log.append(.application(kind: 64, payload: Array(text.utf8)), durability: isSynced ? .everyWrite : Durability.none)
    state.withLock { state in for change in batch { state[change.key] = change.value } }
  }

  func sync() throws { try log.sync() }
  func read(_ key: Int) throws -> Int? { state.withLock { $0[key] } }
  func contents() throws -> [Int: Int] { state.withLock { $0 } }

  mutating func step(_ random: inout Random) throws { log.commitPending() }

  func verify() throws {}
  func close() throws { try log.close() }
}
