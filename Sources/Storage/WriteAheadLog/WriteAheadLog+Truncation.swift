import StrataDisk
import StrataJobs

extension WriteAheadLog {
  /// Gives up the records up to and including `sequence`: durable on return, after which replay begins behind them. Whole segments are then
  /// removed, oldest first, or kept for reuse. Appends go on meanwhile; the cost is one sync and one unlink per segment.
  /// - Throws: `.truncateBeyondEnd` beyond the last record; nothing is changed.
  public func truncate(upTo sequence: SequenceNumber) throws(WALError) {
    let commit = try writer()
    guard sequence <= commit.submittedSequence else {
      throw .truncateBeyondEnd(requested: sequence, last: commit.submittedSequence)
    }
    do throws(CommitError) { try commit.wait(for: sequence, durably: true) } catch { throw WALError(error, directory) }
    // Another caller's higher mark may not be on the device yet.
    if sequence > segments.durableLowWater {
      try place(truncation: sequence)
      do throws(CommitError) { try commit.flush() } catch { throw WALError(error, directory) }
      segments.raise(durableLowWater: sequence)
    }
    do throws(DiskError) { try segments.reclaim() } catch { throw .storage(error) }
  }

  /// Keeps the records after `sequence` on disk for a slow reader, whatever is truncated, as long as they are no more than `maxBytes`;
  /// then the pin is lost and its reader told. Pins do not outlive the log object.
  public func pin(at sequence: SequenceNumber, name: String, maxBytes: Int) throws(WALError) -> WALPin {
    _ = try writer()
    return try WALPin(log: self, name: name, sequence: sequence, maxBytes: maxBytes)
  }

  /// What the log has done and holds.
  public var statistics: WALStatistics {
    let (counts, pending) = commit?.counters ?? (CommitCounters(), 0)
    let files = segments.segments
    let made = segments.counts
    return WALStatistics(
      operations: counts.operations, bytesWritten: counts.bytes, groups: counts.passes, syncs: counts.syncs,
      syncNanoseconds: counts.syncNanoseconds, longestSyncNanoseconds: counts.longestSyncNanoseconds, pendingBytes: pending,
      segments: files.count, diskBytes: files.reduce(0) { $0 + ($1.sealed?.length ?? UInt64(options.segmentBytes)) },
      createdSegments: made.created, recycledSegments: made.recycled)
  }
}

/// What ``WriteAheadLog/statistics`` tells; counts are since the log was opened.
public struct WALStatistics: Sendable, Hashable {
  /// Operations submitted.
  public var operations: UInt64
  /// Bytes written to segments, framing included.
  public var bytesWritten: UInt64
  /// Groups written: each one write, and one sync where its records asked for it.
  public var groups: UInt64
  /// Syncs of segment data.
  public var syncs: UInt64
  /// Time spent in them.
  public var syncNanoseconds: UInt64
  /// The longest of them.
  public var longestSyncNanoseconds: UInt64
  /// Bytes submitted and not yet written.
  public var pendingBytes: Int
  /// Segment files of the log.
  public var segments: Int
  /// Bytes they take on disk, what is reserved included.
  public var diskBytes: UInt64
  /// Segment files made anew.
  public var createdSegments: Int
  /// Segment files used again.
  public var recycledSegments: Int
}

/// A promise that records stay readable; see ``WriteAheadLog/pin(at:name:maxBytes:)``. Ends with ``release()`` or the object.
public final class WALPin: Sendable {
  /// The name given to it.
  public let name: String
  private let log: WriteAheadLog

  init(log: WriteAheadLog, name: String, sequence: SequenceNumber, maxBytes: Int) throws(WALError) {
    self.log = log
    self.name = name
    try log.segments.add(pin: ObjectIdentifier(self), .init(name: name, sequence: sequence, maxBytes: maxBytes))
  }

  deinit { log.segments.remove(pin: ObjectIdentifier(self)) }

  /// The sequence after which records are kept.
  public var sequence: SequenceNumber {
    get throws(WALError) { try state().sequence }
  }

  /// Lets go of the records up to and including `sequence`.
  public func advance(to sequence: SequenceNumber) { log.segments.advance(pin: ObjectIdentifier(self), to: sequence) }

  /// The pinned records as they become durable; the pin moves along with what is delivered.
  public func follow() throws(WALError) -> WALFollower { WALFollower(log: log, after: try state().sequence, pin: self) }

  /// Ends the promise. What it kept goes with the next truncation.
  public func release() { log.segments.remove(pin: ObjectIdentifier(self)) }

  func check() throws(WALError) { _ = try state() }

  private func state() throws(WALError) -> LogSegments.PinState {
    guard let state = log.segments.pin(ObjectIdentifier(self)), !state.isLost else { throw .pinLost(name: name) }
    return state
  }
}

/// The identifier of an observation that may be cancelled before it is known.
final class ObserverID: Sendable {
  private enum State { case unset, set(UInt64), cancelled }
  private let state = Monitor(State.unset)

  /// Returns whether the observation was cancelled before.
  func set(_ id: UInt64) -> Bool {
    state.withLock { state in
      if case .cancelled = state { return true }
      state = .set(id)
      return false
    }
  }

  func cancel() -> UInt64? {
    state.withLock { state in
      defer { state = .cancelled }
      if case .set(let id) = state { return id }
      return nil
    }
  }
}
