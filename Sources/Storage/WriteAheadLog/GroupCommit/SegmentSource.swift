import StrataDisk

/// Where a reservation lies. The bytes handed to the encoder will stand at `offset` of segment `segment`.
package struct Placement: Sendable, Hashable {
  /// Number of the segment file.
  package var segment: UInt64
  /// The segment's random salt, which seeds its checksums.
  package var salt: UInt64
  /// Byte offset in the file.
  package var offset: UInt64
  /// The first of the sequences the operation takes.
  package var sequence: UInt64
  /// The highest sequence known durable at this moment.
  package var durableSequence: UInt64
}

/// A segment file ready to take bytes.
package struct PreparedSegment: Sendable {
  /// Its number; a successor has one more.
  package var number: UInt64
  /// Open for reading and writing.
  package var file: any File
  /// Random; seeds the checksums of what the file holds.
  package var salt: UInt64
  /// Offset of the first byte after the header.
  package var dataStart: UInt64
  /// The file's reserved length: writes below cannot meet a full disk.
  package var allocated: UInt64
  /// The length whose blocks have been written before, so that overwriting them changes no metadata and a sync is one flush.
  package var overwritable: UInt64

  package init(number: UInt64, file: any File, salt: UInt64, dataStart: UInt64, allocated: UInt64, overwritable: UInt64) {
    self.number = number
    self.file = file
    self.salt = salt
    self.dataStart = dataStart
    self.allocated = allocated
    self.overwritable = overwritable
  }
}

/// What is final about a segment after its last byte.
package struct SealedSegment: Sendable, Hashable {
  /// Its number.
  package var number: UInt64
  /// The first sequence placed in it.
  package var firstSequence: UInt64
  /// The last sequence taken in it; `firstSequence - 1` for none.
  package var lastSequence: UInt64
  /// End of its last byte.
  package var length: UInt64
}

/// Supplies a ``GroupCommit`` with segment files. `prepare`, `begin` and `sealed` do I/O and run outside the commit lock, one at a time each.
package protocol SegmentSource: AnyObject, Sendable {
  /// Creates the file of segment `number` with room for at least `bytes` of data. Nothing was accepted for it yet, so an error costs nobody
  /// an acknowledged byte. The segment must not become part of the store before `begin`.
  func prepare(_ number: UInt64, atLeast bytes: UInt64) throws(DiskError) -> PreparedSegment

  /// Makes the segment durably part of the store, before its first byte is written and after its predecessor was sealed.
  func begin(_ segment: PreparedSegment, firstSequence: UInt64, predecessor: SealedSegment) throws(DiskError)

  /// Writes what ends a segment (at most `sealBytes`) at `placement`; runs under the commit lock. Returns the bytes used.
  func seal(_ buffer: UnsafeMutableRawBufferPointer, at placement: Placement) -> Int

  /// Upper bound of what `seal` writes.
  var sealBytes: Int { get }

  /// The segment's last byte is durable; `file` is still open.
  func sealed(_ segment: SealedSegment, file: any File) throws(DiskError)
}
