import ArgumentParser
import FoundationEssentials
import StrataBytes
import StrataDisk
import StrataMerkleTree
import SystemPackage

/// `strata merkle`
struct MerkleCommands: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "merkle", abstract: "Roots and proofs of Merkle trees, and the keys in which two files differ.",
    discussion: """
      Blocks come on standard input, one per line in hex; an empty line is an empty block. Proofs go in and out as one JSON object per
      line with digests in base64. Trees are those of RFC 9162: SHA-256, 0x00 before leaves, 0x01 before nodes.
      """,
    subcommands: [Root.self, Prove.self, ProveConsistency.self, VerifyInclusion.self, VerifyConsistency.self, Diff.self])

  /// The largest file `diff` takes.
  static let fileBytesMax = 1 << 30

  /// Calls `body` for each block on standard input.
  static func forEachBlock(_ body: ([UInt8]) -> Void) {
    var number = 0
    while let line = readLine() {
      number += 1
      guard let block = bytes(hex: line) else { Outcome.exit(Outcome.usage, "line \(number) is not a block in hex") }
      body(block)
    }
  }

  static func bytes(hex: String) -> [UInt8]? {
    let digits = Array(hex.utf8)
    guard digits.count % 2 == 0 else { return nil }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(digits.count / 2)
    for index in stride(from: 0, to: digits.count, by: 2) {
      guard let high = Character(UnicodeScalar(digits[index])).hexDigitValue, let low = Character(UnicodeScalar(digits[index + 1])).hexDigitValue
      else { return nil }
      bytes.append(UInt8(high << 4 | low))
    }
    return bytes
  }

  /// The tree of the blocks on standard input.
  static func readTree() -> MerkleTree<SHA256MerkleHasher> {
    var tree = MerkleTree()
    forEachBlock { tree.append($0) }
    return tree
  }

  static func base64(_ digest: Digest) -> String { Data(digest.bytes).base64EncodedString() }

  /// `strata merkle root`
  struct Root: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Print the root of the blocks on standard input.", discussion: "Takes any number of blocks in memory that does not grow with it.")
    @Flag(help: "Print {\"size\": n, \"root\": \"hex\"}.") var json = false

    func run() {
      var builder = MerkleTreeBuilder()
      MerkleCommands.forEachBlock { builder.addLeaf($0) }
      guard json else { return Swift.print(builder.root()) }
      var object = JSONText()
      object.add("size", builder.leafCount)
      object.add("root", "\(builder.root())")
      Swift.print(object.line)
    }
  }

  /// `strata merkle prove`
  struct Prove: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Print the proof that a block on standard input is in the tree, as verify-inclusion takes it.")
    @Option(help: "The block's index, from 0.") var index: Int
    @Option(help: "Prove it for the tree of the first so many blocks (default: all).") var size: Int?

    func run() {
      let tree = MerkleCommands.readTree()
      do throws(MerkleError) {
        let proof = try tree.inclusionProof(index, size: size)
        var object = JSONText()
        object.add("leafIdx", proof.index)
        object.add("treeSize", proof.size)
        object.add("root", MerkleCommands.base64(try tree.root(at: proof.size)))
        object.add("leafHash", MerkleCommands.base64(try tree.leafHash(proof.index)))
        object.add("proof", proof.path.map(MerkleCommands.base64))
        Swift.print(object.line)
      } catch { Outcome.exit(Outcome.refused, "\(error)") }
    }
  }

  /// `strata merkle prove-consistency`
  struct ProveConsistency: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Print the proof that the tree of the blocks on standard input grew from an older one, as verify-consistency takes it.")
    @Option(help: "How many blocks the older tree had.") var from: Int
    @Option(help: "How many blocks the newer tree has (default: all).") var to: Int?

    func run() {
      let tree = MerkleCommands.readTree()
      do throws(MerkleError) {
        let proof = try tree.consistencyProof(from: from, to: to ?? tree.leafCount)
        var object = JSONText()
        object.add("size1", proof.from)
        object.add("size2", proof.to)
        object.add("root1", MerkleCommands.base64(try tree.root(at: proof.from)))
        object.add("root2", MerkleCommands.base64(try tree.root(at: proof.to)))
        object.add("proof", proof.path.map(MerkleCommands.base64))
        Swift.print(object.line)
      } catch { Outcome.exit(Outcome.refused, "\(error)") }
    }
  }

  /// `strata merkle verify-inclusion`
  struct VerifyInclusion: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Check inclusion proofs on standard input; print ok or error: ... for each.",
      discussion: """
        One JSON object per line: leafIdx, treeSize, root, leafHash, proof. The root must be one you trust: a root that came with the proof
        proves nothing. Exit code 1 if any proof fails.
        """)

    private struct Line: Decodable {
      var leafIdx: UInt64
      var treeSize: UInt64
      var root: String
      var leafHash: String
      var proof: [String]?
    }

    func run() throws {
      try MerkleCommands.verifyLines { (line: Line) throws(MerkleError) in
        try MerkleVerifier.inclusion(
          leafHash: try MerkleCommands.digest(line.leafHash), index: Int(clamping: line.leafIdx), size: Int(clamping: line.treeSize),
          path: try MerkleCommands.digests(line.proof), root: try MerkleCommands.digest(line.root))
      }
    }
  }

  /// `strata merkle verify-consistency`
  struct VerifyConsistency: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Check consistency proofs on standard input; print ok or error: ... for each.",
      discussion: "One JSON object per line: size1, size2, root1, root2, proof. Both roots must be ones you trust. Exit code 1 if any proof fails.")

    private struct Line: Decodable {
      var size1: UInt64
      var size2: UInt64
      var root1: String
      var root2: String
      var proof: [String]?
    }

    func run() throws {
      try MerkleCommands.verifyLines { (line: Line) throws(MerkleError) in
        try MerkleVerifier.consistency(
          size1: Int(clamping: line.size1), root1: try MerkleCommands.digest(line.root1), size2: Int(clamping: line.size2),
          root2: try MerkleCommands.digest(line.root2), path: try MerkleCommands.digests(line.proof))
      }
    }
  }

  private static func verifyLines<Line: Decodable>(_ verify: (Line) throws(MerkleError) -> Void) throws {
    var failures = 0
    while let text = readLine() {
      if text.isEmpty { continue }
      let verdict: String
      if let line = try? JSONDecoder().decode(Line.self, from: Data(text.utf8)) {
        do throws(MerkleError) {
          try verify(line)
          verdict = "ok"
        } catch { verdict = "error: \(error)" }
      } else {
        verdict = "error: not a proof as one JSON object"
      }
      if verdict != "ok" { failures += 1 }
      Swift.print(verdict)
    }
    if failures > 0 { throw ExitCode(Outcome.refused) }
  }

  private static func digest(_ text: String) throws(MerkleError) -> Digest {
    let bytes = Data(base64Encoded: text).map { [UInt8]($0) } ?? []
    guard let digest = Digest(bytes) else { throw .malformedDigest(bytes: bytes.count) }
    return digest
  }

  private static func digests(_ texts: [String]?) throws(MerkleError) -> [Digest] {
    var found: [Digest] = []
    for text in texts ?? [] { found.append(try digest(text)) }
    return found
  }

  /// `strata merkle diff`
  struct Diff: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Print the keys in which two files differ: < only in the first, > only in the second, ! other contents.",
      discussion: """
        One item per line: key, version and value with tabs between; without a value the key is deleted at that version. The order of the
        lines does not matter; of a key given twice the last line counts. Exit code 1 if any key differs.
        """)
    @Argument(help: "The first file.") var first: String
    @Argument(help: "The second file.") var second: String
    @Flag(help: "Print one JSON object per key.") var json = false

    func run() throws {
      let diff = Self.read(first).diffKeys(Self.read(second))
      let groups = [("<", "only_first", diff.onlyHere), (">", "only_second", diff.onlyThere), ("!", "differs", diff.differing)]
      for (sign, kind, keys) in groups {
        for key in keys {
          guard json else {
            Swift.print("\(sign)\t\(printable(key))")
            continue
          }
          var object = JSONText()
          object.add("key", bytes: key)
          object.add("kind", kind)
          Swift.print(object.line)
        }
      }
      if !diff.isEmpty { throw ExitCode(Outcome.refused) }
    }

    private static func read(_ path: String) -> KeyRangeMerkleTree {
      var tree = KeyRangeMerkleTree()
      do {
        let bytes = try POSIXFileSystem().readAll(FilePath(path), limit: MerkleCommands.fileBytesMax)
        for (index, line) in bytes.split(separator: UInt8(ascii: "\n")).enumerated() {
          let fields = line.split(separator: UInt8(ascii: "\t"), maxSplits: 2, omittingEmptySubsequences: false).map { Array($0) }
          guard fields.count >= 2 else { Outcome.exit(Outcome.usage, "\(path):\(index + 1): expected key, version and value with tabs between") }
          let value = fields.count > 2 ? fields[2] : []
          try tree.set(fields[0], version: fields[1], valueDigest: sha256(value), tombstone: fields.count == 2)
        }
      } catch { Outcome.exit(Outcome.refused, "\(path): \(error)") }
      return tree
    }
  }
}
