import StrataJobs

/// A moment of the store: reads with it see every write up to ``version`` and none after, whatever is written, flushed or compacted.
///
/// It keeps old versions of overwritten keys on disk, so it should not live long; it ends with its last reference. Safe from any thread.
public final class Snapshot: Sendable {
  /// The last version it sees.
  public let version: UInt64
  let list: SnapshotList
  let madeAt: UInt64

  fileprivate init(_ version: UInt64, _ list: SnapshotList, _ madeAt: UInt64) {
    self.version = version
    self.list = list
    self.madeAt = madeAt
  }

  deinit { list.release(version, madeAt) }

  /// How long it has been held.
  public var age: Duration { .nanoseconds(Int64(clamping: MonotonicClock.now() &- madeAt)) }
}

/// The snapshots that live, for compactions to spare what they see.
final class SnapshotList: Sendable {
  private struct State {
    /// Sequence and number of snapshots, ascending.
    var held: [(sequence: UInt64, count: Int)] = []
    var births: [UInt64: Int] = [:]
    var made: UInt64 = 0
  }

  private let state = Monitor(State())

  /// Registers a snapshot of what `visible` returns, read under the lock that ``sequences()`` takes: a compaction that copied the list before
  /// has fixed its inputs before, and everything in them is then visible to the snapshot as it is to the present.
  func make(_ visible: () -> UInt64) -> Snapshot {
    let now = MonotonicClock.now()
    let sequence = state.withLock { state in
      let sequence = visible()
      state.births[now, default: 0] += 1
      state.made += 1
      // Visible sequences only grow: the place is at the end, or it is the last one's.
      if let last = state.held.indices.last, state.held[last].sequence == sequence {
        state.held[last].count += 1
      } else {
        state.held.append((sequence, 1))
      }
      return sequence
    }
    return Snapshot(sequence, self, now)
  }

  /// Registers a snapshot of an earlier sequence that is known to be readable; `nil` where `isReadable` says it no longer is.
  func make(at sequence: UInt64, where isReadable: () -> Bool) -> Snapshot? {
    let now = MonotonicClock.now()
    let isMade = state.withLock { state in
      guard isReadable() else { return false }
      state.births[now, default: 0] += 1
      let place = state.held.firstIndex { $0.sequence >= sequence } ?? state.held.count
      if place < state.held.count, state.held[place].sequence == sequence {
        state.held[place].count += 1
      } else {
        state.held.insert((sequence, 1), at: place)
      }
      return true
    }
    return isMade ? Snapshot(sequence, self, now) : nil
  }

  fileprivate func release(_ sequence: UInt64, _ birth: UInt64) {
    state.withLock { state in
      if let place = state.held.firstIndex(where: { $0.sequence == sequence }) {
        state.held[place].count -= 1
        if state.held[place].count == 0 { state.held.remove(at: place) }
      }
      if let count = state.births[birth] { state.births[birth] = count > 1 ? count - 1 : nil }
    }
  }

  /// The sequences held, ascending. Copy them only after a compaction's inputs are fixed.
  func sequences<Result>(_ body: ([UInt64]) -> Result) -> Result { state.withLock { body($0.held.map(\.sequence)) } }

  /// Runs `body` unless a snapshot of `sequence` or a later one is held, and lets none be made meanwhile; returns whether it ran.
  func ifNoneHolds<Failure: Error>(_ sequence: UInt64, _ body: () throws(Failure) -> Void) throws(Failure) -> Bool {
    try state.withLock { (state) throws(Failure) in
      if let newest = state.held.last, newest.sequence >= sequence { return false }
      try body()
      return true
    }
  }

  var count: Int { state.withLock { $0.held.reduce(0) { $0 + $1.count } } }
  /// Age of the oldest; zero where there is none.
  var oldestAge: Duration {
    let birth = state.withLock { $0.births.keys.min() }
    return birth.map { .nanoseconds(Int64(clamping: MonotonicClock.now() &- $0)) } ?? .zero
  }
}
