import Logging
import StrataDisk
import StrataHost
import StrataLSMTree
import StrataNodes
import StrataRaft

// Snapshots: a checkpoint of the store, made by a job. Commands wait until the store's content is in it; its files are read and summed up while they
// go on.
extension ReplicatedStore {
  /// A snapshot that is to be made.
  private struct Draft: Sendable {
    var snapshot = StoreSnapshot()
    var name = ""
    var tree: LSMTree
    /// Nothing ever happened to the store.
    var isFresh: Bool
  }

  private func draft() -> Draft {
    let time = logTime
    return state.withLock { state in
      state.lastName += 1
      var draft = Draft(tree: state.tree, isFresh: state.checkpoints.isEmpty && time == 0 && state.members.isEmpty)
      draft.snapshot.time = time
      draft.snapshot.members = state.members
      draft.name = "\(Clocks.unixMilliseconds())-\(state.lastName)"
      if !draft.isFresh { state.making = draft.name }
      return draft
    }
  }

  /// Makes a checkpoint of the store as it is and describes it. It stays until a later one is durable in the group's log. Waits.
  func snapshot() -> [UInt8]? { make(draft()) }

  /// The same by a job.
  func beginSnapshot() -> MachineOutcome? {
    let draft = draft()
    if draft.isFresh { return .saved(draft.snapshot.encoded()) }
    isFrozen.store(true, ordering: .releasing)
    let refusal = beside("store.snapshot", unless: .saved(nil)) { self.finish(.saved(self.make(draft))) }
    if refusal != nil { thaw() }
    return refusal
  }

  private func thaw() {
    isFrozen.store(false, ordering: .releasing)
    tellNews()
  }

  private func make(_ draft: Draft) -> [UInt8]? {
    if draft.isFresh { return draft.snapshot.encoded() }
    var snapshot = draft.snapshot
    var isFrozen = true
    do {
      try draft.tree.flush()
      try draft.tree.checkpoint(to: directory.checkpoint(draft.name))
      isFrozen = false
      thaw()
      var known = state.withLock { $0.checksums }
      let files = try directory.files(ofCheckpoint: draft.name, known: &known)
      snapshot.checkpoint = AttachmentSet(id: draft.name, files: files)
      state.withLock { state in
        state.checksums = known
        state.checkpoints.append(draft.name)
        state.making = nil
      }
      return snapshot.encoded()
    } catch {
      state.withLock { $0.making = nil }
      if isFrozen { thaw() }
      // The log goes on growing; a disk that is full may have room again later.
      logger.error("no checkpoint can be made; the group's log is kept instead", metadata: ["reason": "\(error)"])
      return nil
    }
  }

  // MARK: From others

  /// Puts what a snapshot stands for in the place of the store. Says whether it could be done; the store is as before where not. Waits.
  func restore(_ bytes: [UInt8]) -> Bool {
    do {
      let snapshot = try StoreSnapshot(decoding: bytes)
      let id = snapshot.checkpoint.id.isEmpty ? nil : snapshot.checkpoint.id
      if let id { guard try directory.fileSystem.status(directory.checkpoint(id)) != nil else { return missing(id) } }
      let old = state.withLock { $0.tree }
      // The live directory is one: the old tree has to leave it first.
      try old.close()
      try directory.makeLive(from: id)
      let tree = try Self.open(directory.live, options, fileSystem)
      // With the lock held, so that what is found under it is true of the store that is then written to.
      _ = keyspace.lock.withLock { engine.replace(by: LSMEngine(tree)) }
      keyspace.reload()
      time.advance(to: snapshot.time)
      state.withLock { state in
        state.tree = tree
        if let id, !state.checkpoints.contains(id) { state.checkpoints.append(id) }
      }
      if let id { directory.isTaken(id) }
      change { $0 = snapshot.members }
      return true
    } catch {
      fail("the snapshot cannot be taken over: \(error)")
      return false
    }
  }

  private func missing(_ id: String) -> Bool {
    logger.error("a snapshot's checkpoint is not there", metadata: ["checkpoint": "\(id)"])
    return false
  }

  // MARK: Old ones

  /// A snapshot of the group is durable: earlier checkpoints are of no use any more, except the last one, which may be on its way to a member.
  func isDurable(_ snapshot: StoreSnapshot) {
    state.withLock { state in
      if let place = state.checkpoints.firstIndex(of: snapshot.checkpoint.id) { state.checkpoints.removeFirst(max(0, place - 1)) }
    }
    removeOldCheckpoints()
  }

  /// Removes the checkpoints that no snapshot of this member's log names and that are not in the making.
  func removeOldCheckpoints() {
    do {
      try directory.retain { state.withLock { state in Set(state.checkpoints + (state.making.map { [$0] } ?? [])) } }
    } catch {
      logger.warning("old checkpoints could not be removed", metadata: ["reason": "\(error)"])
    }
  }
}
