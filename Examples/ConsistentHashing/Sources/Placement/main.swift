import StrataConsistentHashing

// Five caches in two zones, every key on two of them. One machine joins; exactly what has to be copied is said, and while it is copied every key stays
// readable.

let caches = [
  Member("cache-1", zone: "east"), Member("cache-2", zone: "east"), Member("cache-3", zone: "west"), Member("cache-4", zone: "west"),
  Member("cache-5", weight: 2, zone: "west"),
]
let ring = try HashRing(members: caches, replicationFactor: 2)
print(ring)

// Who holds a key: the first is the primary, the copies stand in different zones.
print("\nuser:42 is on", try ring.replicas("user:42").map(\.name).joined(separator: ", "))

// A machine joins. Nothing has moved yet; the plan says what must.
let grown = try ring.adding(Member("cache-6", zone: "east"))
var change = try Handover(from: ring, to: grown, replicas: 2)
print("\n\(change.plan.moves.count) ranges, \((change.plan.bytesShare * 1000).rounded() / 10) % of the data, have to be copied; the first:")
for move in change.plan.moves.prefix(3) {
  print("  \(move.range) from \(move.sources.map(\.name).joined(separator: " or ")) to \(move.destination), in place of \(move.replaces)")
}

// Until all of it is acknowledged, the old owners are read and old and new ones are written.
let key = (0...).lazy.map { "user:\($0)" }.first { (try? grown.primary($0)) == "cache-6" } ?? "user:0"
print("\n\(key) is read on \(try change.readers(key)), written to \(try change.writers(key))")
for move in change.pendingMoves { change = try change.acknowledging(move) }
print("after the copy it is read on \(try change.readers(key))")

// The change is published only if nobody else was faster.
let handle = PlacementHandle(ring)
print("\npublished:", handle.publish(change.new, ifEpoch: ring.epoch), "- and once more:", handle.publish(change.new, ifEpoch: ring.epoch))

// One hot key cannot be spread by hashing, but its requests can, up to what each node may take.
let balancer = try BoundedLoad(grown, c: 1.25)
let leases = try (0..<12).map { _ in try balancer.acquire("a very hot key") }
print("twelve requests for one key went to:", Set(leases.map(\.node)).sorted().map(\.name).joined(separator: ", "))
