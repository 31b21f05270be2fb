import BenchmarkKit
import StrataFilters

/// One kind of filter: how it is made, filled and asked here, and what the peer's program calls it.
struct Kind: Sendable {
  var name: String
  var peer: String
  var addGoal: Double
  var probeGoal: Double
  var add: @Sendable (Loads, Int, Int) throws -> Figures
  var probe: @Sendable (Loads, Int, Int) throws -> Figures
  /// The same key by key, where `add` and `probe` give a loop of keys to one call, as the peer's loops are one.
  var addSingly: (@Sendable (Loads, Int, Int) throws -> Figures)?
  var probeSingly: (@Sendable (Loads, Int, Int) throws -> Figures)?
}

private let blocked = Kind(
  name: "blocked Bloom, 10 bits", peer: "split-block", addGoal: 0.9, probeGoal: 0.9,
  add: { loads, capacity, operations in
    try loads.add(operations, make: { try BlockedBloomFilter(expectedItems: capacity, bitsPerKey: 10) }) { filter, hashes in
      filter.insert(hashes: hashes.span)
    }
  },
  probe: { loads, capacity, operations in
    var filter = try BlockedBloomFilter(expectedItems: capacity, bitsPerKey: 10)
    filter.insert(hashes: loads.hashes.span)
    return loads.batches(of: 1024, operations, filter)
  },
  addSingly: { loads, capacity, operations in
    try loads.add(operations, make: { try BlockedBloomFilter(expectedItems: capacity, bitsPerKey: 10) }) { filter, hashes in
      for hash in hashes { filter.insert(hash: hash) }
    }
  },
  probeSingly: { loads, capacity, operations in
    var filter = try BlockedBloomFilter(expectedItems: capacity, bitsPerKey: 10)
    filter.insert(hashes: loads.hashes.span)
    let filled = filter
    return loads.probe(operations) { filled.mayContain(hash: $0) }
  })

private let classic = Kind(
  name: "classic Bloom, 12 bits", peer: "bloom12", addGoal: 1, probeGoal: 1,
  add: { loads, capacity, operations in
    try loads.add(operations, make: { try BloomFilter(bits: UInt64(capacity) * 12, hashes: 8) }) { filter, hashes in
      filter.add(hashes: hashes.span)
    }
  },
  probe: { loads, capacity, operations in
    var filter = try BloomFilter(bits: UInt64(capacity) * 12, hashes: 8)
    filter.add(hashes: loads.hashes.span)
    return loads.batches(of: 1024, operations, filter)
  },
  addSingly: { loads, capacity, operations in
    try loads.add(operations, make: { try BloomFilter(bits: UInt64(capacity) * 12, hashes: 8) }) { filter, hashes in
      for hash in hashes { filter.add(hash: hash) }
    }
  },
  probeSingly: { loads, capacity, operations in
    var filter = try BloomFilter(bits: UInt64(capacity) * 12, hashes: 8)
    filter.add(hashes: loads.hashes.span)
    let filled = filter
    return loads.probe(operations) { filled.mayContain(hash: $0) }
  })

private let fuse = Kind(
  name: "binary fuse, 8 bits", peer: "fuse8", addGoal: 0.8, probeGoal: 0.9,
  add: { loads, _, operations in
    try loads.add(operations, make: { BinaryFuseFilter<UInt8>(hashes: []) }) { filter, hashes in filter = BinaryFuseFilter(hashes: hashes) }
  },
  probe: { loads, _, operations in
    let filter = BinaryFuseFilter<UInt8>(hashes: loads.hashes)
    return loads.probe(operations) { filter.mayContain(hash: $0) }
  })

private let cuckoo = Kind(
  name: "cuckoo, 12-bit fingerprints", peer: "cuckoo12", addGoal: 0.8, probeGoal: 0.8,
  add: { loads, capacity, operations in
    try loads.add(operations, make: { try CuckooFilter(capacity: capacity) }) { filter, hashes in for hash in hashes { try filter.add(hash: hash) } }
  },
  probe: { loads, capacity, operations in
    var filter = try CuckooFilter(capacity: capacity)
    for hash in loads.hashes { try filter.add(hash: hash) }
    let filled = filter
    return loads.probe(operations) { filled.mayContain(hash: $0) }
  })

private let scalable = Kind(
  name: "scalable from 1000 keys, 1 %", peer: "redis-chain", addGoal: 0.8, probeGoal: 0.8,
  add: { loads, _, operations in
    try loads.add(operations, make: { try ScalableBloomFilter() }) { filter, hashes in for hash in hashes { try filter.add(hash: hash) } }
  },
  probe: { loads, _, operations in
    var filter = try ScalableBloomFilter()
    for hash in loads.hashes { try filter.add(hash: hash) }
    let filled = filter
    return loads.probe(operations) { filled.mayContain(hash: $0) }
  })

