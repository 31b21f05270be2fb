import StrataDisk
import SystemPackage

/// What opening a log found.
public struct RecoveryReport: Sendable, Hashable {
  /// The recovery mode in force.
  public var mode: WALRecoveryMode
  /// The sequences that can be replayed, `nil` for none.
  public var sequences: ClosedRange<SequenceNumber>?
  /// Bytes read to find the end.
  public var bytesScanned: UInt64 = 0
  /// Bytes after the last valid record that a crash left and that were dropped.
  public var tornBytes: UInt64 = 0
  /// Whether the log had been closed in order.
  public var wasClosed = true
  /// Damaged places (`.pointInTime`, `.salvage` and `verify`; the other modes throw).
  public var damage: [DamagedRegion] = []
  /// Files in the directory that are not the log's.
  public var foreignFiles: [String] = []
  /// Segment files found.
  public var segments = 0
  /// Time taken.
  public var nanoseconds: UInt64 = 0
}

/// A place whose bytes are not what was written.
public struct DamagedRegion: Sendable, Hashable {
  /// Number of the segment.
  public var segment: UInt64
  /// Where in its file the damage begins.
  public var offset: UInt64
  /// Bytes up to the next thing that is intact.
  public var length: UInt64
  /// The first sequence lost with it.
  public var firstLostSequence: SequenceNumber
  /// What was found there.
  public var reason: String
}
