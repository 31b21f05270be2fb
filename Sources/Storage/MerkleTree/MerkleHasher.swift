public import StrataBytes

/// How leaves and inner nodes get their digests.
///
/// A hasher keeps leaves and nodes apart: no block's leaf digest equals a node's digest of any two digests. Pure; safe from any thread.
public protocol MerkleHasher: Sendable {
  /// The hasher's number in encoded trees and proofs.
  static var identifier: UInt8 { get }

  /// The root of a tree without leaves.
  static var empty: Digest { get }

  /// The digest of a block as a leaf.
  static func leaf(_ block: RawSpan) -> Digest

  /// The digest of the node over two others.
  static func node(_ left: Digest, _ right: Digest) -> Digest

  /// The leaf digests of `count` adjoining blocks of `blockBytes` bytes each, at least as many as `blocks` has.
  static func leaves(_ blocks: RawSpan, blockBytes: Int, count: Int, into digests: UnsafeMutablePointer<Digest>)

  /// The node digests over `count` adjoining pairs. The digests do not overlap their children.
  static func nodes(_ children: UnsafePointer<Digest>, count: Int, into digests: UnsafeMutablePointer<Digest>)
}

/// The hasher of RFC 9162 section 2.1: SHA-256 of 0x00 and the block for a leaf, of 0x01 and both digests for a node.
public enum SHA256MerkleHasher: MerkleHasher {
  static let leafTag: UInt8 = 0
  static let nodeTag: UInt8 = 1

  public static var identifier: UInt8 { 1 }

  public static var empty: Digest { sha256([]) }

  public static func leaf(_ block: RawSpan) -> Digest {
    block.withUnsafeBytes { sha256(tag: leafTag, $0, UnsafeRawBufferPointer(start: nil, count: 0)) }
  }

  public static func node(_ left: Digest, _ right: Digest) -> Digest {
    left.withUnsafeBytes { left in right.withUnsafeBytes { right in sha256(tag: nodeTag, left, right) } }
  }

  public static func leaves(_ blocks: RawSpan, blockBytes: Int, count: Int, into digests: UnsafeMutablePointer<Digest>) {
    precondition(blockBytes >= 0 && count >= 0 && (blockBytes == 0 || count <= blocks.byteCount / blockBytes), "blocks lie within their bytes")
    blocks.withUnsafeBytes { sha256(tag: leafTag, rows: $0.baseAddress, rowBytes: blockBytes, count: count, into: digests) }
  }

  public static func nodes(_ children: UnsafePointer<Digest>, count: Int, into digests: UnsafeMutablePointer<Digest>) {
    sha256(tag: nodeTag, rows: UnsafeRawPointer(children), rowBytes: 2 * Digest.byteCount, count: count, into: digests)
  }
}
