import BenchmarkKit
import Foundation
import StrataWriteAheadLog
import SystemPackage

// The write-ahead log beside C, LevelDB's log and RocksDB: the table of Docs/Requirements/WriteAheadLog.md.

func subject(_ load: WriterLoad, _ options: BenchmarkOptions, named name: String = "strata") -> Contender {
  Contender(name) { round in try load.run(in: round.directory, seed: options.seed) }
}

func arguments(_ options: BenchmarkOptions, records: Int, bytes: Int, threads: Int = 1) -> [String] {
  [
    "--records", "\(records)", "--value-size", "\(bytes)", "--seed", "\(options.seed)",
  ] + (threads > 1 ? ["--threads", "\(threads)"] : [])
}

func synced(_ options: BenchmarkOptions) -> [Comparison] {
  let single = options.scaled(2_000)
  let many = options.scaled(64_000)
  let alone = WriterLoad(records: single, valueBytes: 128, durability: .everyWrite)
  let crowd = WriterLoad(writers: 64, records: many, valueBytes: 128, durability: .everyWrite)
  return [
    Comparison(
      "1 writer, 128 B, every write synced", unit: "records", parameters: [("records", "\(single)")], subject: subject(alone, options),
      peers: [.peer("rawsync", arguments(options, records: single, bytes: 128), as: "pwrite+fdatasync")],
      goals: [.ratio(to: "pwrite+fdatasync", atLeast: 0.95), .p99(ofPeer: "pwrite+fdatasync", atMost: 2.5)]),
    Comparison(
      "64 writers, 128 B, every write synced", unit: "records", parameters: [("records", "\(many)")], subject: subject(crowd, options),
      peers: [
        .peer("rocksdb_put", ["--workload", "fillseq-sync"] + arguments(options, records: many, bytes: 128, threads: 64), as: "rocksdb"),
        subject(alone, options, named: "strata, 1 writer"),
      ], goals: [.ratio(to: "rocksdb", atLeast: 1.3), .ratio(to: "strata, 1 writer", atLeast: 20)]),
  ]
}

func unsynced(_ options: BenchmarkOptions) -> [Comparison] {
  let records = options.scaled(2_000_000)
  var comparisons = [1, 4].map { writers in
    Comparison(
      "\(writers) writer\(writers > 1 ? "s" : ""), 100 B, none, each handed to the kernel", unit: "records",
      parameters: [("records", "\(records)")],
      subject: subject(WriterLoad(writers: writers, records: records, valueBytes: 100, durability: .none, sampling: 16), options),
      peers: [
        .peer("leveldb_log", ["--workload", "append"] + arguments(options, records: records, bytes: 100, threads: writers), as: "leveldb log")
      ], goals: [.ratio(to: "leveldb log", atLeast: 1)])
  }
  comparisons.append(
    Comparison(
      "1 writer, 100 B, none, submitted and written behind", unit: "records", parameters: [("records", "\(records * 2)")],
      subject: subject(WriterLoad(records: records * 2, valueBytes: 100, durability: .none, waits: false), options),
      peers: [.peer("leveldb_log", ["--workload", "append"] + arguments(options, records: records, bytes: 100), as: "leveldb log")],
      goals: [.ratio(to: "leveldb log", atLeast: 1), .throughput(atLeast: 3e6)]))
  for (bytes, total) in [(4 << 10, 1 << 30), (1 << 20, 2 << 30)] {
    let count = options.scaled(total / bytes)
    comparisons.append(
      Comparison(
        "1 writer, \(bytes >> 10) KiB, none", unit: "records", parameters: [("records", "\(count)")],
        subject: subject(WriterLoad(records: count, valueBytes: bytes, durability: .none, sampling: 16), options),
        peers: [.peer("rawwrite", arguments(options, records: count, bytes: bytes), as: "write+crc")],
        goals: [.ratio(to: "write+crc", atLeast: 0.85)]))
  }
  return comparisons
}

func reading(_ options: BenchmarkOptions) -> [Comparison] {
  let records = options.scaled((1 << 30) / 100)
  let large = options.scaled(10 << 10)
  let replay = Contender("strata", keepsData: true) { round in
    try fill(round.directory, records: records, valueBytes: 100, seed: options.seed)
    var mode = WALOptions()
    mode.recovery = .salvage
    let log = try WriteAheadLog.open(FilePath(round.directory.path), options: mode).log
    var sum: UInt64 = 0
    var count = 0
    let began = nanoseconds()
    try log.replay().forEach { (sequence, _, payload, _) throws(Never) in
      count += 1
      sum &+= sequence &+ UInt64(payload.byteCount)
    }
    let seconds = Double(nanoseconds() - began) * 1e-9
    guard count == records else { fatal("replay gave \(count) of \(records) records") }
    return Figures(
      operations: Double(records), seconds: seconds,
      extras: ["check": Double(sum % 997), "ns_per_payload_byte": seconds * 1e9 / Double(records * 100)])
  }
  let opening = Contender("strata", keepsData: true) { round in
    try fill(round.directory, records: large, valueBytes: 1 << 20, seed: options.seed, checkpoint: true)
    let began = nanoseconds()
    let (log, report) = try WriteAheadLog.open(FilePath(round.directory.path))
    let seconds = Double(nanoseconds() - began) * 1e-9
    guard log.lastCheckpoint?.payload == [1, 2, 3] else { fatal("the checkpoint is missing") }
    try log.close()
    return Figures(operations: 1, seconds: seconds, extras: ["segments": Double(report.segments), "bytes_scanned": Double(report.bytesScanned)])
  }
  return [
    Comparison(
      "replay of 1 GiB in 100 B records, cached", unit: "records", parameters: [("records", "\(records)")], subject: replay,
      peers: [
        .peer("leveldb_log", ["--workload", "replay"] + arguments(options, records: records, bytes: 100), as: "leveldb log", keepsData: true)
      ], goals: [.ratio(to: "leveldb log", atLeast: 1), .extra("ns_per_payload_byte", atMost: 1)]),
    Comparison(
      "open of a 10 GiB log with a checkpoint", unit: "opens", parameters: [("log", "\(large) MiB")], subject: opening, peers: [],
      goals: [.seconds(atMost: 0.15)]),
  ]
}

await runBenchmark("bench-wal") { options in synced(options) + unsynced(options) + reading(options) }
