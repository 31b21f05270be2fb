import BenchmarkKit
import StrataCompression
import StrataDisk
import StrataFilters
import StrataSSTable
import Synchronization
import SystemPackage

/// The loads of bench-sstable. Keys are sixteen digits in ascending order, values windows of random bytes, as those of Peers/rocksdb_table.cc.
struct Tables: Sendable {
  let entries: Int
  let seed: UInt64
  let values: Values

  init(entries: Int, seed: UInt64) {
    self.entries = entries
    self.seed = seed
    values = Values(seed: seed, size: 100)
  }

  static let options: TableOptions = {
    var options = TableOptions()
    options.compression = .none
    options.filterBitsPerKey = 10
    return options
  }()

  /// The digits of a number, last first written.
  @inline(__always)
  static func writeKey(_ number: Int, into key: inout [UInt8]) {
    var rest = number
    for place in stride(from: 15, through: 0, by: -1) {
      key[place] = UInt8(48 + rest % 10)
      rest /= 10
    }
  }

  /// Builds table `id` of every `step`th entry from `first` on.
  func write(_ directory: String, id: UInt64, first: Int = 0, step: Int = 1, keysPerBucket: Double? = nil) throws -> TableMetadata {
    var options = Self.options
    options.hashIndexRatio = keysPerBucket
    var writer = try TableWriter(FilePath("\(directory)/\(id).sst"), fileID: id, options: options, on: POSIXFileSystem())
    var key = [UInt8](repeating: 0, count: 16)
    for number in stride(from: first, to: entries, by: step) {
      Self.writeKey(number, into: &key)
      try writer.add(key: key.span.bytes, sequence: UInt64(number + 1), kind: .value, value: values.of(UInt64(number)).span.bytes)
    }
    return try writer.finish()
  }

  /// An open table whose blocks are all in the cache.
  private func opened(_ directory: String, keysPerBucket: Double? = nil) throws -> TableReader {
    _ = try write(directory, id: 1, keysPerBucket: keysPerBucket)
    let table = try TableReader.open(
      FilePath("\(directory)/1.sst"), cache: BlockCache(capacityBytes: 1 << 30), on: POSIXFileSystem())
    let cursor = table.cursor()
    try cursor.first()
    while cursor.isValid { try cursor.next() }
    return table
  }

  func build(_ directory: String) throws -> Figures {
    let begin = nanoseconds()
    let metadata = try write(directory, id: 1)
    let seconds = Double(nanoseconds() - begin) * 1e-9
    let cache = BlockCache(capacityBytes: 1 << 30)
    let table = try TableReader.open(FilePath("\(directory)/1.sst"), cache: cache, on: POSIXFileSystem())
    // What an open table keeps besides its filter of ten bits per key; of a filter in parts it keeps nothing.
    let index = Double(table.residentBytes) - (table.hasFilterInParts ? 0 : Double(entries) * 10 / 8)
    return Figures(
      operations: Double(metadata.entryCount), seconds: seconds,
      extras: ["false_positives": try falsePositives(table, cache), "index_share": index / Double(metadata.fileSize)])
  }

  /// The share of keys between those of the table that its filter lets pass: such a key costs a part of the index and a block, and every key a part
  /// of the filter where that is in parts. A table whose index is one block takes a block alone.
  private func falsePositives(_ table: TableReader, _ cache: BlockCache) throws -> Double {
    let asked = min(entries, 1_000_000)
    func accesses() -> UInt64 { cache.statistics.hits + cache.statistics.misses }
    var key = [UInt8](repeating: UInt8(ascii: "x"), count: 17)
    for number in 0..<asked {
      Self.writeKey(number, into: &key)
      let found = try key.withUnsafeBytes { try table.get($0) { _, value in value.count } }
      precondition(found == nil, "a key is there that was not written")
    }
    let passed = Double(accesses()) - (table.hasFilterInParts ? Double(asked) : 0)
    return passed / (table.hasIndexInParts ? 2 : 1) / Double(asked)
  }

