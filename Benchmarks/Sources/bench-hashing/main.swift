import BenchmarkKit

// Which node holds a key: every kind of placement beside the same structure in C++, ketama beside libmemcached. Keys of 16 bytes, hash included.

await runBenchmark("bench-hashing") { try comparisons($0) }
