import StrataDisk
import StrataJobs

/// What a submission took.
package struct CommitTicket: Sendable, Hashable {
  /// The first sequence taken.
  package var first: UInt64
  /// The last; one less than the first where none was taken.
  package var last: UInt64
  /// Whether the submission counts as acknowledged only when it is on the device.
  package var mustBeDurable: Bool
}

/// Runs once everything up to `sequence` is acknowledged, or with the sticky failure.
struct CommitCallback {
  var sequence: UInt64
  var durably: Bool
  var run: @Sendable (CommitError?) -> Void
}

/// Everything behind the commit lock.
struct CommitState {
  /// Conditions of the monitor: waiters of even and odd passes, waiters for room, the commit thread.
  static let conditions = 4
  static let room = 2
  static let thread = 3

  var active: PreparedSegment
  /// First sequence of the active segment.
  var activeFirst: UInt64
  /// Where the next byte of the active segment goes.
  var offset: UInt64
  var next: PreparedSegment?
  /// Somebody makes the next segment, or extends it or the active one. Nobody rotates meanwhile: who extends a file knows it as the one or the
  /// other, and sealing the active one closes it.
  var isPreparing = false

  var nextSequence: UInt64
  var written: UInt64
  var durable: UInt64
  /// The caller's marks of the last submission, and of the last ones written and durable.
  var submittedMark: UInt64 = 0
  var writtenMark: UInt64 = 0
  var durableMark: UInt64 = 0
  /// Everything up to here has to be durable before it counts as acknowledged.
  var forced: UInt64

  var filling: CommitGroup
  /// Groups of segments that ended since the last pass.
  var ended: [CommitGroup] = []
  var inFlight: [CommitGroup] = []
  var spare: [CommitGroup] = []
  /// Somebody leads a pass.
  var isCommitting = false
  /// The number of the last pass that has ended.
  var endedPass: UInt64 { isCommitting ? pass - 1 : pass }
  /// The leader has taken its groups: what is submitted now belongs to the next pass.
  var isTaken = false
  var passMustSync = false
  /// The pass under way has bytes to write: until they are written nothing later may be.
  var passHasBytes = false
  /// The part of the active segment that unsynced operations are stored into directly.
  var window: CommitWindow?
  /// The file system has no windows.
  var hasNoWindows = false
  var pass: UInt64 = 0
  /// Blocked waiters of even and odd passes.
  var blocked = (0, 0)
  var pendingBytes = 0
  /// Monotonic time at which operations acknowledged without a sync have to be synced.
  var batchDeadline: UInt64?
  /// The commit thread sleeps until `batchDeadline`.
  var isArmed = false
  /// Preparing a segment in advance failed; only somebody who needs it tries again.
  var prefetchFailed = false
  /// Callbacks for what is submitted; they want passes.
  var callbacks: [CommitCallback] = []
  /// Callbacks for what may come one day; they only look on.
  var observers: [UInt64: CommitCallback] = [:]
  var nextObserver: UInt64 = 0
  /// The ends of what is written and what is durable.
  var writtenEnd: SegmentPosition
  var durableEnd: SegmentPosition
  /// The next pass syncs whatever the sequences say, for records that take none.
  var mustSync = false
  var roomCallbacks: [(bytes: Int, run: @Sendable (CommitError?) -> Void)] = []

  var failure: CommitError?
  /// Nothing more is taken; what was taken is still written.
  var isClosing = false
  var isClosed = false
  var stopsThread = false
  var hasThread = false
  /// The thread was told to look and has not yet.
  var isThreadTold = false
  var counters = CommitCounters()

  init(active: PreparedSegment, offset: UInt64, firstSequence: UInt64, nextSequence: UInt64) {
    self.active = active
    self.offset = offset
    self.nextSequence = nextSequence
    activeFirst = firstSequence
    let last = nextSequence - 1
    (written, durable, forced) = (last, last, last)
    writtenEnd = SegmentPosition(segment: active.number, offset: offset)
    durableEnd = writtenEnd
    filling = CommitGroup(segment: active, start: offset, lastSequence: last, lastMark: 0)
  }

