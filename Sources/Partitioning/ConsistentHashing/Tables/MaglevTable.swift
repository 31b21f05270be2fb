import StrataBytes

/// Maglev hashing (Eisenbud and others, "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI 2016), in Envoy's layout: a table of
/// prime size that the nodes fill in turns, each along its own permutation.
///
/// A lookup is a remainder and one load. Shares are even within a few entries; a change also moves a few keys between nodes that stay. Positions are
/// the table's entries. Node i begins at `xxh64(name) mod M` and steps by `xxh64(name, seed 1) mod (M - 1) + 1`; with weights it takes
/// its turns in proportion.
public struct MaglevTable: Placement {
  public let epoch: UInt64
  /// The members in ascending order of their names.
  public let members: [Member]
  public let keyHash: KeyHash
  /// The owner of each entry.
  @usableFromInline let entries: [UInt16]
  @usableFromInline let remainder: Remainder
  let topology: Topology

  /// The number of entries where nothing else is said.
  public static let defaultSize = 65_537
  /// The largest table.
  public static let sizeLimit = 5_000_011

  /// A table of `size` entries, a prime number no smaller than the number of members, at epoch 1. O(size) on average.
  /// - Throws: ``PlacementError/invalidParameter(name:value:allowed:)``, which names the next size that will do; ``PlacementError/nodeExists(_:)``.
  public init(members: [Member], size: Int = Self.defaultSize, hash: KeyHash = .xxh64) throws(PlacementError) {
    try self.init(epoch: 1, members: try Member.normalized(members), size: size, hash: hash)
  }

  init(epoch: UInt64, members: [Member], size: Int, hash: KeyHash) throws(PlacementError) {
    guard size <= Self.sizeLimit else {
      throw .invalidParameter(name: "table size", value: "\(size)", allowed: "a prime up to \(Self.sizeLimit)")
    }
    guard size >= max(2, members.count), Self.isPrime(size) else {
      throw .invalidParameter(
        name: "table size", value: "\(size)",
        allowed: "a prime of at least the number of nodes, such as \(Self.prime(from: max(size, members.count)))")
    }
    self.epoch = epoch
    self.members = members
    keyHash = hash
    remainder = Remainder(UInt64(size))
    entries = Self.fill(members, size: size)
    topology = Topology(members)
  }

  /// How many entries the table has.
  public var size: Int { Int(remainder.divisor) }

  static func isPrime(_ number: Int) -> Bool {
    guard number >= 2 else { return false }
    var divisor = 2
    while divisor * divisor <= number {
      if number % divisor == 0 { return false }
      divisor += 1
    }
    return true
  }

  /// The smallest prime that is at least `number`, which is at most ``sizeLimit``.
  static func prime(from number: Int) -> Int {
    var candidate = max(2, number)
    while !isPrime(candidate) { candidate += 1 }
    return candidate
  }

  private static func fill(_ members: [Member], size: Int) -> [UInt16] {
    guard !members.isEmpty else { return [] }
    let divisor = UInt64(size)
    var next: [UInt64] = []
    var skips: [UInt64] = []
    for member in members {
      let name = Array(member.id.name.utf8)
      next.append(StrataBytes.xxh64(name.span.bytes) % divisor)
      skips.append(StrataBytes.xxh64(name.span.bytes, seed: 1) % (divisor - 1) + 1)
    }
    // A node of the largest weight takes a turn in every round, one of half of it in every second.
    let largest = members.reduce(0) { max($0, $1.weight) }
    var targets = [Double](repeating: 0, count: members.count)
    var table = [UInt16](repeating: 0, count: size)
    var isTaken = [Bool](repeating: false, count: size)
    var filled = 0
    var round = 1.0
    while filled < size {
      for node in members.indices where filled < size {
        if round * members[node].weight < targets[node] { continue }
        targets[node] += largest
        while isTaken[Int(next[node])] { next[node] = step(next[node], skips[node], divisor) }
        table[Int(next[node])] = UInt16(node)
        isTaken[Int(next[node])] = true
        next[node] = step(next[node], skips[node], divisor)
        filled += 1
      }
      round += 1
    }
    return table
  }

  private static func step(_ entry: UInt64, _ skip: UInt64, _ size: UInt64) -> UInt64 {
    let next = entry + skip
    return next >= size ? next - size : next
  }

  // MARK: Changes

