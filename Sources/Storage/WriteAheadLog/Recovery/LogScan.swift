import StrataBytes
import StrataDisk
import StrataJobs
import SystemPackage

/// What is in a log's directory, found without changing anything.
struct LogScan {
  var logID: LogID?
  /// The segments of the log in order, all ended.
  var segments: [LogSegments.Segment] = []
  /// Files of segments below the low-water mark that a crash left behind.
  var leftovers: [FilePath] = []
  var free: [String] = []
  var lowWater: UInt64 = 0
  var lastSequence: UInt64 = 0
  var checkpoint: CheckpointPlace?
  var report: RecoveryReport
  /// How the last segment ends.
  var end: End?
  /// Segments behind the first damage, which `.pointInTime` sets aside.
  var setAside: [LogSegments.Segment] = []

  struct End {
    var seal: Seal
    /// The segment's valid length without the seal, or with it where the file has one.
    var length: UInt64
    var isSealed: Bool
    /// The bytes from here on are not known to have been durable.
    var unprovenFrom: UInt64
  }

  /// Reads `directory`, whose lock the caller holds or does not need.
  init(_ directory: FilePath, on fileSystem: any FileSystem, options: WALOptions) throws(WALError) {
    report = RecoveryReport(mode: options.recovery)
    let began = MonotonicClock.now()
    do {
      let found = try Self.headers(directory, fileSystem, &self)
      if let last = found.last {
        logID = last.header.logID
        for segment in found where segment.header.logID != logID { throw WALError.wrongLog(segment.path) }
        try scan(found, fileSystem, options)
      }
    } catch let error as WALError {
      throw error
    } catch let error as DiskError {
      throw .storage(error)
    } catch { preconditionFailure("only typed errors are thrown above: \(error)") }
    report.segments = segments.count
    if lastSequence > lowWater { report.sequences = lowWater + 1...lastSequence }
    report.nanoseconds = MonotonicClock.now() - began
  }

  private static func headers(_ directory: FilePath, _ fileSystem: any FileSystem, _ scan: inout LogScan) throws -> [LogSegments.Segment] {
    var found: [UInt64: LogSegments.Segment] = [:]
    for name in try fileSystem.list(directory) {
      let path = directory.appending(name)
      if SegmentName.isFree(name) {
        scan.free.append(name)
      } else if SegmentName.looksLikeSegment(name) {
        guard let parsed = SegmentName.parse(name) else { throw WALError.unrecognizedFile(path) }
        let file = try fileSystem.open(path, .read)
        let header = try SegmentHeader(try file.read(at: 0, count: SegmentHeader.bytes), path: path)
        try file.close()
        guard header.number == parsed.number, header.firstSequence == parsed.firstSequence else { throw WALError.unrecognizedFile(path) }
        guard found[header.number] == nil else { throw WALError.duplicateSegment(header.number) }
        found[header.number] = LogSegments.Segment(header: header, path: path, sealed: nil)
        scan.report.bytesScanned += UInt64(SegmentHeader.bytes)
      } else if name != LogFiles.lock {
        scan.report.foreignFiles.append(name)
      }
    }
    return found.values.sorted { $0.number < $1.number }
  }

  private mutating func scan(_ found: [LogSegments.Segment], _ fileSystem: any FileSystem, _ options: WALOptions) throws {
    lowWater = found.map(\.header.lowWater).max() ?? 0
    checkpoint = found.last?.header.checkpoint
    try scanLast(found[found.count - 1], fileSystem, options)
    // The unbroken row of segments that ends with the last; what lies before a gap was given up, or is missing.
    var row = [found[found.count - 1]]
    for segment in found.dropLast().reversed() {
      let successor = row[row.count - 1].header
      guard segment.number + 1 == successor.number else { break }
      row.append(segment)
    }
    row.reverse()
    leftovers = found.dropLast(row.count).map(\.path)
    if row[0].header.firstSequence > lowWater + 1 {
      let missing = row[0].header
      guard missing.number > 1 else {
        throw WALError.damagedHeader(row[0].path, reason: "the first segment begins at sequence \(missing.firstSequence)")
      }
      throw WALError.missingSegment(missing.number - 1, sequence: lowWater + 1)
    }
    for index in row.indices.dropLast() {
      row[index].sealed = try Self.checkSeal(row[index], successor: row[index + 1].header, fileSystem, &report, options)
    }
    if options.recovery == .pointInTime { try cutAtFirstDamage(&row, fileSystem, options) }
    if let end {
      let last = row[row.count - 1].header
      row[row.count - 1].sealed = SealedSegment(
        number: last.number, firstSequence: last.firstSequence, lastSequence: lastSequence, length: end.length)
    }
    segments = row
  }

