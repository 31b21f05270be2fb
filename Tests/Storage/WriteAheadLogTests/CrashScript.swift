import StrataDisk
import StrataSimulation
import SystemPackage

@testable import StrataWriteAheadLog

/// What a scripted run of a log notes: intentions before a call, promises after it.
enum CrashNote: Hashable, Sendable {
  /// Sequences are about to be given out, as one unit.
  case began(ClosedRange<UInt64>)
  /// Everything up to here survives power loss.
  case durable(UInt64)
  case truncating(UInt64)
  case truncated(UInt64)
  case checkpoint(UInt64)
  case closed
  case opening
}

struct CrashLoss: Error, CustomStringConvertible { var description: String }

/// A log that is driven by a script under a ledger of notes.
final class CrashScript {
  let ledger: Ledger<CrashNote>
  let disk: any FileSystem
  let options: WALOptions
  private(set) var log: WriteAheadLog

  /// Payload length of record `number`, a function of it alone so that a recovery knows what to expect.
  static func bytes(of number: UInt64) -> Int { number % 3 == 0 ? 33_000 : 40 }

  static func record(_ number: UInt64) -> WALRecord { crashRecord(number, count: bytes(of: number)) }

  init(_ disk: any FileSystem, _ ledger: Ledger<CrashNote>, _ options: WALOptions) throws {
    (self.disk, self.ledger, self.options) = (disk, ledger, options)
    ledger.note(.opening)
    log = try WriteAheadLog.open(logPath, options: options, on: disk).log
  }

  func append() throws {
    let number = log.lastSequence + 1
    ledger.note(.began(number...number))
    let sequence = try log.append(Self.record(number))
    guard sequence == number else { throw CrashLoss(description: "record \(number) got sequence \(sequence)") }
    switch options.durability {
    case .everyWrite: ledger.note(.durable(number))
    // At most count - 1 operations may be lost.
    case .batched(let count, _): ledger.note(.durable(number - min(number, UInt64(count - 1))))
    case .none: break
    }
  }

  func appendBatch(_ count: UInt64) throws {
    let first = log.lastSequence + 1
    let range = first...first + count - 1
    ledger.note(.began(range))
    let taken = try log.append(batch: range.map { Self.record($0) })
    guard taken == range else { throw CrashLoss(description: "batch \(range) got \(String(describing: taken))") }
    ledger.note(.durable(range.upperBound))
  }

  func checkpoint() throws {
    let number = log.lastSequence + 1
    ledger.note(.began(number...number))
    try log.checkpoint(payload(number))
    ledger.note(.durable(number))
    ledger.note(.checkpoint(number))
  }

  func truncate(upTo sequence: UInt64) throws {
    ledger.note(.truncating(sequence))
    try log.truncate(upTo: sequence)
    ledger.note(.truncated(sequence))
  }

  func reopen() throws {
    let last = log.lastSequence
    try log.close()
    ledger.note(.durable(last))
    ledger.note(.closed)
    ledger.note(.opening)
    log = try WriteAheadLog.open(logPath, options: options, on: disk).log
  }

  /// Append, batch, checkpoint, rotation, truncation, recycling, close, reopen.
  func run() throws {
    try append()
    try appendBatch(2)
    try checkpoint()
    try append()
    try append()
    try append()
    try checkpoint()
    try append()
    try truncate(upTo: 2)
    try truncate(upTo: 8)
    try reopen()
    try appendBatch(4)
    try append()
    try truncate(upTo: log.lastSequence)
    try append()
    try reopen()
    try append()
  }

  /// The least that makes every sync of the log happen.
  func runShort() throws {
    try append()
    try append()
    try append()
    try appendBatch(3)
    try append()
    try truncate(upTo: 6)
    try reopen()
    try append()
  }

  /// Opens the log on what a crash left and throws unless it keeps every promise; then goes on writing.
  static func recover(_ disk: any FileSystem, _ ledger: Ledger<CrashNote>, _ options: WALOptions) throws {
    let promise = Promises(ledger.entries)
    try promise.checkFiles(disk)
    ledger.note(.opening)
    let (log, report) = try WriteAheadLog.open(logPath, options: options, on: disk)
    try promise.check(log, report)
    let number = log.lastSequence + 1
    ledger.note(.began(number...number + 1))
    try log.append(batch: [record(number), record(number + 1)])
    ledger.note(.durable(number + 1))
  }
}

