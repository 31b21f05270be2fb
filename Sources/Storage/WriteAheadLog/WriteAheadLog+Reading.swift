import StrataBytes
import StrataDisk

extension WriteAheadLog {
  /// The operations after `sequence` (0 for all there are), as far as they have been written when the call is made. Control records are
  /// passed over.
  /// - Throws: `.sequenceTruncated` where `sequence` lies before the low-water mark.
  public func replay(after sequence: SequenceNumber = 0) throws(WALError) -> WALReader {
    let lowWater = segments.lowWater
    guard sequence == 0 || sequence >= lowWater else { throw .sequenceTruncated(first: lowWater + 1) }
    return reader(after: max(sequence, lowWater), control: false)
  }

  /// Everything there is, control records included, from the first byte on disk: also what a truncation gave up and did not yet remove.
  public func iterate() -> WALReader { reader(after: 0, control: true) }

  private func reader(after sequence: SequenceNumber, control: Bool) -> WALReader {
    let cursor = LogCursor(
      segments, after: sequence, end: end(durably: false), options: options, salvages: commit == nil)
    return WALReader(cursor, after: sequence, deliversControl: control)
  }

  /// Where what is written, or durable, ends.
  func end(durably: Bool) -> SegmentPosition {
    if let commit { return commit.end(durably: durably) }
    guard let last = segments.segments.last, let sealed = last.sealed else { return SegmentPosition(segment: 0, offset: 0) }
    return SegmentPosition(segment: last.number, offset: sealed.length)
  }

  /// The operations after `sequence` as they become durable, those there are first and then new ones without end. The sequence finishes
  /// when the log is closed and throws when it fails, when the records asked for are truncated (pin them to prevent that), or on damage.
  /// Reading is by demand: a slow consumer costs no memory.
  public func follow(after sequence: SequenceNumber = 0) -> WALFollower { WALFollower(log: self, after: sequence, pin: nil) }

  /// Reads the newest checkpoint a scan found.
  static func readCheckpoint(_ scan: LogScan, _ options: WALOptions, _ fileSystem: any FileSystem) throws(WALError) -> Checkpoint? {
    guard let place = scan.checkpoint, let segment = scan.segments.first(where: { $0.number == place.segment }) else { return nil }
    let item: SegmentReader.Item
    let reader: SegmentReader
    do throws(DiskError) {
      reader = SegmentReader(
        file: try fileSystem.open(segment.path, .read), header: segment.header, from: place.offset,
        limit: segment.sealed?.length ?? place.offset, maxRecordBytes: options.maxRecordBytes)
      item = try reader.next()
    } catch { throw .storage(error) }
    guard case .record(_, place.sequence, let prefix) = item, prefix.kind == .checkpoint else {
      throw .damaged(segment: place.segment, offset: place.offset, sequence: place.sequence, reason: "not the checkpoint the log names")
    }
    let payload = reader.payload.withUnsafeReader { reader -> [UInt8]? in
      guard (try? LogicalRecord.readPrefix(&reader)) != nil, (try? reader.readUInt8()) == LogicalRecord.Operation.checkpoint,
        let length = try? reader.readVarint64(), let bytes = try? reader.readBytes(Int(clamping: length))
      else { return nil }
      return Array(bytes)
    }
    return payload.map { Checkpoint(sequence: place.sequence, payload: $0) }
  }
}

/// The durable operations of a log from a sequence on; see ``WriteAheadLog/follow(after:)``.
public struct WALFollower: AsyncSequence, Sendable {
  let log: WriteAheadLog
  let after: SequenceNumber
  let pin: WALPin?

  public func makeAsyncIterator() -> Iterator { Iterator(log: log, after: after, pin: pin) }

  /// Reads on demand; single owner.
  public struct Iterator: AsyncIteratorProtocol {
    private let log: WriteAheadLog
    private let pin: WALPin?
    private var last: SequenceNumber
    private var reader: WALReader?

    init(log: WriteAheadLog, after: SequenceNumber, pin: WALPin?) {
      self.log = log
      self.pin = pin
      last = after
    }

    /// The next durable operation, when there is one; `nil` after the log was closed or the task cancelled.
    public mutating func next() async throws -> WALEntry? {
      while true {
        if let entry = try read() {
          last = entry.sequence
          pin?.advance(to: last)
          return entry
        }
        guard let commit = log.commit, try await Self.waitForMore(than: Swift.max(last, log.durableSequence), commit, log) else { return nil }
      }
    }

    private mutating func read() throws(WALError) -> WALEntry? {
      try pin?.check()
      let end = log.end(durably: true)
      if reader == nil {
        let lowWater = log.segments.lowWater
        guard pin != nil || last == 0 || last >= lowWater else { throw .sequenceTruncated(first: lowWater + 1) }
        if pin == nil { last = Swift.max(last, lowWater) }
        reader = WALReader(
          LogCursor(log.segments, after: last, end: end, options: log.options, salvages: false), after: last, deliversControl: false)
      }
      if let entry = try reader?.next() { return entry }
      reader?.extend(to: end)
      return try reader?.next()
    }

    private static func waitForMore(than sequence: SequenceNumber, _ commit: GroupCommit, _ log: WriteAheadLog) async throws -> Bool {
      let observer = ObserverID()
      let failure = await withTaskCancellationHandler {
        await withCheckedContinuation { (continuation: CheckedContinuation<CommitError?, Never>) in
          let id = commit.observe(durable: sequence + 1) { continuation.resume(returning: $0) }
          if let id, observer.set(id) { commit.cancel(observer: id) }
        }
      } onCancel: {
        if let id = observer.cancel() { commit.cancel(observer: id) }
      }
      switch failure {
      case nil: return true
      case .closed?: return false
      case let failure?: throw WALError(failure, log.directory)
      }
    }
  }
}
