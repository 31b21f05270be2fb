import StrataBytes

/// A B+tree over keys whose nodes know count and sum of what is below them.
///
/// Nodes lie in arrays and name each other by number, so that the tree is a value. Only the mechanics are here: what an item is, and which
/// belong in, is for ``KeyRangeMerkleTree``. Every operation takes O(log n) nodes.
struct KeyTreeNodes: Sendable {
  static let capacity = 64
  /// A node with fewer is joined with a neighbour if both fit well into one.
  private static let least = 16
  private static let joined = 56
  /// A node splits only when full, and into halves, so no tree that fits into memory is as deep.
  private static let depthMax = 24

  struct Inner: Sendable {
    /// `separators[i]` is at or below every key of child i + 1 and above every key of child i.
    var separators = SortedKeys()
    var children: ContiguousArray<UInt32> = []
    var sums: ContiguousArray<RangeSum> = []
  }

  /// One step down: which child of which inner node.
  private struct Step {
    var node: Int
    var child: Int
  }

  private var leaves: ContiguousArray<LeafPage> = [LeafPage()]
  private var inners: ContiguousArray<Inner> = []
  private var freeLeaves: [UInt32] = []
  private var freeInners: [UInt32] = []
  private var root: Int = 0
  /// How many inner nodes are above a leaf.
  private var depth = 0
  /// Of all items.
  private(set) var total = RangeSum()
  /// The way of the last descent, kept for its memory.
  private var path: [Step] = []

  var memoryBytes: Int {
    let leafBytes = leaves.reduce(leaves.capacity * MemoryLayout<LeafPage>.stride) { $0 + $1.memoryBytes }
    return inners.reduce(leafBytes + inners.capacity * MemoryLayout<Inner>.stride) {
      $0 + $1.separators.memoryBytes + $1.children.capacity * 4 + $1.sums.capacity * MemoryLayout<RangeSum>.stride + 128
    }
  }

  // MARK: Changing

  /// Puts the hash that `item` gives under `key`; returns the one it replaces. The hash is computed while the leaf comes from memory.
  @inline(__always)
  mutating func set(_ key: UnsafeRawBufferPointer, _ item: () -> Digest) -> Digest? {
    let leaf = descend(key)
    leaves[leaf].prefetch()
    return set(key, item(), in: leaf)
  }

  private mutating func set(_ key: UnsafeRawBufferPointer, _ hash: Digest, in leaf: Int) -> Digest? {
    let (index, isFound) = leaves[leaf].lowerBound(key)
    guard isFound else {
      leaves[leaf].insert(key, hash, at: index)
      change { $0.add(hash) }
      if leaves[leaf].count > Self.capacity { splitLeaf(leaf) }
      return nil
    }
    let old = leaves[leaf].replaceHash(index, hash)
    change { sum in
      sum.remove(old)
      sum.add(hash)
    }
    return old
  }

  /// Takes `key` out; returns its hash.
  mutating func remove(_ key: UnsafeRawBufferPointer) -> Digest? {
    let leaf = descend(key)
    let (index, isFound) = leaves[leaf].lowerBound(key)
    guard isFound else { return nil }
    let hash = leaves[leaf].remove(at: index)
    change { $0.remove(hash) }
    joinUpwards()
    return hash
  }

  /// Goes to the leaf where `key` belongs and notes the way in `path`.
  private mutating func descend(_ key: UnsafeRawBufferPointer) -> Int {
    path.removeAll(keepingCapacity: true)
    var node = root
    // Through a pointer, so that a node's arrays are not retained one by one on the way.
    inners.withUnsafeBufferPointer { inners in
      for _ in 0..<depth {
        let child = inners[node].separators.child(for: key)
        path.append(Step(node: node, child: child))
        node = Int(inners[node].children[child])
      }
    }
    return node
  }

  /// Changes the sums along `path`.
  @inline(__always)
  private mutating func change(_ body: (inout RangeSum) -> Void) {
    body(&total)
    for step in path { body(&inners[step.node].sums[step.child]) }
  }