/// What the notes up to a crash oblige a recovery to.
struct Promises {
  private var durable: UInt64 = 0
  private var units: [ClosedRange<UInt64>] = []
  private var truncated: UInt64 = 0
  private var truncating: UInt64 = 0
  private var checkpoint: UInt64 = 0
  private var isClosed = false

  init(_ notes: [CrashNote]) {
    for note in notes {
      switch note {
      // A crashed attempt and the next give the same numbers to different units.
      case .began(let range):
        units.removeAll { $0.upperBound >= range.lowerBound }
        units.append(range)
      case .durable(let sequence): durable = max(durable, sequence)
      case .truncating(let sequence): truncating = max(truncating, sequence)
      case .truncated(let sequence): truncated = max(truncated, sequence)
      case .checkpoint(let sequence): checkpoint = max(checkpoint, sequence)
      case .closed: isClosed = true
      case .opening: isClosed = false
      }
    }
  }

  private func require(_ holds: Bool, _ text: @autoclosure () -> String) throws {
    if !holds { throw CrashLoss(description: text()) }
  }

  func check(_ log: WriteAheadLog, _ report: RecoveryReport) throws {
    let last = log.lastSequence
    try require(last >= durable, "\(durable) was durable, the log ends with \(last)")
    let begun = units.last?.upperBound ?? 0
    try require(last <= begun, "\(last) was never begun")
    for unit in units { try require(last < unit.lowerBound || last >= unit.upperBound, "half of batch \(unit) is there: \(last)") }
    let lowWater = log.firstSequence - 1
    try require(lowWater >= truncated && lowWater <= truncating, "\(truncated) or \(truncating) was given up, the log begins behind \(lowWater)")
    var next = lowWater + 1
    for entry in try log.iterate().all() where entry.sequence > lowWater {
      if case .truncate = entry.content { continue }
      try require(entry.sequence == next, "\(entry.sequence) where \(next) was due")
      switch entry.content {
      case .operation(let record): try require(record == CrashScript.record(next), "record \(next) is not what was written")
      case .checkpoint(let bytes): try require(bytes == payload(next), "checkpoint \(next) is not what was written")
      case .truncate: break
      }
      next += 1
    }
    try require(next == last + 1, "the log ends with \(last), reading it with \(next - 1)")
    if checkpoint > lowWater {
      try require(log.lastCheckpoint?.sequence ?? 0 >= checkpoint, "checkpoint \(checkpoint) is not remembered")
      try require(log.lastCheckpoint.map { $0.payload == payload($0.sequence) } ?? false, "checkpoint payload of \(checkpoint)")
    }
    if isClosed { try require(report.wasClosed, "the log was closed and does not know") }
  }

  /// What must be in the directory before anything is opened.
  func checkFiles(_ disk: any FileSystem) throws {
    guard durable > 0 else { return }
    var headers: [(header: SegmentHeader, path: FilePath)] = []
    for name in try disk.list(logPath) where SegmentName.looksLikeSegment(name) {
      let path = logPath.appending(name)
      headers.append((try SegmentHeader(try disk.open(path, .read).read(at: 0, count: SegmentHeader.bytes), path: path), path))
    }
    for (segment, next) in zip(headers, headers.dropFirst()) {
      let last = next.header.firstSequence - 1
      // While nothing is acknowledged in the next segment, this one was active until just now: whoever began the next, a recovery for one, may
      // have been killed before this one could go.
      guard durable > last else { continue }
      try require(last > truncated || last > truncating, "\(segment.path) holds nothing above \(truncated) and is still there")
      // A record acknowledged in the successor means that its absence would be noticed.
      // (Where another segment follows, the absence of this one shows as a gap.)
      guard next.header.number == headers.last?.header.number else { continue }
      let file = try disk.open(segment.path, .read)
      let reader = SegmentReader(
        file: file, header: segment.header, from: next.header.predecessor.length, limit: try file.size(), maxRecordBytes: 1 << 20)
      if case .seal(let seal, _) = try reader.next(), seal.reason == .handover { continue }
      throw CrashLoss(description: "\(segment.path) does not say that it has a successor")
    }
  }
}

private func crashRecord(_ number: UInt64, count: Int) -> WALRecord { record(number, count: count) }