  /// Checks that a segment ends as its successor's header says.
  private static func checkSeal(
    _ segment: LogSegments.Segment, successor: SegmentHeader, _ fileSystem: any FileSystem, _ report: inout RecoveryReport, _ options: WALOptions
  ) throws -> SealedSegment {
    let facts = successor.predecessor
    let sealed = SealedSegment(
      number: segment.number, firstSequence: segment.header.firstSequence, lastSequence: facts.lastSequence, length: facts.length)
    let sealOffset = facts.length &- UInt64(Seal.bytes)
    var reason = "the end its successor names is missing"
    if facts.number == segment.number, facts.length >= UInt64(SegmentHeader.bytes + Seal.bytes), facts.length < 1 << 62,
      successor.firstSequence == facts.lastSequence + 1
    {
      let file = try fileSystem.open(segment.path, .read)
      let reader = SegmentReader(
        file: file, header: segment.header, from: sealOffset, limit: facts.length, maxRecordBytes: options.maxRecordBytes)
      if case .seal(let seal, _) = try reader.next() {
        if seal.lastSequence == facts.lastSequence, seal.digest == facts.digest { return sealed }
        reason = "it is not the segment its successor followed"
      }
    }
    let region = DamagedRegion(
      segment: segment.number, offset: sealOffset, length: UInt64(Seal.bytes), firstLostSequence: segment.header.firstSequence, reason: reason)
    guard options.recovery == .salvage || options.recovery == .pointInTime else {
      throw WALError.damaged(segment: region.segment, offset: region.offset, sequence: region.firstLostSequence, reason: reason)
    }
    report.damage.append(region)
    return sealed
  }

  /// Finds the end of the last segment and tells a torn tail from damage.
  private mutating func scanLast(_ segment: LogSegments.Segment, _ fileSystem: any FileSystem, _ options: WALOptions) throws {
    let file = try fileSystem.open(segment.path, .read)
    let size = try file.size()
    let reader = SegmentReader(file: file, header: segment.header, limit: size, maxRecordBytes: options.maxRecordBytes)
    var tail = UnprovenTail()
    lastSequence = segment.header.firstSequence - 1
    scanning: while true {
      switch try reader.next() {
      case .record(let offset, let sequence, let prefix):
        note(record: sequence, at: offset, prefix, in: segment, payload: reader.payload)
        lastSequence = sequence + prefix.count - 1
        tail.add(lastSequence, at: offset, watermark: prefix.watermark)
      case .seal(let seal, let offset):
        guard seal.lastSequence == lastSequence, seal.digest == reader.digest || options.recovery == .salvage else {
          try damage(segment, offset, reader.expected ?? 0, "the seal does not match what precedes it", size, options)
          break scanning
        }
        if case .seal(let handover, _) = try reader.next(), handover.reason == .handover {
          throw WALError.missingSegment(segment.number + 1, sequence: lastSequence + 1)
        }
        report.wasClosed = seal.reason == .closed
        end = End(seal: seal, length: offset + UInt64(Seal.bytes), isSealed: true, unprovenFrom: offset)
        break scanning
      case .end:
        finish(segment, reader, tail)
        break scanning
      case .bad(let offset, let reason):
        let validEnd = reader.validEnd
        let digest = reader.digest
        let lost = lastSequence + 1
        let later = try reader.survey(from: offset)
        if let later, later.watermark >= lost {
          try damage(segment, offset, lost, reason.text, size, options)
          if options.recovery == .salvage {
            reader.skip(to: later.first > offset ? later.first : later.first + 1)
            continue scanning
          }
        } else {
          let last = try reader.endOfBytes(from: validEnd)
          if later != nil || !segment.header.isRecycled { report.tornBytes = last - validEnd }
          if options.recovery == .absolute, report.tornBytes > 0 { throw WALError.tornTail(segment: segment.number, offset: offset) }
        }
        end = End(
          seal: Seal(lastSequence: lastSequence, digest: digest, reason: .recovered), length: validEnd, isSealed: false,
          unprovenFrom: min(tail.offset ?? validEnd, validEnd))
        report.wasClosed = false
        break scanning
      }
    }
    report.bytesScanned += reader.bytesRead
  }

