import StrataJobs
public import StrataWriteAheadLog

/// How a store behaves. Everything may differ from one opening to the next.
public struct BitcaskOptions: Sendable {
  /// A segment of this length takes no further record.
  public var segmentBytes = 256 << 20
  /// When a write counts as acknowledged.
  public var durability: Durability = .everyWrite
  /// What memory keeps of a key.
  public var keyStorage: KeyStorage = .memory
  /// Life of values written without one of their own; `nil` for ever.
  public var ttl: Duration?
  /// When and how segments are merged.
  public var merge = MergeOptions()
  /// Keys beyond are refused; at most 65 535.
  public var maxKeyBytes = 65_535
  /// Values beyond are refused; at most 1 GiB.
  public var maxValueBytes = 512 << 20
  /// What opening does with imperfect files.
  public var recovery: RecoveryMode = .tolerateTornTail
  /// Space that puts leave free, so that a merge can still run on a full disk.
  public var reservedBytes = 64 << 20
  /// Bytes submitted and not yet written, above which writers wait.
  public var maxPendingBytes = 64 << 20
  /// Versions kept for snapshots, above which the snapshots are given up.
  public var maxSnapshotVersions = 4 << 20
  /// Unix milliseconds, for expiry and information; never decides which of two records wins.
  public var clock: @Sendable () -> UInt64 = { WallClock.unixMilliseconds() }
  /// Who runs merges and writes hints.
  public var background: Background = .threads
  /// How values are read.
  public var reads: Reads = .positional
  /// Threads that load hints when opening.
  public var recoveryThreads = 2

  public init() {}

  /// What the key directory keeps of a key.
  public enum KeyStorage: Sendable, Hashable {
    /// The key: at most 30 bytes and the key itself per key.
    case memory
    /// 64 bits of its hash: at most 26 bytes per key whatever its length; the record on disk tells keys apart.
    case fingerprint
  }

  /// How values are read.
  public enum Reads: Sendable, Hashable {
    /// One positioned read each: a device's error is an error of that read.
    case positional
    /// Out of mapped segments, without a system call: about twice as fast while the data are in memory. A device that fails a read then ends the
    /// process, as it does under LMDB; nothing acknowledged is lost by that. Where the file system cannot map, reads are positioned.
    case mapped
  }

  /// Who runs background work.
  public enum Background: Sendable, Hashable {
    /// A thread of the store's own.
    case threads
    /// Nobody: the caller runs ``Bitcask/maintain()``; nothing happens between calls. For tests and simulations.
    case manual
  }

  /// The names are RocksDB's.
  public enum RecoveryMode: String, Sendable, Hashable, CaseIterable {
    /// A last write cut short by a crash is dropped; damage whose key is not known is an error.
    case tolerateTornTail
    /// Any imperfection is an error.
    case absolute
    /// The segment last written to ends at its first imperfection, whatever it is; what is cut is kept as `<id>.damaged`.
    case pointInTime
    /// Damage is stepped over and reported; missing segments too. Damaged files are never removed.
    case salvage
  }
}

/// When segments are merged, and how fast. The thresholds are Riak's.
public struct MergeOptions: Sendable, Hashable {
  /// Whether merges start by themselves.
  public var isAutomatic = true
  /// A segment with this percentage of dead bytes starts a merge...
  public var triggerDeadPercent = 60
  /// ...and so does one with this many.
  public var triggerDeadBytes = 512 << 20
  /// A merge includes segments with this percentage of dead bytes...
  public var includeDeadPercent = 40
  /// ...or this many...
  public var includeDeadBytes = 128 << 20
  /// ...or shorter than this.
  public var includeSmallBytes = 10 << 20
  /// Start a merge when there are more sealed segments than this; `nil` for no such trigger.
  public var maxFrozenSegments: Int?
  /// Hours of the day (UTC) in which merges may start by themselves; `nil` for all. `22..<30` is ten in the evening to six.
  public var window: Range<Int>?
  /// Bytes per second background work may move; `nil` for no limit.
  public var bytesPerSecond: Int?
  /// How long a value stays on disk after it has expired.
  public var expiryGrace: Duration = .zero

  public init() {}
}

extension BitcaskOptions {
  func validate() throws(BitcaskError) {
    func refuse(_ reason: String) throws(BitcaskError) { throw .invalidArgument(reason) }
    if segmentBytes < 64 || segmentBytes > 1 << 40 { try refuse("segmentBytes \(segmentBytes) is not in 64...2^40") }
    if maxKeyBytes < 0 || maxKeyBytes > 65_535 { try refuse("maxKeyBytes \(maxKeyBytes) is not in 0...65535") }
    if maxValueBytes < 0 || maxValueBytes > 1 << 30 { try refuse("maxValueBytes \(maxValueBytes) is not in 0...2^30") }
    if let ttl, ttl < .zero { try refuse("ttl \(ttl) is negative") }
    if reservedBytes < 0 || maxPendingBytes < 1 || maxSnapshotVersions < 1 { try refuse("a bound is negative") }
    if case .batched(let count, let interval) = durability, count < 1 || interval < .zero { try refuse("batched(\(count), \(interval))") }
    if let window = merge.window, window.lowerBound < 0 || window.upperBound > 48 { try refuse("merge window \(window)") }
  }
}
