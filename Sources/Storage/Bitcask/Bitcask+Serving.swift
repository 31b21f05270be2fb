import StrataBytes
import StrataWriteAheadLog

/// What a server that judges expiry itself needs of a store whose keys are in memory. None of it waits for the disk.
extension Bitcask {
  /// The expiry (Unix milliseconds, 0 for none) of the record of `key`, expired or not; `nil` where there is none.
  package func probe(_ key: RawSpan) throws(BitcaskError) -> UInt64? {
    try checkOpen()
    return key.withUnsafeBytes { index.lookup(KeyHash(of: $0), $0)?.expiry }
  }

  /// Sets `key` to `value` until `expiry` (Unix milliseconds, 0 for ever): ordered and visible on return.
  /// - Returns: the sequence, and the expiry of the record it replaces, `nil` where there was none.
  /// - Throws: `.wouldBlock` where room has to be made first; `.keyTooLarge`, `.valueTooLarge`, `.durabilityLost`, `.closed`.
  package func place(
    _ key: RawSpan, _ value: RawSpan, expiry: UInt64
  ) throws(BitcaskError) -> (sequence: SequenceNumber, previousExpiry: UInt64?) {
    let (ticket, previous) = try place(key, value, expiry: expiry, mayBlock: false)
    return (ticket.last, previous)
  }

  /// As ``place(_:_:expiry:)``, with what to wait for; may wait for room where `mayBlock` says so.
  func place(
    _ key: RawSpan, _ value: RawSpan, expiry: UInt64, mayBlock: Bool
  ) throws(BitcaskError) -> (ticket: CommitTicket, previousExpiry: UInt64?) {
    try checkOpen()
    guard key.byteCount <= options.maxKeyBytes else { throw .keyTooLarge(size: key.byteCount, limit: options.maxKeyBytes) }
    guard value.byteCount <= options.maxValueBytes else { throw .valueTooLarge(size: value.byteCount, limit: options.maxValueBytes) }
    var previous: UInt64?
    let bytes = RecordHeader.recordBytes(key: key.byteCount, value: value.byteCount)
    let ticket = try key.withUnsafeBytes { (key) throws(BitcaskError) in
      try value.withUnsafeBytes { (value) throws(BitcaskError) in
        let hash = KeyHash(of: key)
        return try committed { () throws(CommitError) in
          try commit.submit(atMost: bytes, operations: 1, mayBlock: mayBlock) { buffer, placement in
            previous = enter(hash, key, value, expiry, buffer, placement)
            return bytes
          }
        }
      }
    }
    return (ticket, previous)
  }

  /// Writes one record and points the directory at it; under the commit lock. Returns the expiry of the record before.
  private func enter(
    _ hash: KeyHash, _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, _ expiry: UInt64, _ buffer: UnsafeMutableRawBufferPointer,
    _ placement: Placement
  ) -> UInt64? {
    let segment = UInt32(truncatingIfNeeded: placement.segment)
    let header = RecordHeader(
      flags: expiry == 0 ? [] : .expiry, keyLength: key.count, valueLength: value.count, sequence: placement.sequence, expiry: expiry,
      durableLag: UInt16(clamping: placement.sequence - min(placement.sequence, placement.durableSequence)),
      writtenAt: UInt32(truncatingIfNeeded: options.clock() / 1000))
    let location = Location(segment: segment, offset: placement.offset, length: UInt32(header.recordBytes))
    let keepsHistory = snapshots.areActive
    let old = index.withShard(of: hash) { shard -> DirectoryEntry? in
      let slot = shard.table.find(hash, key)
      let old = slot.map { shard.table.entry($0) }
      if keepsHistory, snapshots.mayAddVersion() {
        let holder = old.flatMap { table.segment($0.location.segment) }
        shard.history.add(key, KeyHistory.Version(supersededAt: placement.sequence, entry: old, segment: holder))
      }
      index.set(&shard, slot, hash, key, DirectoryEntry(location: location, expiry: expiry))
      return old
    }
    table.account(added: segment, bytes: Int(location.length), isLive: true, expiry: expiry, lost: old?.location)
    RecordSeal(salt: placement.salt, segment: segment).encode(header, key: key, value: value, at: placement.offset, into: buffer)
    return old?.expiry
  }

  /// Keys with their expiries (Unix milliseconds, 0 for none) from position `cursor` of the hash order on; expired ones too. `next` is 0 at
  /// the end. Stateless as ``scan(from:count:)``.
  package func entries(from cursor: UInt64, count: Int) throws(BitcaskError) -> (keys: [(key: [UInt8], expiry: UInt64)], next: UInt64) {
    try checkOpen()
    let page = index.page(from: cursor, wanted: max(1, count))
    return ((0..<page.count).map { (page.key($0), page.entries[$0].expiry) }, page.next ?? 0)
  }
}
