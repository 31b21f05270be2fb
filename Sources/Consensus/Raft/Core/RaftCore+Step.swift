import StrataNodes

extension RaftCore {
  /// Takes a message from another member, or from the node's own storage and driver (``Message/Kind/stored``, ``Message/Kind/applied``, and
  /// whatever a ``StorageAppend`` addresses to the node itself).
  ///
  /// - Throws: ``RaftError/messageRejected(_:)`` if the message makes no sense; ``RaftError/proposalDropped(_:)`` and its like if it carries
  ///   proposals this node cannot take. Either is counted and changes nothing. Messages that are merely late are ignored silently.
  public mutating func step(_ message: Message) throws(RaftError) {
    guard fault == nil else { return }
    statistics.messagesReceived += 1
    if message.to != id { throw reject(.wrongAddressee) }
    if message.from == 0 { throw reject(.noSender) }
    if let defect = message.defect { throw reject(defect) }
    if !Self.leavesAtRest(message) { wake() }
    switch message.kind {
    case .repair: return answerRepair(message)
    case .repairResponse: return countSurvey(message)
    case .applied: return applied(to: message.index)
    case .stored: return stored(message)
    default: break
    }
    // A node that does not know what it promised takes part in nothing.
    guard survey == nil else { return }
    switch message.kind {
    case .propose: return try stepProposals(message)
    case .readIndex: return try stepReadRequest(message)
    case .transfer: return stepTransferRequest(message)
    case .vote, .preVote, .voteResponse, .preVoteResponse: learnCommit(message)
    default: break
    }
    guard admit(message) else { return }
    switch message.kind {
    case .vote, .preVote: decideVote(message)
    case .append:
      meetLeader(message.from)
      handleAppend(message)
    case .heartbeat:
      meetLeader(message.from)
      handleHeartbeat(message)
    case .snapshot:
      meetLeader(message.from)
      handleSnapshot(message)
    case .voteResponse, .preVoteResponse: countVote(message)
    case .appendResponse: try fromMember(message) { $0.handleAppendResponse(message, at: $1) }
    case .heartbeatResponse: try fromMember(message) { $0.handleHeartbeatResponse(message, at: $1) }
    case .readIndexResponse: if role != .leader { finishForwardedRead(message) }
    case .timeoutNow: if role == .follower, isPromotable { campaign(.transfer) }
    case .propose, .readIndex, .transfer, .repair, .repairResponse, .stored, .applied: break
    }
  }

  mutating func reject(_ reason: MessageRejection) -> RaftError {
    statistics.messagesRejected[reason, default: 0] += 1
    return .messageRejected(reason)
  }

  private mutating func fromMember(_ message: Message, _ body: (inout RaftCore, Int) -> Void) throws(RaftError) {
    guard role == .leader else { return }
    guard let place = members.place(of: message.from) else { throw reject(.unknownMember) }
    body(&self, place)
  }

  /// Compares terms (Raft §5.1) and says whether the message is to be looked at further.
  private mutating func admit(_ message: Message) -> Bool {
    if message.term == term { return true }
    guard message.term > term else { return answerStale(message) }
    switch message.kind {
    case .vote, .preVote:
      if !message.isTransfer, isWithinLease {
        statistics.votesIgnoredInLease += 1
        return false
      }
      // Asking changes nothing: the term in a pre-vote is one that nobody has yet.
      if message.kind == .vote { becomeFollower(message.term, leader: 0) }
    case .preVoteResponse where !message.isRejected:
      // The term is the one this node would campaign in.
      break
    case .append, .heartbeat, .snapshot: becomeFollower(message.term, leader: message.from)
    default: becomeFollower(message.term, leader: 0)
    }
    return true
  }

  /// Whether this node has heard a leader so lately that the leader may rely on it not to elect another.
  private var isWithinLease: Bool {
    if config.checkQuorum, leader != 0, electionElapsed < config.electionTicks { return true }
    // A node that just came up may have promised a lease in its former life.
    if case .lease = config.readMode, ticksAlive < config.electionTicks { return true }
    return false
  }

  private mutating func answerStale(_ message: Message) -> Bool {
    switch message.kind {
    case .append, .heartbeat, .snapshot:
      // A leader of an older term has to learn of the newer one. With pre-vote this node does not raise anybody's term by campaigning, and
      // with check-quorum its votes are ignored: without this answer the two would wait for each other for ever.
      if config.checkQuorum || config.preVote || repairFloor > 0 { sendAfterPersist(Message(.appendResponse, to: message.from, isRejected: true)) }
    case .preVote:
      sendAfterPersist(withCommit(Message(.preVoteResponse, to: message.from, context: message.context, isRejected: true)))
    default: break
    }
    return false
  }

  private mutating func meetLeader(_ id: NodeID) {
    if role == .leader {
      // Two leaders of one term are what all of this is there to prevent.
      fence("\(id) and this node both lead term \(term)")
      return
    }
    if role != .follower { becomeFollower(term, leader: id) }
    electionElapsed = 0
    if leader != id { statistics.leaderChanges += 1 }
    leader = id
  }
}
