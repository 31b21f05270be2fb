import StrataNodes
import StrataRequirements
import Testing

@testable import StrataRaft

/// Snapshots, compaction, storage that answers in its own time, and nodes that lost what they had.
struct StorageTests {
  func snapshot(_ group: inout RaftGroup, at id: NodeID) throws {
    let applied = group[id].log.applied
    group[id].offerSnapshot(
      Snapshot(place: LogPlace(term: try #require(group[id].log.term(at: applied)), index: applied), confState: group[id].confState, data: [42]))
    try group[id].compact(to: applied)
  }

  @Test func aFollowerBehindTheLogGetsASnapshot() throws {
    var group = try RaftGroup([1, 2, 3])
    group.elect(1)
    group.isolate(3)
    for text in ["a", "b", "c"] { try group.propose(text, at: 1) }
    group.settle()
    try snapshot(&group, at: 1)
    try group.propose("d", at: 1)
    group.heal()
    group.tickAll(5)
    #expect(group[3].log.last == group[1].log.last && group.disks[3]?.snapshot?.data == [42])
    #expect(group.texts(3) == ["d"] && group[3].statistics.snapshotsReceived == 1)
    // A snapshot that ends before what is committed is old news.
    let before = group[3].status
    try group[3].step(
      Message(.snapshot, to: 3, from: 1, term: 1, snapshot: Snapshot(place: LogPlace(term: 1, index: 2), confState: before.confState)))
    #expect(group[3].status.last == before.last)
  }

  @Test func whoTakesNoSnapshotIsAskedAgain() throws {
    var group = try RaftGroup([1, 2, 3])
    group.elect(1)
    group.isolate(3)
    try group.propose("a", at: 1)
    group.settle()
    try snapshot(&group, at: 1)
    group.loses = { $0.kind == .snapshot }
    group.tickAll(3)
    #expect(group[1].members[3]?.state == .snapshot(pending: 2))
    group[1].reportSnapshot(3, arrived: false)
    group.heal()
    group.tickAll(3)
    #expect(group[3].log.last == 2 && group[1].members[3]?.state == .replicate)
  }

  @Test(.requirement("Raft.never.3"))
  func theLogStaysShortAndItsIndexesRight() throws {
    var group = try RaftGroup([1, 2, 3])
    group.elect(1)
    for round in 1...200 as ClosedRange<UInt64> {
      try group[1].propose((0..<50).map { [UInt8($0)] })
      group.settle()
      for id in group.ids {
        try snapshot(&group, at: id)
        #expect(group[id].log.bytes == 0 && group[id].status.last.index == round * 50 + 1)
        #expect(group[id].log.term(at: round * 50) == nil && group[id].log.term(at: round * 50 + 1) == 1)
      }
    }
    #expect(group.applied[2]!.map(\.index) == Array(1...10_001))
  }

  @Test func compactionKnowsItsLimits() throws {
    var group = try RaftGroup([1])
    group.elect(1)
    #expect(throws: RaftError.cannotCompact(to: 1, applied: 1, snapshot: 0)) { try group[1].compact(to: 1) }
    try snapshot(&group, at: 1)
    #expect(throws: RaftError.cannotCompact(to: 2, applied: 1, snapshot: 1)) { try group[1].compact(to: 2) }
  }

  @Test(.requirement("Raft.never.4"))
  func everythingIsAppliedOnceInOrderAndGoesOnWhereItWas() throws {
    var group = try RaftGroup([1, 2, 3]) { $0.maxApplyBytesPerReady = 64 }
    group.elect(1)
    for number in 0..<100 { try group[1].propose([[UInt8(number)]]) }
    group.settle()
    for id in group.ids { #expect(group.applied[id]!.map(\.index) == Array(1...101)) }
    var config = RaftConfig(id: 2, seed: 99)
    config.preVote = false
    let disk = group.disks[2]!
    var node = try RaftCore(
      config: config, initial: InitialState(hardState: disk.hardState, confState: disk.conf, entries: disk.entries, applied: 60))
    var applied: [LogIndex] = []
    while node.hasReady {
      let ready = node.ready()
      applied += ready.apply?.entries.map(\.index) ?? []
      node.advance(ready)
    }
    #expect(applied == Array(61...101))
  }

  @Test(.requirement("Raft.never.5"))
  func promisesSurviveARestart() throws {
    var group = try RaftGroup([1, 2, 3]) { $0.preVote = false }
    group[1].campaign()
    group.process(1)
    let question = group.inFlight.first { $0.to == 2 }!
    try group[2].step(question)
    group.process(2)
    try group.restart(2)
    #expect(group[2].term == 1 && group[2].vote == 1)
    try group[2].step(Message(.vote, to: 2, from: 3, term: 1, logTerm: 9, index: 9))
    #expect(group[2].drain().contains { $0.isRejected })
  }

  @Test func aStateThatContradictsItselfIsRefused() throws {
    let conf = ConfState(voters: [1])
    let bad = [
      InitialState(confState: conf, applied: 5), InitialState(hardState: HardState(term: 1, commit: 9), confState: conf),
      InitialState(hardState: HardState(term: 1), confState: conf, entries: log([2])),
      InitialState(hardState: HardState(term: 9), confState: conf, entries: log([2, 1])),
      InitialState(hardState: HardState(term: 9), confState: conf, entries: log([2], after: 3)),
      InitialState(confState: ConfState(voters: [1], learners: [1])), InitialState(hardState: HardState(term: .max), confState: conf),
    ]
    for state in bad { #expect(throws: RaftError.self) { try RaftCore(config: RaftConfig(id: 1, seed: 1), initial: state) } }
    #expect(throws: RaftError.self) { try RaftCore(config: RaftConfig(id: 0, seed: 1), initial: InitialState(confState: conf)) }
  }

  // MARK: Storage in its own time

  @Test func appendsAreAnsweredWhenTheyAreDurable() throws {
    var node = try core(2) { $0.asyncStorage = true }
    try node.step(Message(.append, to: 2, from: 1, term: 1, entries: log([1, 1])))
    let first = try #require(node.ready().append)
    try node.step(Message(.append, to: 2, from: 1, term: 1, logTerm: 1, index: 2, commit: 2, entries: log([1], after: 2)))
    let second = node.ready()
    // Nothing waits for the first write, but nothing is applied before it.
    #expect(second.append?.entries.map(\.index) == [3] && second.apply == nil && second.messages.isEmpty)
    #expect(first.responses.filter { $0.kind == .appendResponse }.map(\.index) == [2])
    for response in first.responses where response.to == 2 { try node.step(response) }
    let apply = try #require(node.ready().apply)
    #expect(apply.entries.map(\.index) == [1, 2] && node.log.stable == 2)
  }

  @Test func anAnswerForEntriesThatWereReplacedCountsForNothing() throws {
    var node = try core(2) { $0.asyncStorage = true }
    try node.step(Message(.append, to: 2, from: 1, term: 1, entries: log([1, 1])))
    let first = try #require(node.ready().append)
    // Another leader replaces them by as many.
    try node.step(Message(.append, to: 2, from: 3, term: 2, entries: log([2, 2])))
    let second = try #require(node.ready().append)
    for response in first.responses where response.to == 2 { try node.step(response) }
    #expect(node.log.stable == 0)
    for response in second.responses where response.to == 2 { try node.step(response) }
    #expect(node.log.stable == 2)
  }

  // MARK: Lost records

  @Test func aNodeThatLostItsDiskIsMadeWholeBeforeItCounts() throws {
    var group = try RaftGroup([1, 2, 3])
    group.elect(1)
    try group.propose("a", at: 1)
    group.settle()
    group.disks[3] = RaftGroup.Disk(conf: ConfState(voters: [1, 2, 3]))
    try group.restart(3, isDamaged: true)
    #expect(group[3].isRepairing)
    // It does not know whom it voted for, so it gives no vote.
    try group[3].step(Message(.vote, to: 3, from: 2, term: 9, logTerm: 9, index: 9))
    #expect(group[3].vote == 0 && group[3].term == 0)
    group.tickAll(60)
    #expect(!group[3].isRepairing && group.texts(3) == ["a"] && group[3].statistics.repairs == 1)
    #expect(group[1].term > 1, "the leader of the lost promises had to go")
    group.isolate(1)
    for _ in 0..<200 where group.leader == 1 || group.leader == nil { group.tickAll() }
    try group.propose("b", at: try #require(group.leader))
    group.settle()
    #expect(group.texts(3) == ["a", "b"])
  }

  @Test func itWaitsForEveryMember() throws {
    var group = try RaftGroup([1, 2, 3])
    group.elect(1)
    group.disks[3] = RaftGroup.Disk(conf: ConfState(voters: [1, 2, 3]))
    try group.restart(3, isDamaged: true)
    group.loses = { $0.from == 2 && $0.to == 3 }
    group.tickAll(60)
    #expect(group[3].isRepairing && group[3].log.last == 0)
    group.heal()
    group.tickAll(60)
    #expect(!group[3].isRepairing && group[3].log.last == group[1].log.last)
  }

  @Test func aRepairThatWasInterruptedGoesOn() throws {
    var group = try RaftGroup([1, 2, 3])
    group.elect(1)
    group.disks[3] = RaftGroup.Disk(conf: ConfState(voters: [1, 2, 3]))
    try group.restart(3, isDamaged: true)
    group.loses = { $0.to == 3 && [.append, .heartbeat].contains($0.kind) }
    group.tickAll(11)
    group.process(3)
    #expect(group.disks[3]!.hardState.repairFloor == 1)
    try group.restart(3)
    #expect(group[3].isRepairing && group[3].survey == nil)
    group.heal()
    group.tickAll(60)
    #expect(!group[3].isRepairing && group.disks[3]!.hardState.repairFloor == 0)
  }
}
