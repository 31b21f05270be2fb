import StrataNodes
import StrataRequirements
import Synchronization
import Testing

@testable import StrataRaft

/// A machine that keeps what it was told, and does so beside where the test has said so: what it was asked lies on its desk until the test does it.
struct SlowMachine: RaftStateMachine {
  final class Desk: Sendable {
    struct State {
      var tape: [UInt8] = []
      var isSlow = false
      var task: MachineTask?
      var draft: [UInt8]?
      var finished: [MachineOutcome] = []
      var isCut = true
      var refuses = false
    }

    let state = Mutex(State())

    var tape: [UInt8] { state.withLock { $0.tape } }
    func slow(_ isSlow: Bool) { state.withLock { $0.isSlow = isSlow } }

    /// The state that is being made is complete; what is asked from now on is not in it.
    func cut() { state.withLock { $0.isCut = true } }

    /// Does what lies on the desk.
    func work() {
      state.withLock { state in
        if let draft = state.draft {
          state.draft = nil
          state.isCut = true
          state.finished.append(.saved(draft))
        }
        if let task = state.task { state.finished.append(Self.carryOut(task, &state)) }
        state.task = nil
      }
    }

    static func carryOut(_ task: MachineTask, _ state: inout State) -> MachineOutcome {
      switch task {
      case .apply(let command):
        state.tape += command
        return .applied([UInt8(truncatingIfNeeded: state.tape.count)])
      case .save: return .saved(state.tape)
      case .restore(let bytes):
        if !state.refuses { state.tape = bytes }
        return .restored(!state.refuses)
      }
    }
  }

  let desk = Desk()

  init() {}

  mutating func begin(_ task: MachineTask) -> MachineOutcome? {
    desk.state.withLock { state in
      if state.task != nil || (state.draft != nil && !state.isCut) { preconditionFailure("asked while it was at work") }
      guard state.isSlow else { return Desk.carryOut(task, &state) }
      if case .save = task { (state.draft, state.isCut) = (state.tape, false) } else { state.task = task }
      return nil
    }
  }

  mutating func finished() -> MachineOutcome? { desk.state.withLock { $0.finished.isEmpty ? nil : $0.finished.removeFirst() } }

  var takesCommands: Bool { desk.state.withLock { $0.isCut } }

  mutating func apply(_ command: [UInt8]) -> [UInt8] { [] }
  func snapshot() -> [UInt8]? { desk.tape }
  func query(_ question: [UInt8]) -> [UInt8] { desk.tape }

  mutating func restore(_ bytes: [UInt8]) -> Bool {
    desk.state.withLock { $0.tape = bytes }
    return true
  }
}

@Suite struct SlowMachineTests {
  private typealias SlowRig = Rig<SlowMachine>

  private func elected(_ rig: inout SlowRig) throws -> (leader: NodeID, follower: NodeID, other: NodeID) {
    let found = rig.elect()
    let leader = try #require(found)
    _ = rig.ask([.command([0])], of: leader)
    rig.tick(2)
    let others = rig.nodes.keys.sorted().filter { $0 != leader }
    return (leader, others[0], others[1])
  }

