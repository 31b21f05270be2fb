import BenchmarkKit
import Foundation
import StrataBitcask
import StrataJobs
import StrataWriteAheadLog
import SystemPackage

/// A store and the load that is put on it. Keys are 16 bytes.
struct StoreLoad: Sendable {
  var records: Int
  var valueBytes: Int
  var seed: UInt64
  var durability: Durability = .none
  var keyStorage: BitcaskOptions.KeyStorage = .memory
  var mergesByItself = false
  var reads: BitcaskOptions.Reads = .positional

  func open(_ directory: URL) throws -> Bitcask {
    var options = BitcaskOptions()
    options.durability = durability
    options.keyStorage = keyStorage
    options.reads = reads
    options.merge.isAutomatic = mergesByItself
    return try Bitcask.open(FilePath(directory.path), options: options)
  }

  /// A store with every record, made once per directory; the marker is written when it is complete.
  func filled(_ directory: URL) throws -> Bitcask {
    let marker = directory.appendingPathComponent("FILLED")
    let store = directory.appendingPathComponent("store")
    if FileManager.default.fileExists(atPath: marker.path) { return try open(store) }
    try? FileManager.default.removeItem(at: store)
    let filling = try open(store)
    let values = Values(seed: seed, size: valueBytes)
    let order = Shuffle(count: UInt64(records), seed: seed)
    for index in 0..<UInt64(records) {
      _ = try filling.submit(.put(Workload.key(order.at(index), seed: seed), Array(values.of(index))))
    }
    try filling.sync()
    try Data().write(to: marker)
    return filling
  }

  // MARK: Loads

  /// Random gets of present keys by several threads.
  func get(_ store: Bitcask, operations: Int, threads: Int) throws -> Figures {
    try timed(operations, threads) { thread, count, histogram in
      var random = WorkloadRandom(seed: seed &+ UInt64(thread) &* 7919)
      var key = [UInt8](repeating: 0, count: 16)
      var sum = 0
      for index in 0..<count {
        Workload.writeKey(random.below(UInt64(records)), seed: seed, into: &key)
        let began = index % 16 == 0 ? nanoseconds() : 0
        let outcome = try store.read(key, onlyIfCached: false) { $0.value.count }
        guard case .found(let length) = outcome else { fatal("a key is missing") }
        if index % 16 == 0 { histogram.record(nanoseconds() - began) }
        sum += length
      }
      guard sum == count * valueBytes else { fatal("values of another length") }
    }
  }

  /// Every key once, in random order, each acknowledged before the next.
  func put(_ store: Bitcask, threads: Int) throws -> Figures {
    let values = Values(seed: seed, size: valueBytes)
    let order = Shuffle(count: UInt64(records), seed: seed)
    return try timed(records, threads) { thread, count, histogram in
      var key = [UInt8](repeating: 0, count: 16)
      for index in thread * count..<(thread + 1) * count {
        Workload.writeKey(order.at(UInt64(index)), seed: seed, into: &key)
        let value = Array(values.of(UInt64(index)))
        let began = index % 16 == 0 ? nanoseconds() : 0
        try store.put(key, value)
        if index % 16 == 0 { histogram.record(nanoseconds() - began) }
      }
    }
  }

  /// Half updates, half reads, keys by Zipf 0.99.
  func mix(_ store: Bitcask, operations: Int) throws -> Figures {
    let values = Values(seed: seed, size: valueBytes)
    let zipf = Zipf(count: UInt64(records))
    return try timed(operations, 1) { thread, count, histogram in
      var random = WorkloadRandom(seed: seed &+ UInt64(thread) &* 7919)
      for index in 0..<count {
        let key = Workload.key(zipf.next(&random), seed: seed)
        let began = index % 16 == 0 ? nanoseconds() : 0
        if random.next() >> 63 == 1 {
          try store.put(key, Array(values.of(UInt64(index))))
        } else {
          guard case .found = try store.read(key, onlyIfCached: false, { $0.value.count }) else { fatal("a key is missing") }
        }
        if index % 16 == 0 { histogram.record(nanoseconds() - began) }
      }
    }
  }

  /// Runs `body` on `threads` threads, each with its share of the operations.
  func timed(
    _ operations: Int, _ threads: Int, _ body: @escaping @Sendable (Int, Int, inout LatencyRecord) throws -> Void
  ) throws -> Figures {
    let share = operations / threads
    let histograms = Monitor([LatencyRecord]())
    let began = nanoseconds()
    let workers = (0..<threads).map { thread in
      Worker(name: "load") {
        var histogram = LatencyRecord()
        do { try body(thread, share, &histogram) } catch { fatal("\(error)") }
        histograms.withLock { $0.append(histogram) }
      }
    }
    for worker in workers { worker.join() }
    let seconds = Double(nanoseconds() - began) * 1e-9
    var all = LatencyRecord()
    for histogram in histograms.withLock({ $0 }) { all.add(histogram) }
    return Figures(operations: Double(share * threads), seconds: seconds, latency: all.latency)
  }
}

func fatal(_ text: String) -> Never {
  FileHandle.standardError.write(Data((text + "\n").utf8))
  exit(1)
}
