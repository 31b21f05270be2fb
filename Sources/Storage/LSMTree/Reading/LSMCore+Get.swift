import StrataBytes
import StrataFilters
import StrataSSTable

extension LSMCore {
  /// ``LSMTree/withValue(of:in:at:_:)`` of a keyspace.
  @inline(__always)
  func withValue<Result>(
    of key: RawSpan, _ keyspace: Keyspace, _ snapshot: Snapshot?, _ body: (RawSpan) -> Result
  ) throws(LSMError) -> Result? {
    try checkReadable(keyspace, snapshot)
    return try withValue(key.pointer, keyspace, at: snapshot?.version) { body($0.bytes) }
  }

  /// ``LSMTree/read(_:in:at:onlyIfCached:_:)`` of a keyspace.
  @inline(__always)
  func read(
    _ key: RawSpan, _ keyspace: Keyspace, _ snapshot: Snapshot?, _ onlyIfCached: Bool, _ body: (RawSpan) -> Void
  ) throws(LSMError) -> ReadAnswer {
    try checkReadable(keyspace, snapshot)
    return try read(key.pointer, keyspace, at: snapshot?.version, onlyIfCached: onlyIfCached) { body($0.bytes) }
  }

  /// Calls `body` with the newest value of `key` at or below `sequence`, if the key has one.
  ///
  /// Allocates nothing and counts no references while the blocks it needs are cached and no merge operands turn up.
  @inline(__always)
  func withValue<Result>(
    _ key: UnsafeRawBufferPointer, _ keyspace: Keyspace, at sequence: UInt64?, _ body: (UnsafeRawBufferPointer) -> Result
  ) throws(LSMError) -> Result? {
    let slot = epochs.enter()
    let began = Stopwatch.begin(if: epochs.isSampled(slot, every: 64))
    defer {
      latencies.get.end(began)
      epochs.leave(slot)
    }
    var lookup = PointLookup()
    let version = keyspace.pinned
    // After the version is pinned: see `Version`.
    let visible = sequence ?? ring.visible
    var failure: LSMError?
    version._withUnsafeGuaranteedRef { version in failure = search(version, key, visible, keyspace, &lookup) }
    if let failure { throw failure }
    return try answer(&lookup, key, keyspace, body)
  }

  /// As ``withValue(_:_:at:_:)``, of a key whose newest changes may lie in a batch.
  func withValue<Result>(
    _ key: UnsafeRawBufferPointer, _ keyspace: Keyspace, under layer: BatchLayer?, at sequence: UInt64,
    _ body: (UnsafeRawBufferPointer) -> Result
  ) throws(LSMError) -> Result? {
    let slot = epochs.enter()
    defer { epochs.leave(slot) }
    var lookup = PointLookup()
    var failure: LSMError?
    if layer?.search(key, &lookup) != true {
      keyspace.pinned._withUnsafeGuaranteedRef { version in failure = search(version, key, sequence, keyspace, &lookup) }
    }
    if let failure { throw failure }
    return try answer(&lookup, key, keyspace, body)
  }

  /// Passes on what a search has found.
  @inline(__always)
  private func answer<Result>(
    _ lookup: inout PointLookup, _ key: UnsafeRawBufferPointer, _ keyspace: Keyspace, _ body: (UnsafeRawBufferPointer) -> Result
  ) throws(LSMError) -> Result? {
    if !lookup.hasOperands {
      guard case .value = lookup.state, !keyspace.hasExpired(lookup.trailer) else { return nil }
      return body(lookup.value)
    }
    let merged = try fold(&lookup, key, keyspace)
    return merged.withUnsafeBytes { body($0) }
  }

  /// Passes the newest value of `key` to `body`, and says which version made what it found.
  ///
  /// As ``withValue(_:_:at:_:)`` in cost; with `onlyIfCached` it never waits for the disk.
  func read(
    _ key: UnsafeRawBufferPointer, _ keyspace: Keyspace, at sequence: UInt64?, onlyIfCached: Bool, _ body: (UnsafeRawBufferPointer) -> Void
  ) throws(LSMError) -> ReadAnswer {
    let slot = epochs.enter()
    let began = Stopwatch.begin(if: epochs.isSampled(slot, every: 64))
    defer {
      latencies.get.end(began)
      epochs.leave(slot)
    }
    var lookup = PointLookup(onlyIfCached: onlyIfCached)
    let version = keyspace.pinned
    // After the version is pinned: see `Version`.
    let visible = sequence ?? ring.visible
    var failure: LSMError?
    version._withUnsafeGuaranteedRef { version in failure = search(version, key, visible, keyspace, &lookup) }
    if let failure { throw failure }
    if lookup.state == .notCached { return .notCached }
    if lookup.hasOperands, let newest = lookup.operands.first {
      let merged = try fold(&lookup, key, keyspace)
      merged.withUnsafeBytes { body($0) }
      return .found(version: newest.sequence)
    }
    switch lookup.state {
    case .value:
      if keyspace.hasExpired(lookup.trailer) { return .absent(asOf: keyspace.expiredThrough.load(ordering: .relaxed)) }
      body(lookup.value)
      return .found(version: lookup.trailer.sequence)
    case .deletion: return .absent(asOf: lookup.trailer.sequence)
    case .open, .notCached: return .absent(asOf: lookup.coveringSequence)
    }
  }

