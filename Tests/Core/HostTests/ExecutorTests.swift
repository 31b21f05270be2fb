import StrataDisk
import StrataJobs
import StrataNodes
import Testing

@testable import StrataHost

/// A thread of the test's, which a host has its turns on.
private final class ThreadExecutor: HostExecutor {
  private struct State {
    var turn: (@Sendable () -> UInt64?)?
    var isWanted = false
    var turns = 0
  }

  private let state = Monitor(State())
  private let worker = Monitor<Worker?>(nil)

  func begin(_ turn: @escaping @Sendable () -> UInt64?) {
    state.withLock { $0.turn = turn }
    worker.withLock { $0 = Worker(name: "executor") { self.run(turn) } }
  }

  func wake() {
    state.withLock { $0.isWanted = true }
    state.broadcast()
  }

  /// Waits until the thread has ended.
  func join() { worker.withLock { $0 }?.join() }

  var turns: Int { state.withLock { $0.turns } }

  private func run(_ turn: () -> UInt64?) {
    while let next = turn() {
      state.wait(choosing: { state -> Waiting<Void> in
        if state.isWanted || MonotonicClock.now() >= next {
          state.isWanted = false
          state.turns += 1
          return .done(())
        }
        return .wait(on: 0, until: next)
      })
    }
    state.withLock { $0.turn = nil }
  }
}

/// A host on somebody else's thread does what one with a thread of its own does.
struct ExecutorTests {
  private struct Guest {
    let executor = ThreadExecutor()
    let host: Host
    let log = MemoryLog()
    let node: HostedNode<Probe>

    init(_ options: NodeOptions = NodeOptions()) throws {
      host = Host(on: executor)
      node = try host.run(as: 1, in: 7, peers: [1], knobs: NoKnobs(), log: log, codec: NumberCodec(), options: options)
    }

    func ask(_ request: Probe.Request) -> Result<UInt64, HostError> {
      let answers = Answers()
      node.request(request, answers.take)
      return answers.first(1)[0]
    }
  }

  @Test func requestsOfManyThreadsAreEachAnsweredOnce() throws {
    let guest = try Guest()
    let answers = Answers()
    let threads = (0..<4).map { thread in
      Worker(name: "client") { for number in 0..<500 { guest.node.request(.write(UInt64(thread * 500 + number)), answers.take) } }
    }
    for thread in threads { thread.join() }
    #expect(Set(answers.first(2000).compactMap { try? $0.get() }) == Set(1...2000))
    #expect(guest.log.state.withLock { $0.records.sorted() } == Array(0..<2000))
    guest.host.stop()
    #expect(guest.ask(.echo(1)) == .failure(.unavailable(.stopped)))
    guest.executor.join()
    // Once more says nothing to an executor that may be gone.
    let turns = guest.executor.turns
    guest.host.stop()
    #expect(guest.executor.turns == turns)
  }

  @Test func timersRunOutWithoutAnythingElse() throws {
    let guest = try Guest()
    guest.node.request(.setTimer(1, .milliseconds(2))) { _ in }
    while try !guest.node.inspect({ $0.events.contains(.timer(1)) }) {}
    guest.host.stop()
    guest.executor.join()
  }

  @Test func whoStopsHearsOfOpenRequests() throws {
    let guest = try Guest()
    let answers = Answers()
    guest.node.request(.keepSilent, answers.take)
    _ = try guest.node.inspect { $0.requests }
    guest.host.stop()
    #expect(answers.all == [.failure(.outcomeUnknown(.ended(.stopped)))])
    #expect(throws: HostError.unavailable(.stopped)) {
      _ = try guest.host.run(Probe.self, as: 2, peers: [2], knobs: NoKnobs(), log: MemoryLog(), codec: NumberCodec())
    }
    guest.executor.join()
  }

  @Test func aNodeThatOnlyWaitsForTimersWakesAtMultiplesOfTheirSlack() throws {
    var options = NodeOptions()
    options.timerSlack = .milliseconds(20)
    let slack: UInt64 = 20_000_000
    // When the node was asked for its timers, and when it was given them.
    let fired = Monitor<[UInt64]>([])
    let rig = try Rig(options: options) { node in
      let (now, count) = (node.lastNow.nanoseconds, node.events.count)
      fired.withLock { times in while times.count <= count { times.append(now) } }
      fired.broadcast()
    }
    for timer in 1...5 {
      let before = MonotonicClock.now()
      rig.node.request(.setTimer(timer, .milliseconds(timer))) { _ in }
      let times = fired.wait(until: { $0.count > timer ? $0 : nil }) ?? []
      #expect(times[timer] / slack * slack >= before, "timer \(timer)")
    }
    #expect(rig.events == (1...5).map { .timer($0) })
    rig.host.stop()
  }
}
