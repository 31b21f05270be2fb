extension MerkleTree {
  /// The leaves in which two trees differ, as ascending ranges that neither touch nor overlap; leaves only the longer one has differ.
  ///
  /// Equal trees give none. Equal subtrees are passed over: O(d log n) comparisons for d differing leaves, no hashes.
  public func diff(_ other: Self) -> [Range<Int>] {
    let common = min(leafCount, other.leafCount)
    var found: [Range<Int>] = []
    func add(_ range: Range<Int>) {
      if let last = found.last, last.upperBound == range.lowerBound {
        found[found.count - 1] = last.lowerBound..<range.upperBound
      } else if !range.isEmpty {
        found.append(range)
      }
    }
    // The subtrees that are complete in both, from the left; of each, those still to look at, the leftmost on top.
    var pending: [(level: Int, index: Int)] = []
    var bits = common
    while bits != 0 {
      let level = Int.bitWidth - 1 - bits.leadingZeroBitCount
      bits &= ~(1 << level)
      pending.append((level, (common >> level) - 1))
      while let (level, index) = pending.popLast() {
        guard levels[level][index] != other.levels[level][index] else { continue }
        if level == 0 {
          add(index..<index + 1)
        } else {
          pending.append((level - 1, 2 * index + 1))
          pending.append((level - 1, 2 * index))
        }
      }
    }
    add(common..<max(leafCount, other.leafCount))
    return found
  }
}
