/// What kind of value a key holds.
struct RecordType: RawRepresentable, Hashable, Sendable {
  /// Below 128; 0 is a string.
  var rawValue: UInt8

  static let string = RecordType(rawValue: 0)
  static let bloom = RecordType(rawValue: 1)
  static let cuckoo = RecordType(rawValue: 2)

  private static let known = [string, bloom, cuckoo]

  init(rawValue: UInt8) { self.rawValue = rawValue }

  /// The type of this name in any case; `nil` for a name that none has.
  init?(named name: UnsafeRawBufferPointer) {
    let found = Self.known.first { type in
      type.name.withUTF8Buffer { $0.count == name.count && zip($0, name).allSatisfy { $0.upperCased == $1.upperCased } }
    }
    guard let found else { return nil }
    self = found
  }

  /// What `TYPE` answers and `SCAN` takes.
  var name: StaticString {
    switch self {
    case .string: "string"
    case .bloom: "MBbloom--"
    case .cuckoo: "MBbloomCF"
    default: "unknown"
    }
  }
}

/// The 64 bits that engines keep beside a value and call its expiry: when it expires and what kind of value it is.
///
/// Of a string they are the expiry in Unix milliseconds, 0 for none, below 2^63. With bit 63 set they are the type in bits 62 to 56 and the expiry in
/// the 56 bits below. So the index of an engine tells a key's type without its value. See Docs/Formats/ServerRecords.md.
struct RecordStamp: Hashable, Sendable {
  private static let typed: UInt64 = 1 << 63
  private static let typeShift: UInt64 = 56
  /// Expiries of values other than strings are below this.
  static let expiryEnd: UInt64 = 1 << typeShift

  let bits: UInt64

  @inline(__always)
  init(_ bits: UInt64) { self.bits = bits }

  /// `expiry` must be below ``expiryEnd`` for a type other than string.
  init(_ type: RecordType, expiry: UInt64) {
    precondition(type == .string || expiry < Self.expiryEnd, "an expiry that leaves no room for a type")
    bits = type == .string ? expiry : Self.typed | UInt64(type.rawValue & 0x7F) << Self.typeShift | expiry
  }

  @inline(__always) var isString: Bool { bits & Self.typed == 0 }
  var type: RecordType { isString ? .string : RecordType(rawValue: UInt8(truncatingIfNeeded: bits >> Self.typeShift) & 0x7F) }
  /// Unix milliseconds, 0 for none.
  @inline(__always) var expiry: UInt64 { isString ? bits : bits & (Self.expiryEnd - 1) }
  @inline(__always) var expires: Bool { expiry != 0 }
}