  private mutating func splitLeaf(_ leaf: Int) {
    let half = leaves[leaf].count / 2
    // The shortest bytes between both halves separate them as well as a whole key does.
    let separator = shortestBound(after: leaves[leaf].key(half - 1), upTo: leaves[leaf].key(half))
    let upper = leaves[leaf].split(at: half)
    var sum = RangeSum()
    for index in 0..<upper.count { sum.add(upper.hash(index)) }
    let id: Int
    if let free = freeLeaves.popLast() {
      id = Int(free)
      leaves[id] = upper
    } else {
      id = leaves.count
      leaves.append(upper)
    }
    insert(UInt32(id), sum, separator)
  }

  /// Puts a new right neighbour of the node that `path` ends in beside it, and splits inner nodes upwards as far as needed.
  private mutating func insert(_ id: UInt32, _ sum: RangeSum, _ separator: [UInt8]) {
    var (id, sum, separator) = (id, sum, separator)
    while let step = path.popLast() {
      separator.withUnsafeBytes { inners[step.node].separators.insert($0, at: step.child) }
      inners[step.node].children.insert(id, at: step.child + 1)
      inners[step.node].sums[step.child] -= sum
      inners[step.node].sums.insert(sum, at: step.child + 1)
      guard inners[step.node].children.count > Self.capacity else { return }
      (id, sum, separator) = splitInner(step.node)
    }
    // The root itself was split.
    precondition(depth < Self.depthMax, "a tree of full nodes is never this deep")
    var top = Inner()
    top.children = [UInt32(truncatingIfNeeded: root), id]
    top.sums = [total - sum, sum]
    separator.withUnsafeBytes { top.separators.append($0) }
    root = Int(place(top))
    depth += 1
  }

  private mutating func splitInner(_ node: Int) -> (UInt32, RangeSum, [UInt8]) {
    let half = inners[node].children.count / 2
    var upper = Inner()
    upper.children = ContiguousArray(inners[node].children[half...])
    upper.sums = ContiguousArray(inners[node].sums[half...])
    inners[node].children.removeLast(upper.children.count)
    inners[node].sums.removeLast(upper.sums.count)
    // The separator between both halves moves up.
    upper.separators = inners[node].separators.split(at: half)
    let separator = Array(inners[node].separators[half - 1])
    inners[node].separators.remove(at: half - 1)
    var sum = RangeSum()
    for part in upper.sums { sum += part }
    return (place(upper), sum, separator)
  }

  private mutating func place(_ inner: Inner) -> UInt32 {
    if let free = freeInners.popLast() {
      inners[Int(free)] = inner
      return free
    }
    inners.append(inner)
    return UInt32(truncatingIfNeeded: inners.count - 1)
  }

  /// Joins the node `path` ends in with a neighbour where it has become small, and then those above it.
  private mutating func joinUpwards() {
    var isLeaf = true
    while let step = path.popLast() {
      let count = size(Int(inners[step.node].children[step.child]), isLeaf)
      guard count < Self.least else { return }
      let last = inners[step.node].children.count - 1
      // The right neighbour, or the left one.
      for left in [step.child, step.child - 1] where left >= 0 && left < last {
        let (a, b) = (Int(inners[step.node].children[left]), Int(inners[step.node].children[left + 1]))
        guard size(a, isLeaf) + size(b, isLeaf) <= Self.joined else { continue }
        join(a, b, isLeaf, Array(inners[step.node].separators[left]))
        inners[step.node].separators.remove(at: left)
        inners[step.node].children.remove(at: left + 1)
        let sum = inners[step.node].sums.remove(at: left + 1)
        inners[step.node].sums[left] += sum
        break
      }
      isLeaf = false
    }
    while depth > 0, inners[root].children.count == 1 {
      let old = root
      root = Int(inners[old].children[0])
      inners[old] = Inner()
      freeInners.append(UInt32(truncatingIfNeeded: old))
      depth -= 1
    }
  }

  private func size(_ node: Int, _ isLeaf: Bool) -> Int { isLeaf ? leaves[node].count : inners[node].children.count }

