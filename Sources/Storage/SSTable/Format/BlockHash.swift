/// The optional hash index of a data block: for a get, in which run of entries between two restarts a key is, so that no restart is searched.
///
/// One byte a bucket: the number of the restart that begins the run with all versions of all keys of the bucket, ``none`` where no key falls into it,
/// or ``collision`` where they are in several runs (RocksDB's data block hash index). A key's bucket is the lower half of its ``FilterHash`` times
/// the number of buckets, shifted right by 32.
enum BlockHash {
  static let none: UInt8 = 0xFF
  static let collision: UInt8 = 0xFE
  /// A block with more restarts has no hash index.
  static let maxRestarts = 253
  /// The length behind the buckets: a block has at most 65,535.
  static let countBytes = 2

  @inline(__always)
  static func bucket(_ hash: UInt64, of count: Int) -> Int { Int(((hash & 0xFFFF_FFFF) &* UInt64(truncatingIfNeeded: count)) >> 32) }
}

/// Gathers where the keys of a block are while it is built.
struct BlockHashBuilder: ~Copyable {
  private let keysPerBucket: Double
  private var keys: [(hash: UInt32, restart: Int32)] = []

  init(keysPerBucket: Double) { self.keysPerBucket = max(0.05, keysPerBucket) }

  /// A key whose newest version in the block is in the run of `restart`.
  mutating func add(_ hash: UInt64, restart: Int) { keys.append((UInt32(truncatingIfNeeded: hash), Int32(clamping: restart))) }

  /// A further version of the key added last.
  mutating func addVersion(restart: Int) {
    if let last = keys.last, last.restart != restart { keys[keys.count - 1].restart = -1 }
  }

  /// The buckets and their number; empty where the block can have none. Begins anew.
  mutating func finish(restarts: Int) -> [UInt8] {
    defer { keys.removeAll(keepingCapacity: true) }
    guard !keys.isEmpty, restarts <= BlockHash.maxRestarts else { return [] }
    let count = Int(min(Double(UInt16.max), (Double(keys.count) / keysPerBucket).rounded(.up)))
    var buckets = [UInt8](repeating: BlockHash.none, count: count)
    for key in keys {
      let bucket = BlockHash.bucket(UInt64(key.hash), of: count)
      let place = key.restart < 0 ? BlockHash.collision : UInt8(truncatingIfNeeded: key.restart)
      buckets[bucket] = buckets[bucket] == BlockHash.none || buckets[bucket] == place ? place : BlockHash.collision
    }
    return buckets + [UInt8(truncatingIfNeeded: count), UInt8(truncatingIfNeeded: count >> 8)]
  }
}
