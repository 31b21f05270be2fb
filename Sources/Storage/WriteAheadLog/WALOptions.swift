import StrataJobs

/// How a log is laid out and behaves. Tests shrink the sizes to reach deep paths with little data.
public struct WALOptions: Sendable {
  /// A segment that has reached this length takes no further record. At least two blocks; smaller values are raised.
  public var segmentBytes = 64 << 20
  /// When an append counts as acknowledged.
  public var durability: Durability = .everyWrite
  /// Segment files kept for reuse after a truncation; reusing written blocks makes syncs cheaper.
  public var recycledSegments = 2
  /// The largest record or batch, encoded; checked before memory is taken, when writing and when reading.
  public var maxRecordBytes = 256 << 20
  /// Submitted bytes not yet written, above which appends wait.
  public var maxPendingBytes = 64 << 20
  /// How damage is treated when the log is opened.
  public var recovery: WALRecoveryMode = .tolerateTornTail
  /// How long a group waits for company once `commitSiblings` writers wait. A lone writer never waits.
  public var commitDelay: Duration = .zero
  /// How many writers must wait already for `commitDelay` to apply.
  public var commitSiblings = 5
  /// Starts each group on a multiple of this (512 or 4096), for devices that may tear the sector they rewrite; 1 for none.
  public var padGroups = 1
  /// How far a fresh file is zero-filled ahead of synced groups, so that most syncs change no metadata; 0 for none.
  public var zeroAheadBytes = 512 << 10
  /// Whether the log may start its commit thread. Without it, intervals and asynchronous waits are served only by
  /// ``WriteAheadLog/commitPending()``; for simulations.
  public var usesThread = true
  /// Milliseconds since 1970, recorded in segment headers for information.
  public var clock: @Sendable () -> UInt64 = { WallClock.unixMilliseconds() }
  /// Source of log ids and salts; they need to differ, not to be secret.
  public var entropy: @Sendable () -> UInt64 = {
    var generator = SystemRandomNumberGenerator()
    return generator.next()
  }

  public init() {}
}

/// What opening a log does about bytes that are not a valid log.
public enum WALRecoveryMode: Sendable, Hashable {
  /// A torn tail, which a crash leaves, is cut; damage to what had been durable throws `.damaged`.
  case tolerateTornTail
  /// Any imperfection throws, a torn tail too.
  case absolute
  /// The log ends before the first damage, wherever it is (every segment is read); what is cut off is kept in files named `*.damaged`.
  case pointInTime
  /// Read-only; damaged places are skipped and listed in the report. Nothing on disk is changed.
  case salvage
}
