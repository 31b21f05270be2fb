import StrataJobs
import Synchronization

/// Every key's location in memory: 256 tables by the top 8 bits of the key's hash, each behind a lock of its own.
///
/// A probe takes one lock, reads one or two cache lines and allocates nothing. A table that grows pauses only the writers of its
/// 256th part. Safe from any thread; a caller that holds the commit lock may take a shard's lock, never the other way round.
final class KeyDirectory: Sendable {
  static let shardCount = 256

  /// A table and the versions that snapshots still need of its keys.
  struct Shard: ~Copyable {
    var table: DirectoryShard
    var history = KeyHistory()
  }

  private let shards: [Monitor<Shard>]
  private let keys = Atomic<Int>(0)
  /// Whether the key itself is kept; otherwise 64 bits of its hash are, and the record decides.
  let keepsKeys: Bool

  init(keepsKeys: Bool, isRecovering: Bool = false) {
    self.keepsKeys = keepsKeys
    shards = (0..<Self.shardCount).map { index in
      Monitor(Shard(table: DirectoryShard(keepsKeys: keepsKeys, isRecovering: isRecovering, phase: index)), conditions: 0)
    }
  }

  /// Number of keys, expired ones that no merge has reclaimed included.
  var count: Int { keys.load(ordering: .relaxed) }

  /// Memory taken for tables and keys.
  var memoryBytes: Int { (0..<Self.shardCount).reduce(0) { $0 + withShard($1) { $0.table.memoryBytes } } }

  /// Runs `body` with the shard of `hash` locked.
  @inline(__always)
  func withShard<Result: ~Copyable>(of hash: KeyHash, _ body: (inout Shard) -> Result) -> Result {
    shards[hash.shard].withLock { body(&$0) }
  }

  /// Runs `body` with shard `index` locked.
  func withShard<Result: ~Copyable>(_ index: Int, _ body: (inout Shard) -> Result) -> Result { shards[index].withLock { body(&$0) } }

  /// What is known of a key (memory mode).
  @inline(__always)
  func lookup(_ hash: KeyHash, _ key: UnsafeRawBufferPointer) -> DirectoryEntry? {
    withShard(of: hash) { shard in shard.table.find(hash, key).map { shard.table.entry($0) } }
  }

  /// Where records of keys with this hash lie (fingerprint mode).
  func candidates(_ hash: KeyHash) -> [Location] { withShard(of: hash) { $0.table.candidates(hash) } }

  /// Sets, with its shard locked by the caller, what `slot` (or a new one) says; keeps the count.
  @inline(__always)
  func set(_ shard: inout Shard, _ slot: Int?, _ hash: KeyHash, _ key: UnsafeRawBufferPointer, _ entry: DirectoryEntry) {
    if let slot {
      shard.table.update(slot, entry)
    } else {
      shard.table.insert(hash, key, entry)
      keys.add(1, ordering: .relaxed)
    }
  }

  /// Takes a slot out, with its shard locked by the caller.
  func remove(_ shard: inout Shard, _ slot: Int) {
    shard.table.remove(slot)
    keys.subtract(1, ordering: .relaxed)
  }

  /// Points the key whose record was at `old` to `new`, if it still is there. `true` when it was.
  func relocate(_ hash: KeyHash, from old: Location, to new: Location) -> Bool {
    withShard(of: hash) { shard in
      guard let slot = shard.table.find(hash, at: old) else { return false }
      shard.table.relocate(slot, to: new)
      return true
    }
  }

  /// Whether some key's record is the one at `location`.
  func pointsTo(_ location: Location, _ hash: KeyHash) -> Bool { withShard(of: hash) { $0.table.find(hash, at: location) != nil } }

  // MARK: Recovery

  /// Makes room for about `keys` keys at once.
  func reserve(_ keys: Int) {
    let each = keys / Self.shardCount
    // Few keys grow as they come; more than memory plausibly holds are not believed.
    guard each >= 64, each <= 1 << 24 else { return }
    for index in 0..<Self.shardCount { withShard(index) { $0.table.reserve(each) } }
  }

