import StrataNodes

// The leader's side of the log.
extension RaftCore {
  /// Adds entries of this leader's term to its own log. They count when they are durable here.
  mutating func appendOwn(_ entries: consuming [Entry]) {
    var index = log.last
    for place in entries.indices {
      index += 1
      entries[place].term = term
      entries[place].index = index
      uncommittedBytes += entries[place].payload.count
    }
    log.append(entries)
    guard members.place(of: id) != nil else { return }
    if config.flaw == .countsOwnUndurable {
      acknowledgeOwn(log.last)
      _ = commitByCounting()
    } else {
      sendAfterPersist(Message(.appendResponse, to: id, index: log.last))
    }
  }

  private mutating func acknowledgeOwn(_ index: LogIndex) {
    if let place = members.place(of: id) { _ = members.progress[place].acknowledge(index) }
  }

  /// Commits what a majority holds, if it is of this term (Raft §5.4.2). Says whether that was more than before.
  mutating func commitByCounting() -> Bool {
    var reached = members.committed()
    if config.flaw == .minorityCommits {
      reached = members.conf.voters.compactMap { members[$0]?.match }.sorted(by: >).dropFirst((members.conf.voters.count - 1) / 2).first ?? reached
    } else if config.flaw == .ignoresOldVoters {
      reached = Quorum.reached(by: members.conf.voters) { self.members[$0]?.match ?? 0 }
    }
    guard reached > log.committed, reached <= log.last else { return false }
    guard log.term(at: reached) == term || config.flaw == .countsPriorTerms else { return false }
    noteCommitted(upTo: reached)
    log.commit(to: reached)
    releaseEarlyReads()
    return true
  }

  private mutating func noteCommitted(upTo index: LogIndex) {
    statistics.entriesCommitted += index - log.committed
    // Entries of earlier terms were never counted here, so the sum may be more than was added.
    uncommittedBytes = max(0, uncommittedBytes - log.payloadBytes(after: log.committed, upTo: index))
  }

  // MARK: Sending

  /// Sends every other member what it lacks, and the commit mark where it lacks nothing.
  mutating func broadcastAppend() {
    for place in members.ids.indices where members.ids[place] != id { sendAppend(at: place, evenIfEmpty: true) }
  }

  /// Sends one append, or a snapshot where the log does not reach back. Says whether anything was sent. Where it `isNews`, and there are no entries,
  /// no answer is asked for.
  @discardableResult
  mutating func sendAppend(at place: Int, evenIfEmpty: Bool, isNews: Bool = false) -> Bool {
    guard !members.progress[place].isPaused else { return false }
    // The window of a member is copied if the member's progress is held while it changes.
    let next = members.progress[place].next
    guard let previous = log.term(at: next - 1) else { return sendSnapshot(at: place) }
    if next > log.last, !evenIfEmpty { return false }
    let entries = log.slice(from: next, to: log.last, maxBytes: config.maxBytesPerMessage)
    if entries.isEmpty, !evenIfEmpty { return false }
    let count = entries.count
    let bytes = log.payloadBytes(after: next - 1, upTo: next - 1 + UInt64(count)) + count * Entry.overhead
    send(
      Message(
        .append, to: members.ids[place], logTerm: previous, index: next - 1, commit: log.committed,
        hint: isNews && entries.isEmpty ? 1 : 0, entries: entries))
    members.progress[place].toldCommit = log.committed
    statistics.entriesSent += UInt64(count)
    members.progress[place].sent(upTo: next - 1 + UInt64(count), count: count, bytes: bytes)
    return true
  }

  /// Tells the members of what was committed since they were last told, with the entries they lack.
  mutating func tellCommits() {
    guard role == .leader else { return }
    for place in members.ids.indices where members.ids[place] != id {
      guard members.progress[place].state == .replicate, members.progress[place].toldCommit < log.committed else { continue }
      sendAppend(at: place, evenIfEmpty: true, isNews: true)
    }
  }

  private mutating func sendSnapshot(at place: Int) -> Bool {
    // A member that is not there would never take it, and the work would be done again for every attempt.
    guard members.progress[place].isActive, let snapshot, snapshot.index >= log.base.index else { return false }
    members.progress[place].becomeSnapshot(snapshot.index)
    statistics.snapshotsSent += 1
    send(Message(.snapshot, to: members.ids[place], snapshot: snapshot))
    return true
  }

