import StrataDisk
import StrataJobs

extension GroupCommit {
  /// Blocks until the submission is acknowledged under its durability; runs the pass itself where nobody else does.
  package func wait(for ticket: CommitTicket) throws(CommitError) {
    try wait(for: ticket.last, durably: ticket.mustBeDurable)
  }

  /// Blocks until everything up to `sequence` is acknowledged or, with `durably`, on the device. A sequence not given out yet is waited for
  /// without end.
  package func wait(for sequence: UInt64, durably: Bool) throws(CommitError) {
    while (durably ? durableSequence : acknowledgedSequence) < sequence {
      var sleepsOn: Int?
      let leadership = try monitor.wait(choosing: { (state) throws(CommitError) -> Waiting<CommitState.Leadership?> in
        if let condition = sleepsOn { state.unblock(condition) }
        sleepsOn = nil
        if state.isReached(sequence, durably: durably) { return .done(nil) }
        if let failure = state.failure { throw failure }
        if state.isClosed { throw .closed }
        if durably { state.forced = max(state.forced, min(sequence, state.submitted)) }
        if !state.isCommitting { return .done(state.claimPass(options)) }
        let condition = state.condition(for: sequence)
        state.block(condition)
        sleepsOn = condition
        return .wait(on: condition)
      })
      if let leadership { run(leadership) }
    }
  }

  /// Blocks until everything up to a mark is acknowledged or, with `durably`, on the device; a mark not given yet counts as the last one given.
  package func wait(forMark mark: UInt64, durably: Bool) throws(CommitError) {
    if !durably, acknowledgedMark >= mark { return }
    try wait(for: monitor.withLock { $0.sequence(of: mark, durably: durably) }, durably: durably)
  }

  /// As ``whenReached(_:durably:_:)`` for a mark; one not given yet counts as the last one given.
  package func whenReached(mark: UInt64, durably: Bool, _ body: @escaping @Sendable (CommitError?) -> Void) {
    if !durably, acknowledgedMark >= mark { return body(nil) }
    whenReached(monitor.withLock { $0.sequence(of: mark, durably: durably) }, durably: durably, body)
  }

  /// Makes everything submitted so far durable.
  package func sync() throws(CommitError) {
    try monitor.withLock { (state) throws(CommitError) in try state.checkOpen() }
    try wait(for: submittedSequence, durably: true)
  }

  /// Throws where nothing more is taken.
  package func checkOpen() throws(CommitError) {
    try monitor.withLock { (state) throws(CommitError) in try state.checkOpen() }
  }

  /// Suspends until the submission is acknowledged under its durability; blocks no thread.
  package func wait(for ticket: CommitTicket) async throws(CommitError) {
    try await wait(for: ticket.last, durably: ticket.mustBeDurable)
  }

  /// Suspends until everything up to `sequence` is acknowledged or, with `durably`, on the device.
  package func wait(for sequence: UInt64, durably: Bool) async throws(CommitError) {
    if (durably ? durableSequence : acknowledgedSequence) >= sequence { return }
    let failure = await withCheckedContinuation { continuation in
      whenReached(sequence, durably: durably) { continuation.resume(returning: $0) }
    }
    if let failure { throw failure }
  }

  /// Calls `body` once everything up to `sequence` is acknowledged, or with the failure that keeps it from ever being.
  ///
  /// `body` runs at once on the calling thread where that is already decided, else on the thread that ran the pass; it must be short.
  package func whenReached(_ sequence: UInt64, durably: Bool, _ body: @escaping @Sendable (CommitError?) -> Void) {
    var wake = false
    let decided = monitor.withLock { state -> CommitError?? in
      if state.isReached(sequence, durably: durably) { return .some(nil) }
      if let failure = state.failure { return failure }
      if state.isClosed { return .closed }
      if durably { state.forced = max(state.forced, min(sequence, state.submitted)) }
      state.callbacks.append(CommitCallback(sequence: sequence, durably: durably, run: body))
      wake = !state.isCommitting
      return nil
    }
    if let decided { return body(decided) }
    if wake { wakeThread() }
  }

  /// Calls `body` once everything up to `sequence`, which may not be given out yet, is durable, or with the failure or the end of the log.
  /// Asks for no pass. `body` must be short.
  /// - Returns: what ``cancel(observer:)`` takes; `nil` where `body` has been called already.
  package func observe(durable sequence: UInt64, _ body: @escaping @Sendable (CommitError?) -> Void) -> UInt64? {
    let (decided, id) = monitor.withLock { state -> (CommitError??, UInt64?) in
      if state.durable >= sequence { return (.some(nil), nil) }
      if let failure = state.failure { return (failure, nil) }
      if state.isClosed { return (.closed, nil) }
      state.nextObserver += 1
      state.observers[state.nextObserver] = CommitCallback(sequence: sequence, durably: true, run: body)
      return (nil, state.nextObserver)
    }
    if let decided { body(decided) }
    return id
  }

