public import StrataCompression

/// How a table is laid out. The same for all tables of a keyspace mostly; every table says for itself what it was written with.
public struct TableOptions: Sendable {
  /// Bytes of entries after which a data block ends; a value longer than this has a block to itself.
  public var blockSize = 4096
  /// Every so many entries of a block one key is stored whole, where a search may begin.
  public var restartInterval = 16
  /// Keys for each bucket of the hash index that data blocks then have; `nil` for none. 0.75 makes a byte and a third a key and lets most gets find
  /// their run of entries in a block without a search. Earlier versions do not read such tables.
  public var hashIndexRatio: Double?
  /// Bytes after which a part of the index ends. An index of one part stays in memory; of one with more, only the index of the parts does.
  public var indexPartitionSize = 4096
  /// Bits per key of the table's filter; `nil` for none.
  public var filterBitsPerKey: Double? = 10
  /// Bytes of data up to which a table has one filter, which its reader keeps in memory. Beyond, every part of the index has one of its own, which
  /// readers have in the cache while they need it.
  public var wholeFilterBytes: UInt64 = 32 << 20
  /// What of the keys the filter knows besides the keys themselves; `nil` for nothing.
  public var prefixExtractor: PrefixExtractor?
  /// What is gathered of the entries of each data block, at most ``TableLimits/properties`` of different names, for cursors that pass over blocks.
  public var propertyCollectors: [any BlockPropertyCollector] = []
  /// How data blocks are compressed.
  public var compression: Codec = .lz4
  /// A block that compression makes smaller by less than this part is stored as it is.
  public var minCompressionSaving = 0.125
  /// The database's identity, written into the file's head.
  public var databaseID: (UInt64, UInt64) = (0, 0)
  /// The level the table is written for; information.
  public var level: UInt8 = 0
  /// Seconds since 1970 to be noted as the time of creation.
  public var createdAt: UInt64 = 0
  /// Seconds since 1970 by when all entries had been written first; ``createdAt`` where `nil`.
  public var newestTime: UInt64?

  public init() {}
}
