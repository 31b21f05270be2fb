import StrataBytes
import StrataMerkleTree

// Run it with: STRATA_BLOCKS_ONLY=1 swift run --package-path Examples/MerkleTree

// 1. A log that can prove what it says.

var log = MerkleTree()
for line in ["open account", "deposit 100", "withdraw 30"] { log.append(Array(line.utf8)) }
let published = (size: log.leafCount, root: log.root)
print("published: \(published.size) entries, root \(published.root)")

log.append(Array("deposit 5".utf8))
let inclusion = try log.inclusionProof(1, size: published.size)
let leaf = SHA256MerkleHasher.leaf(Array("deposit 100".utf8).span.bytes)
try MerkleVerifier.inclusion(leafHash: leaf, proof: inclusion, root: published.root)
print("entry 1 is \"deposit 100\": proven with \(inclusion.path.count) digests")

let growth = try log.consistencyProof(from: published.size, to: log.leafCount)
try MerkleVerifier.consistency(root1: published.root, root2: log.root, proof: growth)
print("the log only grew since: proven with \(growth.path.count) digests")

let other = SHA256MerkleHasher.leaf(Array("deposit 900".utf8).span.bytes)
do { try MerkleVerifier.inclusion(leafHash: other, proof: inclusion, root: published.root) } catch { print("\"deposit 900\": \(error)") }

// 2. Two replicas that have drifted apart.

var here = KeyRangeMerkleTree()
for number in 0..<10_000 {
  let value = sha256(Array("value \(number)".utf8))
  try here.set(Array("user:\(number)".utf8), version: [1], valueDigest: value, tombstone: false)
}
var there = here
try there.set(Array("user:77".utf8), version: [2], valueDigest: sha256([]), tombstone: true)
there.remove(Array("user:5000".utf8))
try there.set(Array("user:new".utf8), version: [1], valueDigest: sha256([1]), tombstone: false)

var session = RangeReconciler(session: 1)
var waiting = session.start(&here)
while !waiting.isEmpty {
  var next: [RangeReconciler.Effect] = []
  for effect in waiting {
    switch effect {
    case .send(let frame):
      // A network would be here.
      for reply in try RangeResponder.respond(to: frame, tree: there) { next += try session.receive(reply, &here) }
    case .differs(let difference): print("\(String(decoding: difference.key, as: UTF8.self)): \(difference.kind)")
    case .missingThere(let range, let count): print("\(count) keys missing there: \(range)")
    case .finished:
      let sent = session.statistics
      print("done after \(sent.framesSent) requests, \(sent.bytesSent + sent.bytesReceived) bytes in all, of \(here.count) keys")
    }
  }
  waiting = next
}
