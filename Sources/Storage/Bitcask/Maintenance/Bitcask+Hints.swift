import StrataDisk
import SystemPackage

extension Bitcask {
  /// Writes the hint of every sealed segment that has none; never of the active one. Blocks; reads those segments.
  public func createHintFiles() throws(BitcaskError) {
    try checkOpen()
    for segment in sealedSegments() where !segment.hasHint { try writeHint(of: segment) }
  }

  /// As the blocking form, on a thread that may wait; suspends.
  public func createHintFiles() async throws(BitcaskError) {
    try await offload { () throws(BitcaskError) in try self.createHintFiles() }
  }

  /// The segments the manifest names; one prepared in advance is not yet among them.
  func currentSegments() -> [Segment] {
    let known = manifest.state.segments
    return table.all.filter { known[$0.id] != nil }
  }

  func sealedSegments() -> [Segment] {
    let known = manifest.state.segments
    return table.all.filter { !$0.isActive && known[$0.id]?.state == .sealed }
  }

  /// Writes, syncs and names the hint of a sealed segment. None for one with damage in which records cannot be made out.
  func writeHint(of segment: Segment) throws(BitcaskError) {
    let facts = segment.currentFacts
    let path = FileName.hint(segment.id).path(in: directory)
    let temporary = FilePath(path.string + ".tmp")
    try disk { () throws(DiskError) in
      let file = try fileSystem.open(temporary, .create)
      do throws(DiskError) {
        try file.truncate(to: 0)
        var writer = HintWriter(file, HintIdentity(store: manifest.state.store, segment: segment.id, salt: segment.salt))
        let scanner = SegmentScanner(segment.file, seal: segment.seal, to: facts.length)
        var records: UInt64 = 0
        while let item = try scanner.next() {
          guard case .record(let header, let offset, _) = item else {
            try file.close()
            try fileSystem.remove(temporary)
            return
          }
          let location = Location(segment: segment.id, offset: offset, length: UInt32(header.recordBytes))
          let entry = HintEntry(sequence: header.sequence, location: location, isTombstone: header.isTombstone, expiry: header.expiry)
          try writer.add(entry, scanner)
          records += 1
        }
        try writer.finish(dataLength: facts.length)
        guard records == facts.records else {
          try fileSystem.remove(temporary)
          return
        }
        try fileSystem.rename(temporary, to: path, replacing: true)
        try fileSystem.syncDirectory(directory)
        segment.markHint(true)
      } catch {
        try? file.close()
        try? fileSystem.remove(temporary)
        throw error
      }
    }
  }
}

extension HintWriter {
  /// Adds the record a scanner is at.
  mutating func add(_ entry: HintEntry, _ scanner: SegmentScanner) throws(DiskError) {
    let key = scanner.withKey { [UInt8]($0) }
    let hash = key.withUnsafeBytes { KeyHash(of: $0) }
    let failure = key.withUnsafeBytes { key -> DiskError? in
      do throws(DiskError) { try add(entry, key: key, hash: hash) } catch { return error }
      return nil
    }
    if let failure { throw failure }
  }
}
