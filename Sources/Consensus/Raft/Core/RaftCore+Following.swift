import StrataNodes

// The follower's side of the log.
extension RaftCore {
  mutating func handleAppend(_ message: Message) {
    if message.index < log.committed {
      // Old news: what is committed cannot change. The answer lets a leader that starts from too far back catch up.
      return acknowledge(log.committed, to: message.from)
    }
    let previous = LogPlace(term: message.logTerm, index: message.index)
    guard log.contains(previous) || (config.flaw == .skipsConsistencyCheck && message.index <= log.last) else {
      let hint = log.lastPlace(atMost: message.index, term: message.logTerm)
      statistics.appendsRefused += 1
      return sendAfterPersist(
        Message(.appendResponse, to: message.from, logTerm: hint.term, index: message.index, hint: hint.index, isRejected: true))
    }
    let conflict = config.flaw == .truncatesAlways ? (message.entries.isEmpty ? nil : 0) : log.firstConflict(in: message.entries)
    if let conflict {
      let first = message.entries[conflict].index
      if first <= log.committed {
        return fence("entry \(first) is to be overwritten by \(message.from) in term \(term), but \(log.committed) is committed")
      }
      if first <= log.last { statistics.entriesTruncated += log.last - first + 1 }
      log.replaceSuffix(with: conflict == 0 ? message.entries : Array(message.entries[conflict...]))
    }
    // Behind the last entry of this message the log may hold what another leader left: only what the message covers is known to be committed.
    let covered = message.index + UInt64(message.entries.count)
    log.commit(to: min(message.commit, covered))
    if message.entries.isEmpty, message.hint == 1 { return }
    acknowledge(covered, to: message.from)
  }

  mutating func acknowledge(_ index: LogIndex, to leader: NodeID) {
    let answer = Message(.appendResponse, to: leader, index: index)
    if config.flaw == .acknowledgesEarly { send(answer) } else { sendAfterPersist(answer) }
  }

  mutating func handleHeartbeat(_ message: Message) {
    if message.commit <= log.last { log.commit(to: message.commit) }
    // A heartbeat that offers nothing wakes who rests.
    let place = rest(message) ? log.lastPlace : LogPlace(term: 0, index: 0)
    send(Message(.heartbeatResponse, to: message.from, logTerm: place.term, index: place.index, context: message.context))
  }

  mutating func handleSnapshot(_ message: Message) {
    guard let snapshot = message.snapshot else { return }
    if restore(snapshot) { statistics.snapshotsReceived += 1 }
    acknowledge(log.committed, to: message.from)
  }

  /// Adopts a snapshot in place of the log, unless the log holds as much. Says whether it did.
  private mutating func restore(_ new: Snapshot) -> Bool {
    guard new.index > log.committed else { return false }
    if log.contains(new.place), log.snapshot == nil {
      log.commit(to: new.index)
      return false
    }
    log.restore(new)
    snapshot = new
    adopt(new.confState)
    return true
  }
}
