import StrataDisk
import StrataJobs
import Synchronization

/// A merge as background work: executed by one thread at a time, dropped between any two steps without harm.
package final class MergeJob: Job, @unchecked Sendable {
  // Sendable because whoever executes the job steps it from one thread at a time, and nobody else has it.
  /// `bitcask.merge` and the segments.
  package let name: String
  private let run: MergeRun
  private let done: @Sendable (MergeReport) -> Void

  init(_ run: MergeRun, name: String, done: @escaping @Sendable (MergeReport) -> Void = { _ in }) {
    self.run = run
    self.name = name
    self.done = done
  }

  /// Rewrites about `budget` bytes; the last step makes the merged segments the ones that count.
  package func step(budget: Int) throws -> JobStep {
    let step = try run.step(budget: budget)
    if step == .done { done(run.report) }
    return step
  }
}

extension Bitcask {
  /// Rewrites what is live of the chosen segments, drops the rest, and frees the space. Blocks until done; readers and writers go on.
  ///
  /// Changes no value that anyone can observe. A segment in which damage is found stays, and the report names the damage.
  /// - Throws: `.busy` while another merge, backup or rebuild runs; `.noSpace` (nothing changed); `.disk`, `.durabilityLost`, `.closed`.
  @discardableResult
  public func merge(_ scope: MergeScope = .automatic) throws(BitcaskError) -> MergeReport {
    try checkOpen()
    return try exclusively("merge") { () throws(BitcaskError) in
      let inputs = mergeInputs(scope)
      guard !inputs.isEmpty else { return MergeReport() }
      let run = MergeRun(self, inputs)
      while try run.step(budget: 1 << 20) != .done { try checkOpen() }
      return run.report
    }
  }

  /// As the blocking form, on a thread that may wait; suspends.
  @discardableResult
  public func merge(_ scope: MergeScope = .automatic) async throws(BitcaskError) -> MergeReport {
    try await offload { () throws(BitcaskError) in try self.merge(scope) }
  }

  /// The merge that is due, as a job for an executor of the caller's; `nil` where none is. One at a time: drop or finish it first.
  package func mergeJob(_ scope: MergeScope = .automatic, done: @escaping @Sendable (MergeReport) -> Void = { _ in }) -> MergeJob? {
    let inputs = mergeInputs(scope)
    guard !inputs.isEmpty else { return nil }
    return MergeJob(MergeRun(self, inputs), name: "bitcask.merge \(inputs.map { String($0.id) }.joined(separator: ","))", done: done)
  }

  func mergeInputs(_ scope: MergeScope) -> [Segment] {
    let sealed = sealedSegments()
    switch scope {
    case .all: return sealed
    case .segments(let ids): return sealed.filter { ids.contains($0.id) }
    case .automatic:
      let now = options.clock()
      let candidates = sealed.map {
        MergePolicy.Candidate(id: $0.id, bytes: $0.dataBytes, deadBytes: $0.deadBytes(now: now), isDamaged: $0.isDamaged)
      }
      let chosen = Set(MergePolicy(options: options.merge, segmentBytes: options.segmentBytes).choose(candidates, now: now))
      return sealed.filter { chosen.contains($0.id) }
    }
  }

  /// Runs `body` while no other maintenance runs.
  func exclusively<Value>(_ name: String, _ body: () throws(BitcaskError) -> Value) throws(BitcaskError) -> Value {
    let running = maintenance.withLock { state -> String? in
      if let running = state.running { return running }
      state.running = name
      return nil
    }
    if let running { throw .busy("a \(running)") }
    defer {
      maintenance.withLock { $0.running = nil }
      emptyTrash()
    }
    return try body()
  }

  /// Removes the files of dropped segments whose last reader is gone.
  func emptyTrash() {
    for id in trash.take() { try? fileSystem.remove(FileName.data(id).path(in: directory)) }
  }

  /// Does what the store's own thread would do by now: hints for sealed segments, merges that are due, removal of files. For stores opened
  /// with `background: .manual`; blocks.
  public func maintain() throws(BitcaskError) {
    commit.commitPending()
    try createHintFiles()
    if options.merge.isAutomatic { try merge(.automatic) }
    emptyTrash()
  }

  /// Puts hints and due merges on the background thread's queue.
  func scheduleMaintenance() {
    guard let executor else { return }
    let isFirst = maintenance.withLock { state in
      defer { state.isScheduled = true }
      return !state.isScheduled
    }
    guard isFirst else { return }
    do throws(JobExecutor.Failure) { try executor.submit(MaintenanceJob(self)) } catch {
      // A full queue or an executor that stops: the next rotation, or the next opening, tries again.
      maintenance.withLock { $0.isScheduled = false }
    }
  }
}

/// What follows a rotation: hints, then merges as long as one is due. Holds the store weakly: an abandoned store ends between two steps.
// Sendable because the executor steps it from one thread at a time, and nobody else has it.
private final class MaintenanceJob: Job, @unchecked Sendable {
  // Sendable because the executor steps it from one thread at a time, and nobody else has it.
  let name = "bitcask.maintenance"
  private weak var store: Bitcask?
  private var run: MergeRun?

  init(_ store: Bitcask) { self.store = store }

  func step(budget: Int) throws -> JobStep {
    guard let store else { return .done }
    do {
      if let run {
        if try run.step(budget: budget) != .done { return .progress(bytes: budget) }
        finish(store)
        return .progress(bytes: 0)
      }
      store.maintenance.withLock { $0.isScheduled = false }
      try store.createHintFiles()
      return try begin(store) ? .progress(bytes: 0) : .done
    } catch {
      if run != nil { finish(store) }
      throw error
    }
  }

  private func begin(_ store: Bitcask) throws -> Bool {
    guard store.options.merge.isAutomatic else { return false }
    let isFree = store.maintenance.withLock { state in
      guard state.running == nil else { return false }
      state.running = "merge"
      return true
    }
    guard isFree else { return false }
    let inputs = store.mergeInputs(.automatic)
    guard !inputs.isEmpty else {
      finish(store)
      return false
    }
    run = MergeRun(store, inputs)
    return true
  }

  private func finish(_ store: Bitcask) {
    run = nil
    store.maintenance.withLock { $0.running = nil }
    store.emptyTrash()
  }
}
