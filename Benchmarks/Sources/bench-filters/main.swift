import BenchmarkKit

// Filters beside their peers in C++, one thread, hashes made beforehand. Half of the questions are for keys that are there.
await runBenchmark("bench-filters", comparisons)
