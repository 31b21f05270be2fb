import StrataBytes
import StrataDisk
import StrataHost
import StrataJobs
import StrataNodes
import StrataWriteAheadLog
import SystemPackage

/// How a node's records look in its log: a value without state.
public protocol RecordCodec<Record>: Sendable {
  /// What the node writes.
  associatedtype Record: Sendable

  /// Writes a record.
  func encode(_ record: Record, into writer: inout ByteWriter)

  /// Reads a record; whatever the bytes are, it gives a record or throws.
  func decode(_ bytes: RawSpan) throws(DecodeError) -> Record
}

/// The log of one node of any type, on a write-ahead log of its own. See Docs/Formats/NodeLog.md.
///
/// A write is one unit of the log, several given at once are one together, and so is a checkpoint, which must therefore fit into one
/// (``WALOptions/maxRecordBytes``); what lies before a durable checkpoint is given up by a thread beside. Safe as `NodeLog` says.
public final class WriteAheadNodeLog<Codec: RecordCodec>: NodeLog {
  /// What the node writes.
  public typealias Record = Codec.Record

  private let log: WriteAheadLog
  private let codec: Codec
  private let worker: SerialWorker
  private let failure = Monitor<DiskError?>(nil)

  /// Whether records that had been durable are lost.
  public let isDamaged: Bool

  /// Opens the log in `directory`, creating it where missing.
  ///
  /// - Parameter toleratesDamage: goes on with the part before a damage, and says so by ``isDamaged`` and to the node; what is cut off is kept aside.
  /// - Throws: `WALError`; where records that had been durable are damaged, `.damaged` with the place.
  public init(
    _ directory: FilePath, codec: Codec, options: WALOptions = WALOptions(), toleratesDamage: Bool = false,
    on fileSystem: any FileSystem = POSIXFileSystem()
  ) throws(WALError) {
    var options = options
    options.durability = .everyWrite
    options.recovery = toleratesDamage ? .pointInTime : .tolerateTornTail
    let report: RecoveryReport
    (log, report) = try WriteAheadLog.open(directory, options: options, on: fileSystem)
    isDamaged = !report.damage.isEmpty
    self.codec = codec
    worker = SerialWorker(name: "node-log")
  }

  /// Reads what the log holds: the last checkpoint and all that follows it.
  public func recover() throws(RecoveryError) -> DurableState<Record> {
    var records: [Record] = []
    let reader: WALReader
    do throws(WALError) { reader = try log.replay() } catch { throw RecoveryError(error.description) }
    while true {
      let entry: WALEntry?
      do throws(WALError) { entry = try reader.next() } catch { throw RecoveryError(error.description) }
      guard let entry else { return DurableState(records: records, isDamaged: isDamaged) }
      guard case .operation(.application(let kind, let payload)) = entry.content else { continue }
      try take(kind, payload, entry.sequence, &records)
    }
  }

  private func take(_ kind: UInt8, _ payload: [UInt8], _ sequence: SequenceNumber, _ records: inout [Record]) throws(RecoveryError) {
    switch kind {
    case LogRecord.checkpoint:
      guard payload == [LogRecord.version] else {
        throw RecoveryError("record \(sequence) begins a checkpoint of a version this build does not know; use a newer build")
      }
      records = []
    case LogRecord.record:
      do throws(DecodeError) { records.append(try codec.decode(payload.span.bytes)) } catch {
        throw RecoveryError("record \(sequence) of the node's log cannot be read: \(error)")
      }
    default: throw RecoveryError("record \(sequence) has kind \(kind), which no node's log holds; this log is something else's")
    }
  }

  /// Adds writes as one unit; see `NodeLog`.
  public func append(_ writes: [[Record]], whenDurable: (@Sendable (DiskError?) -> Void)?) {
    submit(writes.flatMap { $0.map(encoded) }, whenDurable)
  }

  /// Replaces everything; see `NodeLog`.
  public func checkpoint(_ records: [Record], whenDurable: @escaping @Sendable (DiskError?) -> Void) {
    let mark = WALRecord.application(kind: LogRecord.checkpoint, payload: [LogRecord.version])
    let first = submit([mark] + records.map(encoded), whenDurable)
    guard let first else { return }
    log.whenDurable(first) { error in
      guard error == nil else { return }
      // What cannot be given up now is given up after the next checkpoint.
      _ = self.worker.add { try? self.log.truncate(upTo: first - 1) }
    }
  }

  private func encoded(_ record: Record) -> WALRecord {
    var writer = ByteWriter(capacity: 64)
    codec.encode(record, into: &writer)
    return .application(kind: LogRecord.record, payload: writer.finish())
  }

  /// Says under which sequence the unit begins.
  @discardableResult
  private func submit(_ batch: [WALRecord], _ whenDurable: (@Sendable (DiskError?) -> Void)?) -> SequenceNumber? {
    if let failure = failure.withLock({ $0 }) {
      whenDurable?(failure)
      return nil
    }
    do throws(WALError) {
      let range = try log.submit(batch: batch)
      let last = range?.upperBound ?? log.lastSequence
      if let whenDurable { log.whenDurable(last) { error in whenDurable(error.map { self.fail($0) }) } }
      return range?.lowerBound
    } catch {
      let failure = fail(error)
      whenDurable?(failure)
      return nil
    }
  }

  /// The first failure is every later one's too.
  private func fail(_ error: WALError) -> DiskError {
    failure.withLock { failure in
      let first = failure ?? error.asDiskError
      failure = first
      return first
    }
  }

  /// What the write-ahead log beneath has done and holds.
  public var statistics: WALStatistics { log.statistics }

  /// Makes everything durable and gives the directory free. Waits; call it after the node was stopped.
  ///
  /// - Throws: `WALError`; the directory is free all the same.
  public func close() throws(WALError) {
    worker.finish()
    try log.close()
  }
}

private enum LogRecord {
  /// One record of the node.
  static let record: UInt8 = 96
  /// What follows in this unit replaces all before it.
  static let checkpoint: UInt8 = 97
  static let version: UInt8 = 1
}

extension WALError {
  /// What a node hears of a log's error.
  package var asDiskError: DiskError {
    switch self {
    case .durabilityLost(let error), .storage(let error): error
    case .noSpace(let path): .noSpace(path, operation: .write)
    case .closed: .closed("the node's log")
    default: .unsupported(FilePath(description), operation: .write)
    }
  }
}
