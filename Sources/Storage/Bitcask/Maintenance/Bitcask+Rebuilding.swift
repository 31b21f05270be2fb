import StrataDisk
import StrataWriteAheadLog

extension Bitcask {
  /// Builds the index anew from the data files, as if the store had been opened without hints. Blocks; writes wait meanwhile, reads go on.
  public func rebuildIndex() throws(BitcaskError) {
    try checkOpen()
    try exclusively("rebuild") { () throws(BitcaskError) in
      var result: Result<Bool, BitcaskError> = .success(false)
      while case .success(false) = result {
        try committed { () throws(CommitError) in try commit.sync() }
        let last = commit.submittedSequence
        let (_, _, end) = commit.activeSegment
        result = commit.betweenSubmissions {
          // Something was submitted since the sync: what is not in the files yet would be missed.
          guard commit.submittedSequence == last else { return .success(false) }
          return Result { () throws(BitcaskError) in
            try rebuild(activeEnd: end)
            return true
          }
        }
      }
      _ = try result.get()
    }
  }

  /// As the blocking form, on a thread that may wait; suspends.
  public func rebuildIndex() async throws(BitcaskError) {
    try await offload { () throws(BitcaskError) in try self.rebuildIndex() }
  }

  private func rebuild(activeEnd: UInt64) throws(BitcaskError) {
    let fresh = KeyDirectory(keepsKeys: index.keepsKeys, isRecovering: true)
    let loading = IndexLoading(
      index: fresh, table: table, store: manifest.state.store, fileSystem: fileSystem, mode: options.recovery)
    let known = manifest.state.segments
    var report = RecoveryReport()
    for segment in table.all where known[segment.id] != nil {
      try loading.scan(segment, to: segment.isActive ? activeEnd : segment.currentFacts.length, &report)
    }
    fresh.finishRecovery { _ in }
    index.adopt(fresh)
  }
}
