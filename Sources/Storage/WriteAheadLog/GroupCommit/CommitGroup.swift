import StrataDisk

/// Bytes accepted for one range of one segment, on their way to the disk. Filled under the commit lock, read-only from the moment a pass
/// takes it.
final class CommitGroup: @unchecked Sendable {
  // Sendable because it is mutated only under the commit lock while it is the filling group, and only read afterwards.
  private(set) var base: UnsafeMutableRawPointer
  private(set) var capacity: Int
  private(set) var count = 0
  private(set) var segment: PreparedSegment
  private(set) var start: UInt64
  var lastSequence: UInt64
  /// The mark of the last submission, this group's or before it.
  var lastMark: UInt64
  /// Set when the segment ends with this group.
  var seals: SealedSegment?
  /// Set when the segment begins with this group.
  var begins: (firstSequence: UInt64, predecessor: SealedSegment)?

  /// Buffers larger than this are given back to the allocator after use.
  static let retainedBytes = 8 << 20

  init(segment: PreparedSegment, start: UInt64, lastSequence: UInt64, lastMark: UInt64) {
    capacity = 64 << 10
    base = .allocate(byteCount: capacity, alignment: 16)
    self.segment = segment
    self.start = start
    self.lastSequence = lastSequence
    self.lastMark = lastMark
  }

  deinit { base.deallocate() }

  var end: UInt64 { start + UInt64(count) }
  var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

  /// Makes the object a new, empty group.
  func reset(segment: PreparedSegment, start: UInt64, lastSequence: UInt64, lastMark: UInt64) {
    count = 0
    if segment.number != self.segment.number { self.segment = segment }
    self.start = start
    self.lastSequence = lastSequence
    self.lastMark = lastMark
    seals = nil
    begins = nil
  }

  /// Moves the still empty group behind bytes that reached the file without it.
  func pass(to end: UInt64, lastSequence last: UInt64, lastMark mark: UInt64) {
    assert(count == 0 && end >= start, "only an empty group moves, and only forward")
    start = end
    lastSequence = last
    lastMark = mark
  }

  /// Room for `bytes` more at the end.
  func reserve(_ bytes: Int) -> UnsafeMutableRawBufferPointer {
    if count + bytes > capacity {
      capacity = max(capacity * 2, count + bytes)
      let grown = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 16)
      grown.copyMemory(from: base, byteCount: count)
      base.deallocate()
      base = grown
    }
    return UnsafeMutableRawBufferPointer(start: base + count, count: bytes)
  }

  /// Keeps `bytes` of what ``reserve(_:)`` gave.
  func commit(_ bytes: Int) { count += bytes }

  /// Copies the part of `range` of the file that the group holds, if it holds all of it.
  func copy(_ range: Range<UInt64>, ofSegment number: UInt64, into target: UnsafeMutableRawPointer) -> Bool {
    guard segment.number == number, range.lowerBound >= start, range.upperBound <= end else { return false }
    target.copyMemory(from: base + Int(range.lowerBound - start), byteCount: Int(range.upperBound - range.lowerBound))
    return true
  }
}
