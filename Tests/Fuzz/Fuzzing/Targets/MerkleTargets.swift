import StrataBytes
import StrataMerkleTree
import StrataNodes

/// Proofs, stored trees and the frames of a reconciliation.
enum MerkleTargets {
  static var all: [FuzzTarget] { [inclusion, consistency, tree, buckets, request, reply] }

  private static let leaves = MerkleTree(leafHashes: [], hasher: SHA256MerkleHasher.self).growing(to: 37)

  static let inclusion = FuzzTarget(
    "merkle.inclusion", weight: 40,
    corpus: made { try (1...37).map { try leaves.inclusionProof($0 * 7 / 10, size: $0).encoded() } },
    mend: { Sealing.end(&$0) }
  ) { bytes in
    guard let proof = try? InclusionProof(decoding: bytes) else { return false }
    demand(proof.encoded() == bytes, "a proof has two encodings")
    guard let leaf = try? leaves.leafHash(proof.index % 37) else { return true }
    if (try? MerkleVerifier.inclusion(leafHash: leaf, proof: proof, root: leaves.root)) != nil {
      // A size of the same shape is the root's affair: what a root is of, its signer says.
      demand(proof.path == (try? leaves.inclusionProof(proof.index))?.path, "a path that leads elsewhere holds")
    }
    return true
  }

  static let consistency = FuzzTarget(
    "merkle.consistency", weight: 40,
    corpus: made { try (1...36).map { try leaves.consistencyProof(from: $0, to: 37).encoded() } }, mend: { Sealing.end(&$0) }
  ) { bytes in
    guard let proof = try? ConsistencyProof(decoding: bytes) else { return false }
    demand(proof.encoded() == bytes, "a proof has two encodings")
    let older = MerkleTree(leafHashes: [], hasher: SHA256MerkleHasher.self).growing(to: max(0, min(proof.from, 4)))
    _ = try? MerkleVerifier.consistency(root1: older.root, root2: leaves.root, proof: proof)
    return true
  }

  static let tree = FuzzTarget(
    "merkle.tree", weight: 20, corpus: (0..<20).map { MerkleTree(leafHashes: [], hasher: SHA256MerkleHasher.self).growing(to: $0).encoded() },
    mend: { Sealing.end(&$0) }
  ) { bytes in
    guard let tree = try? MerkleTree(decoding: bytes) else { return false }
    demand(tree.encoded() == bytes, "a tree has two encodings")
    return true
  }

  static let buckets = FuzzTarget(
    "merkle.buckets", weight: 1,
    corpus: made {
      var tree = try BucketMerkleTree(depth: 10)
      let empty = tree.encoded()
      for number in 0..<40 { tree.add(key: [UInt8(number)], item: SHA256MerkleHasher.leaf([UInt8(number)].span.bytes)) }
      return [empty, tree.encoded()]
    }, mend: { Sealing.end(&$0) }
  ) { bytes in
    guard var tree = try? BucketMerkleTree(decoding: bytes, memoryCap: 1 << 20) else { return false }
    demand(tree.encoded() == bytes, "a tree has two encodings")
    _ = (tree.rootFingerprint(), tree.count)
    tree.add(key: [1], item: leaves.root)
    var other = tree
    demand((try? tree.differing(from: &other)) == [], "a tree differs from itself")
    return true
  }

  // MARK: Reconciliation

  private static func keys(_ numbers: some Sequence<Int>) -> KeyRangeMerkleTree {
    var tree = KeyRangeMerkleTree()
    for number in numbers {
      let key = Array("key/\(number % 97)/\(number)".utf8)
      made { try tree.set(key, version: [UInt8(number % 5)], valueDigest: leaves.root, tombstone: number % 11 == 0) }
    }
    return tree
  }

  private static let mine = keys(0..<400)
  private static let theirs = keys((0..<400).filter { $0 % 37 != 0 } + [500, 501])

  /// A session between the two: its requests and its replies, and the reconciler as it is before each reply.
  private static let session: (requests: [[UInt8]], replies: [[UInt8]], states: [RangeReconciler], tree: KeyRangeMerkleTree) = made {
    var tree = mine
    var options = ReconcileOptions()
    options.fanOut = 4
    options.narrowFanOut = 4
    var reconciler = RangeReconciler(session: 9, options: options)
    var waiting = reconciler.start(&tree)
    var result: (requests: [[UInt8]], replies: [[UInt8]], states: [RangeReconciler]) = ([], [], [])
    while !waiting.isEmpty {
      guard case .send(let request) = waiting.removeFirst() else { continue }
      result.requests.append(request)
      for reply in try RangeResponder.respond(to: request, tree: theirs, options: options) {
        result.states.append(reconciler)
        result.replies.append(reply)
        waiting += try reconciler.receive(reply, &tree)
      }
    }
    demand(reconciler.isFinished && result.replies.count > 2, "a session that does not end")
    return (result.requests, result.replies, result.states, tree)
  }

  static let request = FuzzTarget(
    "merkle.request", weight: 20, corpus: session.requests, mend: { Sealing.end(&$0) }
  ) { bytes in
    guard let frames = try? RangeResponder.respond(to: bytes, tree: theirs) else { return false }
    demand(frames.count <= ReconcileOptions().replyFrames && frames.allSatisfy { $0.count <= 65536 }, "an answer beyond its bounds")
    return true
  }

  static let reply = FuzzTarget("merkle.reply", weight: 20, corpus: session.replies, mend: { Sealing.end(&$0) }) { bytes in
    var reconciler = session.states[bytes.count % session.states.count]
    var tree = mine
    guard let effects = try? reconciler.receive(bytes, &tree) else { return false }
    for case .send(let frame) in effects { demand(frame.count <= 65536, "a frame beyond its bounds") }
    demand(tree.rootFingerprint == mine.rootFingerprint, "a reply changed the tree")
    return true
  }
}

extension MerkleTree {
  /// The tree with the leaves `0`, `1`, ... up to `count`.
  fileprivate func growing(to count: Int) -> MerkleTree {
    var tree = self
    for number in leafCount..<max(leafCount, count) { _ = tree.append([UInt8(truncatingIfNeeded: number)]) }
    return tree
  }
}
