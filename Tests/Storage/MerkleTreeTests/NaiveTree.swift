import StrataBytes

/// The definitions of RFC 9162 section 2.1, letter by letter and as slow as they are: what the tree is held against.
enum NaiveTree {
  static func leaf(_ block: [UInt8]) -> Digest { sha256([0] + block) }
  static func node(_ left: Digest, _ right: Digest) -> Digest { sha256([1] + left.bytes + right.bytes) }

  /// The largest power of two below `n`, which is at least 2.
  static func split(_ n: Int) -> Int {
    var k = 1
    while k < n - k { k *= 2 }
    return k
  }

  /// 2.1.1, over leaf digests.
  static func root(_ leaves: ArraySlice<Digest>) -> Digest {
    if leaves.isEmpty { return sha256([]) }
    if leaves.count == 1 { return leaves[leaves.startIndex] }
    let k = leaves.startIndex + split(leaves.count)
    return node(root(leaves[..<k]), root(leaves[k...]))
  }

  /// 2.1.3.1.
  static func path(_ m: Int, _ leaves: ArraySlice<Digest>) -> [Digest] {
    if leaves.count == 1 { return [] }
    let k = split(leaves.count)
    let middle = leaves.startIndex + k
    return m < k ? path(m, leaves[..<middle]) + [root(leaves[middle...])] : path(m - k, leaves[middle...]) + [root(leaves[..<middle])]
  }

  /// 2.1.4.1.
  static func proof(_ m: Int, _ leaves: ArraySlice<Digest>) -> [Digest] { subproof(m, leaves, true) }

  private static func subproof(_ m: Int, _ leaves: ArraySlice<Digest>, _ isWhole: Bool) -> [Digest] {
    if m == leaves.count { return isWhole ? [] : [root(leaves)] }
    let k = split(leaves.count)
    let middle = leaves.startIndex + k
    if m <= k { return subproof(m, leaves[..<middle], isWhole) + [root(leaves[middle...])] }
    return subproof(m - k, leaves[middle...], false) + [root(leaves[..<middle])]
  }

  /// Whether a path leads from a leaf to a root, climbing as the definition descends.
  static func includes(_ leaf: Digest, _ m: Int, _ n: Int, _ path: [Digest], _ root: Digest) -> Bool {
    guard m >= 0, m < n else { return false }
    var path = path[...]
    func climb(_ m: Int, _ n: Int) -> Digest? {
      if n == 1 { return leaf }
      let k = split(n)
      guard let below = m < k ? climb(m, k) : climb(m - k, n - k), let sibling = path.popFirst() else { return nil }
      return m < k ? node(below, sibling) : node(sibling, below)
    }
    return climb(m, n) == root && path.isEmpty
  }

  /// Whether a path leads to both roots.
  static func isConsistent(_ m: Int, _ root1: Digest, _ n: Int, _ root2: Digest, _ path: [Digest]) -> Bool {
    guard m > 0, m <= n else { return false }
    var path = path[...]
    func climb(_ m: Int, _ n: Int, _ isWhole: Bool) -> (older: Digest, newer: Digest)? {
      if m == n {
        guard let digest = isWhole ? root1 : path.popFirst() else { return nil }
        return (digest, digest)
      }
      let k = split(n)
      guard let below = m <= k ? climb(m, k, isWhole) : climb(m - k, n - k, false), let sibling = path.popFirst() else { return nil }
      return m <= k ? (below.older, node(below.newer, sibling)) : (node(sibling, below.older), node(sibling, below.newer))
    }
    guard let (older, newer) = climb(m, n, true) else { return false }
    return older == root1 && newer == root2 && path.isEmpty
  }
}

/// Blocks of different lengths, block `i` telling its number.
func someBlocks(_ count: Int) -> [[UInt8]] { (0..<count).map { [UInt8](repeating: UInt8($0 & 0xFF), count: $0 % 7) + Array("\($0)".utf8) } }

/// A digest that differs from `digest` in one bit.
func flipped(_ digest: Digest, _ bit: Int) -> Digest {
  var bytes = digest.bytes
  bytes[bit / 8 % 32] ^= 1 << UInt8(bit % 8)
  return Digest(bytes) ?? .zero
}
