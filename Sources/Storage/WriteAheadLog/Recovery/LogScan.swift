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
      let found = try headers(directory, fileSystem, options)
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

  private mutating func headers(_ directory: FilePath, _ fileSystem: any FileSystem, _ options: WALOptions) throws -> [LogSegments.Segment] {
    var found: [UInt64: LogSegments.Segment] = [:]
    for name in try fileSystem.list(directory) {
      let path = directory.appending(name)
      if SegmentName.isFree(name), options.recovery != .salvage {
        free.append(name)
      } else if SegmentName.looksLikeSegment(name) {
        guard let parsed = SegmentName.parse(name) else { throw WALError.unrecognizedFile(path) }
        let file = try fileSystem.open(path, .read)
        let header: SegmentHeader
        do { header = try SegmentHeader(try file.read(at: 0, count: SegmentHeader.bytes), path: path) } catch let error as WALError {
          // Without the salt nothing in the file can be verified.
          guard options.recovery == .salvage, case .damagedHeader(_, let reason) = error else { throw error }
          report.damage.append(
            DamagedRegion(
              segment: parsed.number, offset: 0, length: try file.size(), firstLostSequence: parsed.firstSequence,
              reason: "damaged header: \(reason)"))
          continue
        }
        try file.close()
        guard header.number == parsed.number, header.firstSequence == parsed.firstSequence else { throw WALError.unrecognizedFile(path) }
        guard found[header.number] == nil else { throw WALError.duplicateSegment(header.number) }
        found[header.number] = LogSegments.Segment(header: header, path: path, sealed: nil)
        report.bytesScanned += UInt64(SegmentHeader.bytes)
      } else if name != LogFiles.lock {
        report.foreignFiles.append(name)
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
    if options.recovery == .salvage { return try salvage(found, fileSystem, options) }
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
    take(row)
  }

  /// Keeps `row` as the log's segments, the last of them ended where the scan found its end.
  private mutating func take(_ row: [LogSegments.Segment]) {
    segments = row
    guard let end, let last = row.last?.header else { return }
    segments[row.count - 1].sealed = SealedSegment(
      number: last.number, firstSequence: last.firstSequence, lastSequence: lastSequence, length: end.length)
  }

  /// Takes every segment there is and reports what lacks between them.
  private mutating func salvage(_ found: [LogSegments.Segment], _ fileSystem: any FileSystem, _ options: WALOptions) throws {
    var row = found
    for index in row.indices.dropLast() {
      let (segment, next) = (row[index], row[index + 1].header)
      if segment.number + 1 == next.number {
        row[index].sealed = try Self.checkSeal(segment, successor: next, fileSystem, &report, options)
        continue
      }
      let size = try fileSystem.status(segment.path)?.size ?? 0
      row[index].sealed = SealedSegment(
        number: segment.number, firstSequence: segment.header.firstSequence, lastSequence: next.firstSequence - 1, length: size)
      for number in (segment.number + 1..<next.number).prefix(64) { reportMissing(number, from: segment.header.firstSequence) }
    }
    if let first = row.first?.header, first.firstSequence > lowWater + 1 { reportMissing(first.number - 1, from: lowWater + 1) }
    take(row)
  }

  private mutating func reportMissing(_ number: UInt64, from sequence: UInt64) {
    guard !report.damage.contains(where: { $0.segment == number && $0.offset == 0 }) else { return }
    report.damage.append(
      DamagedRegion(segment: number, offset: 0, length: 0, firstLostSequence: sequence, reason: "the segment is missing"))
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
      successor.firstSequence == facts.lastSequence &+ 1
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
          finish(reader.digest, at: offset, tail)
          break scanning
        }
        report.wasClosed = seal.reason == .closed
        end = End(seal: seal, length: offset + UInt64(Seal.bytes), isSealed: true, unprovenFrom: min(tail.offset ?? offset, offset))
        if case .seal(let handover, _) = try reader.next(), handover.reason == .handover {
          guard options.recovery == .salvage else { throw WALError.missingSegment(segment.number + 1, sequence: lastSequence + 1) }
          reportMissing(segment.number + 1, from: lastSequence + 1)
        }
        break scanning
      case .end:
        finish(reader.digest, at: reader.validEnd, tail)
        break scanning
      case .bad(let offset, let reason):
        let validEnd = reader.validEnd
        let digest = reader.digest
        let lost = lastSequence + 1
        let later = try reader.survey(from: offset)
        if reason.isOverLimit || later.map({ $0.watermark >= lost }) ?? false {
          try damage(segment, offset, lost, reason.text, size, options)
          if let later, options.recovery == .salvage {
            reader.skip(to: later.first > offset ? later.first : later.first + 1)
            continue scanning
          }
        } else {
          let last = try reader.endOfBytes(from: validEnd)
          if later != nil || !segment.header.isRecycled { report.tornBytes = last - validEnd }
          if options.recovery == .absolute, report.tornBytes > 0 { throw WALError.tornTail(segment: segment.number, offset: offset) }
        }
        finish(digest, at: validEnd, tail)
        break scanning
      }
    }
    report.bytesScanned += reader.bytesRead
  }

  /// Reads every segment and ends the log before the first place that is not what was written.
  private mutating func cutAtFirstDamage(
    _ row: inout [LogSegments.Segment], _ fileSystem: any FileSystem, _ options: WALOptions
  ) throws {
    for index in row.indices.dropLast() where row[index].sealed?.lastSequence ?? .max > lowWater {
      let segment = row[index]
      var newest = segment.header.checkpoint
      let file = try fileSystem.open(segment.path, .read)
      let reader = SegmentReader(
        file: file, header: segment.header, limit: segment.sealed?.length ?? 0, maxRecordBytes: options.maxRecordBytes)
      var last = segment.header.firstSequence - 1
      var fault: (offset: UInt64, reason: String)?
      reading: while true {
        switch try reader.next() {
        case .record(let offset, let sequence, let prefix):
          last = sequence + prefix.count - 1
          if prefix.kind == .checkpoint { newest = CheckpointPlace(sequence: sequence, segment: segment.number, offset: offset) }
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
      checkpoint = newest
      // What was given up stays given up, as far as the log now reaches.
      lowWater = min(lowWater, last)
      setAside = Array(row[(index + 1)...])
      row.removeSubrange((index + 1)...)
      return
    }
  }

  /// The last segment ends at `length` without a seal.
  private mutating func finish(_ digest: UInt32, at length: UInt64, _ tail: UnprovenTail) {
    report.wasClosed = false
    end = End(
      seal: Seal(lastSequence: lastSequence, digest: digest, reason: .recovered), length: length, isSealed: false,
      unprovenFrom: min(tail.offset ?? length, length))
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
    case .truncate: lowWater = max(lowWater, min(LogicalRecord.truncation(payload) ?? 0, sequence - 1))
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
