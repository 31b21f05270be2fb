/// What a record says of its key, on its way into the directory.
struct Offer {
  var hash: KeyHash
  var entry: DirectoryEntry
  var sequence: UInt64
  /// Where the key lies among those of the batch.
  var keyStart: Int
  var keyCount: Int
}

/// What many records say, gathered so that the directory takes it table by table: one lock for some dozens of keys, whose places are asked for
/// together.
struct OfferBatch {
  /// Records after which a batch is full.
  private static let maxRecords = 16_384
  /// Bytes of keys after which it is.
  private static let maxKeyBytes = 1 << 20

  private var offers: [Offer] = []
  private var sorted: [Offer] = []
  private var keys: [UInt8] = []

  var isFull: Bool { offers.count >= Self.maxRecords || keys.count >= Self.maxKeyBytes }

  mutating func add(_ hash: KeyHash, _ key: UnsafeRawBufferPointer, _ entry: DirectoryEntry, sequence: UInt64) {
    offers.append(Offer(hash: hash, entry: entry, sequence: sequence, keyStart: keys.count, keyCount: key.count))
    keys.append(contentsOf: key)
  }

  /// Hands every offer to the directory and begins anew; `sameKey` as in ``KeyDirectory/offer(_:_:sameKey:)``.
  mutating func handOver(to directory: KeyDirectory, sameKey: (UnsafeRawBufferPointer, Location) -> Bool) {
    // By table, in the order they came: counted, then put into place.
    var next = [Int](repeating: 0, count: KeyDirectory.shardCount + 1)
    for offer in offers { next[offer.hash.shard + 1] += 1 }
    for shard in 1..<next.count { next[shard] += next[shard - 1] }
    sorted = offers
    for offer in offers {
      sorted[next[offer.hash.shard]] = offer
      next[offer.hash.shard] += 1
    }
    keys.withUnsafeBytes { directory.offer(sorted, $0, sameKey: sameKey) }
    offers.removeAll(keepingCapacity: true)
    keys.removeAll(keepingCapacity: true)
  }
}
