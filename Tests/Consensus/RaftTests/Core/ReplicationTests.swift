import StrataNodes
import StrataRequirements
import Testing

@testable import StrataRaft

struct ReplicationTests {
  @Test(.requirement("Raft.never.6"))
  func aFollowerFarBehindIsFoundInARoundTripPerTerm() throws {
    var terms: [Term] = []
    for term in 1...10 as ClosedRange<UInt64> { terms += Array(repeating: term, count: 10_000) }
    // The follower wrote as much on its own in ten other terms.
    var others: [Term] = []
    for term in 1...10 as ClosedRange<UInt64> { others += Array(repeating: term * 2, count: 10_000) }
    var group = try RaftGroup([1, 2, 3])
    group.cores[1] = try core(1, terms: terms + [21], term: 21) {
      $0.seed = 1; $0.maxBytesPerMessage = 1 << 30; $0.maxInflightBytes = 0
    }
    group.cores[2] = try core(2, terms: others, term: 21) { $0.seed = 2 }
    group.cores[3] = try core(3, terms: terms + [21], term: 21) { $0.seed = 3 }
    group.elect(1)
    let refusals = group.delivered.filter { $0.kind == .appendResponse && $0.from == 2 && $0.isRejected }.count
    #expect(refusals <= 12 && group[2].terms == group[1].terms)
  }

  @Test(.requirement("Raft.never.7"))
  func nothingIsSentTwiceWithoutNeed() throws {
    var group = try RaftGroup([1, 2, 3]) { $0.maxBytesPerMessage = 1000 }
    group.elect(1)
    // A follower that answers late: everything is on its way once.
    group.loses = { $0.to == 3 && $0.kind == .append && $0.index % 100 == 7 }
    for number in 0..<500 {
      try group[1].propose([Array(repeating: UInt8(truncatingIfNeeded: number), count: 50)])
      if number % 5 == 0 { group.tickAll() }
    }
    group.heal()
    group.tickAll(20)
    #expect(group[3].log.last == group[1].log.last)
    let all = group.delivered.filter { $0.to == 2 && $0.kind == .append }.reduce(0) { $0 + $1.entries.count }
    #expect(all == 501)
    #expect(group.delivered.allSatisfy { $0.kind != .heartbeat || $0.entries.isEmpty })
  }

  @Test(.requirement("Raft.never.10"))
  func progressNeverGoesBack() throws {
    for seed in 1...200 as ClosedRange<UInt64> {
      var random = Random(seed: seed)
      var node = try core(terms: [1, 1, 2, 2])
      try node.lead()
      var match: LogIndex = 0
      for _ in 0..<200 {
        var message = Message(.appendResponse, to: 1, from: 2, term: node.term, index: UInt64(random.below(12)))
        switch random.below(5) {
        case 0: try node.propose([[1]])
        case 1: message.term = UInt64(random.below(4))
        case 2:
          message.isRejected = true
          message.hint = UInt64(random.below(12))
          message.logTerm = UInt64(random.below(4))
        default: break
        }
        try node.step(message)
        _ = node.drain()
        let progress = try #require(node.members[2])
        #expect(progress.match >= match && progress.match < progress.next && progress.match <= node.log.last, "seed \(seed)")
        match = progress.match
        #expect(node.role == .leader)
      }
    }
  }

  @Test func aSnapshotThatGotLostIsSentAgain() throws {
    var group = try RaftGroup([1, 2, 3]) { $0.snapshotTicks = 50 }
    group.elect(1)
    group.isolate(3)
    for _ in 0..<5 { try group.propose("a", at: 1) }
    group.settle()
    group[1].offerSnapshot(Snapshot(place: group[1].appliedPlace, confState: group[1].confState))
    try group[1].compact(to: group[1].status.applied)
    group.tickAll()
    group.loses = { $0.kind == .snapshot }
    group.tickAll(49)
    #expect(group[1].statistics.snapshotsSent == 1)
    group.heal()
    group.tickAll(10)
    #expect(group[1].statistics.snapshotsSent == 2 && group[3].log.last == group[1].log.last && group[3].log.last > 1)
  }

