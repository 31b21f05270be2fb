/// How the memory limit of a store is divided. What is left over, a quarter mostly, is for the tables' indexes and filters, for the buffers of
/// compactions and iterators, and for what the allocator loses.
struct MemoryShares: Sendable, Hashable {
  /// Bytes of the block cache.
  let cache: Int
  /// Bytes of all memtables: those that take entries, those that wait to be flushed and those that only readers keep.
  let memtables: Int
  /// Bytes of one memtable.
  let memtable: Int
  /// Bytes of the indexes and filters that tables keep in memory, beyond which new tables have their filters in the cache.
  let tables: Int

  init(_ options: LSMOptions) {
    let limit = max(0, options.memoryLimit)
    cache = min(max(0, options.blockCacheBytes ?? limit / 4), limit / 8 * 5)
    memtables = min(limit / 2, limit - cache - limit / 4)
    // One takes entries while two wait, and there is room for what readers keep.
    memtable = max(4096, min(options.memtableBytes, memtables / 4))
    tables = limit / 8
  }

  /// Bytes that are written between two looks at the memory and the log's length.
  func stride(_ options: LSMOptions) -> UInt64 { UInt64(max(1, min(options.maxLogBytes / 8, memtables / 64))) }
}
