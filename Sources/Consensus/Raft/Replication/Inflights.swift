/// The window of appends a follower has not answered: a ring of (last index, bytes) in ascending order, bounded by number and by bytes.
struct Inflights: Hashable, Sendable {
  private struct Append: Hashable {
    var last: LogIndex
    var bytes: Int
  }

  private var ring: [Append] = []
  private var start = 0
  private(set) var count = 0
  private(set) var bytes = 0
  let maxCount: Int
  let maxBytes: Int

  init(maxCount: Int, maxBytes: Int) {
    self.maxCount = maxCount
    self.maxBytes = maxBytes
  }

  /// Whether nothing more may be sent before an answer comes.
  var isFull: Bool { count == maxCount || (maxBytes > 0 && bytes >= maxBytes) }

  /// Notes an append that was sent; the window must not be full.
  mutating func add(last: LogIndex, bytes: Int) {
    precondition(!isFull, "more is in flight than the window holds")
    if count == ring.count { grow() }
    var place = start + count
    if place >= ring.count { place -= ring.count }
    ring[place] = Append(last: last, bytes: bytes)
    count += 1
    self.bytes += bytes
  }

  /// Forgets every append up to and with the one that ends at `index`.
  mutating func free(upTo index: LogIndex) {
    while count > 0, ring[start].last <= index { freeFirst() }
  }

  /// Forgets the oldest append.
  mutating func freeFirst() {
    guard count > 0 else { return }
    bytes -= ring[start].bytes
    start += 1
    if start == ring.count { start = 0 }
    count -= 1
  }

  mutating func reset() {
    start = 0
    count = 0
    bytes = 0
  }

  /// Most followers keep few appends in flight: the ring grows with need.
  private mutating func grow() {
    let size = min(max(ring.count * 2, 4), maxCount)
    ring = (0..<size).map { $0 < count ? ring[(start + $0) % ring.count] : Append(last: 0, bytes: 0) }
    start = 0
  }
}