  var submitted: UInt64 { nextSequence - 1 }

  func checkOpen() throws(CommitError) {
    if isClosing { throw .closed }
    if let failure { throw failure }
  }

  // MARK: Placing

  /// What has to happen before an operation can be taken.
  enum Need: Hashable {
    /// Too much is pending.
    case drain
    /// The active segment is full and the next one is not there, too short, or being extended.
    case segment
    /// The active segment has to be extended to this length.
    case allocation(UInt64)
  }

  func need(forBytes bytes: Int, _ options: GroupCommit.Options, sealBytes: Int) -> Need? {
    if offset >= options.segmentBytes {
      guard let next, !isPreparing, next.allocated >= next.dataStart + UInt64(bytes + sealBytes) else { return .segment }
    } else {
      let end = offset + options.groupAlignment + UInt64(bytes + sealBytes)
      if end > active.allocated { return .allocation(end) }
    }
    // An operation larger than the bound is taken when nothing else is pending.
    return pendingBytes > 0 && pendingBytes + bytes > options.maxPendingBytes ? .drain : nil
  }

  mutating func place(
    _ bytes: Int, _ operations: Int, _ durability: Durability, mark: UInt64?, _ options: GroupCommit.Options, _ source: any SegmentSource,
    _ encode: (UnsafeMutableRawBufferPointer, Placement) -> Int
  ) -> CommitTicket {
    if offset >= options.segmentBytes { rotate(source, alignment: options.groupAlignment) }
    if filling.count == 0, options.groupAlignment > 1 { align(to: options.groupAlignment) }
    let first = nextSequence
    let last = first + UInt64(operations) - 1
    let placement = Placement(segment: active.number, salt: active.salt, offset: offset, sequence: first, durableSequence: durable)
    let used = encode(filling.reserve(bytes), placement)
    // The encoder found, in its place of the order, that there is nothing to write: nothing is taken.
    if used < 0 { return CommitTicket(first: first, last: first - 1, mustBeDurable: false) }
    precondition(used <= bytes, "an encoder wrote beyond its reservation")
    filling.commit(used)
    filling.lastSequence = last
    if let mark { submittedMark = mark }
    filling.lastMark = submittedMark
    offset += UInt64(used)
    pendingBytes += used
    nextSequence = last + 1
    let mustBeDurable = mustBeDurable(last, durability)
    // A deadline stands until a pass takes what it is for: nobody need wait for the operation that forces the sync.
    if mustBeDurable { forced = last } else { setDeadline(durability) }
    counters.operations += UInt64(operations)
    return CommitTicket(first: first, last: last, mustBeDurable: mustBeDurable)
  }

  func mustBeDurable(_ last: UInt64, _ durability: Durability) -> Bool {
    switch durability {
    case .everyWrite: true
    case .batched(let count, _): last - min(last, max(forced, durable)) >= UInt64(max(1, count))
    case .none: false
    }
  }

  mutating func setDeadline(_ durability: Durability) {
    guard case .batched(_, let interval) = durability else { return }
    let deadline = MonotonicClock.now() &+ UInt64(max(0, interval.nanoseconds))
    if deadline < batchDeadline ?? .max {
      batchDeadline = deadline
      isArmed = false
    }
  }

  /// Ends the active segment and makes the prepared one active.
  private mutating func rotate(_ source: any SegmentSource, alignment: UInt64) {
    guard let next else { preconditionFailure("rotation without a prepared segment") }
    if filling.count == 0, alignment > 1 { align(to: alignment) }
    let placement = Placement(segment: active.number, salt: active.salt, offset: offset, sequence: nextSequence, durableSequence: durable)
    let used = source.seal(filling.reserve(source.sealBytes), at: placement)
    filling.commit(used)
    pendingBytes += used
    let sealed = SealedSegment(number: active.number, firstSequence: activeFirst, lastSequence: submitted, length: offset + UInt64(used))
    filling.seals = sealed
    ended.append(filling)
    active = next
    self.next = nil
    window = nil
    offset = active.dataStart
    activeFirst = nextSequence
    filling = freshGroup()
    filling.begins = (activeFirst, sealed)
    // A rotation is a structural event: what precedes it is durable whatever the mode.
    forced = max(forced, submitted)
    counters.rotations += 1
  }

