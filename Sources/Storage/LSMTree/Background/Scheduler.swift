import StrataJobs
import Synchronization

/// Runs the store's background work: decides nothing itself, asks for the most urgent job whenever a runner is free.
///
/// In production one thread flushes and cleans up and others compact; in tests nobody runs, and the caller steps one job at a time.
final class Scheduler: Sendable {
  /// What a runner does.
  enum Lane: Int, CaseIterable, Sendable {
    /// Flushes, and the removal of files.
    case flush
    case compaction
  }

  /// Makes the most urgent job of a lane that may start now.
  typealias Source = @Sendable (Lane) -> (any LSMJob)?

  struct State {
    var source: Source?
    var isStopping = false
    /// Jobs begun and not ended, per lane.
    var running = [0, 0]
    /// Counts wake-ups, so that one between a look and a sleep is not missed.
    var calls: UInt64 = 0
    /// Counts what waiters may wait for: ends of jobs, changes of pressure.
    var progress: UInt64 = 0
    /// Monotonic time before which lanes whose job failed for want of space stay quiet.
    var quietUntil: UInt64 = 0
    var stepped: [any LSMJob] = []
    var isHeld = false
    var paidUntil: UInt64 = 0
  }

  private static let work = 0
  private static let progressed = 1
  private static let stepBytes = 256 << 10
  let state = Monitor(State(), conditions: 2)
  let isManual: Bool
  private let bytesPerSecond: Int?
  private let workers: Monitor<[Worker]> = Monitor([])
  private let lanes: [Lane]

  init(_ options: LSMOptions) {
    bytesPerSecond = options.bytesPerSecond
    switch options.background {
    case .manual: (isManual, lanes) = (true, [])
    case .threads(let count): (isManual, lanes) = (false, [.flush] + [Lane](repeating: .compaction, count: max(1, min(count, 64))))
    }
  }

  /// Begins to run jobs.
  func start(_ source: @escaping Source) {
    state.withLock { $0.source = source }
    let started = lanes.enumerated().map { index, lane in
      Worker(name: lane == .flush ? "lsm-flush" : "lsm-compact-\(index)") { self.run(lane) }
    }
    workers.withLock { $0 = started }
  }

  /// Ends the runners after their present steps; jobs not finished are abandoned. Not from a job.
  func stop() {
    let stepped = state.withLock { state in
      state.isStopping = true
      state.calls += 1
      state.progress += 1
      defer { state.stepped = [] }
      return state.stepped
    }
    state.broadcast(Self.work)
    state.broadcast(Self.progressed)
    for job in stepped { job.abandon() }
    let joined = workers.withLock { workers in
      defer { workers = [] }
      return workers
    }
    for worker in joined { worker.join() }
    announceProgress()
  }

  /// Lets go of whom it works for, after ``stop()``.
  func forget() { state.withLock { $0.source = nil } }

  var isStopping: Bool { state.withLock { $0.isStopping } }

  /// There may be work.
  func wake() {
    state.withLock { $0.calls += 1 }
    state.broadcast(Self.work)
  }

  /// Something that somebody may wait for has happened.
  func announceProgress() {
    state.withLock { $0.progress += 1 }
    state.broadcast(Self.progressed)
  }

  /// The count of what has happened; see ``wait(after:)``.
  var progress: UInt64 { state.withLock { $0.progress } }

  /// Blocks until something has happened after `progress`, or a quarter of a second has passed; runs a step itself where nobody else does.
  func wait(after progress: UInt64) {
    if isManual {
      if !step(budget: Self.stepBytes) { announceProgress() }
      return
    }
    _ = state.wait(on: Self.progressed, timeout: .milliseconds(250)) { $0.progress != progress || $0.isStopping ? () : nil }
  }

