import StrataDisk

/// The part of the active segment that unsynced operations are stored into directly.
///
/// An operation that need not be durable is acknowledged once the kernel has it, and a store into a window is that: no buffer, no pass, no
/// system call. The order of the file holds because a store is made only while nothing submitted earlier is still on its way, and passes that
/// write bytes keep stores out until they have ended.
struct CommitWindow {
  let file: any FileWindow
  let base: UnsafeMutableRawPointer
  let start: UInt64
  let end: UInt64

  init(_ file: any FileWindow) {
    self.file = file
    base = file.base
    start = file.range.lowerBound
    end = file.range.upperBound
  }
}

extension CommitState {
  /// Takes an operation by storing it into the window, or returns `nil` where it has to go through a pass. On return it is written.
  @inline(__always)
  mutating func store(
    _ bytes: Int, _ operations: Int, _ durability: Durability, mark: UInt64?, _ options: GroupCommit.Options,
    _ encode: (UnsafeMutableRawBufferPointer, Placement) -> Int
  ) throws(DiskError) -> CommitTicket? {
    guard let window, filling.count == 0, !passHasBytes, offset < options.segmentBytes, offset + UInt64(bytes) <= window.end else { return nil }
    let first = nextSequence
    let last = first + UInt64(operations) - 1
    if mustBeDurable(last, durability) { return nil }
    let room = UnsafeMutableRawBufferPointer(start: window.base + Int(offset - window.start), count: bytes)
    let placement = Placement(segment: active.number, salt: active.salt, offset: offset, sequence: first, durableSequence: durable)
    let used = encode(room, placement)
    guard used >= 0 else {
      // Nothing is taken, so nothing of it may stay where the next start looks for the log's end.
      room.initializeMemory(as: UInt8.self, repeating: 0)
      return CommitTicket(first: first, last: first - 1, mustBeDurable: false)
    }
    precondition(used <= bytes, "an encoder wrote beyond its reservation")
    try window.file.publish(offset..<offset + UInt64(used))
    offset += UInt64(used)
    nextSequence = last + 1
    if let mark { submittedMark = mark }
    writtenMark = submittedMark
    filling.pass(to: offset, lastSequence: last, lastMark: submittedMark)
    (written, writtenEnd) = (last, SegmentPosition(segment: active.number, offset: offset))
    setDeadline(durability)
    counters.operations += UInt64(operations)
    counters.bytes += UInt64(used)
    return CommitTicket(first: first, last: last, mustBeDurable: false)
  }

  /// The window that the present pass should open behind what it writes: none while the last one has room, for operations that would fill it
  /// at once, or near the segment's end.
  func windowToOpen(_ options: GroupCommit.Options) -> Range<UInt64>? {
    guard options.windowBytes > 0, !hasNoWindows, options.groupAlignment == 1, filling.count <= options.windowBytes / 4 else { return nil }
    if let window, offset + UInt64(filling.count) <= window.end { return nil }
    let end = min(offset + UInt64(options.windowBytes), active.allocated)
    guard end > offset + UInt64(options.windowBytes / 8), offset < options.segmentBytes else { return nil }
    return offset..<end
  }
}

extension CommitState {
  /// Makes the window a pass has opened the present one, and leaves the former one to the caller, who lets it go outside the lock.
  mutating func install(_ opened: inout CommitWindow?, _ range: Range<UInt64>, of segment: PreparedSegment) {
    guard active.number == segment.number else { return }
    active.overwritable = max(active.overwritable, range.upperBound)
    if opened == nil { hasNoWindows = true }
    swap(&window, &opened)
  }
}

extension GroupCommit {
  /// Opens the window of a pass whose bytes are written; the caller leads the pass, so nobody else writes to the file.
  ///
  /// The window's fresh blocks are written with zeros first: a store then meets neither a full disk nor a block that must be read.
  /// - Returns: `nil` where the file system has none.
  func open(_ range: Range<UInt64>, freshFrom: UInt64, of group: CommitGroup) throws(DiskError) -> CommitWindow? {
    if freshFrom < range.upperBound {
      try group.segment.file.write([UInt8](repeating: 0, count: Int(range.upperBound - freshFrom)), at: freshFrom)
    }
    guard let file = try group.segment.file.window(range) else { return nil }
    return CommitWindow(file)
  }
}
