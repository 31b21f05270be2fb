import StrataBytes
import StrataDisk
import SystemPackage

/// The first sector of a segment file; see Docs/Formats/WriteAheadLog.md.
struct SegmentHeader: Sendable, Hashable {
  static let magic = Array("STRWAL01".utf8)
  static let version: UInt16 = 1
  static let bytes = 4096

  var logID: LogID
  var number: UInt64
  var salt: UInt64
  var firstSequence: UInt64
  /// What is final about the segment before; all zero for the first.
  var predecessor = Predecessor()
  /// Records up to here were given up before the segment began.
  var lowWater: UInt64 = 0
  var checkpoint: CheckpointPlace?
  var groupAlignment: UInt32 = 1
  var createdMilliseconds: UInt64 = 0
  /// The file was used before, so what follows its last record need not be zero.
  var isRecycled = false

  struct Predecessor: Sendable, Hashable {
    var number: UInt64 = 0
    var lastSequence: UInt64 = 0
    var length: UInt64 = 0
    var digest: UInt32 = 0
  }

  func encoded() -> [UInt8] {
    var out = [UInt8](repeating: 0, count: Self.bytes)
    out.replaceSubrange(0..<8, with: Self.magic)
    out.store(Self.version, at: 8)
    out.store(UInt16(Self.bytes), at: 10)
    out.store(UInt32(Frame.blockBytes), at: 12)
    out.store(logID.high, at: 16)
    out.store(logID.low, at: 24)
    out.store(number, at: 32)
    out.store(salt, at: 40)
    out.store(firstSequence, at: 48)
    out.store(predecessor.number, at: 56)
    out.store(predecessor.lastSequence, at: 64)
    out.store(predecessor.length, at: 72)
    out.store(predecessor.digest, at: 80)
    out.store(groupAlignment, at: 84)
    out.store(lowWater, at: 88)
    out.store(checkpoint?.sequence ?? 0, at: 96)
    out.store(checkpoint?.segment ?? 0, at: 104)
    out.store(checkpoint?.offset ?? 0, at: 112)
    out.store(createdMilliseconds, at: 120)
    out.store(UInt32(isRecycled ? 1 : 0), at: 128)
    out.store(crc32c(out.span.bytes.extracting(0..<Self.bytes - 4)), at: Self.bytes - 4)
    return out
  }

  /// Parses the header of `path`. Magic and version are judged before the checksum, so that a newer format is named as such.
  init(_ sector: [UInt8], path: FilePath) throws(WALError) {
    guard sector.count == Self.bytes else { throw .damagedHeader(path, reason: "\(sector.count) of \(Self.bytes) bytes") }
    guard Array(sector[0..<8]) == Self.magic else { throw .damagedHeader(path, reason: "wrong magic") }
    let version: UInt16 = sector.load(at: 8)
    let sum = crc32c(sector.span.bytes.extracting(0..<Self.bytes - 4))
    let isIntact = sum == sector.load(at: Self.bytes - 4)
    guard version == Self.version else {
      if isIntact || version > Self.version {
        throw .unsupportedVersion(path, found: Int(version), supported: Int(Self.version))
      }
      throw .damagedHeader(path, reason: "version \(version)")
    }
    guard isIntact else { throw .damagedHeader(path, reason: "checksum mismatch") }
    guard sector.load(at: 10) == UInt16(Self.bytes), sector.load(at: 12) == UInt32(Frame.blockBytes) else {
      throw .damagedHeader(path, reason: "unknown block size")
    }
    logID = LogID(high: sector.load(at: 16), low: sector.load(at: 24))
    number = sector.load(at: 32)
    salt = sector.load(at: 40)
    firstSequence = sector.load(at: 48)
    predecessor = Predecessor(
      number: sector.load(at: 56), lastSequence: sector.load(at: 64), length: sector.load(at: 72), digest: sector.load(at: 80))
    groupAlignment = max(1, sector.load(at: 84))
    lowWater = sector.load(at: 88)
    let sequence: UInt64 = sector.load(at: 96)
    if sequence > 0 { checkpoint = CheckpointPlace(sequence: sequence, segment: sector.load(at: 104), offset: sector.load(at: 112)) }
    createdMilliseconds = sector.load(at: 120)
    isRecycled = (sector.load(at: 128) as UInt32) & 1 != 0
    guard number > 0, firstSequence > 0 else { throw .damagedHeader(path, reason: "segment and sequence numbers start at 1") }
  }

  init(logID: LogID, number: UInt64, salt: UInt64, firstSequence: UInt64) {
    self.logID = logID
    self.number = number
    self.salt = salt
    self.firstSequence = firstSequence
  }
}

/// Tells one log's files from another's.
struct LogID: Sendable, Hashable {
  var high: UInt64
  var low: UInt64
}

/// Where a checkpoint's first frame lies.
struct CheckpointPlace: Sendable, Hashable {
  var sequence: UInt64
  var segment: UInt64
  var offset: UInt64
}

/// The name of segment files: `wal-<number, 10 digits>-<first sequence, 20 digits>.seg`.
enum SegmentName {
  static func make(number: UInt64, firstSequence: UInt64) -> String {
    "wal-\(padded(number, 10))-\(padded(firstSequence, 20)).seg"
  }

  static func free(_ number: UInt64) -> String { "free-\(number).seg" }

  static func isFree(_ name: String) -> Bool { name.hasPrefix("free-") && name.hasSuffix(".seg") }

  static func looksLikeSegment(_ name: String) -> Bool { name.hasPrefix("wal-") && name.hasSuffix(".seg") }

  /// Number and first sequence, or `nil` where the name is malformed.
  static func parse(_ name: String) -> (number: UInt64, firstSequence: UInt64)? {
    guard looksLikeSegment(name) else { return nil }
    let parts = name.utf8.dropFirst(4).dropLast(4).split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false)
    guard parts.count == 2, parts[0].count == 10, parts[1].count == 20, let number = decimal(parts[0]), let first = decimal(parts[1]) else {
      return nil
    }
    return (number, first)
  }

  private static func decimal(_ digits: some Collection<UInt8>) -> UInt64? {
    var value: UInt64 = 0
    for digit in digits {
      guard digit >= 0x30, digit <= 0x39 else { return nil }
      let (product, overflowed) = value.multipliedReportingOverflow(by: 10)
      let (sum, carried) = product.addingReportingOverflow(UInt64(digit - 0x30))
      if overflowed || carried { return nil }
      value = sum
    }
    return value
  }

  private static func padded(_ value: UInt64, _ width: Int) -> String {
    let digits = String(value)
    return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
  }
}

extension [UInt8] {
  mutating func store<T: FixedWidthInteger & BitwiseCopyable>(_ value: T, at offset: Int) {
    withUnsafeMutableBytes { $0.storeBytes(of: value.littleEndian, toByteOffset: offset, as: T.self) }
  }

  func load<T: FixedWidthInteger & BitwiseCopyable>(at offset: Int) -> T {
    withUnsafeBytes { T(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: T.self)) }
  }
}
