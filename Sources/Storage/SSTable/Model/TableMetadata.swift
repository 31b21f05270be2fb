/// What is known of a table without reading it: the table's own footer and the manifest of the engine that owns it hold the same facts, and a
/// reader is opened with both compared.
public struct TableMetadata: Sendable, Hashable {
  /// The table's number, unique in its store and never used again.
  public var fileID: UInt64
  /// Length of the file in bytes.
  public var fileSize: UInt64
  /// Point entries of every kind.
  public var entryCount: UInt64
  /// Entries that are values.
  public var valueCount: UInt64
  /// Entries that are point deletions.
  public var deletionCount: UInt64
  /// Fragments of range deletions, each sequence of a fragment counted.
  public var rangeDeletionCount: UInt64
  /// Entries that are merge operands.
  public var mergeCount: UInt64
  /// First internal key, the start of a range deletion included.
  public var smallest: InternalKey
  /// Last internal key. Where the table ends with the end of a range deletion, that key, which is *not* covered, with ``Trailer/maxSequence``
  /// and kind `rangeDeletion`: such a bound is exclusive, see ``largestIsExclusive``.
  public var largest: InternalKey
  /// Oldest sequence of any entry or range deletion.
  public var minSequence: UInt64
  /// Newest sequence of any entry or range deletion.
  public var maxSequence: UInt64
  /// Bytes of user keys before compression.
  public var rawKeyBytes: UInt64
  /// Bytes of values before compression.
  public var rawValueBytes: UInt64
  /// Data blocks.
  public var dataBlockCount: UInt64
  /// Data blocks with at least 100 deletions, or with deletions in at least half of their bytes.
  public var tombstoneDenseBlocks: UInt64
  /// CRC-32C of the whole file.
  public var fileChecksum: UInt32
  /// Seconds since 1970 when the table was begun, for information and TTL.
  public var createdAt: UInt64
  /// Seconds since 1970 by when everything in the table had been written: the time of creation for a table that was not merged out of others, theirs
  /// else. What planners that go by age look at; says nothing of the order of versions.
  public var newestTime: UInt64
  /// Level the table was written for.
  public var level: UInt8

  /// A table without entries.
  public init(fileID: UInt64, level: UInt8 = 0, createdAt: UInt64 = 0) {
    self.fileID = fileID
    self.level = level
    self.createdAt = createdAt
    newestTime = createdAt
    fileSize = 0
    entryCount = 0
    valueCount = 0
    deletionCount = 0
    rangeDeletionCount = 0
    mergeCount = 0
    smallest = InternalKey(userKey: [], trailer: Trailer(word: 0))
    largest = smallest
    minSequence = 0
    maxSequence = 0
    rawKeyBytes = 0
    rawValueBytes = 0
    dataBlockCount = 0
    tombstoneDenseBlocks = 0
    fileChecksum = 0
  }

  /// Whether ``largest`` names the first key *after* the table: the end of a range deletion.
  public var largestIsExclusive: Bool { largest.trailer == Trailer(Trailer.maxSequence, .rangeDeletion) }

  /// Whether the table holds neither entries nor range deletions.
  public var isEmpty: Bool { entryCount == 0 && rangeDeletionCount == 0 }
}
