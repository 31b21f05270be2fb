import StrataNodes
import Testing

@testable import StrataRaft

@Suite struct AutopilotTests {
  /// A leader's view of a group, looked at once a second.
  private final class View {
    var status: RaftStatus
    var now = Instant(nanoseconds: 1)
    var pilot = Autopilot()

    init(voters: [NodeID], learners: [NodeID] = []) throws {
      var config = RaftConfig(id: 1, seed: 1)
      config.preVote = false
      let conf = ConfState(voters: voters, learners: learners)
      let core = try RaftCore(config: config, initial: InitialState(confState: conf))
      status = core.status
      (status.role, status.term, status.commit) = (.leader, 5, 100)
      status.progress = conf.members.map { id in
        var progress = Progress(next: 101, isLearner: learners.contains(id), isActive: true, inflights: Inflights(maxCount: 1, maxBytes: 0))
        progress.match = 100
        progress.becomeReplicate()
        return MemberProgress(id: id, progress: progress)
      }
    }

    func change(_ id: NodeID, _ body: (inout Progress) -> Void) {
      for place in status.progress.indices where status.progress[place].id == id { body(&status.progress[place].progress) }
    }

    /// What it first says within so many seconds, and after how many.
    func within(_ seconds: Int) -> (change: ConfChange, after: Int)? {
      for second in 0...seconds {
        if let change = pilot.look(at: status, now: now) { return (change, second) }
        now = now + .seconds(1)
      }
      return nil
    }
  }

  @Test func aVoterThatIsSilentForTenMinutesGoes() throws {
    let view = try View(voters: [1, 2, 3, 4])
    view.change(3) { $0.isActive = false }
    let found = try #require(view.within(700))
    #expect(found.change == ConfChange([.remove(3)]) && found.after == 600)
  }

  @Test func aSignOfLifeBeginsTheTimeAnew() throws {
    let view = try View(voters: [1, 2, 3, 4])
    view.change(3) { $0.isActive = false }
    #expect(view.within(590) == nil)
    view.change(3) { $0.isActive = true }
    #expect(view.within(0) == nil)
    view.change(3) { $0.isActive = false }
    let found = try #require(view.within(700))
    #expect(found.after >= 599)
  }

  @Test func neverBelowThreeVotersAndOneAtATime() throws {
    let three = try View(voters: [1, 2, 3], learners: [4])
    three.change(3) { $0.isActive = false }
    three.change(4) { $0.isActive = false }
    #expect(three.within(2000) == nil)
    let five = try View(voters: [1, 2, 3, 4, 5])
    for id in [4, 5] as [NodeID] { five.change(id) { $0.isActive = false } }
    let first = try #require(five.within(700))
    #expect(first.change == ConfChange([.remove(4)]))
    // The members have changed: the other one's time begins anew.
    five.status.confState = ConfState(voters: [1, 2, 3, 5])
    five.status.progress.removeAll { $0.id == 4 }
    let second = try #require(five.within(700))
    #expect(second.change == ConfChange([.remove(5)]) && second.after == 600)
    five.status.confState = ConfState(voters: [1, 2, 3])
    five.status.progress.removeAll { $0.id == 5 }
    five.change(2) { $0.isActive = false }
    #expect(five.within(2000) == nil)
  }

  @Test func aLeaderThatHearsNoMajorityChangesNothing() throws {
    let view = try View(voters: [1, 2, 3, 4])
    for id in [2, 3, 4] as [NodeID] { view.change(id) { $0.isActive = false } }
    #expect(view.within(2000) == nil)
  }

  @Test func aLearnerGetsAVoteWhenItHasKeptUpForTenSeconds() throws {
    let view = try View(voters: [1, 2, 3], learners: [4])
    view.status.commit = 5000
    for id in [1, 2, 3] as [NodeID] { view.change(id) { $0.match = 5000 } }
    view.change(4) { $0.match = 3999 }
    #expect(view.within(100) == nil)
    view.change(4) { $0.match = 4000 }
    let found = try #require(view.within(100))
    #expect(found.change == ConfChange([.addVoter(4)]) && (9...10).contains(found.after))
    let probed = try View(voters: [1, 2, 3], learners: [4])
    probed.change(4) { $0.becomeProbe() }
    #expect(probed.within(100) == nil)
  }

  @Test func whoDoesNotLeadOrIsChangingSaysNothing() throws {
    let view = try View(voters: [1, 2, 3, 4], learners: [5])
    view.change(3) { $0.isActive = false }
    view.change(5) { $0.isActive = false }
    #expect(view.within(590) == nil)
    view.status.role = .follower
    #expect(view.within(1) == nil)
    view.status.role = .leader
    #expect(view.within(590) == nil)
    view.status.term += 1
    #expect(view.within(590) == nil)
    view.status.confState = ConfState(voters: [1, 2, 3, 4], outgoing: [1, 2, 3], learners: [5])
    #expect(view.within(2000) == nil)
  }
}
