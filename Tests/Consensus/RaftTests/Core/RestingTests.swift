import StrataNodes
import StrataRequirements
import Testing

@testable import StrataRaft

/// Groups of which nothing is asked.
struct RestingTests {
  static func group(_ members: [NodeID] = [1, 2, 3], learners: [NodeID] = [], lease: Bool = false) throws -> RaftGroup {
    var group = try RaftGroup(members, learners: learners) { config in
      config.restTicks = 5
      if lease { config.readMode = .lease(maxClockDriftPPM: 0) }
    }
    // A member that has just come up may have promised a lease in its former life.
    if lease { for id in group.ids { group.tick(id, times: 10) } }
    group.elect(1)
    try group.propose("a", at: 1)
    group.settle()
    return group
  }

  static func rested(_ members: [NodeID] = [1, 2, 3], lease: Bool = false) throws -> RaftGroup {
    var group = try group(members, lease: lease)
    group.tickAll(8)
    #expect(members.allSatisfy { group[$0].isResting })
    return group
  }

  @Test func anIdleGroupSendsNothing() throws {
    var group = try Self.rested()
    #expect(group[1].statistics.rests == 1)
    group.delivered = []
    let terms = group.ids.map { group[$0].status.term }
    group.tickAll(1000)
    #expect(group.delivered.isEmpty && group[1].role == .leader && group.ids.map { group[$0].status.term } == terms)
  }

  @Test func aGroupThatMayNotRestDoesNot() throws {
    var group = try RaftGroup([1, 2, 3])
    group.elect(1)
    group.tickAll(100)
    #expect(group.ids.allSatisfy { !group[$0].isResting })
  }

  @Test func aGroupOfOneRests() throws { _ = try Self.rested([1]) }

  @Test func whoeverIsAskedWakesTheOthers() throws {
    for asked in [1, 2] as [NodeID] {
      var group = try Self.rested()
      try group.propose("b", at: asked)
      group.settle()
      group.tickAll()
      #expect(group.ids.allSatisfy { group.texts($0) == ["a", "b"] && !group[$0].isResting })
      group.tickAll(20)
      #expect(group.ids.allSatisfy { group[$0].isResting })
      try group[asked].readIndex(9)
      group.settle()
      #expect(group.readStates[asked]?.map(\.context) == [9])
    }
  }

  @Test func aLeaseIsNotHeldByWhoRests() throws {
    var group = try Self.rested(lease: true)
    let start = group[1].now
    group[1].now = start + .seconds(3600)
    #expect(!group[1].isLeaseValid)
    group.isolate(1)
    try group[1].readIndex(9)
    group.settle()
    #expect(group.readStates[1]!.isEmpty)
    // Nor does it go on leading for longer than one that never rested.
    group.tickAll(20)
    #expect(group[1].role != .leader)
  }

  @Test func nobodyRestsWhileAMemberIsMissingOrBehind() throws {
    var group = try Self.group()
    group.isolate(3)
    try group.propose("b", at: 1)
    group.settle()
    group.tickAll(60)
    #expect(!group[1].isResting && !group[2].isResting)
    group.heal()
    group.tickAll(60)
    #expect(group.ids.allSatisfy { group[$0].isResting && group.texts($0) == ["a", "b"] })
  }

  @Test func aLearnerHasToAgree() throws {
    var group = try Self.group([1, 2], learners: [3])
    group.isolate(3)
    group.tickAll(60)
    #expect(!group[1].isResting)
    group.heal()
    group.tickAll(30)
    #expect(group.ids.allSatisfy { group[$0].isResting })
  }

  @Test(.requirement("Raft.keep.9")) func aRestingGroupWhoseLeaderIsGoneElectsAnotherWhenAsked() throws {
    var group = try Self.rested()
    group.isolate(1)
    group.tickAll(100)
    #expect(group[1].role == .leader)
    // The question wakes one; when nobody answers, that one wakes the other.
    try group[2].readIndex(9)
    group.settle()
    group.tickAll(80)
    #expect([2, 3].contains { group[$0].role == .leader })
    group.heal()
    group.tickAll(20)
    #expect(group.ids.filter { group[$0].role == .leader }.count == 1)
  }

  @Test func aMemberThatComesUpAgainFindsItsLeader() throws {
    var group = try Self.rested()
    try group.restart(3)
    group.tickAll(60)
    #expect(group[1].role == .leader && group[3].status.leader == 1 && group[1].status.term == group[3].status.term)
    #expect(group.ids.allSatisfy { group[$0].isResting })
  }

