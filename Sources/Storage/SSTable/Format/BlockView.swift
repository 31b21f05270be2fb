import CStrataMemory
import StrataBytes

/// The payload of a data or index block, checked once when it was brought in and read without checks from then on.
///
/// ```
/// entries | restart offsets (u16 or u32 each) | restart heads (u64 big-endian each) | hash index, where there is one | tail of 24 bytes
/// tail:  u64 smallest sequence, u32 entries, u32 tombstones, u32 restarts, u16 common prefix, u8 offset width, u8 flags
/// hash index: a byte for each bucket, u16 buckets; see ``BlockHash``
/// entry: varint shared, varint unshared, u8 tag, varint sequence - smallest (unless the tag says 0), varint value length (kinds with a
///        value), the key's unshared part, value
/// ```
/// A view borrows; whoever holds the block keeps it in place.
struct BlockView {
  static let tailBytes = 24
  /// The flag of a block with a hash index.
  static let hashFlag: UInt8 = 1
  /// How far ahead a search in a run of entries fetches: most of sixteen entries of a hundred bytes.
  private static let fetchedBytes = 2048

  let base: UnsafeRawPointer
  /// Where the entries end.
  let entriesEnd: Int
  let restarts: Int
  let entryCount: Int
  let tombstones: Int
  let minSequence: UInt64
  /// How many bytes all keys of the block begin with in common.
  let prefix: Int
  /// Buckets of the hash index; 0 where there is none.
  let buckets: Int
  private let isWide: Bool
  private let isIndex: Bool
  /// Where the entries are, of a data block that came through ``BlockSource/read(_:_:)``.
  private let guide: BlockGuide

  /// An entry's fields; `suffix` and `value` are offsets in the block.
  struct Entry {
    var shared: Int
    var unshared: Int
    var trailer: Trailer
    var suffix: Int
    var valueBytes: Int
    /// Where the next entry begins.
    var next: Int
    var value: Int { suffix &+ unshared }
  }

  /// The view of a payload whose every entry has been looked at, or the reason it is none.
  static func checked(_ bytes: UnsafeRawBufferPointer, isIndex: Bool = false) -> (BlockView?, String) {
    guard let view = BlockView(unchecked: bytes, isIndex: isIndex) else { return (nil, "its counts do not fit its length") }
    var offset = 0
    var keyBytes = 0
    var count = 0
    var restart = 0
    while offset < view.entriesEnd {
      guard let entry = view.decodeChecked(at: offset) else { return (nil, "entry \(count) is malformed") }
      guard entry.shared <= keyBytes, entry.shared + entry.unshared <= TableLimits.keyBytes else {
        return (nil, "the key of entry \(count) is malformed")
      }
      if restart < view.restarts, view.restartOffset(restart) == offset {
        guard entry.shared == 0, entry.unshared >= view.prefix else { return (nil, "restart \(restart) is malformed") }
        restart += 1
      }
      keyBytes = entry.shared + entry.unshared
      offset = entry.next
      count += 1
    }
    guard count == view.entryCount, restart == view.restarts, restart > 0 || count == 0 else {
      return (nil, "it holds \(count) entries and says \(view.entryCount)")
    }
    guard count == 0 || view.restartOffset(0) == 0 else { return (nil, "its first entry is no restart") }
    guard view.buckets == 0 || view.hasSoundBuckets else { return (nil, "its hash index names a restart that is not there") }
    return (view, "")
  }

