import BenchmarkKit
import Foundation
import StrataCompression
import StrataJobs
import StrataLSMTree
import StrataSSTable
import SystemPackage

/// One of db_bench's loads on an LSMTree, with db_bench's keys, values and meaning of the flags.
struct Driver: Sendable {
  var workload: String
  var num: Int
  var reads: Int
  var threads = 1
  var batch = 1
  var valueBytes = 100
  var seed: UInt64 = 1
  var cacheBytes = 1 << 30
  var compression = Codec.none
  var memtableBytes = 64 << 20
  /// Memory of the store altogether, its cache then being the part of it that the engine chooses; `nil` for more than the load can need.
  var memoryLimit: Int?
  /// Bytes of a table; the engine's own choice where `nil`.
  var tableBytes: UInt64?
  /// RocksDB takes a group of writes into its memtable while the next one is logged, and the memtable in the order of the log.
  var isPipelined = false
  /// Ends a load of writes after so many seconds instead of ``num`` operations.
  var seconds: Double?
  /// Filled and compacted first where the directory is empty, outside the time.
  var needsData: Bool { !workload.hasPrefix("fill") && workload != "mergerandom" }
  /// Whether the load counts ``reads`` instead of ``num``.
  var isRead: Bool { ["read", "seek", "multiread"].contains { workload.hasPrefix($0) } }
  /// A thread beside the readers writes 10 MiB a second.
  var isBesideWriter: Bool { workload.hasSuffix("whilewriting") }

  func options() -> LSMOptions {
    var options = LSMOptions()
    options.memtableBytes = memtableBytes
    options.blockCacheBytes = memoryLimit == nil ? cacheBytes : nil
    options.memoryLimit = memoryLimit ?? 4 << 30
    if let tableBytes { options.defaultKeyspace.targetTableBytes = tableBytes }
    options.durability = workload == "fillsync" ? .everyWrite : .none
    options.defaultKeyspace.table.compression = compression
    options.defaultKeyspace.table.filterBitsPerKey = 10
    options.defaultKeyspace.table.blockSize = 4096
    options.background = .threads(compactions: 1)
    if workload == "mergerandom" { options.defaultKeyspace.mergeOperator = Sum() }
    return options
  }

  /// Runs the load in `directory`, whose store it makes where there is none.
  func run(in directory: String) throws -> Figures {
    let path = FilePath(directory).appending("strata")
    let store = try opened(path)
    let failures = Monitor<[any Error]>([])
    let times = Monitor(LatencyRecord())
    let isOver = Monitor(false)
    @Sendable func worker(_ body: @escaping @Sendable () throws -> Void) -> Worker {
      Worker(name: "bench") { do { try body() } catch { failures.withLock { $0.append(error) } } }
    }
    let began = MonotonicClock.now()
    let workers = (0..<threads).map { thread in
      worker {
        let record = try work(store, thread: thread)
        times.withLock { $0.add(record) }
      }
    }
    let writer = isBesideWriter ? worker { try write(store, until: isOver) } : nil
    for worker in workers { worker.join() }
    let seconds = Double(MonotonicClock.now() - began) / 1e9
    isOver.withLock { $0 = true }
    writer?.join()
    if let failure = failures.withLock({ $0.first }) { throw failure }
    try store.close()
    return Figures(operations: Double((isRead ? reads : num) * threads), seconds: seconds, latency: times.withLock { $0.latency })
  }

  /// The store of the load, filled in random order and compacted where that is wanted and not done.
  func opened(_ path: FilePath) throws -> LSMTree {
    let isFresh = !FileManager.default.fileExists(atPath: path.string)
    let store = try LSMTree.open(path, options: options())
    guard needsData else { return store }
    if isFresh {
      var fill = self
      fill.workload = "fillrandom"
      fill.threads = 1
      fill.batch = 1
      fill.seconds = nil
      _ = try fill.work(store, thread: 0)
      try store.compact()
    }
    try store.waitForBackgroundWork()
    return store
  }

  /// db_bench's keys: the number in eight bytes, the most significant first, then zeros as text.
  func writeKey(_ number: Int, _ key: UnsafeMutableRawBufferPointer) {
    key.storeBytes(of: UInt64(number).bigEndian, as: UInt64.self)
    for index in 8..<16 { key[index] = 0x30 }
  }

