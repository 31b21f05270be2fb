/// What an entry says about its key. The raw values are what tables, logs and memtables store.
public enum EntryKind: UInt8, Sendable, Hashable, CaseIterable {
  /// The key is gone as of this sequence. A deletion is a kind, never a special value.
  case deletion = 0
  /// The key has this value, which may be empty.
  case value = 1
  /// The value is an operand that a merge operator folds into what is older.
  case merge = 2
  /// All keys from this one (inclusive) to the one in the value (exclusive) are gone as of this sequence.
  case rangeDeletion = 3
}

/// A sequence and a kind in one word, so that two versions of a key compare by one comparison: **larger is newer and comes first**.
///
/// The sequence is the place of a write in an engine's one order of writes, 56 bits; 0 marks an entry whose place no longer matters.
/// Within one sequence the order is kind descending, which only matters to tables from elsewhere: an engine gives no sequence twice.
@frozen
public struct Trailer: Sendable, Hashable, Comparable {
  /// `sequence << 8 | kind`.
  public let word: UInt64

  /// The greatest sequence there can be: what a reader of the latest state asks for.
  public static let maxSequence: UInt64 = (1 << 56) - 1

  /// A trailer from its stored word.
  @inlinable public init(word: UInt64) { self.word = word }

  /// The trailer of an entry. `sequence` is at most ``maxSequence``; higher bits are cut off.
  @inlinable public init(_ sequence: UInt64, _ kind: EntryKind) { word = sequence << 8 | UInt64(kind.rawValue) }

  /// Sorts before every entry of sequence `sequence` or older, and after every newer one: where a search at a snapshot begins.
  @inlinable public static func newest(atOrBelow sequence: UInt64) -> Trailer { Trailer(word: sequence << 8 | 0xFF) }

  /// The place in the order of writes.
  @inlinable public var sequence: UInt64 { word >> 8 }

  /// The kind, or `nil` for a byte no kind has (a damaged entry that passed its checksum, or a newer format).
  @inlinable public var kind: EntryKind? { EntryKind(rawValue: UInt8(truncatingIfNeeded: word)) }

  @inlinable public static func < (a: Trailer, b: Trailer) -> Bool { a.word < b.word }
}
