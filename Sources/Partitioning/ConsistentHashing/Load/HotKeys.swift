/// The most frequent keys of a stream in bounded memory: the space-saving sketch (Metwally, Agrawal, El Abbadi, ICDT 2005).
///
/// Hashing cannot spread one key over nodes; a caller that knows which keys are hot can copy or cache them. A key that makes up more than
/// `1 / capacity` of what was counted is always found; a count is too high by at most its ``HotKey/error``. O(log capacity) per observation.
/// A value for one owner.
public struct HotKeys: Sendable {
  /// How many keys are counted at a time.
  public let capacity: Int
  /// Everything counted.
  public private(set) var total: UInt64 = 0
  /// Observations of keys longer than ``keyByteLimit``, which are not counted.
  public private(set) var skipped: UInt64 = 0
  private var counters: [HotKey] = []
  private var slots: [[UInt8]: Int] = [:]
  /// Slots as a heap, the lowest count on top, and where in it each slot is.
  private var heap: [Int] = []
  private var places: [Int] = []

  /// The longest key that is counted.
  public static let keyByteLimit = 4_096

  /// A sketch of `capacity` counters, 1...1 000 000.
  /// - Throws: ``PlacementError/invalidParameter(name:value:allowed:)``.
  public init(capacity: Int) throws(PlacementError) {
    guard (1...1_000_000).contains(capacity) else {
      throw .invalidParameter(name: "capacity", value: "\(capacity)", allowed: "1...1000000")
    }
    self.capacity = capacity
  }

  /// Counts a key.
  public mutating func observe(_ key: borrowing some KeyBytes & ~Escapable, count: UInt64 = 1) {
    let bytes = key.withKeyBytes { key in key.byteCount > Self.keyByteLimit ? nil : key.withUnsafeBytes { Array($0) } }
    guard let bytes else {
      skipped = Self.sum(skipped, count)
      return
    }
    total = Self.sum(total, count)
    if let slot = slots[bytes] {
      counters[slot].count = Self.sum(counters[slot].count, count)
      sink(places[slot])
    } else if counters.count < capacity {
      slots[bytes] = counters.count
      heap.append(counters.count)
      places.append(heap.count - 1)
      counters.append(HotKey(key: bytes, count: count, error: 0))
      rise(heap.count - 1)
    } else {
      // The rarest makes room; what it had counted may have been the newcomer's.
      let slot = heap[0]
      slots[counters[slot].key] = nil
      slots[bytes] = slot
      counters[slot] = HotKey(key: bytes, count: Self.sum(counters[slot].count, count), error: counters[slot].count)
      sink(0)
    }
  }

  /// The `count` keys with the highest counts, the highest first; equal counts in the order of their bytes.
  public func top(_ count: Int) -> [HotKey] {
    let sorted = counters.sorted { $0.count != $1.count ? $0.count > $1.count : $0.key.lexicographicallyPrecedes($1.key) }
    return Array(sorted.prefix(max(0, count)))
  }

  /// Counts stop at the largest number instead of wrapping.
  private static func sum(_ a: UInt64, _ b: UInt64) -> UInt64 {
    let (sum, overflow) = a.addingReportingOverflow(b)
    return overflow ? .max : sum
  }

  private func isLower(_ a: Int, _ b: Int) -> Bool {
    let (x, y) = (counters[heap[a]].count, counters[heap[b]].count)
    return x != y ? x < y : heap[a] < heap[b]
  }

  private mutating func exchange(_ a: Int, _ b: Int) {
    heap.swapAt(a, b)
    places[heap[a]] = a
    places[heap[b]] = b
  }

  private mutating func rise(_ start: Int) {
    var place = start
    while place > 0, isLower(place, (place - 1) / 2) {
      exchange(place, (place - 1) / 2)
      place = (place - 1) / 2
    }
  }

  private mutating func sink(_ start: Int) {
    var place = start
    while true {
      var lowest = place
      for child in [2 * place + 1, 2 * place + 2] where child < heap.count && isLower(child, lowest) { lowest = child }
      if lowest == place { return }
      exchange(place, lowest)
      place = lowest
    }
  }
}

/// A key with how often it was seen: at least ``count`` less ``error`` times and at most ``count`` times.
public struct HotKey: Sendable, Hashable {
  /// The key.
  public var key: [UInt8]
  /// How often at most.
  public var count: UInt64
  /// By how much the count may be too high.
  public var error: UInt64
}
