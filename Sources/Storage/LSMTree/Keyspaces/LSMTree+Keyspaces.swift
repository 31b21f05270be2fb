import StrataDisk
import StrataJobs
import StrataSSTable
import StrataWriteAheadLog

extension LSMTree {
  /// The keyspace of a name, made where it is missing and `options` are given; durable on return.
  ///
  /// All keyspaces share one log and one order of versions, so a batch changes several of them as one.
  /// - Throws: `.unknownKeyspace` where it is missing and no options are given, `.incompatible` where it was made with others.
  public func keyspace(_ name: String, create options: KeyspaceOptions? = nil) throws(LSMError) -> Keyspace {
    try core.keyspace(name, options)
  }

  /// Removes a keyspace with all it holds; durable on return. Its files go when nobody reads them any more.
  /// - Throws: `.foreignKeyspace` for one that is dropped already, `.incompatible` for the default one.
  public func dropKeyspace(_ keyspace: Keyspace) throws(LSMError) { try core.drop(keyspace) }

  /// Names of all keyspaces but the default one, in order.
  public var keyspaceNames: [String] { core.allKeyspaces.map(\.name).filter { !$0.isEmpty }.sorted() }
}

extension LSMCore {
  func keyspace(_ name: String, _ options: KeyspaceOptions?) throws(LSMError) -> Keyspace {
    guard !isClosed.load(ordering: .acquiring) else { throw .closed }
    return try maintenance.withLock { _ throws(LSMError) in
      if let present = keyspaces.withLock({ $0[name] }) {
        if let options { try KeyspaceRecord(present.id, name, present.options).check(against: KeyspaceRecord(present.id, name, options)) }
        return present
      }
      guard let options, name.utf8.count <= 1024 else { throw .unknownKeyspace(name) }
      try options.check()
      let (id, mark, number) = commit.withLock { state in
        state.nextMemtable += 1
        return (manifest.state.nextKeyspace, state.lastLog, state.nextMemtable - 1)
      }
      // The mark must not lie beyond what a crash leaves of the log.
      do throws(WALError) { if mark > 0 { try log.waitDurable(mark) } } catch { throw LSMError(error) }
      var edit = ManifestEdit()
      edit.created = [KeyspaceRecord(id, name, options)]
      edit.flushedLogs = [(id, mark)]
      try manifest.apply(edit)
      let made = Keyspace(id: id, name: name, options: options, store: store, active: makeMemtable(number, atLeast: 0), levels: Levels([]))
      keyspaces.withLock { $0[name] = made }
      return made
    }
  }

  func drop(_ keyspace: Keyspace) throws(LSMError) {
    try check(keyspace)
    guard keyspace.id != 0 else { throw .incompatible("the default keyspace stays") }
    try maintenance.withLock { _ throws(LSMError) in
      try scheduler.whileQuiet { () throws(LSMError) in
        guard !keyspace.isDropped else { throw .foreignKeyspace(keyspace.name) }
        var edit = ManifestEdit()
        edit.dropped = [keyspace.id]
        try manifest.apply(edit)
        keyspace.markDropped()
        keyspaces.withLock { $0[keyspace.name] = nil }
        for table in keyspace.version.levels.tables { table.markObsolete() }
        keyspace.publish(epochs) { shape in
          shape.sealed = []
          shape.version = Version(active: shape.version.active, sealed: [], levels: Levels([]))
        }
      }
    }
    shapeChanged()
  }
}
