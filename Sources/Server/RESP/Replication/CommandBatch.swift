import StrataBytes

/// Commands of one connection that go through the log of a replicated key space together: applied one after the other, with nothing between them,
/// and answered together.
///
/// `version u8 = 1 | flags u8 (1: RESP3) | database u8 | now u64 | count u32`, then per command `arguments u32`, then per argument `length u32 |
/// bytes`; numbers are little-endian. `now` is the Unix time in milliseconds at the member that took the commands. See Docs/Formats/Replication.md.
struct CommandBatch: Sendable {
  static let version: UInt8 = 1
  /// Commands in a batch at most, and the bytes beyond which no further one is added.
  static let maxCommands = 4096
  static let fullBytes = 256 << 10

  private(set) var bytes: [UInt8] = []
  private(set) var count = 0
  /// The names of the commands, in their order.
  private(set) var commands: [CommandID] = []
  /// Whether a command in it may change something.
  private(set) var writes = false

  var isEmpty: Bool { count == 0 }
  var isFull: Bool { count >= Self.maxCommands || bytes.count >= Self.fullBytes }

  /// Adds a command. The first one says which database is selected and how the client wants its replies.
  mutating func append(_ id: CommandID, _ call: Invocation, writes: Bool, database: Int, resp3: Bool, now: UInt64) {
    if count == 0 {
      bytes += [ReplicatedStore.Command.batch, Self.version, resp3 ? 1 : 0, UInt8(truncatingIfNeeded: database)]
      append(now)
      append(UInt32(0))
    }
    append(UInt32(truncatingIfNeeded: call.count))
    for index in 0..<call.count {
      append(UInt32(truncatingIfNeeded: call[index].count))
      bytes.append(contentsOf: call[index])
    }
    count += 1
    commands.append(id)
    if writes { self.writes = true }
  }

  /// The batch as a command for the log, which says in a first byte what it is.
  mutating func finish() -> [UInt8] {
    withUnsafeBytes(of: UInt32(truncatingIfNeeded: count).littleEndian) { number in
      for (offset, byte) in number.enumerated() { bytes[12 + offset] = byte }
    }
    return bytes
  }

  private mutating func append(_ number: some FixedWidthInteger) {
    withUnsafeBytes(of: number.littleEndian) { bytes.append(contentsOf: $0) }
  }
}

/// A batch that is read.
struct CommandBatchReader {
  let resp3: Bool
  let database: Int
  let now: UInt64
  private(set) var remaining: Int
  private let bytes: UnsafeRawBufferPointer
  private var offset = 15
  private let arguments = ArgumentList()

  /// Begins to read what follows a command's first byte; `nil` where the bytes are no batch. They must stay where they are while it is read.
  init?(_ bytes: UnsafeRawBufferPointer) {
    guard bytes.count >= 15, bytes[0] == CommandBatch.version, bytes[2] < Keyspace.databases else { return nil }
    self.bytes = bytes
    resp3 = bytes[1] & 1 == 1
    database = Int(bytes[2])
    now = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 3, as: UInt64.self))
    let count = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 11, as: UInt32.self))
    guard count <= CommandBatch.maxCommands else { return nil }
    remaining = Int(count)
  }

  private mutating func number() -> Int? {
    guard offset + 4 <= bytes.count else { return nil }
    defer { offset += 4 }
    return Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
  }

  /// The next command, valid until the one after it is asked for; `nil` at the end, or where the bytes make no sense.
  mutating func next() -> Invocation? {
    guard remaining > 0, let base = bytes.baseAddress, let count = number(), count > 0 else { return nil }
    arguments.removeAll()
    for _ in 0..<count {
      guard let length = number(), length <= bytes.count - offset else { return nil }
      arguments.append(offset: offset, count: length)
      offset += length
    }
    remaining -= 1
    return Invocation(base: base, arguments)
  }
}
