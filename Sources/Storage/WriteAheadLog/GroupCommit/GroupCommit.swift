import StrataDisk
import StrataJobs
import Synchronization

/// Orders operations into one file at a time and makes them durable in groups: the only place of the package that decides when a log
/// is synced.
///
/// A *submission* takes its sequences, its place in the active segment and its bytes in a memory buffer under one short lock. A *pass* writes
/// everything submitted so far with one call per segment and, where any of it must be durable, one sync; while it runs, the next group
/// fills. Whoever waits first runs the pass (a lone writer pays no thread switch); callbacks, time-outs and large backlogs are served by the
/// commit thread, started on demand. Passes never overlap, so what is durable is always a prefix of the submitted order.
///
/// A failed write or sync is final: every later wait and submission throws `.durabilityLost`, what was submitted stays readable.
/// Safe to call from any thread. `submit` and `wait` may block and must not be called on Swift's cooperative pool or an event loop, except
/// `submit` with `mayBlock: false`.
package final class GroupCommit: Sendable {
  /// Bounds and habits of a group commit.
  package struct Options: Sendable {
    /// A segment that has reached this length takes no further operation.
    package var segmentBytes: UInt64
    /// What submissions ask for that say nothing else.
    package var durability: Durability
    /// Submitted bytes not yet written, above which blocking submissions wait and `hasRoom` is false.
    package var maxPendingBytes = 64 << 20
    /// Submitted bytes above which the commit thread writes without being asked.
    package var writeBehindBytes = 1 << 20
    /// How far zeros are written ahead in a fresh file, so that most syncs change no metadata; 0 turns it off.
    package var zeroAheadBytes = 512 << 10
    /// How much of a segment is open at a time for storing unsynced operations without a system call; 0 turns it off.
    package var windowBytes = 256 << 10
    /// A write or window of at least this many bytes that nobody asked to sync is sent to the device at once, so that the sync at the segment's
    /// end finds little left to do.
    package var writebackBytes = 256 << 10
    /// How long a pass waits for company where at least `commitSiblings` others wait already.
    package var commitDelay: Duration = .zero
    /// See `commitDelay`.
    package var commitSiblings = 5
    /// Each pass starts at a multiple of this, for devices that do not write a sector whole; 1 for none. The gap is zero.
    package var groupAlignment: UInt64 = 1
    /// Whether a thread may be started. Without one, callbacks and intervals are served by ``GroupCommit/commitPending()``.
    package var usesThread = true

    package init(segmentBytes: UInt64, durability: Durability) {
      self.segmentBytes = segmentBytes
      self.durability = durability
    }

    /// With a window that is a small part of a segment.
    func fitted() -> Options {
      var options = self
      options.windowBytes = min(windowBytes, Int(clamping: segmentBytes / 4))
      return options
    }
  }

  let options: Options
  let source: any SegmentSource
  let sealBytes: Int
  let monitor: Monitor<CommitState>
  let thread = Monitor<Worker?>(nil)

  /// What every waiter for a sequence reads first, without the lock.
  private let written: Atomic<UInt64>
  private let durable: Atomic<UInt64>
  private let submitted: Atomic<UInt64>
  private let writtenMark = Atomic<UInt64>(0)
  private let position: Atomic<UInt64>

  /// - Parameters:
  ///   - active: the segment that takes the next bytes; already begun.
  ///   - offset: where they go.
  ///   - nextSequence: the sequence of the next operation; everything before is taken to be durable.
  package init(options: Options, source: any SegmentSource, active: PreparedSegment, offset: UInt64, firstSequence: UInt64, nextSequence: UInt64) {
    self.options = options.fitted()
    self.source = source
    sealBytes = source.sealBytes
    let last = nextSequence - 1
    monitor = Monitor(
      CommitState(active: active, offset: offset, firstSequence: firstSequence, nextSequence: nextSequence), conditions: CommitState.conditions)
    written = Atomic(last)
    durable = Atomic(last)
    submitted = Atomic(last)
    position = Atomic(Self.pack(active.number, offset))
  }

  /// The last sequence given out.
  package var submittedSequence: UInt64 { submitted.load(ordering: .acquiring) }
  /// Everything up to here is acknowledged: in the kernel's hands and, where its durability asks for that, on the device.
  package var acknowledgedSequence: UInt64 { written.load(ordering: .acquiring) }
  /// Everything up to here survives power loss.
  package var durableSequence: UInt64 { durable.load(ordering: .acquiring) }

  /// Everything up to this mark of the caller's is acknowledged; see `submit`.
  package var acknowledgedMark: UInt64 { writtenMark.load(ordering: .acquiring) }

  /// Says which mark everything so far has. Before the first submission with one.
  package func begin(mark: UInt64) {
    monitor.withLock { state in
      (state.submittedMark, state.writtenMark, state.durableMark) = (mark, mark, mark)
      state.filling.lastMark = mark
      writtenMark.store(mark, ordering: .releasing)
    }
  }

  /// Whether a submission of modest size would be taken without blocking.
  package var hasRoom: Bool {
    monitor.withLock { $0.failure == nil && $0.need(forBytes: 1 << 12, options, sealBytes: sealBytes) == nil }
  }

  /// Whether the bytes before `end` of segment `number` have been written to its file. Packs the segment into 24 bits; segments further
  /// than 2^23 behind are for callers that know better.
  package func isWritten(segment number: UInt64, through end: UInt64) -> Bool {
    Self.pack(number, end + 7) <= position.load(ordering: .acquiring)
  }

  private static func pack(_ segment: UInt64, _ offset: UInt64) -> UInt64 { (segment & 0xFF_FFFF) << 40 | (offset >> 3) }

  // MARK: Submitting

  /// Takes `operations` sequences and at most `bytes` bytes of the active segment.
  ///
  /// `encode` runs under the commit lock, so effects it makes are in sequence order; it must be short and must not call back. It gets
  /// `bytes` of uninitialised room and returns how many of them it filled, or a negative number to take nothing
  /// after all: the ticket is then empty.
  /// - Parameters:
  ///   - mark: a number of the caller's that grows from submission to submission, for those with an order of their own; acknowledged with it.
  ///   - mayBlock: when `false`, throws `.wouldBlock` instead of waiting for room or doing I/O.
  ///   - mayExceed: whether a submission that may not block is taken over the bound on pending bytes, for callers that look at ``hasRoom``.
  /// - Throws: `.storage` when a full disk or another error kept room from being made (nothing was taken), `.durabilityLost`, `.closed`.
  package func submit(
    atMost bytes: Int, operations: Int, durability: Durability? = nil, mark: UInt64? = nil, mayBlock: Bool = true, mayExceed: Bool = true,
    _ encode: (UnsafeMutableRawBufferPointer, Placement) -> Int
  ) throws(CommitError) -> CommitTicket {
    while true {
      var need: CommitState.Need?
      var wake = false
      let ticket: CommitTicket?
      do throws(CommitError) {
        ticket = try monitor.withLock { (state) throws(CommitError) -> CommitTicket? in
          try state.checkOpen()
          need = state.need(forBytes: bytes, options, sealBytes: sealBytes)
          // Who may not block was told by `hasRoom`, and passes the bound by no more than one operation.
          if let need, need != .drain || mayBlock || !mayExceed { return nil }
          let durability = durability ?? options.durability
          if let stored = try store(&state, bytes, operations, durability, mark, encode) {
            wake = state.wantsThread(options)
            return stored
          }
          let ticket = state.place(bytes, operations, durability, mark: mark, options, source, encode)
          submitted.store(ticket.last, ordering: .releasing)
          wake = state.wantsThread(options)
          return ticket
        }
      } catch {
        if case .durabilityLost(let cause) = error { tell(cause) }
        throw error
      }
      if let ticket {
        if wake { wakeThread() }
        return ticket
      }
      guard mayBlock else { throw .wouldBlock }
      if let need { try satisfy(need, bytes) }
    }
  }

  /// Takes an operation through the window where that can be, and publishes what it acknowledges.
  @inline(__always)
  private func store(
    _ state: inout CommitState, _ bytes: Int, _ operations: Int, _ durability: Durability, _ mark: UInt64?,
    _ encode: (UnsafeMutableRawBufferPointer, Placement) -> Int
  ) throws(CommitError) -> CommitTicket? {
    do throws(DiskError) {
      guard let ticket = try state.store(bytes, operations, durability, mark: mark, options, encode) else { return nil }
      position.store(Self.pack(state.active.number, state.offset), ordering: .releasing)
      written.store(state.written, ordering: .releasing)
      writtenMark.store(state.writtenMark, ordering: .releasing)
      submitted.store(ticket.last, ordering: .releasing)
      return ticket
    } catch {
      // The operation may be in the file or not: nothing after it can be acknowledged.
      state.failure = .durabilityLost(error)
      throw .durabilityLost(error)
    }
  }

  /// Tells everybody who waits that it will not come.
  private func tell(_ cause: DiskError) {
    let callbacks = monitor.withLock { $0.takeAllCallbacks() }
    for condition in 0..<CommitState.conditions { monitor.broadcast(condition) }
    for callback in callbacks { callback(.durabilityLost(cause)) }
  }

  /// Makes room for `bytes`: prepares the next segment, extends the active one, or writes the backlog.
  func satisfy(_ need: CommitState.Need, _ bytes: Int) throws(CommitError) {
    switch need {
    case .drain: try drain()
    case .segment: try prepareNext(atLeast: UInt64(bytes + sealBytes))
    case .allocation(let end): try extendActive(to: end)
    }
  }

  private func drain() throws(CommitError) {
    let leadership = try monitor.wait(choosing: { (state) throws(CommitError) -> Waiting<CommitState.Leadership?> in
      try state.checkOpen()
      if state.pendingBytes <= options.maxPendingBytes / 2 { return .done(nil) }
      if state.isCommitting { return .wait(on: CommitState.room) }
      return .done(state.claimPass(options))
    })
    if let leadership { run(leadership) }
  }

  /// Creates or extends the next segment unless it is long enough; somebody else who is at it, or extends the active one, is waited for.
  func prepareNext(atLeast bytes: UInt64) throws(CommitError) {
    let number = try monitor.wait(choosing: { (state) throws(CommitError) -> Waiting<UInt64?> in
      try state.checkOpen()
      if state.isPreparing { return .wait(on: CommitState.room) }
      if let next = state.next, next.allocated >= next.dataStart + bytes { return .done(nil) }
      state.isPreparing = true
      return .done(state.active.number + 1)
    })
    guard let number else { return }
    var failure: DiskError?
    do {
      let present = monitor.withLock { $0.next }
      if var present {
        // The segment exists and is too short for a large operation.
        let end = present.dataStart + bytes
        try present.file.allocate(present.allocated..<end)
        present.allocated = end
        monitor.withLock { $0.next = present }
      } else {
        let prepared = try source.prepare(number, atLeast: max(bytes, options.segmentBytes))
        monitor.withLock { state in
          state.next = prepared
          state.prefetchFailed = false
        }
      }
    } catch { failure = error }
    monitor.withLock { $0.isPreparing = false }
    monitor.broadcast(CommitState.room)
    if let failure { throw .storage(failure) }
  }

  private func extendActive(to end: UInt64) throws(CommitError) {
    let segment = try monitor.wait(choosing: { (state) throws(CommitError) -> Waiting<PreparedSegment?> in
      try state.checkOpen()
      if state.active.allocated >= end { return .done(nil) }
      if state.isPreparing { return .wait(on: CommitState.room) }
      state.isPreparing = true
      return .done(state.active)
    })
    guard let segment else { return }
    var failure: DiskError?
    do {
      try segment.file.allocate(segment.allocated..<end)
      monitor.withLock { if $0.active.number == segment.number { $0.active.allocated = max($0.active.allocated, end) } }
    } catch { failure = error }
    monitor.withLock { $0.isPreparing = false }
    monitor.broadcast(CommitState.room)
    if let failure { throw .storage(failure) }
  }

  // MARK: Passes

  /// Writes what is submitted and, where demanded, syncs it. The caller has made itself the leader with `claimPass`.
  func run(_ leadership: CommitState.Leadership) {
    let pass = leadership.taken ?? gather()
    var failure: DiskError?
    var window: CommitWindow?
    do throws(DiskError) {
      for group in pass.earlier { try write(group, mustSync: false) }
      try write(pass.last, mustSync: pass.mustSync)
      if let range = pass.window { window = try open(range, freshFrom: pass.freshFrom, of: pass.last) }
    } catch { failure = error }
    let outcome = monitor.withLock { state -> CommitState.PassOutcome in
      if failure == nil {
        if state.passHasBytes { position.store(Self.pack(pass.last.segment.number, pass.last.end), ordering: .releasing) }
        if let range = pass.window { state.install(&window, range, of: pass.last.segment) }
      }
      let outcome = state.endPass(failure: failure, options)
      durable.store(state.durable, ordering: .releasing)
      written.store(state.written, ordering: .releasing)
      writtenMark.store(state.writtenMark, ordering: .releasing)
      return outcome
    }
    if outcome.failure != nil {
      for condition in 0..<CommitState.conditions { monitor.broadcast(condition) }
    } else {
      monitor.broadcast(outcome.finished)
      monitor.broadcast(CommitState.room)
      if let successor = outcome.successor { monitor.signal(successor) }
      if outcome.wakesThread { wakeThread() }
    }
    for callback in outcome.callbacks { callback(outcome.failure) }
    // The window before, which took its last store while this pass was claimed.
    if let window, options.windowBytes >= options.writebackBytes { pass.last.segment.file.startWriteback(window.start..<window.end) }
  }

  /// Waits for the company `commitDelay` is meant for, then takes the pass.
  private func gather() -> CommitState.Pass {
    _ = monitor.wait(on: CommitState.room, timeout: options.commitDelay) { (state) -> Void? in state.isClosing ? () : nil }
    return monitor.withLock { $0.takePass(options) }
  }

  private func write(_ group: CommitGroup, mustSync: Bool) throws(DiskError) {
    if let begins = group.begins {
      try source.begin(group.segment, firstSequence: begins.firstSequence, predecessor: begins.predecessor)
    }
    let bytes = group.bytes
    if !bytes.isEmpty { try group.segment.file.write(bytes.bytes, at: group.start) }
    guard mustSync || group.seals != nil else {
      if group.count >= options.writebackBytes { group.segment.file.startWriteback(group.start..<group.end) }
      return
    }
    if group.seals == nil { try zeroAhead(of: group) }
    let began = MonotonicClock.now()
    try group.segment.file.sync(.data)
    let took = MonotonicClock.now() &- began
    monitor.withLock { $0.counters.record(sync: took) }
    if let sealed = group.seals { try source.sealed(sealed, file: group.segment.file) }
  }

  /// Writes zeros beyond the group where the file's blocks are fresh: the sync that follows pays for their metadata once, and the passes that
  /// overwrite them need none.
  private func zeroAhead(of group: CommitGroup) throws(DiskError) {
    guard options.zeroAheadBytes > 0 else { return }
    let fresh = monitor.withLock { state -> Range<UInt64>? in
      guard state.active.number == group.segment.number, state.active.overwritable < group.end else { return nil }
      let end = min(group.end + UInt64(options.zeroAheadBytes), max(state.active.allocated, group.end))
      state.active.overwritable = end
      return group.end..<end
    }
    guard let fresh, !fresh.isEmpty else { return }
    try group.segment.file.write([UInt8](repeating: 0, count: fresh.count), at: fresh.lowerBound)
  }
}
