import StrataBytes

// Docs/Formats/MerkleTree.md is normative.
let merkleFormatVersion: UInt16 = 1
private let headerBytes = 16
private let footerBytes = Digest.byteCount + 4

extension MerkleTree {
  /// How many bytes ``encoded()`` gives: 52, and 32 for each leaf.
  public var encodedBytes: Int { headerBytes + leafCount * Digest.byteCount + footerBytes }

  /// The tree in bytes: its leaves' digests and its root, under a checksum. Equal trees give equal bytes.
  public func encoded() -> [UInt8] {
    var writer = ByteWriter(capacity: encodedBytes)
    writer.writeMagic("SMRK")
    writer.writeUInt16(merkleFormatVersion)
    writer.writeUInt8(H.identifier)
    writer.writeUInt8(0)
    writer.writeUInt64(UInt64(leafCount))
    if let leaves = levels.first { leaves.withUnsafeBytes { writer.writeBytes(RawSpan(_unsafeBytes: $0)) } }
    writer.writeDigest(root)
    writer.writeChecksum(since: 0)
    return writer.finish()
  }

  /// Reads what ``encoded()`` gave. Every digest above the leaves is computed anew, and the stored root must come out: what is accepted is
  /// a tree in itself. That it is the right one only a root the caller trusts can say. O(n); takes about twice the bytes' memory.
  /// - Throws: `.damaged`, `.incompatible` for another hasher, `.rootMismatch`.
  public init(decoding bytes: [UInt8], hasher: H.Type) throws(MerkleError) { try self.init(decoding: bytes.span.bytes, hasher: hasher) }

  /// As ``init(decoding:hasher:)-([UInt8],_)`` for borrowed bytes.
  /// - Throws: `.damaged`, `.incompatible` for another hasher, `.rootMismatch`.
  public init(decoding bytes: RawSpan, hasher: H.Type) throws(MerkleError) {
    let leaves: ContiguousArray<Digest>
    let stored: Digest
    let identifier: UInt8
    do throws(DecodeError) {
      var reader = ByteReader(bytes)
      try reader.readMagic("SMRK")
      try reader.readFormatVersion()
      identifier = try reader.readUInt8()
      let flags = reader.offset
      guard try reader.readUInt8() == 0 else { throw .malformed(at: flags, field: "flags of a Merkle tree") }
      let count = try reader.readUInt64()
      // Held against the bytes there are before memory is taken for them.
      let room = max(0, reader.remaining - footerBytes) / Digest.byteCount
      guard count <= UInt64(room) else { throw .truncated(at: reader.offset, need: Int(clamping: count), have: room) }
      let rows = try reader.readBytes(Int(count) * Digest.byteCount)
      stored = try reader.readDigest()
      try reader.readChecksum(since: 0)
      try reader.expectEnd(of: "Merkle tree")
      leaves = digests(in: rows)
    } catch { throw .damaged(error) }
    guard identifier == H.identifier else { throw .incompatible(field: "hasher", mine: "\(H.identifier)", theirs: "\(identifier)") }
    self.init(leafHashes: leaves, hasher: hasher)
    guard root == stored else { throw .rootMismatch(computed: root) }
  }
}

extension MerkleTree where H == SHA256MerkleHasher {
  /// Reads what ``encoded()`` gave, under SHA-256; see ``init(decoding:hasher:)-([UInt8],_)``.
  /// - Throws: `.damaged`, `.rootMismatch`.
  public init(decoding bytes: [UInt8]) throws(MerkleError) { try self.init(decoding: bytes, hasher: H.self) }
}

/// The digests that adjoin in `rows`, whose length is a multiple of a digest's.
func digests(in rows: RawSpan) -> ContiguousArray<Digest> {
  let count = rows.byteCount / Digest.byteCount
  return ContiguousArray(unsafeUninitializedCapacity: count) { target, initialized in
    // A digest is 32 bytes of any pattern.
    rows.withUnsafeBytes { UnsafeMutableRawBufferPointer(target).copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[..<(count * 32)])) }
    initialized = count
  }
}

extension ByteReader {
  /// Steps over the version that every format of this module has.
  mutating func readFormatVersion() throws(DecodeError) {
    let at = offset
    let version = try readUInt16()
    guard version == merkleFormatVersion else { throw .unsupportedVersion(at: at, version: UInt32(version), newest: UInt32(merkleFormatVersion)) }
  }

  mutating func readDigest() throws(DecodeError) -> Digest {
    let at = offset
    guard let digest = Digest(try readBytes(Digest.byteCount)) else { throw .malformed(at: at, field: "digest") }
    return digest
  }
}

extension ByteWriter {
  mutating func writeDigest(_ digest: Digest) { digest.withUnsafeBytes { writeBytes(RawSpan(_unsafeBytes: $0)) } }
}