  /// Ends an observation with `.closed`, unless it has been called.
  package func cancel(observer id: UInt64) {
    let observer = monitor.withLock { $0.observers.removeValue(forKey: id) }
    observer?.run(.closed)
  }

  /// Makes everything submitted so far durable, also what took no sequence.
  package func flush() throws(CommitError) {
    var target: UInt64?
    let leadership = try monitor.wait(choosing: { (state) throws(CommitError) -> Waiting<CommitState.Leadership?> in
      if let target, state.endedPass >= target, state.failure == nil { return .done(nil) }
      try state.checkOpen()
      if target == nil {
        // Any pass that takes its groups from here on will do, whoever leads it.
        state.mustSync = true
        target = state.isCommitting && !state.isTaken ? state.pass : state.pass + 1
      }
      if state.isCommitting { return .wait(on: CommitState.room) }
      return .done(state.claimPass(options))
    })
    guard let leadership else { return }
    run(leadership)
    if let failure { throw failure }
  }

  /// Where what is written, or durable, ends.
  package func end(durably: Bool) -> SegmentPosition { monitor.withLock { durably ? $0.durableEnd : $0.writtenEnd } }

  /// Makes room for a submission of `bytes` on the commit thread and then calls `body`, with the error that kept it from succeeding if any.
  /// The room is not reserved: a submission may find it taken again and asks once more.
  package func whenRoom(forBytes bytes: Int, _ body: @escaping @Sendable (CommitError?) -> Void) {
    let refused = monitor.withLock { state -> CommitError? in
      if let failure = state.failure { return failure }
      if state.isClosed { return .closed }
      state.roomCallbacks.append((bytes, body))
      return nil
    }
    if let refused { return body(refused) }
    wakeThread()
  }

  /// Copies the bytes of `range` of segment `number` where they are submitted but perhaps not yet written to the file.
  /// - Returns: `false` where they are not in memory; then they are in the file.
  package func readPending(segment number: UInt64, _ range: Range<UInt64>, into target: UnsafeMutableRawPointer) -> Bool {
    monitor.withLock { state in
      if state.filling.copy(range, ofSegment: number, into: target) { return true }
      for group in state.ended where group.copy(range, ofSegment: number, into: target) { return true }
      for group in state.inFlight where group.copy(range, ofSegment: number, into: target) { return true }
      return false
    }
  }

  /// The active segment's number, its first sequence and the end of what was submitted to it.
  package var activeSegment: (number: UInt64, firstSequence: UInt64, end: UInt64) {
    monitor.withLock { ($0.active.number, $0.activeFirst, $0.offset) }
  }

  /// Counts since the log was opened, and the bytes now pending.
  package var counters: (counts: CommitCounters, pendingBytes: Int) { monitor.withLock { ($0.counters, $0.pendingBytes) } }

  /// The sticky failure, if there is one.
  package var failure: CommitError? { monitor.withLock { $0.failure } }

  /// Runs `body` with submissions held up; for changes that must fall between two operations. Short, no I/O, no call back.
  package func betweenSubmissions<Result>(_ body: () -> Result) -> Result { monitor.withLock { _ in body() } }

  // MARK: Ending

  /// Makes everything submitted durable, then refuses all further use. A failed log closes too, and throws its failure.
  ///
  /// The active segment's file and the prepared one, if any, are the caller's to close.
  package func close() throws(CommitError) -> (active: PreparedSegment, end: UInt64, firstSequence: UInt64, prepared: PreparedSegment?) {
    var failure: CommitError?
    var orphans: [@Sendable (CommitError?) -> Void] = []
    try monitor.withLock { (state) throws(CommitError) in
      if state.isClosing { throw .closed }
      state.isClosing = true
    }
    // A pass may be under way, and others may wait for it: the log is closed when everything is durable and no pass runs.
    while true {
      let leadership = monitor.wait(choosing: { state -> Waiting<CommitState.Leadership?> in
        if state.isCommitting { return .wait(on: CommitState.room) }
        failure = state.failure
        if failure == nil, state.pendingBytes > 0 || state.durable < state.submitted || state.mustSync {
          state.forced = state.submitted
          state.mustSync = true
          return .done(state.claimPass(options))
        }
        state.isClosed = true
        state.window = nil
        orphans = state.takeAllCallbacks()
        return .done(nil)
      })
      guard let leadership else { break }
      run(leadership)
    }
    stopThread()
    for condition in 0..<CommitState.conditions { monitor.broadcast(condition) }
    for callback in orphans { callback(failure ?? .closed) }
    // Whoever prepares a segment is let finish.
    let last = monitor.wait(choosing: { state in
      state.isPreparing ? .wait(on: CommitState.room) : .done((state.active, state.offset, state.activeFirst, state.next))
    })
    if let failure { throw failure }
    return last
  }
}

extension CommitState {
  mutating func block(_ condition: Int) {
    if condition == 0 { blocked.0 += 1 } else { blocked.1 += 1 }
  }

  mutating func unblock(_ condition: Int) {
    if condition == 0 { blocked.0 -= 1 } else { blocked.1 -= 1 }
  }
}
