import StrataNodes

extension RaftCore {
  /// Asks for an index behind which a read is linearizable: a state machine that has applied as much has seen everything that was acknowledged
  /// before this call. The answer comes as a ``ReadState`` with the same context, or never (leadership may change, messages may be lost): ask again
  /// then. At a follower or learner the leader is asked.
  ///
  /// - Throws: ``RaftError/noLeader`` if nobody is known to lead; ``RaftError/proposalDropped(_:)`` if too many reads wait.
  public mutating func readIndex(_ context: UInt64) throws(RaftError) {
    guard fault == nil, survey == nil else { throw .noLeader }
    wake()
    if reads.count >= config.maxPendingReads { throw .proposalDropped(.backpressure) }
    if role == .leader { return read(ReadQueue.Read(from: id, context: context, index: 0, round: 0)) }
    guard leader != 0 else { throw .noLeader }
    let name = reads.forward(context, fixedName: config.flaw == .reusesReadNames)
    send(Message(.readIndex, to: leader, context: name))
  }

  /// Whether reads need no message now: a lease holds.
  public var isLeaseValid: Bool { leaseEnd.map { now < $0 } ?? false }

  /// Until when, on this node's clock, nobody else can lead: before that, what this leader has committed is all that was ever acknowledged. Nothing
  /// where there is no lease.
  public var leaseEnd: Instant? {
    guard case .lease(let drift) = config.readMode, role == .leader, hasCommittedInTerm, let start = reads.confirmedAt else { return nil }
    if transferee != 0, config.flaw != .leaseOutlivesTransfer { return nil }
    // The followers that answered refuse to elect another until their election timeout has passed. Their first tick may come at once; their clocks
    // may run as fast, and this one as slow, as the drift allows.
    let promised = (config.tick * (config.electionTicks - 1)).nanosecondsClamped
    let lost = promised / 1_000_000 * Int64(2 * drift) + promised % 1_000_000 * Int64(2 * drift) / 1_000_000
    return start + .nanoseconds(promised - lost)
  }

  mutating func stepReadRequest(_ message: Message) throws(RaftError) {
    guard role == .leader else { throw .notLeader(hint: leader == 0 ? nil : leader) }
    if reads.count >= config.maxPendingReads { throw .proposalDropped(.backpressure) }
    read(ReadQueue.Read(from: message.from, context: message.context, index: 0, round: 0))
  }

  private mutating func read(_ request: ReadQueue.Read) {
    var request = request
    statistics.reads += 1
    guard hasCommittedInTerm || config.flaw == .readsBeforeCommit else { return reads.waitEarly(request) }
    request.index = log.committed
    if isLeaseValid || config.flaw == .readsWithoutQuorum {
      statistics.leaseReads += 1
      return answer(request)
    }
    reads.wait(request)
  }

  /// The first commit of the term tells what is committed at all.
  mutating func releaseEarlyReads() {
    guard !reads.early.isEmpty, hasCommittedInTerm else { return }
    for var request in reads.takeEarly() {
      request.index = log.committed
      reads.wait(request)
    }
  }

  /// Answers the reads that a majority has confirmed.
  mutating func confirmReads() {
    for request in reads.confirm(members.confirmedRound(), fromAnswer: config.flaw == .leaseFromAnswer) { answer(request) }
  }

  private mutating func answer(_ request: ReadQueue.Read) {
    if request.from == id {
      readStates.append(ReadState(context: request.context, index: request.index))
    } else {
      send(Message(.readIndexResponse, to: request.from, index: request.index, context: request.context))
    }
  }

  mutating func finishForwardedRead(_ message: Message) {
    guard let context = reads.finishForwarded(message.context) else { return }
    readStates.append(ReadState(context: context, index: message.index))
  }
}

extension Duration {
  /// Nanoseconds, at most ±292 years.
  var nanosecondsClamped: Int64 {
    let (seconds, attoseconds) = components
    let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    if overflow { return seconds < 0 ? .min : .max }
    let (sum, above) = whole.addingReportingOverflow(attoseconds / 1_000_000_000)
    return above ? (seconds < 0 ? .min : .max) : sum
  }
}
