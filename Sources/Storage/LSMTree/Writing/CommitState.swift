public import StrataWriteAheadLog

/// What the commit lock guards, besides the keyspaces' active memtables.
struct CommitState {
  /// The last sequence given out.
  var lastSequence: UInt64
  /// The last sequence that went into the log, 0 before the first since opening that has a predecessor there.
  var lastLogged: UInt64
  /// The last record of the log.
  var lastLog: UInt64
  /// Bytes of keys and values since opening, with their lengths.
  var userBytes: UInt64 = 0
  /// Bytes of records since opening, those that left the log out included.
  var recordBytes: UInt64 = 0
  /// ``recordBytes`` at which the log's cap and the memory are looked at again.
  var nextCheck: UInt64
  var nextMemtable: UInt64 = 1
  var isClosed = false
  /// Why nothing is taken any more.
  var failure: LSMError?
}

/// How one write is made.
public struct WriteOptions: Sendable, Hashable {
  /// When it counts as acknowledged; the store's own where `nil`.
  public var durability: Durability?
  /// Leaves the log out: a crash loses the write unless its memtable was flushed. For data that can be made again.
  public var skipsLog: Bool
  /// Throws `.busy` where the write would have to wait for background work.
  public var noStall: Bool
  /// Nothing may be waited for, delays included: for what runs on event loops.
  var isSubmission = false

  public init(durability: Durability? = nil, skipsLog: Bool = false, noStall: Bool = false) {
    self.durability = durability
    self.skipsLog = skipsLog
    self.noStall = noStall
  }
}
