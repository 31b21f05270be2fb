import BenchmarkKit

// Merkle trees beside a loop over OpenSSL's SHA-256, and reconciliation beside what it saves.

func trees(_ options: BenchmarkOptions) -> [Comparison] {
  let leaves = options.scaled(1_000_000)
  let parameters = [(name: "leaves", value: "\(leaves) of 32 B")]
  func peer(_ mode: String) -> Contender { .peer("sha256_tree", ["--records", "\(leaves)", "--mode", mode], as: "OpenSSL in C") }
  return [
    Comparison(
      "build a tree, 1 thread", unit: "leaves", parameters: parameters, subject: Contender("strata") { _ in try build(leaves, threads: 1) },
      peers: [peer("tree")], goals: [.ratio(to: "OpenSSL in C", atLeast: 0.8), .extra("bytes_per_leaf", atMost: 64.01)]),
    Comparison(
      "build a tree, 2 threads", unit: "leaves", parameters: parameters, subject: Contender("strata") { _ in try build(leaves, threads: 2) },
      peers: [Contender("strata, 1 thread") { _ in try build(leaves, threads: 1) }], goals: [.ratio(to: "strata, 1 thread", atLeast: 1.8)]),
    Comparison(
      "append leaf by leaf, root after each 1000th", unit: "leaves", parameters: parameters,
      subject: Contender("strata") { _ in stream(leaves) }, peers: [peer("stream")], goals: [.ratio(to: "OpenSSL in C", atLeast: 1)]),
    Comparison(
      "inclusion proofs", unit: "proofs", parameters: parameters, subject: Contender("strata") { _ in try prove(leaves) }, peers: [],
      goals: [.extra("generate_us", atMost: 5), .extra("hashes_to_verify", atMost: 21)]),
  ]
}

func replicas(_ options: BenchmarkOptions) throws -> [Comparison] {
  let keys = options.scaled(1_000_000)
  let seed = options.seed
  var found = [
    Comparison(
      "set keys", unit: "keys", parameters: [("keys", "\(keys) of 16 B, random")],
      subject: Contender("strata") { _ in try setKeys(keys, seed: seed) }, peers: [],
      goals: [.throughput(atLeast: 1e6), .extra("bytes_per_key_beyond_it", atMost: 64)])
  ]
  let limits: [(differences: Int, bytes: Double, milliseconds: Double)] = [(0, 200, 5), (1, 16_384, 10), (1000, 614_400, 200)]
  for (differences, bytes, milliseconds) in limits {
    let title = "reconcile, \(differences) differing keys"
    if let only = options.only, !title.contains(only) { continue }
    let pair = try Replicas(keys, differences: differences, seed: seed)
    found.append(
      Comparison(
        title, unit: "sessions", parameters: [("keys", "\(keys) of 16 B")],
        subject: Contender("strata") { _ in try pair.reconcile() },
        peers: [Contender("all key hashes") { _ in pair.fullExchange() }, Contender("tree of 2^15 leaves") { _ in try pair.treeExchange() }],
        goals: [.extra("wire_bytes", atMost: bytes), .extra("round_trips", atMost: 6), .extra("cpu_ms", atMost: milliseconds)]))
  }
  return found
}

await runBenchmark("bench-merkle") { options in
  try trees(options) + replicas(options)
}
