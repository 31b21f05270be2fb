import StrataNodes

// What every driver of a core does, on the effects of a node.
extension RaftNode {
  /// Carries out everything the core wants done.
  mutating func drain(_ out: inout Effects<RaftNode>) {
    takeFinished(&out)
    while core.hasReady {
      let ready = core.ready()
      if let append = ready.append { take(append, &out) }
      for message in ready.messages { out.send(to: message.to, message) }
      if let apply = ready.apply { backlog.append(apply) }
      applyBacklog(&out)
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

  mutating func store(_ append: StorageAppend, _ out: inout Effects<RaftNode>) {
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
  var everything: [Record] {
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
}
