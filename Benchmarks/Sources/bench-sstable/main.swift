import BenchmarkKit

// Sorted tables beside those of RocksDB: the table of Docs/Requirements/SSTable.md. One thread, 16-byte keys, 100-byte values, no compression, blocks
// of 4096 bytes, 10 bits of filter per key, checksums verified.

/// The entries of a run and the flags that give a peer the same.
func arguments(_ op: String, _ entries: Int, _ operations: Int, _ seed: UInt64) -> [String] {
  ["--op", op, "--records", "\(entries)", "--operations", "\(operations)", "--seed", "\(seed)"]
}

func comparisons(_ options: BenchmarkOptions) throws -> [Comparison] {
  let entries = options.scaled(1_000_000)
  let gets = options.scaled(1_000_000)
  let parameters = [("entries", "\(entries)")]
  let tables = Tables(entries: entries, seed: options.seed)
  func peer(_ op: String, _ operations: Int) -> Contender {
    .peer("rocksdb_table", arguments(op, entries, operations, options.seed), as: "rocksdb")
  }
  return [
    Comparison(
      "build a table", unit: "entries", parameters: parameters, subject: Contender("strata") { try tables.build($0.directory.path) },
      peers: [peer("build", 0)],
      goals: [.ratio(to: "rocksdb", atLeast: 1), .extra("false_positives", atMost: 0.01), .extra("index_share", atMost: 0.001)]),
    Comparison(
      "read all entries, cached, forward", unit: "entries", parameters: parameters,
      subject: Contender("strata") { try tables.scan($0.directory.path, isForward: true) }, peers: [peer("forward", 0)],
      goals: [.ratio(to: "rocksdb", atLeast: 1)]),
    Comparison(
      "read all entries, cached, backward", unit: "entries", parameters: parameters,
      subject: Contender("strata") { try tables.scan($0.directory.path, isForward: false) },
      peers: [peer("backward", 0), Contender("strata, forward") { try tables.scan($0.directory.path, isForward: true) }],
      goals: [.ratio(to: "rocksdb", atLeast: 1), .ratio(to: "strata, forward", atLeast: 0.65)]),
    Comparison(
      "get, one cached table", unit: "gets", parameters: parameters,
      subject: Contender("strata") { try tables.get($0.directory.path, gets) }, 
      peers: [
        peer("get", gets), Contender("strata, hash index") { try tables.get($0.directory.path, gets, keysPerBucket: 0.75) },
      ], goals: [.extra("p50_get_ns", atMost: 700)]),
    Comparison(
      "merge of four tables", unit: "entries", parameters: parameters, subject: Contender("strata") { try tables.merge($0.directory.path) },
      peers: [peer("merge", 0)],
      goals: [.throughput(atLeast: 2.5e6), .extra("input_bytes_per_second", atLeast: 300e6)]),
  ]
}

await runBenchmark("bench-sstable", comparisons)
