import StrataNodes

// What the machine does at once or in its own time. While it is at work the member goes on hearing its peers, voting, storing and acknowledging
// entries; what is committed waits here.
extension RaftNode {
  /// Takes what the machine has come to the end of, and gives it what waits.
  mutating func takeFinished(_ out: inout Effects<RaftNode>) {
    guard machine.isAtWork else { return }
    while let finished = machine.finished() {
      switch finished {
      case .applied(let event):
        conclude(event, &out)
        // Nothing is left of what it belonged to where a snapshot has come meanwhile.
        if !backlog.isEmpty { backlogDone += 1 }
      case .saved(let state): finishSnapshot(state, &out)
      case .restored(let isDone): finishRestoring(isDone, &out)
      }
    }
    restoreHeld(&out)
    applyBacklog(&out)
  }

  // MARK: Entries

  /// Applies what is committed as far as the machine takes it.
  mutating func applyBacklog(_ out: inout Effects<RaftNode>) {
    while let apply = backlog.first {
      while backlogDone < apply.entries.count {
        guard machine.takesEntries, held.isEmpty, case .done(let event) = machine.apply(apply.entries[backlogDone]) else { return }
        backlogDone += 1
        if let event { conclude(event, &out) }
      }
      backlog.removeFirst()
      backlogDone = 0
      try? core.step(apply.response)
      compactIfDue(&out)
    }
  }

  // MARK: Snapshots from others

  /// Stores what the core hands out, or keeps it until the machine has taken over a snapshot: what the disk holds then is what the machine can read.
  mutating func take(_ append: StorageAppend, _ out: inout Effects<RaftNode>) {
    guard append.snapshot != nil || !held.isEmpty else { return store(append, &out) }
    held.append(append)
    if append.snapshot != nil {
      // The snapshot holds everything that was committed before.
      backlog = []
      backlogDone = 0
    }
    restoreHeld(&out)
  }

  /// Has the machine take over the snapshot that is held, once it is free.
  private mutating func restoreHeld(_ out: inout Effects<RaftNode>) {
    while let snapshot = held.first?.snapshot, !machine.isAtWork, !hasFailed {
      guard case .done(let isDone) = machine.beginRestoring(snapshot.data) else { return }
      finishRestoring(isDone, &out)
    }
  }

  private mutating func finishRestoring(_ isDone: Bool, _ out: inout Effects<RaftNode>) {
    guard let first = held.first else { return }
    guard isDone else {
      hasFailed = true
      return out.halt("the snapshot at \(first.snapshot?.place ?? LogPlace(term: 0, index: 0)) cannot be read")
    }
    repeat { store(held.removeFirst(), &out) } while held.first != nil && held.first?.snapshot == nil
  }

  // MARK: Snapshots of its own

  /// Replaces a long log by the state it has led to, and a tail for members that are a little behind.
  mutating func compactIfDue(_ out: inout Effects<RaftNode>) {
    guard whyNotCompact == nil else { return }
    let applied = core.log.applied
    let isLong = Int(clamping: applied - core.log.base.index) >= knobs.compactEntries + knobs.keptEntries
    guard isLong || core.log.bytes >= knobs.compactBytes else { return }
    // What did not fit is not asked for again before much has changed.
    if let oversized, Int(clamping: applied - oversized.at) < knobs.compactEntries { return }
    beginCompacting(isLong: isLong, &out)
  }

  /// The same because somebody asked for it. Says why not, if so.
  mutating func compactNow(_ out: inout Effects<RaftNode>) -> String? {
    if let reason = whyNotCompact { return reason }
    beginCompacting(isLong: false, &out)
    return nil
  }

  private var whyNotCompact: String? {
    guard core.log.applied > max(core.log.base.index, core.snapshot?.index ?? 0) else { return "nothing was applied since the last snapshot" }
    guard saving == nil, held.isEmpty, checkpointTicket == nil else { return "a snapshot is under way" }
    guard core.log.applied == machine.applied else { return "the machine is at work" }
    return needsCheckpoint || core.survey != nil ? "this member is getting back what it lost" : nil
  }

  private mutating func beginCompacting(isLong: Bool, _ out: inout Effects<RaftNode>) {
    let applied = core.log.applied
    guard let term = core.log.term(at: applied) else { return }
    // Where the log is long in bytes rather than in entries, half of it is tail enough.
    let kept = isLong ? UInt64(knobs.keptEntries) : min(UInt64(knobs.keptEntries), (applied - core.log.base.index) / 2)
    saving = SavePoint(place: LogPlace(term: term, index: applied), confState: core.status.confState, kept: kept)
    if case .done(let state) = machine.beginSnapshot() { finishSnapshot(state, &out) }
  }

  private mutating func finishSnapshot(_ state: [UInt8]?, _ out: inout Effects<RaftNode>) {
    guard let point = saving else { return }
    saving = nil
    // Where another member's snapshot has come meanwhile, it is the newer one.
    guard let state, held.isEmpty, point.place.index > core.log.base.index else { return }
    guard state.count <= knobs.maxSnapshotBytes else {
      oversized = (state.count, point.place.index)
      return
    }
    oversized = nil
    core.offerSnapshot(Snapshot(place: point.place, confState: point.confState, data: state))
    do { try core.compact(to: point.place.index - point.kept) } catch { return }
    lastTicket += 1
    checkpointTicket = lastTicket
    out.checkpoint(everything, Ticket(lastTicket))
  }
}
