import StrataDisk
import StrataJobs

/// The commit thread: passes nobody blocks for, intervals, room for callers that must not block, segments prepared in advance.
extension GroupCommit {
  private enum Task {
    case stop, prefetch
    case lead(CommitState.Leadership)
    case room(bytes: Int, run: @Sendable (CommitError?) -> Void)
    /// Nothing to do before this moment.
    case sleep(until: UInt64)
  }

  /// Starts the thread if there is none and tells it to look. The thread holds the object until ``stopThread()``.
  func wakeThread() {
    guard options.usesThread else { return }
    thread.withLock { worker in
      let mustStart = monitor.withLock { state in
        state.isThreadTold = true
        guard !state.hasThread, !state.stopsThread else { return false }
        state.hasThread = true
        return true
      }
      if mustStart { worker = Worker(name: "commit") { self.runThread() } }
    }
    monitor.signal(CommitState.thread)
  }

  /// Ends the thread after what it is doing. What nobody asked to be written may stay in memory.
  package func stopThread() {
    monitor.withLock { $0.stopsThread = true }
    monitor.broadcast(CommitState.thread)
    let worker = thread.withLock { worker in
      defer { worker = nil }
      return worker
    }
    worker?.join()
  }

  /// Does what the thread would do now, on the calling thread, until nothing is left: for tests and simulations without threads.
  package func commitPending() {
    while true {
      let task = monitor.withLock { nextTask(&$0) }
      switch task {
      case .stop, .sleep: return
      case .lead, .prefetch, .room: perform(task)
      }
    }
  }

  private func runThread() {
    while true {
      let task = monitor.wait(choosing: { state -> Waiting<Task> in
        let task = nextTask(&state)
        if case .sleep(let moment) = task { return .wait(on: CommitState.thread, until: moment) }
        return .done(task)
      })
      if case .stop = task { return }
      perform(task)
    }
  }

  private func nextTask(_ state: inout CommitState) -> Task {
    state.isThreadTold = false
    if state.stopsThread { return .stop }
    if state.failure != nil || state.isClosed { return .sleep(until: .max) }
    if !state.roomCallbacks.isEmpty {
      let request = state.roomCallbacks.removeFirst()
      return .room(bytes: request.bytes, run: request.run)
    }
    if state.wantsSegment(options) { return .prefetch }
    let due = batchDeadline(&state)
    // A pass under way wakes the thread at its end when there is more to do.
    if !state.isCommitting, !state.callbacks.isEmpty || state.pendingBytes >= options.writeBehindBytes || due == 0 {
      if due == 0 { state.forced = state.submitted }
      return .lead(state.claimPass(options))
    }
    return .sleep(until: due == 0 ? .max : due ?? .max)
  }

  /// When the batched operations have to be synced: 0 where that is at once, `nil` for none.
  private func batchDeadline(_ state: inout CommitState) -> UInt64? {
    guard let deadline = state.batchDeadline else {
      state.isArmed = false
      return nil
    }
    state.isArmed = deadline > MonotonicClock.now()
    return state.isArmed ? deadline : 0
  }

  private func perform(_ task: Task) {
    switch task {
    case .stop, .sleep: break
    case .lead(let leadership): run(leadership)
    case .prefetch:
      do { try prepareNext(atLeast: options.segmentBytes) } catch { monitor.withLock { $0.prefetchFailed = true } }
    case .room(let bytes, let run): run(makeRoom(forBytes: bytes))
    }
  }

  /// Makes room for a submission of `bytes`, which may find it taken again. Blocks.
  /// - Returns: what kept it from that, if anything.
  package func makeRoom(forBytes bytes: Int) -> CommitError? {
    do throws(CommitError) {
      while true {
        let need = try monitor.withLock { (state) throws(CommitError) -> CommitState.Need? in
          try state.checkOpen()
          return state.need(forBytes: bytes, options, sealBytes: sealBytes)
        }
        guard let need else { return nil }
        try satisfy(need, bytes)
      }
    } catch { return error }
  }
}
