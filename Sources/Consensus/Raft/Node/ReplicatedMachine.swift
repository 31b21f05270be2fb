import StrataBytes

/// A state machine with the sessions of its clients: what the log's entries are applied to.
///
/// The payload of an entry is `kind u8 | ...`: 1 opens a session, `opener u64 | window u32`; 2 is a command, `session u64 | number u64 | bytes`. No
/// payload is the mark of a new leader.
struct ReplicatedMachine<Machine: RaftStateMachine>: Sendable {
  /// What applying an entry came to.
  enum Event: Hashable {
    case opened(opener: UInt64, session: LogIndex)
    case answered(session: LogIndex, number: UInt64, [UInt8])
    /// The command is older than what its session remembers: it was not applied now.
    case tooOld(session: LogIndex, number: UInt64)
    /// The session is not known any more: the command was not applied now.
    case unknown(session: LogIndex)
  }

  private(set) var machine: Machine
  private(set) var sessions: SessionTable
  private(set) var applied: LogIndex = 0
  /// Whether a command that comes twice takes effect twice: a defect on purpose.
  let forgetsSessions: Bool

  init(machine: Machine, sessions: SessionTable, forgetsSessions: Bool = false) {
    self.machine = machine
    self.sessions = sessions
    self.forgetsSessions = forgetsSessions
  }

  /// What a command's entry holds beside the command.
  static var commandOverhead: Int { 17 }

  static func opening(_ opener: UInt64, window: UInt32) -> [UInt8] {
    var payload: [UInt8] = [1]
    withUnsafeBytes(of: opener.littleEndian) { payload.append(contentsOf: $0) }
    withUnsafeBytes(of: window.littleEndian) { payload.append(contentsOf: $0) }
    return payload
  }

  static func command(_ session: LogIndex, _ number: UInt64, _ command: [UInt8]) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: commandOverhead + command.count) { buffer, count in
      let bytes = UnsafeMutableRawBufferPointer(buffer)
      bytes[0] = 2
      bytes.storeBytes(of: session.littleEndian, toByteOffset: 1, as: UInt64.self)
      bytes.storeBytes(of: number.littleEndian, toByteOffset: 9, as: UInt64.self)
      UnsafeMutableRawBufferPointer(rebasing: bytes[commandOverhead...]).copyBytes(from: command)
      count = commandOverhead + command.count
    }
  }

  private static func number(_ bytes: [UInt8], at offset: Int) -> UInt64 {
    (0..<8).reduce(0) { $0 | UInt64(bytes[offset + $1]) << UInt64(8 * $1) }
  }

  /// Applies the next entry; what it is not meant for changes nothing.
  mutating func apply(_ entry: Entry) -> Event? {
    precondition(entry.index == applied + 1, "entry \(entry.index) is applied after \(applied)")
    applied = entry.index
    let payload = entry.payload
    guard entry.kind == .normal, let kind = payload.first else { return nil }
    if kind == 1, payload.count == 13 {
      let opener = Self.number(payload, at: 1)
      let window = payload[9..<13].reversed().reduce(0) { $0 << 8 | UInt64($1) }
      return .opened(opener: opener, session: sessions.open(by: opener, window: window, at: entry.index))
    }
    guard kind == 2, payload.count >= 17 else { return nil }
    let session = Self.number(payload, at: 1)
    let number = Self.number(payload, at: 9)
    switch sessions.look(session, number, at: entry.index) {
    case .unknownSession: return .unknown(session: session)
    case .tooOld: return .tooOld(session: session, number: number)
    case .repeated(let answer) where !forgetsSessions: return .answered(session: session, number: number, answer)
    case .repeated, .fresh:
      let answer = machine.apply(Array(payload[17...]))
      sessions.note(answer, session, number)
      return .answered(session: session, number: number, answer)
    }
  }

  func snapshot() -> [UInt8]? {
    guard let state = machine.snapshot() else { return nil }
    var writer = ByteWriter()
    writer.writeVarint64(applied)
    writer.writeLengthPrefixed(state)
    sessions.encode(into: &writer)
    return writer.finish()
  }

  /// Replaces everything by a snapshot. Says whether it could be read.
  mutating func restore(_ bytes: [UInt8]) -> Bool {
    var sessions = sessions
    var machine = machine
    do throws(DecodeError) {
      var reader = ByteReader(bytes.span.bytes)
      let applied = try reader.readVarint64()
      let state = try reader.readLengthPrefixed(limit: .max, field: "state").withUnsafeBytes { Array($0) }
      try sessions.decode(from: &reader)
      guard machine.restore(state) else { return false }
      self.applied = applied
      self.sessions = sessions
      self.machine = machine
      return true
    } catch {
      return false
    }
  }

  /// The machine's part of a snapshot, as ``RaftStateMachine/snapshot()`` gave it; nothing where the bytes are no snapshot.
  static func state(in bytes: [UInt8]) -> [UInt8]? {
    var reader = ByteReader(bytes.span.bytes)
    guard (try? reader.readVarint64()) != nil else { return nil }
    return try? reader.readLengthPrefixed(limit: .max, field: "state").withUnsafeBytes { Array($0) }
  }

  /// The empty machine every founder begins with, at the place of the founding snapshot.
  mutating func found(at index: LogIndex) { applied = index }
}