  /// The view of a payload that has been checked before; `nil` where the counts do not even fit.
  @inline(__always)
  init?(unchecked bytes: UnsafeRawBufferPointer, isIndex: Bool = false, guide: BlockGuide = .none) {
    guard bytes.count >= Self.tailBytes, let start = bytes.baseAddress else { return nil }
    let tail = start + (bytes.count &- Self.tailBytes)
    base = start
    self.isIndex = isIndex
    self.guide = guide
    minSequence = UInt64(littleEndian: tail.loadUnaligned(as: UInt64.self))
    entryCount = Int(UInt32(littleEndian: tail.loadUnaligned(fromByteOffset: 8, as: UInt32.self)))
    tombstones = Int(UInt32(littleEndian: tail.loadUnaligned(fromByteOffset: 12, as: UInt32.self)))
    restarts = Int(UInt32(littleEndian: tail.loadUnaligned(fromByteOffset: 16, as: UInt32.self)))
    prefix = Int(UInt16(littleEndian: tail.loadUnaligned(fromByteOffset: 20, as: UInt16.self)))
    let width = Int(tail.load(fromByteOffset: 22, as: UInt8.self))
    guard width == 2 || width == 4 else { return nil }
    isWide = width == 4
    let flags = tail.load(fromByteOffset: 23, as: UInt8.self)
    var end = bytes.count &- Self.tailBytes &- restarts &* (width &+ 8)  // 32-bit counts: far from overflowing
    if flags == 0 {
      buckets = 0
    } else {
      guard flags == Self.hashFlag, bytes.count >= Self.tailBytes &+ BlockHash.countBytes else { return nil }
      buckets = Int(UInt16(littleEndian: tail.loadUnaligned(fromByteOffset: -BlockHash.countBytes, as: UInt16.self)))
      end &-= buckets &+ BlockHash.countBytes
    }
    entriesEnd = end
    guard end >= 0 else { return nil }
  }

  /// Where the buckets of the hash index begin.
  @inline(__always)
  private var bucketsStart: Int { entriesEnd &+ restarts &* (isWide ? 12 : 10) }

