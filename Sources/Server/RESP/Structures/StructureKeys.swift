/// Where the parts of a value lie that is kept in many records: behind keys that no client can name, as their first byte is no database.
///
/// A structure is one key of a client whose record is its *root*: a version u8, seven bytes of its kind, and its number, a u64 at offset 8. The
/// number is given out once in the life of a store. Every other record of the structure, a *part*, has the number in its key; and one record, the
/// *registration*, says which key the structure belongs to. A structure lives as long as its root is stored under that key with that number. Whatever
/// takes the root away — DEL, SET, an expiry, FLUSHALL — need not know that there are parts: they are out of reach at once, and removed later
/// (``Keyspace/reapSome(from:pages:)``). RENAME moves root and registration; nothing else moves.
enum StructureKeys {
  /// The first byte of the counter and of registrations.
  static let registry: UInt8 = 16
  /// The first byte of parts.
  static let parts: UInt8 = 17
  /// Holds the last number given out.
  static let counter: [UInt8] = [registry]
  /// Bytes of a root that every structure has.
  static let rootBytes = 16

  private static func key(_ first: UInt8, _ number: UInt64) -> [UInt8] {
    [first] + (0..<8).map { UInt8(truncatingIfNeeded: number >> UInt64(56 - 8 * $0)) }
  }

  /// The key of a structure's registration, whose value is the key of the root.
  static func registration(_ number: UInt64) -> [UInt8] { key(registry, number) }

  /// What the keys of all parts of a structure begin with.
  static func prefix(_ number: UInt64) -> [UInt8] { key(parts, number) }

  /// The key of a part with a number of its own; in their order.
  static func part(_ number: UInt64, _ part: UInt32) -> [UInt8] {
    prefix(number) + (0..<4).map { UInt8(truncatingIfNeeded: part >> UInt32(24 - 8 * $0)) }
  }

  /// The structure that a key of this first byte is of.
  static func number(_ key: [UInt8], _ first: UInt8) -> UInt64? {
    guard key.count >= 9, key[0] == first else { return nil }
    return key[1...8].reduce(0) { $0 << 8 | UInt64($1) }
  }

  /// Which structure a root is of.
  static func number(ofRoot value: UnsafeRawBufferPointer) -> UInt64? {
    guard value.count >= rootBytes else { return nil }
    return UInt64(littleEndian: value.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
  }
}
