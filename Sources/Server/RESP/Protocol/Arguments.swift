/// Where the arguments of the command being parsed lie: offsets and lengths in one flat block that is used again for the next command.
///
/// Owned by one connection and used on its event loop only.
final class ArgumentList {
  struct Entry {
    var offset: Int
    var count: Int
  }

  private(set) var count = 0
  fileprivate var entries: UnsafeMutablePointer<Entry>
  private var capacity: Int
  private static let keptCapacity = 1024

  init() {
    capacity = 16
    entries = .allocate(capacity: capacity)
  }

  deinit {
    entries.deallocate()
  }

  func append(offset: Int, count length: Int) {
    if count == capacity { resize(to: capacity * 2) }
    (entries + count).initialize(to: Entry(offset: offset, count: length))
    count += 1
  }

  func removeAll() {
    count = 0
    if capacity > Self.keptCapacity { resize(to: 16) }
  }

  private func resize(to newCapacity: Int) {
    let larger = UnsafeMutablePointer<Entry>.allocate(capacity: newCapacity)
    larger.update(from: entries, count: count)
    entries.deallocate()
    entries = larger
    capacity = newCapacity
  }
}

/// One command's arguments: the list of ranges over the bytes they lie in. Valid only while those bytes are, that is during one execution.
struct Invocation {
  let base: UnsafeRawPointer
  private let list: ArgumentList

  init(base: UnsafeRawPointer, _ list: ArgumentList) {
    self.base = base
    self.list = list
  }

  @inline(__always) var count: Int { list.count }

  /// The bytes of argument `index`; 0 is the command's name.
  @inline(__always) subscript(index: Int) -> UnsafeRawBufferPointer {
    precondition(index >= 0 && index < list.count, "a command looked beyond its arguments")
    let entry = list.entries[index]
    return UnsafeRawBufferPointer(start: base + entry.offset, count: entry.count)
  }

  /// The argument as text; bytes that are not UTF-8 are replaced.
  func text(_ index: Int) -> String { String(decoding: self[index], as: UTF8.self) }

  /// The argument's own bytes.
  func bytes(_ index: Int) -> [UInt8] { [UInt8](self[index]) }

  /// Whether the argument is `word`, whatever its case. `word` is given in upper case.
  func matches(_ index: Int, _ word: StaticString) -> Bool {
    let argument = self[index]
    guard argument.count == word.utf8CodeUnitCount else { return false }
    return word.withUTF8Buffer { upper in
      for i in 0..<argument.count where argument[i].upperCased != upper[i] { return false }
      return true
    }
  }
}

extension UInt8 {
  /// ASCII upper case; other bytes are unchanged.
  @inline(__always) var upperCased: UInt8 {
    self >= UInt8(ascii: "a") && self <= UInt8(ascii: "z") ? self & 0xDF : self
  }

  /// ASCII lower case; other bytes are unchanged.
  @inline(__always) var lowerCased: UInt8 {
    self >= UInt8(ascii: "A") && self <= UInt8(ascii: "Z") ? self | 0x20 : self
  }
}

/// Decimal integers as Redis accepts them: optional minus, no plus, no leading zero, no space, 64 bits.
enum Decimal {
  static func parse(_ bytes: UnsafeRawBufferPointer) -> Int64? {
    guard let negative = bytes.first.map({ $0 == UInt8(ascii: "-") }) else { return nil }
    let digits = negative ? UnsafeRawBufferPointer(rebasing: bytes[1...]) : bytes
    guard let magnitude = parseUnsigned(digits) else { return nil }
    if negative {
      guard magnitude > 0, magnitude <= 1 << 63 else { return nil }
      return magnitude == 1 << 63 ? Int64.min : -Int64(magnitude)
    }
    return Int64(exactly: magnitude)
  }

  static func parseUnsigned(_ bytes: UnsafeRawBufferPointer) -> UInt64? {
    guard let first = bytes.first, bytes.count <= 20 else { return nil }
    if first == UInt8(ascii: "0") { return bytes.count == 1 ? 0 : nil }
    var value: UInt64 = 0
    for byte in bytes {
      let digit = byte &- UInt8(ascii: "0")
      guard digit <= 9 else { return nil }
      let (product, overflow) = value.multipliedReportingOverflow(by: 10)
      let (sum, carry) = product.addingReportingOverflow(UInt64(digit))
      guard !overflow, !carry else { return nil }
      value = sum
    }
    return value
  }

  /// Writes `value` in decimal to the end of `scratch` and returns where it starts.
  @inline(__always)
  static func write(_ value: Int64, _ scratch: UnsafeMutableRawBufferPointer) -> Int {
    var index = scratch.count
    var magnitude = value.magnitude
    repeat {
      let (quotient, remainder) = magnitude.quotientAndRemainder(dividingBy: 10)
      index -= 1
      scratch[index] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: remainder)
      magnitude = quotient
    } while magnitude > 0
    if value < 0 {
      index -= 1
      scratch[index] = UInt8(ascii: "-")
    }
    return index
  }
}