  private func desk(_ rig: SlowRig, _ id: NodeID) throws -> SlowMachine.Desk { try #require(rig.nodes[id]).state.desk }

  @Test(.requirement("Raft.never.4")) func aMemberWhoseMachineIsAtWorkGoesOnAcknowledging() throws {
    var rig = try SlowRig()
    let (leader, follower, other) = try elected(&rig)
    rig.cut = [other]
    try desk(rig, follower).slow(true)
    let term = try #require(rig.nodes[leader]).core.status.term
    // A majority is the leader and the member whose machine does nothing.
    for number in 1...20 as ClosedRange<UInt8> {
      let session = rig.ask([.command([number])], of: leader)[0]
      #expect(rig.replies[session] == .answer([number + 1]))
      rig.tick(5)
    }
    #expect(try desk(rig, follower).tape == [0])
    #expect(rig.nodes[leader]?.core.status.term == term && rig.nodes[leader]?.core.role == .leader)
    // Its clients wait for their commands, and their questions too.
    let waits = rig.ask([.command([21]), .query([])], of: follower)
    rig.tick(3)
    #expect(rig.replies[waits[0]] == nil && rig.replies[waits[1]] == nil)
    for _ in 0..<30 {
      try desk(rig, follower).work()
      rig.tick()
    }
    #expect(try desk(rig, follower).tape == Array(0...21))
    #expect(rig.replies[waits[0]] == .answer([22]))
    #expect(rig.replies[waits[1]] == .answer(Array(0...21)) || rig.replies[waits[1]] == .answer(Array(0...20)))
  }

  @Test(.requirement("Raft.never.3")) func aStateThatIsMadeBesideHoldsWhatWasAppliedBefore() throws {
    var knobs = RaftKnobs()
    knobs.compactEntries = 10
    knobs.keptEntries = 2
    var rig = try SlowRig(1, knobs: knobs)
    let found = rig.elect()
    let id = try #require(found)
    let desk = try desk(rig, id)
    _ = rig.ask((0..<5).map { .command([$0]) }, of: id)
    desk.slow(true)
    while desk.state.withLock({ $0.draft == nil }) {
      _ = rig.ask([.command([100])], of: id)
      desk.work()
      rig.tick()
    }
    let before = desk.tape
    let base = try #require(rig.nodes[id]).core.status.compacted
    // Before the cut commands are agreed on and wait; a question is answered.
    let early = rig.ask([.command([7]), .query([])], of: id)
    rig.tick()
    #expect(rig.replies[early[0]] == nil && rig.replies[early[1]] == .answer(before))
    desk.cut()
    desk.slow(false)
    rig.tick()
    #expect(rig.replies[early[0]] != nil && desk.tape == before + [7])
    #expect(rig.nodes[id]?.core.status.compacted == base)
    desk.work()
    rig.tick()
    let node = try #require(rig.nodes[id])
    #expect(node.core.status.compacted.index > base.index)
    let snapshot = try #require(node.core.snapshot)
    #expect(SlowRig.N.machineState(in: snapshot) == before)
    #expect(rig.checkpoints == 1)
  }

  @Test func aSnapshotWaitsForTheMachineAndIsStoredAfterIt() throws {
    var knobs = RaftKnobs()
    knobs.compactEntries = 10
    knobs.keptEntries = 0
    var rig = try SlowRig(3, knobs: knobs)
    let (leader, follower, _) = try elected(&rig)
    let desk = try desk(rig, follower)
    // It works at a command when it is cut off; meanwhile the others' log has gone on and was cut.
    desk.slow(true)
    _ = rig.ask([.command([1])], of: leader)
    rig.cut = [follower]
    for number in 2...60 as ClosedRange<UInt8> { _ = rig.ask([.command([number])], of: leader) }
    rig.cut = []
    rig.tick(40)
    #expect(desk.tape == [0])
    let node = try #require(rig.nodes[follower])
    #expect(node.held.first?.snapshot != nil, "the snapshot is held")
    // The command first, then the snapshot; only then is it stored.
    desk.work()
    rig.tick()
    #expect(desk.tape == [0, 1])
    #expect(desk.state.withLock { if case .restore = $0.task { true } else { false } })
    #expect(rig.nodes[follower]?.held.isEmpty == false)
    desk.slow(false)
    desk.work()
    rig.tick(30)
    #expect(desk.tape == Array(0...60))
    #expect(rig.nodes[follower]?.core.status.applied == rig.nodes[leader]?.core.status.applied)
  }

  @Test func aSnapshotThatCannotBeReadEndsTheMemberBeforeItIsStored() throws {
    var knobs = RaftKnobs()
    knobs.compactEntries = 10
    knobs.keptEntries = 0
    var rig = try SlowRig(3, knobs: knobs)
    let (leader, follower, _) = try elected(&rig)
    let desk = try desk(rig, follower)
    rig.cut = [follower]
    for number in 2...60 as ClosedRange<UInt8> { _ = rig.ask([.command([number])], of: leader) }
    desk.state.withLock { ($0.isSlow, $0.refuses) = (true, true) }
    rig.cut = []
    rig.tick(40)
    #expect(rig.halts[follower] == nil)
    desk.work()
    rig.tick()
    #expect(rig.halts[follower]?.contains("cannot be read") == true)
    #expect(desk.tape == [0])
  }

  @Test func aWindowForReadsIsOpenOnlyUnderALeaseAndWithEverythingApplied() throws {
    var knobs = RaftKnobs()
    knobs.readMode = .lease(maxClockDriftPPM: 100)
    var rig = try SlowRig(3, knobs: knobs)
    let (leader, follower, other) = try elected(&rig)
    rig.tick(2)
    let now = try #require(rig.nodes[leader]).core.now
    let end = try #require(rig.nodes[leader]?.readableUntil)
    #expect(end > now && end - now <= knobs.tick * knobs.electionTicks)
    #expect(rig.nodes[follower]?.readableUntil == nil)
    // What is committed and not applied may have been seen elsewhere.
    try desk(rig, leader).slow(true)
    _ = rig.ask([.command([1])], of: leader)
    #expect(rig.nodes[leader]?.readableUntil == nil)
    try desk(rig, leader).slow(false)
    try desk(rig, leader).work()
    rig.tick(2)
    #expect(rig.nodes[leader]?.readableUntil != nil)
    // Alone, it gets no later.
    rig.cut = [follower, other]
    let last = try #require(rig.nodes[leader]?.readableUntil)
    rig.tick(3)
    #expect(rig.nodes[leader]?.readableUntil == last)
    rig.cut = []
    rig.tick(2)
    _ = rig.ask([.transfer(follower)], of: leader)
    #expect(rig.nodes[leader]?.readableUntil == nil)
  }
}
