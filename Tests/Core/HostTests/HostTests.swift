import StrataDisk
import StrataJobs
import StrataNodes
import Synchronization
import Testing

@testable import StrataHost

/// A host keeps what the contract of nodes promises, and ends every request.
struct HostTests {
  // MARK: Requests

  @Test func aRequestIsAnsweredUnderItsSession() throws {
    let rig = try Rig()
    #expect(rig.ask(.echo(42)) == .success(42))
    #expect(rig.ask(.echo(43)) == .success(43))
    #expect(try rig.node.inspect { $0.requests } == 2)
    rig.host.stop()
  }

  @Test func aSessionIsAnsweredOnce() throws {
    let rig = try Rig()
    let answers = Answers()
    rig.node.request(.answerTwice, answers.take)
    _ = rig.ask(.echo(0))
    #expect(answers.all == [.success(1)])
    #expect(rig.node.statistics.repliesDropped == 1)
    rig.host.stop()
  }

  @Test func requestsOfManyThreadsAreEachAnsweredOnce() throws {
    let rig = try Rig()
    let answers = Answers()
    let threads = (0..<4).map { thread in
      Worker(name: "client") { for number in 0..<2000 { rig.node.request(.write(UInt64(thread * 2000 + number)), answers.take) } }
    }
    for thread in threads { thread.join() }
    let all = answers.first(8000)
    #expect(Set(all.compactMap { try? $0.get() }) == Set(1...8000))
    #expect(rig.log.state.withLock { $0.records.sorted() } == Array(0..<8000))
    #expect(try !rig.node.inspect { $0.clockWentBack })
    #expect(answers.all.count == 8000)
    rig.host.stop()
  }

  @Test func moreRequestsThanTheBoundAreRefused() throws {
    var options = NodeOptions()
    options.maxOpenRequests = 3
    let rig = try Rig(log: MemoryLog(isHeld: true), options: options)
    let answers = Answers()
    for number in 0..<5 { rig.node.request(.write(UInt64(number)), answers.take) }
    #expect(answers.all == [.failure(.overloaded(limit: 3)), .failure(.overloaded(limit: 3))])
    _ = try rig.node.inspect { $0.requests }
    rig.log.release()
    #expect(answers.first(5).suffix(3) == [.success(1), .success(2), .success(3)])
    #expect(rig.ask(.echo(9)) == .success(9))
    #expect(rig.node.statistics.requestsRefused == 2)
    rig.host.stop()
  }

  @Test func aRequestWithoutAnswerEndsAtItsDeadlineWithAnUnknownOutcome() throws {
    let rig = try Rig()
    let answers = Answers()
    let session = rig.node.request(.keepSilent, deadline: .milliseconds(5), answers.take)
    #expect(answers.first(1) == [.failure(.outcomeUnknown(.deadline))])
    #expect(rig.events == [.cancelled(session)])
    #expect(rig.node.statistics.requestsExpired == 1)
    rig.host.stop()
  }

  @Test func aRequestThatIsGivenUpEndsAndTheNodeHearsIt() throws {
    let rig = try Rig()
    let answers = Answers()
    let session = rig.node.request(.keepSilent, answers.take)
    rig.node.cancel(session)
    rig.node.cancel(session)
    #expect(answers.first(1) == [.failure(.outcomeUnknown(.cancelled))])
    #expect(rig.events == [.cancelled(session)])
    rig.host.stop()
  }

  @Test func tasksAskAndGiveUp() async throws {
    let rig = try Rig()
    #expect(try await rig.node.request(.echo(5)) == 5)
    let task = Task { try await rig.node.request(.keepSilent) }
    task.cancel()
    await #expect(throws: HostError.outcomeUnknown(.cancelled)) { try await task.value }
    await #expect(throws: HostError.outcomeUnknown(.deadline)) { try await rig.node.request(.keepSilent, deadline: .milliseconds(1)) }
    rig.host.stop()
  }

  @Test func aCompletionMayAskAgain() throws {
    let rig = try Rig()
    let answers = Answers()
    rig.node.request(.echo(1)) { _ in rig.node.request(.echo(2), answers.take) }
    #expect(answers.first(1) == [.success(2)])
    rig.host.stop()
  }

  // MARK: Writes

