import StrataDisk
import SystemPackage

extension LogScan {
  /// Ends the last segment on disk where the scan found its end: keeps aside what damage cut off, rewrites what is not known to have been
  /// durable (pages the kernel dropped after a failed write-back read back as if they were), seals and syncs.
  /// - Returns: the segment's file, open for the handover to its successor, and where that goes.
  func repair(_ segments: LogSegments, on fileSystem: any FileSystem) throws(DiskError) -> SealedSegment? {
    guard let last = self.segments.last, let end else { return nil }
    try keepAside(last, from: end, on: fileSystem)
    let file = try fileSystem.open(last.path, .readWrite)
    var length = end.length
    if !end.isSealed {
      var position = end.unprovenFrom
      while position < end.length {
        let part = try file.readExactly(at: position, count: Int(min(1 << 20, end.length - position)))
        try file.write(part, at: position)
        position += UInt64(part.count)
      }
      let seal = end.seal.encoded(at: end.length, seed: Frame.seed(salt: last.header.salt, segment: last.number))
      // The seal overwrites torn bytes; what may be left of them behind it must not be read as part of a successor's handover.
      try file.truncate(to: end.length)
      try file.write(seal, at: end.length)
      length = end.length + UInt64(seal.count)
      try file.sync(.full)
    }
    let sealed = SealedSegment(
      number: last.number, firstSequence: last.header.firstSequence, lastSequence: end.seal.lastSequence, length: length)
    segments.note(recovered: sealed, seal: end.seal, file: file, end: length)
    return sealed
  }

  /// Copies the damaged rest of the last segment to a file named `*.damaged` and renames the segments behind it so.
  private func keepAside(_ last: LogSegments.Segment, from end: End, on fileSystem: any FileSystem) throws(DiskError) {
    guard report.mode == .pointInTime, !report.damage.isEmpty else { return }
    let source = try fileSystem.open(last.path, .read)
    let size = try source.size()
    if size > end.length {
      let target = try fileSystem.open(FilePath(last.path.string + ".damaged"), .create)
      var position = end.length
      while position < size {
        let part = try source.read(at: position, count: Int(min(1 << 20, size - position)))
        if part.isEmpty { break }
        try target.write(part, at: position - end.length)
        position += UInt64(part.count)
      }
      try target.sync(.full)
      try target.close()
    }
    for segment in setAside.reversed() {
      try fileSystem.rename(segment.path, to: FilePath(segment.path.string + ".damaged"), replacing: true)
    }
    try fileSystem.syncDirectory(last.path.parentDirectory)
  }
}
