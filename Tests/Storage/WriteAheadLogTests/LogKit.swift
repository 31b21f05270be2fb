import StrataRequirements
import Foundation
import StrataBytes
import StrataDisk
import StrataJobs
import StrataNodes
import StrataSimulation
import SystemPackage

@testable import StrataWriteAheadLog

/// Where logs live on simulated disks.
let logPath: FilePath = "/log"

extension WALOptions {
  /// Small segments, no thread, and salts that follow from `seed`: equal runs write equal bytes.
  static func small(seed: UInt64 = 7, _ change: (inout WALOptions) -> Void = { _ in }) -> WALOptions {
    var options = WALOptions()
    options.segmentBytes = 1
    options.usesThread = false
    options.zeroAheadBytes = 4 << 10
    options.clock = { 1_700_000_000_000 }
    let random = SeededEntropy(seed: seed)
    options.entropy = { random.next() }
    change(&options)
    return options
  }
}

/// Random numbers that follow from a seed, from any thread.
final class SeededEntropy: Sendable {
  private let random: Monitor<Random>

  init(seed: UInt64) { random = Monitor(Random(seed: seed)) }

  func next() -> UInt64 { random.withLock { $0.next() } }
}

/// The bytes of record `number`, told apart by any reader.
func payload(_ number: UInt64, count: Int = 24) -> [UInt8] {
  let filler = [UInt8](repeating: UInt8(truncatingIfNeeded: number &* 31 &+ 7), count: max(0, count - 8))
  return withUnsafeBytes(of: number.littleEndian) { Array($0) } + filler
}

/// Record `number` as the tests write it.
func record(_ number: UInt64, count: Int = 24) -> WALRecord { .application(kind: 64, payload: payload(number, count: count)) }

extension WALReader {
  /// Everything up to the end.
  func all() throws(WALError) -> [WALEntry] {
    var entries: [WALEntry] = []
    while let entry = try next() { entries.append(entry) }
    return entries
  }
}

extension WriteAheadLog {
  func entries(after sequence: SequenceNumber = 0) throws(WALError) -> [WALEntry] { try replay(after: sequence).all() }

  func sequences(after sequence: SequenceNumber = 0) throws(WALError) -> [SequenceNumber] { try entries(after: sequence).map(\.sequence) }

  static func openSmall(_ disk: any FileSystem, _ change: (inout WALOptions) -> Void = { _ in }) throws(WALError) -> WriteAheadLog {
    try open(logPath, options: .small(change), on: disk).log
  }

  /// Appends records until the log has begun another segment.
  func fillSegment(recordBytes: Int = 8000) throws {
    let before = statistics.segments
    while statistics.segments == before { try append(record(lastSequence + 1, count: recordBytes)) }
  }
}

extension SimulatedFileSystem {
  /// The log's segment files, oldest first.
  var segmentPaths: [FilePath] { contents.map(\.path).filter { SegmentName.looksLikeSegment($0.lastComponent?.string ?? "") } }
}

/// The kind of an error, for tests that care for nothing else.
func isDamage(_ error: WALError) -> Bool {
  switch error {
  case .damaged, .damagedHeader, .missingSegment, .unrecognizedFile, .wrongLog, .unsupportedVersion, .duplicateSegment, .tornTail: true
  default: false
  }
}

/// The checksum a header with these bytes needs.
func crc32cOfHeader(_ bytes: [UInt8]) -> UInt32 { crc32c(bytes.span.bytes.extracting(0..<SegmentHeader.bytes - 4)) }
