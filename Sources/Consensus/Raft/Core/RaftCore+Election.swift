import StrataNodes

/// The reasons to campaign.
enum Campaign: Hashable {
  /// To ask whether an election would be won.
  case preElection
  /// To be elected.
  case election
  /// To be elected because the leader wants it so.
  case transfer
}

extension RaftCore {
  /// Starts an election now, as if the time without a leader had run out.
  ///
  /// Nothing happens at a leader, a learner, or a node that is still repairing; nor, where leases are used, while a leader may hold one that
  /// relies on this node.
  public mutating func campaign() {
    if case .lease = config.readMode, leader != 0, electionElapsed < config.electionTicks { return }
    campaign(config.preVote ? .preElection : .election)
  }

  mutating func campaign(_ kind: Campaign) {
    guard role != .leader, isPromotable else { return }
    wake()
    // The members may be about to change: under the old ones this node might be elected by the wrong quorum.
    if log.hasConfChange(after: log.applied, upTo: log.committed) { return }
    if kind == .preElection {
      becomePreCandidate()
      electionElapsed = 0
      drawElectionTimeout()
    } else {
      statistics.electionsStarted += 1
      becomeCandidate()
    }
    let isPre = kind == .preElection
    let asked = isPre ? term + 1 : term
    let place = log.lastPlace
    let answer: Message.Kind = isPre ? .preVoteResponse : .voteResponse
    let own = withCommit(Message(answer, to: id, term: asked, context: incarnation))
    // The own vote counts like any other: when it is durable.
    let early = config.flaw == .votesEarly || config.flaw == .countsOwnUndurable
    if !early { sendAfterPersist(own) }
    for member in members.ids where member != id && members.conf.isVoter(member) {
      let request = withCommit(
        Message(
          isPre ? .preVote : .vote, to: member, term: asked, logTerm: place.term, index: place.index, context: incarnation,
          isTransfer: kind == .transfer))
      // Were a vote asked for before the term is durable, a crash could make this node ask again in the same term with a shorter log, and the
      // answers to the first question would elect it.
      if isPre || early { send(request) } else { sendAfterPersist(request) }
    }
    if early {
      votes[id] = true
      concludeElection()
    }
  }

  mutating func decideVote(_ message: Message) {
    let isPre = message.kind == .preVote
    let answer: Message.Kind = isPre ? .preVoteResponse : .voteResponse
    let isFree = vote == message.from || (vote == 0 && leader == 0) || (isPre && message.term > term)
    let isUpToDate = LogPlace(term: message.logTerm, index: message.index) >= log.lastPlace || config.flaw == .votesForStaleLogs
    guard isFree, isUpToDate, !isRepairing else {
      if isPre { statistics.preVotesRejected += 1 }
      return sendAfterPersist(withCommit(Message(answer, to: message.from, context: message.context, isRejected: true)))
    }
    // The answer carries the term that was asked about: the asker is not in it yet in a pre-vote.
    let granted = withCommit(Message(answer, to: message.from, term: message.term, context: message.context))
    if config.flaw == .votesEarly { send(granted) } else { sendAfterPersist(granted) }
    if !isPre {
      electionElapsed = 0
      vote = message.from
    }
  }

  /// Tells in a vote, or what belongs to it, how far this node knows the log to be committed.
  func withCommit(_ message: Message) -> Message {
    var message = message
    message.commit = log.committed
    message.hint = log.term(at: log.committed) ?? 0
    return message
  }

  /// Takes over what the sender of a vote, or of what belongs to it, knows to be committed, as far as the own log holds that very entry: what is
  /// committed stays so, whatever the terms of the two, and equal entries have equal logs before them.
  ///
  /// Without it a group can stand still: a member that knows it was demoted does not campaign, and those whose logs are shorter need its vote for
  /// as long as they do not know that its demotion is committed.
  mutating func learnCommit(_ message: Message) {
    guard role != .leader, message.commit > log.committed, log.term(at: message.commit) == message.hint else { return }
    log.commit(to: message.commit)
    // The election is held among members who may be others by now.
    if role != .follower, log.hasConfChange(after: log.applied, upTo: log.committed) { becomeFollower(term, leader: 0) }
  }

  mutating func countVote(_ message: Message) {
    let expected: Message.Kind? = role == .candidate ? .voteResponse : role == .preCandidate ? .preVoteResponse : nil
    guard message.kind == expected, message.context == incarnation || message.from == id else { return }
    if message.kind == .preVoteResponse, !message.isRejected, message.term != term + 1 { return }
    guard members.conf.isVoter(message.from), votes[message.from] == nil else { return }
    votes[message.from] = !message.isRejected
    concludeElection()
  }

  private mutating func concludeElection() {
    let votes = votes
    switch Quorum.vote(of: members.conf, { votes[$0] }) {
    case .pending: break
    case .lost: becomeFollower(term, leader: 0)
    case .won: if role == .preCandidate { campaign(.election) } else { becomeLeader() }
    }
  }

  // MARK: Handing over

  /// Makes `target` the leader: proposals are refused until it is, or until one election timeout has passed.
  ///
  /// - Throws: ``RaftError/noLeader`` if this node leads nobody and knows no leader; ``RaftError/confChangeRefused(_:)`` if `target` is no voter.
  public mutating func transferLeadership(to target: NodeID) throws(RaftError) {
    wake()
    guard role == .leader else {
      guard leader != 0 else { throw .noLeader }
      return send(Message(.transfer, to: leader, context: target.rawValue))
    }
    guard members.conf.isVoter(target) else { throw .confChangeRefused("\(target) is no voter and cannot lead") }
    beginTransfer(to: target)
  }

  mutating func stepTransferRequest(_ message: Message) {
    guard role == .leader else { return }
    let target = NodeID(message.context)
    if members.conf.isVoter(target) { beginTransfer(to: target) }
  }

  private mutating func beginTransfer(to target: NodeID) {
    guard target != id, target != transferee, let place = members.place(of: target) else { return }
    statistics.transfersStarted += 1
    transferee = target
    electionElapsed = 0
    if members.progress[place].match == log.last { sendTimeoutNow() } else { sendAppend(at: place, evenIfEmpty: true) }
  }

  mutating func sendTimeoutNow() {
    // Who votes for the target ignores what the lease relies on, and the message may arrive at any later time.
    if config.flaw != .leaseOutlivesTransfer { reads.forfeitLease() }
    send(Message(.timeoutNow, to: transferee))
  }

  mutating func abortTransfer() { transferee = 0 }

  /// Forgets who leads, so that a vote may be given at once: for a node that knows by other means that the leader is gone. Nothing happens at a
  /// leader, nor where leases are used, which rely on the memory.
  public mutating func forgetLeader() {
    guard role != .leader else { return }
    if case .lease = config.readMode { return }
    wake()
    leader = 0
  }
}
