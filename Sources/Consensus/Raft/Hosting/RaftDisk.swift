import StrataDisk
import StrataJobs
import StrataNodes
import StrataWriteAheadLog
import SystemPackage

/// The storage of all groups of one member, and a thread for what takes long there: writing and reading snapshots, giving up the log's beginning.
///
/// Each group that runs on a host gets its log by ``log(of:running:)``. Safe from any thread.
public final class RaftDisk: Sendable {
  /// How much was written since groups were last looked for that hold the log back.
  private struct Look {
    var bytes = 0
    /// The newest record then.
    var sequence: SequenceNumber = 0
  }

  private struct Found {
    var groups: [UInt64: StoredGroup]
    var taken: Set<UInt64> = []
  }

  let storage: RaftStorage
  let worker: SerialWorker
  private let found: Monitor<Found>
  private let look: Monitor<Look>
  private let lookBytes: Int

  /// Whether records that had been durable are lost: every group then begins by getting them back from its other members.
  public let isDamaged: Bool

  /// Opens the storage in `directory`, creating it where missing. See ``RaftStorage/open(_:cluster:options:toleratesDamage:on:)``.
  ///
  /// - Parameter idleBytes: a group that wrote nothing while so many bytes of entries were written is moved to the log's end, so that the log's
  ///   length is bounded by what the other groups need and a few times this.
  /// - Throws: ``RaftStorageError``.
  public init(
    _ directory: FilePath, cluster: UInt64, options: WALOptions = WALOptions(), toleratesDamage: Bool = false, idleBytes: Int = 64 << 20,
    on fileSystem: any FileSystem = POSIXFileSystem()
  ) throws(RaftStorageError) {
    let (storage, groups, isDamaged) = try RaftStorage.open(
      directory, cluster: cluster, options: options, toleratesDamage: toleratesDamage, on: fileSystem)
    self.storage = storage
    self.isDamaged = isDamaged
    self.groups = groups.keys.sorted()
    found = Monitor(Found(groups: groups))
    look = Monitor(Look(sequence: storage.lastSequence))
    lookBytes = max(1, idleBytes)
    worker = SerialWorker(name: "raft-disk")
  }

  /// The groups of which something was stored when it was opened, in ascending order.
  public let groups: [UInt64]

  /// The log of one group, for a host. One object per group at a time.
  ///
  /// - Parameter whenSnapshotDurable: called, on any thread, with each snapshot from which a restart would begin: what earlier snapshots named and
  ///   keep elsewhere may then go.
  public func log<Machine: RaftStateMachine>(
    of group: UInt64, running: Machine.Type = Machine.self, whenSnapshotDurable: (@Sendable (Snapshot) -> Void)? = nil
  ) -> RaftGroupLog<Machine> {
    RaftGroupLog(self, group, whenSnapshotDurable)
  }

  /// What was stored of a group; once per group, since what is written later is not among it.
  func take(_ group: UInt64) -> StoredGroup? {
    found.withLock { found in
      guard found.taken.insert(group).inserted else { return nil }
      return found.groups.removeValue(forKey: group) ?? StoredGroup()
    }
  }

  /// A group has written; now and then those that have not are moved to the log's end, on the disk's thread.
  func wrote(_ bytes: Int) {
    let since = look.withLock { look -> SequenceNumber? in
      look.bytes += bytes
      guard look.bytes >= lookBytes else { return nil }
      defer { look = Look(sequence: storage.lastSequence) }
      return look.sequence
    }
    guard let since, since > 0 else { return }
    // What cannot be moved now is moved later; a log that has failed tells those who write to it.
    _ = worker.add { _ = try? self.storage.carryGroups(idleSince: since) }
  }

  /// Finishes what was asked for, makes everything durable and gives the directory free. Waits; call it after the nodes were stopped.
  ///
  /// - Throws: ``RaftStorageError``; the directory is free all the same.
  public func close() throws(RaftStorageError) {
    worker.finish()
    try storage.close()
  }
}
