import CStrataMemory
import StrataBytes
import StrataSSTable
import Synchronization

/// An ordered list of versions in one fixed block of memory: insertion by any number of threads without a lock, reading without
/// waiting, both directions, nothing freed singly.
///
/// The shape is Pebble's `arenaskl` after Pugh (1990): towers of 32-bit links, here in units of eight bytes, which a compare-and-swap
/// publishes level by level from the bottom; a node is complete before its first link points at it and never changes afterwards. Links
/// back are hints: one may lag behind insertions that came after it, never lead past its node, so a step back walks forward from it.
///
/// Comparisons look at eight bytes of the key first, kept beside the links: the first ones, or, where the list was given a prefix that most of its
/// keys share, those behind it. What sorts before the prefix has 0 there, what sorts behind it the greatest number; ties are settled by the keys.
///
///     node: 0 key head u64 | 8 trailer u64 | 16 height << 24 + key length u32 | 20 value length u32 | 24 link back u32
///           28 links u32 × height | key | value | up to 8 bytes
///
/// Whoever inserts has made sure of the room (``nodeBound(key:value:)``); keys fit ``TableLimits/keyBytes``.
struct Skiplist: @unchecked Sendable {
  // Sendable because all memory that threads share is written before a releasing link shows it, or is such a link.
  typealias Link = UInt32

  static let maxHeight = 12
  private static let links = 28
  /// The node before all others; its links are the list's beginnings.
  static let origin: Link = 1
  private static let prefixOffset = 8 + links + 4 * maxHeight + 4
  /// No more of a shared prefix is used.
  static let maxPrefix = 64
  /// What the first insertion finds taken.
  static let headerBytes = prefixOffset + maxPrefix

  let base: UnsafeMutableRawPointer
  /// Where the newest versions lie.
  private let index: VersionIndex?
  private let prefixBytes: Int

  /// An empty list in memory whose first ``headerBytes`` become the list's own; `base` is aligned to eight bytes. Keys that begin with `prefix`, of
  /// which ``maxPrefix`` bytes are used, are found with the fewest comparisons.
  init(_ base: UnsafeMutableRawPointer, index: VersionIndex? = nil, prefix: [UInt8] = []) {
    self.base = base
    self.index = index
    prefixBytes = min(prefix.count, Self.maxPrefix)
    base.initializeMemory(as: UInt8.self, repeating: 0, count: Self.headerBytes)
    node(Self.origin).storeBytes(of: UInt32(Self.maxHeight) << 24, toByteOffset: 16, as: UInt32.self)
    prefix.prefix(Self.maxPrefix).withUnsafeBytes {
      UnsafeMutableRawBufferPointer(start: base + Self.prefixOffset, count: $0.count).copyMemory(from: $0)
    }
  }

  /// The bytes of a key that comparisons look at first.
  @inline(__always)
  private func head(of key: UnsafeRawBufferPointer) -> UInt64 {
    guard prefixBytes > 0 else { return keyHead(key) }
    let shared = UnsafeRawBufferPointer(start: base + Self.prefixOffset, count: min(prefixBytes, key.count))
    let order = compare(UnsafeRawBufferPointer(rebasing: key[..<shared.count]), shared)
    if order != 0 { return order < 0 ? 0 : .max }
    return key.count < prefixBytes ? 0 : keyHead(UnsafeRawBufferPointer(rebasing: key[prefixBytes...]))
  }

  /// What the list's first and last key have in common, which is likely to hold for the keys of the list that follows it.
  func commonPrefix() -> [UInt8] {
    let (first, last) = (next(Self.origin), last())
    guard first != 0, last != Self.origin else { return [] }
    return zip(key(first), key(last)).prefix(Self.maxPrefix).prefix { $0 == $1 }.map(\.0)
  }

  /// The most bytes a node of such lengths takes.
  static func nodeBound(key: Int, value: Int) -> Int { links + 4 * maxHeight + key + value + 8 }

  /// The bytes a node takes.
  @inline(__always)
  static func nodeBytes(height: Int, key: Int, value: Int) -> Int { (links &+ 4 &* height &+ key &+ value &+ 7) & ~7 }

  /// A height with probability 4^-(h-1) of being at least h, drawn from `seed`.
  @inline(__always)
  static func height(_ seed: UInt64) -> Int {
    var x = seed &* 0x9E37_79B9_7F4A_7C15
    x ^= x >> 32
    x = x &* 0xD6E8_FEB8_6659_FD93
    return min(maxHeight, 1 &+ (x | 1 << 62).trailingZeroBitCount / 2)
  }

  // MARK: Nodes

  @inline(__always) func node(_ link: Link) -> UnsafeMutableRawPointer { base + Int(link) &* 8 }

