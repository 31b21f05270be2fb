import StrataDisk
import StrataHost
import StrataNodes
import StrataRequirements
import StrataWriteAheadLog
import SystemPackage
import Testing

@testable import StrataRaft

/// Real members: threads, files and clocks.
@Suite(.serialized) struct HostedRaftTests {
  typealias Member = HostedGroup.Member

  @Test func anyMemberTakesCommandsAndQuestions() throws {
    let group = try HostedGroup()
    try group.startAll()
    for number in 1...30 as ClosedRange<UInt8> {
      let id = NodeID(UInt64(number % 3 + 1))
      #expect(group.ask(id, .command([number])) == .success(.answer([number])))
    }
    for id in group.ids { #expect(try group.query(id) == Array(1...30)) }
    try group.end()
  }

  @Test func manyCommandsAtOnceShareSyncs() throws {
    let group = try HostedGroup()
    try group.startAll()
    let leader = try group.leader()
    let node = try #require(group.node(leader))
    let done = Counter()
    for _ in 0..<1000 { node.request(.command([1]), deadline: .seconds(30)) { result in done.add(result) } }
    done.wait(for: 1000)
    #expect(done.failures == 0)
    let statistics = node.statistics
    #expect(statistics.replies >= 1000)
    #expect(statistics.writeBatches < statistics.writes, "\(statistics)")
    #expect(try group.query(leader).count == 1000)
    try group.end()
  }

  @Test(.requirement("Raft.keep.9")) func theOthersGoOnWhenTheLeaderIsKilledAndItComesBack() throws {
    let group = try HostedGroup()
    try group.startAll()
    #expect(group.ask(1, .command([1])) == .success(.answer([1])))
    var expected: [UInt8] = [1]
    for round in 2...4 as ClosedRange<UInt8> {
      let leader = try group.leader()
      group.kill(leader)
      let other = try #require(group.ids.first { $0 != leader })
      #expect(group.ask(other, .command([round])) == .success(.answer([round])))
      expected.append(round)
      try group.start(leader)
      #expect(try group.query(leader) == expected)
    }
    try group.end()
  }

  @Test func aStoppedMemberKeepsWhatItKnew() throws {
    let group = try HostedGroup()
    try group.startAll()
    for number in 1...5 as ClosedRange<UInt8> { #expect(group.ask(1, .command([number])) == .success(.answer([number]))) }
    let term = try #require(try group.status(try group.leader())).term
    for id in group.ids { try group.stop(id) }
    try group.startAll()
    #expect(try group.query(2) == [1, 2, 3, 4, 5])
    #expect(try #require(try group.status(2)).term >= term)
    try group.end()
  }

  @Test(.requirement("Raft.never.3")) func logsAreGivenUpInFavourOfSnapshots() throws {
    let group = try HostedGroup()
    group.knobs.compactEntries = 20
    group.knobs.keptEntries = 5
    group.options.segmentBytes = 8192
    try group.startAll()
    var expected: [UInt8] = []
    for number in 1...200 as ClosedRange<UInt8> {
      #expect(group.ask(1, .command([number])) == .success(.answer([number])))
      expected.append(number)
    }
    for id in group.ids {
      let member = try #require(group.members[id])
      try group.wait { member.disk.storage.firstSequence > 1 }
      #expect(try #require(try group.status(id)).compacted.index > 100)
      #expect(member.log.failedCompactions == 0)
      let snapshots = try POSIXFileSystem().list(group.path(id).appending("snapshots"))
      #expect(snapshots.count <= 2, "\(snapshots)")
    }
    // One that was away so long that only a snapshot helps.
    try group.stop(3)
    for number in 201...255 as ClosedRange<UInt8> {
      #expect(group.ask(1, .command([number])) == .success(.answer([number])))
      expected.append(number)
    }
    try group.start(3)
    #expect(try group.query(3) == expected)
    for id in group.ids { try group.stop(id) }
    try group.startAll()
    for id in group.ids { #expect(try group.query(id) == expected) }
    try group.end()
  }

  @Test(.requirement("Raft.never.5")) func aMemberWithADamagedLogGetsItBackFromTheOthers() throws {
    let group = try HostedGroup()
    try group.startAll()
    for number in 1...40 as ClosedRange<UInt8> { #expect(group.ask(2, .command([number])) == .success(.answer([number]))) }
    try group.stop(3)
    try damageLog(of: 3, in: group)
    let refused = #expect(throws: RaftStorageError.self) { try group.start(3) }
    #expect(refused.map { "\($0)".contains("damaged") } == true)
    try group.start(3, toleratesDamage: true)
    #expect(try group.query(3) == Array(1...40))
    try group.wait { try group.status(3)?.isRepairing == false }
    #expect(group.ask(3, .command([41])) == .success(.answer([41])))
    try group.end()
  }

  @Test func aMemberWithADamagedSnapshotGetsItFromTheOthers() throws {
    let group = try HostedGroup()
    group.knobs.compactEntries = 10
    group.knobs.keptEntries = 2
    try group.startAll()
    for number in 1...60 as ClosedRange<UInt8> { #expect(group.ask(2, .command([number])) == .success(.answer([number]))) }
    let member = try #require(group.members[3])
    try group.wait { member.disk.storage.lastSequence > 0 && group.hasSnapshot(3) }
    try group.stop(3)
    let folder = group.path(3).appending("snapshots")
    for name in try POSIXFileSystem().list(folder) { try flip(folder.appending(name), at: 60) }
    try group.start(3)
    #expect(try group.query(3) == Array(1...60))
    try group.wait { try group.status(3)?.isRepairing == false }
    try group.end()
  }

  @Test(.requirement("Raft.never.1", "Raft.keep.10")) func aLeaderThatIsCutOffAnswersNobody() throws {
    let group = try HostedGroup()
    try group.startAll()
    let leader = try group.leader()
    #expect(group.ask(leader, .command([1])) == .success(.answer([1])))
    group.network.isolate(leader)
    #expect(group.ask(leader, .command([2]), deadline: .milliseconds(200)) == .failure(.outcomeUnknown(.deadline)))
    let other = try #require(group.ids.first { $0 != leader })
    #expect(group.ask(other, .command([3])) == .success(.answer([2])))
    group.network.heal()
    let numbers = try group.query(leader)
    #expect(numbers.starts(with: [1, 3]))
    try group.end()
  }

  @Test func aGroupRunsOncePerOpening() throws {
    let group = try HostedGroup()
    try group.startAll()
    let member = try #require(group.members[1])
    member.node.stop()
    let error = #expect(throws: HostError.self) {
      try member.host.run(
        Member.self, as: 1, in: 1, peers: group.ids, knobs: group.knobs, log: member.disk.log(of: 1, running: ListMachine.self),
        codec: RaftMessageCodec(), over: group.network.transport(of: 1))
    }
    #expect(error == .cannotStart("group 1 ran before since its storage was opened; close the storage and open it again"))
    try group.end()
  }

  /// Flips a bit in the middle of what is written of a member's log.
  private func damageLog(of id: NodeID, in group: HostedGroup) throws {
    let folder = group.path(id).appending("log")
    let files = POSIXFileSystem()
    let segments = try files.list(folder).filter { $0.hasSuffix(".seg") }.sorted()
    let path = folder.appending(try #require(segments.first))
    let size = try #require(try files.status(path)).size
    try flip(path, at: size / 2)
  }

  private func flip(_ path: FilePath, at offset: UInt64) throws {
    let file = try POSIXFileSystem().open(path, .readWrite)
    let byte = try file.readExactly(at: offset, count: 1)
    try file.write([byte[0] ^ 1], at: offset)
    try file.sync(.full)
    try file.close()
  }
}

extension HostedGroup {
  func hasSnapshot(_ id: NodeID) -> Bool {
    ((try? POSIXFileSystem().list(path(id).appending("snapshots"))) ?? []).contains { $0.hasSuffix(".snap") }
  }
}
