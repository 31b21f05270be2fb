import StrataBytes

/// Which commands of which clients were applied already: what makes a command that arrives twice take effect once (Raft dissertation §6.3).
///
/// A session is opened by an entry and named by that entry's index, so no name is ever used twice. Of each, as many of the last answers are kept as
/// its client may have commands open, its window, which it names when it opens the session.
/// A session that has not been used for ``lifetime`` entries is forgotten; the log is the clock, so that every member forgets the same at the same
/// place. A command of a session that is not known is refused, never applied. The table is part of the snapshot.
struct SessionTable: Hashable, Sendable {
  struct Session: Hashable, Sendable {
    /// Who opened it, by a number of its choice.
    var opener: UInt64
    /// How many commands it may have open, and so how many answers are kept.
    var window: UInt64
    /// The last entry that used it.
    var lastUsed: LogIndex
    /// The greatest number of a command it has seen.
    var greatest: UInt64 = 0
    /// The answers to the last commands, by their numbers.
    var answers: [UInt64: [UInt8]] = [:]
  }

  /// What became of a command.
  enum Outcome: Hashable {
    /// To be applied, and its answer to be noted.
    case fresh
    /// Applied before, with this answer.
    case repeated([UInt8])
    /// Refused: the session is not known, or was forgotten.
    case unknownSession
    /// Refused: older than what the session remembers.
    case tooOld
  }

  /// The widest window there is.
  static let maxWindow: UInt64 = 1 << 16
  let lifetime: UInt64
  /// How many sessions are kept; the one unused for longest makes room.
  let capacity: Int
  private(set) var sessions: [LogIndex: Session] = [:]

  init(lifetime: UInt64 = 1 << 20, capacity: Int = 4096) {
    self.lifetime = lifetime
    self.capacity = capacity
  }

  /// Opens a session at this entry, unless the same opener has one.
  mutating func open(by opener: UInt64, window: UInt64, at index: LogIndex) -> LogIndex {
    expire(at: index)
    if let known = sessions.keys.sorted().first(where: { sessions[$0]?.opener == opener }) { return known }
    if sessions.count >= capacity, let oldest = sessions.min(by: { ($0.value.lastUsed, $0.key) < ($1.value.lastUsed, $1.key) })?.key {
      sessions[oldest] = nil
    }
    sessions[index] = Session(opener: opener, window: min(max(window, 1), Self.maxWindow), lastUsed: index)
    return index
  }

  mutating func look(_ session: LogIndex, _ number: UInt64, at index: LogIndex) -> Outcome {
    guard let known = sessions[session], index - known.lastUsed <= lifetime else { return .unknownSession }
    let answer = known.answers[number]
    let isForgotten = number < known.greatest && known.greatest - number >= known.window
    sessions[session]?.lastUsed = index
    if let answer { return .repeated(answer) }
    return isForgotten ? .tooOld : .fresh
  }

  mutating func note(_ answer: [UInt8], _ session: LogIndex, _ number: UInt64) {
    guard let (greatest, window) = sessions[session].map({ ($0.greatest, $0.window) }) else { return }
    sessions[session]?.answers[number] = answer
    guard number > greatest else { return }
    sessions[session]?.greatest = number
    // Numbers that were passed over have no answer; each is visited once.
    let oldest = number >= window ? number - window : 0
    let first = greatest >= window ? greatest - window : 0
    if oldest - first > 2 * window {
      sessions[session]?.answers = [number: answer]
    } else if oldest > first {
      for old in first + 1...oldest { sessions[session]?.answers[old] = nil }
    }
  }

  private mutating func expire(at index: LogIndex) {
    for (name, session) in sessions where index - session.lastUsed > lifetime { sessions[name] = nil }
  }

  // MARK: In a snapshot

  func encode(into writer: inout ByteWriter) {
    writer.writeVarint64(UInt64(sessions.count))
    for name in sessions.keys.sorted() {
      guard let session = sessions[name] else { continue }
      for number in [name, session.opener, session.window, session.lastUsed, session.greatest, UInt64(session.answers.count)] {
        writer.writeVarint64(number)
      }
      for number in session.answers.keys.sorted() {
        writer.writeVarint64(number)
        writer.writeLengthPrefixed(session.answers[number] ?? [])
      }
    }
  }

  mutating func decode(from reader: inout ByteReader) throws(DecodeError) {
    var read: [LogIndex: Session] = [:]
    for _ in 0..<(try reader.readCount(limit: capacity, field: "sessions")) {
      let name = try reader.readVarint64()
      var session = Session(
        opener: try reader.readVarint64(), window: try reader.readVarint64(), lastUsed: try reader.readVarint64(),
        greatest: try reader.readVarint64())
      guard session.window > 0, session.window <= Self.maxWindow else {
        throw .limitExceeded(at: 0, field: "window", limit: Int(Self.maxWindow))
      }
      for _ in 0..<(try reader.readCount(limit: Int(session.window) + 1, field: "answers")) {
        let number = try reader.readVarint64()
        let answer = try reader.readLengthPrefixed(limit: 1 << 26, field: "answer")
        session.answers[number] = answer.withUnsafeBytes { Array($0) }
      }
      read[name] = session
    }
    sessions = read
  }
}
