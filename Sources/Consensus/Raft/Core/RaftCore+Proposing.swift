import StrataNodes

extension RaftCore {
  /// Proposes commands for the state machine, in this order and together: one append, one sync. At a leader the entries are in the log at once
  /// and committed when they are found in ``Ready/apply``; a follower passes them on.
  ///
  /// - Returns: the index of the first entry at a leader, nothing where they were passed on. An entry's fate is decided only by what is applied at
  ///   its index: another leader may have put something else there.
  /// - Throws: ``RaftError/noLeader``, ``RaftError/entryTooLarge(bytes:limit:)`` or ``RaftError/proposalDropped(_:)``. The proposal then
  /// has no effect.
  @discardableResult
  public mutating func propose(_ payloads: [[UInt8]]) throws(RaftError) -> LogIndex? {
    for payload in payloads where payload.count > config.maxEntryBytes {
      throw .entryTooLarge(bytes: payload.count, limit: config.maxEntryBytes)
    }
    return try propose(payloads.map { Entry(payload: $0) })
  }

  /// Proposes a change of the members. It is active when it is applied; until then no other is taken.
  ///
  /// - Throws: as ``propose(_:)-3xs5v``, and ``RaftError/confChangeRefused(_:)`` with the reason.
  @discardableResult
  public mutating func proposeConfChange(_ change: ConfChange) throws(RaftError) -> LogIndex? {
    if change.steps.count > ConfChange.maxSteps {
      throw .confChangeRefused("\(change.steps.count) steps; at most \(ConfChange.maxSteps) are possible")
    }
    return try propose([Entry(kind: .confChange, payload: change.encoded)])
  }

  private mutating func propose(_ entries: consuming [Entry]) throws(RaftError) -> LogIndex? {
    guard fault == nil, survey == nil else { throw .noLeader }
    wake()
    if role == .leader { return try proposeAsLeader(entries) }
    guard leader != 0 else {
      statistics.proposalsWithoutLeader += 1
      throw .noLeader
    }
    guard config.proposalForwarding else { throw drop(.forwardingDisabled) }
    send(Message(.propose, to: leader, entries: entries))
    return nil
  }

  mutating func stepProposals(_ message: Message) throws(RaftError) {
    // Passed on once and no further: two nodes that take each other for the leader would pass it on for ever.
    guard role == .leader else { throw .notLeader(hint: leader == 0 ? nil : leader) }
    for entry in message.entries where entry.payload.count > config.maxEntryBytes {
      throw .entryTooLarge(bytes: entry.payload.count, limit: config.maxEntryBytes)
    }
    _ = try proposeAsLeader(message.entries)
  }

  private mutating func drop(_ reason: DropReason) -> RaftError {
    statistics.proposalsDropped[reason, default: 0] += 1
    return .proposalDropped(reason)
  }

  private mutating func proposeAsLeader(_ entries: consuming [Entry]) throws(RaftError) -> LogIndex {
    guard members.place(of: id) != nil else { throw drop(.removed) }
    guard transferee == 0 else { throw drop(.transferring) }
    var size = 0
    for place in entries.indices { size += entries[place].payload.count }
    // Whatever fits nothing else still fits an empty queue.
    if uncommittedBytes > 0, uncommittedBytes + size > config.maxUncommittedBytes { throw drop(.backpressure) }
    var confChanges = 0
    let first = log.last + 1
    var pending = pendingConfIndex
    for place in entries.indices where entries[place].kind == .confChange {
      confChanges += 1
      if let why = refusal(of: entries[place], nth: confChanges) { throw .confChangeRefused(why) }
      pending = first + UInt64(place)
    }
    pendingConfIndex = pending
    statistics.proposals += UInt64(entries.count)
    appendOwn(entries)
    broadcastAppend()
    return first
  }

  private func refusal(of entry: Entry, nth: Int) -> String? {
    guard let change = ConfChange(decoding: entry.payload) else { return "it is encoded in a way this version does not know" }
    if nth > 1 || pendingConfIndex > log.applied { return "another change (at index \(pendingConfIndex)) is not applied yet; \(log.applied) is" }
    if !hasCommittedInTerm { return "this leader has not committed an entry in its term yet" }
    do {
      _ = try members.conf.applying(change)
      return nil
    } catch {
      return error.description
    }
  }

  // MARK: Applying

  /// Everything up to `index` is applied: changes of members in it become active.
  mutating func applied(to index: LogIndex) {
    guard index <= log.applying, log.snapshot == nil else { return }
    var place = log.applied
    while place < index {
      place += 1
      guard log[place].kind == .confChange else { continue }
      log.applied(to: place)
      applyConfChange(log[place])
    }
    log.applied(to: index)
    leaveJointIfDue()
  }

  private mutating func applyConfChange(_ entry: Entry) {
    // Every member finds the same entry impossible at the same place, so doing nothing keeps them equal.
    guard let change = ConfChange(decoding: entry.payload), let new = try? members.conf.applying(change) else {
      statistics.confChangesIgnored += 1
      return
    }
    adopt(new)
  }

  /// The members are now these.
  mutating func adopt(_ conf: ConfState) {
    members.adopt(conf, next: max(log.last, 1), inflights: Self.inflights(config))
    guard role == .leader else { return }
    guard conf.isVoter(id) else {
      if config.stepDownOnRemoval { becomeFollower(term, leader: 0) }
      return
    }
    guard !conf.voters.isEmpty else { return }
    // With fewer voters more may be committed.
    if commitByCounting(), !config.combinesCommits {
      broadcastAppend()
    } else {
      // Whoever is new is asked where its log ends.
      for place in members.ids.indices where members.ids[place] != id { sendAppend(at: place, evenIfEmpty: false) }
    }
    if transferee != 0, !conf.isVoter(transferee) { abortTransfer() }
  }

  private mutating func leaveJointIfDue() {
    guard role == .leader, members.conf.autoLeave, log.applied >= pendingConfIndex, hasCommittedInTerm, transferee == 0 else { return }
    pendingConfIndex = log.last + 1
    appendOwn([Entry(kind: .confChange)])
    broadcastAppend()
  }
}
