import StrataNodes
import StrataRequirements
import Testing

@testable import StrataRaft

@Suite struct RaftNodeTests {
  private func commands(_ range: ClosedRange<UInt8>) -> [NodeRig.N.Request] { range.map { .command([$0]) } }

  @Test func commandsThatComeTogetherAreOneAppendAndOneWrite() throws {
    var rig = try NodeRig()
    let elected = rig.elect()
    let leader = try #require(elected)
    _ = rig.ask([.command([0])], of: leader)
    rig.forgetCounts()
    let sessions = rig.ask(commands(1...50), of: leader)
    #expect(sessions.allSatisfy { rig.replies[$0] != nil })
    let appends = rig.sent.filter { $0.1.kind == .append && !$0.1.entries.isEmpty }
    #expect(appends.map { $0.1.entries.count } == [50, 50])
    #expect(rig.nodes[leader]?.state.tape.map { $0[0] } == Array(0...50))
    // Its own, and one at each follower; commit marks ride along.
    #expect(rig.persists <= 8)
  }

  @Test func commandsAtAFollowerArePassedOnTogether() throws {
    var rig = try NodeRig()
    let elected = rig.elect()
    let leader = try #require(elected)
    let follower = try #require(rig.nodes.keys.sorted().first { $0 != leader })
    _ = rig.ask([.command([0])], of: follower)
    rig.tick(3)
    rig.forgetCounts()
    let sessions = rig.ask(commands(1...40), of: follower)
    rig.tick(2)
    #expect(sessions.allSatisfy { rig.replies[$0] != nil })
    #expect(rig.sent.filter { $0.1.kind == .propose }.map { $0.1.entries.count } == [40])
  }

  @Test func oneMessageTakesOnlySoMuch() throws {
    var knobs = RaftKnobs()
    knobs.maxBytesPerMessage = 10
    var rig = try NodeRig(knobs: knobs)
    let elected = rig.elect()
    let leader = try #require(elected)
    let sessions = rig.ask((0..<9).map { .command([UInt8]($0...$0 + 3)) }, of: leader)
    #expect(sessions.allSatisfy { rig.replies[$0] != nil })
    #expect(rig.nodes[leader]?.state.tape.count == 9)
  }

  @Test func aWindowThatIsFullMovesOn() throws {
    var knobs = RaftKnobs()
    knobs.sessionWindow = 4
    var rig = try NodeRig(knobs: knobs)
    let elected = rig.elect()
    let leader = try #require(elected)
    let sessions = rig.ask(commands(1...100), of: leader)
    rig.tick(2)
    #expect(sessions.allSatisfy { rig.replies[$0] != nil })
    #expect(rig.nodes[leader]?.state.tape.map { $0[0] } == Array(1...100))
  }

  @Test(.requirement("Raft.keep.10")) func commandsWithoutALeaderWait() throws {
    var rig = try NodeRig()
    let sessions = rig.ask(commands(1...3), of: 1)
    #expect(rig.replies.isEmpty)
    #expect(rig.elect() != nil)
    rig.tick(30)
    #expect(sessions.allSatisfy { rig.replies[$0] != nil })
    #expect(rig.nodes[1]?.state.tape.map { $0[0] } == [1, 2, 3])
  }

  @Test func commandsThatNoEntryHoldsAreRefused() throws {
    var rig = try NodeRig()
    let elected = rig.elect()
    let leader = try #require(elected)
    let session = rig.ask([.command([UInt8](repeating: 0, count: 9 << 20))], of: leader)[0]
    guard case .refused(let why) = rig.replies[session] else { throw Failure("not refused") }
    #expect(why.contains("9437184 bytes"))
  }

  @Test func moreRequestsThanAMemberHoldsAreRefused() throws {
    var knobs = RaftKnobs()
    knobs.maxOpenRequests = 5
    var rig = try NodeRig(knobs: knobs)
    let sessions = rig.ask(commands(1...3) + [.query([]), .query([]), .command([9]), .query([])], of: 1)
    #expect(rig.replies.count == 2)
    #expect(sessions.suffix(2).allSatisfy { if case .refused = rig.replies[$0] { true } else { false } })
  }

  @Test func bytesThatAMemberHoldsAreBounded() throws {
    var knobs = RaftKnobs()
    knobs.maxOpenBytes = 100
    var rig = try NodeRig(knobs: knobs)
    let big = [UInt8](repeating: 1, count: 60)
    let sessions = rig.ask([.command(big), .command(big), .command(big)], of: 1)
    #expect(rig.replies.count == 1)
    guard case .refused = rig.replies[sessions[2]] else { throw Failure("not refused") }
    rig.give([.cancelled(sessions[0]), .cancelled(sessions[1])], to: 1)
    let next = rig.ask([.command(big)], of: 1)
    #expect(rig.replies[next[0]] == nil)
  }

  // MARK: Reads

  @Test func questionsThatComeTogetherAskTheLeaderOnce() throws {
    var rig = try NodeRig()
    let elected = rig.elect()
    let leader = try #require(elected)
    let follower = try #require(rig.nodes.keys.sorted().first { $0 != leader })
    _ = rig.ask([.command([1])], of: leader)
    rig.tick(2)
    rig.forgetCounts()
    let sessions = rig.ask([NodeRig.N.Request](repeating: .query([]), count: 30), of: follower)
    rig.tick(2)
    #expect(sessions.allSatisfy { rig.replies[$0] == .answer([1]) })
    #expect(rig.sent.filter { $0.1.kind == .readIndex }.count == 1)
  }