/// Adding and probing one kind, with room for `capacity` keys and `keys` of them in.
func comparisons(_ kind: Kind, _ loads: Loads, capacity: Int, label: String, probes: Int, seed: UInt64) -> [Comparison] {
  let keys = loads.hashes.count
  let parameters = [("keys", "\(keys)"), ("room for", "\(capacity)")]
  func peer(_ op: String) -> Contender {
    .peer(
      "filters",
      ["--kind", kind.peer, "--op", op, "--records", "\(keys)", "--capacity", "\(capacity)", "--operations", "\(probes)", "--seed", "\(seed)"],
      as: kind.peer)
  }
  func singly(_ body: (@Sendable (Loads, Int, Int) throws -> Figures)?) -> [Contender] {
    guard let body else { return [] }
    return [Contender("key by key") { _ in try body(loads, capacity, probes) }]
  }
  return [
    Comparison(
      "\(kind.name), \(label), add", unit: "keys", parameters: parameters,
      subject: Contender("strata") { _ in try kind.add(loads, capacity, probes) }, peers: [peer("add")] + singly(kind.addSingly),
      goals: [.ratio(to: kind.peer, atLeast: kind.addGoal)]),
    Comparison(
      "\(kind.name), \(label), probe", unit: "probes", parameters: parameters,
      subject: Contender("strata") { _ in try kind.probe(loads, capacity, probes) }, peers: [peer("probe")] + singly(kind.probeSingly),
      goals: [.ratio(to: kind.peer, atLeast: kind.probeGoal)]),
  ]
}

/// Batches of 64 against single probes of the same filter, larger than the caches.
func batches(_ loads: Loads, capacity: Int, probes: Int) throws -> Comparison {
  var filter = try BlockedBloomFilter(expectedItems: capacity, bitsPerKey: 10)
  filter.insert(hashes: loads.hashes.span)
  let filled = filter
  return Comparison(
    "blocked Bloom, memory, batches of 64", unit: "probes", parameters: [("room for", "\(capacity)")],
    subject: Contender("batches") { _ in loads.batches(of: 64, probes, filled) },
    peers: [
      Contender("single probes, each after the last") { _ in chained(loads, probes, filled) },
      Contender("single probes") { _ in loads.probe(probes) { filled.mayContain(hash: $0) } },
    ],
    goals: [.ratio(to: "single probes, each after the last", atLeast: 3), .ratio(to: "single probes", atLeast: 1)])
}

/// Single probes of which each waits for the answer before it, as a lookup that acts on the answer does.
func chained(_ loads: Loads, _ operations: Int, _ filter: BlockedBloomFilter) -> Figures {
  var done = 0
  var found = 0
  let begin = nanoseconds()
  while done < operations {
    for hash in loads.probes {
      // Adds nothing to the hash, which only the answers so far can tell.
      found &+= filter.mayContain(hash: hash &+ UInt64(found) >> 62) ? 1 : 0
    }
    done += loads.probes.count
  }
  return Figures(
    operations: Double(done), seconds: Double(nanoseconds() - begin) * 1e-9, extras: ["positives": Double(found) / Double(done)])
}

/// XXH3 of buffers of `size` bytes; an operation is a byte.
@Sendable func hashing(_ count: Int, _ size: Int) -> Figures {
  let bytes = Array(Values(seed: 1, size: size + 1).of(0))
  var sum: UInt64 = 0
  let begin = nanoseconds()
  for _ in 0..<count {
    // Each begins where the last result says, so that calls do not overlap.
    let first = Int(sum & 1)
    sum = FilterHash.hash64(bytes.span.bytes.extracting(first..<first + size))
  }
  let seconds = Double(nanoseconds() - begin) * 1e-9
  return Figures(operations: Double(count * size), seconds: seconds, extras: ["ns_per_call": seconds * 1e9 / Double(count), "last": Double(sum & 1)])
}

/// All that is compared.
func comparisons(_ options: BenchmarkOptions) throws -> [Comparison] {
  let keys = options.scaled(1_000_000)
  let near = Loads(keys: keys, seed: options.seed)
  // Ten million keys in filters with room for fifty times as many: what a probe costs is the way to memory.
  let far = Loads(keys: options.scaled(10_000_000), seed: options.seed)
  let probes = options.scaled(10_000_000)
  let room = options.scaled(500_000_000)
  return try [blocked, classic, fuse, cuckoo, scalable].flatMap {
    comparisons($0, near, capacity: keys, label: "caches", probes: probes, seed: options.seed)
  }
    + [blocked, classic].flatMap {
      comparisons($0, far, capacity: room, label: "memory", probes: far.hashes.count, seed: options.seed)
    } + [
      batches(far, capacity: room, probes: far.hashes.count),
      Comparison(
        "XXH3 of 16 B", unit: "bytes", subject: Contender("strata") { _ in hashing(options.scaled(50_000_000), 16) }, peers: [],
        goals: [.extra("ns_per_call", atMost: 4)]),
      Comparison(
        "XXH3 of 64 KiB", unit: "bytes", subject: Contender("strata") { _ in hashing(options.scaled(100_000), 65536) }, peers: [],
        goals: [.throughput(atLeast: 10e9)]),
    ]
}
