import StrataNodes
import StrataRequirements
import Testing

@testable import StrataRaft

/// Pre-vote, check-quorum, hand-over: what keeps leaders where they are, and moves them when that is wanted.
struct ElectionTests {
  @Test(.requirement("Raft.never.2"))
  func aNodeThatWasAwayDisturbsNobody() throws {
    var group = try RaftGroup([1, 2, 3])
    group.elect(1)
    try group.propose("a", at: 1)
    group.settle()
    let term = group[1].term
    group.isolate(3)
    // A thousand election timeouts, of which each may take two.
    for _ in 0..<20_000 { group.tickAll() }
    #expect(group[3].term == term && group[1].role == .leader)
    group.heal()
    group.tickAll(30)
    #expect(group[1].term == term && group[1].role == .leader && group[3].leader == 1)
  }

  @Test(.requirement("Raft.never.1"))
  func aLeaderWithoutAMajorityStepsDownAndServesNothing() throws {
    var group = try RaftGroup([1, 2, 3])
    group.elect(1)
    group.isolate(1)
    try group.propose("lost", at: 1)
    var ticks = 0
    while group[1].role == .leader, ticks < 100 {
      group.tick(1)
      group.process(1)
      ticks += 1
    }
    #expect(ticks <= 2 * group[1].config.electionTicks)
    #expect(group.texts(1).isEmpty && group[1].statistics.quorumLosses == 1)
    #expect(throws: RaftError.noLeader) { try group.propose("refused", at: 1) }
    for _ in 0..<200 where group.leader == nil || group.leader == 1 { group.tickAll() }
    try group.propose("kept", at: try #require(group.leader))
    group.heal()
    group.tickAll(50)
    for id in group.ids { #expect(group.texts(id) == ["kept"]) }
  }

  @Test(.requirement("Raft.never.1"))
  func whatAMinorityTookDisappears() throws {
    var group = try RaftGroup([1, 2, 3, 4, 5])
    group.elect(1)
    group.loses = { [1, 2].contains($0.from) != [1, 2].contains($0.to) }
    try group.propose("minority", at: 1)
    group.settle()
    #expect(group[2].log.last == 2 && group[2].log.committed == 1)
    for _ in 0..<200 where group.ids.dropFirst(2).allSatisfy({ group[$0].role != .leader }) { group.tickAll() }
    let leader = try #require(group.ids.dropFirst(2).first { group[$0].role == .leader })
    try group.propose("majority", at: leader)
    group.settle()
    group.heal()
    group.tickAll(50)
    for id in group.ids { #expect(group.texts(id) == ["majority"]) }
  }

  @Test func aPreVoteChangesNothing() throws {
    var node = try core(term: 3) { $0.preVote = true }
    try node.step(Message(.preVote, to: 1, from: 2, term: 4, context: 9))
    #expect(node.term == 3 && node.vote == 0 && node.role == .follower)
    let answer = try #require(node.drain().first)
    #expect(answer.kind == .preVoteResponse && answer.term == 4 && !answer.isRejected && answer.context == 9)
  }

  @Test func aPreVoteOfAnOlderTermIsRefusedAloud() throws {
    var node = try core(term: 3) { $0.preVote = true }
    try node.step(Message(.preVote, to: 1, from: 2, term: 2))
    let answer = try #require(node.drain().first)
    #expect(answer.kind == .preVoteResponse && answer.term == 3 && answer.isRejected)
  }

  @Test func aStaleLeaderLearnsOfTheNewerTerm() throws {
    var node = try core(term: 3) { $0.checkQuorum = true }
    for kind in [Message.Kind.heartbeat, .append] {
      try node.step(Message(kind, to: 1, from: 2, term: 2))
      let answer = try #require(node.drain().first)
      #expect(answer.kind == .appendResponse && answer.term == 3 && answer.to == 2)
    }
  }

  @Test func whoHearsALeaderIgnoresVotes() throws {
    var node = try core(term: 1) { $0.checkQuorum = true }
    try node.step(Message(.heartbeat, to: 1, from: 2, term: 1))
    _ = node.drain()
    try node.step(Message(.vote, to: 1, from: 3, term: 9))
    #expect(node.term == 1 && node.drain().isEmpty && node.statistics.votesIgnoredInLease == 1)
    // Unless the leader wants it so.
    try node.step(Message(.vote, to: 1, from: 3, term: 9, isTransfer: true))
    #expect(node.vote == 3 && node.term == 9)
  }

  @Test(arguments: [Message.Kind.vote, .preVote, .voteResponse, .preVoteResponse], [1, 5, 9] as [Term])
  func votesTellWhatIsCommitted(_ kind: Message.Kind, _ term: Term) throws {
    for (commit, of, known) in [(3, 2, 3), (3, 1, 1), (2, 1, 2), (5, 2, 1), (4, 0, 1), (1, 1, 1)] as [(LogIndex, Term, LogIndex)] {
      // Only what the own log holds under that very term, whoever says so and in whatever term.
      var node = try core(terms: [1, 1, 2, 2], term: 5, commit: 1)
      try node.step(Message(kind, to: 1, from: 2, term: term, commit: commit, hint: of, isRejected: true))
      #expect(node.log.committed == known, "\(of)/\(commit)")
    }
    var node = try core(terms: [1, 1, 2, 2], term: 5, commit: 1)
    try node.lead()
    try node.step(Message(kind, to: 1, from: 2, term: node.term, commit: 4, hint: 2, isRejected: true))
    #expect(node.log.committed == 1, "a leader counts for itself")
  }

  @Test func votesAndTheirAnswersCarryTheCommitMark() throws {
    for preVote in [false, true] {
      var node = try core(terms: [1, 1, 2], term: 2, commit: 2) { $0.preVote = preVote }
      node.campaign()
      let asked = node.drain().filter { $0.kind == (preVote ? .preVote : .vote) }
      #expect(asked.count == 2 && asked.allSatisfy { $0.commit == 2 && $0.hint == 1 })
      for (last, term) in [(1, 3), (9, 3), (1, 1)] as [(LogIndex, Term)] {
        var node = try core(terms: [1, 1, 2], term: 2, commit: 2)
        try node.step(Message(preVote ? .preVote : .vote, to: 1, from: 2, term: term, logTerm: 2, index: last))
        let answer = node.drain().first
        #expect(answer == nil ? !preVote && term == 1 : answer?.commit == 2 && answer?.hint == 1 && answer?.isRejected == (last < 3))
      }
    }
  }

  @Test func aCandidateThatLearnsOfAChangeOfMembersYields() throws {
    var node = try core { $0.asyncStorage = true }
    let entry = Entry(term: 1, index: 1, kind: .confChange, payload: ConfChange([.addVoter(4)]).encoded)
    try node.step(Message(.append, to: 1, from: 2, term: 1, entries: [entry]))
    node.campaign()
    #expect(node.role == .candidate && node.term == 2)
    try node.step(Message(.voteResponse, to: 1, from: 3, term: 2, commit: 1, hint: 1, context: node.incarnation, isRejected: true))
    #expect(node.role == .follower && node.log.committed == 1 && node.vote == 1)
  }

  @Test func answersToAFormerLifeDoNotCount() throws {
    var node = try core()
    node.campaign()
    _ = node.drain()
    for id in [2, 3] as [NodeID] { try node.step(Message(.voteResponse, to: 1, from: id, term: 1, context: node.incarnation &+ 1)) }
    #expect(node.role == .candidate)
  }

  @Test func aLearnerNeitherCampaignsNorCounts() throws {
    var group = try RaftGroup([1], learners: [2])
    group.tick(2, times: 100)
    #expect(group[2].role == .follower && !group[2].hasReady)
    group.elect(1)
    group.isolate(2)
    try group.propose("a", at: 1)
    group.settle()
    #expect(group.texts(1) == ["a"])
    group.heal()
    group.tickAll(3)
    #expect(group.texts(2) == ["a"])
  }

  // MARK: Hand-over

  @Test func leadershipMovesToWhoIsUpToDate() throws {
    var group = try RaftGroup([1, 2, 3])
    group.elect(1)
    try group[1].transferLeadership(to: 3)
    group.settle()
    #expect(group[3].role == .leader && group[1].role == .follower && group[1].leader == 3)
  }

  @Test func leadershipWaitsForWhoLagsBehind() throws {
    var group = try RaftGroup([1, 2, 3])
    group.elect(1)
    group.isolate(3)
    try group.propose("a", at: 1)
    group.settle()
    group.heal()
    try group[1].transferLeadership(to: 3)
    group.settle()
    group.tickAll()
    #expect(group[3].role == .leader && group.texts(3) == ["a"])
  }

  @Test func proposalsAreRefusedDuringAHandOverThatEnds() throws {
    var group = try RaftGroup([1, 2, 3])
    group.elect(1)
    group.isolate(3)
    try group[1].transferLeadership(to: 3)
    #expect(throws: RaftError.proposalDropped(.transferring)) { try group.propose("a", at: 1) }
    #expect(group[1].status.transferee == 3)
    for _ in 0..<10 { group.tickAll() }
    #expect(group[1].role == .leader && group[1].status.transferee == 0)
    try group.propose("b", at: 1)
    group.settle()
    #expect(group.texts(2) == ["b"])
  }

  @Test func aFollowerPassesTheWishOn() throws {
    var group = try RaftGroup([1, 2, 3])
    group.elect(1)
    try group[2].transferLeadership(to: 3)
    group.settle()
    #expect(group[3].role == .leader)
    #expect(throws: RaftError.confChangeRefused("n9 is no voter and cannot lead")) { try group[3].transferLeadership(to: 9) }
  }

  @Test func aForgottenLeaderFreesTheVote() throws {
    var group = try RaftGroup([1, 2, 3])
    group.elect(1)
    group.isolate(1)
    group[2].forgetLeader()
    group[3].forgetLeader()
    group[2].campaign()
    group.settle()
    #expect(group[2].role == .leader)
    #expect(group[2].term == 2)
  }
}