  /// One node more. The table is filled anew: a few keys move between the others too. O(size).
  /// - Throws: as ``HashRing/adding(_:)``.
  public func adding(_ member: Member) throws(PlacementError) -> MaglevTable {
    try member.validate()
    let (rank, isPresent) = Member.rank(of: member.id, in: members)
    if isPresent {
      guard members[rank] == member else { throw .nodeExists(member.id) }
      return self
    }
    // 2^64 changes do not happen; an epoch read from a disk may wrap all the same.
    return try MaglevTable(epoch: epoch &+ 1, members: try Member.normalized(members + [member]), size: size, hash: keyHash)
  }

  /// Without a node. O(size).
  /// - Throws: ``PlacementError/unknownNode(_:)``.
  public func removing(_ id: MemberID) throws(PlacementError) -> MaglevTable {
    guard Member.rank(of: id, in: members).isPresent else { throw .unknownNode(id) }
    return try MaglevTable(epoch: epoch &+ 1, members: members.filter { $0.id != id }, size: size, hash: keyHash)  // as above
  }

  // MARK: Lookup

  /// The largest index of an entry.
  public var lastPosition: UInt64 { remainder.divisor - 1 }

  /// The entry of a key: its hash modulo the size.
  @inlinable
  @inline(__always)
  public func position(of key: borrowing some KeyBytes & ~Escapable) -> UInt64 {
    let hash = keyHash
    let remainder = remainder
    return key.withKeyBytes { remainder.of(hash.position(of: $0)) }
  }

  @inlinable
  public func primaryIndex(at position: UInt64) throws(PlacementError) -> Int {
    guard !entries.isEmpty else { throw .empty }
    // A position of this table is below its size; any other number is taken modulo it.
    let entry = position < remainder.divisor ? position : remainder.of(position)
    return Int(entries[Int(truncatingIfNeeded: entry)])
  }

  public func fillOwners(_ owners: UnsafeMutableBufferPointer<UInt32>, at position: UInt64, spread: Spread) throws(PlacementError) {
    guard !entries.isEmpty else { throw .empty }
    guard owners.count <= members.count else { throw .insufficientNodes(need: owners.count, have: members.count) }
    let count = spread == .nodes || topology.isFlat ? owners.count : members.count
    try topology.choose(from: order(at: position, atLeast: count), into: owners, spread)
  }

  public func walk(at position: UInt64) -> PreferenceWalk {
    PreferenceWalk(members, .list(order(at: position, atLeast: members.count), next: 0))
  }

  /// Distinct owners of the entry and those after it; a node so light that it has no entry comes last.
  private func order(at position: UInt64, atLeast count: Int) -> [UInt32] {
    guard !entries.isEmpty else { return [] }
    var seen = [Bool](repeating: false, count: members.count)
    var order: [UInt32] = []
    var entry = Int(remainder.of(position))
    var steps = 0
    while order.count < count, steps < entries.count {
      let owner = Int(entries[entry])
      if !seen[owner] {
        seen[owner] = true
        order.append(UInt32(owner))
      }
      entry = entry + 1 == entries.count ? 0 : entry + 1
      steps += 1
    }
    if order.count < count { order += seen.indices.filter { !seen[$0] }.map { UInt32($0) } }
    return order
  }

  /// The last entry of each run of entries of one owner.
  public var boundaries: [UInt64]? {
    entries.indices.filter { $0 + 1 == entries.count || entries[$0] != entries[$0 + 1] }.map { UInt64($0) }
  }
}

/// The remainder by a divisor that does not change, by multiplication.
@usableFromInline
struct Remainder: Sendable, Hashable {
  @usableFromInline let divisor: UInt64
  /// ⌊(2^64 - 1) / divisor⌋.
  @usableFromInline let inverse: UInt64

  init(_ divisor: UInt64) {
    self.divisor = divisor
    inverse = .max / divisor
  }

  /// `value` modulo the divisor. With 2^64 = inverse · divisor + r + 1 and r < divisor, value / divisor exceeds value · inverse / 2^64 by
  /// value (r + 1) / (divisor · 2^64), which is below 1: the upper half of the product is the quotient or one less, and one correction suffices.
  @inlinable
  @inline(__always)
  func of(_ value: UInt64) -> UInt64 {
    let rest = value &- value.multipliedFullWidth(by: inverse).high &* divisor
    return rest >= divisor ? rest &- divisor : rest
  }
}