  /// Asks the sources from the newest to the oldest until one settles the search: each holds only versions of the key older than those before.
  @inline(__always)
  private func search(
    _ version: Version, _ key: UnsafeRawBufferPointer, _ sequence: UInt64, _ keyspace: Keyspace, _ lookup: inout PointLookup
  ) -> LSMError? {
    let hash = FilterHash.hash64(key)
    let target = Skiplist.Target(key, Trailer.newest(atOrBelow: sequence))
    for index in 0..<version.memtableCount {
      version.memtables[index]._withUnsafeGuaranteedRef { memtable in
        if memtable.hasRangeDeletions { lookup.cover(memtable.rangeTombstones().coveringSequence(key, atOrBelow: sequence)) }
      }
      if Self.search(version.lists[index], target, hash, &lookup) || lookup.coveringSequence > 0 { return nil }
    }
    let runs = version.levels.runPointers
    let count = version.levels.runCount
    guard count > 0 else { return nil }
    let head = keyHead(key)
    var failure: LSMError?
    for index in 0..<count {
      let isDone = runs[index]._withUnsafeGuaranteedRef { run -> Bool in
        let place = run.table(for: key, head: head)
        guard place >= 0 else { return false }
        run.readers[place]._withUnsafeGuaranteedRef { reader in
          do throws(TableError) { try reader.lookup(key, hash: hash, atOrBelow: sequence, into: &lookup) } catch {
            failure = damaged(error, run.tables[place], keyspace)
          }
        }
        // What covers the key here covers every older version of it.
        return lookup.isSettled || lookup.coveringSequence > 0 || failure != nil
      }
      if isDone { return failure }
    }
    return nil
  }

  /// Takes the versions of the target's key from one memtable; `true` where that settles the search.
  @inline(__always)
  static func search(_ list: Skiplist, _ target: Skiplist.Target, _ hash: UInt64, _ lookup: inout PointLookup) -> Bool {
    var link = list.version(target, hash: hash)
    while link != 0 {
      if lookup.take(list.trailer(link), list.value(link), pinning: nil) { return true }
      link = list.next(link)
      guard link != 0, list.holds(link, target) else { return false }
    }
    return false
  }

  /// Folds collected operands into the value the search ended with, or into none.
  private func fold(_ lookup: inout PointLookup, _ key: UnsafeRawBufferPointer, _ keyspace: Keyspace) throws(LSMError) -> [UInt8] {
    let base: [UInt8]? = if case .value = lookup.state { [UInt8](lookup.value) } else { nil }
    return try fold(lookup.operands.reversed().map(\.bytes), base, key, keyspace)
  }

  /// Folds operands, oldest first.
  func fold(_ operands: [[UInt8]], _ base: [UInt8]?, _ key: UnsafeRawBufferPointer, _ keyspace: Keyspace) throws(LSMError) -> [UInt8] {
    guard let merger = keyspace.options.mergeOperator else { throw .noMergeOperator(keyspace: keyspace.name) }
    guard let value = merger.fullMerge(key: key.bytes, base: base, operands: operands) else {
      throw .mergeFailed(key: [UInt8](key), operatorName: merger.name)
    }
    return value
  }

  /// What a damaged block means for its reader. The table is noted and spared by compactions, which could only fail over it.
  func damaged(_ error: TableError, _ table: TableHandle, _ keyspace: Keyspace) -> LSMError {
    switch error {
    case .corruptBlock, .notATable, .truncated, .foreignTable:
      quarantine(table, keyspace, error)
      return .corruption(
        error, level: Int(table.metadata.level), from: table.metadata.smallest.userKey, to: table.metadata.largest.userKey)
    default: return LSMError(error)
    }
  }
}

extension RawSpan {
  /// The bytes where they lie, for as long as the span is: a closure around a read would count a reference to what it captures.
  @inline(__always) fileprivate var pointer: UnsafeRawBufferPointer { withUnsafeBytes { $0 } }
}