  /// A disk that forgot without a word: what is sent is refused each time, and the network must not be kept busy by that.
  @Test func aMemberThatLostWhatItAcknowledgedIsNotFloodedWithAppends() throws {
    var node = try core(terms: [1, 1, 1, 1])
    try node.lead()
    try node.step(Message(.appendResponse, to: 1, from: 2, term: node.term, index: 5))
    _ = node.drain()
    var sent = 0
    for round in 1...10 {
      try node.propose([[1]])
      var messages = node.drain().filter { $0.to == 2 && $0.kind == .append }
      for _ in 0..<100 {
        guard let append = messages.popLast() else { break }
        sent += 1
        // Each refusal arrives twice.
        for _ in 0..<2 {
          try node.step(Message(.appendResponse, to: 1, from: 2, term: node.term, logTerm: 1, index: append.index, hint: 1, isRejected: true))
        }
        messages += node.drain().filter { $0.to == 2 && $0.kind == .append }
      }
      #expect(sent <= 2 * round, "round \(round)")
      try node.step(Message(.heartbeatResponse, to: 1, from: 2, term: node.term))
      sent += node.drain().filter { $0.to == 2 && $0.kind == .append }.count
    }
    #expect(node.members[2]?.match == 5)
  }

  @Test(.requirement("Raft.never.9"))
  func nothingCommittedIsCutOff() throws {
    var node = try core(terms: [1, 1, 1], commit: 3)
    // What contradicts a commit can only come from a broken peer: the node does nothing any more and says why.
    try node.step(Message(.append, to: 1, from: 2, term: 2, commit: 1, entries: log([2])))
    #expect(node.terms == [1, 1, 1] && node.brokenInvariant == nil, "old news are answered, not taken")
    node.log.commit(to: 3)
    try node.step(Message(.append, to: 1, from: 2, term: 2, logTerm: 1, index: 3, entries: log([2], after: 3)))
    #expect(node.terms == [1, 1, 1, 2])
    // The place just before a commit mark that lies inside the message.
    var other = try core(terms: [1, 1, 1], commit: 2) { $0.flaw = .truncatesAlways }
    try other.step(Message(.append, to: 1, from: 2, term: 2, logTerm: 1, index: 2, entries: log([2], after: 2)))
    #expect(other.brokenInvariant == nil && other.terms == [1, 1, 2])
  }

  @Test(.requirement("Raft.keep.7"))
  func aDelayedShorterAppendCutsNothingOff() throws {
    var node = try core(terms: [1, 1, 1])
    try node.step(Message(.append, to: 1, from: 2, term: 1, entries: log([1])))
    #expect(node.terms == [1, 1, 1])
  }

  @Test(.requirement("Raft.keep.5"))
  func thePlaceBeforeTheFirstEntryIsVirtual() throws {
    var node = try core()
    #expect(node.log.term(at: 0) == 0 && node.log.term(at: 1) == nil && node.status.last == LogPlace(term: 0, index: 0))
    try node.step(Message(.append, to: 1, from: 2, term: 1, entries: log([1])))
    #expect(node.log.first == 1 && node.log.last == 1)
  }

  @Test(.requirement("Raft.keep.6"))
  func aMemberThatWasNeverHeardHoldsNothing() throws {
    var node = try core(terms: [1, 1])
    try node.lead()
    #expect(node.members[2]?.match == 0 && node.log.committed == 0)
  }

  @Test func aFullWindowStopsAndOpens() throws {
    var group = try RaftGroup([1, 2]) { $0.maxInflightMessages = 4 }
    group.elect(1)
    group.isolate(2)
    for _ in 0..<10 { try group.propose("x", at: 1) }
    group.settle()
    #expect(group[1].members[2]?.inFlight == 4 && group[1].members[2]?.isPaused == true)
    group.heal()
    group.tickAll(10)
    #expect(group[2].log.last == group[1].log.last && group[1].members[2]?.inFlight == 0)
  }

