import BenchmarkKit
import StrataBytes

// The checksum under every format, beside one lane of the processor's instruction.

/// Checksums `count` buffers of `size` bytes; an operation is a byte.
@Sendable func checksum(_ count: Int, _ size: Int) -> Figures {
  let bytes = Array(Values(seed: 1, size: size).of(0))
  var sum = 0
  let begin = nanoseconds()
  for _ in 0..<count {
    let span = bytes.span.bytes
    sum &+= Int(crc32c(span.extracting((sum & 1)..<(sum & 1) + size - 1)))
  }
  let seconds = Double(nanoseconds() - begin) * 1e-9
  // The sum's last bit keeps the compiler from dropping the work.
  let extras = ["ns_per_call": seconds * 1e9 / Double(count), "crc": Double(sum & 1)]
  return Figures(operations: Double(count * (size - 1)), seconds: seconds, extras: extras)
}

func comparison(_ title: String, size: Int, count: Int, goals: [Goal]) -> Comparison {
  Comparison(
    title, unit: "bytes", parameters: [("buffer", "\(size - 1) B"), ("buffers", "\(count)")],
    subject: Contender("strata") { _ in checksum(count, size) },
    peers: [.peer("crc", ["--records", "\(count)", "--value-size", "\(size)"], as: "one lane in C")], goals: goals)
}

await runBenchmark("bench-core") { options in
  [
    comparison("crc32c of 16 B", size: 17, count: options.scaled(50_000_000), goals: [.extra("ns_per_call", atMost: 4)]),
    comparison("crc32c of 4 KiB", size: 4097, count: options.scaled(2_000_000), goals: [.throughput(atLeast: 20e9)]),
    comparison("crc32c of 64 KiB", size: 65537, count: options.scaled(200_000), goals: [.throughput(atLeast: 25e9)]),
  ]
}
