import StrataBytes
import StrataDisk

/// Walks the records of a log over its segments up to an end. Single owner; holds one segment's file open.
final class LogCursor {
  let segments: LogSegments
  private let options: WALOptions
  private(set) var segment: LogSegments.Segment?
  private var reader: SegmentReader?
  /// The segment's seal has been read; what follows is in the next segment, when there is one.
  private var isBehindSeal = false
  /// Nothing at or beyond is read.
  private(set) var end: SegmentPosition
  /// Whether damage is skipped and listed instead of thrown.
  let salvages: Bool
  private(set) var damage: [DamagedRegion] = []
  private(set) var lastSequence: UInt64

  /// A record found by ``next()``.
  struct Found {
    var offset: UInt64
    var sequence: UInt64
    var prefix: LogicalRecord.Prefix
  }

  /// - Parameter sequence: reading begins with the segment that holds the sequence after this one.
  init(_ segments: LogSegments, after sequence: UInt64, end: SegmentPosition, options: WALOptions, salvages: Bool) {
    self.segments = segments
    self.options = options
    self.end = end
    self.salvages = salvages
    lastSequence = sequence
    segment = segments.beginReading(after: sequence)
  }

  deinit {
    if let segment { segments.endReading(segment.number) }
  }

  /// Moves the end; for readers that follow a growing log.
  func extend(to position: SegmentPosition) {
    end = position
    guard let segment, let reader else { return }
    reader.limit = limit(of: segment.number)
    reader.refresh()
  }

  /// The payload of the record just found; valid until the next call.
  var payload: UnsafeRawBufferPointer { reader?.payload ?? UnsafeRawBufferPointer(start: nil, count: 0) }

  /// The operations of the record just found; valid until the next call.
  var operations: UnsafeRawBufferPointer { reader?.operations ?? UnsafeRawBufferPointer(start: nil, count: 0) }

  /// The next record, or `nil` at the end.
  func next() throws(WALError) -> Found? {
    while let reader = try opened() {
      if isBehindSeal {
        guard try advance() else { return nil }
        continue
      }
      let item: SegmentReader.Item
      do throws(DiskError) { item = try reader.next() } catch { throw .storage(error) }
      if case .record(let offset, let sequence, let prefix) = item {
        lastSequence = sequence + prefix.count - 1
        return Found(offset: offset, sequence: sequence, prefix: prefix)
      }
      guard let segment, try goesOn(segment, reader, after: item) else { return nil }
    }
    return nil
  }

  /// Deals with what is not a record; `false` where there is nothing more to read.
  private func goesOn(_ segment: LogSegments.Segment, _ reader: SegmentReader, after item: SegmentReader.Item) throws(WALError) -> Bool {
    switch item {
    case .record: return true
    case .seal(let seal, let offset):
      let last = reader.expected.map { $0 - 1 } ?? seal.lastSequence
      if damage.isEmpty, seal.digest != reader.digest || seal.lastSequence != last {
        try fault(segment, offset, length: UInt64(Seal.bytes), "the seal does not match what precedes it")
      }
      isBehindSeal = true
      return true
    case .end: return try goesOn(segment, reader)
    case .bad(let offset, let reason):
      let later: UInt64?
      do throws(DiskError) { later = try reader.survey(from: offset + 1)?.first } catch { throw .storage(error) }
      try fault(segment, offset, length: (later ?? reader.limit) - offset, reason.text)
      guard let later else { return try advance() }
      reader.skip(to: later)
      return true
    }
  }

  /// What to do where a segment's known bytes end.
  private func goesOn(_ segment: LogSegments.Segment, _ reader: SegmentReader) throws(WALError) -> Bool {
    guard segment.number < end.segment else { return false }
    // The catalogue may have learnt the segment's end since the cursor came here.
    let present = limit(of: segment.number)
    if present > reader.limit {
      reader.limit = present
      reader.refresh()
      return true
    }
    try checkPresence(of: segment.number)
    try fault(segment, reader.validEnd, length: 0, "the segment has no end")
    return try advance()
  }

  private func fault(_ segment: LogSegments.Segment, _ offset: UInt64, length: UInt64, _ reason: String) throws(WALError) {
    guard salvages else { throw .damaged(segment: segment.number, offset: offset, sequence: lastSequence + 1, reason: reason) }
    damage.append(
      DamagedRegion(segment: segment.number, offset: offset, length: length, firstLostSequence: lastSequence + 1, reason: reason))
  }

  private func opened() throws(WALError) -> SegmentReader? {
    if let reader { return reader }
    guard let segment, segment.number <= end.segment else { return nil }
    let file: any File
    do throws(DiskError) { file = try segments.fileSystem.open(segment.path, .read) } catch {
      try checkPresence(of: segment.number)
      throw .storage(error)
    }
    let opened = SegmentReader(file: file, header: segment.header, limit: limit(of: segment.number), maxRecordBytes: options.maxRecordBytes)
    reader = opened
    return opened
  }

  private func advance() throws(WALError) -> Bool {
    guard let present = segment, present.number < end.segment else { return false }
    guard let next = segments.continueReading(after: present.number, overGaps: salvages) else {
      try checkPresence(of: present.number + 1)
      return false
    }
    segment = next
    reader = nil
    isBehindSeal = false
    return true
  }

  /// A reader that a truncation has overtaken is told so.
  private func checkPresence(of number: UInt64) throws(WALError) {
    if let first = segments.segments.first, number < first.number { throw .sequenceTruncated(first: segments.lowWater + 1) }
  }

  private func limit(of number: UInt64) -> UInt64 {
    if number == end.segment { return end.offset }
    return segments.segments.first { $0.number == number }?.sealed?.length ?? 0
  }
}