  @Test func staleQuestionsNeedNoMessageWhileTheMemberIsFresh() throws {
    var rig = try NodeRig()
    let elected = rig.elect()
    let leader = try #require(elected)
    let follower = try #require(rig.nodes.keys.sorted().first { $0 != leader })
    _ = rig.ask([.command([1])], of: leader)
    rig.tick(2)
    let limit = Duration.milliseconds(100)
    let first = rig.ask([.staleQuery([], within: limit)], of: follower)
    rig.tick(1)
    #expect(rig.replies[first[0]] == .answer([1]))
    // Cut off, the follower may answer as long as what it was told last is young enough, and not longer.
    rig.cut = [follower]
    rig.forgetCounts()
    let second = rig.ask([.staleQuery([], within: limit)], of: follower)
    #expect(rig.replies[second[0]] == .answer([1]))
    #expect(rig.sent.isEmpty)
    rig.tick(8)
    let third = rig.ask([.staleQuery([], within: limit)], of: follower)
    rig.tick(5)
    #expect(rig.replies[third[0]] == nil)
  }

  // MARK: Compaction and failure

  @Test(.requirement("Raft.never.3")) func aLogIsCompactedByBytes() throws {
    var knobs = RaftKnobs()
    knobs.compactBytes = 1000
    knobs.keptEntries = 2
    var rig = try NodeRig(knobs: knobs)
    let elected = rig.elect()
    let leader = try #require(elected)
    for _ in 0..<50 { _ = rig.ask([.command([UInt8](repeating: 3, count: 100))], of: leader) }
    rig.tick(3)
    for node in rig.nodes.values { #expect(node.core.status.logBytes < 2500) }
    #expect(rig.checkpoints > 3)
  }

  @Test func aMachineThatCannotSnapshotKeepsItsLog() throws {
    var knobs = RaftKnobs()
    knobs.compactBytes = 100
    var rig = try NodeRig(knobs: knobs)
    let elected = rig.elect()
    let leader = try #require(elected)
    _ = rig.ask([.command([254])], of: leader)
    for _ in 0..<20 { _ = rig.ask([.command([UInt8](repeating: 3, count: 100))], of: leader) }
    #expect(rig.checkpoints == 0)
    #expect(rig.nodes[leader]?.core.status.logBytes ?? 0 > 2000)
    #expect(rig.halts.isEmpty)
  }

  @Test func aMachineThatFailedStopsItsMember() throws {
    var rig = try NodeRig()
    let elected = rig.elect()
    let leader = try #require(elected)
    _ = rig.ask([.command([255])], of: leader)
    rig.tick(2)
    #expect(rig.halts.values.sorted() == ["told to break", "told to break", "told to break"])
  }

  @Test func theMachinesPartOfASnapshotCanBeHad() throws {
    var knobs = RaftKnobs()
    knobs.compactBytes = 100
    var rig = try NodeRig(knobs: knobs)
    let elected = rig.elect()
    let leader = try #require(elected)
    for number in 0..<20 as Range<UInt8> { _ = rig.ask([.command([UInt8](repeating: number, count: 30))], of: leader) }
    let snapshot = try #require(rig.nodes[leader]?.core.snapshot)
    var machine = TapeMachine()
    #expect(machine.restore(try #require(NodeRig.N.machineState(in: snapshot))))
    #expect(machine.tape.first == [UInt8](repeating: 0, count: 30))
    #expect(NodeRig.N.machineState(in: Snapshot(place: LogPlace(term: 1, index: 1), confState: ConfState(), data: [])) == nil)
  }

  private struct Failure: Error {
    init(_ description: String) {}
  }
}

@Suite struct OpenRequestsTests {
  private func command(_ number: UInt64) -> OpenCommands.Command {
    OpenCommands.Command(client: SessionID(number), bytes: [UInt8(truncatingIfNeeded: number)], asked: number)
  }

  @Test func numbersFollowEachOtherWhateverIsDoneFirst() {
    var open = OpenCommands()
    var random = Random(seed: 3)
    var model: [UInt64: UInt64] = [:]
    var next: UInt64 = 1
    for _ in 0..<20_000 {
      if random.chance(1, in: 2) || model.isEmpty {
        #expect(open.next == next)
        open.append(command(next))
        model[next] = next
        next += 1
      } else {
        let number = model.keys.sorted()[min(random.below(4), model.count - 1)]
        #expect(open.remove(number)?.client == SessionID(number))
        #expect(open.remove(number) == nil)
        model[number] = nil
      }
      #expect(open.count == model.count)
      #expect(open.oldest == model.keys.min() ?? next)
    }
    var seen: [UInt64] = []
    open.repeatAsked(upTo: .max - 1, now: .max) { number, _ in seen.append(number) }
    #expect(seen == model.keys.sorted())
    open.repeatAsked(upTo: .max - 1, now: .max) { _, _ in Issue.record("asked twice") }
  }

  @Test func aSessionKeepsAsManyAnswersAsItsWindow() {
    var table = SessionTable()
    let session = table.open(by: 9, window: 3, at: 5)
    #expect(table.open(by: 9, window: 3, at: 6) == session)
    for number in 1...10 as ClosedRange<UInt64> {
      #expect(table.look(session, number, at: 6) == .fresh)
      table.note([UInt8(number)], session, number)
    }
    #expect(table.look(session, 10, at: 7) == .repeated([10]))
    #expect(table.look(session, 8, at: 7) == .repeated([8]))
    #expect(table.look(session, 7, at: 7) == .tooOld)
    #expect(table.look(session, 11, at: 7) == .fresh)
  }
}
