import StrataHost
import StrataJobs
import StrataNodes
import StrataRequirements
import Testing

@testable import StrataRaft

/// What clients ask a hosted member by name, and what they hear of leaders.
@Suite(.serialized) struct RequestTests {
  @Test func aMemberAnswersByName() async throws {
    let group = try HostedGroup()
    try group.startAll()
    let leader = try group.leader()
    let node = try #require(group.node(leader))
    #expect(try await node.propose([4], deadline: .seconds(20)) == [1])
    #expect(try await node.propose([5], deadline: .seconds(20)) == [2])
    #expect(try await node.read([], deadline: .seconds(20)) == [4, 5])
    #expect(try await node.read([], .stale(maxLag: .seconds(60)), deadline: .seconds(20)) == [4, 5])
    try group.end()
  }

  @Test func aChangeThatLeavesNobodyIsRefusedWithTheReason() async throws {
    let group = try HostedGroup()
    try group.startAll()
    let leader = try group.leader()
    let node = try #require(group.node(leader))
    _ = try await node.propose([1], deadline: .seconds(20))
    let error = await #expect(throws: RaftRequestError.self) {
      try await node.changeMembership(ConfChange(group.ids.map { .remove($0) }), deadline: .seconds(20))
    }
    #expect(try #require(error).description.hasPrefix("the request is refused: the change of members is refused"))
    try group.end()
  }

  @Test(.requirement("Raft.never.3")) func aSnapshotIsMadeWhenItIsAskedFor() async throws {
    let group = try HostedGroup()
    group.knobs.keptEntries = 0
    try group.startAll()
    let leader = try group.leader()
    let node = try #require(group.node(leader))
    for number in 1...20 as ClosedRange<UInt8> { _ = try await node.propose([number], deadline: .seconds(20)) }
    let before = try #require(try group.status(leader))
    #expect(before.compacted.index <= 1)
    try await node.snapshotNow(deadline: .seconds(20))
    try group.wait { try group.status(leader)?.compacted.index ?? 0 > 20 }
    // Refused once nothing was applied since; a new leader's first entry may have been.
    var refusal: RaftRequestError?
    while refusal == nil {
      do { try await node.snapshotNow(deadline: .seconds(20)) } catch { refusal = error }
    }
    #expect(refusal == .refused("nothing was applied since the last snapshot") || refusal == .refused("a snapshot is under way"))
    try group.stop(leader)
    try group.start(leader)
    #expect(try group.query(leader) == Array(1...20))
    try group.end()
  }

  @Test func changesOfLeaderAreTold() async throws {
    let group = try HostedGroup()
    try group.startAll()
    let leader = try group.leader()
    let other = try #require(group.ids.first { $0 != leader })
    let watch = try #require(group.watches[other])
    var changes = watch.changes.makeAsyncIterator()
    var seen: Leadership?
    while seen?.leader != leader { seen = await changes.next() }
    let term = try #require(seen).term
    let node = try #require(group.node(leader))
    _ = try await node.propose([1], deadline: .seconds(20))
    try await node.transferLeadership(to: other, deadline: .seconds(20))
    while seen?.leader != other { seen = await changes.next() }
    #expect(try #require(seen).term > term)
    #expect(watch.current == seen)
    // Who begins to listen later is told how things stand.
    var later = watch.changes.makeAsyncIterator()
    #expect(await later.next()?.leader == other)
    try group.end()
  }
}
