import StrataNodes

extension RaftCore {
  /// Whether ``ready()`` has something to say.
  public var hasReady: Bool {
    if fault != nil { return false }
    if !messages.isEmpty || !messagesAfterPersist.isEmpty || !readStates.isEmpty || reads.needsRound { return true }
    if log.hasUnstable || softState != announcedSoftState || announcable != announcedHardState { return true }
    return log.applying < log.applicable(durable: config.asyncStorage)
  }

  private var announcable: HardState {
    var state = hardState
    if config.flaw == .forgetsVotes { state.vote = 0 }
    return state
  }

  /// Takes out everything that has to be done, in one piece.
  ///
  /// With ``RaftConfig/asyncStorage`` it may be called again at any time, and each part's responses are delivered on their own. Without, the driver
  /// carries the whole out and then calls ``advance(_:)`` before it asks again; entries are then applied as soon as they are committed, durable
  /// or not, since they are made durable first.
  public mutating func ready() -> Ready {
    // All reads since the last time share one round.
    if reads.needsRound { broadcastHeartbeat() }
    if config.combinesCommits { tellCommits() }
    var result = Ready(messages: [], readStates: [])
    if softState != announcedSoftState {
      announcedSoftState = softState
      result.softState = softState
    }
    result.append = takeAppend()
    let committed = log.takeCommitted(durable: config.asyncStorage, maxBytes: config.maxApplyBytesPerReady)
    if let last = committed.last?.index {
      result.apply = StorageApply(entries: committed, response: Message(.applied, to: id, from: id, index: last))
    }
    swap(&result.messages, &messages)
    swap(&result.readStates, &readStates)
    return result
  }

  private mutating func takeAppend() -> StorageAppend? {
    let state = announcable
    let hardState = state == announcedHardState ? nil : state
    let mustSync =
      state.term != announcedHardState.term || state.vote != announcedHardState.vote || state.repairFloor != announcedHardState.repairFloor
    announcedHardState = state
    let snapshot = log.takeSnapshot()
    let entries = log.takeUnstable()
    guard hardState != nil || snapshot != nil || !entries.isEmpty || !messagesAfterPersist.isEmpty else { return nil }
    var append = StorageAppend(
      hardState: hardState, entries: entries, snapshot: snapshot, mustSync: mustSync || !entries.isEmpty || snapshot != nil, responses: [])
    swap(&append.responses, &messagesAfterPersist)
    if log.isWriting {
      // Whatever was handed out before is durable with this, writes being in order. The term says in whose reign: a later leader may replace the
      // entries by others of the same length, and only an answer given under the present term speaks of the present ones.
      append.responses.append(
        Message(.stored, to: id, from: id, term: term, logTerm: log.lastTerm, index: log.last, hint: log.snapshot?.index ?? 0))
    }
    return append
  }

  /// The last ready was carried out in full: tells the core what its responses would have. For drivers without ``RaftConfig/asyncStorage``.
  public mutating func advance(_ ready: Ready) {
    if let append = ready.append {
      for response in append.responses where response.to == id { try? step(response) }
    }
    if let apply = ready.apply { try? step(apply.response) }
  }

  mutating func stored(_ message: Message) {
    if message.hint > 0 { log.snapshotDurable(message.hint) }
    guard message.term == term else { return }
    log.stable(to: LogPlace(term: message.logTerm, index: message.index))
    if repairFloor > 0, survey == nil, log.stableTerm > repairFloor {
      // The log holds all that its leader had when it was elected without this node's vote, and so all this node ever promised.
      repairFloor = 0
      statistics.repairs += 1
    }
  }

  // MARK: Compaction

  /// The driver has a snapshot it can send to others. The newest one counts.
  public mutating func offerSnapshot(_ new: Snapshot) {
    if new.index >= (snapshot?.index ?? 0), new.index <= log.applied { snapshot = new }
  }

  /// Drops all entries up to `index`. Leave a tail for slow followers: whoever needs what is gone gets the snapshot.
  ///
  /// - Throws: ``RaftError/cannotCompact(to:applied:snapshot:)`` if it is not applied, or no snapshot reaches that far.
  public mutating func compact(to index: LogIndex) throws(RaftError) {
    let available = snapshot?.index ?? 0
    guard index <= log.applied, index <= available else { throw .cannotCompact(to: index, applied: log.applied, snapshot: available) }
    log.compact(to: index)
  }
}
