import BenchmarkKit
import Foundation

/// RocksDB's own program on the load of a driver.
struct DBBench {
  var driver: Driver

  /// The load's name there: one for seeks either way, and synced writes by a flag, since its own `fillsync` makes a thousandth of the operations.
  private var name: String {
    switch driver.workload {
    case "seekrandomreverse": "seekrandom"
    case "fillsync": "fillrandom"
    default: driver.workload
    }
  }

  /// Flags that make RocksDB do what the engine does: ten bits of filter, checksums verified, blocks of 4 KiB, the same cache.
  private func flags(_ directory: URL) -> [String] {
    var flags = [
      "--num=\(driver.num)", "--reads=\(driver.reads)", "--key_size=16", "--value_size=\(driver.valueBytes)",
      "--compression_type=\(driver.compression == .lz4 ? "lz4" : "none")", "--cache_size=\(driver.cacheBytes)", "--bloom_bits=10",
      "--block_size=4096",
      "--write_buffer_size=67108864", "--max_background_jobs=2", "--level_compaction_dynamic_level_bytes=true", "--open_files=-1",
      "--verify_checksum=1", "--statistics=0", "--seed=\(driver.seed)", "--batch_size=\(driver.batch)",
      "--db=\(directory.appendingPathComponent("rocksdb").path)",
    ]
    if driver.workload == "fillsync" { flags.append("--sync=1") }
    if driver.workload.hasPrefix("seekrandom") { flags.append("--seek_nexts=10") }
    if driver.workload == "seekrandomreverse" { flags.append("--reverse_iterator=true") }
    if driver.workload == "mergerandom" { flags.append("--merge_operator=uint64add") }
    if driver.isPipelined { flags += ["--enable_pipelined_write=1", "--unordered_write=0"] }
    if driver.isBesideWriter { flags += ["--benchmark_write_rate_limit=10485760", "--histogram=1"] }
    return flags
  }

  /// Fills and compacts the database where that is wanted and not done, and returns the flags for the load itself.
  private func prepared(_ directory: URL) throws -> [String] {
    let flags = flags(directory)
    guard driver.needsData else { return flags + ["--threads=\(driver.threads)"] }
    if !FileManager.default.fileExists(atPath: directory.appendingPathComponent("rocksdb").path) {
      _ = try run(flags + ["--benchmarks=fillrandom,compact,waitforcompaction"])
    }
    return flags + ["--threads=\(driver.threads)", "--use_existing_db=1"]
  }

  func figures(in directory: URL) throws -> Figures {
    let text = try run(try prepared(directory) + ["--benchmarks=\(name)"])
    let rate = try rate(text)
    let operations = Double((driver.isRead ? driver.reads : driver.num) * driver.threads)
    // The writer's times are printed too, after the readers'.
    let latency = driver.isBesideWriter ? latency(text, heading: driver.workload.hasPrefix("read") ? "per read" : "per seek") : nil
    return Figures(operations: operations, seconds: operations / rate, latency: latency)
  }

  /// `name : x micros/op y ops/sec` of the load.
  private func rate(_ text: String) throws -> Double {
    for line in text.split(separator: "\n") where line.hasPrefix(name) {
      let words = line.split(separator: " ")
      if let place = words.firstIndex(of: "ops/sec"), place > 0, let rate = Double(words[place - 1]), rate > 0 { return rate }
    }
    throw BenchFailure(what: "db_bench said nothing of \(name): \(text.suffix(400))")
  }

  private func latency(_ text: String, heading: String) -> Latency? {
    guard let start = text.range(of: heading) else { return nil }
    let part = text[start.upperBound...]
    func number(after label: String) -> Double? {
      guard let place = part.range(of: label) else { return nil }
      return part[place.upperBound...].split(whereSeparator: { $0 == " " || $0 == "\n" }).first.flatMap { Double($0) }.map { $0 * 1000 }
    }
    guard let p50 = number(after: "P50:"), let p99 = number(after: "P99:"), let p999 = number(after: "P99.9:"), let max = number(after: "Max:") else {
      return nil
    }
    return Latency(p50: p50, p99: p99, p999: p999, max: max)
  }

  /// A long overwrite: its rate second by second, the longest write, and what the store wrote and holds for it.
  func steady(in directory: URL, seconds: Double) throws -> Figures {
    let report = directory.appendingPathComponent("rates.csv")
    let text = try run(
      try prepared(directory) + [
        "--benchmarks=overwrite,stats", "--duration=\(Int(seconds))", "--histogram=1", "--report_interval_seconds=1", "--report_file=\(report.path)",
      ])
    let rates = try String(contentsOf: report, encoding: .utf8).split(separator: "\n").compactMap { line -> Double? in
      line.split(separator: ",").last.flatMap { Double($0) }
    }
    guard let longest = latency(text, heading: "per write")?.max else { throw BenchFailure(what: "db_bench gave no times: \(text.suffix(400))") }
    // The line of all levels: files, size and unit, score, six volumes, then the amplification.
    let sums = text.split(separator: "\n").filter { $0.hasPrefix(" Sum") }.first?.split(separator: " ").map(String.init) ?? []
    guard sums.count > 11, let amplification = Double(sums[11]) else { throw BenchFailure(what: "db_bench gave no amplification") }
    return try SteadyState(
      rates: rates, longest: longest / 1e6, writeAmplification: amplification,
      storedBytes: bytes(below: directory.appendingPathComponent("rocksdb"), ending: ".sst"), liveBytes: driver.num * (16 + driver.valueBytes)
    ).figures(seconds)
  }

  /// How long a database of so many tables of 64 KiB takes to open, as the program itself says; made and compacted first where it is not there.
  static func open(tables: Int, in directory: URL) throws -> Figures {
    var driver = Driver(workload: "fillseq", num: tables * 650, reads: 0)
    driver.cacheBytes = 1 << 30
    let database = DBBench(driver: driver)
    let flags = database.flags(directory) + ["--target_file_size_base=\(64 << 10)"]
    let files = directory.appendingPathComponent("rocksdb")
    if !FileManager.default.fileExists(atPath: files.path) {
      _ = try database.run(flags + ["--benchmarks=fillseq,compact,waitforcompaction"])
    }
    let text = try database.run(flags + ["--use_existing_db=1", "--benchmarks=levelstats", "--report_open_timing=true"])
    guard let place = text.range(of: "OpenDb:"),
      let milliseconds = text[place.upperBound...].split(whereSeparator: { $0 == " " || $0 == "\n" }).first.flatMap({ Double($0) })
    else { throw BenchFailure(what: "db_bench gave no time of opening: \(text.suffix(400))") }
    let count = try FileManager.default.contentsOfDirectory(atPath: files.path).count { $0.hasSuffix(".sst") }
    return Figures(
      operations: Double(count), seconds: milliseconds / 1000, extras: ["tables": Double(count), "open ms": milliseconds])
  }

  private func run(_ arguments: [String]) throws -> String {
    try output(of: URL(fileURLWithPath: "/usr/bin/env"), ["db_bench"] + arguments, isChatty: true)
  }
}