  @Test func aLateOfferIsNoneToWhoseLogGoesOn() throws {
    var group = try Self.rested()
    let last = group[2].status.last
    try group.propose("b", at: 1)
    group.settle()
    let offer = Message(.heartbeat, to: 2, from: 1, term: group[1].status.term, logTerm: last.term, index: last.index, commit: last.index, context: 1)
    try group[2].step(offer)
    #expect(!group[2].isResting)
    // Nor does an old answer let the leader rest.
    group.tickAll(2)
    try group[1].step(Message(.heartbeatResponse, to: 1, from: 2, term: group[1].status.term, logTerm: last.term, index: last.index, context: 1))
    try group[1].step(Message(.heartbeatResponse, to: 1, from: 3, term: group[1].status.term, logTerm: last.term, index: last.index, context: 1))
    #expect(!group[1].isResting)
  }
}

/// The same at members that have timers, clients and machines.
struct RestingNodeTests {
  @Test func aMemberThatRestsHasNoTimer() throws {
    var knobs = RaftKnobs()
    knobs.restTicks = 5
    var rig = try NodeRig(knobs: knobs)
    let elected = rig.elect()
    let leader = try #require(elected)
    _ = rig.ask([.command([1])], of: leader)
    rig.tick(20)
    #expect(rig.nodes.values.allSatisfy { $0.core.isResting && !$0.isTicking })
    rig.forgetCounts()
    let follower = try #require(rig.nodes.keys.sorted().first { $0 != leader })
    let sessions = rig.ask([.command([2]), .query([])], of: follower)
    #expect(rig.nodes[follower]?.isTicking == true)
    rig.tick(3)
    #expect(rig.replies[sessions[0]] == .answer([2]) && rig.replies[sessions[1]] != nil)
    rig.tick(20)
    #expect(rig.nodes.values.allSatisfy { $0.core.isResting && !$0.isTicking })
  }

  @Test func whatIsNotAnsweredIsAskedAgainByWhoRests() throws {
    var knobs = RaftKnobs()
    knobs.restTicks = 5
    knobs.repeatTicks = 3
    var rig = try NodeRig(knobs: knobs)
    let elected = rig.elect()
    let leader = try #require(elected)
    let follower = try #require(rig.nodes.keys.sorted().first { $0 != leader })
    _ = rig.ask([.command([1])], of: follower)
    rig.tick(20)
    rig.cut = [leader]
    let sessions = rig.ask([.command([2])], of: follower)
    #expect(rig.replies[sessions[0]] == nil)
    rig.cut = []
    rig.tick(20)
    #expect(rig.replies[sessions[0]] == .answer([2]))
  }

  @Test func aStateTooLargeForASnapshotIsRefusedRatherThanLost() throws {
    var knobs = RaftKnobs()
    knobs.maxSnapshotBytes = 500
    knobs.compactBytes = 200
    knobs.compactEntries = 10
    knobs.keptEntries = 0
    var rig = try NodeRig(1, knobs: knobs)
    let elected = rig.elect()
    let leader = try #require(elected)
    var refusal: String?
    var answered = 0
    for number in 0..<200 where refusal == nil {
      let session = rig.ask([.command([UInt8](repeating: UInt8(number % 200), count: 40))], of: leader)[0]
      if case .refused(let why) = rig.replies[session] { refusal = why } else { answered += 1 }
    }
    #expect(refusal?.contains("exceeds maxSnapshotBytes (500)") == true)
    #expect(answered < 60 && rig.checkpoints > 0 && rig.nodes[leader]?.state.tape.count == answered)
    #expect(rig.nodes[leader]?.core.status.logBytes ?? 0 >= 800)
  }

  @Test func aCommitMarkAloneIsNotWaitedFor() throws {
    var rig = try NodeRig()
    let elected = rig.elect()
    let leader = try #require(elected)
    _ = rig.ask([.command([0])], of: leader)
    rig.tick(3)
    rig.forgetCounts()
    for number in 1...10 as ClosedRange<UInt8> { _ = rig.ask([.command([number])], of: leader) }
    // One sync at each of three members for each command: what tells followers of the commit makes them wait for nothing.
    #expect(rig.syncs == 30)
  }
}