  @inline(__always)
  private func tower(_ link: Link, _ level: Int) -> UnsafeMutablePointer<Atomic<UInt32>> {
    (node(link) + (Self.links &+ 4 &* level)).assumingMemoryBound(to: Atomic<UInt32>.self)
  }

  @inline(__always) private func back(_ link: Link) -> UnsafeMutablePointer<Atomic<UInt32>> {
    (node(link) + 24).assumingMemoryBound(to: Atomic<UInt32>.self)
  }

  /// The node after `link` at `level`, 0 at the end.
  @inline(__always) func next(_ link: Link, _ level: Int = 0) -> Link { tower(link, level).pointee.load(ordering: .acquiring) }

  @inline(__always) private func head(_ link: Link) -> UInt64 { node(link).load(as: UInt64.self) }
  @inline(__always) func trailer(_ link: Link) -> Trailer { Trailer(word: node(link).load(fromByteOffset: 8, as: UInt64.self)) }

  @inline(__always)
  func key(_ link: Link) -> UnsafeRawBufferPointer {
    let node = node(link)
    let word = node.load(fromByteOffset: 16, as: UInt32.self)
    return UnsafeRawBufferPointer(start: node + (Self.links &+ 4 &* Int(word >> 24)), count: Int(word & 0xFF_FFFF))
  }

  @inline(__always)
  func value(_ link: Link) -> UnsafeRawBufferPointer {
    let key = key(link)
    return UnsafeRawBufferPointer(
      start: key.baseAddress.map { $0 + key.count }, count: Int(node(link).load(fromByteOffset: 20, as: UInt32.self)))
  }

  /// What a search is for.
  struct Target {
    var key: UnsafeRawBufferPointer
    var trailer: Trailer

    @inline(__always) init(_ key: UnsafeRawBufferPointer, _ trailer: Trailer) {
      self.key = key
      self.trailer = trailer
    }
  }

  /// Whether the node comes before the target in internal order.
  @inline(__always)
  private func precedes(_ link: Link, _ target: Target, _ targetHead: UInt64) -> Bool {
    let head = head(link)
    if head != targetHead { return head < targetHead }
    let order = compare(key(link), target.key)
    return order != 0 ? order < 0 : trailer(link) > target.trailer
  }

  // MARK: Searching

  /// The last node before the target, ``origin`` where there is none, and the one after it, 0 where there is none.
  @inline(__always)
  func bracket(_ target: Target) -> (before: Link, after: Link) {
    let head = head(of: target.key)
    var before = Self.origin
    var bound: Link = 0
    var level = Self.maxHeight
    while level > 0 {
      level &-= 1
      bound = descend(&before, level, bound, target, head)
    }
    return (before, bound)
  }

  /// Takes `before` to the last node of a level that precedes the target, and returns the one after it. `bound` is what was found too far a level
  /// above, and is not compared again. Where the search goes on if the next node is too far is asked for before that node is waited for.
  @inline(__always)
  private func descend(_ before: inout Link, _ level: Int, _ bound: Link, _ target: Target, _ head: UInt64) -> Link {
    while true {
      let after = next(before, level)
      guard after != bound, after != 0 else { return after }
      if level > 0 { strata_prefetch(node(next(before, level &- 1))) }
      guard precedes(after, target, head) else { return after }
      before = after
    }
  }

  /// The first version of the target's key that the target does not precede, 0 where there is none.
  @inline(__always)
  func version(_ target: Target, hash: UInt64) -> Link {
    switch index?.find(target.key, hash, in: self) {
    case .absent: return 0
    case .newest(var link):
      for _ in 0..<Self.maxSteps {
        if trailer(link) <= target.trailer { return link }
        link = next(link)
        guard link != 0, holds(link, target) else { return 0 }
      }
    case .unknown, nil: break
    }
    let link = bracket(target).after
    return link != 0 && holds(link, target) ? link : 0
  }

  /// How many newer versions are stepped over before the older one is searched for.
  private static let maxSteps = 8

  /// Whether a version is one of the target's key.
  @inline(__always)
  func holds(_ link: Link, _ target: Target) -> Bool { compare(key(link), target.key) == 0 }

  /// The node before `link`, ``origin`` for the first.
  func previous(_ link: Link) -> Link {
    var before = back(link).pointee.load(ordering: .acquiring)
    while true {
      let after = next(before)
      if after == link { return before }
      before = after
    }
  }

  /// The last node, ``origin`` where there is none.
  func last() -> Link {
    var node = Self.origin
    for level in (0..<Self.maxHeight).reversed() {
      while case let after = next(node, level), after != 0 { node = after }
    }
    return node
  }

  // MARK: Inserting

