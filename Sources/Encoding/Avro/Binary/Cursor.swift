/// What failed, where and on which way there. One reference, so that what may throw it carries nothing where nothing is thrown, and a cursor
/// holds only numbers and addresses.
struct Fault: Error {
  // Made, added to and read by the one thread that decodes; it never leaves the call that failed.
  private final class Facts: @unchecked Sendable {
    let kind: AvroDecodeError.Kind
    let place: UnsafePointer<UInt8>
    /// The way to what failed, innermost step first.
    var path: [String] = []

    init(_ kind: AvroDecodeError.Kind, _ place: UnsafePointer<UInt8>) {
      self.kind = kind
      self.place = place
    }
  }

  private let facts: Facts

  @inline(never)
  init(_ kind: AvroDecodeError.Kind, at place: UnsafePointer<UInt8>) { facts = Facts(kind, place) }

  var kind: AvroDecodeError.Kind { facts.kind }

  /// The same failure one step further out.
  func inside(_ step: @autoclosure () -> String) -> Fault {
    facts.path.append(step())
    return self
  }

  /// As callers see it: offsets count from `base`, where the cursor of `start` began.
  func error(from start: UnsafePointer<UInt8>, base: Int) -> AvroDecodeError {
    AvroDecodeError(offset: base &+ (facts.place - start), path: facts.path.reversed().map { "/" + $0 }.joined(), kind: facts.kind)
  }
}

/// A block of an array or map, as its head says.
struct ItemBlock {
  /// How many items; 0 at the collection's end.
  var count = 0
  /// How many bytes they have, and where they end; nothing where the writer does not say.
  var size = 0
  var end: UnsafePointer<UInt8>?
}

/// Reads Avro's primitives from memory and keeps the bounds of one datum. Every read is checked against `end`; none traps.
struct Cursor {
  var next: UnsafePointer<UInt8>
  var end: UnsafePointer<UInt8>
  let start: UnsafePointer<UInt8>
  /// How many bytes of memory this datum may still take.
  var budget: Int
  var depth = 0
  let limits: AvroLimits
  let text: AvroText

