import StrataBytes
import StrataDisk

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Reads a data file front to back, record by record, through a window of bounded size, stepping over damage.
final class SegmentScanner {
  enum Item {
    /// A record whose header and key are sound. With `isSound` false its value or padding is not.
    case record(RecordHeader, offset: UInt64, isSound: Bool)
    /// No record begins anywhere in this range. `isZero`: nothing but zeros, as in a part never written.
    case gap(Range<UInt64>, isZero: Bool)
  }

  private static let windowBytes = 1 << 20

  private let file: any File
  private let seal: RecordSeal
  private let limit: UInt64
  private(set) var position: UInt64
  private var window: [UInt8] = []
  private var windowStart: UInt64 = 0
  /// Where the last record's key lies in the window.
  private var keyRange = 0..<0

  /// Scans from `position` to `limit`, which is at most the file's length.
  init(_ file: any File, seal: RecordSeal, from position: UInt64 = UInt64(SegmentHeader.bytes), to limit: UInt64) {
    self.file = file
    self.seal = seal
    self.position = position
    self.limit = limit
  }

  /// Bytes read from the file so far.
  private(set) var bytesRead: UInt64 = 0

  /// The key of the record last returned.
  func withKey<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    window.withUnsafeBytes { bytes in body(UnsafeRawBufferPointer(rebasing: bytes[keyRange])) }
  }

  /// The next record or gap; `nil` at the end.
  func next() throws(DiskError) -> Item? {
    guard position < limit else { return nil }
    if let record = try record(at: position) { return record }
    let start = position
    var isZero = true
    while position < limit {
      try skipZeros()
      if isZero { isZero = try isZeroWord(at: position) }
      position = min(limit, position + UInt64(RecordHeader.alignment))
      if position < limit, try holdsHeader(at: position) { break }
    }
    return .gap(start..<position, isZero: isZero)
  }

  /// Steps over pages of zeros, as far as no record can begin: its marker, which is never zero, lies within its first 16 bytes. What a crash
  /// leaves of a segment is mostly such pages.
  private func skipZeros() throws(DiskError) {
    while try fill(position, Self.zeroPage.count) {
      let start = Int(position - windowStart)
      let zeroPages = window.withUnsafeBytes { bytes in
        Self.zeroPage.withUnsafeBytes { zeros -> Int in
          var pages = 0
          while start + (pages + 1) * zeros.count <= bytes.count,
            memcmp(bytes.baseAddress! + start + pages * zeros.count, zeros.baseAddress!, zeros.count) == 0
          {
            pages += 1
          }
          return pages
        }
      }
      guard zeroPages > 0 else { return }
      // The last 16 bytes are looked at again: a record that begins in them may have its marker behind.
      position += UInt64(zeroPages * Self.zeroPage.count - 16)
      if zeroPages == 1, start + 2 * Self.zeroPage.count <= window.count { return }
    }
  }

  private static let zeroPage = [UInt8](repeating: 0, count: 4096)

  /// A verified record at `offset`; moves behind it.
  private func record(at offset: UInt64) throws(DiskError) -> Item? {
    guard let header = try header(at: offset) else { return nil }
    let keyStart = Int(offset - windowStart) + RecordHeader.bytes
    keyRange = keyStart..<(keyStart + header.keyLength)
    let isSound = try payloadIsSound(header, at: offset)
    position = offset + UInt64(header.recordBytes)
    return .record(header, offset: offset, isSound: isSound)
  }

  private func holdsHeader(at offset: UInt64) throws(DiskError) -> Bool { try header(at: offset) != nil }

  private func header(at offset: UInt64) throws(DiskError) -> RecordHeader? {
    guard offset & 7 == 0 else { return nil }
    var needed = RecordHeader.bytes
    while try fill(offset, needed) {
      let start = Int(offset - windowStart)
      let check = window.withUnsafeBytes {
        seal.header(in: UnsafeRawBufferPointer(rebasing: $0[start...]), at: offset, limit: limit - offset)
      }
      switch check {
      case .valid(let header): return header
      case .invalid: return nil
      case .needs(let more): needed = more
      }
    }
    return nil
  }

  private func payloadIsSound(_ header: RecordHeader, at offset: UInt64) throws(DiskError) -> Bool {
    let from = offset + UInt64(RecordHeader.bytes + header.keyLength)
    let to = offset + UInt64(header.recordBytes)
    var crc = seal.payloadSeed(at: offset)
    let inWindow = min(to, windowStart + UInt64(window.count))
    if inWindow > from {
      crc = window.withUnsafeBytes {
        crc32c(UnsafeRawBufferPointer(rebasing: $0[Int(from - windowStart)..<Int(inWindow - windowStart)]), continuing: crc)
      }
    }
    var position = max(from, inWindow)
    while position < to {
      let piece = try file.read(at: position, count: Int(min(UInt64(Self.windowBytes), to - position)))
      if piece.isEmpty { return false }
      crc = crc32c(piece.span.bytes, continuing: crc)
      position += UInt64(piece.count)
    }
    return crc == header.payloadCRC
  }

  private func isZeroWord(at offset: UInt64) throws(DiskError) -> Bool {
    let count = Int(min(8, limit - offset))
    guard try fill(offset, count) else { return false }
    let start = Int(offset - windowStart)
    return window[start..<(start + count)].allSatisfy { $0 == 0 }
  }

  /// Brings `count` bytes from `offset` into the window; `false` where the scanned range ends before.
  private func fill(_ offset: UInt64, _ count: Int) throws(DiskError) -> Bool {
    guard UInt64(count) <= limit - offset else { return false }
    if offset >= windowStart, offset + UInt64(count) <= windowStart + UInt64(window.count) { return true }
    window = try file.read(at: offset, count: Int(min(UInt64(max(Self.windowBytes, count)), limit - offset)))
    windowStart = offset
    bytesRead += UInt64(window.count)
    return window.count >= count
  }
}
