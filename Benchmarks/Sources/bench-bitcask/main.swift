import BenchmarkKit
import Foundation
import StrataBitcask
import StrataWriteAheadLog
import SystemPackage

// Bitcask beside TKRZW, LMDB, RocksDB and cp: the table of Docs/Requirements/Bitcask.md. `--scale 10` is the size the targets are stated for.

struct Shape: Sendable {
  var options: BenchmarkOptions
  var records: Int
  var valueBytes: Int

  var load: StoreLoad { StoreLoad(records: records, valueBytes: valueBytes, seed: options.seed) }

  func arguments(_ workload: String, threads: Int = 1, _ more: [String] = []) -> [String] {
    [
      "--workload", workload, "--records", "\(records)", "--value-size", "\(valueBytes)", "--seed", "\(options.seed)", "--threads", "\(threads)",
    ] + more
  }

  var parameters: [(name: String, value: String)] { [("keys", "\(records)"), ("value", "\(valueBytes) B")] }
}

func gets(_ shape: Shape, threads: Int) -> Comparison {
  let operations = shape.options.scaled(1_000_000)
  let more = ["--operations", "\(operations)"]
  return Comparison(
    "random get, \(shape.valueBytes) B, \(threads) thread\(threads > 1 ? "s" : "")", unit: "gets", parameters: shape.parameters,
    subject: Contender("strata", keepsData: true) { round in
      let store = try shape.load.filled(round.directory)
      let figures = try shape.load.get(store, operations: operations, threads: threads)
      try store.close()
      return figures
    },
    peers: [
      Contender("strata mapped", keepsData: true) { round in
        var load = shape.load
        load.reads = .mapped
        let store = try load.filled(round.directory)
        let figures = try load.get(store, operations: operations, threads: threads)
        try store.close()
        return figures
      },
      .peer("tkrzw_hash", shape.arguments("get", threads: threads, more + ["--file", "positional"]), as: "tkrzw positional", keepsData: true),
      .peer("tkrzw_hash", shape.arguments("get", threads: threads, more + ["--file", "mmap"]), as: "tkrzw mmap", keepsData: true),
      .peer("rocksdb_put", shape.arguments("get", threads: threads, more), as: "rocksdb", keepsData: true),
      .peer("lmdb_get", shape.arguments("get", threads: threads, more), as: "lmdb", keepsData: true),
    ],
    goals: [
      .ratio(to: "tkrzw positional", atLeast: 1), .ratio(to: "tkrzw mmap", atLeast: 0.6), .ratio(to: "rocksdb", atLeast: 2),
      .ratio(to: "lmdb", atLeast: 0.6),
    ])
}

func puts(_ shape: Shape) -> Comparison {
  Comparison(
    "put, \(shape.valueBytes) B, unsynced, random order", unit: "puts", parameters: shape.parameters,
    subject: Contender("strata") { round in
      let store = try shape.load.open(round.directory)
      let figures = try shape.load.put(store, threads: 1)
      try store.close()
      return figures
    },
    peers: [
      .peer("tkrzw_hash", shape.arguments("put", ["--file", "positional"]), as: "tkrzw positional"),
      .peer("tkrzw_hash", shape.arguments("put", ["--file", "mmap"]), as: "tkrzw mmap"),
      .peer("rocksdb_put", shape.arguments("fillrandom"), as: "rocksdb"),
    ],
    goals: [
      .ratio(to: "tkrzw positional", atLeast: 2), .ratio(to: "tkrzw mmap", atLeast: 0.6), .ratio(to: "rocksdb", atLeast: 2),
      .throughput(atLeast: 500_000),
    ])
}

func syncedPuts(_ options: BenchmarkOptions) -> Comparison {
  let records = options.scaled(64_000)
  var load = StoreLoad(records: records, valueBytes: 128, seed: options.seed)
  load.durability = .everyWrite
  let log = Contender("strata wal") { [load] round in
    let log = try WriteAheadLog.open(FilePath(round.directory.path)).log
    let value = [UInt8](repeating: 7, count: 128 + 16)
    let figures = try load.append(log, value, threads: 64)
    try log.close()
    return figures
  }
  return Comparison(
    "put, 128 B, every write synced, 64 writers", unit: "puts", parameters: [("keys", "\(records)")],
    subject: Contender("strata") { [load] round in
      let store = try load.open(round.directory)
      let figures = try load.put(store, threads: 64)
      try store.close()
      return figures
    }, peers: [log], goals: [.ratio(to: "strata wal", atLeast: 0.95)])
}

