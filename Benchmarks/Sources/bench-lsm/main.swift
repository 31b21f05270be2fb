import BenchmarkKit
import Foundation
import SystemPackage

// LSMTree beside RocksDB's own db_bench. With `--benchmarks=...` among the arguments the program is a driver with db_bench's flags instead, and
// prints what db_bench prints.

func comparison(_ title: String, _ driver: Driver, atLeast limit: Double) -> Comparison {
  let subject = Contender("strata", keepsData: driver.needsData) { try driver.run(in: $0.directory.path) }
  let peers = [Contender("rocksdb", keepsData: driver.needsData) { try DBBench(driver: driver).figures(in: $0.directory) }] + levelDB(driver)
  return Comparison(
    title, unit: "operations",
    parameters: [("num", "\(driver.num)"), ("value bytes", "\(driver.valueBytes)"), ("threads", "\(driver.threads)"), ("batch", "\(driver.batch)")],
    subject: subject, peers: peers,
    goals: [.ratio(to: "rocksdb", atLeast: limit)] + (driver.isBesideWriter ? [.p999(ofPeer: "rocksdb", atMost: 1.0)] : []))
}

/// LevelDB on the loads it has: one thread that reads or writes, no compression.
func levelDB(_ driver: Driver) -> [Contender] {
  let loads = [
    "fillseq", "fillrandom", "overwrite", "fillsync", "readrandom", "readmissing", "seekrandom", "seekrandomreverse", "readseq", "readreverse",
  ]
  guard loads.contains(driver.workload), driver.threads == 1, driver.compression == .none else { return [] }
  return [
    .peer(
      "leveldb_bench",
      [
        "--load", driver.workload, "--num", "\(driver.num)", "--reads", "\(driver.reads)", "--value-size", "\(driver.valueBytes)", "--batch",
        "\(driver.batch)", "--cache", "\(driver.cacheBytes)", "--seed", "\(driver.seed)",
      ], as: "leveldb", keepsData: driver.needsData)
  ]
}

/// The store after a long time of overwriting; by default 20 s a round, with `--scale 30` the ten minutes and
/// ten million keys of the target.
func steadyState(_ driver: Driver, seconds: Double) -> Comparison {
  Comparison(
    "overwrite, steady state", unit: "operations", parameters: [("num", "\(driver.num)"), ("seconds", "\(Int(seconds))")],
    subject: Contender("strata") { try driver.steady(in: $0.directory, seconds: seconds) },
    peers: [Contender("rocksdb") { try DBBench(driver: driver).steady(in: $0.directory, seconds: seconds) }],
    goals: [
      .extra("write amplification", ofPeer: "rocksdb", atMost: 1.05), .extra("space amplification", atMost: 1.15),
      .extra("longest write ms", atMost: 1000), .extra("variation %", atMost: 20),
    ])
}

func seekBehindDeletions(_ driver: Driver, _ count: Int) -> Comparison {
  Comparison(
    "seek behind deleted neighbours", unit: "operations", parameters: [("num", "\(driver.num)"), ("deleted", "\(count)")],
    subject: Contender("strata") { try driver.seekBehindDeletions(count, in: $0.directory) }, peers: [],
    goals: [.extra("first seek us", atMost: 50), .extra("seek within 5 s us", atMost: 50)])
}

