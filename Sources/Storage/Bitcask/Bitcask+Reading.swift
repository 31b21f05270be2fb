import StrataBytes
import StrataDisk
import Synchronization

/// A record as a reader's closure sees it; valid during the call only.
public struct RecordView {
  /// The value's bytes, verified; the pointer is dead after the call.
  public let value: UnsafeRawBufferPointer
  /// Absolute expiry in Unix milliseconds, 0 for none.
  public let expiry: UInt64
  /// The sequence of the write.
  public let sequence: SequenceNumber
  /// Unix seconds of the write; information only.
  public let writtenAt: UInt32
}

/// What a read found.
public enum ReadOutcome<Value> {
  /// The key exists; the closure's result.
  case found(Value)
  /// The key is absent or expired; its absence rests on nothing later than this sequence.
  case absent(asOf: SequenceNumber)
  /// The value is not in memory and the read was not to wait for the device.
  case notCached
}

extension ReadOutcome: Sendable where Value: Sendable {}

/// What one try at a location gave.
enum RecordOutcome<Value> {
  case value(Value)
  case otherKey
  /// The segment is no longer there: a merge moved the record.
  case gone
  /// The bytes are not as written.
  case unsound(keyMatches: Bool)
  case notCached
}

extension Bitcask {
  /// The value of `key`; `nil` where it is absent, deleted or expired.
  ///
  /// One index probe and one positioned read of the exact record. Blocks where the record is not in the page cache.
  /// - Throws: `.corrupt` where the record fails its checksums; `.closed`, `.disk`.
  public func get(_ key: [UInt8]) throws(BitcaskError) -> [UInt8]? {
    guard case .found(let value) = try read(key, onlyIfCached: false, { [UInt8]($0.value) }) else { return nil }
    return value
  }

  /// The values of several keys, in their order. Each is read on its own; for one moment's values take a ``snapshot()``.
  public func get(many keys: [[UInt8]]) throws(BitcaskError) -> [[UInt8]?] {
    var values: [[UInt8]?] = []
    values.reserveCapacity(keys.count)
    for key in keys { values.append(try get(key)) }
    return values
  }

  /// Whether `key` exists; from memory alone, but in fingerprint mode, where the record is read.
  public func contains(_ key: [UInt8]) throws(BitcaskError) -> Bool {
    try checkOpen()
    return try resolve(key).isLive
  }

  /// The value of `key`, as ``get(_:)`` gives it.
  public subscript(key: [UInt8]) -> [UInt8]? {
    get throws(BitcaskError) { try get(key) }
  }

  /// Hands the record of `key` to `body` without copying it.
  ///
  /// - Parameter onlyIfCached: `true` for event loops: gives `.notCached` where the bytes would have to come from the device.
  public func read<Value>(
    _ key: [UInt8], onlyIfCached: Bool, _ body: (RecordView) -> Value
  ) throws(BitcaskError) -> ReadOutcome<Value> {
    try checkOpen()
    let hash = key.withUnsafeBytes { KeyHash(of: $0) }
    if !index.keepsKeys { return try readByFingerprint(key, hash, onlyIfCached, body) }
    var last: Location?
    while true {
      guard let entry = key.withUnsafeBytes({ index.lookup(hash, $0) }), !hasExpired(entry.expiry) else { return absent() }
      switch try readRecord(at: entry.location, key: key, onlyIfCached: onlyIfCached, body) {
      case .value(let value): return .found(value)
      case .notCached: return .notCached
      case .gone, .otherKey, .unsound:
        // A merge may have moved the record between probe and read; the same place twice is no such race.
        if last == entry.location {
          throw .corrupt(segment: entry.location.segment, offset: entry.location.offset, keyHash: hash.value)
        }
        last = entry.location
      }
    }
  }

  private func readByFingerprint<Value>(
    _ key: [UInt8], _ hash: KeyHash, _ onlyIfCached: Bool, _ body: (RecordView) -> Value
  ) throws(BitcaskError) -> ReadOutcome<Value> {
    while true {
      let candidates = index.candidates(hash)
      var unsound: Location?
      for location in candidates {
        let outcome = try readRecord(at: location, key: key, onlyIfCached: onlyIfCached) { view -> Value? in
          hasExpired(view.expiry) ? nil : body(view)
        }
        switch outcome {
        case .value(let value): return value.map { .found($0) } ?? absent()
        case .notCached: return .notCached
        case .otherKey, .gone: continue
        case .unsound: unsound = location
        }
      }
      guard index.candidates(hash) == candidates else { continue }
      if let unsound { throw .corrupt(segment: unsound.segment, offset: unsound.offset, keyHash: hash.value) }
      return absent()
    }
  }