  /// Enters what records say, given in the order of their tables; the highest sequence of a key wins whatever the order. Safe from several threads.
  ///
  /// Fingerprint mode tells keys of equal hash apart through `sameKey`, which reads the record at the location and compares.
  func offer(_ offers: [Offer], _ keyBytes: UnsafeRawBufferPointer, sameKey: (UnsafeRawBufferPointer, Location) -> Bool) {
    var start = 0
    while start < offers.count {
      var end = start + 1
      while end < offers.count, offers[end].hash.shard == offers[start].hash.shard { end += 1 }
      let added = withShard(of: offers[start].hash) { shard -> Int in
        let before = shard.table.count
        for index in start..<end { shard.table.prefetch(offers[index].hash) }
        for index in start..<end {
          let offer = offers[index]
          let key = UnsafeRawBufferPointer(rebasing: keyBytes[offer.keyStart..<(offer.keyStart + offer.keyCount)])
          let slot: Int?
          if keepsKeys {
            slot = shard.table.find(offer.hash, key)
          } else {
            slot = shard.table.candidates(offer.hash).first { sameKey(key, $0.unmarked) }.flatMap { shard.table.find(offer.hash, at: $0) }
          }
          _ = shard.table.offer(offer.hash, key, offer.entry, sequence: offer.sequence, slot: slot)
        }
        return shard.table.count - before
      }
      if added != 0 { keys.add(added, ordering: .relaxed) }
      start = end
    }
  }

  /// Ends recovery: forgets the deleted keys, frees what only recovery needed and reports every location that stays.
  func finishRecovery(_ visit: (Location) -> Void) {
    var total = 0
    for index in 0..<Self.shardCount {
      withShard(index) { shard in
        shard.table.finishRecovery()
        total += shard.table.count
        _ = shard.table.scan(from: 0, wanted: .max) { _, entry in visit(entry.location) }
      }
    }
    keys.store(total, ordering: .relaxed)
  }
}

extension KeyDirectory {
  /// Takes over the tables of a directory that nobody else uses. Writers must be held up.
  func adopt(_ other: KeyDirectory) {
    for index in 0..<Self.shardCount {
      withShard(index) { mine in other.withShard(index) { theirs in swap(&mine.table, &theirs.table) } }
    }
    keys.store(other.count, ordering: .relaxed)
  }
}

/// A part of the directory in hash order, copied out.
struct DirectoryPage {
  private(set) var entries: [DirectoryEntry] = []
  private var bytes: [UInt8] = []
  private var ends: [Int] = []
  /// The position in hash order behind this page; `nil` at the end of the directory.
  var next: UInt64?

  var count: Int { entries.count }

  func key(_ index: Int) -> [UInt8] { Array(bytes[(index == 0 ? 0 : ends[index - 1])..<ends[index]]) }

  mutating func append(_ key: UnsafeRawBufferPointer, _ entry: DirectoryEntry) {
    bytes.append(contentsOf: key)
    ends.append(bytes.count)
    entries.append(entry)
  }
}

extension KeyDirectory {
  /// The entries from position `cursor` of the hash order on, at least `wanted` of them where that many are left.
  ///
  /// A key present throughout a row of calls, each continuing at the page's `next`, is returned exactly once, whatever else changes
  /// and however tables grow meanwhile; also across restarts, as the hash is fixed.
  func page(from cursor: UInt64, wanted: Int) -> DirectoryPage {
    var page = DirectoryPage()
    var index = Int(cursor >> 56)
    var tag = UInt32(truncatingIfNeeded: cursor >> 24)
    while index < Self.shardCount {
      let left = max(1, wanted - page.count)
      let next = withShard(index) { shard in shard.table.scan(from: tag, wanted: left) { page.append($0, $1) } }
      if let next {
        page.next = UInt64(index) << 56 | UInt64(next) << 24
        return page
      }
      index += 1
      tag = 0
      if page.count >= wanted, index < Self.shardCount {
        page.next = UInt64(index) << 56
        return page
      }
    }
    return page
  }

  /// Some entry, found from a random position of the hash order on: not exactly uniform, O(1). `nil` for an empty directory.
  func entry(near position: UInt64) -> (key: [UInt8], entry: DirectoryEntry)? {
    for step in 0...Self.shardCount {
      let hash = KeyHash(position)
      let index = (hash.shard + step) % Self.shardCount
      let found = withShard(index) { shard -> (key: [UInt8], entry: DirectoryEntry)? in
        shard.table.first(from: step == 0 ? hash.tag : 0).map { (shard.table.key($0), shard.table.entry($0)) }
      }
      if let found { return found }
    }
    return nil
  }
}
