import StrataBytes

/// The keys of a plan that go a level further than its output, in the same pass: every input that overlaps them is wholly within the plan, and so is
/// what they meet there.
public struct Descent: Sendable, Hashable {
  /// The level they go to, one below the plan's output.
  public var level: Int
  /// Which keys.
  public var bounds: KeyBounds

  public init(level: Int, bounds: KeyBounds) {
    self.level = level
    self.bounds = bounds
  }

  /// Whether all keys within `other` are among these.
  public func covers(_ other: KeyBounds) -> Bool {
    let beginsWithin = bounds.from.map { first in other.from.map { !$0.lexicographicallyPrecedes(first) } ?? false } ?? true
    let endsWithin = bounds.to.map { end in other.to.map { !end.lexicographicallyPrecedes($0) } ?? false } ?? true
    return beginsWithin && endsWithin
  }
}

/// Chooses which keys of a merge into a level go further, where the merge would fill that level beyond its target.
///
/// Bytes that would be written into the level only to be read again and moved down are written once, to where they stay. The keys are those between
/// two tables of the level below, so that no table there is rewritten for a part of it, and those of the densest part: with `B` bytes coming down to
/// a level of `s` bytes over one of `S`, a byte is written `s / B + S / (s + B)` times instead of once more.
struct DescentChoice {
  /// Level 0's tables and those of the base they meet.
  let upper: [TableMetadata]
  /// The tables below the base that these overlap.
  let lower: [TableMetadata]
  /// Bytes by which the base would exceed its target.
  let excess: UInt64
  /// So many tables of ``lower`` at most.
  let most: Int

  /// The tables of ``lower`` whose keys go on; empty where none should.
  func chosen() -> Range<Int> {
    let arriving = arriving()
    var best = (range: 0..<0, reaches: false, bytes: 0.0, cost: Double.infinity)
    var from = 0
    var (bytes, below) = (0.0, 0.0)
    for to in lower.indices {
      bytes += arriving[to]
      below += Double(lower[to].fileSize)
      // As few tables as still take what is too much, and no more than may be read.
      while from < to, to - from >= most || bytes - arriving[from] >= Double(excess) {
        bytes -= arriving[from]
        below -= Double(lower[from].fileSize)
        from += 1
      }
      guard to - from < most, bytes > 0 else { continue }
      let reaches = bytes >= Double(excess)
      let cost = below / bytes
      let isBetter = reaches == best.reaches ? (reaches ? cost < best.cost : bytes > best.bytes) : reaches
      if isBetter { best = (from..<to + 1, reaches, bytes, cost) }
    }
    return best.range
  }

  /// About how many bytes of ``upper`` have keys from each table of ``lower`` on up to the next.
  func arriving() -> [Double] {
    var result = [Double](repeating: 0, count: lower.count)
    for table in upper {
      let place = KeyPlace(table)
      var passed = 0.0
      for index in lower.indices {
        let end = index + 1 < lower.count ? place.share(before: lower[index + 1].smallest.userKey) : 1
        result[index] += Double(table.fileSize) * max(0, end - passed)
        passed = max(passed, end)
      }
    }
    return result
  }
}

/// Where keys lie between the first and last of a table, as if all keys between were equally likely.
private struct KeyPlace {
  private let first: [UInt8]
  private let shared: Int
  private let low: Double
  private let width: Double

  init(_ table: TableMetadata) {
    first = table.smallest.userKey
    let last = table.largest.userKey
    shared = zip(first, last).prefix { $0 == $1 }.count
    low = Self.number(first, after: shared)
    width = max(Self.number(last, after: shared) - low, 1)
  }

  /// The share of the table before `key`, in 0...1.
  func share(before key: [UInt8]) -> Double {
    let prefix = key.prefix(shared)
    if !prefix.elementsEqual(first.prefix(shared)) { return prefix.lexicographicallyPrecedes(first.prefix(shared)) ? 0 : 1 }
    return min(1, max(0, (Self.number(key, after: shared) - low) / width))
  }

  /// The eight bytes after a prefix as a number.
  private static func number(_ key: [UInt8], after prefix: Int) -> Double {
    let rest = key.dropFirst(prefix).prefix(8)
    return Double(rest.reduce(UInt64(0)) { $0 << 8 | UInt64($1) } << UInt64(8 * (8 - rest.count)))
  }
}