  /// The buckets of the hash index.
  var hashes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base + bucketsStart, count: buckets) }

  /// Whether each bucket names a restart that there is, or none.
  private var hasSoundBuckets: Bool { hashes.allSatisfy { $0 >= BlockHash.collision || Int($0) < restarts } }

  /// Where restart `index` begins.
  @inline(__always)
  func restartOffset(_ index: Int) -> Int {
    let place = base + entriesEnd
    return isWide
      ? Int(UInt32(littleEndian: place.loadUnaligned(fromByteOffset: index &* 4, as: UInt32.self)))
      : Int(UInt16(littleEndian: place.loadUnaligned(fromByteOffset: index &* 2, as: UInt16.self)))
  }

  @inline(__always)
  private func restartHead(_ index: Int) -> UInt64 {
    let heads = entriesEnd &+ restarts &* (isWide ? 4 : 2)
    return UInt64(bigEndian: base.loadUnaligned(fromByteOffset: heads &+ index &* 8, as: UInt64.self))
  }

  /// The whole key of restart `index`.
  @inline(__always)
  func restartKey(_ index: Int) -> (key: UnsafeRawBufferPointer, trailer: Trailer) {
    let entry = decode(at: restartOffset(index))
    return (UnsafeRawBufferPointer(start: base + entry.suffix, count: entry.unshared), entry.trailer)
  }

  @inline(__always)
  private func varint(_ offset: inout Int) -> UInt64 {
    let first = base.load(fromByteOffset: offset, as: UInt8.self)
    offset &+= 1
    if first < 0x80 { return UInt64(first) }
    return longVarint(first, &offset)
  }

  @inline(never)
  private func longVarint(_ first: UInt8, _ offset: inout Int) -> UInt64 {
    var value = UInt64(first & 0x7F)
    var shift: UInt64 = 7
    while true {
      let byte = base.load(fromByteOffset: offset, as: UInt8.self)
      offset &+= 1
      value |= UInt64(byte & 0x7F) &<< shift  // at most ten bytes, as was checked
      if byte < 0x80 { return value }
      shift &+= 7
    }
  }

  /// The entry at `offset`, which is one of a checked block.
  @inline(__always)
  func decode(at offset: Int) -> Entry {
    var place = offset
    let shared = Int(truncatingIfNeeded: varint(&place))
    let unshared = Int(truncatingIfNeeded: varint(&place))
    let tag = base.load(fromByteOffset: place, as: UInt8.self)
    place &+= 1
    let sequence = tag & EntryTag.zeroSequence == 0 ? varint(&place) &+ minSequence : 0
    let kind = tag & EntryTag.kindMask
    let valueBytes = kind != 0 || isIndex ? Int(truncatingIfNeeded: varint(&place)) : 0
    return Entry(
      shared: shared, unshared: unshared, trailer: Trailer(word: sequence << 8 | UInt64(kind)), suffix: place, valueBytes: valueBytes,
      next: place &+ unshared &+ valueBytes)
  }

  @inline(__always)
  private func checkedVarint(_ place: inout Int) -> UInt64? {
    guard place < entriesEnd else { return nil }
    let first = base.load(fromByteOffset: place, as: UInt8.self)
    guard first < 0x80 else { return longCheckedVarint(&place) }
    place &+= 1
    return UInt64(first)
  }

  @inline(never)
  private func longCheckedVarint(_ place: inout Int) -> UInt64? {
    var value: UInt64 = 0
    for index in 0..<10 {
      guard place < entriesEnd else { return nil }
      let byte = base.load(fromByteOffset: place, as: UInt8.self)
      place += 1
      if index == 9, byte > 1 { return nil }
      value |= UInt64(byte & 0x7F) << UInt64(7 * index)
      if byte < 0x80 { return value }
    }
    return nil
  }

  /// As ``decode(at:)``, of bytes that may be anything.
  @inline(__always)
  private func decodeChecked(at offset: Int) -> Entry? {
    var place = offset
    guard let shared = checkedVarint(&place), let unshared = checkedVarint(&place), place < entriesEnd else { return nil }
    let tag = base.load(fromByteOffset: place, as: UInt8.self)
    place += 1
    guard let kind = EntryKind(rawValue: tag & EntryTag.kindMask), kind != .rangeDeletion || isIndex, tag & 0xC0 == 0 else { return nil }
    var sequence: UInt64 = 0
    if tag & EntryTag.zeroSequence == 0 {
      guard let distance = checkedVarint(&place) else { return nil }
      let (sum, overflow) = distance.addingReportingOverflow(minSequence)
      guard !overflow, sum <= Trailer.maxSequence else { return nil }
      sequence = sum
    }
    var valueBytes: UInt64 = 0
    if kind != .deletion || isIndex {
      guard let length = checkedVarint(&place) else { return nil }
      valueBytes = length
    }
    let limit = UInt64(TableLimits.keyBytes)
    guard shared <= limit, unshared <= limit, valueBytes <= UInt64(TableLimits.valueBytes) else { return nil }
    guard Int(unshared) + Int(valueBytes) <= entriesEnd - place else { return nil }
    return Entry(
      shared: Int(shared), unshared: Int(unshared), trailer: Trailer(sequence, kind), suffix: place, valueBytes: Int(valueBytes),
      next: place + Int(unshared) + Int(valueBytes))
  }

  // MARK: Searching

  /// The last restart that begins at or before `offset`.
  func restart(atOrBefore offset: Int) -> Int {
    var low = 0
    var high = restarts &- 1
    while low < high {
      let middle = (low &+ high &+ 1) >> 1
      if restartOffset(middle) <= offset { low = middle } else { high = middle &- 1 }
    }
    return low
  }

  /// How the beginning of `key` compares with the prefix that all keys share: a key that differs there lies before or behind all of them.
  @inline(__always)
  private func orderToPrefix(_ key: UnsafeRawBufferPointer) -> Int {
    guard prefix > 0, restarts > 0 else { return 0 }
    let shared = UnsafeRawBufferPointer(start: base + decode(at: 0).suffix, count: prefix)
    let common = commonPrefix(key, shared)
    if common == prefix { return 0 }
    return common < key.count && key[common] > shared[common] ? 1 : -1
  }

  /// The first eight bytes of `key` behind the prefix, as ``keyHead(_:)`` has them.
  @inline(__always)
  private func head(of key: UnsafeRawBufferPointer) -> UInt64 {
    let own = key.count &- prefix
    guard let start = key.baseAddress, own > 0 else { return 0 }
    if own >= 8 { return UInt64(bigEndian: start.loadUnaligned(fromByteOffset: prefix, as: UInt64.self)) }
    guard key.count >= 8 else { return keyHead(UnsafeRawBufferPointer(start: start + prefix, count: own)) }
    // The last eight bytes, without those of the prefix.
    return UInt64(bigEndian: start.loadUnaligned(fromByteOffset: key.count &- 8, as: UInt64.self)) &<< UInt64(truncatingIfNeeded: 64 &- own &* 8)
  }

  /// How many restarts have a smaller head, of keys in order; no more than there are, whatever the heads.
  @inline(__always)
  private func restarts(below head: UInt64) -> Int {
    var place = 0
    var left = restarts
    // Without a branch on the heads, which no processor could foresee.
    while left > 1 {
      let half = left >> 1
      place &+= half & (0 &- (restartHead(place &+ half &- 1) < head ? 1 : 0))
      left &-= half
    }
    if left == 1, restartHead(place) < head { place &+= 1 }
    return place
  }

  /// The first restart whose entry does not come before (`key`, `trailer`); ``restarts`` where there is none.
  @inline(__always)
  private func firstRestart(notBefore key: UnsafeRawBufferPointer, _ trailer: Trailer) -> Int {
    let order = orderToPrefix(key)
    if order != 0 { return order < 0 ? 0 : restarts }
    let head = head(of: key)
    let first = restarts(below: head)
    guard first < restarts, restartHead(first) == head else { return first }
    return firstRestart(notBefore: key, trailer, from: first, to: head == .max ? restarts : restarts(below: head &+ 1))
  }

  /// The same among restarts of the key's own head.
  @inline(__always)
  private func firstRestart(notBefore key: UnsafeRawBufferPointer, _ trailer: Trailer, from first: Int, to end: Int) -> Int {
    var low = first
    var high = end
    while low < high {
      let middle = (low &+ high) >> 1
      let (other, otherTrailer) = restartKey(middle)
      let order = compare(other, key)
      if order != 0 ? order < 0 : otherTrailer > trailer { low = middle &+ 1 } else { high = middle }
    }
    return low
  }

  /// The last restart whose entry comes before (`key`, `trailer`), or the first one: where a scan for it begins.
  @inline(__always)
  func restart(before key: UnsafeRawBufferPointer, _ trailer: Trailer) -> Int { max(0, firstRestart(notBefore: key, trailer) &- 1) }

  /// The first entry at or after (`key`, `trailer`): its offset, whether its user key is `key`, and its fields; `nil` where there is none.
  ///
  /// No key is put together: an entry that shares more with its predecessor than the predecessor does with `key` compares like it.
  @inline(__always)
  func firstEntry(notBefore key: UnsafeRawBufferPointer, _ trailer: Trailer) -> (offset: Int, isKey: Bool, entry: Entry)? {
    guard restarts > 0 else { return nil }
    if guide.count > 0 { return guidedEntry(notBefore: key, trailer) }
    guard restarts == entryCount else { return firstEntry(notBefore: key, trailer, from: restart(before: key, trailer), to: entriesEnd) }
    // Every entry is a restart: the search has found it.
    let place = firstRestart(notBefore: key, trailer)
    guard place < restarts else { return nil }
    let offset = restartOffset(place)
    let entry = decode(at: offset)
    let isKey = entry.unshared == key.count && commonPrefix(UnsafeRawBufferPointer(start: base + entry.suffix, count: key.count), key) == key.count
    return (offset, isKey, entry)
  }

  /// The same by the guide: the entry is known but for those whose heads are equal, or that are between two samples.
  @inline(__always)
  private func guidedEntry(notBefore key: UnsafeRawBufferPointer, _ trailer: Trailer) -> (offset: Int, isKey: Bool, entry: Entry)? {
    let order = orderToPrefix(key)
    if order != 0 { return order < 0 ? (0, false, decode(at: 0)) : nil }
    let head = UInt32(truncatingIfNeeded: head(of: key) &>> 32)
    let place = guide.samples(below: head)
    if place == 0 { return firstEntry(notBefore: key, trailer, at: 0, matched: 0, to: entriesEnd) }
    if guide.step == 1 {
      guard place < guide.count else { return nil }
      let offset = guide.offset(place)
      if guide.head(place) != head { return (offset, false, decode(at: offset)) }
      // The entry before has another head, so what it has in common with this one `key` has too.
      return firstEntry(notBefore: key, trailer, at: offset, matched: min(key.count, prefix &+ 4), to: entriesEnd)
    }
    // The last sample of a smaller head comes before, and differs from `key` within the head.
    let differing = guide.head(place &- 1) ^ head
    let matched = min(key.count, prefix &+ differing.leadingZeroBitCount >> 3)
    return firstEntry(notBefore: key, trailer, at: decode(at: guide.offset(place &- 1)).next, matched: matched, to: entriesEnd)
  }

  /// As ``firstEntry(notBefore:_:)`` for who wants entries of `key` alone, whose ``FilterHash`` it is: where the block has a hash index, that says in
  /// which run they are. An entry found may be one of another key, and one that is not of `key` may not be found.
  @inline(__always)
  func firstEntry(of key: UnsafeRawBufferPointer, _ trailer: Trailer, hash: UInt64) -> (offset: Int, isKey: Bool, entry: Entry)? {
    if buckets > 0, restarts > 0 {
      let restart = base.load(fromByteOffset: bucketsStart &+ BlockHash.bucket(hash, of: buckets), as: UInt8.self)
      if restart == BlockHash.none { return nil }
      if restart != BlockHash.collision, guide.count == 0 {
        let end = Int(restart) &+ 1 < restarts ? restartOffset(Int(restart) &+ 1) : entriesEnd
        return firstEntry(notBefore: key, trailer, from: Int(restart), to: end)
      }
    }
    return firstEntry(notBefore: key, trailer)
  }

  /// The first entry at or after (`key`, `trailer`) from a restart, whose entry comes before or is of another key, up to the entry at `end`.
  @inline(__always)
  private func firstEntry(
    notBefore key: UnsafeRawBufferPointer, _ trailer: Trailer, from restart: Int, to end: Int
  ) -> (offset: Int, isKey: Bool, entry: Entry)? {
    let offset = restartOffset(restart)
    // Where an entry begins is known from the one before: fetched one after the other their lines would be waited for one after the other.
    let scanned = min(restart &+ 1 < restarts ? restartOffset(restart &+ 1) : entriesEnd, offset &+ Self.fetchedBytes) &- offset
    if scanned > 64 { strata_prefetch_range(base + offset, scanned) }
    return firstEntry(notBefore: key, trailer, at: offset, matched: 0, to: end)
  }

  /// The first entry at or after (`key`, `trailer`) from the one at `offset` on, up to the one at `end`. The entry before `offset`, if there is one,
  /// comes before and has `matched` bytes in common with `key`; a restart needs none.
  private func firstEntry(
    notBefore key: UnsafeRawBufferPointer, _ trailer: Trailer, at offset: Int, matched: Int, to end: Int
  ) -> (offset: Int, isKey: Bool, entry: Entry)? {
    var offset = offset
    var matched = matched
    while offset < end {
      let entry = decode(at: offset)
      if entry.shared <= matched {
        let suffix = UnsafeRawBufferPointer(start: base + entry.suffix, count: entry.unshared)
        let rest = UnsafeRawBufferPointer(start: key.baseAddress.map { $0 + entry.shared }, count: key.count &- entry.shared)
        let common = commonPrefix(suffix, rest)
        if common == suffix.count, common == rest.count {
          if entry.trailer <= trailer { return (offset, true, entry) }
          matched = key.count
        } else if common == rest.count || (common < suffix.count && suffix[common] > rest[common]) {
          return (offset, false, entry)
        } else {
          matched = entry.shared &+ common
        }
      }
      offset = entry.next
    }
    return nil
  }
}
