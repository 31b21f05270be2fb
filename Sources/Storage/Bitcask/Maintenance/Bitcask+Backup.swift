import StrataDisk
import StrataWriteAheadLog
import SystemPackage

extension Bitcask {
  /// Makes a store in `target`, which must not exist or be empty, that holds everything acknowledged before the call. Blocks; reads and
  /// writes go on.
  ///
  /// Sealed segments become hard links where that is possible (the same file system) and copies elsewhere; of the active one, what it holds
  /// now is copied. Durable on return.
  /// - Throws: `.invalidArgument` where `target` holds files; `.busy`, `.noSpace`, `.disk`.
  public func backup(to target: FilePath) throws(BitcaskError) {
    try checkOpen()
    try exclusively("backup") { () throws(BitcaskError) in
      try disk { () throws(DiskError) in try fileSystem.makeDirectories(target) }
      guard try disk({ () throws(DiskError) in try fileSystem.list(target) }).isEmpty else {
        throw .invalidArgument("\(target) is not empty")
      }
      let (active, first, end) = commit.activeSegment
      // Everything before `end` is then in the file, and the manifest knows the segment.
      try committed { () throws(CommitError) in try commit.sync() }
      var state = manifest.state
      for facts in state.segments.values.sorted(by: { $0.id < $1.id }) {
        guard let segment = table.segment(facts.id) else { throw .missingSegment(facts.id, FileName.data(facts.id).path(in: directory)) }
        if facts.kind == .log, UInt64(facts.id) > active {
          state.segments[facts.id] = nil
        } else if UInt64(facts.id) == active {
          var prefix = facts
          (prefix.state, prefix.firstSequence, prefix.length, prefix.records) = (.active, first, UInt64(SegmentHeader.bytes), 0)
          state.segments[facts.id] = prefix
          try copy(segment, end, to: FileName.data(facts.id).path(in: target))
        } else {
          try linkOrCopy(segment, facts, to: target)
        }
      }
      try disk { () throws(DiskError) in
        try fileSystem.syncDirectory(target)
        _ = try Manifest(state, number: 1, in: target, on: fileSystem)
      }
    }
  }

  /// As the blocking form, on a thread that may wait; suspends.
  public func backup(to target: FilePath) async throws(BitcaskError) {
    try await offload { () throws(BitcaskError) in try self.backup(to: target) }
  }

  private func linkOrCopy(_ segment: Segment, _ facts: SegmentFacts, to target: FilePath) throws(BitcaskError) {
    let path = FileName.data(facts.id).path(in: target)
    do throws(DiskError) { try fileSystem.link(segment.path, to: path) } catch {
      if case .noSpace = error { throw BitcaskError(error) }
      try copy(segment, facts.length, to: path)
    }
    guard segment.hasHint else { return }
    // A backup without a hint opens to the same store.
    try? fileSystem.link(FileName.hint(facts.id).path(in: directory), to: FileName.hint(facts.id).path(in: target))
  }

  private func copy(_ segment: Segment, _ length: UInt64, to path: FilePath) throws(BitcaskError) {
    try disk { () throws(DiskError) in
      let copy = try fileSystem.open(path, .createNew)
      var position: UInt64 = 0
      while position < length {
        let piece = try segment.file.readExactly(at: position, count: Int(min(1 << 20, length - position)))
        try copy.write(piece, at: position)
        position += UInt64(piece.count)
      }
      try copy.sync(.full)
      try copy.close()
    }
  }
}
