import StrataBytes
import StrataDisk
import SystemPackage

/// A data file that a merge writes, with its hint, under temporary names.
final class MergeOutput {
  private static let bufferBytes = 1 << 20

  let id: UInt32
  let facts: SegmentFacts
  private let directory: FilePath
  private let fileSystem: any FileSystem
  private let dataPath: FilePath
  private let hintPath: FilePath
  private let seal: RecordSeal
  private var file: any File
  private var hintFile: any File
  private var hint: HintWriter?
  private var buffer: [UInt8] = []
  private var written: UInt64
  private var lowest = UInt64.max
  private var highest: UInt64 = 0
  private var records: UInt64 = 0
  /// Where each record was, in the order of the hint's entries; packed location words.
  private(set) var origins: [UInt64] = []

  var length: UInt64 { written + UInt64(buffer.count) }

  init(_ facts: SegmentFacts, store: StoreID, in directory: FilePath, on fileSystem: any FileSystem) throws(DiskError) {
    id = facts.id
    self.facts = facts
    self.directory = directory
    self.fileSystem = fileSystem
    seal = RecordSeal(salt: facts.salt, segment: facts.id)
    dataPath = FilePath(FileName.data(facts.id).path(in: directory).string + ".tmp")
    hintPath = FilePath(FileName.hint(facts.id).path(in: directory).string + ".tmp")
    let header = SegmentHeader(
      kind: .merged, store: store, segment: facts.id, salt: facts.salt, firstSequence: facts.firstSequence, created: facts.created)
    buffer = header.encode()
    written = 0
    file = try fileSystem.open(dataPath, .createNew)
    do throws(DiskError) { hintFile = try fileSystem.open(hintPath, .createNew) } catch {
      try? file.close()
      try? fileSystem.remove(dataPath)
      throw error
    }
    hint = HintWriter(hintFile, HintIdentity(store: store, segment: facts.id, salt: facts.salt))
  }

  /// Appends a record, its checksums made for the new place.
  func append(
    _ header: RecordHeader, key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer, hash: KeyHash, origin: Location
  ) throws(DiskError) {
    let offset = length
    let total = header.recordBytes
    let start = buffer.count
    buffer.append(contentsOf: repeatElement(0, count: total))
    buffer.withUnsafeMutableBytes {
      seal.encode(header, key: key, value: value, at: offset, into: UnsafeMutableRawBufferPointer(rebasing: $0[start...]))
    }
    let location = Location(segment: id, offset: offset, length: UInt32(total))
    let entry = HintEntry(sequence: header.sequence, location: location, isTombstone: header.isTombstone, expiry: header.expiry)
    try hint?.add(entry, key: key, hash: hash)
    origins.append(origin.word)
    lowest = min(lowest, header.sequence)
    highest = max(highest, header.sequence)
    records += 1
    if buffer.count >= Self.bufferBytes { try flush() }
  }

  private func flush() throws(DiskError) {
    try file.write(buffer, at: written)
    written += UInt64(buffer.count)
    buffer.removeAll(keepingCapacity: true)
  }

  /// Makes both files durable and gives them their names, which the caller makes durable.
  func finish() throws(DiskError) -> SegmentFacts {
    try flush()
    try file.sync(.full)
    try file.close()
    if let hint = hint.take() { try hint.finish(dataLength: written) }
    try fileSystem.rename(hintPath, to: FileName.hint(id).path(in: directory), replacing: true)
    try fileSystem.rename(dataPath, to: FileName.data(id).path(in: directory), replacing: true)
    var facts = facts
    facts.firstSequence = lowest
    facts.lastSequence = highest
    facts.length = written
    facts.records = records
    facts.state = .sealed
    return facts
  }

  /// Removes whatever is there of it.
  func discard() {
    try? file.close()
    try? hintFile.close()
    for path in [dataPath, hintPath, FileName.data(id).path(in: directory), FileName.hint(id).path(in: directory)] {
      try? fileSystem.remove(path)
    }
  }
}
