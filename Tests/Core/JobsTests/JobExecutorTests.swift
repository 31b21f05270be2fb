import StrataJobs
import StrataRequirements
import Synchronization
import Testing

@Suite struct JobExecutorTests {
  /// Counts down its steps.
  struct Countdown: Job {
    let name = "countdown"
    var left: Int
    var stepBytes = 1
    let log: Monitor<[Int]>
    let id: Int

    mutating func step(budget: Int) throws -> JobStep {
      left -= 1
      log.withLock { $0.append(id) }
      return left > 0 ? .progress(bytes: stepBytes) : .done
    }
  }

  struct Failing: Job {
    struct Broken: Error {}
    let name = "failing"
    mutating func step(budget: Int) throws -> JobStep { throw Broken() }
  }

  @Test func jobsRunToTheirEndInOrderOfSubmission() throws {
    let executor = JobExecutor()
    let log = Monitor<[Int]>([])
    let done = Monitor(0)
    for id in 0..<10 {
      try executor.submit(Countdown(left: 3, log: log, id: id)) { result in
        if case .success = result { done.withLock { $0 += 1 } }
      }
    }
    executor.waitUntilIdle()
    #expect(log.withLock { $0 } == (0..<10).flatMap { [$0, $0, $0] })
    #expect(done.withLock { $0 } == 10)
  }

  @Test func anErrorReachesTheCompletionAndTheNextJobRuns() throws {
    let executor = JobExecutor()
    let outcomes = Monitor<[Bool]>([])
    try executor.submit(Failing()) { result in outcomes.withLock { $0.append((try? result.get()) != nil) } }
    try executor.submit(name: "call", {}) { result in outcomes.withLock { $0.append((try? result.get()) != nil) } }
    executor.waitUntilIdle()
    #expect(outcomes.withLock { $0 } == [false, true])
  }

  @Test func aFullQueueRefuses() throws {
    var options = JobExecutor.Options()
    options.queueLimit = 1
    let executor = JobExecutor(options: options)
    let gate = Monitor(false)
    let started = Monitor(false)
    try executor.submit(name: "holds the thread") {
      started.withLock { $0 = true }
      started.broadcast()
      _ = gate.wait { $0 ? () : nil }
    }
    _ = started.wait { $0 ? () : nil }
    try executor.submit(name: "waits", {})
    #expect(throws: JobExecutor.Failure.queueFull) { try executor.submit(name: "one too many", {}) }
    gate.withLock { $0 = true }
    gate.broadcast()
    executor.waitUntilIdle()
  }

  @Test func shutDownStopsBetweenStepsAndTellsEveryJob() throws {
    // A rate of one byte per second parks the first job after its first step.
    var options = JobExecutor.Options()
    options.bytesPerSecond = 1
    let executor = JobExecutor(options: options)
    let log = Monitor<[Int]>([])
    let stopped = Monitor(0)
    for id in 0..<3 {
      try executor.submit(Countdown(left: 1_000_000, stepBytes: 1_000, log: log, id: id)) { result in
        if case .failure(let error) = result, error as? JobExecutor.Failure == .stopped { stopped.withLock { $0 += 1 } }
      }
    }
    executor.shutDown()
    #expect(stopped.withLock { $0 } == 3)
    #expect(log.withLock { $0.count } <= 1)
    #expect(throws: JobExecutor.Failure.stopped) { try executor.submit(name: "late", {}) }
  }

  @Test func aMonitorsWaitReturnsNothingAfterItsTimeOut() {
    let monitor = Monitor(0)
    #expect(monitor.wait(timeout: .milliseconds(1)) { $0 > 0 ? $0 : nil } == nil)
    monitor.withLock { $0 = 7 }
    #expect(monitor.wait { $0 > 0 ? $0 : nil } == 7)
  }

  @Test func aMonitorCountsExactlyUnderContention() {
    let monitor = Monitor(0)
    let workers = (0..<4).map { _ in Worker(name: "adder") { for _ in 0..<10_000 { monitor.withLock { $0 += 1 } } } }
    for worker in workers { worker.join() }
    #expect(monitor.withLock { $0 } == 40_000)
  }

  @Test func durationsSaturateInsteadOfTrapping() {
    #expect(Duration.seconds(Int64.max).nanoseconds == .max)
    #expect(Duration.seconds(Int64.min).nanoseconds == .min)
    #expect(Duration.milliseconds(3).nanoseconds == 3_000_000)
  }
}