  private mutating func align(to alignment: UInt64) {
    let gap = Int((alignment - offset % alignment) % alignment)
    guard gap > 0 else { return }
    let room = filling.reserve(gap)
    room.initializeMemory(as: UInt8.self, repeating: 0)
    filling.commit(gap)
    offset += UInt64(gap)
    pendingBytes += gap
  }

  private mutating func freshGroup() -> CommitGroup {
    guard let group = spare.popLast() else {
      return CommitGroup(segment: active, start: offset, lastSequence: submitted, lastMark: submittedMark)
    }
    group.reset(segment: active, start: offset, lastSequence: submitted, lastMark: submittedMark)
    return group
  }

  // MARK: Passes

  /// What a leader writes: the groups in order, the last apart because it is mostly the only one.
  struct Pass {
    var earlier: [CommitGroup]
    var last: CommitGroup
    var mustSync: Bool
    /// The window to open behind the pass's bytes, if any, and from where on its blocks are fresh.
    var window: Range<UInt64>?
    var freshFrom: UInt64 = 0
  }

  /// The right to run the next pass, with the pass where it has been taken already.
  struct Leadership {
    var taken: Pass?
  }

  /// Makes the caller the leader of the next pass and, unless that is to wait for company, takes it.
  mutating func claimPass(_ options: GroupCommit.Options) -> Leadership {
    isCommitting = true
    isTaken = false
    pass += 1
    let waits = options.commitDelay > .zero && blocked.0 + blocked.1 >= options.commitSiblings
    return Leadership(taken: waits ? nil : takePass(options))
  }

  /// Takes everything submitted into the claimed pass.
  mutating func takePass(_ options: GroupCommit.Options) -> Pass {
    isTaken = true
    // Groups that end a segment are synced in any case.
    passMustSync = forced > max(durable, ended.last?.lastSequence ?? 0) || mustSync
    mustSync = false
    if passMustSync { batchDeadline = nil }
    passHasBytes = filling.count > 0 || !ended.isEmpty
    var taken = Pass(earlier: ended, last: filling, mustSync: passMustSync)
    if passHasBytes, !passMustSync, let range = windowToOpen(options) {
      taken.window = range
      taken.freshFrom = max(active.overwritable, range.lowerBound)
    }
    if !ended.isEmpty {
      inFlight.append(contentsOf: ended)
      ended = []
    }
    inFlight.append(filling)
    filling = freshGroup()
    counters.passes += 1
    return taken
  }

  struct PassOutcome {
    /// The condition of this pass's waiters.
    var finished: Int
    /// The condition one of whose waiters is to lead next.
    var successor: Int?
    var wakesThread = false
    var callbacks: [@Sendable (CommitError?) -> Void]
    var failure: CommitError?
  }

  mutating func endPass(failure error: DiskError?, _ options: GroupCommit.Options) -> PassOutcome {
    let finished = Int(pass & 1)
    isCommitting = false
    if let error {
      // What was submitted stays readable in memory: nothing is ever taken out of `inFlight` again.
      failure = .durabilityLost(error)
      return PassOutcome(finished: finished, callbacks: takeAllCallbacks(), failure: failure)
    }
    for group in inFlight {
      // Published only now, after the sync of what had to be durable: so `written` is what is acknowledged.
      let end = SegmentPosition(segment: group.segment.number, offset: group.end)
      if group.count > 0 { (written, writtenMark, writtenEnd) = (group.lastSequence, group.lastMark, end) }
      if group.seals != nil || passMustSync { (durable, durableMark, durableEnd) = (group.lastSequence, group.lastMark, end) }
      pendingBytes -= group.count
      counters.bytes += UInt64(group.count)
      if group.capacity <= CommitGroup.retainedBytes, spare.count < 3 { spare.append(group) }
    }
    inFlight.removeAll(keepingCapacity: true)
    passHasBytes = false
    let next = Int((pass + 1) & 1)
    let due = takeCallbacks()
    return PassOutcome(
      finished: finished, successor: (next == 0 ? blocked.0 : blocked.1) > 0 ? next : nil, wakesThread: wantsThread(options),
      callbacks: due, failure: nil)
  }

