import BenchmarkKit
import Foundation
import SystemPackage

// LSMTree beside RocksDB's own db_bench. With `--benchmarks=...` among the arguments the program is a driver with db_bench's flags instead, and
// prints what db_bench prints.

/// Flags that make RocksDB do what the engine does: no compression, ten bits of filter, checksums verified, blocks of 4 KiB, a cache of a gigabyte.
func flags(_ driver: Driver) -> [String] {
  [
    "--num=\(driver.num)", "--reads=\(driver.reads)", "--key_size=16", "--value_size=\(driver.valueBytes)", "--compression_type=none",
    "--cache_size=1073741824", "--bloom_bits=10", "--block_size=4096", "--write_buffer_size=67108864", "--max_background_jobs=2",
    "--level_compaction_dynamic_level_bytes=true", "--open_files=-1", "--verify_checksum=1", "--statistics=0", "--seed=\(driver.seed)",
    "--threads=\(driver.threads)", "--batch_size=\(driver.batch)",
  ]
}

/// Runs db_bench and reads `name : x micros/op y ops/sec` of the load asked for.
func rocksDB(_ driver: Driver, _ directory: URL) throws -> Figures {
  let database = directory.appendingPathComponent("rocksdb")
  let isFresh = !FileManager.default.fileExists(atPath: database.path)
  var name = driver.workload
  var arguments = flags(driver) + ["--db=\(database.path)"]
  if driver.workload == "fillsync" { arguments.append("--sync=1") }
  if driver.workload.hasPrefix("seekrandom") {
    name = "seekrandom"
    arguments.append("--seek_nexts=10")
    if driver.workload == "seekrandomreverse" { arguments.append("--reverse_iterator=true") }
  }
  if driver.needsData {
    if isFresh { _ = try dbBench(arguments.filter { !$0.hasPrefix("--threads") } + ["--benchmarks=fillrandom,compact,waitforcompaction"]) }
    arguments.append("--use_existing_db=1")
  }
  let text = try dbBench(arguments + ["--benchmarks=\(name)"])
  for line in text.split(separator: "\n") where line.hasPrefix(name) {
    let words = line.split(separator: " ")
    guard let place = words.firstIndex(of: "ops/sec"), place > 0, let rate = Double(words[place - 1]), rate > 0 else { continue }
    let operations = driver.workload.hasPrefix("read") || driver.workload.hasPrefix("seek") ? driver.reads : driver.num
    return Figures(operations: Double(operations * driver.threads), seconds: Double(operations * driver.threads) / rate)
  }
  throw BenchFailure(what: "db_bench said nothing of \(name): \(text.suffix(400))")
}

func dbBench(_ arguments: [String]) throws -> String {
  let process = Process()
  process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
  process.arguments = ["db_bench"] + arguments
  let output = Pipe()
  process.standardOutput = output
  process.standardError = FileHandle.nullDevice
  try process.run()
  let data = output.fileHandleForReading.readDataToEndOfFile()
  process.waitUntilExit()
  return String(decoding: data, as: UTF8.self)
}

func comparison(_ title: String, _ driver: Driver, atLeast limit: Double) -> Comparison {
  let subject = Contender("strata", keepsData: driver.needsData) { round in
    let (operations, seconds) = try driver.run(in: round.directory.path)
    return Figures(operations: Double(operations), seconds: seconds)
  }
  let peer = Contender("rocksdb", keepsData: driver.needsData) { round in try rocksDB(driver, round.directory) }
  return Comparison(
    title, unit: "operations", parameters: [("num", "\(driver.num)"), ("value bytes", "\(driver.valueBytes)")], subject: subject, peers: [peer],
    goals: [.ratio(to: "rocksdb", atLeast: limit)])
}

func comparisons(_ options: BenchmarkOptions) -> [Comparison] {
  let num = options.scaled(1_000_000)
  func driver(_ workload: String, num count: Int? = nil, threads: Int = 1, batch: Int = 1) -> Driver {
    Driver(workload: workload, num: count ?? num, reads: count ?? num, threads: threads, batch: batch, seed: options.seed)
  }
  return [
    comparison("fillseq", driver("fillseq"), atLeast: 1.2),
    comparison("fillrandom", driver("fillrandom"), atLeast: 1.2),
    comparison("overwrite", driver("overwrite"), atLeast: 1.2),
    comparison("fillrandom, 4 threads", driver("fillrandom", num: num / 4, threads: 4), atLeast: 1.2),
    comparison("fillrandom, batches of 100", driver("fillrandom", batch: 100), atLeast: 1.2),
    comparison("fillsync", driver("fillsync", num: max(1, options.scaled(2000))), atLeast: 1.0),
    comparison("readrandom", driver("readrandom"), atLeast: 1.1),
    comparison("readmissing", driver("readmissing"), atLeast: 1.2),
    comparison("seekrandom, 10 nexts", driver("seekrandom"), atLeast: 1.1),
    comparison("seekrandom, 10 nexts, reverse", driver("seekrandomreverse"), atLeast: 1.1),
    comparison("readseq", driver("readseq"), atLeast: 1.0),
    comparison("readreverse", driver("readreverse"), atLeast: 1.0),
  ]
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
    let (operations, seconds) = try driver.run(in: directory)
    let micros = String(format: "%.3f", seconds * 1e6 / Double(operations))
    print("\(workload.padding(toLength: 12, withPad: " ", startingAt: 0)) : \(micros) micros/op \(Int(Double(operations) / seconds)) ops/sec")
  }
}

if CommandLine.arguments.contains(where: { $0.hasPrefix("--benchmarks=") }) {
  do { try drive(Array(CommandLine.arguments.dropFirst())) } catch {
    FileHandle.standardError.write(Data("bench-lsm: \(error)\n".utf8))
    exit(1)
  }
} else {
  await runBenchmark("bench-lsm") { comparisons($0) }
}