  @Test func tooMuchUncommittedIsRefused() throws {
    var group = try RaftGroup([1, 2, 3]) { $0.maxUncommittedBytes = 100 }
    group.elect(1)
    group.isolate(1)
    try group[1].propose([Array(repeating: 0, count: 90)])
    #expect(throws: RaftError.proposalDropped(.backpressure)) { try group[1].propose([Array(repeating: 0, count: 20)]) }
    group.heal()
    group.tickAll(3)
    try group[1].propose([Array(repeating: 0, count: 500)])
    #expect(group[1].statistics.proposalsDropped[.backpressure] == 1)
  }

  @Test(.requirement("Raft.keep.10"))
  func aFollowerPassesProposalsOnOrSaysWhoLeads() throws {
    var group = try RaftGroup([1, 2, 3])
    group.elect(1)
    #expect(try group[2].propose([[65]]) == nil)
    group.settle()
    #expect(group.texts(3) == ["A"])
    group.cores[2] = try core(2) { $0.proposalForwarding = false }
    #expect(throws: RaftError.noLeader) { try group.propose("x", at: 2) }
    try group[2].step(Message(.heartbeat, to: 2, from: 1, term: 1))
    #expect(throws: RaftError.proposalDropped(.forwardingDisabled)) { try group.propose("x", at: 2) }
    // A proposal that was passed on to somebody who does not lead goes no further.
    #expect(throws: RaftError.notLeader(hint: 1)) { try group[2].step(Message(.propose, to: 2, from: 3, entries: [Entry()])) }
  }

  @Test func aProposalMayNotBeTooLarge() throws {
    var node = try core(voters: [1]) { $0.maxEntryBytes = 10 }
    try node.lead()
    #expect(throws: RaftError.entryTooLarge(bytes: 11, limit: 10)) { try node.propose([Array(repeating: 0, count: 11)]) }
  }

  @Test(.requirement("Raft.keep.11"))
  func nonsenseIsCountedAndChangesNothing() throws {
    var node = try core(terms: [1])
    let before = node.status
    let huge = UInt64.max
    let cases: [(Message, MessageRejection)] = [
      (Message(.append, to: 2, from: 3), .wrongAddressee), (Message(.append, to: 1), .noSender),
      (Message(.append, to: 1, from: 2, term: huge), .outOfRange), (Message(.append, to: 1, from: 2, term: 1, index: huge), .outOfRange),
      (Message(.append, to: 1, from: 2, term: 1, entries: log([1], after: 5)), .notContiguous),
      (Message(.append, to: 1, from: 2, term: 1, entries: log([2])), .notContiguous),
      (Message(.append, to: 1, from: 2, term: 3, entries: log([2, 1])), .notContiguous),
      (Message(.snapshot, to: 1, from: 2, term: 3), .incomplete),
      (
        Message(.snapshot, to: 1, from: 2, term: 3, snapshot: Snapshot(place: LogPlace(term: 9, index: 9), confState: ConfState(voters: [1]))),
        .incomplete
      ),
      (
        Message(
          .snapshot, to: 1, from: 2, term: 3,
          snapshot: Snapshot(place: LogPlace(term: 1, index: 9), confState: ConfState(voters: [1, 1]))), .incomplete
      ),
    ]
    for (message, reason) in cases {
      #expect(throws: RaftError.messageRejected(reason)) { try node.step(message) }
      #expect(node.status == before)
    }
    #expect(node.statistics.messagesRejected.values.reduce(0, +) == UInt64(cases.count))
    try node.lead()
    #expect(throws: RaftError.messageRejected(.unknownMember)) { try node.step(Message(.appendResponse, to: 1, from: 9, term: 2)) }
    // More than this leader ever had.
    try node.step(Message(.appendResponse, to: 1, from: 2, term: 2, index: 1000))
    #expect(node.members[2]?.match == 0)
  }
}