  private func absent<Value>() -> ReadOutcome<Value> { .absent(asOf: lastRemoval.load(ordering: .acquiring)) }

  @inline(__always)
  func hasExpired(_ expiry: UInt64) -> Bool { expiry != 0 && expiry <= options.clock() }

  /// Reads, verifies and compares the record at `location`.
  func readRecord<Value>(
    at location: Location, in given: Segment? = nil, key: [UInt8], onlyIfCached: Bool = false, _ body: (RecordView) -> Value
  ) throws(BitcaskError) -> RecordOutcome<Value> {
    guard let segment = given ?? table.segment(location.segment) else { return .gone }
    if !onlyIfCached, let bytes = segment.mappedBytes(at: location), isInFile(segment, location) {
      return withExtendedLifetime(segment) { outcome(bytes, segment, location, key, body) }
    }
    do {
      return try withUnsafeTemporaryAllocation(byteCount: Int(location.length), alignment: 16) { buffer -> RecordOutcome<Value> in
        switch try fill(buffer, from: segment, location, onlyIfCached) {
        case .full: break
        case .notCached: return .notCached
        case .short: return .unsound(keyMatches: false)
        }
        return outcome(UnsafeRawBufferPointer(buffer), segment, location, key, body)
      }
    } catch let error as DiskError {
      throw BitcaskError(error)
    } catch {
      throw .closed
    }
  }

  /// Verifies a record's bytes and hands it on.
  @inline(__always)
  private func outcome<Value>(
    _ bytes: UnsafeRawBufferPointer, _ segment: Segment, _ location: Location, _ key: [UInt8], _ body: (RecordView) -> Value
  ) -> RecordOutcome<Value> {
    guard let header = segment.verify(bytes, at: location) else {
      return .unsound(keyMatches: keyMatches(bytes, segment, location, key))
    }
    let valueStart = RecordHeader.bytes + header.keyLength
    let isKey = key.withUnsafeBytes { compare(UnsafeRawBufferPointer(rebasing: bytes[RecordHeader.bytes..<valueStart]), $0) == 0 }
    guard isKey else { return .otherKey }
    let value = UnsafeRawBufferPointer(rebasing: bytes[valueStart..<(valueStart + header.valueLength)])
    return .value(body(RecordView(value: value, expiry: header.expiry, sequence: header.sequence, writtenAt: header.writtenAt)))
  }

  /// Whether the record's bytes have reached the file; what has not is still in the commit's memory.
  @inline(__always)
  private func isInFile(_ segment: Segment, _ location: Location) -> Bool {
    !segment.isActive || commit.isWritten(segment: UInt64(segment.id), through: location.offset + UInt64(location.length))
  }

  private func keyMatches(_ bytes: UnsafeRawBufferPointer, _ segment: Segment, _ location: Location, _ key: [UInt8]) -> Bool {
    guard case .valid(let header) = segment.seal.header(in: bytes, at: location.offset, limit: UInt64(location.length)) else { return false }
    return bytes[RecordHeader.bytes..<(RecordHeader.bytes + header.keyLength)].elementsEqual(key)
  }

  private enum Filled {
    case full, short, notCached
  }

  /// Brings a record's bytes into `buffer`: from the bytes on their way to the disk, else from the file.
  private func fill(
    _ buffer: UnsafeMutableRawBufferPointer, from segment: Segment, _ location: Location, _ onlyIfCached: Bool
  ) throws(DiskError) -> Filled {
    let end = location.offset + UInt64(location.length)
    if !isInFile(segment, location), let base = buffer.baseAddress,
      commit.readPending(segment: UInt64(segment.id), location.offset..<end, into: base)
    {
      return .full
    }
    var output = OutputRawSpan(buffer: buffer, initializedCount: 0)
    if onlyIfCached {
      guard try segment.file.readIfCached(at: location.offset, into: &output) else {
        _ = output.finalize(for: buffer)
        return .notCached
      }
    } else {
      try segment.file.read(at: location.offset, into: &output)
    }
    return output.finalize(for: buffer) == buffer.count ? .full : .short
  }
}
