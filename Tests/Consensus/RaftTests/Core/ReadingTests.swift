import StrataNodes
import StrataRequirements
import Testing

@testable import StrataRaft

struct ReadingTests {
  @Test func aReadWaitsForAMajority() throws {
    var group = try RaftGroup([1, 2, 3])
    group.elect(1)
    try group[1].readIndex(7)
    group.process(1)
    #expect(group.readStates[1]!.isEmpty)
    group.settle()
    #expect(group.readStates[1] == [ReadState(context: 7, index: 1)])
  }

  @Test func aLeaderCutOffAnswersNoRead() throws {
    var group = try RaftGroup([1, 2, 3])
    group.elect(1)
    group.isolate(1)
    try group[1].readIndex(7)
    group.settle()
    for _ in 0..<9 { group.tickAll() }
    #expect(group[1].role == .leader && group.readStates[1]!.isEmpty)
  }

  @Test func aReadWaitsForTheFirstCommitOfTheTerm() throws {
    var node = try core(terms: [1], commit: 1)
    try node.lead()
    try node.readIndex(7)
    #expect(node.ready().readStates.isEmpty && node.reads.early.count == 1)
    try node.step(Message(.appendResponse, to: 1, from: 2, term: 2, index: 2))
    _ = node.drain()
    try node.step(Message(.heartbeatResponse, to: 1, from: 2, term: 2, context: node.reads.round))
    #expect(node.ready().readStates == [ReadState(context: 7, index: 2)])
  }

  @Test func anOldRoundConfirmsNothing() throws {
    var node = try core()
    try node.lead()
    try node.step(Message(.appendResponse, to: 1, from: 2, term: 1, index: 1))
    node.tick()
    _ = node.drain()
    let old = node.reads.round
    try node.readIndex(7)
    _ = node.drain()
    try node.step(Message(.heartbeatResponse, to: 1, from: 2, term: 1, context: old))
    #expect(node.ready().readStates.isEmpty)
    // Nor does a round that never was.
    try node.step(Message(.heartbeatResponse, to: 1, from: 2, term: 1, context: old + 100))
    #expect(!node.hasReady)
    try node.step(Message(.heartbeatResponse, to: 1, from: 2, term: 1, context: old + 1))
    #expect(node.ready().readStates == [ReadState(context: 7, index: 1)])
  }

  @Test func readsOfOneReadyShareARound() throws {
    var group = try RaftGroup([1, 2, 3])
    group.elect(1)
    group.delivered = []
    for context in 1...100 as ClosedRange<UInt64> { try group[1].readIndex(context) }
    group.settle()
    #expect(group.readStates[1]!.map(\.context) == Array(1...100))
    #expect(group.delivered.filter { $0.kind == .heartbeat }.count == 2)
  }

  @Test func followersAndLearnersAskTheLeader() throws {
    var group = try RaftGroup([1, 2], learners: [3])
    group.elect(1)
    for id in [2, 3] as [NodeID] { try group[id].readIndex(id.rawValue) }
    group.settle()
    #expect(group.readStates[2] == [ReadState(context: 2, index: 1)] && group.readStates[3] == [ReadState(context: 3, index: 1)])
  }

  @Test func anAnswerIsUsedOnce() throws {
    var group = try RaftGroup([1, 2, 3])
    group.elect(1)
    try group[2].readIndex(5)
    group.settle()
    let answer = try #require(group.delivered.first { $0.kind == .readIndexResponse })
    // The client asks again under the same name; the old answer arrives once more.
    try group[2].readIndex(5)
    try group[2].step(answer)
    #expect(group[2].ready().readStates.isEmpty)
  }

  @Test func aLoneVoterConfirmsItself() throws {
    var group = try RaftGroup([1])
    group.elect(1)
    try group[1].readIndex(1)
    group.settle()
    #expect(group.readStates[1] == [ReadState(context: 1, index: 1)])
  }

  @Test func withoutALeaderNobodyCanBeAsked() throws {
    var node = try core()
    #expect(throws: RaftError.noLeader) { try node.readIndex(1) }
  }

  @Test func readsThatWaitAreBounded() throws {
    var node = try core { $0.maxPendingReads = 3 }
    try node.lead()
    for context in 1...3 as ClosedRange<UInt64> { try node.readIndex(context) }
    #expect(throws: RaftError.proposalDropped(.backpressure)) { try node.readIndex(4) }
  }
}

/// Leases, measured from the moment a round of heartbeats was sent.
struct LeaseTests {
  static let drift = 1000

  func leased() throws -> RaftGroup {
    var group = try RaftGroup([1, 2, 3]) {
      $0.readMode = .lease(maxClockDriftPPM: Self.drift)
      $0.tick = .milliseconds(10)
    }
    // Nobody votes before a lease of a former life has run out.
    group.tickAll(10)
    for _ in 0..<100 where group[1].role != .leader {
      group.tick(1)
      group.settle()
    }
    return group
  }

  @Test func aLeaseRunsFromTheQuestionAndEndsEarly() throws {
    var group = try leased()
    group[1].now = Instant(nanoseconds: 1_000_000_000)
    group[1].tick()
    group.process(1)
    // The answers come late; what counts is when they were asked for.
    group[1].now = Instant(nanoseconds: 1_050_000_000)
    group.settle()
    // Nine ticks of 10 ms, less twice the drift of 1000 millionths.
    let end: UInt64 = 1_000_000_000 + 90_000_000 - 180_000
    group[1].now = Instant(nanoseconds: end - 1)
    #expect(group[1].isLeaseValid)
    try group[1].readIndex(3)
    #expect(group[1].ready().readStates == [ReadState(context: 3, index: group[1].log.committed)])
    group[1].now = Instant(nanoseconds: end)
    #expect(!group[1].isLeaseValid)
    // It falls back to asking.
    try group[1].readIndex(4)
    #expect(group[1].ready().readStates.isEmpty)
  }

  @Test func aHandOverForfeitsTheLeaseForTheTerm() throws {
    var group = try leased()
    group[1].now = Instant(nanoseconds: 1_000_000_000)
    group.tick(1)
    group.settle()
    #expect(group[1].isLeaseValid)
    group.loses = { $0.kind == .timeoutNow }
    try group[1].transferLeadership(to: 2)
    #expect(!group[1].isLeaseValid)
    group.tickAll(12)
    #expect(group[1].role == .leader && group[1].status.transferee == 0)
    // The message that was taken for lost may still arrive.
    #expect(!group[1].isLeaseValid)
  }

  @Test func aNodeThatJustCameUpDoesNotVote() throws {
    var group = try leased()
    group.settle()
    group.isolate(1)
    try group.restart(2)
    group[2].tick()
    try group[2].step(Message(.vote, to: 2, from: 3, term: 9, logTerm: 9, index: 9))
    #expect(group[2].vote != 3 && group[2].term < 9)
    for _ in 0..<10 { group[2].tick() }
    try group[2].step(Message(.vote, to: 2, from: 3, term: 9, logTerm: 9, index: 9))
    #expect(group[2].vote == 3)
  }

  @Test func nobodyCampaignsOrForgetsUnderALease() throws {
    var group = try leased()
    group.tickAll()
    group[2].campaign()
    group[2].forgetLeader()
    #expect(group[2].role == .follower && group[2].leader == 1)
  }

  @Test func aLeaseNeedsCheckQuorum() {
    var config = RaftConfig(id: 1, seed: 1)
    config.readMode = .lease(maxClockDriftPPM: 0)
    config.checkQuorum = false
    #expect(throws: RaftConfigError.self) { try config.validate() }
  }
}