  /// Moves all of `b` behind what `a` has.
  private mutating func join(_ a: Int, _ b: Int, _ isLeaf: Bool, _ separator: [UInt8]) {
    if isLeaf {
      let moved = leaves[b]
      leaves[b] = LeafPage()
      leaves[a].append(contentsOf: moved)
      freeLeaves.append(UInt32(truncatingIfNeeded: b))
    } else {
      let moved = inners[b]
      inners[b] = Inner()
      separator.withUnsafeBytes { inners[a].separators.append($0) }
      inners[a].separators.append(contentsOf: moved.separators)
      inners[a].children.append(contentsOf: moved.children)
      inners[a].sums.append(contentsOf: moved.sums)
      freeInners.append(UInt32(truncatingIfNeeded: b))
    }
  }

  // MARK: Asking

  /// The item hash under `key`.
  func hash(_ key: UnsafeRawBufferPointer) -> Digest? {
    var node = root
    for _ in 0..<depth { node = Int(inners[node].children[inners[node].separators.child(for: key)]) }
    let (index, isFound) = leaves[node].lowerBound(key)
    return isFound ? leaves[node].hash(index) : nil
  }

  /// The sum of the items below `key`; its count is the key's rank.
  func sum(below key: UnsafeRawBufferPointer) -> RangeSum {
    var sum = RangeSum()
    var node = root
    for _ in 0..<depth {
      let child = inners[node].separators.child(for: key)
      for left in 0..<child { sum += inners[node].sums[left] }
      node = Int(inners[node].children[child])
    }
    let (index, _) = leaves[node].lowerBound(key)
    for left in 0..<index { sum.add(leaves[node].hash(left)) }
    return sum
  }

  /// A bound that `rank` keys are below, as short as can be, and their sum. There are more than `rank` keys, which is above 0.
  func bound(at rank: Int) -> (bound: [UInt8], sum: RangeSum) {
    var sum = RangeSum()
    var node = root
    for _ in 0..<depth {
      var child = 0
      while sum.count &+ inners[node].sums[child].count <= rank {
        sum += inners[node].sums[child]
        child += 1
      }
      node = Int(inners[node].children[child])
    }
    let index = rank - sum.count
    for left in 0..<index { sum.add(leaves[node].hash(left)) }
    let key = leaves[node].key(index)
    if index > 0 { return (shortestBound(after: leaves[node].key(index - 1), upTo: key), sum) }
    // The key before is the last of another leaf.
    var cursor = KeyTreeCursor(self, rank: rank - 1)
    return (shortestBound(after: cursor.next()?.key ?? [], upTo: key), sum)
  }

  /// The leaf with the item of `rank`, and its index there.
  fileprivate func place(of rank: Int) -> (leaf: Int, index: Int) {
    var rest = rank
    var node = root
    for _ in 0..<depth {
      var child = 0
      while child + 1 < inners[node].children.count, rest >= inners[node].sums[child].count {
        rest -= inners[node].sums[child].count
        child += 1
      }
      node = Int(inners[node].children[child])
    }
    return (node, rest)
  }

  fileprivate func leafCount(_ leaf: Int) -> Int { leaves[leaf].count }
  fileprivate func key(_ leaf: Int, _ index: Int) -> [UInt8] { leaves[leaf].key(index) }
  fileprivate func hash(_ leaf: Int, _ index: Int) -> Digest { leaves[leaf].hash(index) }
}

/// Walks over the items of a tree in ascending order. It holds the tree as it was.
struct KeyTreeCursor {
  private let nodes: KeyTreeNodes
  private var rank: Int
  private let end: Int
  private var leaf = 0
  private var index = 0
  private var left = 0

  /// From the item of `rank` up to the one of rank `end`, which is not given.
  init(_ nodes: KeyTreeNodes, rank: Int, end: Int = .max) {
    self.nodes = nodes
    self.rank = rank
    self.end = min(end, nodes.total.count)
  }

  /// The next item; nil at the end. O(1) but for one descent per leaf.
  mutating func next() -> (key: [UInt8], hash: Digest)? {
    guard rank < end else { return nil }
    if left == 0 {
      (leaf, index) = nodes.place(of: rank)
      left = nodes.leafCount(leaf) - index
    }
    let item = (nodes.key(leaf, index), nodes.hash(leaf, index))
    rank += 1
    index += 1
    left -= 1
    return item
  }
}
