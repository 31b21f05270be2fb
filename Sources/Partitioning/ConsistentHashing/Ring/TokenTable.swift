/// One point of a ring while it is built: its position and the rank of its owner among the members.
struct TokenEntry: Hashable, Comparable {
  var token: UInt64
  var owner: UInt32

  static func < (a: TokenEntry, b: TokenEntry) -> Bool { a.token != b.token ? a.token < b.token : a.owner < b.owner }
}

/// The points of a ring in ascending order, with an index by the top bits of a position.
///
/// 12 bytes a token and at most 4 for the index. A lookup reads one entry of the index and, where tokens are spread as hashes are, one or two tokens.
@usableFromInline
struct TokenTable: Sendable, Hashable {
  @usableFromInline let tokens: [UInt64]
  @usableFromInline let owners: [UInt32]
  /// For each value of a position's top bits the first token that is not below it, one more at the end.
  @usableFromInline let starts: [UInt32]
  @usableFromInline let shift: UInt64

  /// The most tokens a ring may have: 64 MiB of tables.
  static let countLimit = 1 << 22

  /// A table of entries in ascending order over positions of `bits` bits.
  init(sorted entries: [TokenEntry], bits: Int) {
    tokens = entries.map(\.token)
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

  @usableFromInline var count: Int { tokens.count }

  var entries: [TokenEntry] { zip(tokens, owners).map { TokenEntry(token: $0, owner: $1) } }

  /// The index of the first token that is not below `position`, or of the smallest token where all are. The table must not be empty.
  @inlinable
  @inline(__always)
  func index(at position: UInt64) -> Int {
    // The mask keeps any position inside the index; with one bucket it is 0, whatever a shift by 64 gives.
    let bucket = Int(truncatingIfNeeded: position &>> shift) & (starts.count &- 2)
    var low = Int(starts[bucket])
    let end = Int(starts[bucket &+ 1])
    if end &- low > 8 {
      low = search(position, low, end)
    } else {
      while low < end, tokens[low] < position { low &+= 1 }
    }
    return low == tokens.count ? 0 : low
  }

  /// Halving, for a bucket into which many tokens fell.
  @usableFromInline
  @inline(never)
  func search(_ position: UInt64, _ first: Int, _ end: Int) -> Int {
    var low = first
    var high = end
    while low < high {
      let middle = (low + high) / 2
      if tokens[middle] < position { low = middle + 1 } else { high = middle }
    }
    return low
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
