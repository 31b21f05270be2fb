import StrataNodes
import StrataRequirements
import Testing

@testable import StrataSimulation

struct SimulatorTests {
  private func ask(_ cluster: Simulator<Chatter>, _ id: NodeID, _ request: Chatter.Request) throws {
    let session = cluster.ask(id, request)
    try cluster.run(until: { $0.answer(to: session) != nil }, within: .seconds(1), "\(request)")
  }

  // MARK: Messages

  @Test(.requirement("Simulation.never.2")) func nothingIsHandledInItsSendersCall() throws {
    // A message to oneself would be the first to be handled too early.
    let cluster = Simulator<Chatter>(nodes: 2, seed: 1, trace: Trace())
    cluster.network.meanExtraLatency = 0
    for word in 0..<20 { cluster.ask(1, .say(word, to: word % 2 == 0 ? 1 : 2)) }
    try cluster.run(for: .seconds(1))
    let events = try #require(cluster.trace?.events)
    let sent = Dictionary(events.filter { $0.kind == .send }.map { ($0.event, $0.time) }, uniquingKeysWith: { first, _ in first })
    let received = events.filter { $0.kind == .receive }
    #expect(received.count == 20)
    for event in received {
      #expect(event.event > event.cause)
      #expect(try event.time >= #require(sent[event.cause]) + cluster.network.minimumLatency)
    }
  }

  @Test(arguments: 1...20) func everyMessageIsAccountedFor(_ seed: UInt64) throws {
    let cluster = Simulator<Chatter>(nodes: 3, seed: seed)
    cluster.network = .hostile
    cluster.network.capacity = 8
    var random = Random(seed: seed)
    for word in 0..<300 {
      let to = NodeID(UInt64(random.within(1...3)))
      cluster.ask(NodeID(UInt64(random.within(1...3))), .say(word, to: to))
      if random.chance(1, in: 20) { cluster.isolate(to) }
      if random.chance(1, in: 20) { cluster.heal() }
      if random.chance(1, in: 30) { cluster.crash(to) }
      if random.chance(1, in: 10) { cluster.restart(to) }
      if random.chance(1, in: 30) { cluster.pause(to) }
      if random.chance(1, in: 10) { cluster.resume(to) }
      try cluster.run(for: .milliseconds(1))
      let s = cluster.networkStatistics
      #expect(s.sent + s.duplicated == s.delivered + s.lost + s.corrupted + s.cut + s.refused + s.inFlight, "\(s)")
    }
    for id in cluster.nodeIDs { cluster.resume(id) }
    cluster.heal()
    try cluster.run(for: .seconds(10))
    let s = cluster.networkStatistics
    #expect(s.inFlight == 0)
    #expect(s.lost > 0 && s.duplicated > 0 && s.delivered > 0, "\(s)")
  }

  @Test func messagesOvertakeEachOther() throws {
    let cluster = Simulator<Chatter>(nodes: 2, seed: 3)
    for word in 0..<100 { cluster.ask(1, .say(word, to: 2)) }
    try cluster.run(for: .seconds(1))
    let heard = try #require(cluster.node(2)?.heard)
    #expect(heard.sorted() == Array(0..<100))
    #expect(heard != heard.sorted())
  }

  @Test func equalTimesComeInAnyOrder() throws {
    var orders: Set<[Int]> = []
    for seed in 1...60 as ClosedRange<UInt64> {
      let cluster = Simulator<Chatter>(nodes: 1, seed: seed)
      cluster.network.meanExtraLatency = 0
      for word in 0..<3 { cluster.ask(1, .say(word, to: 1)) }
      try cluster.run(for: .seconds(1))
      orders.insert(cluster.node(1)?.heard ?? [])
    }
    #expect(orders.count == 6)
  }

  @Test(.requirement("Simulation.keep.2")) func partitionsCutAndHeal() throws {
    let cluster = Simulator<Chatter>(nodes: 3, seed: 4)
    cluster.partition([1], [2, 3])
    try ask(cluster, 1, .say(1, to: 2))
    try ask(cluster, 2, .say(2, to: 3))
    try cluster.run(for: .seconds(1))
    #expect(cluster.node(2)?.heard == [] && cluster.node(3)?.heard == [2])
    cluster.heal()
    try ask(cluster, 1, .say(3, to: 2))
    try cluster.run(for: .seconds(1))
    #expect(cluster.node(2)?.heard == [3])
    cluster.cut(from: 1, to: 2)
    try ask(cluster, 1, .say(4, to: 2))
    try ask(cluster, 2, .say(5, to: 1))
    try cluster.run(for: .seconds(1))
    #expect(cluster.node(2)?.heard == [3] && cluster.node(1)?.heard == [5])
  }

