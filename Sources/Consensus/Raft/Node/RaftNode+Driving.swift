import StrataNodes

// What every driver of a core does, on the effects of a node.
extension RaftNode {
  /// Carries out everything the core wants done.
  mutating func drain(_ out: inout Effects<RaftNode>) {
    while core.hasReady {
      let ready = core.ready()
      if let append = ready.append { store(append, &out) }
      for message in ready.messages { out.send(to: message.to, message) }
      if let apply = ready.apply {
        for entry in apply.entries { if let event = machine.apply(entry) { conclude(event, &out) } }
        try? core.step(apply.response)
        compactIfDue(&out)
      }
      for state in ready.readStates { questions.answer(state.context, state.index) }
    }
    answerQuestions(&out)
    if let fault = core.brokenInvariant ?? machine.machine.failure { out.halt(fault) }
    out.sometimes("raft: a node repaired itself", core.statistics.repairs > 0)
    out.sometimes("raft: a snapshot was taken over", core.statistics.snapshotsReceived > 0)
    out.sometimes("raft: entries were cut off", core.statistics.entriesTruncated > 0)
    out.sometimes("raft: a read under a lease", core.statistics.leaseReads > 0)
    out.sometimes("raft: a group rested", core.statistics.rests > 0)
  }

  private mutating func store(_ append: StorageAppend, _ out: inout Effects<RaftNode>) {
    if let snapshot = append.snapshot, !machine.restore(snapshot.data) {
      return out.halt("the snapshot at \(snapshot.place) cannot be read")
    }
    var records: [Record] = []
    if let snapshot = append.snapshot { records.append(.snapshot(base: snapshot.place, snapshot)) }
    if !append.entries.isEmpty { records.append(.entries(append.entries)) }
    if let state = append.hardState { records.append(.hardState(state)) }
    guard append.mustSync || (needsCheckpoint && !records.isEmpty) else {
      // A commit mark may be lost; it is written with whatever comes next. An answer to what brings no more than that promises what was decided
      // before, which may still be on its way to the disk.
      if let last = writes.indices.last { writes[last].responses += append.responses } else { deliver(append.responses, &out) }
      guard !records.isEmpty else { return }
      lastTicket += 1
      return out.persist(records, Ticket(lastTicket), .buffered)
    }
    lastTicket += 1
    writes.append(Write(ticket: lastTicket, responses: append.responses))
    if needsCheckpoint {
      needsCheckpoint = false
      out.checkpoint(everything, Ticket(lastTicket))
    } else {
      out.persist(records, Ticket(lastTicket), .sync)
    }
  }

  /// All that has to be kept, in the form of records.
  private var everything: [Record] {
    let status = core.status
    var records: [Record] = []
    if let snapshot = core.snapshot { records.append(.snapshot(base: status.compacted, snapshot)) }
    let first = status.compacted.index + 1
    if status.last.index >= first { records.append(.entries((first...status.last.index).compactMap { core.entry(at: $0) })) }
    records.append(.hardState(core.announcedHardState))
    return records
  }

  mutating func finishWrites(upTo ticket: UInt64, _ out: inout Effects<RaftNode>) {
    while let first = writes.first, first.ticket <= ticket {
      writes.removeFirst()
      deliver(first.responses, &out)
    }
  }

  private mutating func deliver(_ responses: [StrataRaft.Message], _ out: inout Effects<RaftNode>) {
    for message in responses {
      if message.to == core.id { try? core.step(message) } else { out.send(to: message.to, message) }
    }
  }

  /// Replaces a long log by the state it has led to, and a tail for members that are a little behind.
  private mutating func compactIfDue(_ out: inout Effects<RaftNode>) {
    let applied = core.log.applied
    let base = core.log.base.index
    guard applied > base, applied == machine.applied else { return }
    let isLong = Int(clamping: applied - base) >= knobs.compactEntries + knobs.keptEntries
    guard isLong || core.log.bytes >= knobs.compactBytes, !needsCheckpoint, checkpointTicket == nil, core.survey == nil else { return }
    // What did not fit is not asked for again before much has changed.
    if let oversized, Int(clamping: applied - oversized.at) < knobs.compactEntries { return }
    guard let term = core.log.term(at: applied), let state = machine.snapshot() else { return }
    guard state.count <= knobs.maxSnapshotBytes else {
      oversized = (state.count, applied)
      return
    }
    oversized = nil
    // Where the log is long in bytes rather than in entries, half of it is tail enough.
    let kept = isLong ? UInt64(knobs.keptEntries) : min(UInt64(knobs.keptEntries), (applied - base) / 2)
    core.offerSnapshot(
      Snapshot(place: LogPlace(term: term, index: applied), confState: core.status.confState, data: state))
    do {
      try core.compact(to: applied - kept)
    } catch {
      return
    }
    lastTicket += 1
    checkpointTicket = lastTicket
    out.checkpoint(everything, Ticket(lastTicket))
  }
}
