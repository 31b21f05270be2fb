import CStrataMemory
import StrataJobs
import Synchronization

/// Blocks of tables in memory, within a strict bound.
///
/// Uncompressed and checked payloads, found by file number and offset. The bound counts payloads and what the cache spends on them; a block that
/// finds no room because everything is in use is read past the cache, and never fails. Which block goes is the clock's choice, index and filter
/// blocks after data. Safe to use from any thread; a hit takes one short lock of one of the shards and allocates nothing.
public final class BlockCache: Sendable {
  /// Counts since the cache was made.
  public struct Statistics: Sendable, Hashable {
    /// Blocks found.
    public var hits: UInt64 = 0
    /// Blocks looked for and not found.
    public var misses: UInt64 = 0
    /// Blocks that left to make room.
    public var evictions: UInt64 = 0
    /// Blocks that found no room.
    public var bypasses: UInt64 = 0
    /// Blocks held.
    public var blocks: Int = 0
    /// Bytes held, overhead included.
    public var bytes: Int = 0
  }

  /// What a block costs beyond its payload: its slab's head, its place in the table, the allocator's share.
  static let overheadBytes = BlockPin.headerBytes + 32 + 16

  static func charge(_ slab: UnsafeMutablePointer<BlockPin.Slab>) -> Int {
    slab.pointee.front + slab.pointee.bytes + Int(slab.pointee.guideRoom) + overheadBytes
  }

  private let owned: [Monitor<Shard>]
  // The same without a reference count per use: `owned` keeps them alive as long as the cache.
  private nonisolated(unsafe) let shards: UnsafeMutablePointer<Unmanaged<Monitor<Shard>>>
  private let shift: UInt64
  /// The bound.
  public let capacityBytes: Int

  /// A cache of at most `capacityBytes`; 0 keeps nothing.
  /// - Parameter shardBits: the cache has two to the power of this many parts with a lock each, fewer where they would be tiny.
  public init(capacityBytes: Int, shardBits: Int = 5) {
    self.capacityBytes = max(0, capacityBytes)
    var bits = min(max(shardBits, 0), 10)
    while bits > 0, self.capacityBytes >> bits < 256 << 10 { bits -= 1 }
    let part = self.capacityBytes >> bits
    owned = (0..<1 << bits).map { _ in Monitor(Shard(capacity: part), conditions: 0) }
    shards = .allocate(capacity: owned.count)
    for (index, shard) in owned.enumerated() { (shards + index).initialize(to: .passUnretained(shard)) }
    shift = UInt64(64 - bits)
  }

  deinit { shards.deallocate() }

  private static func hash(_ file: UInt64, _ offset: UInt64) -> UInt64 {
    // Offsets are multiples of eight; the finalizer of MurmurHash3 spreads them.
    var x = (file &* 0x9E37_79B9_7F4A_7C15) ^ (offset >> 3)
    x ^= x >> 33
    x = x &* 0xFF51_AFD7_ED55_8CCD
    x ^= x >> 33
    x = x &* 0xC4CE_B9FE_1A85_EC53
    return x ^ (x >> 33)
  }

  @inline(__always)
  private func shard(_ hash: UInt64) -> Unmanaged<Monitor<Shard>> { shards[shift == 64 ? 0 : Int(truncatingIfNeeded: hash >> shift)] }

  /// The block, pinned, if it is here.
  @inline(__always)
  func block(_ file: UInt64, _ offset: UInt64) -> BlockPin? {
    let hash = Self.hash(file, offset)
    return shard(hash)._withUnsafeGuaranteedRef { $0.withLock { $0.find(hash, file, offset) } }
  }

  /// Keeps a block that was just read and answers the pin to use: another's where somebody was faster.
  func keep(_ pin: BlockPin) -> BlockPin {
    let hash = Self.hash(pin.slab.pointee.file, pin.slab.pointee.offset)
    return shard(hash)._withUnsafeGuaranteedRef { $0.withLock { $0.keep(hash, pin) } }
  }

  /// Counts and sizes over all shards.
  public var statistics: Statistics {
    owned.reduce(into: Statistics()) { sum, shard in
      shard.withLock { shard in
        sum.hits += shard.statistics.hits
        sum.misses += shard.statistics.misses
        sum.evictions += shard.statistics.evictions
        sum.bypasses += shard.statistics.bypasses
        sum.blocks += shard.count
        sum.bytes += shard.bytes
      }
    }
  }
}

/// One part of the cache: an open-addressing table of slabs and the clock's hand.
private struct Shard: ~Copyable {
  private struct Place {
    var hash: UInt64 = 0
    var slab: UnsafeMutablePointer<BlockPin.Slab>?
    /// The last bytes of its payload, which a search looks at first, with the guide behind them.
    var tail: UnsafeRawPointer?
  }

