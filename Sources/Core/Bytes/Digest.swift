/// 32 bytes that stand for what they were computed from.
///
/// A value without heap memory. The order is that of the bytes; the text is 64 hex characters.
@frozen
public struct Digest: Sendable, Hashable, Comparable, BitwiseCopyable {
  /// How many bytes a digest has.
  public static let byteCount = 32
  /// 32 zero bytes.
  public static let zero = Digest(words: (0, 0, 0, 0))

  /// The bytes, eight at a time, as they lie in memory.
  @usableFromInline var words: (UInt64, UInt64, UInt64, UInt64)

  @inlinable
  init(words: (UInt64, UInt64, UInt64, UInt64)) { self.words = words }

  /// The digest with these bytes, or nil where they are not 32.
  @inlinable
  public init?(_ bytes: RawSpan) {
    guard bytes.byteCount == Self.byteCount else { return nil }
    // The length was checked above; every pattern of bits is a number.
    func word(_ offset: Int) -> UInt64 { bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: UInt64.self) }
    self.init(words: (word(0), word(8), word(16), word(24)))
  }

  /// The digest with these bytes, or nil where they are not 32.
  @inlinable
  public init?(_ bytes: [UInt8]) { self.init(bytes.span.bytes) }

  /// The digest written as 64 hex characters of either case, or nil for any other text.
  public init?(hex: some StringProtocol) {
    let text = Array(hex.utf8)
    guard text.count == 2 * Self.byteCount else { return nil }
    var bytes = [UInt8](repeating: 0, count: Self.byteCount)
    for index in bytes.indices {
      guard let high = Self.nibble(text[2 * index]), let low = Self.nibble(text[2 * index + 1]) else { return nil }
      bytes[index] = high << 4 | low
    }
    self.init(bytes)
  }

  private static func nibble(_ character: UInt8) -> UInt8? {
    switch character {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): character - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): character - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): character - UInt8(ascii: "A") + 10
    default: nil
    }
  }

  /// A copy of the bytes.
  public var bytes: [UInt8] { withUnsafeBytes { Array($0) } }

  /// Lends the bytes to `body`.
  @inlinable
  public func withUnsafeBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    Swift.withUnsafeBytes(of: words) { body($0) }
  }

  /// Fills the bytes in `body`, which must write all 32.
  @inlinable
  package init(filling body: (UnsafeMutableRawPointer) -> Void) {
    self.init(words: (0, 0, 0, 0))
    // A tuple of four words is 32 bytes, so its address is given.
    withUnsafeMutableBytes(of: &words) { if let start = $0.baseAddress { body(start) } }
  }

  /// The bytes as a number of 256 bits, the least significant word first.
  @inlinable
  package var littleEndianWords: (UInt64, UInt64, UInt64, UInt64) {
    (UInt64(littleEndian: words.0), UInt64(littleEndian: words.1), UInt64(littleEndian: words.2), UInt64(littleEndian: words.3))
  }

  /// The digest whose bytes are this number of 256 bits, the least significant word first.
  @inlinable
  package init(littleEndianWords words: (UInt64, UInt64, UInt64, UInt64)) {
    self.init(words: (words.0.littleEndian, words.1.littleEndian, words.2.littleEndian, words.3.littleEndian))
  }

  @inlinable
  public static func == (a: Digest, b: Digest) -> Bool { a.words == b.words }

  @inlinable
  public static func < (a: Digest, b: Digest) -> Bool {
    (a.words.0.bigEndian, a.words.1.bigEndian, a.words.2.bigEndian, a.words.3.bigEndian)
      < (b.words.0.bigEndian, b.words.1.bigEndian, b.words.2.bigEndian, b.words.3.bigEndian)
  }

  @inlinable
  public func hash(into hasher: inout Hasher) {
    hasher.combine(words.0)
    hasher.combine(words.1)
    hasher.combine(words.2)
    hasher.combine(words.3)
  }
}

extension Digest: CustomStringConvertible {
  public var description: String {
    let digits = Array("0123456789abcdef".utf8)
    return withUnsafeBytes { bytes in
      String(unsafeUninitializedCapacity: 2 * Self.byteCount) { text in
        for (index, byte) in bytes.enumerated() {
          text[2 * index] = digits[Int(byte >> 4)]
          text[2 * index + 1] = digits[Int(byte & 15)]
        }
        return 2 * Self.byteCount
      }
    }
  }
}
