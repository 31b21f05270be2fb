import StrataNodes
import StrataRequirements
import Testing

@testable import StrataRaft

/// The rules of the Raft paper, section 5, one by one: elections.
struct PaperElectionTests {
  @Test(.requirement("Raft.keep.1"))
  func aNewNodeIsAFollowerOfNobody() throws {
    let node = try core()
    #expect(node.role == .follower && node.term == 0 && node.log.committed == 0 && node.leader == 0)
  }

  @Test(.requirement("Raft.keep.1"), arguments: [Role.follower, .candidate, .leader])
  func aGreaterTermMakesAFollower(_ role: Role) throws {
    var node = try core()
    if role == .candidate { node.campaign() }
    if role == .leader { try node.lead() }
    try node.step(Message(.append, to: 1, from: 2, term: 5))
    #expect(node.role == .follower && node.term == 5 && node.leader == 2)
  }

  @Test func amessageOfAnOlderTermIsIgnored() throws {
    var node = try core(term: 4)
    try node.step(Message(.append, to: 1, from: 2, term: 3, entries: log([3])))
    #expect(node.log.last == 0 && node.leader == 0 && node.drain().isEmpty)
  }

  @Test func aLeaderSendsHeartbeats() throws {
    var node = try core()
    try node.lead()
    node.tick()
    let beats = node.drain().filter { $0.kind == .heartbeat }
    #expect(beats.map(\.to) == [2, 3] && beats.allSatisfy { $0.entries.isEmpty && $0.term == 1 })
  }

  @Test(arguments: [Role.follower, .candidate])
  func silenceStartsAnElection(_ role: Role) throws {
    var node = try core(term: 1)
    if role == .candidate { node.campaign() }
    _ = node.drain()
    let before = node.term
    for _ in 0..<20 where node.term == before { node.tick() }
    #expect(node.role == .candidate && node.term == before + 1 && node.vote == 1)
    #expect(node.drain().filter { $0.kind == .vote }.map(\.to) == [2, 3])
  }

  @Test(
    .requirement("Raft.keep.3"),
    arguments: [
      (1, [], Role.leader), (3, [true, true], .leader), (3, [true], .leader), (5, [true, true], .leader), (5, [true], .candidate),
      (3, [false, false], .follower), (5, [false, false, false], .follower), (5, [true, false, false], .candidate), (5, [], .candidate),
    ] as [(Int, [Bool], Role)])
  func aStrictMajorityElects(_ size: Int, _ answers: [Bool], _ expected: Role) throws {
    var node = try core(voters: (1...UInt64(size)).map { NodeID($0) })
    node.campaign()
    _ = node.drain()
    for (place, yes) in answers.enumerated() {
      try node.step(Message(.voteResponse, to: 1, from: NodeID(UInt64(place + 2)), term: 1, context: node.incarnation, isRejected: !yes))
    }
    #expect(node.role == expected && node.term == 1)
  }

  @Test(.requirement("Raft.keep.1"), arguments: [(0, 2, true), (0, 3, true), (2, 2, true), (3, 3, true), (2, 3, false), (3, 2, false)])
  func oneVotePerTerm(_ given: UInt64, _ asker: UInt64, _ expected: Bool) throws {
    var node = try core(term: 1, vote: NodeID(given))
    try node.step(Message(.vote, to: 1, from: NodeID(asker), term: 1))
    let answers = node.drain()
    #expect(answers.map(\.kind) == [.voteResponse] && answers[0].isRejected == !expected)
  }

  @Test(arguments: [1, 2] as [Term])
  func aCandidateYieldsToTheLeaderOfItsTerm(_ term: Term) throws {
    var node = try core()
    node.campaign()
    _ = node.drain()
    try node.step(Message(.append, to: 1, from: 2, term: term))
    #expect(node.role == .follower && node.term == term && node.leader == 2)
  }

  @Test(.requirement("Raft.never.8"))
  func aCandidateThatYieldsInItsTermKeepsItsVote() throws {
    var node = try core()
    node.campaign()
    _ = node.drain()
    try node.step(Message(.append, to: 1, from: 2, term: 1))
    #expect(node.vote == 1)
    try node.step(Message(.vote, to: 1, from: 3, term: 1, logTerm: 9, index: 9))
    #expect(node.drain().contains { $0.kind == .voteResponse && $0.isRejected })
  }

  @Test func electionTimeoutsAreSpreadEvenly() throws {
    var counts: [Int: Int] = [:]
    for seed in 0..<1000 {
      let node = try core { $0.seed = UInt64(seed) }
      counts[node.electionTimeout, default: 0] += 1
    }
    #expect(Set(counts.keys) == Set(10..<20) && counts.values.allSatisfy { (50...170).contains($0) })
  }

