/// Where a record lies: segment, offset and total length, packed as the key directory stores it.
struct Location: Sendable, Hashable {
  /// Segment id in the upper 24 bits, offset in units of 8 bytes in the lower 40.
  let word: UInt64
  /// Bytes of the record, header and padding included.
  let length: UInt32

  /// Segment ids end here.
  static let maxSegment: UInt32 = (1 << 24) - 1
  /// Offsets end here: 8 TiB.
  static let maxOffset: UInt64 = (1 << 43) - 8

  init(segment: UInt32, offset: UInt64, length: UInt32) {
    precondition(segment <= Self.maxSegment && offset <= Self.maxOffset && offset & 7 == 0, "a location outside the store")
    word = UInt64(segment) << 40 | offset >> 3
    self.length = length
  }

  init(word: UInt64, length: UInt32) {
    self.word = word
    self.length = length
  }

  var segment: UInt32 { UInt32(truncatingIfNeeded: word >> 40) }
  var offset: UInt64 { (word & ((1 << 40) - 1)) << 3 }

  /// What recovery enters for a tombstone, so that an older value met later does not come back: the place of the tombstone, marked.
  var asDeleted: Location { Location(word: word, length: length | Self.deletedMark) }
  var isDeleted: Bool { length & Self.deletedMark != 0 }
  /// The place without the mark.
  var unmarked: Location { Location(word: word, length: length & ~Self.deletedMark) }
  /// Records are shorter than this, so the bit is free.
  private static let deletedMark: UInt32 = 1 << 31
}

/// What the directory knows of a key.
struct DirectoryEntry: Sendable, Hashable {
  var location: Location
  /// Absolute expiry in Unix milliseconds, 0 for none. In fingerprint mode the record alone knows, and this is 0.
  var expiry: UInt64
}
