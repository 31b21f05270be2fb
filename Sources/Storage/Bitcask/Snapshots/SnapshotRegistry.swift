import StrataJobs
import Synchronization

/// The snapshots held, and how much is kept for them.
final class SnapshotRegistry: Sendable {
  private struct State {
    /// Holders by sequence.
    var held: [SequenceNumber: Int] = [:]
  }

  private let state = Monitor(State())
  private let active = Atomic<Bool>(false)
  private let versions = Atomic<Int>(0)
  private let limit: Int
  /// Rises each time all snapshots are given up.
  private let era = Atomic<Int>(0)

  /// Whether changes have to remember what they replace.
  var areActive: Bool { active.load(ordering: .relaxed) }
  var versionCount: Int { versions.load(ordering: .relaxed) }
  var currentEra: Int { era.load(ordering: .acquiring) }
  var count: Int { state.withLock { $0.held.values.reduce(0, +) } }

  init(limit: Int) { self.limit = limit }

  /// Counts a version about to be kept; `false` beyond the bound: then every snapshot is given up.
  func mayAddVersion() -> Bool {
    if versions.wrappingAdd(1, ordering: .relaxed).newValue <= limit { return true }
    era.add(1, ordering: .releasing)
    active.store(false, ordering: .relaxed)
    return false
  }

  /// Registers a snapshot at `sequence`; under the commit lock.
  func hold(_ sequence: SequenceNumber) -> Int {
    state.withLock { state in
      state.held[sequence, default: 0] += 1
      active.store(true, ordering: .relaxed)
      return era.load(ordering: .relaxed)
    }
  }

  /// Lets a snapshot go; returns the lowest sequence still held. Under the commit lock, so no version is added meanwhile.
  func release(_ sequence: SequenceNumber) -> SequenceNumber? {
    state.withLock { state in
      if let holders = state.held[sequence] { state.held[sequence] = holders > 1 ? holders - 1 : nil }
      if state.held.isEmpty { active.store(false, ordering: .relaxed) }
      return state.held.keys.min()
    }
  }

  func forgot(_ count: Int) { versions.subtract(count, ordering: .relaxed) }
}