  @Test(.requirement("Raft.keep.9"))
  func splitVotesResolve() throws {
    for seed in 1...100 as ClosedRange<UInt64> {
      var group = try RaftGroup([1, 2, 3, 4], seed: seed * 100) { $0.preVote = false }
      for id in [1, 2] as [NodeID] {
        group[id].campaign()
        group.process(id)
      }
      group.loses = { $0.kind == .vote && ($0.from == 1 ? $0.to == 4 : $0.to == 3) }
      group.settle()
      #expect(group.leader == nil)
      group.heal()
      for _ in 0..<200 where group.leader == nil { group.tickAll() }
      #expect(group.leader != nil, "seed \(seed)")
    }
  }

  @Test(
    .requirement("Raft.keep.2"),
    arguments: [
      ([1], 1, 1, true), ([1], 1, 2, true), ([1, 1], 1, 1, false), ([1], 2, 1, true), ([1], 2, 2, true), ([1, 1], 2, 1, true), ([2], 1, 1, false),
      ([2], 1, 2, false), ([2, 2], 1, 1, false), ([1, 1], 1, 2, true),
    ] as [([Term], Term, LogIndex, Bool)])
  func onlyAnUpToDateLogGetsAVote(_ own: [Term], _ logTerm: Term, _ index: LogIndex, _ expected: Bool) throws {
    var node = try core(terms: own)
    node.electionElapsed = 5
    try node.step(Message(.vote, to: 1, from: 2, term: 3, logTerm: logTerm, index: index))
    #expect(node.drain().contains { $0.kind == .voteResponse && $0.isRejected == !expected })
    #expect(node.vote == (expected ? 2 : 0))
    // Giving a vote begins a new wait.
    #expect(node.electionElapsed == 0)
  }

  @Test func whatACandidateAsksNamesItsLastEntry() throws {
    var node = try core(terms: [1, 2, 2])
    node.campaign()
    let asked = node.drain().filter { $0.kind == .vote }
    #expect(asked.count == 2 && asked.allSatisfy { $0.term == 3 && $0.logTerm == 2 && $0.index == 3 })
  }
}

/// The rules of the Raft paper, section 5, one by one: the log.
struct PaperLogTests {
  @Test func aProposalIsSentToAll() throws {
    var node = try core()
    try node.lead()
    for id in [2, 3] as [NodeID] { try node.step(Message(.appendResponse, to: 1, from: id, term: 1, index: 1)) }
    _ = node.drain()
    try node.propose([[7]])
    let sent = node.drain().filter { $0.kind == .append }
    #expect(sent.map(\.to) == [2, 3] && sent.allSatisfy { $0.index == 1 && $0.logTerm == 1 && $0.entries.map(\.payload) == [[7]] && $0.commit == 1 })
    #expect(node.log.committed == 1 && node.log.last == 2)
  }

  @Test(
    .requirement("Raft.keep.3"),
    arguments: [
      (1, [], true), (3, [], false), (3, [2], true), (3, [2, 3], true), (5, [2], false), (5, [2, 3], true), (5, [2, 3, 4, 5], true),
    ] as [(Int, [UInt64], Bool)])
  func aMajorityCommits(_ size: Int, _ acknowledged: [UInt64], _ expected: Bool) throws {
    var node = try core(voters: (1...UInt64(size)).map { NodeID($0) })
    try node.lead()
    for id in node.confState.voters where id != 1 { try node.step(Message(.appendResponse, to: 1, from: id, term: 1, index: 1)) }
    _ = node.drain()
    try node.propose([[7]])
    _ = node.drain()
    for id in acknowledged { try node.step(Message(.appendResponse, to: 1, from: NodeID(id), term: 1, index: 2)) }
    #expect((node.log.committed == 2) == expected)
  }

  @Test(.requirement("Raft.keep.3"))
  func theLeadersOwnEntryCountsOnlyWhenItIsDurable() throws {
    var node = try core { $0.asyncStorage = true }
    node.campaign()
    // The term has to be durable before anybody is asked.
    let asking = node.ready()
    #expect(asking.messages.isEmpty && asking.append?.mustSync == true)
    for response in asking.append!.responses where response.to == 1 { try node.step(response) }
    try node.step(Message(.voteResponse, to: 1, from: 2, term: 1, context: node.incarnation))
    #expect(node.role == .leader)
    let first = node.ready()
    #expect(first.append?.entries.count == 1 && first.messages.contains { $0.kind == .append })
    try node.step(Message(.appendResponse, to: 1, from: 2, term: 1, index: 1))
    #expect(node.log.committed == 0, "one of three holds it durably")
    for response in first.append!.responses where response.to == 1 { try node.step(response) }
    #expect(node.log.committed == 1)
  }