  /// Does one thread's share; how long each operation took where the load is one whose latencies are compared.
  func work(_ store: LSMTree, thread: Int) throws -> LatencyRecord {
    var random = SplitMix(state: seed &+ UInt64(thread) &* 1000)
    var times = LatencyRecord()
    let key = UnsafeMutableRawBufferPointer.allocate(byteCount: 16, alignment: 8)
    defer { key.deallocate() }
    switch workload {
    case "fillseq", "fillrandom", "fillsync", "overwrite": try fill(store, key, &random)
    case "readrandom", "readmissing": try read(store, key, &random)
    case "seekrandom", "seekrandomreverse": try seek(store, key, &random)
    case "readwhilewriting": try readTimed(store, key, &random, &times)
    case "seekrandomwhilewriting": try seekTimed(store, key, &random, &times)
    case "multireadrandom": try readMany(store, key, &random)
    case "mergerandom": try merge(store, key, &random)
    case "readseq", "readreverse": try scan(store)
    default: throw BenchFailure(what: "unknown load \(workload)")
    }
    return times
  }

  private func fill(_ store: LSMTree, _ keyBytes: UnsafeMutableRawBufferPointer, _ random: inout SplitMix) throws {
    let values = (0..<(1 << 20)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    let span = values.span.bytes
    let key = UnsafeRawBufferPointer(keyBytes)
    var valueAt = 0
    var done = 0
    func value() -> Range<Int> {
      if valueAt + valueBytes > values.count { valueAt = 0 }
      defer { valueAt += valueBytes }
      return valueAt..<valueAt + valueBytes
    }
    while done < num {
      if batch == 1 {
        writeKey(workload == "fillseq" ? done : Int(random.next() % UInt64(num)), keyBytes)
        try store.put(key.bytes, span.extracting(value()))
      } else {
        var changes = WriteBatch(capacity: batch * (valueBytes + 24))
        for index in 0..<batch {
          writeKey(workload == "fillseq" ? done + index : Int(random.next() % UInt64(num)), keyBytes)
          try changes.put(key.bytes, span.extracting(value()))
        }
        try store.write(changes)
      }
      done += batch
    }
  }

  private func read(_ store: LSMTree, _ keyBytes: UnsafeMutableRawBufferPointer, _ random: inout SplitMix) throws {
    let key = UnsafeRawBufferPointer(keyBytes)
    var found = 0
    for _ in 0..<reads {
      writeKey(Int(random.next() % UInt64(num)), keyBytes)
      if workload == "readmissing" { keyBytes[15] = 0x2E }
      if try store.withValue(of: key.bytes, in: nil, at: nil, { $0.byteCount }) != nil { found += 1 }
    }
    if workload == "readmissing", found > 0 { throw BenchFailure(what: "an absent key was found") }
  }

  private func seek(_ store: LSMTree, _ keyBytes: UnsafeMutableRawBufferPointer, _ random: inout SplitMix) throws {
    let key = UnsafeRawBufferPointer(keyBytes)
    var bytes = 0
    for _ in 0..<reads {
      writeKey(Int(random.next() % UInt64(num)), keyBytes)
      var iterator = try store.iterator()
      if workload == "seekrandom" { try iterator.seek(key.bytes) } else { try iterator.seekBefore(key.bytes) }
      for _ in 0..<10 where iterator.isValid {
        bytes += iterator.key.byteCount + iterator.value.byteCount
        if workload == "seekrandom" { try iterator.next() } else { try iterator.previous() }
      }
    }
    if bytes == 0 { throw BenchFailure(what: "nothing was read") }
  }

  private func scan(_ store: LSMTree) throws {
    var iterator = try store.iterator()
    var bytes = 0
    for _ in 0..<reads {
      if !iterator.isValid {
        if workload == "readseq" { try iterator.first() } else { try iterator.last() }
      }
      bytes += iterator.key.byteCount + iterator.value.byteCount
      if workload == "readseq" { try iterator.next() } else { try iterator.previous() }
    }
    if bytes == 0 { throw BenchFailure(what: "nothing was read") }
  }
}

struct BenchFailure: Error, CustomStringConvertible {
  var what: String
  var description: String { what }
}

/// SplitMix64: cheap beside what is measured.
struct SplitMix {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
