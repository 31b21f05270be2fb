/// One point of a ring while it is built: its position and the rank of its owner among the members.
struct TokenEntry: Hashable, Comparable {
  var token: UInt64
  var owner: UInt32

  static func < (a: TokenEntry, b: TokenEntry) -> Bool { a.token != b.token ? a.token < b.token : a.owner < b.owner }
}

/// The points of a ring in ascending order, with an index by the top bits of a position.
///
/// 12 bytes a token and at most 4 for the index. A lookup reads one entry of the index and, where tokens are spread as hashes are, the four tokens
/// from there on, without asking which of them it was: that is a branch nobody can predict.
@usableFromInline
struct TokenTable: Sendable, Hashable {
  /// The tokens, and behind the last one four that no position is above.
  @usableFromInline let padded: [UInt64]
  @usableFromInline let owners: [UInt32]
  /// For each value of a position's top bits the first token that is not below it, one more at the end.
  @usableFromInline let starts: [UInt32]
  @usableFromInline let shift: UInt64

  /// The most tokens a ring may have: 64 MiB of tables.
  static let countLimit = 1 << 22

  /// A table of entries in ascending order over positions of `bits` bits.
  init(sorted entries: [TokenEntry], bits: Int) {
    padded = entries.map(\.token) + [UInt64](repeating: .max, count: 4)
    owners = entries.map(\.owner)
    // The largest power of two that is no more than the number of tokens.
    let indexBits = min(max(0, Int.bitWidth - 1 - entries.count.leadingZeroBitCount), bits)
    let shift = UInt64(bits - indexBits)
    self.shift = shift
    var starts = [UInt32](repeating: 0, count: entries.isEmpty ? 2 : (1 << indexBits) + 1)
    if !entries.isEmpty {
      for entry in entries { starts[Int(truncatingIfNeeded: entry.token >> shift) + 1] += 1 }
      for bucket in 1..<starts.count { starts[bucket] += starts[bucket - 1] }
    }
    self.starts = starts
  }

  @usableFromInline var count: Int { owners.count }

  /// The tokens in ascending order.
  var tokens: ArraySlice<UInt64> { padded[..<count] }

  var entries: [TokenEntry] {
    [TokenEntry](unsafeUninitializedCapacity: count) { entries, initialized in
      for index in 0..<count { entries.initializeElement(at: index, to: TokenEntry(token: padded[index], owner: owners[index])) }
      initialized = count
    }
  }

  /// The index of the first token that is not below `position`, or of the smallest token where all are. The table must not be empty.
  @inlinable
  @inline(__always)
  func index(at position: UInt64) -> Int {
    // The mask keeps any position inside the index; with one bucket it is 0, whatever a shift by 64 gives.
    let bucket = Int(truncatingIfNeeded: position &>> shift) & (starts.count &- 2)
    let first = Int(starts[bucket])
    let end = Int(starts[bucket &+ 1])
    let found: Int
    if end &- first > 4 {
      found = search(position, first, end)
    } else {
      // Tokens of later buckets are not below the position, so that those beyond `end` add nothing.
      let below = padded.withUnsafeBufferPointer { tokens in
        (tokens[first] < position ? 1 : 0) &+ (tokens[first &+ 1] < position ? 1 : 0) &+ (tokens[first &+ 2] < position ? 1 : 0)
          &+ (tokens[first &+ 3] < position ? 1 : 0)
      }
      found = min(first &+ below, end)
    }
    return found == count ? 0 : found
  }

  /// Halving, for a bucket into which many tokens fell.
  @usableFromInline
  @inline(never)
  func search(_ position: UInt64, _ first: Int, _ end: Int) -> Int {
    var low = first
    var high = end
    while low < high {
      let middle = (low + high) / 2
      if padded[middle] < position { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// The entries in ascending order: dealt out by the top bits of their tokens, which leaves one or two together, then sorted in place.
  static func sorted(_ entries: [TokenEntry], bits: Int) -> [TokenEntry] {
    let indexBits = min(max(0, Int.bitWidth - 1 - entries.count.leadingZeroBitCount), bits)
    guard entries.count > 64 else { return entries.sorted() }
    let shift = UInt64(bits - indexBits)
    var ends = [UInt32](repeating: 0, count: (1 << indexBits) + 1)
    for entry in entries { ends[Int(truncatingIfNeeded: entry.token >> shift) + 1] += 1 }
    for bucket in 1..<ends.count { ends[bucket] += ends[bucket - 1] }
    var dealt = entries
    for entry in entries {
      let bucket = Int(truncatingIfNeeded: entry.token >> shift)
      dealt[Int(ends[bucket])] = entry
      ends[bucket] += 1
    }
    var start = 0
    for end in ends.dropLast() {
      sort(&dealt, start..<Int(end))
      start = Int(end)
    }
    return dealt
  }

  /// Insertion for the few that are usually together; the library's sort where tokens coincide in numbers.
  private static func sort(_ entries: inout [TokenEntry], _ range: Range<Int>) {
    guard range.count > 1 else { return }
    guard range.count <= 24 else {
      entries[range].sort()
      return
    }
    for index in range.dropFirst() {
      let entry = entries[index]
      var place = index
      while place > range.lowerBound, entry < entries[place - 1] {
        entries[place] = entries[place - 1]
        place -= 1
      }
      entries[place] = entry
    }
  }

  /// Two ascending sequences as one.
  static func merge(_ a: [TokenEntry], _ b: [TokenEntry]) -> [TokenEntry] {
    var merged: [TokenEntry] = []
    merged.reserveCapacity(a.count + b.count)
    var i = 0
    var j = 0
    while i < a.count, j < b.count {
      if b[j] < a[i] {
        merged.append(b[j])
        j += 1
      } else {
        merged.append(a[i])
        i += 1
      }
    }
    merged.append(contentsOf: a[i...])
    merged.append(contentsOf: b[j...])
    return merged
  }
}