  private var places: UnsafeMutablePointer<Place>
  private var mask: Int
  private var hand = 0
  private let capacity: Int
  private(set) var count = 0
  private(set) var bytes = 0
  var statistics = BlockCache.Statistics()

  init(capacity: Int) {
    self.capacity = capacity
    let size = 64
    places = .allocate(capacity: size)
    places.initialize(repeating: Place(), count: size)
    mask = size - 1
  }

  deinit {
    for index in 0...mask { if let slab = places[index].slab { BlockPin(slab: slab).release() } }
    places.deallocate()
  }

  @inline(__always)
  mutating func find(_ hash: UInt64, _ file: UInt64, _ offset: UInt64) -> BlockPin? {
    guard let index = index(hash, file, offset), let slab = places[index].slab else {
      statistics.misses &+= 1
      return nil
    }
    statistics.hits &+= 1
    let pin = BlockPin(slab: slab)
    pin.retain()
    if slab.pointee.isUsed.load(ordering: .relaxed) == 0 { slab.pointee.isUsed.store(1, ordering: .relaxed) }
    return pin
  }

  @inline(__always)
  private func index(_ hash: UInt64, _ file: UInt64, _ offset: UInt64) -> Int? {
    var index = Int(truncatingIfNeeded: hash) & mask
    while let slab = places[index].slab {
      if places[index].hash == hash {
        if let tail = places[index].tail {
          // Head and end of a block are far apart; both are fetched at once, with the first key and most guides.
          strata_prefetch(UnsafeRawPointer(slab) + 64)
          strata_prefetch_range(tail, 256)
        }
        if slab.pointee.file == file, slab.pointee.offset == offset { return index }
      }
      index = (index &+ 1) & mask
    }
    return nil
  }

  mutating func keep(_ hash: UInt64, _ pin: BlockPin) -> BlockPin {
    if let present = index(hash, pin.slab.pointee.file, pin.slab.pointee.offset), let slab = places[present].slab {
      let other = BlockPin(slab: slab)
      other.retain()
      pin.release()
      return other
    }
    let charge = BlockCache.charge(pin.slab)
    guard charge <= capacity, makeRoom(for: charge) else {
      statistics.bypasses &+= 1
      return pin
    }
    if (count + 1) * 4 > (mask + 1) * 3 { grow() }
    pin.retain()
    insert(hash, pin.slab)
    count += 1
    bytes += charge
    return pin
  }

  private mutating func insert(_ hash: UInt64, _ slab: UnsafeMutablePointer<BlockPin.Slab>) {
    var index = Int(truncatingIfNeeded: hash) & mask
    while places[index].slab != nil { index = (index &+ 1) & mask }
    let payload = BlockPin(slab: slab).payload
    places[index] = Place(hash: hash, slab: slab, tail: payload.baseAddress.map { $0 + max(0, payload.count - BlockView.tailBytes) })
  }

  private mutating func grow() {
    let old = places
    let oldMask = mask
    mask = mask * 2 + 1
    places = .allocate(capacity: mask + 1)
    places.initialize(repeating: Place(), count: mask + 1)
    for index in 0...oldMask { if let slab = old[index].slab { insert(old[index].hash, slab) } }
    old.deallocate()
    hand = 0
  }

  /// Lets blocks go until `charge` fits; a block in use stays. Three turns of the hand: the first takes marks off, the second takes data blocks,
  /// the third important ones too.
  private mutating func makeRoom(for charge: Int) -> Bool {
    var steps = 0
    while bytes + charge > capacity {
      guard steps <= (mask + 1) * 3 else { return false }
      steps += 1
      hand = (hand + 1) & mask
      guard let slab = places[hand].slab else { continue }
      if slab.pointee.isUsed.load(ordering: .relaxed) != 0, steps <= (mask + 1) * 2 {
        slab.pointee.isUsed.store(slab.pointee.isImportant ? slab.pointee.isUsed.load(ordering: .relaxed) >> 1 : 0, ordering: .relaxed)
        continue
      }
      guard slab.pointee.references.load(ordering: .acquiring) == 1 else { continue }
      remove(hand)
    }
    return true
  }

  private mutating func remove(_ index: Int) {
    guard let slab = places[index].slab else { return }
    bytes -= BlockCache.charge(slab)
    count -= 1
    statistics.evictions &+= 1
    BlockPin(slab: slab).release()
    // Whatever stood behind the gap and may stand in it moves up, so that every search still ends at the first empty place.
    var gap = index
    var next = (index + 1) & mask
    while places[next].slab != nil {
      let home = Int(truncatingIfNeeded: places[next].hash) & mask
      if (next &- home) & mask >= (next &- gap) & mask {
        places[gap] = places[next]
        gap = next
      }
      next = (next + 1) & mask
    }
    places[gap] = Place()
  }
}
