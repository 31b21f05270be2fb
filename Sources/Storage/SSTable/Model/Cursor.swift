import StrataBytes

/// Where a cursor stands. The pointers are valid until the next move of that cursor and no longer.
@frozen
public struct CursorEntry {
  /// The user key.
  public var key: UnsafeRawBufferPointer
  /// ``keyHead(_:)`` of `key`, so that a merge compares most keys by one integer.
  public var head: UInt64
  /// Sequence and kind.
  public var trailer: Trailer
  /// The value, the operand, or nothing.
  public var value: UnsafeRawBufferPointer

  /// An entry over bytes that its cursor keeps in place.
  @inlinable public init(key: UnsafeRawBufferPointer, head: UInt64, trailer: Trailer, value: UnsafeRawBufferPointer) {
    self.key = key
    self.head = head
    self.trailer = trailer
    self.value = value
  }

  /// No entry.
  @inlinable public init() {
    self.init(
      key: UnsafeRawBufferPointer(start: nil, count: 0), head: 0, trailer: Trailer(word: 0), value: UnsafeRawBufferPointer(start: nil, count: 0))
  }

  /// Whether this entry comes before `other` in internal order: key ascending, then newest first.
  @inlinable
  public func precedes(_ other: CursorEntry) -> Bool {
    if head != other.head { return head < other.head }
    let order = compare(key, other.key)
    return order != 0 ? order < 0 : trailer > other.trailer
  }
}

/// A position in a sorted run of entries that moves both ways: the one shape memtables, tables, levels and merges of them have, so that
/// reads and compactions share one merging code.
///
/// Moves are one virtual call; what a cursor stands on is plain stored state that its user reads without one. A cursor belongs to one
/// thread at a time. A move that throws leaves the cursor invalid; reaching an end is ``isValid`` `== false`, never an error. Moving an
/// invalid cursor other than by a positioning call (`first`, `last`, `seek`, `seekBefore`) is a programmer's error.
///
/// A class rather than a protocol with existentials: `entry` and `isValid` must be loads, not witness calls. Open, so that other sorted sources
/// take part in a merge by subclassing; a subclass overrides all six moves.
open class Cursor {
  /// What the cursor stands on while ``isValid``.
  @exclusivity(unchecked) public final var entry = CursorEntry()
  /// Whether the cursor stands on an entry.
  @exclusivity(unchecked) public final var isValid = false

  /// A cursor that stands nowhere.
  public init() {}

  /// Moves to the first entry.
  open func first() throws(TableError) { preconditionFailure("a cursor says how it moves") }
  /// Moves to the last entry.
  open func last() throws(TableError) { preconditionFailure("a cursor says how it moves") }
  /// Moves to the first entry at or after (`key`, `trailer`) in internal order. `key` need not outlive the call.
  open func seek(_ key: UnsafeRawBufferPointer, _ trailer: Trailer) throws(TableError) { preconditionFailure("a cursor says how it moves") }
  /// Moves to the last entry before (`key`, `trailer`) in internal order. `key` need not outlive the call.
  open func seekBefore(_ key: UnsafeRawBufferPointer, _ trailer: Trailer) throws(TableError) { preconditionFailure("a cursor says how it moves") }
  /// Moves to the following entry.
  open func next() throws(TableError) { preconditionFailure("a cursor says how it moves") }
  /// Moves to the preceding entry.
  open func previous() throws(TableError) { preconditionFailure("a cursor says how it moves") }
}
