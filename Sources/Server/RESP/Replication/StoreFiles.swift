import StrataBytes
import StrataDisk
import StrataHost
import StrataNodes
import StrataRaft
import SystemPackage

/// The checkpoints of a replicated store as what snapshots name and transports carry.
final class StoreFiles: SnapshotFiles, AttachmentStore {
  private let directory: StoreDirectory

  init(_ directory: StoreDirectory) { self.directory = directory }

  var fileSystem: any FileSystem { directory.fileSystem }
  var stagingDirectory: FilePath { directory.incoming }

  func attachments(of snapshot: Snapshot) -> AttachmentSet? {
    guard let state = RaftNode<StoreMachine>.machineState(in: snapshot), let store = try? StoreSnapshot(decoding: state) else { return nil }
    return store.checkpoint.id.isEmpty ? nil : store.checkpoint
  }

  func adopt(_ snapshot: Snapshot, _ staged: StagedAttachments) throws(DecodeError) -> [UInt8] {
    do { try directory.adopt(staged) } catch {
      throw .malformed(at: 0, field: "checkpoint \(staged.set.id), whose files cannot be taken over: \(error)")
    }
    return snapshot.data
  }

  func open(_ id: String, _ name: String, of group: StrataHost.GroupID) throws(DiskError) -> any File {
    try directory.fileSystem.open(directory.file(name, ofCheckpoint: id), .read)
  }
}