  /// Asks every other member whether it still follows, under a new round.
  mutating func broadcastHeartbeat() {
    let round = reads.beginRound(at: now)
    let rest = restingPlace
    if rest == nil { offeredRound = 0 } else if offeredRound == 0 { offeredRound = round }
    for place in members.ids.indices {
      let progress = members.progress[place]
      if members.ids[place] == id {
        members.progress[place].round = round
      } else {
        // No more than it is known to hold: it may have lost the rest of what this leader has.
        let known = config.flaw == .tellsWholeCommit ? log.committed : min(progress.match, log.committed)
        send(
          Message(
            .heartbeat, to: members.ids[place], logTerm: rest?.term ?? 0, index: rest?.index ?? 0, commit: known, context: round))
      }
    }
    confirmReads()
    if rest != nil, members.ids.count == 1 { restIfAllDo() }
  }

  // MARK: Answers

  mutating func handleAppendResponse(_ message: Message, at place: Int) {
    members.progress[place].isActive = true
    if message.isRejected { return handleRejection(message, at: place) }
    // Nobody can hold what this leader never had.
    guard message.index <= log.last else { return }
    let wasPaused = members.progress[place].isPaused
    let isNews = members.progress[place].acknowledge(message.index)
    guard isNews || (members.progress[place].match == message.index && members.progress[place].state == .probe) else { return }
    switch members.progress[place].state {
    case .probe: members.progress[place].becomeReplicate()
    case .snapshot:
      // Whichever snapshot it took: if the log reaches on from there, there is no need to wait for this one.
      if members.progress[place].match >= log.base.index {
        members.progress[place].becomeProbe()
        members.progress[place].becomeReplicate()
      }
    case .replicate: members.progress[place].inflights.free(upTo: message.index)
    }
    let hasCommitted = commitByCounting()
    if hasCommitted, !config.combinesCommits {
      broadcastAppend()
    } else if wasPaused, message.from != id {
      // It may have missed commit marks while nothing could be sent.
      sendAppend(at: place, evenIfEmpty: true)
    }
    if message.from != id {
      while sendAppend(at: place, evenIfEmpty: false) {}
      if transferee == message.from, members.progress[place].match == log.last { sendTimeoutNow() }
    }
  }

  private mutating func handleRejection(_ message: Message, at place: Int) {
    statistics.appendsRejected += 1
    guard message.index > 0 else { return }
    // The follower names the last place it holds that may agree. Where its term there is older than this log's, everything down to that term
    // disagrees as well, and is passed over at once: a round trip per term, not per entry.
    var hint = message.hint
    if message.logTerm > 0 { hint = log.lastPlace(atMost: message.hint, term: message.logTerm).index }
    guard members.progress[place].reject(message.index, hint: hint) else { return }
    if members.progress[place].state == .replicate { members.progress[place].becomeProbe() }
    sendAppend(at: place, evenIfEmpty: true)
  }

  mutating func handleHeartbeatResponse(_ message: Message, at place: Int) {
    members.progress[place].isActive = true
    members.progress[place].isProbing = false
    // Whatever it never answered may be lost: let one more message through.
    if members.progress[place].state == .replicate, members.progress[place].inflights.isFull { members.progress[place].inflights.freeFirst() }
    if members.progress[place].match < log.last { sendAppend(at: place, evenIfEmpty: true) }
    noteRest(message, at: place)
    guard message.context > members.progress[place].round, message.context <= reads.round else { return }
    members.progress[place].round = message.context
    reads.answered(at: now)
    confirmReads()
  }

  // MARK: News from the driver

  /// A member could not be reached: nothing is sent to it blindly until it answers.
  public mutating func reportUnreachable(_ id: NodeID) {
    guard role == .leader, let place = members.place(of: id) else { return }
    if members.progress[place].state == .replicate { members.progress[place].becomeProbe() }
  }

  /// The snapshot that was sent to a member arrived, or did not. Without this report the leader waits for the member's own answer,
  /// and for ``RaftConfig/snapshotTicks`` at most.
  public mutating func reportSnapshot(_ id: NodeID, arrived: Bool) {
    guard role == .leader, let place = members.place(of: id), case .snapshot = members.progress[place].state else { return }
    if arrived { members.progress[place].becomeProbe() } else { members.progress[place].snapshotFailed() }
    // Whatever came of it, the next word is the member's.
    members.progress[place].isProbing = true
  }
}
