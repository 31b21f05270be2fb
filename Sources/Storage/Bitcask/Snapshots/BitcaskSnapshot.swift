import Synchronization

/// The store as it was at one sequence: every change up to it, none after it.
///
/// Held, it keeps the location of every version that is overwritten meanwhile, and the files these lie in; bounded by `maxSnapshotVersions`,
/// beyond which reads throw `.snapshotLost`. Released when the last reference goes. Safe from any thread.
public final class BitcaskSnapshot: Sendable {
  /// The last sequence the snapshot includes.
  public let sequence: SequenceNumber
  private let store: Bitcask
  private let era: Int

  init(_ store: Bitcask) {
    self.store = store
    (sequence, era) = store.commit.betweenSubmissions {
      let sequence = store.commit.submittedSequence
      return (sequence, store.snapshots.hold(sequence))
    }
  }

  deinit { store.release(sequence) }

  private func checkHeld() throws(BitcaskError) {
    guard store.snapshots.currentEra == era else { throw .snapshotLost }
  }

  /// The value of `key` at the snapshot's sequence.
  /// - Throws: as ``Bitcask/get(_:)``, and `.snapshotLost`.
  public func get(_ key: [UInt8]) throws(BitcaskError) -> [UInt8]? {
    try store.checkOpen()
    let hash = key.withUnsafeBytes { KeyHash(of: $0) }
    var last: [Location] = []
    while true {
      let known = key.withUnsafeBytes { key in
        store.index.withShard(of: hash) { shard -> (KeyHistory.Version?, [Location]) in
          if let version = shard.history.version(key, at: sequence) { return (version, []) }
          if store.index.keepsKeys { return (nil, shard.table.find(hash, key).map { [shard.table.location($0)] } ?? []) }
          return (nil, shard.table.candidates(hash))
        }
      }
      try checkHeld()
      let locations = known.0.map { $0.entry.map { [$0.location] } ?? [] } ?? known.1
      var unsound: Location?
      for location in locations {
        let outcome = try store.readRecord(at: location, in: known.0?.segment, key: key) { view in
          store.hasExpired(view.expiry) ? nil : [UInt8](view.value)
        }
        switch outcome {
        case .value(let value): return value
        case .otherKey: continue
        case .gone, .unsound, .notCached: unsound = location
        }
      }
      guard let unsound else { return nil }
      // A merge may have moved the record between probe and read; the same places twice are no such race.
      if last == locations { throw .corrupt(segment: unsound.segment, offset: unsound.offset, keyHash: hash.value) }
      last = locations
    }
  }

  /// Every key and value of the snapshot, in hash order.
  public func items() -> ItemCursor { ItemCursor(store: store, snapshot: self) }

  /// What the directory held at the snapshot's sequence, from position `cursor` of the hash order on.
  func page(from cursor: UInt64, wanted: Int) throws(BitcaskError) -> (keys: [[UInt8]], next: UInt64?) {
    let page = store.index.page(from: cursor, wanted: wanted)
    var keys = (0..<page.count).map { page.key($0) }
    if !store.index.keepsKeys {
      keys = []
      for entry in page.entries {
        if let segment = store.table.segment(entry.location.segment), let key = try store.recordKey(entry.location, segment) {
          keys.append(key)
        }
      }
    }
    // Keys removed since are in the history only.
    var seen = Set(keys)
    let end = page.next
    for index in Int(cursor >> 56)...Int((end.map { $0 - 1 } ?? .max) >> 56) {
      let changed = store.index.withShard(index) {
        $0.history.changed(since: sequence, in: cursor..<(end ?? .max), orEnd: end == nil)
      }
      for (key, version) in changed where version.entry != nil && seen.insert(key).inserted { keys.append(key) }
    }
    try checkHeld()
    return (keys, end)
  }
}

extension Bitcask {
  /// The store as it is now, kept as it is. O(1); later changes cost a little more while it is held.
  public func snapshot() -> BitcaskSnapshot { BitcaskSnapshot(self) }

  func release(_ sequence: SequenceNumber) {
    let lowest = commit.betweenSubmissions { snapshots.release(sequence) }
    for index in 0..<KeyDirectory.shardCount {
      let forgotten = self.index.withShard(index) { shard in shard.history.isEmpty ? 0 : shard.history.forget(below: lowest) }
      if forgotten > 0 { snapshots.forgot(forgotten) }
    }
  }
}
