import StrataBytes

/// Ascending keys in one piece of memory: the separators of an inner node.
struct SortedKeys: Sendable {
  private var bytes: [UInt8] = []
  /// Where each key ends.
  private var ends: [UInt32] = []

  var count: Int { ends.count }
  var memoryBytes: Int { bytes.capacity + ends.capacity * 4 }

  @inline(__always)
  private func start(_ index: Int) -> Int { index == 0 ? 0 : Int(ends[index - 1]) }

  subscript(index: Int) -> ArraySlice<UInt8> { bytes[start(index)..<Int(ends[index])] }

  /// How many keys are below `key`, and whether the next one is `key`. O(log n) comparisons.
  func lowerBound(_ key: UnsafeRawBufferPointer) -> (index: Int, isFound: Bool) {
    bytes.withUnsafeBytes { bytes in
      ends.withUnsafeBufferPointer { ends in
        var low = 0
        var high = ends.count
        while low < high {
          let middle = (low + high) / 2
          let first = middle == 0 ? 0 : Int(ends[middle - 1])
          let order = compare(UnsafeRawBufferPointer(rebasing: bytes[first..<Int(ends[middle])]), key)
          if order == 0 { return (middle, true) }
          if order < 0 { low = middle + 1 } else { high = middle }
        }
        return (low, false)
      }
    }
  }

  /// The number of separators at or below `key`: the child that holds it.
  @inline(__always)
  func child(for key: UnsafeRawBufferPointer) -> Int {
    let (index, isFound) = lowerBound(key)
    return isFound ? index + 1 : index
  }

  mutating func insert(_ key: UnsafeRawBufferPointer, at index: Int) {
    let start = start(index)
    // By an eighth, not by doubling: most of the tree's memory is in nodes like this.
    if bytes.capacity < bytes.count + key.count { bytes.reserveCapacity(bytes.count + key.count + max(64, bytes.count / 8)) }
    if ends.capacity == ends.count { ends.reserveCapacity(ends.count + 8) }
    bytes.insert(contentsOf: key, at: start)
    // Keys have a limit far below what 32 bits count, and a node few of them.
    let length = UInt32(truncatingIfNeeded: key.count)
    ends.insert(UInt32(truncatingIfNeeded: start) &+ length, at: index)
    for later in index + 1..<ends.count { ends[later] &+= length }
  }

  mutating func remove(at index: Int) {
    let range = start(index)..<Int(ends[index])
    bytes.removeSubrange(range)
    ends.remove(at: index)
    let length = UInt32(truncatingIfNeeded: range.count)
    for later in index..<ends.count { ends[later] &-= length }
  }

  /// Takes the keys from `index` on out and returns them.
  mutating func split(at index: Int) -> SortedKeys {
    var upper = SortedKeys()
    let start = start(index)
    upper.bytes = Array(bytes[start...])
    upper.ends = ends[index...].map { $0 &- UInt32(truncatingIfNeeded: start) }
    var lower = SortedKeys()
    lower.bytes = Array(bytes[..<start])
    lower.ends = Array(ends[..<index])
    self = lower
    return upper
  }

  /// Appends keys that are above all there are.
  mutating func append(contentsOf other: SortedKeys) {
    let base = UInt32(truncatingIfNeeded: bytes.count)
    bytes.append(contentsOf: other.bytes)
    ends.append(contentsOf: other.ends.map { $0 &+ base })
  }

  mutating func append(_ key: UnsafeRawBufferPointer) { insert(key, at: count) }
}
