public import StrataBytes

/// Evidence that a leaf is at its index in a tree of a certain size. It holds no root: the verifier brings the one it trusts.
public struct InclusionProof: Sendable, Hashable {
  /// The ``MerkleHasher/identifier`` of the tree's hasher.
  public var hasher: UInt8
  /// The leaf's index.
  public var index: Int
  /// How many leaves the tree has.
  public var size: Int
  /// The siblings' digests from the leaf to the root.
  public var path: [Digest]

  public init(hasher: UInt8, index: Int, size: Int, path: [Digest]) {
    self.hasher = hasher
    self.index = index
    self.size = size
    self.path = path
  }
}

/// Evidence that a tree begins with another: that a log only grew from `from` leaves to `to`.
public struct ConsistencyProof: Sendable, Hashable {
  /// The ``MerkleHasher/identifier`` of the tree's hasher.
  public var hasher: UInt8
  /// How many leaves the older tree has.
  public var from: Int
  /// How many leaves the newer tree has.
  public var to: Int
  /// The digests the verifier needs, as RFC 9162 section 2.1.4 lists them.
  public var path: [Digest]

  public init(hasher: UInt8, from: Int, to: Int, path: [Digest]) {
    self.hasher = hasher
    self.from = from
    self.to = to
    self.path = path
  }
}

// MARK: Format

/// No path is longer: a size has 63 bits, and one digest more may begin a consistency proof.
private let pathLimit = 64

extension InclusionProof {
  /// The proof in bytes.
  public func encoded() -> [UInt8] { encodedProof("SMRI", hasher, index, size, path) }

  /// Reads what ``encoded()`` gave. That the fields fit each other is for ``MerkleVerifier`` to say.
  /// - Throws: `.damaged`.
  public init(decoding bytes: [UInt8]) throws(MerkleError) {
    let (hasher, index, size, path) = try decodedProof("SMRI", bytes.span.bytes)
    self.init(hasher: hasher, index: index, size: size, path: path)
  }
}

extension ConsistencyProof {
  /// The proof in bytes.
  public func encoded() -> [UInt8] { encodedProof("SMRC", hasher, from, to, path) }

  /// Reads what ``encoded()`` gave. That the fields fit each other is for ``MerkleVerifier`` to say.
  /// - Throws: `.damaged`.
  public init(decoding bytes: [UInt8]) throws(MerkleError) {
    let (hasher, from, to, path) = try decodedProof("SMRC", bytes.span.bytes)
    self.init(hasher: hasher, from: from, to: to, path: path)
  }
}

private func encodedProof(_ magic: StaticString, _ hasher: UInt8, _ first: Int, _ second: Int, _ path: [Digest]) -> [UInt8] {
  var writer = ByteWriter(capacity: 28 + path.count * Digest.byteCount)
  writer.writeMagic(magic)
  writer.writeUInt16(merkleFormatVersion)
  writer.writeUInt8(hasher)
  writer.writeUInt8(UInt8(clamping: path.count))
  writer.writeUInt64(UInt64(bitPattern: Int64(first)))
  writer.writeUInt64(UInt64(bitPattern: Int64(second)))
  for digest in path { writer.writeDigest(digest) }
  writer.writeChecksum(since: 0)
  return writer.finish()
}

private func decodedProof(_ magic: StaticString, _ bytes: RawSpan) throws(MerkleError) -> (UInt8, Int, Int, [Digest]) {
  do throws(DecodeError) {
    var reader = ByteReader(bytes)
    try reader.readMagic(magic)
    try reader.readFormatVersion()
    let hasher = try reader.readUInt8()
    let countAt = reader.offset
    let count = Int(try reader.readUInt8())
    guard count <= pathLimit else { throw .limitExceeded(at: countAt, field: "length of a proof", limit: pathLimit) }
    let first = try readNumber(&reader)
    let second = try readNumber(&reader)
    let rows = try reader.readBytes(count * Digest.byteCount)
    try reader.readChecksum(since: 0)
    try reader.expectEnd(of: "proof")
    return (hasher, first, second, Array(digests(in: rows)))
  } catch { throw .damaged(error) }
}

private func readNumber(_ reader: inout ByteReader) throws(DecodeError) -> Int {
  let at = reader.offset
  guard let number = Int(exactly: try reader.readUInt64()) else { throw .overflow(at: at) }
  return number
}
