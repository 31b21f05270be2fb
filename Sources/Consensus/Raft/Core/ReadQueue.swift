import StrataNodes

/// A leader's reads that wait for a majority to confirm that it still leads, and what it knows about its lease.
///
/// Confirmation is by rounds of heartbeats with growing numbers: a read may be answered when a majority has answered a round that began after
/// the read came in. Names that clients choose play no part, so a name used twice confirms nothing it should not.
struct ReadQueue: Sendable {
  struct Read: Hashable, Sendable {
    /// Who asked: this node or a follower.
    var from: NodeID
    var context: UInt64
    /// What was committed when it came in; nothing while the leader does not know.
    var index: LogIndex
    /// The round that confirms it; 0 where none has begun.
    var round: UInt64
  }

  private struct Round: Hashable {
    var number: UInt64
    var sent: Instant
  }

  /// The last round that began.
  private(set) var round: UInt64 = 0
  private var rounds: [Round] = []
  /// Reads in order of their coming, and so of their rounds.
  private(set) var waiting: [Read] = []
  /// Reads that came before this leader had committed in its term.
  private(set) var early: [Read] = []
  /// The moment up to and without which the last confirmed round keeps others from being elected; nothing without one.
  private(set) var confirmedAt: Instant?
  private var isForfeited = false
  /// Reads this node asked of a leader, by the name it gave them.
  private(set) var forwarded: [UInt64: UInt64] = [:]
  var lastName: UInt64 = 0
  private var lastAnswer: Instant?

  /// Rounds whose answers are awaited; older ones are given up for the lease.
  private static let maxRounds = 64

  var count: Int { waiting.count + early.count + forwarded.count }
  var needsRound: Bool { waiting.last?.round == 0 }

  mutating func reset() {
    round = 0
    rounds.removeAll()
    waiting.removeAll()
    early.removeAll()
    forwarded.removeAll()
    confirmedAt = nil
    lastAnswer = nil
    isForfeited = false
  }

  mutating func beginRound(at now: Instant) -> UInt64 {
    round += 1
    if rounds.count == Self.maxRounds { rounds.removeFirst() }
    rounds.append(Round(number: round, sent: now))
    var place = waiting.count
    while place > 0, waiting[place - 1].round == 0 {
      place -= 1
      waiting[place].round = round
    }
    return round
  }

  mutating func wait(_ read: Read) { waiting.append(read) }
  mutating func waitEarly(_ read: Read) { early.append(read) }
  mutating func takeEarly() -> [Read] {
    defer { early.removeAll() }
    return early
  }

  mutating func answered(at now: Instant) { lastAnswer = now }

  /// A majority has answered this round: takes the reads it confirms.
  mutating func confirm(_ confirmed: UInt64, fromAnswer: Bool) -> [Read] {
    var sent: Instant?
    while let first = rounds.first, first.number <= confirmed {
      sent = first.sent
      rounds.removeFirst()
    }
    if let sent, !isForfeited { confirmedAt = fromAnswer ? lastAnswer ?? sent : sent }
    let end = waiting.firstIndex { $0.round == 0 || $0.round > confirmed } ?? waiting.count
    defer { waiting.removeFirst(end) }
    return Array(waiting[..<end])
  }

  /// No lease is held any more in this term.
  mutating func forfeitLease() {
    isForfeited = true
    confirmedAt = nil
  }

  mutating func forward(_ context: UInt64, fixedName: Bool) -> UInt64 {
    lastName = fixedName ? 1 : lastName &+ 1
    forwarded[lastName] = context
    return lastName
  }

  mutating func finishForwarded(_ name: UInt64) -> UInt64? { forwarded.removeValue(forKey: name) }
}
