import StrataBytes
import StrataSSTable

/// Tables that do not overlap, in key order: a level, or a sub-level of level 0. Immutable.
///
/// A search touches one packed row of key heads and, mostly, no key and no reference count.
/// Safe to share between threads because everything is written in `init` and only read afterwards.
final class SortedRun: @unchecked Sendable {
  let tables: [TableHandle]
  let level: Int
  /// The count of `tables`, for readers that must not touch the array's owner.
  let count: Int
  /// Heads of the smallest keys, then of the largest.
  private let heads: UnsafeMutablePointer<UInt64>
  private let smallest: UnsafeMutablePointer<UnsafeRawBufferPointer>
  private let largest: UnsafeMutablePointer<UnsafeRawBufferPointer>
  /// Whether the largest key is not in the table but bounds a range deletion.
  private let isOpen: UnsafeMutablePointer<Bool>
  private let keys: UnsafeMutableRawPointer
  let readers: UnsafeMutablePointer<Unmanaged<TableReader>>

  /// Bytes of the tables.
  let bytes: UInt64
  /// Newest sequence in any of them.
  let maxSequence: UInt64

  init(_ tables: [TableHandle], level: Int) {
    self.tables = tables
    self.level = level
    count = tables.count
    bytes = tables.reduce(0) { $0 + $1.metadata.fileSize }
    maxSequence = tables.reduce(0) { max($0, $1.metadata.maxSequence) }
    let capacity = max(1, count)
    heads = .allocate(capacity: capacity * 2)
    smallest = .allocate(capacity: capacity)
    largest = .allocate(capacity: capacity)
    isOpen = .allocate(capacity: capacity)
    readers = .allocate(capacity: capacity)
    let keyBytes = tables.reduce(0) { $0 + $1.metadata.smallest.userKey.count + $1.metadata.largest.userKey.count }
    keys = .allocate(byteCount: max(1, keyBytes), alignment: 8)
    var end = keys
    func store(_ key: [UInt8]) -> UnsafeRawBufferPointer {
      key.withUnsafeBytes { source in
        if let first = source.baseAddress { end.copyMemory(from: first, byteCount: source.count) }
      }
      defer { end += key.count }
      return UnsafeRawBufferPointer(start: end, count: key.count)
    }
    for (index, table) in tables.enumerated() {
      let low = store(table.metadata.smallest.userKey)
      let high = store(table.metadata.largest.userKey)
      (smallest + index).initialize(to: low)
      (largest + index).initialize(to: high)
      (heads + index).initialize(to: keyHead(low))
      (heads + capacity + index).initialize(to: keyHead(high))
      (isOpen + index).initialize(to: table.metadata.largestIsExclusive)
      (readers + index).initialize(to: .passUnretained(table.reader))
    }
    largestHeads = heads + capacity
  }

  private let largestHeads: UnsafeMutablePointer<UInt64>

  deinit {
    heads.deallocate()
    smallest.deallocate()
    largest.deallocate()
    isOpen.deallocate()
    readers.deallocate()
    keys.deallocate()
  }

  /// The first table whose largest key is not below `key`; `count` where there is none.
  @inline(__always)
  func firstTable(notBelow key: UnsafeRawBufferPointer, head: UInt64) -> Int {
    var low = 0
    var high = count
    while low < high {
      let middle = (low &+ high) >> 1
      if isBelow(middle, key, head) { low = middle &+ 1 } else { high = middle }
    }
    return low
  }

  @inline(__always)
  private func isBelow(_ index: Int, _ key: UnsafeRawBufferPointer, _ head: UInt64) -> Bool {
    if largestHeads[index] != head { return largestHeads[index] < head }
    let order = compare(largest[index], key)
    return order < 0 || (order == 0 && isOpen[index])
  }

  /// Whether a table of the run shares a key with another table's range.
  func overlaps(_ table: TableMetadata) -> Bool {
    let place = table.smallest.userKey.withUnsafeBytes { firstTable(notBelow: $0, head: keyHead($0)) }
    return place < count && Levels.overlap(tables[place].metadata, table)
  }

  /// The table that may hold `key`, or -1.
  @inline(__always)
  func table(for key: UnsafeRawBufferPointer, head: UInt64) -> Int {
    let index = firstTable(notBelow: key, head: head)
    guard index < count else { return -1 }
    if heads[index] != head { return heads[index] < head ? index : -1 }
    return compare(smallest[index], key) <= 0 ? index : -1
  }
}
