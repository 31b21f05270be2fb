import StrataBytes
import StrataDisk
import StrataWriteAheadLog
import SystemPackage

/// Why the storage of a group cannot do what was asked.
public enum RaftStorageError: Error, Sendable, CustomStringConvertible {
  /// The log under it refused or failed; after a failure nothing more is acknowledged until it is opened again.
  case log(WALError)
  /// A file could not be read or written.
  case disk(DiskError)
  /// A record of the log is none this version knows: it was written by a newer one, or not by Strata.
  case unreadableRecord(sequence: SequenceNumber, DecodeError)
  /// The records of a group contradict each other.
  case inconsistent(group: UInt64, String)
  /// A snapshot file is not what was written; fetch it again from another member.
  case damagedSnapshot(FilePath, String)
  /// A snapshot of another group or cluster.
  case foreignSnapshot(FilePath, group: UInt64, cluster: UInt64)

  /// What happened, where, and what can be done.
  public var description: String {
    switch self {
    case .log(let error): "the log of the groups: \(error)"
    case .disk(let error): "the storage of the groups: \(error)"
    case .unreadableRecord(let sequence, let error):
      "record \(sequence) of the groups' log cannot be read (\(error)); use a newer build, or replace this member"
    case .inconsistent(let group, let why): "group \(group): \(why); replace this member"
    case .damagedSnapshot(let path, let why): "\(path): \(why); it is fetched again from another member"
    case .foreignSnapshot(let path, let group, let cluster): "\(path) belongs to group \(group) of cluster \(cluster)"
    }
  }
}