  @Test func theWritesOfOneTurnAreOneBatch() throws {
    let rig = try Rig()
    let answers = Answers()
    rig.together { for number in 0..<100 as Range<UInt64> { rig.node.request(.write(number), answers.take) } }
    #expect(answers.first(100).compactMap { try? $0.get() } == Array(1...100))
    let batches = rig.log.state.withLock { $0.batches }
    #expect(batches.count == 1 && batches.first?.count == 100)
    #expect(rig.events == (1...100).map { .persisted(Ticket($0)) })
    #expect(try rig.node.inspect { $0.settlements } < 10)
    #expect(rig.node.syncLatency.count == 1 && rig.node.syncLatency.quantile(0.5) > 0)
    #expect(rig.node.answerLatency.count == 100 && rig.node.answerLatency.quantile(1) >= rig.node.syncLatency.quantile(0))
    rig.host.stop()
  }

  @Test func nothingIsAnsweredBeforeItIsDurable() throws {
    let rig = try Rig(log: MemoryLog(isHeld: true))
    let answers = Answers()
    rig.node.request(.write(7), answers.take)
    _ = rig.ask(.echo(1))
    #expect(answers.all.isEmpty && rig.events.isEmpty)
    rig.log.release()
    #expect(answers.first(1) == [.success(1)])
    rig.host.stop()
  }

  @Test func bufferedWritesAreNotReportedOnTheirOwn() throws {
    let rig = try Rig()
    #expect(rig.ask(.writeLater(3)) == .success(3))
    #expect(rig.ask(.write(4)) == .success(1))
    #expect(rig.events == [.persisted(1)])
    #expect(rig.log.state.withLock { $0.records } == [3, 4])
    rig.host.stop()
  }

  @Test func aCheckpointReplacesWhatWasWrittenBeforeItAndNotWhatComesAfter() throws {
    let rig = try Rig()
    let answers = Answers()
    rig.together {
      rig.node.request(.write(1), answers.take)
      rig.node.request(.replaceLog([10, 11]), answers.take)
      rig.node.request(.write(2), answers.take)
    }
    #expect(answers.first(3) == [.success(1), .success(2), .success(3)])
    #expect(rig.log.state.withLock { $0.records } == [10, 11, 2])
    rig.host.stop()
  }

  @Test func aNodeFindsItsRecordsAgain() throws {
    let log = MemoryLog()
    let first = try Rig(log: log)
    #expect(first.ask(.write(8)) == .success(1))
    first.host.stop()
    let second = try Rig(log: log)
    #expect(try second.node.inspect { $0.recovered } == [8])
    second.host.stop()
  }

  @Test func aNodeThatCannotRecoverIsNotStarted() throws {
    let error = #expect(throws: HostError.self) { try Rig(log: MemoryLog(isDamaged: true)) }
    #expect(error == .cannotStart("records are missing"))
  }

  @Test func afterAFailedSyncNothingIsAcknowledgedAndEverythingEnds() throws {
    let rig = try Rig(log: MemoryLog(isHeld: true))
    let answers = Answers()
    rig.node.request(.write(1), answers.take)
    _ = rig.ask(.echo(0))
    rig.node.request(.write(2), answers.take)
    rig.node.request(.keepSilent, answers.take)
    _ = rig.ask(.echo(0))
    let failure = DiskError.io(errno: 5, operation: .sync, path: "/log", offset: nil)
    rig.log.release(failure)
    let ending = HostError.Ending.logFailed(failure)
    #expect(answers.first(3) == Array(repeating: .failure(.outcomeUnknown(.ended(ending))), count: 3))
    #expect(rig.ask(.echo(1)) == .failure(.unavailable(ending)))
    #expect(rig.node.ending == ending)
    // It is told once, and goes on hearing what needs no log.
    #expect(rig.events == [.persistFailed(1)])
    rig.host.stop()
  }

  // MARK: Timers

  @Test func timersFireInTheirOrderOnce() throws {
    let rig = try Rig()
    rig.together {
      for (name, delay) in [(1, 6), (2, 2), (3, 4)] { rig.node.request(.setTimer(name, .milliseconds(delay))) { _ in } }
    }
    rig.wait { $0.count == 3 }
    #expect(rig.events == [.timer(2), .timer(3), .timer(1)])
    rig.host.stop()
  }

