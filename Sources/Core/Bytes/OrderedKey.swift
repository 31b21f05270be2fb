/// A tuple of values as one byte string whose order under ``compare(_:_:)-(RawSpan,RawSpan)`` is the order of the tuples.
///
/// The order is by element, front to back; a tuple comes before every longer one it begins. Elements of one type compare as one
/// expects: integers by value, doubles in IEEE 754's total order (-NaN, -infinity, ..., -0, +0, ..., infinity, NaN), text and bytes
/// byte by byte, `false` before `true`. Elements of different types at one position compare by their tag alone, so a signed and an
/// unsigned integer never interleave: keep to one type per position. A tuple has exactly one encoding.
///
/// After the idea of FoundationDB's tuple layer; `Docs/Formats/OrderedKey.md` has the bytes.
public enum OrderedKey {
  /// One element of a tuple.
  public enum Element: Sendable {
    /// No value; before every value.
    case null
    /// Bytes, byte by byte.
    case bytes([UInt8])
    /// Text, by its UTF-8.
    case string(String)
    /// A signed integer.
    case int(Int64)
    /// An unsigned integer.
    case uint(UInt64)
    /// A double, in IEEE 754's total order.
    case double(Double)
    /// A truth value; false first.
    case bool(Bool)
  }

  @usableFromInline
  enum Tag {
    @usableFromInline static let null: UInt8 = 0x00
    @usableFromInline static let bytes: UInt8 = 0x01
    @usableFromInline static let string: UInt8 = 0x02
    @usableFromInline static let int: UInt8 = 0x10
    @usableFromInline static let uint: UInt8 = 0x11
    @usableFromInline static let double: UInt8 = 0x21
    @usableFromInline static let no: UInt8 = 0x26
    @usableFromInline static let yes: UInt8 = 0x27
  }

  /// The encoding of a tuple. O(size).
  public static func encode(_ elements: [Element]) -> [UInt8] {
    var encoder = OrderedKeyEncoder()
    for element in elements {
      switch element {
      case .null: encoder.appendNull()
      case .bytes(let bytes): encoder.append(bytes)
      case .string(let text): encoder.append(text)
      case .int(let value): encoder.append(value)
      case .uint(let value): encoder.append(value)
      case .double(let value): encoder.append(value)
      case .bool(let value): encoder.append(value)
      }
    }
    return encoder.finish()
  }

  /// The tuple that `encode` made `key` of. O(size); memory is bounded by the size of `key`.
  /// - Parameter limit: the most elements to accept.
  /// - Throws: ``DecodeError``: `.truncated`, `.malformed` (unknown tag, text that is not UTF-8), `.limitExceeded`.
  public static func decode(_ key: RawSpan, limit: Int) throws(DecodeError) -> [Element] {
    var decoder = OrderedKeyDecoder(key)
    var elements: [Element] = []
    while !decoder.isAtEnd {
      guard elements.count < limit else { throw .limitExceeded(at: decoder.offset, field: "number of key elements", limit: limit) }
      elements.append(try decoder.next())
    }
    return elements
  }
}

extension OrderedKey.Element: Hashable {
  /// Equality of encodings: doubles are equal where all their bits are, so NaN equals itself and -0 differs from +0.
  public static func == (a: OrderedKey.Element, b: OrderedKey.Element) -> Bool {
    switch (a, b) {
    case (.null, .null): true
    case (.bytes(let a), .bytes(let b)): a == b
    case (.string(let a), .string(let b)): a.utf8.elementsEqual(b.utf8)
    case (.int(let a), .int(let b)): a == b
    case (.uint(let a), .uint(let b)): a == b
    case (.double(let a), .double(let b)): a.bitPattern == b.bitPattern
    case (.bool(let a), .bool(let b)): a == b
    default: false
    }
  }

  public func hash(into hasher: inout Hasher) {
    for byte in OrderedKey.encode([self]) { hasher.combine(byte) }
  }
}

/// Builds the encoding of an ``OrderedKey`` element by element, without boxing the elements.
public struct OrderedKeyEncoder: ~Copyable {
  @usableFromInline var writer: ByteWriter

  /// An empty tuple with room for `capacity` bytes.
  @inlinable public init(capacity: Int = 32) { writer = ByteWriter(capacity: capacity) }

  /// The encoding so far, borrowed until the next append.
  @inlinable public var bytes: RawSpan {
    @_lifetime(borrow self) get { writer.bytes }
  }

  /// The encoding; ends the encoder.
  @inlinable public consuming func finish() -> [UInt8] { writer.finish() }

  /// Drops all elements and keeps the memory.
  @inlinable public mutating func removeAll() { writer.removeAll() }

  /// Appends nil, which comes before everything.
  @inlinable public mutating func appendNull() { writer.writeUInt8(OrderedKey.Tag.null) }

  /// Appends bytes.
  @inlinable
  public mutating func append(_ bytes: RawSpan) {
    bytes.withUnsafeBytes { appendEscaped($0, tag: OrderedKey.Tag.bytes) }
  }

  /// Appends bytes.
  @inlinable public mutating func append(_ bytes: [UInt8]) { append(bytes.span.bytes) }

  /// Appends text.
  @inlinable
  public mutating func append(_ text: String) {
    var text = text
    text.withUTF8 { appendEscaped(UnsafeRawBufferPointer($0), tag: OrderedKey.Tag.string) }
  }

  /// Appends a signed integer.
  @inlinable
  public mutating func append(_ value: Int64) {
    writer.writeUInt8(OrderedKey.Tag.int)
    writer.writeUInt64BigEndian(UInt64(bitPattern: value) ^ (1 << 63))
  }

  /// Appends an unsigned integer.
  @inlinable
  public mutating func append(_ value: UInt64) {
    writer.writeUInt8(OrderedKey.Tag.uint)
    writer.writeUInt64BigEndian(value)
  }

  /// Appends a double.
  @inlinable
  public mutating func append(_ value: Double) {
    writer.writeUInt8(OrderedKey.Tag.double)
    let bits = value.bitPattern
    writer.writeUInt64BigEndian(bits >> 63 == 0 ? bits ^ (1 << 63) : ~bits)
  }

  /// Appends a truth value.
  @inlinable
  public mutating func append(_ value: Bool) { writer.writeUInt8(value ? OrderedKey.Tag.yes : OrderedKey.Tag.no) }

  @usableFromInline
  mutating func appendEscaped(_ bytes: UnsafeRawBufferPointer, tag: UInt8) {
    writer.reserve(bytes.count + 2)
    writer.writeUInt8(tag)
    var rest = bytes
    while let zero = rest.firstIndex(of: 0) {
      writer.copy(UnsafeRawBufferPointer(rebasing: rest[...zero]))
      writer.writeUInt8(0xFF)
      rest = UnsafeRawBufferPointer(rebasing: rest[(zero + 1)...])
    }
    writer.copy(rest)
    writer.writeUInt8(0)
  }
}
