import StrataBytes
import StrataLSMTree
import StrataSSTable

/// Keys in their order.
extension LSMEngine {
  /// Bytes of keys a page holds at most, about.
  private static let pageBytes = 8 << 20

  /// See ``KeyValueEngine/isOrdered``.
  public var isOrdered: Bool { true }

  /// See ``KeyValueEngine/listsFromMemory``.
  public var listsFromMemory: Bool { false }

  /// The keys with one first byte, or all.
  private static func bounds(_ prefix: UInt8?) -> KeyBounds {
    guard let prefix else { return .all }
    return KeyBounds(from: [prefix], to: prefix == .max ? nil : [prefix + 1])
  }

  /// See ``KeyValueEngine/scan(from:prefix:count:)``. A page may hold fewer keys, or none, where many removed ones lie in between.
  public func scan(from position: ScanPosition, prefix: UInt8?, count: Int) throws(EngineError) -> ScanPage {
    var page = ScanPage(keys: [], next: .end)
    var bytes = 0
    do throws(LSMError) {
      var options = ReadOptions()
      options.maxSkipped = 4096 + 16 * min(count, 65_536)
      var iterator = try store.iterator(Self.bounds(prefix), options: options)
      do throws(LSMError) {
        switch position {
        case .start, .hash: try iterator.first()
        case .key(let key): try iterator.seek(key.span.bytes)
        case .end: return page
        }
        while iterator.isValid {
          let key = iterator.key.withUnsafeBytes { [UInt8]($0) }
          guard page.keys.count < max(1, count), bytes < Self.pageBytes else {
            page.next = .key(key)
            return page
          }
          bytes += key.count
          if let record = StoredRecord(iterator.value) { page.keys.append((key, record.expiry)) }
          try iterator.next()
        }
      } catch {
        guard case .incomplete(let resume) = error else { throw error }
        page.next = .key(resume)
      }
    } catch { throw EngineError(error) }
    return page
  }

  /// See ``KeyValueEngine/randomKey(prefix:)``. From a random place between the first and the last key, a few keys on; not uniform.
  public func randomKey(prefix: UInt8?) throws(EngineError) -> [UInt8]? {
    do throws(LSMError) {
      var iterator = try store.iterator(Self.bounds(prefix))
      try iterator.last()
      guard iterator.isValid else { return nil }
      let last = iterator.key.withUnsafeBytes { [UInt8]($0) }
      try iterator.first()
      guard iterator.isValid else { return nil }
      let first = iterator.key.withUnsafeBytes { [UInt8]($0) }
      try iterator.seek(Self.place(between: first, and: last).span.bytes)
      if !iterator.isValid { try iterator.first() }
      // So that a key close behind another one has its chance too.
      while Int.random(in: 0..<4) != 0 {
        try iterator.next()
        if !iterator.isValid { try iterator.first() }
      }
      return iterator.isValid ? iterator.key.withUnsafeBytes { [UInt8]($0) } : nil
    } catch { throw EngineError(error) }
  }

  /// A random key between two, in the eight bytes behind what they share.
  private static func place(between first: [UInt8], and last: [UInt8]) -> [UInt8] {
    let shared = zip(first, last).prefix { $0 == $1 }.count
    func number(_ key: [UInt8]) -> UInt64 {
      (0..<8).reduce(0) { $0 << 8 | (shared + $1 < key.count ? UInt64(key[shared + $1]) : 0) }
    }
    let (low, high) = (number(first), number(last))
    let place = UInt64.random(in: min(low, high)...max(low, high))
    return first[..<shared] + (0..<8).map { UInt8(truncatingIfNeeded: place >> UInt64(56 - 8 * $0)) }
  }

  /// See ``KeyValueEngine/census(prefix:)``.
  public func census(prefix: UInt8?) throws(EngineError) -> any KeyCensus { Census(store, Self.bounds(prefix)) }

