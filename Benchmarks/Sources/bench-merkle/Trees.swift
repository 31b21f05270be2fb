import BenchmarkKit
import StrataBytes
import StrataMerkleTree

/// Blocks of 32 bytes, the same as the peer in C makes.
func blocks(_ count: Int) -> [UInt8] {
  [UInt8](unsafeUninitializedCapacity: 32 * count) { bytes, initialized in
    let raw = UnsafeMutableRawBufferPointer(bytes)
    for word in 0..<4 * count { raw.storeBytes(of: UInt64(word / 4).littleEndian, toByteOffset: 8 * word, as: UInt64.self) }
    initialized = 32 * count
  }
}

/// The first bytes of a root as a number: those of subject and peer must be the same.
func prefix(_ root: Digest) -> Double { Double(root.bytes.prefix(6).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }) }

/// Builds a tree at once.
@Sendable func build(_ count: Int, threads: Int) throws -> Figures {
  let bytes = blocks(count)
  let began = nanoseconds()
  let tree = try MerkleTree(blocks: bytes.span.bytes, blockBytes: 32, threads: threads)
  let root = tree.root
  let seconds = Double(nanoseconds() - began) * 1e-9
  return Figures(
    operations: Double(count), seconds: seconds,
    extras: ["root_prefix": prefix(root), "bytes_per_leaf": Double(tree.memoryBytes) / Double(count)])
}

/// Appends leaf by leaf and asks for the root after each thousandth.
@Sendable func stream(_ count: Int) -> Figures {
  let bytes = blocks(count)
  var builder = MerkleTreeBuilder()
  var root = builder.root()
  let began = nanoseconds()
  for index in 0..<count {
    builder.addLeaf(bytes.span.bytes.extracting(32 * index..<32 * index + 32))
    if (index + 1) % 1000 == 0 || index + 1 == count { root = builder.root() }
  }
  let seconds = Double(nanoseconds() - began) * 1e-9
  return Figures(operations: Double(count), seconds: seconds, extras: ["root_prefix": prefix(root)])
}

/// Makes and verifies inclusion proofs of random leaves.
@Sendable func prove(_ count: Int) throws -> Figures {
  let tree = try MerkleTree(blocks: blocks(count).span.bytes, blockBytes: 32)
  let root = tree.root
  let proofs = 100_000
  var random = WorkloadRandom(seed: 1)
  let indexes = (0..<proofs).map { _ in Int(random.below(UInt64(count))) }
  var made: [InclusionProof] = []
  made.reserveCapacity(proofs)
  let began = nanoseconds()
  for index in indexes { made.append(try tree.inclusionProof(index)) }
  let generated = nanoseconds()
  for proof in made { try MerkleVerifier.inclusion(leafHash: tree.leafHash(proof.index), proof: proof, root: root) }
  let verified = nanoseconds()
  let perProof = { (from: UInt64, to: UInt64) in Double(to - from) / Double(proofs) / 1000 }
  return Figures(
    operations: Double(proofs), seconds: Double(generated - began) * 1e-9,
    extras: [
      "generate_us": perProof(began, generated), "verify_us": perProof(generated, verified),
      "hashes_to_verify": Double(made.map(\.path.count).max() ?? 0),
    ])
}