  @Test func overlappingPartitionsEndOneByOne() throws {
    let cluster = Simulator<Chatter>(nodes: 3, seed: 4)
    cluster.partition([1], [2, 3])
    cluster.partition([1, 3], [2])
    cluster.unite([[1], [2, 3]])
    try ask(cluster, 1, .say(1, to: 2))
    try ask(cluster, 1, .say(2, to: 3))
    try cluster.run(for: .seconds(1))
    #expect(cluster.node(2)?.heard == [] && cluster.node(3)?.heard == [2])
  }

  @Test func aCloggedLinkDeliversLate() throws {
    let cluster = Simulator<Chatter>(nodes: 2, seed: 5)
    cluster.clog(from: 1, to: 2, for: 1_000_000_000)
    try ask(cluster, 1, .say(1, to: 2))
    try cluster.run(for: .milliseconds(900))
    #expect(cluster.node(2)?.heard == [])
    try cluster.run(for: .milliseconds(200))
    #expect(cluster.node(2)?.heard == [1])
  }

  @Test(.requirement("Simulation.keep.2")) func waitingForWhatDoesNotComeFailsInVirtualTime() {
    let cluster = Simulator<Chatter>(nodes: 1, seed: 1)
    #expect {
      try cluster.run(until: { _ in false }, within: .seconds(3600), "a miracle")
    } throws: { error in
      "\(error)".contains("a miracle did not hold within")
    }
  }

  // MARK: Clients

  @Test func aNodeThatIsDownRefuses() throws {
    let cluster = Simulator<Chatter>(nodes: 2, seed: 6)
    cluster.crash(1)
    let refused = cluster.ask(1, .say(1, to: 2))
    guard case .lost(refused, true)? = cluster.next(until: 1_000_000_000) else { return #expect(Bool(false), "not refused") }
    cluster.restart(1)
    let held = cluster.ask(1, .hold)
    #expect(cluster.next(until: cluster.now + 100_000_000) == nil)
    cluster.crash(1)
    guard case .lost(held, false)? = cluster.next(until: cluster.now + 1_000_000_000) else { return #expect(Bool(false), "not lost") }
  }

  @Test func aNodeHearsThatItsClientHasGone() throws {
    let cluster = Simulator<Chatter>(nodes: 1, seed: 6)
    let session = cluster.ask(1, .hold)
    try cluster.run(for: .milliseconds(100))
    cluster.cancel(session)
    try cluster.run(for: .milliseconds(100))
    #expect(cluster.node(1)?.cancelled == [session])
  }

  // MARK: Time

  @Test(.requirement("Simulation.keep.1")) func timersFireOnceByTheNodesOwnClock() throws {
    let cluster = Simulator<Chatter>(nodes: 2, seed: 7)
    cluster.setDrift(2, partsPerMillion: 100_000)
    for id in cluster.nodeIDs {
      try ask(cluster, id, .wake(1, after: .seconds(10)))
      try ask(cluster, id, .wake(2, after: .seconds(1)))
      try ask(cluster, id, .wake(2, after: .seconds(5)))
      try ask(cluster, id, .wake(3, after: .seconds(2)))
      try ask(cluster, id, .forget(3))
      try ask(cluster, id, .wake(4, after: .seconds(-1)))
    }
    try cluster.run(for: .milliseconds(9700))
    #expect(cluster.node(1)?.woken == [4, 2] && cluster.node(2)?.woken == [4, 2, 1])
    try cluster.run(for: .seconds(1))
    #expect(cluster.node(1)?.woken == [4, 2, 1] && cluster.node(2)?.woken == [4, 2, 1])
  }

  @Test(.requirement("Simulation.never.6")) func clocksJumpAndDriftButNeverGoBack() throws {
    let cluster = Simulator<Chatter>(nodes: 3, seed: 8)
    var random = Random(seed: 8)
    for _ in 0..<500 {
      let id = NodeID(UInt64(random.within(1...3)))
      switch random.below(4) {
      case 0: cluster.setDrift(id, partsPerMillion: random.within(-500...500))
      case 1: cluster.jumpClock(id, by: UInt64(random.below(3_600_000_000_000)))
      default: cluster.ask(id, .hold)
      }
      try cluster.run(for: .milliseconds(20))
    }
    for id in cluster.nodeIDs { #expect(cluster.node(id)?.clockWentBack == false) }
    let before = try #require(cluster.node(1)?.lastNow)
    cluster.crash(1)
    cluster.restart(1)
    // A new life starts its clock anywhere.
    #expect(cluster.node(1)?.lastNow != before)
  }

  @Test func aPausedNodeCatchesUp() throws {
    let cluster = Simulator<Chatter>(nodes: 2, seed: 9)
    try ask(cluster, 2, .wake(7, after: .milliseconds(500)))
    cluster.pause(2)
    for word in 0..<10 { try ask(cluster, 1, .say(word, to: 2)) }
    try cluster.run(for: .seconds(2))
    #expect(cluster.node(2)?.heard == [] && cluster.node(2)?.woken == [])
    cluster.resume(2)
    try cluster.run(for: .milliseconds(1))
    #expect(cluster.node(2)?.heard.sorted() == Array(0..<10) && cluster.node(2)?.woken == [7])
  }

  @Test func aSlowNodeTakesOneInputAfterTheOther() throws {
    let cluster = Simulator<Chatter>(nodes: 2, seed: 10)
    cluster.slow(2, inputTime: 100_000_000)
    for word in 0..<10 { cluster.ask(1, .say(word, to: 2)) }
    try cluster.run(for: .milliseconds(450))
    let heard = try #require(cluster.node(2)?.heard.count)
    #expect((3...5).contains(heard), "\(heard)")
    try cluster.run(for: .seconds(1))
    #expect(cluster.node(2)?.heard.count == 10)
  }

  // MARK: Logs

  @Test func aCrashKeepsWhatIsDurableAndAPrefixOfTheRest() throws {
    var survivors: Set<[Int]> = []
    for seed in 1...200 as ClosedRange<UInt64> {
      let cluster = Simulator<Chatter>(nodes: 1, seed: seed)
      cluster.network.meanExtraLatency = 0
      try ask(cluster, 1, .write([1, 2], .sync))
      try cluster.run(until: { $0.node(1)?.persisted == [1] }, within: .seconds(1))
      for record in 3...5 { try ask(cluster, 1, .write([record, record], .buffered)) }
      cluster.crash(1)
      cluster.restart(1)
      survivors.insert(cluster.node(1)?.found ?? [])
    }
    #expect(survivors == [[1, 2], [1, 2, 3, 3], [1, 2, 3, 3, 4, 4], [1, 2, 3, 3, 4, 4, 5, 5]])
  }

  @Test func aSyncCoversAllWritesBeforeIt() throws {
    let cluster = Simulator<Chatter>(nodes: 1, seed: 2)
    try ask(cluster, 1, .write([1], .buffered))
    try ask(cluster, 1, .write([2], .sync))
    try cluster.run(until: { $0.node(1)?.persisted == [2] }, within: .seconds(1))
    #expect(cluster.durableRecords(of: 1) == [1, 2])
    try ask(cluster, 1, .replace([9]))
    try cluster.run(until: { $0.node(1)?.persisted == [2, 3] }, within: .seconds(1))
    #expect(cluster.durableRecords(of: 1) == [9])
  }

  @Test(.requirement("Simulation.never.5")) func aFailedSyncIsFinalUntilTheNextLife() throws {
    let cluster = Simulator<Chatter>(nodes: 1, seed: 3)
    cluster.failNextSync(1)
    try ask(cluster, 1, .write([1], .sync))
    try ask(cluster, 1, .write([2], .sync))
    try cluster.run(for: .seconds(1))
    try ask(cluster, 1, .write([3], .sync))
    try cluster.run(for: .seconds(1))
    #expect(cluster.node(1)?.persisted == [] && cluster.node(1)?.failed.sorted() == [1, 2, 3])
    cluster.crash(1)
    cluster.restart(1)
    try ask(cluster, 1, .write([4], .sync))
    try cluster.run(for: .seconds(1))
    #expect(cluster.node(1)?.persisted == [1])
    #expect(cluster.durableRecords(of: 1).last == 4)
  }

  @Test func aStalledDiskAnswersLater() throws {
    let cluster = Simulator<Chatter>(nodes: 1, seed: 3)
    cluster.stallDisk(1, for: 1_000_000_000)
    try ask(cluster, 1, .write([1], .sync))
    try cluster.run(for: .milliseconds(900))
    #expect(cluster.node(1)?.persisted == [])
    try cluster.run(for: .milliseconds(200))
    #expect(cluster.node(1)?.persisted == [1])
  }

  @Test func damageIsNoticedUntilTheLogIsReplaced() throws {
    let cluster = Simulator<Chatter>(nodes: 1, seed: 4)
    try ask(cluster, 1, .write([1, 2, 3], .sync))
    try cluster.run(for: .seconds(1))
    cluster.crash(1)
    cluster.rotLog(1)
    cluster.restart(1)
    let found = try #require(cluster.node(1))
    #expect(found.foundDamage && found.found.count < 3 && [1, 2, 3].starts(with: found.found))
    try ask(cluster, 1, .replace([7]))
    try cluster.run(for: .seconds(1))
    cluster.crash(1)
    cluster.restart(1)
    #expect(cluster.node(1)?.found == [7] && cluster.node(1)?.foundDamage == false)
    cluster.crash(1)
    cluster.wipe(1)
    cluster.restart(1)
    #expect(cluster.node(1)?.found == [] && cluster.node(1)?.foundDamage == true)
  }

  // MARK: What ends a run

  @Test func brokenPromisesStopTheRun() throws {
    for (request, kind) in [(Chatter.Request.breakPromise, "always two is two"), (.stop, "halt")] {
      let cluster = Simulator<Chatter>(nodes: 2, seed: 5)
      cluster.ask(2, request)
      #expect(throws: SimulationFailure.self) { try cluster.run(for: .seconds(1)) }
      #expect(cluster.failure?.kind == kind && cluster.failure?.node == 2)
      #expect(cluster.next(until: .max) == nil)
    }
    let cluster = Simulator<Chatter>(nodes: 1, seed: 5)
    try ask(cluster, 1, .write([-1], .sync))
    try cluster.run(for: .seconds(1))
    cluster.crash(1)
    cluster.restart(1)
    #expect(cluster.failure?.kind == "recovery refused")
  }

  @Test func aQuarterOfTheRunsMakesASiteActive() throws {
    var active = 0
    var fired = 0
    for seed in 1...400 as ClosedRange<UInt64> {
      let cluster = Simulator<Chatter>(nodes: 1, seed: seed)
      var fires = 0
      for _ in 0..<20 {
        let session = cluster.ask(1, .buggify)
        try cluster.run(until: { $0.answer(to: session) != nil }, within: .seconds(1))
        if cluster.answer(to: session) == .fired(true) { fires += 1 }
      }
      if fires > 0 { active += 1 }
      fired += fires
    }
    #expect((60...140).contains(active), "\(active)")
    #expect((8...12).contains(fired / max(1, active)), "\(fired)")
    let calm = Simulator<Chatter>(nodes: 1, seed: 1, buggify: false)
    for _ in 0..<20 {
      let session = calm.ask(1, .buggify)
      try calm.run(until: { $0.answer(to: session) != nil }, within: .seconds(1))
      #expect(calm.answer(to: session) == .fired(false))
    }
  }

  // MARK: Determinism

  @Test(.requirement("Simulation.never.9")) func oneSeedGivesOneRun() throws {
    func digest(_ seed: UInt64, tracing: Bool) throws -> TraceDigest {
      let cluster = Simulator<Chatter>(nodes: 3, seed: seed, trace: tracing ? Trace() : nil)
      cluster.network = .hostile
      for word in 0..<50 { cluster.ask(NodeID(UInt64(word % 3 + 1)), .say(word, to: NodeID(UInt64(word % 2 + 1)))) }
      try cluster.run(for: .seconds(1))
      return cluster.digest
    }
    #expect(try digest(1, tracing: false) == digest(1, tracing: false))
    #expect(try digest(1, tracing: true) == digest(1, tracing: true))
    #expect(try digest(1, tracing: false) != digest(2, tracing: false))
  }

  @Test func theTraceHasABound() throws {
    let cluster = Simulator<Chatter>(nodes: 2, seed: 1, trace: Trace(limit: 100))
    for word in 0..<500 { cluster.ask(1, .say(word, to: 2)) }
    try cluster.run(for: .seconds(1))
    let trace = try #require(cluster.trace)
    #expect(trace.events.count <= 100 && trace.dropped > 0)
    #expect(zip(trace.events, trace.events.dropFirst()).allSatisfy { $0.id + 1 == $1.id })
  }
}

struct ProbabilityTests {
  @Test func exponentialTimesHaveTheirMeanAndTail() {
    var random = Random(seed: 1)
    let count = 200_000
    let draws = (0..<count).map { _ in random.exponential(mean: 1_000_000) }
    let mean = draws.reduce(0, +) / UInt64(count)
    #expect((990_000...1_010_000).contains(mean), "\(mean)")
    // Of an exponential distribution 36.8 % lie above the mean, 5.0 % above three times the mean, 0.67 % above five times.
    for (times, low, high) in [(1, 34, 40), (3, 4, 6)] {
      let share = draws.count { $0 > 1_000_000 * UInt64(times) } * 100 / count
      #expect((low...high).contains(share), "\(share) % above \(times) times the mean")
    }
    #expect(draws.max()! > 8_000_000 && draws.max()! <= 30_000_000)
    #expect(random.exponential(mean: 0) == 0)
  }

  @Test func probabilitiesAreExact() {
    var random = Random(seed: 2)
    let hits = (0..<1_000_000).count { _ in random.happens(.percent(3)) }
    #expect((29_000...31_000).contains(hits))
    #expect(!random.happens(.never) && random.happens(.always))
  }
}
