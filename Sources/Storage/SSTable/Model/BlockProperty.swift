/// Makes a short property of the entries of each data block, such as the least and greatest time in their values, so that cursors can pass over
/// blocks and tables that hold nothing wanted: see ``BlockFilter``.
///
/// Stateless: what has been gathered is handed in. A property is bytes of the collector's own making, empty before the first entry; one longer than
/// ``TableLimits/propertyBytes`` is not stored, and the block is then never passed over. The properties of a part of the index and of the whole table
/// are put together from those of their blocks (Pebble's block-property collectors).
public protocol BlockPropertyCollector: Sendable {
  /// What tables call the property; at most 255 bytes of UTF-8. Never give one name to two properties: a table says which it has by name alone.
  var name: String { get }

  /// Adds an entry to the property so far. Called for every version of a key, deletions and operands too, in order; not for range deletions.
  func add(key: RawSpan, sequence: UInt64, kind: EntryKind, value: RawSpan, to property: inout [UInt8])

  /// Adds the property of further entries, never an empty one.
  func add(_ other: [UInt8], to property: inout [UInt8])
}

/// Which blocks a cursor may pass over: those whose property says that they hold nothing wanted.
///
/// What is passed over is point entries; range deletions act as ever. A block whose last key has further versions in the next block is never passed
/// over, so of one table no old version comes up in place of a newer one. A table without the property, or a block without, is read in full.
///
/// A cursor over a single table knows nothing of other tables: where an older table has the key of an entry that was passed over, the older version
/// comes up, a value behind its own deletion too. Whoever merges cursors gives the filter only to tables with nothing older beneath them, as
/// `LSMTree` does.
public final class BlockFilter: Sendable, Hashable {
  /// The ``BlockPropertyCollector/name`` of the property asked.
  public let property: String
  private let mayHold: @Sendable (RawSpan) -> Bool

  /// - Parameter mayHold: whether entries of that property may be wanted. Where it is `false` for a property it must be `false` for each that went
  ///   into it, and for the empty one.
  public init(property: String, mayHold: @escaping @Sendable (RawSpan) -> Bool) {
    self.property = property
    self.mayHold = mayHold
  }

  func mayHold(_ property: UnsafeRawBufferPointer) -> Bool { mayHold(property.bytes) }

  /// A filter is equal to itself only.
  public static func == (a: BlockFilter, b: BlockFilter) -> Bool { a === b }
  public func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(self)) }
}

/// A property of a whole table, as the table names it.
public struct TableProperty: Sendable, Hashable {
  /// Its collector's name.
  public var name: String
  /// The property of all entries; `nil` where a part has none.
  public var value: [UInt8]?
}

/// The least and the greatest of a number that entries have, such as a time in their values: 16 bytes, both little-endian.
public struct IntervalCollector: BlockPropertyCollector {
  public let name: String
  private let number: @Sendable (_ key: RawSpan, _ kind: EntryKind, _ value: RawSpan) -> UInt64?

  /// - Parameter number: an entry's number; `nil` for one that no filter asks for.
  public init(_ name: String, number: @escaping @Sendable (_ key: RawSpan, _ kind: EntryKind, _ value: RawSpan) -> UInt64?) {
    self.name = name
    self.number = number
  }

  public func add(key: RawSpan, sequence: UInt64, kind: EntryKind, value: RawSpan, to property: inout [UInt8]) {
    guard let number = number(key, kind, value) else { return }
    Self.widen(&property, number...number)
  }

  public func add(_ other: [UInt8], to property: inout [UInt8]) {
    guard let interval = other.withUnsafeBytes(Self.interval) else { return }
    Self.widen(&property, interval)
  }

  private static func widen(_ property: inout [UInt8], _ more: ClosedRange<UInt64>) {
    let present = property.withUnsafeBytes(interval)
    let (least, greatest) = (min(present?.lowerBound ?? .max, more.lowerBound), max(present?.upperBound ?? 0, more.upperBound))
    if property.count != 16 { property = [UInt8](repeating: 0, count: 16) }
    property.withUnsafeMutableBytes { bytes in
      bytes.store(least, at: 0)
      bytes.store(greatest, at: 8)
    }
  }

  /// What a property says; `nil` for one that is none.
  fileprivate static func interval(_ property: UnsafeRawBufferPointer) -> ClosedRange<UInt64>? {
    guard property.count == 16 else { return nil }
    let least = UInt64(littleEndian: property.loadUnaligned(as: UInt64.self))
    let greatest = UInt64(littleEndian: property.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
    return least <= greatest ? least...greatest : nil
  }
}

extension BlockFilter {
  /// Passes over blocks none of whose entries has a number of `wanted`, by an ``IntervalCollector`` of that name.
  public convenience init(_ name: String, within wanted: ClosedRange<UInt64>) {
    self.init(property: name) { property in
      property.withUnsafeBytes { property in
        // No entry of the block has a number.
        if property.isEmpty { return false }
        return IntervalCollector.interval(property)?.overlaps(wanted) ?? true
      }
    }
  }
}
