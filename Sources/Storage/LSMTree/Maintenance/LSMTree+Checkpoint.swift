import StrataDisk
import StrataSSTable
import StrataWriteAheadLog
public import SystemPackage

extension LSMTree {
  /// Makes a copy of the store in `directory`, which must be empty or missing: tables by second names, so at no cost in space, and what the log still
  /// holds. Everything acknowledged before the call is in it, durable on return. Writes go on meanwhile.
  /// - Throws: `.cannotIngest` where the directory has content, `.noSpace`, `.disk`.
  public func checkpoint(to directory: FilePath) throws(LSMError) { try core.checkpoint(to: directory) }
}

extension LSMCore {
  func checkpoint(to target: FilePath) throws(LSMError) {
    if isClosed.load(ordering: .acquiring) { throw .closed }
    try maintenance.withLock { _ throws(LSMError) in
      do throws(WALError) { try log.sync() } catch { throw LSMError(error) }
      // Without flushes the manifest stands still, without the cleaner no table and no segment of the log goes.
      try scheduler.whileQuiet { () throws(LSMError) in
        try settleMarks()
        do throws(DiskError) {
          try fileSystem.makeDirectories(target)
          guard try fileSystem.list(target).isEmpty else { throw .exists(target) }
          let state = manifest.state
          for id in state.keyspaces.values.flatMap(\.tables.keys).sorted() {
            let name = FileName.table(id)
            try fileSystem.link(name.path(in: directory), to: name.path(in: target))
          }
          try copyLog(to: FileName.log.path(in: target))
          try fileSystem.syncDirectory(target)
          _ = try Manifest(state, number: 1, floorBytes: options.manifestRewriteBytes, in: target, on: fileSystem)
        } catch {
          if case .exists = error { throw .cannotIngest(target, reason: "the directory has content") }
          throw LSMError(error)
        }
      }
    }
  }

  /// Copies the log's files as they are now: at worst the last record is cut, as after a crash.
  private func copyLog(to target: FilePath) throws(DiskError) {
    let source = FileName.log.path(in: directory)
    try fileSystem.makeDirectories(target)
    for name in try fileSystem.list(source) where name != "LOCK" && !name.hasSuffix(".tmp") {
      let from = try fileSystem.open(source.appending(name), .read)
      let to = try fileSystem.open(target.appending(name), .createNew)
      var offset: UInt64 = 0
      while case let bytes = try from.read(at: offset, count: 1 << 20), !bytes.isEmpty {
        try to.write(bytes, at: offset)
        offset += UInt64(bytes.count)
      }
      try to.sync(.full)
      try to.close()
      try from.close()
    }
    try fileSystem.syncDirectory(target)
  }
}
