import StrataDisk
import SystemPackage

/// What a write-ahead log refuses or finds. The first group is the caller's to change, the second may be tried again, the third asks for an
/// operator.
public enum WALError: Error, Sendable, Hashable {
  /// The encoded record is `size` bytes, over `maxRecordBytes`. Nothing was written, no sequence taken.
  case recordTooLarge(size: Int, limit: Int)
  /// An application record's kind must be 64...255.
  case invalidKind(UInt8)
  /// Truncation beyond the last record; nothing was changed.
  case truncateBeyondEnd(requested: UInt64, last: UInt64)
  /// Records up to the low-water mark are gone; `first` is the first there is.
  case sequenceTruncated(first: UInt64)
  /// The pin was released, or retained more than its `maxBytes`.
  case pinLost(name: String)
  /// The log was closed.
  case closed
  /// The log was opened with `.salvage`.
  case readOnly

  /// Another owner has the directory open.
  case alreadyOpen(FilePath, holder: Int32?)
  /// The device is full; nothing was taken, what is in the log stays readable, appends resume when space returns.
  case noSpace(FilePath)
  /// Another storage error before anything was taken.
  case storage(DiskError)

  /// A write or sync failed after records were accepted: nothing is acknowledged any more. Reopen to recover what is durable.
  case durabilityLost(DiskError)
  /// Bytes that had been durable are not what was written. `sequence` is the first record affected.
  case damaged(segment: UInt64, offset: UInt64, sequence: UInt64, reason: String)
  /// The last segment ends in an incomplete record and the mode is `.absolute`.
  case tornTail(segment: UInt64, offset: UInt64)
  /// Written by a newer version.
  case unsupportedVersion(FilePath, found: Int, supported: Int)
  /// A segment number, or the segment that would hold `sequence`, is missing.
  case missingSegment(UInt64, sequence: UInt64)
  /// Two files claim one segment.
  case duplicateSegment(UInt64)
  /// The segment belongs to another log.
  case wrongLog(FilePath)
  /// The name looks like a segment's and is not, or its header says something else.
  case unrecognizedFile(FilePath)
  /// The header sector is not intact.
  case damagedHeader(FilePath, reason: String)
}

extension WALError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .recordTooLarge(let size, let limit): "record of \(size) bytes is over the limit of \(limit)"
    case .invalidKind(let kind): "application records have kinds 64...255, not \(kind)"
    case .truncateBeyondEnd(let requested, let last): "cannot truncate up to \(requested): the last record is \(last)"
    case .sequenceTruncated(let first): "the records asked for were truncated; the first there is has sequence \(first)"
    case .pinLost(let name): "pin \(name) no longer holds its records"
    case .closed: "the log is closed"
    case .readOnly: "the log was opened for salvage and takes no writes"
    case .alreadyOpen(let path, let holder):
      if let holder { "\(path): the log is open in process \(holder)" } else { "\(path): the log is open elsewhere" }
    case .noSpace(let path): "\(path): no space left; the log stays readable and appends resume when space returns"
    case .storage(let error): "\(error)"
    case .durabilityLost(let error): "the log can no longer promise durability (\(error)); reopen it to recover"
    case .damaged(let segment, let offset, let sequence, let reason):
      "segment \(segment) is damaged at offset \(offset), from sequence \(sequence) on: \(reason); restore it, or salvage the rest"
    case .tornTail(let segment, let offset): "segment \(segment) ends in an incomplete record at offset \(offset)"
    case .unsupportedVersion(let path, let found, let supported): "\(path): format version \(found), this program reads \(supported)"
    case .missingSegment(let number, let sequence): "segment \(number) with sequence \(sequence) is missing"
    case .duplicateSegment(let number): "two files claim to be segment \(number)"
    case .wrongLog(let path): "\(path): belongs to another log"
    case .unrecognizedFile(let path): "\(path): not the segment its name says"
    case .damagedHeader(let path, let reason): "\(path): damaged header: \(reason)"
    }
  }

  init(_ error: CommitError, _ directory: FilePath) {
    switch error {
    case .storage(.noSpace(let path, _)): self = .noSpace(path)
    case .storage(let error): self = .storage(error)
    case .durabilityLost(let error): self = .durabilityLost(error)
    case .wouldBlock: self = .noSpace(directory)
    case .closed: self = .closed
    }
  }
}
