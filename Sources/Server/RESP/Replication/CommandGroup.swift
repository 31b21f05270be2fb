import StrataBytes

/// Batches of several connections that go through the log as one command: `3`, then per batch `length u32 | the batch as a command of its
/// own`. They are applied one after the other, and answered by `length u32 | replies` each. See Docs/Formats/Replication.md.
enum CommandGroup {
  /// Bytes of batches beyond which no further one is added.
  static let fullBytes = 256 << 10

  /// Several batches as one command; a single one stays as it is.
  static func command(_ batches: [[UInt8]]) -> [UInt8] {
    if batches.count == 1 { return batches[0] }
    var command: [UInt8] = []
    command.reserveCapacity(1 + batches.reduce(0) { $0 + $1.count + 4 })
    command.append(ReplicatedStore.Command.group)
    for batch in batches { append(batch, to: &command) }
    return command
  }

  /// Adds bytes with their length before them.
  static func append(_ bytes: [UInt8], to target: inout [UInt8]) {
    withUnsafeBytes(of: UInt32(truncatingIfNeeded: bytes.count).littleEndian) { target.append(contentsOf: $0) }
    target.append(contentsOf: bytes)
  }

  /// The piece whose length lies at an offset; `nil` at the end, or where the bytes make no sense.
  static func piece(of bytes: UnsafeRawBufferPointer, at offset: Int) -> UnsafeRawBufferPointer? {
    guard offset + 4 <= bytes.count else { return nil }
    let length = Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
    guard length <= bytes.count - offset - 4 else { return nil }
    return UnsafeRawBufferPointer(rebasing: bytes[(offset + 4)..<(offset + 4 + length)])
  }

  /// The answers to so many batches; `nil` where these are not that.
  static func answers(_ bytes: [UInt8], _ count: Int) -> [[UInt8]]? {
    if count == 1 { return [bytes] }
    return bytes.withUnsafeBytes { bytes in
      var answers: [[UInt8]] = []
      var offset = 0
      while answers.count < count, let piece = piece(of: bytes, at: offset) {
        answers.append(Array(piece))
        offset += 4 + piece.count
      }
      return answers.count == count && offset == bytes.count ? answers : nil
    }
  }
}
