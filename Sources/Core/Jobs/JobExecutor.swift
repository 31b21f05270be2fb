/// Runs jobs on threads of its own, a bounded step at a time, within a shared rate limit.
///
/// Jobs queue in order of submission; each thread takes the oldest and steps it to its end. Safe to use from any thread.
public final class JobExecutor: Sendable {
  /// How an executor runs.
  public struct Options: Sendable {
    /// Number of threads; at least 1.
    public var threads = 1
    /// Bytes a job may move per step.
    public var stepBytes = 64 * 1024
    /// Bytes per second all jobs together may move; `nil` for no limit.
    public var bytesPerSecond: Int?
    /// Jobs that may wait; a submission beyond is refused.
    public var queueLimit = 1024
    /// Name prefix of the threads.
    public var name = "jobs"

    public init() {}
  }

  /// Why a job did not run to its end.
  public enum Failure: Error, Sendable, Hashable {
    /// `queueLimit` jobs wait already; submit again when one has finished.
    case queueFull
    /// The executor was shut down before the job's last step.
    case stopped
  }

  /// Called once per job, on the thread that ran it, with its outcome.
  public typealias Completion = @Sendable (Result<Void, any Error>) -> Void

  private struct State {
    var queue: [(job: any Job, completion: Completion)] = []
    var running = 0
    var isStopping = false
    /// The moment until which earlier steps have used up the allowed rate.
    var paidUntil: UInt64 = 0
  }

  private static let work = 0
  private static let idle = 1
  /// Threads that wait for the rate limit, apart from those that wait for work, whose wake-ups they must not take.
  private static let rate = 2
  private let monitor = Monitor(State(), conditions: 3)
  private let options: Options
  private let workers: [Worker]

  public init(options: Options = Options()) {
    self.options = options
    let monitor = monitor
    workers = (0..<max(1, options.threads)).map { index in
      Worker(name: "\(options.name)-\(index)") { Self.run(monitor, options) }
    }
  }

  deinit { shutDown() }

  /// Queues a job. `completion` runs on the executing thread and must not block for long.
  public func submit(_ job: any Job, completion: @escaping Completion = { _ in }) throws(Failure) {
    try monitor.withLock { (state) throws(Failure) in
      guard !state.isStopping else { throw .stopped }
      guard state.queue.count < options.queueLimit else { throw .queueFull }
      state.queue.append((job, completion))
    }
    monitor.signal(Self.work)
  }

  /// Queues a blocking call that belongs on a thread that may wait.
  public func submit(name: String, _ body: @escaping @Sendable () throws -> Void, completion: @escaping Completion = { _ in })
    throws(Failure)
  {
    try submit(Call(name: name, body: body), completion: completion)
  }

  /// Jobs waiting and running.
  public var pending: Int { monitor.withLock { $0.queue.count + $0.running } }

  /// Waits until nothing is queued or running.
  public func waitUntilIdle() {
    _ = monitor.wait(on: Self.idle) { (state) -> Void? in state.queue.isEmpty && state.running == 0 ? () : nil }
  }

  /// Stops after the current steps; unfinished and queued jobs complete with `.stopped`. Returns when no thread runs any more.
  /// Must not be called from a job.
  public func shutDown() {
    let abandoned = monitor.withLock { state in
      state.isStopping = true
      defer { state.queue.removeAll() }
      return state.queue
    }
    monitor.broadcast(Self.work)
    monitor.broadcast(Self.idle)
    monitor.broadcast(Self.rate)
    for worker in workers { worker.join() }
    for entry in abandoned { entry.completion(.failure(Failure.stopped)) }
  }

  private static func run(_ monitor: Monitor<State>, _ options: Options) {
    while true {
      let next = monitor.wait(on: work) { (state) -> (job: any Job, completion: Completion)?? in
        if state.isStopping { return .some(nil) }
        guard !state.queue.isEmpty else { return nil }
        state.running += 1
        return state.queue.removeFirst()
      }
      guard let entry = next ?? nil else { return }
      entry.completion(Result { try drive(entry.job, monitor, options) })
      monitor.withLock { $0.running -= 1 }
      monitor.broadcast(idle)
    }
  }

  private static func drive(_ job: any Job, _ monitor: Monitor<State>, _ options: Options) throws {
    var job = job
    while case .progress(let bytes) = try job.step(budget: options.stepBytes) {
      let pause = monitor.withLock { (state) -> UInt64? in
        if state.isStopping { return nil }
        guard let rate = options.bytesPerSecond, rate > 0, bytes > 0 else { return 0 }
        let now = MonotonicClock.now()
        let cost = UInt64(Double(bytes) / Double(rate) * 1e9)
        state.paidUntil = max(state.paidUntil, now) &+ cost
        return state.paidUntil &- now
      }
      guard let pause else { throw Failure.stopped }
      if pause > 0 {
        let stop: Bool? = monitor.wait(on: rate, timeout: .nanoseconds(Int64(clamping: pause))) { $0.isStopping ? true : nil }
        // A stop ends the wait early; another step would be one beyond those promised.
        if stop != nil { throw Failure.stopped }
      }
    }
  }
}

/// A blocking call as a job of one step.
private struct Call: Job {
  let name: String
  let body: @Sendable () throws -> Void

  mutating func step(budget: Int) throws -> JobStep {
    try body()
    return .done
  }
}