  /// Where an insertion goes, level by level. Kept from one insertion to the next it makes neighbouring keys cheap: an ascending load
  /// costs O(1) each.
  struct Splice {
    var before = [12 of Link](repeating: Skiplist.origin)
    var after = [12 of Link](repeating: 0)
    var isFilled = false
  }

  /// The newest version of a key before one that is to come, 0 where none is known.
  @inline(__always)
  func older(_ key: UnsafeRawBufferPointer, _ hash: UInt64, than trailer: Trailer) -> Link {
    guard case .newest(let link)? = index?.find(key, hash, in: self), self.trailer(link) < trailer else { return 0 }
    return link
  }

  /// Asks for the index's place of a hash.
  @inline(__always)
  func prefetch(_ hash: UInt64) { index?.prefetch(hash) }

  /// Adds a node at the free place `offset` of the memory, which has room for it; `older` is what ``older(_:_:than:)`` said of it.
  func insert(
    at offset: Int, height: Int, key: UnsafeRawBufferPointer, hash: UInt64, trailer: Trailer, value: UnsafeRawBufferPointer,
    before older: Link, _ splice: inout Splice
  ) {
    let link = Link(truncatingIfNeeded: offset >> 3)
    let node = base + offset
    let head = head(of: key)
    node.storeBytes(of: head, as: UInt64.self)
    node.storeBytes(of: trailer.word, toByteOffset: 8, as: UInt64.self)
    node.storeBytes(of: UInt32(height) << 24 | UInt32(key.count), toByteOffset: 16, as: UInt32.self)
    node.storeBytes(of: UInt32(value.count), toByteOffset: 20, as: UInt32.self)
    let bytes = node + (Self.links + 4 * height)
    if let source = key.baseAddress { bytes.copyMemory(from: source, byteCount: key.count) }
    if let source = value.baseAddress { (bytes + key.count).copyMemory(from: source, byteCount: value.count) }
    let target = Target(key, trailer)
    if height > 1 || older == 0 || !linkAlone(link, before: older, target, head) {
      fill(&splice, target, head)
      linkTower(link, height, target, head, &splice)
    }
    index?.enter(link, key, hash, in: self)
  }

  /// Links a node of height 1 before the newest version of its key; `false` where another writer of the key has been there.
  @inline(__always)
  private func linkAlone(_ link: Link, before older: Link, _ target: Target, _ head: UInt64) -> Bool {
    var after = older
    var before = previous(after)
    // Another writer of this key may have linked a version and not entered it yet.
    guard before == Self.origin || precedes(before, target, head) else { return false }
    while !connect(link, 0, before, after) { (before, after) = step(from: before, 0, target, head) }
    return true
  }

  private func linkTower(_ link: Link, _ height: Int, _ target: Target, _ head: UInt64, _ splice: inout Splice) {
    for level in 0..<height {
      while true {
        let before = splice.before[level]
        if connect(link, level, before, splice.after[level]) { break }
        (splice.before[level], splice.after[level]) = step(from: before, level, target, head)
      }
      splice.before[level] = link
    }
  }

  /// Puts a node between two neighbours; `false` where they are none any more.
  @inline(__always)
  private func connect(_ link: Link, _ level: Int, _ before: Link, _ after: Link) -> Bool {
    node(link).storeBytes(of: after, toByteOffset: Self.links + 4 * level, as: UInt32.self)
    if level == 0 { node(link).storeBytes(of: before, toByteOffset: 24, as: UInt32.self) }
    guard tower(before, level).pointee.compareExchange(expected: after, desired: link, ordering: .releasing).exchanged else { return false }
    // Late by any number of insertions this still names a node before `after`, which is all a link back promises.
    if level == 0, after != 0 { back(after).pointee.store(link, ordering: .releasing) }
    return true
  }

  private func step(from link: Link, _ level: Int, _ target: Target, _ head: UInt64) -> (Link, Link) {
    var before = link
    while true {
      let after = next(before, level)
      guard after != 0, precedes(after, target, head) else { return (before, after) }
      before = after
    }
  }

  /// Makes every level of the splice bracket the target, from the lowest level on that does so already.
  private func fill(_ splice: inout Splice, _ target: Target, _ head: UInt64) {
    var level = 0
    if splice.isFilled {
      while level < Self.maxHeight {
        let (before, after) = (splice.before[level], splice.after[level])
        if next(before, level) == after, before == Self.origin || precedes(before, target, head), after == 0 || !precedes(after, target, head) {
          break
        }
        level += 1
      }
    } else {
      level = Self.maxHeight
      splice.isFilled = true
    }
    var (before, bound): (Link, Link) = level == Self.maxHeight ? (Self.origin, 0) : (splice.before[level], splice.after[level])
    while level > 0 {
      level -= 1
      let after = descend(&before, level, bound, target, head)
      splice.before[level] = before
      splice.after[level] = after
      bound = after
    }
  }
}
