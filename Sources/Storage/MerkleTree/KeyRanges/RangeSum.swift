import StrataBytes

/// The sum of the item hashes of a set of keys, as a number modulo 2^256, and how many they are.
///
/// It depends on the set alone: not on the order in which keys came, nor on how a tree lies in memory. Sums of disjoint sets add up. Whoever
/// may choose items can make two sets of one sum, so it compares replicas of one owner, never those of strangers.
public struct RangeSum: Sendable, Hashable, BitwiseCopyable {
  /// The least significant word first.
  var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
  /// How many items are in the sum.
  public internal(set) var count = 0

  /// Of no items.
  public init() {}

  /// Of one item.
  init(_ item: Digest) {
    words = item.littleEndianWords
    count = 1
  }

  public static func == (a: RangeSum, b: RangeSum) -> Bool { a.words == b.words && a.count == b.count }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(words.0)
    hasher.combine(count)
  }

  /// Adds the items of a set that shares none with this one. The sum wraps by definition; counts are of things in memory.
  static func += (a: inout RangeSum, b: RangeSum) {
    a.add(b.words)
    a.count &+= b.count
  }

  /// Takes out the items of a set that is part of this one.
  static func -= (a: inout RangeSum, b: RangeSum) {
    a.subtract(b.words)
    a.count &-= b.count
  }

  static func - (a: RangeSum, b: RangeSum) -> RangeSum {
    var difference = a
    difference -= b
    return difference
  }

  /// Adds one item.
  mutating func add(_ item: Digest) {
    add(item.littleEndianWords)
    count &+= 1
  }

  /// Takes out one item.
  mutating func remove(_ item: Digest) {
    subtract(item.littleEndianWords)
    count &-= 1
  }

  @inline(__always)
  private mutating func add(_ other: (UInt64, UInt64, UInt64, UInt64)) {
    // Each carry is 0 or 1 and moves up; the last one falls off, which is what modulo 2^256 means.
    var carry: UInt64 = 0
    func step(_ a: inout UInt64, _ b: UInt64) {
      let (first, over) = a.addingReportingOverflow(b)
      let (sum, overAgain) = first.addingReportingOverflow(carry)
      a = sum
      carry = (over ? 1 : 0) | (overAgain ? 1 : 0)
    }
    step(&words.0, other.0)
    step(&words.1, other.1)
    step(&words.2, other.2)
    step(&words.3, other.3)
  }

  @inline(__always)
  private mutating func subtract(_ other: (UInt64, UInt64, UInt64, UInt64)) {
    var borrow: UInt64 = 0
    func step(_ a: inout UInt64, _ b: UInt64) {
      let (first, under) = a.subtractingReportingOverflow(b)
      let (difference, underAgain) = first.subtractingReportingOverflow(borrow)
      a = difference
      borrow = (under ? 1 : 0) | (underAgain ? 1 : 0)
    }
    step(&words.0, other.0)
    step(&words.1, other.1)
    step(&words.2, other.2)
    step(&words.3, other.3)
  }

  /// What replicas compare: 16 bytes of the hash of sum and count.
  public var fingerprint: Fingerprint {
    var message: (UInt64, UInt64, UInt64, UInt64, UInt64) = (
      words.0.littleEndian, words.1.littleEndian, words.2.littleEndian, words.3.littleEndian, UInt64(count).littleEndian
    )
    let digest = withUnsafeBytes(of: &message) { sha256(tag: MerkleTag.fingerprint, $0, UnsafeRawBufferPointer(start: nil, count: 0)) }
    return Fingerprint(digest)
  }

  /// The sum's 32 bytes, the least significant first.
  var bytes: Digest { Digest(littleEndianWords: words) }

  /// The sum with these bytes and this count.
  init(bytes: Digest, count: Int) {
    words = bytes.littleEndianWords
    self.count = count
  }
}

/// The first bytes of what is hashed for key ranges; leaves and nodes of proof trees have 0 and 1.
enum MerkleTag {
  static let item: UInt8 = 2
  static let fingerprint: UInt8 = 3
}

/// 16 bytes that stand for the keys and contents of a range.
public struct Fingerprint: Sendable, Hashable, BitwiseCopyable {
  /// As they lie in memory.
  private var words: (UInt64, UInt64)

  /// The first 16 bytes of a digest.
  init(_ digest: Digest) {
    words = digest.withUnsafeBytes { ($0.loadUnaligned(as: UInt64.self), $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self)) }
  }

  /// Reads the 16 bytes.
  init(_ reader: inout ByteReader) throws(DecodeError) {
    words = (UInt64(littleEndian: try reader.readUInt64()), UInt64(littleEndian: try reader.readUInt64()))
    words = (words.0.littleEndian, words.1.littleEndian)
  }

  func write(to writer: inout ByteWriter) {
    writer.writeUInt64(UInt64(littleEndian: words.0))
    writer.writeUInt64(UInt64(littleEndian: words.1))
  }

  public static func == (a: Fingerprint, b: Fingerprint) -> Bool { a.words == b.words }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(words.0)
    hasher.combine(words.1)
  }
}

extension Fingerprint: CustomStringConvertible {
  public var description: String { withUnsafeBytes(of: words) { hexText(Array($0)) } }
}
