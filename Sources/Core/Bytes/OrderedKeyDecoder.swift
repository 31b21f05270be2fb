/// Reads the elements of an ``OrderedKey`` front to back. Any bytes give elements or a typed error, never a trap; memory is taken only
/// for bytes and text, never more than the key has.
public struct OrderedKeyDecoder: ~Escapable {
  @usableFromInline var reader: ByteReader

  /// A decoder of `key`; `base` is what errors call its first byte.
  @inlinable
  @_lifetime(copy key)
  public init(_ key: RawSpan, base: Int = 0) { reader = ByteReader(key, base: base) }

  /// Whether all elements have been read.
  @inlinable public var isAtEnd: Bool { reader.isAtEnd }

  /// Where the next element begins.
  @inlinable public var offset: Int { reader.offset }

  /// The next element, whatever its type.
  /// - Throws: `.truncated`, `.malformed`.
  public mutating func next() throws(DecodeError) -> OrderedKey.Element {
    switch try peekTag() {
    case OrderedKey.Tag.null:
      try reader.skip(1)
      return .null
    case OrderedKey.Tag.bytes: return .bytes(try nextBytes())
    case OrderedKey.Tag.string: return .string(try nextString())
    case OrderedKey.Tag.int: return .int(try nextInt64())
    case OrderedKey.Tag.uint: return .uint(try nextUInt64())
    case OrderedKey.Tag.double: return .double(try nextDouble())
    case OrderedKey.Tag.no, OrderedKey.Tag.yes: return .bool(try nextBool())
    default: throw .malformed(at: offset, field: "tag of a key element")
    }
  }

  /// Steps over the next element where it is nil and says whether it was.
  /// - Throws: `.truncated` where the key has ended.
  public mutating func nextIsNull() throws(DecodeError) -> Bool {
    guard try peekTag() == OrderedKey.Tag.null else { return false }
    try reader.skip(1)
    return true
  }

  /// The next element, which must be a signed integer.
  /// - Throws: `.malformed` where it is of another type, `.truncated`.
  public mutating func nextInt64() throws(DecodeError) -> Int64 {
    Int64(bitPattern: try nextWord(OrderedKey.Tag.int, "signed integer of a key") ^ (1 << 63))
  }

  /// The next element, which must be an unsigned integer.
  /// - Throws: `.malformed` where it is of another type, `.truncated`.
  public mutating func nextUInt64() throws(DecodeError) -> UInt64 {
    try nextWord(OrderedKey.Tag.uint, "unsigned integer of a key")
  }

  /// The next element, which must be a double.
  /// - Throws: `.malformed` where it is of another type, `.truncated`.
  public mutating func nextDouble() throws(DecodeError) -> Double {
    let bits = try nextWord(OrderedKey.Tag.double, "double of a key")
    return Double(bitPattern: bits >> 63 == 1 ? bits ^ (1 << 63) : ~bits)
  }

  /// The next element, which must be a truth value.
  /// - Throws: `.malformed` where it is of another type, `.truncated`.
  public mutating func nextBool() throws(DecodeError) -> Bool {
    let tag = try peekTag()
    guard tag == OrderedKey.Tag.yes || tag == OrderedKey.Tag.no else { throw .malformed(at: offset, field: "truth value of a key") }
    try reader.skip(1)
    return tag == OrderedKey.Tag.yes
  }

  /// The next element, which must be bytes.
  /// - Throws: `.malformed` where it is of another type, `.truncated` where its end is missing.
  public mutating func nextBytes() throws(DecodeError) -> [UInt8] {
    try nextEscaped(OrderedKey.Tag.bytes, "bytes of a key")
  }

  /// The next element, which must be text.
  /// - Throws: `.malformed` where it is of another type or not UTF-8, `.truncated` where its end is missing.
  public mutating func nextString() throws(DecodeError) -> String {
    let start = reader
    let utf8 = try nextEscaped(OrderedKey.Tag.string, "text of a key")
    guard let text = String(validating: utf8, as: UTF8.self) else {
      reader = start
      throw .malformed(at: offset, field: "text of a key")
    }
    return text
  }

  private func peekTag() throws(DecodeError) -> UInt8 {
    var ahead = reader
    return try ahead.readUInt8()
  }

  private mutating func nextWord(_ tag: UInt8, _ field: String) throws(DecodeError) -> UInt64 {
    guard try peekTag() == tag else { throw .malformed(at: offset, field: field) }
    var ahead = reader
    try ahead.skip(1)
    let word = try ahead.readUInt64BigEndian()
    reader = ahead
    return word
  }

  private mutating func nextEscaped(_ tag: UInt8, _ field: String) throws(DecodeError) -> [UInt8] {
    guard try peekTag() == tag else { throw .malformed(at: offset, field: field) }
    var ahead = reader
    try ahead.skip(1)
    var bytes: [UInt8] = []
    while true {
      guard let run = lengthOfRun(ahead) else { throw .truncated(at: offset, need: reader.remaining + 1, have: reader.remaining) }
      let piece = try ahead.readBytes(run)
      piece.withUnsafeBytes { bytes.append(contentsOf: $0) }
      try ahead.skip(1)
      var after = ahead
      guard !after.isAtEnd, try after.readUInt8() == 0xFF else {
        reader = ahead
        return bytes
      }
      bytes.append(0)
      ahead = after
    }
  }

  /// How many bytes come before the next zero; nil where there is none.
  private func lengthOfRun(_ reader: ByteReader) -> Int? {
    var reader = reader
    return reader.readRest().withUnsafeBytes { $0.firstIndex(of: 0) }
  }
}