func mixed(_ options: BenchmarkOptions) -> Comparison {
  let shape = Shape(options: options, records: options.scaled(200_000), valueBytes: 1024)
  // Ten times the data overwritten: half of the operations are updates.
  let operations = shape.records * 20
  return Comparison(
    "half updates, half reads, Zipf 0.99, 1 KiB, ten times overwritten", unit: "operations", parameters: shape.parameters,
    subject: Contender("strata") { round in
      var load = shape.load
      load.mergesByItself = true
      let store = try load.filled(round.directory)
      var figures = try load.mix(store, operations: operations)
      let live = Double(shape.records * (1024 + 16))
      figures.extras["disk_over_live"] = Double(store.totalDiskUsage) / live
      figures.extras["write_amplification"] = store.statistics.writeAmplification
      try store.close()
      return figures
    }, peers: [.peer("rocksdb_put", shape.arguments("mix", ["--operations", "\(operations)"]), as: "rocksdb")],
    goals: [.ratio(to: "rocksdb", atLeast: 1.5), .extra("disk_over_live", atMost: 2.5)])
}

func openings(_ options: BenchmarkOptions) -> [Comparison] {
  let shape = Shape(options: options, records: options.scaled(1_000_000), valueBytes: 100)
  func opening(_ name: String, withHints: Bool) -> Contender {
    Contender(name, keepsData: true) { round in
      let filled = try shape.load.filled(round.directory)
      if withHints { try filled.createHintFiles() }
      let bytes = Double(filled.totalDiskUsage)
      try filled.close()
      let directory = round.directory.appendingPathComponent("store")
      if !withHints {
        for file in try FileManager.default.contentsOfDirectory(at: directory, includingPropertiesForKeys: nil) where file.pathExtension == "hint" {
          try FileManager.default.removeItem(at: file)
        }
      }
      let before = residentBytes()
      let began = nanoseconds()
      let store = try shape.load.open(directory)
      let seconds = Double(nanoseconds() - began) * 1e-9
      let grown = Double(residentBytes() - before)
      guard store.count == shape.records else { fatal("opened with \(store.count) of \(shape.records) keys") }
      let index = Double(store.statistics.indexBytes)
      try store.close()
      return Figures(
        operations: Double(shape.records), seconds: seconds,
        extras: [
          "ns_per_byte": seconds * 1e9 / bytes, "index_bytes_per_key": index / Double(shape.records) - 16,
          "rss_growth_per_key": grown / Double(shape.records),
        ])
    }
  }
  return [
    Comparison(
      "open with hints", unit: "keys", parameters: shape.parameters, subject: opening("strata", withHints: true), peers: [],
      goals: [.throughput(atLeast: 5e6), .extra("index_bytes_per_key", atMost: 30)]),
    Comparison(
      "open without hints", unit: "keys", parameters: shape.parameters, subject: opening("strata", withHints: false), peers: [],
      goals: [.extra("ns_per_byte", atMost: 1)]),
  ]
}

func merging(_ options: BenchmarkOptions) -> Comparison {
  let shape = Shape(options: options, records: options.scaled(500_000), valueBytes: 1024)
  let merge = Contender("strata") { round in
    let store = try shape.load.filled(round.directory)
    let bytes = Double(store.totalDiskUsage)
    let began = nanoseconds()
    let report = try store.merge(.all)
    let seconds = Double(nanoseconds() - began) * 1e-9
    try store.close()
    return Figures(operations: bytes, seconds: seconds, extras: ["records_dropped": Double(report.recordsDropped)])
  }
  let copy = Contender("cp, sync and crc") { round in
    let store = try shape.load.filled(round.directory)
    let bytes = Double(store.totalDiskUsage)
    try store.close()
    let source = round.directory.appendingPathComponent("store")
    let target = round.directory.appendingPathComponent("copy")
    let began = nanoseconds()
    try copyAndSum(source, target)
    return Figures(operations: bytes, seconds: Double(nanoseconds() - began) * 1e-9)
  }
  return Comparison(
    "merge of live records", unit: "bytes", parameters: shape.parameters, subject: merge, peers: [copy],
    goals: [.ratio(to: "cp, sync and crc", atLeast: 0.6)])
}

await runBenchmark("bench-bitcask") { options in
  let small = Shape(options: options, records: options.scaled(1_000_000), valueBytes: 100)
  let large = Shape(options: options, records: options.scaled(1_000_000), valueBytes: 1024)
  return [gets(small, threads: 1), gets(small, threads: 2), gets(large, threads: 1), puts(small), puts(large), syncedPuts(options), mixed(options)]
    + openings(options) + [merging(options)]
}