  /// Keeps jobs from starting while `body` runs, after those running have ended.
  func whileQuiet<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
    state.withLock { $0.isHeld = true }
    while true {
      let seen = progress
      if state.withLock({ $0.running.allSatisfy { $0 == 0 } }) { break }
      wait(after: seen)
    }
    defer {
      state.withLock { $0.isHeld = false }
      wake()
    }
    return try body()
  }

  /// Whether no job runs.
  var isIdle: Bool { state.withLock { $0.running.allSatisfy { $0 == 0 } } }

  // MARK: Threads

  private func run(_ lane: Lane) {
    while let job = next(lane) {
      drive(job)
      end(lane)
    }
  }

  private func next(_ lane: Lane) -> (any LSMJob)? {
    var seen: UInt64 = 0
    while true {
      let source = state.withLock { state -> Source?? in
        if state.isStopping { return .some(nil) }
        seen = state.calls
        guard !state.isHeld, state.quietUntil <= MonotonicClock.now() else { return nil }
        state.running[lane.rawValue] += 1
        return state.source
      }
      if let source {
        guard let source else { return nil }
        if let job = source(lane) { return job }
        end(lane)
      }
      _ = state.wait(on: Self.work, timeout: .milliseconds(250)) { $0.calls != seen || $0.isStopping ? () : nil }
    }
  }

  private func end(_ lane: Lane) {
    state.withLock { $0.running[lane.rawValue] -= 1 }
    announceProgress()
  }

  private func drive(_ job: any LSMJob) {
    while true {
      if isStopping {
        job.abandon()
        return
      }
      switch job.advance(budget: Self.stepBytes) {
      case .done: return
      case .failed(let isNoSpace):
        if isNoSpace { rest() }
        return
      case .progress(let bytes): pay(for: bytes)
      }
    }
  }

  /// After a full disk nothing is tried for a while.
  private func rest() { state.withLock { $0.quietUntil = MonotonicClock.now() &+ 500_000_000 } }

  /// Lets the time pass that `bytes` cost under the limit of the options.
  func pay(for bytes: Int) {
    guard let rate = bytesPerSecond, rate > 0, bytes > 0 else { return }
    let pause = state.withLock { state in
      let now = MonotonicClock.now()
      state.paidUntil = max(state.paidUntil, now) &+ UInt64(Double(bytes) / Double(rate) * 1e9)
      return state.paidUntil &- now
    }
    _ = state.wait(on: Self.work, timeout: .nanoseconds(Int64(clamping: pause))) { $0.isStopping ? () : nil }
  }

  // MARK: Stepping

  /// Moves one job a step, beginning the most urgent where none has begun; `pick` chooses among those under way.
  /// - Returns: whether there was anything to do.
  func step(budget: Int, pick: (Int) -> Int = { _ in 0 }) -> Bool {
    for lane in Lane.allCases {
      let source = state.withLock { state -> Source? in
        guard !state.isHeld, !state.isStopping, state.running[lane.rawValue] == 0 else { return nil }
        return state.source
      }
      if let job = source?(lane) {
        state.withLock { state in
          state.running[lane.rawValue] += 1
          state.stepped.append(job)
        }
      }
    }
    let jobs = state.withLock { $0.stepped }
    guard !jobs.isEmpty else { return false }
    let job = jobs[min(max(0, pick(jobs.count)), jobs.count - 1)]
    if case .progress = job.advance(budget: budget) { return true }
    state.withLock { state in
      state.stepped.removeAll { $0 === job }
      state.running[job.lane.rawValue] -= 1
    }
    announceProgress()
    return true
  }
}

/// A background job of the store: advances in bounded steps, installs its result in one of them, and leaves nothing but files that nothing
/// names where it is abandoned.
protocol LSMJob: AnyObject, Sendable {
  var lane: Scheduler.Lane { get }
  /// Moves about `budget` bytes.
  func advance(budget: Int) -> LSMJobStep
  /// Gives up, once, instead of a further step.
  func abandon()
}

/// What a step achieved.
enum LSMJobStep: Hashable {
  case progress(bytes: Int)
  case done
  case failed(isNoSpace: Bool)
}