  /// Reads every segment and ends the log before the first place that is not what was written.
  private mutating func cutAtFirstDamage(
    _ row: inout [LogSegments.Segment], _ fileSystem: any FileSystem, _ options: WALOptions
  ) throws {
    for index in row.indices.dropLast() {
      let segment = row[index]
      let file = try fileSystem.open(segment.path, .read)
      let reader = SegmentReader(
        file: file, header: segment.header, limit: segment.sealed?.length ?? 0, maxRecordBytes: options.maxRecordBytes)
      var last = segment.header.firstSequence - 1
      var fault: (offset: UInt64, reason: String)?
      reading: while true {
        switch try reader.next() {
        case .record(_, let sequence, let prefix): last = sequence + prefix.count - 1
        case .seal(let seal, let offset):
          if seal.lastSequence != last || seal.digest != reader.digest { fault = (offset, "the seal does not match what precedes it") }
          break reading
        case .end:
          fault = (reader.validEnd, "the segment has no end")
          break reading
        case .bad(let offset, let reason):
          fault = (offset, reason.text)
          break reading
        }
      }
      report.bytesScanned += reader.bytesRead
      guard let fault else { continue }
      report.damage.insert(
        DamagedRegion(
          segment: segment.number, offset: fault.offset, length: (try file.size()) - fault.offset, firstLostSequence: last + 1,
          reason: fault.reason), at: 0)
      end = End(
        seal: Seal(lastSequence: last, digest: reader.digest, reason: .recovered), length: reader.validEnd, isSealed: false,
        unprovenFrom: reader.validEnd)
      lastSequence = last
      if let place = checkpoint, place.sequence > last { checkpoint = nil }
      setAside = Array(row[(index + 1)...])
      row.removeSubrange((index + 1)...)
      return
    }
  }

  private mutating func finish(_ segment: LogSegments.Segment, _ reader: SegmentReader, _ tail: UnprovenTail) {
    report.wasClosed = false
    end = End(
      seal: Seal(lastSequence: lastSequence, digest: reader.digest, reason: .recovered), length: reader.validEnd, isSealed: false,
      unprovenFrom: min(tail.offset ?? reader.validEnd, reader.validEnd))
  }

  private mutating func damage(
    _ segment: LogSegments.Segment, _ offset: UInt64, _ lost: UInt64, _ reason: String, _ size: UInt64, _ options: WALOptions
  ) throws {
    guard options.recovery == .salvage || options.recovery == .pointInTime else {
      throw WALError.damaged(segment: segment.number, offset: offset, sequence: lost, reason: reason)
    }
    report.damage.append(
      DamagedRegion(segment: segment.number, offset: offset, length: size - min(size, offset), firstLostSequence: lost, reason: reason))
  }

  private mutating func note(
    record sequence: UInt64, at offset: UInt64, _ prefix: LogicalRecord.Prefix, in segment: LogSegments.Segment, payload: UnsafeRawBufferPointer
  ) {
    switch prefix.kind {
    case .operation, .batch: break
    case .checkpoint: checkpoint = CheckpointPlace(sequence: sequence, segment: segment.number, offset: offset)
    case .truncate: lowWater = max(lowWater, LogicalRecord.truncation(payload) ?? 0)
    }
  }
}

/// Follows how much of a segment later watermarks prove to have been durable, to the accuracy of a block.
private struct UnprovenTail {
  private var blocks: [(sequence: UInt64, offset: UInt64)] = []
  private var first = 0

  /// Where the first record begins that nothing proves to have been durable.
  var offset: UInt64? { first < blocks.count ? blocks[first].offset : nil }

  mutating func add(_ last: UInt64, at offset: UInt64, watermark: UInt64) {
    while first < blocks.count, blocks[first].sequence <= watermark { first += 1 }
    if first == blocks.count {
      blocks.removeAll(keepingCapacity: true)
      first = 0
    }
    if let present = blocks.last, first < blocks.count, present.offset / UInt64(Frame.blockBytes) == offset / UInt64(Frame.blockBytes) {
      blocks[blocks.count - 1].sequence = last
    } else {
      blocks.append((last, offset))
    }
  }
}

/// Names of the files that are not segments.
enum LogFiles {
  static let lock = "LOCK"
}