  func scan(_ directory: String, isForward: Bool) throws -> Figures {
    let table = try opened(directory)
    let cursor = table.cursor()
    var sum: UInt64 = 0
    var count = 0
    let begin = nanoseconds()
    if isForward { try cursor.first() } else { try cursor.last() }
    while cursor.isValid {
      sum &+= UInt64(cursor.entry.key[15]) &+ UInt64(cursor.entry.value.count)
      count += 1
      if isForward { try cursor.next() } else { try cursor.previous() }
    }
    return Figures(operations: Double(count), seconds: Double(nanoseconds() - begin) * 1e-9, extras: ["last": Double(sum & 1)])
  }

  /// Gets, each timed as the peer times its own: `p50_get_ns` is by those. What of it is the clock, by the median of two readings one behind the
  /// other, is `clock_ns`; and `mean_get_ns` is what the same gets take, their keys' making included, when nobody times them singly.
  func get(_ directory: String, _ gets: Int, keysPerBucket: Double? = nil) throws -> Figures {
    let table = try opened(directory, keysPerBucket: keysPerBucket)
    var times = LatencyRecord()
    let seconds = try pass(table, gets) { get in
      let start = nanoseconds()
      try get()
      times.record(nanoseconds() - start)
    }
    let untimed = try pass(table, gets) { get in try get() }
    var clock = LatencyRecord()
    for _ in 0..<min(gets, 100_000) {
      let start = nanoseconds()
      clock.record(nanoseconds() - start)
    }
    let extras = [
      "p50_get_ns": Double(times.percentile(0.5)), "clock_ns": Double(clock.percentile(0.5)), "mean_get_ns": untimed * 1e9 / Double(gets),
    ]
    return Figures(operations: Double(gets), seconds: seconds, extras: extras)
  }

  /// Random gets through `each`, and the seconds they took.
  private func pass(_ table: TableReader, _ gets: Int, _ each: (() throws -> Void) throws -> Void) throws -> Double {
    var random = WorkloadRandom(seed: seed)
    var key = [UInt8](repeating: 0, count: 16)
    var sum: UInt64 = 0
    let begin = nanoseconds()
    for _ in 0..<gets {
      Self.writeKey(Int(random.below(UInt64(entries))), into: &key)
      try each { sum &+= try key.withUnsafeBytes { try table.get($0) { _, value in UInt64(value.count) } } ?? 0 }
    }
    let seconds = Double(nanoseconds() - begin) * 1e-9
    precondition(sum == UInt64(gets) * 100, "a key is missing")
    return seconds
  }

  func merge(_ directory: String) throws -> Figures {
    // Neighbouring entries come from different tables, so that the winner changes at every step.
    for id in 1...4 { _ = try write(directory, id: UInt64(id), first: id - 1, step: 4) }
    let inputs = try (1...4).map { try TableReader.open(FilePath("\(directory)/\($0).sst"), cache: nil, on: POSIXFileSystem()) }
    let numbers = FileNumbers()
    let output = TableOutput(directory: FilePath(directory), options: Self.options) { numbers.next.add(1, ordering: .relaxed).newValue }
    let begin = (nanoseconds(), processorNanoseconds())
    let (_, report) = try mergeTables(inputs, to: output, on: POSIXFileSystem())
    let processor = Double(processorNanoseconds() - begin.1) * 1e-9
    let seconds = Double(nanoseconds() - begin.0) * 1e-9
    let entries = Double(report.entriesIn)
    // By the clock, with the sync at the end; and by processor time, in which no disk is waited for.
    return Figures(
      operations: entries, seconds: seconds,
      extras: ["input_bytes_per_second": Double(report.bytesIn) / seconds, "entries_per_processor_second": entries / processor])
  }
}

/// Numbers of the tables a merge makes.
final class FileNumbers: Sendable {
  let next = Atomic<UInt64>(100)
}
