import StrataNodes
import StrataRequirements
import Testing

@testable import StrataRaft

struct MembershipTests {
  func changed(_ group: inout RaftGroup, at id: NodeID, _ steps: [ConfChange.Step], _ transition: ConfChange.Transition = .auto) throws {
    try group[id].proposeConfChange(ConfChange(steps, transition: transition))
    group.settle()
  }

  @Test func aVoterIsAddedAndCaughtUp() throws {
    var group = try RaftGroup([1])
    group.elect(1)
    try group.propose("a", at: 1)
    group.settle()
    try group.addStranger(2)
    try changed(&group, at: 1, [.addVoter(2)])
    group.tickAll(3)
    #expect(group[2].confState == ConfState(voters: [1, 2]) && group[2].log.last == group[1].log.last)
  }

  @Test func severalVotersChangeJointlyAndByThemselves() throws {
    var group = try RaftGroup([1, 2, 3])
    group.elect(1)
    for id in [4, 5] as [NodeID] { try group.addStranger(id) }
    try changed(&group, at: 1, [.addVoter(4), .addVoter(5), .remove(2), .remove(3)])
    group.tickAll(3)
    for id in [1, 4, 5] as [NodeID] { #expect(group[id].confState == ConfState(voters: [1, 4, 5]), "\(id)") }
    try group.propose("a", at: 1)
    group.settle()
    #expect(group.texts(5) == ["a"])
  }

  @Test(.requirement("Raft.never.11"))
  func aJointConfigurationNeedsBothMajorities() throws {
    var group = try RaftGroup([1, 2, 3])
    group.elect(1)
    for id in [4, 5] as [NodeID] { try group.addStranger(id) }
    try changed(&group, at: 1, [.addVoter(4), .addVoter(5), .remove(2), .remove(3)], .explicit)
    group.tickAll(2)
    #expect(group[1].confState.isJoint)
    // The new voters alone are not enough, nor are the old.
    for cut in [[2, 3], [4, 5]] as [[NodeID]] {
      group.loses = { cut.contains($0.from) || cut.contains($0.to) }
      let before = group[1].log.committed
      try group.propose("\(cut)", at: 1)
      group.settle()
      #expect(group[1].log.committed == before)
      group.heal()
      group.tickAll(2)
      #expect(group[1].log.committed > before)
    }
    try changed(&group, at: 1, [])
    #expect(group[1].confState == ConfState(voters: [1, 4, 5]))
  }

  @Test func aDemotedVoterLearnsWhenTheJointConfigurationIsLeft() throws {
    var group = try RaftGroup([1, 2, 3])
    group.elect(1)
    try changed(&group, at: 1, [.addLearner(3)], .explicit)
    #expect(group[1].confState == ConfState(voters: [1, 2], outgoing: [1, 2, 3], learnersNext: [3]))
    try changed(&group, at: 1, [])
    #expect(group[1].confState == ConfState(voters: [1, 2], learners: [3]))
    #expect(group[1].members[3]?.isLearner == true)
  }

  @Test func aLeaderThatIsRemovedStepsDown() throws {
    var group = try RaftGroup([1, 2, 3])
    group.elect(1)
    try changed(&group, at: 1, [.remove(1)])
    #expect(group[1].role == .follower && group[2].confState == ConfState(voters: [2, 3]))
    for _ in 0..<100 where group.leader == nil { group.tickAll() }
    #expect(group.leader == 2 || group.leader == 3)
    #expect(group[1].role == .follower)
  }

  @Test func oneChangeAtATime() throws {
    var node = try core()
    try node.lead()
    // Before the first commit of the term the members themselves are uncertain.
    #expect(throws: RaftError.confChangeRefused("this leader has not committed an entry in its term yet")) {
      try node.proposeConfChange(ConfChange([.addVoter(4)]))
    }
    try node.step(Message(.appendResponse, to: 1, from: 2, term: 1, index: 1))
    _ = node.drain()
    try node.proposeConfChange(ConfChange([.addVoter(4)]))
    #expect(throws: RaftError.confChangeRefused("another change (at index 2) is not applied yet; 1 is")) {
      try node.proposeConfChange(ConfChange([.addVoter(5)]))
    }
  }

  @Test func impossibleChangesAreRefused() throws {
    var group = try RaftGroup([1])
    group.elect(1)
    for (steps, transition) in [([.remove(1)], .auto), ([], .auto)] as [([ConfChange.Step], ConfChange.Transition)] {
      let before = group[1].log.last
      #expect(throws: RaftError.self) { try group[1].proposeConfChange(ConfChange(steps, transition: transition)) }
      #expect(group[1].log.last == before)
    }
  }

  @Test func anImpossibleChangeInTheLogIsNoChange() throws {
    var node = try core(voters: [1, 2])
    let bad = [
      Entry(term: 1, index: 1, kind: .confChange, payload: ConfChange([.remove(1), .remove(2)], transition: .implicit).encoded),
      Entry(term: 1, index: 2, kind: .confChange, payload: [9, 9, 9]), Entry(term: 1, index: 3, kind: .confChange),
    ]
    try node.step(Message(.append, to: 1, from: 2, term: 1, commit: 3, entries: bad))
    _ = node.drain()
    #expect(node.confState == ConfState(voters: [1, 2]) && node.statistics.confChangesIgnored == 3 && node.log.applied == 3)
  }

  @Test func whoKnowsOfAnUnappliedChangeDoesNotCampaign() throws {
    var node = try core { $0.asyncStorage = true }
    let entry = Entry(term: 1, index: 1, kind: .confChange, payload: ConfChange([.addVoter(4)]).encoded)
    try node.step(Message(.append, to: 1, from: 2, term: 1, commit: 1, entries: [entry]))
    node.campaign()
    #expect(node.role == .follower)
  }

  /// The longest log is that of a member that knows it was demoted; the others do not know, and need its vote as long as they do not.
  @Test func aDemotionThatOnlyTheDemotedKnowsStopsNobody() throws {
    var group = try RaftGroup([1, 2, 3, 4])
    let entries = [
      Entry(term: 1, index: 1), Entry(term: 1, index: 2, kind: .confChange, payload: ConfChange([.addLearner(4)]).encoded),
      Entry(term: 1, index: 3),
    ]
    for id in [2, 3, 4] as [NodeID] {
      group.disks[id]?.entries = Array(entries.prefix(id == 4 ? 3 : 2))
      group.disks[id]?.hardState = HardState(term: 1, commit: id == 4 ? 2 : 1)
      try group.restart(id)
    }
    group.isolate(1)
    group.settle()
    #expect(group[4].confState.learners == [4] && group[2].confState.voters == [1, 2, 3, 4])
    for _ in 0..<200 where group.leader == nil { group.tickAll() }
    #expect(group.leader == 2 || group.leader == 3)
    group.tickAll(3)
    #expect(group.ids.dropFirst().allSatisfy { group[$0].confState == ConfState(voters: [1, 2, 3], learners: [4]) })
  }

  @Test func aNewLeaderLeavesAJointConfigurationAfterItsFirstCommit() throws {
    var group = try RaftGroup([1, 2, 3, 4, 5])
    group.elect(1)
    // The change is committed everywhere, and the leader is gone before it can leave the joint configuration.
    group.loses = { $0.entries.contains { $0.kind == .confChange && $0.payload.isEmpty } }
    try changed(&group, at: 1, [.addLearner(5)], .implicit)
    group.tickAll(1)
    #expect(group[2].confState == ConfState(voters: [1, 2, 3, 4], outgoing: [1, 2, 3, 4, 5], learnersNext: [5], autoLeave: true))
    group.isolate(1)
    for _ in 0..<200 where group.ids.dropFirst().allSatisfy({ group[$0].role != .leader }) { group.tickAll() }
    group.tickAll(3)
    for id in group.ids.dropFirst() { #expect(group[id].confState == ConfState(voters: [1, 2, 3, 4], learners: [5])) }
  }

  @Test func changesSurviveBeingWritten() {
    let steps: [ConfChange.Step] = [.addVoter(1), .addLearner(.init(.max)), .remove(3), .update(4)]
    for transition in [ConfChange.Transition.auto, .implicit, .explicit] {
      let change = ConfChange(steps, transition: transition, context: [1, 2, 3])
      #expect(ConfChange(decoding: change.encoded) == change)
      for end in 1..<40 { #expect(ConfChange(decoding: Array(change.encoded.prefix(end))) == nil) }
    }
    #expect(ConfChange().encoded.isEmpty && ConfChange(decoding: []) == ConfChange())
  }
}