  private mutating func takeCallbacks() -> [@Sendable (CommitError?) -> Void] {
    var due: [CommitCallback] = []
    if !callbacks.isEmpty {
      due = callbacks.filter { isReached($0.sequence, durably: $0.durably) }
      if due.count == callbacks.count {
        callbacks.removeAll(keepingCapacity: true)
      } else if !due.isEmpty {
        callbacks = callbacks.filter { !isReached($0.sequence, durably: $0.durably) }
      }
    }
    if !observers.isEmpty {
      let reached = observers.filter { isReached($0.value.sequence, durably: $0.value.durably) }
      for (id, observer) in reached {
        observers[id] = nil
        due.append(observer)
      }
    }
    return due.map(\.run)
  }

  /// Everything anybody waits to be told, for telling them that it will not come.
  mutating func takeAllCallbacks() -> [@Sendable (CommitError?) -> Void] {
    defer { (callbacks, observers, roomCallbacks) = ([], [:], []) }
    return (callbacks + observers.values).map(\.run) + roomCallbacks.map(\.run)
  }

  /// Whether `sequence` is acknowledged, or durable where that is asked for.
  func isReached(_ sequence: UInt64, durably: Bool) -> Bool { (durably ? durable : written) >= sequence }

  /// A sequence whose acknowledgement brings that of `mark`: that of the group the mark went into, the last one's where it is not known.
  func sequence(of mark: UInt64, durably: Bool) -> UInt64 {
    if mark <= (durably ? durableMark : writtenMark) { return durably ? durable : written }
    return inFlight.first { $0.lastMark >= mark }?.lastSequence ?? submitted
  }

  /// Whether the commit thread has something to do.
  func wantsThread(_ options: GroupCommit.Options) -> Bool {
    guard options.usesThread, !isThreadTold, failure == nil, !isClosed else { return false }
    if !callbacks.isEmpty || !roomCallbacks.isEmpty || pendingBytes >= options.writeBehindBytes { return true }
    if wantsSegment(options) { return true }
    return batchDeadline != nil && !isArmed
  }

  /// Whether it is time to prepare the next segment in advance.
  func wantsSegment(_ options: GroupCommit.Options) -> Bool {
    next == nil && !isPreparing && !prefetchFailed && offset >= options.segmentBytes / 2
  }

  /// The condition a waiter for `sequence` sleeps on.
  func condition(for sequence: UInt64) -> Int {
    let isOfThisPass = isCommitting && (!isTaken || sequence <= (inFlight.last?.lastSequence ?? 0))
    return Int((isOfThisPass ? pass : pass + 1) & 1)
  }
}

/// A place in a log.
package struct SegmentPosition: Sendable, Hashable {
  /// Number of the segment.
  package var segment: UInt64
  /// Byte offset in its file.
  package var offset: UInt64
}

/// Counts since the log was opened.
package struct CommitCounters: Sendable, Hashable {
  /// Sequences given out.
  package var operations: UInt64 = 0
  /// Bytes written, frames and padding included.
  package var bytes: UInt64 = 0
  /// Passes taken.
  package var passes: UInt64 = 0
  /// Syncs of segment data.
  package var syncs: UInt64 = 0
  /// Time spent in those syncs.
  package var syncNanoseconds: UInt64 = 0
  /// The longest of them.
  package var longestSyncNanoseconds: UInt64 = 0
  /// Segments ended because they were full.
  package var rotations: UInt64 = 0

  package init() {}

  mutating func record(sync nanoseconds: UInt64) {
    syncs += 1
    syncNanoseconds += nanoseconds
    longestSyncNanoseconds = max(longestSyncNanoseconds, nanoseconds)
  }
}