  @Test(.requirement("Raft.keep.3"), arguments: [[], [2], [1], [1, 2]] as [[Term]])
  func earlierEntriesAreCommittedWithTheFirstOfTheTerm(_ terms: [Term]) throws {
    var node = try core(terms: terms, term: 2)
    try node.lead()
    let last = node.log.last
    #expect(node.term == 3 && node.log.committed == 0)
    try node.step(Message(.appendResponse, to: 1, from: 2, term: 3, index: last))
    #expect(node.log.committed == last)
  }

  @Test(.requirement("Raft.keep.3"), arguments: [(1, 0), (2, 0), (3, 3)] as [(LogIndex, LogIndex)])
  func onlyEntriesOfTheTermAreCounted(_ held: LogIndex, _ expected: LogIndex) throws {
    var node = try core(terms: [1, 2])
    try node.lead()
    try node.step(Message(.appendResponse, to: 1, from: 2, term: 3, index: held))
    #expect(node.log.committed == expected)
  }

  @Test(
    .requirement("Raft.keep.8"),
    arguments: [
      ([1], 1, 1), ([1, 1], 1, 1), ([1, 1], 2, 2), ([1], 5, 1),
    ] as [([Term], LogIndex, LogIndex)])
  func aFollowerCommitsWhatTheMessageCovers(_ terms: [Term], _ commit: LogIndex, _ expected: LogIndex) throws {
    var node = try core(term: 1)
    try node.step(Message(.append, to: 1, from: 2, term: 1, commit: commit, entries: log(terms)))
    #expect(node.log.committed == expected)
  }

  @Test(.requirement("Raft.keep.8"))
  func whatLiesBehindTheMessageIsNotCommitted() throws {
    var node = try core(terms: [1, 1, 1])
    try node.step(Message(.append, to: 1, from: 2, term: 2, logTerm: 1, index: 1, commit: 3))
    #expect(node.log.committed == 1)
  }

  @Test(
    .requirement("Raft.keep.7"),
    arguments: [
      (0, 0, false, 0), (1, 1, false, 0), (2, 2, false, 0), (1, 2, true, 1), (2, 3, true, 2), (3, 3, true, 2),
    ] as [(Term, LogIndex, Bool, LogIndex)])
  func anAppendMustFitTheLog(_ logTerm: Term, _ index: LogIndex, _ isRefused: Bool, _ hint: LogIndex) throws {
    var node = try core(terms: [1, 2], commit: 1)
    try node.step(Message(.append, to: 1, from: 2, term: 3, logTerm: logTerm, index: index))
    let answer = try #require(node.drain().first { $0.kind == .appendResponse })
    #expect(answer.isRejected == isRefused)
    if isRefused { #expect(answer.index == index && answer.hint == hint) }
  }

  @Test(
    .requirement("Raft.keep.7"),
    arguments: [
      (2, 2, [3], [1, 2, 3]), (1, 1, [3, 4], [1, 3, 4]), (0, 0, [1], [1, 2]), (0, 0, [3], [3]), (1, 1, [2], [1, 2]), (0, 0, [1, 2], [1, 2]),
    ] as [(Term, LogIndex, [Term], [Term])])
  func conflictsAreReplacedAndNothingElse(_ logTerm: Term, _ index: LogIndex, _ new: [Term], _ expected: [Term]) throws {
    var node = try core(terms: [1, 2])
    try node.step(Message(.append, to: 1, from: 2, term: 4, logTerm: logTerm, index: index, entries: log(new, after: index)))
    #expect(node.terms == expected)
  }

  /// Figure 7 of the paper.
  @Test(
    .requirement("Raft.keep.9"),
    arguments: [
      [1, 1, 1, 4, 4, 5, 5, 6, 6], [1, 1, 1, 4], [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6], [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7], [1, 1, 1, 4, 4, 4, 4],
      [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
    ] as [[Term]])
  func aLeaderMakesEveryLogItsOwn(_ terms: [Term]) throws {
    let own: [Term] = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6]
    var group = try RaftGroup([1, 2, 3])
    group.cores[1] = try core(1, terms: own, term: 8) { $0.seed = 11 }
    group.cores[2] = try core(2, terms: terms, term: 8) { $0.seed = 12 }
    group.cores[3] = try core(3, terms: [], term: 8) { $0.seed = 13 }
    group.loses = { $0.to == 3 && $0.kind != .vote }
    group.elect(1)
    try group.propose("x", at: 1)
    group.heal()
    group.tickAll(2)
    #expect(group[1].terms == own + [9, 9])
    #expect(group[2].terms == group[1].terms && group[3].terms == group[1].terms)
  }

  @Test(.requirement("Raft.keep.4"))
  func aHeartbeatTellsTheCommitMark() throws {
    var node = try core(terms: [1, 1, 1])
    try node.step(Message(.heartbeat, to: 1, from: 2, term: 1, commit: 2))
    #expect(node.log.committed == 2)
    try node.step(Message(.heartbeat, to: 1, from: 2, term: 1, commit: 1))
    #expect(node.log.committed == 2)
  }
}