  /// Counts what a snapshot sees.
  private final class Census: KeyCensus {
    private let store: LSMTree
    private let bounds: KeyBounds
    private let moment: Snapshot

    init(_ store: LSMTree, _ bounds: KeyBounds) {
      self.store = store
      self.bounds = bounds
      moment = store.snapshot()
    }

    func run() throws(EngineError) -> KeyCounts {
      var counts = KeyCounts()
      do throws(LSMError) {
        var options = ReadOptions()
        options.fillCache = false
        var iterator = try store.iterator(bounds, at: moment, options: options)
        try iterator.first()
        while iterator.isValid {
          if let record = StoredRecord(iterator.value) {
            counts.add(iterator.key.byteCount > 0 ? iterator.key.unsafeLoad(as: UInt8.self) : nil, expires: RecordStamp(record.expiry).expires)
          }
          try iterator.next()
        }
      } catch { throw EngineError(error) }
      return counts
    }
  }

  // MARK: Figures

  static func lines(_ figures: LSMStatistics, _ pressure: WritePressure) -> [(name: String, value: String)] {
    func ratio(_ value: Double) -> String {
      let hundredths = Int((value * 100).rounded())
      return "\(hundredths / 100).\(hundredths % 100 < 10 ? "0" : "")\(hundredths % 100)"
    }
    let state =
      switch pressure {
      case .none: "none"
      case .slow(let rate, let reason): "slow(\(reason.rawValue),\(rate))"
      case .stopped(let reason): "stopped(\(reason.rawValue))"
      }
    var lines = [(name: String, value: String)]()
    for (level, held) in zip(figures.tablesByLevel, figures.bytesByLevel).enumerated() where held.0 > 0 {
      lines.append(("lsm_level\(level)", "tables=\(held.0),bytes=\(held.1),written=\(figures.writtenBytesByLevel[level])"))
    }
    for (name, latency) in figures.latencies {
      let quantiles = "p50_ns=\(latency.median),p99_ns=\(latency.p99),p999_ns=\(latency.p999)"
      lines.append(("lsm_\(name)_latency", "timed=\(latency.timed),\(quantiles)"))
    }
    return lines + [
      ("lsm_user_bytes", String(figures.userBytes)), ("lsm_write_amplification", ratio(figures.writeAmplification)),
      ("lsm_read_amplification", String(figures.readAmplification)), ("lsm_pressure", state), ("lsm_stalls", String(figures.stalls)),
      ("lsm_stall_usec", String(figures.stallNanoseconds / 1000)), ("lsm_memtable_bytes", String(figures.memtableBytes)),
      ("lsm_table_memory_bytes", String(figures.tableMemoryBytes)), ("lsm_cache_bytes", String(figures.cache.bytes)),
      ("lsm_cache_hits", String(figures.cache.hits)), ("lsm_cache_misses", String(figures.cache.misses)),
      ("lsm_cache_evictions", String(figures.cache.evictions)), ("lsm_flushes", String(figures.flushes)),
      ("lsm_flushed_bytes", String(figures.flushedBytes)), ("lsm_compactions", String(figures.compactions)),
      ("lsm_compacted_bytes", String(figures.compactionWrittenBytes)), ("lsm_log_bytes", String(figures.log.diskBytes)),
      ("lsm_log_syncs", String(figures.log.syncs)), ("lsm_recovery_bytes_bound", String(figures.recoveryBytesBound)),
      ("lsm_tombstones", String(figures.tombstones)), ("lsm_snapshots", String(figures.snapshots)),
      ("lsm_pinned_obsolete_bytes", String(figures.pinnedObsoleteBytes)),
      ("lsm_tables_with_damaged_filter", String(figures.tablesWithDamagedFilter)),
      ("lsm_quarantined_tables", String(figures.quarantinedTables.count)),
      ("lsm_log_longest_sync_usec", String(figures.log.longestSyncNanoseconds / 1000)),
    ]
  }
}