func comparisons(_ options: BenchmarkOptions) -> [Comparison] {
  let num = options.scaled(1_000_000)
  func driver(_ workload: String, num count: Int? = nil, threads: Int = 1, batch: Int = 1) -> Driver {
    Driver(workload: workload, num: count ?? num, reads: count ?? num, threads: threads, batch: batch, seed: options.seed)
  }
  /// A second pass: values of 400 bytes, compressed.
  func compressed(_ driver: Driver) -> Driver {
    var driver = driver
    driver.valueBytes = 400
    driver.compression = .lz4
    return driver
  }
  /// A store ten times as large as its cache.
  func uncached(_ driver: Driver) -> Driver {
    var driver = driver
    driver.cacheBytes = max(1 << 20, driver.num * (16 + driver.valueBytes) / 10)
    return driver
  }
  func pipelined(_ driver: Driver) -> Driver {
    var driver = driver
    driver.isPipelined = true
    return driver
  }
  func merging(_ driver: Driver) -> Driver {
    var driver = driver
    driver.valueBytes = 8
    return driver
  }
  return [
    comparison("fillseq", driver("fillseq"), atLeast: 1.2),
    comparison("fillrandom", driver("fillrandom"), atLeast: 1.2),
    comparison("overwrite", driver("overwrite"), atLeast: 1.2),
    comparison("fillrandom, 4 threads", driver("fillrandom", num: num / 4, threads: 4), atLeast: 1.2),
    comparison("fillrandom, batches of 100", driver("fillrandom", batch: 100), atLeast: 1.2),
    comparison("fillrandom, 4 threads, pipelined", pipelined(driver("fillrandom", num: num / 4, threads: 4)), atLeast: 1.2),
    comparison("fillrandom, batches of 100, pipelined", pipelined(driver("fillrandom", batch: 100)), atLeast: 1.2),
    comparison("fillsync", driver("fillsync", num: max(1, options.scaled(2000))), atLeast: 1.0),
    comparison("fillsync, 32 threads", driver("fillsync", num: max(1, options.scaled(500)), threads: 32), atLeast: 1.2),
    comparison("readrandom", driver("readrandom"), atLeast: 1.1),
    comparison("readrandom, 2 threads", driver("readrandom", threads: 2), atLeast: 1.1),
    comparison("readrandom, ten times the cache", uncached(driver("readrandom")), atLeast: 1.0),
    comparison("readmissing", driver("readmissing"), atLeast: 1.2),
    comparison("multireadrandom, batches of 10", driver("multireadrandom", batch: 10), atLeast: 1.0),
    comparison("seekrandom, 10 nexts", driver("seekrandom"), atLeast: 1.1),
    comparison("seekrandom, 10 nexts, reverse", driver("seekrandomreverse"), atLeast: 1.1),
    comparison("readseq", driver("readseq"), atLeast: 1.0),
    comparison("readreverse", driver("readreverse"), atLeast: 1.0),
    comparison("readwhilewriting, 2 threads", driver("readwhilewriting", threads: 2), atLeast: 1.0),
    comparison("seekrandomwhilewriting, 2 threads", driver("seekrandomwhilewriting", threads: 2), atLeast: 1.0),
    comparison("mergerandom", merging(driver("mergerandom")), atLeast: 1.0),
    comparison("fillrandom, lz4", compressed(driver("fillrandom")), atLeast: 1.2),
    comparison("readrandom, lz4", compressed(driver("readrandom")), atLeast: 1.1),
    comparison("readseq, lz4", compressed(driver("readseq")), atLeast: 1.0),
    steadyState(driver("overwrite", num: min(num, 10_000_000)), seconds: Double(options.scaled(20))),
    seekBehindDeletions(driver("seekrandom", num: 2 * num), num),
  ] + openings(options) + memoryRows(options)
}

/// The driver alone: `bench-lsm --benchmarks=fillseq,readrandom --num=1000000 --db=DIR ...`, every flag as db_bench's; those that say nothing to this
/// engine are taken and left.
func drive(_ arguments: [String]) throws {
  var flags: [String: String] = [:]
  for argument in arguments {
    let parts = argument.drop { $0 == "-" }.split(separator: "=", maxSplits: 1).map(String.init)
    if parts.count == 2 { flags[parts[0]] = parts[1] }
  }
  let num = flags["num"].flatMap { Int($0) } ?? 1_000_000
  for workload in (flags["benchmarks"] ?? "").split(separator: ",").map(String.init) {
    let driver = Driver(
      workload: workload, num: num, reads: flags["reads"].flatMap { Int($0) } ?? num, threads: flags["threads"].flatMap { Int($0) } ?? 1,
      batch: flags["batch_size"].flatMap { Int($0) } ?? 1, valueBytes: flags["value_size"].flatMap { Int($0) } ?? 100,
      seed: flags["seed"].flatMap { UInt64($0) } ?? 1)
    let directory = flags["db"] ?? "bench-lsm-data"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    let figures = try driver.run(in: directory)
    let micros = String(format: "%.3f", figures.seconds * 1e6 / figures.operations)
    print("\(workload.padding(toLength: 12, withPad: " ", startingAt: 0)) : \(micros) micros/op \(Int(figures.throughput)) ops/sec")
  }
}

if CommandLine.arguments.dropFirst().first == MemoryLoad.flag {
  do { try MemoryLoad(arguments: Array(CommandLine.arguments.dropFirst(2))).measure() } catch {
    FileHandle.standardError.write(Data("bench-lsm: \(error)\n".utf8))
    exit(1)
  }
} else if CommandLine.arguments.contains(where: { $0.hasPrefix("--benchmarks=") }) {
  do { try drive(Array(CommandLine.arguments.dropFirst())) } catch {
    FileHandle.standardError.write(Data("bench-lsm: \(error)\n".utf8))
    exit(1)
  }
} else {
  await runBenchmark("bench-lsm") { comparisons($0) }
}
