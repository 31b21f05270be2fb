import BenchmarkKit
import Dispatch
import StrataConsistentHashing

/// 65 536 keys one after another, as a program that has read them from a socket holds them.
struct Keys: Sendable {
  static let count = 1 << 16
  let bytes: [UInt8]

  init(seed: UInt64) {
    var all: [UInt8] = []
    all.reserveCapacity(Self.count * Workload.keySize)
    for number in 0..<Self.count { all += Workload.key(UInt64(number), seed: seed) }
    bytes = all
  }
}

/// Looks `count` keys up, on each of `threads` threads its part; an operation is a lookup.
func lookups<P: Placement>(_ placement: P, _ keys: Keys, count: Int, threads: Int = 1) -> Figures {
  let part = count / threads
  let sums = UnsafeMutableBufferPointer<Int>.allocate(capacity: threads * 16)
  sums.initialize(repeating: 0)
  defer { sums.deallocate() }
  // Each thread writes its own cache line.
  nonisolated(unsafe) let results = sums
  let begin = nanoseconds()
  DispatchQueue.concurrentPerform(iterations: threads) { thread in results[thread * 16] = lookUp(placement, keys, part) }
  let seconds = Double(nanoseconds() - begin) * 1e-9
  let sum = sums.reduce(0, &+)
  return Figures(
    operations: Double(part * threads), seconds: seconds,
    extras: ["ns_per_lookup": seconds * 1e9 / Double(part), "checksum": Double(sum & 1)])
}

/// The lookups of one thread.
func lookUp<P: Placement>(_ placement: P, _ keys: Keys, _ count: Int) -> Int {
  var sum = 0
  let span = keys.bytes.span.bytes
  for number in 0..<count {
    let offset = (number & (Keys.count - 1)) * Workload.keySize
    if let node = try? placement.primary(span.extracting(offset..<offset + Workload.keySize)) { sum &+= node.name.utf8.count }
  }
  return sum
}

func members(_ count: Int) -> [Member] { (0..<count).map { Member(MemberID(stringLiteral: "node-\($0)")) } }

func comparison<P: Placement>(
  _ title: String, _ placement: P, structure: String, size: Int, count: Int, keys: Keys, threads: Int = 1, goals: [Goal]
) -> Comparison {
  let arguments = ["--structure", structure, "--size", "\(size)", "--records", "\(count)", "--threads", "\(threads)"]
  return Comparison(
    title, unit: "lookups", parameters: [("keys", "16 B"), ("lookups", "\(count)"), ("threads", "\(threads)")],
    subject: Contender("strata") { _ in lookups(placement, keys, count: count, threads: threads) },
    peers: [
      .peer(structure == "ketama" ? "ketama" : "placement", arguments, as: structure == "ketama" ? "libmemcached" : "the same in C++")
    ],
    goals: goals)
}

/// Work done once, in milliseconds.
func once(_ title: String, milliseconds: Double, _ work: @escaping @Sendable () throws -> Int) -> Comparison {
  Comparison(
    title, unit: "times",
    subject: Contender("strata") { _ in
      let begin = nanoseconds()
      let result = try work()
      let seconds = Double(nanoseconds() - begin) * 1e-9
      return Figures(operations: 1, seconds: seconds, extras: ["ms": seconds * 1e3, "result": Double(result)])
    }, peers: [], goals: [.extra("ms", atMost: milliseconds)])
}

/// Every kind of placement with its targets, and the work of changes.
func comparisons(_ options: BenchmarkOptions) throws -> [Comparison] {
  let keys = Keys(seed: options.seed)
  let count = options.scaled(10_000_000)
  let ring = try HashRing(members: members(100))
  let servers = (1...4).map { Member(MemberID(stringLiteral: "10.0.0.\($0):11211")) }
  let thousand = try HashRing(members: members(1_000), replicationFactor: 3)
  let grown = try thousand.adding(Member("newcomer"))
  return [
    comparison(
      "ring, 15 000 tokens", ring, structure: "ring", size: 15_000, count: count, keys: keys,
      goals: [.extra("ns_per_lookup", atMost: 20), .ratio(to: "the same in C++", atLeast: 1)]),
    comparison(
      "ring, 15 000 tokens, 2 threads", ring, structure: "ring", size: 15_000, count: count, keys: keys, threads: 2,
      goals: [.extra("ns_per_lookup", atMost: 35), .ratio(to: "the same in C++", atLeast: 1)]),
    comparison(
      "ketama, 4 servers", try HashRing.ketama(members: servers, dialect: .libmemcached), structure: "ketama", size: 4, count: count, keys: keys,
      goals: [.ratio(to: "libmemcached", atLeast: 1.3)]),
    comparison(
      "Maglev, 65 537 entries", try MaglevTable(members: members(100)), structure: "maglev", size: 65_537, count: count, keys: keys,
      goals: [.extra("ns_per_lookup", atMost: 8), .ratio(to: "the same in C++", atLeast: 1)]),
    comparison(
      "jump, 1000 buckets", try JumpHash(members: members(1_000)), structure: "jump", size: 1_000, count: count, keys: keys,
      goals: [.extra("ns_per_lookup", atMost: 20), .ratio(to: "the same in C++", atLeast: 1)]),
    comparison(
      "rendezvous, 100 nodes", try Rendezvous(members: members(100)), structure: "rendezvous", size: 100, count: count / 10, keys: keys,
      goals: [.extra("ns_per_lookup", atMost: 120), .ratio(to: "the same in C++", atLeast: 1)]),
    once("build 1000 x 150 tokens", milliseconds: 60) { try HashRing(members: members(1_000)).tokenCount },
    once("add one node to 1000 x 150", milliseconds: 5) { try thousand.adding(Member("another")).tokenCount },
    once("plan for 1000 x 150, 3 copies", milliseconds: 150) { try TransferPlan.between(thousand, grown, replicas: 3).moves.count },
    once("add one node to 1000 x 16 balanced tokens, 3 copies", milliseconds: 5_000) {
      try HashRing(members: members(1_000), allocation: .balanced(), replicationFactor: 3).adding(Member("another")).tokenCount
    },
  ]
}