  /// The caller keeps `bytes` alive and unchanged while the cursor is used.
  init(_ bytes: UnsafeRawBufferPointer, limits: AvroLimits, text: AvroText = .strict) {
    // An empty buffer may have no address; nothing is read from the one that stands in for it.
    let base = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self) ?? Self.nothing
    start = base
    next = base
    end = base + bytes.count
    budget = limits.maxAllocation
    self.limits = limits
    self.text = text
  }

  // One byte that is never freed and never written, because an empty cursor needs an address that compares equal to itself.
  private static nonisolated(unsafe) let nothing = UnsafePointer(UnsafeMutablePointer<UInt8>.allocate(capacity: 1))

  @inline(__always) var remaining: Int { end - next }

  var consumed: Int { next - start }

  @inline(never)
  func fail(_ kind: AvroDecodeError.Kind, at place: UnsafePointer<UInt8>? = nil) -> Fault { Fault(kind, at: place ?? next) }

  // MARK: Numbers

  @inline(__always)
  mutating func long() throws(Fault) -> Int64 {
    if next < end {
      let byte = next.pointee
      if byte < 0x80 {
        next += 1
        return Int64(byte >> 1) ^ -Int64(byte & 1)
      }
    }
    let value = try varint(maximumBytes: 10)
    return Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1)
  }

  @inline(__always)
  mutating func int() throws(Fault) -> Int32 {
    if next < end {
      let byte = next.pointee
      if byte < 0x80 {
        next += 1
        return Int32(byte >> 1) ^ -Int32(byte & 1)
      }
    }
    let place = next
    let value = try varint(maximumBytes: 5)
    guard let value = UInt32(exactly: value) else {
      next = place
      throw fail(.numberOutOfRange)
    }
    return Int32(bitPattern: value >> 1) ^ -Int32(bitPattern: value & 1)
  }

  /// A number of more than one byte: from one word where eight bytes are left and it ends among them.
  mutating func varint(maximumBytes: Int) throws(Fault) -> UInt64 {
    if remaining >= 8 {
      let word = UInt64(littleEndian: UnsafeRawPointer(next).loadUnaligned(as: UInt64.self))
      let ends = ~word & 0x8080_8080_8080_8080
      let length = ends.trailingZeroBitCount / 8 + 1
      if ends != 0, length <= maximumBytes {
        // Up to the first end, then the gaps of the high bits closed pairwise.
        var value = word & (ends ^ (ends &- 1)) & 0x7F7F_7F7F_7F7F_7F7F
        value = (value & 0x007F_007F_007F_007F) | ((value & 0x7F00_7F00_7F00_7F00) >> 1)
        value = (value & 0x0000_3FFF_0000_3FFF) | ((value & 0x3FFF_0000_3FFF_0000) >> 2)
        value = (value & 0x0000_0000_0FFF_FFFF) | ((value & 0x0FFF_FFFF_0000_0000) >> 4)
        next += length
        return value
      }
    }
    return try varintByBytes(maximumBytes)
  }

  private mutating func varintByBytes(_ maximumBytes: Int) throws(Fault) -> UInt64 {
    var value: UInt64 = 0
    var place = next
    for index in 0..<maximumBytes {
      guard place < end else { throw fail(.endOfData) }
      let byte = place.pointee
      place += 1
      if index == 9, byte > 1, byte < 0x80 { throw fail(.numberOutOfRange) }
      value |= UInt64(byte & 0x7F) &<< UInt64(7 * index)
      if byte < 0x80 {
        next = place
        return value
      }
    }
    throw fail(.varintTooLong)
  }

  @inline(__always)
  mutating func take(_ count: Int) throws(Fault) -> UnsafePointer<UInt8> {
    guard count <= remaining else { throw fail(.endOfData) }
    let place = next
    next += count
    return place
  }

  @inline(__always)
  mutating func float() throws(Fault) -> Float {
    Float(bitPattern: UInt32(littleEndian: UnsafeRawPointer(try take(4)).loadUnaligned(as: UInt32.self)))
  }

  @inline(__always)
  mutating func double() throws(Fault) -> Double {
    Double(bitPattern: UInt64(littleEndian: UnsafeRawPointer(try take(8)).loadUnaligned(as: UInt64.self)))
  }

  @inline(__always)
  mutating func boolean() throws(Fault) -> Bool {
    let place = try take(1)
    guard place.pointee <= 1 else {
      next = place
      throw fail(.invalidBoolean(place.pointee))
    }
    return place.pointee == 1
  }

  // MARK: Lengths

  /// A length that the bytes left can hold.
  @inline(__always)
  mutating func length() throws(Fault) -> Int {
    let place = next
    let length = try long()
    guard length >= 0, length <= Int64(remaining) else {
      next = place
      throw fail(length < 0 ? .negativeLength(length) : .endOfData)
    }
    return Int(length)
  }

  @inline(__always)
  mutating func charge(_ count: Int) throws(Fault) {
    guard count <= budget else { throw fail(.limitExceeded("memory for one datum", limit: limits.maxAllocation)) }
    budget &-= count  // not below zero, as just checked
  }

  mutating func charge(items: Int, each: Int) throws(Fault) {
    let (total, overflow) = items.multipliedReportingOverflow(by: each)
    guard !overflow else { throw fail(.limitExceeded("memory for one datum", limit: limits.maxAllocation)) }
    try charge(total)
  }

  @inline(__always)
  mutating func bytes() throws(Fault) -> [UInt8] {
    let count = try length()
    return try fixed(count)
  }

  @inline(__always)
  mutating func fixed(_ count: Int) throws(Fault) -> [UInt8] {
    let place = try take(count)
    try charge(count)
    return [UInt8](UnsafeBufferPointer(start: place, count: count))
  }

  mutating func string() throws(Fault) -> String {
    let place = next
    let count = try length()
    try charge(count)
    let start = try take(count)
    let bytes = UnsafeBufferPointer(start: start, count: count)
    // The general validation goes through unspecialized code; most text needs none of it.
    if Self.isASCII(start, count) { return Self.text(ascii: bytes) }
    if let string = String(validating: bytes, as: UTF8.self) { return string }
    guard text == .lossy else {
      next = place
      throw fail(.invalidUTF8)
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  @inline(__always)
  private static func text(ascii bytes: UnsafeBufferPointer<UInt8>) -> String {
    // Up to 15 bytes stand in the string itself.
    guard bytes.count <= 15 else { return String(decoding: bytes, as: UTF8.self) }
    return String(unsafeUninitializedCapacity: bytes.count) { target in target.initialize(fromContentsOf: bytes) }
  }

  /// Whether no byte has its highest bit set: word by word, the last word over the end of the one before.
  @inline(__always)
  private static func isASCII(_ start: UnsafePointer<UInt8>, _ count: Int) -> Bool {
    let bytes = UnsafeRawPointer(start)
    var found: UInt64 = 0
    if count >= 8 {
      var offset = 0
      while offset + 8 <= count {
        found |= bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
        offset += 8
      }
      found |= bytes.loadUnaligned(fromByteOffset: count - 8, as: UInt64.self)
    } else {
      for offset in 0..<count { found |= UInt64(start[offset]) }
    }
    return found & 0x8080_8080_8080_8080 == 0
  }

  // MARK: Blocks

  /// A block's head: how many items follow, 0 at the end of the collection, and how many bytes they have where the writer says.
  @inline(__always)
  mutating func block() throws(Fault) -> (count: Int, size: Int?) {
    let place = next
    let count = try long()
    if count >= 0 {
      guard count <= Int64(Int.max) else { throw fail(.endOfData, at: place) }
      return (Int(count), nil)
    }
    guard count != .min else { throw fail(.numberOutOfRange, at: place) }
    return (Int(-count), try length())
  }

  @inline(__always)
  mutating func enter() throws(Fault) {
    guard depth < limits.maxDepth else { throw fail(.limitExceeded("nesting", limit: limits.maxDepth)) }
    depth &+= 1  // below the limit
  }

  @inline(__always)
  mutating func leave() { depth &-= 1 }  // entered before
}
