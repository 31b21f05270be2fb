import StrataDisk
import StrataJobs
import StrataWriteAheadLog
import SystemPackage

/// Creates the data files that the group commit fills, and makes each rotation one manifest edit: the old segment sealed, the new one active.
final class SegmentSupply: SegmentSource {
  private let directory: FilePath
  private let fileSystem: any FileSystem
  private let manifest: Manifest
  private let table: SegmentTable
  private let trash: SegmentTrash
  private let reservedBytes: UInt64
  private let reads: BitcaskOptions.Reads
  private let clock: @Sendable () -> UInt64
  private let rotated = Monitor<(@Sendable () -> Void)?>(nil)

  init(
    directory: FilePath, fileSystem: any FileSystem, manifest: Manifest, table: SegmentTable, trash: SegmentTrash, options: BitcaskOptions
  ) {
    self.directory = directory
    self.fileSystem = fileSystem
    self.manifest = manifest
    self.table = table
    self.trash = trash
    reservedBytes = UInt64(options.reservedBytes)
    clock = options.clock
    reads = options.reads
  }

  /// Records are complete in themselves; nothing ends a segment.
  var sealBytes: Int { 0 }
  func seal(_ buffer: UnsafeMutableRawBufferPointer, at placement: Placement) -> Int { 0 }

  /// Called after each rotation, on the thread that committed it.
  func whenRotated(_ body: @escaping @Sendable () -> Void) { rotated.withLock { $0 = body } }

  func prepare(_ number: UInt64, atLeast bytes: UInt64) throws(DiskError) -> PreparedSegment {
    let (segment, prepared) = try create(bytes)
    // Records refer to the segment from the moment they are submitted, which is before `begin`.
    table.add(segment)
    return prepared
  }

  /// A file with room for `bytes`, the reserve for merges left free.
  func create(_ bytes: UInt64) throws(DiskError) -> (Segment, PreparedSegment) {
    let (length, overflow) = bytes.addingReportingOverflow(UInt64(SegmentHeader.bytes))
    guard !overflow else { throw .tooLarge(directory, size: bytes, limit: Location.maxOffset) }
    let free = try fileSystem.freeSpace(directory)
    guard free >= reservedBytes, free - reservedBytes >= length else { throw .noSpace(directory, operation: .allocate) }
    guard let id = manifest.takeSegmentNumber() else {
      throw .tooLarge(directory, size: UInt64(Location.maxSegment) + 1, limit: UInt64(Location.maxSegment))
    }
    let path = FileName.data(id).path(in: directory)
    let file = try fileSystem.open(path, .createNew)
    do throws(DiskError) { try file.allocate(0..<length) } catch {
      try? file.close()
      try? fileSystem.remove(path)
      throw error
    }
    let facts = SegmentFacts(
      id: id, kind: .log, state: .active, salt: .random(in: .min ... .max), created: clock(), firstSequence: 0,
      length: UInt64(SegmentHeader.bytes))
    let segment = Segment(facts, path: path, file: file, trash: trash, reads: reads)
    let prepared = PreparedSegment(
      number: UInt64(id), file: file, salt: facts.salt, dataStart: UInt64(SegmentHeader.bytes), allocated: length,
      overwritable: UInt64(SegmentHeader.bytes))
    return (segment, prepared)
  }

  /// Writes the header and makes file and name durable. The caller then makes the segment part of the manifest.
  func writeHeader(_ segment: Segment, firstSequence: UInt64) throws(DiskError) -> SegmentFacts {
    let facts = segment.begin(firstSequence)
    let header = SegmentHeader(
      kind: .log, store: manifest.state.store, segment: segment.id, salt: segment.salt, firstSequence: firstSequence, created: segment.created)
    try segment.file.write(header.encode(), at: 0)
    try segment.file.sync(.full)
    try fileSystem.syncDirectory(directory)
    return facts
  }

  func begin(_ prepared: PreparedSegment, firstSequence: UInt64, predecessor: SealedSegment) throws(DiskError) {
    guard let segment = table.segment(UInt32(truncatingIfNeeded: prepared.number)),
      let old = table.segment(UInt32(truncatingIfNeeded: predecessor.number))
    else { throw .notFound(prepared.file.path) }
    let facts = try writeHeader(segment, firstSequence: firstSequence)
    var edit = ManifestEdit(nextSequence: firstSequence)
    edit.added = [old.currentFacts, facts]
    try manifest.apply(edit)
    rotated.withLock { $0 }?()
  }

  func sealed(_ sealed: SealedSegment, file: any File) throws(DiskError) {
    guard let segment = table.segment(UInt32(truncatingIfNeeded: sealed.number)) else { return }
    // Bytes behind are zeros; the manifest's length is what counts, so the truncation need not be durable.
    try file.truncate(to: sealed.length)
    segment.seal(length: sealed.length, lastSequence: sealed.lastSequence)
  }
}

extension Segment {
  /// Notes the first sequence of a log segment that is about to take records.
  func begin(_ firstSequence: UInt64) -> SegmentFacts { change { $0.firstSequence = firstSequence } }

  /// Ends a log segment: every record it will ever have is there.
  func seal(length: UInt64, lastSequence: UInt64) {
    let records = UInt64(records)
    _ = sealed { facts in
      facts.length = length
      facts.lastSequence = lastSequence
      facts.records = records
    }
  }
}
