import BenchmarkKit
import StrataNodes
import StrataRaft

// How many commands three cores in one thread agree on in a second, with a disk and a network that take no time.

/// Three cores whose messages are delivered at once.
struct Trio {
  private var cores: [RaftCore]
  private var applied: UInt64 = 0

  init(seed: UInt64) throws {
    let ids = [1, 2, 3] as [NodeID]
    cores = try ids.map { id in
      var config = RaftConfig(id: id, seed: seed &+ id.rawValue)
      config.preVote = false
      return try RaftCore(config: config, initial: .founding(ids))
    }
    cores[0].campaign()
    settle()
  }

  /// Proposes `batch` commands of 16 bytes and carries out everything that follows, until all three have applied them.
  mutating func commit(_ batch: Int) throws -> UInt64 {
    try cores[0].propose(Array(repeating: Self.payload, count: batch))
    settle()
    return applied
  }

  private static let payload = [UInt8](repeating: 7, count: 16)

  private mutating func settle() {
    var isMoving = true
    while isMoving {
      isMoving = false
      for place in cores.indices where cores[place].hasReady {
        isMoving = true
        let ready = cores[place].ready()
        for message in ready.messages { deliver(message) }
        for message in ready.append?.responses ?? [] where message.to != message.from { deliver(message) }
        if place == 0, let entries = ready.apply?.entries { applied += UInt64(entries.count) }
        cores[place].advance(ready)
        compact(place)
      }
    }
  }

  private mutating func deliver(_ message: Message) { try? cores[Int(message.to.rawValue) - 1].step(message) }

  /// Keeps the logs short, as every driver does.
  private mutating func compact(_ place: Int) {
    let last = cores[place].appliedPlace
    guard last.index % 16_384 < 64, last.index > 16_384 else { return }
    cores[place].offerSnapshot(Snapshot(place: last, confState: cores[place].confState))
    try? cores[place].compact(to: last.index - 1000)
  }
}

@Sendable func agreement(_ count: Int, batch: Int, seed: UInt64) throws -> Figures {
  var trio = try Trio(seed: seed)
  let first = try trio.commit(batch)
  let begin = nanoseconds()
  var last = first
  for _ in 0..<count / batch { last = try trio.commit(batch) }
  let seconds = Double(nanoseconds() - begin) * 1e-9
  return Figures(operations: Double(last - first), seconds: seconds, extras: ["us_per_commit": seconds * 1e6 / Double(last - first)])
}

/// Three cores that hand each other's messages over at once.
@Sendable func coreComparisons(_ options: BenchmarkOptions) -> [Comparison] {
  [(1, 1e5), (64, 2e6)].map { batch, goal in
    Comparison(
      "three cores in memory", unit: "commits", parameters: [("payload", "16 B"), ("batch", "\(batch)")],
      subject: Contender("strata") { round in
        try agreement(options.scaled(batch == 1 ? 500_000 : 5_000_000), batch: batch, seed: options.seed &+ UInt64(round.number))
      },
      peers: [], goals: [.throughput(atLeast: goal)])
  }
}

await runBenchmark("bench-raft") { options in coreComparisons(options) + idleComparisons(options) + clusterComparisons(options) }
