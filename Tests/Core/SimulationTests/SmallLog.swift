import StrataDisk
import SystemPackage

/// A log of numbered records in segments of a few records, small enough to be read whole in a minute, with switches that plant the
/// classic mistakes. It exists to be crashed.
struct SmallLog {
  enum Mistake: CaseIterable {
    case none, appendsWithoutSync, segmentsWithoutDirectorySync, directoryWithoutParentSync, trustsTheLength, ignoresTheChecksum,
      leavesTheTornTail, checkpointsWithoutSync, checkpointsWithoutDirectorySync, deletesBeforeTheCheckpoint, trustsUnsyncedRecords
  }

  enum Damage: Error { case gap(Int), foreign(Int) }

  static let recordBytes = 700
  static let recordsPerSegment = 3
  let disk: any FileSystem
  let mistake: Mistake
  /// The records found or written, by number.
  private(set) var records: [Int] = []
  /// Records below this were checkpointed and need no segment.
  private(set) var checkpoint = 0
  private var segment: (any File)?
  private var inSegment = 0
  private var end: UInt64 = 0

  init(_ disk: any FileSystem, _ mistake: Mistake = .none) throws {
    self.disk = disk
    self.mistake = mistake
    if mistake == .directoryWithoutParentSync {
      if try !disk.exists("/log") { try disk.makeDirectory("/log") }
    } else {
      try disk.makeDirectories("/log")
      // A killed process may have left a segment whose name no power loss has tested yet.
      try disk.syncDirectory("/log")
    }
    if try disk.exists("/log/checkpoint") {
      checkpoint = Int(truncatingIfNeeded: try Self.number(in: disk.readAll("/log/checkpoint", limit: 64)) ?? 0)
    }
    let names = try disk.list("/log").filter { $0.hasPrefix("segment-") }
    for name in names { try readSegment(FilePath("/log/\(name)")) }
    // Records of a killed process may be in memory only; what is built upon must be durable first.
    if mistake != .trustsUnsyncedRecords { try segment?.sync(.data) }
  }

  private mutating func readSegment(_ path: FilePath) throws {
    let file = try disk.open(path, .readWrite)
    let bytes = try disk.readAll(path, limit: 1 << 20)
    var offset = 0
    while let (number, next) = record(in: bytes, at: offset) {
      if number >= checkpoint {
        let expected = records.last.map { $0 &+ 1 } ?? checkpoint
        guard number == expected else { throw Damage.gap(number) }
        records.append(number)
      }
      offset = next
    }
    if offset < bytes.count, mistake != .leavesTheTornTail {
      try file.truncate(to: UInt64(offset))
    }
    try segment?.close()
    segment = file
    inSegment = offset / Self.recordBytes
    end = mistake == .leavesTheTornTail ? UInt64(bytes.count) : UInt64(offset)
  }

  private func record(in bytes: [UInt8], at offset: Int) -> (Int, Int)? {
    guard offset + Self.recordBytes <= bytes.count || (mistake == .trustsTheLength && offset + 16 <= bytes.count) else { return nil }
    let body = bytes[offset + 8..<min(bytes.count, offset + Self.recordBytes)]
    let stored = bytes[offset..<offset + 8].reduce(0) { $0 << 8 | UInt64($1) }
    let isTrusted = mistake == .ignoresTheChecksum || mistake == .trustsTheLength
    guard isTrusted || stored == Self.checksum(body) else { return nil }
    return (Int(truncatingIfNeeded: body.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }), offset + Self.recordBytes)
  }

  mutating func append(_ number: Int) throws {
    if segment == nil || inSegment == Self.recordsPerSegment {
      try segment?.close()
      let name = "/log/segment-\(String(100_000 + number))"
      segment = try disk.open(FilePath(name), .createNew)
      inSegment = 0
      end = 0
      if mistake != .segmentsWithoutDirectorySync { try disk.syncDirectory("/log") }
    }
    guard let segment else { return }
    var body = Self.bigEndian(UInt64(number))
    body += (0..<Self.recordBytes - 16).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ number) }
    try segment.write(Self.bigEndian(Self.checksum(body[...])) + body, at: end)
    if mistake != .appendsWithoutSync { try segment.sync(.data) }
    end += UInt64(Self.recordBytes)
    inSegment += 1
    records.append(number)
  }

  /// Forgets everything appended so far: notes its number durably, then removes the segments.
  mutating func checkpointAll() throws {
    let upTo = next
    let names = try disk.list("/log").filter { $0.hasPrefix("segment-") }
    try segment?.close()
    segment = nil
    if mistake == .deletesBeforeTheCheckpoint {
      for name in names { try disk.remove(FilePath("/log/\(name)")) }
      try disk.syncDirectory("/log")
    }
    let text = Self.bigEndian(UInt64(upTo))
    if mistake == .checkpointsWithoutSync || mistake == .checkpointsWithoutDirectorySync {
      let file = try disk.open("/log/checkpoint.tmp", .create)
      try file.write(text, at: 0)
      if mistake != .checkpointsWithoutSync { try file.sync(.full) }
      try disk.rename("/log/checkpoint.tmp", to: "/log/checkpoint", replacing: true)
      if mistake != .checkpointsWithoutDirectorySync { try disk.syncDirectory("/log") }
    } else {
      try disk.atomicReplace("/log/checkpoint", with: text)
    }
    for name in names where mistake != .deletesBeforeTheCheckpoint { try disk.remove(FilePath("/log/\(name)")) }
    // Not synced: a segment that comes back holds only records below the checkpoint.
    checkpoint = upTo
    records = []
  }

  /// The number after the last one known.
  var next: Int { (records.last ?? checkpoint &- 1) &+ 1 }

  private static func bigEndian(_ value: UInt64) -> [UInt8] { (0..<8).map { UInt8(truncatingIfNeeded: value >> UInt64(56 - 8 * $0)) } }

  private static func number(in bytes: [UInt8]) -> UInt64? {
    bytes.count == 8 ? bytes.reduce(0) { $0 << 8 | UInt64($1) } : nil
  }

  private static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt64 {
    // FNV-1a; any change of a byte shows.
    bytes.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01B3 }
  }
}

/// What the workload on a ``SmallLog`` notes.
enum SmallLogNote: Hashable, Sendable {
  case began(Int)
  case acknowledged(Int)
}

extension SmallLog {
  struct Lost: Error, CustomStringConvertible { var description: String }

  mutating func append(noting ledger: LedgerOfSmallLog) throws {
    let number = next
    ledger.note(.began(number))
    try append(number)
    ledger.note(.acknowledged(number))
  }

  /// Fails unless everything acknowledged is there and nothing that was never begun.
  func check(_ notes: [SmallLogNote]) throws {
    var acknowledged = 0
    var began = 0
    for note in notes {
      switch note {
      case .began(let number): began = max(began, number + 1)
      case .acknowledged(let number): acknowledged = max(acknowledged, number + 1)
      }
    }
    guard next >= acknowledged else { throw Lost(description: "record \(next) was acknowledged and is gone") }
    guard next <= began else { throw Lost(description: "record \(next - 1) was never begun") }
  }
}
