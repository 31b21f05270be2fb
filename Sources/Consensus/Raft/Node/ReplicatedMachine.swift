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

  /// What is on its way in the machine, and what is to be noted when it has come to its end.
  private enum Work {
    case command(session: LogIndex, number: UInt64)
    case state(applied: LogIndex, sessions: SessionTable)
  }

  /// What became of something that is done at once or later.
  enum Progress<Result> {
    case done(Result)
    case later
  }

  private(set) var machine: Machine
  private var work: Work?
  /// Where the state was asked for that the machine is making, and the sessions there.
  private var saving: (applied: LogIndex, sessions: SessionTable)?
  private(set) var sessions: SessionTable
  private(set) var applied: LogIndex = 0
  /// Whether a command that comes twice takes effect twice: a defect on purpose.
  let forgetsSessions: Bool
  /// Whether what is on its way counts as done where questions are asked: a defect on purpose.
  let asksAtWork: Bool

  init(machine: Machine, sessions: SessionTable, forgetsSessions: Bool = false, asksAtWork: Bool = false) {
    self.machine = machine
    self.sessions = sessions
    self.forgetsSessions = forgetsSessions
    self.asksAtWork = asksAtWork
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

  /// Whether something is on its way in the machine.
  var isAtWork: Bool { work != nil || saving != nil }

  /// Whether the next entry may be applied.
  var takesEntries: Bool { work == nil && (saving == nil || machine.takesCommands) }

  /// Whether questions may be asked.
  var takesQuestions: Bool { work == nil || asksAtWork }

  /// Applies the next entry; what it is not meant for changes nothing. Where the machine goes on with it, ``finished()`` tells of its end.
  mutating func apply(_ entry: Entry) -> Progress<Event?> {
    precondition(entry.index == applied + 1, "entry \(entry.index) is applied after \(applied)")
    applied = entry.index
    let payload = entry.payload
    guard entry.kind == .normal, let kind = payload.first else { return .done(nil) }
    if kind == 1, payload.count == 13 {
      let opener = Self.number(payload, at: 1)
      let window = payload[9..<13].reversed().reduce(0) { $0 << 8 | UInt64($1) }
      return .done(.opened(opener: opener, session: sessions.open(by: opener, window: window, at: entry.index)))
    }
    guard kind == 2, payload.count >= 17 else { return .done(nil) }
    let session = Self.number(payload, at: 1)
    let number = Self.number(payload, at: 9)
    switch sessions.look(session, number, at: entry.index) {
    case .unknownSession: return .done(.unknown(session: session))
    case .tooOld: return .done(.tooOld(session: session, number: number))
    case .repeated(let answer) where !forgetsSessions: return .done(.answered(session: session, number: number, answer))
    case .repeated, .fresh:
      guard let outcome = machine.begin(.apply(Array(payload[17...]))) else {
        work = .command(session: session, number: number)
        return .later
      }
      return .done(answered(session, number, outcome))
    }
  }

  private mutating func answered(_ session: LogIndex, _ number: UInt64, _ outcome: MachineOutcome) -> Event {
    guard case .applied(let answer) = outcome else { preconditionFailure("a machine answered a command by \(outcome)") }
    sessions.note(answer, session, number)
    return .answered(session: session, number: number, answer)
  }

  // MARK: Snapshots

  /// A snapshot of everything as it is now, made at once.
  func snapshot() -> [UInt8]? { machine.snapshot().map { Self.snapshot($0, applied, sessions) } }

  /// The same, or later by ``finished()``.
  mutating func beginSnapshot() -> Progress<[UInt8]?> {
    guard let outcome = machine.begin(.save) else {
      saving = (applied, sessions)
      return .later
    }
    guard case .saved(let state) = outcome else { preconditionFailure("a machine that was to save its state answered by \(outcome)") }
    return .done(state.map { Self.snapshot($0, applied, sessions) })
  }

  private static func snapshot(_ state: [UInt8], _ applied: LogIndex, _ sessions: SessionTable) -> [UInt8] {
    var writer = ByteWriter()
    writer.writeVarint64(applied)
    writer.writeLengthPrefixed(state)
    sessions.encode(into: &writer)
    return writer.finish()
  }

  /// Replaces everything by a snapshot. Says whether it could be read.
  mutating func restore(_ bytes: [UInt8]) -> Bool {
    guard let (applied, state, sessions) = content(of: bytes) else { return false }
    var machine = machine
    guard machine.restore(state) else { return false }
    self.machine = machine
    (self.applied, self.sessions) = (applied, sessions)
    return true
  }

  /// The same, or later by ``finished()``. Nothing may be on its way.
  mutating func beginRestoring(_ bytes: [UInt8]) -> Progress<Bool> {
    guard let (applied, state, sessions) = content(of: bytes) else { return .done(false) }
    guard let outcome = machine.begin(.restore(state)) else {
      work = .state(applied: applied, sessions: sessions)
      return .later
    }
    guard case .restored(let isDone) = outcome else { preconditionFailure("a machine that was to take a state over answered by \(outcome)") }
    if isDone { (self.applied, self.sessions) = (applied, sessions) }
    return .done(isDone)
  }

  private func content(of bytes: [UInt8]) -> (LogIndex, [UInt8], SessionTable)? {
    var sessions = sessions
    do throws(DecodeError) {
      var reader = ByteReader(bytes.span.bytes)
      let applied = try reader.readVarint64()
      let state = try reader.readLengthPrefixed(limit: .max, field: "state").withUnsafeBytes { Array($0) }
      try sessions.decode(from: &reader)
      return (applied, state, sessions)
    } catch {
      return nil
    }
  }

  /// What has come of something that was begun.
  enum Finished {
    case applied(Event)
    case saved([UInt8]?)
    case restored(Bool)
  }

  mutating func finished() -> Finished? {
    guard isAtWork, let outcome = machine.finished() else { return nil }
    switch (outcome, work) {
    case (.saved(let state), _):
      guard let (applied, sessions) = saving else { return nil }
      saving = nil
      return .saved(state.map { Self.snapshot($0, applied, sessions) })
    case (.applied, .command(let session, let number)?):
      work = nil
      return .applied(answered(session, number, outcome))
    case (.restored(let isDone), .state(let applied, let sessions)?):
      work = nil
      if isDone { (self.applied, self.sessions) = (applied, sessions) }
      return .restored(isDone)
    default: preconditionFailure("a machine tells of \(outcome), which it was not asked for")
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