  @Test func aTimerSetAgainFiresOnceAndACancelledOneNever() throws {
    let rig = try Rig()
    rig.together {
      rig.node.request(.setTimer(1, .zero)) { _ in }
      rig.node.request(.setTimer(2, .zero)) { _ in }
      rig.node.request(.setTimer(1, .milliseconds(3))) { _ in }
      rig.node.request(.cancelTimer(2)) { _ in }
      rig.node.request(.setTimer(3, .milliseconds(6))) { _ in }
    }
    rig.wait { $0.contains(.timer(3)) }
    #expect(rig.events == [.timer(1), .timer(3)])
    rig.host.stop()
  }

  @Test func aTimerThatSetsItselfAgainAtOnceStarvesNobody() throws {
    let rig = try Rig()
    #expect(rig.ask(.spin(1000)) == .success(0))
    while try rig.node.inspect({ $0.spins }) > 0 {}
    #expect(rig.ask(.echo(1)) == .success(1))
    #expect(rig.node.statistics.timersFired == 1000)
    rig.host.stop()
  }

  // MARK: Ends

  @Test func aHaltedNodeEndsEverythingWithItsReason() throws {
    let rig = try Rig()
    let answers = Answers()
    rig.together {
      rig.node.request(.keepSilent, answers.take)
      rig.node.request(.write(1), answers.take)
      rig.node.request(.halt, answers.take)
      rig.node.request(.echo(1), answers.take)
    }
    let ending = HostError.Ending.halted("two and two make five")
    let unknown = Result<UInt64, HostError>.failure(.outcomeUnknown(.ended(ending)))
    let all = answers.first(4)
    #expect(all.filter { $0 == unknown }.count == 3)
    // What was never given to the node had no effect.
    #expect(all.filter { $0 == .failure(.unavailable(ending)) }.count == 1)
    #expect(rig.ask(.echo(1)) == .failure(.unavailable(ending)))
    #expect(throws: HostError.unavailable(ending)) { try rig.node.inspect { $0.requests } }
    // Effects after the halt are not carried out.
    #expect(rig.log.state.withLock { $0.records }.isEmpty)
    rig.node.stop()
    rig.host.stop()
  }

  @Test func aStoppedNodeEndsItsRequestsAndLetsItsLogGo() throws {
    weak var log: MemoryLog?
    let host = Host()
    let answers = Answers()
    do {
      let mine = MemoryLog()
      log = mine
      let node = try host.run(Probe.self, as: 1, peers: [1], knobs: NoKnobs(), log: mine, codec: NumberCodec())
      node.request(.keepSilent, answers.take)
      _ = try node.inspect { $0.requests }
      node.stop()
      node.stop()
      #expect(answers.all == [.failure(.outcomeUnknown(.ended(.stopped)))])
      node.request(.echo(1), answers.take)
      #expect(answers.all.last == .failure(.unavailable(.stopped)))
    }
    #expect(log == nil)
    host.stop()
    #expect(host.statistics.nodes <= 1)
    #expect(throws: HostError.unavailable(.stopped)) {
      try host.run(Probe.self, as: 1, peers: [1], knobs: NoKnobs(), log: MemoryLog(), codec: NumberCodec())
    }
  }

  @Test func aStopFromTheHostsOwnThreadDoesNotWait() throws {
    let rig = try Rig()
    let answers = Answers()
    rig.node.request(.echo(1)) { _ in
      rig.node.stop()
      answers.take(.success(0))
    }
    _ = answers.first(1)
    rig.node.stop()
    #expect(rig.node.ending == .stopped)
    rig.host.stop()
  }

  @Test func aHostThatStopsEndsEveryNode() throws {
    let host = Host()
    let answers = Answers()
    let nodes = try (1...3).map { id in
      try host.run(Probe.self, as: NodeID(UInt64(id)), peers: [1, 2, 3], knobs: NoKnobs(), log: MemoryLog(), codec: NumberCodec())
    }
    for node in nodes { node.request(.keepSilent, answers.take) }
    host.stop()
    #expect(answers.first(3).allSatisfy { if case .failure = $0 { true } else { false } })
    #expect(nodes.allSatisfy { $0.ending == .stopped })
    host.stop()
  }

  @Test func theObserverSeesTheNodeAfterItsTurn() throws {
    let seen = Monitor(0)
    let rig = try Rig(observer: { node in
      let requests = node.requests
      seen.withLock { $0 = requests }
      seen.broadcast()
    })
    _ = rig.ask(.echo(1))
    _ = rig.ask(.echo(2))
    #expect(seen.wait(until: { $0 >= 2 ? $0 : nil }) == 2)
    rig.host.stop()
  }
}
