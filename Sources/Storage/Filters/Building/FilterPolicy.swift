/// Which static filter a table gets.
public enum FilterPolicy: Sendable, Hashable {
  /// None: every key is perhaps present.
  case none
  /// A ``BlockedBloomFilter`` of so many bits per key, 1...100: the fastest to build and to ask.
  case blockedBloom(bitsPerKey: Double)
  /// A ``BinaryFuseFilter`` of 8 bits: 0.39 % at 9 bits per key.
  case binaryFuse8
  /// A ``BinaryFuseFilter`` of 16 bits: 0.0015 % at 18 bits per key.
  case binaryFuse16

  /// Bits per key for each level of a tree so that the fewest lookups of absent keys reach its runs, within a budget of memory.
  ///
  /// N. Dayan and others, "Monkey" (SIGMOD 2017): with equal bits everywhere nearly all memory goes to the largest level. The sum of the levels'
  /// rates is least where the rate of a level is proportional to its keys, so the largest level gets the fewest bits and small ones more. A level
  /// whose rate would be 1 gets none.
  /// - Parameters:
  ///   - levelKeys: how many keys each level has; each level counts as one run.
  ///   - budgetBits: bits for all filters together.
  /// - Returns: bits per key for each level, 0 for none; for an empty level the most any level gets.
  /// - Throws: `.invalidParameters` for negative numbers.
  public static func bitsPerKey(levelKeys: [Int], budgetBits: Double) throws(FilterError) -> [Double] {
    for keys in levelKeys where keys < 0 { throw .invalidParameters(name: "levelKeys", value: "\(keys)") }
    guard budgetBits >= 0, budgetBits < .infinity else { throw .invalidParameters(name: "budgetBits", value: "\(budgetBits)") }
    // ln p = ln n + c for every level with a filter, and −Σ n ln p = budget · ln²2. The levels with the most keys fall out while theirs is above 0.
    let square = Elementary.ln2 * Elementary.ln2
    var order = levelKeys.indices.filter { levelKeys[$0] > 0 }.sorted { levelKeys[$0] < levelKeys[$1] }
    var bits = [Double](repeating: 0, count: levelKeys.count)
    while let largest = order.last {
      let keys = order.reduce(0.0) { $0 + Double(levelKeys[$1]) }
      let weighted = order.reduce(0.0) { $0 + Double(levelKeys[$1]) * Elementary.ln(Double(levelKeys[$1])) }
      let c = (-budgetBits * square - weighted) / keys
      if Elementary.ln(Double(levelKeys[largest])) + c > 0 {
        order.removeLast()
        continue
      }
      for level in order { bits[level] = -(Elementary.ln(Double(levelKeys[level])) + c) / square }
      break
    }
    let most = bits.max() ?? 0
    for level in levelKeys.indices where levelKeys[level] == 0 { bits[level] = most }
    return bits
  }
}
