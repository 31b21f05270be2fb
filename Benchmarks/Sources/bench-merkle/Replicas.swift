import BenchmarkKit
import StrataBytes
import StrataMerkleTree

/// Sets `count` random keys of 16 bytes.
@Sendable func setKeys(_ count: Int, seed: UInt64) throws -> Figures {
  let keys = (0..<count).map { Workload.key(UInt64($0), seed: seed) }
  let version: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 1]
  let value = sha256(version)
  var tree = KeyRangeMerkleTree()
  let began = nanoseconds()
  for key in keys { try tree.set(key, version: version, valueDigest: value, tombstone: false) }
  let seconds = Double(nanoseconds() - began) * 1e-9
  return Figures(
    operations: Double(count), seconds: seconds,
    extras: ["bytes_per_key_beyond_it": Double(tree.memoryBytes) / Double(count) - Double(Workload.keySize), "keys": Double(tree.count)])
}

/// A replica of `count` keys and one that differs from it in `differences` of them.
struct Replicas: Sendable {
  var here = KeyRangeMerkleTree()
  var there: KeyRangeMerkleTree
  var differences: Int

  init(_ count: Int, differences: Int, seed: UInt64) throws {
    let version: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 1]
    for number in 0..<count { try here.set(Workload.key(UInt64(number), seed: seed), version: version, valueDigest: .zero, tombstone: false) }
    there = here
    self.differences = differences
    for number in 0..<differences {
      let key = Workload.key(UInt64(number * (count / max(1, differences))), seed: seed)
      try there.set(key, version: version + [UInt8(number & 0xFF)], valueDigest: .zero, tombstone: false)
    }
  }

  /// A session with all frames of a step under way at once; both sides' work is in the time.
  func reconcile() throws -> Figures {
    var here = here
    var found = 0
    var roundTrips = 0
    var bytes = 0
    var session = RangeReconciler(session: 1)
    var requests: [[UInt8]] = []
    func take(_ effects: [RangeReconciler.Effect]) {
      for effect in effects {
        switch effect {
        case .send(let frame): requests.append(frame)
        case .differs: found += 1
        case .missingThere(_, let count): found += count
        case .finished: break
        }
      }
    }
    let began = nanoseconds()
    take(session.start(&here))
    while !requests.isEmpty {
      roundTrips += 1
      let sent = requests
      requests = []
      for request in sent {
        bytes += request.count
        for reply in try RangeResponder.respond(to: request, tree: there) {
          bytes += reply.count
          take(try session.receive(reply, &here))
        }
      }
    }
    let seconds = Double(nanoseconds() - began) * 1e-9
    return Figures(
      operations: 1, seconds: seconds,
      extras: [
        "wire_bytes": Double(bytes), "round_trips": Double(roundTrips), "cpu_ms": seconds * 1000, "found": Double(found),
      ])
  }

  /// What it costs to send a hash for every key: all keys with 16 bytes each, one way.
  func fullExchange() -> Figures {
    var bytes = 0
    let began = nanoseconds()
    bytes += here.count * (Workload.keySize + 16)
    return Figures(operations: 1, seconds: Double(nanoseconds() - began + 1) * 1e-9, extras: ["wire_bytes": Double(bytes)])
  }

  /// What it costs to exchange a tree of 2^15 leaves as Cassandra does and to send the keys of each leaf that differs.
  func treeExchange() throws -> Figures {
    let began = nanoseconds()
    var buckets: Set<Int> = []
    let diff = here.diffKeys(there)
    for key in diff.differing { buckets.insert(Int(xxh64(key.span.bytes) >> 49)) }
    let keysPerBucket = Double(here.count) / 32768
    let bytes = 32768 * 32.0 + Double(buckets.count) * keysPerBucket * Double(Workload.keySize + 16)
    return Figures(operations: 1, seconds: Double(nanoseconds() - began) * 1e-9, extras: ["wire_bytes": bytes])
  }
}
