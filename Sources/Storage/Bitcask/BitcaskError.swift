public import StrataDisk
import StrataWriteAheadLog
public import SystemPackage

/// What the store can refuse or find broken. Each case names the place; the text says what an operator can do.
public enum BitcaskError: Error, Sendable, Hashable {
  // The caller's mistakes: nothing was written.

  /// The key is longer than `maxKeyBytes`.
  case keyTooLarge(size: Int, limit: Int)
  /// The value is longer than `maxValueBytes`.
  case valueTooLarge(size: Int, limit: Int)
  /// An argument or option that makes no sense.
  case invalidArgument(String)
  /// Used after `close()`.
  case closed

  // Retry later.

  /// Another process, or another `Bitcask` of this one, has the directory.
  case alreadyOpen(FilePath, pid: Int32?)
  /// The device is full. Reads go on; a merge may still free space out of the reserve.
  case noSpace(FilePath)
  /// A submission that must not block would have had to; see ``Bitcask/whenRoom(forBytes:_:)``.
  case wouldBlock
  /// The snapshot's versions were given up, as they exceeded `maxSnapshotVersions` or it was released; take a new one.
  case snapshotLost
  /// A merge, or an index rebuild, runs already.
  case busy(String)

  // Data damaged.

  /// A record fails its checksums. Other keys are unaffected.
  case corrupt(segment: UInt32, offset: UInt64, keyHash: UInt64)
  /// A file is not as it was written, and it cannot be told which keys that concerns.
  case damaged(FilePath, offset: UInt64, reason: String)
  /// The manifest names a segment whose file is gone.
  case missingSegment(UInt32, FilePath)
  /// The last write was cut short and the recovery mode allows no imperfection.
  case tornTail(FilePath, offset: UInt64, bytes: UInt64)
  /// The file is of a format this version cannot read.
  case unsupportedVersion(FilePath, found: Int, supported: Int)

  // Stop now.

  /// A sync failed: what was written since the last good one may be lost. Writes are refused until the store is opened again; reads go on.
  case durabilityLost(DiskError)
  /// All 16 777 214 segment numbers are used up.
  case outOfSegments(FilePath)
  /// The operating system reported an error.
  case disk(DiskError)
}

extension BitcaskError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .keyTooLarge(let size, let limit): "key of \(size) bytes, more than the limit of \(limit); nothing was written"
    case .valueTooLarge(let size, let limit): "value of \(size) bytes, more than the limit of \(limit); nothing was written"
    case .invalidArgument(let reason): "invalid argument: \(reason)"
    case .closed: "the store is closed; open it again"
    case .alreadyOpen(let path, let pid):
      pid.map { "\(path): in use by process \($0); stop it first" } ?? "\(path): in use by another owner; close it first"
    case .noSpace(let path): "\(path): no space left on the device; reads go on; free space or merge, then write again"
    case .wouldBlock: "no room without waiting; wait for room and submit again"
    case .snapshotLost: "the snapshot's versions are gone; take a new snapshot"
    case .busy(let what): "\(what) is running already; wait for its end"
    case .corrupt(let segment, let offset, let hash):
      "segment \(segment), offset \(offset): the record of the key with hash \(hash) fails its checksum; restore it from a replica or backup"
    case .damaged(let path, let offset, let reason):
      "\(path): damaged at offset \(offset): \(reason); restore the file, or open with recovery mode salvage to go on without"
    case .missingSegment(let id, let path):
      "\(path): segment \(id) is missing; restore the file, or open with recovery mode salvage to go on without"
    case .tornTail(let path, let offset, let bytes):
      "\(path): the last \(bytes) bytes, from offset \(offset), were cut short by a crash; open with recovery mode tolerateTornTail"
    case .unsupportedVersion(let path, let found, let supported):
      "\(path): format version \(found); this program reads up to \(supported); use a newer one"
    case .durabilityLost(let first): "writes stopped: a sync failed (\(first)); reopen the store to recover what is durable"
    case .outOfSegments(let path): "\(path): all segment numbers are used; copy the store into a new directory"
    case .disk(let error): "\(error)"
    }
  }

  init(_ error: DiskError) {
    switch error {
    case .noSpace(let path, _): self = .noSpace(path)
    case .poisoned: self = .durabilityLost(error)
    case .tooLarge(let path, _, UInt64(Location.maxSegment)): self = .outOfSegments(path)
    default: self = .disk(error)
    }
  }
}

extension BitcaskError {
  init(_ error: CommitError) {
    switch error {
    case .storage(let cause): self = BitcaskError(cause)
    case .durabilityLost(let cause): self = .durabilityLost(cause)
    case .wouldBlock: self = .wouldBlock
    case .closed: self = .closed
    }
  }
}

/// Runs commit calls and gives their errors the store's type.
@inline(__always)
func committed<Result: ~Copyable>(_ body: () throws(CommitError) -> Result) throws(BitcaskError) -> Result {
  do { return try body() } catch { throw BitcaskError(error) }
}

/// Runs disk calls and gives their errors the store's type.
@inline(__always)
func disk<Result: ~Copyable>(_ body: () throws(DiskError) -> Result) throws(BitcaskError) -> Result {
  do { return try body() } catch { throw BitcaskError(error) }
}
